"""What all tests share."""

from __future__ import annotations

import asyncio
import os

import pytest

# Loops are in debug mode from their making on: a coroutine that is never awaited says where it was made.
os.environ["PYTHONASYNCIODEBUG"] = "1"

# Whoever asks for the current loop is told that there is none. Before Python 3.14 asyncio would make one instead, which
# nobody closes: pytest-asyncio asks.
asyncio.set_event_loop(None)


@pytest.fixture(autouse=True)
def _no_client_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reads the token or the host of whoever runs it."""
    for name in ("CIRCLECI_TOKEN", "CIRCLE_TOKEN", "CIRCLECI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
