"""The client: its session, its end, its copies, and how many requests are in flight."""

from __future__ import annotations

import asyncio
import logging
import os
import subprocess
import sys
import types

import aiohttp
import pytest

from aiocircle import CircleCI, ConfigurationError, ConnectionFailed, RequestTimeout, RetryPolicy, ServerError
from aiocircle.testing.virtual_time import VirtualTimeLoop

ME = {"id": "1", "login": "ada", "name": "Ada"}
X = "/api/v2/x"


# --- the session ---------------------------------------------------------------------------------------------


async def test_session_lives_from_first_request_to_close(server, canary):
    """The client's session is made by the first request and closed with the client."""
    server.on("/api/v2/me", server.reply(200, ME))
    async with CircleCI(canary, base_url=server.url) as circle:
        transport = circle._executor.state.transport
        assert transport._session._session is None
        await circle.users.me()
        session = transport._session._session
        assert not session.closed
    assert session.closed
    await asyncio.sleep(0.1)
    assert server.connections == 0


FAULTS = """
import asyncio, resource
from aiocircle import CircleCI

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(20):
        blocks = [bytearray(250_000) for _ in range(8)]
        del blocks
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

async def main():
    async with CircleCI("a-token") as circle:
        before = faults()
        circle._executor.state.transport.ensure_open()
        print(before, faults() and faults())

asyncio.run(main())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only glibc gives each freed block back to the system")
def test_freed_memory_serves_the_next_read():
    """The first request ends that each buffer of a read is requested from the system and given back."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")}
    done = subprocess.run([sys.executable, "-c", FAULTS], capture_output=True, text=True, check=True, env=environment)
    before, after = map(int, done.stdout.split())
    if before < 1000:
        pytest.skip("this C library keeps freed memory by itself")
    assert after < before / 100


async def test_connection_is_reused(server, circle):
    """One connection serves one request after another."""
    server.on(X, server.reply(200, {}))
    for _ in range(5):
        await circle.request("GET", X)
    assert server.accepted == 1


async def test_failing_block_closes_the_session(server, canary):
    """The session is closed when the `async with` block fails."""
    server.on("/api/v2/me", server.reply(200, ME))
    with pytest.raises(ZeroDivisionError):
        async with CircleCI(canary, base_url=server.url) as circle:
            await circle.users.me()
            raise ZeroDivisionError
    assert circle._executor.state.transport._session._session.closed


async def test_injected_session_is_used_and_stays_open(server, make):
    """A session of the caller is used, and stays open."""
    server.on("/api/v2/me", server.reply(200, ME))
    async with aiohttp.ClientSession() as session:
        circle = make(session=session)
        async with circle:
            await circle.users.me()
        await circle.close()
        assert not session.closed
        async with session.get(server.url + "/api/v2/me") as response:
            assert response.status == 200


async def test_injected_session_with_odd_settings_works(server, make, canary):
    """A session with headers, cookies, raise_for_status and without decompression works."""
    packed = server.reply(
        200, body=_gzip(b'{"id":"1","login":"ada","name":"Ada"}'), headers={"Content-Encoding": "gzip"}
    )
    server.on("/api/v2/me", server.reply(500, {}), packed)
    async with aiohttp.ClientSession(
        raise_for_status=True,
        headers={"Accept": "text/html", "User-Agent": "me", "Circle-Token": "another", "X-Mine": "1"},
        cookies={"a": "b"},
        auto_decompress=False,
        timeout=aiohttp.ClientTimeout(total=0.001),
    ) as session:
        assert (await make(session=session).users.me()).login == "ada"
    assert len(server.requests) == 2
    sent = server.requests[0].headers
    assert sent["Accept"] == "application/json"
    assert sent.getall("Circle-Token") == [canary]
    assert sent["X-Mine"] == "1"


def _gzip(data: bytes) -> bytes:
    import gzip

    return gzip.compress(data)


async def test_injected_raise_for_status_is_not_called(server, make):
    """A session's raise_for_status function is not called."""

    async def hook(response: aiohttp.ClientResponse) -> None:
        raise AssertionError("called")

    server.on(X, server.reply(404, {"message": "no"}))
    async with aiohttp.ClientSession(raise_for_status=hook) as session:
        with pytest.raises(Exception, match="no"):
            await make(session=session).request("GET", X)


async def test_closed_injected_session_is_refused(server, make):
    """A closed session raises ConfigurationError."""
    session = aiohttp.ClientSession()
    await session.close()
    with pytest.raises(ConfigurationError, match=r"session .* closed"):
        await make(session=session).users.me()


async def test_trace_configs_are_passed_to_aiohttp(server, make):
    """Trace configs are passed to aiohttp, as OpenTelemetry's instrumentation needs."""
    seen: list[str] = []
    config = aiohttp.TraceConfig()

    async def start(session: object, context: types.SimpleNamespace, params: aiohttp.TraceRequestStartParams) -> None:
        seen.append(f"start {params.method} {params.url.path}")

    async def end(session: object, context: types.SimpleNamespace, params: aiohttp.TraceRequestEndParams) -> None:
        seen.append(f"end {params.response.status}")

    config.on_request_start.append(start)
    config.on_request_end.append(end)
    server.on("/api/v2/me", server.reply(500, {}), server.reply(200, ME))
    await make(trace_configs=[config]).users.me()
    assert seen == ["start GET /api/v2/me", "end 500", "start GET /api/v2/me", "end 200"]


async def test_trace_configs_with_a_session_are_refused():
    """Trace configs together with a session raise ConfigurationError, because they would be ignored."""
    async with aiohttp.ClientSession() as session:
        with pytest.raises(ConfigurationError, match="trace_configs"):
            CircleCI("token", session=session, trace_configs=[aiohttp.TraceConfig()])


# --- event loops ---------------------------------------------------------------------------------------------


def _in_another_loop(coroutine):
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return runner.run(coroutine)


async def _in_another_thread(coroutine):
    return await asyncio.get_running_loop().run_in_executor(None, _in_another_loop, coroutine)


async def test_client_in_another_loop_is_refused(server, circle):
    """A client that is used in another event loop raises ConfigurationError."""
    server.on(X, server.reply(200, {}))
    await circle.request("GET", X)
    for _ in range(2):
        with pytest.raises(ConfigurationError, match="another event loop"):
            await _in_another_thread(circle.request("GET", X))
    await circle.request("GET", X)
    assert len(server.requests) == 2


async def test_every_call_in_another_loop_is_refused(server, make):
    """Each of many calls in another loop raises ConfigurationError, also those that would wait for a slot."""
    circle = make(max_concurrency=1)
    server.on(X, server.reply(200, {}, after=1.0))
    await asyncio.gather(*(circle.request("GET", X) for _ in range(3)))

    async def many() -> list[object]:
        return await asyncio.gather(*(circle.request("GET", X) for _ in range(5)), return_exceptions=True)

    errors = await _in_another_thread(many())
    assert [type(error) for error in errors] == [ConfigurationError] * 5


async def test_session_of_another_loop_is_refused(server, make):
    """A session of another loop raises ConfigurationError."""

    async def make_session() -> aiohttp.ClientSession:
        return aiohttp.ClientSession()

    runner = asyncio.Runner(loop_factory=VirtualTimeLoop)
    loop = asyncio.get_running_loop()
    session = await loop.run_in_executor(None, runner.run, make_session())
    with pytest.raises(ConfigurationError, match="another event loop"):
        await make(session=session).users.me()
    await loop.run_in_executor(None, runner.run, session.close())
    await loop.run_in_executor(None, runner.close)


def test_client_can_be_made_without_a_loop():
    """A client can be made before a loop runs."""

    async def main() -> object:
        async with circle:
            return await circle.request("GET", "/")

    circle = CircleCI("token", base_url="http://127.0.0.1:1", retry=RetryPolicy(attempts=1))
    with pytest.raises(ConnectionFailed):
        _in_another_loop(main())


async def test_client_state_is_readable_without_a_loop(server, make):
    """Rate limits and deprecations can be read after asyncio.run() has returned."""
    circle = make()
    server.on(X, server.reply(200, {}, headers={"X-RateLimit-Limit-Second": "10"}))
    await circle.request("GET", X)
    limits = await asyncio.get_running_loop().run_in_executor(None, lambda: circle.rate_limits)
    assert limits["v2/x"].limit == 10
    assert repr(circle)
    assert circle.deprecations == {}


# --- the end -------------------------------------------------------------------------------------------------


async def test_closed_client_raises_a_clear_error(server, circle):
    """A request of a closed client raises ConfigurationError."""
    server.on(X, server.reply(200, {"items": []}))
    await circle.request("GET", X)
    groups = circle.users
    pager = circle.request_pages(X)
    await circle.close()
    with pytest.raises(ConfigurationError, match="closed"):
        await circle.request("GET", X)
    with pytest.raises(ConfigurationError, match="closed"):
        await groups.me()
    with pytest.raises(ConfigurationError, match="closed"):
        await pager.collect()
    assert len(server.requests) == 1


async def test_client_closed_before_use_opens_nothing(server, circle):
    """A client that was closed before its first request opens nothing."""
    await circle.close()
    with pytest.raises(ConfigurationError, match="closed"):
        await circle.users.me()
    assert circle._executor.state.transport._session._session is None


async def test_close_can_be_repeated(server, circle):
    """close() can be called again."""
    server.on(X, server.reply(200, {}))
    await circle.request("GET", X)
    await asyncio.gather(circle.close(), circle.close())
    await circle.close()


async def test_closed_client_does_not_wait_for_rate_limit(server, make):
    """A closed client raises its error immediately, also while a rate limit delays requests."""
    circle = make(retry=RetryPolicy(attempts=1))
    server.on(X, server.reply(429, headers={"Retry-After": "60"}))
    with pytest.raises(Exception, match="429"):
        await circle.request("GET", X)
    await circle.close()
    before = asyncio.get_running_loop().time()
    with pytest.raises(ConfigurationError, match="closed"):
        await circle.request("GET", X)
    assert asyncio.get_running_loop().time() == before


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize(
    ("stage", "injected"),
    [("waiting", False), ("body", False), ("waiting", True)],
    ids=["waiting", "body", "waiting-injected"],
)
async def test_close_ends_requests_in_flight(server, make, assert_idle, method, injected, stage):
    """close() ends requests in flight with a clear error, sends them no second time, and leaves nothing behind."""
    session = aiohttp.ClientSession() if injected else None
    circle = make(session=session)
    first = b"" if stage == "waiting" else b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"
    server.on(X, server.hang(first))
    calls = [asyncio.ensure_future(circle.request(method, X)) for _ in range(3)]
    await asyncio.sleep(1)
    before = asyncio.get_running_loop().time()
    await (session or circle).close()
    errors = await asyncio.gather(*calls, return_exceptions=True)
    for error in errors:
        assert isinstance(error, ConnectionFailed)
        assert "closed in the meantime" in str(error)
        assert error.attempts == 1
        assert error.outcome == ("not_done" if method == "GET" else "unknown")
    assert asyncio.get_running_loop().time() == before
    assert len(server.requests) == 3
    await assert_idle(circle)


async def test_close_lets_requests_of_callers_session_end(server, make, assert_idle):
    """Requests over the caller's session end as they would without close(): responses arrive, timeouts fire."""
    async with aiohttp.ClientSession() as session:
        circle = make(session=session, timeout=20.0)
        server.on(X, server.reply(200, {"late": True}, after=5.0))
        server.on("/api/v2/y", server.hang())
        good = asyncio.ensure_future(circle.request("GET", X))
        hanging = [asyncio.ensure_future(circle.request(method, "/api/v2/y")) for method in ("GET", "POST")]
        await asyncio.sleep(1)
        await circle.close()
        assert await good == {"late": True}
        async with asyncio.timeout(1000):
            errors = await asyncio.gather(*hanging, return_exceptions=True)
        assert asyncio.get_running_loop().time() == pytest.approx(20, abs=1)
        assert all(isinstance(error, ConnectionFailed | RequestTimeout) for error in errors)
        assert len(server.requests) == 3
        await assert_idle(circle)


async def test_close_during_a_retry_delay(server, make, assert_idle):
    """close() during the delay before a retry ends the call."""
    circle = make()
    server.on(X, server.reply(503, headers={"Retry-After": "10"}))
    call = asyncio.ensure_future(circle.request("DELETE", X))
    await asyncio.sleep(1)
    await circle.close()
    with pytest.raises(ConfigurationError, match="closed") as caught:
        await call
    assert caught.value.outcome == "unknown"
    assert caught.value.attempts == 1
    assert len(server.requests) == 1
    await assert_idle(circle)


async def test_close_while_calls_wait_for_a_slot(server, make, assert_idle):
    """After close() nothing is sent for calls that wait for a slot, and `attempts` is 0."""
    circle = make(max_concurrency=1)
    server.on(X, server.hang())
    calls = [asyncio.ensure_future(circle.request("GET", X)) for _ in range(4)]
    await asyncio.sleep(1)
    await circle.close()
    errors = await asyncio.gather(*calls, return_exceptions=True)
    assert [type(error) for error in errors] == [ConnectionFailed] + [ConfigurationError] * 3
    assert [error.attempts for error in errors] == [1, 0, 0, 0]
    assert len(server.requests) == 1
    await assert_idle(circle)


# --- with_options --------------------------------------------------------------------------------------------


async def test_copy_shares_session_token_and_throttle(server, circle, canary):
    """A copy shares the session, the token, the throttle, rate limits and deprecations."""
    server.on(X, server.reply(200, {}, headers={"Deprecation": "true", "X-RateLimit-Limit-Second": "100"}))
    await circle.request("GET", X)
    copy = circle.with_options(timeout=5)
    await copy.request("GET", X)
    assert server.accepted == 1
    assert server.requests[1].headers["Circle-Token"] == canary
    assert copy.rate_limits.keys() == circle.rate_limits.keys() == {"v2/x"}
    assert copy.deprecations == circle.deprecations != {}
    assert copy._executor.state is circle._executor.state


async def test_copy_has_its_own_timeout(server, make):
    """A copy has its own timeout and keeps the other options."""
    server.on(X, server.hang())
    loop = asyncio.get_running_loop()
    circle = make(timeout=7.0, retry=RetryPolicy(attempts=1))
    for timeout, seconds in ((2.0, 2.0), (aiohttp.ClientTimeout(total=3.0), 3.0), (None, None)):
        copy = circle.with_options(timeout=timeout)
        before = loop.time()
        with pytest.raises(TimeoutError if seconds is None else RequestTimeout):
            async with asyncio.timeout(100):
                await copy.request("GET", X)
        assert loop.time() - before == (100 if seconds is None else seconds)
    before = loop.time()
    with pytest.raises(RequestTimeout):
        await circle.with_options(retry=RetryPolicy(attempts=1)).request("GET", X)
    assert loop.time() - before == pytest.approx(7, abs=1)


async def test_copy_has_its_own_retry_policy(server, circle):
    """A copy has its own retry policy."""
    server.on(X, server.reply(500))
    copy = circle.with_options(retry=RetryPolicy(attempts=2))
    with pytest.raises(ServerError) as caught:
        await copy.request("GET", X)
    assert caught.value.attempts == len(server.requests) == 2
    with pytest.raises(ServerError) as caught:
        await circle.request("GET", X)
    assert caught.value.attempts == 5


async def test_copy_applies_to_groups_used_before(server, circle):
    """A group that was used before the copy was made has the copy's options in the copy."""
    server.on("/api/v2/me", server.reply(500))
    users = circle.users
    copy = circle.with_options(retry=RetryPolicy(attempts=1))
    assert copy.users is not users
    with pytest.raises(ServerError):
        await copy.users.me()
    assert len(server.requests) == 1
    with pytest.raises(ServerError):
        await users.me()
    assert len(server.requests) == 6
    assert circle.users is users


async def test_copy_of_a_copy_has_both_options(server, circle):
    """A copy of a copy has the options of both."""
    server.on(X, server.hang())
    copy = circle.with_options(timeout=2).with_options(retry=RetryPolicy(attempts=1))
    with pytest.raises(RequestTimeout, match="within 2 s"):
        await copy.request("GET", X)
    assert len(server.requests) == 1


async def test_only_the_original_closes_the_session(server, circle):
    """Closing a copy closes nothing. Closing the original closes its copies."""
    server.on(X, server.reply(200, {}))
    async with circle.with_options(timeout=5) as copy:
        await copy.request("GET", X)
    await copy.close()
    await circle.request("GET", X)
    await circle.close()
    with pytest.raises(ConfigurationError, match="closed"):
        await copy.request("GET", X)


async def test_copy_of_a_subclass_keeps_its_attributes(server, canary):
    """A copy of a subclass keeps the attributes of the subclass."""

    class Mine(CircleCI):
        def __init__(self, name: str) -> None:
            super().__init__(canary, base_url=server.url)
            self.name = name

    copy = Mine("bot").with_options(timeout=1)
    assert type(copy) is Mine
    assert copy.name == "bot"


@pytest.mark.parametrize("options", [{"timeout": 0}, {"timeout": "5"}, {"retry": 5}], ids=str)
def test_invalid_option_of_a_copy_is_refused(options):
    """An invalid option of a copy raises an error immediately."""
    with pytest.raises(ConfigurationError):
        CircleCI("token").with_options(**options)


# --- how much at once ----------------------------------------------------------------------------------------


async def test_max_concurrency_spans_families_and_copies(server, make):
    """max_concurrency applies to all requests of a client and its copies together."""
    circle = make(max_concurrency=5)
    copy = circle.with_options(timeout=60)
    paths = [f"/api/v2/family{number}/x" for number in range(8)]
    for path in paths:
        server.on(path, server.reply(200, {}, after=1.0))
    await asyncio.gather(*(each.request("GET", path) for path in paths * 5 for each in (circle, copy)))
    assert len(server.requests) == 80
    assert server.peak == 5
    assert server.accepted == 5


async def test_concurrency_is_used_fully(server, make):
    """With enough work, as many requests as allowed are in flight."""
    circle = make(max_concurrency=20)
    server.on(X, server.reply(200, {}, after=1.0))
    await asyncio.gather(*(circle.request("GET", X) for _ in range(300)))
    assert server.peak == 20


async def test_slow_response_delays_no_other(server, make):
    """A response that never arrives delays no other request."""
    circle = make(max_concurrency=2)
    server.on(X, server.hang())
    server.on("/api/v2/y", server.reply(200, {}))
    slow = asyncio.ensure_future(circle.with_options(timeout=None).request("GET", X))
    await asyncio.sleep(1)
    before = asyncio.get_running_loop().time()
    for _ in range(10):
        await circle.request("GET", "/api/v2/y")
    assert asyncio.get_running_loop().time() == before
    slow.cancel()
    await asyncio.gather(slow, return_exceptions=True)


# --- what it tells -------------------------------------------------------------------------------------------


async def test_each_attempt_is_logged_at_debug(server, circle, caplog):
    """Each attempt is logged at DEBUG."""
    caplog.set_level(logging.DEBUG, "aiocircle")
    server.on(X, server.drop(), server.reply(503), server.reply(200, {}))
    await circle.request("GET", X)
    lines = [record.getMessage() for record in caplog.records if record.levelno == logging.DEBUG]
    assert any("-> 503 in " in line and "(attempt " in line for line in lines)
    assert "-> 200 in " in lines[-1]


async def test_cancelled_attempt_is_logged(server, circle, caplog):
    """A cancelled attempt is logged."""
    caplog.set_level(logging.DEBUG, "aiocircle")
    server.on(X, server.hang())
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(1):
            await circle.request("GET", X)
    assert caplog.records[-1].getMessage() == f"GET {server.url}{X} -> cancelled in 1.000 s (attempt 1)"


async def test_successful_call_logs_nothing_above_debug(server, circle, caplog):
    """A successful call logs nothing above DEBUG."""
    caplog.set_level(logging.INFO)
    server.on(X, server.reply(200, {}))
    await circle.request("GET", X)
    assert [record for record in caplog.records if record.name == "aiocircle"] == []
