"""The aiohttp session that requests are sent over: the client's own, or one of the caller's."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from functools import cache
from ssl import SSLContext
from typing import Final

import aiohttp
import yarl
from multidict import CIMultiDict

from aiocircle._core.proxy import NO_PROXY, Proxies, Proxy, ProxyOptions, proxies_of, read_environment
from aiocircle._redact import SecretHeader
from aiocircle.errors import ConfigurationError

__all__ = ["Middlewares", "Session"]

Middlewares = tuple[aiohttp.ClientMiddlewareType, ...]

_LARGE_BLOCK: Final = 4 * 1024 * 1024  # bytes: more than eight downloads read at a time

# The request headers that carry credentials.
_CREDENTIALS: Final = ("Authorization", "Circle-Token", "Cookie")


class Session:
    """A session with its event loop.

    The client's own is created inside the running loop by the first request, and is the only one that close() closes.
    """

    def __init__(
        self,
        session: aiohttp.ClientSession | None,
        *,
        max_concurrency: int,
        trace_configs: Sequence[aiohttp.TraceConfig],
        proxy: Proxy | None = None,
        ssl_context: SSLContext | None = None,
    ) -> None:
        self._session = session
        self.is_own = session is None
        self._max_concurrency = max_concurrency
        self._trace_configs = trace_configs
        self._proxy = proxy
        self._proxies: Proxies | None = None
        self._ssl_context = ssl_context
        self.is_plain = False  # True once it is known that adapt() would change nothing
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closed = False

    @property
    def closed(self) -> bool:
        """True if nothing can be sent any more: the client was closed, or the caller's session."""
        return self._closed or (self._session is not None and bool(getattr(self._session, "closed", False)))

    def ensure_open(self) -> None:
        """Raise ConfigurationError if nothing can be sent: the session is closed, or belongs to another event loop."""
        loop = asyncio.get_running_loop()
        if self._loop is loop and not (self._closed if self.is_own else self.closed):
            return
        if self._loop is None:
            # A session has no public way to reveal its loop.
            if getattr(self._session, "_loop", loop) is not loop:
                raise ConfigurationError("session must belong to the running event loop, got one of another event loop")
            self._loop = loop
            _keep_freed_memory()
        elif self._loop is not loop:
            raise ConfigurationError(
                "this client was first used in another event loop. Create one client for each loop, inside it"
            )
        if self._closed:
            raise ConfigurationError(
                "the client is closed. Create a new CircleCI, or send requests inside `async with`"
            )
        if self.closed:
            raise ConfigurationError("the session of the client is closed. Pass a session that stays open to CircleCI")

    def get(self) -> aiohttp.ClientSession:
        """Return the session, created if it is the client's own and this is the first request."""
        if self._session is None:
            if self._proxy is None:
                self._proxies = proxies_of(read_environment())
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=self._max_concurrency, ssl=self._ssl_context or True),
                cookie_jar=aiohttp.DummyCookieJar(),
                trace_configs=list(self._trace_configs) or None,
            )
            self.is_plain = self._proxy is None and self._proxies is None
        return self._session

    def adapt(
        self, url: str, headers: CIMultiDict[str], body: bytes | None, middlewares: Middlewares
    ) -> tuple[bytes | None, Middlewares | None, ProxyOptions]:
        """Return the body, the middlewares and the proxy of one request, and change its headers."""
        if self.is_own:
            return body, middlewares or None, self._proxy_options(url, headers)
        # Recorders of requests know plain bytes only.
        body = None if body is None else bytes(body)
        return body, self._foreign_middlewares(headers, middlewares), NO_PROXY

    def _foreign_middlewares(self, headers: CIMultiDict[str], middlewares: Middlewares) -> Middlewares:
        """Return the middlewares that keep the credentials of the caller's session out of a request.

        A middleware sets the client's in place of the session's. aiohttp would refuse a request that has both, and
        what records or caches requests gets no token.
        """
        credentials = {name: SecretHeader(headers.pop(name)) for name in _CREDENTIALS if name in headers}

        async def use_own_credentials(
            request: aiohttp.ClientRequest, send: aiohttp.ClientHandlerType
        ) -> aiohttp.ClientResponse:
            for name in _CREDENTIALS:
                request.headers.popall(name, None)
            request.headers.update(credentials)
            return await send(request)

        # Middlewares of a request replace those of the session, which has no public way to reveal them.
        own = tuple(getattr(self._session, "_middlewares", ()))
        return (*own, *middlewares, use_own_credentials)

    def _proxy_options(self, url: str, headers: CIMultiDict[str]) -> ProxyOptions:
        proxy = self._proxy or (self._proxies and self._proxies.find(yarl.URL(url, encoded=True)))
        if not proxy:
            return NO_PROXY
        if proxy.authorization is None:
            return ProxyOptions(proxy.url, None)
        authorization = {"Proxy-Authorization": proxy.authorization}
        if url.startswith("https:"):
            return ProxyOptions(proxy.url, authorization)  # of the request for the tunnel
        headers.update(authorization)
        return ProxyOptions(proxy.url, None)

    async def close(self, open_responses: Iterable[aiohttp.ClientResponse] = ()) -> None:
        """Close the client's own session, and end the responses that are read. The caller's session stays open."""
        self._closed = True
        if self.is_own and self._session is not None:
            for response in open_responses:
                response.content.set_exception(aiohttp.ClientConnectionError("closed"))
            await self._session.close()


@cache
def _keep_freed_memory() -> None:
    """Let the process keep the memory of what was read for what is read next.

    asyncio reads into a new buffer of 256 KiB each time. glibc requests it from the system and gives it back each time,
    which takes a sixth of the time of a small request. Once a larger block was freed, it keeps up to twice that size.
    """
    bytes(_LARGE_BLOCK)
