"""Responses that are worth another attempt, and those that are not."""

from __future__ import annotations

import json

import pytest

from aiocircle import APIError, CircleCIError, DecodeError, NotFound

X = "/api/v2/x"
ME = {"id": "1", "login": "ada", "name": "Ada"}


@pytest.mark.parametrize("status", [408, 425])
@pytest.mark.parametrize(("method", "attempts"), [("GET", 5), ("PUT", 5), ("DELETE", 5), ("POST", 1), ("PATCH", 1)])
async def test_timeouts_of_the_server_are_retried(server, circle, status, method, attempts):
    """408 and 425 are passing: idempotent requests are sent again."""
    server.on(X, server.reply(status))
    with pytest.raises(APIError) as caught:
        await circle.request(method, X)
    assert (caught.value.status, caught.value.attempts) == (status, attempts)


@pytest.mark.parametrize(
    "script",
    [
        {"status": 204},
        {"body": json.dumps(ME).encode("utf-16")},
        {"body": json.dumps({**ME, "name": "é"}, ensure_ascii=False).encode("latin-1")},
    ],
    ids=["204", "utf-16", "latin-1"],
)
async def test_permanent_bodies_have_one_attempt(server, circle, script):
    """The next response would be the same."""
    server.on("/api/v2/me", server.reply(**script))
    with pytest.raises(DecodeError) as caught:
        await circle.users.me()
    assert caught.value.attempts == 1
    assert not caught.value.malformed


async def test_byte_order_mark_is_read(server, circle):
    """A gateway that writes one costs nothing."""
    server.on("/api/v2/me", server.reply(body=b"\xef\xbb\xbf" + json.dumps(ME).encode()))
    assert (await circle.users.me()).login == "ada"
    assert len(server.requests) == 1


@pytest.mark.parametrize(("into", "expected"), [(str, "step 1\n"), (bytes, b"step 1\n")])
async def test_text_is_not_retried(server, circle, into, expected):
    """A body that is not JSON is returned unchanged. 5xx, 429 and lost connections are still retried."""
    scripts = [server.reply(503), server.reply(429), server.drop(), server.reply(200, body=b"step", cut=2)]
    server.on(X, *scripts, server.reply(200, body=b"step 1\n"))
    assert await circle.request("GET", X, into=into) == expected
    assert len(server.requests) == 5


GONE = {"message": "Not found"}


@pytest.mark.parametrize("first", ["drop", "hang"])
async def test_a_lost_delete_may_find_nothing(server, make, first):
    """Only after a lost connection or a timeout does the API's own 404 mean that the DELETE succeeded."""
    server.on(X, getattr(server, first)(), server.reply(404, GONE))
    assert await make(timeout=3).request("DELETE", X) is None


@pytest.mark.parametrize("body", [b"<html>Not Found</html>", b"", b'"x"'])
async def test_a_gateways_404_proves_nothing(server, make, body):
    """A page of a gateway is not the API's word."""
    server.on(X, server.drop(abort=True), server.reply(404, body=body, headers={"Content-Type": "text/html"}))
    with pytest.raises(NotFound) as caught:
        await make().request("DELETE", X)
    assert caught.value.outcome == "unknown"


@pytest.mark.parametrize("status", [500, 502, 503, 504])
async def test_a_failed_delete_is_not_done(server, circle, status):
    """A typo or a lost access looks the same after a failure of the server: the outcome is unknown."""
    server.on(X, server.reply(status), server.reply(404, GONE))
    with pytest.raises(NotFound) as caught:
        await circle.request("DELETE", X)
    assert (caught.value.outcome, caught.value.attempts) == ("unknown", 2)


@pytest.mark.parametrize("name", ["page_token", "branch"])
async def test_lone_surrogates_are_refused(server, circle, name):
    """Before anything is sent, and as an InvalidArgument."""
    with pytest.raises(CircleCIError, match=name):
        await circle.pipelines.list_for_project("gh/a/b", **{name: "\ud800"}).first()
    assert server.requests == []
