"""Ids of what a wait follows: texts, UUIDs, and models that have one."""

from __future__ import annotations

from typing import Protocol
from uuid import UUID

from aiocircle.errors import InvalidArgument
from aiocircle.slugs import check_segment

__all__ = ["HasId", "IdOrModel", "text_id"]


class HasId(Protocol):
    """An object with an id, such as a model."""

    @property
    def id(self) -> str | UUID | None:
        """The id."""


IdOrModel = str | UUID | HasId
"""An id as text or as a UUID, or an object that has one."""


def text_id(value: IdOrModel, parameter: str) -> str:
    """Return the text of an id. Raise InvalidArgument if the value neither is an id nor has one."""
    own: object = value if isinstance(value, str | UUID) else getattr(value, "id", None)
    if isinstance(own, UUID):
        return str(own)
    if isinstance(own, str):
        return check_segment(own, parameter)
    raise InvalidArgument(
        f"{parameter} must be an id or a model with an id, got {type(value).__name__} without one. A pipeline that "
        "CircleCI did not start has none"
    )
