"""A virtual clock, a server that answers by script, and the checks that nothing is left behind."""

from __future__ import annotations

import asyncio
import gc
import json as jsonlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from typing import Any
from urllib.parse import parse_qsl

import attrs
import pytest
from multidict import CIMultiDict

from aiocircle import CircleCI
from aiocircle.testing.virtual_time import VirtualTimeLoop

# It has characters that other encodings change.
CANARY = "CCIPAT_canary/7f3b+0123456789abcdef"


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Loops on which no test sleeps for real."""
    return {"virtual": VirtualTimeLoop}


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CIRCLECI_TOKEN", "CIRCLE_TOKEN", "CIRCLECI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="session", autouse=True)
def _old_objects() -> Iterator[None]:
    """What is there before the first test need not be searched for garbage after each."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture(autouse=True)
async def complaints() -> AsyncIterator[list[dict[str, Any]]]:
    """What the loop had to complain of, such as an exception that nobody retrieved: nothing, or the test fails.

    Also: no task outlives the test.
    """
    loop = asyncio.get_running_loop()
    loop.set_debug(True)
    found: list[dict[str, Any]] = []
    loop.set_exception_handler(lambda _, context: found.append(context))
    yield found
    for _ in range(5):
        await asyncio.sleep(0)
    gc.collect()
    await asyncio.sleep(0)
    assert found == []
    assert asyncio.all_tasks() - {asyncio.current_task()} == set()


# --- the server ----------------------------------------------------------------------------------------------


@attrs.frozen
class Received:
    """A request as it arrived. at: the loop's time. connection: which one, in the order of their coming."""

    method: str
    target: str
    headers: CIMultiDict[str]
    body: bytes
    at: float
    connection: int

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]

    @property
    def query(self) -> dict[str, str]:
        return dict(parse_qsl(self.target.partition("?")[2], keep_blank_values=True))


@attrs.frozen
class Exchange:
    request: Received
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter


# Writes one answer; whether the connection goes on.
Script = Callable[[Exchange], Awaitable[bool]]
_NOTHING: Any = object()


def reply(
    status: int = 200,
    json: Any = _NOTHING,
    *,
    body: bytes = b"",
    headers: Mapping[str, str] | None = None,
    cut: int = 0,
    abort: bool = False,
    after: float = 0.0,
    when: asyncio.Event | None = None,
) -> Script:
    """An answer: after `after` seconds and once `when` is set.

    cut: that many bytes of the announced body are kept back, and the connection is closed, or reset with `abort`.
    """
    fields = CIMultiDict({"Content-Type": "application/json"})
    if json is not _NOTHING:
        body = jsonlib.dumps(json).encode()
    fields["Content-Length"] = str(len(body))
    fields.update(headers or {})

    async def write(exchange: Exchange) -> bool:
        if after:
            await asyncio.sleep(after)
        if when is not None:
            await when.wait()
        lines = [f"HTTP/1.1 {status} Whatever", *(f"{name}: {value}" for name, value in fields.items())]
        exchange.writer.write("\r\n".join([*lines, "", ""]).encode("latin-1"))
        if exchange.request.method != "HEAD":
            exchange.writer.write(body[: len(body) - cut])
        await exchange.writer.drain()
        if abort:
            await asyncio.sleep(0.01)
            exchange.writer.transport.abort()
        return not cut

    return write


def raw(data: bytes, *, abort: bool = False) -> Script:
    """Those bytes, and the end of the connection."""

    async def write(exchange: Exchange) -> bool:
        exchange.writer.write(data)
        await exchange.writer.drain()
        if abort:
            await asyncio.sleep(0.01)
            exchange.writer.transport.abort()
        return False

    return write


def drop(*, abort: bool = False) -> Script:
    """No answer: the connection ends."""
    return raw(b"", abort=abort)


def hang(first: bytes = b"") -> Script:
    """Perhaps a few bytes, then nothing until the client has gone."""

    async def write(exchange: Exchange) -> bool:
        exchange.writer.write(first)
        await exchange.reader.read()
        return False

    return write


class Scripted:
    """A raw HTTP server that answers what the script says, and remembers what was asked."""

    reply = staticmethod(reply)
    raw = staticmethod(raw)
    drop = staticmethod(drop)
    hang = staticmethod(hang)

    def __init__(self) -> None:
        self.requests: list[Received] = []
        self.url = ""
        self.port = 0
        self.busy = 0
        self.peak = 0
        self.accepted = 0
        self.tasks: set[asyncio.Task[Any]] = set()
        self._scripts: dict[str, list[Script]] = {}
        self._routes: dict[str, Callable[[Received], Script]] = {}

    def on(self, path: str, *scripts: Script) -> None:
        """The answers for a path, one after the other; the last one again and again."""
        self._scripts[path] = list(scripts)

    def route(self, path: str, decide: Callable[[Received], Script]) -> None:
        """The answers for a path, by request."""
        self._routes[path] = decide

    def pages(self, path: str, pages: Mapping[str | None, Any]) -> None:
        """The pages of a list by token, None being the first: JSON or scripts."""

        def decide(request: Received) -> Script:
            page = pages[request.query.get("page-token")]
            return page if callable(page) else reply(200, page)

        self.route(path, decide)

    @property
    def connections(self) -> int:
        """How many are open."""
        return len(self.tasks)

    @property
    def times(self) -> list[float]:
        return [request.at for request in self.requests]

    def asked(self, path: str | None = None) -> list[Received]:
        return [request for request in self.requests if path is None or request.path == path]

    async def __aenter__(self) -> Scripted:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0, limit=1 << 20)
        self.port = self._server.sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        return self

    async def stop(self) -> None:
        """Refuse new connections, and end those that are open."""
        self._server.close()
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        for _ in range(5):
            await asyncio.sleep(0)

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self.tasks.add(task)
        self.accepted += 1
        try:
            await self._serve(reader, writer, self.accepted)
        except (ConnectionError, asyncio.CancelledError):
            writer.transport.abort()
        finally:
            writer.close()
            self.tasks.discard(task)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int) -> None:
        while True:
            try:
                head = await reader.readuntil(b"\r\n\r\n")
            except asyncio.IncompleteReadError:
                return
            first, *lines = head.decode("latin-1").split("\r\n")
            method, target, _ = first.split(" ")
            headers = CIMultiDict(line.split(": ", 1) for line in lines if line)
            body = await reader.readexactly(int(headers.get("Content-Length", "0")))
            received = Received(method, target, headers, body, asyncio.get_running_loop().time(), number)
            self.requests.append(received)
            self.busy += 1
            self.peak = max(self.peak, self.busy)
            try:
                if not await self._script(received)(Exchange(received, reader, writer)):
                    return
            finally:
                self.busy -= 1

    def _script(self, request: Received) -> Script:
        if request.path in self._routes:
            return self._routes[request.path](request)
        scripts = self._scripts.get(request.path)
        if scripts is None:
            return reply(404, {"message": f"nothing scripted for {request.path}"})
        return scripts.pop(0) if len(scripts) > 1 else scripts[0]


@pytest.fixture
async def server(complaints: object) -> AsyncIterator[Scripted]:
    async with Scripted() as scripted:
        yield scripted


@pytest.fixture
async def other_server(complaints: object) -> AsyncIterator[Scripted]:
    async with Scripted() as scripted:
        yield scripted


# --- the client ----------------------------------------------------------------------------------------------


@pytest.fixture
def canary() -> str:
    """The token of all clients here."""
    return CANARY


@pytest.fixture
async def make(server: Scripted, canary: str) -> AsyncIterator[Callable[..., CircleCI]]:
    """Makes clients of the server, and closes them."""
    made: list[CircleCI] = []

    def client(**options: Any) -> CircleCI:
        made.append(CircleCI(**{"token": canary, "base_url": server.url, **options}))
        return made[-1]

    yield client
    for each in made:
        await each.close()
    # The transports' last callbacks.
    for _ in range(5):
        await asyncio.sleep(0)


@pytest.fixture
def circle(make: Callable[..., CircleCI]) -> CircleCI:
    """A client of the server, with the default options."""
    return make()


@pytest.fixture
def assert_idle(request: pytest.FixtureRequest) -> Callable[..., Awaitable[None]]:
    """Checks that a client holds nothing: no place, no turn in a queue, no connection, no timer, no task."""
    servers = [request.getfixturevalue(name) for name in ("server", "other_server") if name in request.fixturenames]

    async def check(circle: CircleCI, turns: int = 8) -> None:
        for _ in range(turns):
            await asyncio.sleep(0)
        connection = circle._executor.state
        places = connection.places
        assert places.free == places.size, "a place of max_concurrency is held"
        assert not places.queues, "a request still waits"
        state = connection.throttle._state
        for queue in () if state is None else state.queues.values():
            assert queue.in_flight == queue._has_permission, "a request is still counted in its family"
            assert not queue._waiting, "a request still waits in its family"
            assert queue._acquiring is None, "a permission is still requested"
        session = connection.transport._session._session
        if session is not None and session.connector is not None:
            assert not session.connector._acquired, "a connection is not given back"
        mine = {task for server in servers for task in server.tasks} | {asyncio.current_task()}
        assert asyncio.all_tasks() - mine == set()

    return check


@pytest.fixture
def full_jitter(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every backoff takes its full time."""
    monkeypatch.setattr("aiocircle._core.clock.Clock.random", lambda self: 1.0)
