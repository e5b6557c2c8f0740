"""The reads of waits and streams as requests of a client."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import TypeVar

from aiocircle._core.executor import Executor
from aiocircle.composites._reads import Read, Reader, server_time
from aiocircle.resources.jobs import Job, Jobs
from aiocircle.resources.pipelines import Pipeline, Pipelines
from aiocircle.resources.workflows import Workflow, WorkflowJob, Workflows

__all__ = ["ClientReads", "new_reader"]

T = TypeVar("T")


def new_reader(executor: Executor) -> Reader:
    """Return the reader of a new wait. All waits of a client and its copies share the requests in flight."""
    return Reader(ClientReads(executor.new_caller()), executor.state.polls)


class ClientReads:
    """The reads of one wait or stream, as requests of one caller.

    executor: sends them. All reads of a client and its copies have at most `max_concurrency` requests in the queue.
    """

    __slots__ = ("_executor",)

    def __init__(self, executor: Executor) -> None:
        self._executor = executor

    async def read_pipeline(self, pipeline_id: str, /) -> Read[Pipeline]:
        """Return the pipeline."""
        return await self._read(lambda executor: Pipelines(executor).get(pipeline_id))

    async def list_workflows(self, pipeline_id: str, /) -> Read[tuple[Workflow, ...]]:
        """Return the workflows of the pipeline."""
        read = await self._read(lambda executor: Pipelines(executor).list_workflows(pipeline_id).collect())
        return Read(tuple(read.value), read.server_time)

    async def list_jobs(self, workflow_id: str, /) -> Read[tuple[WorkflowJob, ...]]:
        """Return the jobs of the workflow."""
        read = await self._read(lambda executor: Workflows(executor).list_jobs(workflow_id).collect())
        return Read(tuple(read.value), read.server_time)

    async def read_workflow(self, workflow_id: str, /) -> Read[Workflow]:
        """Return the workflow."""
        return await self._read(lambda executor: Workflows(executor).get(workflow_id))

    async def read_job(self, project: str, job_number: int, /) -> Read[Job]:
        """Return the job."""
        return await self._read(lambda executor: Jobs(executor).get(project, job_number))

    async def _read(self, request: Callable[[Executor], Awaitable[T]]) -> Read[T]:
        last: Mapping[str, str] = {}

        def keep(headers: Mapping[str, str]) -> None:
            nonlocal last
            last = headers

        state = self._executor.state
        # A client of another loop raises its error before the semaphore, which belongs to one loop.
        state.transport.ensure_open()
        async with state.poll_slots:
            value = await request(self._executor.with_headers(keep))
        return Read(value, server_time(last))
