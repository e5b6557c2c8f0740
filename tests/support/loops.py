"""Event loops with virtual time, on which no test sleeps for real."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from functools import wraps
from typing import Any, ParamSpec

from aiocircle.testing.virtual_time import VirtualTimeLoop

_P = ParamSpec("_P")

LoopFactories = dict[str, Callable[[], asyncio.AbstractEventLoop]]


class CountingLoop(VirtualTimeLoop):
    """A loop with virtual time that counts its iterations, so that a test can act between any two of them."""

    def __init__(self) -> None:
        self.iterations = 0
        self._actions: dict[int, Callable[[], object]] = {}
        super().__init__()

    def at_iteration(self, number: int, action: Callable[[], object]) -> None:
        """Call `action` before iteration `number` from now."""
        self._actions[self.iterations + number] = action

    def _run_once(self) -> None:
        self.iterations += 1
        action = self._actions.pop(self.iterations, None)
        if action is not None:
            self.call_soon(action)
        super()._run_once()  # type: ignore[misc]


def virtual_time() -> LoopFactories:
    """Return what the hook `pytest_asyncio_loop_factories` returns."""
    return {"virtual": VirtualTimeLoop}


def counting() -> LoopFactories:
    """Return the same, for loops whose iterations are counted."""
    return {"virtual": CountingLoop}


def virtually(test: Callable[_P, Coroutine[Any, Any, None]]) -> Callable[_P, None]:
    """Run a test on a new loop with virtual time, which begins at zero.

    Fails if the loop reports an error, or if a task outlives the test.
    """

    @wraps(test)
    def run(*args: _P.args, **kwargs: _P.kwargs) -> None:
        async def main() -> None:
            found: list[dict[str, Any]] = []
            asyncio.get_running_loop().set_exception_handler(lambda _, context: found.append(context))
            await test(*args, **kwargs)
            await iterate()
            assert not found, found
            left = asyncio.all_tasks() - {asyncio.current_task()}
            assert not left, left

        with asyncio.Runner(loop_factory=CountingLoop) as runner:
            runner.run(main())

    return run


def counting_loop() -> CountingLoop:
    """Return the running loop."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, CountingLoop)
    return loop


def now() -> float:
    """Return the loop's time."""
    return asyncio.get_running_loop().time()


async def iterate(count: int = 10) -> None:
    """Let the loop iterate, so that closing sockets and tasks can end."""
    for _ in range(count):
        await asyncio.sleep(0)
