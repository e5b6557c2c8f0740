"""The timeout scheduler: each timeout at its time, and no cancellation of others mistaken for one."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from aiocircle._core.timeouts import TimeoutScheduler
from aiocircle.testing.virtual_time import VirtualTimeLoop


def virtually(main: Callable[[], Awaitable[Any]]) -> Any:
    """Run on virtual time."""
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return runner.run(main())  # type: ignore[arg-type]


def now() -> float:
    return asyncio.get_running_loop().time()


async def within(scheduler: TimeoutScheduler, seconds: float, work: float) -> float:
    """Return the end of `work` seconds of work. Raise TimeoutError at the deadline, as the transport does."""
    timeout = scheduler.schedule(seconds)
    try:
        await asyncio.sleep(work)
    except asyncio.CancelledError as error:
        if not timeout.is_cause_of(error):
            raise
        raise TimeoutError(now()) from None
    finally:
        scheduler.cancel(timeout)
    return now()


def test_each_ends_at_its_own_time_in_any_order() -> None:
    """Timeouts end at their own times, in any order of their creation."""

    async def main() -> None:
        scheduler = TimeoutScheduler()
        spans = [(5.0, 100.0), (2.0, 100.0), (30.0, 1.0), (2.0, 1.9), (3.0, 100.0), (2.0, 100.0)]
        ends = await asyncio.gather(*[within(scheduler, *span) for span in spans], return_exceptions=True)
        assert [float(str(end)) for end in ends] == pytest.approx([5.0, 2.0, 1.0, 1.9, 3.0, 2.0])
        assert [isinstance(end, TimeoutError) for end in ends] == [True, True, False, False, True, True]
        # Later ones are also watched, with the timer that earlier ones left behind or without.
        for pause in (0.0, 10.0, 100.0):
            await asyncio.sleep(pause)
            start = now()
            with pytest.raises(TimeoutError):
                await within(scheduler, 4.0, 100.0)
            assert now() - start == pytest.approx(4.0)

    virtually(main)


def test_ended_task_is_not_cancelled() -> None:
    """A task that a timeout has ended continues without a pending cancellation."""

    async def main() -> None:
        task = asyncio.current_task()
        assert task is not None
        for _ in range(3):
            with pytest.raises(TimeoutError):
                await within(TimeoutScheduler(), 1.0, 100.0)
            assert task.cancelling() == 0
            await asyncio.sleep(1)

    virtually(main)


@pytest.mark.parametrize("at", [0.5, 1.0])
def test_outer_cancellation_wins(at: float) -> None:
    """A cancellation by another task wins, also in the same iteration of the loop."""

    async def main() -> None:
        scheduler = TimeoutScheduler()
        task = asyncio.create_task(within(scheduler, 1.0, 100.0))
        asyncio.get_running_loop().call_at(at, task.cancel)
        with pytest.raises(asyncio.CancelledError):
            await task
        assert task.cancelled()

    virtually(main)


def test_a_timeout_around_it_keeps_its_own_error() -> None:
    async def main() -> None:
        scheduler = TimeoutScheduler()
        for outer, inner in ((1.0, 2.0), (2.0, 1.0), (1.0, 1.0)):
            with pytest.raises(TimeoutError) as caught:
                async with asyncio.timeout(outer):
                    await within(scheduler, inner, 100.0)
            assert bool(caught.value.args) is (inner < outer)

    virtually(main)


def test_nothing_is_ended_after_the_end() -> None:
    async def main() -> None:
        scheduler = TimeoutScheduler()
        assert await within(scheduler, 5.0, 1.0) == pytest.approx(1.0)
        await asyncio.sleep(100)

    virtually(main)


def test_closing_leaves_no_timer() -> None:
    """After close() only timeouts that are in progress have a timer."""

    async def main() -> None:
        scheduler = TimeoutScheduler()
        await within(scheduler, 5.0, 1.0)
        assert scheduler._timer is not None
        scheduler.close()
        assert scheduler._timer is None
        work = asyncio.create_task(within(scheduler, 5.0, 100.0))
        await asyncio.sleep(1)
        scheduler.close()
        with pytest.raises(TimeoutError):
            await work
        assert scheduler._timer is None
        scheduler.close()

    virtually(main)
