"""Plain values to models: null for a default, bare maps and arrays, unions, and models that have a text form."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs
import pytest

from aiocircle._core.decode import decode
from aiocircle._core.endpoint import Endpoint
from aiocircle._core.fields import KEBAB, NumericText, WholeNumber
from aiocircle._core.message import Response
from aiocircle._core.pagination import PAGE_TOKEN
from aiocircle._core.structure import StructureProblems, is_union, structure
from tests.support.rows import each_row


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


@each_row("body", [b"[]", b"null", b'"x"', b'{"a": null}', b'{"a": {}}', b"{} , {}", b""])
def test_invalid_bare_body_has_its_path(body):
    """The problem of an invalid bare body has its JSON path."""
    with pytest.raises(StructureProblems, match=r"\$"):
        wrapped(body)


@attrs.frozen
class Named:
    name: str

    @classmethod
    def from_text(cls, text: str) -> Named:
        return cls(f"text {text}")


@attrs.frozen
class Sized:
    """A model that nothing else reads before the test."""

    size: WholeNumber
    unit: int | str = "byte"


def test_a_model_may_be_written_as_a_text():
    """A model that can be made from a text is read from an object and from a text, alone and in a union."""
    for kind in (Named, Named | None):
        assert structure("a", kind) == Named("text a")
        assert structure({"name": "a"}, kind) == Named("a")
    assert structure(None, Named | None) is None
    with pytest.raises(StructureProblems, match="expected a string or an object or null, got an integer"):
        structure(5, Named | None)


def test_a_whole_number_may_have_a_fraction_of_zero():
    """Fields of models keep what their annotation adds: 12.0 is read as 12."""
    assert structure({"size": 12.0}, Sized) == Sized(12)


def test_null_is_the_default_of_a_union():
    """A union that does not name null does not permit it."""
    assert structure({"size": 1, "unit": None}, Sized) == Sized(1, "byte")


@pytest.mark.parametrize(("value", "number"), [(1.5, 1.5), (2, 2.0), ("1.5", 1.5), ("1e3", 1000.0)])
def test_a_number_may_be_a_text(value: Any, number: float):
    """A number is read from a number and from its text."""
    assert structure(value, NumericText) == number


@pytest.mark.parametrize("value", ["x", "", "nan", "inf"])
def test_a_text_without_a_number_is_refused(value: str):
    """Infinity and NaN are not numbers of JSON."""
    with pytest.raises(StructureProblems, match="expected a number or its text"):
        structure(value, NumericText)


@each_row(
    ("type_", "expected"),
    [
        (str | int, True),
        (Thing | str | None, True),
        (Thing | Values, False),
        (str | set[str], False),
        (str, False),
    ],
)
def test_members_of_a_union_differ_in_json(type_: Any, expected: bool):
    """The JSON type of a value selects the member, so that no two members may share one."""
    assert is_union(type_) is expected


def test_problems_keep_the_value():
    """A caller may read what it can from a body that does not match. A page's token is not known yet."""
    with pytest.raises(StructureProblems) as caught:
        structure({"a": 1}, int)
    assert caught.value.plain == {"a": 1}
    assert caught.value.next_page_token is None
