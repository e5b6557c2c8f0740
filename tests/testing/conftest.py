"""A plain aiohttp client for the local server: no part of aiocircle's own client is used here."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import aiohttp
import attrs
import pytest
import yarl

from aiocircle.testing import LocalCircleCI
from aiocircle.testing.virtual_time import VirtualTimeLoop

# Without this pytest-asyncio gets the current loop, which creates one that is never closed.
asyncio.set_event_loop(None)


@attrs.frozen
class Reply:
    status: int
    headers: Mapping[str, str]
    body: bytes
    json: Any


@attrs.frozen
class Api:
    """Requests to one server, paths being below /api/v2."""

    server: LocalCircleCI
    session: aiohttp.ClientSession

    async def __call__(self, method: str, path: str, **options: Any) -> Reply:
        root = self.server.url if path.startswith("/api/") else f"{self.server.url}/api/v2"
        url = yarl.URL(root + path, encoded=True)
        async with self.session.request(method, url, allow_redirects=False, **options) as response:
            body = await response.read()
            decoded = (
                await response.json(content_type=None) if response.content_type == "application/json" and body else None
            )
            return Reply(response.status, response.headers, body, decoded)

    async def get(self, path: str, **options: Any) -> Any:
        """The JSON of a successful GET."""
        reply = await self("GET", path, **options)
        assert reply.status == 200, reply
        return reply.json

    async def walk(self, path: str) -> list[Any]:
        """All items of all pages."""
        items: list[Any] = []
        token: str | None = None
        for _ in range(1000):
            mark = "&" if "?" in path else "?"
            page = await self.get(path + (f"{mark}page-token={token}" if token else ""))
            items += page["items"]
            token = page["next_page_token"]
            if not token:
                return items
        raise AssertionError(f"{path} never ends")


Serve = Callable[..., Any]


class Clock(asyncio.SelectorEventLoop):
    """An event loop whose time hardly passes unless the test advances it; its sockets are real."""

    offset = 0.0

    def time(self) -> float:
        return super().time() / 1000 + self.offset

    def wait(self, seconds: float) -> None:
        """Let time pass."""
        self.offset += seconds


@asynccontextmanager
async def _serving(*args: Any, **options: Any) -> AsyncIterator[Api]:
    async with LocalCircleCI(*args, **options) as server:
        headers = {"Circle-Token": server.token, "Accept": "application/json"}
        async with aiohttp.ClientSession(headers=headers) as session:
            yield Api(server, session)


@pytest.fixture
def clocked() -> Callable[..., None]:
    """Run a function with a server's Api and a Clock that it keeps."""

    def run(main: Callable[[Api, Clock], Awaitable[None]], *args: Any, **options: Any) -> None:
        async def start() -> None:
            loop = asyncio.get_running_loop()
            assert isinstance(loop, Clock)
            async with _serving(*args, **options) as api:
                await main(api, loop)

        with asyncio.Runner(loop_factory=Clock) as runner:
            runner.run(start())

    return run


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    """Start servers with the options given, and get an Api for each."""
    async with AsyncExitStack() as stack:

        async def start(*args: Any, **options: Any) -> Api:
            return await stack.enter_async_context(_serving(*args, **options))

        yield start


@pytest.fixture
async def api(serve: Serve) -> Api:
    """A server with three projects: gh/acme/api-gateway, gh/acme/web and a standalone one."""
    return await serve()


@pytest.fixture
def virtual() -> Callable[..., None]:
    """Run a function with a server's Api on a loop whose clock jumps."""

    def run(main: Callable[[Api], Awaitable[None]], *args: Any, **options: Any) -> None:
        async def start() -> None:
            async with _serving(*args, **options) as api:
                await main(api)

        with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
            runner.run(start())

    return run
