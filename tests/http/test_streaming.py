"""Long lists over a bad line: every item once, in order, and no more memory for the last page than for the first."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import random
import tracemalloc
from collections import Counter
from collections.abc import AsyncIterator, Callable

import pytest

from aiocircle import CircleCI, CircleCIError, RetryPolicy
from aiocircle.resources.pipelines import Pipeline
from aiocircle.testing import LocalCircleCI
from tests.support.scripted_server import Received, Script, ScriptedServer, drop, hang, raw, reply
from tests.support.stress import Tally, assert_nothing_held
from tests.support.thorough import scaled

PATIENT = RetryPolicy(attempts=12, base=0.05, cap=2.0, max_wait=1e6)
PER_PAGE = 5
PAGES = scaled(200, 10_000)
WARM = PAGES // 5
FAULTS = 0.2


def page(number: int) -> dict[str, object]:
    """A page of pipelines; those of page 0 are the newest."""
    items = [
        {
            "id": f"00000000-0000-4000-8000-{PER_PAGE * number + index:012}",
            "number": PER_PAGE * (PAGES - number) - index,
            "project_slug": "gh/acme/web",
            "state": "created",
            "errors": [],
            "created_at": "2026-11-20T10:00:00.123Z",
            "trigger": {"type": "webhook", "received_at": "2026-11-20T10:00:00Z", "actor": {"login": "ada"}},
        }
        for index in range(PER_PAGE)
    ]
    return {"items": items, "next_page_token": f"token-{number + 1}" if number + 1 < PAGES else None}


def fault(kind: str, body: dict[str, object]) -> Script:
    """One way in which a page does not arrive."""
    text = json.dumps(body).encode()
    return {
        "429": reply(429, {"message": "Rate Limit Exceeded"}, headers={"Retry-After": "1"}),
        "429 without a time": reply(429, body=b"Rate limited."),
        "500": reply(500, {"message": "Internal server error."}),
        "502": reply(502, body=b"<html><title>502 Bad Gateway</title></html>", headers={"Content-Type": "text/html"}),
        "503": reply(503, headers={"Retry-After": "0"}),
        "dropped": drop(),
        "reset": drop(abort=True),
        "truncated": reply(200, body, cut=len(text) // 2),
        "half the JSON": reply(200, body=text[: len(text) // 2]),
        "no JSON": reply(200, body=b"<html>Please log in</html>"),
        "in the headers": raw(b"HTTP/1.1 200 OK\r\nContent-"),
        "hung": hang(),
        "hung in the body": hang(b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n{"),
    }[kind]


KINDS = (
    *("429", "429 without a time", "500", "502", "503", "dropped", "reset", "truncated", "half the JSON"),
    *("no JSON", "in the headers", "hung", "hung in the body"),
)


class BadLine(ScriptedServer):
    """A server of many pages, with faults by chance."""

    def __init__(self, rng: random.Random, tally: Tally) -> None:
        super().__init__()
        self.faults: Counter[str] = Counter()
        deck: list[str] = []

        def decide(request: Received) -> Script:
            self.requests.clear()
            tally["requests"] += 1
            token = request.query.get("page-token")
            body = page(0 if token is None else int(token.removeprefix("token-")))
            if rng.random() < FAULTS:
                tally["faults"] += 1
                # Each kind comes once before any comes again. Drawn one by one, a kind is missing in 7 of 1,000 runs.
                deck[:] = deck or rng.sample(KINDS, len(KINDS))
                kind = deck.pop()
                self.faults[kind] += 1
                return fault(kind, body)
            return reply(200, body)

        self.route("/api/v2/pipeline", decide)


@pytest.fixture
async def server(
    no_leaks: object, rng: random.Random, tally: Tally, caplog: pytest.LogCaptureFixture
) -> AsyncIterator[BadLine]:
    caplog.set_level(logging.CRITICAL, "aiocircle")  # pytest would keep each warning with its error.
    async with BadLine(rng, tally) as server:
        yield server


@pytest.mark.parametrize("prefetch", [False, True], ids=["one by one", "prefetched"])
async def test_every_item_once_in_order_in_flat_memory(server: BadLine, tally: Tally, prefetch: bool) -> None:
    """Each item of very many pages comes once and in order under faults, and memory stays flat."""
    expected = PER_PAGE * PAGES
    objects = 0
    async with CircleCI("t", base_url=server.url, retry=PATIENT, timeout=5) as circle:
        pager = circle.pipelines.list(org_slug="gh/acme")
        try:
            async for pipeline in pager.prefetch() if prefetch else pager:
                tally["cases"] += 1
                if pipeline.number != expected:
                    raise tally.failed("lost" if pipeline.number < expected else "doubled", f"{pipeline.number} came")
                expected -= 1
                if tally["cases"] == PER_PAGE * WARM:
                    gc.collect()
                    objects = len(gc.get_objects())
                    tracemalloc.start()
            gc.collect()
            grown = tracemalloc.get_traced_memory()[0]
            more_objects = len(gc.get_objects()) - objects
        finally:
            tracemalloc.stop()
        await assert_nothing_held(circle, tally)
    if expected:
        raise tally.failed("lost", f"{expected} at the end")
    print(dict(server.faults), f"{grown} bytes more, {more_objects} objects more")
    tally["bytes grown"] += grown
    assert {*server.faults} == {*KINDS}
    # One number for each token, and what a connection takes; a page alone has more than a thousand objects.
    assert grown < 256 * 1024 + 200 * PAGES
    assert more_objects < 1000


async def test_failed_list_resumes_from_the_named_page(server: BadLine, tally: Tally, rng: random.Random) -> None:
    """Without retries each fault ends the list. It continues from the page token of the error."""
    numbers: list[int] = []
    token: str | None = None
    hasty = RetryPolicy(attempts=1)
    async with CircleCI("t", base_url=server.url, retry=hasty, timeout=5) as circle:
        for _ in range(PAGES):
            pager = circle.pipelines.list(page_token=token)
            if rng.random() < 0.5:
                pager = pager.prefetch()
            tally["cases"] += 1
            try:
                async for page in pager.pages():
                    numbers += [pipeline.number for pipeline in page.items]
                break
            except CircleCIError as error:
                token = error.page_token
                await asyncio.sleep(5)
        await assert_nothing_held(circle, tally)
    assert numbers == list(range(PER_PAGE * PAGES, 0, -1))


async def test_failed_collect_keeps_items_and_page(server: BadLine, tally: Tally) -> None:
    """An error of collect() has the items before it and the page token to continue from."""
    gathered: list[Pipeline] = []
    token: str | None = None
    async with CircleCI("t", base_url=server.url, retry=RetryPolicy(attempts=1), timeout=5) as circle:
        for _ in range(PAGES):
            tally["cases"] += 1
            try:
                gathered += await circle.pipelines.list(page_token=token).collect()
                break
            except CircleCIError as error:
                gathered += error.items
                token = error.page_token
                await asyncio.sleep(5)
    assert [pipeline.number for pipeline in gathered] == list(range(PER_PAGE * PAGES, 0, -1))


async def test_every_list_is_the_same_under_faults(tally: Tally, rng: random.Random) -> None:
    """Each list of the local server has the same items with faults as without."""
    seed = rng.randrange(2**32)
    lists: dict[str, Callable[[CircleCI], object]] = {
        "pipelines": lambda circle: circle.pipelines.list_for_project("gh/acme/web"),
        "workflow runs": lambda circle: circle.insights.list_workflow_runs("gh/acme/web", "build-and-test"),
        "contexts": lambda circle: circle.contexts.list(owner_slug="gh/acme"),
        "variables": lambda circle: circle.projects.list_env_vars("gh/acme/web"),
    }
    async with (
        LocalCircleCI(["gh/acme/web"], seed=seed, page_size=scaled(20, 2)) as calm,
        LocalCircleCI(["gh/acme/web"], seed=seed, page_size=scaled(20, 2), faults=FAULTS, record=False) as stormy,
        CircleCI(calm.token, base_url=calm.url) as there,
        CircleCI(stormy.token, base_url=stormy.url, retry=PATIENT, timeout=3) as here,
    ):
        for name, pager in lists.items():
            expected = await pager(there).collect()  # type: ignore[attr-defined]
            got = await pager(here).collect()  # type: ignore[attr-defined]
            tally["cases"] += len(expected)
            assert got == expected, name
        tally["requests"] += stormy.statistics.requests
        tally["faults"] += stormy.statistics.faults.total()
        await assert_nothing_held(here, tally)
