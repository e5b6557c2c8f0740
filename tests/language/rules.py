"""Rules of language that a script can hold, and the places that break them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import attrs

from tests.language.texts import Text, texts_of

# Longer sentences are hard to follow for readers whose second language is English.
MAX_WORDS: Final = 25
# Longer names are cut in reports, and cannot be typed after -k.
MAX_TEST_NAME: Final = 50

_FLAGS = re.IGNORECASE
# A habit's name, how to recognize it, and what to write in its place.
HABITS: Final[dict[str, tuple[re.Pattern[str], str]]] = {
    "answer": (re.compile(r"\b(?:un)?answer(?:s|ed|ing)?\b", _FLAGS), "response, respond"),
    "say, tell": (
        re.compile(r"\b(?:say|says|said|saying|tell|tells|told|telling)\b", _FLAGS),
        "returns, contains, reports",
    ),
    "ask": (re.compile(r"\bask(?:s|ed|ing)?\b", _FLAGS), "request, requested"),
    # None with a capital is Python's value: "must be None" is the form of a message.
    "is no X": (
        re.compile(
            r"(?<!there )\b(?:is|are|was|were|be) (?:no\b(?! longer| more\b| later| earlier)|(?-i:none)\b)", _FLAGS
        ),
        "is not a valid X; None if",
    ),
    "people": (
        re.compile(
            r"\b(?:nobody|somebody|everybody|anybody|whoever|whomever"
            r"|(?<!user )(?<!person )(?<!author )(?<!actor )(?<!member )(?<!owner )who)\b",
            _FLAGS,
        ),
        "the request, the task, the caller, the server",
    ),
    "-ever": (re.compile(r"\b(?:what|which|wher|when|how)ever\b", _FLAGS), "name the things"),
    "at once": (re.compile(r"\bat once\b", _FLAGS), "immediately or concurrently"),
    "phrases": (
        re.compile(
            r"\bunder way\b|\b(?:held|hold|holds|holding) back\b|\b(?:let|lets|letting) through\b"
            r"|\b(?:is|are|was|were|be) over\b(?! \d| xx)|\b(?:go|goes|going|went|gone) on\b",
            _FLAGS,
        ),
        "in flight; delayed; admitted; finished; continue",
    ),
    "old words": (
        re.compile(
            r"\b(?:besides?|lately|anew|likewise|nevertheless)\b|, else\b|, too(?=[\s.,;:)]|$)",
            _FLAGS,
        ),
        "next to; recently; again; also; otherwise",
    ),
    "images": (
        re.compile(
            r"\b(?:breath|herds?|lanes?|patience|(?:im)?patient(?:ly)?|promis(?:e|es|ed|ing))\b",
            _FLAGS,
        ),
        "name the event",
    ),
}
FIRST_WORD: Final = "first word"
IMPERATIVE: Final = "not imperative"
LONG_SENTENCE: Final = "long sentence"
LONG_NAME: Final = "long test name"
ALL: Final = (*HABITS, FIRST_WORD, IMPERATIVE, LONG_SENTENCE, LONG_NAME)

_BAD_FIRST: Final = {
    *("what", "whether", "how", "where", "of", "not"),
    *("whatever", "whoever", "whichever", "wherever", "however", "who", "whose"),
}
# No verb in the imperative begins a sentence with these.
_NOT_A_VERB: Final = re.compile(
    r"an?|the|this|that|these|those|its|their|one|two|each|every|all|both|any|some|no|none|as|at|by|for|from|in|on|to"
    r"|with|without|only|once|also|and|or|else|it|they|there|when|if|false|nothing|everything|something"
)


@attrs.frozen(order=True)
class Finding:
    """A place that breaks a rule."""

    path: str
    line: int
    habit: str
    text: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.habit}: {self.text}"


def findings_of(path: Path, root: Path) -> Iterator[Finding]:
    """Yield each place in a file that breaks a rule."""
    name = path.relative_to(root).as_posix()
    for text in texts_of(path, is_test=name.startswith("tests/")):
        yield from _words(name, text)
        if text.kind == "docstring":
            yield from _opening(name, text)
        if text.kind in ("docstring", "prose"):
            yield from _sentences(name, text)
        if text.kind == "name" and text.is_test and len(text.source) > MAX_TEST_NAME:
            yield Finding(name, text.line, LONG_NAME, f"{text.source} ({len(text.source)} characters)")


def _words(name: str, text: Text) -> Iterator[Finding]:
    for habit, (pattern, _) in HABITS.items():
        for match in pattern.finditer(text.plain):
            yield Finding(name, text.line_at(match.start()), habit, _around(text.plain, match))


def _around(plain: str, match: re.Match[str]) -> str:
    start = max(0, match.start() - 25)
    return " ".join(plain[start : match.end() + 25].split())


def _opening(name: str, text: Text) -> Iterator[Finding]:
    first = re.match(r"\W*([A-Za-z']+)", text.plain)
    if first is None:
        return
    word = first[1].lower()
    beginning = " ".join(text.plain.split()[:6])
    if word in _BAD_FIRST:
        yield Finding(name, text.line, FIRST_WORD, beginning)
    elif text.wants_verb and _NOT_A_VERB.fullmatch(word):
        yield Finding(name, text.line, IMPERATIVE, beginning)


def _sentences(name: str, text: Text) -> Iterator[Finding]:
    for start, sentence in text.sentences():
        words = re.findall(r"[\w'/.-]*\w[\w'/.-]*", sentence)
        if len(words) > MAX_WORDS:
            beginning = " ".join(words[:6])
            yield Finding(name, text.line_at(start), LONG_SENTENCE, f"{len(words)} words: {beginning} …")
