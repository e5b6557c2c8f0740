from __future__ import annotations

import io
import sys
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiocircle.cli.terminal import clean, has_rich, is_terminal, tolerate_any_text, width_of
from tests.support.rows import each_row

STEERING = st.sampled_from(
    ["\x1b[", "\x1b]", "\x9b", "\x9d", "\x07", "\x1b\\", "\x1bP", "\u202e", "\u2066", "31m", "2J"]
)


@each_row(
    ("text", "shown"),
    [
        ("build-and-test", "build-and-test"),
        ("café 日本語 Ω", "café 日本語 Ω"),
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x9b31mred", "red"),
        ("\x1b]0;owned\x07title", "title"),
        ("\x1b]8;;http://evil.example\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x1b]52;c;cm0gLXJm\x9cclipboard", "clipboard"),
        ("\x1bPq#0\x1b\\sixel", "sixel"),
        ("\x1b]0;never ended", "0;never ended"),
        ("\x1bcreset", "reset"),
        ("\x1b(Bcharset", "charset"),
        ("a\x1b", "a"),
        ("main\u202egnp.exe\u202c", "maingnp.exe"),
        ("\u2066isolated\u2069\u200e\u200f\u061c", "isolated"),
        ("zero\u200bwidth\ufeff", "zerowidth"),
        ("tag\U000e0041", "tag"),
        ("half \ud800", "half "),
        ("one\r\ntwo\tthree\x0bfour\u2028five", "one  two three four five"),
        ("\x00\x08\x7f\x85x\x84", " x"),
        ("[bold]markup[/bold] :smile:", "[bold]markup[/bold] :smile:"),
        ("", ""),
    ],
)
def test_clean(text: str, shown: str) -> None:
    assert clean(text) == shown


@given(st.lists(st.text() | STEERING).map("".join))
def test_clean_text_has_no_control_sequences(text: str) -> None:
    cleaned = clean(text)

    assert not {unicodedata.category(character) for character in cleaned} & {"Cc", "Cf", "Cs", "Zl", "Zp"}
    assert clean(cleaned) == cleaned
    cleaned.encode()


def test_many_unfinished_sequences_are_fast() -> None:
    assert clean("\x1b]x" * 200_000) == "x" * 200_000


@pytest.mark.parametrize(("text", "columns"), [("web", 3), ("日本", 4), ("e\u0301", 1), ("", 0)])
def test_width_of(text: str, columns: int) -> None:
    assert width_of(text) == columns


class Screen(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_is_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    assert is_terminal(Screen())
    assert not is_terminal(io.StringIO())

    monkeypatch.setenv("TERM", "dumb")
    assert not is_terminal(Screen())


def test_has_rich(monkeypatch: pytest.MonkeyPatch) -> None:
    assert has_rich()

    monkeypatch.setitem(sys.modules, "rich", None)
    assert not has_rich()


def test_text_that_the_encoding_lacks_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding="ascii"))

    tolerate_any_text()
    print("█ 日")
    sys.stdout.flush()

    assert written.getvalue() == b"? ?\n"
