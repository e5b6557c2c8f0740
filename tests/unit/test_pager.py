"""The pager on pages made by hand: bad items, closing from another task, lists that shift."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Any

import attrs
import pytest

from aiocircle import DecodeError, InvalidArgument, NotFound, PaginationError
from aiocircle._core import pager as pager_module
from aiocircle._core.pager import DecodedPage, Page, Pager
from tests.support.rows import each_row


@attrs.frozen
class Bad:
    """An item that cannot be decoded."""

    place: int


Fetch = Callable[[str | None], Awaitable[Page[Any]]]


def decoded(items: list[Any], token: str | None) -> Page[Any]:
    good: list[Any] = []
    errors: list[tuple[int, DecodeError]] = []
    for item in items:
        if isinstance(item, Bad):
            errors.append((len(good), DecodeError([f"$.items[{item.place}] is bad"], next_page_token=token)))
        else:
            good.append(item)
    return DecodedPage(tuple(good), token, tuple(errors), 1) if errors else Page(tuple(good), token)


def listing(*pages: list[Any], **options: Any) -> Pager[Any]:
    """Return a pager over pages of items; a Bad is an item that cannot be decoded, an exception ends a page."""

    async def fetch(token: str | None) -> Page[Any]:
        number = int(token or 0)
        items = pages[number]
        await asyncio.sleep(0)
        if items and isinstance(items[0], Exception):
            raise items[0]
        return decoded(items, str(number + 1) if number + 1 < len(pages) else None)

    return Pager(fetch, **options)


async def drain(pager: Pager[Any]) -> tuple[list[Any], Exception | None]:
    items: list[Any] = []
    try:
        async for item in pager:
            items.append(item)  # noqa: PERF401 - kept when the iteration raises
    except Exception as error:
        return items, error
    return items, None


async def test_bad_item_costs_one_item() -> None:
    """The items before a bad one come first; its error has those after it, and the token to continue with."""
    items, error = await drain(listing([1, 2], [3, Bad(1), 4, 5], [6]))
    assert items == [1, 2, 3]
    assert isinstance(error, DecodeError)
    assert list(error.items) == [4, 5]
    assert (error.page_token, error.next_page_token) == ("1", "2")
    assert error.problems == ("$.items[1] is bad",)


async def test_collect_keeps_all_good_items() -> None:
    """An error of collect has all good items so far, those of the bad page included."""
    with pytest.raises(DecodeError) as caught:
        await listing([1, 2], [3, Bad(1), 4], [5]).collect()
    assert caught.value.items == [1, 2, 3, 4]
    assert caught.value.page_token == "1"


async def test_collect_ends_before_a_bad_item() -> None:
    """A limit that is reached before the bad item leaves it unnoticed."""
    assert await listing([1, 2], [3, Bad(1), 4]).collect(limit=3) == [1, 2, 3]
    with pytest.raises(DecodeError):
        await listing([1, 2], [3, Bad(1), 4]).collect(limit=4)


async def test_page_error_has_all_good_items() -> None:
    """One page with a bad item raises, with all good items of the page; so does pages()."""
    pager = listing([1, Bad(1), 2], [3])
    with pytest.raises(DecodeError) as caught:
        await pager.page()
    assert list(caught.value.items) == [1, 2]
    with pytest.raises(DecodeError):
        await anext(pager.pages())
    assert await pager.page("1") == Page((3,), None)


@pytest.mark.parametrize("prefetch", [False, True])
async def test_skip_invalid_leaves_bad_items_out(prefetch: bool) -> None:
    """Every bad item is reported once, and every good item comes."""
    skipped: list[DecodeError] = []
    pager = listing([Bad(0), 1], [Bad(0), Bad(1)], [2, Bad(1)]).skip_invalid(skipped.append)
    if prefetch:
        pager = pager.prefetch()
    assert await pager.collect() == [1, 2]
    assert [(error.page_token, *error.problems) for error in skipped] == [
        (None, "$.items[0] is bad"),
        ("1", "$.items[0] is bad"),
        ("1", "$.items[1] is bad"),
        ("2", "$.items[1] is bad"),
    ]
    assert [page.items async for page in pager.pages()] == [(1,), (), (2,)]


async def test_skip_invalid_needs_no_callback() -> None:
    """Without on_skip the bad items are left out silently: the caller chose so."""
    assert await listing([1, Bad(1), 2]).skip_invalid().collect() == [1, 2]


async def test_bad_pages_that_repeat_end_the_list() -> None:
    """A page of bad items only that comes again is a list that does not advance."""
    pages: list[list[Any]] = [[Bad(0)]] * 3
    with pytest.raises(PaginationError, match="came again"):
        await listing(*pages).skip_invalid().collect()


async def test_stop_before_a_bad_item_ends_the_list() -> None:
    """A list that ends at an item does not look at the bad one after it."""
    inner = listing([3, 2, 1, Bad(3)])
    ended = Pager(inner._fetch, stop=lambda item: item < 2)
    assert await ended.collect() == [3, 2]
    with pytest.raises(DecodeError):
        await Pager(listing([3, Bad(1), 1])._fetch, stop=lambda item: item < 2).collect()


async def test_other_errors_keep_their_page() -> None:
    """An error in the middle has the page to resume from, and collect's items."""
    with pytest.raises(NotFound) as caught:
        await listing([1], [NotFound(404, "gone")]).collect()
    assert (caught.value.page_token, caught.value.items) == ("1", [1])


async def test_pagination_error_counts_attempts() -> None:
    """The error of a list that does not advance has the attempts of the page that showed it."""

    async def fetch(token: str | None) -> Page[Any]:
        return DecodedPage((1,), "a", (), 3)

    with pytest.raises(PaginationError) as caught:
        await Pager(fetch).collect()
    assert caught.value.attempts == 3


async def test_error_of_empty_pages_names_the_last_one() -> None:
    """Eleven empty pages in a row end the list: the error has the token and the attempts of the eleventh."""

    async def fetch(token: str | None) -> Page[Any]:
        number = int(token or 0)
        return DecodedPage((), f"{number + 1}", (), 1 + number)

    with pytest.raises(PaginationError, match="11 pages in a row were empty") as caught:
        await Pager(fetch).collect()
    assert (caught.value.page_token, caught.value.attempts) == ("10", 11)


# --- closing from another task -----------------------------------------------------------------------------------


def hanging() -> tuple[Pager[Any], asyncio.Event, list[str]]:
    """Return a pager whose second page never comes, an event for its request, and what became of the request."""
    requested, ends = asyncio.Event(), list[str]()

    async def fetch(token: str | None) -> Page[Any]:
        if token is None:
            return Page((1,), "b")
        requested.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            ends.append("cancelled")
            raise
        return Page(())

    return Pager(fetch), requested, ends


@pytest.mark.parametrize("prefetch", [False, True])
@pytest.mark.parametrize("by_page", [False, True])
async def test_aclose_ends_a_waiting_iteration(prefetch: bool, by_page: bool) -> None:
    """An iteration that another task waits in stops as at its end: the request is cancelled, the task is not."""
    pager, requested, ends = hanging()
    if prefetch:
        pager = pager.prefetch()

    async def consume() -> list[Any]:
        found = [item async for item in (pager.pages() if by_page else pager)]
        await asyncio.sleep(0)
        return [*found, "went on"]

    task = asyncio.create_task(consume())
    await requested.wait()
    await pager.aclose()
    found = await task
    assert len(found) == 2
    assert found[-1] == "went on"
    assert task.cancelling() == 0
    assert ends == ["cancelled"]


async def test_aclose_keeps_a_real_cancellation() -> None:
    """A task that is cancelled while its iteration is closed is cancelled."""
    pager, requested, _ = hanging()

    async def consume() -> list[Any]:
        return [item async for item in pager]

    task = asyncio.create_task(consume())
    await requested.wait()
    task.cancel()
    await pager.aclose()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_cancelled_consumer_is_cancelled() -> None:
    """The cancellation of a task that waits for a page reaches the task, and ends the request."""
    pager, requested, ends = hanging()
    task = asyncio.create_task(pager.collect())
    await requested.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ends == ["cancelled"]


async def test_aclose_ends_an_iteration_not_begun() -> None:
    """An iteration that has not fetched anything ends without a request."""
    pager = listing([1])
    items = aiter(pager)
    await pager.aclose()
    assert [item async for item in items] == []


async def test_aclose_ends_all_iterations() -> None:
    """Iterations that wait for their consumer end at their next item."""
    pager = listing([1, 2], [3])
    first, second = aiter(pager), pager.pages()
    assert await anext(first) == 1
    assert (await anext(second)).items == (1, 2)
    await pager.aclose()
    assert [item async for item in first] == []
    assert [page async for page in second] == []
    assert await pager.collect() == [1, 2, 3]


async def test_aclose_waits_for_the_prefetched_page() -> None:
    """Nothing of the list is left when it returns: the request for the next page has ended too."""
    pager, requested, ends = hanging()
    pager = pager.prefetch()
    items = aiter(pager)
    assert await anext(items) == 1
    await requested.wait()
    await pager.aclose()
    assert ends == ["cancelled"]


def test_aclose_races_on_random_stories() -> None:
    """Closing at any moment, with or without a cancellation, ends in what happened and nothing else."""

    async def story(seed: int) -> None:
        dice = random.Random(seed)

        async def fetch(token: str | None) -> Page[Any]:
            for _ in range(dice.randrange(3)):
                await asyncio.sleep(0)
            number = int(token or 0)
            return Page((number,), str(number + 1) if number < 5 else None)

        pager: Pager[Any] = Pager(fetch)
        if dice.random() < 0.5:
            pager = pager.prefetch()
        items: list[Any] = []

        async def consume() -> str:
            async for item in pager:
                items.append(item)
                await asyncio.sleep(0)
            return "end"

        task = asyncio.create_task(consume())
        for _ in range(dice.randrange(25)):
            await asyncio.sleep(0)
        is_cancelled = dice.random() < 0.3 and task.cancel()
        await pager.aclose()
        if is_cancelled:
            with pytest.raises(asyncio.CancelledError):
                await task
        else:
            assert await task == "end"
            assert task.cancelling() == 0
        assert items == list(range(len(items)))
        await asyncio.sleep(0)
        assert asyncio.all_tasks() == {asyncio.current_task()}

    for seed in range(300):
        asyncio.run(story(seed))


# --- lists by position -------------------------------------------------------------------------------------------


def test_shifting_list_yields_nothing_twice() -> None:
    """While new items arrive before those of the next page, each item comes once and the list ends."""

    async def story(seed: int) -> None:
        dice = random.Random(seed)
        items = [f"{number}" for number in range(dice.randrange(60), 0, -1)]
        present = set(items)

        async def fetch(token: str | None) -> Page[Any]:
            for _ in range(dice.choice([0, 0, 1, 2, 5, 13])):
                items.insert(0, f"new {len(items)}")
            offset = int(token or 0)
            part = tuple(items[offset : offset + 10])
            return Page(part, str(offset + len(part)) if part else None)

        found = await Pager(fetch, identity=lambda item: item).collect()
        assert len(found) == len(set(found))
        assert present <= set(found)

    for seed in range(200):
        asyncio.run(story(seed))


async def test_repeated_items_leave_the_place_of_a_bad_one() -> None:
    """Without the items of the page before it, an error still stands after as many good items as precede it."""
    pages = listing(["a", "b"], ["b", "c", Bad(2), "d"], ["e"], identity=lambda item: item)
    items, error = await drain(pages)
    assert items == ["a", "b", "c"]
    assert isinstance(error, DecodeError)
    assert list(error.items) == ["d"]
    assert await pages.skip_invalid().collect() == ["a", "b", "c", "d", "e"]


async def test_repeated_items_leave_the_attempts() -> None:
    """A page that repeats an item still has the attempts that it took, for the error of a list without an end."""

    async def fetch(token: str | None) -> Page[Any]:
        return DecodedPage(("a", "b") if token is None else ("b", "c"), "again", (), 1 if token is None else 3)

    with pytest.raises(PaginationError, match="token came again") as caught:
        await Pager(fetch, identity=lambda item: item).collect()
    assert (caught.value.items, caught.value.attempts) == (["a", "b", "c"], 3)


async def test_items_without_identity_are_all_kept() -> None:
    """An item that nothing identifies cannot be recognized as a repetition."""
    assert await listing(["a", ""], ["", "b"], identity=lambda item: item).collect() == ["a", "", "", "b"]


async def test_shifted_page_may_repeat_once() -> None:
    """A page that comes again can be a shift. The third time, the list does not advance."""
    pages = listing(["a", "b"], ["a", "b"], ["c", "d"], identity=lambda item: item)
    assert await pages.collect() == ["a", "b", "c", "d"]
    with pytest.raises(PaginationError, match="does not advance") as caught:
        await listing(["a"], ["a"], ["a"], ["b"], identity=lambda item: item).collect()
    assert caught.value.items == ["a"]
    assert caught.value.attempts == 1


async def test_stop_on_a_page_with_a_bad_item_ends_the_list() -> None:
    """The pages after the one with the item that ends the list are not fetched."""
    pages = listing([1, Bad(1), 5, 2], [3], stop=lambda item: item == 5)
    assert await pages.skip_invalid().collect() == [1]


async def test_short_page_of_repeated_items_is_the_end() -> None:
    """New items pushed the last ones of the list onto one more page."""
    fetched: list[str | None] = []

    async def fetch(token: str | None) -> Page[Any]:
        fetched.append(token)
        return {None: Page(("a", "b"), "1"), "1": Page(("b",), "2")}.get(token, Page(("z",)))

    assert await Pager(fetch, identity=lambda item: item).collect() == ["a", "b"]
    assert fetched == [None, "1"]


async def test_empty_list_by_position_has_no_items() -> None:
    """A list whose first page is empty repeats nothing."""
    assert await listing([], identity=lambda item: item).collect() == []


async def test_identities_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The newest items are remembered, as many as the bound permits."""
    monkeypatch.setattr(pager_module, "_MAX_IDENTITIES", 2)
    pages = listing(["a", "b"], ["c"], ["b", "x"], ["a"], identity=lambda item: item)
    assert await pages.collect() == ["a", "b", "c", "x", "a"]


async def test_list_keeps_what_it_is_about() -> None:
    """Items that the list is not about are left out: of pages, of one page, around a bad item."""
    pages = listing([1, 2, 3], [4, 5, 7, Bad(3), 6, 9], [9, 10], keep=lambda item: item % 2 == 0)
    items, error = await drain(pages)
    assert items == [2, 4]
    assert isinstance(error, DecodeError)
    assert list(error.items) == [6]
    assert await pages.skip_invalid().collect() == [2, 4, 6, 10]
    assert await pages.page() == Page((2,), "1")
    assert await pages.skip_invalid().page("1") == Page((4, 6), "2")
    assert [page.items async for page in pages.skip_invalid().pages()] == [(2,), (4, 6), (10,)]


async def test_pages_that_took_several_attempts() -> None:
    """Callers see a plain page. An error of the list has the attempts of the page that it came from."""

    async def fetch(token: str | None) -> Page[Any]:
        return DecodedPage((token or "first",), "next" if token is None else "again", (), 3)

    pages = Pager(fetch)
    assert await pages.page() == Page(("first",), "next")
    assert type(await pages.page()) is Page
    with pytest.raises(PaginationError) as caught:
        await pages.collect()
    assert caught.value.attempts == 3


# --- misuse ------------------------------------------------------------------------------------------------------


async def test_pager_cannot_be_awaited() -> None:
    """Await and a plain for loop are a TypeError that names what to write."""
    pager: Any = listing([1])
    with pytest.raises(TypeError, match=r"`async for item in pager` or `await pager\.collect\(\)`"):
        await pager
    with pytest.raises(TypeError, match=r"`await pager\.collect\(\)`"):
        for _ in pager:
            pass


@each_row("token", ["\ud800", "a\nb", "", 5, b"x", "\x00"])
def test_page_token_must_be_a_text(token: Any) -> None:
    """A token that cannot go into a query is refused before anything is sent."""
    with pytest.raises(InvalidArgument, match="page_token must be"):
        Pager(listing([1])._fetch, page_token=token)
