"""The token is in the one header of a request to the API's host, and nowhere else."""

from __future__ import annotations

import asyncio
import copy
import pickle
import pprint
import warnings

import aiohttp
import pytest
import rich.pretty

from aiocircle import CircleCI, RetryPolicy, Throttle
from aiocircle._core.message import Request
from aiocircle._redact import Secret
from tests.support.secrets import Holder, assert_clean, shown
from tests.support.thorough import scaled

X = "/api/v2/x"
AUTHS = ["circle-token", "bearer", "basic"]


@pytest.fixture
def holder(canary):
    return Holder(canary)


async def failure(call) -> str:
    """Return all texts of the error of a call, or an empty text if it succeeds."""
    try:
        await call
    except BaseException as error:
        return shown(error)
    return ""


def test_shown_finds_a_visible_secret(holder):
    """The check finds a visible secret. Otherwise the tests here would pass without a look."""

    def fail(visible: str) -> None:
        raise ValueError("no secret in the text")

    try:
        fail(holder.get())
    except ValueError as error:
        text = shown(error)
    assert text.count(holder.get()) >= 3


@pytest.fixture(params=AUTHS)
def circle(request, make):
    return make(auth=request.param, retry=RetryPolicy(attempts=2), timeout=5.0)


@pytest.fixture
def log(caplog):
    """All log records, at the lowest level."""
    caplog.set_level(1)
    for name in ("aiocircle", "asyncio", "aiohttp", "aiohttp.client"):
        caplog.set_level(1, name)
    return caplog


def calls(server, other_server):
    """Every way in which a call can end."""
    location = {"Location": f"{other_server.url}/?x=1"}
    for status in (301, 304, 400, 401, 403, 404, 409, 410, 422, 429, 500, 502, 503, 599):
        yield f"{status}", server.reply(status, {"message": "no"}), "GET"
    yield "good", server.reply(200, {}), "GET"
    yield "retried", server.reply(503, headers={"Retry-After": "1"}), "GET"
    yield "html", server.reply(200, body=b"<html>"), "GET"
    yield "cut", server.reply(200, {"a": 1}, cut=2), "GET"
    yield "dropped", server.drop(), "GET"
    yield "reset", server.drop(abort=True), "POST"
    yield "timeout", server.hang(), "POST"
    yield "half a body", server.hang(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n1"), "GET"
    yield "no http", server.raw(b"nonsense\r\n\r\n"), "DELETE"
    yield "bad header", server.raw(b"HTTP/1.1 200 OK\r\nbad header\r\n\r\n"), "PUT"
    yield "redirect away", server.reply(302, headers=location), "GET"
    yield "redirected post", server.reply(307, headers={"Location": X}), "POST"
    yield "redirect for ever", server.reply(302, headers={"Location": X}), "GET"
    yield "deprecated", server.reply(200, {}, headers={"Deprecation": "true"}), "GET"


async def test_no_result_or_error_shows_the_token(server, other_server, circle, holder, log):
    """No result, error, log record or warning shows the token."""
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        for name, script, method in calls(server, other_server):
            server.on(X, script)
            text = await failure(circle.request(method, X, json={} if method == "POST" else None))
            assert bool(text) == (name not in ("good", "deprecated"))
            assert_clean(text, holder)
            assert_clean(await failure(circle.request_pages(X).collect()), holder)
    assert other_server.requests == []
    assert log.records
    for record in log.records:
        assert_clean(f"{record.getMessage()} {record.args!r} {record.exc_text}", holder)
    for warning in warned:
        assert_clean(str(warning.message), holder)


async def test_each_request_has_the_token_in_one_header(server, circle, holder):
    """Each request has the token in one header and nowhere else."""
    server.on(X, server.reply(200, {}))
    for method in ("GET", "POST", "PUT", "PATCH", "DELETE"):
        await circle.request(method, X, params={"a": "b"}, json={"c": "d"})
    for request in server.requests:
        carriers = [name for name, value in request.headers.items() if any(form in value for form in holder.forms())]
        assert carriers in (["Circle-Token"], ["Authorization"])
        assert_clean(request.target + request.body.decode(), holder)


@pytest.mark.parametrize("path", ["hang", "body", "slow", "redirect"])
async def test_no_cancelled_call_shows_the_token(server, circle, holder, path):
    """A CancelledError does not show the token in the frames that it passed."""
    scripts = {
        "hang": server.hang(),
        "body": server.hang(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n1"),
        "slow": server.reply(503, headers={"Retry-After": "60"}),
        "redirect": server.reply(302, headers={"Location": "/hang"}),
    }
    server.on(X, scripts[path])
    server.on("/hang", server.hang())
    for turns in (*range(1, scaled(6, 12)), 200):
        task = asyncio.ensure_future(failure(circle.request("GET", X)))
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        text = await task
        assert "CancelledError" in text
        assert_clean(text, holder)


async def test_no_error_before_sending_shows_the_token(server, circle, holder):
    """An error that is raised before sending does not show the token."""
    for arguments in (
        {"path": "//evil"},
        {"path": "/api/v2/../x"},
        {"path": X, "json": {"a": object()}},
        {"path": X, "params": {"a": object()}},
    ):
        text = await failure(circle.request("POST", **arguments))
        assert "InvalidArgument" in text
        assert_clean(text, holder)
    await circle.close()
    text = await failure(circle.request("GET", X))
    assert "closed" in text
    assert_clean(text, holder)


async def test_no_constructor_error_shows_the_token(canary):
    """An error of the constructor shows neither the token nor credentials in the base URL."""
    for attempt in (
        lambda: CircleCI(f"{canary}\nx"),
        lambda: CircleCI(f"{canary} x", auth="basic"),
        lambda: CircleCI(canary, auth="none"),
        lambda: CircleCI(canary, base_url="nonsense"),
        lambda: CircleCI(canary, base_url="http://circleci.example"),
        lambda: CircleCI(canary, timeout=-1),
        lambda: CircleCI(canary, max_concurrency=0),
        lambda: CircleCI(canary, retry=5),
        lambda: CircleCI("token", base_url=f"https://ada:{canary}@circleci.example"),
        lambda: CircleCI("token", base_url=f"https://ada:{canary}@circleci.example/api"),
        lambda: CircleCI("token", base_url=f"https://ada:{canary}@["),
    ):
        text = _error_of(attempt)
        assert "ConfigurationError" in text
        assert_clean(text, Holder(canary))


def _error_of(attempt) -> str:
    # The frame of `attempt` itself is the caller's, and knows the token: it is left out.
    try:
        attempt()
    except Exception as error:
        tail = error.__traceback__.tb_next.tb_next
        assert tail is not None
        return shown(error.with_traceback(tail))
    raise AssertionError("no error")


async def test_no_error_of_a_trace_hook_shows_the_token(server, make, holder):
    """An error of a trace hook does not show the token."""

    async def broken(*_: object) -> None:
        raise RuntimeError("a bug in the hook")

    for moment in ("on_request_start", "on_connection_create_start", "on_request_end", "on_request_headers_sent"):
        config = aiohttp.TraceConfig()
        getattr(config, moment).append(broken)
        server.on(X, server.reply(200, {}))
        text = await failure(make(trace_configs=[config]).request("GET", X))
        assert "a bug in the hook" in text
        assert_clean(text, holder)


async def test_no_repr_shows_the_token(server, circle, holder):
    """No repr of the client and its parts shows the token."""
    server.on(X, server.reply(200, {}))
    await circle.request("GET", X)
    executor = circle._executor
    connection = executor.state
    request = Request("GET", server.url + X, connection.headers)
    things = [circle, vars(circle), executor, connection, vars(connection), connection.headers, request, circle.users]
    things += [connection.headers_with_body, dict(connection.headers), list(connection.headers.values())]
    things += [
        circle.request_pages(X),
        circle.with_options(timeout=1),
        connection.transport,
        vars(connection.transport),
        vars(connection.transport._session),
    ]
    for thing in things:
        assert_clean(f"{thing!r} {thing!s} {pprint.pformat(thing, width=20)}", holder)
        for length in (None, 5, 40):
            assert_clean(rich.pretty.pretty_repr(thing, max_string=length), holder)


async def test_client_and_secret_cannot_be_pickled(circle, holder):
    """A client and its headers cannot be pickled."""
    for thing in (circle, circle._executor.state.headers):
        with pytest.raises(TypeError) as caught:
            pickle.dumps(thing)
        assert_clean(str(caught.value), holder)


def test_secret_has_a_masked_repr(holder):
    """The repr of a secret is masked, and its text is sent unchanged."""
    secret = Secret(holder.get())
    for text in (repr(secret), f"{secret!r}", f"{[secret]}", f"{ {'a': secret} }", repr(secret[:5]), ascii(secret)):
        assert_clean(text, holder)
        assert secret[:5] not in text
    assert f"{secret}" == str(secret) == holder.get()
    assert secret.encode() == holder.get().encode()
    assert hash(secret) == hash(holder.get())
    with pytest.raises(TypeError, match="pickled"):
        pickle.dumps(secret)
    assert_clean(repr(copy.copy), holder)


async def test_asyncio_debug_log_has_no_token(server, make, holder, log):
    """asyncio's debug mode logs slow steps with their tasks, but not the token."""
    loop = asyncio.get_running_loop()
    loop.set_debug(True)
    loop.slow_callback_duration = -1.0
    server.on(X, server.reply(200, {}))
    await make().request("GET", X)
    loop.slow_callback_duration = 0.1
    lines = [record.getMessage() for record in log.records if record.name == "asyncio"]
    assert any("took" in text for text in lines)
    assert_clean("\n".join(lines), holder)


async def test_secret_query_values_are_redacted(server, make, log):
    """A token in the query, which the API still accepts, is redacted in logs and errors."""
    other = Holder("s3cr3t-of-the-query")
    circle = make(retry=RetryPolicy(attempts=2, base=0), throttle=Throttle())
    server.on(X, server.reply(500))

    async def call() -> None:
        await circle.request("GET", X, params={"circle-token": other.get(), "branch": "main"})

    try:
        await call()
    except Exception as error:
        text = f"{error} {error!r} {error.url}"
    assert "branch=main" in text
    assert_clean(text, other)
    for record in log.records:
        if record.name == "aiocircle":
            assert_clean(record.getMessage(), other)
