"""Pipelines: what a push, a schedule or a call set off, and setting one off."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any, Final, TypedDict, cast

import attrs

from aiocircle._core.api import kebab
from aiocircle._core.encode import parse_datetime
from aiocircle._core.endpoint import Action, Endpoint, ListEndpoint, Table
from aiocircle._core.fields import KEBAB, RARELY_PRESENT, Timestamp
from aiocircle._core.group import Group, Id, Org, Project, encode_optional, omit_none
from aiocircle._core.pager import Pager
from aiocircle.errors import InvalidArgument
from aiocircle.links import Link, pipeline_url
from aiocircle.resources.workflows import Workflow, WorkflowJob

__all__ = [
    "Approval",
    "Change",
    "ChangeKind",
    "Pipeline",
    "PipelineActor",
    "PipelineCommit",
    "PipelineConfig",
    "PipelineError",
    "PipelineErrorType",
    "PipelineRef",
    "PipelineResult",
    "PipelineRun",
    "PipelineState",
    "PipelineTrigger",
    "PipelineTriggerType",
    "PipelineValues",
    "PipelineVcs",
    "Pipelines",
    "TriggeredPipeline",
]


class PipelineState(StrEnum):
    """The states of a pipeline that are known today. They describe its creation, not the end of its workflows."""

    CREATED = "created"
    ERRORED = "errored"
    SETUP_PENDING = "setup-pending"
    SETUP = "setup"
    PENDING = "pending"


class PipelineErrorType(StrEnum):
    """The types of a pipeline's errors that are known today."""

    CONFIG = "config"
    CONFIG_DEPRECATED_SYNTAX = "config-deprecated-syntax"
    CONFIG_FETCH = "config-fetch"
    INVALID_TRIGGER_SETUP = "invalid-trigger-setup"
    OTHER = "other"
    PERMISSION = "permission"
    PLAN = "plan"
    TIMEOUT = "timeout"
    TRIGGER_RULE = "trigger-rule"


class PipelineTriggerType(StrEnum):
    """The causes of a pipeline that are known today."""

    API = "api"
    DECOUPLED_INGESTION_SYSTEM = "Decoupled Ingestion System"
    EXPLICIT = "explicit"
    SCHEDULED_PIPELINE = "scheduled_pipeline"
    UNKNOWN = "unknown"
    WEBHOOK = "webhook"


@attrs.frozen(kw_only=True)
class PipelineError:
    """Why a pipeline could not be created. Lines of one error share one message."""

    type: str = ""
    message: str = ""


@attrs.frozen(kw_only=True)
class PipelineActor:
    """The user that started a pipeline. login is "" if the API does not know it."""

    login: str = ""
    avatar_url: str | None = None


@attrs.frozen(kw_only=True)
class PipelineTrigger:
    """The cause of a pipeline. received_at is in 1970 for projects that have trigger parameters instead."""

    type: str = ""
    received_at: Timestamp | None = None
    actor: PipelineActor | None = None


@attrs.frozen(kw_only=True)
class PipelineCommit:
    """The latest commit of a pipeline."""

    subject: str | None = None
    body: str | None = None


@attrs.frozen(kw_only=True)
class PipelineVcs:
    """The code that a pipeline ran on. It has a branch or a tag, and no commit where the API set it off."""

    provider_name: str | None = None
    origin_repository_url: str | None = None
    target_repository_url: str | None = None
    revision: str | None = None
    branch: str | None = None
    tag: str | None = attrs.field(default=None, metadata=RARELY_PRESENT)
    commit: PipelineCommit | None = None
    review_id: str | None = attrs.field(default=None, metadata=RARELY_PRESENT)
    review_url: str | None = attrs.field(default=None, metadata=RARELY_PRESENT)


@attrs.frozen(kw_only=True)
class Pipeline:
    """A pipeline. Its workflows have the results: state describes only its creation.

    GitHub OAuth and Bitbucket projects have `vcs`; GitHub App and GitLab projects have `trigger_parameters`
    instead, a map of maps. branch, tag and revision are read from the one that is present.
    """

    # In the order of the wire: msgspec looks for a key where the one before it ended.
    id: str
    errors: tuple[PipelineError, ...] = ()
    project_slug: str = ""
    updated_at: Timestamp | None = None
    number: int
    trigger_parameters: Mapping[str, Any] | None = attrs.field(default=None, hash=False)
    state: str = ""
    created_at: Timestamp
    trigger: PipelineTrigger | None = None
    vcs: PipelineVcs | None = None

    @property
    def web_url(self) -> str | None:
        """The page of the pipeline on the cloud; None if the project or the number is unknown."""
        return pipeline_url(self.project_slug, self.number)

    @property
    def branch(self) -> str | None:
        """The branch that it ran on; None for a tag, or if the API does not return it."""
        return (self.vcs and self.vcs.branch) or self._git("branch")

    @property
    def tag(self) -> str | None:
        """The tag that it ran on; None for a branch, or if the API does not return it."""
        return (self.vcs and self.vcs.tag) or self._git("tag")

    @property
    def revision(self) -> str | None:
        """The commit that it ran on; None if the API does not return it."""
        return (self.vcs and self.vcs.revision) or self._git("checkout_sha")

    def _git(self, name: str) -> str | None:
        git = (self.trigger_parameters or {}).get("git")
        value = cast("Mapping[str, Any]", git).get(name) if isinstance(git, Mapping) else None
        return value if isinstance(value, str) and value else None


@attrs.frozen(kw_only=True)
class PipelineConfig:
    """A pipeline's configuration, as it was written and as it was compiled.

    The texts are empty if the configuration is missing or has errors. Those of the setup are None unless the
    pipeline has a setup workflow.
    """

    source: str = ""
    compiled: str = ""
    setup_config: str | None = attrs.field(default=None, metadata=KEBAB)
    compiled_setup_config: str | None = attrs.field(default=None, metadata=KEBAB)


@attrs.frozen(kw_only=True)
class PipelineValues:
    """The pipeline values that a configuration could use, by name: `values["pipeline.git.revision"]`."""

    values: Mapping[str, str | int | bool | None] = attrs.field(hash=False)


@attrs.frozen(kw_only=True)
class TriggeredPipeline:
    """A pipeline that was just created."""

    id: str
    number: int
    state: str = ""
    created_at: Timestamp | None = None


@attrs.frozen(kw_only=True)
class PipelineRun:
    """The result of a request to run a pipeline: the new pipeline, or the reason why none was created."""

    id: str | None = None
    number: int | None = None
    state: str | None = None
    created_at: Timestamp | None = None
    message: str | None = None

    @property
    def was_started(self) -> bool:
        """True if a pipeline was created. A commit with `[skip ci]` in its message creates none."""
        return self.id is not None


class PipelineRef(TypedDict, total=False):
    """A branch or a tag, never both. A pull request is `pull/<number>/head` or `pull/<number>/merge`."""

    branch: str
    tag: str


class _Endpoints(Table, group="pipelines"):
    continue_setup = Action("POST", "/pipeline/continue", body=kebab)
    get = Endpoint("GET", "/pipeline/{pipeline_id:id}", Pipeline)
    get_by_number = Endpoint("GET", "/project/{project:slug}/pipeline/{pipeline_number}", Pipeline)
    get_config = Endpoint("GET", "/pipeline/{pipeline_id:id}/config", PipelineConfig)
    get_values = Endpoint("GET", "/pipeline/{pipeline_id:id}/values", PipelineValues, wrap_in="values")
    list = ListEndpoint("GET", "/pipeline", Pipeline)
    list_for_project = ListEndpoint("GET", "/project/{project:slug}/pipeline", Pipeline)
    list_mine = ListEndpoint("GET", "/project/{project:slug}/pipeline/mine", Pipeline)
    list_workflows = ListEndpoint("GET", "/pipeline/{pipeline_id:id}/workflow", Workflow)
    run = Endpoint("POST", "/project/{project:full_slug}/pipeline/run", PipelineRun)
    trigger = Endpoint("POST", "/project/{project:slug}/pipeline", TriggeredPipeline)


def _older_than(since: datetime) -> Callable[[Pipeline], bool]:
    return lambda pipeline: pipeline.created_at < since


class Pipelines(Group):
    """Pipelines: `circle.pipelines`."""

    async def get(self, pipeline_id: Id) -> Pipeline:
        """Return a pipeline, by id.

        https://circleci.com/docs/api/v2/#operation/getPipelineById
        """
        return await self._call(_Endpoints.get, pipeline_id)

    async def get_by_number(self, project: Project, pipeline_number: int) -> Pipeline:
        """Return a pipeline, by its number in the project.

        https://circleci.com/docs/api/v2/#operation/getPipelineByNumber
        """
        return await self._call(_Endpoints.get_by_number, project, pipeline_number)

    async def get_by_link(self, url: str | Link) -> Pipeline:
        """Return the pipeline of a page of CircleCI: of the pipeline itself, of one of its workflows or jobs.

        Raise InvalidArgument if the page names no pipeline, or is one of another host than the client's.

        https://circleci.com/docs/api/v2/#operation/getPipelineByNumber
        """
        link = self._link(url)
        if link.project is None or link.pipeline_number is None:
            raise InvalidArgument(f"url must be the page of a pipeline, got {link}. It names no pipeline")
        return await self.get_by_number(link.project, link.pipeline_number)

    async def get_config(self, pipeline_id: Id) -> PipelineConfig:
        """Return a pipeline's configuration, as written and as compiled.

        https://circleci.com/docs/api/v2/#operation/getPipelineConfigById
        """
        return await self._call(_Endpoints.get_config, pipeline_id)

    async def get_values(self, pipeline_id: Id) -> PipelineValues:
        """Return the pipeline values that a pipeline's configuration could use.

        https://circleci.com/docs/api/v2/#operation/getPipelineValuesById
        """
        return await self._call(_Endpoints.get_values, pipeline_id)

    def list(
        self, *, org_slug: Org | None = None, mine: bool | None = None, page_token: str | None = None
    ) -> Pager[Pipeline]:
        """List the pipelines of the projects that the token's user follows in an organization, newest first.

        The list has the 250 projects that ran last. mine: only pipelines that the token's user triggered.

        https://circleci.com/docs/api/v2/#operation/listPipelines
        """
        return self._list(
            _Endpoints.list, query={"org_slug": self._org_slug(org_slug), "mine": mine}, page_token=page_token
        )

    def list_for_project(
        self,
        project: Project,
        *,
        branch: str | None = None,
        since: datetime | str | None = None,
        page_token: str | None = None,
    ) -> Pager[Pipeline]:
        """List a project's pipelines, newest first: all, or those of one branch.

        since: the list ends before the first pipeline that was created earlier, and no further page is requested.
        The API has no such filter: the pages up to there are fetched.

        https://circleci.com/docs/api/v2/#operation/listPipelinesForProject
        """
        return self._list(
            _Endpoints.list_for_project,
            project,
            query={"branch": branch},
            page_token=page_token,
            stop=None if since is None else _older_than(parse_datetime(since, "since")),
        )

    def list_mine(self, project: Project, *, page_token: str | None = None) -> Pager[Pipeline]:
        """List a project's pipelines that the token's user triggered, newest first.

        https://circleci.com/docs/api/v2/#operation/listMyPipelines
        """
        return self._list(_Endpoints.list_mine, project, page_token=page_token)

    def list_workflows(self, pipeline_id: Id, *, page_token: str | None = None) -> Pager[Workflow]:
        """List a pipeline's workflows. A new pipeline has none yet; the API may return a 404 (NotFound) for it.

        https://circleci.com/docs/api/v2/#operation/listWorkflowsByPipelineId
        """
        return self._list(_Endpoints.list_workflows, pipeline_id, page_token=page_token)

    async def run(
        self,
        project: Project,
        *,
        definition_id: Id | None = None,
        config: PipelineRef | None = None,
        checkout: PipelineRef | None = None,
        parameters: Mapping[str, str | int | bool] | None = None,
    ) -> PipelineRun:
        """Run a pipeline. The result has the new pipeline, or the reason why none was created: see `was_started`.

        For all projects but those of GitLab. definition_id: the pipeline definition; only GitHub OAuth and
        Bitbucket projects have one without an id. config: the branch or tag to take the configuration from;
        checkout: that of the code. parameters: at most 100, with names up to 128 and values up to 512 characters.
        A bare project UUID does not do as the project here.

        https://circleci.com/docs/api/v2/#operation/triggerPipelineRun
        """
        return await self._call(
            _Endpoints.run,
            project,
            body=omit_none(
                definition_id=definition_id,
                config=encode_optional(PipelineRef, config, "config"),
                checkout=encode_optional(PipelineRef, checkout, "checkout"),
                parameters=parameters,
            ),
        )

    async def trigger(
        self,
        project: Project,
        *,
        branch: str | None = None,
        tag: str | None = None,
        parameters: Mapping[str, str | int | bool] | None = None,
    ) -> TriggeredPipeline:
        """Trigger a pipeline of a GitHub OAuth or Bitbucket project. `run` is newer and works for other projects also.

        branch or tag: the code to run on, otherwise the default branch. parameters: at most 100, with names up to 128
        and values up to 512 characters.

        https://circleci.com/docs/api/v2/#operation/triggerPipeline
        """
        return await self._call(
            _Endpoints.trigger, project, body=omit_none(branch=branch, tag=tag, parameters=parameters)
        )

    async def continue_setup(
        self,
        *,
        continuation_key: str,
        configuration: str,
        parameters: Mapping[str, str | int | bool] | None = None,
    ) -> None:
        """Continue a pipeline from its setup workflow, with the configuration that was made there.

        continuation_key: what the setup job finds in its environment as CIRCLE_CONTINUATION_KEY.
        configuration: the text of the configuration. parameters: as for `run`.

        https://circleci.com/docs/api/v2/#operation/continuePipeline
        """
        return await self._call(
            _Endpoints.continue_setup,
            body=omit_none(continuation_key=continuation_key, configuration=configuration, parameters=parameters),
        )


# --- models of waiting ------------------------------------------------------------------------------------------


class ChangeKind(StrEnum):
    """The kinds of a `Change`."""

    WORKFLOW_ADDED = "workflow_added"
    WORKFLOW_STATUS = "workflow_status"
    JOB_ADDED = "job_added"
    JOB_STATUS = "job_status"
    WILL_NOT_RUN = "will_not_run"


@attrs.frozen(kw_only=True)
class Change:
    """One change of a pipeline that is watched.

    kind: one of `ChangeKind`. workflow: the workflow, or that of the job. job: None for a change of a
    workflow. previous_status: None if it was added. at: the server's time of the response that first showed it.
    """

    kind: str
    workflow: Workflow
    job: WorkflowJob | None = None
    previous_status: str | None = None
    at: Timestamp


_WORST_FIRST: Final = (
    *("error", "failed", "failing", "unauthorized", "canceled", "", "running", "queued", "on_hold"),
    *("no_workflows", "not_run", "success"),
)
_BADNESS: Final = {status: place for place, status in enumerate(_WORST_FIRST)}


def _worst_outcome(result: PipelineResult) -> str:
    if result.pipeline.state == PipelineState.ERRORED:
        return "error"
    # A setup workflow only prepares the others: its success is not a result.
    statuses = [each.status for each in result.workflows if not (each.is_setup and each.status == "success")]
    if "success" in statuses:
        statuses = [status for status in statuses if status != "not_run"]
    # An unknown status has the place of "".
    return min(statuses, key=lambda status: _BADNESS.get(status, _BADNESS[""]), default="no_workflows")


def _single_attempts(result: PipelineResult) -> Mapping[str, tuple[Workflow, ...]]:
    return {each.name: (each,) for each in result.workflows}


@attrs.frozen(kw_only=True)
class PipelineResult:
    """The result of a pipeline, or its state so far.

    pipeline: as last read. workflows: the newest workflow of each name, oldest first. attempts: all workflows of each
    name, oldest first. outcome: the worst status of `workflows`, "error" if the configuration failed, "no_workflows"
    if none ran. attempts and outcome are derived if they are not passed.
    """

    pipeline: Pipeline
    workflows: tuple[Workflow, ...] = ()
    attempts: Mapping[str, tuple[Workflow, ...]] = attrs.field(
        default=attrs.Factory(_single_attempts, takes_self=True), hash=False, repr=False
    )
    outcome: str = attrs.field(default=attrs.Factory(_worst_outcome, takes_self=True))

    @property
    def succeeded(self) -> bool:
        """True if the outcome is "success" and no workflow runs, also no older attempt."""
        return self.outcome == "success" and all(
            workflow.is_finished for attempts in self.attempts.values() for workflow in attempts
        )


@attrs.frozen(kw_only=True)
class Approval:
    """An approval job that waits. `circle.workflows.approve_by_name(approval.workflow.id, approval.job.name)`."""

    pipeline: Pipeline
    workflow: Workflow
    job: WorkflowJob
