"""Artifacts and exports as a plain client downloads them: names, ranges, cuts, redirects, dialects."""

from __future__ import annotations

import asyncio
import csv
import datetime
import gzip
import resource

import aiohttp
import pytest

from aiocircle.testing import ArtifactStory, JobStory, Story, UsageFormat, WorkflowStory

WEB = "gh/acme/web"
HOSTILE = [
    "../../etc/x",
    "/etc/passwd",
    "a//b",
    "..",
    "a\0b",
    "x" * 300,
    "C:\\con",
    "CON",
    "café +&%?#.txt",
    "a b",
]


async def _store(api, *artifacts, **job):
    """Store artifacts by a job that has ended; what the API lists."""
    story = Story([WorkflowStory("build", [JobStory("job", 0, artifacts=artifacts, **job)])], workflow_delay=0)
    api.server.script(WEB, story)
    pipeline_id = api.server.start_pipeline(WEB)
    (workflow,) = (await api.get(f"/pipeline/{pipeline_id}/workflow"))["items"]
    (listed,) = (await api.get(f"/workflow/{workflow['id']}/job"))["items"]
    return await api.walk(f"/project/{WEB}/{listed['job_number']}/artifacts")


@pytest.fixture
async def download(api):
    """Get a URL with the token, follow its redirect without one, and return status, headers and body."""
    async with aiohttp.ClientSession() as session:

        async def get(url, **headers):
            token = {"Circle-Token": api.server.token} if url.startswith(api.server.url) else {}
            async with session.get(url, headers={**headers, **token}, allow_redirects=False) as response:
                if response.status == 302:
                    return await get(response.headers["Location"], **headers)
                return response.status, response.headers, await response.read()

        yield get


async def test_hostile_names_can_be_downloaded(api, download):
    """Lists show each name as it is, and each URL leads to its own content."""
    names = HOSTILE
    stored = await _store(api, *(ArtifactStory(name, f"content of {number}") for number, name in enumerate(names)))
    assert [artifact["path"] for artifact in stored] == names
    for number, artifact in enumerate(stored):
        status, _, body = await download(artifact["url"])
        assert (status, body.decode()) == (200, f"content of {number}"), artifact
    assert stored[-1]["url"].endswith("/a+b")


async def test_redirect_leads_to_another_host(api):
    """The redirect leads to another host, which refuses requests with a token."""
    (artifact,) = await _store(api, "dist/app.bin")
    token = {"Circle-Token": api.server.token}
    async with aiohttp.ClientSession() as session:
        async with session.get(artifact["url"]) as response:
            assert response.status == 404
        async with session.get(artifact["url"], headers=token, allow_redirects=False) as response:
            assert response.status == 302
            location = response.headers["Location"]
        assert location.startswith(f"{api.server.storage_url}/")
        assert api.server.storage_url.rpartition(":")[2] != api.server.url.rpartition(":")[2]
        async with session.get(location, headers=token) as response:
            assert response.status == 400
            assert "Only one auth mechanism allowed" in await response.text()
        async with session.get(location.replace("Signature=", "Signature=0")) as response:
            assert response.status == 403
        async with session.get(f"{api.server.storage_url}/api/v2/me", headers=token) as response:
            assert response.status == 400
        async with session.get(f"{api.server.storage_url}/api/v2/me") as response:
            assert response.status == 404
    assert [request.headers["Host"].partition(":")[0] for request in api.server.requests[-3:]] == ["localhost"] * 3


@pytest.mark.parametrize(
    ("requested", "expected"),
    [
        (None, (200, 0, 1000)),
        ("bytes=0-", (206, 0, 1000)),
        ("bytes=990-", (206, 990, 1000)),
        ("bytes=10-19", (206, 10, 20)),
        ("bytes=10-5000", (206, 10, 1000)),
        ("bytes=-5", (206, 995, 1000)),
        ("bytes=-5000", (206, 0, 1000)),
        ("bytes=1000-", (416, 0, 0)),
        ("bytes=-0", (416, 0, 0)),
        ("bytes=20-10", (200, 0, 1000)),
        ("bytes=0-1,5-6", (200, 0, 1000)),
        ("lines=1-2", (200, 0, 1000)),
    ],
)
async def test_ranges(api, download, requested, expected):
    content = bytes(range(250)) * 4
    (artifact,) = await _store(api, ArtifactStory("a.bin", content))
    status, headers, body = await download(artifact["url"], **({"Range": requested} if requested else {}))
    code, start, stop = expected
    assert (status, body) == (code, content[start:stop])
    if status == 206:
        assert headers["Content-Range"] == f"bytes {start}-{stop - 1}/1000"
    elif status == 416:
        assert headers["Content-Range"] == "bytes */1000"
    assert headers["ETag"].startswith('"')


async def test_if_range(api, download):
    """Only the same strong ETag gives the range."""
    strong, weak, none, deaf = await _store(
        api,
        ArtifactStory("a", "0123456789"),
        ArtifactStory("b", "0123456789", etag='W/"1"'),
        ArtifactStory("c", "0123456789", etag=False),
        ArtifactStory("d", "0123456789", ranges=False),
    )
    etag = (await download(strong["url"]))[1]["ETag"]
    ranged = {"Range": "bytes=5-"}
    assert (await download(strong["url"], **ranged, **{"If-Range": etag}))[::2] == (206, b"56789")
    assert (await download(strong["url"], **ranged, **{"If-Range": '"other"'}))[0] == 200
    assert (await download(weak["url"], **ranged, **{"If-Range": 'W/"1"'}))[0] == 200
    assert "ETag" not in (await download(none["url"]))[1]
    assert (await download(none["url"], **ranged))[0] == 206
    assert (await download(deaf["url"], **ranged))[0] == 200


@pytest.mark.parametrize("framing", ["length", "chunked"])
async def test_a_connection_that_breaks(api, download, framing):
    """The first responses break off, and a range continues them."""
    content = bytes(1000)
    artifact = ArtifactStory("a.bin", content, cuts=2, cut_after=300, framing=framing)
    half = ArtifactStory("b.bin", content, cuts=1)
    first, second = await _store(api, artifact, half)
    for stored, received, cuts in ((first, 300, 2), (second, 500, 1)):
        for _ in range(cuts):
            async with aiohttp.ClientSession() as session:
                token = {"Circle-Token": api.server.token}
                async with session.get(stored["url"], headers=token, allow_redirects=False) as response:
                    location = response.headers["Location"]
                body = b""
                with pytest.raises(aiohttp.ClientPayloadError):
                    async with session.get(location) as response:
                        async for chunk in response.content.iter_any():
                            body += chunk
                assert len(body) == received
        status, _, body = await download(stored["url"], Range=f"bytes={received}-")
        assert (status, len(body)) == (206, 1000 - received)


async def test_forms_of_bodies(api, download):
    """Chunks, a body that ends with the connection, and a compressed one."""
    content = "text " * 1000
    chunked, closed, compressed, direct, indirect = await _store(
        api,
        ArtifactStory("a.txt", content, framing="chunked"),
        ArtifactStory("b.txt", content, framing="close"),
        ArtifactStory("c.txt", content, content_encoding="gzip"),
        ArtifactStory("d.txt", content, redirect=False, content_type="text/x-log"),
        ArtifactStory("e.html", content, redirect=True),
    )
    for stored, name, present in [
        (chunked, "Transfer-Encoding", "chunked"),
        (closed, "Content-Length", None),
        (compressed, "Content-Encoding", "gzip"),
        (direct, "Content-Type", "text/x-log"),
        (indirect, "Content-Type", "text/html"),
    ]:
        status, headers, body = await download(stored["url"])
        assert (status, body.decode(), headers.get(name)) == (200, content, present)
    assert "Transfer-Encoding" not in (await download(closed["url"]))[1]
    hosts = {
        request.headers["Host"].partition(":")[0]
        for request in api.server.requests
        if "artifacts/0/d.txt" in request.path
    }
    assert hosts == {"127.0.0.1"}


async def test_a_big_artifact_takes_no_memory(api):
    """The server generates 200 MB while it sends them."""
    size = 200_000_000
    (artifact,) = await _store(api, ArtifactStory("big.bin", size, redirect=False))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    count = 0
    async with (
        aiohttp.ClientSession(headers={"Circle-Token": api.server.token}) as session,
        session.get(artifact["url"]) as response,
    ):
        async for chunk in response.content.iter_any():
            if count == 0:
                assert chunk[:4] == b"\0\1\2\3"
            count += len(chunk)
    assert count == size
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 20_000  # KiB


async def test_injected_faults_reach_the_storage(api, download):
    (artifact,) = await _store(api, ArtifactStory("a.bin", 100_000))
    api.server.inject("503", path="/artifact/")
    assert (await download(artifact["url"]))[0] == 503
    api.server.inject("truncate", path="/artifact/")
    with pytest.raises(aiohttp.ClientPayloadError):
        await download(artifact["url"])
    assert (await download(artifact["url"]))[0] == 200


async def test_many_artifacts_and_nodes(api):
    artifacts = [ArtifactStory(f"part-{number}.txt", "x", node_index=number % 2) for number in range(3000)]
    stored = await _store(api, *artifacts, parallelism=2)
    assert len({artifact["url"] for artifact in stored}) == 3000
    assert {artifact["node_index"] for artifact in stored} == {0, 1}


async def _export(api, **fields):
    acme = (await api.get(f"/project/{WEB}"))["organization_id"]
    path = f"/organizations/{acme}/usage_export_job"
    midnight = api.server.midnight
    body = {"start": (midnight - datetime.timedelta(days=7)).isoformat(), "end": midnight.isoformat(), **fields}
    made = (await api("POST", path, json=body)).json
    for _ in range(10):
        shown = await api.get(f"{path}/{made['usage_export_job_id']}")
        if shown["state"] != "processing":
            return shown
        await asyncio.sleep(0)
    raise AssertionError("the export never ends")


NAMES = ['say "hi", twice', "two\nlines", r"back\slash", r"\N", r"\"", "plain"]


@pytest.mark.parametrize("compressed", [True, False])
@pytest.mark.parametrize("booleans", ["true/false", "Y/N"])
@pytest.mark.parametrize("quoting", ["double", "backslash"])
async def test_usage_dialects(api, download, quoting, booleans, compressed):
    """Several parts in each dialect contain the same values."""
    api.server.usage_format = UsageFormat(
        parts=3,
        rows=60,
        quoting=quoting,
        booleans=booleans,
        is_compressed=compressed,
        job_names=NAMES,
        extra_columns={"NEW_COLUMN": "new"},
    )
    shown = await _export(api)
    assert len(shown["download_urls"]) == 3
    dialect = {"doublequote": True} if quoting == "double" else {"doublequote": False, "escapechar": "\\"}
    ids = set()
    for url in shown["download_urls"]:
        status, _, raw = await download(url)
        assert (status, raw[:2] == b"\x1f\x8b") == (200, compressed)
        text = (gzip.decompress(raw) if compressed else raw).decode()
        header, *rows = csv.reader(text.splitlines(keepends=True), **dialect)
        assert (len(header), header[-1]) == (49, "NEW_COLUMN")
        records = [dict(zip(header, row, strict=True)) for row in rows]
        assert [record["JOB_NAME"] for record in records] == NAMES * 10
        assert {record["IS_WORKFLOW_SUCCESSFUL"] for record in records} <= {*booleans.split("/")}
        assert {record["NEW_COLUMN"] for record in records} == {"new"}
        ids |= {record["JOB_ID"] for record in records}
    assert len(ids) == 180
    assert r",\N," in text


async def test_usage_columns(api, download):
    """There are the 48 columns, and null is a bare backslash N."""
    (url, *_) = (await _export(api))["download_urls"]
    text = gzip.decompress((await download(url))[2]).decode()
    rows = [*csv.DictReader(text.splitlines())]
    assert len(rows[0]) == 48
    assert all(
        float(row["TOTAL_CREDITS"]) == float(row["COMPUTE_CREDITS"]) + float(row["USER_CREDITS"]) for row in rows
    )
    assert {row["MEDIAN_CPU_UTILIZATION_PCT"] for row in rows} == {r"\N", "35.5"}


async def test_usage_exports_that_fail_or_break(api, download):
    api.server.usage_format = UsageFormat(polls=4, error_reason="Query timed out")
    failed = await _export(api)
    assert (failed["state"], failed["error_reason"]) == ("failed", "Query timed out")
    api.server.usage_format = UsageFormat(cuts=1)
    (url, *_) = (await _export(api))["download_urls"]
    with pytest.raises(aiohttp.ClientPayloadError):
        await download(url)
    assert (await download(url))[0] == 200


async def test_usage_of_shared_organizations(api, download):
    standalone = (await api.get(f"/project/{api.server.projects[2]}"))["organization_id"]
    urls = (await _export(api, shared_org_ids=[standalone]))["download_urls"]
    owners = set()
    for url in urls:
        text = gzip.decompress((await download(url))[2]).decode()
        owners |= {row["ORGANIZATION_ID"] for row in csv.DictReader(text.splitlines())}
    assert len(owners) == 2
