"""The base of all groups, the types of their parameters, and small helpers for their bodies."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from aiocircle._core.encode import encode_nested
from aiocircle._core.executor import Executor
from aiocircle._core.fields import Unset
from aiocircle.links import Link, ensure_same_host, org_at
from aiocircle.slugs import HasSlug, OrgSlug, ProjectSlug

__all__ = ["Group", "Id", "OneOrMany", "Org", "Project", "as_list", "encode_optional", "omit_none"]

Id = str | UUID
"""An id, as text or as a UUID."""

Project = ProjectSlug | Link | HasSlug | UUID | str
"""A project: a ProjectSlug, any text that ProjectSlug.parse() accepts, a link, or an object with a `slug`."""

Org = OrgSlug | Link | HasSlug | UUID | str
"""An organization: an OrgSlug, any text that OrgSlug.parse() accepts, a link, or an object with a `slug`."""

OneOrMany = str | Sequence[str]
"""One value, or several."""


class Group:
    """A group of operations, bound to a client's executor."""

    __slots__ = ("_call", "_executor", "_list")

    def __init__(self, executor: Executor) -> None:
        self._executor = executor
        self._call = executor.call
        self._list = executor.list

    def _link(self, url: str | Link) -> Link:
        """Return the link to a page of the client's host. Raise InvalidArgument if it is not one."""
        link = url if isinstance(url, Link) else Link.parse(url)
        ensure_same_host(link, self._executor.state.base_url)
        return link

    def _org_slug(self, org: Org | None) -> str | None:
        """Return the slug of an organization for a query or a body. None stays None."""
        return None if org is None else str(org_at(org, self._executor.state.base_url))


def omit_none(**fields: Any) -> dict[str, Any]:
    """Return the fields that are not None: None means "not sent"."""
    return {name: value for name, value in fields.items() if value is not None}


def as_list(values: Any) -> Any:
    """Return a single value as an array of one, for parameters that are sent as an array."""
    return [values] if isinstance(values, str | UUID) else values


def encode_optional(shape: type, value: Any, field: str, *, fixed: Sequence[str] = ()) -> Any:
    """Return a nested part of a body, encoded by the TypedDict that declares it. None and UNSET stay."""
    return value if value is None or isinstance(value, Unset) else encode_nested(shape, value, field, fixed=fixed)
