"""The operations of the API, one module per group."""

from __future__ import annotations

from ..call import Routes
from . import insights, jobs, pipelines, projects, users, workflows

__all__ = ["GROUPS"]

GROUPS: tuple[Routes, ...] = (
    users.routes,
    projects.routes,
    pipelines.routes,
    workflows.routes,
    jobs.routes,
    insights.routes,
)
