"""Null for a field with a default whose type excludes null, and responses that are a bare map or array."""

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


def test_null_is_the_default():
    """Null reads as the default if the type does not permit None."""
    assert decode(Thing, b'{"id": "a", "name": null, "tags": null}') == Thing(id="a")


def test_null_stays_null():
    """Null stays None if the type permits it."""
    assert decode(Thing, b'{"id": "a", "note": null, "tags": null}').note is None


@pytest.mark.parametrize("item", [Thing, attrs.make_class("Plain", {"id": attrs.field(type=str)})])
def test_null_needs_a_default(item):
    """Null for a field without a default is a problem."""
    with pytest.raises(StructureProblems, match="id"):
        decode(PAGE_TOKEN.page_type(item), b'{"items": [{"id": null}]}')


def test_a_page_has_items():
    """A page without items is a problem."""
    for body in (b'{"items": null}', b"{}", b'{"message": "Accepted"}'):
        with pytest.raises(StructureProblems, match="items"):
            decode(PAGE_TOKEN.page_type(Thing), body)


def test_bare_body_goes_into_one_field():
    """A bare array or map goes into one field of its model."""
    assert wrapped(b'{"a-b": 1, "values": "x"}') == Values(values={"a-b": 1, "values": "x"})


@pytest.mark.parametrize("body", [b"[]", b"null", b'"x"', b'{"a": null}', b'{"a": {}}', b"{} , {}", b""])
def test_invalid_bare_body_has_its_path(body):
    """The problem of an invalid bare body has its JSON path."""
    with pytest.raises(StructureProblems, match=r"\$"):
        wrapped(body)
