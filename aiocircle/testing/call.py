"""One request on its way to its operation: routes, what a call asks for, and what it is answered."""

from __future__ import annotations

import datetime
import hashlib
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NoReturn, TypeVar, cast
from urllib.parse import unquote

import attrs
import msgspec

from .identity import is_uuid, slug_form
from .model import Organization, Project
from .signing import Storage
from .world import World

__all__ = [
    "Answer",
    "Call",
    "Handler",
    "Refusal",
    "Route",
    "Router",
    "Routes",
    "iso",
    "iso_ms",
    "parse_time",
    "whole_number",
]

_T = TypeVar("_T")
_DEFAULT_PAGE_SIZE = 20


@attrs.frozen
class Answer:
    """What an operation answers: a status, and the bytes of a body with their type."""

    status: int
    body: bytes
    content_type: str = "application/json;charset=utf-8"
    headers: Mapping[str, str] = attrs.field(factory=dict[str, str])


class Refusal(Exception):
    """An error answer; `key` is what the API family calls its message."""

    def __init__(self, status: int, message: str, key: str = "message") -> None:
        super().__init__(status, message)
        self.status = status
        self.message = message
        self.key = key

    @property
    def answer(self) -> Answer:
        """The answer itself."""
        return Answer(self.status, msgspec.json.encode({self.key: self.message}))


@attrs.frozen(kw_only=True)
class Call:
    """A request that was authenticated and has a route."""

    world: World
    operation: str
    method: str
    path: str
    variables: Mapping[str, str]  # the path's, decoded
    query: Mapping[str, Sequence[str]]
    body: Any  # decoded JSON; None when there was none, or it came without its content type
    url: str  # root of the server
    storage: Storage
    page_size: int | None
    spelling: str
    workflow_delay: float

    # What it asks for

    def variable(self, name: str) -> str:
        """A variable of the path."""
        return self.variables[name]

    def one(self, name: str) -> str | None:
        """A query parameter's value, the last one when it was repeated."""
        values = self.query.get(name)
        return values[-1] if values else None

    def flag(self, name: str) -> bool:
        """A boolean query parameter, false when it is absent."""
        value = self.one(name)
        if value not in {None, "true", "false"}:
            self.refuse(400, f"{name}: must be true or false.")
        return value == "true"

    def time(self, name: str) -> float | None:
        """A query parameter that is a time, in seconds since the epoch."""
        value = self.one(name)
        if value is None:
            return None
        found = parse_time(value)
        if found is None:
            self.refuse(400, f"{name}: must be a date and time.")
        return found

    def choice(self, name: str, allowed: Sequence[str]) -> str | None:
        """A query parameter that takes one of a few values."""
        value = self.one(name)
        if value is not None and value not in allowed:
            self.refuse(400, f"{name}: must be one of {', '.join(allowed)}.")
        return value

    def uuid(self, name: str) -> str:
        """A variable of the path that must be a UUID, in lower case."""
        value = self.variables[name]
        if not is_uuid(value):
            self.refuse(400, f"{name}: must be a valid UUID.")
        return value.lower()

    def number(self, name: str) -> int:
        """A variable of the path that must be a positive number."""
        number = whole_number(self.variables[name])
        if not number:
            self.refuse(400, f"{name}: must be a positive integer.")
        return number

    def project(self) -> Project:
        """The project that the path names."""
        return self.project_named(self.variables["project"])

    def project_named(self, slug: str) -> Project:
        """The project with a slug, refused as the API refuses wrong and unknown ones."""
        if not slug_form(slug):
            self.refuse(400, f"Invalid project slug '{slug}'.")
        return self.found(self.world.project(slug), "Project not found")

    def org(self) -> Organization:
        """The organization that the path names."""
        return self.found(self.world.organization(self.variables["org"]), "Organization not found")

    def owner(self, name: str) -> Organization:
        """The organization whose UUID is this variable of the path."""
        return self.found(self.world.organization(self.uuid(name)), "Organization not found")

    def found(self, thing: _T | None, message: str) -> _T:
        """The thing, or a 404 when there is none."""
        if thing is None:
            self.refuse(404, message)
        return thing

    def fields(self, *required: str) -> dict[str, Any]:
        """The fields of the JSON body; `required` ones must be there."""
        body: object = self.body
        if body is None:
            body = {}
        if not isinstance(body, dict):
            self.refuse(400, "Unexpected request body provided.")
        fields = cast("dict[str, Any]", body)
        for name in required:
            if name not in fields:
                self.refuse(400, f"{name}: is a required field.")
        return fields

    def only(self, fields: Iterable[str], allowed: Iterable[str]) -> None:
        """Refuse fields that the operation does not know."""
        for name in fields:
            if name not in allowed:
                self.refuse(400, f"Unexpected field '{name}'")

    # What it is answered

    def refuse(self, status: int, message: str, key: str = "message") -> NoReturn:
        """End the call with an error answer."""
        raise Refusal(status, message, key)

    def json(self, payload: object, status: int = 200) -> Answer:
        """Answer with JSON."""
        return Answer(status, msgspec.json.encode(payload))

    def message(self, text: str, status: int = 200) -> Answer:
        """Answer with nothing but a message."""
        return self.json({"message": text}, status)

    def page(
        self,
        items: Sequence[_T],
        show: Callable[[_T], object],
        *,
        size: int = _DEFAULT_PAGE_SIZE,
        newest_first: bool = False,
        end: str | None = None,
        advances: bool = True,
        **more: object,
    ) -> Answer:
        """Answer with one page of `items`.

        `newest_first` hands them out from the end, where new ones are added, so that those shift no page. `end` is
        the token of the last page. `advances=False` gives the first page whatever token was sent.
        """
        size = self.page_size or size
        start = 0
        token = self.one("page-token")
        if token and advances:
            position = self._position(token)
            if position is None or position > len(items):
                self.refuse(400, "Invalid page token.")
            start = len(items) - position if newest_first else position
        stop = start + size
        chosen = (
            [items[-1 - index] for index in range(start, min(stop, len(items)))] if newest_first else items[start:stop]
        )
        following = end
        if stop < len(items):
            following = self._token(len(items) - stop if newest_first else stop)
        return self.json({"items": [show(item) for item in chosen], "next_page_token": following, **more})

    def _filters(self) -> bytes:
        """What a page token is bound to."""
        query = sorted((name, *values) for name, values in self.query.items() if name != "page-token")
        return repr((self.operation, sorted(self.variables.items()), query)).encode()

    def _token(self, position: int) -> str:
        """An opaque token of 140 characters."""
        place = position.to_bytes(8)
        mark = hashlib.blake2b(place + self._filters(), key=b"page").digest()
        filler = hashlib.blake2b(mark, digest_size=33).digest()
        veiled = bytes(one ^ other for one, other in zip(place, filler, strict=False))
        return urlsafe_b64encode(veiled + mark + filler).decode().rstrip("=")

    def _position(self, token: str) -> int | None:
        try:
            octets = urlsafe_b64decode(token)
        except ValueError:
            return None
        position = int.from_bytes(bytes(one ^ other for one, other in zip(octets[:8], octets[72:], strict=False)))
        return position if len(octets) == 105 and token == self._token(position) else None

    def spell(self, entity: dict[str, Any], *kebab: str) -> dict[str, Any]:
        """An entity whose keys the document spells with hyphens and the wire with underscores."""
        if self.spelling == "spec":
            return {name.replace("_", "-") if name in kebab else name: value for name, value in entity.items()}
        return entity

    def changed(self, subject: str) -> None:
        """Note that this call has changed something."""
        self.world.changed(self.operation, subject)


Handler = Callable[[Call], Answer]


@attrs.frozen
class Route:
    """A verb, a path and the operation that they stand for."""

    method: str
    operation: str
    handler: Handler
    keep: bool  # whether an answer stays true until something changes


@attrs.frozen
class _Pattern:
    route: Route
    segments: tuple[str, ...]  # literals; variables are in braces

    def match(self, segments: Sequence[str]) -> dict[str, str] | None:
        variables: dict[str, str] = {}
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
                variables[expected[1:-1]] = unquote(raw)
        if slug:
            variables["project"] = "/".join(slug)
        if org:
            variables["org"] = "/".join(org)
        return variables


class Routes:
    """The routes of one group of operations.

    In a path, `{project}` is a slug whose slashes are literal or escaped, `{project/}` one whose slashes must be
    literal, `{org/}` an organization's slug of two segments; any other name is one segment.
    """

    def __init__(self) -> None:
        self.patterns: list[_Pattern] = []

    def add(self, method: str, path: str, operation: str, *, keep: bool = True) -> Callable[[Handler], Handler]:
        """Serve an operation with the decorated function."""

        def register(handler: Handler) -> Handler:
            route = Route(method, operation, handler, keep and method == "GET")
            forms = [path.replace("{project}", "{project/}")]
            if "{project}" in path:
                forms.append(path.replace("{project}", "{%2F}"))
            for form in forms:
                form = form.replace("{project/}", "{slug}/{slug}/{slug}").replace("{org/}", "{orgslug}/{orgslug}")
                self.patterns.append(_Pattern(route, tuple(form.strip("/").split("/"))))
            return handler

        return register


class Router:
    """Finds the operation that a raw path stands for: percent-encoded slashes separate nothing."""

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
        """The route of a path below the API's root, with the path's variables."""
        segments = path.split("/")[1:]
        for pattern in self._patterns.get((method, segments[0], len(segments)), ()):
            variables = pattern.match(segments)
            if variables is not None:
                return pattern.route, variables
        return None


def whole_number(text: str) -> int | None:
    """The number that a text of at most 18 digits stands for."""
    return int(text) if len(text) <= 18 and text.isascii() and text.isdigit() else None


def parse_time(text: str) -> float | None:
    """Seconds since the epoch of an RFC 3339 time; a date alone is its midnight, no offset means UTC."""
    try:
        found = datetime.datetime.fromisoformat(text)
        return (found if found.tzinfo else found.replace(tzinfo=datetime.UTC)).timestamp()
    except (ValueError, OverflowError):
        return None


def iso(seconds: float) -> str:
    """A time to the second, as workflows and jobs have it."""
    return f"{datetime.datetime.fromtimestamp(int(seconds), datetime.UTC).replace(tzinfo=None).isoformat()}Z"


def iso_ms(seconds: float) -> str:
    """A time to the millisecond, as pipelines and most other things have it."""
    moment = datetime.datetime.fromtimestamp(seconds, datetime.UTC).replace(tzinfo=None)
    return f"{moment.isoformat(timespec='milliseconds')}Z"
