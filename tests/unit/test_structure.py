"""Null where a field has a default but no place for null, and answers that are a bare map or array."""

from __future__ import annotations

from collections.abc import Mapping

import attrs
import pytest

from aiocircle._core.decode import decode
from aiocircle._core.endpoint import Endpoint
from aiocircle._core.fields import KEBAB
from aiocircle._core.message import Response
from aiocircle._core.pagination import PAGE_TOKEN
from aiocircle._core.structure import StructureProblems


@attrs.frozen(kw_only=True)
class Thing:
    id: str
    name: str = ""
    tags: tuple[str, ...] = ()
    note: str | None = "unsaid"
    flag: bool = attrs.field(default=True, metadata=KEBAB)


@attrs.frozen(kw_only=True)
class Values:
    values: Mapping[str, str | int]


def wrapped(body: bytes) -> Values:
    return Endpoint("GET", "/values", Values, wrap_in="values").parse(Response(200, {}, body))


def test_null_is_the_default_where_the_type_has_no_place_for_it():
    assert decode(Thing, b'{"id": "a", "name": null, "tags": null}') == Thing(id="a")


def test_null_stays_null_where_the_type_takes_it():
    assert decode(Thing, b'{"id": "a", "note": null, "tags": null}').note is None


@pytest.mark.parametrize("item", [Thing, attrs.make_class("Plain", {"id": attrs.field(type=str)})])
def test_null_is_no_value_for_a_field_without_a_default(item):
    with pytest.raises(StructureProblems, match="id"):
        decode(PAGE_TOKEN.page_type(item), b'{"items": [{"id": null}]}')


def test_a_page_has_items():
    for body in (b'{"items": null}', b"{}", b'{"message": "Accepted"}'):
        with pytest.raises(StructureProblems, match="items"):
            decode(PAGE_TOKEN.page_type(Thing), body)


def test_a_whole_answer_goes_into_one_field():
    assert wrapped(b'{"a-b": 1, "values": "x"}') == Values(values={"a-b": 1, "values": "x"})


@pytest.mark.parametrize("body", [b"[]", b"null", b'"x"', b'{"a": null}', b'{"a": {}}', b"{} , {}", b""])
def test_what_is_no_such_answer_is_an_error_that_names_the_place(body):
    with pytest.raises(StructureProblems, match=r"\$"):
        wrapped(body)
