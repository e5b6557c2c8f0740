"""Slots: never more than there are, in the order of asking, and none lost."""

from __future__ import annotations

import asyncio
import random

import pytest

from aiocircle._core.slots import Slots


async def test_free_slots_are_taken_at_once_and_no_more_than_there_are() -> None:
    slots = Slots(2)
    assert [slots.take_at_once() for _ in range(3)] == [True, True, False]
    slots.release()
    await slots.take()
    assert not slots.take_at_once()


async def test_those_who_wait_are_served_in_order_before_anyone_who_comes_later() -> None:
    slots = Slots(1)
    assert slots.take_at_once()
    served: list[int] = []

    async def one(number: int) -> None:
        await slots.take()
        served.append(number)

    tasks = [asyncio.create_task(one(number)) for number in range(3)]
    await asyncio.sleep(0)
    for _ in tasks:
        slots.release()
        assert not slots.take_at_once(), "the slot is the first waiter's already"
        await asyncio.sleep(0)
    await asyncio.gather(*tasks)
    assert served == [0, 1, 2]


@pytest.mark.parametrize("granted", [False, True])
async def test_a_cancelled_wait_loses_no_slot(granted: bool) -> None:
    slots = Slots(1)
    assert slots.take_at_once()
    first = asyncio.create_task(slots.take())
    second = asyncio.create_task(slots.take())
    await asyncio.sleep(0)
    if granted:
        slots.release()
    first.cancel()
    if not granted:
        slots.release()
    with pytest.raises(asyncio.CancelledError):
        await first
    await second
    slots.release()
    assert slots.take_at_once()


async def test_any_order_of_taking_releasing_and_cancelling() -> None:
    for seed in range(200):
        rng = random.Random(seed)
        size = rng.randint(1, 3)
        slots = Slots(size)
        inside = 0

        async def work(slots: Slots = slots, rng: random.Random = rng, size: int = size) -> None:
            nonlocal inside
            if not (rng.random() < 0.5 and slots.take_at_once()):
                await slots.take()
            inside += 1
            assert inside <= size
            try:
                for _ in range(rng.randint(0, 3)):
                    await asyncio.sleep(0)
            finally:
                inside -= 1
                slots.release()

        tasks = [asyncio.create_task(work()) for _ in range(12)]
        for _ in range(20):
            await asyncio.sleep(0)
            if rng.random() < 0.4:
                rng.choice(tasks).cancel()
        for end in await asyncio.gather(*tasks, return_exceptions=True):
            assert end is None or isinstance(end, asyncio.CancelledError)
        assert [slots.take_at_once() for _ in range(size + 1)] == [True] * size + [False]
