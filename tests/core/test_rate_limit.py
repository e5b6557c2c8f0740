"""The gates: nobody passes before the server's time is over, and nobody waits longer than they said."""

from __future__ import annotations

import asyncio
import logging

import pytest

from aiocircle import RateLimited, RetryPolicy, Throttle

A, B = "/api/v2/a/x", "/api/v2/b/x"


def now() -> float:
    return asyncio.get_running_loop().time()


def limited(server, seconds: float | str):
    return server.reply(429, {"message": "Rate limited."}, headers={"Retry-After": str(seconds)})


async def start(*calls):
    tasks = [asyncio.ensure_future(call) for call in calls]
    for _ in range(20):
        await asyncio.sleep(0)
    return tasks


# --- a closed gate -------------------------------------------------------------------------------------------


async def test_after_a_429_nobody_of_that_family_passes_and_all_others_do(server, circle):
    server.on(A, limited(server, 30), server.reply(200, {}))
    server.on("/api/v2/a/y", server.reply(200, {}))
    server.on(B, server.reply(200, {}))
    first = asyncio.ensure_future(circle.request("GET", A))
    await asyncio.sleep(1)
    second = asyncio.ensure_future(circle.request("POST", "/api/v2/a/y"))
    await circle.request("GET", B)
    assert now() == 1.0
    await asyncio.gather(first, second)
    assert [(request.path, request.at >= 30.0) for request in server.requests] == [
        (A, False),
        (B, False),
        *[(path, True) for path in (request.path for request in server.requests[2:])],
    ]
    assert len(server.requests) == 4


async def test_many_at_a_closed_gate_all_pass_later_and_none_before(server, make):
    circle = make(max_concurrency=8)
    server.on(A, limited(server, 20), server.reply(200, {}))
    first = asyncio.ensure_future(circle.request("GET", A))
    await asyncio.sleep(1)
    calls = [asyncio.ensure_future(circle.request("GET", A)) for _ in range(50)]
    await asyncio.gather(first, *calls)
    assert len(server.requests) == 52
    assert min(server.times[1:]) >= 20.0


async def test_a_later_429_keeps_the_gate_closed_for_longer_and_an_earlier_one_does_not_open_it(server, make):
    circle = make()
    server.route(A, lambda request: server.reply(429, headers={"Retry-After": request.query["s"]}))
    server.on("/api/v2/a/y", server.reply(200, {}))
    impatient = circle.with_options(retry=RetryPolicy(attempts=1))
    calls = [impatient.request("GET", A, params={"s": seconds}) for seconds in (5, 40, 20)]
    await asyncio.gather(*calls, return_exceptions=True)
    await circle.request("GET", "/api/v2/a/y")
    assert now() >= 40.0
    assert now() < 41.0


async def test_a_request_that_waited_for_its_slot_does_not_go_through_a_gate_that_closed_meanwhile(server, make):
    """It had passed the gate before, but not been sent."""
    circle = make(max_concurrency=2)
    release = asyncio.Event()
    server.on(A, server.reply(429, headers={"Retry-After": "60"}, after=2.0), server.reply(200, {}))
    server.on(B, server.reply(200, {}, when=release))
    tasks = await start(circle.request("GET", A), circle.request("GET", B), circle.request("GET", A))
    await asyncio.sleep(5)
    release.set()
    await asyncio.gather(*tasks)
    assert [request.at >= 62.0 for request in server.asked(A)] == [False, True, True]


async def test_the_gate_opens_for_those_who_wait_in_the_order_of_their_coming(server, make):
    circle = make(max_concurrency=4)
    server.on(A, limited(server, 10), server.reply(200, {}))
    for number in range(12):
        server.on(f"/api/v2/a/{number}", server.reply(200, {}))
    first = asyncio.ensure_future(circle.request("GET", A))
    await asyncio.sleep(1)
    calls = []
    for number in range(12):
        calls += await start(circle.request("GET", f"/api/v2/a/{number}"))
    await asyncio.gather(first, *calls)
    order = [request.path for request in server.requests if request.path not in (A,)]
    assert order == [f"/api/v2/a/{number}" for number in range(12)]


# --- max_wait ------------------------------------------------------------------------------------------------


async def test_a_request_that_would_wait_too_long_is_raised_unsent_and_at_once(server, make, assert_idle):
    circle = make()
    impatient = circle.with_options(retry=RetryPolicy(max_wait=10))
    server.on(A, limited(server, 60), server.reply(200, {}))
    first = asyncio.ensure_future(circle.request("GET", A))
    await asyncio.sleep(1)
    with pytest.raises(RateLimited, match="not sent") as caught:
        await impatient.request("POST", A)
    assert now() == 1.0
    assert (caught.value.attempts, caught.value.outcome, caught.value.status) == (0, "not_done", 429)
    assert caught.value.retry_after == pytest.approx(59.0, abs=1)
    assert caught.value.method == "POST"
    assert caught.value.url == server.url + A
    assert len(server.requests) == 1
    await first
    await assert_idle(circle)


async def test_who_waits_when_the_gate_closes_for_longer_is_told_at_once(server, make, assert_idle):
    """Another's 429 closes the gate for ten minutes: nobody waits out their own patience first."""
    circle = make(retry=RetryPolicy(attempts=1, max_wait=100))
    patient = circle.with_options(retry=RetryPolicy(attempts=1, max_wait=5000))
    server.on(
        A, limited(server, 10), server.reply(429, headers={"Retry-After": "600"}, after=0.5), server.reply(200, {})
    )
    with pytest.raises(RateLimited):
        await circle.request("GET", A)
    # At 10 s the first of these passes; its 429 comes before the next one's turn.
    calls = await start(*(circle.request("GET", A) for _ in range(3)), patient.request("GET", A))
    results = await asyncio.gather(*calls[:3], return_exceptions=True)
    assert [type(result) for result in results] == [RateLimited] * 3, results
    assert [result.attempts for result in results] == [1, 0, 0]
    assert all(result.retry_after == pytest.approx(600, abs=1) for result in results)
    assert now() == pytest.approx(10.5, abs=0.1)
    await calls[3]
    assert now() >= 610.0
    assert len(server.requests) == 3
    await assert_idle(circle)


async def test_an_impatient_call_is_told_at_once_though_patient_ones_fill_the_queue(server, make):
    circle = make(max_concurrency=2, retry=RetryPolicy(max_wait=7200))
    impatient = circle.with_options(retry=RetryPolicy(max_wait=5))
    server.on(A, limited(server, 600), server.reply(200, {}))
    first = await start(circle.request("GET", A))
    await asyncio.sleep(1)
    patient = await start(*(circle.request("GET", A) for _ in range(10)))
    with pytest.raises(RateLimited) as caught:
        await impatient.request("GET", A)
    assert now() == 1.0
    assert caught.value.attempts == 0
    await asyncio.gather(*first, *patient)


async def test_an_impatient_call_in_the_queue_is_told_when_the_gate_closes(server, make):
    """Those before it may be as patient as they like."""
    circle = make(max_concurrency=1, retry=RetryPolicy(max_wait=7200))
    impatient = circle.with_options(retry=RetryPolicy(max_wait=50))
    server.on(A, server.reply(429, headers={"Retry-After": "600"}, after=5.0), server.reply(200, {}))
    patient = await start(*(circle.request("GET", A) for _ in range(6)))
    with pytest.raises(RateLimited) as caught:
        await impatient.request("GET", A)
    assert now() == pytest.approx(5.0, abs=1)
    assert caught.value.attempts == 0
    await asyncio.gather(*patient)


async def test_the_time_at_the_gate_counts_towards_max_wait(server, make):
    circle = make(retry=RetryPolicy(max_wait=100))
    server.on(A, limited(server, 60), server.reply(200, {}))
    server.on("/api/v2/a/y", server.reply(503, headers={"Retry-After": "30"}))
    first = await start(circle.request("GET", A))
    await asyncio.sleep(1)
    with pytest.raises(Exception, match="503") as caught:
        await circle.request("GET", "/api/v2/a/y")
    # 59 s at the gate, 30 s before the second attempt; another 30 s would be too much.
    assert caught.value.attempts == 2
    assert now() == pytest.approx(90, abs=2)
    await asyncio.gather(*first)


async def test_no_wait_means_no_wait(server, make):
    circle = make(retry=RetryPolicy(max_wait=0))
    server.on(A, limited(server, 1), server.reply(200, {}))
    for attempts in (1, 0):
        with pytest.raises(RateLimited) as caught:
            await circle.request("GET", A)
        assert caught.value.attempts == attempts
    assert now() == 0.0
    await asyncio.sleep(1)
    await circle.request("GET", A)


async def test_calls_that_may_not_wait_are_not_refused_for_want_of_a_limit(server, make):
    """A burst at the start waits for its own answers, not for any rate limit: that is no reason to fail."""
    circle = make(retry=RetryPolicy(max_wait=0))
    server.on(A, server.reply(200, {}, after=0.5))
    await asyncio.gather(*(circle.request("GET", A) for _ in range(100)))
    assert len(server.requests) == 100


async def test_slow_answers_are_not_called_a_rate_limit(server, make):
    circle = make(timeout=None)
    server.on(A, server.reply(200, {}, after=200.0))
    await asyncio.gather(*(circle.request("GET", A) for _ in range(30)))
    assert len(server.requests) == 30


async def test_what_the_gate_held_back_is_not_tried_again(server, make, caplog):
    circle = make(retry=RetryPolicy(attempts=12, base=0.01, max_wait=10))
    server.on(A, limited(server, 60))
    for _ in range(2):
        with pytest.raises(RateLimited):
            await circle.request("GET", A)
    assert now() == 0.0
    assert len(server.requests) == 1
    assert caplog.records == []


# --- cancelled waiters ---------------------------------------------------------------------------------------


async def test_cancelled_waiters_do_not_block_those_behind_them(server, make, assert_idle):
    circle = make(max_concurrency=4)
    server.on(A, limited(server, 10), server.reply(200, {}))
    first = await start(circle.request("GET", A))
    await asyncio.sleep(1)
    waiting = await start(*(circle.request("GET", A) for _ in range(12)))
    for call in waiting[::2]:
        call.cancel()
    results = await asyncio.gather(*first, *waiting, return_exceptions=True)
    assert [isinstance(result, asyncio.CancelledError) for result in results[1:]] == [True, False] * 6
    assert len(server.requests) == 2 + 6
    await assert_idle(circle)


@pytest.mark.parametrize("turns", range(8))
async def test_a_waiter_that_is_cancelled_in_the_moment_of_its_turn_passes_it_on(server, make, assert_idle, turns):
    circle = make(max_concurrency=4)
    server.on(A, limited(server, 10), server.reply(200, {}))
    first = await start(circle.request("GET", A))
    await asyncio.sleep(1)
    waiting = await start(*(circle.request("GET", A) for _ in range(3)))

    async def cancel() -> None:
        for _ in range(turns):
            await asyncio.sleep(0)
        waiting[0].cancel()

    timer = asyncio.get_running_loop().call_at(10.0, lambda: keep.append(asyncio.ensure_future(cancel())))
    keep: list[object] = [timer]
    results = await asyncio.gather(*first, *waiting, return_exceptions=True)
    assert [result for result in results if not isinstance(result, asyncio.CancelledError)] in ([{}] * 3, [{}] * 4)
    await asyncio.sleep(1)
    await circle.request("GET", A)
    await assert_idle(circle)


async def test_a_gate_that_nobody_waits_for_any_more_leaves_no_timer(server, make, assert_idle):
    circle = make(retry=RetryPolicy(max_wait=10_000))
    server.on(A, limited(server, 600))
    tasks = await start(circle.request("GET", A))
    await asyncio.sleep(1)
    tasks += await start(*(circle.request("GET", A) for _ in range(3)))
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await assert_idle(circle)


# --- sharing -------------------------------------------------------------------------------------------------


async def test_two_clients_with_one_throttle_share_its_gates(server, make):
    throttle = Throttle()
    one, two = make(throttle=throttle), make(throttle=throttle)
    server.on(A, limited(server, 30), server.reply(200, {}))
    first = await start(one.request("GET", A))
    await asyncio.sleep(1)
    await two.request("GET", A)
    assert now() >= 30.0
    await asyncio.gather(*first)
    assert one.rate_limits == two.rate_limits == throttle.rate_limits


async def test_two_clients_with_two_throttles_do_not(server, make):
    one, two = make(), make()
    server.on(A, limited(server, 30), server.reply(200, {}))
    first = await start(one.request("GET", A))
    await asyncio.sleep(1)
    await two.request("GET", A)
    assert now() == 1.0
    await asyncio.gather(*first)


async def test_copies_share_the_gates(server, circle):
    server.on(A, limited(server, 30), server.reply(200, {}))
    copy = circle.with_options(timeout=5)
    first = await start(circle.request("GET", A))
    await asyncio.sleep(1)
    await copy.request("GET", A)
    assert now() >= 30.0
    await asyncio.gather(*first)


# --- what the API says ---------------------------------------------------------------------------------------


async def test_what_was_said_of_the_limits_can_be_seen(server, circle):
    server.on(
        A,
        server.reply(
            200,
            {},
            headers={
                "X-RateLimit-Limit-Second": "50",
                "X-RateLimit-Remaining-Second": "49",
                "X-RateLimit-Reset": "1",
            },
        ),
    )
    server.on(B, server.reply(404, {}))
    assert circle.rate_limits == {}
    await circle.request("GET", A)
    with pytest.raises(Exception, match="404"):
        await circle.request("GET", B)
    assert circle.rate_limits.keys() == {"a", "b"}
    limit = circle.rate_limits["a"]
    assert (limit.limit, limit.window, limit.remaining, limit.reset) == (50, 1.0, 49, 1.0)
    assert limit.rate == 50.0
    assert circle.rate_limits["b"].limit is None


async def test_an_announced_limit_is_kept(server, make):
    """10 a second, from 50 tasks at once: never more than that in any second, and not much less either."""
    circle = make(max_concurrency=50)
    server.on(A, server.reply(200, {}, headers={"X-RateLimit-Limit-Second": "10", "X-RateLimit-Remaining-Second": "5"}))
    await circle.request("GET", A)
    await asyncio.gather(*(circle.request("GET", A) for _ in range(50)))
    times = server.times[1:]
    for index in range(len(times) - 11):
        assert times[index + 11] - times[index] >= 0.99
    assert times[-1] - times[0] == pytest.approx(5.0, abs=0.5)


async def test_a_long_wait_at_the_gate_is_a_warning_with_its_seconds(server, circle, caplog):
    server.on(A, limited(server, 30), server.reply(200, {}))
    first = await start(circle.request("GET", A))
    await asyncio.sleep(1)
    caplog.clear()
    await circle.request("GET", A)
    [record] = [record for record in caplog.records if "waited" in record.getMessage()]
    assert record.levelno == logging.WARNING
    assert "29." in record.getMessage()
    await asyncio.gather(*first)


async def test_a_deprecation_is_noted_and_told_once(server, circle, caplog):
    said = {"Deprecation": "@1767225600", "Sunset": "Mon, 01 Feb 2027 00:00:00 GMT", "Link": '</new>; rel="successor"'}
    server.on("/api/v2/me", server.reply(200, {"id": "1", "login": "a", "name": "A"}, headers=said))
    server.on(A, server.reply(404, {}, headers={"Sunset": "soon"}))
    for _ in range(3):
        await circle.users.me()
    with pytest.raises(Exception, match="404"):
        await circle.request("GET", A)
    assert circle.deprecations.keys() == {"users.me", f"GET {A}"}
    deprecation = circle.deprecations["users.me"]
    assert (deprecation.deprecation, deprecation.sunset) == (said["Deprecation"], said["Sunset"])
    assert deprecation.link == said["Link"]
    warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert len(warnings) == 2
    assert "users.me is deprecated" in warnings[0]
    assert said["Sunset"] in warnings[0]
