"""The only file that sends. aiohttp's exceptions end here."""

from __future__ import annotations

import asyncio
import platform
from collections.abc import Awaitable
from types import TracebackType
from typing import Final, Self, TypeVar

import aiohttp
import yarl
from multidict import CIMultiDict, CIMultiDictProxy

from aiocircle._core.message import SAFE, Request, Response
from aiocircle._core.proxy import NO_PROXY
from aiocircle._core.session import Middlewares, Session
from aiocircle._core.timeouts import Timeout, TimeoutScheduler
from aiocircle._redact import RedactedURL, SecretMask, redact_url
from aiocircle._version import __version__
from aiocircle.errors import (
    CircleCIError,
    ConfigurationError,
    ConnectionFailed,
    Outcome,
    RequestError,
    RequestTimeout,
)

__all__ = ["MAX_BODY", "MAX_REDIRECTS", "REDIRECTS", "USER_AGENT", "StreamedResponse", "Transport"]

E = TypeVar("E", bound=Exception)

MAX_BODY: Final = 64 * 1024 * 1024  # bytes, decompressed
MAX_REDIRECTS: Final = 5
REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
USER_AGENT: Final = f"aiocircle/{__version__} aiohttp/{aiohttp.__version__} Python/{platform.python_version()}"


class Transport:
    """Sends requests over an aiohttp session: the caller's, or one of its own. Its errors are masked by `mask`."""

    def __init__(self, session: Session, mask: SecretMask, *, max_body: int = MAX_BODY) -> None:
        self._session = session
        self._mask = mask
        self._max_body = max_body
        # By identity: a response that a cache has kept is not hashable.
        self._open_responses: dict[int, aiohttp.ClientResponse] = {}
        self._timeouts = TimeoutScheduler()
        self.ensure_open = self._session.ensure_open
        """Raise ConfigurationError if nothing can be sent: it is closed, or belongs to another event loop."""

    @property
    def closed(self) -> bool:
        """True if nothing can be sent any more: the client was closed, or the caller's session."""
        return self._session.closed

    async def send(self, request: Request, timeout: Timeout) -> Response:
        """Return the response to one attempt, read to its end, at most `max_body` bytes of it.

        Raise RequestError if no complete response arrives. ensure_open() must be called before.
        """
        if timeout.total is None or request.method not in SAFE:
            # aiohttp's own total timeout reveals whether a connection was made: if it was not, a POST is repeated.
            async with self.open(request, timeout.client_timeout) as response:
                return await response.read(self._max_body)
        scheduled = self._timeouts.schedule(timeout.total)
        try:
            # As `async with`, but for less: each request pays for it.
            response = await self.open(request, timeout.without_total).__aenter__()
            try:
                return await response.read(self._max_body)
            finally:
                response.close()
        except asyncio.CancelledError as error:
            if not scheduled.is_cause_of(error):
                raise
        finally:
            self._timeouts.cancel(scheduled)
        failure = _map_exception(
            TimeoutError(), request.method, request.redacted_url, timeout.client_timeout, closed=self.closed
        )
        raise _masked(failure, self._mask)

    def open(self, request: Request, timeout: aiohttp.ClientTimeout) -> StreamedResponse:
        """Return a response to be entered: `async with transport.open(request, timeout) as response`.

        Entering it sends the request and returns when the headers have arrived. A GET follows redirects within the
        host. Leaving it gives the connection back, or closes it if the body was not read to its end. Raise RequestError
        if no response arrives. ensure_open() must be called before.
        """
        return StreamedResponse(self._session, self._mask, self._open_responses, request, timeout)

    async def close(self) -> None:
        """Close the client's own session and its connections. The caller's session stays open."""
        self._timeouts.close()
        # aiohttp would let a task that reads a body wait for its timeout.
        await self._session.close(self._open_responses.values())


class StreamedResponse:
    """One HTTP response whose body is read as it comes: by read(), or by `async for chunk in response`."""

    __slots__ = (
        "_is_safe",
        "_mask",
        "_open_responses",
        "_raw",
        "_request",
        "_session",
        "_size",
        "_timeout",
        "_url",
        "headers",
        "status",
    )

    status: int
    headers: CIMultiDictProxy[str]
    _raw: aiohttp.ClientResponse

    def __init__(
        self,
        session: Session,
        mask: SecretMask,
        open_responses: dict[int, aiohttp.ClientResponse],
        request: Request,
        timeout: aiohttp.ClientTimeout,
    ) -> None:
        self._session = session
        self._mask = mask
        self._open_responses = open_responses
        self._request = request
        self._timeout = timeout
        self._url = request.url
        self._size = 0
        self._is_safe = request.method in SAFE

    async def __aenter__(self) -> Self:
        try:
            raw = await self._send()
            if self._is_safe and raw.status in REDIRECTS:
                raw = await self._follow(raw)
        except Exception as error:
            # aiohttp's exceptions hold the request with its headers: none may travel on, not even as a context.
            failure = self._failure(error)
        else:
            self._raw = raw
            self.status, self.headers = raw.status, raw.headers
            self._open_responses[id(raw)] = raw
            return self
        raise failure from None

    async def __aexit__(
        self, type_: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give the connection back, or close it if the body was not read to its end."""
        self._open_responses.pop(id(self._raw), None)
        if not self._raw.closed:
            self._raw.close()

    async def read(self, max_body: int) -> Response:
        """Return the response with its decompressed body, at most `max_body` bytes of it.

        A body that was cut, or is larger, is returned as far as it was read, with the reason.
        """
        status, headers, content = self.status, self.headers, self._raw.content
        chunks: list[bytes] = []
        size = 0
        try:
            is_end = False
            while not is_end:
                chunk = await content.readany()
                chunks.append(chunk)
                size += len(chunk)
                if size > max_body:
                    too_large = f"the body is larger than {max_body} bytes"
                    return Response(status, headers, b"".join(chunks)[:max_body], too_large, is_too_large=True)
                is_end = content.at_eof()
            # It is empty, or a hook of the caller's session has read it: aiohttp has then kept it.
            return Response(status, headers, b"".join(chunks) or await self._raw.read())
        except Exception as error:
            reason = self._cut_reason(error, size)
            failure = self._failure(error) if reason is None else None
        if failure is not None:
            raise failure from None
        return Response(status, headers, b"".join(chunks), reason)

    def __aiter__(self) -> Self:
        """Iterate over the parts of the decompressed body as they come."""
        return self

    async def __anext__(self) -> bytes:
        """Return the next part of the decompressed body. Raise RequestError if it is cut."""
        content = self._raw.content
        if content.at_eof():
            raise StopAsyncIteration
        try:
            chunk = await content.readany()
            self._size += len(chunk)
            return chunk
        except Exception as error:
            reason = self._cut_reason(error, self._size)
            failure = self._failure(error) if reason is None else None
        if failure is None:
            method, url = self._request.method, redact_url(self._url)
            failure = _masked(ConnectionFailed(f"{method} {url}: {reason}", method=method, url=url), self._mask)
        raise failure from None

    async def _follow(self, raw: aiohttp.ClientResponse) -> aiohttp.ClientResponse:
        """Return the response that redirects within the host lead to, or the first one that is not followed."""
        for _ in range(MAX_REDIRECTS):
            target = _same_origin(self._url, raw.headers.get("Location"))
            if target is None:
                break
            raw.close()
            self._url = target
            raw = await self._send()
            if raw.status not in REDIRECTS:
                break
        return raw

    def _send(self) -> Awaitable[aiohttp.ClientResponse]:
        """Return an awaitable that sends one request, and returns the response when its headers have arrived."""
        request, session = self._request, self._session.get()
        # A copy: instrumentation of aiohttp writes into it.
        headers: CIMultiDict[str] = CIMultiDict(request.headers)
        body, middlewares, proxy = request.body, None if self._is_safe else _NO_AUTO_RETRY, NO_PROXY
        if not self._session.is_plain:
            body, middlewares, proxy = self._session.adapt(self._url, headers, body, middlewares or ())
        return session.request(
            request.method,
            yarl.URL(self._url, encoded=True),
            allow_redirects=False,
            auto_decompress=True,
            timeout=self._timeout,
            raise_for_status=False,
            headers=headers,
            data=body,
            middlewares=middlewares,
            proxy=proxy.url,
            proxy_headers=proxy.headers,
        )

    def _failure(self, error: Exception) -> Exception:
        """Return the error for callers.

        Exceptions that are not aiohttp's come from hooks. Those of a caller's session become a RequestError. Those of
        the client's own trace_configs stay as they are.
        """
        return _masked(self._unmasked_failure(error), self._mask)

    def _unmasked_failure(self, error: Exception) -> Exception:
        url = redact_url(self._url)
        if isinstance(error, ConfigurationError):
            return error
        # aiohttp raises RuntimeError for a session that was closed during the request.
        if not (isinstance(error, aiohttp.ClientError | OSError | ValueError) or self._session.closed):
            if self._session.is_own:
                return error
            method, text = self._request.method, _describe(error)
            return RequestError(
                f"{method} {url}: the session raised {text}", method=method, url=url, is_transient=False
            )
        return _map_exception(error, self._request.method, url, self._timeout, closed=self._session.closed)

    def _cut_reason(self, error: Exception, size: int) -> str | None:
        """Return why a body ended early; None if the client closed it, or it took too long."""
        if self._session.closed or isinstance(error, TimeoutError) or not isinstance(error, aiohttp.ClientError):
            return None
        return f"the body was cut after {size} bytes: {_describe(error)}"


async def _no_auto_retry(request: aiohttp.ClientRequest, send: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    """Keep aiohttp from sending a PUT or DELETE again by itself when the connection breaks.

    The first may have been executed, and the response to the second would not reveal it.
    """
    try:
        return await send(request)
    except aiohttp.ClientConnectorError:
        raise
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
        # The base class, which aiohttp does not repeat.
        raise aiohttp.ClientConnectionError(_describe(error)) from None


_NO_AUTO_RETRY: Final[Middlewares] = (_no_auto_retry,)


def _tls_failure(error: aiohttp.ClientConnectorCertificateError, where: str) -> str:
    reason = getattr(error.certificate_error, "verify_message", "") or type(error.certificate_error).__name__
    return (
        f"{where}: the certificate of {error.host} cannot be verified: {reason}. Pass ssl=, an ssl.SSLContext that "
        "trusts its authority"
    )


def _same_origin(url: str, location: str | None) -> str | None:
    """Return the target of a redirect if it has the same origin, so that it may get the token; otherwise None."""
    if not location:
        return None
    here = yarl.URL(url, encoded=True)
    try:
        target = here.join(yarl.URL(location))
    except ValueError:
        return None
    # The scheme's default port may be written or not.
    same = (target.scheme, target.raw_host, target.port) == (here.scheme, here.raw_host, here.port)
    return RedactedURL(target.with_fragment(None)) if same and target.raw_user is None else None


def _map_exception(
    error: Exception, method: str, url: str, timeout: aiohttp.ClientTimeout, *, closed: bool
) -> RequestError | ConfigurationError:
    """Return the error of a request that got no response, with its outcome."""
    where = f"{method} {url}"
    if isinstance(error, aiohttp.ClientConnectorCertificateError) and not closed:
        return ConnectionFailed(
            _tls_failure(error, where), method=method, url=url, outcome="not_done", is_transient=False
        )
    # An invalid certificate is a ValueError and an OSError.
    if isinstance(error, ValueError) and not isinstance(error, OSError):
        return ConfigurationError(f"{where}: aiohttp refuses the request: {_describe(error)}")
    unsent = isinstance(
        error, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError | aiohttp.ClientHttpProxyError
    )
    outcome: Outcome = "not_done" if unsent else "unknown"
    if closed:
        return ConnectionFailed(
            f"{where}: the client was closed in the meantime", method=method, url=url, outcome=outcome
        )
    if isinstance(error, TimeoutError):
        seconds = timeout.connect if unsent else timeout.total
        what = "no connection" if unsent else "no complete response"
        within = "" if seconds is None else f" within {seconds:g} s"
        return RequestTimeout(f"{where}: {what}{within}", method=method, url=url, outcome=outcome)
    return ConnectionFailed(f"{where}: {_describe(error)}", method=method, url=url, outcome=outcome)


def _masked(error: E, mask: SecretMask) -> E:
    """Mask the tokens in an error of ours: its text may repeat what the server has sent."""
    if isinstance(error, CircleCIError):
        error.args = tuple(mask.apply(arg) if isinstance(arg, str) else arg for arg in error.args)
        if isinstance(error, RequestError):
            error.url = mask.apply(error.url)
    return error


def _describe(error: BaseException) -> str:
    """Return the text of an aiohttp exception, without the response or the URL that it holds."""
    if isinstance(error, aiohttp.ServerDisconnectedError):
        return "the server closed the connection without a response"
    if isinstance(error, aiohttp.InvalidURL):
        return type(error).__name__
    what, why = type(error).__name__, str(error)
    if isinstance(error, aiohttp.ClientHttpProxyError):
        what, why = "the proxy refused the tunnel", f"{error.status} {error.message}"
    elif isinstance(error, aiohttp.ClientResponseError):
        what, why = "the response is not HTTP", error.message
    # The second line and those after it repeat what was received.
    why = why.strip().partition("\n")[0].rstrip(": ")
    return f"{what}: {why}" if why else what
