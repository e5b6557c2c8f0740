"""Redirects, timeouts and broken connections: what aiohttp makes of them ends in the transport."""

from __future__ import annotations

import asyncio
import ssl
from types import SimpleNamespace

import aiohttp
import pytest

from aiocircle import APIError, ConnectionFailed, RequestTimeout, RetryPolicy
from aiocircle._core.timeouts import TimeoutScheduler
from aiocircle._core.transport import _map_exception
from tests.support.rows import each_row

X, Y = "/api/v2/x", "/api/v2/y"


def now() -> float:
    return asyncio.get_running_loop().time()


def to(server, location, status=302):
    return server.reply(status, {"message": "moved"}, headers={"Location": location})


@pytest.fixture
def once(make):
    """A client that tries once."""
    return make(retry=RetryPolicy(attempts=1))


# --- redirects -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("form", ["{root}/api/v2/y?z=1", "/api/v2/y?z=1", "y?z=1", "{root}/api/v2/y?z=1#part"])
async def test_get_follows_a_redirect_on_the_host(server, circle, canary, status, form):
    """A GET follows a redirect on its host, with the token."""
    server.on(X, to(server, form.format(root=server.url), status))
    server.on(Y, server.reply(200, {"there": True}))
    assert await circle.request("GET", X) == {"there": True}
    second = server.requests[1]
    assert second.target == "/api/v2/y?z=1"
    assert second.headers["Circle-Token"] == canary
    assert second.headers["Accept"] == "application/json"


@pytest.mark.parametrize("auth", ["circle-token", "bearer", "basic"])
async def test_redirect_to_another_host_is_not_followed(server, other_server, make, auth):
    """A redirect to another host is not followed, so that it receives neither a request nor the token."""
    circle = make(auth=auth)
    for location in (
        f"{other_server.url}/api/v2/y",
        f"//127.0.0.1:{other_server.port}/api/v2/y",
        f"http://localhost:{server.port}/api/v2/y",
        f"http://127.0.0.1:{server.port}@127.0.0.1:{other_server.port}/",
        f"https://127.0.0.1:{server.port}/api/v2/y",
    ):
        server.on(X, to(server, location))
        server.requests.clear()
        with pytest.raises(APIError, match="redirect") as caught:
            await circle.request("GET", X)
        assert caught.value.status == 302
        assert len(server.requests) == 1
    assert other_server.accepted == 0


async def test_redirect_from_https_to_http_is_refused():
    """A redirect from https to http is not followed."""
    from aiocircle._core.transport import _same_origin

    assert _same_origin("https://circleci.com/a", "http://circleci.com/a") is None
    assert _same_origin("https://circleci.com/a", "https://circleci.com/b") == "https://circleci.com/b"
    assert _same_origin("https://circleci.com/a", "https://circleci.com:443/b") is not None
    assert _same_origin("https://circleci.com/a", "https://circleci.com:444/b") is None
    assert _same_origin("https://circleci.com/a", "https://circleci.com.evil.example/b") is None
    assert _same_origin("https://circleci.com/a", "https://evil.example\\@circleci.com/") is None


@pytest.mark.parametrize(
    "location",
    [
        None,
        "",
        " ",
        "http://",
        "https:///x",
        "http://[::1",
        "http://127.0.0.1:99999/",
        "mailto:ada@example.org",
        "data:text/html,x",
        "javascript:alert(1)",
        "file:///etc/passwd",
        "ftp://127.0.0.1/x",
        "urn:x",
        "http:x",
        "//",
        "http://ada:secret@127.0.0.1/x",
    ],
)
async def test_invalid_redirect_is_a_circleci_error(server, once, location):
    """An invalid redirect raises a CircleCIError, and nothing is sent to another host."""
    headers = {} if location is None else {"Location": location}
    server.on(X, server.reply(302, headers=headers))
    with pytest.raises(APIError) as caught:
        await once.request("GET", X)
    assert caught.value.status == 302
    assert caught.value.attempts == 1
    assert {request.path for request in server.requests} == {X}
    assert "secret" not in str(caught.value)
    assert "secret" not in repr(caught.value.headers)


async def test_redirect_with_credentials_is_refused(server, once):
    """A redirect with credentials is not followed: aiohttp would send them as an Authorization header."""
    server.on(X, to(server, f"http://ada:hunter2@127.0.0.1:{server.port}{Y}"))
    with pytest.raises(APIError) as caught:
        await once.request("GET", X)
    assert "hunter2" not in f"{caught.value} {caught.value.headers!r}"
    assert [request.path for request in server.requests] == [X]


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_change_is_never_redirected(server, circle, method, status):
    """A redirect of a change is never followed: as a GET it would seem to succeed."""
    server.on(X, to(server, Y, status))
    with pytest.raises(APIError, match="redirect") as caught:
        await circle.request(method, X, json={"a": 1})
    assert caught.value.status == status
    assert caught.value.outcome == "unknown"
    assert [request.path for request in server.requests] == [X]


async def test_redirect_loop_ends(server, circle):
    """A loop of redirects ends in an error."""
    server.on(X, to(server, Y))
    server.on(Y, to(server, X))
    with pytest.raises(APIError, match="redirect") as caught:
        await circle.request("GET", X)
    assert caught.value.status == 302
    assert len(server.requests) == 6
    assert caught.value.attempts == 1


async def test_all_hops_share_one_timeout(server, make):
    """All hops of a redirect share the timeout of one attempt."""
    server.on(X, server.reply(302, headers={"Location": X}, after=2.0))
    with pytest.raises(RequestTimeout, match="within 5 s"):
        await make(timeout=5.0, retry=RetryPolicy(attempts=1)).request("GET", X)
    assert now() == pytest.approx(5.0, abs=1.0)
    assert len(server.requests) == 3


async def test_redirect_error_redacts_a_signed_target(server, once):
    """An error about a redirect redacts a signed target."""
    target = "https://bucket.s3.example/x?X-Amz-Signature=5ec2e7&X-Amz-Expires=300&plain=1"
    server.on(X, to(server, target))
    with pytest.raises(APIError) as caught:
        await once.request("GET", X)
    for text in (str(caught.value), repr(caught.value.headers), caught.value.headers["Location"]):
        assert "5ec2e7" not in text
        assert "bucket.s3.example" in text


# --- time ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "first",
    [b"", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{"],
    ids=["no answer", "half a head", "half a body"],
)
async def test_timeout_covers_one_attempt(server, make, first, assert_idle):
    """The timeout covers one attempt, from its start to the last byte."""
    circle = make(timeout=3.0, retry=RetryPolicy(attempts=2, base=0))
    server.on(X, server.hang(first))
    with pytest.raises(RequestTimeout, match="within 3 s") as caught:
        await circle.request("GET", X)
    assert now() == 6.0
    assert caught.value.attempts == 2
    assert isinstance(caught.value, Exception)
    assert caught.value.url == server.url + X
    await assert_idle(circle)


async def test_slow_bytes_do_not_extend_the_timeout(server, once):
    """A slow stream of bytes does not extend the timeout."""

    async def drip(exchange) -> bool:
        exchange.writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        while True:
            exchange.writer.write(b" ")
            await exchange.writer.drain()
            await asyncio.sleep(1)

    server.on(X, drip)
    with pytest.raises(RequestTimeout):
        await once.with_options(timeout=10).request("GET", X)
    assert now() == pytest.approx(10, abs=1)


async def test_client_timeout_of_aiohttp_is_used(server, make, assert_idle):
    """An aiohttp.ClientTimeout is used as it is."""
    circle = make(timeout=aiohttp.ClientTimeout(total=None, sock_read=4.0), retry=RetryPolicy(attempts=1))
    server.on(X, server.hang())
    with pytest.raises(RequestTimeout, match="no complete response"):
        await circle.request("GET", X)
    assert now() == 4.0
    await assert_idle(circle)


async def test_timeout_none_means_no_timeout(server, make):
    """With timeout=None a call waits without a limit."""
    server.on(X, server.reply(200, {}, after=10_000.0))
    assert await make(timeout=None).request("GET", X) == {}
    assert now() == 10_000.0


async def test_asyncio_timeout_of_the_caller_is_kept(server, circle, assert_idle):
    """asyncio.timeout() around a call ends in TimeoutError, and nothing is retried."""
    server.on(X, server.hang())
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(2.0):
            await circle.request("GET", X)
    assert now() == 2.0
    assert len(server.requests) == 1
    await assert_idle(circle)


async def test_timeout_leaves_no_pending_cancellation():
    """A timeout leaves no pending cancellation: the next asyncio.timeout() in the task works."""
    scheduler = TimeoutScheduler()
    task = asyncio.current_task()

    async def work(end: type[BaseException] | None) -> None:
        timeout = scheduler.schedule(1.0)
        try:
            await asyncio.sleep(10)
        except asyncio.CancelledError as error:
            if end is not None or not timeout.is_cause_of(error):
                raise (end or AssertionError) from None
        finally:
            scheduler.cancel(timeout)

    await work(None)
    assert task.cancelling() == 0
    with pytest.raises(ZeroDivisionError):
        await work(ZeroDivisionError)
    assert task.cancelling() == 0
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(2.0):
            await work(None)
            await asyncio.sleep(10)
    scheduler.close()


# --- what aiohttp raises -------------------------------------------------------------------------------------


KEY = SimpleNamespace(host="circleci.com", port=443, ssl=True, is_ssl=True)


@each_row(
    ("error", "kind", "outcome"),
    [
        (aiohttp.ClientConnectorError(KEY, OSError(111, "refused")), ConnectionFailed, "not_done"),
        (aiohttp.ClientConnectorDNSError(KEY, OSError(-2, "unknown")), ConnectionFailed, "not_done"),
        (aiohttp.ClientConnectorSSLError(KEY, ssl.SSLError(1, "handshake")), ConnectionFailed, "not_done"),
        (
            aiohttp.ClientConnectorCertificateError(KEY, ssl.SSLCertVerificationError("self-signed")),
            ConnectionFailed,
            "not_done",
        ),
        (aiohttp.ClientProxyConnectionError(KEY, OSError(111, "refused")), ConnectionFailed, "not_done"),
        (aiohttp.ConnectionTimeoutError("late"), RequestTimeout, "not_done"),
        (aiohttp.SocketTimeoutError("late"), RequestTimeout, "unknown"),
        (aiohttp.ServerTimeoutError("late"), RequestTimeout, "unknown"),
        (TimeoutError(), RequestTimeout, "unknown"),
        (aiohttp.ServerDisconnectedError(), ConnectionFailed, "unknown"),
        (aiohttp.ClientOSError(104, "reset"), ConnectionFailed, "unknown"),
        (ConnectionResetError("reset"), ConnectionFailed, "unknown"),
        (BrokenPipeError(), ConnectionFailed, "unknown"),
        (aiohttp.ClientPayloadError("half"), ConnectionFailed, "unknown"),
        (aiohttp.ClientConnectionError("closed"), ConnectionFailed, "unknown"),
        (ssl.SSLError(1, "bad record"), ConnectionFailed, "unknown"),
    ],
)
def test_failures_reveal_if_anything_was_sent(error, kind, outcome):
    """Each failure has the outcome that follows from whether the request can have been sent."""
    failure = _map_exception(error, "POST", "https://circleci.com/x", aiohttp.ClientTimeout(total=5), closed=False)
    assert type(failure) is kind
    assert failure.outcome == outcome
    assert "POST https://circleci.com/x" in str(failure)
    assert failure.__cause__ is None


async def test_error_of_a_trace_hook_is_unchanged(server, make):
    """An error of a trace hook is raised unchanged."""

    async def broken(*_: object) -> None:
        raise RuntimeError("a bug in the hook")

    config = aiohttp.TraceConfig()
    config.on_request_start.append(broken)
    with pytest.raises(RuntimeError, match="a bug in the hook"):
        await make(trace_configs=[config]).request("GET", X)


async def test_dead_kept_connection_does_not_fail_a_get(server, circle):
    """A kept connection that is dead does not fail a GET."""
    server.on(X, server.reply(200, {}))
    await circle.request("GET", X)
    for task in server.tasks:
        task.cancel()
    assert await circle.request("GET", X) == {}
    assert server.accepted == 2
