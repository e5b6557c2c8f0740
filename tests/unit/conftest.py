"""A server of files and an opener for them, for the tests of streams and downloads."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from tests.unit.composites.file_server import FileServer, opener


@pytest.fixture
async def server() -> AsyncIterator[FileServer]:
    async with FileServer().running() as running:
        yield running


@pytest.fixture
async def open_() -> AsyncIterator[Any]:
    async with aiohttp.ClientSession() as session:
        yield opener(session)
