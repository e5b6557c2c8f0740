"""The wait of a request for its turn, with a limiter that the test decides for."""

from __future__ import annotations

import asyncio
import math
import threading
from typing import Any, cast

import pytest

from aiocircle import ConfigurationError, RateLimited, RateLimiter, Throttle
from aiocircle._core.admission_queue import Queue
from aiocircle._core.message import Request, Response
from aiocircle._core.rate_limiter import MAX_FAMILIES
from aiocircle._core.throttle import Caller, Places
from aiocircle.testing.virtual_time import VirtualTimeLoop
from tests.support.limiters import Limiter
from tests.support.loops import counting_loop, iterate, now, virtually
from tests.support.rows import each_row

FAMILY = "v2/me"
OK = Response(200, {}, b"")
TOO_MANY = Response(429, {}, b"")


def a_caller(size: int = 2) -> Caller:
    return Caller("account", Places(size))


class Calls:
    """Calls of admit(), each in a task. log: the names of those that were admitted, with the times."""

    def __init__(self, limiter: Limiter, size: int = 2) -> None:
        self.limiter = limiter
        self.throttle = Throttle(limiter)
        self.caller = a_caller(size)
        self.log: list[tuple[str, float]] = []

    async def start(
        self, name: str, max_wait: float = 1000.0, caller: Caller | None = None, **options: bool
    ) -> asyncio.Task[Queue]:
        """Start a call, and return its task when it waits."""

        async def call() -> Queue:
            request = Request("GET", f"https://x.example.com/{name}", {})
            queue = await self.throttle.admit(caller or self.caller, FAMILY, request, max_wait, **options)
            self.log.append((name, now()))
            return queue

        task = asyncio.ensure_future(call())
        await iterate()
        return task

    @property
    def names(self) -> str:
        return " ".join(name for name, _ in self.log)

    @property
    def queue(self) -> Queue:
        return self.caller.queues[FAMILY]

    def assert_idle(self) -> None:
        """Nothing waits, and each place and permission was given back once."""
        assert self.caller.places.free == self.caller.places.size
        assert not self.caller.places.queues
        assert self.queue.is_idle
        assert self.queue.in_flight == self.limiter.in_flight
        assert self.limiter.waits == 0
        assert timers() == []


def timers() -> list[float]:
    """Return the times of the loop's timers that were not cancelled."""
    scheduled = cast("list[asyncio.TimerHandle]", getattr(asyncio.get_running_loop(), "_scheduled"))  # noqa: B009
    return [timer.when() for timer in scheduled if not timer.cancelled()]


async def refused(task: asyncio.Task[Queue]) -> RateLimited:
    """Return the error of a call that is refused. One that hangs fails."""
    with pytest.raises(RateLimited) as caught:
        async with asyncio.timeout(1e6):
            await task
    return caught.value


# --- the limiter -----------------------------------------------------------------------------------------------


@each_row(
    ("value", "name"),
    [(5, "int"), ("secret", "str"), (object(), "object"), (Throttle, "Throttle"), (Limiter, "Limiter")],
)
def test_another_object_is_not_a_limiter(value: Any, name: str) -> None:
    """The error names its type, or the class that was passed in place of an instance. It never shows the value."""
    with pytest.raises(ConfigurationError, match=f"must be a Throttle or a RateLimiter, got {name}[.] Pass"):
        Throttle(value)


@virtually
async def test_own_limiter_decides() -> None:
    """Its permissions are used, its limits are shown, and close() closes it."""
    limiter = Limiter(permits=1)
    assert isinstance(limiter, RateLimiter)
    throttle, caller = Throttle(limiter), a_caller()
    before = throttle.rate_limits("account")
    queue = throttle.admit_nowait(caller, FAMILY)
    assert queue is not None
    assert throttle.admit_nowait(caller, FAMILY) is None
    queue.release(caller, OK, 3.0)
    assert limiter.families == {("account", FAMILY)}
    assert [update.sent_at for update in limiter.updates] == [3.0]
    assert before == throttle.rate_limits("account") == limiter.rate_limits("account")
    await throttle.close()
    assert limiter.is_closed


@virtually
async def test_default_limiter_learns_by_itself() -> None:
    """A Throttle without a limiter knows no limits until the API has announced some."""
    throttle, caller = Throttle(), a_caller()
    assert throttle.rate_limits("account") == {}
    queue = throttle.admit_nowait(caller, FAMILY)
    assert queue is not None
    headers = {"X-RateLimit-Limit-Second": "20", "X-RateLimit-Remaining-Second": "5"}
    queue.release(caller, Response(200, headers, b""), 0.0)
    assert throttle.rate_limits("account")[FAMILY].limit == 20
    assert throttle.rate_limits("other") == {}
    await throttle.close()


# --- queues ----------------------------------------------------------------------------------------------------


@virtually
async def test_one_queue_for_each_account_and_family() -> None:
    """All clients with one token share it. Other tokens and families have their own."""
    throttle = Throttle(Limiter())
    places = Places(10)
    mine, copy, other = Caller("account", places), Caller("account", places), Caller("other", places)
    queues = [throttle.admit_nowait(caller, FAMILY) for caller in (mine, mine, copy, other)]
    queues.append(throttle.admit_nowait(mine, "v2/project"))
    request = Request("GET", "https://x.example.com/", {})
    queues.append(await throttle.admit(mine, FAMILY, request, 0.0))
    found = [(queue.account, queue.family) for queue in queues if queue is not None]
    assert found == [*[("account", FAMILY)] * 3, ("other", FAMILY), ("account", "v2/project"), ("account", FAMILY)]
    assert queues[0] is queues[1] is queues[2] is queues[5]
    assert len({id(queue) for queue in queues}) == 3
    assert places.free == 4


@virtually
async def test_queue_is_looked_up_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A caller keeps the queue of each family: the next requests pay for no lock and no look at the loop."""
    throttle, caller = Throttle(Limiter()), a_caller(3)
    first = throttle.admit_nowait(caller, FAMILY)
    monkeypatch.setattr(Throttle, "_find", None)
    assert throttle.admit_nowait(caller, FAMILY) is first
    assert throttle.admit_nowait(caller, FAMILY) is first
    assert throttle.admit_nowait(caller, FAMILY) is None


@virtually
async def test_callers_keep_a_bounded_number_of_queues() -> None:
    """Raw paths have ids in their first segment: what a caller keeps does not grow with them."""
    throttle, caller = Throttle(Limiter(1000)), a_caller(1000)
    for number in range(MAX_FAMILIES):
        throttle.admit_nowait(caller, f"v2/{number}")
    assert len(caller.queues) == MAX_FAMILIES
    queue = throttle.admit_nowait(caller, "v2/next")
    assert caller.queues == {"v2/next": queue}


@virtually
async def test_idle_queues_are_forgotten() -> None:
    """The Throttle keeps a bounded number of them. A caller that knew one that was forgotten gets a new one."""
    limiter = Limiter(1000)
    throttle, caller = Throttle(limiter), a_caller(1000)
    busy = throttle.admit_nowait(caller, "v2/busy")
    idle = throttle.admit_nowait(caller, "v2/idle")
    assert busy is not None
    assert idle is not None
    idle.release(caller, OK, 0.0)
    for number in range(MAX_FAMILIES - 2):
        throttle.admit_nowait(a_caller(), f"v2/{number}")
    assert not idle.is_retired
    throttle.admit_nowait(a_caller(), "v2/next")
    assert idle.is_retired
    assert not busy.is_retired
    assert throttle.admit_nowait(caller, "v2/busy") is busy
    again = throttle.admit_nowait(caller, "v2/idle")
    assert again is not None
    assert again is not idle
    assert throttle.admit_nowait(caller, "v2/idle") is again


@virtually
async def test_busy_queues_are_not_forgotten() -> None:
    """With requests in flight in more families than are kept, all of them stay and one more is admitted."""
    throttle, caller = Throttle(Limiter(1000)), a_caller(1000)
    queues = [throttle.admit_nowait(caller, f"v2/{number}") for number in range(MAX_FAMILIES + 2)]
    for number, queue in enumerate(queues):
        assert queue is not None
        assert not queue.is_retired
        assert throttle.admit_nowait(a_caller(), f"v2/{number}") is queue


# --- event loops -----------------------------------------------------------------------------------------------


def test_each_loop_starts_with_new_queues() -> None:
    """After the end of a loop, requests in flight there count no more, and a waiting one blocks no other."""
    limiter = Limiter()
    throttle = Throttle(limiter)
    queues: list[Queue] = []

    async def main() -> None:
        caller = a_caller()
        limiter.permits = 2
        for _ in range(2):
            queue = throttle.admit_nowait(caller, FAMILY)
            assert queue is not None
            assert queue.loop is asyncio.get_running_loop()
            queues.append(queue)
        waiting = asyncio.ensure_future(
            throttle.admit(caller, FAMILY, Request("GET", "https://x.example.com", {}), 1.0)
        )
        await iterate()
        assert not waiting.done()

    for _ in range(3):
        with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
            runner.run(main())
    assert [queues[number] is queues[number + 1] for number in range(5)] == [True, False, True, False, True]
    assert [queue.is_retired for queue in queues] == [True] * 4 + [False] * 2
    assert [queue.in_flight for queue in queues] == [2] * 6


def test_loop_that_runs_again_starts_afresh() -> None:
    """Two loops run in turn. A caller of the first one leaves the queue that it knew there."""
    throttle = Throttle(Limiter())

    async def admit(caller: Caller) -> Queue:
        queue = throttle.admit_nowait(caller, FAMILY)
        assert queue is not None
        return queue

    with (
        asyncio.Runner(loop_factory=VirtualTimeLoop) as first,
        asyncio.Runner(loop_factory=VirtualTimeLoop) as second,
    ):
        callers = a_caller(), a_caller()
        queues = [first.run(admit(callers[0])), second.run(admit(callers[1])), first.run(admit(callers[0]))]
        loops = [first.get_loop(), second.get_loop(), first.get_loop()]
    assert [queue.loop for queue in queues] == loops
    assert queues[0] is not queues[2]
    assert [queue.is_retired for queue in queues] == [True, True, False]


def test_each_loop_has_its_own_default_limiter() -> None:
    """The default limiter forgets its limits at the end of a loop, whose clock they depend on."""
    throttle = Throttle()

    async def main() -> list[float | None]:
        known = [found.limit for found in throttle.rate_limits("account").values()]
        caller = a_caller()
        queue = throttle.admit_nowait(caller, FAMILY)
        assert queue is not None
        assert [found.limit for found in throttle.rate_limits("account").values()] == [None]
        headers = {"X-RateLimit-Limit-Second": "20", "X-RateLimit-Remaining-Second": "5"}
        queue.release(caller, Response(200, headers, b""), 0.0)
        return [*known, *[found.limit for found in throttle.rate_limits("account").values()]]

    found: list[list[float | None]] = []
    for _ in range(2):
        with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
            found.append(runner.run(main()))
    assert found == [[20], [20, 20]]


@virtually
async def test_second_running_loop_is_an_error() -> None:
    """Its call fails with the remedy, and the first loop's queue stays in use."""
    throttle, caller = Throttle(Limiter()), a_caller()
    queue = throttle.admit_nowait(caller, FAMILY)
    errors: list[ConfigurationError] = []

    async def other() -> None:
        with pytest.raises(ConfigurationError, match="one Throttle for each running loop") as caught:
            throttle.admit_nowait(a_caller(), FAMILY)
        errors.append(caught.value)

    def run() -> None:
        with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
            runner.run(other())

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert len(errors) == 1
    assert queue is not None
    assert not queue.is_retired
    assert throttle.admit_nowait(a_caller(), FAMILY) is queue


# --- max_wait --------------------------------------------------------------------------------------------------


@virtually
async def test_free_request_need_not_wait() -> None:
    """With a place and a permission, admit() does not even wait for one iteration of the loop."""
    calls = Calls(Limiter())
    iterations = counting_loop().iterations
    request = Request("GET", "https://x.example.com/", {})
    queue = await calls.throttle.admit(calls.caller, FAMILY, request, 0.0)
    assert counting_loop().iterations == iterations
    assert (queue.in_flight, calls.caller.places.free) == (1, 1)
    assert timers() == []


@pytest.mark.parametrize(("comes_at", "is_admitted"), [(3.0, True), (5.0, True), (5.005, True), (5.02, False)])
@virtually
async def test_permission_comes_within_max_wait(comes_at: float, is_admitted: bool) -> None:
    """One that comes with the end of max_wait is still used. Afterwards the request is refused."""
    calls = Calls(Limiter(permits=0))
    counting_loop().jump(100.0)
    task = await calls.start("a", 5.0)
    other = await calls.start("b", 1000.0)
    counting_loop().call_at(100.0 + comes_at, calls.limiter.grant)
    if is_admitted:
        queue = await task
        assert calls.names == "a"
        assert now() == pytest.approx(100.0 + comes_at, abs=1e-6)
        queue.release(calls.caller, OK, now())
    else:
        await refused(task)
        assert now() == pytest.approx(105.01, abs=1e-6)
        queue = await other
        assert calls.names == "b"
        queue.release(calls.caller, OK, now())
    other.cancel()
    await iterate()
    calls.assert_idle()


@virtually
async def test_refused_request_names_what_it_was() -> None:
    """The error is of a request that was not sent: with its method and URL, and without what is secret in it."""
    throttle = Throttle(Limiter(permits=0))
    request = Request("DELETE", "https://x.example.com/api/v2/me?circle-token=secret", {})
    error = await refused(asyncio.ensure_future(throttle.admit(a_caller(), FAMILY, request, 5.0)))
    assert (error.status, error.method, error.is_local, error.retry_after) == (429, "DELETE", True, None)
    assert error.url == request.redacted_url != request.url
    assert str(error).startswith("DELETE")
    assert "secret" not in str(error)
    assert "not sent: the rate limit of v2/me delayed it, longer than max_wait permits" in str(error)
    assert "RetryPolicy(max_wait=None) sets no bound" in str(error)


@virtually
async def test_refusal_names_max_concurrency() -> None:
    """The rate permits the request, but all places are taken: the error has their number."""
    calls = Calls(Limiter(), size=3)
    for name in ("a", "b", "c"):
        await calls.start(name)
    error = await refused(await calls.start("d", 5.0))
    assert "max_concurrency (3 requests in flight) delayed it" in str(error)
    assert error.retry_after is None
    assert now() == pytest.approx(5.01, abs=1e-6)
    for _ in range(3):
        calls.queue.release(calls.caller, OK, now())
    calls.assert_idle()


@pytest.mark.parametrize("seconds", [0.5, 1.0, 60.0])
@virtually
async def test_refusal_names_the_closing(seconds: float) -> None:
    """The family is closed for longer than the request may wait: it fails immediately, with the seconds."""
    calls = Calls(Limiter())
    counting_loop().jump(100.0)
    calls.limiter.close_for(seconds)
    calls.limiter.permits = 0
    error = await refused(await calls.start("a", seconds - 0.1))
    assert now() == 100.0
    assert error.retry_after == pytest.approx(seconds)
    assert f"the rate limit of v2/me delays it for {seconds:.1f} s, longer than max_wait permits" in str(error)
    assert error.url == "https://x.example.com/a"
    calls.assert_idle()


@pytest.mark.parametrize(("closed", "is_refused"), [(0.01, False), (0.02, True)])
@virtually
async def test_closing_may_end_with_max_wait(closed: float, is_refused: bool) -> None:
    """A request waits for the end of a closing that it can still reach, to the hundredth of a second."""
    calls = Calls(Limiter(permits=0))
    calls.limiter.close_for(closed)
    task = await calls.start("a", 0.0)
    assert task.done() is is_refused
    if is_refused:
        assert (await refused(task)).retry_after == closed
    else:
        calls.limiter.grant()
        queue = await task
        queue.release(calls.caller, OK, now())
    calls.assert_idle()


@virtually
async def test_closing_refuses_those_that_wait() -> None:
    """A 429 closes the family for longer than a waiting request may wait: it fails then, not at the end of max_wait."""
    calls = Calls(Limiter(permits=1))
    queue = await (await calls.start("a"))
    hasty = await calls.start("b", 50.0)
    other = await calls.start("c", 1000.0)
    counting_loop().jump(5.0)
    calls.limiter.close_for(60.0)
    queue.release(calls.caller, TOO_MANY, 0.0)
    error = await refused(hasty)
    assert now() == 5.0
    assert error.retry_after == 60.0
    assert error.url == "https://x.example.com/b"
    assert "delays it for 60.0 s" in str(error)
    assert not other.done()
    other.cancel()
    await iterate()
    calls.assert_idle()


@virtually
async def test_late_refusal_has_the_rest_of_a_closing() -> None:
    """At the end of max_wait the family was closed by another process: the error has the seconds that are left."""
    calls = Calls(Limiter(permits=0))
    task = await calls.start("a", 5.0)
    calls.limiter.closed_until = 20.0
    error = await refused(task)
    assert error.retry_after == pytest.approx(14.99, abs=1e-6)
    calls.assert_idle()


@virtually
async def test_no_bound_sets_no_timer() -> None:
    """max_wait=None: a request waits for days, and the loop has nothing to wake up for."""
    calls = Calls(Limiter(permits=0))
    bounded = await calls.start("a", 5.0)
    assert timers() == [5.01]
    unbounded = await calls.start("b", math.inf)
    assert timers() == [5.01]
    await refused(bounded)
    assert timers() == []
    counting_loop().jump(1e6)
    calls.limiter.grant()
    queue = await unbounded
    queue.release(calls.caller, OK, now())
    calls.assert_idle()


@virtually
async def test_ended_wait_leaves_no_timer() -> None:
    """Timers of an hour do not pile up behind requests that were admitted after a moment."""
    calls = Calls(Limiter(permits=0))
    tasks = [await calls.start(name, 3600.0) for name in "ab"]
    assert timers() == [3600.01] * 2
    calls.limiter.grant()
    queue = await tasks[0]
    assert timers() == [3600.01]
    tasks[1].cancel()
    await iterate()
    assert timers() == []
    queue.release(calls.caller, OK, now())
    calls.assert_idle()


# --- the order -------------------------------------------------------------------------------------------------


@virtually
async def test_retry_goes_first() -> None:
    """A retry goes before the other requests of its caller. Without that, they are sent in their order."""
    calls = Calls(Limiter(), size=1)
    tasks = [await calls.start(name) for name in ("a", "b", "c")]
    tasks += [await calls.start("r", is_retry=True), await calls.start("d", is_retry=False)]
    for _ in range(5):
        calls.queue.release(calls.caller, OK, 0.0)
        await iterate()
    assert calls.names == "a r b c d"
    assert all(task.done() for task in tasks)
    calls.assert_idle()


@virtually
async def test_callers_take_turns() -> None:
    """A request next to a bulk job is the next but one that is sent."""
    calls = Calls(Limiter(), size=1)
    copy = Caller("account", calls.caller.places)
    for name in ("a1", "a2", "a3", "a4"):
        await calls.start(name)
    await calls.start("b1", caller=copy)
    await calls.start("b2", caller=copy)
    for _ in range(6):
        calls.queue.release(calls.caller, OK, 0.0)
        await iterate()
    assert calls.names == "a1 a2 b1 a3 b2 a4"
    calls.assert_idle()


@virtually
async def test_voided_request_keeps_its_turn() -> None:
    """The family was closed after its permission and before its task ran: it waits again, before its caller's others.

    Its permission is given back, and it is sent once, after the closing.
    """
    calls = Calls(Limiter(), size=2)
    first, second = [await (await calls.start(name)) for name in ("a", "b")]
    for name in ("c", "d"):
        await calls.start(name)
    first.release(calls.caller, OK, 0.0)  # admits c, whose task has not run
    calls.limiter.permits = 0
    calls.limiter.close_for(30.0)
    second.release(calls.caller, TOO_MANY, 0.0)
    await iterate()
    assert calls.names == "a b"
    assert (calls.queue.in_flight, calls.limiter.in_flight, calls.caller.places.free) == (0, 0, 2)
    counting_loop().jump(30.0)
    for _ in range(2):
        calls.limiter.grant()
        await iterate()
    assert calls.log[2:] == [("c", 30.0), ("d", 30.0)]
    for _ in range(2):
        calls.queue.release(calls.caller, OK, 30.0)
    calls.assert_idle()


@virtually
async def test_voided_request_is_refused() -> None:
    """The closing is longer than it may wait: it fails without another turn."""
    calls = Calls(Limiter(), size=2)
    first, second = [await (await calls.start(name)) for name in ("a", "b")]
    task = await calls.start("c", 10.0)
    first.release(calls.caller, OK, 0.0)
    calls.limiter.close_for(30.0)
    second.release(calls.caller, TOO_MANY, 0.0)
    error = await refused(task)
    assert error.retry_after == 30.0
    assert calls.names == "a b"
    calls.assert_idle()


# --- cancellation ----------------------------------------------------------------------------------------------


@virtually
async def test_cancelled_wait_leaves_nothing() -> None:
    """A request that waits is cancelled: it has no turn any more, and the wait for its permission ends."""
    calls = Calls(Limiter(permits=0))
    task = await calls.start("a")
    assert calls.limiter.waits == 1
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await iterate()
    calls.assert_idle()
    assert calls.limiter.in_flight == 0


@virtually
async def test_cancelled_turn_is_passed_on() -> None:
    """Admitted and cancelled in the same iteration of the loop: the next request takes the turn in the same one."""
    calls = Calls(Limiter(permits=1), size=1)
    queue = await (await calls.start("a"))
    first, second = await calls.start("b"), await calls.start("c")
    calls.limiter.permits = 1
    queue.release(calls.caller, OK, 0.0)
    first.cancel()
    await iterate()
    assert first.cancelled()
    assert second.done()
    assert calls.names == "a c"
    assert (calls.queue.in_flight, calls.limiter.in_flight, calls.caller.places.free) == (1, 1, 0)
    calls.queue.release(calls.caller, OK, 0.0)
    calls.assert_idle()


@pytest.mark.parametrize("moment", range(-3, 6))
@pytest.mark.parametrize("closed", [0.0, 30.0], ids=["200", "429"])
@virtually
async def test_cancellation_at_each_moment(closed: float, moment: int) -> None:
    """Some iterations before or after its turn came: the others are sent once, and nothing stays counted."""
    calls = Calls(Limiter(), size=2)
    first, second = [await (await calls.start(name)) for name in ("a", "b")]
    tasks = [await calls.start(name) for name in ("c", "d", "e")]

    def end() -> None:
        first.release(calls.caller, OK, 0.0)
        calls.limiter.close_for(closed)
        second.release(calls.caller, TOO_MANY if closed else OK, 0.0)

    counting_loop().at_iteration(5, end)
    counting_loop().at_iteration(5 + moment, tasks[0].cancel)
    for _ in range(5):
        await iterate()
        for _ in range(calls.queue.in_flight - calls.queue._has_permission):
            calls.queue.release(calls.caller, OK, now())
    assert [task.done() for task in tasks] == [True] * 3
    # In the first iterations after its turn, it may have been sent.
    assert calls.names in {"a b d e"} | ({"a b c d e"} if moment >= 0 else set())
    assert tasks[0].cancelled() is ("c" not in calls.names)
    calls.assert_idle()


@virtually
async def test_refused_request_passes_no_turn_on() -> None:
    """Its time ends while others wait: they are admitted one by one as before."""
    calls = Calls(Limiter(), size=1)
    queue = await (await calls.start("a"))
    hasty = await calls.start("b", 1.0)
    await calls.start("c")
    await refused(hasty)
    assert calls.names == "a"
    queue.release(calls.caller, OK, now())
    await iterate()
    assert calls.names == "a c"
    queue.release(calls.caller, OK, now())
    calls.assert_idle()


@virtually
async def test_broken_limiter_fails_the_request() -> None:
    """The caller gets the limiter's own error, of acquire() or of acquire_nowait()."""
    calls = Calls(Limiter(permits=0))
    error = RuntimeError("broken")
    task = await calls.start("a")
    calls.limiter.grant(error)
    await iterate()
    assert task.exception() is error
    calls.limiter.error = error
    task = await calls.start("b")
    assert task.exception() is error
    calls.assert_idle()


@virtually
async def test_broken_limiter_ends_a_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its closed_for() raises when max_wait ends: the request fails with that error and does not hang."""
    calls = Calls(Limiter(permits=0))
    task = await calls.start("a", 5.0)

    def closed_for(account: str, family: str) -> float:
        raise RuntimeError("broken")

    monkeypatch.setattr(calls.limiter, "closed_for", closed_for)
    with pytest.raises(RuntimeError, match="broken"):
        async with asyncio.timeout(1e6):
            await task
    assert now() == pytest.approx(5.01, abs=1e-6)
    calls.assert_idle()


@virtually
async def test_broken_limiter_passes_a_turn_on() -> None:
    """Its update() raises when a void permission is given back: the place goes to the next request all the same."""
    calls = Calls(Limiter(), size=2)
    first, second = [await (await calls.start(name)) for name in ("a", "b")]
    tasks = [await calls.start(name) for name in ("c", "d", "e")]
    first.release(calls.caller, OK, 0.0)  # admits c, whose task has not run
    calls.limiter.close_for(30.0)
    second.release(calls.caller, TOO_MANY, 0.0)
    calls.limiter.broken_update = RuntimeError("broken")
    await iterate()
    assert tasks[0].exception() is calls.limiter.broken_update
    calls.limiter.broken_update = None
    assert calls.names == "a b d e"
    for _ in range(2):
        calls.queue.release(calls.caller, OK, 0.0)
    calls.assert_idle()
