"""Sessions of the caller's: their hooks, their credentials, and what they raise."""

from __future__ import annotations

import asyncio
import json
import warnings

import aiohttp
import pytest
import yarl

from aiocircle import CircleCI, CircleCIError, ConnectionFailed, NotFound, RequestError, RetryPolicy
from tests.support.confidence import shown_by_library

X = "/api/v2/x"
ME = {"id": "1", "login": "ada", "name": "Ada"}
FOREIGN = "hunter2-canary"


async def read_body(request, send):
    response = await send(request)
    await response.read()
    return response


def reading_trace():
    config = aiohttp.TraceConfig()

    async def read(session, context, params):
        await params.response.read()

    config.on_request_end.append(read)
    return config


@pytest.fixture(params=["middleware", "trace", "text"])
async def reading_session(request):
    """A session whose hook has read the body before the client does."""
    options = {"middlewares": [read_body]} if request.param == "middleware" else {"trace_configs": [reading_trace()]}
    async with aiohttp.ClientSession(**options) as session:
        yield session


async def test_body_read_by_a_hook_is_kept(server, make, reading_session):
    """A model, plain JSON, the result of a POST, and the message of an error."""
    server.on("/api/v2/me", server.reply(200, ME))
    server.on(X, server.reply(201, {"id": "a"}))
    server.on("/api/v2/y", server.reply(404, {"message": "The server's message"}))
    circle = make(session=reading_session)
    assert (await circle.users.me()).login == "ada"
    assert await circle.request("POST", X, json={}) == {"id": "a"}
    with pytest.raises(NotFound, match="The server's message"):
        await circle.request("GET", "/api/v2/y")


@pytest.mark.parametrize("auth", ["circle-token", "bearer", "basic", "none"])
@pytest.mark.parametrize("foreign", ["auth", "header", "cookies", "netrc", "token header"])
async def test_foreign_credentials_are_never_sent(server, make, canary, auth, foreign, monkeypatch, tmp_path):
    """None of them makes a call fail, and the client's own arrive."""
    netrc = tmp_path / "netrc"
    netrc.write_text(f"machine 127.0.0.1 login ada password {FOREIGN}\n")
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("no_proxy", "127.0.0.1")  # A session that reads the netrc also reads the proxies.
    jar = aiohttp.CookieJar(unsafe=True)
    options = {
        "auth": {"auth": FOREIGN},
        "header": {"headers": {"Authorization": f"Bearer {FOREIGN}"}},
        "cookies": {"cookies": {"session": FOREIGN}, "cookie_jar": jar},
        "netrc": {"trust_env": True},
        "token header": {"headers": {"circle-token": FOREIGN, "Cookie": f"a={FOREIGN}"}},
    }[foreign]
    server.on(X, server.reply(200, {}, headers={"Set-Cookie": f"again={FOREIGN}"}))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        if "auth" in options:
            options = {"auth": aiohttp.BasicAuth("ada", FOREIGN)}
        session = aiohttp.ClientSession(**options)
    async with session:
        circle = make(session=session, auth=auth, **({"token": None} if auth == "none" else {}))
        for method in ("GET", "POST", "DELETE"):
            await circle.request(method, X)
    assert len(server.requests) == 3
    for request in server.requests:
        assert FOREIGN not in str(request.headers)
        assert "YWRhOmh1bnRlcj" not in str(request.headers)
        assert "Cookie" not in request.headers
        expected = {"circle-token": "Circle-Token", "none": None}.get(auth, "Authorization")
        carried = {name for name in ("Circle-Token", "Authorization") if name in request.headers}
        assert carried == ({expected} if expected else set())
        if auth in ("circle-token", "bearer"):
            assert canary in request.headers[expected]


@pytest.mark.parametrize("error", [TypeError("a bug"), KeyError("k"), RuntimeError("x"), AssertionError()])
@pytest.mark.parametrize("where", ["middleware", "trace"])
async def test_foreign_exceptions_are_ours(server, make, error, where):
    """Every Exception of the session becomes a CircleCIError, which is not repeated: it would come again."""

    async def fail(*_):
        raise error

    config = aiohttp.TraceConfig()
    config.on_request_start.append(fail)
    options = {"middlewares": [fail]} if where == "middleware" else {"trace_configs": [config]}
    async with aiohttp.ClientSession(**options) as session:
        with pytest.raises(RequestError, match=f"the session raised {type(error).__name__}") as caught:
            await make(session=session).request("GET", X)
    assert caught.value.attempts == 1
    assert caught.value.__context__ is None


async def test_foreign_io_errors_are_retried(server, make):
    """An OSError or an aiohttp error of a hook is a lost connection."""
    calls = []

    async def fail_once(request, send):
        calls.append(request)
        if len(calls) == 1:
            raise ConnectionResetError("gone")
        return await send(request)

    server.on(X, server.reply(200, {}))
    async with aiohttp.ClientSession(middlewares=[fail_once]) as session:
        assert await make(session=session).request("GET", X) == {}
        calls.clear()
        with pytest.raises(ConnectionFailed) as caught:
            await make(session=session).request("POST", X)
    assert caught.value.outcome == "unknown"


@pytest.mark.parametrize("error", [asyncio.CancelledError(), KeyboardInterrupt(), GeneratorExit()])
async def test_base_exceptions_pass(make, error):
    """Cancellation and the end of the program are not errors of the API."""

    class Session:
        closed = False

        async def request(self, *_, **__):
            raise error

    with pytest.raises(type(error)) as caught:
        await make(session=Session()).request("GET", X)
    assert caught.value is error


async def test_headers_are_a_copy_each_time(server, make, monkeypatch):
    """Instrumentation writes into the headers that it gets: nothing of it stays in the client."""
    seen = []
    original = aiohttp.ClientSession._request

    async def traced(self, method, url, **kwargs):
        kwargs["headers"]["x-datadog-trace-id"] = str(len(seen))
        seen.append({**kwargs["headers"]})
        return await original(self, method, url, **kwargs)

    monkeypatch.setattr(aiohttp.ClientSession, "_request", traced)
    server.on(X, server.reply(200, {}))
    circle = make()
    for number in range(3):
        await circle.request("GET", X)
        assert server.requests[-1].headers["x-datadog-trace-id"] == str(number)
    assert "x-datadog-trace-id" not in circle._executor.state.headers
    assert "x-datadog-trace-id" not in circle._executor.state.headers_with_body


async def test_a_wrapper_is_a_session(server, make):
    """An object that only has the method `request`, as wrappers that retry do."""
    server.on(X, server.reply(200, {"a": 1}))

    class Wrapper:
        def __init__(self, session):
            self.session = session

        async def request(self, method, url, **options):
            return await self.session.request(method, url, **options)

    async with aiohttp.ClientSession() as session:
        circle = make(session=Wrapper(session), auth="bearer")
        assert await circle.request("GET", X) == {"a": 1}
        await circle.close()
        assert not session.closed
    assert "Authorization" in server.requests[0].headers


@pytest.mark.filterwarnings("ignore:Setting custom ClientSession")
async def test_cached_session(server, make, canary):
    """aiohttp-client-cache: the second response comes from the cache, which does not hold the token."""
    cache = pytest.importorskip("aiohttp_client_cache")
    server.on("/api/v2/me", server.reply(200, ME))
    server.on("/api/v2/y", server.reply(404, {"message": "gone"}))
    backend = cache.CacheBackend(allowed_codes=(200, 404), allowed_methods=("GET", "POST"))
    async with cache.CachedSession(cache=backend) as session:
        circle = make(session=session, auth="bearer")
        for _ in range(2):
            assert (await circle.users.me()).login == "ada"
            with pytest.raises(NotFound, match="gone"):
                await circle.request("GET", "/api/v2/y")
        assert len(server.requests) == 2
        kept = [response async for response in backend.responses.values()]
        assert kept
        assert all(canary not in repr(vars(each) if hasattr(each, "__dict__") else each) for each in kept)


@pytest.mark.parametrize("own", [True, False], ids=["own session", "a caller's"])
@pytest.mark.parametrize("serializer", ["yaml", "json"])
async def test_vcr_records_and_replays(server, make, canary, tmp_path, own, serializer):
    """vcrpy: GET, POST and an error, replayed without a server. The cassette has no token."""
    vcr = pytest.importorskip("vcr")
    server.on("/api/v2/me", server.reply(200, ME))
    server.on(X, server.reply(201, {"id": "a"}))
    server.on("/api/v2/y", server.reply(404, {"message": "not here"}))
    # The headers of the client's own session have the token, which a recorder must leave out.
    recorder = vcr.VCR(serializer=serializer, filter_headers=["Circle-Token"] if own else [])
    cassette = str(tmp_path / "cassette")

    async def calls(circle: CircleCI) -> None:
        assert (await circle.users.me()).login == "ada"
        assert await circle.request("POST", X, json={"b": 1}) == {"id": "a"}
        with pytest.raises(NotFound, match="not here"):
            await circle.request("GET", "/api/v2/y")

    for _ in range(2):
        with recorder.use_cassette(cassette):
            if own:
                async with CircleCI(canary, base_url=server.url) as circle:
                    await calls(circle)
            else:
                async with aiohttp.ClientSession() as session:
                    await calls(make(session=session))
    assert len(server.requests) == 3
    assert canary not in (tmp_path / "cassette").read_text("utf-8")


async def test_error_of_a_session_repeats_no_token(server, make, canary):
    """A foreign session may have the token in its exception."""

    class Session:
        closed = False

        async def request(self, *_, middlewares, **__):
            async def fail(request):
                raise LookupError(json.dumps({name: str(value) for name, value in request.headers.items()}))

            await middlewares[-1](aiohttp.ClientRequest("GET", yarl.URL(server.url), loop=loop), fail)

    loop = asyncio.get_running_loop()
    with pytest.raises(CircleCIError) as caught:
        await make(session=Session(), retry=RetryPolicy(attempts=1)).request("GET", X)
    assert "***" in str(caught.value)
    assert canary not in shown_by_library(caught.value)
