"""An event loop whose time passes only when nobody has anything to do."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Any, Final

__all__ = ["VirtualTimeLoop"]

# Real seconds in which the kernel may still hand over what was written to a local socket, before the clock jumps:
# a share of the jump, within bounds. A long jump is likely to end in somebody's timeout, which must not fire just
# because the machine is busy.
_GRACE_SHARE: Final = 0.001
_LEAST_GRACE: Final = 0.002
_MOST_GRACE: Final = 0.03


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """An event loop on which an hour's sleep ends at once, while sockets and threads are real.

    Its clock stands still while there is anything to run or to read; when all tasks wait for timers alone, it
    jumps to the next timer. Work handed to an executor is waited for in real time.

        with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
            runner.run(main())
    """

    def __init__(self) -> None:
        self._now = 0.0
        self._threads = 0
        super().__init__(_JumpingSelector(self))

    def time(self) -> float:
        """Virtual seconds since the loop was made."""
        return self._now

    def run_in_executor(  # type: ignore[override]
        self, executor: Executor | None, func: Callable[..., Any], *args: Any
    ) -> asyncio.Future[Any]:
        """As usual; time stands still until it is done."""
        future = super().run_in_executor(executor, func, *args)
        self._threads += 1
        future.add_done_callback(self._thread_done)
        return future

    def _thread_done(self, _: asyncio.Future[Any]) -> None:
        self._threads -= 1

    async def shutdown_default_executor(self, *arguments: Any, **options: Any) -> None:
        """As usual; time stands still until its threads are done, else they would seem to take too long."""
        self._threads += 1
        try:
            await super().shutdown_default_executor(*arguments, **options)
        finally:
            self._threads -= 1

    def jump(self, seconds: float) -> bool:
        """Move the clock on, unless a thread is at work; whether it moved."""
        if self._threads:
            return False
        self._now += seconds
        return True


class _JumpingSelector(selectors.DefaultSelector):
    def __init__(self, loop: VirtualTimeLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None or timeout <= 0:
            return super().select(timeout)
        # The loop's own pipe is always there: with nothing else there is no kernel to wait for.
        alone = len(self.get_map()) <= 1
        grace = 0.0 if alone else min(max(timeout * _GRACE_SHARE, _LEAST_GRACE), _MOST_GRACE)
        if ready := super().select(grace):
            return ready
        if self._loop.jump(timeout):
            return []
        return super().select(None)
