"""A Throttle belongs to the running loop."""

from __future__ import annotations

import asyncio
import threading

import pytest

from aiocircle import CircleCI, ConfigurationError, Throttle
from aiocircle.testing import LocalCircleCI
from aiocircle.testing.virtual_time import VirtualTimeLoop


async def login(throttle: Throttle) -> str:
    async with (
        LocalCircleCI(1) as server,
        CircleCI(server.token, base_url=server.url, throttle=throttle) as circle,
    ):
        users = await asyncio.gather(*(circle.users.me() for _ in range(40)))
        return users[-1].login


async def test_a_second_running_loop_is_an_error(server, make):
    """The call in the second loop fails immediately, with the remedy. The first loop is not disturbed."""
    throttle = Throttle()
    circle = make(throttle=throttle)
    server.on("/api/v2/a", server.reply(200, {}))
    await circle.request("GET", "/api/v2/a")
    errors: list[BaseException] = []

    def other() -> None:
        try:
            with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
                runner.run(login(throttle))
        except BaseException as error:
            errors.append(error)

    await asyncio.get_running_loop().run_in_executor(None, other)
    assert [type(error) for error in errors] == [ConfigurationError]
    assert "one Throttle for each running loop" in str(errors[0])
    assert await circle.request("GET", "/api/v2/a") == {}


def test_an_ended_loop_is_followed_by_a_fresh_start() -> None:
    """Three loops one after the other, also if the one before was stopped in the middle of its calls."""
    throttle = Throttle()
    for _ in range(2):
        with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
            assert runner.run(login(throttle))
    stopped = VirtualTimeLoop()
    task = stopped.create_task(login(throttle))
    stopped.call_later(0.01, stopped.stop)
    stopped.run_forever()
    assert not task.done() or task.result()
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        assert runner.run(login(throttle))
    task.cancel()
    stopped.run_until_complete(asyncio.gather(task, return_exceptions=True))
    stopped.run_until_complete(stopped.shutdown_asyncgens())
    stopped.close()


def test_threads_with_their_own_throttles_do_not_meet() -> None:
    """Two loops at the same time, each with its own Throttle."""
    logins: list[str] = []

    def run() -> None:
        with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
            logins.append(runner.run(login(Throttle())))

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(logins) == 2


@pytest.mark.parametrize("value", [5, "throttle", object(), Throttle], ids=["int", "str", "object", "class"])
def test_another_object_is_not_a_limiter(value) -> None:
    """The error names the type, never the value."""
    with pytest.raises(ConfigurationError, match="throttle must be a Throttle or a RateLimiter, got"):
        CircleCI("token", throttle=value)
