"""A request on its way to its operation: its parameters, and the responses that can be made of it."""

from __future__ import annotations

import hashlib
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NoReturn, TypeVar, cast

import attrs
import msgspec

from .ids import is_project_slug, is_uuid
from .model import Organization, Project
from .response import APIErrorResponse, Response
from .signed_urls import UrlSigner
from .state import State
from .times import parse_time

__all__ = ["RequestContext", "parse_natural"]

_T = TypeVar("_T")
_DEFAULT_PAGE_SIZE = 20


@attrs.frozen(kw_only=True)
class RequestContext:
    """An authenticated request that has a route."""

    state: State
    operation: str
    method: str
    path: str
    path_values: Mapping[str, str]  # decoded
    query: Mapping[str, Sequence[str]]
    body: Any  # decoded JSON; None without a body, or if the body came without its content type
    url: str  # root of the server
    urls: UrlSigner
    page_size: int | None
    spelling: str
    workflow_delay: float
    headers: Mapping[str, str]  # of the request; names in any case

    # Parameters

    def path_value(self, name: str) -> str:
        """Return the value of a variable of the path."""
        return self.path_values[name]

    def query_value(self, name: str) -> str | None:
        """Return the value of a query parameter: the last one if it is repeated, None if it is absent."""
        values = self.query.get(name)
        return values[-1] if values else None

    def query_flag(self, name: str) -> bool:
        """Return a boolean query parameter: False if it is absent."""
        value = self.query_value(name)
        if value not in {None, "true", "false"}:
            self.fail(400, f"{name}: must be true or false.")
        return value == "true"

    def query_time(self, name: str) -> float | None:
        """Return the seconds since the epoch of a query parameter that is a time, or None if it is absent."""
        value = self.query_value(name)
        if value is None:
            return None
        seconds = parse_time(value)
        if seconds is None:
            self.fail(400, f"{name}: must be a date and time.")
        return seconds

    def query_choice(self, name: str, allowed: Sequence[str]) -> str | None:
        """Return a query parameter that takes one of a few values, or None if it is absent."""
        value = self.query_value(name)
        if value is not None and value not in allowed:
            self.fail(400, f"{name}: must be one of {', '.join(allowed)}.")
        return value

    def path_uuid(self, name: str) -> str:
        """Return a variable of the path that must be a UUID, in lower case."""
        value = self.path_values[name]
        if not is_uuid(value):
            self.fail(400, f"{name}: must be a valid UUID.")
        return value.lower()

    def path_number(self, name: str) -> int:
        """Return a variable of the path that must be a positive number."""
        number = parse_natural(self.path_values[name])
        if not number:
            self.fail(400, f"{name}: must be a positive integer.")
        return number

    def project(self) -> Project:
        """Return the project that the path names."""
        return self.project_by_slug(self.path_values["project"])

    def project_by_slug(self, slug: str) -> Project:
        """Return the project with a slug. A malformed slug is a 400, an unknown one a 404."""
        if not is_project_slug(slug):
            self.fail(400, f"Invalid project slug '{slug}'.")
        return self.require(self.state.project(slug), "Project not found")

    def organization(self) -> Organization:
        """Return the organization that the path names."""
        return self.require(self.state.organization(self.path_values["org"]), "Organization not found")

    def organization_by_id(self, name: str) -> Organization:
        """Return the organization whose UUID is this variable of the path."""
        return self.require(self.state.organization(self.path_uuid(name)), "Organization not found")

    def require(self, resource: _T | None, message: str) -> _T:
        """Return `resource`. End the request with a 404 if it is None."""
        if resource is None:
            self.fail(404, message)
        return resource

    def body_fields(self, *required: str) -> dict[str, Any]:
        """Return the fields of the JSON body. A missing `required` field is a 400."""
        body: object = self.body
        if body is None:
            body = {}
        if not isinstance(body, dict):
            self.fail(400, "Unexpected request body provided.")
        fields = cast("dict[str, Any]", body)
        for name in required:
            if name not in fields:
                self.fail(400, f"{name}: is a required field.")
        return fields

    def reject_unknown_fields(self, fields: Iterable[str], allowed: Iterable[str]) -> None:
        """End the request with a 400 if it has an unknown field."""
        for name in fields:
            if name not in allowed:
                self.fail(400, f"Unexpected field '{name}'")

    # Responses

    def fail(self, status: int, message: str, key: str = "message") -> NoReturn:
        """End the request with an error response."""
        raise APIErrorResponse(status, message, key)

    def respond(self, payload: object, status: int = 200) -> Response:
        """Return a response of JSON."""
        return Response(status, msgspec.json.encode(payload))

    def respond_message(self, text: str, status: int = 200) -> Response:
        """Return a response that contains only a message."""
        return self.respond({"message": text}, status)

    def respond_page(
        self,
        items: Sequence[_T],
        show: Callable[[_T], object],
        *,
        size: int = _DEFAULT_PAGE_SIZE,
        newest_first: bool = False,
        end: str | None = None,
        advances: bool = True,
        **more: object,
    ) -> Response:
        """Return a response of one page of `items`.

        `newest_first` starts at the end of `items`, where new ones are added, so that new items shift no page.
        `end` is the token of the last page. With `advances=False`, every token gives the first page.
        """
        size = self.page_size or size
        start = 0
        token = self.query_value("page-token")
        if token and advances:
            position = self._position(token)
            if position is None or position > len(items):
                self.fail(400, "Invalid page token.")
            start = len(items) - position if newest_first else position
        stop = start + size
        chosen = (
            [items[-1 - index] for index in range(start, min(stop, len(items)))] if newest_first else items[start:stop]
        )
        following = end
        if stop < len(items):
            following = self._token(len(items) - stop if newest_first else stop)
        return self.respond({"items": [show(item) for item in chosen], "next_page_token": following, **more})

    def _filters(self) -> bytes:
        """Return the operation and the parameters that a page token belongs to."""
        query = sorted((name, *values) for name, values in self.query.items() if name != "page-token")
        return repr((self.operation, sorted(self.path_values.items()), query)).encode()

    def _token(self, position: int) -> str:
        """Return an opaque token of 140 characters."""
        position_bytes = position.to_bytes(8)
        signature = hashlib.blake2b(position_bytes + self._filters(), key=b"page").digest()
        padding = hashlib.blake2b(signature, digest_size=33).digest()
        masked = bytes(one ^ other for one, other in zip(position_bytes, padding, strict=False))
        return urlsafe_b64encode(masked + signature + padding).decode().rstrip("=")

    def _position(self, token: str) -> int | None:
        try:
            octets = urlsafe_b64decode(token)
        except ValueError:
            return None
        position = int.from_bytes(bytes(one ^ other for one, other in zip(octets[:8], octets[72:], strict=False)))
        return position if len(octets) == 105 and token == self._token(position) else None

    def spell_keys(self, resource: dict[str, Any], *kebab: str) -> dict[str, Any]:
        """Return a resource with the keys as on the wire, or with hyphens as in the official document."""
        if self.spelling == "spec":
            return {name.replace("_", "-") if name in kebab else name: value for name, value in resource.items()}
        return resource

    def record_change(self, subject: str) -> None:
        """Record that this request has changed the state."""
        self.state.record_change(self.operation, subject)


def parse_natural(text: str) -> int | None:
    """Return the number that a text of at most 18 digits stands for, or None."""
    return int(text) if len(text) <= 18 and text.isascii() and text.isdigit() else None
