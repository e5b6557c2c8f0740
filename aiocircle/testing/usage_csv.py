"""The files of usage exports: CSV in the dialects that the API is known to use."""

from __future__ import annotations

import datetime
import itertools
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, Literal

import attrs

__all__ = ["COLUMNS", "UsageFormat", "csv_lines", "timestamp"]

COLUMNS = (
    "ORGANIZATION_ID",
    "ORGANIZATION_NAME",
    "ORGANIZATION_CREATED_DATE",
    "PROJECT_ID",
    "PROJECT_NAME",
    "PROJECT_CREATED_DATE",
    "LAST_BUILD_FINISHED_AT",
    "VCS_NAME",
    "VCS_URL",
    "VCS_BRANCH",
    "PIPELINE_ID",
    "PIPELINE_CREATED_AT",
    "PIPELINE_NUMBER",
    "IS_UNREGISTERED_USER",
    "PIPELINE_TRIGGER_SOURCE",
    "PIPELINE_TRIGGER_USER_ID",
    "WORKFLOW_ID",
    "WORKFLOW_NAME",
    "WORKFLOW_FIRST_JOB_QUEUED_AT",
    "WORKFLOW_FIRST_JOB_STARTED_AT",
    "WORKFLOW_STOPPED_AT",
    "IS_WORKFLOW_SUCCESSFUL",
    "JOB_NAME",
    "JOB_RUN_NUMBER",
    "JOB_ID",
    "JOB_RUN_DATE",
    "JOB_RUN_QUEUED_AT",
    "JOB_RUN_STARTED_AT",
    "JOB_RUN_STOPPED_AT",
    "JOB_BUILD_STATUS",
    "RESOURCE_CLASS",
    "OPERATING_SYSTEM",
    "EXECUTOR",
    "PARALLELISM",
    "JOB_RUN_SECONDS",
    "MEDIAN_CPU_UTILIZATION_PCT",
    "MAX_CPU_UTILIZATION_PCT",
    "MEDIAN_RAM_UTILIZATION_PCT",
    "MAX_RAM_UTILIZATION_PCT",
    "COMPUTE_CREDITS",
    "DLC_CREDITS",
    "USER_CREDITS",
    "STORAGE_CREDITS",
    "NETWORK_CREDITS",
    "LEASE_CREDITS",
    "LEASE_OVERAGE_CREDITS",
    "IPRANGES_CREDITS",
    "TOTAL_CREDITS",
)
_BATCH = 500  # lines of one chunk
_SPECIAL = re.compile(r'[,"\n\r\\]')


@attrs.frozen(kw_only=True)
class UsageFormat:
    r"""The form of usage exports, for `server.usage_format`.

    `parts` is the number of files (None: one for 5,000 job runs). `rows` is the number of rows in each; they repeat
    the job runs with other ids (None: the job runs themselves). `quoting` doubles quotes or escapes them by a
    backslash. Null is always a bare `\N`. `job_names` replace the names of jobs, in turn. `extra_columns` stand
    after the 48 known ones. An export is processing for `polls` polls. `error_reason` makes it fail. The first `cuts`
    downloads of each file break off in the middle.
    """

    parts: int | None = None
    rows: int | None = None
    quoting: Literal["double", "backslash"] = "double"
    booleans: Literal["true/false", "Y/N"] = "true/false"
    is_compressed: bool = True
    job_names: Sequence[str] = ()
    extra_columns: Mapping[str, str | None] = attrs.field(factory=dict[str, "str | None"])
    polls: int = 1
    error_reason: str | None = None
    cuts: int = 0


def csv_lines(rows: Iterable[Mapping[str, object]], format_: UsageFormat) -> Iterator[bytes]:
    """Yield a file in chunks of many lines: its header, then its rows."""
    columns = [*COLUMNS, *format_.extra_columns]
    lines = itertools.chain(
        [",".join(columns)],
        (",".join([_cell(row.get(column), format_) for column in columns]) for row in rows),
    )
    while batch := [*itertools.islice(lines, _BATCH)]:
        yield ("\n".join(batch) + "\n").encode()


@lru_cache(256)
def timestamp(seconds: float) -> str:
    """Return a time as exports have it: UTC, without an offset."""
    moment = datetime.datetime.fromtimestamp(seconds, datetime.UTC).replace(tzinfo=None)
    return moment.isoformat(sep=" ", timespec="milliseconds")


def _cell(value: Any, format_: UsageFormat) -> str:
    if value is None:
        return r"\N"
    if isinstance(value, bool):
        yes, no = format_.booleans.split("/")
        return yes if value else no
    text = str(value)
    if isinstance(value, int | float):
        return text
    if _SPECIAL.search(text) is None:
        return text
    if format_.quoting == "double":
        return '"' + text.replace('"', '""') + '"'
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
