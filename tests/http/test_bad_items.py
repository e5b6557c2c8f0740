"""A bad item costs one item, over real HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from aiocircle import CircleCI, DecodeError, Pager, RetryPolicy
from aiocircle.resources.pipelines import Pipeline
from aiocircle.testing import LocalCircleCI


def pipeline(number: Any, **changes: Any) -> dict[str, Any]:
    """Return a pipeline as the API sends it; a change to None leaves the key out."""
    body = {"id": f"p{number}", "number": number, "project_slug": "gh/acme/web", "created_at": "2026-11-26T10:00:00Z"}
    return {name: value for name, value in {**body, **changes}.items() if value is not None}


@pytest.fixture
async def server() -> AsyncIterator[LocalCircleCI]:
    async with LocalCircleCI() as server:
        yield server


@pytest.fixture
async def circle(server: LocalCircleCI) -> AsyncIterator[CircleCI]:
    async with CircleCI(server.token, base_url=server.url, retry=RetryPolicy(attempts=2, base=0.0)) as circle:
        yield circle


def respond(server: LocalCircleCI, *pages: tuple[list[Any], str | None]) -> None:
    """Let the next responses be these pages."""
    for items, token in pages:
        server.inject("answer", status=200, body={"items": items, "next_page_token": token})


def listing(circle: CircleCI) -> Pager[Pipeline]:
    return circle.pipelines.list_for_project("gh/acme/web")


async def test_items_before_a_bad_one_come_first(server: LocalCircleCI, circle: CircleCI) -> None:
    """The error has the items after it, the JSON path of the problem and the token to continue with."""
    bad = pipeline(3, created_at="yesterday")
    respond(server, ([pipeline(1), pipeline(2)], "b"), ([pipeline(4), bad, pipeline(5)], "c"))
    numbers: list[int] = []
    with pytest.raises(DecodeError) as caught:
        async for item in listing(circle):
            numbers.append(item.number)  # noqa: PERF401 - kept when the iteration raises
    error = caught.value
    assert numbers == [1, 2, 4]
    assert [item.number for item in error.items] == [5]
    assert (error.page_token, error.next_page_token, error.attempts, error.status) == ("b", "c", 1, 200)
    assert "$.items[1].created_at" in error.problems[0]
    assert len(server.requests) == 2


async def test_skip_invalid_keeps_the_others(server: LocalCircleCI, circle: CircleCI) -> None:
    """Each bad item is reported by itself, and all others come."""
    skipped: list[DecodeError] = []
    respond(
        server,
        ([pipeline("x"), pipeline(1), 5, pipeline(2, id=None)], "b"),
        ([pipeline(3), None], None),
    )
    items = await listing(circle).skip_invalid(skipped.append).collect()
    assert [item.number for item in items] == [1, 3]
    assert [error.problems[0].rpartition("@ ")[2] for error in skipped] == [
        "$.items[0].number",
        "$.items[2]",
        "$.items[3].id",
        "$.items[1]",
    ]
    assert [error.page_token for error in skipped] == [None, None, None, "b"]


async def test_bad_array_items_have_their_path(server: LocalCircleCI, circle: CircleCI) -> None:
    """A bare array is read item by item as well."""
    server.inject("answer", status=200, body=[pipeline(1), {"id": 5}])
    with pytest.raises(DecodeError, match=r"\$\[1\]") as caught:
        await listing(circle).collect()
    assert [item.number for item in caught.value.items] == [1]


async def test_a_body_without_items_is_one_error(server: LocalCircleCI, circle: CircleCI) -> None:
    """A page that is not a page fails as a whole."""
    server.inject("answer", status=200, body={"items": {"a": 1}, "next_page_token": "t"})
    with pytest.raises(DecodeError, match=r"\$\.items") as caught:
        await listing(circle).skip_invalid().collect()
    assert caught.value.next_page_token == "t"


async def test_many_bad_items_stay_bounded(server: LocalCircleCI, circle: CircleCI) -> None:
    """A page of ten thousand bad items is a hundred errors and one that counts the others."""
    skipped: list[DecodeError] = []
    respond(server, ([1] * 10_000, None))
    assert await listing(circle).skip_invalid(skipped.append).collect() == []
    assert len(skipped) == 101
    assert skipped[-1].problems == ("$.items has 9900 more items that do not match",)


async def test_bad_items_keep_their_attempts(server: LocalCircleCI, circle: CircleCI) -> None:
    """The errors of items have the number of attempts of their page."""
    server.inject("answer", status=500, body="no")
    respond(server, ([5], None))
    with pytest.raises(DecodeError) as caught:
        await listing(circle).collect()
    assert caught.value.attempts == 2
