"""Terminal output: the final text of a terminal, for each division of the output into parts."""

from __future__ import annotations

import random
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiocircle.composites._terminal import MAX_LINE, TerminalText
from tests.support.rows import each_row


def lines(*pieces: str) -> list[str]:
    terminal = TerminalText()
    return [line for piece in pieces for line in terminal.feed(piece)] + terminal.finish()


@each_row(
    ("output", "shown"),
    [
        ("", []),
        ("a", ["a"]),
        ("a\n", ["a"]),
        ("a\n\nb", ["a", "", "b"]),
        ("a\r\nb\r\n", ["a", "b"]),
        ("a\r\r\n", ["a"]),
        ("\r\n", [""]),
        ("10 %\r20 %\r100 %\n", ["100 %"]),
        ("long line\rshort", ["shortline"]),
        ("abc\rX\n", ["Xbc"]),
        ("\x1b[31mred\x1b[0m\n", ["red"]),
        ("\x1b[38;5;196mred\x1b[m", ["red"]),
        ("abcdef\r\x1b[K\n", [""]),
        ("abcdef\x1b[3G\x1b[K\n", ["ab"]),
        ("abcdef\x1b[3G\x1b[0KX\n", ["abX"]),
        ("abcdef\x1b[3G\x1b[1KX\n", ["  Xdef"]),
        ("abcdef\x1b[2K\x1b[1Gnew\n", ["new"]),
        ("abc\x1b[2KX\n", ["   X"]),
        ("\x1b[5Gx\n", ["    x"]),
        ("ab\x1b[Gx\n", ["xb"]),
        ("ab\x1b[0Gx\n", ["xb"]),
        ("a\x1b[?Kb\n", ["ab"]),
        ("one\n\x1b[1A\x1b[2Ktwo\n", ["one", "two"]),
        ("\x1b[10;20Hx\x1b[2Jy\x1b[sz\n", ["xyz"]),
        ("\x1b[?25lhidden cursor\x1b[?25h\n", ["hidden cursor"]),
        ("\x1b]0;title\x07text\n", ["text"]),
        ("\x1b]8;;https://x\x1b\\link\x1b]8;;\x1b\\\n", ["link"]),
        ("\x1bPq#0\x1b\\a\x1b_b\x1b\\c\n", ["ac"]),
        ("\x1b(Ba\x1b=b\x1b7c\n", ["abc"]),
        ("a\bb\x07c\0d\x7fe\n", ["abcde"]),
        ("\x9b31mred\n", ["red"]),
        ("ab\x1b\x1b[32m[2Kc\n", ["ab[2Kc"]),
        ("a\tb\n", ["a\tb"]),
        ("\x1b[31", [""]),
        ("\x1b]0;never ended\nnext\n", ["", "next"]),
        ("\x1b[31\nnext\n", ["", "next"]),
        ("\x1b[12ü\n", ["ü"]),
        ("ünï 日本 🙂\r\n", ["ünï 日本 🙂"]),
        ("a\u2028b\x0bc\x0cd\n", ["a\u2028bcd"]),
    ],
)
def test_output_is_shown_as_a_terminal_does(output: str, shown: list[str]) -> None:
    """Carriage returns, erased lines and columns overwrite; everything else that controls is removed."""
    assert lines(output) == shown
    assert lines(*output) == shown


@given(
    st.lists(
        st.sampled_from(
            [
                *[
                    "a",
                    "bc",
                    "\n",
                    "\r",
                    "\r\n",
                    "\x1b",
                    "[",
                    "]",
                    "K",
                    "2K",
                    "\x1b[K",
                    "\x1b[1K",
                    "\x1b[3G",
                    "\x1b[31m",
                ],
                *["\x1b]0;t\x07", "\x1b\\", "\x9b", "ü", "🙂", "\t", "\x07", "1", "\x1b[", "G", ";"],
            ]
        )
    ).map("".join),
    st.randoms(use_true_random=False),
)
def test_division_does_not_matter(output: str, random_: random.Random) -> None:
    """Any division of the output gives the same lines."""
    pieces, at = [], 0
    while at < len(output):
        end = at + random_.randint(1, 4)
        pieces.append(output[at:end])
        at = end
    assert lines(*pieces) == lines(output)


@given(st.text())
def test_no_control_character_is_left(output: str) -> None:
    """But for tabs."""
    for line in lines(output):
        assert all(char == "\t" or not (char < " " or "\x7f" <= char <= "\x9f") for char in line)


def test_division_of_long_lines_is_exact() -> None:
    """A line of 100,000 characters is divided, also if sequences stand at the borders; no character is lost."""
    for shift in range(6):
        output = "x" * shift + "\x1b[31m0123456789\x1b]8;;u\x1b\\" * 10_000
        for step in (7_919, len(output)):
            shown = lines(*(output[at : at + step] for at in range(0, len(output), step)))
            assert "".join(shown) == "x" * shift + "0123456789" * 10_000
            assert max(map(len, shown)) <= MAX_LINE


def test_endless_progress_is_one_line() -> None:
    """A progress bar of megabytes without a line feed."""
    terminal = TerminalText()
    for number in range(50_000):
        assert terminal.feed(f"\r{number:6} of 50000") == []
    assert terminal.finish() == [" 49999 of 50000"]


@pytest.mark.parametrize(
    "piece",
    [
        "x",
        "\r",
        "\x1b",
        "\x1b[",
        "\x1b]",
        "\x1b[1;",
        "\x1b[2K",
        "\x1b[99999G",
        "\x1b[99999Gx\x1b[1K",
        "\rx",
        "\x1b]0;\x1b",
    ],
)
def test_hostile_output_takes_linear_time(piece: str) -> None:
    """Four times the output takes about four times as long, and the buffers stay small."""

    def seconds(size: int) -> float:
        terminal = TerminalText()
        text = "y" * 16_000 + piece * (size // len(piece))
        started = time.process_time()
        for at in range(0, len(text), 10_000):
            terminal.feed(text[at : at + 10_000])
        took = time.process_time() - started
        assert terminal._raw_length + len(terminal._cells) < 4 * MAX_LINE
        return took

    assert seconds(200_000) < 12 * max(seconds(50_000), 0.01)
