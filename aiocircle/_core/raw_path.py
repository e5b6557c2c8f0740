"""Paths that a caller writes."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import quote, unquote

from aiocircle._redact import RedactedURL
from aiocircle._urls import has_control
from aiocircle.errors import InvalidArgument

__all__ = ["raw_path"]

_URL: Final = "[A-Za-z][A-Za-z0-9+.-]*://"
_MAX_ENCODINGS: Final = 4  # times that a path may be percent-encoded and still be checked


def raw_path(path: str) -> str:
    """Return a path that a caller wrote, percent-encoded where it must be. It may have a query.

    Raise InvalidArgument for a path that could lead elsewhere than it seems to.
    """
    if not isinstance(path, str):
        raise InvalidArgument(f'path must be a path such as "/api/v2/me", got {type(path).__name__}')
    if re.match(_URL, path):
        raise InvalidArgument(
            'path must be a path below the client\'s host, such as "/api/v2/me", got a URL. The file of an '
            "artifact is read by circle.jobs.stream_artifact(artifact), which sends the token to no other host"
        )
    if not path.startswith("/") or path.startswith("//"):
        raise InvalidArgument('path must start with exactly one "/", such as "/api/v2/me"')
    if has_control(path) or "\\" in path or "#" in path:
        raise InvalidArgument("path must not have a control character, a backslash or a fragment")
    decoded = _fully_decoded(path.partition("?")[0])
    if decoded is None:
        # Some servers read %C0%AE, which is not UTF-8, as a dot.
        raise InvalidArgument("path must not have encoded bytes that are not UTF-8")
    if has_control(decoded):
        raise InvalidArgument("path must not have an encoded control character")
    # Servers and proxies decode and resolve in different orders, and drop what follows a semicolon.
    if any(segment.partition(";")[0] in (".", "..") for segment in decoded.replace("\\", "/").split("/")):
        raise InvalidArgument("path must not have a dot segment, which a server would resolve")
    return RedactedURL(quote(path, safe="/%:@!$&'()*+,;=-._~?"))


def _fully_decoded(path: str) -> str | None:
    """Return the path without percent-encoding, also if it was encoded several times; None if it is not UTF-8."""
    try:
        path = unquote(path, errors="strict")
    except UnicodeDecodeError:
        return None
    for _ in range(_MAX_ENCODINGS - 1):
        if (decoded := unquote(path)) == path:
            break
        path = decoded
    return path
