"""A limiter that the test decides for."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from aiocircle import RateLimit
from aiocircle._core.rate_limiter import Observed


class Limiter:
    """A limiter that permits a number of requests immediately, and others when the test grants them.

    in_flight: the permissions whose end was not reported. It shows those that are lost or given back twice.
    """

    def __init__(self, permits: int = 100) -> None:
        self.permits = permits
        self.closed_until = 0.0
        self.error: Exception | None = None  # of acquire_nowait()
        self.broken_update: Exception | None = None
        self.in_flight = 0
        self.updates: list[Observed] = []
        self.families: set[tuple[str, str]] = set()  # for which any method was called
        self.acquired = 0  # calls of acquire()
        self.is_closed = False
        self._acquiring: list[asyncio.Future[None]] = []

    @property
    def waits(self) -> int:
        """The calls of acquire() that have not ended."""
        return len(self._acquiring)

    def grant(self, error: BaseException | None = None) -> None:
        """End the call of acquire() that waits, with a permission or an error."""
        (future,) = self._acquiring
        if error is None:
            future.set_result(None)
        else:
            future.set_exception(error)

    def cancel(self) -> None:
        """Cancel the call of acquire() that waits, as something in the limiter may do."""
        (future,) = self._acquiring
        future.cancel()

    def close_for(self, seconds: float) -> None:
        """Close all families from now on."""
        self.closed_until = asyncio.get_running_loop().time() + seconds

    def acquire_nowait(self, account: str, family: str) -> bool:
        self.families.add((account, family))
        if self.error is not None:
            raise self.error
        if self.permits <= 0:
            return False
        self.permits -= 1
        self.in_flight += 1
        return True

    async def acquire(self, account: str, family: str) -> None:
        self.families.add((account, family))
        self.acquired += 1
        future = asyncio.get_running_loop().create_future()
        self._acquiring.append(future)
        try:
            await future
        finally:
            self._acquiring.remove(future)
        self.in_flight += 1

    def update(self, account: str, family: str, response: Observed) -> None:
        self.families.add((account, family))
        self.in_flight -= 1
        self.updates.append(response)
        if self.broken_update is not None:
            raise self.broken_update

    def closed_for(self, account: str, family: str) -> float:
        self.families.add((account, family))
        return max(0.0, self.closed_until - asyncio.get_running_loop().time())

    def rate_limits(self, account: str) -> Mapping[str, RateLimit]:
        return {f"of {account}": RateLimit(limit=7)}

    async def close(self) -> None:
        self.is_closed = True
