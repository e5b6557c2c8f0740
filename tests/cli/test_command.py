"""The commands, from their arguments to their exit status."""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from aiocircle import cli
from aiocircle.cli import main
from aiocircle.resources.insights import ReportingWindow
from aiocircle.testing import LocalCircleCI

from .conftest import Served, command, environment, serve

FREE = ("aiohttp", "attr", "attrs", "cattrs", "msgspec", "rich", "tenacity", "yarl", "multidict", "asyncio")
QUICK = ("demo", "--projects", "1", "--latency", "0", "--faults", "0")
LAST_LINE = re.compile(r"([\d,]+) requests, ([\d,]+) retr(?:y|ies), (\d+) times 429, ([\d,]+) items, [\d.]+ seconds")


@pytest.fixture
def here(served: Served, monkeypatch: pytest.MonkeyPatch) -> Served:
    """The served CircleCI is the one that the environment names."""
    monkeypatch.setenv("CIRCLECI_BASE_URL", served.url)
    monkeypatch.setenv("CIRCLECI_TOKEN", served.token)
    return served


def test_the_command_knows_all_windows() -> None:
    """Written out there, since --help must not import the client."""
    assert list(ReportingWindow) == list(cli._WINDOWS)


# --- arguments -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("arguments", ["--help", "--version", "insights --help", "demo -h", "serve -h"])
def test_help_and_version_import_little(arguments: str) -> None:
    code = (
        "import sys\nfrom aiocircle.cli import main\ntry:\n    main(sys.argv[1:])\nfinally:\n"
        f"    loaded = {FREE!r}\n    print(sorted(set(loaded) & set(sys.modules)), file=sys.stderr)"
    )

    done = subprocess.run(
        [sys.executable, "-c", code, *arguments.split()], env=environment(), capture_output=True, encoding="utf-8"
    )

    assert (done.returncode, done.stderr) == (0, "[]\n")
    assert "aiocircle" in done.stdout


def test_version() -> None:
    done = subprocess.run(command("--version"), env=environment(), capture_output=True, encoding="utf-8")

    assert re.fullmatch(r"aiocircle \d+\.\d+\.\d+\S*\n", done.stdout)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ([], "required"),
        (["nonsense"], "invalid choice"),
        (["insights"], "PROJECT"),
        (["insights", "gh/a/b", "--window", "forever"], "invalid choice"),
        (["insights", "gh/a/b", "--branch", "main", "--all-branches"], "not allowed with"),
        (["insights", "gh/a/b", "--concurrency", "0"], "0 is not 1 or more"),
        (["insights", "gh/a/b", "--top", "-1"], "-1 is not 0 or more"),
        (["demo", "--projects", "many"], "'many' is not a whole number"),
        (["demo", "--faults", "1.5"], "1.5 is not from 0 to 1"),
        (["demo", "--latency", "nan"], "nan is not 0 or more"),
        (["demo", "--latency", "soon"], "'soon' is not a number"),
        (["serve", "--port", "70000"], "70000 is not a port"),
    ],
)
def test_arguments_that_cannot_work(arguments: list[str], complaint: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)

    assert ended.value.code == 2
    assert complaint in capsys.readouterr().err


# --- insights --------------------------------------------------------------------------------------------------


def test_insights(here: Served, capsys: pytest.CaptureFixture[str]) -> None:
    status = main(
        ["insights", "gh/acme/web", "https://github.com/acme/web", "gh/acme/api-gateway", "--window", "last-7-days"]
    )

    out, err = capsys.readouterr()
    lines = out.splitlines()
    assert status == 0
    assert lines[0].split() == ["project", "workflow", "success", "p95", "runs/day", "runs", "flaky", "trend"]
    # In the order given, though a project is shown when it is complete; twice the same is once.
    slugs = [line.split()[0] for line in lines[1:-2]]
    assert list(dict.fromkeys(slugs)) == ["gh/acme/web", "gh/acme/api-gateway"]
    assert LAST_LINE.fullmatch(lines[-1])
    assert sorted(line.split(":")[0] for line in err.splitlines())[0].startswith("1/2 gh/acme/")
    assert len(err.splitlines()) == 2
    assert "\x1b" not in out + err


def test_top_reports_what_it_hides(here: Served, capsys: pytest.CaptureFixture[str]) -> None:
    main(["insights", "gh/acme/web", "--top", "1"])
    cut = capsys.readouterr().out.splitlines()
    main(["insights", "gh/acme/web", "--top", "0"])
    whole = capsys.readouterr().out.splitlines()

    assert len(cut) == 4
    assert len(whole) > 5
    assert f"{len(whole) - len(cut)} less used workflows are hidden" in cut[-2]
    assert LAST_LINE.fullmatch(cut[-1])[4] == LAST_LINE.fullmatch(whole[-1])[4]  # type: ignore[index]


def test_branch_and_window_are_requested(here: Served, capsys: pytest.CaptureFixture[str]) -> None:
    items = []
    for options in (["--all-branches"], ["--branch", "main"], ["--window", "last-24-hours"], ["--branch", "no-such"]):
        assert main(["insights", "gh/acme/web", *options]) == 0
        last = LAST_LINE.fullmatch(capsys.readouterr().out.splitlines()[-1])
        assert last is not None
        items.append(int(last[4].replace(",", "")))

    assert items[0] > items[1] > items[2] > 0
    assert items[1] > items[3]


def test_unknown_project(here: Served, capsys: pytest.CaptureFixture[str]) -> None:
    status = main(["insights", "gh/acme/nowhere", "gh/acme/web"])

    out, err = capsys.readouterr()
    assert status == 1
    assert "gh/acme/web" in out
    assert "nowhere" not in out
    (line,) = [line for line in err.splitlines() if line.startswith("aiocircle: ")]
    assert line.startswith("aiocircle: gh/acme/nowhere: insights.")
    assert "404" in line


def test_a_wrong_token(here: Served, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("CIRCLECI_TOKEN", "s3cret-canary")

    status = main(["insights", "gh/acme/web", "gh/acme/api-gateway"])

    out, err = capsys.readouterr()
    assert (status, out) == (1, "")
    assert len(err.splitlines()) == 1
    assert re.match(r"aiocircle: GET \S+ -> 401: .*token", err)
    assert "canary" not in err


def test_no_token(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["insights", "gh/acme/web"]) == 2

    out, err = capsys.readouterr()
    assert (out, len(err.splitlines())) == ("", 1)
    assert err.startswith("aiocircle: the token is missing")
    assert "CIRCLECI_TOKEN" in err


@pytest.mark.parametrize(
    "slug", ["acme/web", "gh/acme/..", "svn/acme/web", "https://user:s3cret@example.com/a/b", "gh/a/\x1b[2J"]
)
def test_a_bad_slug(slug: str, here: Served, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["insights", "gh/acme/web", slug]) == 2

    out, err = capsys.readouterr()
    assert (out, len(err.splitlines())) == ("", 1)
    assert err.startswith("aiocircle: ")
    assert "s3cret" not in err
    assert "\x1b" not in err


def test_unreachable_host(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("CIRCLECI_TOKEN", "s3cret-canary")
    monkeypatch.setenv("CIRCLECI_BASE_URL", "http://example.com")

    assert main(["insights", "gh/acme/web"]) == 2
    assert "plain http" in capsys.readouterr().err


# --- demo ------------------------------------------------------------------------------------------------------


def test_demo(capsys: pytest.CaptureFixture[str]) -> None:
    status = main(["demo", "--projects", "2", "--latency", "0", "--faults", "0", "--seed", "3", "--rate-limit", "0"])

    out, err = capsys.readouterr()
    assert status == 0
    assert len(out.splitlines()) == 5
    last = LAST_LINE.fullmatch(out.splitlines()[-1])
    assert last is not None
    assert int(last[1]) > 10
    assert (last[2], last[3]) == ("0", "0")
    assert int(last[4].replace(",", "")) > 100
    assert "2 projects,\n0 ms for a response, no rate limit, 0% faults." in err


async def test_demo_counts_match_the_server(capsys: pytest.CaptureFixture[str]) -> None:
    """The last line's counts, against the server's own, under faults. Time is the loop's: nothing sleeps."""
    from aiocircle import CircleCI, ProjectSlug, RetryPolicy
    from aiocircle.cli.insights import fetch_and_show
    from aiocircle.cli.traffic import Traffic
    from aiocircle.client import add_observer

    traffic = Traffic()
    async with (
        LocalCircleCI(3, faults={"429": 0.1, "500": 0.1, "truncate": 0.05, "drop": 0.05}, page_size=50) as server,
        CircleCI(
            server.token,
            base_url=server.url,
            retry=RetryPolicy(attempts=20, base=0.01),
        ) as circle,
    ):
        add_observer(circle, traffic)
        projects = [ProjectSlug.parse(slug) for slug in server.projects]
        assert await fetch_and_show(circle, projects, traffic, window="last-30-days") == 0

    last = LAST_LINE.fullmatch(capsys.readouterr().out.splitlines()[-1])
    assert last is not None
    asked = [(request.path, tuple(request.query)) for request in server.requests]
    assert int(last[1]) == len(set(asked)) + int(last[2])
    assert int(last[2]) > 0
    assert int(last[3]) == server.statistics.statuses[429] > 0


def test_closed_output_pipe() -> None:
    process = subprocess.Popen(
        command(*QUICK),
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()

    said = process.stderr.read()
    process.stderr.close()
    assert process.wait(timeout=30) == 1
    assert "Traceback" not in said
    assert "Exception" not in said


def test_ctrl_c_shows_no_traceback() -> None:
    process = subprocess.Popen(
        command("demo", "--projects", "1", "--latency", "30"),
        env=environment(),
        stderr=subprocess.PIPE,
        encoding="utf-8",
        # A background job of a shell inherits SIGINT as ignored, and so would the command.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    assert process.stderr is not None
    process.stderr.readline()
    process.send_signal(signal.SIGINT)

    _, said = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "Traceback" not in said


def in_a_terminal(*arguments: str, **variables: str) -> tuple[int, str]:
    """Return the exit status of a command and its output on a terminal of 100 columns."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        command(*arguments),
        env=environment(TERM="xterm-256color", COLUMNS="100", **variables),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    written = b""
    while select.select([ours], [], [], 60)[0]:
        try:
            chunk = os.read(ours, 65536)
        except OSError:  # Linux: the other side is closed
            break
        if not chunk:
            break
        written += chunk
    os.close(ours)
    return process.wait(timeout=30), written.decode()


def test_demo_in_a_terminal() -> None:
    status, written = in_a_terminal("demo", "--projects", "2", "--latency", "0.01", "--faults", "0")

    assert status == 0
    assert "━" in written
    assert "\x1b[32m" in written or "\x1b[33m" in written
    assert "gh/acme/web" in written
    assert written.count("\x1b[?25l") == written.count("\x1b[?25h") == 1  # the cursor, hidden and shown
    assert LAST_LINE.search(written)


def test_no_color() -> None:
    status, written = in_a_terminal(*QUICK, NO_COLOR="1")

    assert status == 0
    assert not re.search(r"\x1b\[[0-9;]*3[0-7]m", written)


def test_terminal_without_rich_gets_a_hint(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text("import sys; sys.modules['rich'] = None")

    status, written = in_a_terminal(
        "demo", "--projects", "1", "--latency", "0", "--faults", "0", PYTHONPATH=str(tmp_path)
    )

    assert status == 0
    assert 'pip install "aiocircle[cli]"' in written
    assert "\x1b" not in written
    assert LAST_LINE.search(written)


def test_verbose_shows_retries() -> None:
    done = subprocess.run(
        command(
            "demo", "--projects", "1", "--latency", "0", "--rate-limit", "0", "--faults", "0.1", "--seed", "3", "-v"
        ),
        env=environment(),
        capture_output=True,
        encoding="utf-8",
    )

    assert done.returncode == 0
    retries = LAST_LINE.search(done.stdout)
    assert retries is not None
    assert done.stderr.count(": attempt ") == int(retries[2]) > 0


# --- serve -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_serve_runs_until_it_is_stopped(
    number: signal.Signals, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    served = serve("--projects", "1", "--page-size", "100")
    monkeypatch.setenv("CIRCLECI_BASE_URL", served.url)
    monkeypatch.setenv("CIRCLECI_TOKEN", served.token)

    assert main(["insights", "gh/acme/api-gateway"]) == 0
    last = LAST_LINE.search(capsys.readouterr().out)
    assert last is not None
    rest = served.stop(number)

    assert served.process.returncode == 0
    assert rest.endswith(f"Stopped after {last[1]} requests.\n")
    assert "Traceback" not in rest


def test_port_in_use(served: Served, capsys: pytest.CaptureFixture[str]) -> None:
    port = served.url.rpartition(":")[2]

    assert main(["serve", "--port", port]) == 1

    out, err = capsys.readouterr()
    assert (out, len(err.splitlines())) == ("", 1)
    assert err.startswith("aiocircle: ")
    assert port in err


def test_serve_lists_many_projects() -> None:
    served = serve("--projects", "12")

    assert "  and 2 more\n" in served.stop()


def test_public_names() -> None:
    assert cli.__all__ == ["main"]
