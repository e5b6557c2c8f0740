"""Bodies of files: opened by the rules of the client, read while they arrive, and continued if they are cut."""

from __future__ import annotations

import math
import re
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Final, Protocol, Self

from yarl import URL

from aiocircle._core.admission_queue import release_place
from aiocircle._core.api import family_of
from aiocircle._core.api_errors import error_for
from aiocircle._core.clock import Clock
from aiocircle._core.executor import Executor
from aiocircle._core.message import Request, Response
from aiocircle._core.ranges import FailureCount, Verdict, plan_body, range_headers
from aiocircle._core.retry import RetryPolicy
from aiocircle._core.throttle import Caller
from aiocircle._core.timeouts import stream_timeout
from aiocircle._core.transport import MAX_REDIRECTS, REDIRECTS, USER_AGENT
from aiocircle._core.transport import StreamedResponse as TransportResponse
from aiocircle._redact import Secret
from aiocircle._urls import has_control
from aiocircle.errors import CircleCIError, DownloadError, InvalidArgument, RequestError

__all__ = ["FileOpener", "Open", "StreamedResponse", "check_url", "receives_token", "stream_body"]

# https://circleci.com/docs/artifacts/: the host itself and all below it.
_ARTIFACT_HOST: Final = "circle-artifacts.com"
_VALID: Final = re.compile(r"[A-Za-z0-9\-._~:/?#\[\]@!$&'()*+,;=%]+")  # RFC 3986
_MAX_ERROR: Final = 64 * 1024  # bytes of the body of an error


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

    def __aiter__(self) -> AsyncIterator[bytes]:
        """Iterate over the body, decoded. Raise RequestError if it is cut."""
        ...


class Open(Protocol):
    """A function that sends a GET and returns its response. Leaving the context ends the response."""

    def __call__(self, url: str, headers: Mapping[str, str], /) -> AbstractAsyncContextManager[StreamedResponse]:
        """Send the request. Raise CircleCIError if no response arrives."""
        ...


def check_url(url: object, parameter: str) -> str:
    """Return the URL of a file. Raise InvalidArgument, which does not show it, if it cannot be one."""
    if isinstance(url, str) and _parse_url(url) is not None:
        return url
    raise _bad_url(parameter, "another text" if isinstance(url, str) else type(url).__name__)


def _bad_url(parameter: str, got: str) -> InvalidArgument:
    return InvalidArgument(f"{parameter} must be an http or https URL without a user, got {got}. Take it from a list.")


def _parse_url(url: str, base: URL | None = None) -> URL | None:
    is_valid = _VALID.fullmatch(url) is not None
    if not is_valid and has_control(url):
        return None
    try:
        # A URL that is valid is sent as it is: another spelling would invalidate its signature.
        parsed = URL(url, encoded=is_valid)
        parsed = parsed if base is None else base.join(parsed)
        parsed = parsed.with_fragment(None) if parsed.raw_fragment else parsed
        is_usable = parsed.scheme in ("http", "https") and bool(parsed.raw_host) and parsed.port is not None
    except ValueError:
        return None
    # aiohttp would send the user of a URL as credentials.
    return parsed if is_usable and parsed.raw_user is None and parsed.raw_password is None else None


def receives_token(url: URL, base_url: str) -> bool:
    """Return True if the client of `base_url` sends its token to this URL.

    The token goes to the API's own host and, over https, to CircleCI's hosts of artifacts.
    """
    root = URL(base_url, encoded=True)
    if (url.scheme, url.raw_host, url.port) == (root.scheme, root.raw_host, root.port):
        return True
    host = (url.raw_host or "").lower()
    is_artifact_host = host == _ARTIFACT_HOST or host.endswith(f".{_ARTIFACT_HOST}")
    return url.scheme == "https" and url.port == 443 and is_artifact_host


class FileOpener:
    """Opens files for one job of a client: a download, or an output that is streamed.

    Each file takes one of the places of the client that files may take, until its body ends. The wait for it is not
    bounded. There is a timeout for the connection and for each read, and none for the whole body.
    """

    def __init__(self, executor: Executor, operation: str) -> None:
        self.state = executor.state
        self.operation = operation
        self.timeout = stream_timeout(executor.timeout)
        self.caller = Caller(self.state.account, self.state.file_places)

    def __call__(self, url: str, headers: Mapping[str, str], /) -> _OpenFile:
        """Return a response to be entered. Redirects are followed; the token follows by `receives_token` only."""
        return _OpenFile(self, url, headers)


class _OpenFile:
    """The response for one file."""

    status: int
    headers: Mapping[str, str]

    def __init__(self, opener: FileOpener, url: str, headers: Mapping[str, str]) -> None:
        self._opener = opener
        self._url = url
        self._headers = headers
        self._response: TransportResponse | None = None
        self._first: Response | None = None
        self._token: Secret | None = None
        self._is_renewed = False

    async def __aenter__(self) -> Self:
        state, caller = self._opener.state, self._opener.caller
        state.transport.ensure_open()
        url = _parse_url(self._url)
        if url is None:
            raise _bad_url("url", "another text")
        if state.credentials.can_renew:
            await state.follow_token()
        has_token = receives_token(url, state.base_url)
        family = family_of(url.raw_path) if has_token else str(url.raw_host)
        queue = state.throttle.admit_nowait(caller, family)
        if queue is None:
            queue = await state.throttle.admit(caller, family, self._request(url, has_token=False), math.inf)
        sent_at = queue.loop.time()
        is_open = False
        try:
            await self._follow(url, has_token=has_token)
            is_open = True
        finally:
            if not is_open:
                self._close()
            queue.release(caller, self._first, sent_at, keeps_place=is_open)
        return self

    async def __aexit__(
        self, type_: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            self._close()
        finally:
            release_place(self._opener.caller.places)

    def __aiter__(self) -> AsyncIterator[bytes]:
        assert self._response is not None
        return aiter(self._response)

    def _close(self) -> None:
        response, self._response = self._response, None
        if response is not None:
            response.close()

    async def _follow(self, first_url: URL, *, has_token: bool) -> None:
        """Open the URL, or what its redirects lead to. A redirect that cannot be followed is the response."""
        response = await self._send(first_url, has_token=has_token)
        self._first = Response(response.status, response.headers, b"")
        url, redirects = first_url, 0
        while response.status in REDIRECTS and redirects < MAX_REDIRECTS:
            target = self._redirect_target(url, response.headers.get("Location"))
            if target is None:
                break
            self._close()
            url = target
            redirects += 1
            # Once a redirect has left the hosts that get the token, no later one leads back to them.
            has_token = has_token and receives_token(url, self._opener.state.base_url)
            response = await self._send(url, has_token=has_token)
        if response.status == 401 and has_token:
            if await self._renew_token():
                await self._follow(first_url, has_token=True)
                return
            await self._raise_unauthorized(url, response)
        self.status, self.headers = response.status, response.headers

    def _redirect_target(self, url: URL, location: str | None) -> URL | None:
        # A URL with the token in it would carry it to another host.
        if location is None or self._opener.state.credentials.mask.apply(location) != location:
            return None
        return _parse_url(location, url)

    async def _renew_token(self) -> bool:
        """Return True if the token that was refused has been replaced, so that the file is opened again, once."""
        state = self._opener.state
        if self._is_renewed or not state.credentials.can_renew:
            return False
        self._is_renewed = True
        if not await state.credentials.renew(self._token):
            return False
        self._close()
        await state.follow_token()
        return True

    async def _send(self, url: URL, *, has_token: bool) -> TransportResponse:
        opener, state = self._opener, self._opener.state
        request = self._request(url, has_token=has_token)
        for notify in state.observers.on_attempt:
            notify(opener.operation, request, 1)
        started = state.clock.monotonic()
        result: int | CircleCIError | None = None
        try:
            response = await state.transport.open(request, opener.timeout).__aenter__()
            result = response.status
        except CircleCIError as error:
            result = error
            raise
        finally:
            for notify_end in state.observers.on_response:
                notify_end(opener.operation, request, 1, result, started)
            result = None  # An error that refers to itself by its frames would stay in memory.
        self._response = response
        return response

    def _request(self, url: URL, *, has_token: bool) -> Request:
        headers = {**self._headers, "Accept": "*/*", "User-Agent": USER_AGENT}
        if has_token:
            credentials = self._opener.state.credentials
            self._token = credentials.token
            headers |= credentials.header
        return Request("GET", str(url), headers)

    async def _raise_unauthorized(self, url: URL, response: TransportResponse) -> None:
        body = (await response.read(_MAX_ERROR)).body
        headers, state = response.headers, self._opener.state
        self._close()
        raise error_for(
            401,
            headers,
            body,
            method="GET",
            url=str(url),
            now=state.clock.wall(),
            mask=state.credentials.mask,
        )


async def stream_body(open_: Open, url: str, *, name: str, policy: RetryPolicy) -> AsyncGenerator[bytes, None]:
    """Yield the body of a GET, in chunks.

    A connection that is lost before the first byte is tried again. After it, the body is continued by a range request
    if it has a strong ETag. Raise DownloadError if it cannot be continued, so that no byte is missing or repeated.
    Raise Unauthorized if the token is refused.
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
                    async for chunk in response:
                        offset += len(chunk)
                        yield chunk
                        del chunk  # An exception keeps this frame: the server may have repeated the token.
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
