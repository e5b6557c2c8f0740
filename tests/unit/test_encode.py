"""Bodies and queries: written as the API reads them, and refused before anything is sent."""

from __future__ import annotations

import json
import math
import types
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta, timezone, tzinfo
from enum import Enum, IntEnum, StrEnum
from typing import (
    Annotated,
    Any,
    NotRequired,
    Required,
    TypedDict,
)
from urllib.parse import quote_plus
from uuid import UUID

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiocircle import UNSET, InvalidArgument
from aiocircle._core.encode import encode_body, encode_json, encode_nested, encode_query, parse_datetime, quote_value
from aiocircle._core.fields import READ_ONLY, Timestamp
from aiocircle._core.group import OneOrMany
from aiocircle._redact import Secret, SecretBytes
from tests.support.rows import each_row
from tests.unit.samples import (
    NOON,
    Leaf,
    Spelled,
    exactly,
)

# --- queries --------------------------------------------------------------------------------------------------


class Window(StrEnum):
    LAST_90_DAYS = "last-90-days"


class Old(str, Enum):  # noqa: UP042 - whose str() is not its value
    A = "a b"


class Level(IntEnum):
    HIGH = 3


@each_row(
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
def test_query_values_of_each_type(value: Any, sent: list[str]) -> None:
    """true and false, one parameter for each item of a list, and a text is one value."""
    assert encode_query({"name": value}) == [("name", each) for each in sent]
    assert all(type(each) is str for _, each in encode_query({"name": value}))


@each_row(
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
        ],
        *[[None], [UNSET], [["a"]], ["a", b"b"], iter("ab"), [-1], ["\udfff"], [datetime(2024, 5, 6)]],
    ],
)
def test_what_no_query_can_carry_is_refused_by_name(value: Any) -> None:
    """The value is refused before anything is sent."""
    with pytest.raises(InvalidArgument, match="page_size"):
        encode_query({"page_size": value})


def test_query_parameters_are_spelled() -> None:
    """A parameter goes out under the name that the API gives it."""
    assert encode_query({"page_size": 1}, lambda name: name.replace("_", "-")) == [("page-size", "1")]
    assert encode_query({"page_size": 1}) == [("page_size", "1")]


def test_query_parameters_keep_their_order() -> None:
    """So that a recorded request is found again."""
    pairs = encode_query({"b": 1, "a": ["x", "y"], "c": None, "d": True})
    assert pairs == [("b", "1"), ("a", "x"), ("a", "y"), ("d", "true")]


@pytest.mark.parametrize("given", [NOON, "2024-05-06T12:00:00Z", "2024-05-06T14:00:00+02:00"])
def test_a_moment_is_a_time_or_its_text(given: Any) -> None:
    """To be compared with the API's own times."""
    assert parse_datetime(given, "since") == NOON


@each_row("given", [datetime(2024, 5, 6), "2024-05-06T12:00:00", "yesterday", "", 5, None, NOON.date()])
def test_invalid_time_is_refused_by_name(given: Any) -> None:
    """Above all a naive time is refused."""
    with pytest.raises(InvalidArgument, match="since"):
        parse_datetime(given, "since")


# --- bodies ---------------------------------------------------------------------------------------------------


class Text(str):
    def __str__(self) -> str:
        return "something else"


class Whole(int):
    pass


class Real(float):
    pass


@each_row(
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
)
def test_values_are_written_as_json(value: Any, sent: str) -> None:
    """Subclasses as what they are made of, models under the names of the wire and without what is None."""
    assert encode_json(value, "json") == sent.encode()
    assert encode_body({"field-name": value, "left_out": UNSET}) == f'{{"field-name":{sent}}}'.encode()


HOLDS_ITSELF: list[Any] = []
HOLDS_ITSELF.append({"again": HOLDS_ITSELF})


@each_row(
    ("value", "place"),
    [
        (math.nan, "body"),
        ([1, math.inf], r"body\[1\]"),
        ({"a": {"b": b"x"}}, r"body\.a\.b"),
        ({"a": [object()]}, r"body\.a\[0\]"),
        ({5: "a"}, "body must have strings as keys, got 5"),
        ({None: "a"}, "body must have strings as keys, got None"),
        ({"\ud800": 1}, "lone surrogate"),
        (["\ud800"], r"body\[0\].*lone surrogate"),
        ({"a"}, "body"),
        (iter("ab"), "body"),
        (1j, "body"),
        ([UNSET], r"body\[0\]"),
        (datetime(2024, 5, 6), "body must be an aware datetime"),
        ({"at": [datetime(2024, 5, 6)]}, r"body\.at\[0\] must be an aware datetime"),
        (Leaf(id=b"x"), r"body\.id"),  # type: ignore[arg-type]
        (HOLDS_ITSELF, "contains itself"),
    ],
)
def test_non_json_value_is_refused_by_its_place(value: Any, place: str) -> None:
    """The value is refused before anything is sent."""
    with pytest.raises(InvalidArgument, match=place):
        encode_json(value, "body")
    with pytest.raises(InvalidArgument, match=place):
        encode_body({"body": value})


class Nowhere(tzinfo):
    """A time zone that does not know its offset."""

    def utcoffset(self, _: datetime | None) -> None:
        return None


def test_zone_without_offset_is_naive() -> None:
    """A time whose zone has no offset is naive."""
    with pytest.raises(InvalidArgument, match="at must be an aware datetime"):
        encode_body({"at": datetime(2024, 5, 6, tzinfo=Nowhere())})


def test_fields_of_a_body_are_spelled() -> None:
    """A field goes out under the name that the API gives it."""
    assert encode_body({"page_size": 1}, lambda name: name.replace("_", "-")) == b'{"page-size":1}'
    assert encode_body({"page_size": 1}) == b'{"page_size":1}'


def test_body_with_a_secret_is_secret() -> None:
    """A secret goes out as it is, and the body with it is shown as `***`. Other bodies are shown."""
    body = encode_json({"value": Secret("hunter2")}, "json")
    assert bytes(body) == b'{"value":"hunter2"}'
    assert type(body) is SecretBytes
    assert type(encode_json({"value": "hunter2"}, "json")) is bytes


class Text(str):
    __slots__ = ()


def test_text_of_a_callers_own_class_is_plain() -> None:
    """A body with a text of another class is not secret for that, and is shown."""
    body = encode_json({"value": Text("a")}, "json")
    assert (type(body), body) == (bytes, b'{"value":"a"}')


def test_repr_of_unset() -> None:
    """The repr of UNSET is its name."""
    assert repr(UNSET) == "UNSET"


def test_unset_alone_is_not_a_body() -> None:
    """UNSET omits a field, and this body has no fields."""
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


@each_row(
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
        ({"refs": ({"branch": "a"}, {"at": NOON})}, {"refs": [{"branch": "a"}, {"cut-off": "2024-05-06T12:00:00Z"}]}),
        ({"tags": "a"}, {"tags": ["a"]}),
        ({"tags": ("a", "b")}, {"tags": ["a", "b"]}),
        ({"by_name": [{"at": NOON}]}, {"by-name": [{"cut-off": "2024-05-06T12:00:00Z"}]}),
        ({"by_name": None}, {"by-name": None}),
        ({"free": {"per_hour": [1], "x-y": None}}, {"free": {"per_hour": [1], "x-y": None}}),
    ],
)
def test_a_nested_body_is_sent_as_its_shape_declares(given: Any, sent: Any) -> None:
    """Wire names at every depth, but never in what is the user's own map."""
    assert encode_nested(Shape, {**GOOD, **given}, "shape") == {**GOOD, **sent}


@each_row(
    ("given", "message"),
    [
        ({"nme": "x"}, "shape has no key 'nme'\\. Its keys are .*name"),
        ({"per-hour": 5}, "shape has no key 'per-hour'"),
        ({5: 5}, "shape has no key '5'"),
        ({"name": UNSET}, "shape needs the key 'name'"),
        ({"ref": {"brnch": "x"}}, r"shape\.ref has no key 'brnch'"),
        ({"ref": "main"}, r"shape\.ref must be a mapping or a model, got str"),
        ({"either": Leaf(id="x", at=NOON)}, r"shape\.either has no key 'id'"),
        ({"either": 5}, r"shape\.either must be a mapping or a model, got int"),
        ({"either": [Leaf(id="x")]}, r"shape\.either must be a mapping or a model, got list"),
        ({"ref": [("branch", "x")]}, r"shape\.ref must be a mapping or a model, got list"),
        ({"refs": [{"brnch": "x"}]}, r"shape\.refs\[0\] has no key 'brnch'"),
        ({"refs": {"branch": "x"}}, r"shape\.refs must be a sequence, got dict"),
        ({"refs": "main"}, r"shape\.refs must be a sequence, got str"),
        ({"refs": [5]}, r"shape\.refs\[0\] must be a mapping or a model, got int"),
        ({"by_name": [{"x": 1}]}, r"shape\.by_name\[0\] has no key 'x'"),
        ({"kept_on": datetime(2024, 5, 6)}, r"shape\.kept_on must be an aware datetime"),
        ({"tags": [b"x"]}, r"shape\.tags\[0\]"),
        ({"free": {"a": {"b"}}}, r"shape\.free\.a"),
        ({"free": {"a": HOLDS_ITSELF}}, "contains itself"),
    ],
)
def test_unknown_keys_are_refused(given: Any, message: str) -> None:
    """CircleCI drops an unknown key silently, so InvalidArgument names its place."""
    with pytest.raises(InvalidArgument, match=message):
        encode_nested(Shape, {**GOOD, **given}, "shape")


@pytest.mark.parametrize("missing", GOOD)
def test_a_required_key_is_required(missing: str) -> None:
    """Also where annotations are text, and where a base class requires it."""
    given = {name: value for name, value in GOOD.items() if name != missing}
    with pytest.raises(InvalidArgument, match=f"shape needs the key '{missing}'"):
        encode_nested(Shape, given, "shape")


# --- annotations that are text ---


class Inner(TypedDict):
    name: str
    note: NotRequired[str]


class Outer(TypedDict, total=False):
    inner: Required[Inner]
    per_hour: Annotated[int, "per-hour"]
    tags: Annotated[OneOrMany, "the-tags"]
    hours: Sequence[int]


@attrs.frozen(kw_only=True)
class InnerModel:
    name: str | None = None
    note: str | None = None
    told_by_the_api_only: str = "x"


def test_string_annotations_require_keys():
    """Keys that annotations in text require are required."""
    with pytest.raises(InvalidArgument, match="body needs the key 'inner'"):
        encode_nested(Outer, {"per_hour": 1}, "body")
    with pytest.raises(InvalidArgument, match=r"body\.inner needs the key 'name'"):
        encode_nested(Outer, {"inner": {"note": "x"}}, "body")


def test_string_annotations_permit_missing_keys():
    """Keys that annotations in text do not require may be missing."""
    assert encode_nested(Outer, {"inner": {"name": "a"}}, "body") == {"inner": {"name": "a"}}


def test_keys_have_wire_names():
    """Keys are sent under their wire names, and given under ours."""
    assert encode_nested(Outer, {"inner": {"name": "a"}, "per_hour": 1}, "body") == {
        "inner": {"name": "a"},
        "per-hour": 1,
    }
    with pytest.raises(InvalidArgument, match="body has no key 'per-hour'"):
        encode_nested(Outer, {"inner": {"name": "a"}, "per-hour": 1}, "body")


def test_single_text_is_an_array():
    """A single text for a list is sent as an array of one."""
    encoded = encode_nested(Outer, {"inner": {"name": "a"}, "tags": "x"}, "body")
    assert encoded["the-tags"] == ["x"]
    encoded = encode_nested(Outer, {"inner": {"name": "a"}, "tags": ("x", "y"), "hours": range(2)}, "body")
    assert (encoded["the-tags"], encoded["hours"]) == (["x", "y"], [0, 1])


def test_model_sends_declared_fields():
    """A model sends its declared fields that have a value."""
    assert encode_nested(Inner, InnerModel(name="a"), "body") == {"name": "a"}
    with pytest.raises(InvalidArgument, match="body needs the key 'name'"):
        encode_nested(Inner, InnerModel(note="b"), "body")


@attrs.frozen
class Counted:
    name: str
    uses: int = attrs.field(default=0, metadata=READ_ONLY)


def test_read_only_fields_are_not_sent() -> None:
    """Fields that the server counts are left out, also where a body has a key for them."""

    class Body(TypedDict):
        name: str
        uses: NotRequired[int]

    assert encode_nested(Body, Counted("a", uses=3), "body") == {"name": "a"}


@given(st.text())
def test_values_are_quoted_as_urllib_does(text: str) -> None:
    """The faster function has the same results."""
    assert quote_value(text) == quote_plus(text)
