"""Concurrent work: results in order of completion, back-pressure, and no task left behind."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import aclosing
from typing import Any

import pytest

from aiocircle._core.tasks import bounded_map, gather, gather_map
from aiocircle.testing.virtual_time import VirtualTimeLoop
from tests.support.thorough import scaled

STORIES = scaled(300, 10_000)


def virtually(main: Callable[[], Awaitable[Any]]) -> Any:
    """Run on virtual time, and see that no task is left."""

    async def watched() -> Any:
        result = await main()
        assert asyncio.all_tasks() == {asyncio.current_task()}
        return result

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return runner.run(watched())


async def nap(seconds: float) -> float:
    await asyncio.sleep(seconds)
    return seconds


# --- gather -------------------------------------------------------------------------------------------------------


def test_gather_returns_results_in_the_given_order() -> None:
    async def main() -> None:
        assert await gather(nap(3), nap(1), nap(2)) == (3, 1, 2)
        assert await gather() == ()

    virtually(main)


def test_gather_map_keeps_order_and_bound() -> None:
    """Results are in the order of the items, and never more items than the bound are in work."""
    in_work: list[int] = []
    most = 0

    async def work(seconds: int) -> int:
        nonlocal most
        in_work.append(seconds)
        most = max(most, len(in_work))
        await asyncio.sleep(seconds)
        in_work.remove(seconds)
        return -seconds

    async def main() -> None:
        assert await gather_map(work, [3, 1, 2, 5, 4], 2) == [-3, -1, -2, -5, -4]
        assert most == 2
        assert await gather_map(work, [], 2) == []

    virtually(main)


def test_gather_raises_the_error_itself() -> None:
    """The first error cancels the others, and is raised itself, not in a group."""
    ended: list[str] = []

    async def wait() -> None:
        try:
            await asyncio.sleep(10)
        finally:
            ended.append("cancelled")

    async def fail() -> None:
        await asyncio.sleep(1)
        raise KeyError("x")

    async def main() -> None:
        with pytest.raises(KeyError):
            await gather(wait(), fail(), wait())
        assert ended == ["cancelled"] * 2

    virtually(main)


# --- bounded_map --------------------------------------------------------------------------------------------------


def test_results_come_in_order_of_completion() -> None:
    async def main() -> None:
        found = [each async for each in bounded_map([3.0, 1.0, 2.0], nap, concurrency=3, max_unconsumed=9)]
        assert found == [1.0, 2.0, 3.0]
        assert [each async for each in bounded_map([], nap, concurrency=3, max_unconsumed=9)] == []

    virtually(main)


def test_no_more_items_are_in_work_than_concurrency() -> None:
    async def main() -> None:
        now = peak = 0

        async def work(seconds: float) -> None:
            nonlocal now, peak
            now += 1
            peak = max(peak, now)
            await asyncio.sleep(seconds)
            now -= 1

        async for _ in bounded_map([1.0] * 10, work, concurrency=3, max_unconsumed=9):
            pass
        assert peak == 3

    virtually(main)


def test_items_are_taken_one_by_one() -> None:
    """An endless iterable costs nothing but what is in work."""
    taken: list[int] = []

    def numbers() -> Iterator[int]:
        for number in range(1_000_000):
            taken.append(number)
            yield number

    async def main() -> None:
        async with aclosing(bounded_map(numbers(), nap, concurrency=4, max_unconsumed=4)) as results:
            assert await anext(results) == 0
        assert len(taken) <= 5

    virtually(main)


def test_a_slow_consumer_stops_the_work() -> None:
    """While the maximum number of results waits, nothing is begun, and the event is cleared."""

    async def main() -> None:
        begun = 0
        room = asyncio.Event()

        async def work(seconds: float) -> float:
            nonlocal begun
            begun += 1
            return await nap(seconds)

        async with aclosing(bounded_map([1.0] * 50, work, concurrency=10, max_unconsumed=3, has_room=room)) as results:
            await anext(results)
            await asyncio.sleep(100)
            assert begun == 10
            assert not room.is_set()
            for _ in range(8):
                await anext(results)
            assert begun == 10
            assert room.is_set()  # two are left, and the one that was just taken
            await asyncio.sleep(0.001)
            assert begun > 10

    virtually(main)


def test_an_error_comes_after_the_finished_results() -> None:
    """Results that ended by the time of the error are yielded before it is raised."""

    async def work(seconds: float) -> float:
        await asyncio.sleep(seconds)
        if seconds == 2.0:
            raise KeyError("x")
        return seconds

    async def main() -> None:
        found: list[float] = []
        with pytest.raises(KeyError):
            async for each in bounded_map([2.0, 1.0, 3.0, 9.0], work, concurrency=4, max_unconsumed=9):
                found.append(each)
                await asyncio.sleep(5)
        assert found == [1.0, 3.0, 9.0]

    virtually(main)


@pytest.mark.parametrize("after", [0, 1, 3])
def test_leaving_early_cancels_all(after: int) -> None:
    cancelled = 0

    async def work(seconds: float) -> float:
        nonlocal cancelled
        try:
            return await nap(seconds)
        except asyncio.CancelledError:
            cancelled += 1
            raise

    async def main() -> None:
        results = bounded_map([float(n) for n in range(1, 9)], work, concurrency=6, max_unconsumed=9)
        for _ in range(after):
            await anext(results)
        await results.aclose()
        assert cancelled == (0 if after == 0 else 5)

    virtually(main)


def test_a_cancelled_consumer_leaves_no_task() -> None:
    async def main() -> None:
        async def consume() -> None:
            async with aclosing(bounded_map([9.0] * 9, nap, concurrency=3, max_unconsumed=2)) as results:
                async for _ in results:
                    pass

        task = asyncio.create_task(consume())
        await asyncio.sleep(1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    virtually(main)


def test_random_stories_keep_all_bounds() -> None:
    """Work and consumer of random speed, an observer that counts: no result lost or doubled, no bound exceeded."""
    counts: Counter[str] = Counter()

    async def story(dice: random.Random) -> None:
        count, concurrency, most = dice.randrange(12), dice.randint(1, 6), dice.randint(1, 6)
        fails = dice.randrange(count) if count and dice.random() < 0.3 else None
        stops = dice.randrange(count) if count and dice.random() < 0.3 else None
        running = unconsumed = 0
        room = asyncio.Event()

        async def work(number: int) -> int:
            nonlocal running, unconsumed
            assert unconsumed < most, "an item was begun without room"
            running += 1
            assert running + unconsumed <= concurrency
            try:
                await asyncio.sleep(dice.choice([0, 0, 0.5, 1, 2]))
                if number == fails:
                    raise KeyError(number)
                return number
            finally:
                running -= 1
                unconsumed += 1

        found: list[int] = []
        failed = False
        results = bounded_map(range(count), work, concurrency=concurrency, max_unconsumed=most, has_room=room)
        async with aclosing(results):
            try:
                async for number in results:
                    assert room.is_set() == (unconsumed < most)
                    found.append(number)
                    await asyncio.sleep(dice.choice([0, 0, 0.5, 3]))
                    assert room.is_set() == (unconsumed < most)
                    unconsumed -= 1
                    if len(found) == stops:
                        break
            except KeyError:
                failed = True
        assert running == 0
        assert len(set(found)) == len(found)
        if failed:
            counts["failed"] += 1
        elif stops is not None and len(found) == stops:
            counts["stopped"] += 1
        else:
            counts["whole"] += 1
            assert sorted(found) == list(range(count))

    async def main() -> None:
        for seed in range(STORIES):
            try:
                await story(random.Random(seed))
            except AssertionError as error:
                raise AssertionError(f"story {seed}: {error}") from error

    virtually(main)
    assert min(counts[each] for each in ("failed", "stopped", "whole")) > STORIES // 50
