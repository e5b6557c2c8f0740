"""Null where a field has a default but no place for null, and answers that are a bare map or array."""

from __future__ import annotations

from collections.abc import Mapping

import attrs
import pytest

from aiocircle import DecodeError
from aiocircle._core.codec import KEBAB, decode, decode_wrapped, page_of
from aiocircle._core.message import Request, Response

REQUEST = Request("GET", "https://circleci.example/api/v2/x", {}, None)


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


def answer(body: bytes) -> Response:
    return Response(200, {}, body)


def test_null_is_the_default_where_the_type_has_no_place_for_it():
    assert decode(Thing, answer(b'{"id": "a", "name": null, "tags": null}'), REQUEST) == Thing(id="a")


def test_null_stays_null_where_the_type_takes_it():
    assert decode(Thing, answer(b'{"id": "a", "note": null, "tags": null}'), REQUEST).note is None


@pytest.mark.parametrize("item", [Thing, attrs.make_class("Plain", {"id": attrs.field(type=str)})])
def test_null_is_no_value_for_a_field_without_a_default(item):
    with pytest.raises(DecodeError, match="id"):
        decode(page_of(item), answer(b'{"items": [{"id": null}]}'), REQUEST)


def test_a_page_has_items():
    for body in (b'{"items": null}', b"{}", b'{"message": "Accepted"}'):
        with pytest.raises(DecodeError, match="items"):
            decode(page_of(Thing), answer(body), REQUEST)


def test_a_whole_answer_goes_into_one_field():
    assert decode_wrapped(Values, "values", answer(b'{"a-b": 1, "values": "x"}'), REQUEST) == Values(
        values={"a-b": 1, "values": "x"}
    )


@pytest.mark.parametrize("body", [b"[]", b"null", b'"x"', b'{"a": null}', b'{"a": {}}', b"{} , {}", b""])
def test_what_is_no_such_answer_is_an_error_that_names_the_place(body):
    with pytest.raises(DecodeError, match=r"\$"):
        decode_wrapped(Values, "values", answer(body), REQUEST)
