"""Between bytes and models: nothing is coerced, nothing is guessed, and both ways of reading give the same."""

from __future__ import annotations

import importlib
import json
import math
import pickle
import pkgutil
import random
import tracemalloc
import types
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from enum import Enum, IntEnum, StrEnum
from typing import (
    Annotated,
    Any,
    Generic,
    Literal,
    NotRequired,
    Required,
    TypedDict,
    TypeVar,
    Union,
    get_args,
    get_origin,
)
from unittest import mock
from uuid import UUID

import attrs
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from multidict import CIMultiDict

import aiocircle.resources
from aiocircle import UNSET, DecodeError, InvalidArgument
from aiocircle._core import codec
from aiocircle._core.codec import (
    KEBAB,
    RARE,
    OneOrMore,
    Timestamp,
    decode,
    decode_json,
    decode_wrapped,
    encode_body,
    encode_json,
    encode_nested,
    encode_query,
    moment,
    page_of,
    reads_alike,
    tuple_of,
    wire_name,
)
from aiocircle._core.http import Request, Response
from aiocircle.resources.policies import PolicyBundle
from tests.support.thorough import scaled

T = TypeVar("T")

REQUEST = Request("GET", "https://u:p@circleci.com/api/v2/x?page-token=t1&circle-token=hunter2", {})


def response(body: bytes | str, **fields: Any) -> Response:
    data = body.encode() if isinstance(body, str) else body
    return Response(200, CIMultiDict({"Content-Type": "application/json", "X-Request-Id": "r-1"}), data, **fields)


def read(kind: Any, body: Any) -> Any:
    """`body` as `kind`; text and bytes are JSON already."""
    text = body if isinstance(body, bytes | str) else json.dumps(body)
    return decode(kind, response(text), REQUEST)


def carefully() -> Any:
    """Reading by cattrs alone."""
    return mock.patch.object(codec, "_fast_decoder", return_value=None)


def refused(kind: Any, body: Any) -> tuple[str, ...]:
    """The problems of `body` as `kind`, on both ways of reading."""
    with pytest.raises(DecodeError) as caught:
        read(kind, body)
    error = caught.value
    assert error.__context__ is None
    with carefully(), pytest.raises(DecodeError) as again:
        read(kind, body)
    assert again.value.problems == error.problems
    return error.problems


# --- models to read -------------------------------------------------------------------------------------------


@attrs.frozen(kw_only=True)
class Leaf:
    id: str
    count: int | None = None
    rate: float = 0.0
    flag: bool | None = None
    at: Timestamp | None = None


@attrs.frozen(kw_only=True)
class Branch:
    name: str
    leaf: Leaf
    leaves: tuple[Leaf, ...] = ()
    named: Mapping[str, Leaf] = attrs.field(factory=dict[str, Leaf])
    scalar: str | int | bool | None = None
    number: int | float | None = None
    anything: Any = None
    rows: tuple[tuple[int, ...], ...] = ()
    inside: Branch | None = None


@attrs.frozen(kw_only=True)
class Spelled:
    created_at: Timestamp = attrs.field(metadata=KEBAB)
    verify_tls: bool | None = attrs.field(default=None, metadata=KEBAB)
    kind: str = attrs.field(default="", metadata={"aiocircle.wire": "type"})
    labels: Mapping[str, str] = attrs.field(factory=dict[str, str])
    inside: Spelled | None = None


@attrs.frozen(kw_only=True)
class Box(Generic[T]):
    content: T
    more: tuple[T, ...] = ()


@attrs.frozen(kw_only=True)
class Aliased:
    name: str = attrs.field(alias="title")


@attrs.frozen(kw_only=True)
class Converted:
    name: str = attrs.field(converter=str.upper)


@attrs.frozen(kw_only=True)
class Checked:
    name: str = attrs.field(validator=attrs.validators.min_len(2))


class Colour(StrEnum):
    RED = "red"


@attrs.frozen(kw_only=True)
class Tinted:
    colour: Colour


NOON = datetime(2024, 5, 6, 12, 0, tzinfo=UTC)
LEAF = {"id": "a"}


# --- strictness -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "body", "value"),
    [
        (str, '"x"', "x"),
        (str, '""', ""),
        (str, '"None"', "None"),
        (str, '"\\u0000\\ud83d\\ude00"', "\0😀"),
        (int, "5", 5),
        (int, "-0", 0),
        (int, str(2**70), 2**70),
        (bool, "true", True),
        (bool, "false", False),
        (float, "5.5", 5.5),
        (float, "5", 5.0),
        (float, "1e3", 1000.0),
        (Any, "null", None),
        (Any, '{"a": [1, "x"]}', {"a": [1, "x"]}),
        (types.NoneType, "null", None),
        (str | None, "null", None),
        (str | int | bool | None, "true", True),
        (int | float, "5", 5),
        (int | float, "5.0", 5.0),
        (str | float, "5", 5.0),
        (tuple[int, ...], "[1, 2]", (1, 2)),
        (tuple[int, ...], "[]", ()),
        (list[str], '["a"]', ["a"]),
        (Sequence[str], '["a"]', ["a"]),
        (dict[str, int], '{"a": 1}', {"a": 1}),
        (Mapping[str, Any], '{"a-b": {"c-d": null}}', {"a-b": {"c-d": None}}),
        (Mapping[str, tuple[int, ...]], '{"a": [1]}', {"a": (1,)}),
        (dict, '{"a": 1}', {"a": 1}),
        (list, "[1]", [1]),
        (OneOrMore[int], "[1, 2]", (1, 2)),
        (OneOrMore[int], "1", (1,)),
        (tuple[str, ...] | str | None, '["a"]', ("a",)),
        (tuple[str, ...] | str | None, '"a"', "a"),
        (Leaf | str, '{"id": "a"}', Leaf(id="a")),
        (Colour, '"red"', Colour.RED),
        (Tinted, '{"colour": "red"}', Tinted(colour=Colour.RED)),
        (tuple[int, str], '[1, "a"]', (1, "a")),
    ],
)
def test_a_json_type_is_read_as_itself(kind: Any, body: str, value: Any) -> None:
    """Exactly, with the type that was declared."""
    found = read(kind, body)
    assert exactly(found) == exactly(value)
    with carefully():
        assert exactly(read(kind, body)) == exactly(value)


@pytest.mark.parametrize(
    ("kind", "body", "problem"),
    [
        (str, "null", "expected a string, got null"),
        (str, "5", "expected a string, got an integer"),
        (str, "true", "expected a string, got a boolean"),
        (str, '["a"]', "expected a string, got an array"),
        (int, '"5"', "expected an integer, got a string"),
        (int, "5.7", "expected an integer, got a number"),
        (int, "5.0", "expected an integer, got a number"),
        (int, "1e3", "expected an integer, got a number"),
        (int, "true", "expected an integer, got a boolean"),
        (int, "null", "expected an integer, got null"),
        (bool, '"false"', "expected a boolean, got a string"),
        (bool, "0", "expected a boolean, got an integer"),
        (bool, "null", "expected a boolean, got null"),
        (float, '"5"', "expected a number, got a string"),
        (float, "true", "expected a number, got a boolean"),
        (float, "null", "expected a number, got null"),
        (float, "1" * 400, "expected a number that a float can hold"),
        (types.NoneType, "0", "expected null, got an integer"),
        (str | None, "5", "expected a string or null, got an integer"),
        (str | int, "true", "expected an integer or a string, got a boolean"),
        (str | int | None, "1.5", "expected an integer or a string or null, got a number"),
        (int | float, "true", "expected an integer or a number, got a boolean"),
        (str | float, "null", "expected an integer or a number or a string, got null"),
        (Leaf | None, "[]", "expected an object or null, got an array"),
        (tuple[str, ...], '"abc"', "expected an array, got a string"),
        (tuple[str, ...], '{"a": "b"}', "expected an array, got an object"),
        (tuple[str, ...], "null", "expected an array, got null"),
        (list[str], '"abc"', "expected an array, got a string"),
        (list, "{}", "expected an array, got an object"),
        (dict[str, int], "[]", "expected an object, got an array"),
        (Mapping[str, int], "null", "expected an object, got null"),
        (dict, "[[1, 2]]", "expected an object, got an array"),
        (Leaf, "[]", "expected an object, got an array"),
        (Leaf, '"id"', "expected an object, got a string"),
        (Leaf, "null", "expected an object, got null"),
        (Leaf, "{}", "'id' is missing"),
        (Spelled, "5", "expected an object, got an integer"),
        (Timestamp, "5", "expected a time, got an integer"),
        (Colour, '"blue"', "'blue' is not a valid Colour"),
        (Checked, '{"name": "x"}', "Length of 'name' must be >= 2: 1"),
    ],
)
def test_nothing_is_coerced(kind: Any, body: str, problem: str) -> None:
    """What cattrs does by itself: "None" of null, True of "false", 5 of 5.7, three strings of "abc"."""
    (found,) = refused(kind, body)
    assert found.startswith(problem)


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("2024-05-06T12:00:00Z", NOON),
        ("2024-05-06t12:00:00z", NOON),
        ("2024-05-06 12:00:00Z", NOON),
        ("2024-05-06T12:00:00.123Z", NOON.replace(microsecond=123000)),
        ("2024-05-06T12:00:00.123456789+00:00", NOON.replace(microsecond=123457)),
        ("2024-05-06T14:00:00+0200", datetime(2024, 5, 6, 14, tzinfo=timezone(timedelta(hours=2)))),
        ("2024-05-06T14:00:00+02:00", datetime(2024, 5, 6, 14, tzinfo=timezone(timedelta(hours=2)))),
        ("1970-01-01T00:00:00.000Z", datetime(1970, 1, 1, tzinfo=UTC)),
        ("2024-02-29T23:59:59-11:30", datetime(2024, 2, 29, 23, 59, 59, tzinfo=timezone(-timedelta(hours=11.5)))),
    ],
)
@pytest.mark.parametrize("kind", [Timestamp, datetime, Timestamp | None])
def test_times_keep_the_offset_of_the_wire(kind: Any, text: str, time: datetime) -> None:
    """Also where it is not UTC."""
    found = read(kind, json.dumps(text))
    assert found == time
    assert found.utcoffset() == time.utcoffset()
    assert found.isoformat() == time.isoformat()


@pytest.mark.parametrize(
    "text",
    [
        "2024-05-06T12:00:00",
        "2024-05-06",
        "12:00:00Z",
        "2024-05-06T25:00:00Z",
        "2023-02-29T00:00:00Z",
        "1715000000",
        "yesterday",
        "",
        "2024-05-06T12:00:00Zx",
    ],
)
@pytest.mark.parametrize("kind", [Timestamp, datetime])
def test_a_time_without_an_offset_is_no_time(kind: Any, text: str) -> None:
    """It would be read as the caller's local time, wherever that is."""
    assert refused(kind, json.dumps(text)) == ("expected a time as RFC 3339 writes it, with an offset @ $",)


# --- objects --------------------------------------------------------------------------------------------------


def test_unknown_keys_are_ignored() -> None:
    """The API may add what it likes."""
    assert read(Leaf, {"id": "a", "new": {"x": [1]}, "Id": 5}) == Leaf(id="a")


def test_what_is_left_out_has_its_default() -> None:
    """On both ways."""
    for body in ({"name": "b", "leaf": LEAF}, {"name": "b", "leaf": LEAF, "leaves": [], "named": {}, "number": None}):
        assert read(Branch, body) == Branch(name="b", leaf=Leaf(id="a"))


def test_models_are_read_to_any_depth() -> None:
    """Arrays, maps, and models inside themselves."""
    body = {
        "name": "b",
        "leaf": {"id": "a", "count": 5, "rate": 1, "flag": False, "at": "2024-05-06T12:00:00Z"},
        "leaves": [LEAF, {"id": "c"}],
        "named": {"x y": {"id": "d"}},
        "scalar": True,
        "number": 2.5,
        "anything": {"a-b": [None]},
        "rows": [[1, 2], []],
        "inside": {"name": "i", "leaf": LEAF, "named": {"z": LEAF}},
    }
    expected = Branch(
        name="b",
        leaf=Leaf(id="a", count=5, rate=1.0, flag=False, at=NOON),
        leaves=(Leaf(id="a"), Leaf(id="c")),
        named={"x y": Leaf(id="d")},
        scalar=True,
        number=2.5,
        anything={"a-b": [None]},
        rows=((1, 2), ()),
        inside=Branch(name="i", leaf=Leaf(id="a"), named={"z": Leaf(id="a")}),
    )
    assert exactly(read(Branch, body)) == exactly(expected)
    with carefully():
        assert exactly(read(Branch, body)) == exactly(expected)


def test_both_spellings_are_understood() -> None:
    """The document says `created-at`, the wire mostly `created_at`."""
    time = "2024-05-06T12:00:00Z"
    expected = Spelled(created_at=NOON, verify_tls=True, kind="k")
    assert read(Spelled, {"created-at": time, "verify-tls": True, "type": "k"}) == expected
    assert read(Spelled, {"created_at": time, "verify_tls": True, "kind": "k"}) == expected
    assert read(Spelled, {"created_at": time, "verify-tls": True, "type": "k"}) == expected
    assert read(Spelled, {"created-at": time, "inside": {"created-at": time}}).inside == Spelled(created_at=NOON)
    # Should both ever be there, ours is the one that the wire really uses.
    assert read(Spelled, {"created-at": time, "verify-tls": False, "verify_tls": True}).verify_tls is True


def test_only_declared_fields_are_respelled() -> None:
    """The keys of a map are the user's: labels, parameters, names of policies."""
    body = {"created-at": "2024-05-06T12:00:00Z", "labels": {"created-at": "x", "verify_tls": "y"}}
    assert read(Spelled, body).labels == {"created-at": "x", "verify_tls": "y"}


def test_generic_models_are_read_as_what_they_hold() -> None:
    """Pages are such."""
    assert read(Box[Leaf], {"content": LEAF, "more": [LEAF]}) == Box(content=Leaf(id="a"), more=(Leaf(id="a"),))
    assert read(Box[int], {"content": 5}) == Box(content=5)
    assert read(Box[Spelled], {"content": {"created-at": "2024-05-06T12:00:00Z"}}).content.created_at == NOON
    assert read(Box[Box[int]], {"content": {"content": 5}}) == Box(content=Box(content=5))
    assert refused(Box[Leaf], {"content": 5}) == ("expected an object, got an integer @ $.content",)


def test_a_page_is_items_and_a_token() -> None:
    """The token may be null, or missing."""
    page = read(page_of(Leaf), {"items": [LEAF], "next_page_token": "t"})
    assert (page.items, page.next_page_token) == ((Leaf(id="a"),), "t")
    assert read(page_of(Leaf), {"items": []}).next_page_token is None
    assert read(page_of(Any), {"items": [1, {"a": 2}], "next_page_token": None}).items == (1, {"a": 2})
    assert read(tuple_of(Leaf), [LEAF]) == (Leaf(id="a"),)
    assert refused(page_of(Leaf), {"next_page_token": None}) == ("'items' is missing @ $.items",)
    assert refused(page_of(Leaf), {"items": [LEAF], "next_page_token": 5}) == (
        "expected a string or null, got an integer @ $.next_page_token",
    )


def test_an_empty_page_may_be_without_its_items_where_nobody_promises_them() -> None:
    """Everywhere else an answer without items is none: it may be an error in disguise."""
    page = read(page_of(Leaf, sparse=True), {"next_page_token": "t"})
    assert (page.items, page.next_page_token) == ((), "t")
    assert read(page_of(Leaf, sparse=True), {"items": [LEAF]}).items == (Leaf(id="a"),)
    assert refused(page_of(Leaf, sparse=True), {"items": [5]}) == ("expected an object, got an integer @ $.items[0]",)


def test_a_bare_answer_goes_into_a_field() -> None:
    """A map or an array without a name."""
    branch_named = attrs.make_class("Wrapped", {"named": attrs.field(type=Mapping[str, Leaf])}, frozen=True)
    assert decode_wrapped(branch_named, "named", response('{"x": {"id": "a"}}'), REQUEST).named == {"x": Leaf(id="a")}
    with pytest.raises(DecodeError, match=r"expected a string, got null @ \$\['x'\].id"):
        decode_wrapped(branch_named, "named", response('{"x": {"id": null}}'), REQUEST)


def test_null_stands_for_nothing_where_a_default_stands() -> None:
    """Servers write null for an empty array; where null has a meaning it keeps it."""
    found = read(Branch, {"name": "b", "leaf": LEAF, "leaves": None, "named": None, "rows": None, "scalar": None})
    assert found == Branch(name="b", leaf=Leaf(id="a"))
    assert refused(Branch, {"name": None, "leaf": LEAF}) == ("expected a string, got null @ $.name",)
    assert refused(Branch, {"name": "b", "leaf": LEAF, "leaves": [None]}) == (
        "expected an object, got null @ $.leaves[0]",
    )


def test_problems_name_their_json_paths() -> None:
    """All of them at once, however deep."""
    body = {
        "items": [
            {"name": 5, "leaf": {"id": None}, "leaves": [LEAF, {"id": 5}], "named": {"a b": {}}},
            {"leaf": {"id": "a", "at": "2024-05-06T12:00:00"}, "rows": [[1], ["x"]], "name": "b"},
        ],
        "next_page_token": "t2",
    }
    assert refused(page_of(Branch), body) == (
        "expected a string, got an integer @ $.items[0].name",
        "expected a string, got null @ $.items[0].leaf.id",
        "expected a string, got an integer @ $.items[0].leaves[1].id",
        "'id' is missing @ $.items[0].named['a b'].id",
        "expected a time as RFC 3339 writes it, with an offset @ $.items[1].leaf.at",
        "expected an integer, got a string @ $.items[1].rows[1][0]",
    )


@pytest.mark.parametrize(
    ("kind", "body", "path"),
    [
        (page_of(Leaf), {"items": [7] * 100_000}, "$.items[9]"),
        (page_of(Branch), {"items": [{"name": "b", "leaf": LEAF, "leaves": [7] * 100_000}]}, "$.items[0].leaves[9]"),
        (Mapping[str, Leaf], {str(number): 7 for number in range(100_000)}, "$['9']"),
    ],
    ids=["array", "array inside", "map"],
)
def test_of_very_many_wrong_values_the_first_are_named_and_no_more_are_looked_at(
    kind: Any, body: Any, path: str
) -> None:
    """An exception for each took twenty seconds and a gigabyte for a megabyte of nonsense."""
    tracemalloc.start()
    problems = refused(kind, body)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(problems) == 10
    assert problems[-1] == f"expected an object, got an integer @ {path}"
    assert peak < 40_000_000


def test_a_decode_error_has_all_that_is_known_of_the_answer() -> None:
    """The raw body above all; and the token of the page after it, so that one can go on."""
    body = b'{"items": [{"id": 5}], "next_page_token": "t2"}'
    with pytest.raises(DecodeError) as caught:
        decode(page_of(Leaf), response(body), REQUEST)
    error = caught.value
    assert error.problems == ("expected a string, got an integer @ $.items[0].id",)
    assert (error.status, error.method, error.request_id, error.body) == (200, "GET", "r-1", body)
    assert (error.next_page_token, error.malformed) == ("t2", False)
    assert error.url == "https://circleci.com/api/v2/x?page-token=t1&circle-token=***"
    assert error.headers["content-type"] == "application/json"
    assert "$.items[0].id" in str(error)


@pytest.mark.parametrize("token", ["null", '""', "5", "[]"])
def test_only_a_token_is_a_token(token: str) -> None:
    """What cannot be sent as one is none."""
    with pytest.raises(DecodeError) as caught:
        decode(page_of(Leaf), response(f'{{"items": 5, "next_page_token": {token}}}'), REQUEST)
    assert caught.value.next_page_token is None


# --- what is no JSON ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" ",
        b"{",
        b'{"id": "a"',
        b'{"id": "a"} x',
        b"{'id': 'a'}",
        b'{"id": "a",}',
        b"NaN",
        b"<html>502 Bad Gateway</html>",
        b'{"id": "\xff"}',
        b'\xef\xbb\xbf{"id": "a"}',
        b'{"id": "\x00"}',
        b'{"id": "\\ud800"}',
        b"[" * 200_000,
        b'{"inside":' * 200_000,
        b"1" * 5000,
    ],
)
@pytest.mark.parametrize("kind", [Leaf, Spelled, Branch, Any, tuple[Any, ...]])
def test_what_is_no_json_is_malformed(kind: Any, body: bytes) -> None:
    """A truncated body, or a proxy's page: asking again can help."""
    for way in (lambda: decode(kind, response(body), REQUEST), lambda: decode_json(response(body), REQUEST)):
        with pytest.raises(DecodeError) as caught:
            way()
        assert caught.value.malformed
        assert caught.value.body == body
        assert f"(application/json, {len(body)} bytes)" in caught.value.problems[0]
        assert caught.value.__context__ is None


def test_what_was_cut_is_malformed_though_it_could_be_read() -> None:
    """A body that broke off may end where JSON can end: `12` of `123`."""
    cut = response("12", flaw="the body was cut after 2 bytes: ContentLengthError")
    for way in (lambda: decode(int, cut, REQUEST), lambda: decode_json(cut, REQUEST)):
        with pytest.raises(DecodeError) as caught:
            way()
        assert caught.value.malformed
        assert caught.value.problems == ("the body was cut after 2 bytes: ContentLengthError",)


def test_what_is_json_of_another_shape_is_not_malformed() -> None:
    """Asking again would give the same."""
    with pytest.raises(DecodeError) as caught:
        read(Leaf, "[]")
    assert not caught.value.malformed


@given(st.binary(max_size=60) | st.text("{}[]:,\"'0123456789.eE+-tfnul\\ \ud800", max_size=60))
def test_any_bytes_are_json_or_a_decode_error(body: bytes | str) -> None:
    """And nothing else comes out."""
    data = body.encode("utf-8", "surrogatepass") if isinstance(body, str) else body
    for kind in (Leaf, Spelled, tuple[Any, ...]):
        try:
            decode(kind, response(data), REQUEST)
        except DecodeError as error:
            assert error.problems  # noqa: PT017 - the only error there may be


def test_an_unreadable_type_is_not_the_answers_fault() -> None:
    """A programming error stays one."""
    with pytest.raises(Exception, match="Unsupported type") as caught:
        read(complex, "5")
    assert not isinstance(caught.value, DecodeError)


# --- both ways of reading -------------------------------------------------------------------------------------


def models() -> list[Any]:
    """Every attrs model of every group, and the shapes of this file."""
    found: dict[Any, None] = dict.fromkeys(
        [Leaf, Branch, Box[Leaf], Box[Branch], Box[Any], Spelled, Box[Spelled], page_of(Branch), tuple_of(Leaf)]
    )
    package = aiocircle.resources
    for module in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
        for each in vars(importlib.import_module(module.name)).values():
            if isinstance(each, type) and attrs.has(each) and each.__module__ == module.name:
                found[each] = None
    return list(found)


MODELS = models()
WORDS = ["", "a", "success", "main", "é\0😀", "2024-05-06T12:00:00Z", "None", "5", "true"]
TIMES = ["2024-05-06T12:00:00Z", "2024-05-06T14:00:00.123456+02:00", "1970-01-01T00:00:00.000Z"]
ODD: list[Any] = [None, "", "x", "false", "5", 0, 5, -1, 5.0, 5.7, 2**70, True, False, [], ["a"], [[]], {}, {"id": 5}]
ODD += ["2024-05-06T12:00:00", "2024-05-06", "2024-05-06T12:00:00Z", 1e308]


def sample(kind: Any, dice: random.Random, depth: int = 0) -> Any:
    """Some JSON that is read as `kind`."""
    origin, arguments = get_origin(kind), get_args(kind)
    if kind is str:
        return dice.choice(WORDS)
    if kind is int:
        return dice.choice([0, 1, -5, 2**53 + 1, 2**70, dice.randrange(1000)])
    if kind is float:
        return dice.choice([0.0, -0.0, 1, 2.5, 1e300, dice.random()])
    if kind is bool:
        return dice.random() < 0.5
    if kind is types.NoneType:
        return None
    if kind is Any:
        return dice.choice(ODD)
    if kind == Timestamp:
        return dice.choice(TIMES)
    if origin is Annotated:
        return sample(arguments[0], dice, depth)
    if origin in (Union, types.UnionType):
        return sample(dice.choice(arguments if depth < 4 else arguments[-1:]), dice, depth)
    if origin in (tuple, list):
        return [sample(arguments[0], dice, depth + 1) for _ in range(dice.randrange(3 if depth < 3 else 1))]
    if origin in (Mapping, dict):
        return {dice.choice(WORDS): sample(arguments[1], dice, depth + 1) for _ in range(dice.randrange(3))}
    model = origin or kind
    values = dict(zip(getattr(model, "__parameters__", ()), arguments, strict=True)) if origin else {}
    body = {}
    for field in attrs.fields(attrs.resolve_types(model, include_extras=True)):
        if field.default is attrs.NOTHING or dice.random() < 0.7:
            name = dice.choice([field.name, wire_name(field)])
            body[name] = sample(bound(field.type, values), dice, depth + 1)
    if dice.random() < 0.1:
        body["unknown-key"] = dice.choice(ODD)
    return body


def bound(kind: Any, values: Mapping[Any, Any]) -> Any:
    """`kind` with its type variables replaced."""
    return (
        kind[tuple(values[each] for each in kind.__parameters__)]
        if getattr(kind, "__parameters__", ())
        else (values.get(kind, kind))
    )


def spoil(value: Any, dice: random.Random) -> Any:
    """`value`, with something odd somewhere inside."""
    if isinstance(value, dict) and value and dice.random() < 0.85:
        name = dice.choice(list(value))
        if dice.random() < 0.15:
            return {key: each for key, each in value.items() if key != name}
        return {**value, name: spoil(value[name], dice)}
    if isinstance(value, list) and value and dice.random() < 0.7:
        index = dice.randrange(len(value))
        return [*value[:index], spoil(value[index], dice), *value[index + 1 :]]
    return dice.choice(ODD)


def exactly(value: Any) -> Any:
    """What tells True from 1 and 1 from 1.0, which are equal to Python, at any depth."""
    if attrs.has(type(value)):
        return type(value), [(field.name, exactly(getattr(value, field.name))) for field in attrs.fields(type(value))]
    if isinstance(value, tuple | list):
        return type(value), [exactly(each) for each in value]
    if isinstance(value, dict):
        return dict, [(name, exactly(each)) for name, each in value.items()]
    if isinstance(value, datetime):
        return datetime, value.isoformat()
    return type(value), repr(value)


def holds_null(value: Any) -> bool:
    if isinstance(value, dict | list):
        return any(holds_null(each) for each in (value.values() if isinstance(value, dict) else value))
    return value is None


def outcome(kind: Any, body: bytes) -> tuple[str, Any]:
    try:
        return "read", exactly(decode(kind, response(body), REQUEST))
    except DecodeError as error:
        return "refused", error.problems


@pytest.mark.parametrize("kind", MODELS, ids=lambda kind: getattr(kind, "__name__", str(kind)))
@given(seed=st.integers(0, 2**64 - 1), odd=st.integers(0, 2))
@settings(max_examples=scaled(15, 100))
def test_both_ways_of_reading_give_equal_objects_or_refuse(kind: Any, seed: int, odd: int) -> None:
    """msgspec is there to be fast; what an answer means is decided by cattrs alone."""
    dice = random.Random(seed)
    plain = sample(kind, dice)
    for _ in range(odd):
        plain = spoil(plain, dice)
    body = json.dumps(plain).encode()
    with carefully():
        careful = outcome(kind, body)
    assert outcome(kind, body) == careful, body
    if odd == 0:
        assert careful[0] == "read", body
    fast = codec._fast_decoder(kind)
    assert (fast is not None) is reads_alike(kind)
    if fast is None:
        return
    try:
        quick = "read", exactly(fast(body))
    except msgspec.MsgspecError:
        # It refuses more in two cases: null for what has a default, and one value for an array of one.
        assert careful[0] == "refused" or holds_null(plain) or kind is PolicyBundle, body
    else:
        assert quick == careful, body


@attrs.frozen(kw_only=True)
class Seldom:
    name: str
    tag: str | None = attrs.field(default=None, metadata=RARE)
    tries: int = attrs.field(default=3, metadata=RARE)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"name": "a"}, Seldom(name="a", tag=None, tries=3)),
        ({"name": "a", "tag": "v1", "tries": 0}, Seldom(name="a", tag="v1", tries=0)),
        ({"tries": 7, "name": "a", "tag": None}, Seldom(name="a", tag=None, tries=7)),
    ],
)
def test_a_rare_field_is_what_was_answered_and_else_its_default(body: Any, expected: Seldom) -> None:
    assert codec._fast_decoder(Seldom) is not None
    assert read(Seldom, body) == expected
    with carefully():
        assert read(Seldom, body) == expected
    assert refused(Seldom, {"tag": "v1"}) == ("'name' is missing @ $.name",)
    # The class itself is as it was made.
    assert attrs.evolve(Seldom(name="a", tag="v1"), tries=1) == Seldom(name="a", tag="v1", tries=1)
    assert pickle.loads(pickle.dumps(expected)) == expected


# All of them for keys that come in two spellings.
NOT_READ_FAST = {
    "insights.FlakyTest",
    "insights.FlakyTests",
    "pipelines.PipelineConfig",
    "projects.CheckoutKey",
    "projects.EnvVar",
    "schedules.Schedule",
    "schedules.Timetable",
    "users.Collaboration",
    "webhooks.Webhook",
}


def test_the_models_that_are_not_read_fast_are_known() -> None:
    """Each costs five times as much to read: a new one is a decision."""
    own = [kind for kind in MODELS if isinstance(kind, type) and kind.__module__.startswith("aiocircle.resources.")]
    assert len(own) > 50
    slow = {f"{kind.__module__.rpartition('.')[2]}.{kind.__name__}" for kind in own if not reads_alike(kind)}
    assert slow == NOT_READ_FAST


@pytest.mark.parametrize("kind", [Spelled, Aliased, Converted, Box[Spelled], tuple[Spelled, ...], Spelled | None])
def test_what_msgspec_would_leave_at_its_default_is_read_carefully(kind: Any) -> None:
    """Second spellings, aliases and converters, at any depth."""
    assert not reads_alike(kind)
    assert not reads_alike(page_of(kind))
    assert not reads_alike(dict[str, kind])


@pytest.mark.parametrize(
    "kind",
    [
        *[datetime, bytes, UUID, complex, object, list, dict, Colour, Tinted],
        *[set[str], dict[int, str], tuple[int, str], Literal["a"], Timestamp | str, Leaf | Branch],
        attrs.make_class("Derived", {"derived": attrs.field(init=False, default=1)}),
    ],
)
def test_types_that_the_two_may_understand_differently_are_read_carefully(kind: Any) -> None:
    """A naive time, for one, is a time to msgspec."""
    assert not reads_alike(kind)


def test_an_enum_is_read_as_its_member() -> None:
    assert read(Colour, '"red"') is Colour.RED
    assert read(Tinted, {"colour": "red"}).colour is Colour.RED
    assert refused(Tinted, {"colour": 5}) == ("expected a string, got an integer @ $.colour",)


def test_converters_and_aliases_work_on_the_careful_way() -> None:
    """A caller's own models may have them."""
    assert read(Converted, {"name": "a"}) == Converted(name="A")
    assert refused(Converted, {"name": 5}) == ("expected a string, got an integer @ $.name",)


# --- queries --------------------------------------------------------------------------------------------------


class Window(StrEnum):
    LAST_90_DAYS = "last-90-days"


class Old(str, Enum):  # noqa: UP042 - whose str() is not its value
    A = "a b"


class Level(IntEnum):
    HIGH = 3


@pytest.mark.parametrize(
    ("value", "sent"),
    [
        (None, []),
        (UNSET, []),
        ("x", ["x"]),
        ("", [""]),
        ("a b&c=d#é", ["a b&c=d#é"]),
        (True, ["true"]),
        (False, ["false"]),
        (0, ["0"]),
        (250, ["250"]),
        (10**400, [str(10**400)]),
        (1.5, ["1.5"]),
        (UUID(int=1), ["00000000-0000-0000-0000-000000000001"]),
        (Window.LAST_90_DAYS, ["last-90-days"]),
        (Old.A, ["a b"]),
        (Level.HIGH, ["3"]),
        (NOON, ["2024-05-06T12:00:00Z"]),
        (datetime(2024, 5, 6, 14, 0, 0, 5, timezone(timedelta(hours=2))), ["2024-05-06T14:00:00.000005+02:00"]),
        (datetime(1890, 1, 1, tzinfo=timezone(timedelta(seconds=30))), ["1890-01-01T00:00:00+00:00:30"]),
        (["a", "b"], ["a", "b"]),
        (("a",), ["a"]),
        ([], []),
        ([True, 1, Old.A], ["true", "1", "a b"]),
        (range(3), ["0", "1", "2"]),
    ],
)
def test_query_values_are_written_as_the_api_reads_them(value: Any, sent: list[str]) -> None:
    """true and false, one parameter for each of several values, and a text is one value."""
    assert encode_query({"name": value}) == [("name", each) for each in sent]
    assert all(type(each) is str for _, each in encode_query({"name": value}))


@pytest.mark.parametrize(
    "value",
    [
        *[
            -1,
            -0.5,
            math.nan,
            math.inf,
            b"x",
            {"a": 1},
            {"a"},
            object(),
            1j,
            "\ud800",
            datetime(2024, 5, 6),
            NOON.date(),
        ],
        *[[None], [UNSET], [["a"]], ["a", b"b"], iter("ab"), [-1], ["\udfff"], [datetime(2024, 5, 6)]],
    ],
    ids=lambda each: type(each).__name__,
)
def test_what_no_query_can_carry_is_refused_by_name(value: Any) -> None:
    """Before anything is sent."""
    with pytest.raises(InvalidArgument, match="page_size"):
        encode_query({"page_size": value})


def test_query_parameters_keep_their_order() -> None:
    """So that a recorded request is found again."""
    pairs = encode_query({"b": 1, "a": ["x", "y"], "c": None, "d": True})
    assert pairs == [("b", "1"), ("a", "x"), ("a", "y"), ("d", "true")]


@pytest.mark.parametrize("given", [NOON, "2024-05-06T12:00:00Z", "2024-05-06T14:00:00+02:00"])
def test_a_moment_is_a_time_or_its_text(given: Any) -> None:
    """To be compared with the API's own times."""
    assert moment(given, "since") == NOON


@pytest.mark.parametrize("given", [datetime(2024, 5, 6), "2024-05-06T12:00:00", "yesterday", "", 5, None, NOON.date()])
def test_what_is_no_moment_is_refused_by_name(given: Any) -> None:
    """A naive time above all."""
    with pytest.raises(InvalidArgument, match="since"):
        moment(given, "since")


# --- bodies ---------------------------------------------------------------------------------------------------


class Text(str):
    def __str__(self) -> str:
        return "something else"


class Whole(int):
    pass


class Real(float):
    pass


@pytest.mark.parametrize(
    ("value", "sent"),
    [
        (None, "null"),
        (True, "true"),
        (5, "5"),
        (-5, "-5"),
        (2**70, str(2**70)),
        (1.5, "1.5"),
        ("é", '"é"'),
        (Text("x"), '"x"'),
        (Whole(5), "5"),
        (Real(2.5), "2.5"),
        (Window.LAST_90_DAYS, '"last-90-days"'),
        (Old.A, '"a b"'),
        (Level.HIGH, "3"),
        (UUID(int=1), '"00000000-0000-0000-0000-000000000001"'),
        (NOON, '"2024-05-06T12:00:00Z"'),
        ([], "[]"),
        (("a", 1), '["a",1]'),
        (range(2), "[0,1]"),
        ({}, "{}"),
        ({"a": None, "b": UNSET}, '{"a":null}'),
        ({Old.A: 1, Text("x"): 2}, '{"a b":1,"x":2}'),
        (types.MappingProxyType({"a": {"b-c": [1]}}), '{"a":{"b-c":[1]}}'),
        (Leaf(id="a", at=NOON), '{"id":"a","rate":0.0,"at":"2024-05-06T12:00:00Z"}'),
        (
            Spelled(created_at=NOON, verify_tls=False, kind="k", labels={"a_b": "c"}),
            '{"created-at":"2024-05-06T12:00:00Z","verify-tls":false,"type":"k","labels":{"a_b":"c"}}',
        ),
    ],
    ids=repr,
)
def test_values_are_written_as_json(value: Any, sent: str) -> None:
    """Subclasses as what they are made of, models under the names of the wire and without what is None."""
    assert encode_json(value, "json") == sent.encode()
    assert encode_body({"field-name": value, "left_out": UNSET}) == f'{{"field-name":{sent}}}'.encode()


HOLDS_ITSELF: list[Any] = []
HOLDS_ITSELF.append({"again": HOLDS_ITSELF})


@pytest.mark.parametrize(
    ("value", "place"),
    [
        (math.nan, "body"),
        ([1, math.inf], r"body\[1\]"),
        ({"a": {"b": b"x"}}, r"body\.a\.b"),
        ({"a": [object()]}, r"body\.a\[0\]"),
        ({5: "a"}, "body has a key that is no string: 5"),
        ({None: "a"}, "body has a key that is no string: None"),
        ({"\ud800": 1}, "lone surrogate"),
        (["\ud800"], r"body\[0\].*lone surrogate"),
        ({"a"}, "body"),
        (iter("ab"), "body"),
        (1j, "body"),
        ([UNSET], r"body\[0\]"),
        (datetime(2024, 5, 6), "body is a naive datetime"),
        ({"at": [datetime(2024, 5, 6)]}, r"body\.at\[0\] is a naive datetime"),
        (NOON.date(), "body"),
        (Leaf(id=b"x"), r"body\.id"),  # type: ignore[arg-type]
        (HOLDS_ITSELF, "holds itself"),
    ],
    ids=lambda each: type(each).__name__,
)
def test_what_is_no_json_is_refused_by_its_place(value: Any, place: str) -> None:
    """Before anything is sent."""
    with pytest.raises(InvalidArgument, match=place):
        encode_json(value, "body")
    with pytest.raises(InvalidArgument, match=place):
        encode_body({"body": value})


@attrs.frozen(kw_only=True)
class Lists:
    lists: Mapping[str, OneOrMore[str]]


def test_a_bare_answer_is_read_as_its_field_declares_it() -> None:
    """With what an annotation says beside the type."""
    assert decode_wrapped(Lists, "lists", response('{"a": "x", "b": ["y"]}'), REQUEST).lists == {
        "a": ("x",),
        "b": ("y",),
    }


class Nowhere(tzinfo):
    """A time zone that does not know its offset."""

    def utcoffset(self, _: datetime | None) -> None:
        return None


def test_a_time_whose_zone_knows_no_offset_is_naive() -> None:
    with pytest.raises(InvalidArgument, match="at is a naive datetime"):
        encode_body({"at": datetime(2024, 5, 6, tzinfo=Nowhere())})


def test_unset_says_so() -> None:
    assert repr(UNSET) == "UNSET"


def test_unset_alone_is_no_body() -> None:
    """It leaves out a field, and here is none."""
    with pytest.raises(InvalidArgument, match="UNSET"):
        encode_json(UNSET, "json")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(JSON)
def test_json_goes_out_as_it_is(value: Any) -> None:
    """And would come in again the same."""
    assert exactly(json.loads(encode_json(value, "json"))) == exactly(value)


# --- nested bodies --------------------------------------------------------------------------------------------


class Ref(TypedDict, total=False):
    branch: str
    at: Annotated[datetime, "cut-off"]


class Base(TypedDict):
    name: str


class Shape(Base, total=False):
    per_hour: Annotated[int, "per-hour"]
    kept_on: Timestamp
    ref: Ref
    either: Ref | Leaf | None
    refs: Required[Sequence[Ref]]
    tags: str | Sequence[str]
    by_name: Annotated[NotRequired[Sequence[Ref] | None], "by-name"]
    free: Mapping[str, Any]


GOOD: dict[str, Any] = {"name": "n", "refs": []}


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ({}, {}),
        ({"per_hour": 5}, {"per-hour": 5}),
        ({"kept_on": NOON}, {"kept_on": "2024-05-06T12:00:00Z"}),
        ({"ref": {"branch": "main", "at": NOON}}, {"ref": {"branch": "main", "cut-off": "2024-05-06T12:00:00Z"}}),
        ({"ref": None}, {"ref": None}),
        ({"ref": {"branch": None}}, {"ref": {"branch": None}}),
        ({"ref": UNSET}, {}),
        ({"ref": {"branch": UNSET}}, {"ref": {}}),
        ({"either": None}, {"either": None}),
        ({"either": Leaf(id="x", at=NOON)}, {"either": {"cut-off": "2024-05-06T12:00:00Z"}}),
        ({"refs": ({"branch": "a"}, {"at": NOON})}, {"refs": [{"branch": "a"}, {"cut-off": "2024-05-06T12:00:00Z"}]}),
        ({"tags": "a"}, {"tags": ["a"]}),
        ({"tags": ("a", "b")}, {"tags": ["a", "b"]}),
        ({"by_name": [{"at": NOON}]}, {"by-name": [{"cut-off": "2024-05-06T12:00:00Z"}]}),
        ({"by_name": None}, {"by-name": None}),
        ({"free": {"per_hour": [1], "x-y": None}}, {"free": {"per_hour": [1], "x-y": None}}),
    ],
    ids=repr,
)
def test_a_nested_body_is_sent_as_its_shape_declares(given: Any, sent: Any) -> None:
    """Wire names at every depth, but never in what is the user's own map."""
    assert encode_nested(Shape, {**GOOD, **given}, "shape") == {**GOOD, **sent}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"nme": "x"}, "shape has no key 'nme'; it knows .*name"),
        ({"per-hour": 5}, "shape has no key 'per-hour'"),
        ({5: 5}, "shape has no key '5'"),
        ({"name": UNSET}, "shape needs the key 'name'"),
        ({"ref": {"brnch": "x"}}, r"shape\.ref has no key 'brnch'"),
        ({"ref": "main"}, r"shape\.ref takes a mapping or a model, not str"),
        ({"either": 5}, r"shape\.either takes a mapping or a model, not int"),
        ({"either": [Leaf(id="x")]}, r"shape\.either takes a mapping or a model, not list"),
        ({"ref": [("branch", "x")]}, r"shape\.ref takes a mapping or a model, not list"),
        ({"refs": [{"brnch": "x"}]}, r"shape\.refs\[0\] has no key 'brnch'"),
        ({"refs": {"branch": "x"}}, r"shape\.refs takes a sequence, not dict"),
        ({"refs": "main"}, r"shape\.refs takes a sequence, not str"),
        ({"refs": [5]}, r"shape\.refs\[0\] takes a mapping or a model, not int"),
        ({"by_name": [{"x": 1}]}, r"shape\.by_name\[0\] has no key 'x'"),
        ({"kept_on": datetime(2024, 5, 6)}, r"shape\.kept_on is a naive datetime"),
        ({"tags": [b"x"]}, r"shape\.tags\[0\]"),
        ({"free": {"a": {"b"}}}, r"shape\.free\.a"),
        ({"free": {"a": HOLDS_ITSELF}}, "holds itself"),
    ],
    ids=repr,
)
def test_what_the_shape_does_not_know_is_refused_by_its_place(given: Any, message: str) -> None:
    """CircleCI drops an unknown key in silence: a misspelt one must not get there."""
    with pytest.raises(InvalidArgument, match=message):
        encode_nested(Shape, {**GOOD, **given}, "shape")


@pytest.mark.parametrize("missing", GOOD)
def test_a_required_key_is_required(missing: str) -> None:
    """Also where annotations are text, and where a base class requires it."""
    given = {name: value for name, value in GOOD.items() if name != missing}
    with pytest.raises(InvalidArgument, match=f"shape needs the key '{missing}'"):
        encode_nested(Shape, given, "shape")
