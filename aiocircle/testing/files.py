"""Files with `ETag`, `Range`, `If-Range` and 416, as a storage serves them."""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Iterator, Mapping

from .ids import digest
from .response import FileResponse, Response
from .stories import ArtifactStory

__all__ = ["gzipped", "pieces", "serve_artifact", "serve_bytes"]

_PIECE = 64 * 1024
_RANGE = re.compile(r"bytes=(\d*)-(\d*)")
_TYPES = {"html": "text/html", "json": "application/json", "xml": "application/xml", "log": "text/plain"}


def pieces(read: Callable[[int, int], bytes], start: int, stop: int) -> Iterator[bytes]:
    """Yield the bytes from `start` to before `stop` in pieces."""
    for position in range(start, stop, _PIECE):
        yield read(position, min(stop, position + _PIECE))


def gzipped(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Yield chunks as one gzip stream."""
    compressor = zlib.compressobj(wbits=31)
    for chunk in chunks:
        if compressed := compressor.compress(chunk):
            yield compressed
    yield compressor.flush()


def serve_artifact(artifact: ArtifactStory, headers: Mapping[str, str], *, is_cut: bool) -> Response | FileResponse:
    """Return the response to a request for an artifact. With `is_cut`, its connection breaks."""
    content_type = artifact.content_type or _TYPES.get(artifact.path.rpartition(".")[2], "application/octet-stream")
    etag = artifact.etag if isinstance(artifact.etag, str) else _etag(artifact) if artifact.etag else None
    own = {"ETag": etag} if etag is not None else {}
    if artifact.content_encoding is not None:
        cut_after = (artifact.cut_after or 10) if is_cut else None
        return FileResponse(
            chunks=lambda: gzipped(pieces(artifact.read, 0, artifact.size)),
            size=None,
            content_type=content_type,
            headers={**own, "Content-Encoding": artifact.content_encoding},
            framing="chunked",
            cut_after=cut_after,
        )
    if artifact.ranges:
        own["Accept-Ranges"] = "bytes"
    response = serve_bytes(
        artifact.read, artifact.size, headers if artifact.ranges else {}, own, content_type=content_type
    )
    if isinstance(response, Response):
        return response
    cut_after = None
    if is_cut:
        cut_after = (response.size or 0) // 2 if artifact.cut_after is None else artifact.cut_after
    return FileResponse(
        status=response.status,
        chunks=response.chunks,
        size=response.size,
        content_type=response.content_type,
        headers=response.headers,
        framing=artifact.framing,
        cut_after=cut_after,
    )


def _etag(artifact: ArtifactStory) -> str:
    content = artifact.content
    return f'"{digest("etag", content if isinstance(content, int) else read_all(artifact)).hex()[:32]}"'


def read_all(artifact: ArtifactStory) -> bytes:
    """Return the whole content of an artifact."""
    return artifact.read(0, artifact.size)


def serve_bytes(
    read: Callable[[int, int], bytes],
    size: int,
    headers: Mapping[str, str],
    own: Mapping[str, str],
    *,
    content_type: str,
) -> Response | FileResponse:
    """Return a whole file (200), the range of it that is requested (206), or a 416."""
    requested = headers.get("Range")
    condition = headers.get("If-Range")
    if condition is not None and (condition != own.get("ETag") or condition.startswith("W/")):
        requested = None
    span = _span(requested, size) if requested is not None else None
    if span is None:
        return FileResponse(chunks=lambda: pieces(read, 0, size), size=size, content_type=content_type, headers=own)
    start, stop = span
    if start >= size or start >= stop:
        return Response(416, b"", content_type, {**own, "Content-Range": f"bytes */{size}"}, cacheable=False)
    return FileResponse(
        status=206,
        chunks=lambda: pieces(read, start, stop),
        size=stop - start,
        content_type=content_type,
        headers={**own, "Content-Range": f"bytes {start}-{stop - 1}/{size}"},
    )


def _span(requested: str, size: int) -> tuple[int, int] | None:
    """Return the first byte and the one after the last, or None for a header that is ignored."""
    match = _RANGE.fullmatch(requested.strip())
    if match is None or not any(match.groups()):
        return None
    first, last = match.groups()
    if not first:
        return max(0, size - int(last)), size if int(last) else 0
    if last and int(last) < int(first):
        return None
    return int(first), min(size, int(last) + 1) if last else size
