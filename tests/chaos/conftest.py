"""Seeds, the clock, the watch over each test, and the table at the end."""

from __future__ import annotations

import asyncio
import gc
import random
import signal
from collections import Counter
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest

from tests.chaos.harness import FULL, SEED, ChaosLoop, Tally, turns

# Real seconds: no test takes nearly as long.
_TEST_LIMIT = 280 if FULL else 120

_COLUMNS = ("cases", "requests", "faults", "changes", "lost", "doubled", "hung", "leaked")
_BAD = ("lost", "doubled", "hung", "leaked")


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Loops on which no test sleeps for real, and which tests can strike between any two turns."""
    return {"virtual": ChaosLoop}


def pytest_report_header() -> str:
    return f"chaos: {'full' if FULL else 'short'} form, AIOCIRCLE_SEED={SEED}"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Property-based tests draw from the same seed."""
    for item in items:
        function = getattr(item, "function", None)
        if "/chaos/" in item.nodeid and getattr(function, "is_hypothesis_test", False):
            hypothesis.seed(SEED)(function)


def pytest_collection_finish() -> None:
    """What all the imports have made need not be looked through after each test."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def watch() -> Iterator[None]:
    """A test that hangs fails where it hangs."""

    def alarm(*_: object) -> None:
        pytest.fail(f"hung: not done after {_TEST_LIMIT} s")

    before = signal.signal(signal.SIGALRM, alarm)
    signal.alarm(_TEST_LIMIT)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


@pytest.fixture
def rng(request: pytest.FixtureRequest) -> random.Random:
    """Chance, from the run's seed and the test's name."""
    print(f"AIOCIRCLE_SEED={SEED}")
    return random.Random(f"{SEED} {request.node.nodeid}")


@pytest.fixture
def tally(record_property: Callable[[str, object], None]) -> Tally:
    """The test's counts."""
    counts = Tally()
    record_property("chaos", counts)
    return counts


@pytest.fixture(autouse=True)
async def complaints() -> AsyncIterator[list[dict[str, Any]]]:
    """What the loop had to complain of, such as an exception that nobody retrieved: nothing, or the test fails.

    Also: no task outlives the test.
    """
    loop = asyncio.get_running_loop()
    found: list[dict[str, Any]] = []
    loop.set_exception_handler(lambda _, context: found.append(context))
    yield found
    await turns()
    gc.collect()
    await turns()
    assert found == []
    assert asyncio.all_tasks() - {asyncio.current_task()} == set()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """The counts as they are now, in a form that a parallel run can send home."""
    report = yield
    report.user_properties = [
        (name, dict(value) if isinstance(value, Tally) else value) for name, value in report.user_properties
    ]
    return report


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """The table: what was tried, and what was lost, doubled, hung or leaked."""
    rows: dict[str, Counter[str]] = {}
    for report in [each for kind in ("passed", "failed") for each in terminalreporter.stats.get(kind, ())]:
        for name, counts in getattr(report, "user_properties", ()):
            if name == "chaos" and counts:
                path, _, test = report.nodeid.partition("::")
                title = f"{Path(path).stem}: {test.partition('[')[0]}".replace("test_", "").replace("_", " ")
                rows.setdefault(title, Counter()).update(counts)
    if not rows:
        return
    total: Counter[str] = Counter()
    for counts in rows.values():
        total.update(counts)
    line = terminalreporter.write_line
    terminalreporter.section(f"chaos, {'full' if FULL else 'short'} form, AIOCIRCLE_SEED={SEED}")
    line("".join(f"{name:>10}" for name in _COLUMNS))
    for title, counts in [*rows.items(), ("in all", total)]:
        figures = "".join(f"{counts[name] if counts[name] or name in _BAD else '':>10}" for name in _COLUMNS)
        line(f"{figures}  {title}")
        if title != "in all" and (more := {name: counts[name] for name in counts if name not in _COLUMNS}):
            line(f"{'':80}  · {', '.join(f'{name} {count}' for name, count in more.items())}")
