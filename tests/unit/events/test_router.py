"""The router: statuses in their order, duplicates, handlers, and the end of a run."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import random
import threading
from collections import Counter
from collections.abc import Callable
from contextlib import aclosing
from typing import Any

import pytest

from aiocircle import ConfigurationError, InvalidArgument
from aiocircle.events import EventRouter, JobCompleted, Ping, UnknownEvent, WorkflowCompleted, sign
from aiocircle.testing.virtual_time import VirtualTimeLoop
from tests.support import events as bodies

SECRET = "the-secret"


def send(router: EventRouter, event: Any, secret: str = SECRET) -> int:
    body = event if isinstance(event, bytes) else json.dumps(event).encode()
    return router.receive(body, {"Circleci-Signature": sign(body, secret)})


def ping(event_id: Any) -> dict[str, Any]:
    return {"type": "ping", "id": event_id}


async def turns(number: int = 5) -> None:
    for _ in range(number):
        await asyncio.sleep(0)


class Recorder:
    """A handler that records the ids of its events, and waits for an event if it is cleared."""

    def __init__(self, router: EventRouter, event_type: Any = Ping) -> None:
        self.started: list[str] = []
        self.ended: list[str] = []
        self.go_on = asyncio.Event()
        self.go_on.set()
        router.on(event_type)(self.handle)

    async def handle(self, event: Any) -> None:
        self.started.append(event.id)
        await self.go_on.wait()
        self.ended.append(event.id)


# --- statuses -------------------------------------------------------------------------------------------------


async def test_event_is_accepted_once() -> None:
    """The first delivery is 202, each later one 200, and the handler is called once."""
    router = EventRouter(SECRET)
    recorder = Recorder(router, WorkflowCompleted)
    async with router:
        assert send(router, bodies.workflow_completed("a")) == 202
        assert send(router, bodies.workflow_completed("a")) == 200
        assert recorder.started == [], "receive does not wait for a handler, nor call it"
        await turns()
        assert send(router, bodies.workflow_completed("a")) == 200
        await turns()
    assert recorder.ended == ["a"]


async def test_same_id_of_another_type_is_another_event() -> None:
    """An event is known by its type and its id."""
    router = EventRouter(SECRET)
    async with router:
        assert send(router, bodies.workflow_completed("a")) == 202
        assert send(router, bodies.job_completed("a")) == 202
        assert send(router, {"type": "novel", "id": "a"}) == 202
        assert send(router, {"type": "novel", "id": "a"}) == 200


@pytest.mark.parametrize("event", [{"type": "ping"}, {"type": "ping", "id": ""}, {"type": "novel", "id": 5}])
async def test_event_without_id_is_never_a_duplicate(event: dict[str, Any]) -> None:
    """Without an id nothing shows that it came before."""
    router = EventRouter(SECRET)
    calls: list[Any] = []
    router.on(Ping)(calls.append)
    router.on(UnknownEvent)(calls.append)
    async with router:
        assert [send(router, event) for _ in range(3)] == [202, 202, 202]
    assert len(calls) == 3


async def test_refusals_come_in_their_order() -> None:
    """413 before 401, 401 before 400, and all of them before 503 and 200."""
    router = EventRouter(SECRET, max_body=100)
    large, malformed, good = b"x" * 101, b"{", b'{"type": "ping", "id": "a"}'
    wrong = {"circleci-signature": "v1=0"}

    def refused() -> list[int]:
        return [
            router.receive(large, wrong),
            send(router, large),
            router.receive(malformed, wrong),
            router.receive(good, wrong),
            router.receive(good, {}),
            send(router, malformed),
            send(router, b"[]"),
        ]

    expected = [413, 413, 401, 401, 401, 400, 400]
    assert refused() == expected, "before the run"
    assert send(router, good) == 503
    async with router:
        assert send(router, good) == 202
        assert send(router, good) == 200
        assert refused() == expected
    assert refused() == expected, "after the run"
    assert send(router, good) == 503


async def test_body_of_the_limit_is_accepted() -> None:
    """The limit itself is allowed."""
    body = b'{"type": "ping"}'
    router = EventRouter(SECRET, max_body=len(body))
    async with router:
        assert send(router, body) == 202
        assert send(router, body + b" ") == 413


async def test_rotated_secrets_are_accepted() -> None:
    """The old and the new secret work while the webhook is changed."""
    router = EventRouter(["new", "old"])
    async with router:
        assert send(router, ping("a"), "old") == 202
        assert send(router, ping("b"), "new") == 202
        assert send(router, ping("c"), "older") == 401


async def test_none_takes_unsigned_events(caplog: pytest.LogCaptureFixture) -> None:
    """Without a secret unsigned and signed events are accepted. One warning is logged."""
    router = EventRouter(None)
    async with router:
        assert router.receive(b'{"type": "ping"}', {}) == 202
        assert send(router, ping("a")) == 202
        assert router.receive(b"{", {}) == 400
    warnings = [record.getMessage() for record in caplog.records if "unsigned" in record.getMessage()]
    assert len(warnings) == 1


async def test_full_queue_is_503(caplog: pytest.LogCaptureFixture) -> None:
    """A full queue refuses new events, which can be sent again. It is logged once, until there is room."""
    router = EventRouter(SECRET, queue_size=2, workers=1)
    recorder = Recorder(router)
    recorder.go_on.clear()
    async with router:
        assert send(router, ping("in work")) == 202
        await turns()
        assert [send(router, ping(each)) for each in ("a", "b", "c", "c", "d")] == [202, 202, 503, 503, 503]
        assert send(router, ping("a")) == 200, "a duplicate needs no room"
        assert caplog.text.count("queue is full") == 1
        recorder.go_on.set()
        await turns(20)
        assert send(router, ping("c")) == 202
    assert recorder.ended == ["in work", "a", "b", "c"]


@pytest.mark.parametrize("body", ["{}", {"type": "ping"}, None])
async def test_decoded_body_is_refused(body: Any) -> None:
    """It is a mistake of the program, not of the sender."""
    with pytest.raises(InvalidArgument, match="body must be bytes"):
        EventRouter(SECRET).receive(body, {})


@pytest.mark.parametrize(
    "options",
    [
        *[{name: value} for name in ("queue_size", "workers", "max_body") for value in (0, -1, 1.5, True, "4", None)],
        *[{"remember": value} for value in (-1, 1.5, True, None)],
        *[{"drain": value} for value in (-0.1, float("inf"), float("nan"), "5", True, None)],
    ],
    ids=str,
)
def test_wrong_option_is_configuration_error(options: dict[str, Any]) -> None:
    """The error names the option, what it must be, and what it is."""
    (name,) = options
    with pytest.raises(ConfigurationError, match=f"^{name} must be"):
        EventRouter(SECRET, **options)


# --- handlers -------------------------------------------------------------------------------------------------


async def test_handlers_get_their_types() -> None:
    """Each handler gets the events of its type, with all handlers of a type called in order."""
    router = EventRouter(SECRET)
    calls: list[str] = []

    @router.on(WorkflowCompleted)
    async def first(event: WorkflowCompleted) -> None:
        calls.append(f"first {event.id}")

    @router.on(JobCompleted)
    @router.on(WorkflowCompleted)
    async def second(event: WorkflowCompleted | JobCompleted) -> None:
        calls.append(f"second {event.id}")

    @router.on(UnknownEvent)
    def plain(event: UnknownEvent) -> None:
        calls.append(f"plain {event.type}")

    async with router:
        for event in (bodies.workflow_completed("w"), bodies.job_completed("j"), ping("p"), {"type": "new", "id": "u"}):
            assert send(router, event) == 202
    assert sorted(calls) == ["first w", "plain new", "second j", "second w"]
    assert calls.index("first w") < calls.index("second w")


def test_wrong_handler_is_configuration_error() -> None:
    """A type that is not an event, and a handler that cannot be called."""
    router = EventRouter(SECRET)
    wrong: Any = str
    with pytest.raises(ConfigurationError, match=r"^event_type must be"):
        router.on(wrong)
    wrong = None
    with pytest.raises(ConfigurationError, match=r"^handler must be"):
        router.on(Ping)(wrong)


def _cancel_self() -> None:
    task = asyncio.current_task()
    assert task is not None
    task.cancel()


async def _raise(error: BaseException) -> None:
    raise error


async def _cancel_and_wait() -> None:
    _cancel_self()
    await asyncio.sleep(1.0)


async def _cancel_and_return() -> None:
    _cancel_self()


FAILURES: dict[str, Callable[[], Any]] = {
    "an error": lambda: _raise(ValueError("boom")),
    "a CancelledError": lambda: _raise(asyncio.CancelledError()),
    "a group": lambda: _raise(ExceptionGroup("boom", [ValueError()])),
    "its own cancellation": _cancel_and_wait,
    "its own cancellation, at its end": _cancel_and_return,
    "a timeout": lambda: asyncio.wait_for(asyncio.Event().wait(), 1.0),
}


@pytest.mark.parametrize("name", FAILURES)
async def test_failing_handler_stops_nothing(name: str, caplog: pytest.LogCaptureFixture) -> None:
    """The error is logged with the event's id. Other events are handled, and this one is not handled again."""
    router = EventRouter(SECRET, workers=1)
    calls: list[str | None] = []

    @router.on(Ping)
    async def fail(event: Ping) -> None:
        calls.append(event.id)
        if event.id == "bad":
            await FAILURES[name]()

    async with router:
        assert [send(router, ping(each)) for each in ("a", "bad", "b")] == [202] * 3
        await asyncio.sleep(5.0)
        assert send(router, ping("bad")) == 200
    assert calls == ["a", "bad", "b"]
    assert "not handled" not in caplog.text
    if name != "its own cancellation, at its end":
        (record,) = [record for record in caplog.records if "failed" in record.getMessage()]
        assert "ping bad failed" in record.getMessage()
        assert "fail" in record.getMessage()
        assert record.exc_info


@pytest.mark.parametrize("name", FAILURES)
async def test_next_handler_runs_after_a_failure(name: str) -> None:
    """A failure of one handler is not one of the others, also if it cancelled its task."""
    router = EventRouter(SECRET)
    ended: list[str] = []

    @router.on(Ping)
    async def fail(event: Ping) -> None:
        await FAILURES[name]()

    @router.on(Ping)
    async def good(event: Ping) -> None:
        async with asyncio.timeout(5.0), asyncio.TaskGroup() as group:
            group.create_task(asyncio.sleep(1.0))
        ended.append(event.type)

    async with router:
        send(router, ping("a"))
    if name != "its own cancellation, at its end":
        assert ended == ["ping"]


async def test_workers_bound_the_events_in_work() -> None:
    """No more than `workers` events are handled concurrently, and a slow one delays no others."""
    router = EventRouter(SECRET, workers=3)
    active: list[int] = []
    now = 0

    @router.on(Ping)
    async def work(event: Ping) -> None:
        nonlocal now
        now += 1
        active.append(now)
        await asyncio.sleep(1.0)
        now -= 1

    async with router:
        began = asyncio.get_running_loop().time()
        for number in range(9):
            send(router, ping(str(number)))
    assert max(active) == 3
    assert asyncio.get_running_loop().time() - began == pytest.approx(3.0)


async def test_hostile_id_is_one_log_line(caplog: pytest.LogCaptureFixture) -> None:
    """An id from the network cannot forge a log line, nor flood the log."""
    router = EventRouter(SECRET)

    @router.on(Ping)
    async def fail(event: Ping) -> None:
        raise ValueError

    async with router:
        send(router, ping("a\nERROR forged\x1b[2J" + "x" * 10_000))
    (record,) = [record for record in caplog.records if "failed" in record.getMessage()]
    assert record.getMessage().isprintable()
    assert len(record.getMessage()) < 300


# --- duplicates -----------------------------------------------------------------------------------------------


async def test_last_events_are_remembered() -> None:
    """Beyond those in work, the last `remember` events are seen. Older ones are new again."""
    router = EventRouter(SECRET, remember=2, workers=1)
    async with router:
        for each in "abcd":
            assert send(router, ping(each)) == 202
            await turns()
        assert [send(router, ping(each)) for each in "dc"] == [200, 200]
        assert send(router, ping("a")) == 202


async def test_event_in_work_is_seen_however_many_follow() -> None:
    """An event is a duplicate as long as its handlers run, even with `remember=0`."""
    router = EventRouter(SECRET, remember=0, workers=2)
    release = asyncio.Event()

    @router.on(Ping)
    async def work(event: Ping) -> None:
        if event.id == "slow":
            await release.wait()

    async with router:
        assert send(router, ping("slow")) == 202
        for number in range(50):
            assert send(router, ping(str(number))) == 202
            await turns()
            assert send(router, ping("slow")) == 200
        assert send(router, ping("0")) == 202, "remember=0 forgets what was handled"
        release.set()
        await turns()
        assert send(router, ping("slow")) == 202


# --- the end --------------------------------------------------------------------------------------------------


async def test_drain_handles_what_is_queued(caplog: pytest.LogCaptureFixture) -> None:
    """The end of the run waits for the queue. Meanwhile new events are 503, and handled ones 200."""
    router = EventRouter(SECRET, workers=1, drain=10.0)
    handled: list[str | None] = []
    statuses: list[int] = []

    @router.on(Ping)
    async def work(event: Ping) -> None:
        await asyncio.sleep(1.0)
        handled.append(event.id)
        if event.id == "b":
            statuses.extend(send(router, ping(each)) for each in ("a", "b", "c", "new"))

    async with router:
        for each in "abc":
            assert send(router, ping(each)) == 202
    assert handled == ["a", "b", "c"]
    assert statuses == [200, 503, 503, 503], "b is still in work, c is queued: both could still be lost"
    assert "not handled" not in caplog.text


async def test_end_logs_what_is_left(caplog: pytest.LogCaptureFixture) -> None:
    """After `drain` seconds handlers are cancelled, and each event that was not handled is logged by its id."""
    router = EventRouter(SECRET, workers=1, drain=2.5)
    recorder: list[str | None] = []

    @router.on(Ping)
    async def work(event: Ping) -> None:
        await asyncio.sleep(1.0)
        recorder.append(event.id)

    loop = asyncio.get_running_loop()
    async with router:
        for each in ["one", "two", "three", "four", None]:
            assert send(router, ping(each)) == 202
        began = loop.time()
    assert loop.time() - began == pytest.approx(2.5)
    assert recorder == ["one", "two"]
    left = [record.getMessage() for record in caplog.records if "not handled" in record.getMessage()]
    assert left == [
        f"event ping {each} was not handled: the router stopped" for each in ("three", "four", "without an id")
    ]
    async with router:
        assert [send(router, ping(each)) for each in ("one", "two")] == [200, 200], "handled events stay known"
        assert [send(router, ping(each)) for each in ("three", "four")] == [202, 202], "the others are not"


async def test_drain_of_zero_cancels_immediately(caplog: pytest.LogCaptureFixture) -> None:
    """`drain=0` waits for nothing."""
    router = EventRouter(SECRET, drain=0)
    recorder = Recorder(router)
    recorder.go_on.clear()
    async with router:
        send(router, ping("a"))
        await turns()
    assert recorder.started == ["a"]
    assert recorder.ended == []
    assert "ping a was not handled" in caplog.text


async def test_cancelled_drain_still_logs(caplog: pytest.LogCaptureFixture) -> None:
    """A cancellation of the drain passes through, after the handlers were cancelled and what is left was logged."""
    router = EventRouter(SECRET, drain=100.0, workers=1)
    recorder = Recorder(router)
    recorder.go_on.clear()

    async def serve() -> None:
        async with router:
            send(router, ping("a"))
            send(router, ping("b"))

    task = asyncio.create_task(serve())
    await asyncio.sleep(1.0)
    assert router.receive(b"{}", {}) == 401
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert asyncio.get_running_loop().time() < 5.0
    assert "ping a was not handled" in caplog.text
    assert "ping b was not handled" in caplog.text
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_handler_that_ends_when_cancelled_is_done(caplog: pytest.LogCaptureFixture) -> None:
    """A handler that finishes its work when it is cancelled has handled the event."""
    router = EventRouter(SECRET, drain=0)

    @router.on(Ping)
    async def work(event: Ping) -> None:
        try:
            await asyncio.sleep(1000.0)
        except asyncio.CancelledError:
            await asyncio.sleep(0.5)

    async with router:
        send(router, ping("a"))
        await turns()
    assert "not handled" not in caplog.text
    async with router:
        assert send(router, ping("a")) == 200


async def test_handler_that_fails_when_cancelled_is_not_done(caplog: pytest.LogCaptureFixture) -> None:
    """An error in the clean-up of a cancelled handler does not make the event handled."""
    router = EventRouter(SECRET, drain=0)
    later: list[str | None] = []

    @router.on(Ping)
    async def work(event: Ping) -> None:
        try:
            await asyncio.sleep(1000.0)
        finally:
            raise ValueError("in the clean-up")

    @router.on(Ping)
    async def next_one(event: Ping) -> None:
        later.append(event.id)

    async with router:
        send(router, ping("a"))
        await turns()
    assert later == []
    assert "ping a was not handled" in caplog.text
    async with router:
        assert send(router, ping("a")) == 202


async def test_handler_that_ignores_cancel_does_not_hang(caplog: pytest.LogCaptureFixture) -> None:
    """The end does not wait for ever. Its event is logged, and its late end changes nothing."""
    router = EventRouter(SECRET, drain=1.0)
    release = asyncio.Event()

    @router.on(Ping)
    async def work(event: Ping) -> None:
        while not release.is_set():
            try:
                await release.wait()
            except asyncio.CancelledError:
                continue

    async with router:
        send(router, ping("a"))
        await turns()
    assert asyncio.get_running_loop().time() < 5.0
    assert "ping a was not handled" in caplog.text
    release.set()
    await turns()
    assert asyncio.all_tasks() == {asyncio.current_task()}
    async with router:
        assert send(router, ping("a")) == 202


async def test_router_runs_once_at_a_time() -> None:
    """A second run while the first lasts is an error. After it, the router runs again."""
    router = EventRouter(SECRET)
    async with router:
        with pytest.raises(ConfigurationError, match="runs already"):
            async with router:
                pass
        assert send(router, ping("a")) == 202
    async with router:
        assert send(router, ping("b")) == 202


async def test_run_is_a_cleanup_context() -> None:
    """`run` starts at its first step and drains at its second, as aiohttp drives it."""
    router = EventRouter(SECRET)
    recorder = Recorder(router)
    async with aclosing(router.run(object())) as run:  # type: ignore[type-var]
        await anext(run)
        assert send(router, ping("a")) == 202
        with pytest.raises(StopAsyncIteration):
            await anext(run)
    assert recorder.ended == ["a"]
    assert send(router, ping("b")) == 503


def test_router_outlives_its_loop(caplog: pytest.LogCaptureFixture) -> None:
    """A loop that ended without the end of the run leaves a router that logs what was lost, and runs again."""
    router = EventRouter(SECRET)

    async def begin() -> None:
        await router.__aenter__()
        assert send(router, ping("a")) == 202

    async def again() -> int:
        async with router:
            return send(router, ping("a"))

    loop = asyncio.new_event_loop()
    loop.run_until_complete(begin())
    assert send(router, ping("b")) == 503
    assert asyncio.run(again()) == 202
    assert "ping a was not handled" in caplog.text
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()


async def test_receive_in_another_thread_is_an_error() -> None:
    """The router is not thread-safe: a call from a thread is refused instead of losing an event."""
    router = EventRouter(SECRET)
    errors: list[BaseException] = []

    def call() -> None:
        try:
            send(router, ping("a"))
        except ConfigurationError as error:
            errors.append(error)

    async with router:
        thread = threading.Thread(target=call)
        thread.start()
        thread.join()
    assert "must be called in the event loop that runs the router" in str(errors[0])


# --- subscriptions --------------------------------------------------------------------------------------------


async def test_subscriber_sees_each_accepted_event(caplog: pytest.LogCaptureFixture) -> None:
    """It is called before `receive` returns, once for each event, and its errors break nothing."""
    router = EventRouter(SECRET, queue_size=2)
    seen: list[str | None] = []

    def fail(event: Any) -> None:
        raise ValueError("boom")

    def cancel(event: Any) -> None:
        raise asyncio.CancelledError

    router.subscribe(fail)
    router.subscribe(cancel)
    unsubscribe = router.subscribe(lambda event: seen.append(event.id))
    send(router, ping("too early"))
    async with router:
        assert send(router, ping("a")) == 202
        assert seen == ["a"]
        assert send(router, ping("a")) == 200
        assert send(router, ping("b")) == 202
        assert send(router, ping("c")) == 503
        await turns()
        unsubscribe()
        unsubscribe()
        assert send(router, ping("d")) == 202
    assert seen == ["a", "b"]
    assert caplog.text.count("a subscriber failed at event ping") == 6


async def test_subscriber_may_end_itself() -> None:
    """A wait that ends at an event unsubscribes in the callback."""
    router = EventRouter(SECRET)
    seen: list[str] = []
    ends: list[Callable[[], None]] = []

    def once(event: Any) -> None:
        seen.append(event.id)
        ends[0]()

    ends.append(router.subscribe(once))
    router.subscribe(lambda event: seen.append(f"other {event.id}"))
    async with router:
        send(router, ping("a"))
        send(router, ping("b"))
    assert seen == ["a", "other a", "other b"]


# --- streams --------------------------------------------------------------------------------------------------


async def chunks(*parts: bytes, pause: float = 0.0) -> Any:
    for part in parts:
        await asyncio.sleep(pause)
        yield part


async def test_stream_is_read_up_to_the_limit() -> None:
    """A streamed body is received as a whole one. What exceeds the limit is not read."""
    router = EventRouter(SECRET, max_body=100)
    body = json.dumps(ping("a")).encode()
    headers = {"circleci-signature": sign(body, SECRET)}
    read: list[int] = []

    async def endless() -> Any:
        for number in range(1000):
            read.append(number)
            yield b"x" * 60

    async with router:
        assert await router.receive_stream(chunks(body[:5], b"", body[5:]), headers) == 202
        assert await router.receive_stream(chunks(body), headers) == 200
        assert await router.receive_stream(endless(), headers) == 413
    assert read == [0, 1]


async def test_slow_stream_is_408() -> None:
    """A body that is not complete within 10 s is given up: its sender has given up as well."""
    router = EventRouter(SECRET)
    body = json.dumps(ping("a")).encode()
    headers = {"circleci-signature": sign(body, SECRET)}
    async with router:
        assert await router.receive_stream(chunks(body[:5], body[5:], pause=4.9), headers) == 202
        assert await router.receive_stream(chunks(body[:5], body[5:], pause=5.1), headers) == 408


# --- stories --------------------------------------------------------------------------------------------------


def play(seed: int, caplog: pytest.LogCaptureFixture) -> Counter[str]:
    """One story of deliveries, failures and a shutdown in the middle. Nothing that was accepted may be lost."""
    chance = random.Random(seed)
    router = EventRouter(
        SECRET,
        queue_size=chance.randint(1, 20),
        workers=chance.randint(1, 4),
        remember=chance.choice([0, 3, 1000]),
        drain=chance.choice([0.0, 1.0, 20.0]),
    )
    accepted: Counter[str] = Counter()
    ended: Counter[str] = Counter()
    counts: Counter[str] = Counter()

    @router.on(Ping)
    async def work(event: Ping) -> None:
        assert event.id is not None
        kind = chance.random()
        if kind < 0.6:
            await asyncio.sleep(chance.choice([0.0, 0.1, 3.0]))
        ended[event.id] += 1
        if kind > 0.95:
            raise asyncio.CancelledError
        if kind > 0.9:
            raise ValueError("boom")

    async def deliver() -> None:
        for _ in range(chance.randint(1, 60)):
            event_id = str(chance.randint(0, 40))
            status = send(router, ping(event_id))
            counts[str(status)] += 1
            accepted[event_id] += status == 202
            await asyncio.sleep(chance.choice([0.0, 0.0, 0.05, 0.5]))

    async def main() -> None:
        delivery = asyncio.create_task(deliver())
        await asyncio.sleep(0)
        async with router:
            await asyncio.sleep(chance.choice([0.0, 0.5, 5.0, 60.0]))
        at_end = ended.copy()
        await delivery
        assert ended == at_end, "nothing is handled after the end"

    caplog.clear()
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        runner.run(main())
    left = Counter(
        record.getMessage().split()[2] for record in caplog.records if "was not handled" in record.getMessage()
    )
    assert +(ended + left) == +accepted
    counts["handled"], counts["left"] = ended.total(), left.total()
    return counts


def test_nothing_accepted_is_lost(caplog: pytest.LogCaptureFixture) -> None:
    """In random stories each event that was answered with 202 was handled once, or logged at the end. Never both."""
    caplog.set_level(logging.WARNING, "aiocircle")
    stories = 3_000 if os.environ.get("AIOCIRCLE_THOROUGH") else 150
    totals: Counter[str] = Counter()
    for seed in range(stories):
        totals += play(seed, caplog)
    print(f"{stories} stories: {dict(totals)}")
    assert {"200", "202", "503", "handled", "left"} <= {*totals}
