"""Time as the core sees it: the loop's, and never short."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine
from typing import Any

import pytest

from aiocircle._core.clock import Clock
from aiocircle.testing.virtual_time import VirtualTimeLoop


class CoarseLoop(VirtualTimeLoop):
    """Runs each timer a tick early, as a loop may."""

    TICK = 0.25

    def __init__(self) -> None:
        super().__init__()
        self._clock_resolution = self.TICK

    def time(self) -> float:
        """Return the seconds. Each call also takes some time."""
        self._now += 0.01
        return self._now

    def jump(self, seconds: float) -> bool:
        return super().jump(max(0.0, seconds - 0.9 * self.TICK))


def virtually(main: Coroutine[Any, Any, None], loop: type[VirtualTimeLoop] = VirtualTimeLoop) -> None:
    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(main)


@pytest.mark.parametrize("seconds", [0.0, 0.3, 1.0, 7.0, 3600.0])
@pytest.mark.parametrize("loop", [VirtualTimeLoop, CoarseLoop])
def test_a_sleep_is_never_short(loop: type[VirtualTimeLoop], seconds: float) -> None:
    """A loop may run a timer up to one tick of its clock early: a `Retry-After` would come back too soon."""

    async def main() -> None:
        clock = Clock()
        before = clock.monotonic()
        await clock.sleep(seconds)
        assert seconds <= clock.monotonic() - before <= seconds + CoarseLoop.TICK

    virtually(main(), loop)


def test_waiting_goes_by_the_loops_own_clock() -> None:
    """So that virtual time makes every wait of the client virtual; the wall's time is real."""

    async def main() -> None:
        clock, loop = Clock(), asyncio.get_running_loop()
        assert clock.monotonic() == loop.time()
        await clock.sleep(1e6)
        assert clock.monotonic() == loop.time() >= 1e6
        assert abs(clock.wall() - time.time()) < 60

    virtually(main())


def test_chance_is_in_the_unit_interval() -> None:
    """Jitter multiplies by it."""
    drawn = [Clock().random() for _ in range(1000)]
    assert all(0.0 <= each < 1.0 for each in drawn)
    assert len({*drawn}) > 900
