"""Endpoints as declarations: verb, path, model, and whether a request may be sent twice."""

from __future__ import annotations

import re
from typing import Any, Final, Generic, TypeVar
from urllib.parse import quote
from uuid import UUID

import attrs

from aiocircle.errors import InvalidArgument
from aiocircle.slugs import OrgSlug, ProjectSlug, check_segment

__all__ = ["API", "Endpoint", "ListEndpoint", "reference_url"]

T = TypeVar("T")

API: Final = "/api/v2"
_PLACEHOLDER = re.compile(r"\{([a-z_/-]+)\}")
_REPEATABLE = {"GET", "HEAD", "PUT", "DELETE"}


def reference_url(operation_id: str) -> str:
    """The page of CircleCI's API v2 reference that describes an operation."""
    return f"https://circleci.com/docs/api/v2/#operation/{operation_id}"


def _split(route: _Route) -> tuple[str, ...]:
    parts = tuple(_PLACEHOLDER.split(route.path))
    if any("{" in literal or "}" in literal for literal in parts[::2]):
        raise ValueError(f"{route.operation}: {route.path} has a placeholder that is none")
    return parts


def _family(route: _Route) -> str:
    return f"v2/{route.path.split('/', 2)[1]}"


@attrs.frozen
class _Route:
    """What single and list endpoints share.

    `path` is relative to `/api/v2`. Its placeholders say how a value is written into it:
    `{project}` a project's slug, as its segments; `{provider/organization/project}` the same where a bare UUID
    will not do; `{org}` an organization's slug, as its segments; `{org-slug-or-id}` the same in one segment, its
    slash encoded; any other name one segment.
    """

    method: str
    path: str
    operation: str = attrs.field(kw_only=True)
    reference: str = attrs.field(kw_only=True)
    # The path, split once: literals and placeholders in turn.
    _parts: tuple[str, ...] = attrs.field(
        init=False, repr=False, eq=False, default=attrs.Factory(_split, takes_self=True)
    )
    family: str = attrs.field(init=False, repr=False, eq=False, default=attrs.Factory(_family, takes_self=True))
    """The API version and the first path segment: the requests that CircleCI limits together."""

    @property
    def placeholders(self) -> tuple[str, ...]:
        """The names in the path's braces, in order."""
        return self._parts[1::2]

    @property
    def changes(self) -> bool:
        """Whether the operation changes something on the server."""
        return self.method not in ("GET", "HEAD")

    @property
    def repeatable(self) -> bool:
        """Whether a request of unknown outcome may be sent again: the verb is idempotent."""
        return self.method in _REPEATABLE

    def fill(self, values: tuple[Any, ...]) -> str:
        """The path below the host, each segment percent-encoded by itself; InvalidArgument for a bad value."""
        parts = self._parts
        if len(values) != len(parts) // 2:
            raise TypeError(f"{self.operation} takes {len(parts) // 2} path values, not {len(values)}")
        filled = [API, parts[0]]
        for index, value in enumerate(values):
            filled.append(_fill(parts[2 * index + 1], value))
            filled.append(parts[2 * index + 2])
        return "".join(filled)


@attrs.frozen
class Endpoint(_Route, Generic[T]):
    """An operation that answers one model, or nothing but a confirmation (model None).

    wrap: the field of the model that the whole answer goes into, where the answer is a bare array or map.
    """

    model: type[T] | None
    wrap: str | None = attrs.field(default=None, kw_only=True)


@attrs.frozen
class ListEndpoint(_Route, Generic[T]):
    """An operation that answers items of one model.

    paged: whether the API ever answers a token for a next page. bare: whether the API's document has an array for
    the answer rather than an object with `items`; both are understood. by_offset: whether the page is chosen by
    `offset` rather than by `page-token`.
    sparse: whether the API's document does not promise `items`, so that an empty page may be without them.
    """

    model: type[T]
    paged: bool = attrs.field(default=True, kw_only=True)
    bare: bool = attrs.field(default=False, kw_only=True)
    by_offset: bool = attrs.field(default=False, kw_only=True)
    sparse: bool = attrs.field(default=False, kw_only=True)


def _fill(name: str, value: Any) -> str:
    if name == "project":
        return _segments(ProjectSlug.parse(value).segments)
    if name == "provider/organization/project":
        project = ProjectSlug.parse(value)
        if project.provider is None:
            raise InvalidArgument(
                "this operation needs the project's full slug, such as gh/<org>/<repo> or "
                "circleci/<org id>/<project id>: a UUID alone does not name its organization"
            )
        return _segments(project.segments)
    if name == "org":
        return _segments(OrgSlug.parse(value).segments)
    if name == "org-slug-or-id":
        return quote(str(OrgSlug.parse(value)), safe="")
    return _segment(name, value)


def _segments(segments: tuple[str, ...]) -> str:
    return "/".join([quote(segment, safe="") for segment in segments])


def _segment(name: str, value: Any) -> str:
    if isinstance(value, str):
        return quote(check_segment(value, name), safe="")
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, int) and not isinstance(value, bool):
        if value < 0:
            raise InvalidArgument(f"{name} is negative: {value}")
        return str(value)
    raise InvalidArgument(f"{name} cannot stand in a path: {type(value).__name__}")
