"""The processes of a measurement: a server, and the clients."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self
from urllib.request import urlopen


@dataclass(frozen=True)
class Cost:
    """The cost of a scenario for a client: CPU and wall clock in seconds, its process's peak memory so far in KiB."""

    cpu: float
    wall: float
    peak: int
    outcome: Any

    @classmethod
    def mean(cls, costs: Sequence[Cost]) -> Cost:
        """Return one cost for several of the same: means of the times, the last peak."""
        return cls(
            sum(cost.cpu for cost in costs) / len(costs),
            sum(cost.wall for cost in costs) / len(costs),
            costs[-1].peak,
            costs[-1].outcome,
        )


def keep_apart(*, server: bool) -> None:
    """Keep this process to one processor, the server to another than the clients, so that none is moved about."""
    if hasattr(os, "sched_setaffinity"):
        processors = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, {processors[0 if server else -1]})


class _Process:
    def __init__(self, python: str, *arguments: str, before: Sequence[str] = ()) -> None:
        self._process = subprocess.Popen(
            [*before, python, "-m", *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        # It exits at the end of its standard input.
        self._process.communicate()

    def write(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()

    def read(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"{' '.join(map(str, self._process.args))} has ended; see above")  # type: ignore[arg-type]
        return line


class Server(_Process):
    """The server, with the options of benchmarks.server.Server."""

    def __init__(self, **options: Any) -> None:
        super().__init__(sys.executable, "benchmarks.server", json.dumps(options))
        self.url = f"http://127.0.0.1:{self.read().strip()}"

    def log(self) -> list[tuple[float, int]]:
        """Return the time and the status of each response, if the rate is limited."""
        with urlopen(f"{self.url}/log") as response:
            return [(at, status) for at, status in json.load(response)]


class Worker(_Process):
    """A client: the module of that name in benchmarks.subjects. before: a command that runs it, such as a profiler."""

    def __init__(self, subject: str, python: str = sys.executable, before: Sequence[str] = ()) -> None:
        super().__init__(python, "benchmarks.worker", subject, before=before)

    def start(self, scenario: str, **options: Any) -> None:
        self.write(json.dumps([scenario, options]))

    def result(self) -> Cost:
        return Cost(**json.loads(self.read()))

    def run(self, scenario: str, **options: Any) -> Cost:
        self.start(scenario, **options)
        return self.result()
