"""Jobs: how they went, what they kept, what their tests said."""

from __future__ import annotations

from enum import StrEnum

import attrs

from aiocircle._core.endpoint import Action, Endpoint, ListEndpoint, Table
from aiocircle._core.fields import NumericText, Timestamp, WholeNumber
from aiocircle._core.group import Group, Id, Project
from aiocircle._core.pager import Pager
from aiocircle.resources._statuses import JobStatus, job_is_finished

__all__ = [
    "Artifact",
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
    "ParallelRun",
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
    """What a job runs on."""

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
    """What CircleCI says of a job. reason is the machine's word for why."""

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
        """Whether the job is over, however it ended."""
        return job_is_finished(self.status, self.stopped_at)


@attrs.frozen(kw_only=True)
class Artifact:
    """A file that a job kept. node_index is the parallel run that kept it, counted from 0."""

    path: str
    node_index: WholeNumber = 0
    url: str


@attrs.frozen(kw_only=True)
class JobTest:
    """What one test said. run_time is in seconds."""

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
        """A job, by its number in the project.

        https://circleci.com/docs/api/v2/#operation/getJobDetails
        """
        return await self._call(_Endpoints.get, project, job_number)

    async def get_by_id(self, job_id: Id) -> Job:
        """A job, by id. CircleCI Server does not have this operation.

        https://circleci.com/docs/api/v2/#operation/getJobByID
        """
        return await self._call(_Endpoints.get_by_id, job_id)

    def list_artifacts(self, project: Project, job_number: int, *, page_token: str | None = None) -> Pager[Artifact]:
        """A job's artifacts, of all its parallel runs.

        https://circleci.com/docs/api/v2/#operation/getJobArtifacts
        """
        return self._list(_Endpoints.list_artifacts, project, job_number, page_token=page_token)

    def list_tests(self, project: Project, job_number: int, *, page_token: str | None = None) -> Pager[JobTest]:
        """A job's test results. A job with more than 250 MB of them answers none.

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
