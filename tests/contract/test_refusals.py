"""Invalid arguments of every operation raise InvalidArgument before anything is sent."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from datetime import datetime

import pytest

from aiocircle import InvalidArgument
from tests.contract.calls import every, make_call, needed
from tests.contract.conftest import Wire
from tests.support.official_spec import OPERATIONS, Operation, each_operation, needs_document
from tests.support.values import snake

# Not a segment of a path: an empty one, one that leads elsewhere, one with a control character, another type.
UNFIT = ("", ".", "..", "a\n", "\x00", None)


@each_operation(lambda operation: operation.positional)
async def test_unfit_path_value_is_refused_unsent(operation: Operation, wire: Wire) -> None:
    """Each value in a path raises InvalidArgument if it is not exactly one segment, or not a slug."""
    call = make_call(operation, needed(operation), random.Random(operation.name))
    for index in range(len(call.values)):
        for unfit in UNFIT:
            values = [unfit if number == index else value for number, value in enumerate(call.values)]
            with pytest.raises(InvalidArgument):
                await wire.call(operation, *values, **call.keywords)
            assert wire.request is None, (index, unfit)


def times(operation: Operation) -> Iterator[str]:
    """Yield the names of parameters and fields that are times."""
    fields = operation.body.fields if operation.body else {}
    for name in sorted(every(operation)):
        schema = operation.query[name].schema if name in operation.query else fields[name]
        if schema.known.format == "date-time":
            yield name


@needs_document
def test_some_operations_take_times() -> None:
    """Otherwise the test of naive times would test little."""
    assert sum(len(list(times(operation))) for operation in OPERATIONS) >= 4


@each_operation(lambda operation: [*times(operation)])
async def test_naive_datetime_is_refused_unsent(operation: Operation, wire: Wire) -> None:
    """Each time without a time zone raises InvalidArgument, which names the parameter."""
    for name in times(operation):
        call = make_call(operation, needed(operation) | {name}, random.Random(operation.name))
        keywords = call.keywords | {snake(name): datetime(2026, 11, 1)}
        with pytest.raises(InvalidArgument, match=re.sub("[-_]", "[-_]", name)):
            await wire.call(operation, *call.values, **keywords)
        assert wire.request is None, name
