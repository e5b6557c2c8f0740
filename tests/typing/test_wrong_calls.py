"""A wrong call is an error before it is run: mypy and pyright both reject it, and nothing else."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
WRONG, RIGHT = HERE / "wrong_calls.py", HERE / "right_calls.py"

Complaints = dict[Path, dict[int, str]]


def complaints_of_mypy() -> Complaints:
    """By file and line."""
    command = [sys.executable, "-m", "mypy", "--strict", "--show-absolute-path", "--no-error-summary", "--no-pretty"]
    done = subprocess.run([*command, str(WRONG), str(RIGHT)], capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode in (0, 1), done.stdout + done.stderr
    found: Complaints = {}
    for path, line, message in re.findall(r"^(.+?):(\d+): error: (.*)$", done.stdout, re.MULTILINE):
        found.setdefault(Path(path), {})[int(line)] = message
    return found


def complaints_of_pyright() -> Complaints:
    """By file and line."""
    command = [sys.executable, "-m", "pyright", "--outputjson", "--pythonpath", sys.executable]
    done = subprocess.run(
        [*command, str(WRONG), str(RIGHT)],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        # Else it asks the registry for its latest version.
        env={**os.environ, "PYRIGHT_PYTHON_IGNORE_WARNINGS": "1"},
    )
    assert done.returncode in (0, 1), done.stdout + done.stderr
    found: Complaints = {}
    for each in json.loads(done.stdout)["generalDiagnostics"]:
        if each["severity"] == "error":
            found.setdefault(Path(each["file"]), {})[each["range"]["start"]["line"] + 1] = each["message"]
    return found


@pytest.fixture(scope="module", params=[complaints_of_mypy, complaints_of_pyright], ids=["mypy", "pyright"])
def complaints(request: pytest.FixtureRequest) -> Complaints:
    checker: Callable[[], Complaints] = request.param
    return checker()


def test_every_wrong_call_is_rejected_and_no_other(complaints: Complaints) -> None:
    """A misspelt keyword, a forgotten one, an `await` too many: both checkers say so, with their strictest rules."""
    lines = WRONG.read_text().splitlines()
    marked = {number for number, line in enumerate(lines, 1) if line.endswith("# error")}
    assert len(marked) > 90
    found = complaints.get(WRONG, {})
    accepted = [lines[number - 1].strip() for number in sorted(marked - {*found})]
    rejected = [f"{lines[number - 1].strip()} -> {found[number]}" for number in sorted({*found} - marked)]
    assert (accepted, rejected) == ([], [])


def test_every_right_call_is_accepted_with_the_type_that_is_promised(complaints: Complaints) -> None:
    """Items, pages, models and errors: what a caller's own annotations say."""
    lines = RIGHT.read_text().splitlines()
    found = complaints.get(RIGHT, {})
    assert [f"{lines[number - 1].strip()} -> {message}" for number, message in sorted(found.items())] == []
