"""Retries: which requests, after which delay, and the outcome that an error reports."""

from __future__ import annotations

import asyncio
import logging
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from itertools import pairwise

import pytest

from aiocircle import (
    APIError,
    BadRequest,
    CircleCIError,
    Conflict,
    ConnectionFailed,
    DecodeError,
    Forbidden,
    Gone,
    NotFound,
    RateLimited,
    RequestTimeout,
    RetryPolicy,
    ServerError,
    Unauthorized,
)

X = "/api/v2/x"
HTML = b"<html><head><title>502 Bad Gateway</title></head><body>nginx</body></html>"


def now() -> float:
    return asyncio.get_running_loop().time()


@pytest.fixture
def many_attempts(make):
    """A client that tries often."""
    return make(retry=RetryPolicy(attempts=12, max_wait=10_000))


# --- a change must not be made twice -------------------------------------------------------------------------


async def test_trigger_with_500_is_sent_once(server, circle):
    """A trigger that ends in a 500 is sent once: the pipeline may have started."""
    path = "/api/v2/project/gh/acme/web/pipeline"
    server.on(path, server.reply(500, {"message": "oops"}), server.reply(201, {}))
    with pytest.raises(ServerError, match="oops") as caught:
        await circle.pipelines.trigger("gh/acme/web", branch="main")
    assert len(server.requests) == 1
    assert server.requests[0].method == "POST"
    assert caught.value.outcome == "unknown"
    assert caught.value.attempts == 1
    assert caught.value.status == 500


async def test_trigger_with_429_is_retried_after_delay(server, circle):
    """A trigger that ends in a 429 is retried, no earlier than Retry-After."""
    path = "/api/v2/project/gh/acme/web/pipeline"
    made = {"id": "p", "number": 1, "state": "created", "created_at": "2026-01-01T00:00:00Z"}
    server.on(path, server.reply(429, headers={"Retry-After": "1"}), server.reply(201, made))
    pipeline = await circle.pipelines.trigger("gh/acme/web", branch="main")
    assert pipeline.id == "p"
    first, second = server.requests
    assert second.at - first.at >= 1.0
    assert second.at - first.at < 1.1
    assert first.body == second.body != b""


@pytest.mark.parametrize("method", ["POST", "PATCH"])
@pytest.mark.parametrize("status", [500, 502, 503, 504, 599])
async def test_post_and_patch_not_retried_after_5xx(server, circle, method, status):
    """A POST or PATCH is never retried after a 5xx."""
    server.on(X, server.reply(status, headers={"Retry-After": "0"}))
    with pytest.raises(ServerError) as caught:
        await circle.request(method, X, json={})
    assert len(server.requests) == 1
    assert (caught.value.outcome, caught.value.attempts, caught.value.status) == ("unknown", 1, status)


@pytest.mark.parametrize("method", ["POST", "PATCH"])
@pytest.mark.parametrize("abort", [False, True], ids=["closed", "reset"])
async def test_post_not_retried_after_lost_connection(server, circle, method, abort):
    """A POST is never retried after its connection was lost."""
    server.on(X, server.drop(abort=abort))
    with pytest.raises(ConnectionFailed) as caught:
        await circle.request(method, X, json={})
    assert len(server.requests) == 1
    assert (caught.value.outcome, caught.value.attempts) == ("unknown", 1)


async def test_post_not_retried_after_timeout(server, make):
    """A POST is never retried after a timeout."""
    server.on(X, server.hang())
    with pytest.raises(RequestTimeout, match="within 2 s") as caught:
        await make(timeout=2).request("POST", X, json={})
    assert now() == 2.0
    assert len(server.requests) == 1
    assert (caught.value.outcome, caught.value.attempts) == ("unknown", 1)
    assert isinstance(caught.value, CircleCIError)


async def test_post_with_cut_201_was_done(server, circle):
    """A POST whose 201 was cut has the outcome "done"."""
    server.on(X, server.reply(201, {"id": "p"}, cut=4))
    with pytest.raises(DecodeError, match="cut after") as caught:
        await circle.request("POST", X, json={})
    assert len(server.requests) == 1
    assert (caught.value.outcome, caught.value.attempts, caught.value.status) == ("done", 1, 201)
    assert caught.value.body == b'{"id": '


@pytest.mark.parametrize(
    "body", [b"", HTML, b"[1,", b"\xff", b'{"id": 5}'], ids=["empty", "html", "half", "no text", "another"]
)
async def test_post_with_undecodable_201_was_done(server, circle, body):
    """A POST whose 201 cannot be decoded has the outcome "done"."""
    server.on("/api/v2/project/gh/a/b/pipeline", server.reply(201, body=body))
    with pytest.raises(DecodeError) as caught:
        await circle.pipelines.trigger("gh/a/b")
    assert len(server.requests) == 1
    assert caught.value.outcome == "done"
    assert caught.value.body == body


@pytest.mark.parametrize("method", ["POST", "PATCH"])
async def test_repeat_unsafe_allows_retries(server, make, method):
    """With repeat_unsafe a POST is retried."""
    server.on(
        X, server.reply(500), server.drop(), server.reply(200, {"a": 1}, cut=1), server.hang(), server.reply(200, {})
    )
    circle = make(retry=RetryPolicy(repeat_unsafe=True), timeout=5)
    assert await circle.request(method, X, json={}) == {}
    assert len(server.requests) == 5


async def test_repeat_unsafe_does_not_retry_a_4xx(server, make):
    """With repeat_unsafe a POST that ends in a 4xx is not retried."""
    server.on(X, server.reply(409, {"message": "no"}))
    with pytest.raises(Conflict):
        await make(retry=RetryPolicy(repeat_unsafe=True)).request("POST", X)
    assert len(server.requests) == 1


async def test_repeat_unsafe_keeps_unknown_outcome(server, make):
    """A refused second attempt leaves the outcome of the first unknown."""
    server.on(X, server.reply(500), server.reply(409, {"message": "there is one already"}))
    with pytest.raises(Conflict) as caught:
        await make(retry=RetryPolicy(repeat_unsafe=True)).request("POST", X)
    assert (caught.value.outcome, caught.value.attempts) == ("unknown", 2)


@pytest.mark.parametrize("method", ["GET", "POST", "PATCH", "PUT", "DELETE"])
async def test_refused_connection_is_retried(server, make, method):
    """A refused connection is retried with each method, because nothing was sent."""
    circle = make(retry=RetryPolicy(attempts=3))
    await server.stop()
    with pytest.raises(ConnectionFailed) as caught:
        await circle.request(method, X)
    assert (caught.value.outcome, caught.value.attempts) == ("not_done", 3)
    assert now() > 0


@pytest.mark.parametrize("method", ["GET", "POST", "PATCH", "DELETE"])
async def test_connect_timeout_is_retried(make, monkeypatch, method):
    """A connect timeout is retried with each method, because nothing was sent."""

    async def never(*_: object) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(asyncio.get_running_loop(), "sock_connect", never, raising=False)
    circle = make(timeout=20.0, retry=RetryPolicy(attempts=3, base=0))
    with pytest.raises(RequestTimeout, match="no connection within 18 s") as caught:
        await circle.request(method, X)
    assert (caught.value.outcome, caught.value.attempts) == ("not_done", 3)
    assert now() == pytest.approx(54, abs=3)


async def test_post_retried_after_429_but_not_after_500(server, make):
    """A POST is retried after each 429, but not after a 500 that follows."""
    server.on(X, *[server.reply(429, headers={"Retry-After": "1"})] * 3, server.reply(500))
    with pytest.raises(ServerError) as caught:
        await make().request("POST", X)
    assert (caught.value.outcome, caught.value.attempts) == ("unknown", 4)


async def test_4xx_has_outcome_not_done(server, circle):
    """An error with a status of 4xx has the outcome "not_done"."""
    for status in (400, 401, 402, 403, 404, 405, 409, 410, 413, 415, 422):
        server.on(X, server.reply(status, {"message": "no"}))
        with pytest.raises(APIError) as caught:
            await circle.request("POST", X)
        assert caught.value.outcome == "not_done", status


@pytest.mark.parametrize("status", [302, 408])
async def test_5xx_has_outcome_unknown(server, circle, status):
    """A status that does not reveal what happened gives the outcome "unknown"."""
    server.on(X, server.reply(status, headers={"Location": "/elsewhere"}))
    with pytest.raises(APIError) as caught:
        await circle.request("POST", X)
    assert caught.value.outcome == "unknown"
    assert len(server.requests) == 1


async def test_get_has_outcome_not_done(server, make):
    """An error of a GET has the outcome "not_done"."""
    circle = make(retry=RetryPolicy(attempts=2), timeout=5)
    for script in (server.reply(500), server.drop(), server.hang(), server.reply(200, {}, cut=1), server.reply(429)):
        server.on(X, script)
        with pytest.raises(CircleCIError) as caught:
            await circle.request("GET", X)
        assert caught.value.outcome == "not_done"
        assert caught.value.attempts == 2


# --- DELETE --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("first", ["drop", "hang"], ids=["lost", "timed out"])
async def test_404_after_a_lost_delete_is_a_success(server, make, first):
    """A 404 after a DELETE whose response was lost is a success."""
    scripts = {"drop": server.drop(abort=True), "hang": server.hang()}
    circle = make(timeout=5)
    gone = server.reply(404, {"message": "Project not found"})
    server.on(X, scripts[first], gone)
    assert await circle.request("DELETE", X) is None
    assert len(server.requests) == 2
    server.on("/api/v2/project/gh/a/b/envvar/KEY", scripts[first], gone)
    assert await circle.projects.delete_env_var("gh/a/b", "KEY") is None


async def test_first_404_of_a_delete_is_an_error(server, circle):
    """A 404 to the first attempt of a DELETE raises NotFound."""
    server.on(X, server.reply(429, headers={"Retry-After": "1"}), server.reply(404, {"message": "Project not found"}))
    with pytest.raises(NotFound) as caught:
        await circle.request("DELETE", X)
    assert (caught.value.outcome, caught.value.attempts) == ("not_done", 2)


async def test_404_after_a_refused_delete_is_an_error(server, circle, monkeypatch):
    """A 404 after a DELETE that could not be sent raises NotFound: nothing was deleted."""
    loop = asyncio.get_running_loop()
    connect, refusals = loop.sock_connect, [ConnectionRefusedError("refused")]

    async def refuse_once(*args: object) -> None:
        if refusals:
            raise refusals.pop()
        await connect(*args)

    monkeypatch.setattr(loop, "sock_connect", refuse_once, raising=False)
    server.on(X, server.reply(404, {"message": "Project not found"}))
    with pytest.raises(NotFound) as caught:
        await circle.request("DELETE", X)
    assert (caught.value.outcome, caught.value.attempts, len(server.requests)) == ("not_done", 2, 1)


async def test_404_after_a_lost_attempt_is_an_error(server, circle):
    """A 404 after a lost attempt raises NotFound for methods other than DELETE."""
    server.on(X, server.reply(500), server.reply(404))
    with pytest.raises(NotFound) as caught:
        await circle.request("PUT", X, json={})
    assert (caught.value.outcome, caught.value.attempts) == ("unknown", 2)


async def test_delete_that_was_done_stays_done(server, circle):
    """A DELETE with a cut 200 stays done, also if the retry ends in a 404."""
    server.on(X, server.reply(200, {"message": "Deleted"}, cut=3), server.reply(404))
    assert await circle.request("DELETE", X) is None
    server.on(X, server.reply(200, {"message": "Deleted"}, cut=3), server.reply(403))
    with pytest.raises(Forbidden) as caught:
        await circle.request("DELETE", X)
    assert caught.value.outcome == "done"


@pytest.mark.parametrize("method", ["PUT", "DELETE", "POST", "PATCH"])
@pytest.mark.parametrize("abort", [False, True], ids=["closed", "reset"])
async def test_aiohttp_does_not_resend_a_change(server, make, method, abort):
    """aiohttp does not resend a PUT or DELETE: the second response would be taken for the first."""
    server.on(X, server.drop(abort=abort), server.reply(404))
    with pytest.raises(ConnectionFailed) as caught:
        await make(retry=RetryPolicy(attempts=1)).request(method, X)
    assert (caught.value.outcome, caught.value.attempts) == ("unknown", 1)
    assert len(server.requests) == 1


async def test_aiohttp_resends_a_get_on_a_new_connection(server, make):
    """aiohttp resends a GET when a kept connection is dead. This is part of one attempt."""
    circle = make(retry=RetryPolicy(attempts=1))
    server.on(X, server.reply(200, {}), server.drop(), server.reply(200, {"second": True}))
    await circle.request("GET", X)
    assert await circle.request("GET", X) == {"second": True}
    assert now() == 0.0


async def test_middlewares_of_injected_session_are_used(server, make):
    """The middlewares of a caller's session are used."""
    import aiohttp

    async def mark(request, send):
        request.headers["X-Marked"] = "yes"
        return await send(request)

    server.on(X, server.reply(200, {}))
    async with aiohttp.ClientSession(middlewares=(mark,)) as session:
        circle = make(session=session)
        for method in ("GET", "POST", "DELETE"):
            await circle.request(method, X)
    assert [request.headers.get("X-Marked") for request in server.requests] == ["yes"] * 3


# --- what is safe to repeat ----------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
async def test_idempotent_request_survives_failures(server, make, method):
    """An idempotent request succeeds after each transient failure."""
    circle = make(retry=RetryPolicy(attempts=20, max_wait=10_000), timeout=5)
    failures = [
        server.reply(500, {"message": "x"}),
        server.reply(502, body=HTML, headers={"Content-Type": "text/html"}),
        server.reply(503, headers={"Retry-After": "3"}),
        server.reply(504),
        server.reply(429),
        server.reply(429, headers={"Retry-After": "2"}, body=b"Rate limited."),
        server.hang(),
        server.hang(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n{"),
        server.reply(200, {"a": "b" * 100}, cut=50),
        server.reply(200, {"a": "b" * 100}, cut=50, abort=True),
        server.reply(200, body=HTML, headers={"Content-Type": "text/html"}),
        server.reply(200, body=b'{"a":'),
        server.raw(b"no HTTP at all\r\n\r\n"),
    ]
    server.on(X, *failures, server.reply(200, {"good": True}))
    assert await circle.request(method, X) == {"good": True}
    assert len(server.requests) == len(failures) + 1


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, BadRequest),
        (401, Unauthorized),
        (402, APIError),
        (403, Forbidden),
        (404, NotFound),
        (405, APIError),
        (409, Conflict),
        (410, Gone),
        (413, APIError),
        (418, APIError),
        (422, BadRequest),
    ],
)
async def test_4xx_is_not_retried(server, circle, status, kind):
    """An error with a status of 4xx is not retried."""
    server.on(X, server.reply(status, {"message": "no"}, headers={"Retry-After": "0"}))
    with pytest.raises(APIError) as caught:
        await circle.request("GET", X)
    assert type(caught.value) is kind
    assert (caught.value.status, caught.value.attempts) == (status, 1)
    assert len(server.requests) == 1
    assert now() == 0.0


async def test_wrong_shape_is_not_retried(server, circle):
    """A response of another shape is not retried: it is complete."""
    server.on("/api/v2/me", server.reply(200, {"id": 5}))
    with pytest.raises(DecodeError) as caught:
        await circle.users.me()
    assert caught.value.attempts == len(server.requests) == 1


async def test_too_large_body_is_not_retried(server, circle):
    """A body beyond the limit is not retried."""
    circle._executor.state.transport._max_body = 1000
    server.on(X, server.reply(200, body=b"[" + b" " * 2000 + b"]"))
    with pytest.raises(DecodeError, match="larger than 1000 bytes") as caught:
        await circle.request("GET", X)
    assert caught.value.attempts == len(server.requests) == 1
    assert len(caught.value.body) == 1000


# --- when ----------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("full_jitter")
async def test_delays_double_up_to_the_cap(server, make):
    """Delays double up to the cap."""
    server.on(X, server.reply(500))
    with pytest.raises(ServerError) as caught:
        await make(retry=RetryPolicy(attempts=7, base=1.0, cap=10.0)).request("GET", X)
    times = server.times
    assert [later - earlier for earlier, later in pairwise(times)] == [1, 2, 4, 8, 10, 10]
    assert caught.value.attempts == 7


async def test_jitter_covers_the_whole_delay(server, make, monkeypatch):
    """Jitter covers the whole delay, so that clients that failed together return apart."""
    chances = iter([0.0, 0.5, 0.25, 0.0])
    monkeypatch.setattr("aiocircle._core.clock.Clock.random", lambda self: next(chances))
    server.on(X, server.reply(500))
    with pytest.raises(ServerError):
        await make(retry=RetryPolicy(attempts=4, base=8.0)).request("GET", X)
    times = server.times
    assert [later - earlier for earlier, later in pairwise(times)] == [0.0, 8.0, 7.5]


async def test_last_error_is_raised_after_all_attempts(server, circle):
    """After all attempts the last error is raised."""
    server.on(X, server.reply(503, {"message": "down"}))
    with pytest.raises(ServerError, match="down") as caught:
        await circle.request("GET", X)
    assert caught.value.attempts == len(server.requests) == 5


async def test_one_attempt_means_no_retry(server, make):
    """With attempts=1 nothing is retried."""
    server.on(X, server.reply(429, headers={"Retry-After": "1"}))
    with pytest.raises(RateLimited) as caught:
        await make(retry=RetryPolicy(attempts=1)).request("GET", X)
    assert caught.value.attempts == len(server.requests) == 1
    assert caught.value.retry_after == 1.0
    assert now() == 0.0


def in_seconds(seconds: float) -> str:
    return format_datetime(datetime.now(UTC) + timedelta(seconds=seconds), usegmt=True)


MONDAY = datetime(2026, 3, 2, 12, 0, 0, tzinfo=UTC)


def date(seconds: float = 0.0) -> str:
    return format_datetime(MONDAY + timedelta(seconds=seconds), usegmt=True)


@pytest.mark.parametrize("status", [429, 503, 500])
@pytest.mark.parametrize(
    ("headers", "waited"),
    [
        ({"Retry-After": "7"}, 7.0),
        ({"Retry-After": " 7 "}, 7.0),
        ({"Retry-After": "0"}, 0.0),
        ({"Retry-After": "2.5"}, 2.5),
        ({"Retry-After": "007"}, 7.0),
        ({"Retry-After": date(20), "Date": date()}, 20.0),
        ({"Retry-After": date(-20), "Date": date()}, 0.0),
        ({"Retry-After": date(20).replace("GMT", "+0000"), "Date": date()}, 20.0),
        ({"Retry-After": "Monday, 02-Mar-26 12:00:20 GMT", "Date": date()}, 20.0),
    ],
    ids=str,
)
async def test_retry_after_is_obeyed_exactly(server, make, status, headers, waited):
    """Retry-After is obeyed exactly, on a 503 as well. A date counts from the response's own Date."""
    server.on(X, server.reply(status, headers=headers), server.reply(200, {}))
    await make(retry=RetryPolicy(base=0.001)).request("GET", X)
    first, second = server.times
    assert second - first == pytest.approx(waited, abs=0.1)
    assert second - first >= waited


async def test_early_timer_does_not_shorten_retry_after(server, circle, monkeypatch):
    """A loop may run a timer early. The next attempt still waits for the full time of Retry-After."""
    sleep = asyncio.sleep

    async def early(seconds: float) -> None:
        await sleep(seconds - 0.1 if seconds > 0.1 else seconds)

    monkeypatch.setattr(asyncio, "sleep", early)
    server.on(X, server.reply(503, headers={"Retry-After": "7"}), server.reply(200, {}))
    await circle.request("GET", X)
    first, second = server.times
    assert second - first >= 7.0


async def test_retry_after_date_without_date_header(server, circle):
    """Without a Date header, a date in Retry-After counts from the client's clock."""
    server.on(X, server.reply(503, headers={"Retry-After": in_seconds(30)}), server.reply(200, {}))
    await circle.request("GET", X)
    first, second = server.times
    assert 27.0 <= second - first <= 31.0


@pytest.mark.usefixtures("full_jitter")
@pytest.mark.parametrize(
    "value",
    ["", "soon", "-5", "1e3", "0x10", "nan", "inf", "1,5", "7 seconds", "٣", "2026-03-02T12:00:00Z", "Mon, 99 Foo"],
)
async def test_invalid_retry_after_is_ignored(server, make, value):
    """An invalid Retry-After is ignored."""
    server.on(X, server.reply(503, headers={"Retry-After": value.encode().decode("latin-1")}), server.reply(200, {}))
    await make(retry=RetryPolicy(base=4.0)).request("GET", X)
    first, second = server.times
    assert second - first == 4.0


@pytest.mark.parametrize("value", ["100", "9999999999999999999999", date(100)])
async def test_delay_beyond_max_wait_raises_immediately(server, make, value):
    """A delay beyond max_wait raises the error immediately."""
    server.on(X, server.reply(429, {"message": "slow down"}, headers={"Retry-After": value, "Date": date()}))
    with pytest.raises(RateLimited, match="slow down") as caught:
        await make(retry=RetryPolicy(max_wait=99)).request("GET", X)
    assert now() == 0.0
    assert len(server.requests) == 1
    assert caught.value.retry_after >= 100.0
    assert caught.value.attempts == 1


async def test_delay_of_exactly_max_wait_is_allowed(server, make):
    """A delay of exactly max_wait is allowed."""
    server.on(X, server.reply(429, headers={"Retry-After": "100"}), server.reply(200, {}))
    await make(retry=RetryPolicy(max_wait=100)).request("GET", X)
    assert now() == pytest.approx(100, abs=0.1)


async def test_max_wait_bounds_the_sum_of_delays(server, make):
    """max_wait bounds the sum of the delays."""
    server.on(X, server.reply(503, headers={"Retry-After": "40"}))
    with pytest.raises(ServerError) as caught:
        await make(retry=RetryPolicy(max_wait=99)).request("GET", X)
    assert now() == pytest.approx(80, abs=0.1)
    assert caught.value.attempts == 3


async def test_zero_max_wait_allows_immediate_retries(server, make):
    """With max_wait=0, retries without a delay are allowed."""
    server.on(X, server.reply(503, headers={"Retry-After": "0"}), server.reply(200, {}))
    await make(retry=RetryPolicy(max_wait=0)).request("GET", X)
    assert now() == 0.0


# --- what is held meanwhile ----------------------------------------------------------------------------------


async def test_retry_delay_holds_nothing(server, make, assert_idle):
    """During the delay before a retry the connection and the slot are free for others."""
    circle = make(max_concurrency=1)
    server.on(X, server.reply(503, {"message": "x" * 10_000}, headers={"Retry-After": "60"}), server.reply(200, {}))
    server.on("/api/v2/x/other", server.reply(200, {}))
    call = asyncio.ensure_future(circle.request("GET", X))
    await asyncio.sleep(1)
    connector = circle._executor.state.transport._session._session.connector
    assert not connector._acquired
    assert circle._executor.state.places.are_free
    await circle.request("GET", "/api/v2/x/other")
    assert now() == 1.0
    assert server.accepted == 1, "a second connection was opened"
    await call
    assert now() >= 60.0
    assert server.accepted == 1
    await assert_idle(circle)


async def test_many_retry_delays_hold_nothing(server, make, assert_idle):
    """Many calls in their delays leave all connections and slots free."""
    circle = make(max_concurrency=2)
    server.on(X, *[server.reply(503, headers={"Retry-After": "50"})] * 6, server.reply(200, {}))
    server.on("/api/v2/y", server.reply(200, {}))
    calls = [asyncio.ensure_future(circle.request("GET", X)) for _ in range(6)]
    await asyncio.sleep(10)
    assert len(server.received(X)) == 6
    await circle.request("GET", "/api/v2/y")
    assert now() == 10.0
    await asyncio.gather(*calls)
    await assert_idle(circle)


# --- log and errors -------------------------------------------------------------------------------------------


async def test_each_retry_logs_reason_and_seconds(server, circle, caplog):
    """Each retry logs a warning with its reason and delay."""
    server.on(X, server.reply(503, {"message": "down for now"}, headers={"Retry-After": "3"}), server.reply(200, {}))
    await circle.request("GET", X)
    [record] = [record for record in caplog.records if record.levelno == logging.WARNING]
    text = record.getMessage()
    assert record.name == "aiocircle"
    assert "GET /api/v2/x" in text
    assert "attempt 1 of 5" in text
    assert "3.00 s" in text
    assert "down for now" in text


async def test_server_text_cannot_forge_a_log_line(server, circle, caplog):
    """Text of the server cannot begin a new line in the log."""
    forged = "x\n2026-01-01 CRITICAL root: forged \x1b[31mred\x1b[0m\u2028next"
    server.on(X, server.reply(503, {"message": forged}), server.reply(503, body=forged.encode()), server.reply(200, {}))
    await circle.request("GET", X)
    for record in caplog.records:
        assert record.getMessage().isprintable()


async def test_error_after_retries_has_no_chain(server, circle):
    """The error after several attempts does not keep the earlier ones and their responses."""
    server.on(X, server.reply(500, {"message": "first"}), server.reply(502), server.reply(404, {"message": "last"}))
    with pytest.raises(NotFound, match="last") as caught:
        await circle.request("GET", X)
    assert caught.value.__context__ is None
    assert caught.value.__cause__ is None
