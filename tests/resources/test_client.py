"""The common behaviour of all calls, as callers see it."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest

from aiocircle import UNSET, BadRequest, CircleCI, InvalidArgument
from aiocircle._groups import LazyGroup, V2Groups
from aiocircle.testing import LocalCircleCI

# What is refused before anything is sent when it is None.
_REQUIRED: dict[tuple[str, str], Any] = {
    ("contexts.create", "owner"): {"slug": "gh/acme"},
    ("oidc.delete_org_claims", "claims"): "ttl",
    ("oidc.delete_project_claims", "claims"): "ttl",
    ("pipeline_definitions.create", "checkout_source"): {"provider": "github_app", "repo": {"external_id": "1"}},
    ("pipeline_definitions.create", "config_source"): {"provider": "circleci", "file_path": "config.yml"},
    ("schedules.create", "timetable"): {"per_hour": 1, "hours_of_day": [3]},
    ("triggers.create", "event_source"): {"provider": "webhook"},
    ("webhooks.create", "scope"): {"id": "1", "type": "project"},
}


def _parameters(function: Callable[..., Any]) -> list[inspect.Parameter]:
    return [each for each in inspect.signature(function).parameters.values() if each.name != "self"]


@pytest.mark.parametrize("into", ["User", 5, [int], {"id": str}])
async def test_into_must_be_a_type(server: LocalCircleCI, circle: CircleCI, into: Any) -> None:
    """`into` must be a type; otherwise InvalidArgument is raised and nothing is sent."""
    with pytest.raises(InvalidArgument, match="into must be a type"):
        await circle.request("POST", "/api/v2/things", json={}, into=into)
    with pytest.raises(InvalidArgument, match="into must be a type"):
        circle.request_pages("/api/v2/things", into=into)
    assert server.requests == []


@pytest.mark.parametrize("into", [dict, dict[str, Any], Any, dict[str, Any] | None])
async def test_into_may_be_any_type(circle: CircleCI, into: Any) -> None:
    """A response is decoded to any type that cattrs can structure."""
    assert (await circle.request("GET", "/api/v2/me", into=into)).keys() >= {"id", "login", "name"}


_CALLS: list[tuple[str, str]] = [
    (name, method)
    for name, group in vars(V2Groups).items()
    if isinstance(group, LazyGroup)
    for method, function in inspect.getmembers(type(getattr(CircleCI("token"), name)), inspect.isfunction)
    if inspect.iscoroutinefunction(inspect.unwrap(function))
    and not method.startswith("_")
    # A method of composites sends several requests, and checks its own arguments.
    and inspect.unwrap(function).__module__.startswith("aiocircle.resources")
    and any(each.kind is each.KEYWORD_ONLY for each in _parameters(function))
]


@pytest.mark.parametrize(("group", "method"), _CALLS)
async def test_none_is_sent_only_as_a_documented_null(
    server: LocalCircleCI, circle: CircleCI, group: str, method: str
) -> None:
    """None is sent as null only if the API takes null: elsewhere a server may take it for a value."""
    call = getattr(getattr(circle, group), method)
    server.inject("answer", status=400, body="enough")
    names = [each.name for each in _parameters(call) if each.kind is not each.KEYWORD_ONLY]
    keywords = {
        each.name: _REQUIRED.get((f"{group}.{method}", each.name))
        for each in _parameters(call)
        if each.kind is each.KEYWORD_ONLY and each.default is not UNSET
    }
    with pytest.raises(BadRequest):
        await call(*["gh/acme/web" if name == "project" else str(UUID(int=1)) for name in names], **keywords)
    (request,) = server.requests
    assert None not in (request.json or {}).values()
    assert {name for name, _ in request.query} <= {"claims"}
