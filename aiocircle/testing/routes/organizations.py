"""Organizations and the places that their URL orbs may come from."""

from __future__ import annotations

from typing import Any

import attrs

from .. import serializers
from ..ids import Kind
from ..model import Organization
from ..request import RequestContext
from ..response import Response
from ..router import Routes
from ..state import State

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
    def __init__(self, state: State) -> None:
        self.by_id: dict[str, _Entry] = {}
        for organization in state.initial_organizations:
            ident = state.ids.uuid(Kind.ALLOW_LIST_ENTRY, organization.key)
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
        "vcs_type": serializers.vcs_type(organization),
    }


@routes.add("POST", "/organization", "organizations.create")
def create(request: RequestContext) -> Response:
    """Create a standalone organization, or adopt one from its code host."""
    fields = request.body_fields("name", "vcs_type")
    name: object = fields["name"]
    vcs_type: object = fields["vcs_type"]
    if not isinstance(name, str) or not name:
        request.fail(400, "name: must be a non-empty string.")
    if not isinstance(vcs_type, str) or vcs_type not in _PROVIDERS:
        request.fail(400, f"vcs_type: must be one of {', '.join(_PROVIDERS)}.")
    provider = _PROVIDERS[vcs_type]
    known = None if provider == "circleci" else request.state.organization(f"{provider}/{name}")
    organization = known or request.state.add_organization(provider, name)
    if known is None:
        request.record_change(organization.slug)
    return request.respond(_show(organization), 201)


@routes.add("GET", "/organization/{org}", "organizations.get")
def get(request: RequestContext) -> Response:
    """Return an organization."""
    return request.respond(_show(request.organization()))


@routes.add("DELETE", "/organization/{org}", "organizations.delete")
def delete(request: RequestContext) -> Response:
    """Delete an organization with all its projects."""
    organization = request.organization()
    request.state.remove_organization(organization)
    request.record_change(organization.slug)
    return request.respond_message("Organization deletion accepted.", 202)


@routes.add("GET", "/organization/{org}/url-orb-allow-list", "organizations.list_url_orb_allow_list")
def list_url_orb_allow_list(request: RequestContext) -> Response:
    """List the sources from which URL orbs are allowed."""
    organization = request.organization()
    payload = [
        {"id": entry.id, "name": entry.name, "prefix": entry.prefix, "auth": entry.auth}
        for entry in request.state.group_state(_AllowLists).by_id.values()
        if entry.organization is organization
    ]
    return request.respond({"items": payload})


@routes.add("POST", "/organization/{org}/url-orb-allow-list", "organizations.create_url_orb_allow_list_entry")
def create_url_orb_allow_list_entry(request: RequestContext) -> Response:
    """Allow one more source."""
    organization = request.organization()
    fields = request.body_fields("name", "prefix", "auth")
    name, prefix, auth = fields["name"], fields["prefix"], fields["auth"]
    if not isinstance(name, str) or not isinstance(prefix, str) or not prefix.startswith("https://"):
        request.fail(400, "prefix: must be an https URL.")
    if auth not in _AUTHS:
        request.fail(400, f"auth: must be one of {', '.join(_AUTHS)}.")
    ident = request.state.new_id(Kind.ALLOW_LIST_ENTRY)
    new = _Entry(id=ident, organization=organization, name=name, prefix=prefix, auth=auth)
    request.state.group_state(_AllowLists).by_id[ident] = new
    request.record_change(ident)
    return request.respond({"id": ident, "message": "Created."})


@routes.add(
    "DELETE",
    "/organization/{org}/url-orb-allow-list/{allow-list-entry-id}",
    "organizations.delete_url_orb_allow_list_entry",
)
def delete_url_orb_allow_list_entry(request: RequestContext) -> Response:
    """Disallow a source. An unknown one is a 200."""
    organization = request.organization()
    ident = request.path_uuid("allow-list-entry-id")
    entries = request.state.group_state(_AllowLists).by_id
    if ident in entries and entries[ident].organization is organization:
        del entries[ident]
        request.record_change(ident)
    return request.respond({"id": ident, "message": "Deleted."})
