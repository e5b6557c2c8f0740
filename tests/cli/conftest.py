"""Reports to show, and a server in a process of its own."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping

import attrs
import pytest

from aiocircle.cli.report import ProjectReport, Summary, WorkflowReport
from aiocircle.testing.virtual_time import VirtualTimeLoop

SUMMARY = Summary(requests=1204, retries=61, limited=7, items=31204, seconds=9.84)


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "aiocircle", *arguments]


def environment(**variables: str) -> dict[str, str]:
    """An environment without colours, widths, tokens or warnings of the one that runs the tests."""
    kept = {"PATH", "HOME", "SYSTEMROOT", "VIRTUAL_ENV", "PYTHONPATH"}
    return {name: value for name, value in os.environ.items() if name in kept} | variables


def workflow(name: str = "build-and-test", **changes: object) -> WorkflowReport:
    report = WorkflowReport(
        name=name, success_rate=0.96, p95=723, throughput=14.25, runs=1208, trend=(60.0, None, *[120.0] * 10)
    )
    return attrs.evolve(report, **changes)


def project(slug: str = "gh/acme/web", *workflows: WorkflowReport, **changes: object) -> ProjectReport:
    report = ProjectReport(
        slug=slug, workflows=workflows or (workflow(),), hidden=0, flaky_tests=3, items=1300, failures=()
    )
    return attrs.evolve(report, **changes)


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Loops on which no test sleeps for real."""
    return {"virtual": VirtualTimeLoop}


@attrs.frozen
class Served:
    url: str
    token: str
    process: subprocess.Popen[str]

    def stop(self, number: signal.Signals = signal.SIGTERM) -> str:
        """End it; what else it had to say."""
        assert self.process.stdout is not None
        self.process.send_signal(number)
        with self.process.stdout as output:
            said = output.read()
        self.process.wait(timeout=30)
        return said


def serve(*arguments: str) -> Served:
    """`aiocircle serve`, once it listens."""
    process = subprocess.Popen(
        command("serve", *arguments),
        env=environment(PYTHONUNBUFFERED="1"),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    said = ""
    while not (token := re.search(r"CIRCLECI_TOKEN=(\S+)\n", said)):
        line = process.stdout.readline()
        assert line, said
        said += line
    url = re.search(r"CIRCLECI_BASE_URL=(\S+)", said)
    assert url is not None
    return Served(url[1], token[1], process)


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    served = serve("--projects", "4")
    yield served
    served.stop()
