"""Lists: every page once, in order, and an end."""

from __future__ import annotations

import asyncio
import contextlib
import gc
from itertools import pairwise

import attrs
import pytest

from aiocircle import (
    CircleCIError,
    DecodeError,
    InvalidArgument,
    NotFound,
    Page,
    Pager,
    PaginationError,
    RetryPolicy,
    ServerError,
)

X = "/api/v2/x"


def page(*items, token=None):
    return {"items": list(items), "next_page_token": token}


def chain(pages: int, size: int = 2):
    """That many pages of that many numbers each."""
    tokens = [None, *(f"t{number}" for number in range(1, pages)), None]
    return {
        tokens[number]: page(*range(number * size, (number + 1) * size), token=tokens[number + 1])
        for number in range(pages)
    }


@pytest.fixture
def pager(server, circle):
    return circle.request_pages(X)


@pytest.fixture(params=[False, True], ids=["plain", "prefetch"])
def either(request, pager):
    """A pager, and one that fetches ahead: what they hand over is the same."""
    return pager.prefetch() if request.param else pager


async def gathered(iterator):
    """The items up to the first error, and that error."""
    items = []
    try:
        async for item in iterator:
            items.append(item)  # noqa: PERF401 - what came before the error counts
    except CircleCIError as error:
        return items, error
    return items, None


# --- from the first page to the last -------------------------------------------------------------------------


async def test_items_of_all_pages_in_order(server, either):
    """Items of all pages come in order."""
    server.pages(X, chain(5))
    assert [item async for item in either] == list(range(10))
    assert [request.query.get("page-token") for request in server.requests] == [None, "t1", "t2", "t3", "t4"]


@pytest.mark.parametrize(
    "last",
    [page(3), {"items": [3], "next_page_token": ""}, {"items": [3]}, [3]],
    ids=["null", "empty", "missing", "bare"],
)
async def test_null_empty_or_missing_token_ends_the_list(server, either, last):
    """A null, an empty and a missing token end the list."""
    server.pages(X, {None: page(1, 2, token="t"), "t": last})
    assert await either.collect() == [1, 2, 3]
    assert len(server.requests) == 2


async def test_no_limit_on_pages(server, either):
    """A list of a thousand pages is read to its end."""
    server.pages(X, chain(1000, size=1))
    assert await either.collect() == list(range(1000))
    assert len(server.requests) == 1000


async def test_empty_list(server, either):
    """An empty list has no items."""
    server.pages(X, {None: page()})
    assert await either.collect() == []
    assert await either.first() is None
    assert [each async for each in either.pages()] == [Page((), None)]


async def test_pages_have_their_tokens(server, either):
    """pages() yields each page with its token."""
    server.pages(X, chain(3))
    assert [each async for each in either.pages()] == [Page((0, 1), "t1"), Page((2, 3), "t2"), Page((4, 5), None)]


async def test_iterating_again_starts_over(server, either):
    """A second iteration begins at the first page."""
    server.pages(X, chain(2))
    assert await either.collect() == await either.collect() == [0, 1, 2, 3]
    assert len(server.requests) == 4


async def test_concurrent_iterations_are_independent(server, either):
    """Two concurrent iterations are independent."""
    server.pages(X, chain(4))
    assert await asyncio.gather(either.collect(), either.collect()) == [list(range(8))] * 2


async def test_nothing_is_sent_before_iteration(server, circle, pager):
    """Nothing is sent before the first item is requested."""
    server.pages(X, chain(3))
    circle.request_pages(X)
    iterator = aiter(pager)
    pages = pager.pages()
    await asyncio.sleep(1)
    assert server.requests == []
    assert [await anext(iterator), await anext(iterator)] == [0, 1]
    await asyncio.sleep(1)
    assert len(server.requests) == 1, "the second page was not needed yet"
    await iterator.aclose()
    await pages.aclose()


# --- one page, and going on from one -------------------------------------------------------------------------


async def test_one_page(server, pager):
    """page() returns one page."""
    server.pages(X, chain(3))
    first = await pager.page()
    assert first == Page((0, 1), "t1")
    assert await pager.page(first.next_page_token) == Page((2, 3), "t2")
    assert len(server.requests) == 2


async def test_list_continues_from_a_page_token(server, circle):
    """A list continues from a page token."""
    server.pages(X, chain(4))
    pager = circle.request_pages(X, page_token="t2")
    assert await pager.collect() == [4, 5, 6, 7]
    assert await pager.page() == Page((4, 5), "t3")
    assert await pager.prefetch().collect() == [4, 5, 6, 7]


@pytest.mark.parametrize("token", ["", 5, b"t"])
async def test_invalid_page_token_is_refused(server, circle, pager, token):
    """An invalid page token raises InvalidArgument immediately."""
    with pytest.raises(InvalidArgument, match="page_token"):
        circle.request_pages(X, page_token=token)
    with pytest.raises(InvalidArgument, match="page_token"):
        await pager.page(token)
    assert server.requests == []


async def test_token_for_an_unpaged_list_is_refused(server, circle):
    """A page token for a list that the API never pages raises InvalidArgument."""
    with pytest.raises(InvalidArgument, match="page_token"):
        circle.users.list_collaborations(page_token="t")
    with pytest.raises(InvalidArgument, match="page_token"):
        await circle.users.list_collaborations().page("t")
    assert server.requests == []


async def test_list_pages_without_documented_parameter(server, circle):
    """Workflow jobs are paged, although the document has no parameter for it."""
    path = "/api/v2/workflow/w/job"
    job = {"id": "j", "name": "build", "type": "build", "status": "success", "project_slug": "gh/a/b"}
    job |= {"dependencies": [], "started_at": "2026-01-01T00:00:00Z"}
    server.pages(path, {None: page(job, token="t"), "t": page(job | {"id": "k"})})
    assert [each.id async for each in circle.workflows.list_jobs("w")] == ["j", "k"]


# --- collect and first ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("limit", "items", "requests"), [(0, 0, 0), (1, 1, 1), (2, 2, 1), (3, 3, 2), (10, 10, 5), (99, 10, 5)]
)
async def test_collect_stops_at_its_limit(server, either, limit, items, requests):
    """collect(limit=…) returns at most that many items and requests no further page."""
    server.pages(X, chain(5))
    assert await either.collect(limit=limit) == list(range(items))
    await asyncio.sleep(1)
    assert len(server.requests) == requests


@pytest.mark.parametrize("limit", [-1, 1.5, "5", True])
async def test_invalid_limit_is_refused_unsent(server, pager, limit):
    """An invalid limit raises InvalidArgument before anything is sent."""
    with pytest.raises(InvalidArgument, match="limit"):
        await pager.collect(limit=limit)
    assert server.requests == []


async def test_first_skips_empty_pages(server, either):
    """first() returns the first item, also after empty pages."""
    server.pages(X, {None: page(token="a"), "a": page(token="b"), "b": page(7, 8, token="c")})
    assert await either.first() == 7
    await asyncio.sleep(1)
    assert len(server.requests) == 3


async def test_first_requests_no_further_page(server, either):
    """first() requests no page after that of the first item."""
    server.pages(X, {None: page(7, token="a"), "a": page(8)})
    assert await either.first() == 7
    await asyncio.sleep(1)
    assert len(server.requests) == 1


# --- a list that does not advance ----------------------------------------------------------------------------


async def test_repeated_token_is_a_pagination_error(server, either):
    """A page that names its own token as the next raises PaginationError."""
    server.pages(X, {None: page(1, token="t"), "t": page(2, token="t")})
    items, error = await gathered(either)
    assert items == [1, 2], "what came before the repetition is handed over"
    assert isinstance(error, PaginationError)
    assert "token" in str(error)
    assert error.page_token == "t"
    assert len(server.requests) == 2


async def test_cycle_of_tokens_is_a_pagination_error(server, either):
    """A cycle of tokens raises PaginationError."""
    server.pages(
        X, {None: page(1, token="a"), "a": page(2, token="b"), "b": page(3, token="c"), "c": page(4, token="a")}
    )
    items, error = await gathered(either)
    assert items == [1, 2, 3, 4]
    assert isinstance(error, PaginationError)
    assert len(server.requests) == 4


async def test_token_back_to_the_start_is_an_error(server, circle):
    """A token that leads back to the first page of the iteration raises PaginationError."""
    server.pages(X, {"a": page(1, token="b"), "b": page(2, token="a")})
    items, error = await gathered(circle.request_pages(X, page_token="a"))
    assert items == [1, 2]
    assert isinstance(error, PaginationError)
    assert len(server.requests) == 2


async def test_same_page_under_a_new_token_is_an_error(server, either):
    """A page that repeats under a new token raises PaginationError, as with context variables."""
    server.route(X, lambda request: server.reply(200, page(1, 2, token=f"t{len(server.requests)}")))
    items, error = await gathered(either)
    assert items == [1, 2]
    assert isinstance(error, PaginationError)
    assert "page came again" in str(error)
    assert error.page_token == "t1"


async def test_later_page_twice_in_a_row_is_an_error(server, either):
    """A later page that comes twice in a row raises PaginationError."""
    server.pages(X, {None: page(1, token="a"), "a": page(2, token="b"), "b": page(2, token="c"), "c": page(3)})
    items, error = await gathered(either)
    assert items == [1, 2]
    assert isinstance(error, PaginationError)
    assert error.page_token == "b"


async def test_first_page_after_others_is_an_error(server, either):
    """The first page after others raises PaginationError."""
    pages = chain(3)
    pages["t2"] = page(4, 5, token="t3")
    pages["t3"] = page(0, 1, token="t4")
    server.pages(X, pages)
    items, error = await gathered(either)
    assert items == [0, 1, 2, 3, 4, 5]
    assert isinstance(error, PaginationError)
    assert error.page_token == "t3"
    await asyncio.sleep(1)
    assert len(server.requests) == 4


async def test_similar_pages_are_accepted(server, either):
    """Pages with equal parts are accepted."""
    server.pages(X, {None: page(1, 2, token="a"), "a": page(1, 3, token="b"), "b": page(2, 1, token="c"), "c": page(1)})
    assert await either.collect() == [1, 2, 1, 3, 2, 1, 1]


async def test_ten_empty_pages_are_accepted(server, either):
    """Ten empty pages in a row are accepted."""
    tokens = [None, *"abcdefghij", "end"]
    pages = {now: page(token=then) for now, then in pairwise(tokens)}
    server.pages(X, {None: page(1, token="a"), **{key: pages[key] for key in "abcdefghij"}, "end": page(2)})
    assert await either.collect() == [1, 2]
    assert len(server.requests) == 12


async def test_eleventh_empty_page_is_an_error(server, either):
    """An eleventh empty page with a token raises PaginationError."""
    server.route(X, lambda request: server.reply(200, page(token=f"t{len(server.requests)}")))
    items, error = await gathered(either)
    assert items == []
    assert isinstance(error, PaginationError)
    assert "empty" in str(error)
    assert len(server.requests) == 11


async def test_eleventh_empty_page_may_be_the_last(server, either):
    """An eleventh empty page without a token ends the list."""

    def decide(request):
        number = len(server.requests)
        return server.reply(200, page(token=f"t{number}" if number < 11 else None))

    server.route(X, decide)
    assert await either.collect() == []
    assert len(server.requests) == 11


async def test_items_reset_the_count_of_empty_pages(server, either):
    """Items reset the count of empty pages."""

    def decide(request):
        number = len(server.requests)
        return server.reply(
            200, page(*([number] if number % 10 == 0 else []), token=f"t{number}" if number < 60 else "")
        )

    server.route(X, decide)
    assert await either.collect() == [10, 20, 30, 40, 50, 60]


async def test_pagination_error_keeps_collected_items(server, either):
    """A PaginationError of collect() has the items before it."""
    server.pages(X, {None: page(1, token="t"), "t": page(2, token="t")})
    with pytest.raises(PaginationError) as caught:
        await either.collect()
    assert caught.value.items == [1, 2]


# --- errors --------------------------------------------------------------------------------------------------


@pytest.fixture
def hasty(make):
    return make(retry=RetryPolicy(attempts=1))


@pytest.mark.parametrize("ahead", [False, True], ids=["plain", "prefetch"])
async def test_error_follows_items_and_has_page_token(server, hasty, ahead):
    """An error comes after all items before it, and has the page token to resume from."""
    server.pages(X, {**chain(3), "t2": server.reply(500)})
    pager = hasty.request_pages(X)
    items, error = await gathered(pager.prefetch() if ahead else pager)
    assert items == [0, 1, 2, 3]
    assert isinstance(error, ServerError)
    assert error.page_token == "t2"
    server.pages(X, chain(3))
    assert await hasty.request_pages(X, page_token=error.page_token).collect() == [4, 5]


async def test_error_on_the_first_page_has_no_token(server, hasty):
    """An error of the first page has no page token."""
    server.on(X, server.reply(404))
    with pytest.raises(NotFound) as caught:
        await hasty.request_pages(X).collect()
    assert caught.value.page_token is None
    assert caught.value.items == []


async def test_error_of_collect_has_the_items(server, hasty):
    """An error of collect() has the items before it."""
    server.pages(X, {**chain(3), "t2": server.drop()})
    with pytest.raises(CircleCIError) as caught:
        await hasty.request_pages(X).collect()
    assert caught.value.items == [0, 1, 2, 3]
    assert caught.value.page_token == "t2"


async def test_error_of_a_single_page_has_its_token(server, hasty):
    """An error of page() has the token of that page."""
    server.on(X, server.reply(500))
    with pytest.raises(ServerError) as caught:
        await hasty.request_pages(X).page("t7")
    assert caught.value.page_token == "t7"


async def test_failing_page_is_retried(server, either):
    """A failing page is retried, and each item comes once."""
    failures = {
        f"t{number}": [server.reply(503), server.drop(), server.reply(200, body=b"<html>")] for number in (1, 3)
    }

    def decide(request):
        token = request.query.get("page-token")
        waiting = failures.get(token)
        return waiting.pop() if waiting else server.reply(200, chain(5)[token])

    server.route(X, decide)
    assert await either.collect() == list(range(10))


@attrs.frozen(kw_only=True)
class Named:
    name: str


async def test_undecodable_page_can_be_skipped(server, hasty):
    """A page that cannot be decoded can be skipped, so that one odd item does not block later pages."""
    server.pages(
        X,
        {
            None: page({"name": "a"}, token="t1"),
            "t1": page({"name": "b"}, {"name": 5}, token="t2"),
            "t2": page({"name": "c"}),
        },
    )
    pager = hasty.request_pages(X, into=Named)
    with pytest.raises(DecodeError) as caught:
        await pager.collect()
    error = caught.value
    assert error.items == [Named(name="a"), Named(name="b")]
    assert error.page_token == "t1"
    assert error.next_page_token == "t2"
    assert any("$.items[1].name" in problem for problem in error.problems)
    assert await hasty.request_pages(X, into=Named, page_token=error.next_page_token).collect() == [Named(name="c")]


async def test_invalid_token_next_to_a_bad_item(server, hasty):
    """A page whose token is invalid is an error as a whole, also with skip_invalid(): the list cannot continue."""
    server.on(X, server.reply(200, {"items": [{"name": "a"}, {"name": 5}], "next_page_token": 5}))
    with pytest.raises(DecodeError, match="next_page_token"):
        await hasty.request_pages(X, into=Named).skip_invalid().collect()


async def test_error_ends_the_iteration(server, hasty):
    """An error ends the iteration."""
    server.pages(X, {**chain(2), "t1": server.reply(500)})
    iterator = aiter(hasty.request_pages(X))
    assert [await anext(iterator), await anext(iterator)] == [0, 1]
    with pytest.raises(ServerError):
        await anext(iterator)
    with pytest.raises(StopAsyncIteration):
        await anext(iterator)


@pytest.mark.parametrize(
    "answer", [5, "text", None, {"items": None}, {"items": {}}, {"items": [], "next_page_token": 5}, {}], ids=str
)
async def test_invalid_page_is_a_decode_error(server, hasty, answer):
    """A body that is not a page raises DecodeError, also {}: it has no items."""
    server.on(X, server.reply(200, answer))
    with pytest.raises(DecodeError):
        await hasty.request_pages(X).collect()


# --- leaving early -------------------------------------------------------------------------------------------


async def test_leaving_early_sends_nothing_more(server, pager, circle, assert_idle):
    """A consumer that stops early causes no further request."""
    server.pages(X, chain(5))
    async for item in pager:
        if item == 3:
            break
    await asyncio.sleep(1)
    assert len(server.requests) == 2
    await assert_idle(circle)


@pytest.mark.parametrize("how", ["aclosing pager", "aclosing iterator", "aclosing pages", "pager.aclose", "drop"])
async def test_leaving_during_prefetch_cleans_up(server, either, circle, assert_idle, how):
    """A consumer that stops while the next page is fetched leaves nothing behind."""
    server.pages(X, {**chain(3), "t1": server.hang()})

    async def leave() -> None:
        if how == "aclosing pager":
            async with contextlib.aclosing(either):
                async for item in either:
                    assert item == 0
                    break
        elif how == "aclosing iterator":
            async with contextlib.aclosing(aiter(either)) as iterator:
                assert await anext(iterator) == 0
        elif how == "aclosing pages":
            async with contextlib.aclosing(either.pages()) as pages:
                assert (await anext(pages)).items == (0, 1)
                await asyncio.sleep(1)
        elif how == "pager.aclose":
            iterator = aiter(either)
            assert await anext(iterator) == 0
            await asyncio.sleep(1)
            await either.aclose()
            with pytest.raises(StopAsyncIteration):
                await anext(iterator)
        else:
            async for _ in either:
                await asyncio.sleep(1)
                break

    await leave()
    gc.collect()
    await asyncio.sleep(0.1)
    await assert_idle(circle)
    assert len(server.requests) <= 2


async def test_consumer_error_cleans_up(server, either, circle, assert_idle):
    """An error of the consumer leaves nothing behind."""
    server.pages(X, {**chain(3), "t1": server.hang()})
    with pytest.raises(ZeroDivisionError):
        async for _ in either:
            await asyncio.sleep(1)
            raise ZeroDivisionError
    gc.collect()
    await asyncio.sleep(0.1)
    await assert_idle(circle)


async def test_failing_task_group_around_iteration(server, either, circle, assert_idle):
    """A task group that fails around an iteration raises only its own error, and leaves nothing behind."""
    server.pages(X, {**chain(3), "t1": server.hang()})

    async def fail() -> None:
        await asyncio.sleep(1)
        raise ZeroDivisionError

    async def consume() -> None:
        async for _ in either:
            pass

    with pytest.raises(ExceptionGroup) as caught:
        async with asyncio.TaskGroup() as group:
            group.create_task(fail())
            group.create_task(consume())
    assert [type(each) for each in caught.value.exceptions] == [ZeroDivisionError]
    await assert_idle(circle)


async def test_iterator_can_move_to_another_task(server, either):
    """An iterator can continue in another task: no timeout and no task group is open across a yield."""
    server.pages(X, chain(3))
    iterator = aiter(either)
    items = []
    for _ in range(6):
        async with asyncio.timeout(5):
            items.append(await asyncio.ensure_future(anext(iterator)))
    assert items == list(range(6))
    with pytest.raises(StopAsyncIteration):
        await anext(iterator)


# --- prefetch ------------------------------------------------------------------------------------------------


async def test_prefetch_overlaps_fetching_with_work(server, pager):
    """Ten pages of two seconds with two seconds of work on each take half of the sum."""
    loop = asyncio.get_running_loop()
    server.pages(X, {token: server.reply(200, each, after=2.0) for token, each in chain(10).items()})

    async def work(pages) -> float:
        start = loop.time()
        async for _ in pages:
            await asyncio.sleep(2.0)
        return loop.time() - start

    assert await work(pager.pages()) == pytest.approx(40, abs=1)
    assert await work(pager.prefetch().pages()) == pytest.approx(22, abs=1)


async def test_prefetch_is_one_page_ahead_at_most(server, pager):
    """prefetch() is at most one page ahead."""
    server.pages(X, chain(10))
    async with contextlib.aclosing(pager.prefetch()) as ahead:
        seen = 0
        async for _ in ahead.pages():
            seen += 1
            await asyncio.sleep(1)
            assert len(server.requests) == min(seen + 1, 10)


async def test_prefetched_error_comes_in_turn_and_once(server, hasty):
    """An error of a prefetched page comes after the items before it, and once."""
    server.pages(X, {**chain(3), "t1": server.reply(500)})
    iterator = aiter(hasty.request_pages(X).prefetch())
    assert await anext(iterator) == 0
    await asyncio.sleep(10)
    assert await anext(iterator) == 1, "the second page has failed by now, but the first is not finished"
    with pytest.raises(ServerError) as caught:
        await anext(iterator)
    assert caught.value.page_token == "t1"
    with pytest.raises(StopAsyncIteration):
        await anext(iterator)


async def test_unseen_prefetched_error_is_silent(server, hasty, no_leaks):
    """An error of a prefetched page that the consumer never reaches is not reported."""
    server.pages(X, {**chain(3), "t1": server.reply(500)})
    async for _ in hasty.request_pages(X).prefetch():
        await asyncio.sleep(10)
        break
    gc.collect()
    await asyncio.sleep(1)
    assert no_leaks == []


async def test_prefetch_requests_no_repeated_token(server, pager):
    """prefetch() requests no page under a repeated token."""
    server.pages(X, {None: page(1, token="t"), "t": page(2, token="t")})
    items = []
    with pytest.raises(PaginationError):
        async for item in pager.prefetch():
            items.append(item)
            await asyncio.sleep(1)
    assert items == [1, 2]
    assert len(server.requests) == 2


async def test_prefetch_from_a_page_token(server, circle):
    """prefetch() continues from a page token."""
    server.pages(X, chain(3))
    assert await circle.request_pages(X, page_token="t1").prefetch().collect() == [2, 3, 4, 5]
    assert await circle.request_pages(X).prefetch().prefetch().collect(limit=3) == [0, 1, 2]


def test_pager_repr_has_no_token():
    """The repr of a pager has neither the API token nor a page token."""
    from aiocircle import CircleCI

    assert repr(CircleCI("secret").request_pages(X, page_token="t1")) == "<Pager from a page token>"
    assert repr(CircleCI("secret").request_pages(X)) == "<Pager from the first page>"


# --- a list that ends at an item ---------------------------------------------------------------------------------


@pytest.mark.parametrize("prefetch", [False, True], ids=["plain", "prefetch"])
@pytest.mark.parametrize(
    ("end", "pages"),
    [
        (3, [(0, 1), (2,)]),
        (2, [(0, 1), ()]),
        (0, [()]),
        (99, [(0, 1), (2, 3), (4, 5)]),
    ],
)
async def test_list_ends_before_the_stop_item(prefetch, end, pages):
    """A list ends before the first item that meets its end condition, and requests no further page."""
    asked = []

    async def fetch(token):
        asked.append(token)
        number = 0 if token is None else int(token)
        return Page((2 * number, 2 * number + 1), str(number + 1) if number < 2 else None)

    pager = Pager(fetch, stop=lambda item: item >= end)
    pager = pager.prefetch() if prefetch else pager
    found = [each async for each in pager.pages()]
    assert [each.items for each in found] == pages
    assert found[-1].next_page_token is None
    assert asked == [None, "1", "2"][: len(pages)]
    assert await pager.collect() == [item for each in pages for item in each]


async def test_prefetch_of_an_unpaged_list():
    """An unpaged list stays unpaged with prefetch()."""

    async def fetch(token):
        raise AssertionError("nothing is asked for here")

    with pytest.raises(InvalidArgument, match="in one piece"):
        Pager(fetch, page_token="t", paged=False)
    with pytest.raises(InvalidArgument, match="in one piece"):
        await Pager(fetch, paged=False).prefetch().page("t")
