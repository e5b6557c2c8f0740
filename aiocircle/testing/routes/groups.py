"""Groups of users. Only standalone organizations have them."""

from __future__ import annotations

from typing import Any

import attrs

from ..ids import Kind
from ..model import Organization
from ..request import RequestContext
from ..response import Response
from ..router import Routes
from ..state import State

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
    def __init__(self, state: State) -> None:
        self.by_id: dict[str, _Group] = {}
        for organization in state.initial_organizations:
            if organization.standalone:
                for number, (name, description) in enumerate((("Developers", ""), ("Release", "May deploy"))):
                    ident = state.ids.uuid(Kind.GROUP, organization.key, number)
                    self.by_id[ident] = _Group(id=ident, organization=organization, name=name, description=description)


def _show(group: _Group) -> dict[str, Any]:
    return {"id": group.id, "name": group.name, "description": group.description}


def _of(request: RequestContext, organization: Organization) -> list[_Group]:
    return [group for group in request.state.group_state(_Groups).by_id.values() if group.organization is organization]


@routes.add("GET", "/organizations/{org_id}/groups", "groups.list")
def list_all(request: RequestContext) -> Response:
    """Return an organization's groups, all of them: the declared paging does not take place."""
    groups = _of(request, request.organization_by_id("org_id"))
    payload = [_show(group) for group in groups]
    return request.respond({"items": payload, "next_page_token": None, "total_count": len(groups)})


@routes.add("POST", "/organizations/{org_id}/groups", "groups.create")
def create(request: RequestContext) -> Response:
    """Create a group."""
    organization = request.organization_by_id("org_id")
    if not organization.standalone:
        request.fail(403, _DENIED)
    fields = request.body_fields("name")
    request.reject_unknown_fields(fields, ("name", "description"))
    name: object = fields["name"]
    description: object = fields.get("description", "")
    if not isinstance(name, str) or not name or not isinstance(description, str):
        request.fail(400, "Unexpected request body provided.")
    if any(group.name == name for group in _of(request, organization)):
        request.fail(409, "A group with this name already exists.")
    new = _Group(id=request.state.new_id(Kind.GROUP), organization=organization, name=name, description=description)
    request.state.group_state(_Groups).by_id[new.id] = new
    request.record_change(new.id)
    return request.respond(_show(new), 201)


@routes.add("GET", "/organizations/{org_id}/groups/{group_id}", "groups.get")
def get(request: RequestContext) -> Response:
    """Return a group."""
    group = _group(request)
    return request.respond(_show(request.require(group, "Group not found")))


@routes.add("DELETE", "/organizations/{org_id}/groups/{group_id}", "groups.delete")
def delete(request: RequestContext) -> Response:
    """Delete a group; one that is not there is forbidden."""
    group = _group(request)
    if group is None:
        request.fail(403, _DENIED)
    del request.state.group_state(_Groups).by_id[group.id]
    request.record_change(group.id)
    return request.respond_message("Group deleted.")


def _group(request: RequestContext) -> _Group | None:
    organization = request.organization_by_id("org_id")
    group = request.state.group_state(_Groups).by_id.get(request.path_uuid("group_id"))
    return group if group is not None and group.organization is organization else None
