"""The APIs of a host as values: where each begins, how it spells parameters, how it wraps and pages results."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import attrs

from aiocircle._core.pagination import CURSOR, OFFSET, PAGE_TOKEN, Pagination

__all__ = ["V1", "V2", "V3", "Api", "Spelling", "family_of", "kebab", "snake", "split_api"]

Spelling = Callable[[str], str]
"""From the name of a Python parameter to its name on the wire."""


def kebab(name: str) -> str:
    """Return `reporting_window` as `reporting-window`."""
    return name.replace("_", "-")


def snake(name: str) -> str:
    """Return `project_id` as it is."""
    return name


@attrs.frozen(eq=False, repr=False)
class Api:
    """One API of a host.

    prefix: the start of its paths. query: the spelling of its query parameters. pagination: the paging of its lists.
    envelope: the key of the object that a single result is wrapped in; None if it is not wrapped.
    """

    prefix: str
    query: Spelling
    pagination: Pagination
    envelope: str | None = None


_MAX_V1_PAGE: Final = 100  # items: the API sends at most this many, even if more are requested

V1: Final = Api("/api/v1.1", kebab, attrs.evolve(OFFSET, limit=_MAX_V1_PAGE))
V2: Final = Api("/api/v2", kebab, PAGE_TOKEN)
V3: Final = Api("/api/v3", snake, CURSOR, "data")
_OTHER: Final = Api("", snake, PAGE_TOKEN)


def split_api(path: str) -> tuple[Api, str]:
    """Return the API that a path below the host belongs to, and the path below the API's prefix."""
    for api in (V1, V2, V3):
        if path.startswith(f"{api.prefix}/"):
            return api, path.removeprefix(api.prefix)
    return _OTHER, path


def family_of(path: str) -> str:
    """Return the family of a path below the host: the requests that the API limits together.

    It is the API's version and the first segment below it: `v2/insights`, `v3/runs`.
    """
    first, *segments = path.partition("?")[0].split("/")[1:]
    return "/".join(segments[:2] if first == "api" else [first])
