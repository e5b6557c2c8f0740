"""Organizations and the places that their URL orbs may come from."""

from __future__ import annotations

from typing import Any

import attrs

from .. import wire
from ..call import Answer, Call, Routes
from ..identity import Kind
from ..model import Organization
from ..world import World

__all__ = ["routes"]

routes = Routes()

_PROVIDERS = {"github": "gh", "bitbucket": "bb", "circleci": "circleci"}
_AUTHS = ("none", "github-oauth", "github-app", "bitbucket-oauth")


@attrs.frozen(kw_only=True)
class _Entry:
    id: str
    organization: Organization
    name: str
    prefix: str
    auth: str


class _AllowLists:
    def __init__(self, world: World) -> None:
        self.by_id: dict[str, _Entry] = {}
        for organization in world.founding:
            ident = world.identities.uuid(Kind.ALLOW_LIST_ENTRY, organization.key)
            self.by_id[ident] = _Entry(
                id=ident,
                organization=organization,
                name="our orbs",
                prefix=f"https://raw.githubusercontent.com/{organization.name.replace(' ', '-')}/orbs/",
                auth="none",
            )


def _show(organization: Organization) -> dict[str, Any]:
    return {
        "id": organization.id,
        "name": organization.name,
        "slug": organization.slug,
        "vcs_type": wire.vcs_type(organization),
    }


@routes.add("POST", "/organization", "organizations.create")
def create(call: Call) -> Answer:
    """Make a standalone organization, or take one over from its code host."""
    fields = call.fields("name", "vcs_type")
    name: object = fields["name"]
    vcs_type: object = fields["vcs_type"]
    if not isinstance(name, str) or not name:
        call.refuse(400, "name: must be a non-empty string.")
    if not isinstance(vcs_type, str) or vcs_type not in _PROVIDERS:
        call.refuse(400, f"vcs_type: must be one of {', '.join(_PROVIDERS)}.")
    provider = _PROVIDERS[vcs_type]
    known = None if provider == "circleci" else call.world.organization(f"{provider}/{name}")
    organization = known or call.world.add_organization(provider, name)
    if known is None:
        call.changed(organization.slug)
    return call.json(_show(organization), 201)


@routes.add("GET", "/organization/{org}", "organizations.get")
def get(call: Call) -> Answer:
    """An organization."""
    return call.json(_show(call.org()))


@routes.add("DELETE", "/organization/{org}", "organizations.delete")
def delete(call: Call) -> Answer:
    """Delete an organization with all its projects."""
    organization = call.org()
    call.world.remove_organization(organization)
    call.changed(organization.slug)
    return call.message("Organization deletion accepted.", 202)


@routes.add("GET", "/organization/{org}/url-orb-allow-list", "organizations.list_url_orb_allow_list")
def list_url_orb_allow_list(call: Call) -> Answer:
    """Where an organization's URL orbs may come from."""
    organization = call.org()
    shown = [
        {"id": entry.id, "name": entry.name, "prefix": entry.prefix, "auth": entry.auth}
        for entry in call.world.part(_AllowLists).by_id.values()
        if entry.organization is organization
    ]
    return call.json({"items": shown})


@routes.add("POST", "/organization/{org}/url-orb-allow-list", "organizations.create_url_orb_allow_list_entry")
def create_url_orb_allow_list_entry(call: Call) -> Answer:
    """Allow one more place."""
    organization = call.org()
    fields = call.fields("name", "prefix", "auth")
    name, prefix, auth = fields["name"], fields["prefix"], fields["auth"]
    if not isinstance(name, str) or not isinstance(prefix, str) or not prefix.startswith("https://"):
        call.refuse(400, "prefix: must be an https URL.")
    if auth not in _AUTHS:
        call.refuse(400, f"auth: must be one of {', '.join(_AUTHS)}.")
    ident = call.world.new_id(Kind.ALLOW_LIST_ENTRY)
    made = _Entry(id=ident, organization=organization, name=name, prefix=prefix, auth=auth)
    call.world.part(_AllowLists).by_id[ident] = made
    call.changed(ident)
    return call.json({"id": ident, "message": "Created."})


@routes.add(
    "DELETE",
    "/organization/{org}/url-orb-allow-list/{allow-list-entry-id}",
    "organizations.delete_url_orb_allow_list_entry",
)
def delete_url_orb_allow_list_entry(call: Call) -> Answer:
    """Allow a place no more; it does not matter whether it ever was."""
    organization = call.org()
    ident = call.uuid("allow-list-entry-id")
    entries = call.world.part(_AllowLists).by_id
    if ident in entries and entries[ident].organization is organization:
        del entries[ident]
        call.changed(ident)
    return call.json({"id": ident, "message": "Deleted."})
