"""Responses: a status, headers and a body, in memory or generated while it is sent."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Literal

import attrs
import msgspec

__all__ = ["NOT_FOUND", "RATE_LIMITED", "TOO_LARGE", "UNAUTHORIZED", "APIErrorResponse", "FileResponse", "Response"]


@attrs.frozen
class Response:
    """A response with a body in memory."""

    status: int
    body: bytes
    content_type: str = "application/json;charset=utf-8"
    headers: Mapping[str, str] = attrs.field(factory=dict[str, str])
    cacheable: bool = True  # False if the next response can differ without a change of state


@attrs.frozen(kw_only=True)
class FileResponse:
    """A response whose body is generated while it is sent."""

    status: int = 200
    chunks: Callable[[], Iterator[bytes]]
    size: int | None  # bytes; None if unknown, the body is then sent in chunks
    content_type: str = "application/octet-stream"
    headers: Mapping[str, str] = attrs.field(factory=dict[str, str])
    framing: Literal["length", "chunked", "close"] = "length"
    cut_after: int | None = None  # bytes after which the connection breaks; None: never
    cacheable: bool = False


class APIErrorResponse(Exception):
    """An error of the API; `key` is the name that the route's family has for its message."""

    def __init__(self, status: int, message: str, key: str = "message") -> None:
        super().__init__(status, message)
        self.status = status
        self.message = message
        self.key = key

    @property
    def response(self) -> Response:
        """The response to send."""
        return Response(self.status, msgspec.json.encode({self.key: self.message}))


NOT_FOUND = Response(404, b"<html><head><title>Not Found</title></head><body>Not Found</body></html>", "text/html")
UNAUTHORIZED = Response(401, b'{"message":"You must log in first."}')
RATE_LIMITED = Response(429, b'{"message":"Rate Limit Exceeded"}')
TOO_LARGE = Response(413, b'{"error":"http: request payload too large"}')
