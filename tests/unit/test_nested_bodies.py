"""Nested bodies are checked against the TypedDict that declares them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, NotRequired, Required, TypedDict
from uuid import UUID

import attrs
import pytest

from aiocircle import UNSET, InvalidArgument
from aiocircle._core.codec import encode_nested
from aiocircle.resources.common import Several, nested, several


class Inner(TypedDict):
    name: str
    note: NotRequired[str]


class Outer(TypedDict, total=False):
    inner: Required[Inner]
    per_hour: Annotated[int, "per-hour"]
    tags: Annotated[Several, "the-tags"]
    hours: Sequence[int]


@attrs.frozen(kw_only=True)
class InnerModel:
    name: str | None = None
    note: str | None = None
    told_by_the_api_only: str = "x"


def test_keys_that_text_annotations_require_are_required():
    with pytest.raises(InvalidArgument, match="body needs the key 'inner'"):
        encode_nested(Outer, {"per_hour": 1}, "body")
    with pytest.raises(InvalidArgument, match=r"body\.inner needs the key 'name'"):
        encode_nested(Outer, {"inner": {"note": "x"}}, "body")


def test_keys_that_text_annotations_do_not_require_may_be_missing():
    assert encode_nested(Outer, {"inner": {"name": "a"}}, "body") == {"inner": {"name": "a"}}


def test_keys_are_sent_under_their_wire_names_and_known_by_ours():
    assert encode_nested(Outer, {"inner": {"name": "a"}, "per_hour": 1}, "body") == {
        "inner": {"name": "a"},
        "per-hour": 1,
    }
    with pytest.raises(InvalidArgument, match="body has no key 'per-hour'"):
        encode_nested(Outer, {"inner": {"name": "a"}, "per-hour": 1}, "body")


def test_a_text_that_stands_for_several_is_an_array_of_one():
    encoded = encode_nested(Outer, {"inner": {"name": "a"}, "tags": "x"}, "body")
    assert encoded["the-tags"] == ["x"]
    encoded = encode_nested(Outer, {"inner": {"name": "a"}, "tags": ("x", "y"), "hours": range(2)}, "body")
    assert (encoded["the-tags"], encoded["hours"]) == (["x", "y"], [0, 1])


def test_of_a_model_only_the_declared_fields_that_are_there_are_sent():
    assert encode_nested(Inner, InnerModel(name="a"), "body") == {"name": "a"}
    with pytest.raises(InvalidArgument, match="body needs the key 'name'"):
        encode_nested(Inner, InnerModel(note="b"), "body")


def test_what_is_not_given_stays_so():
    assert nested(Inner, None, "body") is None
    assert nested(Inner, UNSET, "body") is UNSET
    with pytest.raises(InvalidArgument, match="body takes a mapping or a model, not NoneType"):
        encode_nested(Inner, None, "body")


def test_one_value_by_itself_is_an_array_of_one():
    ident = UUID(int=1)
    assert several("a") == ["a"]
    assert several(ident) == [ident]
    assert several(("a", "b")) == ("a", "b")
    assert several(None) is None
