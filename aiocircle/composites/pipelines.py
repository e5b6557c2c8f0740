"""Pipelines, with the search for the pipeline of a commit, waits and files."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from typing import TYPE_CHECKING

from aiocircle._core.group import Project
from aiocircle.composites._ids import IdOrModel, text_id
from aiocircle.composites._pipeline_bots import PipelineBots
from aiocircle.composites._pipeline_files import PipelineFiles
from aiocircle.errors import InvalidArgument
from aiocircle.resources.pipelines import Change, Pipeline, PipelineResult

if TYPE_CHECKING:
    from aiocircle.composites._outcome import Until
    from aiocircle.composites._reads import EventSource

__all__ = ["Pipelines"]


class Pipelines(PipelineBots, PipelineFiles):
    """Pipelines: `circle.pipelines`."""

    __slots__ = ()

    async def find(
        self, project: Project, *, revision: str, branch: str | None = None, limit: int | None = 250
    ) -> Pipeline | None:
        """Return the newest pipeline of a commit; None if there is none among the newest `limit` pipelines.

        revision: the commit's full hash, or the first characters of it, at least 7. branch: only pipelines of this
        branch. limit: the number of pipelines to look at, newest first; None for all. The API has no such search:
        each page of the project's pipelines is a request.

        https://circleci.com/docs/api/v2/#operation/listPipelinesForProject
        """
        if not isinstance(revision, str) or not (7 <= len(revision) <= 64) or not revision.isalnum():
            raise InvalidArgument("revision must be the hash of a commit, at least 7 characters, got another value")
        if limit is not None and (isinstance(limit, bool) or not isinstance(limit, int) or limit < 1):
            raise InvalidArgument(f"limit must be a number of pipelines above zero, got {limit!r}. None searches all")
        seen = 0
        pager = self.list_for_project(project, branch=branch)
        async for pipeline in pager:
            seen += 1
            if pipeline.revision is not None and pipeline.revision.startswith(revision.lower()):
                await pager.aclose()
                return pipeline
            if seen == limit:
                break
        await pager.aclose()
        return None

    async def wait(
        self,
        pipeline_id: IdOrModel,
        *,
        timeout: float | None = 3600.0,
        until: Until = "finished",
        events: EventSource | None = None,
        on_change: Callable[[Change], object] | None = None,
        poll_interval: float | None = None,
    ) -> PipelineResult:
        """Return the result of a pipeline as soon as it is final: its newest workflow of each name, and the outcome.

        pipeline_id: an id, or what has one: a Pipeline, the result of `trigger` or `run`. timeout: seconds; None waits
        without a limit. until: "on_hold" also ends the wait when nothing can continue without an approval. events: an
        `EventRouter`; its events make the wait shorter and cheaper, and it does not depend on them. on_change: called
        with each change of a workflow. poll_interval: seconds between two polls, instead of pauses from 2 to 15 s.

        A pipeline is final when each of its workflows has ended and no other can appear any more. Others appear after
        a setup workflow, by an automatic rerun, or because lists lag. Each poll is one request or two.

        Raises WaitTimeout if the deadline passes first; its `state` is the result so far, or None if nothing was read.
        Failed polls do not end the wait. A 400, 401, 403, 410, the 404 of the pipeline itself, and a closed client do:
        their errors are raised.

        https://circleci.com/docs/api/v2/#operation/listWorkflowsByPipelineId
        """
        from aiocircle.composites._client_reads import new_reader
        from aiocircle.composites._waiting import wait_for_pipeline

        return await wait_for_pipeline(
            new_reader(self._executor),
            text_id(pipeline_id, "pipeline_id"),
            timeout=timeout,
            until=until,
            events=events,
            on_change=on_change,
            poll_interval=poll_interval,
        )

    def watch(
        self, pipeline_id: IdOrModel, *, events: EventSource | None = None, poll_interval: float | None = None
    ) -> AsyncGenerator[Change, None]:
        """Yield each change of a pipeline's workflows and jobs, once and in order, until the pipeline is final.

        pipeline_id, events, poll_interval: as for `wait`. It ends when `wait` ends, and with the same errors, but has
        no deadline: use `asyncio.timeout`. A job that will never run because of the result of others is reported as
        "will_not_run". It costs one more request per workflow and poll than `wait`.

        Raises InvalidArgument immediately.

        https://circleci.com/docs/api/v2/#operation/listWorkflowsByPipelineId
        """
        from aiocircle.composites._client_reads import new_reader
        from aiocircle.composites._waiting import watch_pipeline

        return watch_pipeline(
            new_reader(self._executor),
            text_id(pipeline_id, "pipeline_id"),
            events=events,
            poll_interval=poll_interval,
        )
