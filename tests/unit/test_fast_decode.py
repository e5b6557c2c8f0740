"""msgspec and cattrs: both ways of decoding give equal objects, or refuse."""

from __future__ import annotations

import json
import pickle
import random
from datetime import datetime
from typing import (
    Any,
    Literal,
)
from uuid import UUID

import attrs
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aiocircle._core.decode import decode
from aiocircle._core.fast_decode import msgspec_decoder
from aiocircle._core.fields import RARELY_PRESENT, Timestamp
from aiocircle._core.pagination import PAGE_TOKEN, array_type
from aiocircle._core.structure import StructureProblems
from aiocircle.resources.policies import PolicyBundle
from tests.support.models import MODELS as RESPONSE_MODELS
from tests.support.rows import each_row
from tests.support.thorough import scaled
from tests.unit.samples import (
    Aliased,
    Box,
    Branch,
    Colour,
    Converted,
    Leaf,
    Spelled,
    Tinted,
    carefully,
    exactly,
    holds_null,
    read,
    refused,
    sample,
    spoil,
)

page_type = PAGE_TOKEN.page_type


# The models of responses, and the shapes of the samples.
MODELS = (
    *[Leaf, Branch, Box[Leaf], Box[Branch], Box[Any], Spelled, Box[Spelled], page_type(Branch), array_type(Leaf)],
    *RESPONSE_MODELS,
)


def outcome(kind: Any, body: bytes) -> tuple[str, Any]:
    try:
        return "read", exactly(decode(kind, body))
    except StructureProblems as error:
        return "refused", error.problems


@pytest.mark.parametrize("kind", MODELS, ids=lambda kind: getattr(kind, "__name__", str(kind)))
@given(seed=st.integers(0, 2**64 - 1), odd=st.integers(0, 2))
@settings(max_examples=scaled(8, 100))
def test_msgspec_and_cattrs_agree(kind: Any, seed: int, odd: int) -> None:
    """msgspec is only faster: it gives objects equal to those of cattrs, or refuses."""
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
    fast = msgspec_decoder(kind)
    if fast is None:
        return
    try:
        quick = "read", exactly(fast(body))
    except msgspec.MsgspecError:
        # It may refuse more: null for a field with a default, one value for an array of one, 12.0 for an integer.
        assert odd or holds_null(plain) or kind is PolicyBundle, body
    else:
        assert quick == careful, body


@attrs.frozen(kw_only=True)
class Seldom:
    name: str
    tag: str | None = attrs.field(default=None, metadata=RARELY_PRESENT)
    tries: int = attrs.field(default=3, metadata=RARELY_PRESENT)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"name": "a"}, Seldom(name="a", tag=None, tries=3)),
        ({"name": "a", "tag": "v1", "tries": 0}, Seldom(name="a", tag="v1", tries=0)),
        ({"tries": 7, "name": "a", "tag": None}, Seldom(name="a", tag=None, tries=7)),
    ],
)
def test_rarely_present_field_has_its_default(body: Any, expected: Seldom) -> None:
    """A rarely present field has the value of the response, otherwise its default."""
    assert msgspec_decoder(Seldom) is not None
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
    assert len(RESPONSE_MODELS) > 50
    slow = {
        f"{kind.__module__.rpartition('.')[2]}.{kind.__name__}"
        for kind in RESPONSE_MODELS
        if msgspec_decoder(kind) is None
    }
    assert slow == NOT_READ_FAST


@attrs.frozen
class Dated:
    """A model that nothing else reads before the test."""

    at: Timestamp


@each_row("kind", [Dated, Leaf, Box[Leaf], page_type(Branch), array_type(Leaf), dict[str, Leaf], Leaf | None])
def test_types_that_are_read_fast(kind: Any) -> None:
    """Arrays, maps, pages and generic models of types that are read fast are read fast too."""
    assert msgspec_decoder(kind) is not None


@each_row("kind", [Spelled, Aliased, Converted, Box[Spelled], tuple[Spelled, ...], Spelled | None])
def test_fields_unfit_for_msgspec(kind: Any) -> None:
    """Second spellings, aliases and converters, at any depth."""
    assert msgspec_decoder(kind) is None
    assert msgspec_decoder(page_type(kind)) is None
    assert msgspec_decoder(dict[str, kind]) is None


@each_row(
    "kind",
    [
        *[datetime, bytes, UUID, complex, object, list, dict, Colour, Tinted],
        *[set[str], dict[int, str], tuple[int, str], Literal["a"], Timestamp | str, Leaf | Branch],
        attrs.make_class("Derived", {"derived": attrs.field(init=False, default=1)}),
    ],
)
def test_types_unfit_for_msgspec(kind: Any) -> None:
    """A naive time, for one, is a time to msgspec."""
    assert msgspec_decoder(kind) is None
