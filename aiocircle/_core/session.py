"""The aiohttp session that requests are sent over: the client's own, or one of the caller's."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence

import aiohttp

from aiocircle.errors import ConfigurationError

__all__ = ["Session"]


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
    ) -> None:
        self._session = session
        self._is_own = session is None
        self._max_concurrency = max_concurrency
        self._trace_configs = trace_configs
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closed = False

    @property
    def closed(self) -> bool:
        """True if nothing can be sent any more: the client was closed, or the caller's session."""
        return self._closed or (self._session is not None and self._session.closed)

    def ensure_open(self) -> None:
        """Raise ConfigurationError if nothing can be sent: the session is closed, or belongs to another event loop."""
        loop = asyncio.get_running_loop()
        if self._loop is loop and not (self._closed if self._is_own else self.closed):
            return
        if self._loop is None:
            # A session has no public way to reveal its loop.
            if getattr(self._session, "_loop", loop) is not loop:
                raise ConfigurationError("session must belong to the running event loop, got one of another event loop")
            self._loop = loop
        elif self._loop is not loop:
            raise ConfigurationError(
                "this client was first used in another event loop. Create one client for each loop, inside it"
            )
        if self._closed:
            raise ConfigurationError("this client is closed")
        if self.closed:
            raise ConfigurationError("the session of this client is closed")

    def get(self) -> aiohttp.ClientSession:
        """Return the session, created if it is the client's own and this is the first request."""
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=self._max_concurrency),
                cookie_jar=aiohttp.DummyCookieJar(),
                trace_configs=list(self._trace_configs) or None,
            )
        return self._session

    def middlewares(self) -> tuple[aiohttp.ClientMiddlewareType, ...]:
        """Return the session's own middlewares, which those of a request would replace."""
        # A session has no public way to reveal them.
        return tuple(getattr(self._session, "_middlewares", ()))

    async def close(self, open_responses: Iterable[aiohttp.ClientResponse] = ()) -> None:
        """Close the client's own session, and end the responses that are read. The caller's session stays open."""
        self._closed = True
        if self._is_own and self._session is not None:
            for response in open_responses:
                response.content.set_exception(aiohttp.ClientConnectionError("closed"))
            await self._session.close()
