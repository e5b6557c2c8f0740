"""The client over aioresponses-ng, which replaces aiohttp's requests without a socket."""

from __future__ import annotations

import re

import aiohttp
import pytest
from aioresponses import aioresponses

from aiocircle import CircleCI, NotFound, RateLimited, RetryPolicy, ServerError
from aiocircle.resources.users import User

ME = "https://circleci.com/api/v2/me"
ADA = {"id": "1", "login": "ada", "name": "Ada"}


@pytest.fixture
def responses():
    with aioresponses() as mocked:
        yield mocked


@pytest.fixture
async def circle(canary):
    async with CircleCI(canary) as circle:
        yield circle


def sent(responses):
    return [(method, call) for (method, _), calls in responses.requests.items() for call in calls]


async def test_typed_call(responses, circle, canary):
    """A typed call works over aioresponses."""
    responses.get(ME, payload=ADA)
    assert await circle.users.me() == User(id="1", login="ada", name="Ada")
    [(method, call)] = sent(responses)
    assert method == "GET"
    assert call.kwargs["headers"]["Circle-Token"] == canary
    assert call.kwargs["allow_redirects"] is False
    assert call.kwargs["raise_for_status"] is False


async def test_retried_call(responses, circle):
    """A retried call works over aioresponses."""
    responses.get(ME, status=503, headers={"Retry-After": "7"})
    responses.get(ME, exception=aiohttp.ServerDisconnectedError())
    responses.get(ME, timeout=True)
    responses.get(ME, payload=ADA)
    assert (await circle.users.me()).login == "ada"
    assert len(sent(responses)) == 4


async def test_refused_call(responses, circle):
    """An error status raises its error over aioresponses."""
    responses.get(ME, status=404, payload={"message": "nobody"})
    with pytest.raises(NotFound, match="nobody"):
        await circle.users.me()
    assert len(sent(responses)) == 1


async def test_change_is_sent_once(responses, circle):
    """A change is sent once over aioresponses."""
    path = re.compile(r"https://circleci\.com/api/v2/project/gh/acme/web/pipeline")
    responses.post(path, status=500, repeat=True)
    with pytest.raises(ServerError) as caught:
        await circle.pipelines.trigger("gh/acme/web", branch="main")
    assert caught.value.outcome == "unknown"
    [(_, call)] = sent(responses)
    assert call.kwargs["data"] == b'{"branch":"main"}'
    assert call.kwargs["headers"]["Content-Type"] == "application/json"


async def test_list(responses, circle):
    """A list is paged over aioresponses."""
    url = "https://circleci.com/api/v2/pipeline/p/workflow"
    base = {"project_slug": "gh/a/b", "pipeline_id": "p", "pipeline_number": 1, "status": "success"}
    base |= {"name": "build", "started_by": "u", "created_at": "2026-01-01T00:00:00Z", "stopped_at": None}
    responses.get(url, payload={"items": [{**base, "id": "1"}], "next_page_token": "t/+="})
    responses.get(f"{url}?page-token=t%2F%2B%3D", payload={"items": [{**base, "id": "2"}], "next_page_token": None})
    assert [workflow.id async for workflow in circle.pipelines.list_workflows("p")] == ["1", "2"]


async def test_delayed_request_is_not_sent(responses, circle):
    """A request that a rate limit delays is not sent."""
    responses.get(ME, status=429, headers={"Retry-After": "3600"}, repeat=True)
    for attempts in (1, 0):
        with pytest.raises(RateLimited) as caught:
            await circle.with_options(retry=RetryPolicy(max_wait=60)).users.me()
        assert caught.value.attempts == attempts
    assert len(sent(responses)) == 1
