"""What is sent again, when, and what the error says became of a change."""

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
def patient(make):
    """A client that tries often."""
    return make(retry=RetryPolicy(attempts=12, max_wait=10_000))


# --- a change must not be made twice -------------------------------------------------------------------------


async def test_a_trigger_that_ends_in_a_500_is_sent_once(server, circle):
    """The pipeline may have started: sending again could start another."""
    path = "/api/v2/project/gh/acme/web/pipeline"
    server.on(path, server.reply(500, {"message": "oops"}), server.reply(201, {}))
    with pytest.raises(ServerError, match="oops") as caught:
        await circle.pipelines.trigger("gh/acme/web", branch="main")
    assert len(server.requests) == 1
    assert server.requests[0].method == "POST"
    assert caught.value.outcome == "unknown"
    assert caught.value.attempts == 1
    assert caught.value.status == 500


async def test_a_trigger_that_was_refused_by_the_rate_limit_is_sent_again_and_not_too_early(server, circle):
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
async def test_a_post_or_patch_is_never_sent_again_after_a_5xx(server, circle, method, status):
    server.on(X, server.reply(status, headers={"Retry-After": "0"}))
    with pytest.raises(ServerError) as caught:
        await circle.request(method, X, json={})
    assert len(server.requests) == 1
    assert (caught.value.outcome, caught.value.attempts, caught.value.status) == ("unknown", 1, status)


@pytest.mark.parametrize("method", ["POST", "PATCH"])
@pytest.mark.parametrize("abort", [False, True], ids=["closed", "reset"])
async def test_a_post_whose_connection_was_lost_is_never_sent_again(server, circle, method, abort):
    server.on(X, server.drop(abort=abort))
    with pytest.raises(ConnectionFailed) as caught:
        await circle.request(method, X, json={})
    assert len(server.requests) == 1
    assert (caught.value.outcome, caught.value.attempts) == ("unknown", 1)


async def test_a_post_that_timed_out_is_never_sent_again(server, make):
    server.on(X, server.hang())
    with pytest.raises(RequestTimeout, match="within 2 s") as caught:
        await make(timeout=2).request("POST", X, json={})
    assert now() == 2.0
    assert len(server.requests) == 1
    assert (caught.value.outcome, caught.value.attempts) == ("unknown", 1)
    assert isinstance(caught.value, CircleCIError)


async def test_a_post_whose_good_answer_was_cut_was_done(server, circle):
    """201 says that it was done, whatever became of the body."""
    server.on(X, server.reply(201, {"id": "p"}, cut=4))
    with pytest.raises(DecodeError, match="cut after") as caught:
        await circle.request("POST", X, json={})
    assert len(server.requests) == 1
    assert (caught.value.outcome, caught.value.attempts, caught.value.status) == ("done", 1, 201)
    assert caught.value.body == b'{"id": '


@pytest.mark.parametrize(
    "body", [b"", HTML, b"[1,", b"\xff", b'{"id": 5}'], ids=["empty", "html", "half", "no text", "another"]
)
async def test_a_post_whose_good_answer_cannot_be_read_was_done(server, circle, body):
    server.on("/api/v2/project/gh/a/b/pipeline", server.reply(201, body=body))
    with pytest.raises(DecodeError) as caught:
        await circle.pipelines.trigger("gh/a/b")
    assert len(server.requests) == 1
    assert caught.value.outcome == "done"
    assert caught.value.body == body


@pytest.mark.parametrize("method", ["POST", "PATCH"])
async def test_repeat_unsafe_is_the_callers_word_that_it_may_be_sent_again(server, make, method):
    server.on(
        X, server.reply(500), server.drop(), server.reply(200, {"a": 1}, cut=1), server.hang(), server.reply(200, {})
    )
    circle = make(retry=RetryPolicy(repeat_unsafe=True), timeout=5)
    assert await circle.request(method, X, json={}) == {}
    assert len(server.requests) == 5


async def test_repeat_unsafe_does_not_repeat_a_refusal(server, make):
    server.on(X, server.reply(409, {"message": "no"}))
    with pytest.raises(Conflict):
        await make(retry=RetryPolicy(repeat_unsafe=True)).request("POST", X)
    assert len(server.requests) == 1


async def test_repeat_unsafe_keeps_an_unknown_outcome(server, make):
    """The second attempt was refused; what became of the first is not known for all that."""
    server.on(X, server.reply(500), server.reply(409, {"message": "there is one already"}))
    with pytest.raises(Conflict) as caught:
        await make(retry=RetryPolicy(repeat_unsafe=True)).request("POST", X)
    assert (caught.value.outcome, caught.value.attempts) == ("unknown", 2)


@pytest.mark.parametrize("method", ["GET", "POST", "PATCH", "PUT", "DELETE"])
async def test_a_refused_connection_is_tried_again_with_every_verb(server, make, method):
    """Nothing was sent, so nothing can have been done."""
    circle = make(retry=RetryPolicy(attempts=3))
    await server.stop()
    with pytest.raises(ConnectionFailed) as caught:
        await circle.request(method, X)
    assert (caught.value.outcome, caught.value.attempts) == ("not_done", 3)
    assert now() > 0


@pytest.mark.parametrize("method", ["GET", "POST", "PATCH", "DELETE"])
async def test_a_connection_that_is_not_made_in_time_is_tried_again_with_every_verb(make, monkeypatch, method):
    """A host that swallows what is sent to it: the timeout says that no connection was made, so nothing was sent."""

    async def never(*_: object) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(asyncio.get_running_loop(), "sock_connect", never, raising=False)
    circle = make(timeout=20.0, retry=RetryPolicy(attempts=3, base=0))
    with pytest.raises(RequestTimeout, match="no connection within 18 s") as caught:
        await circle.request(method, X)
    assert (caught.value.outcome, caught.value.attempts) == ("not_done", 3)
    assert now() == pytest.approx(54, abs=3)


async def test_a_post_is_sent_again_after_any_number_of_429s_but_not_after_what_follows_them(server, make):
    server.on(X, *[server.reply(429, headers={"Retry-After": "1"})] * 3, server.reply(500))
    with pytest.raises(ServerError) as caught:
        await make().request("POST", X)
    assert (caught.value.outcome, caught.value.attempts) == ("unknown", 4)


async def test_a_refusal_did_nothing(server, circle):
    for status in (400, 401, 402, 403, 404, 405, 409, 410, 413, 415, 422):
        server.on(X, server.reply(status, {"message": "no"}))
        with pytest.raises(APIError) as caught:
            await circle.request("POST", X)
        assert caught.value.outcome == "not_done", status


@pytest.mark.parametrize("status", [302, 408])
async def test_an_answer_that_decides_nothing_leaves_it_open(server, circle, status):
    server.on(X, server.reply(status, headers={"Location": "/elsewhere"}))
    with pytest.raises(APIError) as caught:
        await circle.request("POST", X)
    assert caught.value.outcome == "unknown"
    assert len(server.requests) == 1


async def test_a_get_changes_nothing_whatever_happens(server, make):
    circle = make(retry=RetryPolicy(attempts=2), timeout=5)
    for script in (server.reply(500), server.drop(), server.hang(), server.reply(200, {}, cut=1), server.reply(429)):
        server.on(X, script)
        with pytest.raises(CircleCIError) as caught:
            await circle.request("GET", X)
        assert caught.value.outcome == "not_done"
        assert caught.value.attempts == 2


# --- DELETE --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("first", ["500", "drop", "hang", "cut 500"], ids=["answered 500", "lost", "timed out", "cut"])
async def test_a_delete_whose_lost_attempt_did_it_is_a_success(server, make, first):
    scripts = {
        "500": server.reply(500),
        "drop": server.drop(abort=True),
        "hang": server.hang(),
        "cut 500": server.reply(500, {}, cut=1),
    }
    circle = make(timeout=5)
    gone = server.reply(404, {"message": "Project not found"})
    server.on(X, scripts[first], gone)
    assert await circle.request("DELETE", X) is None
    assert len(server.requests) == 2
    server.on("/api/v2/project/gh/a/b/envvar/KEY", scripts[first], gone)
    assert await circle.projects.delete_env_var("gh/a/b", "KEY") is None


async def test_a_delete_of_what_was_never_there_is_a_404(server, circle):
    server.on(X, server.reply(429, headers={"Retry-After": "1"}), server.reply(404, {"message": "Project not found"}))
    with pytest.raises(NotFound) as caught:
        await circle.request("DELETE", X)
    assert (caught.value.outcome, caught.value.attempts) == ("not_done", 2)


async def test_a_404_after_a_lost_attempt_is_a_404_for_all_other_verbs(server, circle):
    server.on(X, server.reply(500), server.reply(404))
    with pytest.raises(NotFound) as caught:
        await circle.request("PUT", X, json={})
    assert (caught.value.outcome, caught.value.attempts) == ("unknown", 2)


async def test_a_delete_that_was_done_stays_done_whatever_its_repetitions_say(server, circle):
    """200 with half a body, then a 404: it was this call that deleted it."""
    server.on(X, server.reply(200, {"message": "Deleted"}, cut=3), server.reply(404))
    assert await circle.request("DELETE", X) is None
    server.on(X, server.reply(200, {"message": "Deleted"}, cut=3), server.reply(403))
    with pytest.raises(Forbidden) as caught:
        await circle.request("DELETE", X)
    assert caught.value.outcome == "done"


@pytest.mark.parametrize("method", ["PUT", "DELETE", "POST", "PATCH"])
@pytest.mark.parametrize("abort", [False, True], ids=["closed", "reset"])
async def test_aiohttp_does_not_send_a_change_again_by_itself(server, make, method, abort):
    """It would, with PUT and DELETE, and the answer to the second would be taken for that to the first."""
    server.on(X, server.drop(abort=abort), server.reply(404))
    with pytest.raises(ConnectionFailed) as caught:
        await make(retry=RetryPolicy(attempts=1)).request(method, X)
    assert (caught.value.outcome, caught.value.attempts) == ("unknown", 1)
    assert len(server.requests) == 1


async def test_aiohttp_sends_a_get_again_over_a_new_connection_when_a_kept_one_has_died(server, make):
    """Part of one attempt: nothing was lost but the connection."""
    circle = make(retry=RetryPolicy(attempts=1))
    server.on(X, server.reply(200, {}), server.drop(), server.reply(200, {"second": True}))
    await circle.request("GET", X)
    assert await circle.request("GET", X) == {"second": True}
    assert now() == 0.0


async def test_an_injected_sessions_middlewares_stay_in_force(server, make):
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
async def test_every_passing_failure_of_a_repeatable_request_is_overcome(server, make, method):
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
        (408, APIError),
        (409, Conflict),
        (410, Gone),
        (413, APIError),
        (418, APIError),
        (422, BadRequest),
    ],
)
async def test_a_refusal_is_final(server, circle, status, kind):
    server.on(X, server.reply(status, {"message": "no"}, headers={"Retry-After": "0"}))
    with pytest.raises(APIError) as caught:
        await circle.request("GET", X)
    assert type(caught.value) is kind
    assert (caught.value.status, caught.value.attempts) == (status, 1)
    assert len(server.requests) == 1
    assert now() == 0.0


async def test_an_answer_of_another_shape_is_final(server, circle):
    """Asking again cannot help: it is not cut, it is something else."""
    server.on("/api/v2/me", server.reply(200, {"id": 5}))
    with pytest.raises(DecodeError) as caught:
        await circle.users.me()
    assert caught.value.attempts == len(server.requests) == 1


async def test_a_body_beyond_the_limit_is_final(server, circle):
    """64 MiB are not fetched five times."""
    circle._executor.state.transport._max_body = 1000
    server.on(X, server.reply(200, body=b"[" + b" " * 2000 + b"]"))
    with pytest.raises(DecodeError, match="larger than 1000 bytes") as caught:
        await circle.request("GET", X)
    assert caught.value.attempts == len(server.requests) == 1
    assert len(caught.value.body) == 1000


# --- when ----------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("full_jitter")
async def test_the_waits_double_up_to_the_cap(server, make):
    server.on(X, server.reply(500))
    with pytest.raises(ServerError) as caught:
        await make(retry=RetryPolicy(attempts=7, base=1.0, cap=10.0)).request("GET", X)
    times = server.times
    assert [later - earlier for earlier, later in pairwise(times)] == [1, 2, 4, 8, 10, 10]
    assert caught.value.attempts == 7


async def test_the_jitter_is_over_the_whole_wait(server, make, monkeypatch):
    """Clients that failed together must not come back together."""
    chances = iter([0.0, 0.5, 0.25, 0.0])
    monkeypatch.setattr("aiocircle._core.clock.Clock.random", lambda self: next(chances))
    server.on(X, server.reply(500))
    with pytest.raises(ServerError):
        await make(retry=RetryPolicy(attempts=4, base=8.0)).request("GET", X)
    times = server.times
    assert [later - earlier for earlier, later in pairwise(times)] == [0.0, 8.0, 7.5]


async def test_the_attempts_are_exhausted(server, circle):
    server.on(X, server.reply(503, {"message": "down"}))
    with pytest.raises(ServerError, match="down") as caught:
        await circle.request("GET", X)
    assert caught.value.attempts == len(server.requests) == 5


async def test_one_attempt_means_one(server, make):
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
async def test_retry_after_is_obeyed_to_the_second(server, make, status, headers, waited):
    """On a 503 too; neither shortened nor stretched; a date counts from the answer's own Date."""
    server.on(X, server.reply(status, headers=headers), server.reply(200, {}))
    await make(retry=RetryPolicy(base=0.001)).request("GET", X)
    first, second = server.times
    assert second - first == pytest.approx(waited, abs=0.1)
    assert second - first >= waited


async def test_retry_after_as_a_date_without_the_servers_own_goes_by_our_clock(server, circle):
    server.on(X, server.reply(503, headers={"Retry-After": in_seconds(30)}), server.reply(200, {}))
    await circle.request("GET", X)
    first, second = server.times
    assert 27.0 <= second - first <= 31.0


@pytest.mark.usefixtures("full_jitter")
@pytest.mark.parametrize(
    "value",
    ["", "soon", "-5", "1e3", "0x10", "nan", "inf", "1,5", "7 seconds", "٣", "2026-03-02T12:00:00Z", "Mon, 99 Foo"],
)
async def test_a_retry_after_that_means_nothing_is_as_none(server, make, value):
    server.on(X, server.reply(503, headers={"Retry-After": value.encode().decode("latin-1")}), server.reply(200, {}))
    await make(retry=RetryPolicy(base=4.0)).request("GET", X)
    first, second = server.times
    assert second - first == 4.0


@pytest.mark.parametrize("value", ["100", "9999999999999999999999", date(100)])
async def test_what_would_exceed_max_wait_is_raised_at_once(server, make, value):
    server.on(X, server.reply(429, {"message": "slow down"}, headers={"Retry-After": value, "Date": date()}))
    with pytest.raises(RateLimited, match="slow down") as caught:
        await make(retry=RetryPolicy(max_wait=99)).request("GET", X)
    assert now() == 0.0
    assert len(server.requests) == 1
    assert caught.value.retry_after >= 100.0
    assert caught.value.attempts == 1


async def test_a_wait_of_exactly_max_wait_is_waited(server, make):
    server.on(X, server.reply(429, headers={"Retry-After": "100"}), server.reply(200, {}))
    await make(retry=RetryPolicy(max_wait=100)).request("GET", X)
    assert now() == pytest.approx(100, abs=0.1)


async def test_max_wait_bounds_the_sum_of_the_waits(server, make):
    server.on(X, server.reply(503, headers={"Retry-After": "40"}))
    with pytest.raises(ServerError) as caught:
        await make(retry=RetryPolicy(max_wait=99)).request("GET", X)
    assert now() == pytest.approx(80, abs=0.1)
    assert caught.value.attempts == 3


async def test_no_wait_at_all_still_allows_repetitions_at_once(server, make):
    server.on(X, server.reply(503, headers={"Retry-After": "0"}), server.reply(200, {}))
    await make(retry=RetryPolicy(max_wait=0)).request("GET", X)
    assert now() == 0.0


# --- what is held meanwhile ----------------------------------------------------------------------------------


async def test_nothing_is_held_while_a_call_waits_for_its_next_attempt(server, make, assert_idle):
    """The failed answer is read, its connection back in the pool, its slot free: others can use both."""
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


async def test_many_waiting_calls_hold_nothing_either(server, make, assert_idle):
    circle = make(max_concurrency=2)
    server.on(X, *[server.reply(503, headers={"Retry-After": "50"})] * 6, server.reply(200, {}))
    server.on("/api/v2/y", server.reply(200, {}))
    calls = [asyncio.ensure_future(circle.request("GET", X)) for _ in range(6)]
    await asyncio.sleep(10)
    assert len(server.asked(X)) == 6
    await circle.request("GET", "/api/v2/y")
    assert now() == 10.0
    await asyncio.gather(*calls)
    await assert_idle(circle)


# --- what is told --------------------------------------------------------------------------------------------


async def test_each_retry_is_a_warning_with_reason_and_seconds(server, circle, caplog):
    server.on(X, server.reply(503, {"message": "down for now"}, headers={"Retry-After": "3"}), server.reply(200, {}))
    await circle.request("GET", X)
    [record] = [record for record in caplog.records if record.levelno == logging.WARNING]
    text = record.getMessage()
    assert record.name == "aiocircle"
    assert "GET /api/v2/x" in text
    assert "attempt 1 of 5" in text
    assert "3.00 s" in text
    assert "down for now" in text


async def test_the_servers_words_cannot_forge_a_log_line(server, circle, caplog):
    forged = "x\n2026-01-01 CRITICAL root: forged \x1b[31mred\x1b[0m\u2028next"
    server.on(X, server.reply(503, {"message": forged}), server.reply(503, body=forged.encode()), server.reply(200, {}))
    await circle.request("GET", X)
    for record in caplog.records:
        assert record.getMessage().isprintable()


async def test_an_error_after_several_attempts_has_no_past(server, circle):
    """It is the last failure, not a chain of all of them, each holding its answer."""
    server.on(X, server.reply(500, {"message": "first"}), server.reply(502), server.reply(404, {"message": "last"}))
    with pytest.raises(NotFound, match="last") as caught:
        await circle.request("GET", X)
    assert caught.value.__context__ is None
    assert caught.value.__cause__ is None
