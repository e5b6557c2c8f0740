"""Responses of all kinds: how they are decoded, which errors they raise, and that their bytes are kept."""

from __future__ import annotations

import asyncio
import gzip
import json
import tracemalloc
import zlib

import attrs
import pytest

from aiocircle import (
    APIError,
    BadRequest,
    CircleCIError,
    ConnectionFailed,
    DecodeError,
    NotFound,
    RateLimited,
    RetryPolicy,
    ServerError,
    Unauthorized,
)

X = "/api/v2/x"
ME = "/api/v2/me"
ADA = {"id": "1", "login": "ada", "name": "Ada"}


@pytest.fixture
def once(make):
    """A client that tries once."""
    return make(retry=RetryPolicy(attempts=1))


@attrs.frozen(kw_only=True)
class Deep:
    value: object = None


# --- good responses in an unusual form -----------------------------------------------------------------------


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
async def test_compressed_response_is_read(server, circle, coding):
    """A compressed response is decompressed."""
    pack = gzip.compress if coding == "gzip" else zlib.compress
    server.on(ME, server.reply(200, body=pack(json.dumps(ADA).encode()), headers={"Content-Encoding": coding}))
    assert (await circle.users.me()).login == "ada"
    assert "gzip" in server.requests[0].headers["Accept-Encoding"]


async def test_chunked_response_is_read(server, circle):
    """A response in chunks is read to its end."""
    body = json.dumps(ADA).encode()
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (body[:5], body[5:6], body[6:])) + b"0\r\n\r\n"
    server.on(ME, server.raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks))
    assert (await circle.users.me()).login == "ada"


async def test_response_may_end_with_its_connection(server, circle):
    """A response without a length ends with its connection."""
    server.on(ME, server.raw(b"HTTP/1.0 200 OK\r\n\r\n" + json.dumps(ADA).encode()))
    assert (await circle.users.me()).login == "ada"


@pytest.mark.parametrize("kind", ["text/plain", "text/html", "application/octet-stream", "nonsense"])
async def test_content_type_is_not_required_for_json(server, circle, kind):
    """JSON is decoded under any Content-Type."""
    server.on(ME, server.reply(200, ADA, headers={"Content-Type": kind}))
    assert (await circle.users.me()).login == "ada"


async def test_last_value_of_a_duplicate_key_wins(server, circle):
    """The last value of a duplicate key is used."""
    server.on(ME, server.reply(200, body=b'{"id":"1","login":"first","name":"Ada","login":"last"}'))
    assert (await circle.users.me()).login == "last"


async def test_confirmation_body_is_ignored(server, circle):
    """An operation without a model ignores the body of a successful response."""
    path = "/api/v2/project/gh/a/b/envvar/KEY"
    for body in (b"", b"<html>", b'{"message":"Deleted."}', b'{"mess', b"\xff\xfe"):
        server.on(path, server.reply(200, body=body))
        assert await circle.projects.delete_env_var("gh/a/b", "KEY") is None


# --- responses that cannot be read ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" ",
        b"<!doctype html><html><head><title>Sign in</title></head></html>",
        b'{"id":"1","login":"ada"',
        b'{"id":"1","login":"ada","name":"Ada"} trailing',
        b'{"id":"1","login":"\xff","name":"Ada"}',
        b"\xff\xfe{\x00}\x00",
        b"\xef\xbb\xbf{}",
        b'{"id":NaN,"login":"ada","name":"Ada"}',
        b'{"id":Infinity}',
        b"{'id':'1'}",
        b'{"id":"1","login":"ada","name":"\x01"}',
        b'{"id":"1","login":"ada","name":"\\ud800"}',
        b"[" * 100_000,
        b"[" * 100_000 + b"]" * 100_000,
        b'{"a":' * 5_000 + b"1" + b"}" * 5_000,
        b"1" * 100_000,
        b"-",
    ],
    ids=lambda body: repr(body[:30]),
)
async def test_invalid_json_is_a_decode_error_with_body(server, once, body):
    """A body that is not JSON raises DecodeError, which keeps the body."""
    server.on(ME, server.reply(200, body=body, headers={"X-Request-Id": "r-1", "Set-Cookie": "session=secret"}))
    with pytest.raises(DecodeError) as caught:
        await once.users.me()
    error = caught.value
    assert error.body == body
    assert error.problems
    assert (error.status, error.method, error.url, error.request_id) == (200, "GET", server.url + ME, "r-1")
    assert error.headers["content-length"] == str(len(body))
    assert "Set-Cookie" not in error.headers
    assert len(str(error)) < 1000


@pytest.mark.parametrize(
    ("answer", "where"),
    [
        (None, "$"),
        ([], "$"),
        ("text", "$"),
        ({}, "$.id"),
        ({**ADA, "id": 1}, "$.id"),
        ({**ADA, "name": 5}, "$.name"),
        ({**ADA, "login": ["ada"]}, "$.login"),
        ({**ADA, "avatar_url": False}, "$.avatar_url"),
    ],
    ids=str,
)
async def test_wrong_shape_is_a_decode_error_with_place(server, circle, answer, where):
    """JSON of another shape raises DecodeError, which names the place."""
    server.on(ME, server.reply(200, answer))
    with pytest.raises(DecodeError) as caught:
        await circle.users.me()
    assert json.loads(caught.value.body) == answer
    assert len(server.requests) == 1, "it was sent again, though that cannot help"
    if answer == {}:
        where = "$"
    assert any(problem.startswith(where) or where in problem for problem in caught.value.problems)


async def test_huge_number_is_read_or_refused(server, once):
    """A huge number is read or raises DecodeError."""
    for number in (b"1e400", b"9" * 400, b"-0", b"1E+2", b"0.1e-400"):
        server.on(X, server.reply(200, body=b'{"n":%s}' % number))
        try:
            answer = await once.request("GET", X)
        except DecodeError:
            continue
        assert set(answer) == {"n"}


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "nonsense"])
async def test_wrong_content_encoding_is_a_decode_error(server, once, coding):
    """A body that does not match its Content-Encoding raises a clear DecodeError."""
    server.on(ME, server.reply(200, body=b"this is no archive, is it?", headers={"Content-Encoding": coding}))
    with pytest.raises(CircleCIError) as caught:
        await once.users.me()
    assert isinstance(caught.value, DecodeError | ConnectionFailed)


@pytest.mark.parametrize("abort", [False, True], ids=["closed", "reset"])
async def test_cut_body_is_a_decode_error_with_its_part(server, once, abort):
    """A body that is cut raises DecodeError, which keeps the part that was received."""
    server.on(ME, server.reply(200, ADA, cut=10, abort=abort))
    with pytest.raises(DecodeError, match="cut after") as caught:
        await once.users.me()
    assert caught.value.body == json.dumps(ADA).encode()[:-10]
    assert caught.value.malformed


async def test_cut_body_is_never_a_complete_one(server, once):
    """A part of a body may be valid JSON by chance, such as 12 of 1200. It still raises DecodeError."""
    server.on(X, server.reply(200, body=b"1200", cut=2))
    with pytest.raises(DecodeError, match="cut after 2 bytes"):
        await once.request("GET", X)
    server.on(X, server.raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n12\r\n"))
    with pytest.raises(DecodeError, match="cut"):
        await once.request("GET", X)


@pytest.mark.parametrize(
    "answer",
    [
        b"no HTTP at all\r\n\r\n",
        b"HTTP/1.1 abc OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nbroken header\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n12345",
        b"HTTP/1.1 200 OK\r\n" + b"X: " + b"y" * 100_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 10_000 + b"\r\n",
        b"HTTP/1.1 200 O",
        b"\x16\x03\x01\x02\x00",
        b"",
    ],
    ids=lambda answer: repr(answer[:30]),
)
async def test_invalid_http_is_a_connection_failure(server, once, answer):
    """Bytes that are not HTTP raise ConnectionFailed."""
    server.on(X, server.raw(answer))
    for method, outcome in (("GET", "not_done"), ("POST", "unknown")):
        with pytest.raises(ConnectionFailed) as caught:
            await once.request(method, X)
        assert caught.value.outcome == outcome
        assert len(str(caught.value)) < 1000


# --- size ----------------------------------------------------------------------------------------------------


async def test_body_limit_is_64_mib():
    """The limit of a body is 64 MiB."""
    from aiocircle._core.transport import MAX_BODY

    assert MAX_BODY == 64 * 1024 * 1024


@pytest.mark.parametrize("size", [1000, 1001])
async def test_body_limit_is_exact(server, once, size, assert_idle):
    """A body of exactly the limit is read, and one byte more raises DecodeError."""
    once._executor.state.transport._max_body = 1000
    server.on(X, server.reply(200, body=b"1" + b" " * (size - 1)))
    if size == 1000:
        assert await once.request("GET", X) == 1
    else:
        with pytest.raises(DecodeError, match="larger than 1000 bytes") as caught:
            await once.request("GET", X)
        assert len(caught.value.body) == 1000
        assert not caught.value.malformed
    await assert_idle(once)


async def test_large_error_body_is_still_that_error(server, once):
    """A 404 with a body beyond the limit raises NotFound."""
    once._executor.state.transport._max_body = 1000
    server.on(X, server.reply(404, body=b"<title>Gone fishing</title>" + b" " * 5000))
    with pytest.raises(NotFound, match="Gone fishing") as caught:
        await once.request("GET", X)
    assert len(caught.value.body) == 1000


async def test_compression_bomb_is_not_unpacked(server, once, assert_idle):
    """Decompression stops at the limit, so a bomb takes only a few times the limit in memory."""
    once._executor.state.transport._max_body = 1_000_000
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    bomb = b"".join(packer.compress(b" " * 1_000_000) for _ in range(60)) + packer.flush()
    server.on(X, server.reply(200, body=bomb, headers={"Content-Encoding": "gzip"}))
    tracemalloc.start()
    try:
        with pytest.raises(DecodeError, match="larger than 1000000 bytes"):
            await once.request("GET", X)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 30_000_000
    await assert_idle(once)


async def test_endless_body_ends_at_the_limit(server, once, assert_idle):
    """A body without a length and an end stops at the limit, and its connection is closed."""
    once._executor.state.transport._max_body = 1_000_000

    async def endless(exchange) -> bool:
        exchange.writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            exchange.writer.write(b" " * 65536)
            await exchange.writer.drain()

    server.on(X, endless)
    with pytest.raises(DecodeError, match="larger than"):
        await once.request("GET", X)
    await asyncio.sleep(1)
    assert server.connections == 0
    await assert_idle(once)


# --- the words of an error -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b'{"message": "Project not found"}', "Project not found"),
        (b'{"error": "no such policy"}', "no such policy"),
        (b'{"error": {"type": "x", "title": "Not there", "detail": "No job of that id"}}', "No job of that id"),
        (b'{"message": "", "error": "the other"}', "the other"),
        (b'{"message": null, "detail": "details"}', "details"),
        (b'{"message": {"error": "nested"}}', "nested"),
        (b'"just a string"', "just a string"),
        (b"Rate limited.", "Rate limited."),
        (b"  several\n lines\t of text ", "several lines of text"),
        (b"<html><head><title>\n 404 Not\n Found </title></head><body>x</body></html>", "404 Not Found"),
        (b'<HTML><TITLE lang="en">Shouting</TITLE>', "Shouting"),
        (b"<html><body>no title</body></html>", "Not Found"),
        (b"", "Not Found"),
        (b"{}", "Not Found"),
        (b"[]", "Not Found"),
        (b"null", "Not Found"),
        (b'{"message": 5}', "Not Found"),
        (b'{"message": []}', "Not Found"),
        ("käse \xff".encode("latin-1"), "k\ufffdse \ufffd"),
        (b'{"message": "two\\nlines \\u001b[31mred\\u001b[0m"}', "two lines [31mred [0m"),
    ],
    ids=lambda value: repr(value[:40]),
)
async def test_error_message_is_found_in_the_body(server, circle, body, words):
    """The message of an error is the server's text, in each shape that errors have."""
    server.on(X, server.reply(404, body=body))
    with pytest.raises(NotFound) as caught:
        await circle.request("GET", X)
    assert caught.value.message == words
    assert f"GET {server.url}{X} -> 404: {words}" in str(caught.value)
    assert caught.value.body == body


@pytest.mark.parametrize(
    "body",
    [
        b'{"message": "' + b"x" * 1_000_000 + b'"}',
        b"x" * 1_000_000,
        b"<title>" + b"x" * 1_000_000 + b"</title>",
        b"<title>" * 300_000,
        b"<title " * 300_000,
        b'{"error":' * 900 + b'"deep"' + b"}" * 900,
        b'{"error":' * 460 + b'"deep"' + b"}" * 460,
        b'{"error":' * 100_000,
        b"[" * 1_000_000,
    ],
    ids=lambda body: f"{body[:12]!r} * {len(body)}",
)
async def test_hostile_error_body_costs_little(server, once, body):
    """An error's body that is costly to search is handled in little time and shown in few characters."""
    server.on(X, server.reply(400, body=body))
    with pytest.raises(BadRequest) as caught:
        await once.request("GET", X)
    assert len(caught.value.message) <= 500
    assert len(str(caught.value)) <= 1000
    assert caught.value.body == body


async def test_error_has_request_and_response(server, circle):
    """An error has the request's method and URL, and the response's status, headers and body."""
    headers = {"X-Request-Id": "abc-123", "Set-Cookie": "session=secret", "X-Other": "1"}
    server.on(X, server.reply(401, {"message": "You must log in first."}, headers=headers))
    with pytest.raises(Unauthorized) as caught:
        await circle.request("DELETE", X, params={"branch": "main"})
    error = caught.value
    assert (error.status, error.message, error.method) == (401, "You must log in first.", "DELETE")
    assert error.url == f"{server.url}{X}?branch=main"
    assert error.request_id == "abc-123"
    assert error.headers["x-other"] == "1"
    assert "Set-Cookie" not in error.headers
    assert "abc-123" in str(error)
    assert "token" in str(error), "it says what to do about it"


@pytest.mark.parametrize(
    ("status", "kind"), [(429, RateLimited), (500, ServerError), (599, ServerError), (302, APIError), (304, APIError)]
)
async def test_error_class_follows_the_status(server, once, status, kind):
    """The class of an error follows from the status."""
    server.on(X, server.reply(status, headers={"Content-Length": "0"}))
    with pytest.raises(APIError) as caught:
        await once.request("GET", X)
    assert type(caught.value) is kind
    assert caught.value.status == status


async def test_status_comes_before_the_body(server, once):
    """A 500 with a valid body of the model raises ServerError."""
    server.on(ME, server.reply(500, ADA))
    with pytest.raises(ServerError):
        await once.users.me()
    server.on(X, server.reply(500, {"message": "job 14042 is lost"}))
    with pytest.raises(ServerError):
        await once.request("GET", X)


async def test_informational_responses_are_skipped(server, circle):
    """Responses with a status of 1xx are skipped."""
    server.on(
        X, server.raw(b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
    )
    assert await circle.request("GET", X) == {}


async def test_head_request_returns_none(server, circle):
    """A HEAD request returns None."""
    server.on(X, server.reply(200, {"a": 1}))
    assert await circle.request("HEAD", X) is None
