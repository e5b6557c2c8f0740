"""Usage: what an organization used and was charged for, exported to files."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum

import attrs

from aiocircle._core.endpoint import Endpoint, Table
from aiocircle._core.fields import Timestamp
from aiocircle._core.group import Group, Id, as_list, omit_none

__all__ = ["Usage", "UsageExport", "UsageExportState"]


class UsageExportState(StrEnum):
    """How far an export is, as far as known today."""

    CREATED = "created"
    PROCESSING = "processing"
    COMPLETED = "completed"
    FAILED = "failed"


@attrs.frozen(kw_only=True)
class UsageExport:
    """An export of an organization's usage.

    state is one of UsageExportState, or a newer one. start and end are what the API made of the range that was asked
    for; they come with the answer to create_export only. download_urls is empty until the export is completed, and
    after that, too, if nothing was used. Each URL leads to a gzipped CSV file with a row for each run of a job. The
    URLs are signed anew by each get_export, hold for about 36 hours, need no token, and stay out of the repr.
    error_reason says why an export failed.
    """

    usage_export_job_id: str
    state: str = ""
    start: Timestamp | None = None
    end: Timestamp | None = None
    download_urls: tuple[str, ...] = attrs.field(default=(), repr=False)
    error_reason: str | None = None

    @property
    def is_finished(self) -> bool:
        """Whether the export will not change any more: it is completed, or has failed."""
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

        start, end: at most 31 days apart, at most a year back, not in the future; else BadRequest. shared_org_ids:
        further organizations, which share the plan, to be in the export. The API takes about ten exports an hour from
        an organization. Ask get_export until the answer's is_finished.

        https://circleci.com/docs/api/v2/#operation/createUsageExport
        """
        return await self._call(
            _Endpoints.create_export,
            org_id,
            body=omit_none(start=start, end=end, shared_org_ids=as_list(shared_org_ids)),
        )

    async def get_export(self, org_id: Id, usage_export_job_id: Id) -> UsageExport:
        """An export: how far it is, and the URLs of its files.

        The API takes about ten of these an hour for an organization, so wait some minutes between them.

        https://circleci.com/docs/api/v2/#operation/getUsageExport
        """
        return await self._call(_Endpoints.get_export, org_id, usage_export_job_id)
