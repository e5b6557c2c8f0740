"""Clients, scripted servers, seeds, a time limit for each test, and the table of randomized tests."""

from __future__ import annotations

import asyncio
import random
import shutil
import signal
import subprocess
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest

from aiocircle import CircleCI
from tests.support import leaks
from tests.support.loops import LoopFactories, counting, iterate
from tests.support.scripted_server import ScriptedServer
from tests.support.stress import SEED, Tally
from tests.support.thorough import THOROUGH

# It has characters that other encodings change.
CANARY = "CCIPAT_canary/7f3b+0123456789abcdef"

# Real seconds: no test takes nearly as long.
_TEST_LIMIT = 280 if THOROUGH else 120

_COLUMNS = ("cases", "requests", "faults", "changes", "lost", "doubled", "hung", "leaked")
_BAD = ("lost", "doubled", "hung", "leaked")


def pytest_asyncio_loop_factories() -> LoopFactories:
    """Return loops on which no test sleeps for real, and on which tests can act between any two iterations."""
    return counting()


def pytest_report_header() -> str:
    """Return the seed to repeat the run with."""
    return f"AIOCIRCLE_SEED={SEED} AIOCIRCLE_THOROUGH={int(THOROUGH)}"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Seed property-based tests with the run's seed."""
    for item in items:
        function = getattr(item, "function", None)
        if "/http/" in item.nodeid and getattr(function, "is_hypothesis_test", False):
            hypothesis.seed(SEED)(function)


@pytest.fixture(autouse=True)
def time_limit() -> Iterator[None]:
    """Fail a test that hangs, where it hangs."""

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
    """Random numbers from the run's seed and the test's name."""
    print(f"AIOCIRCLE_SEED={SEED}")
    return random.Random(f"{SEED} {request.node.nodeid}")


@pytest.fixture
def tally(record_property: Callable[[str, object], None]) -> Tally:
    """The test's counts."""
    counts = Tally()
    record_property("stress", counts)
    return counts


@pytest.fixture(autouse=True)
async def no_leaks() -> AsyncIterator[list[dict[str, Any]]]:
    """Errors that the loop reported: none, or the test fails. No task outlives the test."""
    async with leaks.watched_loop() as found:
        yield found


@pytest.fixture
async def server(no_leaks: object) -> AsyncIterator[ScriptedServer]:
    """A server that responds by script."""
    async with ScriptedServer() as scripted:
        yield scripted


@pytest.fixture
async def other_server(no_leaks: object) -> AsyncIterator[ScriptedServer]:
    """A second server, which is another host for the client."""
    async with ScriptedServer() as scripted:
        yield scripted


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate of 127.0.0.1's own, with its key."""
    if shutil.which("openssl") is None:
        pytest.skip("a certificate needs the command openssl")
    path = tmp_path_factory.mktemp("tls") / "both.pem"
    arguments = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=127.0.0.1"
    more = ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(path), "-out", str(path.with_suffix(".crt"))]
    subprocess.run(["openssl", *arguments.split(), *more], check=True, capture_output=True)
    path.write_bytes(path.read_bytes() + path.with_suffix(".crt").read_bytes())
    return path


@pytest.fixture
def canary() -> str:
    """The token of all clients here."""
    return CANARY


@pytest.fixture
async def make(server: ScriptedServer, canary: str) -> AsyncIterator[Callable[..., CircleCI]]:
    """A function that makes clients of the server. They are closed after the test."""
    clients: list[CircleCI] = []

    def client(**options: Any) -> CircleCI:
        clients.append(CircleCI(**{"token": canary, "base_url": server.url, **options}))
        return clients[-1]

    yield client
    for each in clients:
        await each.close()
    # The transports' last callbacks.
    await iterate(5)


@pytest.fixture
def circle(make: Callable[..., CircleCI]) -> CircleCI:
    """A client of the server, with the default options."""
    return make()


@pytest.fixture
def assert_idle(request: pytest.FixtureRequest) -> Callable[..., Awaitable[None]]:
    """A check that a client holds nothing: no place, no turn in a queue, no connection, no timer, no task."""
    servers = [request.getfixturevalue(name) for name in ("server", "other_server") if name in request.fixturenames]

    async def check(circle: CircleCI, *, iterations: int = 8) -> None:
        await iterate(iterations)
        await leaks.assert_idle(circle, iterations=1)
        expected = {task for server in servers for task in server.tasks} | {asyncio.current_task()}
        assert asyncio.all_tasks() - expected == set()

    return check


@pytest.fixture
def full_jitter(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every backoff takes its full time."""
    monkeypatch.setattr("aiocircle._core.clock.Clock.random", lambda self: 1.0)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Copy the counts into the report, in a form that the workers of a parallel run can send."""
    report = yield
    report.user_properties = [
        (name, dict(value) if isinstance(value, Tally) else value) for name, value in report.user_properties
    ]
    return report


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print how many cases were tried, and how many were lost, doubled, hung or leaked."""
    rows: dict[str, Counter[str]] = {}
    for report in [each for kind in ("passed", "failed") for each in terminalreporter.stats.get(kind, ())]:
        for name, counts in getattr(report, "user_properties", ()):
            if name == "stress" and counts:
                path, _, test = report.nodeid.partition("::")
                title = f"{Path(path).stem}: {test.partition('[')[0]}".replace("test_", "").replace("_", " ")
                rows.setdefault(title, Counter()).update(counts)
    if not rows:
        return
    total: Counter[str] = Counter()
    for counts in rows.values():
        total.update(counts)
    line = terminalreporter.write_line
    terminalreporter.section(f"AIOCIRCLE_SEED={SEED} AIOCIRCLE_THOROUGH={int(THOROUGH)}")
    line("".join(f"{name:>10}" for name in _COLUMNS))
    for title, counts in [*rows.items(), ("in all", total)]:
        figures = "".join(f"{counts[name] if counts[name] or name in _BAD else '':>10}" for name in _COLUMNS)
        line(f"{figures}  {title}")
        if title != "in all" and (more := {name: counts[name] for name in counts if name not in _COLUMNS}):
            line(f"{'':80}  · {', '.join(f'{name} {count}' for name, count in more.items())}")
