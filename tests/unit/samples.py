"""Models to decode and encode, and JSON that is decoded as them."""

from __future__ import annotations

import json
import random
import types
from collections.abc import Mapping
from datetime import UTC, datetime
from enum import StrEnum
from typing import (
    Annotated,
    Any,
    Generic,
    TypeVar,
    Union,
    get_args,
    get_origin,
)
from unittest import mock

import attrs
import pytest

from aiocircle._core import decode as decode_module
from aiocircle._core.decode import decode
from aiocircle._core.fields import KEBAB, Timestamp, wire_name
from aiocircle._core.structure import StructureProblems

T = TypeVar("T")


def read(kind: Any, body: Any) -> Any:
    """`body` as `kind`; text and bytes are JSON already."""
    text = body if isinstance(body, bytes | str) else json.dumps(body)
    return decode(kind, text if isinstance(text, bytes) else text.encode())


def carefully() -> Any:
    """Reading by cattrs alone."""
    return mock.patch.object(decode_module, "msgspec_decoder", _no_decoder)


def _no_decoder(_: Any) -> None:
    return None


def refused(kind: Any, body: Any) -> tuple[str, ...]:
    """The problems of `body` as `kind`, on both ways of reading."""
    with pytest.raises(StructureProblems) as caught:
        read(kind, body)
    error = caught.value
    assert error.__context__ is None
    with carefully(), pytest.raises(StructureProblems) as again:
        read(kind, body)
    assert again.value.problems == error.problems
    return error.problems


# --- models to read -------------------------------------------------------------------------------------------


@attrs.frozen(kw_only=True)
class Leaf:
    id: str
    count: int | None = None
    rate: float = 0.0
    flag: bool | None = None
    at: Timestamp | None = None


@attrs.frozen(kw_only=True)
class Branch:
    name: str
    leaf: Leaf
    leaves: tuple[Leaf, ...] = ()
    named: Mapping[str, Leaf] = attrs.field(factory=dict[str, Leaf])
    scalar: str | int | bool | None = None
    number: int | float | None = None
    anything: Any = None
    rows: tuple[tuple[int, ...], ...] = ()
    inside: Branch | None = None


@attrs.frozen(kw_only=True)
class Spelled:
    created_at: Timestamp = attrs.field(metadata=KEBAB)
    verify_tls: bool | None = attrs.field(default=None, metadata=KEBAB)
    kind: str = attrs.field(default="", metadata={"aiocircle.wire": "type"})
    labels: Mapping[str, str] = attrs.field(factory=dict[str, str])
    inside: Spelled | None = None


@attrs.frozen(kw_only=True)
class Box(Generic[T]):
    content: T
    more: tuple[T, ...] = ()


@attrs.frozen(kw_only=True)
class Aliased:
    name: str = attrs.field(alias="title")


@attrs.frozen(kw_only=True)
class Converted:
    name: str = attrs.field(converter=str.upper)


@attrs.frozen(kw_only=True)
class Checked:
    name: str = attrs.field(validator=attrs.validators.min_len(2))


class Colour(StrEnum):
    RED = "red"


@attrs.frozen(kw_only=True)
class Tinted:
    colour: Colour


NOON = datetime(2024, 5, 6, 12, 0, tzinfo=UTC)
LEAF = {"id": "a"}


WORDS = ["", "a", "success", "main", "é\0😀", "2024-05-06T12:00:00Z", "None", "5", "true"]
TIMES = ["2024-05-06T12:00:00Z", "2024-05-06T14:00:00.123456+02:00", "1970-01-01T00:00:00.000Z"]
ODD: list[Any] = [None, "", "x", "false", "5", 0, 5, -1, 5.0, 5.7, 2**70, True, False, [], ["a"], [[]], {}, {"id": 5}]
ODD += ["2024-05-06T12:00:00", "2024-05-06", "2024-05-06T12:00:00Z", 1e308]


def sample(kind: Any, dice: random.Random, depth: int = 0) -> Any:
    """Some JSON that is read as `kind`."""
    origin, arguments = get_origin(kind), get_args(kind)
    if kind is str:
        return dice.choice(WORDS)
    if kind is int:
        return dice.choice([0, 1, -5, 2**53 + 1, 2**70, dice.randrange(1000)])
    if kind is float:
        return dice.choice([0.0, -0.0, 1, 2.5, 1e300, dice.random()])
    if kind is bool:
        return dice.random() < 0.5
    if kind is types.NoneType:
        return None
    if kind is Any:
        return dice.choice(ODD)
    if kind == Timestamp:
        return dice.choice(TIMES)
    if origin is Annotated:
        return sample(arguments[0], dice, depth)
    if origin in (Union, types.UnionType):
        return sample(dice.choice(arguments if depth < 4 else arguments[-1:]), dice, depth)
    if origin in (tuple, list):
        return [sample(arguments[0], dice, depth + 1) for _ in range(dice.randrange(3 if depth < 3 else 1))]
    if origin in (Mapping, dict):
        return {dice.choice(WORDS): sample(arguments[1], dice, depth + 1) for _ in range(dice.randrange(3))}
    model = origin or kind
    values = dict(zip(getattr(model, "__parameters__", ()), arguments, strict=True)) if origin else {}
    body = {}
    for field in attrs.fields(attrs.resolve_types(model, include_extras=True)):
        if field.default is attrs.NOTHING or dice.random() < 0.7:
            name = dice.choice([field.name, wire_name(field)])
            body[name] = sample(bound(field.type, values), dice, depth + 1)
    if dice.random() < 0.1:
        body["unknown-key"] = dice.choice(ODD)
    return body


def bound(kind: Any, values: Mapping[Any, Any]) -> Any:
    """`kind` with its type variables replaced."""
    return (
        kind[tuple(values[each] for each in kind.__parameters__)]
        if getattr(kind, "__parameters__", ())
        else (values.get(kind, kind))
    )


def spoil(value: Any, dice: random.Random) -> Any:
    """`value`, with something odd somewhere inside."""
    if isinstance(value, dict) and value and dice.random() < 0.85:
        name = dice.choice(list(value))
        if dice.random() < 0.15:
            return {key: each for key, each in value.items() if key != name}
        return {**value, name: spoil(value[name], dice)}
    if isinstance(value, list) and value and dice.random() < 0.7:
        index = dice.randrange(len(value))
        return [*value[:index], spoil(value[index], dice), *value[index + 1 :]]
    return dice.choice(ODD)


def exactly(value: Any) -> Any:
    """Return a value that distinguishes True, 1 and 1.0, which are equal to Python, at any depth."""
    if attrs.has(type(value)):
        return type(value), [(field.name, exactly(getattr(value, field.name))) for field in attrs.fields(type(value))]
    if isinstance(value, tuple | list):
        return type(value), [exactly(each) for each in value]
    if isinstance(value, dict):
        return dict, [(name, exactly(each)) for name, each in value.items()]
    if isinstance(value, datetime):
        return datetime, value.isoformat()
    return type(value), repr(value)


def holds_null(value: Any) -> bool:
    if isinstance(value, dict | list):
        return any(holds_null(each) for each in (value.values() if isinstance(value, dict) else value))
    return value is None
