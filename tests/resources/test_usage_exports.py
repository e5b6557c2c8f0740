"""Usage exports over HTTP: windows, polls, parts and their quoting, rows and files."""

from __future__ import annotations

import asyncio
import gzip
import math
import random
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from aiocircle import CircleCI, InvalidArgument
from aiocircle.composites._exports import Budget, poll_delay
from aiocircle.errors import DownloadError
from aiocircle.resources.usage import UsageRow
from aiocircle.testing import LocalCircleCI, UsageFormat

WEB = "gh/acme/web"


async def org_id(circle: CircleCI) -> str:
    found = (await circle.projects.get(WEB)).organization_id
    assert found
    return found


def last(days: float) -> dict[str, Any]:
    """The last days until a minute ago."""
    end = datetime.now(UTC) - timedelta(minutes=1)
    return {"start": end - timedelta(days=days), "end": end}


async def rows(circle: CircleCI, days: float = 6, **options: Any) -> list[UsageRow]:
    export = circle.usage.stream_export(await org_id(circle), **last(days), **options)
    return [row async for row in export]


async def test_rows_of_all_dialects_are_equal(server: LocalCircleCI, circle: CircleCI) -> None:
    """Both ways of quoting, both ways of writing booleans, with gzip and without, in one part or in four."""
    names = ('test "unit", slow', "back\\slash", "plain")
    first: list[UsageRow] | None = None
    for parts, quoting in ((1, "double"), (4, "backslash")):
        for booleans, is_compressed in (("true/false", True), ("Y/N", False)):
            server.usage_format = UsageFormat(
                parts=parts,
                quoting=quoting,  # type: ignore[arg-type]
                booleans=booleans,  # type: ignore[arg-type]
                is_compressed=is_compressed,
                job_names=names,
                extra_columns={"NEW_COLUMN": "x"},
            )
            found = await rows(circle)
            assert {row.job_name for row in found} == {*names}
            assert all(row.extra == {"NEW_COLUMN": "x"} for row in found)
            key = sorted((row.job_id, row.total_credits, row.is_workflow_successful) for row in found)
            if first is None:
                first = found
            assert key == sorted((row.job_id, row.total_credits, row.is_workflow_successful) for row in first)


async def test_long_exports_have_windows(server: LocalCircleCI, circle: CircleCI) -> None:
    """A hundred days are four exports, one after the other; no run is missing or twice."""
    found = await rows(circle, 100)
    assert len(found) == len({row.job_id for row in found})
    bodies = [request.json for request in server.requests if request.method == "POST"]
    assert len(bodies) == 4
    for earlier, later in pairwise(bodies):
        assert earlier["end"] == later["start"]
    times = [row.job_run_started_at for row in found if row.job_run_started_at is not None]
    assert max(times) - min(times) > timedelta(days=31)


async def test_storage_gets_no_token(server: LocalCircleCI, circle: CircleCI) -> None:
    """The signed URLs need none, and refuse one."""
    server.usage_format = UsageFormat(parts=3)
    await rows(circle)
    signed = [request for request in server.requests if request.path.startswith("/usage/")]
    assert len(signed) == 3
    assert not any({"Circle-Token", "Authorization"} & request.headers.keys() for request in signed)


async def test_polls_keep_the_budget(server: LocalCircleCI, circle: CircleCI) -> None:
    """By default, at most ten polls and ten exports in any hour; a caller's interval is used as it is."""
    server.usage_format = UsageFormat(parts=1, polls=14)
    clock = asyncio.get_running_loop().time
    start = clock()
    await rows(circle)
    polls = [request.at for request in server.requests if "/usage_export_job/" in request.path]
    assert len(polls) == 15
    for index, at in enumerate(polls[:-10]):
        assert polls[index + 10] - at >= 3599
    assert polls[0] - start == pytest.approx(60, abs=2)
    server.requests.clear()
    server.usage_format = UsageFormat(parts=1, polls=3)
    start = clock()
    await rows(circle, poll_interval=7)
    assert clock() - start == pytest.approx(28, abs=1)


def test_budget_over_random_stories() -> None:
    """For any times, no hour has more than ten requests, and none waits without need."""
    random_ = random.Random(7)
    for _ in range(200):
        budget, now, spent = Budget(), 0.0, list[float]()
        for _ in range(60):
            now += random_.expovariate(1 / random_.choice((1, 60, 400)))
            delay = budget.delay(now)
            recent = [at for at in spent if at > now - 3600]
            assert (delay > 0) == (len(recent) >= 10)
            now += delay
            budget.spend(now)
            spent.append(now)
            assert len([at for at in spent if at > now - 3600 + 1e-6]) <= 10
    assert [poll_delay(number) for number in (1, 2, 3)] == [60, 90, 135]
    assert poll_delay(1000) == 600


async def test_a_failed_export_is_an_error(server: LocalCircleCI, circle: CircleCI, tmp_path: Path) -> None:
    """With the API's reason."""
    server.usage_format = UsageFormat(error_reason="Query exceeded 4 hours")
    with pytest.raises(DownloadError, match="was not made: Query exceeded 4 hours"):
        await rows(circle)
    with pytest.raises(DownloadError, match="Query exceeded 4 hours"):
        await circle.usage.download_export(await org_id(circle), tmp_path, **last(5))


async def test_an_export_without_data_is_empty(server: LocalCircleCI, circle: CircleCI, tmp_path: Path) -> None:
    """It is completed, and its list of files stays null."""
    server.usage_format = UsageFormat(parts=0)
    assert await rows(circle) == []
    assert await circle.usage.download_export(await org_id(circle), tmp_path, **last(5)) == ()


async def test_files_are_downloaded(server: LocalCircleCI, circle: CircleCI, tmp_path: Path) -> None:
    """Under names by window and number, as the API has them."""
    server.usage_format = UsageFormat(parts=2)
    paths = await circle.usage.download_export(await org_id(circle), tmp_path, **last(40))
    assert len(paths) == 4
    assert {path.parent for path in paths} == {tmp_path}
    assert list(paths) == sorted(paths)
    texts = [gzip.decompress(path.read_bytes()).decode() for path in paths]
    assert all(text.startswith("ORGANIZATION_ID,") for text in texts)
    assert sum(text.count("\n") - 1 for text in texts) == len(await rows(circle, 40))


async def test_a_cut_file_is_not_the_end(server: LocalCircleCI, circle: CircleCI, tmp_path: Path) -> None:
    """Rows that came are yielded; without an ETag the stream cannot be continued. A file is downloaded again."""
    server.usage_format = UsageFormat(parts=1, cuts=1)
    found: list[UsageRow] = []
    with pytest.raises(DownloadError, match="cut and has no strong ETag"):
        async for row in circle.usage.stream_export(await org_id(circle), **last(20)):
            found.append(row)  # noqa: PERF401 - those before the error count
    (path,) = await circle.usage.download_export(await org_id(circle), tmp_path, **last(20))
    assert gzip.decompress(path.read_bytes()).count(b"\n") - 1 >= len(found) > 0


async def test_an_export_of_several_organizations(server: LocalCircleCI, circle: CircleCI) -> None:
    """One id or several; an organization that is not shared fails the export."""
    own = await org_id(circle)
    others = {project.organization_id for project in [await circle.projects.get(slug) for slug in server.projects]}
    (other,) = others - {own}
    found = await rows(circle, shared_org_ids=[other])
    assert {row.organization_id for row in found} == {own, other}
    assert (await rows(circle, shared_org_ids=other)) == found
    with pytest.raises(DownloadError, match="not shared"):
        await rows(circle, shared_org_ids="11111111-1111-4111-8111-111111111111")


async def test_bad_arguments_are_refused(server: LocalCircleCI, circle: CircleCI, tmp_path: Path) -> None:
    """Immediately, before anything is sent."""
    good = last(5)
    for name, value in [
        ("start", datetime(2026, 1, 1)),
        ("end", "2026-01-01"),
        ("end", good["start"]),
        ("poll_interval", 0),
        ("poll_interval", math.inf),
        ("poll_interval", "60"),
        ("start", datetime(2020, 1, 1, tzinfo=UTC)),
    ]:
        with pytest.raises(InvalidArgument, match=name):
            circle.usage.stream_export("o", **{**good, name: value})
        with pytest.raises(InvalidArgument, match=name):
            await circle.usage.download_export("o", tmp_path, **{**good, name: value})
    for bad in (5, "", ".."):
        with pytest.raises(InvalidArgument, match="org_id"):
            circle.usage.stream_export(bad, **good)  # type: ignore[arg-type]
    assert server.requests == []
