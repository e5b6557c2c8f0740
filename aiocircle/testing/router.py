"""Routes: the operation that a verb and a path stand for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from urllib.parse import unquote

import attrs

from .request import RequestContext
from .response import FileResponse, Response

__all__ = ["Handler", "Route", "Router", "Routes"]

Handler = Callable[[RequestContext], Response | FileResponse]


@attrs.frozen
class Route:
    """A verb and an operation, with the function that serves it."""

    method: str
    operation: str
    handler: Handler
    cacheable: bool  # True if a response stays valid until the state changes


@attrs.frozen
class _Pattern:
    route: Route
    segments: tuple[str, ...]  # literals; variables are in braces

    def match(self, segments: Sequence[str]) -> dict[str, str] | None:
        values: dict[str, str] = {}
        slug: list[str] = []
        org: list[str] = []
        for expected, raw in zip(self.segments, segments, strict=True):
            if expected[0] != "{":
                if expected != raw:
                    return None
            elif expected == "{slug}":
                slug.append(unquote(raw))
            elif expected == "{%2F}":
                if "%2f" not in raw.lower():
                    return None
                slug.append(unquote(raw))
            elif expected == "{orgslug}":
                org.append(unquote(raw))
            else:
                values[expected[1:-1]] = unquote(raw)
        if slug:
            values["project"] = "/".join(slug)
        if org:
            values["org"] = "/".join(org)
        return values


class Routes:
    """The routes of one group of operations.

    In a path, `{project}` is a slug whose slashes are literal or escaped. In `{project/}` they must be literal.
    `{org/}` is an organization's slug of two segments. Any other name is one segment.
    """

    def __init__(self) -> None:
        self.patterns: list[_Pattern] = []

    def add(self, method: str, path: str, operation: str, *, cacheable: bool = True) -> Callable[[Handler], Handler]:
        """Serve an operation with the decorated function."""

        def register(handler: Handler) -> Handler:
            route = Route(method, operation, handler, cacheable and method == "GET")
            forms = [path.replace("{project}", "{project/}")]
            if "{project}" in path:
                forms.append(path.replace("{project}", "{%2F}"))
            for form in forms:
                form = form.replace("{project/}", "{slug}/{slug}/{slug}").replace("{org/}", "{orgslug}/{orgslug}")
                self.patterns.append(_Pattern(route, tuple(form.strip("/").split("/"))))
            return handler

        return register


class Router:
    """Finds the operation of a raw path. Percent-encoded slashes separate nothing."""

    def __init__(self, groups: Iterable[Routes]) -> None:
        self._patterns: dict[tuple[str, str, int], list[_Pattern]] = {}
        for group in groups:
            for pattern in group.patterns:
                key = (pattern.route.method, pattern.segments[0], len(pattern.segments))
                self._patterns.setdefault(key, []).append(pattern)
        for patterns in self._patterns.values():
            # Literal segments win over variables, from left to right.
            patterns.sort(key=lambda pattern: [segment[0] == "{" for segment in pattern.segments])

    @property
    def operations(self) -> set[str]:
        """The names of all operations that have a route."""
        return {pattern.route.operation for patterns in self._patterns.values() for pattern in patterns}

    def find(self, method: str, path: str) -> tuple[Route, dict[str, str]] | None:
        """Return the route of a path below the API's root, and the values of the path's variables."""
        segments = path.split("/")[1:]
        for pattern in self._patterns.get((method, segments[0], len(segments)), ()):
            values = pattern.match(segments)
            if values is not None:
                return pattern.route, values
        return None
