"""Checks that a test, a client or a process leaves nothing behind."""

from __future__ import annotations

import asyncio
import gc
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiocircle import CircleCI
from tests.support.loops import iterate
from tests.support.thorough import THOROUGH

_watched = 0  # loops so far


@asynccontextmanager
async def watched_loop() -> AsyncIterator[list[dict[str, Any]]]:
    """Fail if the running loop reports an error, such as an exception that was never retrieved, or if a task is left.

    Yields the list of contexts that the loop's exception handler received.
    """
    loop = asyncio.get_running_loop()
    loop.set_debug(THOROUGH)
    _exempt_old_objects()
    found: list[dict[str, Any]] = []
    loop.set_exception_handler(lambda _, context: found.append(context))
    yield found
    await iterate()
    gc.collect()
    await iterate()
    assert found == [], found
    left = asyncio.all_tasks() - {asyncio.current_task()}
    assert not left, left


def _exempt_old_objects() -> None:
    """Exempt objects from garbage collection that a test did not make: a collection after each test takes 1 ms, not 50.

    They include garbage in cycles, which is therefore collected from time to time.
    """
    global _watched
    _watched += 1
    if _watched % 4000 == 0:
        gc.unfreeze()
        gc.collect()
    gc.freeze()


def held(circle: CircleCI) -> list[str]:
    """Return what a client still holds of what it gives back between calls: empty unless something leaks."""
    connection = circle._executor.state
    found: list[str] = []
    if connection.places.free != connection.places.size:
        found.append("a place of max_concurrency")
    if connection.places.queues:
        found.append("a queue that waits for a place")
    state = connection.throttle._state
    for (_, family), queue in () if state is None else state.queues.items():
        if queue.in_flight != queue._has_permission:
            found.append(f"{queue.in_flight} requests counted for {family}")
        if queue._waiting:
            found.append(f"requests that wait in {family}")
        if queue._acquiring is not None:
            found.append(f"a task that acquires a permission of {family}")
    transport: Any = connection.transport
    if transport._open_responses:
        found.append("a response that is being read")
    session = transport._session._session
    if session is not None and session.connector is not None and session.connector._acquired:
        found.append(f"{len(session.connector._acquired)} connections")
    return found


async def assert_idle(circle: CircleCI, *, iterations: int = 50) -> None:
    """Raise AssertionError if the client still holds something after some iterations of the loop."""
    for _ in range(iterations):
        if not held(circle):
            return
        await asyncio.sleep(0)
    assert held(circle) == []


def open_files() -> int:
    """Return how many file descriptors this process has."""
    return len(os.listdir("/proc/self/fd"))
