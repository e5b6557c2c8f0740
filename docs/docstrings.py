"""An extension of mkdocstrings for docstrings and fields of models."""

from __future__ import annotations

import ast
import re
from typing import Any

import griffe

DESCRIBED = re.compile(r"(?P<names>[a-z_]+(?:, [a-z_]+)*): (?P<text>.+)")


def with_lists(text: str) -> str:
    """Return the docstring with each paragraph of `name: text` lines as a Markdown list."""
    return "\n\n".join(map(_as_list, text.split("\n\n")))


def _as_list(paragraph: str) -> str:
    items: list[str] = []
    for line in paragraph.splitlines():
        if described := DESCRIBED.fullmatch(line):
            names = ", ".join(f"`{name}`" for name in described["names"].split(", "))
            items.append(f"- {names}: {described['text']}")
        elif items and line.startswith("    "):
            items.append(f"  {line.strip()}")
        else:
            return paragraph
    return "\n".join(items)


def shown_default(value: str) -> str | None:
    """Return the default of a field, without the other arguments of `attrs.field()`."""
    if not value.startswith("attrs.field("):
        return value
    (statement,) = ast.parse(value).body
    assert isinstance(statement, ast.Expr)
    assert isinstance(statement.value, ast.Call)
    return next((ast.unparse(each.value) for each in statement.value.keywords if each.arg == "default"), None)


class Plain(griffe.Extension):
    """Called for all that was read."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Rewrite the object's docstring."""
        if obj.docstring is not None:
            obj.docstring.value = with_lists(obj.docstring.value)

    def on_attribute(self, *, attr: griffe.Attribute, **_: Any) -> None:
        """Show a field by its type and default alone."""
        attr.labels -= {"class-attribute", "instance-attribute", "module-attribute"}
        if attr.value is not None:
            attr.value = shown_default(str(attr.value))
