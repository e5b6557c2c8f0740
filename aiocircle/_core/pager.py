"""Lists that come in pages: no item lost, none twice, and an end."""

from __future__ import annotations

import asyncio
import weakref
from bisect import bisect_left
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from types import AsyncGeneratorType
from typing import TYPE_CHECKING, Any, Final, Generic, NamedTuple, NoReturn, Self, TypeVar, cast

import attrs

from aiocircle._core.pagination import DecodedPage, Page
from aiocircle._urls import has_control
from aiocircle.errors import CircleCIError, DecodeError, InvalidArgument, PaginationError

__all__ = ["Pager"]

T = TypeVar("T")

_MAX_EMPTY: Final = 10  # pages in a row: a filter may leave pages empty, but not without end
_MAX_IDENTITIES: Final = 10_000  # of the newest items: a list that shifts repeats those that came last


class _Iteration:
    """One iteration over a pager: the task that waits in it, the page that is fetched ahead, and if it was closed."""

    def __init__(self) -> None:
        self.task: asyncio.Task[Any] | None = None
        self.next_page: asyncio.Task[Any] | None = None
        self.is_closed = False


class _Options(NamedTuple):
    start: str | None
    paged: bool
    stop: Callable[[Any], bool] | None
    identity: Callable[[Any], object] | None
    keep: Callable[[Any], bool] | None
    prefetch: bool = False
    skip_invalid: bool = False
    on_skip: Callable[[DecodeError], object] | None = None


class Pager(Generic[T]):
    """A list of the API, fetched page by page during iteration.

        async for item in pager: ...            # the items of all pages, in order
        async for page in pager.pages(): ...
        items = await pager.collect(limit=100)

    No request is sent before the iteration begins, and no page is fetched before it is needed (see `prefetch`). A
    second iteration starts again. An error has `page_token`, the page to resume from. A list that repeats a token or a
    page ends with PaginationError, after the items before the repetition.

    An item that cannot be decoded raises DecodeError after the items before it. The error's `items` are the good
    items of the page after it, and its `next_page_token` continues the list. `skip_invalid` leaves such items out.
    """

    def __init__(
        self,
        fetch: Callable[[str | None], Awaitable[Page[T]]],
        *,
        page_token: str | None = None,
        paged: bool = True,
        stop: Callable[[T], bool] | None = None,
        identity: Callable[[T], object] | None = None,
        keep: Callable[[T], bool] | None = None,
    ) -> None:
        self._fetch = fetch
        start = _checked(page_token, is_paged=paged)
        self._options = _Options(start=start, paged=paged, stop=stop, identity=identity, keep=keep)
        self._open: weakref.WeakKeyDictionary[AsyncGenerator[Any, None], _Iteration] = weakref.WeakKeyDictionary()

    def __aiter__(self) -> AsyncGenerator[T, None]:
        iteration = _Iteration()
        return self._track(self._items(iteration), iteration)

    def pages(self) -> AsyncGenerator[Page[T], None]:
        """Return an iterator over the pages, in order.

        A page with an item that cannot be decoded raises DecodeError, whose `items` are the good items of that page.
        """
        iteration = _Iteration()
        return self._track(self._whole_pages(iteration), iteration)

    async def page(self, page_token: str | None = None) -> Page[T]:
        """Fetch one page: the first, or that of `page_token`.

        Raise DecodeError if an item cannot be decoded; its `items` are the good items of the page.
        """
        token = self._options.start if page_token is None else _checked(page_token, is_paged=self._options.paged)
        page = await self._get(token)
        if self._options.keep is not None:
            page = _keep(page, self._options.keep)
        return _whole(self._without_invalid(page))

    async def collect(self, limit: int | None = None) -> list[T]:
        """Fetch the items of all pages, or the first `limit` of them.

        An error has `items`, the good items so far, and `page_token`, the page to resume from.
        """
        if limit is not None and (isinstance(limit, bool) or not isinstance(limit, int) or limit < 0):
            raise InvalidArgument(f"limit must be a number of items, zero or more, got {limit!r}. None fetches all")
        items: list[T] = []
        if limit == 0:
            return items
        pages = self._pages(_Iteration())
        try:
            async for page in pages:
                if isinstance(page, DecodedPage) and page.errors:
                    count, error = page.errors[0]
                    if limit is None or len(items) + count < limit:
                        error.items = page.items
                        raise error
                items += page.items
                if limit is not None and len(items) >= limit:
                    return items[:limit]
        except CircleCIError as error:
            error.items = [*items, *error.items]
            raise
        finally:
            await pages.aclose()
        return items

    async def first(self) -> T | None:
        """Fetch the first item; None if the list is empty."""
        items = await self.collect(limit=1)
        return items[0] if items else None

    def prefetch(self) -> Self:
        """Return the same list, which fetches the next page while the caller works on this one."""
        return self._with(prefetch=True)

    def skip_invalid(self, on_skip: Callable[[DecodeError], object] | None = None) -> Self:
        """Return the same list without the items that cannot be decoded.

        on_skip is called with the DecodeError of each.
        """
        return self._with(skip_invalid=True, on_skip=on_skip)

    async def aclose(self) -> None:
        """End all open iterations. One that another task waits in ends as at the end of the list."""
        prefetched: list[asyncio.Task[Any]] = []
        for generator, iteration in list(self._open.items()):
            iteration.is_closed = True
            if iteration.next_page is not None:
                # Without it the generator closes in one step: no other task can enter it meanwhile.
                prefetched.append(iteration.next_page)
                iteration.next_page = None
            if iteration.task is not None:
                iteration.task.cancel()
            elif not cast("AsyncGeneratorType[Any, None]", generator).ag_running:
                await generator.aclose()
        await _abandon(*prefetched)

    def __repr__(self) -> str:
        return f"<Pager from {'the first page' if self._options.start is None else 'a page token'}>"

    if not TYPE_CHECKING:  # Type checkers reject both by themselves.

        def __await__(self) -> NoReturn:
            raise TypeError("a Pager cannot be awaited. Use `async for item in pager` or `await pager.collect()`")

        def __iter__(self) -> NoReturn:
            raise TypeError("a Pager needs `async for item in pager`. For a list use `await pager.collect()`")

    def _with(self, **changes: Any) -> Self:
        other = type(self)(self._fetch)
        other._options = self._options._replace(**changes)
        return other

    def _track(self, generator: AsyncGenerator[Any, None], iteration: _Iteration) -> AsyncGenerator[Any, None]:
        self._open[generator] = iteration
        return generator

    async def _get(self, token: str | None) -> Page[T]:
        """Return a page: a plain one, or a DecodedPage if it has bad items or took several attempts."""
        try:
            page = await self._fetch(token)
        except CircleCIError as error:
            error.page_token = token
            raise
        if isinstance(page, DecodedPage):
            for _, problem in page.errors:
                problem.page_token = token
        return page

    async def _items(self, iteration: _Iteration) -> AsyncGenerator[T, None]:
        pages = self._pages(iteration)
        try:
            async for page in pages:
                if not isinstance(page, DecodedPage) or not page.errors:
                    for item in page.items:
                        yield item
                    continue
                count, error = page.errors[0]
                for item in page.items[:count]:
                    yield item
                error.items = page.items[count:]
                raise error
        finally:
            await pages.aclose()

    async def _whole_pages(self, iteration: _Iteration) -> AsyncGenerator[Page[T], None]:
        pages = self._pages(iteration)
        try:
            async for page in pages:
                yield _whole(page) if isinstance(page, DecodedPage) else page
        finally:
            await pages.aclose()

    async def _pages(self, iteration: _Iteration) -> AsyncGenerator[Page[T], None]:
        options = self._options
        guard = _LoopGuard[T](options.start)
        repeats = None if options.identity is None else _Repeats(options.identity)
        token = options.start
        try:
            while True:
                task = iteration.task = asyncio.current_task()
                assert task is not None
                cancelling = task.cancelling()
                try:
                    # A consumer that is cancelled here takes the prefetched request with it, in the `finally` below.
                    page = await (iteration.next_page or self._get(token))
                except asyncio.CancelledError:
                    # The cancellation is that of aclose(), unless the task was cancelled as well.
                    if iteration.is_closed and task.uncancel() <= cancelling:
                        return
                    raise
                finally:
                    iteration.task = None
                iteration.next_page = None
                if repeats is not None:
                    page = repeats.without(page)
                if options.stop is not None:
                    page = _until_stop(page, options.stop)
                guard.check(page, token)
                following = page.next_page_token
                if following is not None and options.prefetch and guard.is_new(following):
                    iteration.next_page = asyncio.get_running_loop().create_task(self._get(following))
                if options.keep is not None:
                    page = _keep(page, options.keep)
                yield self._without_invalid(page) if options.skip_invalid else page
                if following is None:
                    return
                guard.advance(following, page)
                token = following
        finally:
            if iteration.next_page is not None:
                await _abandon(iteration.next_page)

    def _without_invalid(self, page: Page[T]) -> Page[T]:
        """Return the page without the errors of its bad items, if the caller wants them to be skipped."""
        if not isinstance(page, DecodedPage) or not self._options.skip_invalid:
            return page
        for _, error in page.errors:
            if self._options.on_skip is not None:
                self._options.on_skip(error)
        return attrs.evolve(page, errors=())


def _checked(page_token: str | None, *, is_paged: bool) -> str | None:
    """Return the token of the page to start at. Raise InvalidArgument if it cannot be one."""
    if page_token is None:
        return None
    if not isinstance(page_token, str):
        raise InvalidArgument(f"page_token must be a text, got {type(page_token).__name__}. Take it from a page")
    if not page_token or has_control(page_token):
        raise InvalidArgument("page_token must be the token of a page, got a text that no page has. Use None to start")
    if not is_paged:
        raise InvalidArgument("page_token must be None, got a text. The API returns this list in one piece")
    return page_token


def _until_stop(page: Page[T], stop: Callable[[T], bool]) -> Page[T]:
    """Return the page up to the first item that ends the list."""
    for index, item in enumerate(page.items):
        if stop(item):
            items = page.items[:index]
            if not isinstance(page, DecodedPage):
                return Page(items)
            errors = tuple(error for error in page.errors if error[0] <= index)
            return attrs.evolve(page, items=items, next_page_token=None, errors=errors)
    return page


def _keep(page: Page[T], keep: Callable[[T], bool]) -> Page[T]:
    """Return the page with the items that the list is about."""
    items = tuple(filter(keep, page.items))
    if not isinstance(page, DecodedPage):
        return Page(items, page.next_page_token)
    dropped = [index for index, item in enumerate(page.items) if not keep(item)]
    errors = tuple((count - bisect_left(dropped, count), error) for count, error in page.errors)
    return attrs.evolve(page, items=items, errors=errors)


def _whole(page: Page[T]) -> Page[T]:
    """Return the page as callers see it. Raise the error of its first bad item."""
    if not isinstance(page, DecodedPage):
        return page
    if page.errors:
        _, error = page.errors[0]
        error.items = page.items
        raise error
    return Page(page.items, page.next_page_token)


async def _abandon(*tasks: asyncio.Task[Any]) -> None:
    for task in tasks:
        task.cancel()
    # gather() takes the tasks' results and errors without raising them here.
    await asyncio.gather(*tasks, return_exceptions=True)


class _Repeats:
    """The newest items of a list by position, which repeats items when new ones arrive before them."""

    def __init__(self, identity: Callable[[Any], object]) -> None:
        self._identity = identity
        self._seen: dict[object, None] = {}
        self._longest = 0
        self._previous: tuple[Any, ...] = ()
        self._unchanged = 0

    def without(self, page: Page[T]) -> Page[T]:
        """Return the page without the items that were on a page before it."""
        self._longest = max(self._longest, len(page.items))
        self._unchanged = self._unchanged + 1 if page.items == self._previous else 0
        self._previous = page.items
        if self._unchanged > 1:
            return page  # The same page three times cannot be a shift: the list does not advance.
        keys = [self._identity(item) for item in page.items]
        repeated = [index for index, key in enumerate(keys) if key and key in self._seen]
        self._seen.update(dict.fromkeys(keys))
        while len(self._seen) > _MAX_IDENTITIES:
            del self._seen[next(iter(self._seen))]
        if not repeated:
            return page
        items = tuple(item for index, item in enumerate(page.items) if index not in repeated)
        found = page.errors if isinstance(page, DecodedPage) else ()
        errors = tuple((count - bisect_left(repeated, count), error) for count, error in found)
        # A short page of repeated items is the end of the list, pushed on by new items.
        is_end = not items and not errors and len(page.items) < self._longest
        token = None if is_end else page.next_page_token
        return DecodedPage(items, token, errors, _attempts(page))


class _LoopGuard(Generic[T]):
    """The pages and tokens of an iteration, so that a list that does not advance is noticed."""

    def __init__(self, start: str | None) -> None:
        # Hashes rather than tokens: fifty thousand tokens are seven megabytes.
        self._seen = {hash(start)}
        self._first: object = None
        self._last: object = None
        self._empty = 0

    def is_new(self, token: str) -> bool:
        return hash(token) not in self._seen

    def check(self, page: Page[T], token: str | None) -> None:
        """Raise PaginationError if `page`, the page of `token`, came before."""
        contents = page.items if not isinstance(page, DecodedPage) else _contents(page)
        if not contents:
            self._empty += 1
            if self._empty > _MAX_EMPTY and page.next_page_token is not None:
                problem = f"{self._empty} pages in a row were empty, and there is a token for yet another"
                raise _no_progress(problem, token, _attempts(page))
            return
        self._empty = 0
        if contents in (self._last, self._first):
            raise _no_progress("a page came again under another token", token, _attempts(page))
        if self._first is None:
            self._first = contents
        self._last = contents

    def advance(self, token: str, page: Page[T]) -> None:
        """Raise PaginationError if `token` was used before."""
        if not self.is_new(token):
            raise _no_progress("a page token came again", token, _attempts(page))
        self._seen.add(hash(token))


def _attempts(page: Page[Any]) -> int:
    return page.attempts if isinstance(page, DecodedPage) else 1


def _contents(page: DecodedPage[Any]) -> Sequence[object]:
    return page.items if not page.errors else (*page.items, *(error.problems for _, error in page.errors))


def _no_progress(problem: str, token: str | None, attempts: int) -> PaginationError:
    error = PaginationError(f"{problem}: the list does not advance, so it would never end")
    error.page_token = token
    error.attempts = attempts
    return error
