"""Custom claims of OIDC tokens, of organizations and of projects."""

from __future__ import annotations

import re
from typing import Any, cast

import attrs

from ..ids import is_uuid
from ..request import RequestContext
from ..response import Response
from ..router import Routes
from ..state import State
from ..times import iso_ms

__all__ = ["routes"]

routes = Routes()

_UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_TTL = re.compile(r"([0-9]+(ms|s|m|h|d|w)){1,7}")
_CLAIMS = ("audience", "ttl")


@attrs.define
class _Claims:
    audience: list[str] | None = None
    audience_updated: float = 0.0
    ttl: str | None = None
    ttl_updated: float = 0.0


class _AllClaims:
    def __init__(self, state: State) -> None:
        self.of: dict[tuple[str, str | None], _Claims] = {}


def _target(request: RequestContext) -> tuple[str, str | None]:
    """Return the organization and the project whose claims are meant, known to the caller."""
    org_id = request.path_value("orgID")
    project_id = request.path_values.get("projectID")
    if not is_uuid(org_id):
        request.fail(400, "OwnerID: must be a valid UUID.", "error")
    organization = request.state.organization(org_id)
    if organization is None:
        request.fail(403, "Forbidden", "error")
    if project_id is None:
        return organization.id, None
    if not is_uuid(project_id):
        request.fail(400, "ProjectID: must be a valid UUID.", "error")
    project = request.state.project_by_id(project_id)
    if project is None or project.organization is not organization:
        request.fail(403, "Forbidden", "error")
    return organization.id, project.id


def _respond(request: RequestContext, target: tuple[str, str | None], claims: _Claims) -> Response:
    payload: dict[str, Any] = {"org_id": target[0]}
    if target[1] is not None:
        payload["project_id"] = target[1]
    if claims.audience is not None:
        payload["audience"] = claims.audience
        payload["audience_updated_at"] = iso_ms(claims.audience_updated)
    if claims.ttl is not None:
        payload["ttl"] = claims.ttl
        payload["ttl_updated_at"] = iso_ms(claims.ttl_updated)
    return request.respond(payload)


def _get(request: RequestContext) -> Response:
    target = _target(request)
    return _respond(request, target, request.state.group_state(_AllClaims).of.get(target, _Claims()))


def _update(request: RequestContext) -> Response:
    target = _target(request)
    body: object = request.body
    if not isinstance(body, dict):
        request.fail(400, "request body: must be an object.", "error")
    fields = cast("dict[str, Any]", body)
    audience: object = fields.get("audience")
    ttl: object = fields.get("ttl")
    if audience is not None and not (
        isinstance(audience, list) and all(isinstance(each, str) for each in cast("list[object]", audience))
    ):
        request.fail(400, "audience: must be an array of strings.", "error")
    if ttl is not None and not (isinstance(ttl, str) and _TTL.fullmatch(ttl)):
        request.fail(400, "ttl: must be a valid duration.", "error")
    claims = request.state.group_state(_AllClaims).of.setdefault(target, _Claims())
    if audience is not None:
        claims.audience, claims.audience_updated = sorted(cast("list[str]", audience)), request.state.now()
    if isinstance(ttl, str):
        claims.ttl, claims.ttl_updated = _rewritten(ttl), request.state.now()
    if audience is not None or ttl is not None:
        request.record_change(" ".join(filter(None, target)))
    return _respond(request, target, claims)


def _rewritten(ttl: str) -> str:
    """Return a duration as the server writes it: 90m becomes 1h30m0s."""
    total = sum(int(count) * _UNITS[unit] for count, unit in re.findall(r"([0-9]+)(ms|[smhdw])", ttl))
    seconds = int(total)
    if seconds < 1:
        return f"{round(total * 1000)}ms"
    hours, minutes = seconds // 3600, seconds // 60 % 60
    written = f"{hours}h{minutes}m" if hours else f"{minutes}m" if minutes else ""
    return f"{written}{seconds % 60}s"


def _delete(request: RequestContext) -> Response:
    target = _target(request)
    names = [name for value in request.query.get("claims", ()) for name in value.split(",")]
    if not names or not set(names) <= set(_CLAIMS):
        request.fail(400, "claims: must be audience, ttl or both.", "error")
    claims = request.state.group_state(_AllClaims).of.setdefault(target, _Claims())
    before = (claims.audience, claims.ttl)
    if "audience" in names:
        claims.audience = None
    if "ttl" in names:
        claims.ttl = None
    if before != (claims.audience, claims.ttl):
        request.record_change(" ".join(filter(None, target)))
    return _respond(request, target, claims)


for _path, _whose in (("/org/{orgID}", "org"), ("/org/{orgID}/project/{projectID}", "project")):
    routes.add("GET", f"{_path}/oidc-custom-claims", f"oidc.get_{_whose}_claims")(_get)
    routes.add("PATCH", f"{_path}/oidc-custom-claims", f"oidc.update_{_whose}_claims")(_update)
    routes.add("DELETE", f"{_path}/oidc-custom-claims", f"oidc.delete_{_whose}_claims")(_delete)
