"""Work on the disk, which blocks: in threads, or in the event loop while it takes less time there."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Final, TypeVar

__all__ = ["Disk", "settled"]

T = TypeVar("T")

# Seconds for which the loop may be blocked by chance. The system usually only copies what is written, which takes less
# time than a thread needs to begin and to end.
_FAST: Final = 0.02


class Disk:
    """The disk of one job. Its first work is done in a thread.

    is_fast: True if the last work was done within 20 ms. The next one is then done in the event loop. If it is slow,
    as on a full disk or one over the network, the one after it is done in a thread again.
    """

    def __init__(self) -> None:
        self.is_fast = False

    def do(self, work: Callable[[], T]) -> T:
        """Do some work in this thread, and return its result."""
        started = time.perf_counter()
        try:
            return work()
        finally:
            self.is_fast = time.perf_counter() - started < _FAST

    def start(self, work: Callable[[], T]) -> asyncio.Future[T]:
        """Begin some work in a thread, which settled() waits for."""
        return asyncio.get_running_loop().run_in_executor(None, partial(self.do, work))

    async def run(self, work: Callable[[], T]) -> T:
        """Do some work, and return its result."""
        return self.do(work) if self.is_fast else await settled(self.start(work))


async def settled(future: asyncio.Future[T]) -> T:
    """Return the result of a thread. If the task is cancelled, wait until the thread has ended.

    Otherwise a file could be closed while the thread still writes to it.
    """
    try:
        return await asyncio.shield(future)
    except asyncio.CancelledError:
        while not future.done():
            with suppress(asyncio.CancelledError):
                await asyncio.wait([future])
        if not future.cancelled():
            future.exception()  # It is superseded by the cancellation.
        raise
