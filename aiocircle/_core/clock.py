"""Time and randomness, for the rest of the core."""

from __future__ import annotations

import asyncio
import random
import time

__all__ = ["Clock"]


class Clock:
    """The running event loop's time.

    All waits use the loop's own clock. A loop with virtual time, as the tests use, therefore makes every wait of
    the client virtual.
    """

    __slots__ = ()

    def monotonic(self) -> float:
        """Return seconds on the running loop's clock. Only differences have a meaning."""
        return asyncio.get_running_loop().time()

    def wall(self) -> float:
        """Return seconds since the epoch."""
        return time.time()

    async def sleep(self, seconds: float) -> None:
        """Wait that many seconds of the loop's clock, and never less."""
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        await asyncio.sleep(seconds)
        # A loop may run a timer up to one clock tick early.
        while (rest := end - loop.time()) > 0:  # noqa: ASYNC110 - it is the timer itself that is waited for
            await asyncio.sleep(rest)

    def random(self) -> float:
        """Return a random number in [0, 1), for jitter."""
        return random.random()
