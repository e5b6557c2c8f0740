"""The common part of the streams of a project: a list that is polled, reads of what is not final, and events."""

from __future__ import annotations

import asyncio
import math
import random
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Mapping
from datetime import datetime
from types import TracebackType
from typing import Any, Final, Generic, Protocol, Self, TypeVar

import attrs

from aiocircle._core.encode import parse_datetime
from aiocircle._core.pagination import Page
from aiocircle._core.polling import JITTER, Poller, check_poll_interval
from aiocircle.composites._outcome import SECOND_READ, PipelineView
from aiocircle.composites._reads import EventSource, PipelineReads, Read, ServerClock, server_time
from aiocircle.composites._stream_state import Listed, StreamState
from aiocircle.composites._waiting import UNSHOWN_EVENT
from aiocircle.errors import CircleCIError, ConfigurationError, Forbidden, NotFound, Unauthorized
from aiocircle.resources.pipelines import Pipeline
from aiocircle.resources.workflows import Workflow, WorkflowJob
from aiocircle.slugs import ProjectSlug, read_slug

__all__ = ["ProjectReads", "ProjectStream"]

T = TypeVar("T")

ON_HOLD_PER_POLL: Final = 50
"""Pipelines on hold that one poll reads, in turn: a project can have thousands that are never approved."""
POLL_INTERVAL: Final = 60.0
LOOK_BACK: Final = 7 * 86_400.0
"""Seconds before the beginning of a stream in which the pipelines that it follows may have been created."""

FRESH: Final = 10.0
"""Seconds in which a pipeline counts as just read. The caller may take any time between two items."""

_ENDING = (Unauthorized, Forbidden, ConfigurationError)


class ProjectReads(PipelineReads, Protocol):
    """The requests of a stream."""

    async def list_pipelines(
        self, project: str, /, *, branch: str | None, page_token: str | None
    ) -> Read[Page[Pipeline]]:
        """Return one page of the project's pipelines, newest first."""
        ...

    async def read_pipeline_by_number(self, project: str, pipeline_number: int, /) -> Read[Pipeline]:
        """Return the pipeline."""
        ...


class _MissingProjectError(Exception):
    """The first page of the list is a 404."""

    def __init__(self, error: NotFound) -> None:
        super().__init__()
        self.error = error


@attrs.frozen
class _Reported:
    """The status of a workflow that an event reported. shown_by: the loop's time from which it is not waited for."""

    workflow_id: str
    status: str
    shown_by: float


@attrs.frozen
class _SeenPipeline:
    """A pipeline, the server's time of the response that showed it, and the loop's time."""

    pipeline: Pipeline
    server_time: float
    read_at: float


class ProjectStream(ABC, Generic[T]):
    """An async iterator with a `state` that can be kept. It never ends by itself; `aclose` ends it.

    A cancelled `__anext__` loses nothing: what it was reading is read again by the next one.
    """

    def __init__(
        self,
        reads: ProjectReads,
        project: str,
        *,
        branch: str | None = None,
        since: datetime | str | None = None,
        state: Mapping[str, Any] | None = None,
        events: EventSource | None = None,
        poll_interval: float = 60.0,
    ) -> None:
        """Check the arguments. project: the normalized slug."""
        self._reads = reads
        self._events = events
        self._poll_interval = check_poll_interval(poll_interval) or POLL_INTERVAL
        if state is not None:
            self._state = StreamState.from_json(state, project=project, branch=branch)
        elif since is not None:
            mark = parse_datetime(since, "since").timestamp()
            self._state = StreamState(project, branch, begin=None, mark=mark)
        else:
            now = time.time()
            self._state = StreamState(project, branch, begin=now, mark=now - LOOK_BACK)
            self._state.is_by_own_clock = True
        self._loop: asyncio.AbstractEventLoop
        self._poller: Poller
        self._clock: ServerClock
        self._unsubscribe: Callable[[], None] | None = None
        self._has_started = self._is_closed = self._is_running = False
        self._pipelines: dict[int, _SeenPipeline] = {}
        self._views: dict[int, PipelineView] = {}
        self._on_hold: dict[int, int] = {}
        self._turn = 0
        self._queue: dict[int, None] = {}
        self._heard: dict[int, None] = {}
        self._due: dict[int, float] = {}
        self._reported: dict[int, dict[str, _Reported]] = {}
        self._walk_at = -math.inf
        self._is_pruned = True

    # --- the iterator -------------------------------------------------------------------------------------------

    @property
    def state(self) -> dict[str, Any]:
        """The state as plain JSON values. Pass it as `state=` to continue."""
        return self._state.to_json()

    def __aiter__(self) -> AsyncIterator[T]:
        return self

    async def __anext__(self) -> T:
        if self._is_running:
            raise RuntimeError("the stream is already waiting for its next item in another task")
        self._is_running = True
        try:
            self._start()
            while not self._is_closed:
                item = await self._advance()
                if item is not None:
                    return item
            raise StopAsyncIteration
        except (*_ENDING, NotFound):
            await self.aclose()
            raise
        finally:
            self._is_running = False

    async def aclose(self) -> None:
        """End the stream. An iteration that another task waits in ends after its request."""
        self._is_closed = True
        if self._unsubscribe is not None:
            self._unsubscribe()
            self._unsubscribe = None
        if self._has_started:
            self._poller.wake()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    def _start(self) -> None:
        if self._has_started or self._is_closed:
            return
        self._has_started = True
        self._loop = asyncio.get_running_loop()
        self._poller = Poller()
        self._clock = ServerClock()
        if self._events is not None:
            self._unsubscribe = self._events.subscribe(self._on_event)

    async def _advance(self) -> T | None:
        """Make the next read that is due, or wait for it. Return the item that it gives."""
        now = self._loop.time()
        for number in [number for number, at in self._due.items() if at <= now]:
            del self._due[number]
            self._queue.setdefault(number)
        if self._heard:
            await self._read_heard(next(iter(self._heard)))
        elif self._queue:
            return await self._read_next(next(iter(self._queue)))
        elif now >= self._walk_at:
            await self._walk()
        else:
            self._finish_poll()
            await self._poller.wait_until(min([self._walk_at, *self._due.values()]))
        return None

    # --- events -------------------------------------------------------------------------------------------------

    def _on_event(self, event: Any) -> None:
        pipeline, project = getattr(event, "pipeline", None), getattr(event, "project", None)
        number = getattr(pipeline, "number", None)
        if not isinstance(number, int) or not self._is_own(project) or getattr(event, "job", None) is not None:
            return
        if self._state.reopen(number):
            self._on_hold.pop(number, None)
            self._queue.setdefault(number)
        else:
            self._heard.setdefault(number)
        workflow = getattr(event, "workflow", None)
        if workflow is not None and workflow.id and workflow.status:
            reported = _Reported(workflow.id, workflow.status, self._loop.time() + UNSHOWN_EVENT)
            self._reported.setdefault(number, {})[workflow.id] = reported
        self._poller.wake()

    def _is_own(self, project: Any) -> bool:
        own = self._state.project
        if getattr(project, "id", None) in (own, own.rpartition("/")[2]):
            return True
        # An event may have the long form of a slug.
        slug = str(read_slug(ProjectSlug, getattr(project, "slug", None)))
        return slug in {own, *(each.pipeline.project_slug for each in self._pipelines.values())}

    async def _read_heard(self, number: int) -> None:
        """Read a pipeline that an event named and that no list has shown yet."""
        try:
            read = await self._reads.read_pipeline_by_number(self._state.project, number)
        except _ENDING:
            raise
        except CircleCIError:
            read = None  # A list will show it.
        self._heard.pop(number, None)
        if read is not None and self._state.branch in (None, read.value.branch):
            self._keep(read)
            self._state.take(_listed(read.value))
            if number in self._state.open:
                self._queue.setdefault(number)

    # --- polls --------------------------------------------------------------------------------------------------

    async def _walk(self) -> None:
        """Read the list back to the mark, and queue what is to be read of it."""
        state, shown, token = self._state, dict[int, Listed](), None
        began_at = self._loop.time()
        again: tuple[int, ...] = ()
        is_complete = False
        try:
            while True:
                read = await self._read_page(token)
                self._time_of(read)
                for pipeline in read.value.items:
                    shown[pipeline.number] = _listed(pipeline)
                    self._keep(Read(pipeline, read.server_time))
                    state.take(shown[pipeline.number])
                token = read.value.next_page_token
                if not token or (shown and [*shown.values()][-1].created < state.mark):
                    break
            again = state.end_walk([*shown.values()])
            is_complete = True
        except _MissingProjectError as error:
            raise error.error from None
        except _ENDING:
            raise
        except CircleCIError:
            pass
        # After a time without polls, the results of a branch come in the order of its pipelines.
        for number in sorted((*self._next_open(), *again)):
            self._queue.setdefault(number)
        self._is_pruned = not is_complete
        self._walk_at = began_at + self._poll_interval * (1 - JITTER * random.random())

    def _keep(self, read: Read[Pipeline]) -> None:
        self._pipelines[read.value.number] = _SeenPipeline(read.value, self._time_of(read), self._loop.time())

    def _time_of(self, read: Read[Any]) -> float:
        """Return the server's time of a response. The first one corrects the times of a new state."""
        if read.server_time is not None:
            self._state.correct(read.server_time - self._clock.offset - self._loop.time())
        return self._clock.of(read)

    async def _read_page(self, token: str | None) -> Read[Page[Pipeline]]:
        try:
            read = await self._reads.list_pipelines(self._state.project, branch=self._state.branch, page_token=token)
        except NotFound as error:
            if token is None:
                raise _MissingProjectError(error) from None
            raise
        return read

    def _next_open(self) -> list[int]:
        """Return the open pipelines of this poll: all but those on hold, and of these the next few in turn."""
        self._on_hold = {number: turn for number, turn in self._on_hold.items() if number in self._state.open}
        chosen = sorted(self._on_hold, key=lambda number: self._on_hold[number])[:ON_HOLD_PER_POLL]
        for number in chosen:
            self._turn += 1
            self._on_hold[number] = self._turn
        return [*(number for number in self._state.open if number not in self._on_hold), *chosen]

    def _finish_poll(self) -> None:
        if self._is_pruned:
            return
        self._is_pruned = True
        self._state.prune()
        kept = {*self._state.open, *self._state.newest.values()}
        self._views = {number: view for number, view in self._views.items() if number in kept}
        self._pipelines = {number: pipeline for number, pipeline in self._pipelines.items() if number in kept}

    # --- one pipeline -------------------------------------------------------------------------------------------

    async def _read_next(self, number: int) -> T | None:
        """Read a pipeline, and return the item that this gives."""
        try:
            item = await self._look(number)
        except _ENDING:
            raise
        except CircleCIError:
            item = None
            # Look again until a look succeeds.
            self._state.reopen(number)
        self._queue.pop(number, None)
        return item

    @abstractmethod
    async def _look(self, number: int) -> T | None:
        """Read a pipeline, record it in the state, and return the item that this gives."""

    async def _update(self, number: int) -> bool:
        """Read a pipeline and its workflows. Return True if it is final."""
        view = self._views.setdefault(number, PipelineView())
        pipeline = await self._pipeline(number, view)
        sent_at = self._loop.time()
        try:
            read = await self._reads.list_workflows(pipeline.id)
        except NotFound as error:
            if view.workflows:
                raise
            read = Read[tuple[Workflow, ...]]((), server_time(error.headers))
        now = self._time_of(read)
        view.update_workflows(read.value, now)
        for workflow_id in view.needs_jobs("finished"):
            view.update_jobs(workflow_id, await self._jobs(workflow_id), now)
        received_at = self._loop.time()
        reported = {each.workflow_id: each.status for each in self._reported.get(number, {}).values()}
        is_final = view.is_final(now, sent_at=sent_at, received_at=received_at, reported=reported)
        self._plan(number, view, is_final=is_final, now=now)
        return is_final

    async def _pipeline(self, number: int, view: PipelineView) -> Pipeline:
        """Return the pipeline; read it if its state matters and the list did not show it just now."""
        seen = self._pipelines.get(number)
        if seen is None:
            self._keep(await self._reads.read_pipeline_by_number(self._state.project, number))
        elif view.needs_pipeline and self._loop.time() > seen.read_at + FRESH:
            self._keep(await self._reads.read_pipeline(seen.pipeline.id))
        seen = self._pipelines[number]
        if seen.pipeline is not view.pipeline:
            view.update_pipeline(seen.pipeline, seen.server_time)
        return seen.pipeline

    async def _jobs(self, workflow_id: str) -> tuple[WorkflowJob, ...]:
        try:
            return (await self._reads.list_jobs(workflow_id)).value
        except NotFound:
            return ()  # A new workflow has no jobs yet.

    def _plan(self, number: int, view: PipelineView, *, is_final: bool, now: float) -> None:
        """Plan the second read, and the read at the end of a grace period."""
        unended = view.unended
        if unended and all(each.status == "on_hold" for each in unended):
            self._on_hold.setdefault(number, 0)
        else:
            self._on_hold.pop(number, None)
        at = self._loop.time()
        ended = {each.id for each in view.workflows} - {each.id for each in unended}
        expected = [each for each in self._reported.get(number, {}).values() if each.workflow_id not in ended]
        if any(at < each.shown_by for each in expected):
            self._due[number] = at + SECOND_READ
        elif is_final:
            self._reported.pop(number, None)
        elif view.second_read_at is not None:
            self._due[number] = max(view.second_read_at, at)
        elif (end := view.next_grace_end(now)) is not None:
            self._due[number] = at + math.ceil(end) - now

    def _created(self, number: int) -> float:
        return self._pipelines[number].pipeline.created_at.timestamp()


def _listed(pipeline: Pipeline) -> Listed:
    return Listed(pipeline.number, pipeline.branch or "", pipeline.created_at.timestamp())
