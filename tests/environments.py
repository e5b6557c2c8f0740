"""Run tests in environments that differ from the usual one, and print a table of results.

    python -m tests.environments                  # each environment with the tests that can depend on it, then all
    python -m tests.environments --only NO_COLOR  # environments with a name that contains this text
    python -m tests.environments --quick          # without those that run the whole suite

The last two run the whole suite: in all others combined, and without the official documents. The exit status is 1 if a
test fails.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import attrs

ROOT: Final = Path(__file__).parents[1]
# Tests that run the command, print, parse dates, read the environment, or start processes.
RELEVANT: Final = (
    "tests/cli",
    "tests/docs/test_code_blocks.py",
    "tests/http/test_aioresponses.py",
    "tests/http/test_auth.py",
    "tests/http/test_client.py",
    "tests/http/test_transport.py",
    "tests/language",
    "tests/unit/test_clock.py",
    "tests/unit/test_errors.py",
    "tests/unit/test_layers.py",
    "tests/unit/test_retry.py",
)
# Port 9 discards: a request that uses the proxy fails.
_PROXY: Final = "http://127.0.0.1:9"
_SECONDS: Final = 1500


@attrs.frozen
class Environment:
    """A way to run tests.

    variables: set, or removed if None. arguments: further ones of pytest.
    """

    name: str
    variables: Mapping[str, str | None] = attrs.field(factory=dict)
    arguments: tuple[str, ...] = ()
    ignores_sigint: bool = False
    other_directory: bool = False
    path_with_space: bool = False
    has_documents: bool = True


_SINGLE: Final = (
    Environment("TERM=dumb", {"TERM": "dumb"}),
    Environment("TERM unset", {"TERM": None}),
    Environment("NO_COLOR=1", {"NO_COLOR": "1"}),
    Environment("FORCE_COLOR=1", {"FORCE_COLOR": "1"}),
    Environment("COLUMNS=40", {"COLUMNS": "40"}),
    Environment("LC_ALL=C PYTHONUTF8=0", {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}),
    Environment("TZ=Asia/Tokyo", {"TZ": "Asia/Tokyo"}),
    Environment(
        "token and base URL set",
        {"CIRCLECI_TOKEN": "a-token", "CIRCLE_TOKEN": "another", "CIRCLECI_BASE_URL": "http://127.0.0.1:9"},
    ),
    Environment("proxy set", dict.fromkeys(("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy"), _PROXY)),
    Environment("SIGINT ignored", ignores_sigint=True),
    Environment("another random order", arguments=("-p", "randomly")),
    Environment("another working directory", other_directory=True),
    Environment("path with a space", path_with_space=True),
)
COMBINED: Final = Environment(
    "all of these, whole suite",
    # NO_COLOR and FORCE_COLOR exclude each other, as do TERM=dumb and no TERM.
    {
        name: value
        for each in _SINGLE
        if each.name not in ("TERM unset", "FORCE_COLOR=1")
        for name, value in each.variables.items()
    },
    ignores_sigint=True,
    other_directory=True,
    path_with_space=True,
)
# As on any machine on which the project was cloned.
CLONED: Final = Environment("no official documents, whole suite", path_with_space=True, has_documents=False)


@contextmanager
def copied(*, has_documents: bool = True) -> Iterator[Path]:
    """Yield a copy of the checkout whose path has a space, with the official documents next to it."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "a path with a space" / "checkout"
        skipped = shutil.ignore_patterns(".*", "__pycache__", "site", "build", "dist", "mutants", "*.egg-info")
        shutil.copytree(ROOT, copy, ignore=skipped)
        # .ci is hidden, but belongs to the checkout.
        shutil.copytree(ROOT / ".ci", copy / ".ci")
        shutil.copy(ROOT / ".gitignore", copy)
        if has_documents and (shared := ROOT.parent / "shared").exists():
            (copy.parent / "shared").symlink_to(shared.resolve())
        yield copy


def _ignore_sigint() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def run(environment: Environment, tests: tuple[str, ...]) -> tuple[bool, str, str]:
    """Run tests. Return whether they pass, pytest's last line, and its output."""
    place = copied(has_documents=environment.has_documents) if environment.path_with_space else _in_place()
    with place as root, tempfile.TemporaryDirectory() as elsewhere:
        variables = {**os.environ, "PYTHONPATH": str(root), "PYTHONDONTWRITEBYTECODE": "1"}
        for name, value in environment.variables.items():
            if value is None:
                variables.pop(name, None)
            else:
                variables[name] = value
        done = subprocess.run(
            [
                *(sys.executable, "-m", "pytest", "-q", "-n", "2", "--dist", "worksteal", "-m", "not checks"),
                *("-p", "no:cacheprovider", *environment.arguments),
                *(str(root / test) for test in tests),
            ],
            cwd=elsewhere if environment.other_directory else root,
            env=variables,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
            timeout=_SECONDS,
            check=False,
            preexec_fn=_ignore_sigint if environment.ignores_sigint else None,
        )
    output = re.sub(r"\x1b\[[0-9;]*m", "", done.stdout)
    summary = [line for line in output.splitlines() if re.search(r"\d+ (?:passed|failed|error)", line)]
    return done.returncode == 0, summary[-1].strip("= ") if summary else "no result", output


@contextmanager
def _in_place() -> Iterator[Path]:
    yield ROOT


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="python -m tests.environments")
    parser.add_argument("--only", default="", help="environments with a name that contains this text")
    parser.add_argument("--quick", action="store_true", help="without those that run the whole suite")
    options = parser.parse_args()
    plan = [(environment, RELEVANT) for environment in _SINGLE]
    if not options.quick:
        plan += [(each, ("tests",)) for each in (COMBINED, CLONED)]
    rows: list[tuple[str, str, str]] = []
    for environment, tests in plan:
        if options.only not in environment.name:
            continue
        started = time.monotonic()
        passes, summary, output = run(environment, tests)
        if not passes:
            print(f"--- {environment.name}\n{output}", flush=True)
        rows.append((environment.name, "passes" if passes else "FAILS", summary))
        print(f"{environment.name:<35}{rows[-1][1]:<8}{time.monotonic() - started:>5.0f} s  {summary}", flush=True)
    print(f"\n{sum(result == 'passes' for _, result, _ in rows)} of {len(rows)} environments pass")
    sys.exit(any(result != "passes" for _, result, _ in rows) or not rows)


if __name__ == "__main__":
    main()
