"""Lists that come in pages: nothing lost, nothing twice, and an end."""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any, Final, Generic, TypeVar

from aiocircle._core.pagination import Page
from aiocircle.errors import CircleCIError, InvalidArgument, PaginationError

__all__ = ["Pager"]

T = TypeVar("T")

_MOST_EMPTY: Final = 10  # pages in a row: a filter may leave pages empty, but not for ever


class Pager(Generic[T]):
    """A list of the API's, fetched page by page as it is iterated over.

        async for item in pager: ...            # the items of all pages, in order
        async for page in pager.pages(): ...
        items = await pager.collect(limit=100)

    Nothing is sent before the first item is asked for, and no page before it is needed (see `prefetch`). Iterating
    again starts again. An error carries `page_token`, the page to resume from. A list that repeats a token or a
    page ends in PaginationError, after the items before the repetition were handed over.
    """

    def __init__(
        self,
        fetch: Callable[[str | None], Awaitable[Page[T]]],
        *,
        page_token: str | None = None,
        paged: bool = True,
        stop: Callable[[T], bool] | None = None,
        prefetch: bool = False,
    ) -> None:
        self._fetch = fetch
        self._paged = paged
        self._start = self._checked(page_token)
        self._stop = stop
        self._prefetch = prefetch
        self._open: weakref.WeakSet[AsyncGenerator[Any, None]] = weakref.WeakSet()

    def __aiter__(self) -> AsyncGenerator[T, None]:
        return self._track(self._items())

    def pages(self) -> AsyncGenerator[Page[T], None]:
        """The pages, in order."""
        return self._track(self._pages())

    async def page(self, page_token: str | None = None) -> Page[T]:
        """One page: the first, or the one of `page_token`."""
        token = self._start if page_token is None else self._checked(page_token)
        return await self._get(token)

    async def collect(self, limit: int | None = None) -> list[T]:
        """The items of all pages, or the first `limit` of them.

        An error carries `items`, what had been gathered, beside `page_token`, the page to resume from.
        """
        if limit is not None and (isinstance(limit, bool) or not isinstance(limit, int) or limit < 0):
            raise InvalidArgument(f"limit takes a number of items, zero or more, not {limit!r}")
        items: list[T] = []
        if limit == 0:
            return items
        pages = self._pages()
        try:
            async for page in pages:
                items += page.items
                if limit is not None and len(items) >= limit:
                    return items[:limit]
        except CircleCIError as error:
            error.items = items
            raise
        finally:
            await pages.aclose()
        return items

    async def first(self) -> T | None:
        """The first item; None where there is none."""
        items = await self.collect(limit=1)
        return items[0] if items else None

    def prefetch(self) -> Pager[T]:
        """The same list, fetching the next page while the caller works on this one."""
        return Pager(self._fetch, page_token=self._start, paged=self._paged, stop=self._stop, prefetch=True)

    async def aclose(self) -> None:
        """End the iterations that are still open."""
        for generator in list(self._open):
            await generator.aclose()

    def __repr__(self) -> str:
        return f"<Pager from {'the first page' if self._start is None else 'a page token'}>"

    def _checked(self, page_token: str | None) -> str | None:
        if page_token is None:
            return None
        if not isinstance(page_token, str) or not page_token:
            raise InvalidArgument("page_token takes a token that a page carried, or None for the first page")
        if not self._paged:
            raise InvalidArgument("page_token has no use here: the API gives this list in one piece")
        return page_token

    def _track(self, generator: AsyncGenerator[Any, None]) -> AsyncGenerator[Any, None]:
        self._open.add(generator)
        return generator

    async def _get(self, token: str | None) -> Page[T]:
        try:
            return await self._fetch(token)
        except CircleCIError as error:
            error.page_token = token
            raise

    async def _items(self) -> AsyncGenerator[T, None]:
        pages = self._pages()
        try:
            async for page in pages:
                for item in page.items:
                    yield item
        finally:
            await pages.aclose()

    async def _pages(self) -> AsyncGenerator[Page[T], None]:
        progress = _Progress[T](self._start)
        token = self._start
        ahead: asyncio.Task[Page[T]] | None = None
        try:
            while True:
                if ahead is None:
                    page = await self._get(token)
                else:
                    # A consumer that is cancelled here takes the request with it, in the `finally` below.
                    page = await ahead
                    ahead = None
                cut = self._cut(page)
                progress.check(page, token)
                following = None if cut is not None else page.next_page_token
                if following is not None and self._prefetch and progress.is_new(following):
                    ahead = asyncio.get_running_loop().create_task(self._get(following))
                yield page if cut is None else Page(page.items[:cut], None)
                if following is None:
                    return
                progress.advance(following)
                token = following
        finally:
            if ahead is not None:
                await _abandon(ahead)

    def _cut(self, page: Page[T]) -> int | None:
        """How many of the page's items come before the first that ends the list; None where none does."""
        if self._stop is None:
            return None
        return next((index for index, item in enumerate(page.items) if self._stop(item)), None)


async def _abandon(task: asyncio.Task[Any]) -> None:
    task.cancel()
    # gather() takes the task's end, whatever it is, without raising it here.
    await asyncio.gather(task, return_exceptions=True)


class _Progress(Generic[T]):
    """Whether a list still advances."""

    def __init__(self, start: str | None) -> None:
        # Hashes rather than tokens: fifty thousand tokens are seven megabytes.
        self._seen = {hash(start)}
        self._first: tuple[T, ...] | None = None
        self._last: tuple[T, ...] | None = None
        self._empty = 0

    def is_new(self, token: str) -> bool:
        return hash(token) not in self._seen

    def check(self, page: Page[T], token: str | None) -> None:
        """PaginationError where `page`, the page of `token`, was there before."""
        if not page.items:
            self._empty += 1
            if self._empty > _MOST_EMPTY and page.next_page_token is not None:
                raise _stuck(f"{self._empty} pages in a row were empty, and there is a token for yet another", token)
            return
        self._empty = 0
        if page.items in (self._last, self._first):
            raise _stuck("a page came again under another token", token)
        if self._first is None:
            self._first = page.items
        self._last = page.items

    def advance(self, token: str) -> None:
        """PaginationError where `token` was used before."""
        if not self.is_new(token):
            raise _stuck("a page token came again", token)
        self._seen.add(hash(token))


def _stuck(what: str, token: str | None) -> PaginationError:
    error = PaginationError(f"{what}: the list does not advance, so it would never end")
    error.page_token = token
    return error
