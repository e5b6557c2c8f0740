"""The gate's figures one by one: which rate it learns from what, how it tries more, and whom it tells when."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import pytest

from aiocircle._core.throttle import Gate, Held, Throttle
from tests.unit.test_throttle import now, passing_times, told, virtual, virtually

TEN = {"X-RateLimit-Limit-Second": "10", "X-RateLimit-Remaining": "5"}


def rate(gate: Gate) -> float:
    found = gate.rate_limit.rate
    assert found is not None
    return found


def refuse(gate: Gate, asked: float | None) -> None:
    """A refusal of a request that was sent just now."""
    gate.observe(429, {}, now(), asked)


def answer(gate: Gate, times: int = 1) -> None:
    for _ in range(times):
        told(gate, {})


# --- a rate that is learnt ---------------------------------------------------------------------------------------


@virtual
async def test_the_first_refusal_takes_seven_tenths_of_what_the_last_second_had() -> None:
    gate = Gate()
    answer(gate, 5)
    await asyncio.sleep(0.5)
    answer(gate, 4)
    await asyncio.sleep(1.0)
    answer(gate, 6)
    refuse(gate, 0.0)
    # With "0 seconds" nothing was refilled: a little below. The four are just a second old.
    assert rate(gate) == pytest.approx(0.7 * 10 * 0.96)


@virtual
async def test_a_refusal_out_of_nothing_leaves_seven_tenths_of_a_request_a_second() -> None:
    gate = Gate()
    refuse(gate, None)
    assert rate(gate) == pytest.approx(0.7 * 0.96)


@pytest.mark.parametrize(
    ("asked", "start", "slope"),
    [(2.0, 1.15, 0.06), (0.0, 0.96, 0.02), (None, 0.96, 0.02)],
    ids=["a pause", "none", "not a word"],
)
@virtual
async def test_a_learnt_rate_is_tried_out_upwards(asked: float | None, start: float, slope: float) -> None:
    """From the moment when the pause is over; faster and faster once a refusal is overdue, up to a bound."""

    gate = Gate()
    answer(gate, 10)
    refuse(gate, asked)
    pause = asked or 0.0
    assert rate(gate) == pytest.approx(7 * start)
    await asyncio.sleep(pause / 2)
    assert rate(gate) == pytest.approx(7 * start)
    await asyncio.sleep(pause / 2)
    for seconds, doubled in ((0, 0), (1, 0), (4, 0), (5, 1), (6.5, 2.5), (14, 10), (15, 10), (2000, 10)):
        at = now()
        await asyncio.sleep(seconds)
        assert rate(gate) == pytest.approx(7 * (start + slope * seconds) * 2**doubled), seconds
        # Back to the beginning, by the same refusal once more.
        gate._learnt_at += now() - at


@pytest.mark.parametrize(
    ("asked", "seconds", "answered", "learnt"),
    [
        # What was let through between two refusals is what flows in; a refusal takes no more than three tenths.
        (1.0, 4.0, 32, 8.0),
        (1.0, 4.0, 8, 0.7 * 7 * (1.15 + 0.06 * 3)),
        (1.0, 4.0, 400, 7 * (1.15 + 0.06 * 3)),
        (1.0, 0.5, 3, 6.0),
        (None, 60.0, 420, 7.0),
        (1.0, 60.0, 420, 0.7 * 7 * (1.15 + 0.06 * 59) * 2**10),
        # Too soon, too late, or nothing between: by the last second again.
        (1.0, 0.4, 2, 0.7 * 7 * 1.15),
        (None, 61.0, 100, 0.7 * 100),
        (1.0, 61.0, 100, 0.7 * 100),
        (1.0, 4.0, 0, 0.7 * 1),
    ],
)
@virtual
async def test_a_second_refusal_tells_more_than_the_first(
    asked: float | None, seconds: float, answered: int, learnt: float
) -> None:
    gate = Gate()
    answer(gate, 10)
    refuse(gate, asked)
    await asyncio.sleep(seconds)
    answer(gate, answered)
    refuse(gate, asked)
    assert gate._learnt == pytest.approx(learnt)


@virtual
async def test_without_a_word_of_when_to_come_back_what_was_let_through_counts_alone() -> None:
    gate = Gate()
    answer(gate, 100)
    refuse(gate, None)
    await asyncio.sleep(10)
    answer(gate, 20)
    refuse(gate, None)
    assert gate._learnt == pytest.approx(2.0)
    assert rate(gate) == pytest.approx(2.0 * 0.96)


@virtual
async def test_a_learnt_rate_never_falls_below_a_request_in_ten_seconds() -> None:
    gate = Gate()
    refuse(gate, None)
    for _ in range(20):
        await asyncio.sleep(50)
        answer(gate)
        refuse(gate, None)
    assert gate._learnt == pytest.approx(0.1)


@virtual
async def test_what_was_under_way_when_the_rate_was_cut_is_no_news() -> None:
    gate = Gate()
    answer(gate, 10)
    sent_at = now()
    await asyncio.sleep(1)
    answer(gate, 10)
    refuse(gate, 1.0)
    cut = gate._learnt
    gate.observe(429, {}, sent_at, 1.0)
    gate.observe(429, {}, now(), 1.0)
    assert gate._learnt == cut
    assert gate._answered == 0


@virtual
async def test_each_refusal_that_is_news_begins_the_count_anew() -> None:
    gate = Gate()
    answer(gate, 10)
    refuse(gate, 1.0)
    await asyncio.sleep(2)
    answer(gate, 16)
    refuse(gate, 1.0)
    assert gate._learnt == pytest.approx(8.0)
    await asyncio.sleep(3)
    answer(gate, 27)
    refuse(gate, 1.0)
    assert gate._learnt == pytest.approx(9.0)


@virtual
async def test_a_refusal_that_asks_for_nothing_closes_the_gate_for_one_interval() -> None:
    gate = Gate()
    answer(gate, 10)
    refuse(gate, None)
    assert gate.closed
    assert await gate.enter(10.0) == pytest.approx(1 / (7 * 0.96))
    assert not gate.closed


@virtual
async def test_only_answers_below_500_are_counted() -> None:
    gate = Gate()
    for status in (200, 404, 500, 503):
        gate.observe(status, {}, now(), None)
    assert gate._answered == 2
    assert gate._allowed == 10 + 2


@virtual
async def test_caution_ends_when_much_was_answered() -> None:
    gate = Gate()
    answer(gate, 245)
    assert gate._allowed == 255
    answer(gate)
    assert gate._allowed is None
    assert (await passing_times(gate, 1000))[-1] == now()


@virtual
async def test_caution_ends_with_the_first_refusal_and_the_first_headers() -> None:
    refused, informed = Gate(), Gate()
    refuse(refused, 1.0)
    told(informed, TEN)
    assert refused._allowed is None
    assert informed._allowed is None


# --- a rate that is promised -------------------------------------------------------------------------------------


@virtual
async def test_a_refusal_that_the_promise_does_not_explain_takes_a_tenth_of_it_which_comes_back() -> None:
    gate = Gate()
    told(gate, TEN)
    await asyncio.sleep(1)
    refuse(gate, 1.0)
    assert rate(gate) == pytest.approx(9.0)
    await asyncio.sleep(1)
    assert rate(gate) == pytest.approx(9.0 * 1.05)
    refuse(gate, 1.0)
    assert rate(gate) == pytest.approx(9.0 * 1.05 * 0.9)
    await asyncio.sleep(100)
    assert rate(gate) == pytest.approx(10.0)


@virtual
async def test_however_often_it_is_refused_half_of_the_promise_stays() -> None:
    gate = Gate()
    told(gate, TEN)
    for _ in range(20):
        await asyncio.sleep(0.01)
        refuse(gate, 0.0)
    assert rate(gate) == pytest.approx(5.0)


@virtual
async def test_another_promise_begins_anew_and_the_same_does_not() -> None:
    gate = Gate()
    told(gate, TEN)
    await asyncio.sleep(1)
    refuse(gate, 0.0)
    told(gate, TEN)
    assert rate(gate) == pytest.approx(9.0)
    told(gate, {"X-RateLimit-Limit-Second": "20"})
    assert rate(gate) == pytest.approx(20.0)


@virtual
async def test_what_was_sent_before_the_promise_was_known_does_not_count_against_it() -> None:
    gate = Gate()
    told(gate, TEN)
    gate.observe(429, TEN, now(), 1.0)
    assert rate(gate) == pytest.approx(10.0)
    assert gate.closed


@virtual
async def test_a_refusal_ends_the_burst_that_a_long_window_allows() -> None:
    gate = Gate()
    minute = {"X-RateLimit-Limit-Minute": "60", "X-RateLimit-Remaining": "31"}
    told(gate, minute)
    assert gate.rate_limit.rate is None
    await asyncio.sleep(1)
    refuse(gate, 1.0)
    assert rate(gate) == pytest.approx(0.9)


@pytest.mark.parametrize("remaining", ["30", "0", None])
@virtual
async def test_a_long_window_is_paced_once_half_of_it_is_used(remaining: str | None) -> None:
    gate = Gate()
    headers = {"X-RateLimit-Limit-Minute": "60"}
    told(gate, headers if remaining is None else {**headers, "X-RateLimit-Remaining": remaining})
    assert rate(gate) == pytest.approx(1.0)


@virtual
async def test_a_window_of_a_second_is_never_a_burst() -> None:
    gate = Gate()
    told(gate, {"X-RateLimit-Limit-Second": "10", "X-RateLimit-Remaining": "9"})
    assert rate(gate) == pytest.approx(10.0)


@virtual
async def test_none_left_puts_the_next_off_by_an_interval_and_never_sooner_than_it_was() -> None:
    gate = Gate()
    told(gate, {"X-RateLimit-Limit-Second": "10", "X-RateLimit-Remaining": "0"})
    assert gate._next_at == pytest.approx(now() + 0.1)
    told(gate, {"X-RateLimit-Limit-Second": "1000", "X-RateLimit-Remaining": "0"})
    assert gate._next_at == pytest.approx(now() + 0.1)
    told(gate, {"X-RateLimit-Limit-Second": "2", "X-RateLimit-Remaining": "1"})
    assert gate._next_at == pytest.approx(now() + 0.1)


@pytest.mark.parametrize(
    ("headers", "limit", "window", "remaining", "reset"),
    [
        ({"X-RateLimit-Limit-Second": "10", "X-RateLimit-Remaining-Second": "3"}, 10, 1.0, 3, None),
        (
            {"X-RateLimit-Limit-Minute": "600", "X-RateLimit-Remaining": "4", "X-RateLimit-Reset": "30"},
            *(600, 60.0, 4, 30.0),
        ),
        (
            {"X-RateLimit-Limit-Hour": "5", "X-RateLimit-Remaining": "9", "X-RateLimit-Remaining-Hour": "0"},
            *(5, 3600.0, 0, None),
        ),
        ({"RateLimit-Limit-Day": "86400", "RateLimit-Reset": "7"}, 86400, 86400.0, None, 7.0),
        ({"RateLimit-Limit": "100;w=20", "RateLimit-Remaining": "50"}, 100, 20.0, 50, None),
        ({"X-RateLimit-Limit": "100, 50;w=10", "X-RateLimit-Reset": "1"}, 100, 10.0, None, 1.0),
        ({"RateLimit-Limit": "100; w = 60"}, 100, 60.0, None, None),
        ({"RateLimit-Limit": "100"}, 100, None, None, None),
        ({"RateLimit-Limit": "100;w=0"}, 100, None, None, None),
        ({"X-RateLimit-Remaining": " 7 of many"}, None, None, 7, None),
        # A window's own limit counts for more than the plain one beside it.
        ({"X-RateLimit-Limit": "1;w=1", "X-RateLimit-Limit-Second": "5"}, 5, 1.0, None, None),
        # Of several the strictest, wherever it stands; what has no window is the least strict.
        ({"X-RateLimit-Limit-Second": "5", "RateLimit-Limit-Second": "9"}, 5, 1.0, None, None),
        ({"X-RateLimit-Limit-Second": "9", "RateLimit-Limit-Second": "5"}, 5, 1.0, None, None),
        ({"X-RateLimit-Limit-Second": "9", "X-RateLimit-Limit-Hour": "60"}, 60, 3600.0, None, None),
        ({"X-RateLimit-Limit": "1", "RateLimit-Limit-Second": "900"}, 900, 1.0, None, None),
        (
            {"X-RateLimit-Limit-Second": "9", "RateLimit-Limit": "80;w=10", "RateLimit-Remaining": "2"},
            80,
            10.0,
            2,
            None,
        ),
    ],
)
@virtual
async def test_what_the_headers_say_is_understood(
    headers: Mapping[str, str], limit: int | None, window: float | None, remaining: int | None, reset: float | None
) -> None:
    gate = Gate()
    told(gate, headers)
    said = gate.rate_limit
    assert (said.limit, said.window, said.remaining, said.reset) == (limit, window, remaining, reset)


@virtual
async def test_headers_that_say_nothing_leave_what_was_said() -> None:
    gate = Gate()
    told(gate, TEN)
    told(gate, {"X-RateLimit-Reset": "3", "Content-Type": "application/json"})
    assert gate.rate_limit.limit == 10
    assert gate.rate_limit.reset is None


def test_what_is_known_can_be_read_before_and_after_the_loop() -> None:
    throttle = Throttle()
    assert throttle.rate_limits == {}
    gate = throttle.gate("me")
    assert gate.rate_limit.rate is None

    async def main() -> None:
        told(gate, TEN)

    virtually(main)
    assert throttle.rate_limits["me"].rate == pytest.approx(10.0)
    assert throttle.gate("me") is gate


# --- who waits ---------------------------------------------------------------------------------------------------


@virtual
async def test_a_late_timer_is_made_up_for_by_no_more_than_a_twentieth_of_a_second() -> None:
    gate = Gate()
    told(gate, {"X-RateLimit-Limit-Second": "100"})
    await asyncio.sleep(100)
    start = now()
    times = await passing_times(gate, 12)
    # Five in one go, as if the gate had been watched all the time, and one that is due.
    assert [at - start < 0.001 for at in times] == [True] * 6 + [False] * 6


@virtual
async def test_the_time_for_which_the_gate_was_closed_is_not_made_up_for() -> None:
    gate = Gate()
    told(gate, TEN)
    await asyncio.sleep(1)
    refuse(gate, 5.0)
    opened = now() + 5.0
    first, second, *_ = await passing_times(gate, 3)
    assert first == pytest.approx(opened)
    assert second - first >= 0.0999


@virtual
async def test_who_would_have_to_wait_longer_than_allowed_is_told_how_long() -> None:
    gate = Gate()
    told(gate, {"X-RateLimit-Limit-Second": "2"})
    refuse(gate, 10.0)
    waiting = [asyncio.ensure_future(gate.enter(1e6)) for _ in range(4)]
    await asyncio.sleep(0)
    with pytest.raises(Held) as held:
        await gate.enter(11.9)
    assert held.value.seconds == pytest.approx(10.0 + 4 / 2)
    last = asyncio.ensure_future(gate.enter(12.1))
    await asyncio.gather(last, *waiting)
    assert last.result() == pytest.approx(12.0, abs=0.06)


@virtual
async def test_who_may_wait_no_longer_is_told_in_that_moment() -> None:
    """Caution became a limit while it waited, and the limit is slower than its patience."""

    gate = Gate()
    for _ in range(10):
        await gate.enter(1.0)
    first, second = (asyncio.ensure_future(gate.enter(5.0)) for _ in range(2))
    await asyncio.sleep(60)
    gate.observe(200, {"X-RateLimit-Limit-Minute": "6"}, now(), None)
    assert await first == 0.0
    with pytest.raises(Held) as held:
        await second
    assert now() == pytest.approx(65.0)
    assert held.value.seconds == pytest.approx(5.0, abs=0.06)
    assert not gate._waiters or gate._waiters[0].turn.done()
    # It took nobody's turn with it.
    assert await gate.enter(1e6) == pytest.approx(5.0, abs=0.06)


@virtual
async def test_a_gate_that_opens_in_the_last_moment_of_ones_patience_is_passed() -> None:
    gate = Gate()
    refuse(gate, 5.0)
    assert await gate.enter(5.0) == pytest.approx(5.0)


@virtual
async def test_another_closing_that_is_shorter_changes_nothing() -> None:
    gate = Gate()
    refuse(gate, 10.0)
    refuse(gate, 3.0)
    assert await gate.enter(100.0) == pytest.approx(10.0)


@virtual
async def test_whoever_is_on_the_way_to_the_gate_hears_of_a_closing_beyond_its_patience() -> None:
    gate = Gate()

    async def queue(budget: float) -> str:
        async with gate.bounded(budget):
            await asyncio.sleep(100)
        return "there"

    hasty, patient = asyncio.ensure_future(queue(5.0)), asyncio.ensure_future(queue(60.0))
    await asyncio.sleep(1)
    refuse(gate, 5.0)
    await asyncio.sleep(1)
    assert not hasty.done()
    refuse(gate, 30.0)
    with pytest.raises(Held) as held:
        await hasty
    assert held.value.seconds == pytest.approx(30.0)
    assert now() == pytest.approx(2.0)
    with pytest.raises(Held) as held:
        await queue(5.0)
    assert held.value.seconds == pytest.approx(30.0)
    assert await patient == "there"
    assert gate._bounds == {}
    assert await queue(0.0) == "there"


@virtual
async def test_leaving_lets_the_next_one_pass_and_no_more() -> None:
    gate = Gate()
    for _ in range(10):
        assert gate.enter_at_once()
    assert not gate.enter_at_once()
    waiting = [asyncio.ensure_future(gate.enter(1.0)) for _ in range(3)]
    await asyncio.sleep(1)
    assert not any(each.done() for each in waiting)
    gate.leave()
    await asyncio.sleep(1)
    assert [each.done() for each in waiting] == [True, False, False]
    # Who comes later queues, even where there would be room.
    gate._allowed = 50
    assert not gate.enter_at_once()
    gate.leave()
    await asyncio.sleep(1)
    assert all(each.done() for each in waiting)
    assert gate.enter_at_once()


@virtual
async def test_the_wait_that_counts_is_the_limits_and_not_that_of_caution() -> None:
    gate = Gate()
    for _ in range(10):
        await gate.enter(1.0)
    waiting = asyncio.ensure_future(gate.enter(50.0))
    await asyncio.sleep(60)
    refuse(gate, 20.0)
    assert await waiting == pytest.approx(20.0)
    assert now() == pytest.approx(80.0)
