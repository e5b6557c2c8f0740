"""The router: statuses in their order, duplicates, subscriptions and streams."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest

from aiocircle import ConfigurationError, InvalidArgument
from aiocircle.events import EventRouter, Ping, UnknownEvent, WorkflowCompleted, sign
from tests.support import events as bodies
from tests.support.event_router import SECRET, Recorder, ping, send, turns
from tests.support.rows import each_row


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


@each_row(
    "options",
    [
        *[{name: value} for name in ("queue_size", "workers", "max_body") for value in (0, -1, 1.5, True, "4", None)],
        *[{"remember": value} for value in (-1, 1.5, True, None)],
        *[{"drain": value} for value in (-0.1, float("inf"), float("nan"), "5", True, None)],
    ],
)
def test_wrong_option_is_configuration_error(options: dict[str, Any]) -> None:
    """The error names the option, what it must be, and what it is."""
    (name,) = options
    with pytest.raises(ConfigurationError, match=f"^{name} must be"):
        EventRouter(SECRET, **options)


async def test_last_events_are_remembered() -> None:
    """Beyond those in work, the last `remember` events are seen. Older ones are new again."""
    router = EventRouter(SECRET, remember=2, workers=1)
    async with router:
        for each in "abcd":
            assert send(router, ping(each)) == 202
            await turns()
        assert [send(router, ping(each)) for each in "dc"] == [200, 200]
        assert send(router, ping("a")) == 202


async def test_event_in_work_is_a_duplicate() -> None:
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
