"""Bytes to models: nothing is coerced, nothing is guessed."""

from __future__ import annotations

import json
import tracemalloc
import types
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta, timezone
from functools import partial
from typing import (
    Any,
)

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiocircle._core.decode import decode, decode_items, decode_json
from aiocircle._core.fields import OneOrMore, Timestamp
from aiocircle._core.pagination import PAGE_TOKEN, array_type
from aiocircle._core.structure import StructureProblems
from tests.support.rows import each_row
from tests.unit.samples import (
    LEAF,
    NOON,
    Box,
    Branch,
    Checked,
    Colour,
    Converted,
    Leaf,
    Spelled,
    Tinted,
    carefully,
    exactly,
    read,
    refused,
)

page_type = PAGE_TOKEN.page_type


# --- strictness -----------------------------------------------------------------------------------------------


@each_row(
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


@each_row(
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
    """cattrs alone would make "None" of null, True of "false", 5 of 5.7, and three strings of "abc"."""
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
def test_a_time_without_an_offset_is_refused(kind: Any, text: str) -> None:
    """It would be read as the caller's local time."""
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
    """The document has `created-at`, the wire mostly `created_at`."""
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
    page = read(page_type(Leaf), {"items": [LEAF], "next_page_token": "t"})
    assert (page.items, page.next_page_token) == ((Leaf(id="a"),), "t")
    assert read(page_type(Leaf), {"items": []}).next_page_token is None
    assert read(page_type(Any), {"items": [1, {"a": 2}], "next_page_token": None}).items == (1, {"a": 2})
    assert read(array_type(Leaf), [LEAF]) == (Leaf(id="a"),)
    assert refused(page_type(Leaf), {"next_page_token": None}) == ("'items' is missing @ $.items",)
    assert refused(page_type(Leaf), {"items": [LEAF], "next_page_token": 5}) == (
        "expected a string or null, got an integer @ $.next_page_token",
    )


def test_items_optional_page_may_lack_items() -> None:
    """Only a page with items_optional may lack its items: elsewhere it may be an error."""
    page = read(page_type(Leaf, items_optional=True), {"next_page_token": "t"})
    assert (page.items, page.next_page_token) == ((), "t")
    assert read(page_type(Leaf, items_optional=True), {"items": [LEAF]}).items == (Leaf(id="a"),)
    optional = page_type(Leaf, items_optional=True)
    assert refused(optional, {"items": [5]}) == ("expected an object, got an integer @ $.items[0]",)


def test_null_reads_as_the_default() -> None:
    """Servers write null for an empty array. Null keeps its meaning if the type permits it."""
    found = read(Branch, {"name": "b", "leaf": LEAF, "leaves": None, "named": None, "rows": None, "scalar": None})
    assert found == Branch(name="b", leaf=Leaf(id="a"))
    assert refused(Branch, {"name": None, "leaf": LEAF}) == ("expected a string, got null @ $.name",)
    assert refused(Branch, {"name": "b", "leaf": LEAF, "leaves": [None]}) == (
        "expected an object, got null @ $.leaves[0]",
    )


def test_bad_items_leave_the_good_ones() -> None:
    """The good items come in order; of each bad one the number of those before it, and its problems."""
    items: list[Any] = [{"id": "a"}, {"id": 5}, {"id": "b"}, "c", None]
    good, bad = decode_items(Leaf, items, "$.items")
    assert good == [Leaf(id="a"), Leaf(id="b")]
    assert [(count, found.problems) for count, found in bad] == [
        (1, ("expected a string, got an integer @ $.items[1].id",)),
        (2, ("expected an object, got a string @ $.items[3]",)),
        (2, ("expected an object, got null @ $.items[4]",)),
    ]
    with carefully():
        again, same = decode_items(Leaf, items, "$.items")
    assert again == good
    assert [(count, found.problems) for count, found in same] == [(count, found.problems) for count, found in bad]


def test_bad_items_beyond_a_hundred_are_counted() -> None:
    """A hundred bad items have an error each. One more error counts the others, and comes after all items."""
    good, bad = decode_items(int, [1, *["x"] * 100, 2], "$")
    assert (good, len(bad)) == ([1, 2], 100)
    good, bad = decode_items(int, [1, *["x"] * 103, 2], "$")
    assert (good, len(bad)) == ([1, 2], 101)
    count, others = bad[-1]
    assert (count, others.problems) == (2, ("$ has 3 more items that do not match",))


def test_problems_name_their_json_paths() -> None:
    """One error names all of them, at any depth."""
    body = {
        "items": [
            {"name": 5, "leaf": {"id": None}, "leaves": [LEAF, {"id": 5}], "named": {"a b": {}}},
            {"leaf": {"id": "a", "at": "2024-05-06T12:00:00"}, "rows": [[1], ["x"]], "name": "b"},
        ],
        "next_page_token": "t2",
    }
    assert refused(page_type(Branch), body) == (
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
        (page_type(Leaf), {"items": [7] * 20_000}, "$.items[9]"),
        (page_type(Branch), {"items": [{"name": "b", "leaf": LEAF, "leaves": [7] * 20_000}]}, "$.items[0].leaves[9]"),
        (Mapping[str, Leaf], {str(number): 7 for number in range(20_000)}, "$['9']"),
    ],
    ids=["array", "array inside", "map"],
)
def test_problems_are_bounded(kind: Any, body: Any, path: str) -> None:
    """The first ten problems are named, and the other values are not read: an exception for each takes a gigabyte."""
    tracemalloc.start()
    problems = refused(kind, body)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(problems) == 10
    assert problems[-1] == f"expected an object, got an integer @ {path}"
    assert peak < 8_000_000


# --- what is no JSON ------------------------------------------------------------------------------------------


@each_row(
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
        b'{"id": "\x00"}',
        b'{"id": "\\ud800"}',
        b"[" * 200_000,
        b'{"inside":' * 200_000,
        b"1" * 5000,
    ],
)
def test_a_body_that_is_not_json_is_malformed(body: bytes) -> None:
    """After a truncated body, or a proxy's page, a retry can help."""
    ways = [partial(decode, kind) for kind in (Leaf, Spelled, Branch, Any, tuple[Any, ...])]
    for way in (*ways, decode_json):
        with pytest.raises(StructureProblems, match=r"^\$ is not JSON: ") as caught:
            way(body)
        assert caught.value.malformed, way
        assert caught.value.__context__ is None


@pytest.mark.parametrize(
    "body",
    [
        b'{"id": "\xff"}',
        '{"id": "é"}'.encode("latin-1"),
        '{"id": "a"}'.encode("utf-16"),
        '{"id": "a"}'.encode("utf-16-le"),
    ],
)
def test_other_encodings_are_not_malformed(body: bytes) -> None:
    """The next response would be encoded in the same way: another attempt is of no use."""
    for way in (lambda: decode(Leaf, body), lambda: decode_json(body)):
        with pytest.raises(StructureProblems, match="not UTF-8") as caught:
            way()
        assert not caught.value.malformed


def test_a_zero_byte_in_utf8_is_malformed() -> None:
    """Only among the first four bytes it shows another encoding."""
    with pytest.raises(StructureProblems) as caught:
        decode_json(b'{"a"\0: 1}')
    assert caught.value.malformed


def test_a_cut_character_is_malformed() -> None:
    """A body that was cut in the middle of a character may be whole the next time."""
    with pytest.raises(StructureProblems) as caught:
        decode_json('{"id": "é'.encode()[:-1])
    assert caught.value.malformed


def test_a_byte_order_mark_is_skipped() -> None:
    """Some gateways write one, which JSON does not permit."""
    assert decode_json(b'\xef\xbb\xbf{"id": "a"}') == {"id": "a"}
    assert decode(Leaf, b'\xef\xbb\xbf{"id": "a"}') == decode(Leaf, b'{"id": "a"}')


def test_other_json_is_not_malformed() -> None:
    """JSON of another shape is not malformed: a retry would return the same."""
    with pytest.raises(StructureProblems) as caught:
        read(Leaf, "[]")
    assert not caught.value.malformed


@given(st.binary(max_size=60) | st.text("{}[]:,\"'0123456789.eE+-tfnul\\ \ud800", max_size=60))
def test_any_bytes_are_json_or_a_decode_error(body: bytes | str) -> None:
    """And nothing else comes out."""
    data = body.encode("utf-8", "surrogatepass") if isinstance(body, str) else body
    for kind in (Leaf, Spelled, tuple[Any, ...]):
        try:
            decode(kind, data)
        except StructureProblems as error:
            assert error.problems  # noqa: PT017 - the only error there may be


def test_an_unreadable_type_is_a_programming_error() -> None:
    """The error of an unreadable type is raised unchanged."""
    with pytest.raises(Exception, match="Unsupported type") as caught:
        read(complex, "5")
    assert not isinstance(caught.value, StructureProblems)


def test_an_enum_is_read_as_its_member() -> None:
    """A value of an enum is read as its member."""
    assert read(Colour, '"red"') is Colour.RED
    assert read(Tinted, {"colour": "red"}).colour is Colour.RED
    assert refused(Tinted, {"colour": 5}) == ("expected a string, got an integer @ $.colour",)


def test_converters_and_aliases_are_applied() -> None:
    """A caller's own models may have them."""
    assert read(Converted, {"name": "a"}) == Converted(name="A")
    assert refused(Converted, {"name": 5}) == ("expected a string, got an integer @ $.name",)
