"""Usage, with exports that are made, awaited and read in one call."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from datetime import datetime
from os import PathLike
from pathlib import Path

from aiocircle._core.group import Id
from aiocircle.resources import usage
from aiocircle.resources.usage import UsageRow

__all__ = ["Usage"]


class Usage(usage.Usage):
    """Usage exports: `circle.usage`."""

    __slots__ = ()

    def stream_export(
        self,
        org_id: Id,
        *,
        start: datetime,
        end: datetime,
        shared_org_ids: Id | Sequence[Id] = (),
        poll_interval: float = 60.0,
    ) -> AsyncGenerator[UsageRow, None]:
        """Return an iterator over the usage of an organization between two times: a row for each run of a job.

        start, end: aware datetimes, at most 13 months ago. More than 31 days are exported in several windows.
        shared_org_ids: further organizations, which share the plan. poll_interval: seconds between two polls of an
        export. The default keeps the documented budget of ten exports and ten polls an hour: it grows to ten minutes.
        Another value is used as it is.

        Memory is flat. A row that cannot be read is left out; after the other rows of its file, DecodeError is raised.
        Raise DownloadError, with the API's reason, if an export fails.

        https://circleci.com/docs/api/v2/#operation/createUsageExport
        """
        from aiocircle.composites._exports import ExportRequest, stream_rows

        request = ExportRequest.check(org_id, start, end, shared_org_ids, poll_interval)
        return stream_rows(self._executor.new_caller(), request)

    async def download_export(
        self,
        org_id: Id,
        into: str | PathLike[str],
        *,
        start: datetime,
        end: datetime,
        shared_org_ids: Id | Sequence[Id] = (),
        poll_interval: float = 60.0,
    ) -> tuple[Path, ...]:
        """Download the files of an export into a folder, and return their paths. They are CSV, usually with gzip.

        into: created if it does not exist. The other parameters and the errors are those of `stream_export`. A file is
        complete or absent. Raise DownloadErrors after all other files of a window are finished.

        https://circleci.com/docs/api/v2/#operation/createUsageExport
        """
        from aiocircle.composites._downloads import check_options
        from aiocircle.composites._exports import ExportRequest, download_files

        check_options(into, "**", 1, "replace")
        request = ExportRequest.check(org_id, start, end, shared_org_ids, poll_interval)
        return await download_files(self._executor.new_caller(), request, into)
