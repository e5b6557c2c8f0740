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


async def test_the_items_of_all_pages_in_order(server, either):
    server.pages(X, chain(5))
    assert [item async for item in either] == list(range(10))
    assert [request.query.get("page-token") for request in server.requests] == [None, "t1", "t2", "t3", "t4"]


@pytest.mark.parametrize(
    "last",
    [page(3), {"items": [3], "next_page_token": ""}, {"items": [3]}, [3]],
    ids=["null", "empty", "missing", "bare"],
)
async def test_a_null_an_empty_and_a_missing_token_end_the_list(server, either, last):
    server.pages(X, {None: page(1, 2, token="t"), "t": last})
    assert await either.collect() == [1, 2, 3]
    assert len(server.requests) == 2


async def test_there_is_no_hidden_cap(server, either):
    server.pages(X, chain(1000, size=1))
    assert await either.collect() == list(range(1000))
    assert len(server.requests) == 1000


async def test_an_empty_list(server, either):
    server.pages(X, {None: page()})
    assert await either.collect() == []
    assert await either.first() is None
    assert [each async for each in either.pages()] == [Page((), None)]


async def test_pages_are_handed_over_with_their_tokens(server, either):
    server.pages(X, chain(3))
    assert [each async for each in either.pages()] == [Page((0, 1), "t1"), Page((2, 3), "t2"), Page((4, 5), None)]


async def test_iterating_again_starts_again(server, either):
    server.pages(X, chain(2))
    assert await either.collect() == await either.collect() == [0, 1, 2, 3]
    assert len(server.requests) == 4


async def test_two_iterations_at_once_do_not_disturb_each_other(server, either):
    server.pages(X, chain(4))
    assert await asyncio.gather(either.collect(), either.collect()) == [list(range(8))] * 2


async def test_nothing_is_sent_before_it_is_asked_for(server, circle, pager):
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
    server.pages(X, chain(3))
    first = await pager.page()
    assert first == Page((0, 1), "t1")
    assert await pager.page(first.next_page_token) == Page((2, 3), "t2")
    assert len(server.requests) == 2


async def test_a_list_goes_on_from_a_page_that_was_kept(server, circle):
    server.pages(X, chain(4))
    pager = circle.request_pages(X, page_token="t2")
    assert await pager.collect() == [4, 5, 6, 7]
    assert await pager.page() == Page((4, 5), "t3")
    assert await pager.prefetch().collect() == [4, 5, 6, 7]


@pytest.mark.parametrize("token", ["", 5, b"t"])
async def test_what_is_no_token_is_refused_at_once(server, circle, pager, token):
    with pytest.raises(InvalidArgument, match="page_token"):
        circle.request_pages(X, page_token=token)
    with pytest.raises(InvalidArgument, match="page_token"):
        await pager.page(token)
    assert server.requests == []


async def test_a_token_for_a_list_that_the_api_never_pages_is_refused_at_once(server, circle):
    with pytest.raises(InvalidArgument, match="page_token"):
        circle.users.list_collaborations(page_token="t")
    with pytest.raises(InvalidArgument, match="page_token"):
        await circle.users.list_collaborations().page("t")
    assert server.requests == []


async def test_a_list_pages_though_the_document_knows_no_parameter_for_it(server, circle):
    """Workflow jobs answer a token, and take one."""
    path = "/api/v2/workflow/w/job"
    job = {"id": "j", "name": "build", "type": "build", "status": "success", "project_slug": "gh/a/b"}
    job |= {"dependencies": [], "started_at": "2026-01-01T00:00:00Z"}
    server.pages(path, {None: page(job, token="t"), "t": page(job | {"id": "k"})})
    assert [each.id async for each in circle.workflows.list_jobs("w")] == ["j", "k"]


# --- collect and first ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("limit", "items", "requests"), [(0, 0, 0), (1, 1, 1), (2, 2, 1), (3, 3, 2), (10, 10, 5), (99, 10, 5)]
)
async def test_collect_takes_as_many_as_it_may_and_asks_for_no_page_more(server, either, limit, items, requests):
    server.pages(X, chain(5))
    assert await either.collect(limit=limit) == list(range(items))
    await asyncio.sleep(1)
    assert len(server.requests) == requests


@pytest.mark.parametrize("limit", [-1, 1.5, "5", True])
async def test_a_limit_that_is_none_is_refused_unsent(server, pager, limit):
    with pytest.raises(InvalidArgument, match="limit"):
        await pager.collect(limit=limit)
    assert server.requests == []


async def test_first_is_the_first_item_though_pages_before_it_are_empty(server, either):
    server.pages(X, {None: page(token="a"), "a": page(token="b"), "b": page(7, 8, token="c")})
    assert await either.first() == 7
    await asyncio.sleep(1)
    assert len(server.requests) == 3


async def test_first_asks_for_no_page_beyond_that_of_the_first_item(server, either):
    server.pages(X, {None: page(7, token="a"), "a": page(8)})
    assert await either.first() == 7
    await asyncio.sleep(1)
    assert len(server.requests) == 1


# --- a list that does not advance ----------------------------------------------------------------------------


async def test_a_token_that_comes_again_at_once_ends_the_list_with_an_error(server, either):
    server.pages(X, {None: page(1, token="t"), "t": page(2, token="t")})
    items, error = await gathered(either)
    assert items == [1, 2], "what came before the repetition is handed over"
    assert isinstance(error, PaginationError)
    assert "token" in str(error)
    assert error.page_token == "t"
    assert len(server.requests) == 2


async def test_a_circle_of_tokens_ends_with_an_error(server, either):
    server.pages(
        X, {None: page(1, token="a"), "a": page(2, token="b"), "b": page(3, token="c"), "c": page(4, token="a")}
    )
    items, error = await gathered(either)
    assert items == [1, 2, 3, 4]
    assert isinstance(error, PaginationError)
    assert len(server.requests) == 4


async def test_a_token_that_leads_back_to_where_the_iteration_began(server, circle):
    server.pages(X, {"a": page(1, token="b"), "b": page(2, token="a")})
    items, error = await gathered(circle.request_pages(X, page_token="a"))
    assert items == [1, 2]
    assert isinstance(error, PaginationError)
    assert len(server.requests) == 2


async def test_the_same_page_under_another_token_ends_with_an_error(server, either):
    """What context variables do: the token changes, the page does not."""
    server.route(X, lambda request: server.reply(200, page(1, 2, token=f"t{len(server.requests)}")))
    items, error = await gathered(either)
    assert items == [1, 2]
    assert isinstance(error, PaginationError)
    assert "page came again" in str(error)
    assert error.page_token == "t1"


async def test_a_later_page_that_comes_twice_in_a_row_ends_with_an_error(server, either):
    server.pages(X, {None: page(1, token="a"), "a": page(2, token="b"), "b": page(2, token="c"), "c": page(3)})
    items, error = await gathered(either)
    assert items == [1, 2]
    assert isinstance(error, PaginationError)
    assert error.page_token == "b"


async def test_the_first_page_again_after_others_ends_with_an_error(server, either):
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


async def test_pages_that_resemble_each_other_are_no_repetition(server, either):
    server.pages(X, {None: page(1, 2, token="a"), "a": page(1, 3, token="b"), "b": page(2, 1, token="c"), "c": page(1)})
    assert await either.collect() == [1, 2, 1, 3, 2, 1, 1]


async def test_ten_empty_pages_in_a_row_are_borne(server, either):
    tokens = [None, *"abcdefghij", "end"]
    pages = {now: page(token=then) for now, then in pairwise(tokens)}
    server.pages(X, {None: page(1, token="a"), **{key: pages[key] for key in "abcdefghij"}, "end": page(2)})
    assert await either.collect() == [1, 2]
    assert len(server.requests) == 12


async def test_an_eleventh_empty_page_with_a_token_is_an_error(server, either):
    server.route(X, lambda request: server.reply(200, page(token=f"t{len(server.requests)}")))
    items, error = await gathered(either)
    assert items == []
    assert isinstance(error, PaginationError)
    assert "empty" in str(error)
    assert len(server.requests) == 11


async def test_an_eleventh_empty_page_that_is_the_last_is_the_end(server, either):
    def decide(request):
        number = len(server.requests)
        return server.reply(200, page(token=f"t{number}" if number < 11 else None))

    server.route(X, decide)
    assert await either.collect() == []
    assert len(server.requests) == 11


async def test_empty_pages_are_counted_anew_after_items(server, either):
    def decide(request):
        number = len(server.requests)
        return server.reply(
            200, page(*([number] if number % 10 == 0 else []), token=f"t{number}" if number < 60 else "")
        )

    server.route(X, decide)
    assert await either.collect() == [10, 20, 30, 40, 50, 60]


async def test_collect_gives_the_items_before_a_repetition_with_the_error(server, either):
    server.pages(X, {None: page(1, token="t"), "t": page(2, token="t")})
    with pytest.raises(PaginationError) as caught:
        await either.collect()
    assert caught.value.items == [1, 2]


# --- errors --------------------------------------------------------------------------------------------------


@pytest.fixture
def hasty(make):
    return make(retry=RetryPolicy(attempts=1))


@pytest.mark.parametrize("ahead", [False, True], ids=["plain", "prefetch"])
async def test_an_error_comes_after_the_items_before_it_and_names_the_page_to_resume_from(server, hasty, ahead):
    server.pages(X, {**chain(3), "t2": server.reply(500)})
    pager = hasty.request_pages(X)
    items, error = await gathered(pager.prefetch() if ahead else pager)
    assert items == [0, 1, 2, 3]
    assert isinstance(error, ServerError)
    assert error.page_token == "t2"
    server.pages(X, chain(3))
    assert await hasty.request_pages(X, page_token=error.page_token).collect() == [4, 5]


async def test_an_error_on_the_first_page_has_no_token(server, hasty):
    server.on(X, server.reply(404))
    with pytest.raises(NotFound) as caught:
        await hasty.request_pages(X).collect()
    assert caught.value.page_token is None
    assert caught.value.items == []


async def test_collects_error_has_the_items_so_far(server, hasty):
    server.pages(X, {**chain(3), "t2": server.drop()})
    with pytest.raises(CircleCIError) as caught:
        await hasty.request_pages(X).collect()
    assert caught.value.items == [0, 1, 2, 3]
    assert caught.value.page_token == "t2"


async def test_the_error_of_a_single_page_names_it(server, hasty):
    server.on(X, server.reply(500))
    with pytest.raises(ServerError) as caught:
        await hasty.request_pages(X).page("t7")
    assert caught.value.page_token == "t7"


async def test_a_failing_page_is_retried_and_nothing_is_lost_or_doubled(server, either):
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


async def test_a_page_that_cannot_be_decoded_can_be_skipped(server, hasty):
    """One odd item does not bar the way to all later pages."""
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


async def test_after_an_error_the_iteration_is_over(server, hasty):
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
async def test_what_is_no_page_is_a_decode_error(server, hasty, answer):
    """{} is none, either: an answer without items is not an empty list."""
    server.on(X, server.reply(200, answer))
    with pytest.raises(DecodeError):
        await hasty.request_pages(X).collect()


# --- leaving early -------------------------------------------------------------------------------------------


async def test_leaving_early_sends_nothing_more(server, pager, circle, assert_idle):
    server.pages(X, chain(5))
    async for item in pager:
        if item == 3:
            break
    await asyncio.sleep(1)
    assert len(server.requests) == 2
    await assert_idle(circle)


@pytest.mark.parametrize("how", ["aclosing pager", "aclosing iterator", "aclosing pages", "pager.aclose", "drop"])
async def test_every_way_to_leave_cleans_up(server, either, circle, assert_idle, how):
    """Leaving in the middle of a page whose successor is being fetched."""
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


async def test_an_error_of_the_consumers_own_cleans_up(server, either, circle, assert_idle):
    server.pages(X, {**chain(3), "t1": server.hang()})
    with pytest.raises(ZeroDivisionError):
        async for _ in either:
            await asyncio.sleep(1)
            raise ZeroDivisionError
    gc.collect()
    await asyncio.sleep(0.1)
    await assert_idle(circle)


async def test_a_failing_task_group_around_the_iteration(server, either, circle, assert_idle):
    """A child's failure arrives as itself, and nothing is left behind."""
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


async def test_an_iterator_can_be_handed_to_another_task(server, either):
    """No timeout and no task group is open across a yield, so the next step may be anybody's."""
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


async def test_prefetch_overlaps_the_fetching_with_the_work(server, pager):
    """Ten pages of two seconds each, and two seconds of work on each: half of the waiting is gone."""
    loop = asyncio.get_running_loop()
    server.pages(X, {token: server.reply(200, each, after=2.0) for token, each in chain(10).items()})

    async def work(pages) -> float:
        start = loop.time()
        async for _ in pages:
            await asyncio.sleep(2.0)
        return loop.time() - start

    assert await work(pager.pages()) == pytest.approx(40, abs=1)
    assert await work(pager.prefetch().pages()) == pytest.approx(22, abs=1)


async def test_prefetch_is_never_more_than_one_page_ahead(server, pager):
    server.pages(X, chain(10))
    async with contextlib.aclosing(pager.prefetch()) as ahead:
        seen = 0
        async for _ in ahead.pages():
            seen += 1
            await asyncio.sleep(1)
            assert len(server.requests) == min(seen + 1, 10)


async def test_a_prefetched_error_waits_for_its_turn_and_comes_once(server, hasty):
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


async def test_a_prefetched_error_that_nobody_comes_to_see_makes_no_noise(server, hasty, complaints):
    server.pages(X, {**chain(3), "t1": server.reply(500)})
    async for _ in hasty.request_pages(X).prefetch():
        await asyncio.sleep(10)
        break
    gc.collect()
    await asyncio.sleep(1)
    assert complaints == []


async def test_prefetch_asks_for_no_page_under_a_token_that_was_there(server, pager):
    server.pages(X, {None: page(1, token="t"), "t": page(2, token="t")})
    items = []
    with pytest.raises(PaginationError):
        async for item in pager.prefetch():
            items.append(item)
            await asyncio.sleep(1)
    assert items == [1, 2]
    assert len(server.requests) == 2


async def test_prefetch_of_a_pager_that_starts_somewhere(server, circle):
    server.pages(X, chain(3))
    assert await circle.request_pages(X, page_token="t1").prefetch().collect() == [2, 3, 4, 5]
    assert await circle.request_pages(X).prefetch().prefetch().collect(limit=3) == [0, 1, 2]


def test_a_pager_shows_neither_token():
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
async def test_a_list_ends_before_the_first_item_that_ends_it(prefetch, end, pages):
    """And asks for no page after that one."""
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


async def test_a_list_in_one_piece_stays_one_when_it_is_fetched_ahead():
    async def fetch(token):
        raise AssertionError("nothing is asked for here")

    with pytest.raises(InvalidArgument, match="in one piece"):
        Pager(fetch, page_token="t", paged=False)
    with pytest.raises(InvalidArgument, match="in one piece"):
        await Pager(fetch, paged=False).prefetch().page("t")
