"""Every response that the document allows is read, and nothing of it is lost."""

from __future__ import annotations

import random
import types
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Annotated, Any, Union, get_args, get_origin

import attrs

from aiocircle import CircleCIError, Page
from aiocircle._core.endpoint import Action, Endpoint, ListEndpoint
from tests.contract.calls import make_call, needed
from tests.contract.conftest import Wire
from tests.contract.differences import (
    ADDED,
    DIFFERENCES,
    LEFT_OUT,
    MAY_BE_MISSING,
    NOT_MODELLED,
    NULL_IS_EMPTY,
    TYPED_OTHERWISE,
)
from tests.contract.tables import ENDPOINTS, model_of
from tests.support.official_spec import OPERATIONS, Operation, Schema, each_operation, needs_document
from tests.support.values import Manner, make, snake

ANSWERS = 60  # of each operation, and of each of its statuses

# Each liberty that a schema leaves, taken in all places.
EXTREMES = (
    Manner(),
    Manner(present=0),
    Manner(null=1),
    Manner(empty=1),
    Manner(unknown=1),
    Manner(extra=1),
    Manner(present=0, null=1, empty=1, unknown=1, extra=1),
)

DECLARED = "in both"
JSON_TYPES = {
    bool: "boolean",
    datetime: "string",
    float: "number",
    int: "integer",
    str: "string",
    types.NoneType: "null",
}


@each_operation()
async def test_document_responses_are_read_completely(
    operation: Operation, wire: Wire, record_property: Callable[[str, object], None]
) -> None:
    """Each response of the document is read, and no value of it is lost."""
    problems: list[str] = []
    count = 0
    call = make_call(operation, needed(operation), random.Random(operation.name))
    for status, schema in operation.answers.items():
        for manner, rng in manners(f"{operation.name} {status}"):
            answer = make(schema, rng, manner)
            wire.respond_with(status, answer)
            count += 1
            try:
                read = await wire.call(operation, *call.values, **call.keywords)
            except CircleCIError as error:
                problems.append(f"{error} in {answer}")
                continue
            problems += [f"{lost} in {answer}" for lost in losses(operation, schema, answer, read)]
    record_property("answers", count)
    record_property("failures", len(problems))
    assert count >= 50
    assert problems == []


def manners(seed: str) -> Iterator[tuple[Manner, random.Random]]:
    """The extremes, then mixtures of them, in both spellings of the keys."""
    for index in range(ANSWERS):
        rng = random.Random(f"{seed} {index}")
        if index // 2 < len(EXTREMES):
            manner = EXTREMES[index // 2]
        else:
            missing, null, empty, unknown, extra = (rng.choice((0, 0.2, 0.5)) for _ in range(5))
            manner = Manner(present=1 - missing, null=null, empty=empty, unknown=unknown, extra=extra)
        yield attrs.evolve(manner, snake=bool(index % 2)), rng


# --- what was read against what was answered -----------------------------------------------------------------------


def losses(operation: Operation, schema: Schema, answer: Any, read: Any) -> Iterator[str]:
    """Yield the parts of a response that are missing in the value read from it."""
    endpoint = ENDPOINTS[operation.name]
    if isinstance(endpoint, ListEndpoint):
        assert isinstance(read, Page)
        assert all(isinstance(item, endpoint.model) for item in read.items)
        if all(schema.type == "array" for schema in operation.answers.values()):
            read = read.items
    elif isinstance(endpoint, Action):
        assert read is None
    else:
        assert isinstance(read, endpoint.model)
        if endpoint.wrap_in is not None:
            read = getattr(read, endpoint.wrap_in)
    return lost(schema, answer, read, "$")


def lost(schema: Schema, value: Any, read: Any, place: str) -> Iterator[str]:
    """Yield the places where `read` differs from `value`, a value of the schema."""
    schema = schema.known
    if value is None and schema.type != "anything":
        if read not in (None, ()):
            yield f"{place} is {read!r}, not null"
    elif schema.type == "object" and (read is not None or place == "$"):
        for key, each in value.items():
            declared = next((name for name in schema.fields if key in (name, snake(name))), None)
            if declared is None or name_of(read, declared) in NOT_MODELLED:
                continue
            if not hasattr(read, snake(declared)):
                yield f"{place}.{key}"
            else:
                yield from lost(schema.fields[declared], each, getattr(read, snake(declared)), f"{place}.{key}")
    elif schema.type == "array" and type(read) is tuple and len(read) == len(value):
        assert schema.items is not None
        for index, each in enumerate(value):
            yield from lost(schema.items, each, read[index], f"{place}[{index}]")
    elif schema.type == "map" and type(read) is dict and read.keys() == value.keys():
        assert schema.items is not None
        for key, each in value.items():
            yield from lost(schema.items, each, read[key], f"{place}.{key}")
    elif schema.format == "date-time":
        expected = datetime.fromisoformat(value)
        if (read, read.utcoffset()) != (expected, expected.utcoffset()):
            yield f"{place} is {read}"
    elif place == "$.next_page_token" and value == "":
        if read is not None:
            yield f"{place} is {read!r}, not the end"
    elif schema.type == "number" and type(read) is float:
        if read != value:
            yield f"{place} is {read}"
    elif type(read) is not type(value) or read != value:
        yield f"{place} is {read!r}"


def name_of(model: Any, key: str) -> str:
    """A field as the lists here name it: that of a model, or of its instance."""
    kind = get_origin(model) or (model if isinstance(model, type) else type(model))
    return f"{'None' if kind is types.NoneType else kind.__name__}.{snake(key)}"


# --- models against schemas ----------------------------------------------------------------------------------------


@needs_document
def test_few_fields_are_left_out() -> None:
    """Each field of the document is a field of the model, or one of those on the list."""
    found = {field for operation in OPERATIONS for field, what in differences(operation) if what == LEFT_OUT}
    assert found == NOT_MODELLED.keys()
    assert len(NOT_MODELLED) <= 10


@needs_document
def test_models_differ_as_listed() -> None:
    """The types of models differ from the document only as listed."""
    found: dict[tuple[str, str], set[str]] = {}
    for operation in OPERATIONS:
        for field, what in () if operation.is_beyond else differences(operation):
            found.setdefault((what, field), set()).add(operation.name)
    listed = {(entry.what, field): entry for entry in DIFFERENCES for field in entry.fields.split()}
    assert listed.keys() == {key for key in found if key[0] != LEFT_OUT}
    for entry in DIFFERENCES:
        operations = set[str]().union(*(found[entry.what, field] for field in entry.fields.split()))
        assert operations == set(entry.operations.split()), entry.fields


def differences(operation: Operation) -> Iterator[tuple[str, str]]:
    """Yield pairs of a field and its difference, for each place where the operation's models differ from the document.

    General differences are left out: a value that may be null, an array or a map may be missing, and an enum is a text.
    """
    endpoint = ENDPOINTS[operation.name]
    kind: Any = model_of(endpoint) or types.NoneType
    if isinstance(endpoint, ListEndpoint):
        is_bare = all(schema.type == "array" for schema in operation.answers.values())
        kind = tuple[endpoint.model, ...] if is_bare else Page[endpoint.model]
    elif isinstance(endpoint, Endpoint) and endpoint.wrap_in is not None:
        kind = attrs.fields_dict(attrs.resolve_types(endpoint.model, include_extras=True))[endpoint.wrap_in].type
    found = {each for schema in operation.answers.values() for each in differ(schema, kind, operation.name)}
    declared = {field for field, what in found if what == DECLARED}
    yield from (each for each in found if each[1] not in (DECLARED, ADDED) or each[0] not in declared)


def differ(schema: Schema, kind: Any, name: str) -> Iterator[tuple[str, str]]:
    """The same for one schema and the type that reads it; `name` is the field's."""
    schema = schema.known
    members = options(kind)
    if members == [Any]:
        return
    if schema.nullable and types.NoneType not in members:
        yield name, NULL_IS_EMPTY
    inner = [argument for member in members for argument in get_args(member)]
    if schema.type == "object":
        yield from differ_object(schema, next((member for member in members if member is not types.NoneType), None))
    elif schema.type in ("array", "map"):
        assert schema.items is not None
        yield from differ(schema.items, next(each for each in reversed(inner) if each is not ...), name)
    elif {JSON_TYPES[member] for member in members} - {"null"} != {each.type for each in schema.choices or [schema]}:
        yield name, TYPED_OTHERWISE


def differ_object(schema: Schema, model: Any) -> Iterator[tuple[str, str]]:
    fields = {field.name: field for field in fields_of(model)}
    for key, each in schema.fields.items():
        name, field = name_of(model, key), fields.pop(snake(key), None)
        if field is None:
            yield name, LEFT_OUT
            continue
        yield name, DECLARED
        promised = key in schema.required and not each.nullable and each.type not in ("array", "map")
        if promised and (field.default is not attrs.NOTHING or types.NoneType in options(field.type)):
            yield name, MAY_BE_MISSING
        yield from differ(each, field.type, name)
    for field_name in fields:
        if get_origin(model) is not Page:
            yield name_of(model, field_name), ADDED


def fields_of(model: Any) -> list[Any]:
    """The fields of a model, with the type that a generic one was given."""
    origin = get_origin(model) or model
    if not attrs.has(origin):
        return []
    fields = attrs.fields(attrs.resolve_types(origin, include_extras=True))
    if not get_args(model):
        return list(fields)
    return [field.evolve(type=tuple[get_args(model)[0], ...]) if field.name == "items" else field for field in fields]


def options(kind: Any) -> list[Any]:
    """The members of a union, without notes."""
    if get_origin(kind) is Annotated:
        return options(get_args(kind)[0])
    if get_origin(kind) in (Union, types.UnionType):
        return [option for member in get_args(kind) for option in options(member)]
    return [kind]
