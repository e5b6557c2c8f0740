"""A virtual clock: no test sleeps for real."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

from aiocircle.testing.virtual_time import VirtualTimeLoop


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    return {"virtual": VirtualTimeLoop}
