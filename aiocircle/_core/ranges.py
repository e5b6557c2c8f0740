"""Decisions about a body that may be continued by a range request. They are pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import Enum
from typing import Final

import attrs

from aiocircle._core.rate_headers import retry_after
from aiocircle._core.retry import RetryPolicy

__all__ = ["BodyPlan", "FailureCount", "Verdict", "plan_body", "range_headers"]

# RFC 9110, sections 8.8.3 and 14.4.
_STRONG_ETAG: Final = re.compile(r'"[\x21\x23-\x7e\x80-\xff]*"')
_CONTENT_RANGE: Final = re.compile(r"bytes +([0-9]{1,18})-([0-9]{1,18})/([0-9]{1,18}|\*)")
_LENGTH: Final = re.compile(r"[0-9]{1,18}")
# Bytes; fewer received since the last failure do not start the count of failures again. Without a minimum, a server
# that sends one byte a connection would be sent billions of requests.
_MIN_PROGRESS: Final = 1024 * 1024


class Verdict(Enum):
    """The decision about a response."""

    READ = "read"
    RESTART = "restart"
    RETRY = "retry"
    FAIL = "fail"


@attrs.frozen(kw_only=True)
class BodyPlan:
    """The decision about a response.

    verdict: READ the body, RESTART without a range, RETRY the same request, or FAIL.
    offset, end: the places in the file of the body's first byte and after its last one; end is None if unknown.
    total: the size of the file in bytes; None if unknown. etag: the strong ETag; None if the body cannot be continued.
    retry_after: seconds that the server requires before the next request; None without a Retry-After.
    reason: the reason for each verdict but READ.
    """

    verdict: Verdict
    offset: int = 0
    end: int | None = None
    total: int | None = None
    etag: str | None = None
    retry_after: float | None = None
    reason: str = ""

    def is_complete(self, size: int) -> bool:
        """Return True if a file of `size` bytes is complete when this body has ended without an error."""
        # A body of chunks has no length: the transport reports a missing last chunk as an error.
        return self.total is None or size == self.total


def range_headers(offset: int, etag: str | None) -> dict[str, str]:
    """Return the request headers that fetch a file from `offset`, if it still has that strong ETag."""
    # A Content-Encoding would make offsets those of the compressed body.
    headers = {"Accept-Encoding": "identity"}
    if offset and etag:
        headers |= {"Range": f"bytes={offset}-", "If-Range": etag}
    return headers


def plan_body(
    status: int, headers: Mapping[str, str], *, offset: int, etag: str | None, total: int | None, now: float
) -> BodyPlan:
    """Decide about the response to a request with `range_headers(offset, etag)`.

    headers: of the response; names in any case must be found. total: the size of the file if an earlier response of
    this ETag had it. now: seconds since the epoch.
    """
    if status == 200:
        return _plan_whole(headers)
    if status == 206:
        return _plan_range(headers, offset, etag, total)
    if status == 416 and offset:
        return BodyPlan(verdict=Verdict.RESTART, reason="the range does not exist any more")
    if status == 429 or status >= 500:
        delay = retry_after(headers, now)
        return BodyPlan(verdict=Verdict.RETRY, retry_after=delay, reason=f"the server responded with {status}")
    return BodyPlan(verdict=Verdict.FAIL, reason=f"the server responded with {status}")


def _plan_whole(headers: Mapping[str, str]) -> BodyPlan:
    length = headers.get("Content-Length", "").strip()
    is_chunked = "chunked" in headers.get("Transfer-Encoding", "").lower()
    if not is_chunked and not _LENGTH.fullmatch(length):
        reason = "its response has neither a length nor chunks, so that a cut body looks complete"
        return BodyPlan(verdict=Verdict.FAIL, reason=reason)
    if _is_encoded(headers):
        return BodyPlan(verdict=Verdict.READ)
    total = None if is_chunked else int(length)
    return BodyPlan(verdict=Verdict.READ, end=total, total=total, etag=_strong_etag(headers))


def _plan_range(headers: Mapping[str, str], offset: int, etag: str | None, known: int | None) -> BodyPlan:
    if not offset:
        return BodyPlan(verdict=Verdict.FAIL, reason="the server responded with 206 to a request without a range")
    found = _CONTENT_RANGE.fullmatch(headers.get("Content-Range", "").strip())
    if found is None or _is_encoded(headers):
        return BodyPlan(verdict=Verdict.RESTART, reason="the server's range cannot be read")
    start, end, total = int(found[1]), int(found[2]) + 1, known if found[3] == "*" else int(found[3])
    if start != offset or end <= start or (total is not None and end > total) or (known not in (None, total)):
        return BodyPlan(verdict=Verdict.RESTART, reason="the server sent another range")
    if total is None:
        return BodyPlan(verdict=Verdict.RESTART, reason="the size of the file is unknown, so that its end is")
    if _strong_etag(headers) != etag:
        return BodyPlan(verdict=Verdict.RESTART, reason="the file has changed")
    return BodyPlan(verdict=Verdict.READ, offset=start, end=end, total=total, etag=etag)


def _strong_etag(headers: Mapping[str, str]) -> str | None:
    etag = headers.get("ETag", "").strip()
    return etag if _STRONG_ETAG.fullmatch(etag) else None


def _is_encoded(headers: Mapping[str, str]) -> bool:
    return headers.get("Content-Encoding", "").strip().lower() not in ("", "identity")


class FailureCount:
    """The failures of one download since it last made progress.

    A download may fail as often as the policy permits for one call. The count starts again after each mebibyte.
    """

    def __init__(self, policy: RetryPolicy) -> None:
        self._policy = policy
        self._failures = 0
        self._counted_from = 0

    def next_delay(self, size: int, required: float | None, chance: float) -> float | None:
        """Return the seconds to wait after a failure; None if the download must give up.

        size: bytes of the file that are received and kept. required: seconds of the response's Retry-After.
        chance: a random number in [0, 1). A wait above the policy's max_wait also gives up.
        """
        if size - self._counted_from >= _MIN_PROGRESS:
            self._failures = 0
            self._counted_from = size
        self._failures += 1
        if self._failures >= self._policy.attempts:
            return None
        delay = self._policy.delay(self._failures, required, chance)
        max_wait = self._policy.max_wait
        return delay if max_wait is None or delay <= max_wait else None
