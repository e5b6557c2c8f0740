"""At most so many at once."""

from __future__ import annotations

import asyncio
from collections import deque

__all__ = ["Slots"]


class Slots:
    """A number of slots, given in the order of asking.

    As asyncio.Semaphore, but a free slot is taken without a coroutine, which every request would pay for.
    """

    def __init__(self, value: int) -> None:
        self._value = value  # free slots; more than zero only while nobody waits
        self._waiters: deque[asyncio.Future[None]] = deque()

    def take_at_once(self) -> bool:
        """Take a slot, if one is free; whether it was so."""
        if self._value == 0:
            return False
        self._value -= 1
        return True

    async def take(self) -> None:
        """Take a slot as soon as one is free."""
        if self.take_at_once():
            return
        waiter = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        try:
            await waiter
        except BaseException:
            if waiter.done() and not waiter.cancelled():
                self.release()  # It came in the same breath as the cancellation: it is passed on.
            elif waiter in self._waiters:
                self._waiters.remove(waiter)
            raise

    def release(self) -> None:
        """Give a slot back, or rather to the first who waits."""
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return
        self._value += 1
