"""Bodies that are sent in pieces, and EDN."""

from __future__ import annotations

from typing import Any, cast

from aiohttp import web
from multidict import CIMultiDict

from .response import FileResponse

__all__ = ["send_file", "to_edn"]


async def send_file(
    request: web.BaseRequest, file: FileResponse, headers: CIMultiDict[str]
) -> tuple[web.StreamResponse, int]:
    """Send a response whose body is generated. Return it, and the number of bytes of its body that were sent."""
    if file.framing == "close":
        return await _send_until_close(request, file, headers)
    response = web.StreamResponse(status=file.status, headers=headers)
    if file.framing == "length" and file.size is not None:
        response.content_length = file.size
    else:
        response.enable_chunked_encoding()
    await response.prepare(request)
    count = 0
    for chunk in file.chunks():
        piece = chunk if file.cut_after is None else chunk[: file.cut_after - count]
        if piece:
            await response.write(piece)
        count += len(piece)
        if file.cut_after is not None and count >= file.cut_after:
            _close(request)
            return response, count
    await response.write_eof()
    return response, count


async def _send_until_close(
    request: web.BaseRequest, file: FileResponse, headers: CIMultiDict[str]
) -> tuple[web.StreamResponse, int]:
    """Send a body with neither a length nor chunks. It ends with the connection."""
    transport = request.transport
    count = 0
    if transport is not None:
        lines = [f"HTTP/1.1 {file.status} OK", *(f"{name}: {value}" for name, value in headers.items())]
        transport.write("\r\n".join([*lines, "Connection: close", "", ""]).encode())
        for chunk in file.chunks():
            piece = chunk if file.cut_after is None else chunk[: file.cut_after - count]
            transport.write(piece)
            count += len(piece)
            await request.writer.drain()
        transport.close()
    return web.Response(), count


def _close(request: web.BaseRequest) -> None:
    if request.transport is not None:
        request.transport.close()


def to_edn(value: object) -> str:
    """Return a JSON value as EDN, the format of API v1.1 for a request that does not accept JSON."""
    if value is None:
        return "nil"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        items = cast("dict[str, Any]", value).items()
        return "{" + ", ".join(f":{name} {to_edn(item)}" for name, item in items) + "}"
    if isinstance(value, list):
        return "[" + " ".join(map(to_edn, cast("list[object]", value))) + "]"
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return str(value)
