"""Policies: the bundle of an organization, and the decisions that were made by it."""

from __future__ import annotations

import hashlib
import random
from typing import Any, cast

import attrs

from ..ids import Kind, is_uuid
from ..model import Organization, Pipeline
from ..request import RequestContext, parse_natural
from ..response import Response
from ..router import Routes
from ..state import State
from ..times import DAY, iso_ms

__all__ = ["routes"]

routes = Routes()

_DECISIONS_PER_PAGE = 20
_LARGEST_BUNDLE = 512 * 1024
_RULES = ("require_pinned_images", "no_long_jobs")
_POLICY = """package org

policy_name["images"]

enable_rule["require_pinned_images"]

require_pinned_images = "an image has no tag" { input.jobs[_].docker[_].image == "cimg/base" }
"""


@attrs.frozen(kw_only=True)
class _Policy:
    name: str
    content: str
    created: float
    created_by: str


@attrs.frozen(kw_only=True)
class _Decision:
    id: str
    created: float
    status: str
    metadata: dict[str, Any]
    bundle: dict[str, _Policy]
    branch: str | None


@attrs.define(eq=False)
class _Owner:
    """The policies and decisions of one organization."""

    bundle: dict[str, _Policy]
    decisions: list[_Decision]  # newest first
    enabled: bool = True


class _Owners:
    def __init__(self, state: State) -> None:
        self._state = state
        self._of: dict[str, _Owner] = {}

    def of(self, organization: Organization) -> _Owner:
        """Return an organization's policies and decisions."""
        resource = self._of.get(organization.id)
        if resource is None:
            resource = self._of[organization.id] = self._first(organization)
        return resource

    def _first(self, organization: Organization) -> _Owner:
        state = self._state
        if organization not in state.initial_organizations:
            return _Owner({}, [])
        created = state.midnight - 120 * DAY
        policy = _Policy(name="images", content=_POLICY, created=created, created_by=state.token_owner.id)
        bundle = {"images": policy}
        rng = random.Random(f"decisions {state.seed} {organization.key}")
        pipelines: list[Pipeline] = []
        for project in state.projects_of(organization)[:3]:
            pipelines += project.history.pipelines[-16:]
        pipelines.sort(key=lambda pipeline: (-pipeline.created, pipeline.id))
        decisions = [
            _Decision(
                id=state.ids.uuid(Kind.DECISION, organization.key, number),
                created=pipeline.created,
                status=rng.choice(("PASS", "PASS", "PASS", "SOFT_FAIL", "HARD_FAIL")),
                metadata={
                    "build_number": pipeline.number,
                    "project_id": pipeline.project.id,
                    "ssh_rerun": False,
                    "vcs": {
                        "branch": pipeline.branch or "",
                        "origin_repository_url": pipeline.project.repository_url,
                        "release_tag": pipeline.tag or "",
                        "target_repository_url": pipeline.project.repository_url,
                    },
                },
                bundle=bundle,
                branch=pipeline.branch,
            )
            for number, pipeline in enumerate(pipelines)
        ]
        return _Owner(bundle, decisions)


def _owner(request: RequestContext) -> _Owner:
    ident = request.path_value("ownerID")
    if not is_uuid(ident):
        request.fail(400, "OwnerID: must be a valid UUID.", "error")
    if request.path_value("context") != "config":
        request.fail(400, "context: must be a valid value.", "error")
    organization = request.state.organization(ident)
    if organization is None:
        request.fail(403, "Forbidden", "error")
    return request.state.group_state(_Owners).of(organization)


def _fields(request: RequestContext) -> dict[str, Any]:
    body: object = request.body
    if not isinstance(body, dict):
        request.fail(400, "request body: must be an object.", "error")
    return cast("dict[str, Any]", body)


def _document(policy: _Policy) -> dict[str, Any]:
    return {
        "name": policy.name,
        "content": policy.content,
        "created_at": iso_ms(policy.created),
        "created_by": policy.created_by,
    }


@routes.add("GET", "/owner/{ownerID}/context/{context}/policy-bundle", "policies.get_bundle")
def get_bundle(request: RequestContext) -> Response:
    """Return all policies by name."""
    return request.respond({name: _document(policy) for name, policy in _owner(request).bundle.items()})


@routes.add("POST", "/owner/{ownerID}/context/{context}/policy-bundle", "policies.create_bundle")
def create_bundle(request: RequestContext) -> Response:
    """Replace all policies, or return the changes that this would make."""
    owner = _owner(request)
    raw: object = _fields(request).get("policies")
    if not isinstance(raw, dict) or not all(isinstance(text, str) for text in cast("dict[str, object]", raw).values()):
        request.fail(400, "policies: must be an object of strings.", "error")
    policies = cast("dict[str, str]", raw)
    if sum(len(text) for text in policies.values()) > _LARGEST_BUNDLE:
        request.fail(413, "http: request payload too large", "error")
    known = owner.bundle
    difference = {
        "created": sorted(policies.keys() - known.keys()),
        "deleted": sorted(known.keys() - policies.keys()),
        "modified": sorted(name for name in policies.keys() & known.keys() if policies[name] != known[name].content),
    }
    dry = request.query_value("dry")
    if dry not in {None, "true", "false"}:
        request.fail(400, "dry: must be true or false.", "error")
    if dry == "true":
        return request.respond(difference)
    bundle: dict[str, _Policy] = {}
    for name, text in policies.items():
        old = known.get(name)
        same = old is not None and old.content == text
        new = _Policy(name=name, content=text, created=request.state.now(), created_by=request.state.token_owner.id)
        bundle[name] = old if same and old is not None else new
    owner.bundle = bundle
    if any(difference.values()):
        request.record_change(request.path_value("ownerID"))
    return request.respond(difference, 201)


@routes.add("GET", "/owner/{ownerID}/context/{context}/policy-bundle/{policyName}", "policies.get")
def get(request: RequestContext) -> Response:
    """Return a policy."""
    policy = _owner(request).bundle.get(request.path_value("policyName"))
    if policy is None:
        request.fail(404, "policy not found", "error")
    return request.respond(_document(policy))


def _outcome(status: str) -> dict[str, Any]:
    failure = {"rule": _RULES[0], "reason": "an image has no tag"}
    outcome: dict[str, Any] = {"status": status, "enabled_rules": [_RULES[0]]}
    if status == "HARD_FAIL":
        outcome["hard_failures"] = [failure]
    if status == "SOFT_FAIL":
        outcome["soft_failures"] = [failure]
    return outcome


def _show(decision: _Decision) -> dict[str, Any]:
    policies = {name: hashlib.sha512(policy.content.encode()).hexdigest() for name, policy in decision.bundle.items()}
    return {
        "id": decision.id,
        "created_at": iso_ms(decision.created),
        "decision": _outcome(decision.status),
        "metadata": decision.metadata,
        "policies": policies,
        "time_taken_ms": 4 + len(policies),
    }


@routes.add("GET", "/owner/{ownerID}/context/{context}/decision", "policies.list_decisions")
def list_decisions(request: RequestContext) -> Response:
    """List the decisions, newest first: a bare array from an offset on."""
    owner = _owner(request)
    start = parse_natural(request.query_value("offset") or "0")
    if start is None:
        request.fail(400, "offset: must be an integer no less than 0.", "error")
    after, before = request.query_time("after"), request.query_time("before")
    wanted = {
        name: value
        for name in ("status", "branch", "project_id", "build_number")
        if (value := request.query_value(name)) is not None
    }
    chosen: list[_Decision] = []
    for decision in owner.decisions:
        own = {
            "status": decision.status,
            "branch": decision.branch,
            "project_id": decision.metadata.get("project_id"),
            "build_number": str(decision.metadata.get("build_number")),
        }
        if any(own[name] != value for name, value in wanted.items()):
            continue
        if (after is None or decision.created > after) and (before is None or decision.created < before):
            chosen.append(decision)
    size = request.page_size or _DECISIONS_PER_PAGE
    return request.respond([_show(decision) for decision in chosen[start : start + size]])


@routes.add("POST", "/owner/{ownerID}/context/{context}/decision", "policies.make_decision")
def make_decision(request: RequestContext) -> Response:
    """Decide on a configuration: an untagged `cimg/base` fails, softly if `# soft` is on its line."""
    owner = _owner(request)
    fields = _fields(request)
    text: object = fields.get("input")
    metadata: object = fields.get("metadata", {})
    if not isinstance(text, str):
        request.fail(400, "input: cannot be blank.", "error")
    if not isinstance(metadata, dict):
        request.fail(400, "metadata: must be an object.", "error")
    status = "PASS"
    if owner.bundle and any(line.split("#")[0].rstrip().endswith("cimg/base") for line in text.splitlines()):
        status = "SOFT_FAIL" if "# soft" in text else "HARD_FAIL"
    decision = _Decision(
        id=request.state.new_id(Kind.DECISION),
        created=request.state.now(),
        status=status,
        metadata=cast("dict[str, Any]", metadata),
        bundle=owner.bundle,
        branch=None,
    )
    owner.decisions.insert(0, decision)
    request.record_change(decision.id)
    return request.respond(_outcome(status))


@routes.add("GET", "/owner/{ownerID}/context/{context}/decision/settings", "policies.get_decision_settings")
def get_decision_settings(request: RequestContext) -> Response:
    """Return the settings of decisions."""
    return request.respond({"enabled": _owner(request).enabled})


@routes.add("PATCH", "/owner/{ownerID}/context/{context}/decision/settings", "policies.update_decision_settings")
def update_decision_settings(request: RequestContext) -> Response:
    """Enable or disable decisions."""
    owner = _owner(request)
    enabled: object = _fields(request).get("enabled", owner.enabled)
    if not isinstance(enabled, bool):
        request.fail(400, "enabled: must be a boolean.", "error")
    if enabled != owner.enabled:
        owner.enabled = enabled
        request.record_change(request.path_value("ownerID"))
    return request.respond({"enabled": enabled})


def _decision(request: RequestContext) -> _Decision:
    ident = request.path_value("decisionID")
    owner = _owner(request)
    if not is_uuid(ident):
        request.fail(400, "DecisionID: must be a valid UUID.", "error")
    decision = next((decision for decision in owner.decisions if decision.id == ident.lower()), None)
    if decision is None:
        request.fail(404, "decision log not found", "error")
    return decision


@routes.add("GET", "/owner/{ownerID}/context/{context}/decision/{decisionID}", "policies.get_decision")
def get_decision(request: RequestContext) -> Response:
    """Return a decision."""
    return request.respond(_show(_decision(request)))


@routes.add(
    "GET",
    "/owner/{ownerID}/context/{context}/decision/{decisionID}/policy-bundle",
    "policies.get_decision_policy_bundle",
)
def get_decision_policy_bundle(request: RequestContext) -> Response:
    """Return the policies that a decision was made by."""
    return request.respond({name: _document(policy) for name, policy in _decision(request).bundle.items()})
