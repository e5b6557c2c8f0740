"""The only file that touches aiohttp's client. Its exceptions end here."""

from __future__ import annotations

import asyncio
import platform
from collections.abc import Sequence
from typing import Final

import aiohttp
import yarl

from aiocircle._core.message import Request, Response, is_safe
from aiocircle._core.timeouts import Timeout, TimeoutScheduler
from aiocircle._redact import redact_url
from aiocircle._version import __version__
from aiocircle.errors import ConfigurationError, ConnectionFailed, Outcome, RequestError, RequestTimeout

__all__ = ["MAX_BODY", "USER_AGENT", "Transport"]

MAX_BODY: Final = 64 * 1024 * 1024  # bytes, decompressed
MAX_REDIRECTS: Final = 5
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
USER_AGENT: Final = f"aiocircle/{__version__} aiohttp/{aiohttp.__version__} Python/{platform.python_version()}"


class Transport:
    """Sends requests over an aiohttp session: the caller's, or one of its own.

    Its own session is made inside the running loop by the first request, and is the only thing that close() closes.
    """

    def __init__(
        self,
        session: aiohttp.ClientSession | None,
        *,
        max_concurrency: int,
        trace_configs: Sequence[aiohttp.TraceConfig],
        max_body: int = MAX_BODY,
    ) -> None:
        self._session = session
        self._owned = session is None
        self._max_concurrency = max_concurrency
        self._trace_configs = trace_configs
        self._max_body = max_body
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closed = False
        self._reading: set[aiohttp.ClientResponse] = set()
        self._timeouts = TimeoutScheduler()

    async def send(self, request: Request, timeout: Timeout) -> Response:
        """The answer to one attempt, read to its end, its connection given back.

        A GET follows redirects within the host. Raises RequestError where no answer came.
        """
        session = self._ready()
        if not is_safe(request.method):
            return await self._exchange(session, request, request.url, timeout.client_timeout)
        if timeout.total is None:
            return await self._follow(session, request, timeout.client_timeout)
        scheduled = self._timeouts.schedule(timeout.total)
        try:
            return await self._follow(session, request, timeout.without_total)
        except asyncio.CancelledError as error:
            if not scheduled.is_cause_of(error):
                raise
        finally:
            self._timeouts.cancel(scheduled)
        raise _failure(TimeoutError(), request.method, request.redacted_url, timeout.client_timeout, closed=self.closed)

    async def _follow(
        self, session: aiohttp.ClientSession, request: Request, timeout: aiohttp.ClientTimeout
    ) -> Response:
        response = await self._exchange(session, request, url := request.url, timeout)
        if response.status not in _REDIRECTS:
            return response
        for _ in range(MAX_REDIRECTS):
            target = _within_host(url, response.headers.get("Location"))
            if target is None:
                break
            response = await self._exchange(session, request, url := target, timeout)
            if response.status not in _REDIRECTS:
                break
        return response

    async def _exchange(
        self, session: aiohttp.ClientSession, request: Request, url: str, timeout: aiohttp.ClientTimeout
    ) -> Response:
        try:
            answer = await session.request(
                request.method,
                yarl.URL(url, encoded=True),
                headers=request.headers,
                data=request.body,
                allow_redirects=False,
                auto_decompress=True,
                middlewares=None if is_safe(request.method) else (*_middlewares(session), _once),
                timeout=timeout,
                raise_for_status=False,
            )
            self._reading.add(answer)
            try:
                return await self._read(answer)
            finally:
                self._reading.discard(answer)
                # An answer that was read to its end has given its connection back; any other's is of no more use.
                if not answer.closed:
                    answer.close()
        except (aiohttp.ClientError, OSError, ValueError) as error:
            # aiohttp's exceptions hold the request with its headers: none may travel on, not even as a context.
            failure = _failure(error, request.method, redact_url(url), timeout, closed=self.closed)
        except RuntimeError as error:
            # What aiohttp raises over a session that was closed in the middle of the request.
            if not self.closed:
                raise
            failure = _failure(error, request.method, redact_url(url), timeout, closed=True)
        raise failure from None

    async def _read(self, answer: aiohttp.ClientResponse) -> Response:
        """The answer with its decompressed body, and with what cut it short, if anything did."""
        content = answer.content
        chunks: list[bytes] = []
        size = 0
        try:
            while not content.at_eof():
                chunk = await content.readany()
                chunks.append(chunk)
                size += len(chunk)
                if size > self._max_body:
                    body = b"".join(chunks)[: self._max_body]
                    reason = f"the body is larger than {self._max_body} bytes"
                    return Response(answer.status, answer.headers, body, reason, is_too_large=True)
        except aiohttp.ClientError as error:
            if self.closed or isinstance(error, TimeoutError):
                raise
            reason = f"the body was cut after {size} bytes: {_text(error)}"
            return Response(answer.status, answer.headers, b"".join(chunks), reason)
        return Response(answer.status, answer.headers, chunks[0] if len(chunks) == 1 else b"".join(chunks))

    @property
    def closed(self) -> bool:
        """Whether nothing can be sent any more: the client was closed, or the caller's session."""
        return self._closed or (self._session is not None and self._session.closed)

    def ensure_open(self) -> None:
        """ConfigurationError where nothing can be sent: it is closed, or belongs to another event loop."""
        loop = asyncio.get_running_loop()
        if self._loop is loop and not (self._closed if self._owned else self.closed):
            return
        if self._loop is None:
            # A session has no public way to tell its loop.
            if getattr(self._session, "_loop", loop) is not loop:
                raise ConfigurationError("the session that this client was given belongs to another event loop")
            self._loop = loop
        elif self._loop is not loop:
            raise ConfigurationError(
                "this client was first used in another event loop; make one client for each loop, inside it"
            )
        if self._closed:
            raise ConfigurationError("this client is closed")
        if self.closed:
            raise ConfigurationError("the session that this client was given is closed")

    def _ready(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=self._max_concurrency),
                cookie_jar=aiohttp.DummyCookieJar(),
                trace_configs=list(self._trace_configs) or None,
            )
        return self._session

    async def close(self) -> None:
        """Close the client's own session and its connections; the caller's session is left alone."""
        self._closed = True
        self._timeouts.close()
        if self._owned and self._session is not None:
            # Left to aiohttp, whoever reads a body now would wait for the timeout.
            for answer in self._reading:
                answer.content.set_exception(aiohttp.ClientConnectionError("closed"))
            await self._session.close()


async def _once(request: aiohttp.ClientRequest, send: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    """Keeps aiohttp from sending a PUT or DELETE again by itself when the connection breaks.

    The first may have been carried out, and nobody could tell from the answer to the second.
    """
    try:
        return await send(request)
    except aiohttp.ClientConnectorError:
        raise
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
        # The plain kind, which aiohttp lets through.
        raise aiohttp.ClientConnectionError(_text(error)) from None


def _middlewares(session: aiohttp.ClientSession) -> tuple[aiohttp.ClientMiddlewareType, ...]:
    """The session's own, which those of a request would replace. A session has no public way to tell them."""
    return tuple(getattr(session, "_middlewares", ()))


def _within_host(url: str, location: str | None) -> str | None:
    """Where a redirect leads, if that is the same origin, so that the token may go there; else None."""
    if not location:
        return None
    here = yarl.URL(url, encoded=True)
    try:
        target = here.join(yarl.URL(location))
    except ValueError:
        return None
    # A port that is the scheme's own may be written or not.
    same = (target.scheme, target.raw_host, target.port) == (here.scheme, here.raw_host, here.port)
    return str(target.with_fragment(None)) if same and target.raw_user is None else None


def _failure(
    error: Exception, method: str, url: str, timeout: aiohttp.ClientTimeout, *, closed: bool
) -> RequestError | ConfigurationError:
    where = f"{method} {url}"
    # A certificate that is not valid is a ValueError, too.
    if isinstance(error, ValueError) and not isinstance(error, OSError):
        return ConfigurationError(f"{where}: aiohttp refuses the request: {_text(error)}")
    unsent = isinstance(error, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError)
    outcome: Outcome = "not_done" if unsent else "unknown"
    if closed:
        return ConnectionFailed(f"{where}: the client was closed meanwhile", method=method, url=url, outcome=outcome)
    if isinstance(error, TimeoutError):
        seconds = timeout.connect if unsent else timeout.total
        what = "no connection" if unsent else "no complete answer"
        within = "" if seconds is None else f" within {seconds:g} s"
        return RequestTimeout(f"{where}: {what}{within}", method=method, url=url, outcome=outcome)
    return ConnectionFailed(f"{where}: {_text(error)}", method=method, url=url, outcome=outcome)


def _text(error: BaseException) -> str:
    """What an exception of aiohttp's says, without what it holds: a half-read answer, or a URL that may be signed."""
    if isinstance(error, aiohttp.ServerDisconnectedError):
        return "the server closed the connection without an answer"
    if isinstance(error, aiohttp.InvalidURL):
        return type(error).__name__
    what, why = type(error).__name__, str(error)
    if isinstance(error, aiohttp.ClientResponseError):
        what, why = "the answer is no HTTP", error.message
    # From the second line on it repeats what was received.
    why = why.strip().partition("\n")[0].rstrip(": ")
    return f"{what}: {why}" if why else what
