"""The bookkeeping of the router, against an observer that knows each story as a whole."""

from __future__ import annotations

import random
from typing import Any

import attrs
import pytest

from aiocircle.events.ledger import Admission, Entry, Key, Ledger
from tests.support.thorough import scaled

STORIES = scaled(2_000, 100_000)
QUEUED, SEEN, FULL, CLOSED = Admission


@attrs.define
class Fact:
    """One thing that happened: "queued", "taken", "finished", "left", or a change of the phase."""

    what: str
    number: int = -1
    key: Key | None = None


class Observer:
    """Decides by the whole history, which it reads from the start each time. It keeps nothing else."""

    def __init__(self, queue_size: int, workers: int, remember: int) -> None:
        self.queue_size = queue_size
        self.workers = workers
        self.remember = remember
        self.facts: list[Fact] = []

    def phase(self) -> str:
        phases = [fact.what for fact in self.facts if fact.what in ("open", "drain", "close")]
        return phases[-1] if phases else "close"

    def numbers(self, what: str) -> list[int]:
        return [fact.number for fact in self.facts if fact.what == what]

    def waiting(self) -> list[int]:
        over = {*self.numbers("taken"), *self.numbers("left")}
        return [number for number in self.numbers("queued") if number not in over]

    def in_work(self) -> list[int]:
        over = {*self.numbers("finished"), *self.numbers("left")}
        return [number for number in self.numbers("taken") if number not in over]

    def key_of(self, number: int) -> Key | None:
        return next(fact.key for fact in self.facts if fact.what == "queued" and fact.number == number)

    def remembered(self) -> list[Key | None]:
        finished = [key for number in self.numbers("finished") if (key := self.key_of(number)) is not None]
        return finished[len(finished) - self.remember :] if self.remember < len(finished) else [*finished]

    def admission(self, key: Key | None) -> Admission:
        waiting = self.waiting()
        if self.phase() == "close":
            return CLOSED
        if key is not None and key in self.remembered():
            return SEEN
        if self.phase() == "drain":
            return CLOSED
        if key is not None and key in [self.key_of(number) for number in [*waiting, *self.in_work()]]:
            return SEEN
        return FULL if len(waiting) >= self.queue_size else QUEUED

    def next(self) -> int | None:
        waiting = self.waiting()
        return waiting[0] if waiting and len(self.in_work()) < self.workers else None


def play(seed: int) -> dict[str, int]:
    """One story: random steps on the ledger, each compared with the observer."""
    chance = random.Random(seed)
    sizes = {"queue_size": chance.randint(1, 4), "workers": chance.randint(1, 3), "remember": chance.randint(0, 4)}
    ledger: Ledger[int] = Ledger(**sizes)
    observer = Observer(**sizes)
    entries: dict[int, Entry[int]] = {}
    gone: list[Entry[int]] = []
    counts = dict.fromkeys(["queued", "seen", "full", "closed", "finished", "left"], 0)
    for number in range(chance.randint(5, 40)):
        step = chance.choices(
            ["admit", "take", "finish", "open", "drain", "close", "late"], [12, 6, 5, 3, 0.7, 0.5, 0.7]
        )[0]
        if number == 0:
            step = "open"
        if step == "admit":
            key = None if chance.random() < 0.15 else ("job-completed", str(chance.randint(0, 7)))
            expected = observer.admission(key)
            assert ledger.admit(number, key) is expected
            counts[expected.value] += 1
            if expected is QUEUED:
                observer.facts.append(Fact("queued", number, key))
        elif step == "take":
            entry = ledger.take()
            assert (None if entry is None else entry.event) == observer.next()
            if entry is not None:
                entries[entry.event] = entry
                observer.facts.append(Fact("taken", entry.event))
        elif step == "finish" and (in_work := observer.in_work()):
            done = chance.choice(in_work)
            ledger.finish(entries[done])
            observer.facts.append(Fact("finished", done))
            counts["finished"] += 1
        elif step == "late" and gone:
            # A handler that ignored its cancellation ends after the close.
            ledger.finish(chance.choice(gone))
        elif step == "open" and observer.phase() == "close":
            ledger.open()
            observer.facts.append(Fact("open"))
        elif step == "drain" and observer.phase() == "open":
            ledger.drain()
            observer.facts.append(Fact("drain"))
        elif step == "close" and observer.phase() != "close":
            left = [entry.event for entry in ledger.close()]
            assert left == [*observer.in_work(), *observer.waiting()]
            gone += [entries[each] for each in observer.in_work()]
            observer.facts += [Fact("left", each) for each in left] + [Fact("close")]
            counts["left"] += len(left)
        assert ledger.is_idle == (not observer.waiting() and not observer.in_work())
    # Each event that was queued has exactly one end, or is still on its way.
    ends = [*observer.numbers("finished"), *observer.numbers("left"), *observer.waiting(), *observer.in_work()]
    assert sorted(ends) == observer.numbers("queued")
    return counts


def test_ledger_admits_nothing_before_it_is_opened() -> None:
    """An event that comes too early is left to its sender."""
    ledger: Ledger[int] = Ledger(queue_size=1, workers=1, remember=1)
    assert ledger.admit(1, None) is CLOSED
    assert ledger.is_idle
    ledger.open()
    assert ledger.admit(1, None) is QUEUED


def test_ledger_agrees_with_observer() -> None:
    """In each random story the ledger admits, takes and forgets as an observer does that knows the whole story."""
    totals: dict[str, int] = {}
    for seed in range(STORIES):
        for name, count in play(seed).items():
            totals[name] = totals.get(name, 0) + count
    print(f"{STORIES} stories: {totals}")
    assert all(totals.values()), "each kind of step must occur"


@pytest.mark.parametrize("remember", [0, 1, 3])
def test_ledger_memory_is_bounded(remember: int) -> None:
    """At most `remember` keys are kept, for any number of handled events."""
    ledger: Ledger[Any] = Ledger(queue_size=10, workers=1, remember=remember)
    ledger.open()
    for number in range(50):
        assert ledger.admit(number, ("ping", str(number))) is QUEUED
        entry = ledger.take()
        assert entry is not None
        ledger.finish(entry)
    seen = [number for number in range(50) if ledger.admit(number, ("ping", str(number))) is SEEN]
    assert seen == [*range(50 - remember, 50)]
