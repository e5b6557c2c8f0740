"""Polling: the pauses, the deadline, and what wakes a wait."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from aiocircle._core.polling import Poller, SharedCalls, check_poll_interval, check_timeout, poll_pause
from aiocircle.errors import InvalidArgument, ServerError
from aiocircle.testing.virtual_time import VirtualTimeLoop
from tests.support.rows import each_row


def run(main: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return runner.run(main())


async def polls(poller: Poller, count: int, limit: float = 15.0, **options: Any) -> list[float]:
    """The times between the beginnings of polls that take no time."""
    loop, pauses = asyncio.get_running_loop(), []
    for _ in range(count):
        poller.begin()
        before = loop.time()
        await poller.pause(limit, **options)
        pauses.append(round(loop.time() - before, 6))
    return pauses


# --- pauses ---------------------------------------------------------------------------------------------------


def test_pauses_grow_by_half_up_to_the_limit() -> None:
    """2, 3, 4.5, 6.75, 10.125, 15, 15 s."""
    assert run(lambda: polls_of(random=lambda: 0.0)) == [2, 3, 4.5, 6.75, 10.125, 15, 15]


async def polls_of(count: int = 7, **options: Any) -> list[float]:
    return await polls(Poller(**options), count)


@pytest.mark.parametrize("limit", [15.0, 30.0, 60.0])
@pytest.mark.parametrize("number", [1, 2, 5, 9, 10_000])
def test_jitter_only_shortens(limit: float, number: int) -> None:
    """By a tenth at most."""
    longest = poll_pause(number, limit, 0.0)
    assert longest <= limit
    assert poll_pause(number, limit, 0.999_999) == pytest.approx(longest * 0.9, rel=1e-6)
    assert poll_pause(number, limit, 0.5) < longest


def test_poll_interval_replaces_the_pauses() -> None:
    """The first as well as the later ones."""
    assert run(lambda: polls_of(poll_interval=40.0, random=lambda: 0.0)) == [40] * 7


def test_poll_is_due_earlier() -> None:
    """At the end of a grace period; a later one does not lengthen the pause."""

    async def main() -> list[list[float]]:
        poller = Poller(random=lambda: 0.0)
        return [
            await polls(poller, 2, due_in=0.5),
            await polls(poller, 2, due_in=99.0),
            await polls(poller, 1, due_in=-1),
        ]

    assert run(main) == [[0.5, 0.5], [4.5, 6.75], [0.0]]


def test_second_read_is_neither_early_nor_late() -> None:
    """It is due at its time, without jitter, also if polls are rarer or more frequent."""

    async def main(interval: float) -> list[float]:
        return await polls(Poller(poll_interval=interval), 2, due_in=2.0, only_when_due=True)

    assert run(lambda: main(0.1)) == [2, 2]
    assert run(lambda: main(60.0)) == [2, 2]


# --- the deadline ---------------------------------------------------------------------------------------------


def test_last_poll_is_made_at_the_deadline() -> None:
    """A pause never passes it."""

    async def main() -> list[tuple[float, bool]]:
        poller, seen = Poller(timeout=7.0, random=lambda: 0.0), []
        while True:
            poller.begin()
            seen.append((poller.began_at, poller.is_last))
            if poller.has_expired:
                return seen
            await poller.pause(15.0)

    assert run(main) == [(0, False), (2, False), (5, False), (7, True)]


def test_timeout_of_zero_is_one_poll() -> None:
    """The first is the last."""

    async def main() -> bool:
        poller = Poller(timeout=0.0)
        poller.begin()
        return poller.is_last

    assert run(main)


def test_poll_that_hangs_ends_after_the_deadline() -> None:
    """Ten seconds later, as a TimeoutError."""

    async def main() -> float:
        poller = Poller(timeout=5.0)
        poller.begin()
        with pytest.raises(TimeoutError):
            async with poller.overtime():
                await asyncio.sleep(1000)
        assert poller.has_expired
        return asyncio.get_running_loop().time()

    assert run(main) == 15


def test_no_deadline_lets_a_poll_take_any_time() -> None:
    """Nothing ends it."""

    async def main() -> bool:
        poller = Poller()
        poller.begin()
        async with poller.overtime():
            await asyncio.sleep(100_000)
        return poller.has_expired

    assert not run(main)


@each_row("value", [-1, "5", True, float("nan"), object()])
def test_timeout_and_interval_are_checked(value: object) -> None:
    """Before anything is sent."""
    with pytest.raises(InvalidArgument, match="timeout must be"):
        check_timeout(value)
    with pytest.raises(InvalidArgument, match="poll_interval must be"):
        check_poll_interval(value)
    with pytest.raises(InvalidArgument, match="above 0"):
        check_poll_interval(0)


# --- waking ---------------------------------------------------------------------------------------------------


def test_event_wakes_a_pause() -> None:
    """Immediately if the last poll is more than 2 s old, otherwise once it is."""

    async def main() -> list[float]:
        poller, loop, times = Poller(poll_interval=100.0, random=lambda: 0.0), asyncio.get_running_loop(), []
        for at in (0.5, 0.7, 1.0, 30.0, 30.1):
            loop.call_at(at, poller.wake)
        for _ in range(4):
            poller.begin()
            times.append(poller.began_at)
            await poller.pause(15.0)
        return times

    assert run(main) == [0, 2, 30, 32]


def test_event_during_a_poll_is_kept() -> None:
    """The poll may have read before it happened."""

    async def main() -> float:
        poller = Poller(poll_interval=100.0)
        poller.begin()
        await asyncio.sleep(5)
        poller.wake()
        await poller.pause(15.0)
        return asyncio.get_running_loop().time()

    assert run(main) == 5


def test_cancelled_pause_leaves_no_timer() -> None:
    """The poller can pause again."""

    async def main() -> list[float]:
        poller = Poller(random=lambda: 0.0)
        poller.begin()
        task = asyncio.create_task(poller.pause(15.0))
        await asyncio.sleep(1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        poller.wake()
        return await polls(poller, 1)

    assert run(main) == [2.0]


# --- shared calls ---------------------------------------------------------------------------------------------


class Counted:
    def __init__(self, error: Exception | None = None) -> None:
        self.began = self.ended = self.cancelled = 0
        self.error = error

    async def __call__(self) -> int:
        self.began += 1
        number = self.began
        try:
            await asyncio.sleep(1)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        self.ended += 1
        if self.error is not None:
            raise self.error
        return number


def test_calls_in_flight_are_shared() -> None:
    """Each caller gets the result and the time of its beginning. A later one gets a new call."""

    async def main() -> list[tuple[int, float]]:
        calls, call = SharedCalls(), Counted()
        first = asyncio.create_task(calls.get("a", call))
        await asyncio.sleep(0.5)
        second, other = asyncio.create_task(calls.get("a", call)), asyncio.create_task(calls.get("b", call))
        done = [await first, await second, await other, await calls.get("a", call)]
        assert call.began == 3
        return done

    assert run(main) == [(1, 0.0), (1, 0.0), (2, 0.5), (3, 1.5)]


def test_cancelled_caller_leaves_the_call_to_others() -> None:
    """The last one cancels it."""

    async def main() -> None:
        calls, call = SharedCalls(), Counted()
        first, second = (asyncio.create_task(calls.get("a", call)) for _ in range(2))
        await asyncio.sleep(0.5)
        first.cancel()
        assert await second == (1, 0.0)
        third = asyncio.create_task(calls.get("a", call))
        await asyncio.sleep(0.5)
        third.cancel()
        with pytest.raises(asyncio.CancelledError):
            await third
        assert (call.began, call.ended, call.cancelled) == (2, 1, 1)
        assert len(asyncio.all_tasks()) == 1

    run(main)


def test_failed_call_fails_for_all_its_callers() -> None:
    """A call after it is a new one."""

    async def main() -> None:
        calls, call = SharedCalls(), Counted(ServerError(500, "no"))
        found = await asyncio.gather(*(calls.get("a", call) for _ in range(3)), return_exceptions=True)
        assert [type(each) for each in found] == [ServerError] * 3
        with pytest.raises(ServerError):
            await calls.get("a", call)
        assert call.began == 2

    run(main)
