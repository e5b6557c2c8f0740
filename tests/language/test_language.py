"""Code and documentation keep the rules of language."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.language.__main__ import all_findings, counts, table
from tests.language.files import UNCONVERTED, stale, unconverted
from tests.language.rules import ALL, Finding, findings_of


@pytest.fixture(scope="module")
def found() -> list[Finding]:
    """All findings, also those in unconverted files."""
    return all_findings()


@pytest.mark.checks
def test_converted_files_keep_the_rules(found: list[Finding]) -> None:
    """No file breaks a rule, apart from those on the list of unconverted files."""
    skipped = unconverted()
    assert [str(finding) for finding in found if finding.path not in skipped] == []


@pytest.mark.checks
def test_unconverted_list_only_shrinks(found: list[Finding]) -> None:
    """An entry of the list that is clean or gone must be removed: run `python -m tests.language --shrink`."""
    assert stale(found) == set()
    lines = [line for line in UNCONVERTED.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    assert lines == sorted({*lines})


SOURCE = '''\
"""What this module has."""

def test_that_this_name_is_longer_than_fifty_characters_in_all() -> None:
    """Responses arrive. Nobody waits."""

def load() -> None:
    """The value that was asked for."""
    # It is no list,
    # and the server says so at once.
    raise ValueError("the answer came anew")

class Box:
    """Box with `answer` and a sentence that has a good many more words than the twenty-five which are allowed, so
    that it is found by the rule, which is the point here.
    """

    @property
    def size(self) -> int:
        """The size."""
'''


def places(path: Path, text: str) -> list[tuple[int, str]]:
    path.parent.mkdir(exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return sorted((finding.line, finding.habit) for finding in findings_of(path, path.parents[1]))


def test_places_in_python_are_found(tmp_path: Path) -> None:
    """Docstrings, comments over several lines, messages and names are read; code and properties are not prose."""
    assert places(tmp_path / "aiocircle" / "test_it.py", SOURCE) == [
        (1, "first word"),
        (3, "long test name"),
        (4, "people"),
        (7, "ask"),
        (7, "not imperative"),
        (8, "is no X"),
        (9, "at once"),
        (9, "say, tell"),
        (10, "answer"),
        (10, "old words"),
        (13, "long sentence"),
    ]


def test_messages_of_tests_are_not_prose(tmp_path: Path) -> None:
    """Data in tests may have any words, and docstrings of tests are claims, not orders."""
    assert places(tmp_path / "tests" / "test_it.py", 'X = "the answer came anew"\n\ndef x():\n    """The x."""\n') == []


def test_places_in_markdown_are_found(tmp_path: Path) -> None:
    """Prose is read, list items and cells are sentences of their own, code blocks and links are skipped."""
    words = "word " * 20
    page = (
        f"# Title\n\nAn answer.\n\n- {words}\n- {words}\n\n| {words} | {words} |\n\n```python\nanswer\n```\n`answer`\n"
    )
    assert places(tmp_path / "docs" / "a.md", f"{page}[x](answer.md), too.\n\n{words}{words}\n") == [
        (3, "answer"),
        (14, "old words"),
        (16, "long sentence"),
    ]


@pytest.mark.parametrize(
    ("text", "habit"),
    [
        ("The server told it.", "say, tell"),
        ("Here is none.", "is no X"),
        ("The task who waits.", "people"),
        ("Read whatever comes.", "-ever"),
        ("The call is under way.", "phrases"),
        ("Wait until it is over.", "phrases"),
        ("Go on from here.", "phrases"),
        ("It fails, too.", "old words"),
        ("Keep it, else drop it.", "old words"),
        ("A herd of requests.", "images"),
    ],
)
def test_each_habit_is_found(tmp_path: Path, text: str, habit: str) -> None:
    """A sample of each habit is found, once."""
    assert places(tmp_path / "docs" / "a.md", text) == [(1, habit)]


@pytest.mark.parametrize(
    "text",
    [
        "The user who started it.",
        "It is no longer sent.",
        "It works too well.",
        "The value is over `10`.",
        "Use `ask` here.",
        "See https://example.org/answer now.",
    ],
)
def test_plain_words_pass(tmp_path: Path, text: str) -> None:
    """Words that only resemble a habit pass."""
    assert places(tmp_path / "docs" / "a.md", text) == []


def test_counts_table_has_each_habit() -> None:
    """The table has a row per habit, and the figures of before in front of those of now."""
    found = [Finding("aiocircle/a.py", 1, "answer", "x"), Finding("docs/a.md", 1, "answer", "x")]
    assert counts(found) == {("answer", "package"): 1, ("answer", "docs"): 1}
    lines = table(found, found[:1]).splitlines()
    assert [line[:16].strip() for line in lines[2:-1]] == [*ALL]
    assert lines[2].split() == ["answer", "1/0/0", "1/0/1"]
