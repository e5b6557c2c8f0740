"""Requests and responses as plain values, and the properties of their methods (RFC 9110)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import attrs
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


# Not frozen: attrs writes a frozen field by a call, and one of these is created for each request.
@attrs.define
class Request:
    """One HTTP request, without the headers that the transport adds to all of them."""

    method: str
    url: str = attrs.field(repr=lambda url: repr(redact_url(url)))
    headers: Mapping[str, str]
    body: bytes | None = attrs.field(default=None, repr=False)

    @property
    def redacted_url(self) -> str:
        """The URL that errors and logs may show."""
        return redact_url(self.url)


@attrs.define
class Response:
    """One HTTP response, read to its end.

    incomplete_reason is None if the whole body arrived. Otherwise the connection broke, or the body exceeded the limit
    (is_too_large): body then holds the bytes received before that.
    """

    status: int
    headers: Mapping[str, str] = attrs.field(repr=False)
    body: bytes = attrs.field(repr=False)
    incomplete_reason: str | None = None
    is_too_large: bool = False
