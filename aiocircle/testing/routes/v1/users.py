"""The user of API v1.1."""

from __future__ import annotations

from typing import Any

from ...ids import digest
from ...request import RequestContext
from ...response import Response
from ...router import Routes

__all__ = ["routes"]

routes = Routes()


@routes.add("GET", "/me", "v1.users.me")
def me(request: RequestContext) -> Response:
    """Return the owner of the token, with much that is not public."""
    user = request.state.token_owner
    projects: dict[str, Any] = {
        project.repository_url: {"on_dashboard": True, "emails": "default"}
        for project in request.state.projects.values()
        if not project.organization.standalone
    }
    return request.respond(
        {
            "login": user.login,
            "name": user.name,
            "avatar_url": user.avatar_url,
            "github_id": int.from_bytes(digest("external id", user.id)[:3]),
            "selected_email": f"{user.login}@acme.example",
            "all_emails": [f"{user.login}@acme.example"],
            "pusher_id": digest("pusher", user.id).hex()[:40],
            "analytics_id": user.id,
            "created_at": "2019-04-01T09:30:00.000Z",
            "admin": False,
            "containers": 1,
            "plan": None,
            "organization_prefs": {},
            "projects": projects,
        }
    )
