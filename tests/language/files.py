"""Files that the rules of language apply to, and those that are not converted yet."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from tests.language.rules import Finding

ROOT: Final = Path(__file__).parents[2]
UNCONVERTED: Final = Path(__file__).with_name("unconverted.txt")
PARTS: Final = ("package", "tests", "docs")
_PYTHON: Final = ("aiocircle", "benchmarks", "docs", "tests")


def files(root: Path = ROOT) -> Iterator[Path]:
    """Yield Python files and Markdown pages of a checkout."""
    for folder in _PYTHON:
        yield from sorted((root / folder).rglob("*.py"))
    yield from sorted(root.glob("*.md"))
    yield from sorted((root / "docs").rglob("*.md"))


def part_of(path: str) -> str:
    """Return `package`, `tests` or `docs` for a path."""
    if path.endswith(".md"):
        return "docs"
    return "package" if path.startswith("aiocircle/") else "tests"


def unconverted() -> set[str]:
    """Return paths of files that may still break the rules."""
    lines = UNCONVERTED.read_text(encoding="utf-8").splitlines()
    return {line for line in lines if line and not line.startswith("#")}


def stale(found: Iterable[Finding]) -> set[str]:
    """Return entries of the list that are clean or gone."""
    return unconverted() - {finding.path for finding in found}
