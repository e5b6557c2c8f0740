"""Responses to errors. Every error shape is read here: of API v1.1, v2 and v3, of gateways, and of HTML pages."""

from __future__ import annotations

import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final, cast

import msgspec
from multidict import CIMultiDict

from aiocircle._core.fields import JSON
from aiocircle._core.message import redact_headers
from aiocircle._core.rate_headers import retry_after
from aiocircle._core.structure import StructureProblems
from aiocircle._redact import NO_MASK, SecretMask, redact_url, single_line
from aiocircle.errors import (
    APIError,
    BadRequest,
    CircleCIError,
    Conflict,
    DecodeError,
    Forbidden,
    Gone,
    NotFound,
    Outcome,
    RateLimited,
    RequestError,
    ServerError,
    Unauthorized,
)

__all__ = ["decode_error", "error_for", "is_api_error", "outcome_of"]

_CLASSES: Final[Mapping[int, type[APIError]]] = {
    400: BadRequest,
    401: Unauthorized,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    410: Gone,
    422: BadRequest,
}
_MESSAGE_KEYS: Final = (
    "message",
    "error",
    "detail",
    "title",
)  # v2 and gateways: message; v3: error.detail, error.title
_TITLE: Final = rb"(?is)<title[^>]*>(.*?)</title>"
_MAX_SCANNED: Final = 4096  # bytes of a body: a message or a title beyond them is too long to be shown


def error_for(
    status: int,
    headers: Mapping[str, str],
    body: bytes,
    *,
    method: str,
    url: str,
    now: float,
    mask: SecretMask = NO_MASK,
) -> APIError:
    """Return the error for a response whose status is not a success.

    now: seconds since the epoch, for a Retry-After that is a date. mask: of the tokens, which a server may repeat.
    """
    headers, body, url = _masked_headers(headers, mask), mask.apply(body), mask.apply(url)
    # JSON may spell a token with escapes: the text is masked again.
    message = single_line(mask.apply(_message(status, headers, body))) or _reason_phrase(status)
    fields: dict[str, Any] = {
        "method": method,
        "url": redact_url(url),
        "request_id": _request_id(headers),
        "headers": redact_headers(headers),
        "body": body,
    }
    if status == 429:
        return RateLimited(status, message, **fields, retry_after=retry_after(headers, now))
    class_ = _CLASSES.get(status, ServerError if status >= 500 else APIError)
    return class_(status, message, **fields)


def decode_error(
    found: StructureProblems,
    status: int,
    headers: Mapping[str, str],
    body: bytes,
    *,
    method: str,
    url: str,
    mask: SecretMask = NO_MASK,
) -> DecodeError:
    """Return the error for a successful response whose body is not what was declared.

    mask: of the tokens, which a server may repeat.
    """
    headers, body, url = _masked_headers(headers, mask), mask.apply(body), mask.apply(url)
    return DecodeError(
        [mask.apply(problem) for problem in found.problems],
        status=status,
        method=method,
        url=redact_url(url),
        headers=redact_headers(headers),
        request_id=_request_id(headers),
        body=body,
        next_page_token=found.next_page_token,
        malformed=found.malformed,
    )


def is_api_error(headers: Mapping[str, str], body: bytes) -> bool:
    """Return True if an error is the API's own: a JSON object with a message, not the page of a gateway."""
    try:
        plain = msgspec.json.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return False
    return isinstance(plain, dict) and "html" not in headers.get("Content-Type", "").lower()


def _masked_headers(headers: Mapping[str, str], mask: SecretMask) -> CIMultiDict[str]:
    return CIMultiDict((name, mask.apply(value)) for name, value in headers.items())


def outcome_of(error: CircleCIError) -> Outcome:
    """Return the outcome of the change that one failed attempt requested."""
    if isinstance(error, DecodeError):
        return "done"
    if isinstance(error, RequestError):
        return error.outcome
    if isinstance(error, ServerError):
        return "unknown"
    if isinstance(error, APIError) and (error.status < 400 or error.status == 408):
        return "unknown"
    return "not_done"


def _request_id(headers: Mapping[str, str]) -> str | None:
    """Return the server's id for the request, to quote to CircleCI's support."""
    return headers.get("X-Request-Id")


def _message(status: int, headers: Mapping[str, str], body: bytes) -> str:
    """Return the server's message: from JSON, from the title of an HTML page, or the text itself."""
    if 300 <= status < 400:
        target = redact_url(headers.get("Location", "nowhere"))
        return f"a redirect to {target}, which is not followed: only a GET is, within the API's host, a few times"
    try:
        return _message_from_json(msgspec.json.decode(body))
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        start = body[:_MAX_SCANNED].strip()
    if title := re.search(_TITLE, start):
        start = title[1]
    elif start[:1] == b"<":
        start = b""
    return start.decode("utf-8", "replace")


def _message_from_json(plain: JSON, depth: int = 3) -> str:
    if isinstance(plain, str):
        return plain[:_MAX_SCANNED]
    if not isinstance(plain, dict) or not depth:
        return ""
    fields = cast("dict[str, JSON]", plain)
    messages = (_message_from_json(fields.get(key), depth - 1) for key in _MESSAGE_KEYS)
    return next(filter(None, messages), "")


def _reason_phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "no message"
