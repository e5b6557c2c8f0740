"""What all chaos tests share: seeds, the length of the run, counts, and checks that nothing is left behind."""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeVar

from aiocircle import CircleCI, CircleCIError
from aiocircle.testing.virtual_time import VirtualTimeLoop

T = TypeVar("T")

FULL: Final = os.environ.get("AIOCIRCLE_CHAOS") == "full"
# Kept in the environment, so that the workers of a parallel run have the same.
SEED: Final = int(os.environ.setdefault("AIOCIRCLE_SEED", str(random.SystemRandom().randrange(2**32))))

# Real seconds after which a case counts as hung, however busy the machine is.
REAL_LIMIT: Final = 60.0


def scaled(short: int, full: int) -> int:
    """How much to do: `full` under AIOCIRCLE_CHAOS=full, else `short`."""
    return full if FULL else short


def now() -> float:
    """The loop's time."""
    return asyncio.get_running_loop().time()


class Tally(Counter[str]):
    """What a test has counted; it stands in the table at the end of the run."""

    def failed(self, kind: str, what: str) -> AssertionError:
        """Count a loss, a double, a hang or a leak, as the error to raise."""
        self[kind] += 1
        return AssertionError(f"{kind}: {what}")


class ChaosLoop(VirtualTimeLoop):
    """A loop with virtual time that counts its turns, so that a test can strike between any two of them.

    All its sockets' ends are in one thread, where the kernel hands over at once what was written: short jumps of the
    clock need no grace.
    """

    def __init__(self) -> None:
        self.turns = 0
        self._strikes: dict[int, Callable[[], object]] = {}
        super().__init__()
        selector: Any = self._selector  # type: ignore[attr-defined]
        careful = selector.select

        def select(timeout: float | None = None) -> Any:
            if timeout is None or not 0 < timeout < 0.5:
                return careful(timeout)
            ready = careful(0) or careful(0)
            return ready if ready or self.jump(timeout) else careful(timeout)

        selector.select = select

    def at_turn(self, turn: int, strike: Callable[[], object]) -> None:
        """Call `strike` before turn number `turn` from now."""
        self._strikes[self.turns + turn] = strike

    def _run_once(self) -> None:
        self.turns += 1
        strike = self._strikes.pop(self.turns, None)
        if strike is not None:
            self.call_soon(strike)
        super()._run_once()  # type: ignore[misc]


def chaos_loop() -> ChaosLoop:
    """The running loop."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, ChaosLoop)
    return loop


async def ending(call: Awaitable[T], tally: Tally, *, within: float) -> T | CircleCIError:
    """What a call ends in, a result or an error of ours. Anything else is a finding, and so is taking too long.

    within: seconds of the loop's time.
    """
    tally["cases"] += 1
    started = time.perf_counter()
    try:
        async with asyncio.timeout(within) as limit:
            return await call
    except CircleCIError as error:
        return error
    except TimeoutError:
        if limit.expired():
            raise tally.failed("hung", f"nothing after {within} s") from None
        raise
    finally:
        if time.perf_counter() - started > REAL_LIMIT:
            raise tally.failed("hung", f"took {time.perf_counter() - started:.0f} s of real time")


async def turns(count: int = 10) -> None:
    """Let the loop turn, so that what is closing can close."""
    for _ in range(count):
        await asyncio.sleep(0)


def held(circle: CircleCI) -> list[str]:
    """What a client still holds of what it gives back between calls: nothing, unless something leaks."""
    connection = circle._executor.state
    found: list[str] = []
    if connection.places.free != connection.places.size:
        found.append("a place of max_concurrency")
    state = connection.throttle._state
    for (_, family), queue in () if state is None else state.queues.items():
        if queue.in_flight != queue._has_permission:
            found.append(f"{queue.in_flight} requests counted in {family}")
        if queue._waiting:
            found.append(f"requests that wait in {family}")
        if queue._acquiring is not None:
            found.append(f"a request for a permission of {family}")
    transport: Any = connection.transport
    if transport._open_responses:
        found.append("an answer that is read")
    session = transport._session._session
    if session is not None and session.connector is not None and session.connector._acquired:
        found.append(f"{len(session.connector._acquired)} connections")
    return found


async def assert_nothing_held(circle: CircleCI, tally: Tally) -> None:
    """The client holds nothing, a few turns of the loop after its last call."""
    for _ in range(50):
        if not held(circle):
            return
        await asyncio.sleep(0)
    raise tally.failed("leaked", "; ".join(held(circle)))


def open_files() -> int:
    """How many file descriptors this process has."""
    return len(os.listdir("/proc/self/fd"))
