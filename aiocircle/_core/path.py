"""Path templates: each value is percent-encoded in its own segment."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import quote
from uuid import UUID

from aiocircle.errors import InvalidArgument
from aiocircle.links import org_at, project_at
from aiocircle.slugs import ProjectSlug, check_segment

__all__ = ["expand_path", "split_template"]

_PLACEHOLDER = re.compile(r"\{([a-z_]+)(?::([a-z_]+))?\}")
_LONG_NAMES: Final = {"gh": "github", "bb": "bitbucket"}

Converter = Callable[[str, Any, str], str]
"""From the name of a parameter, its value and the root of the client's host to a part of a path."""

Template = tuple[tuple[str, ...], tuple[tuple[str, Converter], ...]]
"""A path template: its literals, and between each two of them a name with its converter."""


def split_template(path: str) -> Template:
    """Split a path such as `/project/{project:slug}/pipeline/{number}`. Raise ValueError if a placeholder is invalid.

    The text after the colon is the converter. `slug` is a project's slug, as its segments. `full_slug` is the same,
    but not a UUID alone. `long_slug` is a full slug with the provider's full name, as API v1.1 has it. `org_slug` is
    an organization's slug, as its segments. `slug_or_id` is the same in one segment. `id` is an id. Without a
    converter, the value is one segment: text, a UUID or a number.
    """
    literals: list[str] = []
    values: list[tuple[str, Converter]] = []
    end = 0
    for match in _PLACEHOLDER.finditer(path):
        name, converter = match[1], match[2] or "id"
        if converter not in _CONVERTERS:
            raise ValueError(f"{path} has a placeholder with an unknown converter: {converter}")
        literals.append(path[end : match.start()])
        values.append((name, _CONVERTERS[converter]))
        end = match.end()
    literals.append(path[end:])
    if any("{" in literal or "}" in literal for literal in literals):
        raise ValueError(f"{path} has an invalid placeholder")
    return tuple(literals), tuple(values)


def expand_path(template: Template, values: tuple[Any, ...], base_url: str) -> str:
    """Return the path with its values. Raise InvalidArgument, which names the parameter, for an unsuitable value.

    base_url: the root of the client's host. A link to a page of another host is unsuitable.
    """
    literals, placeholders = template
    if not values and not placeholders:
        return literals[0]
    if len(values) != len(placeholders):
        raise TypeError(f"the path takes {len(placeholders)} values, got {len(values)}")
    parts = [literals[0]]
    for (name, convert), value, literal in zip(placeholders, values, literals[1:], strict=True):
        parts.append(convert(name, value, base_url))
        parts.append(literal)
    return "".join(parts)


def _project(_: str, value: Any, base_url: str) -> str:
    return _join(project_at(value, base_url).segments)


def _full_project(_: str, value: Any, base_url: str) -> str:
    return _join(_full_slug(value, base_url).segments)


def _long_project(_: str, value: Any, base_url: str) -> str:
    provider, *names = _full_slug(value, base_url).segments
    return _join((_LONG_NAMES.get(provider, provider), *names))


def _full_slug(value: Any, base_url: str) -> ProjectSlug:
    project = project_at(value, base_url)
    if project.provider is None:
        raise InvalidArgument(
            "project must be a full slug here, such as gh/<org>/<repo> or circleci/<org id>/<project id>. A UUID alone "
            "does not name the organization"
        )
    return project


def _org(_: str, value: Any, base_url: str) -> str:
    return _join(org_at(value, base_url).segments)


def _org_segment(_: str, value: Any, base_url: str) -> str:
    return quote(str(org_at(value, base_url)), safe="")


def _join(segments: tuple[str, ...]) -> str:
    return "/".join([quote(segment, safe="") for segment in segments])


def _segment(name: str, value: Any, _: str) -> str:
    if isinstance(value, str):
        return quote(check_segment(value, name), safe="")
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, int) and not isinstance(value, bool):
        if value < 0:
            raise InvalidArgument(f"{name} must be zero or more, got {value}")
        return str(value)
    raise InvalidArgument(f"{name} must be text, a UUID or a number, got {type(value).__name__}")


_CONVERTERS: Final[Mapping[str, Converter]] = {
    "full_slug": _full_project,
    "id": _segment,
    "long_slug": _long_project,
    "org_slug": _org,
    "slug": _project,
    "slug_or_id": _org_segment,
}
