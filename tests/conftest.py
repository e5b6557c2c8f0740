"""Settings and fixtures of all tests."""

from __future__ import annotations

import asyncio
import gc
import os

import hypothesis

from tests.support.thorough import THOROUGH

# Debug mode shows where a coroutine that is never awaited was made. It triples the time of tests over HTTP.
os.environ.pop("PYTHONASYNCIODEBUG", None)
if THOROUGH:
    os.environ["PYTHONASYNCIODEBUG"] = "1"

# No test reads the token or the host of the environment.
for _name in ("CIRCLECI_TOKEN", "CIRCLE_TOKEN", "CIRCLECI_BASE_URL"):
    os.environ.pop(_name, None)

# Each run tries other examples. A deadline would fail on a busy machine, a database would depend on the directory.
hypothesis.settings.register_profile("short", max_examples=50, deadline=None, database=None)
hypothesis.settings.register_profile("thorough", max_examples=500, deadline=None, database=None)
hypothesis.settings.load_profile("thorough" if THOROUGH else "short")

# Before Python 3.14, asyncio makes a current loop if none is set, and never closes it.
asyncio.set_event_loop(None)


def pytest_collection_finish() -> None:
    """Collect garbage less often, and never what was collected as tests: each full one would walk through thousands."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)
