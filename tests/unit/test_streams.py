"""Bodies that are read while they arrive: no byte is missing or repeated."""

from __future__ import annotations

from typing import Any

import pytest

from aiocircle._core.streams import stream_body
from aiocircle.errors import DownloadError
from tests.unit.composites.file_server import MIB, POLICY, File, FileServer, content


async def test_stream_is_continued(server: FileServer, open_: Any) -> None:
    """No byte is missing or repeated; without an ETag a cut is an error."""
    body = content(3 * MIB)
    server.files["/f"] = File(body=body, cuts=[1000, MIB], statuses=[500, 0, 500])
    received = b"".join([chunk async for chunk in stream_body(open_, f"{server.url}/f", name="f", policy=POLICY)])
    assert received == body
    server.files["/f"] = File(body=body, cuts=[1000], etag=None)
    with pytest.raises(DownloadError, match="no strong ETag"):
        [chunk async for chunk in stream_body(open_, f"{server.url}/f", name="f", policy=POLICY)]


@pytest.mark.parametrize("ranges", ["ignored", "shifted", "refused"])
async def test_stream_refuses_another_range(server: FileServer, open_: Any, ranges: str) -> None:
    """Bytes that were yielded cannot be taken back."""
    server.files["/f"] = File(body=content(5000), cuts=[1000], ranges=ranges)
    with pytest.raises(DownloadError):
        [chunk async for chunk in stream_body(open_, f"{server.url}/f", name="f", policy=POLICY)]
