"""JSON values by their schemas: plain ones and odd ones, the same for the same seed."""

from __future__ import annotations

import random
import uuid
from functools import cache
from typing import Any, Final

import attrs

from tests.support.official_spec import Schema

__all__ = ["Manner", "make", "snake"]

_TEXTS: Final = (
    "",
    "main",
    "a b/c?d=e&f#g%20h+i",
    "Zürich 東京 \N{ROCKET}",
    'with "quotes", \\ and\nlines',
    "null",
    "true",
    "12",
    "~x" * 300,
)
_TIMES: Final = (
    "2026-11-23T17:08:09Z",
    "2026-11-23T17:08:09.123Z",
    "2026-11-23T17:08:09.123456Z",
    "2026-11-23T17:08:09+02:00",
    "2024-02-29T23:59:59.5-07:30",
    "1970-01-01T00:00:00.000Z",
)
_INTEGERS: Final = (0, 1, 2, 99, 2**31, 2**53, 2**63 - 1)
_NUMBERS: Final = (0, 1, 0.5, 1.0, 1e-9, -0.25, 123456.789)
_ANYTHING: Final[tuple[Any, ...]] = (None, True, 7, 0.5, "x", [], {}, [1, [None]], {"a-b": {"c_d": "e"}})
# No model has, or could have, a field of such a name.
_EXTRA_KEYS: Final = ("x-brand-new", "x_brand_new", "", "class", "__class__", "self")


@attrs.frozen(kw_only=True)
class Manner:
    """Frequencies of optional parts of a schema in values, from 0 (never) to 1 (always).

    present: an optional key is there. null: what may be null is. empty: an array or a map is. unknown: an enum has a
    value that is not listed. extra: an object has keys that are not declared. snake: whether declared keys are
    written in snake_case.
    """

    present: float = 1
    null: float = 0
    empty: float = 0
    unknown: float = 0
    extra: float = 0
    snake: bool = False


@cache
def snake(name: str) -> str:
    """Return the Python spelling of a name on the wire."""
    return name.replace("-", "_")


def make(schema: Schema, rng: random.Random, manner: Manner) -> Any:
    """A value of the schema."""

    def chance(share: float) -> bool:
        return rng.random() < share

    if schema.nullable and chance(manner.null):
        return None
    if schema.choices:
        return make(rng.choice(schema.choices), rng, manner)
    if schema.type == "object":
        made = {
            snake(name) if manner.snake else name: make(field, rng, manner)
            for name, field in schema.fields.items()
            if name in schema.required or chance(manner.present)
        }
        if chance(manner.extra):
            made |= {key: rng.choice(_ANYTHING) for key in rng.sample(_EXTRA_KEYS, 2)}
        return made
    if schema.type in ("array", "map"):
        assert schema.items is not None
        items = [make(schema.items, rng, manner) for _ in range(0 if chance(manner.empty) else rng.randint(1, 3))]
        if schema.type == "array":
            return items
        return dict(zip(("one", "Two-three", "four_five/6"), items, strict=False))
    if schema.enum:
        return rng.choice(("never-heard-of", "NEW")) if chance(manner.unknown) else rng.choice(schema.enum)
    if schema.type == "string":
        if schema.format == "uuid":
            return str(uuid.UUID(int=rng.getrandbits(128), version=4))
        return rng.choice(_TIMES if schema.format == "date-time" else _TEXTS)
    if schema.type == "integer":
        number = rng.choice(_INTEGERS)
        return number if schema.least is None else max(number, schema.least)
    if schema.type == "number":
        return rng.choice(_NUMBERS)
    if schema.type == "boolean":
        return chance(0.5)
    assert schema.type == "anything", schema
    return rng.choice(_ANYTHING)
