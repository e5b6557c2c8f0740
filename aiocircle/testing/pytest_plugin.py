"""The pytest fixture `local_circleci`, for pytest-asyncio in either of its modes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from .server import LocalCircleCI

__all__ = ["local_circleci"]


async def _serve() -> AsyncIterator[LocalCircleCI]:
    """A running LocalCircleCI with three projects, new for each test."""
    from .server import LocalCircleCI

    async with LocalCircleCI() as server:
        yield server


def _explain() -> None:
    """A running LocalCircleCI, for which pytest-asyncio has to be installed."""
    pytest.fail("the fixture local_circleci needs pytest-asyncio: pip install pytest-asyncio", pytrace=False)


local_circleci: Any
try:
    from pytest_asyncio import fixture
except ImportError:  # pytest loads this plugin wherever aiocircle is installed
    local_circleci = pytest.fixture(_explain, name="local_circleci")
else:
    local_circleci = fixture(_serve, name="local_circleci")
