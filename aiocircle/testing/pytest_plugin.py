"""The pytest fixtures `local_circleci` and `circle`."""

from __future__ import annotations

import inspect
import threading
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal

import pytest

if TYPE_CHECKING:
    from aiocircle import CircleCI

    from .server import LocalCircleCI

__all__ = ["circle", "local_circleci"]

_LoopScope = Literal["function", "class", "module", "package", "session"]
_LOOP_SCOPES: tuple[_LoopScope, ...] = ("function", "class", "module", "package", "session")


@pytest.fixture
def local_circleci(request: pytest.FixtureRequest) -> Iterator[LocalCircleCI]:
    """Return a running `LocalCircleCI` with three projects, new for each test.

    In a test of pytest-asyncio it runs in the loop of the test, whose scope does not matter. In all other tests it
    runs in the loop of a thread of its own.
    """
    scope = _loop_scope(request)
    if scope is None:
        with _serve_in_thread() as server:
            yield server
    else:
        yield request.getfixturevalue(f"_local_circleci_{scope}")


@pytest.fixture
def circle(request: pytest.FixtureRequest, local_circleci: LocalCircleCI) -> CircleCI:
    """Return a client of `local_circleci`, new for each test.

    It is closed after a test of pytest-asyncio. All other tests close it themselves, in the loop that they use it in:
    `async with circle: …`.
    """
    scope = _loop_scope(request)
    if scope is None:
        return _client_of(local_circleci)
    client: CircleCI = request.getfixturevalue(f"_circle_{scope}")
    return client


def _client_of(server: LocalCircleCI) -> CircleCI:
    from aiocircle import CircleCI

    return CircleCI(server.token, base_url=server.url)


def _loop_scope(request: pytest.FixtureRequest) -> _LoopScope | None:
    """Return the scope of the loop that pytest-asyncio runs this test in, or None if it does not run the test."""
    marker = request.node.get_closest_marker("asyncio")
    function = getattr(request.function, "hypothesis", request.function)
    function = getattr(function, "inner_test", function)
    if marker is None or not inspect.iscoroutinefunction(function):
        return None
    if not _LOOP_FIXTURES:
        return None
    default = request.config.getini("asyncio_default_test_loop_scope")
    scope: _LoopScope = marker.kwargs.get("loop_scope") or marker.kwargs.get("scope") or default or "function"
    return scope


@contextmanager
def _serve_in_thread() -> Generator[LocalCircleCI, None, None]:
    import asyncio  # only here: pytest loads this plugin for every project

    from .server import LocalCircleCI

    server = LocalCircleCI()
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="local_circleci", daemon=True)
    thread.start()
    try:
        asyncio.run_coroutine_threadsafe(server.start(), loop).result()
        yield server
        asyncio.run_coroutine_threadsafe(server.stop(), loop).result()
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def _server_fixture() -> Callable[[], AsyncIterator[LocalCircleCI]]:
    async def serve() -> AsyncIterator[LocalCircleCI]:
        from .server import LocalCircleCI

        async with LocalCircleCI() as server:
            yield server

    return serve


def _client_fixture() -> Callable[[Any], AsyncIterator[CircleCI]]:
    async def connect(local_circleci: LocalCircleCI) -> AsyncIterator[CircleCI]:
        async with _client_of(local_circleci) as client:
            yield client

    return connect


def _loop_fixtures() -> dict[str, Any]:
    """Return a fixture of the server and one of the client for each scope of a loop."""
    try:
        from pytest_asyncio import fixture
    except ImportError:  # pytest loads this plugin in every environment that has aiocircle
        return {}
    fixtures: dict[str, Any] = {}
    for scope in _LOOP_SCOPES:
        for name, function in (
            (f"_local_circleci_{scope}", _server_fixture()),
            (f"_circle_{scope}", _client_fixture()),
        ):
            function.__name__ = name
            fixtures[name] = fixture(function, scope="function", loop_scope=scope, name=name)
    return fixtures


_LOOP_FIXTURES = _loop_fixtures()
globals().update(_LOOP_FIXTURES)  # pytest collects the fixtures of a plugin from its attributes
