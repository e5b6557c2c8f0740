"""The way out: request() and request_pages() for what is not modelled."""

from __future__ import annotations

import attrs
import pytest

from aiocircle import BadRequest, DecodeError, InvalidArgument, NotFound
from aiocircle.resources.users import User


@attrs.frozen(kw_only=True)
class Thing:
    """A model of the caller's own."""

    id: int
    name: str | None = None


async def test_json_is_returned_as_it_is(server, circle):
    """JSON is returned as it is."""
    server.on("/api/v1.1/projects", server.reply(200, [{"a": 1}, None, "x"]))
    assert await circle.request("GET", "/api/v1.1/projects") == [{"a": 1}, None, "x"]


async def test_model_is_decoded(server, circle):
    """A response is decoded as the model."""
    server.on("/api/v2/me", server.reply(200, {"id": "1", "login": "ada", "name": "Ada", "more": 1}))
    server.on("/api/v3/thing", server.reply(200, {"id": 1}))
    assert await circle.request("GET", "/api/v2/me", into=User) == User(id="1", login="ada", name="Ada")
    assert await circle.request("GET", "/api/v3/thing", into=Thing) == Thing(id=1)


async def test_empty_response_returns_null(server, circle):
    """An empty response returns None."""
    server.on("/api/v2/x", server.reply(204, headers={"Content-Length": "0"}))
    assert await circle.request("DELETE", "/api/v2/x") is None


async def test_request_is_sent_as_declared(server, circle):
    """Method, path, query and body are sent as passed."""
    server.on("/api/v2/x", server.reply(200, {}))
    await circle.request(
        "POST",
        "/api/v2/x",
        params={"branch": "feat/a&b#c", "all": True, "none": None, "names": ["a b", "ü"]},
        json={"parameters": {"n": 1, "on": True, "text": "é"}},
    )
    [request] = server.requests
    assert request.method == "POST"
    assert request.target == "/api/v2/x?branch=feat%2Fa%26b%23c&all=true&names=a+b&names=%C3%BC"
    assert request.body == '{"parameters":{"n":1,"on":true,"text":"é"}}'.encode()
    assert request.headers["Content-Type"] == "application/json"
    assert request.headers["Accept"] == "application/json"
    assert request.headers["User-Agent"].startswith("aiocircle/")


async def test_no_body_means_no_content_type(server, circle):
    """A request without a body has no Content-Type."""
    server.on("/api/v2/x", server.reply(200, {}))
    await circle.request("GET", "/api/v2/x")
    assert "Content-Type" not in server.requests[0].headers


async def test_query_in_the_path_is_extended(server, circle):
    """A query in the path is kept, and parameters are added to it."""
    server.on("/api/v2/x", server.reply(200, {}))
    await circle.request("GET", "/api/v2/x?a=1", params={"b": 2})
    assert server.requests[0].target == "/api/v2/x?a=1&b=2"


@pytest.mark.parametrize(
    ("path", "target"),
    [
        (
            "/api/v2/insights/gh/a/b/workflows/build%20%26%20test",
            "/api/v2/insights/gh/a/b/workflows/build%20%26%20test",
        ),
        (
            "/api/v2/insights/gh/a/b/workflows/build und prüf",
            "/api/v2/insights/gh/a/b/workflows/build%20und%20pr%C3%BCf",
        ),
        ("/api/v2/a%2Fb", "/api/v2/a%2Fb"),
        ("/api/v2/@x:y", "/api/v2/@x:y"),
        ('/api/v2/"<>', "/api/v2/%22%3C%3E"),
    ],
)
async def test_path_arrives_unchanged(server, circle, path, target):
    """A path arrives unchanged: what is encoded stays so, and what a URL cannot contain is encoded."""
    with pytest.raises(NotFound):
        await circle.request("GET", path)
    assert server.requests[0].target == target


@pytest.mark.parametrize(
    "path",
    [
        "",
        "api/v2/me",
        "//evil.example/api/v2/me",
        "https://evil.example/",
        "/api/v2/../v1.1/me",
        "/api/v2/%2e%2E/me",
        "/api/v2/./me",
        "/api/v2/..",
        "/api/v2/me\r\nHost: evil.example",
        "/api/v2/me\x00",
        "/api/v2\\me",
        "/\\evil.example",
        "/api/v2/me#fragment",
        "/api/v2/\ud800",
        None,
        5,
    ],
)
async def test_unsafe_path_is_refused_unsent(server, circle, path):
    """A path that could lead to another host raises InvalidArgument before anything is sent."""
    with pytest.raises(InvalidArgument, match="path"):
        await circle.request("GET", path)
    with pytest.raises(InvalidArgument, match="path"):
        circle.request_pages(path)
    assert server.requests == []


@pytest.mark.parametrize("method", ["get", "", "GET ", "GET\r\n", "G\u0116T", None, 5])
async def test_invalid_method_is_refused_unsent(server, circle, method):
    """An invalid method raises InvalidArgument before anything is sent."""
    with pytest.raises(InvalidArgument, match="method"):
        await circle.request(method, "/api/v2/me")
    assert server.requests == []


@pytest.mark.parametrize(
    "arguments",
    [
        {"params": {"x": NotImplemented}},
        {"params": {"x": float("nan")}},
        {"params": {"x": "\ud800"}},
        {"params": {"x": -1}},
        {"params": {5: "x"}},
        {"params": [("x", "y")]},
        {"json": {"x": {1, 2}}},
        {"json": {"x": float("inf")}},
        {"json": {5: 1}},
        {"json": {"x": "\ud800"}},
        {"json": b"bytes"},
    ],
    ids=str,
)
async def test_unencodable_value_is_refused_unsent(server, circle, arguments):
    """A value that cannot be encoded raises InvalidArgument before anything is sent."""
    with pytest.raises(InvalidArgument):
        await circle.request("POST", "/api/v2/x", **arguments)
    assert server.requests == []


async def test_recursive_body_is_refused_unsent(server, circle):
    """A body that contains itself raises InvalidArgument before anything is sent."""
    loop: dict[str, object] = {}
    loop["again"] = loop
    with pytest.raises(InvalidArgument):
        await circle.request("POST", "/api/v2/x", json=loop)
    assert server.requests == []


async def test_raw_request_raises_the_same_errors(server, circle):
    """A raw request raises the same errors as a method."""
    server.on("/api/v2/x", server.reply(400, {"message": "no such thing"}))
    with pytest.raises(BadRequest, match=r"POST .*/api/v2/x -> 400: no such thing"):
        await circle.request("POST", "/api/v2/x", json={})


async def test_wrong_model_is_a_decode_error(server, circle):
    """A response that does not match the model raises DecodeError."""
    server.on("/api/v2/x", server.reply(200, {"id": "one"}))
    with pytest.raises(DecodeError) as caught:
        await circle.request("GET", "/api/v2/x", into=Thing)
    assert caught.value.problems
    assert caught.value.body == b'{"id": "one"}'
    assert len(server.requests) == 1


async def test_pages_of_json(server, circle):
    """request_pages() yields JSON items of all pages."""
    server.pages(
        "/api/v2/x",
        {None: {"items": [1, {"a": 2}], "next_page_token": "t"}, "t": {"items": [3], "next_page_token": None}},
    )
    assert await circle.request_pages("/api/v2/x", params={"q": "a"}).collect() == [1, {"a": 2}, 3]
    assert [request.query for request in server.requests] == [{"q": "a"}, {"q": "a", "page-token": "t"}]


async def test_pages_of_models_and_bare_arrays(server, circle):
    """request_pages() decodes models, and accepts an array instead of a page."""
    server.on("/api/v2/x", server.reply(200, {"items": [{"id": 1}, {"id": 2, "name": "b"}]}))
    server.on("/api/v1.1/x", server.reply(200, body=b' [{"id": 3}]'))
    assert await circle.request_pages("/api/v2/x", into=Thing).collect() == [Thing(id=1), Thing(id=2, name="b")]
    assert await circle.request_pages("/api/v1.1/x", into=Thing).collect() == [Thing(id=3)]


async def test_raw_empty_list_is_empty(server, circle):
    """An empty list has no items."""
    server.on("/api/v1.1/x", server.reply(200, []))
    assert await circle.request_pages("/api/v1.1/x").collect() == []


async def test_page_token_among_parameters_is_refused(server, circle):
    """A page token among the parameters raises InvalidArgument: from the second page on it would be sent twice."""
    with pytest.raises(InvalidArgument, match="page_token"):
        circle.request_pages("/api/v2/x", params={"page-token": "t"})
    server.on("/api/v2/x", server.reply(200, {"items": [], "next_page_token": None}))
    await circle.request_pages("/api/v2/x", page_token="t").collect()
    assert server.requests[0].query == {"page-token": "t"}


@pytest.mark.parametrize(
    ("path", "family"),
    [
        ("/api/v2/project/gh/a/b", "v2/project"),
        ("/api/v2/me", "v2/me"),
        ("/api/v2/me?x=/y", "v2/me"),
        ("/api/v1.1/project/gh/a/b", "v1.1/project"),
        ("/api/v3/jobs", "v3/jobs"),
    ],
)
async def test_raw_path_shares_its_rate_limit_family(server, circle, path, family):
    """A raw path shares the rate limit of its family."""
    server.on(path.partition("?")[0], server.reply(200, {}))
    await circle.request("GET", path)
    assert list(circle.rate_limits) == [family]


async def test_invalid_model_is_refused_unsent(server, circle):
    """An invalid model raises InvalidArgument before anything is sent."""
    with pytest.raises(InvalidArgument, match="into"):
        await circle.request("GET", "/api/v2/things", into=[int])
    with pytest.raises(InvalidArgument, match="into"):
        circle.request_pages("/api/v2/things", into=[int])
    assert server.requests == []


# --- all three APIs, page by page ----------------------------------------------------------------------------


def builds_of(server, count, *, most=100, default=30):
    """Serve so many builds as API v1.1 does: by limit and offset, no more than 100 a page."""

    def respond(request):
        limit = min(int(request.query.get("limit", default)), most)
        start = int(request.query.get("offset", 0))
        return server.reply(200, [{"id": number} for number in range(start, min(start + limit, count))])

    return respond


@pytest.mark.parametrize(
    ("count", "params", "offsets"),
    [
        (250, {}, [None, "100", "200"]),
        (250, {"limit": 250}, [None, "100", "200"]),
        (200, {"limit": 1000}, [None, "100", "200"]),
        (99, {}, [None]),
        (0, {}, [None]),
        (5, {"limit": 2}, [None, "2", "4"]),
    ],
)
async def test_builds_of_v1_come_by_offset(server, circle, count, params, offsets):
    """No part of a list is silently all of it: a page is the last one only if it has fewer items than requested."""
    path = "/api/v1.1/project/gh/acme/web"
    server.route(path, builds_of(server, count))
    found = await circle.request_pages(path, params={**params, "filter": "failed"}, into=Thing).collect()
    assert [thing.id for thing in found] == list(range(count))
    assert [request.query.get("offset") for request in server.requests] == offsets
    limit = str(min(100, params.get("limit", 100)))
    assert {(request.query["limit"], request.query["filter"]) for request in server.requests} == {(limit, "failed")}


async def test_a_list_of_v1_starts_at_an_offset(server, circle):
    """The page token of v1.1 is the number of items to skip."""
    path = "/api/v1.1/project/gh/acme/web"
    server.route(path, builds_of(server, 130))
    pager = circle.request_pages(path, page_token="100")
    assert [item["id"] for item in await pager.collect()] == list(range(100, 130))
    page = await circle.request_pages(path).page()
    assert (len(page.items), page.next_page_token) == (100, "100")


@pytest.mark.parametrize(
    ("path", "params"),
    [
        ("/api/v1.1/x", {"offset": 5}),
        ("/api/v1.1/x?offset=5", {}),
        ("/api/v1.1/x?limit=5", {}),
        ("/api/v1.1/x", {"limit": 0}),
        ("/api/v3/x", {"page[cursor]": "c"}),
        ("/api/v3/x?page[cursor]=c", {}),
        ("/api/v2/x?page-token=t", {}),
    ],
)
async def test_what_selects_a_page_is_refused(server, circle, path, params):
    """Before anything is sent: it would be sent again with every page."""
    with pytest.raises(InvalidArgument):
        circle.request_pages(path, params=params)
    assert server.requests == []


async def test_a_list_of_v3_comes_by_cursor(server, circle):
    """Its last page has a null cursor, an empty one, or none."""
    pages = {
        None: {"data": [{"id": 1}], "page": {"next": "a/b=="}},
        "a/b==": {"data": [{"id": 2}], "page": {"next": "c"}},
        "c": {"data": [{"id": 3}], "page": {"next": ""}},
    }
    server.route("/api/v3/things", lambda request: server.reply(200, pages[request.query.get("page[cursor]")]))
    found = await circle.request_pages("/api/v3/things", params={"filter[org_id]": "x"}, into=Thing).collect()
    assert found == [Thing(id=1), Thing(id=2), Thing(id=3)]
    assert [request.query["filter[org_id]"] for request in server.requests] == ["x"] * 3


async def test_an_unreadable_page_of_v3_names_the_cursor(server, circle):
    """With the cursor a caller can continue after the items that could not be decoded."""
    server.on("/api/v3/things", server.reply(200, {"data": [{"id": "x"}], "page": {"next": "c"}}))
    with pytest.raises(DecodeError, match=r"\$\.data\[0\]\.id") as caught:
        await circle.request_pages("/api/v3/things", into=Thing).collect()
    assert caught.value.next_page_token == "c"


# --- a body as it is -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("body", [b"", b"plain", b'{"a": 1}\n', "Zürich\r\n".encode(), b"{broken"])
async def test_a_body_comes_back_as_it_is(server, circle, body):
    """A body that is not JSON is also returned: the request is not sent again."""
    server.on("/api/v2/x", server.reply(200, body=body))
    assert await circle.request("GET", "/api/v2/x", into=bytes) == body
    assert await circle.request("GET", "/api/v2/x", into=str) == body.decode()
    assert len(server.requests) == 2


async def test_a_text_has_the_charset_of_its_header(server, circle):
    """UTF-8 unless the server names another."""
    server.on("/api/v2/x", server.reply(200, body=b"\xfc", headers={"Content-Type": "text/plain; charset=latin-1"}))
    assert await circle.request("GET", "/api/v2/x", into=str) == "ü"
    for headers in ({"Content-Type": "text/plain"}, {"Content-Type": "text/plain; charset=nonsense"}):
        server.on("/api/v2/x", server.reply(200, body=b"\xfc", headers=headers))
        with pytest.raises(DecodeError, match="into=bytes") as caught:
            await circle.request("GET", "/api/v2/x", into=str)
        assert (caught.value.body, caught.value.attempts) == (b"\xfc", 1)


@pytest.mark.parametrize("into", [str, bytes])
async def test_a_text_is_requested_again_after_a_failure(server, make, into):
    """A 503 and a cut body are retried as always."""
    server.on("/api/v2/x", server.reply(503, body=b"busy"), server.reply(200, body=b"whole"))
    assert await make().request("GET", "/api/v2/x", into=into) in ("whole", b"whole")
    assert len(server.requests) == 2


async def test_no_item_of_a_list_is_bytes(server, circle):
    """JSON has none, and msgspec would read base64."""
    with pytest.raises(InvalidArgument, match="into must be the type of an item"):
        circle.request_pages("/api/v2/x", into=bytes)
    server.on("/api/v2/x", server.reply(200, ["a", "b"]))
    assert await circle.request_pages("/api/v2/x", into=str).collect() == ["a", "b"]
