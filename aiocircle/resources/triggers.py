"""Triggers: which events start a pipeline definition."""

from __future__ import annotations

from enum import StrEnum
from typing import NotRequired, TypedDict

import attrs

from aiocircle._core.encode import encode_nested
from aiocircle._core.endpoint import Action, Endpoint, ListEndpoint, Table
from aiocircle._core.fields import Timestamp
from aiocircle._core.group import Group, Id, encode_optional, omit_none
from aiocircle._core.pager import Pager
from aiocircle._core.pagination import NONE
from aiocircle.resources.pipeline_definitions import Repository, RepositoryFields

__all__ = [
    "EventPreset",
    "EventSchedule",
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
    """A custom webhook that events come by. Whoever has its url can start pipelines."""

    url: str | None = attrs.field(default=None, repr=False)
    sender: str | None = None


@attrs.frozen(kw_only=True)
class EventSchedule:
    """A schedule that events come by."""

    cron_expression: str | None = None


@attrs.frozen(kw_only=True)
class EventSource:
    """Where a trigger's events come from: a repo, a webhook or a schedule, as provider says."""

    provider: str | None = None
    repo: Repository | None = None
    webhook: EventWebhook | None = None
    schedule: EventSchedule | None = None


@attrs.frozen(kw_only=True)
class Trigger:
    """A trigger of a pipeline definition.

    event_preset is the choice of a repository's events; event_name names those of a webhook. checkout_ref and
    config_ref are where code and configuration are taken from; None or "" for wherever the event happened.
    """

    id: str = ""
    event_name: str | None = None
    event_preset: str | None = None
    event_source: EventSource | None = None
    checkout_ref: str | None = None
    config_ref: str | None = None
    disabled: bool | None = None
    created_at: Timestamp | None = None


class EventWebhookFields(TypedDict, total=False):
    """A custom webhook: sender is who will call it."""

    sender: str


class EventSourceFields(TypedDict):
    """Where a new trigger's events come from. "github_app" needs a repo; "webhook" may have a webhook."""

    provider: str
    repo: NotRequired[RepositoryFields | Repository]
    webhook: NotRequired[EventWebhookFields | EventWebhook]


class EventSourceChanges(TypedDict, total=False):
    """What can change of where a trigger's events come from: a webhook's sender."""

    webhook: EventWebhookFields | EventWebhook


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
        """A trigger of a project, by id.

        https://circleci.com/docs/api/v2/#operation/getTrigger
        """
        return await self._call(_Endpoints.get, project_id, trigger_id)

    def list(self, project_id: Id, pipeline_definition_id: Id, *, page_token: str | None = None) -> Pager[Trigger]:
        """The triggers of a pipeline definition. The API gives them in one piece.

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
    ) -> Trigger:
        """The new trigger of a pipeline definition.

        event_source: such as `{"provider": "github_app", "repo": {"external_id": "…"}}` or
        `{"provider": "webhook", "webhook": {"sender": "…"}}`. event_preset: of GitHub App only; an EventPreset.
        event_name: of webhooks only. checkout_ref, config_ref: always for webhooks, and for a repository other
        than the definition's own; not otherwise. disabled: starts nothing until it is enabled.

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
    ) -> Trigger:
        """The trigger, after what is given was changed. Of an event_source only a webhook's sender can.

        event_name, disabled: of webhooks only. The rest is as for `create`.

        https://circleci.com/docs/api/v2/#operation/updateTrigger
        """
        return await self._call(
            _Endpoints.update,
            project_id,
            trigger_id,
            body=omit_none(
                event_source=encode_optional(EventSourceChanges, event_source, "event_source"),
                event_preset=event_preset,
                event_name=event_name,
                checkout_ref=checkout_ref,
                config_ref=config_ref,
                disabled=disabled,
            ),
        )

    async def delete(self, project_id: Id, trigger_id: Id) -> None:
        """Delete a trigger of a project.

        https://circleci.com/docs/api/v2/#operation/deleteTrigger
        """
        return await self._call(_Endpoints.delete, project_id, trigger_id)
