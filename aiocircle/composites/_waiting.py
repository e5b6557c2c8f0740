"""Waiting for a pipeline: polls until it is final."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncGenerator, Callable
from datetime import UTC, datetime
from typing import Any, Final

from aiocircle._core.polling import Poller, check_poll_interval, check_timeout
from aiocircle.composites._job_changes import JobsView
from aiocircle.composites._outcome import SECOND_READ, PipelineView, Until, check_until
from aiocircle.composites._reads import EventSource, Read, Reader, ServerClock, check_events, server_time
from aiocircle.errors import (
    BadRequest,
    CircleCIError,
    ConfigurationError,
    Forbidden,
    Gone,
    InvalidArgument,
    NotFound,
    Unauthorized,
    WaitTimeout,
)
from aiocircle.resources.pipelines import Change, ChangeKind, PipelineResult

__all__ = ["ENDING", "wait_for_pipeline", "watch_pipeline"]

MAX_PAUSE: Final = 15.0
MAX_PAUSE_ON_HOLD: Final = 30.0
"""Seconds between polls while everything that has not ended waits for a person."""
MAX_PAUSE_WITH_EVENTS: Final = 60.0
"""Seconds between polls while events report what ends. Polls find what the events miss."""
UNSHOWN_EVENT: Final = 60.0
"""Seconds in which polls are frequent because the list does not show yet what an event reported."""

ENDING = (BadRequest, Unauthorized, Forbidden, NotFound, Gone, ConfigurationError)
"""Errors that a later poll would meet again. A 404 of a list is handled where the list is read."""


class _ListMissingError(Exception):
    """A list that had items before, or on an earlier page, is a 404."""


class _PipelineFollower:
    """One wait for a pipeline: its view, its rhythm and its events."""

    def __init__(
        self,
        reader: Reader,
        pipeline_id: str,
        *,
        until: Until = "finished",
        timeout: float | None = None,
        poll_interval: float | None = None,
        events: EventSource | None = None,
        with_jobs: bool = False,
    ) -> None:
        self.view = PipelineView()
        self.is_final = False
        self.failure: BaseException | None = None
        self._reader = reader
        self._id = pipeline_id
        self._until: Until = until
        self._jobs: dict[str, JobsView] | None = {} if with_jobs else None
        self._poller = Poller(timeout=timeout, poll_interval=poll_interval)
        self._loop = asyncio.get_running_loop()
        self._clock = ServerClock()
        self._changes: list[Change] = []
        self._now = 0.0
        self._received_at = self._loop.time()
        self._reported: dict[str, tuple[str, float]] = {}
        self._has_events = events is not None
        self._unsubscribe = _do_nothing if events is None else events.subscribe(self._on_event)

    def close(self) -> None:
        """End the subscription to events."""
        self._unsubscribe()

    # --- events -------------------------------------------------------------------------------------------------

    def _on_event(self, event: Any) -> None:
        pipeline, workflow = getattr(event, "pipeline", None), getattr(event, "workflow", None)
        if pipeline is None or workflow is None or pipeline.id != self._id:
            return
        is_job = getattr(event, "job", None) is not None
        if is_job and self._jobs is None:
            return
        if not is_job and workflow.id and workflow.status:
            self._reported[workflow.id] = (workflow.status, self._loop.time())
        self._poller.wake()

    def _has_unshown_event(self) -> bool:
        ended = {each.id for each in self.view.workflows if self.view.stopped_at(each.id) is not None}
        now = self._loop.time()
        return any(each not in ended and now < at + UNSHOWN_EVENT for each, (_, at) in self._reported.items())

    # --- polls --------------------------------------------------------------------------------------------------

    @property
    def has_expired(self) -> bool:
        """True if no poll follows: the deadline has passed."""
        return self._poller.has_expired

    async def poll(self) -> tuple[Change, ...]:
        """Read once, and return the changes. An error that a later poll may not meet is kept in `failure`."""
        self._poller.begin()
        try:
            async with self._poller.overtime():
                await self._read_all()
            self.failure = None
        except _ListMissingError as error:
            self.failure = error.__cause__
        except ENDING:
            raise
        except (CircleCIError, TimeoutError) as error:
            self.failure = error
        changes, self._changes = tuple(self._changes), []
        return changes

    async def _read_all(self) -> None:
        view = self.view
        if view.needs_pipeline:
            pipeline, _ = await self._reader.pipeline(self._id)
            view.update_pipeline(pipeline.value, self._clock.of(pipeline))
        sent_at = await self._read_workflows()
        for workflow_id in view.needs_jobs(self._until):
            await self._read_deciding_jobs(workflow_id)
        self._received_at = self._loop.time()
        is_final = view.is_final(
            self._now,
            until=self._until,
            sent_at=sent_at,
            received_at=self._received_at,
            is_last=self._poller.is_last,
            reported={each: status for each, (status, _) in self._reported.items()},
        )
        if self._jobs is not None:
            await self._read_watched_jobs(self._jobs)
            is_final = is_final and all(each.is_settled for each in self._jobs.values())
        self.is_final = is_final

    async def _read_workflows(self) -> float:
        try:
            read, sent_at = await self._reader.workflows(self._id)
        except NotFound as error:
            if self.view.workflows or error.page_token is not None:
                raise _ListMissingError from error
            read, sent_at = Read((), server_time(error.headers)), self._poller.began_at
        self._now = self._clock.of(read)
        for workflow, previous in self.view.update_workflows(read.value, self._now):
            kind = ChangeKind.WORKFLOW_ADDED if previous is None else ChangeKind.WORKFLOW_STATUS
            self._changes.append(Change(kind=kind, workflow=workflow, previous_status=previous, at=_time(self._now)))
        return sent_at

    async def _read_deciding_jobs(self, workflow_id: str) -> None:
        try:
            read, _ = await self._reader.jobs(workflow_id)
        except NotFound:
            return  # A new workflow has no jobs yet.
        self.view.update_jobs(workflow_id, read.value, self._clock.of(read))

    async def _read_watched_jobs(self, views: dict[str, JobsView]) -> None:
        for workflow in self.view.workflows:
            view = views.setdefault(workflow.id, JobsView())
            if view.is_settled:
                continue
            stopped_at, now = self.view.stopped_at(workflow.id), self._now
            try:
                read, _ = await self._reader.jobs(workflow.id)
                now = self._clock.of(read)
                changes = view.update(read.value, now, stopped_at)
            except NotFound as error:
                if view.is_known:
                    self.failure = error
                    changes = view.update_failed(now, stopped_at)
                else:
                    changes = view.update((), now, stopped_at)
            except ENDING:
                raise
            except CircleCIError:
                changes = view.update_failed(now, stopped_at)
            self._changes.extend(
                Change(kind=kind, workflow=workflow, job=job, previous_status=previous, at=_time(now))
                for kind, job, previous in changes
            )

    # --- pauses -------------------------------------------------------------------------------------------------

    async def pause(self) -> None:
        """Wait until the next poll is due."""
        limit = MAX_PAUSE
        unended = self.view.unended
        if self._has_events:
            limit = MAX_PAUSE_WITH_EVENTS
        elif unended and all(each.status == "on_hold" for each in unended):
            limit = MAX_PAUSE_ON_HOLD
        second = self.view.second_read_at
        if second is not None and not self.is_final and self.failure is None:
            await self._poller.pause(limit, due_in=second - self._loop.time(), only_when_due=True)
        else:
            await self._poller.pause(limit, due_in=self._due_in())

    def _due_in(self) -> float | None:
        """Return the seconds until a poll is due because of an event or a grace period, or None."""
        if self._has_unshown_event():
            return SECOND_READ
        end = self.view.next_grace_end(self._now, self._until)
        if end is None:
            return None
        # `Date` has whole seconds: a response shows the end of the period from the next whole second on.
        return math.ceil(end) - self._now - (self._loop.time() - self._received_at)


def _do_nothing() -> None: ...


def _time(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


# --- waits ------------------------------------------------------------------------------------------------------


async def wait_for_pipeline(
    reader: Reader,
    pipeline_id: str,
    *,
    timeout: float | None = 3600.0,
    until: Until = "finished",
    events: EventSource | None = None,
    on_change: Callable[[Change], object] | None = None,
    poll_interval: float | None = None,
) -> PipelineResult:
    """Return the result of a pipeline as soon as it is final. Raise WaitTimeout if the deadline passes before that."""
    timeout, poll_interval = check_timeout(timeout), check_poll_interval(poll_interval)
    if on_change is not None and not callable(on_change):
        raise InvalidArgument(f"on_change must be a function or None, got {type(on_change).__name__}")
    follower = _PipelineFollower(
        reader,
        pipeline_id,
        until=check_until(until),
        timeout=timeout,
        poll_interval=poll_interval,
        events=check_events(events),
    )
    try:
        while True:
            changes = await follower.poll()
            if on_change is not None:
                for change in changes:
                    on_change(change)
            result = follower.view.result()
            if follower.is_final and result is not None:
                return result
            if follower.has_expired:
                seen = "was not read" if result is None else f"is {result.outcome!r} so far"
                message = f"the pipeline is not final after {timeout:g} s: it {seen}"
                raise WaitTimeout(result, message) from follower.failure
            await follower.pause()
    finally:
        follower.close()


def watch_pipeline(
    reader: Reader, pipeline_id: str, *, events: EventSource | None = None, poll_interval: float | None = None
) -> AsyncGenerator[Change, None]:
    """Return the changes of a pipeline, of its workflows and of their jobs, each once and in order, until it is final.

    Arguments are checked immediately.
    """
    return _watch(reader, pipeline_id, check_events(events), check_poll_interval(poll_interval))


async def _watch(
    reader: Reader, pipeline_id: str, events: EventSource | None, poll_interval: float | None
) -> AsyncGenerator[Change, None]:
    follower = _PipelineFollower(reader, pipeline_id, poll_interval=poll_interval, events=events, with_jobs=True)
    try:
        while True:
            for change in await follower.poll():
                yield change
            if follower.is_final:
                return
            await follower.pause()
    finally:
        follower.close()
