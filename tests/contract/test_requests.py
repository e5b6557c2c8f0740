"""Every query parameter and body field of the document is a keyword, and arrives under the document's name."""

from __future__ import annotations

import inspect
import random
from collections.abc import Iterator

import attrs
import pytest

from aiocircle import CircleCI, InvalidArgument
from tests.contract.calls import ALSO_REQUIRED, BY_OFFSET, NOT_REQUIRED, Call, caller_value, every, make_call, needed
from tests.contract.conftest import Wire
from tests.support.official_spec import Operation, Schema, each_operation
from tests.support.values import Manner, make, snake

# Keywords that are not parameters of the operation.
CONVENIENCES = {
    ("pipelines.list_for_project", "since"): "ends the list at the first older pipeline",
    ("triggers.create", "parameters"): "of schedule triggers, which came after the document",
    ("triggers.update", "parameters"): "of schedule triggers, which came after the document",
}


@each_operation()
def test_parameters_are_keywords(operation: Operation) -> None:
    """Each parameter and field is a keyword, and required if the document requires it."""
    required = {snake(name): parameter.required for name, parameter in operation.query.items()}
    if operation.body is not None:
        required |= {snake(name): name in operation.body.required for name in operation.body.fields}
    if operation.name == BY_OFFSET:
        del required["offset"]
    if operation.is_list:
        required["page_token"] = False
    for exceptions, value in ((ALSO_REQUIRED, True), (NOT_REQUIRED, False), (CONVENIENCES, False)):
        required |= {name: value for place, name in exceptions if place == operation.name}
    keywords = {
        each.name: each.default is each.empty
        for each in inspect.signature(operation.method(CircleCI("a-token"))).parameters.values()
        if each.kind is each.KEYWORD_ONLY
    }
    assert keywords == required


@each_operation()
async def test_request_is_that_of_the_document(operation: Operation, wire: Wire) -> None:
    """Verb, path, query and body have the names and places of the document."""
    respond_well(wire, operation)
    for index, names in enumerate(selections(operation)):
        call = make_call(operation, names, random.Random(f"{operation.name} {index}"))
        await wire.call(operation, *call.values, **call.keywords)
        check(wire, operation, call)


@each_operation()
async def test_none_is_not_sent(operation: Operation, wire: Wire) -> None:
    """None sends nothing, unless the document permits null."""
    respond_well(wire, operation)
    call = make_call(operation, needed(operation), random.Random(operation.name))
    absent = every(operation) - needed(operation) - {"offset", "page-size"}
    if operation.body is not None:
        absent -= {name for name, schema in operation.body.fields.items() if schema.nullable}
    await wire.call(operation, *call.values, **call.keywords, **dict.fromkeys(map(snake, absent)))
    check(wire, operation, call)


@each_operation(lambda operation: operation.is_list)
async def test_page_token_is_sent_or_refused(operation: Operation, wire: Wire) -> None:
    """A page token is sent as it is. Lists that the API does not page refuse it."""
    respond_well(wire, operation)
    call = make_call(operation, needed(operation), random.Random(operation.name))
    if operation.name == BY_OFFSET:
        await wire.call(operation, *call.values, **call.keywords, page_token="40")
        assert ("offset", "40") in wire.query
    elif operation.is_paged:
        await wire.call(operation, *call.values, **call.keywords, page_token="t/+ 1=")
        assert ("page-token", "t/+ 1=") in wire.query
    else:
        with pytest.raises(InvalidArgument, match="one piece"):
            operation.method(wire.circle)(*call.values, **call.keywords, page_token="t")


def selections(operation: Operation) -> Iterator[set[str]]:
    """Yield the parameters to pass: only the required ones, each of the others by itself, all, and mixtures."""
    least, rng = needed(operation), random.Random(operation.name)
    rest = sorted(every(operation) - least)
    yield least
    for name in rest:
        yield {*least, name}
    for _ in range(10):
        yield every(operation)
        yield least | {name for name in rest if rng.random() < 0.5}


def respond_well(wire: Wire, operation: Operation) -> None:
    status, schema = next(iter(operation.answers.items()))
    wire.respond_with(status, make(schema, random.Random(operation.name), Manner(empty=1)))


def check(wire: Wire, operation: Operation, call: Call) -> None:
    """Check that the call sent the expected request, and nothing else."""
    assert wire.sent.method == operation.verb
    assert wire.path == call.path
    assert sorted(wire.query) == sorted(call.query)
    if operation.body is None:
        assert wire.sent.body is None
    else:
        assert wire.json == call.body
        assert wire.sent.headers["Content-Type"] == "application/json"


# --- nested bodies -------------------------------------------------------------------------------------------------


def merged(schema: Schema) -> Schema:
    """The schema with every choice between objects made one object."""
    known = schema.known
    return attrs.evolve(known, fields={name: merged(each) for name, each in known.fields.items()})


def nested_objects(body: Schema, *path: str) -> Iterator[tuple[tuple[str, ...], frozenset[str]]]:
    """Yield the places of objects with declared keys inside a body, and the required keys of each."""
    for name, schema in body.fields.items():
        if schema.type == "object":
            here = (*path, snake(name))
            yield here, schema.required
            yield from nested_objects(schema, *here)


@each_operation(lambda operation: operation.body and [*nested_objects(merged(operation.body))])
async def test_nested_body_keys_are_checked(operation: Operation, wire: Wire) -> None:
    """An unknown key or a missing required key in a nested body raises InvalidArgument."""
    assert operation.body is not None
    rng = random.Random(operation.name)
    call = make_call(operation, needed(operation), rng)
    body = merged(operation.body)
    for path, required in nested_objects(body):
        for key in ("unheard_of", *map(snake, required)):
            keywords = call.keywords | caller_value(body, make(body, rng, Manner()), rng)
            spoilt = keywords
            for step in path:
                spoilt = spoilt[step]
            if spoilt.pop(key, None) is None:
                spoilt[key] = "x"
            with pytest.raises(InvalidArgument, match=f"{path[-1]}.*{key}"):
                await wire.call(operation, *call.values, **keywords)
    assert wire.request is None
