"""A client, the local server it talks to, and what arrived there."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import attrs
import pytest

from aiocircle import CircleCI
from aiocircle.testing import LocalCircleCI
from aiocircle.testing.virtual_time import VirtualTimeLoop


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Loops on which no test sleeps for real."""
    return {"virtual": VirtualTimeLoop}


@attrs.frozen
class Arrived:
    """A request as it arrived: the path below /api/v2 is raw, query values are in order."""

    method: str
    path: str
    query: list[tuple[str, str]]
    json: Any


@pytest.fixture
async def server() -> AsyncIterator[LocalCircleCI]:
    """A server with the projects gh/acme/api-gateway, gh/acme/web and a standalone one."""
    async with LocalCircleCI() as server:
        yield server


@pytest.fixture
async def circle(server: LocalCircleCI) -> AsyncIterator[CircleCI]:
    """A client of that server."""
    async with CircleCI(server.token, base_url=server.url) as circle:
        yield circle


@pytest.fixture
def answer(server: LocalCircleCI) -> Callable[..., None]:
    """`answer(body, status=200)` sets the next response of the server, for any request."""

    def script(body: Any = b"", status: int = 200) -> None:
        server.inject("answer", status=status, body=body)

    return script


@pytest.fixture
def arrived(server: LocalCircleCI) -> Callable[..., Arrived]:
    """arrived(): the request that came last; arrived(0): the first."""

    def look(index: int = -1) -> Arrived:
        request = server.requests[index]
        assert request.path.startswith("/api/v2/")
        assert request.headers["Accept"] == "application/json"
        if request.body:
            assert request.headers["Content-Type"] == "application/json"
        return Arrived(request.method, request.path.removeprefix("/api/v2"), request.query, request.json)

    return look
