"""An event loop whose clock jumps to the next timer when there is nothing else to do."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Any, Final

__all__ = ["VirtualTimeLoop"]

# Real seconds in which the kernel may still deliver what was written to a local socket, before the clock jumps: a
# share of the jump, within bounds. A long jump is likely to end in a timeout, which must not fire only because the
# machine is busy. Loopback delivers within some 50 microseconds on an idle machine.
_GRACE_SHARE: Final = 0.0002
_MIN_GRACE: Final = 0.0005
_MAX_GRACE: Final = 0.004


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """An event loop on which a sleep of an hour ends immediately, while sockets and threads are real.

    Its clock stands still while there is anything to run or to read. When all tasks wait only for timers, it jumps to
    the next timer. Work in an executor takes real time.

        with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
            runner.run(main())
    """

    def __init__(self) -> None:
        self._now = 0.0
        self._threads = 0
        super().__init__(_JumpingSelector(self))

    def time(self) -> float:
        """Return the virtual seconds since the loop was created."""
        return self._now

    def run_in_executor(  # type: ignore[override]
        self, executor: Executor | None, func: Callable[..., Any], *args: Any
    ) -> asyncio.Future[Any]:
        """Run `func` in an executor. The clock stands still until it is done."""
        future = super().run_in_executor(executor, func, *args)
        self._threads += 1
        future.add_done_callback(self._thread_done)
        return future

    def _thread_done(self, _: asyncio.Future[Any]) -> None:
        self._threads -= 1

    async def shutdown_default_executor(self, *arguments: Any, **options: Any) -> None:
        """Shut the executor down. The clock stands still until its threads are done, so that no timeout fires."""
        self._threads += 1
        try:
            await super().shutdown_default_executor(*arguments, **options)
        finally:
            self._threads -= 1

    def jump(self, seconds: float) -> bool:
        """Advance the clock, unless a thread is running. Return True if the clock advanced."""
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
        # The loop's own pipe is always registered. Without any other file, nothing can arrive.
        has_files = len(self.get_map()) > 1
        grace = min(max(timeout * _GRACE_SHARE, _MIN_GRACE), _MAX_GRACE) if has_files else 0.0
        if ready := super().select(grace):
            return ready
        if self._loop.jump(timeout):
            return []
        return super().select(None)
