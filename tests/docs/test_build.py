"""`make docs` fails on an error in the documentation."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# The interpreter of the environment that has mkdocs. `.ci/run` sets it: its tests run in another environment.
DOCS_PYTHON = os.environ.get("AIOCIRCLE_DOCS_PYTHON") or (sys.executable if find_spec("mkdocs") else None)

pytestmark = [
    pytest.mark.checks,
    pytest.mark.skipif(
        DOCS_PYTHON is None, reason="needs mkdocs: set AIOCIRCLE_DOCS_PYTHON to an interpreter that has it"
    ),
    pytest.mark.skipif(shutil.which("make") is None, reason="needs make"),
]

PLANTED = {
    "broken link": ("[retries](guide/retreis.md)", "guide/retreis.md"),
    "missing anchor": ("[retries](guide/retries.md#no-such-section)", "no-such-section"),
    "unresolved reference": ("[a class][aiocircle.NoSuchClass]", "aiocircle.NoSuchClass"),
}


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of all that the documentation is built from."""
    copy = tmp_path / "a copy"
    copy.mkdir()
    for folder in ("docs", "aiocircle"):
        shutil.copytree(ROOT / folder, copy / folder, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("Makefile", "mkdocs.yml", "pyproject.toml"):
        shutil.copy(ROOT / name, copy / name)
    # An environment that make takes as finished, with the interpreter that has mkdocs.
    python = copy / "env" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(f'#!/bin/sh\nexec "{DOCS_PYTHON}" "$@"\n')
    python.chmod(0o755)
    (copy / "env" / ".has-docs").touch()
    return copy


def make_docs(copy: Path) -> subprocess.CompletedProcess[str]:
    """Run `make docs` in a copy."""
    environment = {**os.environ, "PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(
        ["make", "docs", "VENV=env", "SITE=site"],
        cwd=copy,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


@pytest.mark.parametrize("planted", PLANTED)
def test_make_docs_fails_on_an_error(copy: Path, planted: str) -> None:
    """A broken link, a missing anchor or an unresolved reference fails `make docs`, which names it."""
    text, named = PLANTED[planted]
    with (copy / "docs" / "index.md").open("a", encoding="utf-8") as page:
        page.write(f"\n{text}\n")
    done = make_docs(copy)
    output = done.stdout + done.stderr
    assert done.returncode != 0, output
    assert named in output
    assert "strict mode" in output, "it failed for another reason"


def test_make_docs_succeeds_without_an_error(copy: Path) -> None:
    """The unchanged copy builds, so that the failures above come from the planted errors."""
    done = make_docs(copy)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (copy / "site" / "index.html").exists()
