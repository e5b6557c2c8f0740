"""Wrong calls are errors for mypy and pyright, and right calls are not."""

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

pytestmark = pytest.mark.checks

Messages = dict[Path, dict[int, str]]


def messages_of_mypy() -> Messages:
    """Return messages by file and line."""
    command = [sys.executable, "-m", "mypy", "--strict", "--show-absolute-path", "--no-error-summary", "--no-pretty"]
    done = subprocess.run([*command, str(WRONG), str(RIGHT)], capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode in (0, 1), done.stdout + done.stderr
    found: Messages = {}
    for path, line, message in re.findall(r"^(.+?):(\d+): error: (.*)$", done.stdout, re.MULTILINE):
        found.setdefault(Path(path), {})[int(line)] = message
    return found


def messages_of_pyright() -> Messages:
    """Return messages by file and line."""
    command = [sys.executable, "-m", "pyright", "--outputjson", "--pythonpath", sys.executable]
    done = subprocess.run(
        [*command, str(WRONG), str(RIGHT)],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        # Otherwise it requests its latest version from the registry.
        env={**os.environ, "PYRIGHT_PYTHON_IGNORE_WARNINGS": "1"},
    )
    assert done.returncode in (0, 1), done.stdout + done.stderr
    found: Messages = {}
    for each in json.loads(done.stdout)["generalDiagnostics"]:
        if each["severity"] == "error":
            found.setdefault(Path(each["file"]), {})[each["range"]["start"]["line"] + 1] = each["message"]
    return found


@pytest.fixture(scope="module", params=[messages_of_mypy, messages_of_pyright], ids=["mypy", "pyright"])
def messages(request: pytest.FixtureRequest) -> Messages:
    checker: Callable[[], Messages] = request.param
    return checker()


def test_wrong_calls_are_rejected_and_no_others(messages: Messages) -> None:
    """Both checkers, in strict mode, reject a misspelt or missing keyword and a surplus `await`."""
    lines = WRONG.read_text("utf-8").splitlines()
    marked = {number for number, line in enumerate(lines, 1) if line.endswith("# error")}
    assert len(marked) > 90
    found = messages.get(WRONG, {})
    accepted = [lines[number - 1].strip() for number in sorted(marked - {*found})]
    rejected = [f"{lines[number - 1].strip()} -> {found[number]}" for number in sorted({*found} - marked)]
    assert (accepted, rejected) == ([], [])


def test_right_calls_are_accepted_with_their_types(messages: Messages) -> None:
    """Items, pages, models and errors have the types that a caller annotates."""
    lines = RIGHT.read_text("utf-8").splitlines()
    found = messages.get(RIGHT, {})
    assert [f"{lines[number - 1].strip()} -> {message}" for number, message in sorted(found.items())] == []
