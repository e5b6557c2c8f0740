"""The only file that touches aiohttp's client. Its exceptions end here."""

from __future__ import annotations

import asyncio
import platform
from collections.abc import Sequence
from typing import Final

import aiohttp
import yarl

from aiocircle._core.http import Request, Response, shown_url
from aiocircle._version import __version__
from aiocircle.errors import ConfigurationError, ConnectionFailed, Outcome, RequestError, RequestTimeout

__all__ = ["MAX_BODY", "USER_AGENT", "AiohttpTransport", "client_timeout"]

MAX_BODY: Final = 64 * 1024 * 1024  # bytes, decompressed
MAX_REDIRECTS: Final = 5
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
USER_AGENT: Final = f"aiocircle/{__version__} aiohttp/{aiohttp.__version__} Python/{platform.python_version()}"


def client_timeout(timeout: float | aiohttp.ClientTimeout | None) -> aiohttp.ClientTimeout:
    """The timeout of one attempt, from seconds; None is no timeout."""
    if isinstance(timeout, aiohttp.ClientTimeout):
        return timeout
    if timeout is None:
        return aiohttp.ClientTimeout(total=None)
    if isinstance(timeout, bool) or not isinstance(timeout, int | float) or not 0 < timeout < float("inf"):
        raise ConfigurationError(f"timeout takes seconds, more than zero, or an aiohttp.ClientTimeout, not {timeout!r}")
    return aiohttp.ClientTimeout(total=timeout)


class AiohttpTransport:
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

    async def send(self, request: Request, timeout: aiohttp.ClientTimeout) -> Response:
        """The answer to one attempt, read to its end, its connection given back.

        A GET follows redirects within the host. Raises RequestError where no answer came.
        """
        session = self._ready()
        url = request.url
        response = await self._exchange(session, request, url, timeout)
        for _ in range(MAX_REDIRECTS):
            if response.status not in _REDIRECTS or request.method not in ("GET", "HEAD"):
                break
            target = _within_host(url, response.headers.get("Location"))
            if target is None:
                break
            url = target
            response = await self._exchange(session, request, url, timeout)
        return response

    async def _exchange(
        self, session: aiohttp.ClientSession, request: Request, url: str, timeout: aiohttp.ClientTimeout
    ) -> Response:
        try:
            async with session.request(
                request.method,
                yarl.URL(url, encoded=True),
                headers=request.headers,
                data=request.body,
                allow_redirects=False,
                timeout=timeout,
                raise_for_status=False,
            ) as answer:
                body, flaw = await self._read(answer)
                return Response(answer.status, answer.headers, body, flaw)
        except asyncio.CancelledError:
            raise
        except (aiohttp.ClientError, OSError, ValueError) as error:
            # aiohttp's exceptions hold the request with its headers: none may travel on, not even as a context.
            failure = _failure(error, request.method, shown_url(url), timeout)
        except RuntimeError as error:
            if not session.closed:
                raise
            failure = ConnectionFailed(
                f"{request.method} {shown_url(url)}: the session was closed meanwhile ({error})",
                method=request.method,
                url=shown_url(url),
            )
        raise failure from None

    async def _read(self, answer: aiohttp.ClientResponse) -> tuple[bytes, str | None]:
        """The decompressed body, and what cut it short, if anything did."""
        content = answer.content
        chunks: list[bytes] = []
        size = 0
        try:
            while chunk := await content.readany():
                chunks.append(chunk)
                size += len(chunk)
                if size > self._max_body:
                    answer.close()
                    return b"".join(chunks)[: self._max_body], f"the body is larger than {self._max_body} bytes"
        except aiohttp.ClientError as error:
            if isinstance(error, TimeoutError):
                raise
            return b"".join(chunks), f"the body was cut after {size} bytes: {_text(error)}"
        return chunks[0] if len(chunks) == 1 else b"".join(chunks), None

    def _ready(self) -> aiohttp.ClientSession:
        loop = asyncio.get_running_loop()
        if self._loop is None:
            self._loop = loop
        elif self._loop is not loop:
            raise ConfigurationError(
                "this client was first used in another event loop; make one client for each loop, inside it"
            )
        if self._closed:
            raise ConfigurationError("this client is closed")
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=self._max_concurrency),
                cookie_jar=aiohttp.DummyCookieJar(),
                trace_configs=list(self._trace_configs) or None,
            )
        elif self._session.closed:
            raise ConfigurationError("the session that this client was given is closed")
        return self._session

    async def close(self) -> None:
        """Close the client's own session and its connections; the caller's session is left alone."""
        self._closed = True
        if self._owned and self._session is not None:
            await self._session.close()


def _within_host(url: str, location: str | None) -> str | None:
    """Where a redirect leads, if that is the same origin, so that the token may go there; else None."""
    if not location:
        return None
    try:
        target = yarl.URL(url, encoded=True).join(yarl.URL(location))
    except ValueError:
        return None
    return str(target) if target.origin() == yarl.URL(url, encoded=True).origin() and not target.user else None


def _failure(
    error: Exception, method: str, url: str, timeout: aiohttp.ClientTimeout
) -> RequestError | ConfigurationError:
    where = f"{method} {url}"
    if isinstance(error, ValueError):
        return ConfigurationError(f"{where}: aiohttp refuses the request: {_text(error)}")
    unsent = isinstance(error, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError)
    outcome: Outcome = "not_done" if unsent else "unknown"
    if isinstance(error, TimeoutError):
        seconds = "" if timeout.total is None else f" within {timeout.total:g} s"
        what = "no connection" if unsent else "no complete answer"
        return RequestTimeout(f"{where}: {what}{seconds}", method=method, url=url, outcome=outcome)
    return ConnectionFailed(f"{where}: {_text(error)}", method=method, url=url, outcome=outcome)


def _text(error: BaseException) -> str:
    """What an exception of aiohttp's says, without what it holds."""
    if isinstance(error, aiohttp.ClientResponseError):
        return f"the answer is no HTTP: {error.message}" if error.message else "the answer is no HTTP"
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
