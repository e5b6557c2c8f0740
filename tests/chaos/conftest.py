"""Fixtures of tests/http under their former names, until the last tests here have moved there."""

from __future__ import annotations

from tests.core.conftest import complaints  # noqa: F401
from tests.http.conftest import (  # noqa: F401
    no_leaks,
    pytest_asyncio_loop_factories,
    pytest_runtest_makereport,
    rng,
    tally,
    time_limit,
)
