"""Requests and responses as plain values, and the properties of their methods (RFC 9110)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from multidict import CIMultiDict

from aiocircle._redact import redact_url

__all__ = ["IDEMPOTENT", "SAFE", "Request", "Response", "redact_headers"]

SAFE: Final = frozenset({"GET", "HEAD"})
"""The methods that change nothing on the server."""

IDEMPOTENT: Final = SAFE | {"PUT", "DELETE"}
"""The methods that have the same effect when a request is sent twice."""


def redact_headers(headers: Mapping[str, str]) -> CIMultiDict[str]:
    """Return the headers that errors may keep: no cookies, no signed query values."""
    return CIMultiDict(
        (name, redact_url(value) if "//" in value or name.lower() == "location" else value)
        for name, value in headers.items()
        if name.lower() != "set-cookie"
    )


class Request:
    """One HTTP request, without the headers that the transport adds to all of them."""

    __slots__ = ("body", "headers", "method", "url")

    def __init__(self, method: str, url: str, headers: Mapping[str, str], body: bytes | None = None) -> None:
        self.method = method
        self.url = url
        self.headers = headers
        self.body = body

    def __repr__(self) -> str:
        return f"<Request {self.method} {self.redacted_url} {dict(self.headers)}>"  # the token in them is masked

    @property
    def redacted_url(self) -> str:
        """The URL that errors and logs may show."""
        return redact_url(self.url)


class Response:
    """One HTTP response, read to its end.

    incomplete_reason is None if the whole body arrived. Otherwise the connection broke, or the body exceeded the limit
    (is_too_large): body then holds the bytes received before that.
    """

    __slots__ = ("body", "headers", "incomplete_reason", "is_too_large", "status")

    def __init__(
        self,
        status: int,
        headers: Mapping[str, str],
        body: bytes,
        incomplete_reason: str | None = None,
        *,
        is_too_large: bool = False,
    ) -> None:
        self.status = status
        self.headers = headers
        self.body = body
        self.incomplete_reason = incomplete_reason
        self.is_too_large = is_too_large
