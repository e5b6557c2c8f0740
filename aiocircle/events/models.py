"""Events as models.

The maps of an event are always there, so that `event.workflow.status` is None, and not an AttributeError, if the event
lacks its workflow. CircleCI's web page sends such a shortened event to test a webhook.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import TYPE_CHECKING, Any, cast

import attrs

from aiocircle._core.fields import Timestamp
from aiocircle.errors import InvalidArgument
from aiocircle.slugs import ProjectSlug

if TYPE_CHECKING:
    from aiocircle.links import Link

__all__ = [
    "CompletedJobStatus",
    "CompletedWorkflowStatus",
    "Event",
    "EventCommit",
    "EventJob",
    "EventOrganization",
    "EventPerson",
    "EventPipeline",
    "EventProject",
    "EventTrigger",
    "EventType",
    "EventVcs",
    "EventWebhook",
    "EventWorkflow",
    "JobCompleted",
    "Ping",
    "UnknownEvent",
    "WorkflowCompleted",
]


class EventType(StrEnum):
    """The types of an event that are known today."""

    WORKFLOW_COMPLETED = "workflow-completed"
    JOB_COMPLETED = "job-completed"
    PING = "ping"


class CompletedWorkflowStatus(StrEnum):
    """The statuses of a workflow in an event that are known today."""

    SUCCESS = "success"
    FAILED = "failed"
    ERROR = "error"
    CANCELED = "canceled"
    UNAUTHORIZED = "unauthorized"


class CompletedJobStatus(StrEnum):
    """The statuses of a job in an event that are known today."""

    SUCCESS = "success"
    FAILED = "failed"
    CANCELED = "canceled"
    UNAUTHORIZED = "unauthorized"


@attrs.frozen(kw_only=True)
class EventWebhook:
    """The webhook that sent the event."""

    id: str | None = None
    name: str | None = None


@attrs.frozen(kw_only=True)
class EventProject:
    """The project. slug may have the long form of a provider, such as `github/acme/web`."""

    id: str | None = None
    name: str | None = None
    slug: str | None = None


@attrs.frozen(kw_only=True)
class EventOrganization:
    """The organization of the project."""

    id: str | None = None
    name: str | None = None


@attrs.frozen(kw_only=True)
class EventPerson:
    """The author or the committer of a commit."""

    name: str | None = None
    email: str | None = None


@attrs.frozen(kw_only=True)
class EventCommit:
    """The commit that was built. CircleCI may cut subject and body; all fields are None for a tag or a start by API."""

    subject: str | None = None
    body: str | None = None
    author: EventPerson | None = None
    authored_at: Timestamp | None = None
    committer: EventPerson | None = None
    committed_at: Timestamp | None = None


@attrs.frozen(kw_only=True)
class EventVcs:
    """The source of a pipeline of a GitHub OAuth or Bitbucket project. branch is None for a tag."""

    provider_name: str | None = None
    origin_repository_url: str | None = None
    target_repository_url: str | None = None
    revision: str | None = None
    branch: str | None = None
    tag: str | None = None
    commit: EventCommit | None = None


@attrs.frozen(kw_only=True)
class EventTrigger:
    """The trigger of a pipeline."""

    type: str | None = None


@attrs.frozen(kw_only=True)
class EventPipeline:
    """The pipeline.

    vcs: None for GitHub App and GitLab projects. trigger_parameters: an open map as CircleCI sent it, None for GitHub
    OAuth and Bitbucket projects.
    """

    id: str | None = None
    number: int | None = None
    created_at: Timestamp | None = None
    trigger: EventTrigger = attrs.field(factory=EventTrigger)
    vcs: EventVcs | None = None
    trigger_parameters: Mapping[str, Any] | None = attrs.field(default=None, hash=False)

    @property
    def branch(self) -> str | None:
        """The branch, from `vcs` or `trigger_parameters.git`. None for a tag, or if neither has it."""
        return (self.vcs and self.vcs.branch) or self._git("branch")

    @property
    def tag(self) -> str | None:
        """The tag, from `vcs` or `trigger_parameters.git`. None if neither has it, as for tags of GitHub OAuth."""
        return (self.vcs and self.vcs.tag) or self._git("tag")

    @property
    def revision(self) -> str | None:
        """The commit's hash, from `vcs` or `trigger_parameters.git`. None if neither has it."""
        return (self.vcs and self.vcs.revision) or self._git("checkout_sha")

    def _git(self, key: str) -> str | None:
        git: Any = (self.trigger_parameters or {}).get("git")
        if not isinstance(git, Mapping):
            return None
        value = cast("Mapping[str, Any]", git).get(key)
        # CircleCI sends "" for a missing value.
        return value if isinstance(value, str) and value else None


@attrs.frozen(kw_only=True)
class EventWorkflow:
    """The workflow. status is None in the event of a job; url is the workflow's page."""

    id: str | None = None
    name: str | None = None
    status: str | None = None
    created_at: Timestamp | None = None
    stopped_at: Timestamp | None = None
    url: str | None = None


@attrs.frozen(kw_only=True)
class EventJob:
    """The job that ended."""

    id: str | None = None
    name: str | None = None
    number: int | None = None
    status: str | None = None
    started_at: Timestamp | None = None
    stopped_at: Timestamp | None = None


@attrs.frozen(kw_only=True)
class WorkflowCompleted:
    """A workflow that ended: `event.workflow.status` is its result.

    id: the same in each delivery of the event. None if the event has none. raw: the whole body, decoded.
    """

    type: str = EventType.WORKFLOW_COMPLETED.value
    id: str | None = None
    happened_at: Timestamp | None = None
    webhook: EventWebhook = attrs.field(factory=EventWebhook)
    project: EventProject = attrs.field(factory=EventProject)
    organization: EventOrganization = attrs.field(factory=EventOrganization)
    pipeline: EventPipeline = attrs.field(factory=EventPipeline)
    workflow: EventWorkflow = attrs.field(factory=EventWorkflow)
    raw: Mapping[str, Any] = attrs.field(factory=dict[str, Any], hash=False, repr=False)

    @property
    def link(self) -> Link | None:
        """The page of the workflow, or of what else the event names. None if it does not name its project."""
        return _link(self.project, self.pipeline, self.workflow, None)


@attrs.frozen(kw_only=True)
class JobCompleted:
    """A job that ended: `event.job.status` is its result. `event.workflow` has no status.

    id: the same in each delivery of the event. None if the event has none. raw: the whole body, decoded.
    """

    type: str = EventType.JOB_COMPLETED.value
    id: str | None = None
    happened_at: Timestamp | None = None
    webhook: EventWebhook = attrs.field(factory=EventWebhook)
    project: EventProject = attrs.field(factory=EventProject)
    organization: EventOrganization = attrs.field(factory=EventOrganization)
    pipeline: EventPipeline = attrs.field(factory=EventPipeline)
    workflow: EventWorkflow = attrs.field(factory=EventWorkflow)
    job: EventJob = attrs.field(factory=EventJob)
    raw: Mapping[str, Any] = attrs.field(factory=dict[str, Any], hash=False, repr=False)

    @property
    def link(self) -> Link | None:
        """The page of the job, or of what else the event names. None if it does not name its project."""
        return _link(self.project, self.pipeline, self.workflow, self.job.number)


@attrs.frozen(kw_only=True)
class Ping:
    """The event by which CircleCI tests a webhook. raw: the whole body, decoded."""

    type: str = EventType.PING.value
    id: str | None = None
    happened_at: Timestamp | None = None
    webhook: EventWebhook = attrs.field(factory=EventWebhook)
    raw: Mapping[str, Any] = attrs.field(factory=dict[str, Any], hash=False, repr=False)

    @property
    def link(self) -> Link | None:
        """None: a ping belongs to no page."""
        return None


@attrs.frozen(kw_only=True)
class UnknownEvent:
    """An event of a type that is not known today. raw: the whole body, decoded."""

    type: str
    id: str | None = None
    raw: Mapping[str, Any] = attrs.field(factory=dict[str, Any], hash=False, repr=False)

    @property
    def link(self) -> Link | None:
        """None: the shape of the event is not known."""
        return None


Event = WorkflowCompleted | JobCompleted | Ping | UnknownEvent
"""Each event that `parse_event` returns."""


def _link(
    project: EventProject, pipeline: EventPipeline, workflow: EventWorkflow, job_number: int | None
) -> Link | None:
    """Return the most specific page that the event names. None if it names none, or a value cannot be part of one."""
    from aiocircle.links import Link

    if not project.slug:
        return None
    # The values came from the network: to read a property must not fail for them.
    try:
        slug = ProjectSlug.parse(project.slug)
        if pipeline.number is not None and workflow.id is not None:
            number = pipeline.number
            return Link(project=slug, pipeline_number=number, workflow_id=workflow.id, job_number=job_number)
        if job_number is not None:
            return Link(project=slug, job_number=job_number)
        return Link(project=slug, pipeline_number=pipeline.number)
    except InvalidArgument:
        return None
