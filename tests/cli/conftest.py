"""Reports to show, and a server in a process of its own."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator

import attrs
import pytest

from aiocircle.cli.report import ProjectReport, Summary, WorkflowReport
from tests.support.loops import LoopFactories, virtual_time

SUMMARY = Summary(requests=1204, retries=61, limited=7, items=31204, seconds=9.84)


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "aiocircle", *arguments]


def environment(**variables: str) -> dict[str, str]:
    """Return an environment without colours, widths, tokens and warnings of the current one."""
    kept = {"PATH", "HOME", "SYSTEMROOT", "VIRTUAL_ENV", "PYTHONPATH"}
    return {name: value for name, value in os.environ.items() if name in kept} | variables


@pytest.fixture(autouse=True)
def _usual_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reads the terminal's kind, width or colours from the environment. rich reads all of these."""
    for name in ("COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR", "COLORTERM", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")


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


def pytest_asyncio_loop_factories() -> LoopFactories:
    """Return loops on which no test sleeps for real."""
    return virtual_time()


@attrs.frozen
class Served:
    url: str
    token: str
    process: subprocess.Popen[str]

    def stop(self, number: signal.Signals = signal.SIGTERM) -> str:
        """Stop the process and return the rest of its output."""
        assert self.process.stdout is not None
        self.process.send_signal(number)
        with self.process.stdout as output:
            text = output.read()
        self.process.wait(timeout=30)
        return text


def serve(*arguments: str) -> Served:
    """Start `aiocircle serve` and return when it listens."""
    process = subprocess.Popen(
        command("serve", *arguments),
        env=environment(PYTHONUNBUFFERED="1"),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
    )
    assert process.stdout is not None
    text = ""
    while not (token := re.search(r"CIRCLECI_TOKEN=(\S+)\n", text)):
        line = process.stdout.readline()
        assert line, text
        text += line
    url = re.search(r"CIRCLECI_BASE_URL=(\S+)", text)
    assert url is not None
    return Served(url[1], token[1], process)


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    served = serve("--projects", "4")
    yield served
    served.stop()
