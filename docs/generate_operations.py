"""Writes docs/operations.md, from the tables of endpoints and the signatures of the methods.

python docs/generate_operations.py
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from functools import cached_property
from importlib import import_module
from pathlib import Path

from aiocircle import CircleCI
from aiocircle._core.endpoint import Endpoint, ListEndpoint, reference_url
from aiocircle.resources._group import Group

PAGE = Path(__file__).with_name("operations.md")

INTRODUCTION = """\
<!-- Written by docs/generate_operations.py: change the tables in aiocircle/resources, then run it. -->

# All operations

The {count} operations of CircleCI's API v2 that there are methods for, by group. A method takes the path's values in
order and all else by keyword; one that answers a `Pager` is not awaited, any other is. Paths are below `/api/v2`;
`{{project}}` in them is a project's slug, and `{{org}}` an organization's.
"""
HEADER = """\
| Operation | Call | Answer | Request | Official reference |
|---|---|---|---|---|
"""

Row = tuple[str, ...]


def write_page() -> str:
    """The page, as Markdown."""
    groups = {name: list(rows(name)) for name, value in vars(CircleCI).items() if isinstance(value, cached_property)}
    count = sum(row[-1] != "" for group in groups.values() for row in group)
    parts = [INTRODUCTION.format(count=count)]
    for name, group in sorted(groups.items()):
        lines = "".join(f"| {' | '.join(row)} |\n" for row in group)
        parts.append(f"## {name}\n\n{HEADER}{lines}")
    return "\n".join(parts)


def rows(group: str) -> Iterator[Row]:
    """A row for each method of a group, in the order of its class."""
    module = import_module(f"aiocircle.resources.{group}")
    table = list(vars(module).values())
    (methods,) = (vars(each) for each in table if inspect.isclass(each) and each.__base__ is Group)
    for name, method in methods.items():
        if name.startswith("_"):
            continue
        operation = f"{group}.{name}"
        endpoints = [
            each for each in table if isinstance(each, Endpoint | ListEndpoint) and each.operation == operation
        ]
        call = f"`circle.{operation}{_parameters(method)}`"
        answer = f"`{method.__annotations__['return']}`"
        if len(endpoints) == 1:
            (endpoint,) = endpoints
            path = endpoint.path.replace("{provider/organization/project}", "{provider}/{organization}/{project}")
            link = f"[{endpoint.reference}]({reference_url(endpoint.reference)})"
            yield f"`{operation}`", call, answer, f"`{endpoint.method} {path}`", link
        else:
            yield f"`{operation}`", call, answer, "made of other operations", ""


def _parameters(method: object) -> str:
    signature = inspect.signature(method)  # type: ignore[arg-type]
    _, *parameters = [each.replace(annotation=each.empty) for each in signature.parameters.values()]
    return str(signature.replace(parameters=parameters, return_annotation=signature.empty))


if __name__ == "__main__":
    PAGE.write_text(write_page(), encoding="utf-8")
