"""Many concurrent streams under faults for a long time: does anything grow, stop or get lost?

    python -m tests.support.soak --seconds 600 --streams 200

A LocalCircleCI runs in a process of its own, with faults, a rate limit and latency. This process has the streams.
Each reads list after list, checks that each item comes once, and begins again. It prints a line every ten seconds and
a summary. The exit status is 1 if items were lost, doubled or left over, or if memory grew.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import logging
import multiprocessing
import os
import random
import signal
import sys
import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Awaitable, Callable
from multiprocessing.connection import Connection
from typing import Any, Final

import aiohttp

from aiocircle import CircleCI, CircleCIError, RetryPolicy
from aiocircle.bulk import fetch_insights
from aiocircle.testing import LocalCircleCI

PROJECTS: Final = 10
INTERVAL: Final = 10.0  # seconds between two lines
FAULTS: Final = {"429": 0.002, "500": 0.02, "502": 0.02, "503": 0.01, "drop": 0.02, "truncate": 0.02, "slow": 0.002}
_POLICY: Final = RetryPolicy(attempts=12, base=0.05, cap=2.0, max_wait=600.0)


# --- the server, in a process of its own -------------------------------------------------------------------------


def serve(pipe: Connection, seed: int, faults: bool, rate: float | None) -> None:
    """Serve until the pipe is closed; respond to each message with the count of requests and faults."""

    async def main() -> None:
        async with LocalCircleCI(
            PROJECTS,
            seed=seed,
            page_size=20,
            latency=0.01,
            faults=FAULTS if faults else 0.0,
            rate_limit=rate,
            record=False,
            slow=3.0,
        ) as server:
            pipe.send((server.url, server.token, server.projects))
            while await asyncio.to_thread(_is_requested, pipe):
                statistics = server.statistics
                pipe.send((statistics.requests, statistics.faults.total(), statistics.in_flight))

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    asyncio.run(main())


def _is_requested(pipe: Connection) -> bool:
    try:
        return bool(pipe.recv())
    except EOFError:
        return False


# --- the streams -------------------------------------------------------------------------------------------------


class Latencies:
    """Durations of requests, in buckets that are each 5 % wider than the one before."""

    _BOUNDS: Final = [0.0005 * 1.05**step for step in range(260)]

    def __init__(self) -> None:
        self._counts = [0] * (len(self._BOUNDS) + 1)

    def add(self, seconds: float) -> None:
        self._counts[bisect_left(self._BOUNDS, seconds)] += 1

    def quantile(self, share: float) -> float:
        left = share * sum(self._counts)
        for bound, count in zip([*self._BOUNDS, self._BOUNDS[-1]], self._counts, strict=True):
            left -= count
            if left <= 0:
                return bound
        return 0.0


class Soak:
    """The streams and what they count."""

    def __init__(self, circle: CircleCI, projects: list[str], latencies: Latencies) -> None:
        self.circle = circle
        self.projects = projects
        self.latencies = latencies
        self.counts: Counter[str] = Counter()
        self.expected: dict[tuple[str, str], list[Any]] = {}
        self.ending = False

    async def learn(self) -> None:
        """The items of each list. They never change: nothing is triggered here."""
        keys = [(name, project) for project in self.projects for name in self.lists(project)]
        found = await asyncio.gather(*[self.lists(project)[name]() for name, project in keys])
        self.expected = dict(zip(keys, found, strict=True))

    def lists(self, project: str) -> dict[str, Callable[[], Awaitable[list[Any]]]]:
        circle = self.circle
        return {
            "pipelines": lambda: _ids(circle.pipelines.list_for_project(project)),
            "pipelines, prefetched": lambda: _ids(circle.pipelines.list_for_project(project).prefetch()),
            "workflow metrics": lambda: _names(circle.insights.list_workflow_metrics(project)),
            "variables": lambda: _names(circle.projects.list_env_vars(project)),
        }

    async def stream(self, rng: random.Random) -> None:
        """One list after the other, now and then left in the middle, or a bulk fetch."""
        while not self.ending:
            project = rng.choice(self.projects)
            name, read = rng.choice([*self.lists(project).items()])
            try:
                if rng.random() < 0.02:
                    await self._bulk(rng)
                elif rng.random() < 0.1:
                    await asyncio.wait_for(read(), rng.uniform(0.0, 0.5))
                else:
                    found = await read()
                    expected = self.expected[name, project]
                    self.counts["lists"] += 1
                    self.counts["items"] += len(found)
                    self.counts["lost"] += len(set(expected) - set(found))
                    self.counts["doubled"] += len(found) - len(set(found))
            except TimeoutError:
                self.counts["cancelled"] += 1
            except CircleCIError as error:
                self.counts[type(error).__name__] += 1
                await asyncio.sleep(1)

    async def _bulk(self, rng: random.Random) -> None:
        projects = rng.sample(self.projects, 3)
        async for project in fetch_insights(self.circle, projects, window="last-7-days"):
            self.counts["projects in bulk"] += 1
            self.counts["failures in bulk"] += len(project.failures)
            if rng.random() < 0.2:
                return


async def _ids(pager: Any) -> list[Any]:
    return [item.id async for item in pager]


async def _names(pager: Any) -> list[Any]:
    return [item.name async for item in pager]


# --- the report --------------------------------------------------------------------------------------------------


def memory() -> float:
    """MiB that this process holds."""
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1024**2


def connections() -> int:
    """Open sockets of this process."""
    count = 0
    for name in os.listdir("/proc/self/fd"):
        try:
            count += os.readlink(f"/proc/self/fd/{name}").startswith("socket:")
        except OSError:
            continue
    return count


class Retries(logging.Handler):
    """Counts the warnings about retries."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.count = 0

    def emit(self, record: logging.LogRecord) -> None:
        self.count += "attempt" in str(record.msg)


def timed(latencies: Latencies) -> aiohttp.TraceConfig:
    """Return a trace config that measures the duration of each request."""
    config = aiohttp.TraceConfig()

    async def begin(_: Any, context: Any, __: Any) -> None:
        context.started = time.perf_counter()

    async def end(_: Any, context: Any, __: Any) -> None:
        latencies.add(time.perf_counter() - context.started)

    config.on_request_start.append(begin)
    config.on_request_end.append(end)
    return config


async def run(options: argparse.Namespace, pipe: Connection) -> int:
    url, token, projects = pipe.recv()
    latencies, retries = Latencies(), Retries()
    logger = logging.getLogger("aiocircle")
    logger.addHandler(retries)
    logger.propagate = False
    samples: list[tuple[float, int, int]] = []
    async with CircleCI(
        token,
        base_url=url,
        retry=_POLICY,
        timeout=2.0,
        max_concurrency=options.concurrency,
        trace_configs=[timed(latencies)],
    ) as circle:
        soak = Soak(circle, projects, latencies)
        await soak.learn()
        begun = time.monotonic()
        streams = [
            asyncio.create_task(soak.stream(random.Random(f"{options.seed} {number}")))
            for number in range(options.streams)
        ]
        print(f"{'s':>6}{'requests':>10}{'/s':>7}{'faults':>8}{'retries':>9}{'p50 ms':>8}{'p99 ms':>8}", end="")
        print(f"{'sockets':>9}{'tasks':>7}{'MiB':>7}{'lists':>8}{'lost':>6}{'twice':>6}  errors", flush=True)
        before = 0
        while (passed := time.monotonic() - begun) < options.seconds:
            await asyncio.sleep(min(INTERVAL, options.seconds - passed))
            pipe.send(True)
            requests, faults, _ = await asyncio.to_thread(pipe.recv)
            passed = time.monotonic() - begun
            samples.append((memory(), connections(), len(asyncio.all_tasks())))
            counts = soak.counts
            errors = {name: count for name, count in counts.items() if name[0].isupper()}
            print(
                f"{passed:>6.0f}{requests:>10}{(requests - before) / INTERVAL:>7.0f}{faults:>8}{retries.count:>9}"
                f"{1000 * latencies.quantile(0.5):>8.1f}{1000 * latencies.quantile(0.99):>8.1f}"
                f"{samples[-1][1]:>9}{samples[-1][2]:>7}{samples[-1][0]:>7.0f}{counts['lists']:>8}"
                f"{counts['lost']:>6}{counts['doubled']:>6}  {errors or '-'}",
                flush=True,
            )
            before = requests
            dead = [task for task in streams if task.done()]
            for task in dead:
                task.result()
        soak.ending = True
        _, late = await asyncio.wait(streams, timeout=60)
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)
    await asyncio.sleep(0.5)
    gc.collect()
    left = asyncio.all_tasks() - {asyncio.current_task()}
    counts = soak.counts
    # After a fifth of the time all is warm.
    warm = samples[len(samples) // 5 :]
    grown = warm[-1][0] - warm[0][0]
    print(
        f"\n{options.streams} streams for {time.monotonic() - begun:.0f} s: {requests} requests, {faults} faults, "
        f"{retries.count} retries; {counts['lists']} lists with {counts['items']} items, "
        f"{counts['projects in bulk']} projects in bulk, {counts['cancelled']} calls cancelled\n"
        f"{counts['lost']} items lost, {counts['doubled']} doubled, {counts['failures in bulk']} failures in bulk, "
        f"{len(late)} streams that did not end, {len(left)} tasks left\n"
        f"p50 {1000 * latencies.quantile(0.5):.1f} ms, p99 {1000 * latencies.quantile(0.99):.1f} ms; "
        f"at most {max(each[1] for each in samples)} sockets and {max(each[2] for each in samples)} tasks; "
        f"memory {warm[0][0]:.0f} MiB when warm, {warm[-1][0]:.0f} MiB at the end\n"
        f"AIOCIRCLE_SEED={options.seed}"
    )
    bad = counts["lost"] or counts["doubled"] or late or left or grown > options.grow
    return 1 if bad else 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--streams", type=int, default=200)
    parser.add_argument("--concurrency", type=int, default=32)
    parser.add_argument("--rate", type=float, default=300.0, help="the server's limit, in requests per second")
    parser.add_argument("--no-faults", action="store_true")
    parser.add_argument("--grow", type=float, default=16.0, help="MiB by which memory may grow once it is warm")
    parser.add_argument("--seed", type=int, default=int(os.environ.get("AIOCIRCLE_SEED") or random.getrandbits(32)))
    options = parser.parse_args()
    context = multiprocessing.get_context("spawn")
    pipe, end = context.Pipe()
    server = context.Process(target=serve, args=(end, options.seed, not options.no_faults, options.rate), daemon=True)
    server.start()
    end.close()
    try:
        code = asyncio.run(run(options, pipe))
    finally:
        pipe.close()
        server.join(10)
    sys.exit(code)


if __name__ == "__main__":
    main()
