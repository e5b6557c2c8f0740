"""Marks that models, bodies and queries use in their annotations."""

from __future__ import annotations

import types
from collections.abc import Mapping
from datetime import datetime
from enum import Enum
from typing import Annotated, Any, Final, TypeVar, cast

import attrs
import msgspec

__all__ = [
    "JSON",
    "KEBAB",
    "ONE_OR_MORE",
    "RARELY_PRESENT",
    "READ_ONLY",
    "UNSET",
    "NumericText",
    "OneOrMore",
    "Timestamp",
    "Unset",
    "WholeNumber",
    "wire_name",
]

T = TypeVar("T")

# A JSON value. `Any`, because a recursive alias would be checked again at every use for no gain.
JSON = Any


class Unset(Enum):
    """The type of UNSET."""

    UNSET = "UNSET"

    def __repr__(self) -> str:
        return "UNSET"


UNSET: Final = Unset.UNSET
"""A value for fields that are not to be sent, where None already means "send null"."""

Timestamp = Annotated[datetime, msgspec.Meta(tz=True)]
"""An aware datetime, with the offset that the wire gave it."""

ONE_OR_MORE: Final = "aiocircle.one-or-more"
"""The mark of OneOrMore."""

OneOrMore = Annotated[tuple[T, ...], ONE_OR_MORE]
"""An array, or one value that stands for an array of one."""

WholeNumber = Annotated[int, "aiocircle.whole-number"]
"""A counter or a duration: an integer that may arrive as 12.0."""

NumericText = Annotated[float, "aiocircle.numeric-text"]
"""A number that may arrive as text."""

KEBAB: Final[Mapping[str, Any]] = types.MappingProxyType({"aiocircle.kebab": True})
"""Field metadata: `created_at` may be received as `created-at`, and is sent as `created-at`."""

RARELY_PRESENT: Final[Mapping[str, Any]] = types.MappingProxyType({"aiocircle.rare": True})
"""Field metadata: most responses omit the field. It costs less if it is missing, and more if it is present."""


READ_ONLY: Final[Mapping[str, Any]] = types.MappingProxyType({"aiocircle.read-only": True})
"""Field metadata: the API returns the field and accepts none. A model that is sent back is sent without it."""


def wire_name(field: attrs.Attribute[Any]) -> str:
    """Return the name that the official document has for a model's field."""
    if "aiocircle.wire" in field.metadata:
        return cast("str", field.metadata["aiocircle.wire"])
    return field.name.replace("_", "-") if "aiocircle.kebab" in field.metadata else field.name
