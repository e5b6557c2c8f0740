"""The pytest fixture `local_circleci`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import pytest_asyncio

if TYPE_CHECKING:
    from .server import LocalCircleCI

__all__ = ["local_circleci"]


@pytest_asyncio.fixture
async def local_circleci() -> AsyncIterator[LocalCircleCI]:
    """A running LocalCircleCI with three projects, new for each test."""
    from .server import LocalCircleCI

    async with LocalCircleCI() as server:
        yield server
