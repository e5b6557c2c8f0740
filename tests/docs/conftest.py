from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

from aiocircle.testing.virtual_time import VirtualTimeLoop


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Loops on which no example sleeps for real."""
    return {"virtual": VirtualTimeLoop}
