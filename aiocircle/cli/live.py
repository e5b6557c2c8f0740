"""Progress and table on a terminal, by rich. Texts are never read as rich's markup."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import Final, Self

from rich.box import SIMPLE_HEAD
from rich.console import Console, JustifyMethod
from rich.progress import BarColumn, TaskID, TextColumn
from rich.progress import Progress as Bars
from rich.table import Table
from rich.text import Text

from aiocircle.bulk import Progress
from aiocircle.cli.charts import bar, duration, percentage, rate, sparkline
from aiocircle.cli.report import ProjectReport, Summary, WorkflowReport, legend
from aiocircle.cli.traffic import Traffic

__all__ = ["LiveProgress", "print_table"]

_ROOMY: Final = 94  # columns from which on there is room for all figures
_LEFT: Final = frozenset({"project", "workflow", "success", "trend"})
_GOOD, _FAIR = 0.9, 0.7  # success rates from which on a workflow is green, and yellow


def _console(*, stderr: bool = False, width: int | None = None) -> Console:
    return Console(stderr=stderr, width=width, force_terminal=True, markup=False, emoji=False, highlight=False)


class LiveProgress:
    """A bar on stderr that is gone when the fetch is done."""

    def __init__(self, traffic: Traffic) -> None:
        self._traffic = traffic
        self._bars = Bars(
            BarColumn(bar_width=None),
            TextColumn("{task.description}", markup=False),
            console=_console(stderr=True),
            transient=True,
            expand=True,
        )
        self._task: TaskID = self._bars.add_task("", total=None)

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._bars.stop()

    def advance(self, progress: Progress) -> None:
        """Move the bar, which is as long as the requests known so far."""
        self._bars.update(
            self._task,
            total=progress.requests_total,
            completed=progress.requests_done,
            description=f"{progress.projects_done}/{progress.projects_total} projects, "
            f"{progress.requests_done}/{progress.requests_total} requests, "
            f"{self._traffic.retries} retries, {self._traffic.limited} times 429",
        )

    def arrived(self, report: ProjectReport) -> None:
        """Do nothing: the bar shows the project already."""


def print_table(reports: Sequence[ProjectReport], summary: Summary, *, width: int | None = None) -> None:
    """Write the table and the line below it to stdout, `width` columns wide or as wide as the terminal."""
    console = _console(width=width)
    if reports:
        console.print(_table(reports, console.width))
        console.print(Text(legend(reports), style="dim"))
    console.print(Text(str(summary), style="bold"))


def _table(reports: Sequence[ProjectReport], width: int) -> Table:
    roomy = width >= _ROOMY
    gap = 2 if roomy else 1
    headings = ["project", "workflow", "success", "p95", "trend", "/day", "flaky"]
    if roomy:
        headings[5:6] = ["runs/day", "runs"]
    rows = [row for report in reports for row in _rows(report, roomy=roomy)]
    widths = [
        max(len(heading), *(cell.cell_len for cell in column))
        for heading, column in zip(headings, zip(*rows, strict=True), strict=True)
    ]
    # The figures stay whole; what is left of the width is the names'.
    rest = width - sum(widths[2:]) - gap * (len(widths) - 1)
    widths[:2] = _shared(max(rest, 8), widths[0], widths[1])
    table = Table(box=SIMPLE_HEAD, padding=(0, gap - 1, 0, 0), pad_edge=False, show_edge=False, header_style="bold")
    for heading, column_width in zip(headings, widths, strict=True):
        justify: JustifyMethod = "left" if heading in _LEFT else "right"
        table.add_column(heading, width=column_width, justify=justify, no_wrap=True, overflow="ellipsis")
    for row in rows:
        table.add_row(*row)
    return table


def _shared(room: int, project: int, workflow: int) -> tuple[int, int]:
    """Return the columns of `room` for both names: their own widths, or two fifths for the workflow and the rest."""
    workflow = min(workflow, max(room - project, room * 2 // 5))
    return min(project, room - workflow), workflow


def _rows(report: ProjectReport, *, roomy: bool) -> list[list[Text]]:
    name = Text(_short(report.slug), style="bold")
    flaky = Text("?", style="dim") if report.flaky_tests is None else _flaky(report.flaky_tests)
    if not report.workflows:
        blanks = [Text("") for _ in range(5 if roomy else 4)]
        return [[name, Text("no runs", style="dim"), *blanks, flaky]]
    rows = [_cells(workflow, roomy=roomy) for workflow in report.workflows]
    first = [name, *rows[0], flaky]
    return [first, *([Text(""), *row, Text("")] for row in rows[1:])]


def _cells(workflow: WorkflowReport, *, roomy: bool) -> list[Text]:
    unknown = Text("-", style="dim")
    cells = [
        Text(workflow.name),
        unknown if workflow.success_rate is None else _success(workflow.success_rate, 10 if roomy else 5),
        unknown if workflow.p95 is None else Text(duration(workflow.p95)),
        Text(sparkline(workflow.trend), style="cyan"),
        unknown if workflow.throughput is None else Text(rate(workflow.throughput)),
    ]
    return [*cells, unknown if workflow.runs is None else Text(f"{workflow.runs:,}")] if roomy else cells


def _success(share: float, width: int) -> Text:
    colour = "green" if share >= _GOOD else "yellow" if share >= _FAIR else "red"
    return Text.assemble((bar(share, width), colour), f" {percentage(share):>4}")


def _flaky(count: int) -> Text:
    return Text(str(count), style="yellow" if count else "dim")


def _short(slug: str) -> str:
    """Return a slug with its opaque ids, as standalone projects have them, cut to their distinct parts."""
    provider, *rest = slug.split("/")
    if provider == "circleci":
        rest = [part if len(part) <= 6 else f"{part[:5]}…" for part in rest]
    return "/".join((provider, *rest))
