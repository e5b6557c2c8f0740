"""Bodies that are read while they arrive, and continued if they are cut."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from aiocircle._core.clock import Clock
from aiocircle._core.retry import RetryPolicy
from aiocircle.composites._ranges import FailureCount, Verdict, plan_body, range_headers
from aiocircle.errors import DownloadError, RequestError

__all__ = ["Open", "StreamedResponse", "stream_body"]


class StreamedResponse(Protocol):
    """A response whose body was not read yet."""

    @property
    def status(self) -> int:
        """The HTTP status."""
        ...

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers, found by names in any case."""
        ...

    def iter_chunks(self) -> AsyncIterator[bytes]:
        """Iterate over the body, decoded. Raise RequestError if it is cut."""
        ...


class Open(Protocol):
    """A function that sends a GET and returns its response. Leaving the context ends the response."""

    def __call__(self, url: str, headers: Mapping[str, str], /) -> AbstractAsyncContextManager[StreamedResponse]:
        """Send the request. Raise CircleCIError if there is no response."""
        ...


async def stream_body(open_: Open, url: str, *, name: str, policy: RetryPolicy) -> AsyncIterator[bytes]:
    """Yield the body of a GET, in chunks.

    A connection that is lost before the first byte is tried again. After it, the body is continued by a range request
    if it has a strong ETag. Raise DownloadError if it cannot be continued, so that no byte is missing or repeated.
    """
    clock, failures = Clock(), FailureCount(policy)
    offset, etag, total = 0, None, None
    while True:
        status = delay = None
        try:
            async with open_(url, range_headers(offset, etag)) as response:
                status = response.status
                plan = plan_body(status, response.headers, offset=offset, etag=etag, total=total, now=clock.wall())
                reason, delay = plan.reason, plan.retry_after
                if plan.verdict is Verdict.READ and plan.offset == offset:
                    etag, total = plan.etag, plan.total
                    async for chunk in response.iter_chunks():
                        offset += len(chunk)
                        yield chunk
                    if plan.is_complete(offset):
                        return
                    reason = f"the body ended after {offset} bytes"
                elif plan.verdict is not Verdict.RETRY:
                    raise _unreadable(name, reason or "the server sent the whole file again", status)
        except RequestError as error:
            reason = str(error)
        if offset and not etag:
            raise _unreadable(name, f"it was cut and has no strong ETag: {reason}", status)
        wait = failures.next_delay(offset, delay, clock.random())
        if wait is None:
            raise _unreadable(name, reason, status)
        await clock.sleep(wait)


def _unreadable(name: str, reason: str, status: int | None) -> DownloadError:
    return DownloadError(f"{name!r} was not read: {reason}", name=name, status=status)
