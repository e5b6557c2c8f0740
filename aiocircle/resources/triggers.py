"""Triggers: which events start a pipeline definition."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, NotRequired, TypedDict

import attrs

from aiocircle._core.encode import encode_nested
from aiocircle._core.endpoint import Action, Endpoint, ListEndpoint, Table
from aiocircle._core.fields import READ_ONLY, Timestamp
from aiocircle._core.group import Group, Id, encode_optional, omit_none
from aiocircle._core.pager import Pager
from aiocircle._core.pagination import NONE
from aiocircle.resources.pipeline_definitions import Repository, RepositoryFields

__all__ = [
    "EventPreset",
    "EventSchedule",
    "EventScheduleChanges",
    "EventScheduleFields",
    "EventSource",
    "EventSourceChanges",
    "EventSourceFields",
    "EventWebhook",
    "EventWebhookFields",
    "Trigger",
    "Triggers",
]


class EventPreset(StrEnum):
    """The choices of a repository's events that are known today."""

    ALL_PUSHES = "all-pushes"
    ONLY_TAGS = "only-tags"
    DEFAULT_BRANCH_PUSHES = "default-branch-pushes"
    ONLY_BUILD_PRS = "only-build-prs"
    ONLY_OPEN_PRS = "only-open-prs"
    ONLY_LABELED_PRS = "only-labeled-prs"
    ONLY_MERGED_PRS = "only-merged-prs"
    ONLY_READY_FOR_REVIEW_PRS = "only-ready-for-review-prs"
    ONLY_BRANCH_DELETE = "only-branch-delete"
    ONLY_BUILD_PUSHES_TO_NON_DRAFT_PRS = "only-build-pushes-to-non-draft-prs"
    ONLY_MERGED_OR_CLOSED_PRS = "only-merged-or-closed-prs"


@attrs.frozen(kw_only=True)
class EventWebhook:
    """A custom webhook that events come by. Its url starts pipelines without a token; it is never sent."""

    url: str | None = attrs.field(default=None, repr=False, metadata=READ_ONLY)
    sender: str | None = None


@attrs.frozen(kw_only=True)
class EventSchedule:
    """A schedule that events come by.

    attribution_actor is the user in whose name the pipelines run: a text such as "current", or the API's object.
    """

    cron_expression: str | None = None
    attribution_actor: str | Mapping[str, Any] | None = attrs.field(default=None, hash=False)


@attrs.frozen(kw_only=True)
class EventSource:
    """The source of a trigger's events: a repo, a webhook or a schedule, according to provider."""

    provider: str | None = None
    repo: Repository | None = None
    webhook: EventWebhook | None = None
    schedule: EventSchedule | None = None


@attrs.frozen(kw_only=True)
class Trigger:
    """A trigger of a pipeline definition.

    event_preset is the choice of a repository's events; event_name names those of a webhook. parameters are those of
    the pipelines that a schedule starts. checkout_ref and config_ref are the refs of code and configuration; None or
    "" for the ref of the event.
    """

    id: str = ""
    name: str | None = None
    description: str | None = None
    event_name: str | None = None
    event_preset: str | None = None
    event_source: EventSource | None = None
    checkout_ref: str | None = None
    config_ref: str | None = None
    disabled: bool | None = None
    parameters: Mapping[str, Any] | None = attrs.field(default=None, hash=False)
    created_at: Timestamp | None = None


class EventScheduleFields(TypedDict):
    """A schedule: a cron expression of five fields, in UTC. attribution_actor is "current" or "system"."""

    cron_expression: str
    attribution_actor: NotRequired[str | Mapping[str, Any]]


class EventScheduleChanges(TypedDict, total=False):
    """Changes to a schedule."""

    cron_expression: str
    attribution_actor: str | Mapping[str, Any]


class EventWebhookFields(TypedDict, total=False):
    """A custom webhook. sender: a name for its caller."""

    sender: str


class EventSourceFields(TypedDict):
    """The source of a new trigger's events. "github_app" needs a repo, "schedule" a schedule."""

    provider: str
    repo: NotRequired[RepositoryFields | Repository]
    webhook: NotRequired[EventWebhookFields | EventWebhook]
    schedule: NotRequired[EventScheduleFields | EventSchedule]


class EventSourceChanges(TypedDict, total=False):
    """The part of a source of events that can change: a webhook's sender, or a schedule."""

    webhook: EventWebhookFields | EventWebhook
    schedule: EventScheduleChanges | EventSchedule


class _Endpoints(Table, group="triggers"):
    create = Endpoint(
        "POST", "/projects/{project_id:id}/pipeline-definitions/{pipeline_definition_id:id}/triggers", Trigger
    )
    delete = Action("DELETE", "/projects/{project_id:id}/triggers/{trigger_id:id}")
    get = Endpoint("GET", "/projects/{project_id:id}/triggers/{trigger_id:id}", Trigger)
    list = ListEndpoint(
        "GET",
        "/projects/{project_id:id}/pipeline-definitions/{pipeline_definition_id:id}/triggers",
        Trigger,
        pagination=NONE,
        items_optional=True,
    )
    update = Endpoint("PATCH", "/projects/{project_id:id}/triggers/{trigger_id:id}", Trigger)


class Triggers(Group):
    """Triggers: `circle.triggers`. Projects are named by their ids here."""

    async def get(self, project_id: Id, trigger_id: Id) -> Trigger:
        """Return a trigger of a project, by id.

        https://circleci.com/docs/api/v2/#operation/getTrigger
        """
        return await self._call(_Endpoints.get, project_id, trigger_id)

    def list(self, project_id: Id, pipeline_definition_id: Id, *, page_token: str | None = None) -> Pager[Trigger]:
        """List the triggers of a pipeline definition. The API returns them in one piece.

        https://circleci.com/docs/api/v2/#operation/listPipelineDefinitionTriggers
        """
        return self._list(_Endpoints.list, project_id, pipeline_definition_id, page_token=page_token)

    async def create(
        self,
        project_id: Id,
        pipeline_definition_id: Id,
        *,
        event_source: EventSourceFields | EventSource,
        event_preset: str | None = None,
        event_name: str | None = None,
        checkout_ref: str | None = None,
        config_ref: str | None = None,
        disabled: bool | None = None,
        parameters: Mapping[str, Any] | None = None,
    ) -> Trigger:
        """Create a trigger of a pipeline definition.

        event_source: such as `{"provider": "github_app", "repo": {"external_id": "…"}}` or
        `{"provider": "webhook", "webhook": {"sender": "…"}}`. event_preset: of GitHub App only; an EventPreset.
        event_name: of webhooks only. checkout_ref, config_ref: always for webhooks, and for a repository other
        than the definition's own; not otherwise. disabled: starts nothing until it is enabled. parameters: those of
        the pipelines that a schedule starts; for schedules only.

        https://circleci.com/docs/api/v2/#operation/createTrigger
        """
        return await self._call(
            _Endpoints.create,
            project_id,
            pipeline_definition_id,
            body=omit_none(
                event_source=encode_nested(EventSourceFields, event_source, "event_source"),
                event_preset=event_preset,
                event_name=event_name,
                checkout_ref=checkout_ref,
                config_ref=config_ref,
                disabled=disabled,
                parameters=parameters,
            ),
        )

    async def update(
        self,
        project_id: Id,
        trigger_id: Id,
        *,
        event_source: EventSourceChanges | EventSource | None = None,
        event_preset: str | None = None,
        event_name: str | None = None,
        checkout_ref: str | None = None,
        config_ref: str | None = None,
        disabled: bool | None = None,
        parameters: Mapping[str, Any] | None = None,
    ) -> Trigger:
        """Update a trigger. Of an event_source, a webhook's sender or a schedule can change.

        event_name, disabled: of webhooks and schedules only. parameters: of schedules only. For the others see
        `create`.

        https://circleci.com/docs/api/v2/#operation/updateTrigger
        """
        return await self._call(
            _Endpoints.update,
            project_id,
            trigger_id,
            body=omit_none(
                event_source=encode_optional(
                    EventSourceChanges, event_source, "event_source", fixed=("provider", "repo")
                ),
                event_preset=event_preset,
                event_name=event_name,
                checkout_ref=checkout_ref,
                config_ref=config_ref,
                disabled=disabled,
                parameters=parameters,
            ),
        )

    async def delete(self, project_id: Id, trigger_id: Id) -> None:
        """Delete a trigger of a project.

        https://circleci.com/docs/api/v2/#operation/deleteTrigger
        """
        return await self._call(_Endpoints.delete, project_id, trigger_id)
