"""Bodies that are read as they come: Transport.open over HTTP, cancelled and cut in the middle."""

from __future__ import annotations

import asyncio
import gzip

import aiohttp
import pytest

from aiocircle import ConnectionFailed, RequestTimeout
from aiocircle._core.message import Request

X, Y = "/api/v2/x", "/api/v2/y"
TIMEOUT = aiohttp.ClientTimeout(total=None, connect=5, sock_read=5)
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def opened(circle, url, timeout=TIMEOUT, method="GET"):
    state = circle._executor.state
    state.transport.ensure_open()
    return state.transport.open(Request(method, url, state.headers), timeout)


async def test_headers_come_before_the_body(server, circle, assert_idle):
    """The response is there while its body is still on its way, and its parts come one by one."""
    go_on = asyncio.Event()

    async def write(exchange):
        exchange.writer.write(CHUNKED + chunk(b"first"))
        await exchange.writer.drain()
        await go_on.wait()
        exchange.writer.write(chunk(b"second") + chunk(b""))
        return True

    server.on(X, write)
    async with opened(circle, server.url + X) as response:
        assert (response.status, response.headers["Transfer-Encoding"]) == (200, "chunked")
        parts = []
        async for part in response:
            parts.append(part)
            go_on.set()
        assert parts == [b"first", b"second"]
    await assert_idle(circle)
    async with opened(circle, server.url + X) as response:
        assert b"".join([part async for part in response]) == b"firstsecond"
    assert server.accepted == 1, "the connection was given back"


async def test_a_body_has_no_bound(server, circle):
    """Only read() has one."""
    server.on(X, server.reply(200, body=b"x" * 3_000_000))
    async with opened(circle, server.url + X) as response:
        assert sum([len(part) async for part in response]) == 3_000_000
    async with opened(circle, server.url + X) as response:
        read = await response.read(1000)
    assert (read.body, read.is_too_large) == (b"x" * 1000, True)


async def test_a_compressed_body_is_unpacked(server, circle):
    """A compressed body arrives decompressed."""
    server.on(X, server.reply(200, body=gzip.compress(b"y" * 10_000), headers={"Content-Encoding": "gzip"}))
    async with opened(circle, server.url + X) as response:
        assert b"".join([part async for part in response]) == b"y" * 10_000


@pytest.mark.parametrize("head", [CHUNKED + chunk(b"part"), b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\npart"])
async def test_a_body_that_is_cut_fails_after_its_parts(server, circle, assert_idle, canary, head):
    """With the number of bytes, and without the token."""
    server.on(X, server.raw(head))
    parts = []
    with pytest.raises(ConnectionFailed, match="the body was cut after 4 bytes") as caught:
        async with opened(circle, server.url + X) as response:
            async for part in response:
                parts.append(part)  # noqa: PERF401 - kept when the iteration raises
    assert parts == [b"part"]
    error = caught.value
    assert (error.method, error.url, error.outcome) == ("GET", server.url + X, "unknown")
    assert error.__cause__ is None
    assert canary not in repr(error)
    await assert_idle(circle)


async def test_a_body_that_stops_times_out(server, circle, assert_idle):
    """The timeout applies to the time between two parts, not to the total."""
    server.on(X, server.hang(CHUNKED + chunk(b"part")))
    with pytest.raises(RequestTimeout):
        async with opened(circle, server.url + X) as response:
            async for _ in response:
                pass
    assert asyncio.get_running_loop().time() >= 5.0
    await assert_idle(circle)


@pytest.mark.parametrize("stage", ["headers", "body"])
async def test_a_cancelled_stream_leaves_nothing(server, circle, assert_idle, stage):
    """The cancellation passes through untouched, and the connection is closed."""
    server.on(X, server.hang(b"" if stage == "headers" else CHUNKED + chunk(b"part")))
    parts: list[bytes] = []

    async def read() -> None:
        async with opened(circle, server.url + X) as response:
            async for part in response:
                parts.append(part)  # noqa: PERF401 - kept when the iteration raises

    task = asyncio.create_task(read())
    await asyncio.sleep(1)
    assert parts == ([] if stage == "headers" else [b"part"])
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert task.cancelled()
    await assert_idle(circle, iterations=20)


async def test_a_stream_left_early_closes_its_connection(server, circle, assert_idle):
    """Its rest is of no use, and would have to be read first."""
    server.on(X, server.hang(CHUNKED + chunk(b"part")))
    async with opened(circle, server.url + X) as response:
        async for part in response:
            assert part == b"part"
            break
    await asyncio.sleep(0.1)
    assert server.connections == 0
    await assert_idle(circle)


async def test_a_closed_client_ends_its_streams(server, make):
    """The task that reads learns why."""
    circle = make()
    server.on(X, server.hang(CHUNKED + chunk(b"part")))

    async def read() -> None:
        async with opened(circle, server.url + X) as response:
            async for _ in response:
                pass

    task = asyncio.create_task(read())
    await asyncio.sleep(1)
    await circle.close()
    with pytest.raises(ConnectionFailed, match="closed in the meantime"):
        await task


async def test_a_stream_follows_redirects_within_the_host(server, other_server, circle):
    """And no further: the token would go along."""
    server.on(X, server.reply(302, headers={"Location": Y}))
    server.on(Y, server.reply(200, body=b"there"))
    async with opened(circle, server.url + X) as response:
        assert b"".join([part async for part in response]) == b"there"
    server.on(X, server.reply(302, body=b"elsewhere", headers={"Location": other_server.url + Y}))
    async with opened(circle, server.url + X) as response:
        assert response.status == 302
        assert b"".join([part async for part in response]) == b"elsewhere"
    server.requests.clear()
    server.on(X, server.reply(302, headers={"Location": Y}))
    async with opened(circle, server.url + X, method="POST") as response:
        assert response.status == 302
    assert len(server.requests) == 1
    assert other_server.accepted == 0


async def test_a_body_that_a_hook_has_read_is_not_lost(server, make):
    """aiohttp keeps it, and there is nothing left in the stream."""

    async def peek(request, handler):
        response = await handler(request)
        await response.read()
        return response

    server.on(X, server.reply(200, {"id": 1}))
    async with aiohttp.ClientSession(middlewares=(peek,)) as session:
        circle = make(session=session)
        assert await circle.request("GET", X) == {"id": 1}
        assert await circle.request("POST", X) == {"id": 1}
