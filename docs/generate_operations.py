"""Writes docs/operations.md, from the tables of endpoints and the signatures of the methods.

python docs/generate_operations.py
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

from aiocircle import CircleCI
from aiocircle._core.endpoint import Route, Table
from aiocircle._groups import LazyGroup, V1Groups, V2Groups

PAGE = Path(__file__).with_name("operations.md")

INTRODUCTION = """\
<!-- Written by docs/generate_operations.py: change the tables in aiocircle/resources and aiocircle/v1, then run it. -->

# All operations

The {count} operations of CircleCI's API v2 that have a method, by group. A method takes the path's values in order and
all other parameters by keyword. A method that returns a `Pager` is not awaited, any other is. Paths are below
`/api/v2`; `{{project}}` in them is a project's slug, and `{{org}}` an organization's.
"""
V1_INTRODUCTION = """\
## API v1.1

The {count} operations of API v1.1 that API v2 lacks and that stay after February 2027. Paths are below `/api/v1.1`.
"""
HEADER = """\
| Operation | Call | Result | Request | Official reference |
|---|---|---|---|---|
"""

Row = tuple[str, ...]


def write_page() -> str:
    """Return the page, as Markdown."""
    circle = CircleCI("token")
    v2 = {name: list(rows(circle, "resources", name)) for name in group_names(V2Groups)}
    v1 = {f"v1.{name}": list(rows(circle.v1, "v1", name)) for name in group_names(V1Groups)}
    parts = [INTRODUCTION.format(count=count(v2))]
    parts += [section(f"## {name}", group) for name, group in sorted(v2.items())]
    parts.append(V1_INTRODUCTION.format(count=count(v1)))
    parts += [section(f"### {name}", group) for name, group in sorted(v1.items())]
    return "\n".join(parts)


def group_names(groups: type) -> list[str]:
    """Return the names of the groups of one API."""
    return [name for name, value in vars(groups).items() if isinstance(value, LazyGroup)]


def count(groups: dict[str, list[Row]]) -> int:
    """Return the number of operations of the API itself."""
    return sum(row[-1] != "" for group in groups.values() for row in group)


def section(title: str, group: list[Row]) -> str:
    """Return a title with a table."""
    lines = "".join(f"| {' | '.join(row)} |\n" for row in group)
    return f"{title}\n\n{HEADER}{lines}"


def rows(client: object, package: str, name: str) -> Iterator[Row]:
    """Yield a row for each method of a group, in the order of its class; those of several requests come last."""
    module = import_module(f"aiocircle.{package}.{name}")
    (table,) = (each for each in vars(module).values() if inspect.isclass(each) and each.__base__ is Table)
    group = name if package == "resources" else f"{package}.{name}"
    classes = type(getattr(client, name)).__mro__
    methods = {name: method for each in reversed(classes) for name, method in vars(each).items()}
    for name, method in methods.items():
        if name.startswith("_") or not inspect.isfunction(method):
            continue
        operation = f"{group}.{name}"
        call = f"`circle.{operation}{_parameters(method)}`"
        result = f"`{method.__annotations__['return']}`"
        endpoint = vars(table).get(name)
        if isinstance(endpoint, Route):
            *_, reference = (method.__doc__ or "").split()
            link = f"[{reference.rpartition('/')[2] or 'reference'}]({reference})"
            yield f"`{operation}`", call, result, f"`{endpoint.method} {_shown(endpoint.path)}`", link
        else:
            yield f"`{operation}`", call, result, "made of other operations", ""


def _shown(path: str) -> str:
    """Return a path with the names of its placeholders alone."""
    path = path.replace("{project:full_slug}", "{provider}/{organization}/{project}")
    path = path.replace("{org:slug_or_id}", "{org-slug-or-id}")
    return re.sub(r":\w+\}", "}", path)


def _parameters(method: object) -> str:
    signature = inspect.signature(method)  # type: ignore[arg-type]
    _, *parameters = [each.replace(annotation=each.empty) for each in signature.parameters.values()]
    return str(signature.replace(parameters=parameters, return_annotation=signature.empty))


if __name__ == "__main__":
    PAGE.write_text(write_page(), encoding="utf-8")
