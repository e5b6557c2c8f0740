"""Users and what they work with."""

from __future__ import annotations

from .. import serializers
from ..request import RequestContext
from ..response import Response
from ..router import Routes

__all__ = ["routes"]

routes = Routes()


@routes.add("GET", "/me", "users.me")
def me(request: RequestContext) -> Response:
    """Return the owner of the token."""
    return request.respond(serializers.user(request.state.token_owner))


@routes.add("GET", "/me/collaborations", "users.list_collaborations")
def collaborations(request: RequestContext) -> Response:
    """Return the organizations of the token's owner, and their own account, which has no id."""
    payload = [
        serializers.collaboration(request, organization) for organization in request.state.organizations.values()
    ]
    login = request.state.token_owner.login
    own = {
        "id": None,
        "vcs_type": "github",
        "name": login,
        "avatar_url": request.state.token_owner.avatar_url,
        "slug": f"gh/{login}",
    }
    return request.respond([*payload, request.spell_keys(own, "vcs_type")])


@routes.add("GET", "/user/{id}", "users.get")
def get(request: RequestContext) -> Response:
    """Return a user."""
    return request.respond(
        serializers.user(request.require(request.state.user(request.path_uuid("id")), "User not found"))
    )
