"""Users and what they work with."""

from __future__ import annotations

from .. import wire
from ..call import Answer, Call, Routes

__all__ = ["routes"]

routes = Routes()


@routes.add("GET", "/me", "users.me")
def me(call: Call) -> Answer:
    """Whose token it is."""
    return call.json(wire.user(call.world.me))


@routes.add("GET", "/me/collaborations", "users.list_collaborations")
def collaborations(call: Call) -> Answer:
    """The organizations of the token's owner, and their own account, which has no id."""
    shown = [wire.collaboration(call, organization) for organization in call.world.organizations.values()]
    login = call.world.me.login
    own = {
        "id": None,
        "vcs_type": "github",
        "name": login,
        "avatar_url": call.world.me.avatar_url,
        "slug": f"gh/{login}",
    }
    return call.json([*shown, call.spell(own, "vcs_type")])


@routes.add("GET", "/user/{id}", "users.get")
def get(call: Call) -> Answer:
    """A user."""
    return call.json(wire.user(call.found(call.world.user(call.uuid("id")), "User not found")))
