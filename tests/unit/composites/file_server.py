"""A local HTTP server for files that misbehaves on request, and an opener for it. Imported, never collected."""

from __future__ import annotations

import asyncio
import gzip
import random
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from functools import cache, partial

import aiohttp
import attrs
from aiohttp import web

from aiocircle._core.retry import RetryPolicy
from aiocircle.errors import ConnectionFailed

POLICY = RetryPolicy(attempts=4, base=0.001, cap=0.002)
MIB = 1024 * 1024


@cache
def content(size: int, seed: int = 0) -> bytes:
    random_ = random.Random(seed)
    return b"".join(random_.randbytes(min(2**20, size - at)) for at in range(0, size, 2**20))


_gzip = cache(partial(gzip.compress, compresslevel=1))


@attrs.define(kw_only=True)
class File:
    """A file and its faults. cuts: after how many body bytes each of the next responses breaks off."""

    body: bytes
    etag: str | None = '"v1"'
    statuses: list[int] = attrs.Factory(list)
    cuts: list[int] = attrs.Factory(list)
    headers: dict[str, str] = attrs.Factory(dict)
    ranges: str = "honest"  # or "ignored", "shifted", "refused", "short", "unnamed"
    framing: str = "length"  # or "chunks", "gzip"
    lie: int = 0  # bytes more than the body has, in Content-Range's total
    chunk: int = 64 * 1024
    pause: float = 0.0


class FileServer:
    """Serves `files` by path; records method, path and headers of each request, and counts the bytes it sent."""

    def __init__(self) -> None:
        self.files: dict[str, File] = {}
        self.requests: list[tuple[str, Mapping[str, str]]] = []
        self.sent = 0
        self.on_sent: Callable[[], None] = lambda: None
        self.url = ""
        self.active = self.most_active = 0

    @asynccontextmanager
    async def running(self) -> AsyncIterator[FileServer]:
        runner = web.ServerRunner(web.Server(self._serve, access_log=None))
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        try:
            yield self
        finally:
            await runner.cleanup()

    async def _serve(self, request: web.BaseRequest) -> web.StreamResponse:
        self.requests.append((request.path, request.headers))
        self.active += 1
        self.most_active = max(self.active, self.most_active)
        try:
            return await self._file(request, self.files[request.path])
        except aiohttp.ClientConnectionError:
            raise asyncio.CancelledError from None  # The client is gone.
        finally:
            self.active -= 1

    async def _file(self, request: web.BaseRequest, file: File) -> web.StreamResponse:
        if file.statuses and (status := file.statuses.pop(0)):
            return web.Response(status=status, text="no", headers={"Retry-After": "0"} if status == 429 else {})
        headers = dict(file.headers)
        if file.etag is not None:
            headers["ETag"] = file.etag
        start, status, body = 0, 200, file.body
        wanted = request.headers.get("Range")
        if wanted and file.ranges != "ignored" and request.headers.get("If-Range") in (None, file.etag):
            start = int(wanted.removeprefix("bytes=").removesuffix("-"))
            if file.ranges == "refused" or start >= len(body):
                return web.Response(status=416, headers={**headers, "Content-Range": f"bytes */{len(body)}"})
            start -= file.ranges == "shifted"
            end = min(len(body), start + 2**20) if file.ranges == "short" else len(body)
            total = "*" if file.ranges == "unnamed" else str(len(body) + file.lie)
            headers["Content-Range"] = f"bytes {start}-{end - 1}/{total}"
            status, body = 206, body[start:end]
        if file.framing == "gzip":
            body = _gzip(body)
            headers["Content-Encoding"] = "gzip"
        return await self._send(request, file, status, headers, body)

    async def _send(
        self, request: web.BaseRequest, file: File, status: int, headers: dict[str, str], body: bytes
    ) -> web.StreamResponse:
        response = web.StreamResponse(status=status, headers=headers)
        if file.framing == "chunks":
            response.enable_chunked_encoding()
        else:
            response.content_length = len(body)
        cut = file.cuts.pop(0) if file.cuts else None
        await response.prepare(request)
        for at in range(0, len(body), file.chunk):
            piece = body[at : at + file.chunk]
            if cut is not None and at + len(piece) > cut:
                await response.write(piece[: cut - at])
                self.sent += max(0, cut - at)
                await asyncio.sleep(0.02)
                assert request.transport is not None
                request.transport.close()
                return response
            await response.write(piece)
            self.sent += len(piece)
            self.on_sent()
            if file.pause:
                await asyncio.sleep(file.pause)
        await response.write_eof()
        return response


class _Streamed:
    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response
        self.status = response.status
        self.headers: Mapping[str, str] = response.headers

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            async for chunk in self._response.content.iter_any():
                yield chunk
        except (aiohttp.ClientError, TimeoutError) as error:
            raise ConnectionFailed(type(error).__name__) from None


def opener(session: aiohttp.ClientSession):  # type: ignore[no-untyped-def]
    """Return a replacement of Transport.open that uses aiohttp alone."""

    @asynccontextmanager
    async def open_(url: str, headers: Mapping[str, str]) -> AsyncIterator[_Streamed]:
        try:
            response = await session.get(url, headers=headers)
        except (aiohttp.ClientError, TimeoutError) as error:
            raise ConnectionFailed(type(error).__name__) from None
        try:
            yield _Streamed(response)
        finally:
            response.close()

    return open_


@asynccontextmanager
async def raw_server(response: bytes) -> AsyncIterator[str]:
    """The URL of a server that sends these bytes to each connection, and closes it."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(response)
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        await server.wait_closed()
