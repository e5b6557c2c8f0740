"""A lean HTTP server of prepared responses, in a process of its own: `python -m benchmarks.server '{"latency": 0.05}'`.

It prints its port, and ends with its standard input. It parses no more of a request than the target, and encodes
only page numbers for each request. A client therefore never waits for it. LocalCircleCI computes its responses and
runs on aiohttp like the clients, so it takes longer for a request than they do.
"""

from __future__ import annotations

import asyncio
import json
import math
import sys
import threading
import time
from functools import cache
from typing import Any
from urllib.parse import parse_qs

from benchmarks import bodies
from benchmarks.processes import keep_apart

RUNS = 250
PIPELINES = 20


class Bucket:
    """A token bucket that holds one second's worth; after `change_after` seconds of use, `change_to` a second.

    window: the name, the size and what is left of a longer limit that is announced as well. strays: each request of
    that number is refused without any reason.
    """

    def __init__(
        self,
        rate: float,
        *,
        headers: bool = True,
        change_to: float | None = None,
        change_after: float = 0.0,
        window: tuple[str, int, int] | None = None,
        strays: int = 0,
    ) -> None:
        self._window, self._strays, self._requests = window, strays, 0
        self._rate = self._tokens = rate
        self._headers = headers
        self._change = None if change_to is None else (change_after, change_to)
        self._started: float | None = None
        self._at = 0.0

    def take(self) -> tuple[bool, bytes]:
        """Return True if a token was left, and the headers of the response."""
        now = time.monotonic()
        if self._started is None:
            self._started = self._at = now
        if self._change is not None and now - self._started >= self._change[0]:
            self._refill(self._started + self._change[0])
            self._rate = self._change[1]
            self._tokens = min(self._tokens, self._rate)
            self._change = None
        self._refill(now)
        self._requests += 1
        if self._strays and self._requests % self._strays == 0:
            return False, b""
        granted = self._tokens >= 1
        if granted:
            self._tokens -= 1
        lines: list[str] = []
        if self._headers:
            lines += [
                f"X-RateLimit-Limit-Second: {math.floor(self._rate)}",
                f"X-RateLimit-Remaining: {math.floor(self._tokens)}",
                f"X-RateLimit-Reset: {math.ceil((self._rate - self._tokens) / self._rate)}",
            ]
            if self._window is not None:
                name, size, left = self._window
                left -= granted
                self._window = name, size, left
                lines += [f"X-RateLimit-Limit-{name}: {size}", f"X-RateLimit-Remaining-{name}: {left}"]
        if not granted:
            lines.append(f"Retry-After: {math.ceil((1 - self._tokens) / self._rate)}")
        return granted, "".join(f"{line}\r\n" for line in lines).encode()

    def _refill(self, now: float) -> None:
        self._tokens = min(self._rate, self._tokens + max(0.0, now - self._at) * self._rate)
        self._at = now


class Bodies:
    """The bodies, by path."""

    def __init__(self, pages: int) -> None:
        self._pages = pages
        self._runs = bodies.Page(bodies.run, RUNS)
        self._pipelines = bodies.Page(bodies.pipeline, PIPELINES)
        self._one_page_of_runs = self._runs.body(0, 1)
        self._metrics = bodies.items(*[bodies.workflow_metrics(name) for name in bodies.WORKFLOWS])
        self._jobs = bodies.items(*[bodies.job_metrics(number) for number in range(bodies.JOBS)])
        self._flaky_tests = bodies.encode(bodies.flaky_tests())
        self._user = bodies.encode(bodies.user())

    def body(self, path: str, query: str) -> bytes | None:
        if path == "/api/v2/me":
            return self._user
        if path.endswith("/pipeline"):
            return self._page(self._pipelines, query)
        if path.endswith("/flaky-tests"):
            return self._flaky_tests
        if path.endswith("/workflows"):
            return self._metrics
        if path.endswith("/jobs"):
            return self._jobs
        if "/bulk-" in path:
            return self._one_page_of_runs
        return self._page(self._runs, query) if "/workflows/" in path else None

    def _page(self, page: bodies.Page, query: str) -> bytes:
        token = parse_qs(query).get("page-token", [None])[0] if query else None
        return page.body(bodies.page_number(token), self._pages)


class Served(asyncio.Protocol):
    """One connection."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._received = b""
        self._transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._received += data
        while (end := self._received.find(b"\r\n\r\n")) >= 0:
            head, self._received = self._received[:end], self._received[end + 4 :]
            target = head[: head.index(b"\r\n")].split(b" ")[1].decode()
            response = self._server.respond(target)
            if self._server.latency:
                asyncio.get_running_loop().call_later(self._server.latency, self._write, response)
            else:
                self._write(response)

    def _write(self, response: bytes) -> None:
        if not self._transport.is_closing():
            self._transport.write(response)


class Server:
    def __init__(self, latency: float = 0.0, pages: int = 100, bucket: dict[str, Any] | None = None) -> None:
        self.latency = latency
        self._body = cache(Bodies(pages).body) if pages <= 100 else Bodies(pages).body
        self._bucket = None if bucket is None else Bucket(**bucket)
        self._log: list[tuple[float, int]] = []

    def respond(self, target: str) -> bytes:
        """Return the whole response, with its headers."""
        if target == "/log":
            return _response(200, bodies.encode(self._log))
        limits = b""
        if self._bucket is not None:
            granted, limits = self._bucket.take()
            self._log.append((time.monotonic(), 200 if granted else 429))
            if not granted:
                return _response(429, b'{"message":"Rate Limit Exceeded"}', limits)
        path, _, query = target.partition("?")
        body = self._body(path, query)
        return _response(404, b'{"message":"Not Found"}') if body is None else _response(200, body, limits)


def _response(status: int, body: bytes, headers: bytes = b"") -> bytes:
    head = b"HTTP/1.1 %d -\r\nContent-Type: application/json\r\nContent-Length: %d\r\n" % (status, len(body))
    return b"".join((head, headers, b"X-Request-Id: 6d1f6a52-5a0f-4b8e-9b1f-0d7d2b6e8a10\r\n\r\n", body))


async def serve(options: dict[str, Any]) -> None:
    server = Server(**options)
    loop = asyncio.get_running_loop()
    listener = await loop.create_server(lambda: Served(server), "127.0.0.1", 0)
    print(listener.sockets[0].getsockname()[1], flush=True)
    over = asyncio.Event()

    def until_the_end() -> None:
        sys.stdin.read()
        loop.call_soon_threadsafe(over.set)

    threading.Thread(target=until_the_end, daemon=True).start()
    await over.wait()


if __name__ == "__main__":
    keep_apart(server=True)
    asyncio.run(serve(json.loads(sys.argv[1]) if len(sys.argv) > 1 else {}))
