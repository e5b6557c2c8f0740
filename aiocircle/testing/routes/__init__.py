"""The operations of the API, one module per group."""

from __future__ import annotations

from ..call import Routes
from . import (
    contexts,
    definitions,
    deploys,
    groups,
    insights,
    jobs,
    oidc,
    organizations,
    otel,
    pipelines,
    policies,
    projects,
    schedules,
    usage,
    users,
    webhooks,
    workflows,
)

__all__ = ["GROUPS"]

GROUPS: tuple[Routes, ...] = (
    contexts.routes,
    definitions.routes,
    deploys.routes,
    groups.routes,
    insights.routes,
    jobs.routes,
    oidc.routes,
    organizations.routes,
    otel.routes,
    pipelines.routes,
    policies.routes,
    projects.routes,
    schedules.routes,
    usage.routes,
    users.routes,
    webhooks.routes,
    workflows.routes,
)
