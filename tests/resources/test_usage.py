"""Usage exports, over real HTTP."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from aiocircle import errors
from aiocircle.resources.usage import UsageExport, UsageExportState

ID = "0d5f6c9e-1f1c-4a4e-8a0e-52b07a0a4f11"
OTHER = "7f9f8a3e-5f8b-4a5e-9d44-5f0b8f6f2a10"


@pytest.fixture
async def org_id(circle):
    return (await circle.organizations.get("gh/acme")).id


async def test_export_life_cycle(circle, arrived, org_id):
    """An export is created, and has its files when it is completed."""
    end = datetime.fromtimestamp(int(time.time()) // 86400 * 86400, UTC) - timedelta(days=1)
    start = end - timedelta(days=7)
    export = await circle.usage.create_export(UUID(org_id), start=start, end=end.isoformat())
    request = arrived()
    assert (request.method, request.path, request.query) == ("POST", f"/organizations/{org_id}/usage_export_job", [])
    assert request.json.keys() == {"start", "end"}
    assert datetime.fromisoformat(request.json["start"]) == start
    assert request.json["end"] == end.isoformat()
    assert (export.state, export.start, export.end) == (UsageExportState.CREATED, start, end)
    assert (export.download_urls, export.is_finished) == ((), False)

    for _ in range(10):
        export = await circle.usage.get_export(org_id, UUID(export.usage_export_job_id))
        if export.is_finished:
            break
    assert export.state == UsageExportState.COMPLETED
    assert export.download_urls
    assert export.download_urls[0] not in repr(export)


@pytest.mark.parametrize(
    ("given", "sent"),
    [(OTHER, [OTHER]), (UUID(OTHER), [OTHER]), ([OTHER, UUID(ID)], [OTHER, ID]), ((), [])],
)
async def test_shared_organizations_are_an_array(circle, answer, arrived, given, sent):
    """Shared organizations are sent as an array."""
    answer({"usage_export_job_id": ID, "state": "created", "download_urls": None}, 201)
    await circle.usage.create_export(ID, start="2026-11-01T00:00:00Z", end="2026-11-02T00:00:00Z", shared_org_ids=given)
    assert arrived().json["shared_org_ids"] == sent


async def test_completed_export_may_have_no_files(circle, answer):
    """An export without data is completed and has no files."""
    answer({"usage_export_job_id": ID, "state": "completed", "download_urls": None})
    export = await circle.usage.get_export(ID, ID)
    assert export == UsageExport(usage_export_job_id=ID, state="completed")
    assert (export.is_finished, export.download_urls) == (True, ())


async def test_failed_export_has_a_reason(circle, answer):
    """A failed export has its reason."""
    answer({"usage_export_job_id": ID, "state": "failed", "error_reason": "too much", "download_urls": []})
    export = await circle.usage.get_export(ID, ID)
    assert (export.is_finished, export.error_reason) == (True, "too much")


async def test_unknown_export_state_is_not_final(circle, answer):
    """An unknown state of an export is not final."""
    answer({"usage_export_job_id": ID, "state": "queued"})
    assert not (await circle.usage.get_export(ID, ID)).is_finished


async def test_invalid_span_is_a_bad_request(circle, org_id):
    """A span that the API does not permit is sent, and refused by the server."""
    with pytest.raises(errors.BadRequest, match="31 days"):
        await circle.usage.create_export(org_id, start="2026-01-01T00:00:00Z", end="2026-03-01T00:00:00Z")
