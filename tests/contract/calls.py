"""Calls of operations: what the caller writes, and the request that has to come of it."""

from __future__ import annotations

import random
import re
from collections.abc import Collection
from datetime import datetime
from typing import Any, Final
from urllib.parse import quote
from uuid import UUID

import attrs

from tests.support.official_spec import Operation, Schema
from tests.support.values import Manner, make, snake

__all__ = ["ALSO_REQUIRED", "BY_OFFSET", "NOT_REQUIRED", "Call", "caller_value", "every", "make_call", "needed"]

# Keywords that are required although the document does not require them, and the other way round.
ALSO_REQUIRED: Final = {
    ("policies.create_bundle", "policies"): "the bundle is replaced: left out by mistake, it would be emptied",
    ("webhooks.update", "signing_secret"): "the API deletes the secret when it is left out",
}
NOT_REQUIRED: Final = {
    ("deploys.list_components", "page_size"): "a page size has a default",
    ("deploys.list_environments", "page_size"): "a page size has a default",
}
# In this list `page_token` is what the API calls `offset`: the number of items before the page.
BY_OFFSET: Final = "policies.list_decisions"

# Parameters that do not take any text or number.
_PARTICULAR: Final[dict[str, Any]] = {
    "offset": 40,
    "org-slug": "gh/acme",
    "owner-slug": "gh/acme",
    "page-token": "t/+ 1=",
}
_SLUGS: Final = ("gh/acme/web", "circleci/8e4z1Akd74woxagxnvLT5q/V29Cenkg8EaiSZARmWm8Lz")


@attrs.frozen
class Call:
    """A call of an operation. path, query and body: the expected parts of the request."""

    values: list[Any]
    keywords: dict[str, Any]
    path: str
    query: list[tuple[str, str]]
    body: dict[str, Any]


def every(operation: Operation) -> set[str]:
    """The names, as the document has them, of all query parameters and body fields."""
    return {*operation.query, *(operation.body.fields if operation.body else ())}


def needed(operation: Operation) -> set[str]:
    """Those of them that cannot be left out of a call."""
    required = {name for name, parameter in operation.query.items() if parameter.required}
    if operation.body is not None:
        required |= operation.body.required
    required |= {name for name in every(operation) if (operation.name, snake(name)) in ALSO_REQUIRED}
    return {name for name in required if (operation.name, snake(name)) not in NOT_REQUIRED}


def make_call(operation: Operation, names: Collection[str], rng: random.Random) -> Call:
    """A call that gives values for the path and for these names."""
    values, path = _fill(operation, rng)
    manner = Manner(present=rng.choice((0, 0.5, 1)), null=0.5, empty=0.1, unknown=0.2)
    keywords: dict[str, Any] = {}
    query: list[tuple[str, str]] = []
    body: dict[str, Any] = {}
    for name, parameter in operation.query.items():
        if name in names:
            value = _PARTICULAR.get(name, make(parameter.schema, rng, manner))
            keywords[snake(name)] = caller_value(parameter.schema, value, rng)
            query += [(name, _text(each)) for each in (value if isinstance(value, list) else [value])]
        elif (operation.name, snake(name)) in NOT_REQUIRED:
            query.append((name, "20"))
    for name, schema in operation.body.fields.items() if operation.body else ():
        if name in names:
            body[name] = make(schema, rng, manner)
            keywords[snake(name)] = caller_value(schema, body[name], rng)
    if operation.name == BY_OFFSET and "offset" in keywords:
        keywords["page_token"] = str(keywords.pop("offset"))
    return Call(values, keywords, path, query, body)


def _fill(operation: Operation, rng: random.Random) -> tuple[list[Any], str]:
    """Values for the path, and the path that they make of the table's."""
    values: list[Any] = []

    def fill(placeholder: re.Match[str]) -> str:
        name = placeholder[1]
        if name == "project-slug":
            values.append(rng.choice(_SLUGS))
        elif name in ("org-slug", "org-slug-or-id"):
            values.append("gh/acme")
        elif name.endswith("-number"):
            values.append(rng.randrange(1, 1000))
        else:
            values.append(rng.choice((UUID(int=rng.getrandbits(128), version=4), "a b/c%d?ü", "build")))
        return quote(str(values[-1]), safe="/" if name in ("project-slug", "org-slug") else "")

    path = operation.path.replace("{provider}/{organization}/{project}", "{project-slug}")
    return values, re.sub(r"\{([^}]+)\}", fill, path)


def caller_value(schema: Schema, value: Any, rng: random.Random) -> Any:
    """Return a JSON value as a caller writes it: keys in snake_case, times and ids as such, one value for an array."""
    schema = schema.known
    if value is None:
        return None
    if schema.type == "object":
        return {snake(key): caller_value(schema.fields[key], each, rng) for key, each in value.items()}
    if schema.type == "array":
        assert schema.items is not None
        items = [caller_value(schema.items, each, rng) for each in value]
        return items[0] if len(items) == 1 and isinstance(items[0], str | UUID) else items
    if schema.format == "uuid" and rng.random() < 0.5:
        return UUID(value)
    if schema.format == "date-time" and value == _text(datetime.fromisoformat(value)):
        return datetime.fromisoformat(value)
    return value


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return value.isoformat().replace("+00:00", "Z") if isinstance(value, datetime) else str(value)
