"""A server that means harm, or is broken: what it can do to one request, and what must come of it."""

from __future__ import annotations

import asyncio
import re
import zlib
from collections.abc import Awaitable, Callable, Iterator
from functools import cache
from typing import Any, Final

import attrs

from aiocircle import (
    APIError,
    BadRequest,
    ConnectionFailed,
    DecodeError,
    NotFound,
    RateLimited,
    RequestTimeout,
    ServerError,
)
from aiocircle.errors import Outcome
from tests.support.scripted_server import Exchange, Script, ScriptedServer, hang, raw, reply
from tests.support.thorough import scaled

__all__ = ["ATTACKS", "BIG", "GOOD", "LIMIT", "Attack", "Hostile", "good"]

GOOD: Final = {"id": "b1", "login": "ada", "name": "Ada"}
MEBIBYTE: Final = 1024 * 1024
# The limit of the clients that meet the attacks: the product's is 64 MiB, which costs seconds without showing more.
LIMIT: Final = scaled(4, 64) * MEBIBYTE
_TOO_LARGE: Final = 8 * LIMIT
_BOMB: Final = 8 * LIMIT


def good(**options: Any) -> Script:
    """Return a script for a valid response."""
    return reply(200, GOOD, **options)


class Hostile(ScriptedServer):
    """The scripted server, which can also receive connections in its own way."""

    def __init__(self) -> None:
        super().__init__()
        self.welcomes: list[Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[bool]]] = []

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int) -> None:
        if self.welcomes and not await self.welcomes.pop(0)(reader, writer):
            return
        await super()._serve(reader, writer, number)


@attrs.frozen(kw_only=True)
class Attack:
    """An attack on one request.

    ends: what a GET with a single attempt ends in: an error's class, or the plain JSON. outcome: the outcome of the
    error of a POST. passing: True if a GET is sent again. resent: True if aiohttp itself sends a GET once more.
    for_ever: True if it happens to all requests.
    """

    name: str
    script: Script | None = None
    welcome: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[bool]] | None = None
    ends: Any
    outcome: Outcome = "unknown"
    passing: bool = False
    resent: bool = False
    for_ever: bool = False

    @property
    def fails(self) -> bool:
        return isinstance(self.ends, tuple | type)


def _head(*lines: str, status: str = "200 OK") -> bytes:
    return "\r\n".join([f"HTTP/1.1 {status}", *lines, "", ""]).encode("latin-1")


def _json(body: bytes, *lines: str, status: str = "200 OK") -> bytes:
    return _head("Content-Type: application/json", f"Content-Length: {len(body)}", *lines, status=status) + body


def _slowly(data: bytes, seconds: float, step: int = 1) -> Script:
    """The bytes one by one, with a pause before each."""

    async def write(exchange: Exchange) -> bool:
        for start in range(0, len(data), step):
            await asyncio.sleep(seconds)
            exchange.writer.write(data[start : start + step])
            await exchange.writer.drain()
        return True

    return write


def _whole(data: bytes, then: bytes = b"") -> Script:
    """Return a script that writes some bytes and keeps the connection open."""

    async def write(exchange: Exchange) -> bool:
        exchange.writer.write(data)
        await exchange.writer.drain()
        if then:
            await asyncio.sleep(1)
            exchange.writer.write(then)
            await exchange.writer.drain()
        return True

    return write


def _flood(head: bytes, chunks: Callable[[], Iterator[bytes]]) -> Script:
    """Return a script for a long response, which ends when the client disconnects."""

    async def write(exchange: Exchange) -> bool:
        exchange.writer.write(head)
        for chunk in chunks():
            exchange.writer.write(chunk)
            await exchange.writer.drain()
        return True

    return write


@cache
def _bomb(size: int, wbits: int) -> bytes:
    """`size` zero bytes, compressed."""
    packer = zlib.compressobj(9, zlib.DEFLATED, wbits)
    piece = bytes(16 * MEBIBYTE)
    return b"".join(packer.compress(piece) for _ in range(size // len(piece))) + packer.flush()


def _bombed(size: int, wbits: int, encoding: str, status: str = "200 OK") -> Script:
    made: list[bytes] = []

    async def write(exchange: Exchange) -> bool:
        if not made:
            body = _bomb(size, wbits)
            made.append(
                _head(
                    "Content-Type: application/json",
                    f"Content-Encoding: {encoding}",
                    f"Content-Length: {len(body)}",
                    status=status,
                )
                + body
            )
        exchange.writer.write(made[0])
        await exchange.writer.drain()
        return True

    return write


def _pieces(size: int) -> Callable[[], Iterator[bytes]]:
    piece = b" " * MEBIBYTE
    return lambda: (piece for _ in range(size // MEBIBYTE))


def _gzip(data: bytes) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    return packer.compress(data) + packer.flush()


async def _reset_immediately(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
    writer.transport.abort()
    return False


async def _close_immediately(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
    return False


async def _reset_in_the_request(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
    await reader.read(10)
    writer.transport.abort()
    return False


async def _speak_first(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
    writer.write(_json(b'{"id":"poison"}'))
    await writer.drain()
    return True


async def _speak_tls(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
    writer.write(b"\x15\x03\x01\x00\x02\x02\x28")
    return False


_BODY = b'{"id":"b1","login":"ada","name":"Ada"}'
_HALF = len(_BODY) // 2
_CHUNKED = _head("Content-Type: application/json", "Transfer-Encoding: chunked")
_GZIPPED = ("Content-Type: application/json", "Content-Encoding: gzip")


def _attacks() -> Iterator[Attack]:
    gone: dict[str, Any] = {"ends": ConnectionFailed, "passing": True, "resent": True}
    lost: dict[str, Any] = {"ends": ConnectionFailed, "passing": True}
    # Whether the status had been read when the rest turned out to be broken is a matter of packets.
    broken: dict[str, Any] = {"ends": (ConnectionFailed, DecodeError), "passing": True}
    cut: dict[str, Any] = {"ends": DecodeError, "outcome": "done", "passing": True}
    final: dict[str, Any] = {"ends": DecodeError, "outcome": "done"}

    # --- the connection breaks
    yield Attack(name="reset at once", welcome=_reset_immediately, **gone)
    yield Attack(name="closed at once", welcome=_close_immediately, **gone)
    yield Attack(name="reset in the request", welcome=_reset_in_the_request, **gone)
    yield Attack(name="TLS where plain text is spoken", welcome=_speak_tls, **lost)
    for abort, how in ((False, "closed"), (True, "reset")):
        yield Attack(name=f"{how} before the headers", script=raw(b"", abort=abort), **gone)
        yield Attack(name=f"{how} in the status line", script=raw(b"HTTP/1.", abort=abort), **gone)
        yield Attack(name=f"{how} in the headers", script=raw(_json(_BODY)[:40], abort=abort), **gone)
        yield Attack(name=f"{how} after the headers", script=raw(_json(_BODY)[: -len(_BODY)], abort=abort), **cut)
        yield Attack(name=f"{how} in the body", script=raw(_json(_BODY)[:-_HALF], abort=abort), **cut)
        yield Attack(name=f"{how} in a chunk", script=raw(_CHUNKED + b"ff\r\n" + _BODY, abort=abort), **cut)
        yield Attack(name=f"{how} after the body", script=raw(_json(_BODY), abort=abort), ends=GOOD)
        yield Attack(
            name=f"{how} in an error's body",
            script=raw(_json(_BODY, status="404 No")[:-_HALF], abort=abort),
            ends=NotFound,
            outcome="not_done",
        )
    yield Attack(name="a body that ends with the connection", script=raw(_head() + _BODY), ends=GOOD)

    # --- it takes its time
    yield Attack(name="no answer", script=hang(), ends=RequestTimeout, passing=True)
    yield Attack(name="no end of the headers", script=hang(_json(_BODY)[:30]), ends=RequestTimeout, passing=True)
    yield Attack(name="no end of the body", script=hang(_json(_BODY)[:-_HALF]), ends=RequestTimeout, passing=True)
    yield Attack(name="one byte a second", script=_slowly(_json(_BODY), 1), ends=RequestTimeout, passing=True)
    yield Attack(name="one byte now and then, in time", script=_slowly(_json(_BODY), 0.02), ends=GOOD)

    # --- lengths and chunks
    def length(value: str) -> Script:
        return raw(_head("Content-Type: application/json", f"Content-Length: {value}") + _BODY)

    yield Attack(name="Content-Length too long", script=length(str(len(_BODY) + 9)), **cut)
    yield Attack(name="Content-Length too short", script=_whole(_json(_BODY).replace(b"gth: 38", b"gth: 19")), **broken)
    yield Attack(name="Content-Length of 2**64", script=length(str(2**64)), **lost)
    yield Attack(name="Content-Length of 10**30", script=length("9" * 30), **lost)
    for odd in ("-1", "+38", "3 8", "0x26", "38, 38", "", "eins", "٣٨".encode().decode("latin-1")):
        yield Attack(name=f"Content-Length: {odd!a}", script=length(odd), **lost)
    yield Attack(name="two lengths that differ", script=raw(_json(_BODY, "Content-Length: 5")), **lost)
    yield Attack(
        name="a length and chunks", script=raw(_json(b"2\r\n{}\r\n0\r\n\r\n", "Transfer-Encoding: chunked")), **lost
    )
    for name, chunks in {
        "chunks without an end": b"26\r\n" + _BODY + b"\r\n",
        "a chunk whose size is no number": b"zz\r\n" + _BODY + b"\r\n0\r\n\r\n",
        "a chunk of negative size": b"-26\r\n" + _BODY + b"\r\n0\r\n\r\n",
        "a chunk of 2**70 bytes": b"4" + b"0" * 17 + b"\r\n" + _BODY,
        "a chunk longer than it says": b"05\r\n" + _BODY + b"\r\n0\r\n\r\n",
        "an endless chunk extension": b"26;" + b"x" * 200_000,
    }.items():
        yield Attack(name=name, script=raw(_CHUNKED + chunks), **broken)

    # --- compression
    packed = _gzip(_BODY)
    yield Attack(name="gzip", script=raw(_head(*_GZIPPED) + packed), ends=GOOD)
    yield Attack(name="gzip that is none", script=raw(_json(_BODY, "Content-Encoding: gzip")), **cut)
    half = packed[: len(packed) // 2]
    yield Attack(name="gzip that is cut", script=_whole(_json(half, "Content-Encoding: gzip")), **cut)
    yield Attack(
        name="gzip without its checksum", script=_whole(_json(packed[:-8], "Content-Encoding: gzip")), ends=GOOD
    )
    yield Attack(
        name="gzip with a wrong checksum", script=raw(_json(packed[:-8] + bytes(8), "Content-Encoding: gzip")), **cut
    )
    # Another attempt would return the same encoding.
    yield Attack(name="gzip twice", script=raw(_json(_gzip(packed), "Content-Encoding: gzip, gzip")), **final)
    yield Attack(name="an unknown compression", script=raw(_json(_BODY, "Content-Encoding: rot13")), ends=GOOD)
    for wbits, encoding in ((31, "gzip"), (15, "deflate")):
        yield Attack(name=f"a {encoding} bomb", script=_bombed(_BOMB, wbits, encoding), **final)
    yield Attack(
        name="a gzip bomb as an error",
        script=_bombed(_BOMB, 31, "gzip", "404 No"),
        ends=NotFound,
        outcome="not_done",
    )

    # --- size
    yield Attack(
        name="a body beyond the limit",
        script=_flood(_head(f"Content-Length: {_TOO_LARGE}"), _pieces(_TOO_LARGE)),
        **final,
    )
    yield Attack(
        name="an error beyond the limit",
        script=_flood(_head(f"Content-Length: {_TOO_LARGE}", status="500 Oh"), _pieces(_TOO_LARGE)),
        ends=ServerError,
        passing=True,
    )
    yield Attack(name="a body without end", script=_flood(_head(), _pieces(2**50)), **final)
    yield Attack(
        name="a megabyte of one header",
        script=_flood(b"HTTP/1.1 200 OK\r\nX: ", lambda: iter([b"x" * MEBIBYTE])),
        **lost,
    )
    yield Attack(
        name="headers without end",
        script=_flood(b"HTTP/1.1 200 OK\r\n", lambda: (b"X-%d: y\r\n" % n * 100 for n in range(10**3))),
        **lost,
    )
    yield Attack(name="a long reason", script=raw(b"HTTP/1.1 200 " + b"O" * 100_000 + b"\r\n\r\n{}"), **lost)

    # --- what is no JSON, or odd JSON
    for name, body in {
        "nothing but white space": b" \r\n\t",
        "HTML": b"<html><head><title>Hello</title></head></html>",
        "NaN": b'{"id":NaN}',
        "Infinity": b"[-Infinity]",
        "1e999": b"[1e999]",
        "a number of 5,000 digits": b"9" * 5000,
        "a fraction of 5,000 digits": b"9" * 5000 + b".5",
        "100,000 arrays in each other": b"[" * 100_000 + b"]" * 100_000,
        "objects in each other": b'{"a":' * 50_000 + b"1" + b"}" * 50_000,
        "arrays without end": b"[" * 1_000_000,
        "half a surrogate": b'"\\ud800"',
        "something after the end": b"{} {}",
        "a zero byte": b'{"a":1}\x00',
        "a comment": b"/**/{}",
        "single quotes": b"{'a':1}",
        "a trailing comma": b"[1,]",
    }.items():
        yield Attack(name=name, script=_whole(_json(body)), **cut)
    for name, body in {
        "text that is no UTF-8": b'{"id":"\xff\xfe"}',
        "UTF-16": '{"id":"x"}'.encode("utf-16"),
    }.items():
        yield Attack(name=name, script=_whole(_json(body)), **final)
    for name, body, value in (
        ("a byte order mark", b"\xef\xbb\xbf{}", {}),
        ("no body", b"", None),
        ("null", b"null", None),
        ("a number by itself", b"1E+2", 100.0),
        ("a number of 300 digits", b"9" * 300, int("9" * 300)),
        ("duplicate keys", b'{"a":1,"a":2,"a":[3]}', {"a": [3]}),
        ("odd keys", b'{"":1,"__class__":2,"\\u0000":3}', {"": 1, "__class__": 2, "\0": 3}),
        ("minus nothing", b"[-0]", [0]),
        ("a string of a megabyte", b'"' + b"x" * MEBIBYTE + b'"', "x" * MEBIBYTE),
        (
            "a hundred thousand keys",
            b"{" + b",".join(b'"%d":0' % n for n in range(100_000)) + b"}",
            {str(n): 0 for n in range(100_000)},
        ),
    ):
        yield Attack(name=name, script=_whole(_json(body)), ends=value)

    # --- no HTTP, or odd HTTP
    for name, data in {
        "no HTTP": b"220 mail.example.com ESMTP\r\n\r\n",
        "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "zeros": bytes(5000),
        "a status of three letters": b"HTTP/1.1 abc Oh\r\n\r\n",
        "a status of four digits": b"HTTP/1.1 2000 OK\r\nContent-Length: 2\r\n\r\n{}",
        "a header without a name": b"HTTP/1.1 200 OK\r\n: x\r\nContent-Length: 2\r\n\r\n{}",
        "a header without a colon": b"HTTP/1.1 200 OK\r\nhello\r\nContent-Length: 2\r\n\r\n{}",
        "a zero byte in a header": b"HTTP/1.1 200 OK\r\nX: a\x00b\r\nContent-Length: 2\r\n\r\n{}",
    }.items():
        yield Attack(name=name, script=raw(data), **lost)
    yield Attack(
        name="a header that is no ASCII", script=_whole(_json(_BODY, "X-Request-Id: Zürich\x80\xff")), ends=GOOD
    )
    yield Attack(name="bare line feeds", script=raw(_json(_BODY).replace(b"\r\n", b"\n")), ends=GOOD)
    yield Attack(name="no header at all", script=raw(b"HTTP/1.1 200 OK\r\n\r\n{}"), ends={})
    yield Attack(
        name="a hundred times 100 Continue", script=_whole(_head(status="100 Continue") * 100 + _json(_BODY)), ends=GOOD
    )
    yield Attack(
        name="early hints", script=_whole(_head("Link: </x>", status="103 Early Hints") + _json(_BODY)), ends=GOOD
    )
    yield Attack(
        name="101 Switching Protocols",
        script=raw(_head("Connection: Upgrade", "Upgrade: x", status="101 Switch") + b"xyz"),
        ends=APIError,
    )
    yield Attack(name="204 with a body", script=raw(_json(_BODY, status="204 No Content")), **lost)
    yield Attack(name="304", script=_whole(_head(status="304 Not Modified")), ends=APIError)
    yield Attack(name="a status of 999", script=_whole(_json(b"{}", status="999 What")), ends=ServerError, passing=True)
    yield Attack(name="a status of 600", script=_whole(_json(b"{}", status="600 What")), ends=ServerError, passing=True)
    yield Attack(
        name="a status of 444", script=_whole(_json(b"{}", status="444 What")), ends=APIError, outcome="not_done"
    )
    yield Attack(
        name="400 with a message that is no text",
        script=_whole(_json(b'{"message":[1,{"a":null}]}', status="400 No")),
        ends=BadRequest,
        outcome="not_done",
    )
    yield Attack(
        name="400 with arrays in each other",
        script=_whole(_json(b"[" * 100_000, status="400 No")),
        ends=BadRequest,
        outcome="not_done",
    )
    yield Attack(
        name="400 with a message of a megabyte",
        script=_whole(_json(b'{"message":"' + b"\\u001b[31m" * 100_000 + b'"}', status="400 No")),
        ends=BadRequest,
        outcome="not_done",
    )
    yield Attack(
        name="400 that is no UTF-8",
        script=_whole(_json(b"\xff\xfe\x00", status="400 No")),
        ends=BadRequest,
        outcome="not_done",
    )

    # --- words that go into messages
    rude = "\x1b[31m\x07" + "x" * 5000
    for name in ("Content-Type", "X-Request-Id", "Deprecation", "Retry-After", "X-RateLimit-Limit"):
        yield Attack(
            name=f"a rude {name}",
            script=_whole(_head(f"{name}: {rude}", "Content-Length: 3", status="400 No") + b"no!"),
            ends=(BadRequest, ConnectionFailed),
            outcome="not_done",
        )
        yield Attack(
            name=f"a rude {name} of a success",
            script=_whole(_head(f"{name}: {rude}", "Content-Length: 3") + b"no!"),
            **broken,
        )
    yield Attack(
        name="a rude Location",
        script=_whole(_head(f"Location: http://elsewhere/{rude}", "Content-Length: 0", status="302 There")),
        ends=(APIError, ConnectionFailed),
    )

    # --- more answers than were asked for
    poison = _json(b'{"id":"poison"}')
    yield Attack(name="two answers at once", script=_whole(_json(_BODY) + poison), ends=GOOD)
    yield Attack(name="garbage after the answer", script=_whole(_json(_BODY) + b"garbage"), **lost)
    yield Attack(name="garbage later", script=_whole(_json(_BODY), then=b"garbage"), ends=GOOD)
    # aiohttp takes it for the response. The server at the other end controls the content in any case.
    yield Attack(name="an answer before the question", welcome=_speak_first, ends={"id": "poison"})

    # --- redirects
    for status in ("301", "302", "303", "307", "308"):
        yield Attack(
            name=f"{status} without a target",
            script=_whole(_head("Content-Length: 0", status=f"{status} There")),
            ends=APIError,
        )
    for target in (
        "",
        "http://[",
        "http://:0/",
        "///x",
        "javascript:alert(1)",
        "file:///etc/passwd",
        "\\\\host",
        "%",
        "http://a b/",
        "ftp://127.0.0.1/",
    ):
        yield Attack(
            name=f"302 to {target!r}",
            script=_whole(_head(f"Location: {target}", "Content-Length: 0", status="302 There")),
            ends=(APIError, NotFound),
        )
    yield Attack(
        name="302 to itself, for ever",
        script=_whole(_head("Location: /api/v2/attacked", "Content-Length: 0", status="302 There")),
        ends=APIError,
        for_ever=True,
    )

    # --- rate limits
    for asked, passing in (
        ("-5", True),
        ("0.5", True),
        ("1e3", True),
        ("Sun, 06 Nov 1994 08:49:37 GMT", True),
        ("soon", True),
        ("٣", True),
        ("31536000", False),
        ("Fri, 31 Dec 9999 23:59:59 GMT", False),
        ("9" * 400, False),
    ):
        shown = asked.encode().decode("latin-1")
        yield Attack(
            name=f"429, Retry-After: {asked[:40]}",
            script=_whole(_json(b"{}", f"Retry-After: {shown}", status="429 Slow")),
            ends=RateLimited,
            outcome="not_done",
            passing=passing,
        )


ATTACKS: Final = tuple(_attacks())
# Those that move many megabytes.
BIG: Final = tuple(attack for attack in ATTACKS if re.search("bomb|beyond the limit|without end", attack.name))
