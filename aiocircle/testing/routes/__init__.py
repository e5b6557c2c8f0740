"""The operations of the API, one module per group."""

from __future__ import annotations

from ..router import Routes
from . import (
    contexts,
    deploys,
    groups,
    insights,
    jobs,
    oidc,
    organizations,
    otel,
    pipeline_definitions,
    pipelines,
    policies,
    projects,
    schedules,
    triggers,
    usage,
    users,
    webhooks,
    workflows,
)

__all__ = ["GROUPS"]

GROUPS: tuple[Routes, ...] = (
    contexts.routes,
    deploys.routes,
    groups.routes,
    insights.routes,
    jobs.routes,
    oidc.routes,
    organizations.routes,
    otel.routes,
    pipeline_definitions.routes,
    pipelines.routes,
    policies.routes,
    projects.routes,
    schedules.routes,
    triggers.routes,
    usage.routes,
    users.routes,
    webhooks.routes,
    workflows.routes,
)
