"""Texts of a file that people read: docstrings, comments, messages, names and Markdown."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Literal

import attrs

# Inline code, URLs and paths are not prose. They count as one word.
_CODE: Final = re.compile(r"``[^`]+``|`[^`\n]+`|https?://[^\s)>\]]+")
_FENCE: Final = re.compile(r"^( *)(```|~~~).*?^\1\2", re.MULTILINE | re.DOTALL)
# Comments, tags, targets of links, attributes, and directives of mkdocstrings.
_MARKUP: Final = re.compile(
    r"<!--.*?-->|<[^>\n]+>|\]\([^)\n]*\)|\{[^}\n]*\}|^\s*:::[^\n]*(?:\n {4}[^\n]*)*", re.MULTILINE | re.DOTALL
)
# Where a sentence ends: a full stop, a paragraph, an item of a list or of parameters, a cell of a table.
_END: Final = re.compile(
    r"(?<=[.!?])[\"')*_]*(?=\s)|\n\s*\n|\n(?=\s*(?:[-*+>#]|\d+\.)\s)|\n(?=\s*[a-z_]+(?:, [a-z_]+)*: )|\|"
)


@attrs.frozen
class Text:
    """A piece of text.

    plain: as long as the source, with code blanked, so that positions and lines stay the same.
    wants_verb: True if it is the docstring of a function that is neither a property nor a test.
    """

    kind: Literal["docstring", "comment", "message", "name", "prose"]
    line: int
    source: str
    plain: str
    wants_verb: bool = False
    is_test: bool = False

    def line_at(self, position: int) -> int:
        """Return the line in the file."""
        return self.line + self.plain.count("\n", 0, position)

    def sentences(self) -> Iterator[tuple[int, str]]:
        """Yield sentences with their positions."""
        start = 0
        for end in _END.finditer(self.plain):
            yield start, self.plain[start : end.start()]
            start = end.end()
        yield start, self.plain[start:]


def texts_of(path: Path, *, is_test: bool) -> Iterator[Text]:
    """Yield the texts of a Python or Markdown file. Messages and verbs of tests are not looked at."""
    source = path.read_text(encoding="utf-8")
    if path.suffix == ".md":
        yield Text("prose", 1, source, _without_code(_blanked(source, _FENCE, _MARKUP)))
        return
    tree = ast.parse(source)
    yield from _python(tree, wants_verbs=not is_test, test_file=path.name.startswith("test_"))
    yield from _comments(source)
    if not is_test:
        yield from _messages(tree)


def _blanked(source: str, *patterns: re.Pattern[str]) -> str:
    """Replace what the patterns match by spaces, keeping line breaks."""
    for pattern in patterns:
        source = pattern.sub(lambda match: re.sub(r"[^\n]", " ", match[0]), source)
    return source


def _without_blocks(source: str) -> str:
    """Blank indented blocks of a docstring: code, after a blank line."""
    lines = source.split("\n")
    # The last line of several is that of the closing quotes.
    base = min((len(line) - len(line.lstrip()) for line in lines[1:-1] if line.strip()), default=0)
    base = min(base, len(lines[-1]) - len(lines[-1].lstrip()))
    is_code = False
    for number, line in enumerate(lines):
        if number and line.strip():
            indented = line.startswith(" " * (base + 4))
            is_code = indented and (is_code or not lines[number - 1].strip())
            lines[number] = " " * len(line) if is_code else line
    return "\n".join(lines)


def _without_code(source: str) -> str:
    """Replace inline code by a word of equal length."""
    return _CODE.sub(lambda match: re.sub(r"[^\n]", "x", match[0]), source)


def _python(tree: ast.Module, *, wants_verbs: bool, test_file: bool) -> Iterator[Text]:
    for node in ast.walk(tree):
        if not isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        is_function = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        if not isinstance(node, ast.Module):
            is_test = test_file and is_function and node.name.startswith("test_")
            yield Text("name", node.lineno, node.name, node.name.replace("_", " "), is_test=is_test)
        first = node.body[0] if node.body else None
        if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str):
            source = first.value.value
            verb = wants_verbs and is_function and not _is_value(node)
            yield Text("docstring", first.lineno, source, _without_code(_without_blocks(source)), wants_verb=verb)


def _is_value(node: ast.AST) -> bool:
    """Return True if a function is read like a value: a property, a fixture, an overload."""
    decorators = getattr(node, "decorator_list", [])
    return any(re.search("property|fixture|overload", ast.unparse(each)) for each in decorators)


def _comments(source: str) -> Iterator[Text]:
    lines: list[tuple[int, str]] = []
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT and not re.match(r"#\s*(?:noqa|type:|pyright:|pragma|-{3,}|!)", token.string):
            text = token.string.partition(" # noqa")[0].lstrip("#").strip()
            if lines and lines[-1][0] == token.start[0] - 1:
                lines.append((token.start[0], text))
                continue
            yield from _joined(lines)
            lines = [(token.start[0], text)]
    yield from _joined(lines)


def _joined(lines: list[tuple[int, str]]) -> Iterator[Text]:
    if lines:
        source = "\n".join(text for _, text in lines)
        yield Text("comment", lines[0][0], source, _without_code(source))


def _messages(tree: ast.Module) -> Iterator[Text]:
    """Yield string constants of three words or more that are not docstrings."""
    docstrings = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(tree):
        if not isinstance(node, ast.Constant) or not isinstance(node.value, str) or id(node) in docstrings:
            continue
        if " " in node.value and len(re.findall(r"[A-Za-z]+", node.value)) >= 3:
            yield Text("message", node.lineno, node.value, _without_code(node.value))
