"""The longest time for which the event loop was busy with one thing."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

# Seconds between two looks.
_INTERVAL = 0.002


@dataclass
class LoopWatch:
    """longest: seconds by which a timer of the loop was late."""

    longest: float = 0.0


@asynccontextmanager
async def watched_loop() -> AsyncIterator[LoopWatch]:
    """Watch the running loop until the context ends."""
    watch = LoopWatch()

    async def look() -> None:
        last = time.perf_counter()
        while True:
            await asyncio.sleep(_INTERVAL)
            now = time.perf_counter()
            watch.longest, last = max(watch.longest, now - last - _INTERVAL), now

    task = asyncio.create_task(look())
    try:
        yield watch
    finally:
        task.cancel()
