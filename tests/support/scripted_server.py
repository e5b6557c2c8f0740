"""A raw HTTP server that responds by script and records requests."""

from __future__ import annotations

import asyncio
import json as jsonlib
from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from urllib.parse import parse_qsl

import attrs
from multidict import CIMultiDict

__all__ = ["Exchange", "Received", "Script", "ScriptedServer", "drop", "hang", "raw", "reply"]


@attrs.frozen
class Received:
    """A request as it arrived. at: the loop's time. connection: its number, in the order of acceptance."""

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


# Writes one response. True if the connection stays open.
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
    """Return a script for a response, sent after `after` seconds and once `when` is set.

    cut: how many bytes of the announced body are not sent. The connection is then closed, or reset with `abort`.
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
    """Return a script that writes some bytes and closes the connection."""

    async def write(exchange: Exchange) -> bool:
        exchange.writer.write(data)
        await exchange.writer.drain()
        if abort:
            await asyncio.sleep(0.01)
            exchange.writer.transport.abort()
        return False

    return write


def drop(*, abort: bool = False) -> Script:
    """Return a script that closes the connection without a response."""
    return raw(b"", abort=abort)


def hang(first: bytes = b"") -> Script:
    """Return a script that writes some bytes, then nothing until the client disconnects."""

    async def write(exchange: Exchange) -> bool:
        exchange.writer.write(first)
        await exchange.reader.read()
        return False

    return write


class ScriptedServer:
    """A raw HTTP server that responds by script and records requests."""

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
        """Set the responses for a path, one after the other. The last one is repeated."""
        self._scripts[path] = list(scripts)

    def route(self, path: str, decide: Callable[[Received], Script]) -> None:
        """Set a function that chooses the response to each request for a path."""
        self._routes[path] = decide

    def pages(self, path: str, pages: Mapping[str | None, Any]) -> None:
        """Set the pages of a list by token, None for the first: JSON or scripts."""

        def decide(request: Received) -> Script:
            page = pages[request.query.get("page-token")]
            return page if callable(page) else reply(200, page)

        self.route(path, decide)

    @property
    def connections(self) -> int:
        """Number of open connections."""
        return len(self.tasks)

    @property
    def times(self) -> list[float]:
        return [request.at for request in self.requests]

    def received(self, path: str | None = None) -> list[Received]:
        return [request for request in self.requests if path is None or request.path == path]

    async def __aenter__(self) -> ScriptedServer:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0, limit=1 << 20)
        self.port = self._server.sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        return self

    async def stop(self) -> None:
        """Refuse new connections and close those that are open."""
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
        # A client that disconnects while the server writes is an error of this future, which nothing else retrieves.
        protocol: Any = writer.transport.get_protocol()
        protocol._get_close_waiter(writer).add_done_callback(lambda closed: closed.cancelled() or closed.exception())
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
