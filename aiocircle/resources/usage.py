"""Usage: what an organization used and was charged for, exported to files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from enum import StrEnum

import attrs

from aiocircle._core.endpoint import Endpoint, Table
from aiocircle._core.fields import Timestamp
from aiocircle._core.group import Group, Id, as_list, omit_none

__all__ = ["Usage", "UsageExport", "UsageExportState", "UsageRow"]


class UsageExportState(StrEnum):
    """The states of an export that are known today."""

    CREATED = "created"
    PROCESSING = "processing"
    COMPLETED = "completed"
    FAILED = "failed"


@attrs.frozen(kw_only=True)
class UsageExport:
    """An export of an organization's usage.

    state is one of UsageExportState, or a newer one. start and end are the API's reading of the requested range; only
    create_export returns them. download_urls is empty until the export is completed, and stays empty if nothing was
    used. Each URL leads to a gzipped CSV file with a row for each run of a job. Each get_export signs the URLs again.
    They are valid for about 36 hours, need no token, and stay out of the repr. error_reason: the cause of a failure.
    """

    usage_export_job_id: str
    state: str = ""
    start: Timestamp | None = None
    end: Timestamp | None = None
    download_urls: tuple[str, ...] = attrs.field(default=(), repr=False)
    error_reason: str | None = None

    @property
    def is_finished(self) -> bool:
        """True if the export will not change again: it is completed, or has failed."""
        return self.state in (UsageExportState.COMPLETED, UsageExportState.FAILED)


class _Endpoints(Table, group="usage"):
    create_export = Endpoint("POST", "/organizations/{org_id:id}/usage_export_job", UsageExport)
    get_export = Endpoint("GET", "/organizations/{org_id:id}/usage_export_job/{usage_export_job_id:id}", UsageExport)


class Usage(Group):
    """Usage exports: `circle.usage`."""

    async def create_export(
        self,
        org_id: Id,
        *,
        start: datetime | str,
        end: datetime | str,
        shared_org_ids: Id | Sequence[Id] | None = None,
    ) -> UsageExport:
        """Start an export of an organization's usage between two times.

        start, end: at most 31 days apart, at most a year back, not in the future; otherwise BadRequest. shared_org_ids:
        further organizations, which share the plan, to be in the export. The API takes about ten exports an hour from
        an organization. Poll get_export until is_finished is True.

        https://circleci.com/docs/api/v2/#operation/createUsageExport
        """
        return await self._call(
            _Endpoints.create_export,
            org_id,
            body=omit_none(start=start, end=end, shared_org_ids=as_list(shared_org_ids)),
        )

    async def get_export(self, org_id: Id, usage_export_job_id: Id) -> UsageExport:
        """Return an export: its state, and the URLs of its files.

        The API takes about ten of these an hour for an organization, so wait some minutes between them.

        https://circleci.com/docs/api/v2/#operation/getUsageExport
        """
        return await self._call(_Endpoints.get_export, org_id, usage_export_job_id)


@attrs.frozen(kw_only=True)
class UsageRow:
    """A row of an export: one run of a job.

    Times are UTC. job_run_seconds: seconds. *_pct: percent, 0 to 100, None for runs shorter than 15 seconds. *_credits:
    credits. user_credits are those of users (seats), divided among runs: what a run itself used is total_credits
    less user_credits. parallelism: the number of nodes; a run is one row, also on several nodes. extra: columns that
    are not known here, by their header.
    """

    organization_id: str
    organization_name: str
    organization_created_date: Timestamp | None = None
    project_id: str | None = None
    project_name: str | None = None
    project_created_date: Timestamp | None = None
    last_build_finished_at: Timestamp | None = None
    vcs_name: str | None = None
    vcs_url: str | None = None
    vcs_branch: str | None = None
    pipeline_id: str | None = None
    pipeline_created_at: Timestamp | None = None
    pipeline_number: int | None = None
    is_unregistered_user: bool | None = None
    pipeline_trigger_source: str | None = None
    pipeline_trigger_user_id: str | None = None
    workflow_id: str | None = None
    workflow_name: str | None = None
    workflow_first_job_queued_at: Timestamp | None = None
    workflow_first_job_started_at: Timestamp | None = None
    workflow_stopped_at: Timestamp | None = None
    is_workflow_successful: bool | None = None
    job_name: str | None = None
    job_run_number: int | None = None
    job_id: str
    job_run_date: date | None = None
    job_run_queued_at: Timestamp | None = None
    job_run_started_at: Timestamp | None = None
    job_run_stopped_at: Timestamp | None = None
    job_build_status: str | None = None
    resource_class: str | None = None
    operating_system: str | None = None
    executor: str | None = None
    parallelism: int | None = None
    job_run_seconds: float | None = None
    median_cpu_utilization_pct: float | None = None
    max_cpu_utilization_pct: float | None = None
    median_ram_utilization_pct: float | None = None
    max_ram_utilization_pct: float | None = None
    compute_credits: float | None = None
    dlc_credits: float | None = None
    user_credits: float | None = None
    storage_credits: float | None = None
    network_credits: float | None = None
    lease_credits: float | None = None
    lease_overage_credits: float | None = None
    ipranges_credits: float | None = None
    total_credits: float | None = None
    extra: Mapping[str, str | None] = attrs.field(factory=dict[str, str | None], hash=False)
