"""Progress and table in plain lines, for pipes, logs and machines without rich."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from types import TracebackType
from typing import Final, Self

from aiocircle.bulk import Progress
from aiocircle.cli.charts import duration, percentage, rate, sparkline
from aiocircle.cli.report import ProjectReport, Summary, WorkflowReport, legend
from aiocircle.cli.terminal import width_of

__all__ = ["PlainProgress", "print_table"]

_HEADINGS: Final = ("project", "workflow", "success", "p95", "runs/day", "runs", "flaky", "trend")
_TEXT_COLUMNS: Final = 2  # the others are figures, aligned to the right; the last is as wide as it is


class PlainProgress:
    """A line on stderr for each project that is complete."""

    def __init__(self) -> None:
        self._arrived = 0
        self._total = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Leave nothing behind."""

    def advance(self, progress: Progress) -> None:
        """Note how far it is."""
        self._total = progress.projects_total

    def arrived(self, report: ProjectReport) -> None:
        """Print that a project is complete."""
        self._arrived += 1
        count = f"{self._arrived:>{len(str(self._total))}}/{self._total}"
        print(f"{count} {report.slug}: {report.items:,} items", file=sys.stderr)


def print_table(reports: Sequence[ProjectReport], summary: Summary) -> None:
    """Write the table and the line below it to stdout."""
    rows = [_HEADINGS, *(row for report in reports for row in _rows(report))]
    widths = [max(map(width_of, column)) for column in zip(*rows, strict=True)]
    if reports:
        for row in rows:
            print("  ".join(map(_aligned, range(len(row)), row, widths)).rstrip())
        print(legend(reports))
    print(summary)


def _rows(report: ProjectReport) -> list[tuple[str, ...]]:
    flaky = "-" if report.flaky_tests is None else str(report.flaky_tests)
    if not report.workflows:
        return [(report.slug, "-", "-", "-", "-", "0", flaky, "")]
    return [(report.slug, *_cells(workflow, flaky)) for workflow in report.workflows]


def _cells(workflow: WorkflowReport, flaky: str) -> tuple[str, ...]:
    return (
        workflow.name,
        "-" if workflow.success_rate is None else percentage(workflow.success_rate),
        "-" if workflow.p95 is None else duration(workflow.p95),
        "-" if workflow.throughput is None else rate(workflow.throughput),
        "-" if workflow.runs is None else f"{workflow.runs:,}",
        flaky,
        sparkline(workflow.trend),
    )


def _aligned(position: int, cell: str, width: int) -> str:
    padding = " " * (width - width_of(cell))
    return cell + padding if position < _TEXT_COLUMNS else padding + cell
