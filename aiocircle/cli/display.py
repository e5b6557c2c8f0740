"""Progress and tables: live and coloured where a terminal and rich are there, in plain lines elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from aiocircle.bulk import Progress
from aiocircle.cli import plain
from aiocircle.cli.report import ProjectReport, Summary
from aiocircle.cli.terminal import has_rich, is_terminal
from aiocircle.cli.traffic import Traffic

__all__ = ["ProgressDisplay", "show_progress", "show_table"]


class ProgressDisplay(Protocol):
    """Shows on stderr how far a fetch is."""

    def advance(self, progress: Progress) -> None:
        """Note how far it is."""
        ...

    def arrived(self, report: ProjectReport) -> None:
        """Note that a project is complete."""
        ...


def show_progress(traffic: Traffic) -> AbstractContextManager[ProgressDisplay]:
    """Return a display for one fetch, with the counts of `traffic`."""
    if is_terminal(sys.stderr):
        if has_rich():
            from aiocircle.cli.live import LiveProgress

            return LiveProgress(traffic)
        print('A progress bar and colours need another package: pip install "aiocircle[cli]"', file=sys.stderr)
    return plain.PlainProgress()


def show_table(reports: Sequence[ProjectReport], summary: Summary) -> None:
    """Write the table of `reports` and the line of `summary` to stdout."""
    if is_terminal(sys.stdout) and has_rich():
        from aiocircle.cli.live import print_table

        print_table(reports, summary)
    else:
        plain.print_table(reports, summary)
