"""Settings and fixtures of all tests."""

from __future__ import annotations

import asyncio
import gc
import os

import hypothesis
import pytest

from tests.support.thorough import THOROUGH

# Debug mode shows where a coroutine that is never awaited was made. It triples the time of tests over HTTP.
os.environ.pop("PYTHONASYNCIODEBUG", None)
if THOROUGH:
    os.environ["PYTHONASYNCIODEBUG"] = "1"

# Each run tries other examples. A deadline would fail on a busy machine, a database would depend on the directory.
hypothesis.settings.register_profile("short", max_examples=50, deadline=None, database=None)
hypothesis.settings.register_profile("thorough", max_examples=500, deadline=None, database=None)
hypothesis.settings.load_profile("thorough" if THOROUGH else "short")

# Before Python 3.14, asyncio makes a current loop if none is set, and never closes it.
asyncio.set_event_loop(None)


def pytest_collection_finish() -> None:
    """Keep what was collected out of garbage collections: each full one would walk through nine thousand tests."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def _no_client_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reads the token or the host of the environment."""
    for name in ("CIRCLECI_TOKEN", "CIRCLE_TOKEN", "CIRCLECI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
