"""Jobs over many projects."""

from __future__ import annotations

from aiocircle.bulk.insights import (
    Failure,
    Part,
    Progress,
    ProjectInsights,
    WorkflowInsights,
    fetch_insights,
)

__all__ = ["Failure", "Part", "Progress", "ProjectInsights", "WorkflowInsights", "fetch_insights"]
