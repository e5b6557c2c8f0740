"""Responses that differ from the document cost a reader the value that is wrong, not the item."""

from __future__ import annotations

import json
import types
import typing
from datetime import datetime
from typing import Annotated, Any, Union, get_args, get_origin

import attrs
import pytest

from aiocircle._core.decode import decode
from aiocircle._core.fields import NumericText, WholeNumber, wire_name
from aiocircle._core.pagination import PAGE_TOKEN
from aiocircle._core.structure import StructureProblems
from aiocircle.resources.insights import WorkflowMetrics
from aiocircle.resources.jobs import JobTest
from tests.support.models import MODELS
from tests.support.rows import each_row

FIELDS = [(model, field) for model in MODELS for field in attrs.fields(attrs.resolve_types(model, include_extras=True))]


def members(type_: Any) -> list[Any]:
    """Return the members of a union, or the type itself."""
    return list(get_args(type_)) if get_origin(type_) in (Union, types.UnionType) else [type_]


def sample(type_: Any) -> Any:
    """Return a JSON value that a type reads."""
    type_ = next(each for each in members(type_) if each is not types.NoneType)
    if type_ == WholeNumber or type_ is int:
        return 12
    if type_ == NumericText or type_ is float:
        return 1.5
    if get_origin(type_) is Annotated:
        return "2026-11-26T10:00:00Z" if get_args(type_)[0] is datetime else []
    if attrs.has(type_):
        return {
            wire_name(field): sample(field.type)
            for field in attrs.fields(attrs.resolve_types(type_, include_extras=True))
            if field.default is attrs.NOTHING
        }
    simple = {str: "x", bool: True, Any: "x"}
    if type_ in simple:
        return simple[type_]
    return [] if get_origin(type_) is tuple else {}


def read(model: Any, value: Any) -> Any:
    """Decode a JSON value as a model."""
    return decode(model, json.dumps(value).encode())


@each_row(("model", "field"), FIELDS)
def test_field_may_be_null_or_missing(model: Any, field: Any) -> None:
    """A field without which the item still has a name reads as its default; the others are an error that names them."""
    whole = {**sample(model), wire_name(field): sample(field.type)}
    missing = {name: value for name, value in whole.items() if name != wire_name(field)}
    for body in (missing, {**missing, wire_name(field): None}):
        if field.default is attrs.NOTHING:
            with pytest.raises(StructureProblems, match=field.name):
                read(model, body)
        else:
            value = getattr(read(model, body), field.name)
            assert value == getattr(read(model, sample(model)), field.name) or value is None


@each_row(("model", "field"), [each for each in FIELDS if WholeNumber in members(each[1].type)])
def test_counter_may_be_a_float(model: Any, field: Any) -> None:
    """12.0 is the integer 12, by either decoder; 12.5 and a text are errors."""
    value = getattr(read(model, {**sample(model), wire_name(field): 12.0}), field.name)
    assert (value, type(value)) == (12, int)
    for wrong in (12.5, "12", True):
        with pytest.raises(StructureProblems, match=field.name):
            read(model, {**sample(model), wire_name(field): wrong})


@each_row("field", ["name", "id", "fingerprint", "test_name", "path", "usage_export_job_id"])
def test_what_names_an_item_is_required(field: str) -> None:
    """At least one model requires each of the fields that name things: leniency does not go further."""
    assert any(each.name == field and each.default is attrs.NOTHING for _, each in FIELDS)


def is_time(type_: Any) -> bool:
    """Return True if a type holds a time."""
    return any(get_origin(each) is Annotated and get_args(each)[0] is datetime for each in members(type_))


TIMES = [each for each in FIELDS if types.NoneType in members(each[1].type) and is_time(each[1].type)]


@each_row(("model", "field"), TIMES)
def test_optional_time_may_be_an_empty_text(model: Any, field: Any) -> None:
    """An empty text reads as None for every time that may be None."""
    assert getattr(read(model, {**sample(model), wire_name(field): ""}), field.name) is None


@pytest.mark.parametrize("text", ["1.25", "3", "-0.5", "1e3"])
def test_run_time_may_be_text(text: str) -> None:
    """A run time that arrives as text is a number; a text that is not a finite number is an error."""
    assert read(JobTest, {"run_time": text}).run_time == float(text)
    assert read(JobTest, {"run_time": 3}).run_time == 3.0
    for wrong in ("", "fast", "nan", "inf", "1e999"):
        with pytest.raises(StructureProblems, match="run_time"):
            read(JobTest, {"run_time": wrong})


@each_row("model", MODELS)
def test_models_hash(model: Any) -> None:
    """Every model hashes; a map takes no part in it."""
    fields = attrs.fields(attrs.resolve_types(model, include_extras=True))
    everything = {wire_name(field): sample(field.type) for field in fields}
    assert len({read(model, everything), read(model, everything)}) == 1


def test_page_survives_null_counters() -> None:
    """A page of metrics without figures is read: every figure is None."""
    page = read(
        PAGE_TOKEN.page_type(WorkflowMetrics), {"items": [{"name": "build"}, {"name": "b", "metrics": {"mttr": None}}]}
    )
    assert [(item.name, item.metrics.mttr, item.metrics.duration_metrics.mean) for item in page.items] == [
        ("build", None, None),
        ("b", None, None),
    ]


@each_row("model", MODELS)
def test_type_hints_resolve(model: Any) -> None:
    """The annotations of every model resolve, so that tools can read them."""
    assert typing.get_type_hints(model, include_extras=True)
