"""Usage exports: windows, polls within the documented budget, and their files."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from datetime import UTC, datetime
from os import PathLike
from pathlib import Path
from typing import Any, Final, Self
from urllib.parse import urlsplit
from uuid import UUID

import attrs

from aiocircle._core.executor import Executor
from aiocircle._core.group import Id
from aiocircle._core.streams import FileOpener, stream_body
from aiocircle.composites._downloads import Target, download_artifacts
from aiocircle.composites._usage_csv import read_usage_rows
from aiocircle.composites._usage_windows import split_window
from aiocircle.errors import DownloadError, InvalidArgument
from aiocircle.resources.jobs import Artifact
from aiocircle.resources.usage import Usage, UsageExport, UsageExportState, UsageRow
from aiocircle.slugs import check_segment

__all__ = ["DEFAULT_INTERVAL", "Budget", "ExportRequest", "download_files", "poll_delay", "stream_rows"]

DEFAULT_INTERVAL: Final = 60.0
"""Seconds; the default of poll_interval, which stands for `poll_delay`."""

# https://circleci.com/docs/api/v2/#operation/createUsageExport: ten requests of each kind an hour and organization.
_BUDGET: Final = 10
_BUDGET_SECONDS: Final = 3600.0
_GROWTH: Final = 1.5
_MAX_INTERVAL: Final = 600.0

Window = tuple[datetime, datetime]


@attrs.frozen(kw_only=True)
class ExportRequest:
    """The request of a caller for exports, in windows that the API permits."""

    org_id: Id
    windows: tuple[Window, ...]
    shared_org_ids: tuple[Id, ...]
    poll_interval: float | None

    @classmethod
    def check(
        cls, org_id: Id, start: datetime, end: datetime, shared_org_ids: Id | Sequence[Id], poll_interval: Any
    ) -> Self:
        """Return the request. Raise InvalidArgument for a value that cannot work."""
        is_number = isinstance(poll_interval, int | float) and not isinstance(poll_interval, bool)
        if not is_number or not 0 < poll_interval < math.inf:
            got = poll_interval if is_number else type(poll_interval).__name__
            raise InvalidArgument(f"poll_interval must be seconds above 0, got {got}. Leave it out for the default.")
        if not isinstance(org_id, UUID):
            if not isinstance(org_id, str):
                raise InvalidArgument(f"org_id must be a UUID, got {type(org_id).__name__}. Take it from the settings.")
            check_segment(org_id, "org_id")
        shared = (shared_org_ids,) if isinstance(shared_org_ids, str | UUID) else tuple(shared_org_ids)
        windows = split_window(start, end, now=datetime.now(UTC))
        interval = None if poll_interval == DEFAULT_INTERVAL else float(poll_interval)
        return cls(org_id=org_id, windows=windows, shared_org_ids=shared, poll_interval=interval)


def poll_delay(number: int) -> float:
    """Return the seconds before the poll with this number, from 1: a minute at first, ten minutes in the end."""
    return min(DEFAULT_INTERVAL * _GROWTH ** min(number - 1, 10), _MAX_INTERVAL)


class Budget:
    """The requests of one kind of the last hour."""

    def __init__(self) -> None:
        self._times: deque[float] = deque(maxlen=_BUDGET)

    def delay(self, now: float) -> float:
        """Return the seconds until another request is within the budget. now: seconds on a clock that never jumps."""
        if len(self._times) < _BUDGET:
            return 0.0
        return max(0.0, self._times[0] + _BUDGET_SECONDS - now)

    def spend(self, now: float) -> None:
        """Record a request."""
        self._times.append(now)


class _Exporter:
    """The exports of a request, one after the other."""

    def __init__(self, executor: Executor, request: ExportRequest) -> None:
        self._executor = executor
        self._usage = Usage(executor)
        self._request = request
        self._creates, self._polls = Budget(), Budget()

    async def finished(self) -> AsyncGenerator[tuple[Window, UsageExport], None]:
        """Yield each window with its completed export, whose URLs were signed just now."""
        request = self._request
        for window in request.windows:
            await self._keep_budget(self._creates)
            export = await self._usage.create_export(
                request.org_id, start=window[0], end=window[1], shared_org_ids=request.shared_org_ids or None
            )
            number = 0
            while not export.is_finished:
                number += 1
                delay = poll_delay(number) if request.poll_interval is None else request.poll_interval
                await self._executor.state.clock.sleep(delay)
                await self._keep_budget(self._polls)
                export = await self._usage.get_export(request.org_id, export.usage_export_job_id)
            if export.state == UsageExportState.FAILED:
                reason = export.error_reason or "the API gives no reason"
                name = export.usage_export_job_id
                raise DownloadError(f"the usage export {name} was not made: {reason}", name=name)
            yield window, export

    async def _keep_budget(self, budget: Budget) -> None:
        clock = self._executor.state.clock
        if self._request.poll_interval is None and (delay := budget.delay(clock.monotonic())) > 0:
            await clock.sleep(delay)
        budget.spend(clock.monotonic())


async def stream_rows(executor: Executor, request: ExportRequest) -> AsyncGenerator[UsageRow, None]:
    """Yield the rows of all windows, file by file."""
    opener = FileOpener(executor, "usage.stream_export")
    async with aclosing(_Exporter(executor, request).finished()) as exports:
        async for _, export in exports:
            for number, url in enumerate(export.download_urls, 1):
                name = f"file {number} of {len(export.download_urls)} of the usage export {export.usage_export_job_id}"
                body = stream_body(opener, url, name=name, policy=executor.retry)
                async with aclosing(body), aclosing(read_usage_rows(body)) as rows:
                    async for row in rows:
                        yield row


async def download_files(executor: Executor, request: ExportRequest, into: str | PathLike[str]) -> tuple[Path, ...]:
    """Download the files of all windows, and return their paths in order."""
    opener = FileOpener(executor, "usage.download_export")
    paths: list[Path] = []
    async with aclosing(_Exporter(executor, request).finished()) as exports:
        async for window, export in exports:
            targets = [
                Target(artifact=Artifact(path=_file_name(window, number, url), url=url))
                for number, url in enumerate(export.download_urls)
            ]
            done = await download_artifacts(opener, targets, into, policy=executor.retry)
            paths += [file.path for file in done]
    return tuple(paths)


def _file_name(window: Window, number: int, url: str) -> str:
    start, end = (moment.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ") for moment in window)
    suffix = ".csv.gz" if urlsplit(url).path.endswith(".gz") else ".csv"
    return f"usage-{start}-{end}-{number:03}{suffix}"
