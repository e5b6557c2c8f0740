"""Random stories of deliveries, failures and shutdowns."""

from __future__ import annotations

import asyncio
import logging
import random
from collections import Counter

import pytest

from aiocircle.events import EventRouter, Ping
from aiocircle.testing.virtual_time import VirtualTimeLoop
from tests.support.event_router import SECRET, ping, send
from tests.support.thorough import scaled


def play(seed: int, caplog: pytest.LogCaptureFixture) -> Counter[str]:
    """One story of deliveries, failures and a shutdown in the middle. Nothing that was accepted may be lost."""
    chance = random.Random(seed)
    router = EventRouter(
        SECRET,
        queue_size=chance.randint(1, 20),
        workers=chance.randint(1, 4),
        remember=chance.choice([0, 3, 1000]),
        drain=chance.choice([0.0, 1.0, 20.0]),
    )
    accepted: Counter[str] = Counter()
    ended: Counter[str] = Counter()
    counts: Counter[str] = Counter()

    @router.on(Ping)
    async def work(event: Ping) -> None:
        assert event.id is not None
        kind = chance.random()
        if kind < 0.6:
            await asyncio.sleep(chance.choice([0.0, 0.1, 3.0]))
        ended[event.id] += 1
        if kind > 0.95:
            raise asyncio.CancelledError
        if kind > 0.9:
            raise ValueError("boom")

    async def deliver() -> None:
        for _ in range(chance.randint(1, 60)):
            event_id = str(chance.randint(0, 40))
            status = send(router, ping(event_id))
            counts[str(status)] += 1
            accepted[event_id] += status == 202
            await asyncio.sleep(chance.choice([0.0, 0.0, 0.05, 0.5]))

    async def main() -> None:
        delivery = asyncio.create_task(deliver())
        await asyncio.sleep(0)
        async with router:
            await asyncio.sleep(chance.choice([0.0, 0.5, 5.0, 60.0]))
        at_end = ended.copy()
        await delivery
        assert ended == at_end, "nothing is handled after the end"

    caplog.clear()
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        runner.run(main())
    left = Counter(
        record.getMessage().split()[2] for record in caplog.records if "was not handled" in record.getMessage()
    )
    assert +(ended + left) == +accepted
    counts["handled"], counts["left"] = ended.total(), left.total()
    return counts


def test_nothing_accepted_is_lost(caplog: pytest.LogCaptureFixture) -> None:
    """In random stories each event that got a 202 was handled once, or logged at the end. Never both."""
    caplog.set_level(logging.WARNING, "aiocircle")
    stories = scaled(150, 3_000)
    totals: Counter[str] = Counter()
    for seed in range(stories):
        totals += play(seed, caplog)
    print(f"{stories} stories: {dict(totals)}")
    assert {"200", "202", "503", "handled", "left"} <= {*totals}
