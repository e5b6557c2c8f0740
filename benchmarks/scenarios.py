"""The scenarios and their measurement: each function yields rows of the table."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field

from benchmarks.processes import Cost, Server, Worker

FLOOR, OURS = "floor", "aiocircle"
MODULES = {FLOOR: "floor", OURS: "ours", "pycircleci": "pycircleci", "pycircleci-async": "pycircleci_async"}


@dataclass(frozen=True)
class Settings:
    """The size of the measurement. pythons: by client, the interpreter of its environment."""

    pythons: dict[str, str]
    turns: int = 51
    bulk_turns: int = 9
    import_turns: int = 61
    seconds: float = 30.0  # of each run against a rate limit
    bulk_projects: int = 100
    memory_items: int = 1_000_000


@dataclass(frozen=True)
class Spread:
    """A median, and the middle half around it."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        if len(values) == 1:
            return cls(values[0], values[0], values[0])
        low, median, high = statistics.quantiles(values, n=4, method="inclusive")
        return cls(median, low, high)


@dataclass(frozen=True)
class Row:
    """A line of the table.

    figures: what each client took, in `unit`. value: what is held against the bound, or None where a row only informs.
    factors: of other clients, over the first figure.
    """

    group: str
    name: str
    unit: str
    figures: dict[str, float]
    value: Spread | None = None
    bound: float | None = None
    at_least: bool = False
    form: str = "{:.2f}"
    factors: dict[str, Spread] = field(default_factory=dict)

    @property
    def holds(self) -> bool | None:
        if self.value is None or self.bound is None:
            return None
        return self.value.median >= self.bound if self.at_least else self.value.median <= self.bound


def pages(settings: Settings) -> Iterator[Row]:
    """CPU time of pages and of single calls, over the floor's."""
    with Server() as server:
        for name, scenario, bound, times in (
            ("100 pages of 250 workflow runs, `pages()`", "run_pages", 1.15, 1),
            ("100 pages of 250 workflow runs, items", "run_items", 1.25, 1),
            ("100 pages of 20 pipelines, items", "pipeline_items", 1.40, 1),
            ("single GET", "get", 1.15, 500),
        ):
            clients = [FLOOR, OURS] if scenario == "run_pages" else list(settings.pythons)
            options = {"times": times} if scenario == "get" else {}
            costs = _interleaved(settings, clients, settings.turns, scenario, goes=5, url=server.url, **options)
            cpu = {client: [cost.cpu for cost in costs[client]] for client in clients}
            yield Row(
                "CPU",
                name,
                "ms" if times == 1 else "µs",
                {
                    client: statistics.median(each) * (1e3 if times == 1 else 1e6 / times)
                    for client, each in cpu.items()
                },
                _ratio(cpu[OURS], cpu[FLOOR]),
                bound,
                factors={client: _ratio(cpu[client], cpu[FLOOR]) for client in clients if client != FLOOR},
            )


def bulk(settings: Settings) -> Iterator[Row]:
    """Measure the wall-clock time of many projects' insights, with 50 ms for a response and 32 requests in flight."""
    width, latency = 32, 0.05
    clients = list(settings.pythons)
    with Server(latency=latency) as server:
        options = {"url": server.url, "projects": settings.bulk_projects}
        costs = _interleaved(settings, clients, settings.bulk_turns, "bulk", **options, width=width)
        wall = {client: [cost.wall for cost in costs[client]] for client in clients}
        alone: dict[str, float] = {}
        if "pycircleci" in settings.pythons and settings.bulk_turns > 1:
            with _worker(settings, "pycircleci") as worker:
                alone["pycircleci, one thread"] = worker.run("bulk", **options, width=1).wall
    workflows, _, _, _ = costs[FLOOR][0].outcome
    requests = 2 * settings.bulk_projects + 2 * workflows
    least = requests / width * latency
    yield Row(
        "bulk",
        f"{requests} requests for {settings.bulk_projects} projects' insights",
        "s",
        {client: statistics.median(each) for client, each in wall.items()} | alone,
        _ratio(wall[OURS], wall[FLOOR]),
        1.10,
        factors={client: _ratio(wall[client], wall[OURS]) for client in clients if client not in (FLOOR, OURS)},
    )
    yield Row(
        "bulk",
        f"the same, over {requests} ÷ {width} × {latency * 1e3:.0f} ms = {least:.2f} s",
        "×",
        {
            client: statistics.median(each) / least
            for client, each in (wall | {k: [v] for k, v in alone.items()}).items()
        },
    )


def rate(settings: Settings) -> Iterator[Row]:
    """Measure the share of a token bucket's permits that is used."""
    limit = 50.0
    half = settings.seconds / 2
    headers, plain = {"rate": limit}, {"rate": limit, "headers": False}
    strays = {"strays": 100}
    lowered, raised = {"change_to": limit / 2, "change_after": half}, {"change_to": limit * 2, "change_after": half}
    for name, bucket, clients, processes, share, refused in (
        ("headers", headers, 1, 1, 0.95, 0.02),
        ("headers, half the limit from half-way on", headers | lowered, 1, 1, 0.85, 0.02),
        ("headers, twice the limit from half-way on", headers | raised, 1, 1, 0.85, 0.02),
        ("no headers", plain, 1, 1, 0.85, 0.05),
        ("no headers, half the limit from half-way on", plain | lowered, 1, 1, 0.85, 0.05),
        ("no headers, twice the limit from half-way on", plain | raised, 1, 1, 0.85, 0.05),
        ("headers, and 36,000 an hour", headers | {"window": ["Hour", 36_000, 36_000]}, 1, 1, 0.95, 0.02),
        ("headers, and half of a day's 10,000 used", headers | {"window": ["Day", 10_000, 5_000]}, 1, 1, 0.95, 0.02),
        ("headers, one in a hundred refused without reason", headers | strays, 1, 1, 0.8, 0.03),
        ("no headers, one in a hundred refused without reason", plain | strays, 1, 1, 0.8, 0.06),
        ("headers, three clients with one throttle", headers, 3, 1, 0.95, 0.02),
        ("no headers, three clients with one throttle", plain, 3, 1, 0.85, 0.05),
        ("headers, three processes on one token", headers, 1, 3, None, None),
        ("no headers, three processes on one token", plain, 1, 3, None, None),
    ):
        with Server(latency=0.02, bucket=bucket) as server, ExitStack() as stack:
            workers = [stack.enter_context(_worker(settings, OURS)) for _ in range(processes)]
            for worker in workers:
                options = {"workers": 32 // clients // processes, "clients": clients}
                worker.start("rate", url=server.url, seconds=settings.seconds, **options)
            for worker in workers:
                worker.result()
            log = server.log()
        began = log[0][0]
        answered = [status for at, status in log if half <= at - began < settings.seconds]
        allowed = (bucket.get("change_to") or limit) * half
        through = Spread.of([answered.count(200) / allowed])
        denied = Spread.of([sum(status == 429 for _, status in log) / len(log)])
        yield Row("rate", f"{name}: used in the second half", "", {}, through, share, at_least=True, form="{:.1%}")
        yield Row("rate", f"{name}: refused", "", {}, denied, refused, form="{:.2%}")


def interactive(settings: Settings) -> Iterator[Row]:
    """Measure the waits of calls next to a job of 10,000 requests, at a rate of 50 a second."""
    with Server(latency=0.02, bucket={"rate": 50.0}) as server, _worker(settings, OURS) as worker:
        waits = sorted(worker.run("interactive", url=server.url, seconds=settings.seconds).outcome)
    median, most = statistics.median(waits), waits[int(0.99 * (len(waits) - 1))]
    yield Row(
        "rate",
        "a call each second next to a job of 10,000 requests, 50/s: 99 % take at most",
        "s",
        {"median": median},
        Spread.of([most]),
        0.5,
        form="{:.2f} s",
    )


def overlap(settings: Settings) -> Iterator[Row]:
    """Measure a consumer that takes as long for a page as the server does."""
    pause = 0.03
    with Server(latency=pause) as server, _worker(settings, OURS) as worker:

        def wall(**options: float) -> float:
            return worker.run("overlap", url=server.url, **options).wall

        turns = [
            (
                wall(pause=0, fetch=True, prefetch=False),
                wall(pause=pause, fetch=False, prefetch=False),
                wall(pause=pause, fetch=True, prefetch=True),
                wall(pause=pause, fetch=True, prefetch=False),
            )
            for _ in range(max(1, settings.bulk_turns // 3))
        ]
    names = ("server alone", "consumer alone", "with `prefetch()`", "without")
    yield Row(
        "overlap",
        "100 pages, 30 ms each on both sides, over the larger of the two alone",
        "s",
        {name: statistics.median(times) for name, times in zip(names, zip(*turns, strict=True), strict=True)},
        Spread.of([both / max(server, consumer) for server, consumer, both, _ in turns]),
        1.15,
    )


def memory(settings: Settings) -> Iterator[Row]:
    """Peak memory does not grow with the length of a list."""
    few, many = 10_000, settings.memory_items
    with Server(pages=few // 250) as short, Server(pages=many // 250) as long:

        def peak(server: Server) -> float:
            with _worker(settings, OURS) as worker:
                return worker.run("run_items", url=server.url).peak / 1024

        turns = [(peak(short), peak(long)) for _ in range(max(1, settings.bulk_turns // 3))]
    yield Row(
        "memory",
        f"peak of {many:,} items streamed, above that of {few:,}",
        "MB",
        {f"{few:,}": statistics.median(a for a, _ in turns), f"{many:,}": statistics.median(b for _, b in turns)},
        Spread.of([b - a for a, b in turns]),
        20.0,
        form="{:.1f} MB",
    )


def loop(settings: Settings) -> Iterator[Row]:
    """Measure how long the event loop is blocked."""
    with Server() as server, _worker(settings, OURS) as worker:
        longest = [worker.run("stretch", url=server.url).outcome * 1e3 for _ in range(1 + settings.turns)][1:]
    yield Row(
        "loop",
        "longest stretch of 100 pages of 250 items, thread CPU",
        "ms",
        {"longest of all turns": max(longest)},
        Spread.of(longest),
        2.0,
        form="{:.2f} ms",
    )


_IMPORT = {
    "its dependencies": "import aiohttp, attrs, cattrs, tenacity, msgspec",
    OURS: 'from aiocircle import CircleCI; CircleCI(token="x")',
}
_TIMED = """
    import time
    started = time.perf_counter()
    {code}
    print(time.perf_counter() - started)
"""
_HELP = """
    import contextlib, sys
    from aiocircle.cli import main
    with contextlib.redirect_stdout(None), contextlib.suppress(SystemExit):
        main(["--help"])
    print(sum(name in sys.modules for name in ("aiohttp", "attr", "attrs", "cattrs", "tenacity", "msgspec", "rich")))
"""


def imports(settings: Settings) -> Iterator[Row]:
    """Measure the time from the first import to a client. The first turn leaves compiled files behind."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}

    def python(code: str) -> float:
        command = [settings.pythons[OURS], "-c", textwrap.dedent(code)]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, env=environment)
        return float(done.stdout)

    times: dict[str, list[float]] = {name: [] for name in _IMPORT}
    for turn in range(1 + settings.import_turns):
        for name in _turned(list(_IMPORT), turn):
            times[name].append(python(_TIMED.format(code=_IMPORT[name])))
    ours, theirs = times[OURS][1:], times["its dependencies"][1:]
    yield Row(
        "import",
        "importing and making a client, over importing what it needs",
        "ms",
        {name: statistics.median(each[1:]) * 1e3 for name, each in times.items()},
        _ratio(ours, theirs),
        1.10,
    )
    loaded = python(_HELP)
    yield Row(
        "import", "of these, imported by `aiocircle --help`", "", {}, Spread(loaded, loaded, loaded), 0, form="{:.0f}"
    )


SCENARIOS: dict[str, Callable[[Settings], Iterator[Row]]] = {
    "pages": pages,
    "bulk": bulk,
    "rate": rate,
    "interactive": interactive,
    "overlap": overlap,
    "memory": memory,
    "loop": loop,
    "imports": imports,
}


def _worker(settings: Settings, client: str) -> Worker:
    return Worker(MODULES[client], settings.pythons[client])


def _interleaved(
    settings: Settings, clients: list[str], turns: int, scenario: str, *, goes: int = 1, **options: object
) -> dict[str, list[Cost]]:
    """Return the cost of each turn of each client. In every turn each client runs once, in changing order.

    The processes are new in each turn, and run once to warm up: the speed of a process depends on the addresses of its
    objects. goes: the number of runs of the floor and aiocircle, one after the other. A turn's cost is the mean.
    """
    costs: dict[str, list[Cost]] = {client: [] for client in clients}
    for turn in range(turns):
        with ExitStack() as stack:
            workers = {client: stack.enter_context(_worker(settings, client)) for client in clients}
            had: dict[str, list[Cost]] = {client: [] for client in clients}
            for client in clients:
                workers[client].run(scenario, **options)
            for go in range(goes):
                for client in _turned(clients if go == 0 else [FLOOR, OURS], turn + go):
                    had[client].append(workers[client].run(scenario, **options))
            for client, each in had.items():
                costs[client].append(Cost.mean(each))
    outcomes = {json.dumps(cost.outcome) for each in costs.values() for cost in each}
    if len(outcomes) > 1:
        raise RuntimeError(f"{scenario}: the clients did not find the same: {outcomes}")
    return costs


def _turned(names: list[str], turn: int) -> list[str]:
    start = turn % len(names)
    return names[start:] + names[:start]


def _ratio(ours: Sequence[float], theirs: Sequence[float]) -> Spread:
    """Return the spread of the ratios of the single turns, whose two parts were measured one after the other."""
    return Spread.of([a / b for a, b in zip(ours, theirs, strict=True)])


def default_pythons(async_peer: str | None) -> dict[str, str]:
    """Return the interpreter of each installed client."""
    pythons = {FLOOR: sys.executable, OURS: sys.executable, "pycircleci": sys.executable}
    if async_peer is not None:
        pythons["pycircleci-async"] = async_peer
    return pythons
