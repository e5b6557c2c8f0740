"""A value that does not match the declared type costs at most one item: for every field of every list."""

from __future__ import annotations

import json
import types
from collections.abc import Iterator
from datetime import datetime
from typing import Annotated, Any, Union, get_args, get_origin

import attrs
import pytest

from aiocircle._core.endpoint import ListEndpoint
from aiocircle._core.fields import NumericText, WholeNumber, wire_name
from aiocircle._core.message import Response
from aiocircle._core.pagination import BadItems
from tests.contract.tables import ENDPOINTS

LISTS = {name: endpoint for name, endpoint in sorted(ENDPOINTS.items()) if isinstance(endpoint, ListEndpoint)}
SPOILT: tuple[Any, ...] = (None, 12.0, 12.5, 12, "text", "", True, [], [None], {}, {"a": None}, "2026-11-26T10:00:00")
MISSING = object()


def resolved(model: Any) -> Any:
    return attrs.fields(attrs.resolve_types(model, include_extras=True))


def members(type_: Any) -> list[Any]:
    return list(get_args(type_)) if get_origin(type_) in (Union, types.UnionType) else [type_]


def sample(type_: Any) -> Any:
    """Return a JSON value with all fields that a type declares."""
    type_ = next(each for each in members(type_) if each is not types.NoneType)
    if type_ in (WholeNumber, int):
        return 12
    if type_ in (NumericText, float):
        return 1.5
    if get_origin(type_) is Annotated:
        return "2026-11-26T10:00:00Z" if get_args(type_)[0] is datetime else []
    if attrs.has(type_):
        return {wire_name(field): sample(field.type) for field in resolved(type_)}
    if get_origin(type_) is tuple:
        return [sample(get_args(type_)[0])]
    return {str: "x", bool: True, Any: "x"}.get(type_, {})


def places(value: Any, *path: Any) -> Iterator[tuple[Any, ...]]:
    """Return the path of each value inside a value."""
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in children:
        yield (*path, key)
        yield from places(child, *path, key)


def spoil(value: Any, path: tuple[Any, ...], other: Any) -> Any:
    """Return a copy of a value with another one at a place, or without it."""
    copy = json.loads(json.dumps(value))
    inner = copy
    for key in path[:-1]:
        inner = inner[key]
    if other is MISSING:
        del inner[path[-1]]
    else:
        inner[path[-1]] = other
    return copy


def read(endpoint: ListEndpoint[Any], response: Response) -> tuple[tuple[Any, ...], list[str]]:
    """Return the good items of a page, and a problem of each bad one."""
    try:
        return endpoint.parse(response, None).items, []
    except BadItems as error:
        bad = error
    assert all(problems.next_page_token == bad.next_page_token for _, problems in bad.problems)
    return bad.items, [problems.problems[0] for _, problems in bad.problems]


@pytest.mark.parametrize("name", LISTS)
def test_spoilt_value_costs_one_item(name: str) -> None:
    """The first and the last of three items are read, and the token of the next page is kept."""
    endpoint = LISTS[name]
    good = sample(endpoint.model)
    tried = lost = 0
    for path in places(good):
        for other in (MISSING, *SPOILT):
            body = {"items": [good, spoil(good, path, other), good], "next_page_token": "next"}
            response = Response(200, {}, json.dumps(body).encode())
            tried += 1
            items, problems = read(endpoint, response)
            assert items[0] == items[-1]
            assert len(items) + len(problems) == 3
            assert all("$.items[1]" in problem for problem in problems)
            lost += len(problems)
    assert lost < tried
    print(f"{name}: {tried} spoilt items, {lost} of them lost, 0 others")
