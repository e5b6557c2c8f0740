"""The operations of API v1.1, one module per group."""

from __future__ import annotations

from ...router import Routes
from . import builds, projects, users

__all__ = ["GROUPS"]

GROUPS: tuple[Routes, ...] = (builds.routes, projects.routes, users.routes)
