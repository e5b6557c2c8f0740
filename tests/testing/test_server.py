"""The server's behaviour around the operations: tokens, paths, paging, limits, faults, records."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import datetime
import re

import aiohttp
import pytest

from aiocircle.testing import LocalCircleCI
from tests.support.rows import each_row

BOUNDARY = "/project/gh/acme/web/pipeline"


async def test_a_server_has_a_url_a_token_and_a_free_port():
    async with LocalCircleCI() as one, LocalCircleCI() as two:
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+", one.url)
        assert one.url != two.url
        assert len(one.token) > 30


async def test_start_and_stop_by_hand():
    server = LocalCircleCI()
    with pytest.raises(RuntimeError):
        server.url  # noqa: B018
    await server.start()
    with pytest.raises(RuntimeError):
        await server.start()
    await server.stop()
    await server.stop()


@each_row(
    ("options", "message"),
    [
        ({"projects": ["acme/web"]}, "slug"),
        ({"projects": ["circleci/acme/web"]}, "slug"),
        ({"projects": -1}, "projects"),
        ({"latency": -0.1}, "latency"),
        ({"page_size": 0}, "page_size"),
        ({"rate_limit": 0}, "rate_limit"),
        ({"faults": {"418": 0.1}}, "unknown"),
        ({"faults": 1.5}, "rates"),
    ],
)
def test_wrong_options_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        LocalCircleCI(**options)


async def test_all_ways_to_show_the_token(api):
    token = api.server.token
    basic = base64.b64encode(f"{token}:".encode()).decode()
    async with aiohttp.ClientSession(f"{api.server.url}/api/v2/") as session:
        for headers, auth in [
            ({"Circle-Token": token}, "circle-token"),
            ({"Authorization": f"Bearer {token}"}, "bearer"),
            ({"Authorization": f"Basic {basic}"}, "basic"),
        ]:
            async with session.get("me", headers=headers) as response:
                assert response.status == 200
            assert api.server.requests[-1].auth == auth
        for headers in [{}, {"Circle-Token": "no"}, {"Authorization": "Bearer "}, {"Authorization": "Basic !"}]:
            async with session.get("me", headers=headers) as response:
                assert response.status == 401
                assert await response.json() == {"message": "You must log in first."}


async def test_json_is_pretty_unless_it_is_requested(api):
    plain = await api("GET", "/me", headers={"Accept": "*/*"})
    assert b'"login" : "mira-holm"' in plain.body
    text = await api("GET", "/me", headers={"Accept": "text/plain"})
    assert text.headers["Content-Type"].startswith("text/plain")
    assert b'"login":"mira-holm"' in (await api("GET", "/me")).body


async def test_a_body_without_its_content_type_is_lost(api):
    slug = api.server.projects[0]
    body = b'{"branch": "fix/typo"}'
    for content_type, branch in [("text/plain", None), ("application/json", "fix/typo")]:
        reply = await api("POST", f"/project/{slug}/pipeline", data=body, headers={"Content-Type": content_type})
        assert reply.status == 201
        built = await api.get(f"/pipeline/{reply.json['id']}")
        default = (await api.get(f"/project/{slug}"))["vcs_info"]["default_branch"]
        assert built["vcs"]["branch"] == (branch or default)


async def test_a_body_that_is_not_json_is_refused(api):
    headers = {"Content-Type": "application/json"}
    assert (await api("POST", "/project/gh/acme/web/pipeline", data=b"{", headers=headers)).status == 400


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/project/gh%2Facme%2Fweb", 200),
        ("/project/gh%2facme%2fweb/pipeline", 200),
        ("/project/github/acme/web", 200),
        ("/project/gh/acme/web/envvar", 200),
        ("/project/gh%2Facme%2Fweb/envvar", 404),
        ("/project/gh%2Facme%2Fweb/checkout-key", 404),
        ("/insights/gh%2Facme%2Fweb/workflows", 404),
        ("/project/gh%2Facme%2Fweb/settings", 404),
        ("/project/gh/acme/nothing", 404),
        ("/project/hg/acme/web", 400),
        ("/project/circleci/acme/web", 400),
        ("/project/not-a-uuid", 400),
        ("/pipeline/not-a-uuid", 400),
        ("/pipeline/5034460f-c7c4-4c43-9457-de07e2029e7b", 404),
        ("/workflow/5034460f-c7c4-4c43-9457-de07e2029e7b", 404),
        ("/jobs/5034460f-c7c4-4c43-9457-de07e2029e7b", 404),
        ("/user/5034460f-c7c4-4c43-9457-de07e2029e7b", 404),
        ("/project/gh/acme/web/job/999999", 404),
        ("/project/gh/acme/web/job/first", 400),
        ("/project/gh/acme/web/pipeline/999999", 404),
    ],
)
async def test_slugs_and_ids_in_paths(api, path, status):
    reply = await api("GET", path)
    assert reply.status == status
    if status == 400:
        assert reply.json["message"]


async def test_an_unknown_path_is_html(api):
    for path in ("/nothing", "/api/v9/me", "/me/"):
        reply = await api("GET", path)
        assert reply.status == 404
        assert reply.headers["Content-Type"].startswith("text/html")


async def test_projects_by_id(api):
    """A project is found by its id, and a standalone one by the ids in its slug."""
    for slug in api.server.projects:
        project = await api.get(f"/project/{slug}")
        assert await api.get(f"/project/{project['id']}") == project
    assert project["vcs_info"]["provider"] == "CircleCI"
    assert project["vcs_info"]["vcs_url"] == f"//circleci.com/{project['organization_id']}/{project['id']}"
    by_ids = f"/project/circleci/{project['organization_id']}/{project['id']}"
    assert await api.get(by_ids) == project
    assert (await api("GET", f"/project/{project['organization_slug']}/{project['name']}")).status == 400


async def test_pages_hand_out_each_item_once(serve):
    whole = await (await serve(page_size=100_000)).get(BOUNDARY)
    assert whole["next_page_token"] is None
    for size in (7, None):
        paged = await (await serve(page_size=size)).walk(BOUNDARY)
        assert paged == whole["items"]
    numbers = [pipeline["number"] for pipeline in paged]
    assert numbers == list(range(len(numbers), 0, -1))


async def test_new_pipeline_shifts_no_page(api):
    """A pipeline that starts during paging shifts no page."""
    first = await api.get(BOUNDARY)
    await api("POST", "/project/gh/acme/web/pipeline", json={})
    second = await api.get(f"{BOUNDARY}?page-token={first['next_page_token']}")
    numbers = [pipeline["number"] for page in (first, second) for pipeline in page["items"]]
    assert numbers == list(range(numbers[0], numbers[0] - 40, -1))


async def test_page_tokens_are_bound_to_their_list(api):
    page = await api.get(BOUNDARY)
    token = page["next_page_token"]
    assert re.fullmatch(r"[0-9A-Za-z_-]{140}", token)
    for path in (
        f"{BOUNDARY}?page-token=nonsense",
        f"{BOUNDARY}?branch=main&page-token={token}",
        f"/project/gh/acme/api-gateway/pipeline?page-token={token}",
        f"{BOUNDARY}?page-token={token[:-1]}",
    ):
        reply = await api("GET", path)
        assert (reply.status, reply.json) == (400, {"message": "Invalid page token."})
    assert (await api("GET", f"{BOUNDARY}?page-token=")).status == 200


def test_the_rate_limit_is_announced_and_kept(clocked):
    async def main(api, clock):
        replies = [await api("GET", "/me") for _ in range(7)]
        assert [reply.status for reply in replies] == [200] * 5 + [429] * 2
        assert replies[0].headers["X-RateLimit-Limit-Second"] == "5"
        assert replies[0].headers["RateLimit-Limit"] == "5"
        assert [int(reply.headers["X-RateLimit-Remaining"]) for reply in replies] == [4, 3, 2, 1, 0, 0, 0]
        assert [reply.headers["RateLimit-Reset"] for reply in replies] == ["1"] * 7
        assert replies[-1].headers["Retry-After"] == "1"
        assert replies[-1].json == {"message": "Rate Limit Exceeded"}
        clock.wait(0.2)
        assert [(await api("GET", "/me")).status for _ in range(2)] == [200, 429]
        clock.wait(100)
        assert [(await api("GET", "/me")).status for _ in range(6)] == [200] * 5 + [429]

    clocked(main, rate_limit=5)


async def test_a_slow_rate_limit_is_announced_by_the_minute(serve):
    api = await serve(rate_limit=0.05, retry_after=False)
    assert (await api("GET", "/me")).headers["X-RateLimit-Limit-Minute"] == "3"
    assert "Retry-After" not in (await api("GET", "/me")).headers


async def test_the_rate_limit_can_be_silent(serve):
    api = await serve(rate_limit=0.05, rate_limit_headers=False, retry_after=False)
    replies = [await api("GET", "/me") for _ in range(2)]
    assert [reply.status for reply in replies] == [200, 429]
    assert not any("ratelimit" in name.lower() or name == "Retry-After" for r in replies for name in r.headers)


@pytest.mark.parametrize("kind", ["500", "502", "503", "429"])
async def test_faults_with_a_status(api, kind):
    api.server.inject(kind)
    reply = await api("GET", "/me")
    assert reply.status == int(kind)
    assert reply.headers.get("Retry-After") == ("1" if kind == "429" else None)
    assert reply.headers["Content-Type"].startswith("text/html" if kind == "502" else "application/json")
    assert api.server.requests[-1].fault == kind
    assert (await api("GET", "/me")).status == 200


async def test_a_dropped_connection(api):
    api.server.inject("drop", times=10)
    with pytest.raises(aiohttp.ServerDisconnectedError):
        await api("POST", "/project/gh/acme/web/pipeline", json={})
    assert api.server.changes == []
    assert api.server.requests[-1].status is None


async def test_a_response_that_is_cut_short(api):
    api.server.inject("truncate")
    with pytest.raises(aiohttp.ClientPayloadError):
        await api("GET", "/me")
    api.server.inject("cut")
    with pytest.raises(ValueError, match=r"Unterminated|Expecting"):
        await api("GET", "/me")


async def test_a_slow_response(serve):
    api = await serve(slow=0.05)
    api.server.inject("slow")
    loop = asyncio.get_running_loop()
    start = loop.time()
    assert (await api("GET", "/me")).status == 200
    assert loop.time() - start >= 0.05


async def test_stopping_does_not_wait_for_slow_responses():
    server = LocalCircleCI(slow=3600)
    await server.start()
    server.inject("slow")
    async with aiohttp.ClientSession(headers={"Circle-Token": server.token}) as session:
        task = asyncio.create_task(session.get(f"{server.url}/api/v2/me"))
        async with asyncio.timeout(10):
            while not server.requests:  # noqa: ASYNC110
                await asyncio.sleep(0.001)
        async with asyncio.timeout(10):
            await server.stop()
        with pytest.raises(aiohttp.ClientError):
            await task


@pytest.mark.parametrize(("stage", "made"), [("before", 0), ("after", 1)])
@pytest.mark.parametrize("kind", ["500", "drop"])
async def test_stage_of_a_fault(api, stage, made, kind):
    """A fault before the change prevents it, and one after the change loses its response."""
    api.server.inject(kind, stage=stage, method="POST", path="/project/gh/acme")
    assert (await api("GET", "/project/gh/acme/web")).status == 200
    try:
        await api("POST", "/project/gh/acme/web/pipeline", json={})
    except aiohttp.ServerDisconnectedError:
        assert kind == "drop"
    assert len(api.server.changes) == made


async def test_an_injected_response(api):
    api.server.inject("answer", status=302, headers={"Location": "/elsewhere"}, path=re.compile("/user/.*"))
    api.server.inject("answer", status=200, body={"login": 5}, path="/me")
    api.server.inject("answer", status=200, body="{", headers={"Content-Type": "application/json"}, path="/pipeline")
    api.server.inject("headers", headers={"Deprecation": "@1"}, path="/api/v2/project/")
    assert (await api("GET", "/me")).json == {"login": 5}
    redirect = await api("GET", "/user/5034460f-c7c4-4c43-9457-de07e2029e7b")
    assert (redirect.status, redirect.headers["Location"]) == (302, "/elsewhere")
    with pytest.raises(ValueError, match="Expecting"):
        await api("GET", "/pipeline")
    reply = await api("GET", "/project/gh/acme/web")
    assert (reply.status, reply.headers["Deprecation"]) == (200, "@1")
    api.server.inject("409", retry_after="Wed, 21 Oct 2026 07:28:00 GMT")
    assert (await api("GET", "/me")).headers["Retry-After"].startswith("Wed")


def test_injecting_nonsense_is_refused():
    server = LocalCircleCI()
    for arguments in ({"kind": "flood"}, {"kind": "500", "stage": "never"}, {"kind": "answer"}):
        with pytest.raises(ValueError):  # noqa: PT011
            server.inject(**arguments)


async def _outcomes(api, count):
    for _ in range(count):
        with contextlib.suppress(aiohttp.ClientError, ValueError):
            await api("POST", "/project/gh/acme/web/pipeline", json={})
    return [(request.status, request.fault) for request in api.server.requests]


async def test_random_faults_depend_on_the_seed_alone(serve):
    options = {"faults": 0.7, "slow": 0.0, "workflow_seconds": 0.0}
    one, two, other = [await serve(["gh/acme/web"], seed=seed, **options) for seed in (3, 3, 4)]
    first, second, third = [await _outcomes(api, 60) for api in (one, two, other)]
    assert first == second != third
    struck = {fault for _, fault in first}
    assert {"429", "500", "502", "503", "drop", "slow", None} <= struck
    assert struck & {"truncate", "cut"}
    failed = [status for status, fault in first if fault in {"500", "502", "503", "drop"}]
    unharmed = sum(fault in {None, "slow", "truncate", "cut"} for _, fault in first)
    assert unharmed < len(one.server.changes) < unharmed + len(failed)  # some were made all the same


async def test_faults_by_kind(serve):
    api = await serve(faults={"503": 1.0})
    assert {(await api("GET", "/me")).status for _ in range(5)} == {503}
    assert api.server.statistics.faults == {"503": 5}


async def test_records_have_the_requests(api):
    await api("POST", "/project/gh/acme/web/pipeline?a=1&a=b%20c", json={"branch": "main"})
    request = api.server.requests[-1]
    assert (request.method, request.path) == ("POST", "/api/v2/project/gh/acme/web/pipeline")
    assert request.query == [("a", "1"), ("a", "b c")]
    assert request.headers["content-TYPE"] == "application/json"
    assert request.json == {"branch": "main"}
    assert (request.status, request.fault, request.auth) == (201, None, "circle-token")
    assert request.operation == "pipelines.trigger"
    assert api.server.token not in repr(request)
    assert "main" not in repr(request)
    assert api.server.changes == [("pipelines.trigger", (await api.get(BOUNDARY))["items"][0]["id"])]


async def test_responses_have_their_own_ids(serve):
    one, two = await serve(), await serve()
    ids = [(await api("GET", path)).headers["X-Request-Id"] for api in (one, two) for path in ("/me", "/nothing")]
    assert ids[0] != ids[1]
    assert ids[:2] == ids[2:]


async def test_random_limits_have_a_time_in_either_form(serve):
    api = await serve(faults={"429": 1.0})
    waits = {(await api("GET", "/me")).headers["Retry-After"] for _ in range(20)}
    assert "1" in waits
    assert any(wait.endswith("GMT") for wait in waits)


async def test_the_made_up_past_ends_at_midnight(api):
    newest = (await api.get(BOUNDARY))["items"][0]
    assert (api.server.midnight.hour, api.server.midnight.minute) == (0, 0)
    age = api.server.midnight - datetime.datetime.fromisoformat(newest["created_at"])
    assert datetime.timedelta() < age < datetime.timedelta(minutes=5)


async def test_records_can_be_bounded_or_left_out(serve):
    api = await serve(record=2)
    for _ in range(4):
        await api("GET", "/me")
    assert len(api.server.requests) == 2
    api = await serve(record=False)
    await api("GET", "/me")
    assert api.server.requests == []
    assert api.server.statistics.requests == 1
    assert api.server.statistics.operations == {"users.me": 1}


async def test_latency(serve):
    api = await serve(latency=0.03)
    loop = asyncio.get_running_loop()
    start = loop.time()
    await asyncio.gather(*(api("GET", "/me") for _ in range(10)))
    assert loop.time() - start >= 0.03
    assert api.server.statistics.max_in_flight == 10


async def test_stop_ends_requests_of_lost_clients():
    """No request continues after the stop, also if its client has disconnected."""
    async with LocalCircleCI(slow=60) as server, aiohttp.ClientSession() as session:
        server.inject("slow")
        with pytest.raises(TimeoutError):
            await session.get(f"{server.url}/api/v2/me", timeout=aiohttp.ClientTimeout(total=0.05))
    for _ in range(5):
        await asyncio.sleep(0)
    assert asyncio.all_tasks() == {asyncio.current_task()}
