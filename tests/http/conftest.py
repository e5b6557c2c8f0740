"""The fixtures of behaviour over HTTP."""

from __future__ import annotations

from tests.core.conftest import (
    _no_environment,
    _old_objects,
    assert_idle,
    canary,
    circle,
    complaints,
    full_jitter,
    make,
    other_server,
    pytest_asyncio_loop_factories,
    server,
)

__all__ = [
    "_no_environment",
    "_old_objects",
    "assert_idle",
    "canary",
    "circle",
    "complaints",
    "full_jitter",
    "make",
    "other_server",
    "pytest_asyncio_loop_factories",
    "server",
]
