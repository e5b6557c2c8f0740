"""Groups of people, which standalone organizations alone have."""

from __future__ import annotations

from typing import Any

import attrs

from ..call import Answer, Call, Routes
from ..identity import Kind
from ..model import Organization
from ..world import World

__all__ = ["routes"]

routes = Routes()

_DENIED = "Permission denied."


@attrs.frozen(kw_only=True)
class _Group:
    id: str
    organization: Organization
    name: str
    description: str


class _Groups:
    def __init__(self, world: World) -> None:
        self.by_id: dict[str, _Group] = {}
        for organization in world.founding:
            if organization.standalone:
                for number, (name, description) in enumerate((("Developers", ""), ("Release", "May deploy"))):
                    ident = world.identities.uuid(Kind.GROUP, organization.key, number)
                    self.by_id[ident] = _Group(id=ident, organization=organization, name=name, description=description)


def _show(group: _Group) -> dict[str, Any]:
    return {"id": group.id, "name": group.name, "description": group.description}


def _of(call: Call, organization: Organization) -> list[_Group]:
    return [group for group in call.world.part(_Groups).by_id.values() if group.organization is organization]


@routes.add("GET", "/organizations/{org_id}/groups", "groups.list")
def list_all(call: Call) -> Answer:
    """An organization's groups, all of them: the declared paging does not take place."""
    groups = _of(call, call.owner("org_id"))
    shown = [_show(group) for group in groups]
    return call.json({"items": shown, "next_page_token": None, "total_count": len(groups)})


@routes.add("POST", "/organizations/{org_id}/groups", "groups.create")
def create(call: Call) -> Answer:
    """Make a group."""
    organization = call.owner("org_id")
    if not organization.standalone:
        call.refuse(403, _DENIED)
    fields = call.fields("name")
    call.only(fields, ("name", "description"))
    name: object = fields["name"]
    description: object = fields.get("description", "")
    if not isinstance(name, str) or not name or not isinstance(description, str):
        call.refuse(400, "Unexpected request body provided.")
    if any(group.name == name for group in _of(call, organization)):
        call.refuse(409, "A group with this name already exists.")
    made = _Group(id=call.world.new_id(Kind.GROUP), organization=organization, name=name, description=description)
    call.world.part(_Groups).by_id[made.id] = made
    call.changed(made.id)
    return call.json(_show(made), 201)


@routes.add("GET", "/organizations/{org_id}/groups/{group_id}", "groups.get")
def get(call: Call) -> Answer:
    """A group."""
    group = _group(call)
    return call.json(_show(call.found(group, "Group not found")))


@routes.add("DELETE", "/organizations/{org_id}/groups/{group_id}", "groups.delete")
def delete(call: Call) -> Answer:
    """Delete a group; one that is not there is forbidden."""
    group = _group(call)
    if group is None:
        call.refuse(403, _DENIED)
    del call.world.part(_Groups).by_id[group.id]
    call.changed(group.id)
    return call.message("Group deleted.")


def _group(call: Call) -> _Group | None:
    organization = call.owner("org_id")
    group = call.world.part(_Groups).by_id.get(call.uuid("group_id"))
    return group if group is not None and group.organization is organization else None
