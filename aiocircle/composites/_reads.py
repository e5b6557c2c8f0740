"""Reads of waits and streams: values with the server's time, shared requests, and events."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from email.utils import parsedate_to_datetime
from typing import Any, Generic, Protocol, TypeVar

import attrs

from aiocircle._core.polling import SharedCalls
from aiocircle.errors import InvalidArgument
from aiocircle.resources.jobs import Job
from aiocircle.resources.pipelines import Pipeline
from aiocircle.resources.workflows import Workflow, WorkflowJob

__all__ = ["EventSource", "PipelineReads", "Read", "Reader", "ServerClock", "check_events", "server_time"]

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


class Reader:
    """The reads of one wait. Waits with the same `calls` share a request for the same thing that is in flight."""

    __slots__ = ("_calls", "_reads")

    def __init__(self, reads: PipelineReads, calls: SharedCalls | None = None) -> None:
        self._reads = reads
        self._calls = SharedCalls() if calls is None else calls

    async def pipeline(self, pipeline_id: str) -> tuple[Read[Any], float]:
        """Return the pipeline, and the loop's time when the request was sent."""
        return await self._calls.get(("pipeline", pipeline_id), lambda: self._reads.read_pipeline(pipeline_id))

    async def workflows(self, pipeline_id: str) -> tuple[Read[tuple[Workflow, ...]], float]:
        """Return the workflows of a pipeline, and the loop's time when the request was sent."""
        return await self._calls.get(("workflows", pipeline_id), lambda: self._reads.list_workflows(pipeline_id))

    async def jobs(self, workflow_id: str) -> tuple[Read[tuple[WorkflowJob, ...]], float]:
        """Return the jobs of a workflow, and the loop's time when the request was sent."""
        return await self._calls.get(("jobs", workflow_id), lambda: self._reads.list_jobs(workflow_id))

    async def workflow(self, workflow_id: str) -> tuple[Read[Workflow], float]:
        """Return the workflow, and the loop's time when the request was sent."""
        return await self._calls.get(("workflow", workflow_id), lambda: self._reads.read_workflow(workflow_id))

    async def job(self, project: str, job_number: int) -> tuple[Read[Job], float]:
        """Return the job, and the loop's time when the request was sent."""
        key = ("job", project, job_number)
        return await self._calls.get(key, lambda: self._reads.read_job(project, job_number))


class ServerClock:
    """The server's time of each response. Without one, the own clock stands in for it."""

    __slots__ = ("offset",)

    def __init__(self) -> None:
        self.offset = time.time() - asyncio.get_running_loop().time()

    def of(self, read: Read[Any]) -> float:
        """Return the server's time of the response that was just read."""
        return asyncio.get_running_loop().time() + self.offset if read.server_time is None else read.server_time


class EventSource(Protocol):
    """A source of events, such as an `EventRouter`."""

    def subscribe(self, listener: Callable[[Any], None], /) -> Callable[[], None]:
        """Call the listener with each new event, in the running loop. Return the function that ends this."""
        ...


def check_events(events: EventSource | None) -> EventSource | None:
    """Return the source of events. Raise InvalidArgument if it is neither None nor such a source."""
    if events is not None and not callable(getattr(events, "subscribe", None)):
        raise InvalidArgument(f"events must be an EventRouter or None, got {type(events).__name__}")
    return events
