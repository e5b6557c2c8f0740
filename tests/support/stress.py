"""Seeds, counts and time limits of randomized tests."""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections import Counter
from collections.abc import Awaitable
from typing import Final, TypeVar

from aiocircle import CircleCI, CircleCIError
from tests.support.leaks import assert_idle

T = TypeVar("T")

# Kept in the environment, so that the workers of a parallel run have the same.
SEED: Final = int(os.environ.setdefault("AIOCIRCLE_SEED", str(random.SystemRandom().randrange(2**32))))

# Real seconds after which a case counts as hung, also on a busy machine.
REAL_LIMIT: Final = 60.0


class Tally(Counter[str]):
    """Counts of a test, for the table at the end of the run."""

    def failed(self, kind: str, what: str) -> AssertionError:
        """Count a loss, a double, a hang or a leak, and return the error to raise."""
        self[kind] += 1
        return AssertionError(f"{kind}: {what}")


async def ending(call: Awaitable[T], tally: Tally, *, within: float) -> T | CircleCIError:
    """Return the result of a call, or the CircleCIError that it raises. Other errors pass through.

    within: seconds of the loop's time. A call that takes longer counts as hung.
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


async def assert_nothing_held(circle: CircleCI, tally: Tally) -> None:
    """Count a leak and raise AssertionError if the client still holds something."""
    try:
        await assert_idle(circle)
    except AssertionError as error:
        raise tally.failed("leaked", str(error)) from None
