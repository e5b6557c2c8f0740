"""Fixtures of tests/http under their former names, until the last tests here have moved there."""

from __future__ import annotations

import pytest

from tests.http.conftest import (  # noqa: F401
    assert_idle,
    canary,
    circle,
    full_jitter,
    make,
    no_leaks,
    other_server,
    server,
)
from tests.support.loops import LoopFactories, virtual_time
from tests.support.scripted_server import (  # noqa: F401
    Exchange,
    Received,
    Script,
    ScriptedServer,
    drop,
    hang,
    raw,
    reply,
)

Scripted = ScriptedServer


def pytest_asyncio_loop_factories() -> LoopFactories:
    """Return loops on which no test sleeps for real."""
    return virtual_time()


@pytest.fixture
def complaints(no_leaks: object) -> object:  # noqa: F811
    """The former name of `no_leaks`."""
    return no_leaks
