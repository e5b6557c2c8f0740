"""`aiocircle insights`: the insights of projects, fetched concurrently, as a table."""

from __future__ import annotations

import argparse
import asyncio
import logging
import sys
import time
from collections.abc import Sequence
from contextlib import aclosing
from datetime import UTC, datetime

from aiocircle import CircleCI, ProjectSlug, Unauthorized
from aiocircle.bulk import fetch_insights
from aiocircle.cli.display import show_progress, show_table
from aiocircle.cli.report import ProjectReport, Summary, report_on
from aiocircle.cli.terminal import clean
from aiocircle.cli.traffic import Traffic
from aiocircle.client import add_observer
from aiocircle.resources.insights import ReportingWindow

__all__ = ["fetch_and_show", "log_to_stderr", "run"]


def run(arguments: argparse.Namespace) -> int:
    """Fetch from CircleCI, with the token of the environment."""
    log_to_stderr(verbose=arguments.verbose)
    projects = [ProjectSlug.parse(project) for project in arguments.projects]
    return asyncio.run(_run(arguments, projects))


async def _run(arguments: argparse.Namespace, projects: Sequence[ProjectSlug]) -> int:
    traffic = Traffic()
    async with CircleCI(max_concurrency=arguments.concurrency) as circle:
        add_observer(circle, traffic)
        return await fetch_and_show(
            circle,
            projects,
            traffic,
            window=arguments.window,
            branch=arguments.branch,
            all_branches=arguments.all_branches,
            top=arguments.top,
        )


async def fetch_and_show(
    circle: CircleCI,
    projects: Sequence[ProjectSlug],
    traffic: Traffic,
    *,
    window: str,
    branch: str | None = None,
    all_branches: bool = False,
    top: int | None = None,
) -> int:
    """Fetch the projects' insights, show how that goes and then the table; 1 when something could not be had."""
    until = datetime.now(UTC)
    since = until - ReportingWindow(window).span
    reports: dict[str, ProjectReport] = {}
    started = time.monotonic()
    with show_progress(traffic) as display:
        fetched = fetch_insights(
            circle, projects, window=window, branch=branch, all_branches=all_branches, on_progress=display.advance
        )
        async with aclosing(fetched):
            async for project in fetched:
                for failure in project.failures:
                    if isinstance(failure.error, Unauthorized):
                        # So it will be for all of them.
                        raise failure.error
                report = report_on(project, since=since, until=until, top=top)
                reports[report.slug] = report
                display.arrived(report)
    in_order = [reports[slug] for slug in dict.fromkeys(map(str, projects)) if slug in reports]
    summary = Summary(
        requests=traffic.requests,
        retries=traffic.retries,
        limited=traffic.limited,
        items=sum(report.items for report in in_order),
        seconds=time.monotonic() - started,
    )
    show_table([report for report in in_order if report.workflows or not report.failures], summary)
    return _print_failures(in_order)


def _print_failures(reports: Sequence[ProjectReport]) -> int:
    failures = [f"aiocircle: {report.slug}: {failure}" for report in reports for failure in report.failures]
    for failure in failures:
        print(failure, file=sys.stderr)
    return 1 if failures else 0


class _ToStderr(logging.Handler):
    """Writes where stderr is now: a live progress bar puts itself in its place for a while."""

    def emit(self, record: logging.LogRecord) -> None:
        print(clean(self.format(record)), file=sys.stderr)


def log_to_stderr(*, verbose: bool) -> None:
    """Write the client's log to stderr if verbose is True. Otherwise discard it."""
    # The last resort of `logging` also writes to stderr. The list is replaced, so that a second run in this process
    # does not add a second handler.
    logging.getLogger("aiocircle").handlers = [_ToStderr() if verbose else logging.NullHandler()]
