"""The base of all groups, the types of their parameters, and small helpers for their bodies."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from aiocircle._core.encode import encode_nested
from aiocircle._core.executor import Executor
from aiocircle._core.fields import Unset
from aiocircle.slugs import OrgSlug, ProjectSlug

__all__ = ["Group", "Id", "OneOrMany", "Org", "Project", "as_list", "encode_optional", "omit_none", "org_slug_text"]

Id = str | UUID
"""An id, as text or as a UUID."""

Project = ProjectSlug | str
"""A project: a ProjectSlug, or any text that ProjectSlug.parse() accepts."""

Org = OrgSlug | str
"""An organization: an OrgSlug, or any text that OrgSlug.parse() accepts."""

OneOrMany = str | Sequence[str]
"""One value, or several."""


class Group:
    """A group of operations, bound to a client's executor."""

    __slots__ = ("_call", "_executor", "_list")

    def __init__(self, executor: Executor) -> None:
        self._executor = executor
        self._call = executor.call
        self._list = executor.list


def omit_none(**fields: Any) -> dict[str, Any]:
    """Return the fields that are not None: None means "not sent"."""
    return {name: value for name, value in fields.items() if value is not None}


def as_list(values: Any) -> Any:
    """Return a single value as an array of one, for parameters that are sent as an array."""
    return [values] if isinstance(values, str | UUID) else values


def encode_optional(shape: type, value: Any, field: str, *, fixed: Sequence[str] = ()) -> Any:
    """Return a nested part of a body, encoded by the TypedDict that declares it. None and UNSET stay."""
    return value if value is None or isinstance(value, Unset) else encode_nested(shape, value, field, fixed=fixed)


def org_slug_text(org: Org | None) -> str | None:
    """Return the slug of an organization for a query or a body. None stays None."""
    return None if org is None else str(OrgSlug.parse(org))
