"""The common behaviour of groups: ids, arrays of one, and fields that are not sent."""

from __future__ import annotations

from typing import NotRequired, TypedDict
from uuid import UUID

import pytest

from aiocircle import UNSET, InvalidArgument
from aiocircle._core.group import as_list, encode_optional


class Inner(TypedDict):
    name: str
    note: NotRequired[str]


def test_none_is_omitted():
    """omit_none() drops None."""
    assert encode_optional(Inner, None, "body") is None
    assert encode_optional(Inner, UNSET, "body") is UNSET
    with pytest.raises(InvalidArgument, match="body must be a mapping or a model, got int"):
        encode_optional(Inner, 5, "body")


def test_single_value_is_a_list():
    """as_list() makes a single value a list of one."""
    ident = UUID(int=1)
    assert as_list("a") == ["a"]
    assert as_list(ident) == [ident]
    assert as_list(("a", "b")) == ("a", "b")
    assert as_list(None) is None
