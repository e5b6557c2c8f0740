from __future__ import annotations

from tests.support.loops import LoopFactories, virtual_time


def pytest_asyncio_loop_factories() -> LoopFactories:
    """Return loops on which no example sleeps for real."""
    return virtual_time()
