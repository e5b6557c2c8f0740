"""Jobs: their statuses, artifacts and test results."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from pathlib import Path

import attrs

from aiocircle._core.endpoint import Action, Endpoint, ListEndpoint, Table
from aiocircle._core.fields import NumericText, Timestamp, WholeNumber
from aiocircle._core.group import Group, Id, Project
from aiocircle._core.pager import Pager
from aiocircle.errors import InvalidArgument
from aiocircle.links import Link
from aiocircle.resources._statuses import JobStatus, job_is_finished

__all__ = [
    "Artifact",
    "DownloadProgress",
    "DownloadedArtifact",
    "Job",
    "JobContext",
    "JobExecutor",
    "JobMessage",
    "JobOrganization",
    "JobPipeline",
    "JobProject",
    "JobStatus",
    "JobTest",
    "JobTestResult",
    "JobWorkflow",
    "Jobs",
    "OutputLine",
    "ParallelRun",
    "Step",
    "StepAction",
    "StepOutput",
    "StepStatus",
    "step_failed",
]


class JobTestResult(StrEnum):
    """The results of a test that are known today."""

    SUCCESS = "success"
    FAILURE = "failure"
    SKIPPED = "skipped"
    ERROR = "error"


@attrs.frozen(kw_only=True)
class JobProject:
    """The project that a job belongs to. external_url is that of its repository."""

    slug: str = ""
    name: str = ""
    external_url: str | None = None
    id: str | None = None


@attrs.frozen(kw_only=True)
class JobWorkflow:
    """The latest workflow that a job was part of."""

    id: str = ""
    name: str = ""


@attrs.frozen(kw_only=True)
class JobPipeline:
    """The pipeline that a job belongs to."""

    id: str = ""


@attrs.frozen(kw_only=True)
class JobOrganization:
    """The organization that a job belongs to."""

    name: str = ""


@attrs.frozen(kw_only=True)
class JobExecutor:
    """The kind and size of the machine that runs a job."""

    resource_class: str | None = None
    type: str | None = None


@attrs.frozen(kw_only=True)
class ParallelRun:
    """One of a job's parallel runs."""

    index: WholeNumber
    status: str = ""


@attrs.frozen(kw_only=True)
class JobContext:
    """A context that a job uses."""

    name: str


@attrs.frozen(kw_only=True)
class JobMessage:
    """A message of CircleCI about a job. reason: a code for its cause."""

    type: str = ""
    message: str = ""
    reason: str | None = None


@attrs.frozen(kw_only=True)
class Job:
    """A job by itself. duration is in milliseconds, None until the job has stopped."""

    name: str
    number: WholeNumber | None = None
    status: str = ""
    web_url: str | None = None
    duration: WholeNumber | None = None
    created_at: Timestamp | None = None
    queued_at: Timestamp | None = None
    started_at: Timestamp | None = None
    stopped_at: Timestamp | None = None
    parallelism: WholeNumber | None = None
    parallel_runs: tuple[ParallelRun, ...] = ()
    executor: JobExecutor | None = None
    contexts: tuple[JobContext, ...] = ()
    messages: tuple[JobMessage, ...] = ()
    latest_workflow: JobWorkflow | None = None
    pipeline: JobPipeline | None = None
    project: JobProject | None = None
    organization: JobOrganization | None = None

    @property
    def is_finished(self) -> bool:
        """True if the job has ended, with any result."""
        return job_is_finished(self.status, self.stopped_at)


@attrs.frozen(kw_only=True)
class Artifact:
    """A file that a job kept. node_index is the parallel run that kept it, counted from 0."""

    path: str
    node_index: WholeNumber = 0
    url: str


@attrs.frozen(kw_only=True)
class JobTest:
    """The result of one test. run_time is in seconds."""

    name: str = ""
    result: str = ""
    classname: str | None = None
    file: str | None = None
    source: str | None = None
    run_time: NumericText | None = None
    message: str | None = None


class _Endpoints(Table, group="jobs"):
    cancel = Action("POST", "/project/{project:slug}/job/{job_number}/cancel")
    cancel_by_id = Action("POST", "/jobs/{job_id:id}/cancel")
    get = Endpoint("GET", "/project/{project:slug}/job/{job_number}", Job)
    get_by_id = Endpoint("GET", "/jobs/{job_id:id}", Job)
    list_artifacts = ListEndpoint("GET", "/project/{project:slug}/{job_number}/artifacts", Artifact)
    list_tests = ListEndpoint("GET", "/project/{project:slug}/{job_number}/tests", JobTest)


class Jobs(Group):
    """Jobs: `circle.jobs`."""

    async def get(self, project: Project, job_number: int) -> Job:
        """Return a job, by its number in the project.

        https://circleci.com/docs/api/v2/#operation/getJobDetails
        """
        return await self._call(_Endpoints.get, project, job_number)

    async def get_by_link(self, url: str | Link) -> Job:
        """Return the job of a page of CircleCI, in the new or the older form.

        Raise InvalidArgument if the page names no job, or is one of another host than the client's.

        https://circleci.com/docs/api/v2/#operation/getJobDetails
        """
        link = self._link(url)
        if link.project is None or link.job_number is None:
            raise InvalidArgument(f"url must be the page of a job, got {link}. It names no job")
        return await self.get(link.project, link.job_number)

    async def get_by_id(self, job_id: Id) -> Job:
        """Return a job, by id. CircleCI Server does not have this operation.

        https://circleci.com/docs/api/v2/#operation/getJobByID
        """
        return await self._call(_Endpoints.get_by_id, job_id)

    def list_artifacts(self, project: Project, job_number: int, *, page_token: str | None = None) -> Pager[Artifact]:
        """List a job's artifacts, of all its parallel runs.

        https://circleci.com/docs/api/v2/#operation/getJobArtifacts
        """
        return self._list(_Endpoints.list_artifacts, project, job_number, page_token=page_token)

    def list_tests(self, project: Project, job_number: int, *, page_token: str | None = None) -> Pager[JobTest]:
        """List a job's test results. The list is empty if a job has more than 250 MB of them.

        https://circleci.com/docs/api/v2/#operation/getTests
        """
        return self._list(_Endpoints.list_tests, project, job_number, page_token=page_token)

    async def cancel(self, project: Project, job_number: int) -> None:
        """Cancel a job, by its number in the project.

        https://circleci.com/docs/api/v2/#operation/cancelJobByJobNumber
        """
        return await self._call(_Endpoints.cancel, project, job_number)

    async def cancel_by_id(self, job_id: Id) -> None:
        """Cancel a job, by id.

        https://circleci.com/docs/api/v2/#operation/cancelJobByJobID
        """
        return await self._call(_Endpoints.cancel_by_id, job_id)


class StepStatus(StrEnum):
    """The statuses of a step's action that are known today."""

    SUCCESS = "success"
    FAILED = "failed"
    RUNNING = "running"
    TIMEDOUT = "timedout"
    CANCELED = "canceled"
    INFRASTRUCTURE_FAIL = "infrastructure_fail"
    QUEUED = "queued"
    NOT_RUN = "not_run"


_FAILED_STEPS = frozenset({StepStatus.FAILED, StepStatus.TIMEDOUT, StepStatus.INFRASTRUCTURE_FAIL})
_KNOWN_STEPS = frozenset(StepStatus)


def step_failed(status: str, *flags: bool | None) -> bool:
    """Return True if an action with this status failed.

    flags: the API's own booleans (`failed`, `timedout`, `infrastructure_fail`). They decide about a status that is not
    known here. An action that timed out has no exit code, and a `failed` of null.
    """
    return status in _FAILED_STEPS or (status not in _KNOWN_STEPS and any(flags))


@attrs.frozen(kw_only=True)
class StepAction:
    """A step on one parallel node.

    index: the node, counted from 0. number: the step's number, by which its output is found. status is one of
    StepStatus, or a newer one. failed: True if the status is a failure, also after a timeout, which has no exit_code.
    run_time_millis: milliseconds. truncated: True if the API keeps only the beginning of the output.
    """

    index: int
    number: int | None = None
    status: str
    exit_code: int | None = None
    failed: bool = False
    started_at: Timestamp | None = None
    stopped_at: Timestamp | None = None
    run_time_millis: int | None = None
    has_output: bool = False
    truncated: bool = False
    command: str | None = None


@attrs.frozen(kw_only=True)
class Step:
    """A step of a job, with an action for each parallel node that ran it."""

    name: str
    actions: tuple[StepAction, ...] = ()

    @property
    def failed(self) -> bool:
        """True if the step failed on one of its nodes."""
        return any(action.failed for action in self.actions)


@attrs.frozen(kw_only=True)
class OutputLine:
    """A line of a step's output, as a terminal shows it in the end.

    stream: "out" or "err". step: the step's name. index: the parallel node, counted from 0. at: the time of the piece
    of output that ended the line; None if the API has none.
    """

    text: str
    stream: str
    step: str
    index: int
    at: datetime | None = None


@attrs.frozen(kw_only=True)
class StepOutput:
    """The last lines of a step's output on one parallel node, without control sequences.

    truncated: True if the API keeps only the beginning of the output, so that these are not its real last lines.
    """

    step: str
    index: int
    status: str
    exit_code: int | None = None
    text: str = ""
    truncated: bool = False


@attrs.frozen(kw_only=True)
class DownloadedArtifact:
    """An artifact on disk. size: bytes. resumed: True if the file continues one that an earlier download began."""

    artifact: Artifact
    path: Path
    size: int
    resumed: bool = False


@attrs.frozen(kw_only=True)
class DownloadProgress:
    """The state of a download of several files.

    files_done: finished, refused and failed files. bytes_received: bytes that this call has written.
    """

    files_done: int
    files_total: int
    bytes_received: int
