"""Observers: each attempt, response and wait is reported once; on_retry is one of them."""

from __future__ import annotations

import asyncio

import pytest

from aiocircle import ConfigurationError, NotFound, RateLimited, RetryDetails, RetryPolicy, ServerError
from aiocircle._core.observer import Observer
from aiocircle.client import add_observer

X = "/api/v2/x"


class Recorder(Observer):
    def __init__(self) -> None:
        self.events: list[tuple] = []

    def on_attempt(self, operation, request, number) -> None:
        self.events.append(("attempt", operation, request.method, number))

    def on_response(self, operation, request, number, result, started) -> None:
        assert started <= asyncio.get_running_loop().time()
        self.events.append(("response", number, result if result is None or isinstance(result, int) else type(result)))

    def on_wait(self, details, max_attempts) -> None:
        self.events.append(("wait", details.attempt, max_attempts))


async def test_an_observer_sees_each_attempt_and_wait(server, circle):
    """An observer receives each attempt, its response and each wait."""
    recorder = Recorder()
    add_observer(circle, recorder)
    server.on(X, server.reply(503), server.reply(429, headers={"Retry-After": "1"}), server.reply(200, {}))
    await circle.with_options(timeout=5).request("GET", X)
    assert recorder.events == [
        ("attempt", f"GET {X}", "GET", 1),
        ("response", 1, 503),
        ("wait", 1, 5),
        ("attempt", f"GET {X}", "GET", 2),
        ("response", 2, 429),
        ("wait", 2, 5),
        ("attempt", f"GET {X}", "GET", 3),
        ("response", 3, 200),
    ]


async def test_an_observer_sees_lost_and_cancelled_attempts(server, make):
    """An observer also receives attempts without a response."""
    recorder = Recorder()
    circle = make(retry=RetryPolicy(attempts=1))
    add_observer(circle, recorder)
    server.on(X, server.drop(), server.hang())
    with pytest.raises(Exception, match="without a response") as caught:
        await circle.request("POST", X)
    task = asyncio.create_task(circle.request("GET", X))
    await asyncio.sleep(1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    results = [event[2] for event in recorder.events if event[0] == "response"]
    assert results == [type(caught.value), None]


async def test_on_retry_is_called_before_each_retry(server, make):
    """With the operation, the failed attempt, the seconds until the next one, and the error."""
    seen: list[tuple[RetryDetails, int]] = []
    circle = make(on_retry=lambda details: seen.append((details, len(server.requests))))
    server.on(X, server.reply(500), server.reply(429, headers={"Retry-After": "7"}), server.reply(200, {}))
    await circle.request("GET", X)
    (first, sent), (second, sent_then) = seen
    assert (first.operation, first.attempt, type(first.error), sent) == (f"GET {X}", 1, ServerError, 1)
    assert 0.0 <= first.wait <= 0.5
    assert (second.attempt, second.wait, type(second.error), sent_then) == (2, 7.0, RateLimited, 2)


async def test_on_retry_is_not_called_without_a_retry(server, make):
    """Not for a success, an error that is not repeated, the last attempt, or a wait in the queue."""
    seen: list[RetryDetails] = []
    circle = make(on_retry=seen.append, retry=RetryPolicy(attempts=2, base=0.01))
    server.on(X, server.reply(200, {}), server.reply(404, {}))
    await circle.request("GET", X)
    with pytest.raises(NotFound):
        await circle.request("GET", X)
    assert seen == []
    server.on(X, server.reply(500))
    with pytest.raises(ServerError):
        await circle.request("GET", X)
    assert [details.attempt for details in seen] == [1]


async def test_an_error_of_on_retry_ends_the_call(server, make):
    """It is the caller's own, and comes out as it is."""

    def refuse(details: RetryDetails) -> None:
        raise LookupError("enough")

    server.on(X, server.reply(500))
    with pytest.raises(LookupError, match="enough"):
        await make(on_retry=refuse).request("GET", X)
    assert len(server.requests) == 1


@pytest.mark.parametrize("on_retry", ["x", 5, [print]])
def test_on_retry_is_a_function(make, on_retry):
    """on_retry must be callable."""
    with pytest.raises(ConfigurationError, match="on_retry must be a function"):
        make(on_retry=on_retry)


def test_on_retry_is_not_async(make):
    """Nothing would await it."""

    async def notify(details: RetryDetails) -> None: ...

    with pytest.raises(ConfigurationError, match="not async"):
        make(on_retry=notify)
