"""Display of reports, on a terminal and elsewhere."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiocircle.bulk import Progress
from aiocircle.cli import display, live, plain
from aiocircle.cli.report import ProjectReport
from aiocircle.cli.terminal import clean, width_of
from aiocircle.cli.traffic import Traffic

from .conftest import SUMMARY, project, workflow

STYLES = re.compile(r"\x1b\[[0-9;]*m")
HALFWAY = Progress(projects_done=1, projects_total=12, requests_done=30, requests_total=60)


def lines_of(reports: Sequence[ProjectReport], width: int, capsys: pytest.CaptureFixture[str]) -> list[str]:
    live.print_table(reports, SUMMARY, width=width)
    return STYLES.sub("", capsys.readouterr().out).splitlines()


def test_plain_table(capsys: pytest.CaptureFixture[str]) -> None:
    plain.print_table(
        [
            project("gh/acme/web", workflow(), workflow("deploy", p95=None, throughput=None, runs=7)),
            project("gh/acme/日本", workflow("quiet", trend=()), flaky_tests=None, hidden=2),
            project("gh/acme/new", flaky_tests=0, workflows=()),
        ],
        SUMMARY,
    )

    assert capsys.readouterr().out.splitlines() == [
        "project       workflow        success      p95  runs/day   runs  flaky         trend",
        "gh/acme/web   build-and-test      96%  12m 03s      14.2  1,208      3  ▁ ██████████",
        "gh/acme/web   deploy              96%        -         -      7      3  ▁ ██████████",
        "gh/acme/日本  quiet               96%  12m 03s      14.2  1,208      -",
        "gh/acme/new   -                     -        -         -      0      0",
        "trend: median duration. 2 less used workflows are hidden: --top 0 shows them.",
        "1,204 requests, 61 retries, 7 times 429, 31,204 items, 9.8 seconds",
    ]


def test_table_on_a_wide_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    reports = [
        project("gh/acme/web", workflow(), workflow("deploy", success_rate=0.5, runs=7)),
        project("circleci/5lsfxlwxKFrc0dVEpisj8r/5Jm6yUYRBfFfnUKNmzBR6w", flaky_tests=0),
        project("gh/acme/new", workflows=(), flaky_tests=None),
    ]

    assert [line.rstrip() for line in lines_of(reports, 120, capsys)] == [
        "project                 workflow        success              p95  trend         runs/day   runs  flaky",
        "──────────────────────────────────────────────────────────────────────────────────────────────────────",
        "gh/acme/web             build-and-test  █████████▋  96%  12m 03s  ▁ ██████████      14.2  1,208      3",
        "                        deploy          █████       50%  12m 03s  ▁ ██████████      14.2      7",
        "circleci/5lsfx…/5Jm6y…  build-and-test  █████████▋  96%  12m 03s  ▁ ██████████      14.2  1,208      0",
        "gh/acme/new             no runs                                                                      ?",
        "trend: median duration.",
        "1,204 requests, 61 retries, 7 times 429, 31,204 items, 9.8 seconds",
    ]


@pytest.mark.parametrize("width", [80, 93, 94, 120, 200])
def test_a_terminal_is_never_too_narrow(width: int, capsys: pytest.CaptureFixture[str]) -> None:
    reports = [project("gh/acme/" + "long" * 30, workflow("build and test and " * 9, runs=12_345)), project()]

    lines = lines_of(reports, width, capsys)

    assert len(lines) == 6
    assert max(map(width_of, lines)) <= width
    assert all("96%  12m 03s" in line or "96% 12m 03s" in line for line in lines[2:4])


@given(name=st.text(st.sampled_from("[]/bold=red:smile:\\ab日\u202e\x1b\x9b\x00#@link"), max_size=30))
def test_names_are_never_read_as_markup(name: str) -> None:
    name = clean(name)

    rows = live._rows(project("gh/acme/web", workflow(name)), roomy=True)  # pyright: ignore[reportPrivateUsage]

    assert rows[0][1].plain == name


def test_markup_in_names_is_printed_unchanged(capsys: pytest.CaptureFixture[str]) -> None:
    name = "[bold red]:boom:[/]"

    assert f"  {name}  " in lines_of([project("gh/acme/web", workflow(name))], 120, capsys)[2]


def test_empty_report_has_no_table(capsys: pytest.CaptureFixture[str]) -> None:
    plain.print_table([], SUMMARY)
    assert capsys.readouterr().out == f"{SUMMARY}\n"

    assert lines_of([], 100, capsys) == [str(SUMMARY)]


def test_plain_progress(capsys: pytest.CaptureFixture[str]) -> None:
    with plain.PlainProgress() as progress:
        progress.advance(HALFWAY)
        progress.arrived(project())

    assert capsys.readouterr() == ("", " 1/12 gh/acme/web: 1,300 items\n")


def test_live_progress_shows_counts_and_is_removed(capsys: pytest.CaptureFixture[str]) -> None:
    traffic = Traffic()
    traffic.requests, traffic.retries, traffic.limited = 9, 2, 1
    with live.LiveProgress(traffic) as progress:
        progress.advance(HALFWAY)
        progress.arrived(project())
        sys.stderr.write("a line between\n")

    out, err = capsys.readouterr()
    assert out == ""
    assert "1/12 projects, 30/60 requests, 2 retries, 1 times 429" in STYLES.sub("", err)
    assert "a line between" in err
    assert err.endswith("\x1b[?25h\r\x1b[1A\x1b[2K")  # the cursor is back, the bar gone


@pytest.mark.parametrize(
    ("terminal", "rich", "kind"),
    [(True, True, live.LiveProgress), (True, False, plain.PlainProgress), (False, True, plain.PlainProgress)],
)
def test_which_display(
    terminal: bool, rich: bool, kind: type, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(display, "is_terminal", lambda _: terminal)
    monkeypatch.setattr(display, "has_rich", lambda: rich)

    assert isinstance(display.show_progress(Traffic()), kind)
    display.show_table([project()], SUMMARY)

    out, err = capsys.readouterr()
    assert ("\x1b" in out) is (kind is live.LiveProgress)
    assert ('pip install "aiocircle[cli]"' in err) is (terminal and not rich)
