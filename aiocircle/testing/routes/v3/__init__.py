"""The operations of API v3, one module per group."""

from __future__ import annotations

from ...router import Routes
from . import jobs

__all__ = ["GROUPS"]

GROUPS: tuple[Routes, ...] = (jobs.routes,)
