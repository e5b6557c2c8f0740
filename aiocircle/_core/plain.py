"""Models as plain JSON values."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Set
from datetime import date, datetime, timedelta
from enum import Enum
from pathlib import PurePath
from typing import Any, TypeGuard, cast
from uuid import UUID

import attrs

from aiocircle.errors import InvalidArgument
from aiocircle.slugs import OrgSlug, ProjectSlug

__all__ = ["to_dict"]


def to_dict(model: object) -> dict[str, Any]:
    """Return a model as a dict of plain JSON values, for `json.dumps`, FastAPI, pydantic or a database.

    The keys are the names of the model's fields. Times are RFC 3339 text with their offset, dates ISO text; slugs,
    links, ids, paths and errors are text, durations seconds, tuples and sets lists. Raise InvalidArgument if `model`
    is not a model, or holds a value that JSON cannot carry.
    """
    if not _is_model(model):
        raise InvalidArgument(
            f"model must be a model of aiocircle, got {type(model).__name__}. Pass one item at a time"
        )
    return _fields(model, "model")


def _fields(model: Any, path: str) -> dict[str, Any]:
    fields = attrs.fields(cast("Any", type(model)))
    return {
        field.name: _plain(getattr(model, field.name), f"{path}.{field.name}")
        for field in fields
        if not field.name.startswith("_")
    }


def _plain(value: Any, path: str) -> Any:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, Enum):
        return _plain(value.value, path)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, int | str):
        # A subclass is reduced to the plain type: some encoders treat it in another way.
        return int(value) if isinstance(value, int) else str(value)
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, ProjectSlug | OrgSlug | UUID | PurePath | BaseException) or _is_text_like(value):
        return str(value)
    if _is_mapping(value):
        return {str(_plain(key, path)): _plain(each, f"{path}.{key}") for key, each in value.items()}
    if _is_collection(value):
        return [_plain(each, f"{path}[{index}]") for index, each in enumerate(value)]
    if _is_model(value):
        return _fields(value, path)
    raise InvalidArgument(f"{path} must be a JSON value or a model, got {type(value).__name__}. Convert it first")


def _is_mapping(value: object) -> TypeGuard[Mapping[Any, Any]]:
    return isinstance(value, Mapping)


def _is_collection(value: object) -> TypeGuard[Collection[Any]]:
    return isinstance(value, list | tuple | Set)


def _is_model(value: object) -> bool:
    return not isinstance(value, type) and attrs.has(type(value))


def _is_text_like(value: object) -> bool:
    """Return True for models that are a text, such as a Link: their class defines `__str__`."""
    return _is_model(value) and "__str__" in vars(type(value))
