"""An event loop whose clock jumps to the next timer when there is nothing else to do."""

from __future__ import annotations

import asyncio
import selectors
import socket
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Any, Final

__all__ = ["VirtualTimeLoop"]

# Bytes that must arrive one after the other, with nothing else to read, before the clock jumps. What was written before
# the first one is there by then, and so is what the kernel sends by itself, as for a new connection. On a busy machine
# each takes longer.
_PROBES: Final = 5


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
        self._probe = _Probe()

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None or timeout <= 0:
            return super().select(timeout)
        if ready := self._settle():
            return ready
        if self._loop.jump(timeout):
            return []
        return super().select(None)

    def close(self) -> None:
        self._probe.close()
        super().close()

    def _settle(self) -> list[tuple[selectors.SelectorKey, int]]:
        """Return what can be read once the kernel has delivered all that was written to local sockets."""
        ready = super().select(0)
        # The loop's own pipe is always registered. Without any other file, nothing can arrive.
        if ready or len(self.get_map()) == 1:
            return ready
        for _ in range(_PROBES):
            self._probe.wait()
        return super().select(0)


class _Probe:
    """A local connection that takes as long as all others."""

    def __init__(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            self._writer = socket.create_connection(listener.getsockname())
            self._reader, _ = listener.accept()
        self._writer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def wait(self) -> None:
        """Send a byte, and return when it has arrived."""
        self._writer.send(b"\0")
        self._reader.recv(1)

    def close(self) -> None:
        self._writer.close()
        self._reader.close()
