"""Waiting for one workflow or one job: polls until it has ended."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Coroutine
from typing import Any, Final, Protocol, TypeVar

from aiocircle._core.polling import Poller, check_poll_interval, check_timeout
from aiocircle.composites._outcome import ACTIVE, HOLDING, LONG_GRACE, Until, check_until, has_ended, jobs_state
from aiocircle.composites._reads import Reader, ServerClock
from aiocircle.composites._waiting import ENDING, MAX_PAUSE, MAX_PAUSE_ON_HOLD
from aiocircle.errors import CircleCIError, NotFound, WaitTimeout
from aiocircle.resources.jobs import Job
from aiocircle.resources.workflows import Workflow

__all__ = ["wait_for_job", "wait_for_workflow"]

NEW_WORKFLOW: Final = 10.0
"""Seconds in which a 404 can mean that the workflow was only just created."""


async def wait_for_workflow(
    reader: Reader,
    workflow_id: str,
    *,
    timeout: float | None = 3600.0,
    until: Until = "finished",
    poll_interval: float | None = None,
) -> Workflow:
    """Return the workflow once it has ended, or waits for an approval. A rerun of it is another workflow."""
    until = check_until(until)
    clock, jobs_ended_at = ServerClock(), math.inf
    began_at = asyncio.get_running_loop().time()

    async def is_done(workflow: Workflow) -> bool:
        nonlocal jobs_ended_at
        if has_ended(workflow):
            return True
        may_hold = until == "on_hold" and workflow.status in HOLDING
        if not may_hold and workflow.status in ACTIVE:
            return False
        try:
            read, _ = await reader.jobs(workflow_id)
        except NotFound:
            return False
        state, now = jobs_state(read.value), clock.of(read)
        jobs_ended_at = min(jobs_ended_at, now) if state == "ended" else math.inf
        if may_hold:
            return state == "on_hold"
        return now - jobs_ended_at >= LONG_GRACE

    async def read() -> Workflow:
        return (await reader.workflow(workflow_id))[0].value

    def is_early() -> bool:
        return asyncio.get_running_loop().time() < began_at + NEW_WORKFLOW

    return await _wait_for(
        "workflow", read, is_done, timeout=timeout, poll_interval=poll_interval, may_be_missing=is_early
    )


async def wait_for_job(
    reader: Reader,
    project: str,
    job_number: int,
    *,
    timeout: float | None = 3600.0,
    poll_interval: float | None = None,
) -> Job:
    """Return the job once it has ended."""

    async def read() -> Job:
        return (await reader.job(project, job_number))[0].value

    async def is_done(job: Job) -> bool:
        return job.is_finished

    return await _wait_for("job", read, is_done, timeout=timeout, poll_interval=poll_interval)


class _HasStatus(Protocol):
    @property
    def status(self) -> str: ...


S = TypeVar("S", bound=_HasStatus)


async def _wait_for(
    noun: str,
    read: Callable[[], Coroutine[Any, Any, S]],
    is_done: Callable[[S], Coroutine[Any, Any, bool]],
    *,
    timeout: float | None,
    poll_interval: float | None,
    may_be_missing: Callable[[], bool] = lambda: False,
) -> S:
    """Poll one thing until it is done. A poll that fails does not end this, but for the errors that stay."""
    timeout, poll_interval = check_timeout(timeout), check_poll_interval(poll_interval)
    poller = Poller(timeout=timeout, poll_interval=poll_interval)
    state: S | None = None
    failure: BaseException | None = None
    while True:
        poller.begin()
        try:
            async with poller.overtime():
                state = await read()
                if await is_done(state):
                    return state
            failure = None
        except NotFound as error:
            if not may_be_missing():
                raise
            failure = error
        except ENDING:
            raise
        except (CircleCIError, TimeoutError) as error:
            failure = error
        if poller.has_expired:
            seen = "was not read" if state is None else f"is {state.status!r} so far"
            raise WaitTimeout(state, f"the {noun} has not ended after {timeout:g} s: it {seen}") from failure
        is_on_hold = state is not None and state.status == "on_hold"
        await poller.pause(MAX_PAUSE_ON_HOLD if is_on_hold else MAX_PAUSE)
