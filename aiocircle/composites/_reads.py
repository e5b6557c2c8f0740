"""What waits and streams read: values together with the server's time."""

from __future__ import annotations

from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Generic, Protocol, TypeVar

import attrs

from aiocircle.resources.jobs import Job
from aiocircle.resources.pipelines import Pipeline
from aiocircle.resources.workflows import Workflow, WorkflowJob

__all__ = ["PipelineReads", "Read", "server_time"]

T = TypeVar("T")


@attrs.frozen
class Read(Generic[T]):
    """A value, as a response shows it.

    server_time: the `Date` of the response (of a list: of its last page), in seconds since the epoch. None if the
    response has none; the own clock stands in for it.
    """

    value: T
    server_time: float | None = None


def server_time(headers: Mapping[str, str]) -> float | None:
    """Return the `Date` of a response in seconds since the epoch, or None if it has none that can be read."""
    date = next((value for name, value in headers.items() if name.lower() == "date"), None)
    try:
        return None if date is None else parsedate_to_datetime(date).timestamp()
    except (ValueError, OverflowError):
        return None


class PipelineReads(Protocol):
    """The requests of a wait. Lists are complete; an error of the API is raised as it is."""

    async def read_pipeline(self, pipeline_id: str, /) -> Read[Pipeline]:
        """Return the pipeline."""
        ...

    async def list_workflows(self, pipeline_id: str, /) -> Read[tuple[Workflow, ...]]:
        """Return the workflows of the pipeline."""
        ...

    async def list_jobs(self, workflow_id: str, /) -> Read[tuple[WorkflowJob, ...]]:
        """Return the jobs of the workflow."""
        ...

    async def read_workflow(self, workflow_id: str, /) -> Read[Workflow]:
        """Return the workflow."""
        ...

    async def read_job(self, project: str, job_number: int, /) -> Read[Job]:
        """Return the job."""
        ...
