"""Any argument arrives unchanged or is refused, and any response gives a model or a CircleCIError."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import unquote, urlsplit

import attrs
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from aiocircle import CircleCI, CircleCIError, InvalidArgument, OrgSlug, ProjectSlug, RetryPolicy
from aiocircle._core.endpoint import Action
from tests.support import fuzz
from tests.support.scripted_server import Received, Script, ScriptedServer, raw, reply
from tests.support.stress import SEED, Tally, assert_nothing_held, ending
from tests.support.thorough import scaled

GIVEN = settings(
    max_examples=scaled(50, 1500),
    deadline=None,
    database=None,
    derandomize=False,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
ONCE = RetryPolicy(attempts=1)

# Text of all kinds, and of the kind that paths and queries trip over.
TEXTS = st.text() | st.text(
    "/\\.%?#&=;:@+ '\"<>[]{}|^`~!$*(),-_aZ0\u0000\n\r\t\x7f\x85\u2028\u00e9\u6771\U0001f680", max_size=30
)
SCALARS = st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | TEXTS
JSON: st.SearchStrategy[Any] = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4), max_leaves=12
)


class Echo(ScriptedServer):
    """A server that responds with `answer` if it is set, and otherwise with an empty object."""

    def __init__(self) -> None:
        super().__init__()
        self.answer: Script | None = None

    def _script(self, request: Received) -> Script:
        return self.answer or reply(200, {})

    @property
    def last(self) -> Received:
        return self.requests[-1]


@pytest.fixture
async def server(no_leaks: object) -> AsyncIterator[Echo]:
    async with Echo() as server:
        yield server


@pytest.fixture
async def circle(server: Echo) -> AsyncIterator[CircleCI]:
    async with CircleCI("t", base_url=server.url, retry=ONCE, timeout=5) as circle:
        yield circle


def segments(request: Received) -> list[str]:
    """The path's segments, decoded as a server does it."""
    return [unquote(segment, errors="strict") for segment in request.path.split("/")]


# --- what is given -----------------------------------------------------------------------------------------------


@GIVEN
@given(TEXTS)
@example("..")
@example("a/../b")
@example("build & test/#1")
async def test_path_value_is_one_segment_or_refused(server: Echo, circle: CircleCI, tally: Tally, value: str) -> None:
    """Any text as a path value arrives as one segment of the path, or raises InvalidArgument."""
    before = len(server.requests)
    result = await ending(circle.projects.delete_env_var("gh/acme/web", value), tally, within=10)
    if isinstance(result, InvalidArgument):
        assert len(server.requests) == before
    else:
        assert result is None
        assert segments(server.last)[3:] == ["project", "gh", "acme", "web", "envvar", value]
        assert server.last.path.count("/") == 8


@GIVEN
@given(st.tuples(st.sampled_from(["gh", "github", "bb", "circleci", "x"]), TEXTS, TEXTS).map("/".join) | TEXTS)
@example("https://user:hunter2@github.com/acme/web.git")
@example("gh/acme/..")
async def test_slug_is_three_segments_or_refused(server: Echo, circle: CircleCI, tally: Tally, text: str) -> None:
    """Any text as a slug arrives as its three segments, or raises InvalidArgument."""
    before = len(server.requests)
    server.answer = reply(200, [])
    try:
        slug = ProjectSlug.parse(text)
    except InvalidArgument:
        with pytest.raises(InvalidArgument):
            await circle.projects.delete(text)
        assert len(server.requests) == before
        tally["refused"] += 1
        return
    finally:
        tally["cases"] += 1
    assert ProjectSlug.parse(str(slug)) == slug
    await circle.projects.delete(text)
    assert segments(server.last)[4:] == list(slug.segments)
    assert not {".", ".."} & {*segments(server.last)}
    assert slug.org is None or OrgSlug.parse(str(slug.org)) == slug.org


@GIVEN
@given(st.dictionaries(TEXTS, TEXTS | st.lists(TEXTS, max_size=3) | st.booleans() | st.integers(), max_size=5))
async def test_query_arrives_unchanged_or_is_refused(
    server: Echo, circle: CircleCI, tally: Tally, query: dict[str, Any]
) -> None:
    """Any query arrives unchanged, or raises InvalidArgument."""
    result = await ending(circle.request("GET", "/api/v2/x", params=query), tally, within=10)
    if isinstance(result, InvalidArgument):
        tally["refused"] += 1
        return
    assert result == {}
    expected = [
        (name, str(each).lower() if isinstance(each, bool) else str(each))
        for name, value in query.items()
        for each in (value if isinstance(value, list) else [value])
    ]
    sent = urlsplit(server.last.target).query
    pairs = [pair.partition("=")[::2] for pair in sent.split("&")] if sent else []
    assert [(_decoded(name), _decoded(value)) for name, value in pairs] == expected


def _decoded(text: str) -> str:
    return unquote(text.replace("+", " "), errors="strict")


@GIVEN
@given(JSON)
async def test_body_arrives_unchanged_or_is_refused(server: Echo, circle: CircleCI, tally: Tally, body: Any) -> None:
    """Any JSON body arrives unchanged, or raises InvalidArgument."""
    result = await ending(circle.request("POST", "/api/v2/x", json=body), tally, within=10)
    if isinstance(result, InvalidArgument):
        tally["refused"] += 1
    else:
        assert result == {}
        assert body is None or json.loads(server.last.body) == body


@GIVEN
@given(TEXTS.map(lambda text: f"/api/v2/{text}") | TEXTS.map(lambda text: f"/{text}") | TEXTS)
@example("//elsewhere.example/api")
@example("/api/v2/..;/x")
@example("/api/v2/%2e%2e/x")
@example("/api/v2/%80")
async def test_raw_path_stays_on_the_host(server: Echo, circle: CircleCI, tally: Tally, path: str) -> None:
    """Any text as a raw path is requested from the API's host, or raises InvalidArgument."""
    before = len(server.requests)
    result = await ending(circle.request("GET", path), tally, within=10)
    if isinstance(result, InvalidArgument):
        assert len(server.requests) == before
        tally["refused"] += 1
    else:
        assert result == {}
        assert len(server.requests) == before + 1
        assert server.last.headers["Host"] == urlsplit(server.url).netloc
        assert not {".", ".."} & {*segments(server.last)}


# --- what is answered --------------------------------------------------------------------------------------------

READ_HEADERS = (
    *("Retry-After", "Date", "Deprecation", "Sunset", "Link", "Location", "X-Request-Id", "Content-Type"),
    *("X-RateLimit-Limit", "X-RateLimit-Limit-Second", "X-RateLimit-Limit-Minute", "X-RateLimit-Remaining"),
    *("X-RateLimit-Reset", "RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset", "Set-Cookie", "ETag"),
)
VALUES = (
    st.text(st.characters(min_codepoint=32, max_codepoint=255, exclude_characters="\x7f"), max_size=60)
    | st.integers(-(10**30), 10**30).map(str)
    | st.floats().map(str)
    | st.sampled_from(["Fri, 31 Dec 9999 23:59:59 GMT", "Thu, 01 Jan 1970 00:00:00 -2359", "1;w=1, 5;w=0", "\xb2\xb3"])
)
STATUSES = st.sampled_from([200, 201, 204, 301, 400, 401, 404, 418, 429, 500, 503]) | st.integers(200, 999)


@GIVEN
@given(STATUSES, st.dictionaries(st.sampled_from(READ_HEADERS), VALUES, max_size=6), st.booleans())
async def test_any_headers_give_a_result_or_our_error(
    server: Echo, tally: Tally, status: int, headers: dict[str, str], twice: bool
) -> None:
    """Any status and headers give a result or a CircleCIError."""
    server.answer = reply(status, {"message": "hm"}, headers=headers)
    policy = RetryPolicy(attempts=2 if twice else 1, base=0, max_wait=10)
    async with CircleCI("t", base_url=server.url, retry=policy, timeout=5) as circle:
        result = await ending(circle.request("GET", "/api/v2/x"), tally, within=60)
        if isinstance(result, CircleCIError):
            assert str(result).isprintable()
        assert repr(circle.rate_limits)
        assert repr(circle.deprecations)
        await assert_nothing_held(circle, tally)


@GIVEN
@given(st.binary(max_size=300) | st.binary(max_size=60).map(lambda tail: b"HTTP/1.1 200 OK\r\n" + tail))
@example(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\x85\r\n")
async def test_any_bytes_give_a_result_or_our_error(server: Echo, circle: CircleCI, tally: Tally, data: bytes) -> None:
    """Any bytes from the server give a result or a CircleCIError, and the next request works."""
    server.answer = raw(data)
    result = await ending(circle.request("POST", "/api/v2/x", json={}), tally, within=10)
    if isinstance(result, CircleCIError):
        assert str(result).isprintable()
        assert result.outcome != "not_done" or b"HTTP/1.1 " in data
    server.answer = None
    assert await circle.request("GET", "/api/v2/x") == {}
    await assert_nothing_held(circle, tally)


@GIVEN
@given(st.sampled_from(fuzz.TARGETS), JSON)
def test_any_json_gives_a_model_or_decode_error(tally: Tally, target: fuzz.Target, answer: Any) -> None:
    """Any JSON in a response gives a model or a DecodeError."""
    tally["cases"] += 1
    body = json.dumps(answer).encode()
    tally[fuzz.check(target, body, carefully=True)] += 1


# --- the codec, counted ------------------------------------------------------------------------------------------


def test_damaged_json_gives_model_or_decode_error(tally: Tally) -> None:
    """Damaged responses of all models give models or decode errors. The long form: python -m tests.support.fuzz."""
    counts = fuzz.run(scaled(5_000, 250_000), 120, SEED)
    tally["cases"] += counts.pop("inputs")
    tally.update(counts)
    assert counts["model"] > 0
    assert counts["error"] > 0


def test_every_operation_with_a_model_is_fuzzed() -> None:
    """Each operation whose response is decoded is a target of the fuzzer."""
    others = {
        name
        for name, endpoint in fuzz.ENDPOINTS.items()
        if isinstance(endpoint, Action) or endpoint.api.envelope is not None
    }
    assert {target.name for target in fuzz.TARGETS} == {*fuzz.ENDPOINTS} - others


def test_fuzzer_reports_what_it_looks_for() -> None:
    """The fuzzer reports an exception that is not a CircleCIError, and two readings that differ."""

    def explode(*_: object) -> object:
        raise ZeroDivisionError("oh")

    target = attrs.evolve(fuzz.TARGETS[0], parse=explode)
    with pytest.raises(fuzz.Finding, match="ZeroDivisionError: oh"):
        fuzz.check(target, b"{}", carefully=False)
    answers = iter(range(2))
    target = attrs.evolve(fuzz.TARGETS[0], parse=lambda _: next(answers))
    with pytest.raises(fuzz.Finding, match="msgspec reads 0, and cattrs 1"):
        fuzz.check(target, b"{}", carefully=True)
