"""Policies: an organization's rules for its configurations, and the decisions made by them.

A context names a set of policies; configurations are judged by the one called "config". CircleCI guarantees few of
these models' fields: a missing name or content is empty, any other missing field is None.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any

import attrs

from aiocircle._core.api import snake
from aiocircle._core.endpoint import Endpoint, ListEndpoint, Table
from aiocircle._core.fields import OneOrMore, Timestamp, WholeNumber
from aiocircle._core.group import Group, Id, omit_none
from aiocircle._core.pager import Pager
from aiocircle._core.pagination import OFFSET

__all__ = [
    "Decision",
    "DecisionLog",
    "DecisionMetadata",
    "DecisionSettings",
    "DecisionStatus",
    "DecisionVcs",
    "Policies",
    "Policy",
    "PolicyBundle",
    "PolicyBundleChange",
    "PolicyViolation",
]


class DecisionStatus(StrEnum):
    """The results of a decision that are known today."""

    PASS = "PASS"
    SOFT_FAIL = "SOFT_FAIL"
    HARD_FAIL = "HARD_FAIL"
    ERROR = "ERROR"


@attrs.frozen(kw_only=True)
class Policy:
    """A policy: its name and its content, in Rego."""

    name: str = ""
    content: str = ""
    created_at: Timestamp | None = None
    created_by: str | None = None


@attrs.frozen(kw_only=True)
class PolicyBundle:
    """All policies of a context, by name. CircleCI's document allows several of one name; one is usual."""

    policies: Mapping[str, OneOrMore[Policy]] = attrs.field(hash=False)


@attrs.frozen(kw_only=True)
class PolicyBundleChange:
    """The names of the policies that a new bundle creates, changes and deletes."""

    created: tuple[str, ...] = ()
    modified: tuple[str, ...] = ()
    deleted: tuple[str, ...] = ()


@attrs.frozen(kw_only=True)
class PolicyViolation:
    """A rule that was broken, and how."""

    rule: str = ""
    reason: str = ""


@attrs.frozen(kw_only=True)
class Decision:
    """The decision of the policies about an input. status is one of DecisionStatus, or a newer one.

    reason: the cause, if the policies could not be evaluated.
    """

    status: str
    reason: str | None = None
    enabled_rules: tuple[str, ...] = ()
    hard_failures: tuple[PolicyViolation, ...] = ()
    soft_failures: tuple[PolicyViolation, ...] = ()

    @property
    def is_pass(self) -> bool:
        """True if no rule was broken."""
        return self.status == DecisionStatus.PASS


@attrs.frozen(kw_only=True)
class DecisionVcs:
    """The repository and the branch or tag that a decision was about."""

    branch: str | None = None
    release_tag: str | None = None
    origin_repository_url: str | None = None
    target_repository_url: str | None = None


@attrs.frozen(kw_only=True)
class DecisionMetadata:
    """The build that a decision was about. ssh_rerun: True if it was run again for SSH access."""

    project_id: str | None = None
    build_number: WholeNumber | None = None
    ssh_rerun: bool | None = None
    vcs: DecisionVcs | None = None


@attrs.frozen(kw_only=True)
class DecisionLog:
    """A decision that was made. policies maps the policies' names to their hashes; time_taken_ms is in milliseconds."""

    id: str = ""
    created_at: Timestamp | None = None
    decision: Decision | None = None
    metadata: DecisionMetadata | None = None
    policies: Mapping[str, str] = attrs.field(factory=dict[str, str], hash=False)
    time_taken_ms: WholeNumber | None = None


@attrs.frozen(kw_only=True)
class DecisionSettings:
    """Return the settings: `enabled` is True if configurations are checked by the policies."""

    enabled: bool | None = None


class _Endpoints(Table, group="policies"):
    get_bundle = Endpoint(
        "GET", "/owner/{owner_id:id}/context/{context}/policy-bundle", PolicyBundle, wrap_in="policies"
    )
    create_bundle = Endpoint("POST", "/owner/{owner_id:id}/context/{context}/policy-bundle", PolicyBundleChange)
    get = Endpoint("GET", "/owner/{owner_id:id}/context/{context}/policy-bundle/{policy_name}", Policy)
    list_decisions = ListEndpoint(
        "GET", "/owner/{owner_id:id}/context/{context}/decision", DecisionLog, pagination=OFFSET, query=snake
    )
    make_decision = Endpoint("POST", "/owner/{owner_id:id}/context/{context}/decision", Decision)
    get_decision = Endpoint("GET", "/owner/{owner_id:id}/context/{context}/decision/{decision_id:id}", DecisionLog)
    get_decision_policy_bundle = Endpoint(
        "GET",
        "/owner/{owner_id:id}/context/{context}/decision/{decision_id:id}/policy-bundle",
        PolicyBundle,
        wrap_in="policies",
    )
    get_decision_settings = Endpoint(
        "GET", "/owner/{owner_id:id}/context/{context}/decision/settings", DecisionSettings
    )
    update_decision_settings = Endpoint(
        "PATCH", "/owner/{owner_id:id}/context/{context}/decision/settings", DecisionSettings
    )


class Policies(Group):
    """Policies and decisions: `circle.policies`. The owner is the organization, by its id."""

    async def get_bundle(self, owner_id: Id, context: str) -> PolicyBundle:
        """Return all policies of a context.

        https://circleci.com/docs/api/v2/#operation/GetPolicyBundle
        """
        return await self._call(_Endpoints.get_bundle, owner_id, context)

    async def create_bundle(
        self, owner_id: Id, context: str, *, policies: Mapping[str, str], dry: bool | None = None
    ) -> PolicyBundleChange:
        """Replace all policies of a context, and return the changes. With dry=True, only return them.

        policies: content by name or path. Those that are not among them are deleted, so an empty mapping deletes all.

        https://circleci.com/docs/api/v2/#operation/CreatePolicyBundle
        """
        return await self._call(
            _Endpoints.create_bundle, owner_id, context, query={"dry": dry}, body=omit_none(policies=policies)
        )

    async def get(self, owner_id: Id, context: str, policy_name: str) -> Policy:
        """Return a policy, by the name in its content.

        https://circleci.com/docs/api/v2/#operation/GetPolicyDocument
        """
        return await self._call(_Endpoints.get, owner_id, context, policy_name)

    def list_decisions(
        self,
        owner_id: Id,
        context: str,
        *,
        status: DecisionStatus | str | None = None,
        after: datetime | str | None = None,
        before: datetime | str | None = None,
        branch: str | None = None,
        project_id: Id | None = None,
        build_number: int | str | None = None,
        page_token: str | None = None,
    ) -> Pager[DecisionLog]:
        """List the decisions that an organization's policies have made.

        after, before: only decisions made after the first and before the second. This list has no page tokens:
        page_token is the number of decisions to skip, as text, and the list ends with an empty page.

        https://circleci.com/docs/api/v2/#operation/GetDecisionLogs
        """
        return self._list(
            _Endpoints.list_decisions,
            owner_id,
            context,
            query={
                "status": status,
                "after": after,
                "before": before,
                "branch": branch,
                "project_id": project_id,
                "build_number": build_number,
            },
            page_token=page_token,
        )

    async def make_decision(
        self, owner_id: Id, context: str, *, input: str, metadata: Mapping[str, Any] | None = None
    ) -> Decision:
        """Decide on a configuration by the policies.

        input: the configuration, as YAML text. metadata: further values for the policies, such as project_id.

        https://circleci.com/docs/api/v2/#operation/MakeDecision
        """
        return await self._call(
            _Endpoints.make_decision, owner_id, context, body=omit_none(input=input, metadata=metadata)
        )

    async def get_decision(self, owner_id: Id, context: str, decision_id: Id) -> DecisionLog:
        """Return a decision, by id.

        https://circleci.com/docs/api/v2/#operation/GetDecisionLog
        """
        return await self._call(_Endpoints.get_decision, owner_id, context, decision_id)

    async def get_decision_policy_bundle(self, owner_id: Id, context: str, decision_id: Id) -> PolicyBundle:
        """Return the policies by which a decision was made, as they were then.

        https://circleci.com/docs/api/v2/#operation/GetDecisionLogPolicyBundle
        """
        return await self._call(_Endpoints.get_decision_policy_bundle, owner_id, context, decision_id)

    async def get_decision_settings(self, owner_id: Id, context: str) -> DecisionSettings:
        """Return the settings: `enabled` is True if configurations are checked by the policies.

        https://circleci.com/docs/api/v2/#operation/GetDecisionSettings
        """
        return await self._call(_Endpoints.get_decision_settings, owner_id, context)

    async def update_decision_settings(
        self, owner_id: Id, context: str, *, enabled: bool | None = None
    ) -> DecisionSettings:
        """Switch the checks of configurations on or off.

        https://circleci.com/docs/api/v2/#operation/SetDecisionSettings
        """
        return await self._call(_Endpoints.update_decision_settings, owner_id, context, body=omit_none(enabled=enabled))
