"""Pages of a list, and the ways in which the APIs number them: pure values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from typing import Any, Final, Generic, TypeGuard, TypeVar, cast

import attrs

from aiocircle._core.fields import JSON
from aiocircle._core.message import Response
from aiocircle._core.structure import StructureProblems
from aiocircle.errors import DecodeError, InvalidArgument

__all__ = [
    "CURSOR",
    "NONE",
    "OFFSET",
    "PAGE_TOKEN",
    "BadItems",
    "DecodedPage",
    "Offset",
    "Page",
    "Pagination",
    "array_type",
]

T = TypeVar("T")

_Pairs = list[tuple[str, str]]


@attrs.frozen
class Page(Generic[T]):
    """One page of a list. next_page_token is None on the last one."""

    items: tuple[T, ...]
    next_page_token: str | None = None


@attrs.frozen(eq=False, repr=False)
class DecodedPage(Page[T]):
    """A page as it was read: its good items, and the errors of those that could not be decoded.

    errors: of each bad item, the number of good items before it and its error. attempts: requests sent for the page.
    """

    errors: tuple[tuple[int, DecodeError], ...] = ()
    attempts: int = 1


class BadItems(Exception):
    """A page with items that do not match.

    items: the others. problems: of each bad item, the number of good items before it and its problems.
    """

    def __init__(
        self,
        response: Response,
        items: tuple[Any, ...],
        next_page_token: str | None,
        problems: list[tuple[int, StructureProblems]],
    ) -> None:
        super().__init__(f"{len(problems)} items do not match")
        self.response = response
        self.items = items
        self.next_page_token = next_page_token
        self.problems = problems
        for _, each in problems:
            each.next_page_token = next_page_token


@attrs.frozen(eq=False, repr=False)
class _OptionalItemsPage(Generic[T]):
    """A page of API v2 that may omit its items if it is empty."""

    items: tuple[T, ...] = ()
    next_page_token: str | None = None


@attrs.frozen(eq=False, repr=False)
class _Links:
    next: str | None = None


@attrs.frozen(eq=False, repr=False)
class _CursorPage(Generic[T]):
    """A page of API v3. `page` may be missing, and `next` null or empty, on the last one."""

    data: tuple[T, ...]
    page: _Links = _Links()


def array_type(item: Any) -> Any:
    """Return the type of a JSON array of `item`."""
    return tuple[item, ...]


@attrs.frozen(repr=False)
class Pagination:
    """A way of paging: the query parameter that selects a page, and where a page has the token of the next one.

    is_paged: False if the API gives the list in one piece, so that no page can be selected.
    """

    parameter: str
    is_paged: bool = attrs.field(default=True, kw_only=True)

    def unpaged(self) -> Pagination:
        """Return the paging of a list that the API gives in one piece. A token that it sends is still followed."""
        return attrs.evolve(self, is_paged=False)

    def page_type(self, item: Any, *, items_optional: bool = False) -> Any:
        """Return the type of a page's body. A bare array stands for a page in every API."""
        return _OptionalItemsPage[item] if items_optional else Page[item]

    def params(self, token: str | None) -> _Pairs:
        """Return the query parameters that select the page of `token`; None selects the first page."""
        return [] if token is None else [(self.parameter, token)]

    def page(self, body: Any, _token: str | None) -> Page[Any]:
        """Return the page that a decoded body is. `_token` selected it."""
        class_: object = body.__class__
        if class_ is Page and body.next_page_token != "":
            page: Page[Any] = body
            return page
        if class_ is tuple:
            return Page(body)
        return Page(body.items, body.next_page_token or None)

    def items(self, plain: JSON) -> tuple[str, Sequence[JSON]] | None:
        """Return the JSON path and the items of a body that cannot be decoded as a whole; None if it is not a page."""
        return _array_at(plain, "items")

    def next_token(self, plain: JSON, _token: str | None) -> str | None:
        """Return the token of the next page, from a body that cannot be decoded as a whole. `_token` selected it."""
        return _text_at(plain, "next_page_token")

    def identity(self, _item: Any) -> object:
        """Return a value that identifies an item, if the list may repeat items; otherwise None."""
        return None

    def requested_by(self, query: Mapping[str, Any], in_path: Set[str]) -> tuple[Pagination, dict[str, Any]]:
        """Return the paging that a caller's query requests, and the rest of the query.

        in_path: the names of the parameters that the path itself has. Raise InvalidArgument if a page is selected.
        """
        if self.parameter in query or self.parameter in in_path:
            raise InvalidArgument(f"{self.parameter} must not be in the query. Give the page to start at as page_token")
        return self, dict(query)


class _Cursor(Pagination):
    """Paging by `page[cursor]`, as API v3 has it."""

    __slots__ = ()

    def page_type(self, item: Any, *, items_optional: bool = False) -> Any:
        return _CursorPage[item]

    def page(self, body: Any, _token: str | None) -> Page[Any]:
        class_: object = body.__class__
        if class_ is tuple:
            return Page(body)
        return Page(body.data, body.page.next or None)

    def items(self, plain: JSON) -> tuple[str, Sequence[JSON]] | None:
        return _array_at(plain, "data")

    def next_token(self, plain: JSON, _token: str | None) -> str | None:
        return _text_at(plain, "page", "next")


@attrs.frozen(repr=False)
class Offset(Pagination):
    """Paging by the number of items to skip, which is a page's token.

    limit: the page size to request, and the largest that the API returns. A page with fewer items is the last one. If
    it is None, the API chooses the size, and an empty page is the last one. New items shift the list, so that a page
    repeats items of the page before it: `identity` recognizes them.
    """

    limit: int | None = None

    def unpaged(self) -> Pagination:
        """Return the paging of a list in one piece: its length does not show if there is more."""
        return NONE

    def params(self, token: str | None) -> _Pairs:
        """Return the query parameters that select the page of `token`. Raise InvalidArgument if it is not a number."""
        limit = [] if self.limit is None else [("limit", str(self.limit))]
        skipped = _parse_offset(token)
        return limit if token is None else [*limit, (self.parameter, str(skipped))]

    def page(self, body: Any, _token: str | None) -> Page[Any]:
        items = super().page(body, _token).items
        return Page(items, self._token_after(len(items), _token))

    def next_token(self, plain: JSON, _token: str | None) -> str | None:
        found = self.items(plain)
        return None if found is None else self._token_after(len(found[1]), _token)

    def identity(self, _item: Any) -> object:
        names = ("id", "build_url")
        if isinstance(_item, Mapping):
            fields = cast("Mapping[str, JSON]", _item)
            values = [fields.get(name) for name in names]
        else:
            values = [getattr(_item, name, None) for name in names]
        return next((value for value in values if isinstance(value, str) and value), None)

    def _token_after(self, count: int, token: str | None) -> str | None:
        is_last = count < (1 if self.limit is None else self.limit)
        return None if is_last else str(_parse_offset(token) + count)

    def requested_by(self, query: Mapping[str, Any], in_path: Set[str]) -> tuple[Pagination, dict[str, Any]]:
        """Return the paging with the page size of a caller's query, at most `limit`, and the rest of the query."""
        _, rest = super().requested_by(query, in_path)
        if "limit" in in_path:
            raise InvalidArgument("limit must not be in the path. Give it in params")
        requested = rest.pop("limit", None)
        if requested is None:
            return self, rest
        size = int(requested) if isinstance(requested, str) and requested.isdecimal() else requested
        if isinstance(size, bool) or not isinstance(size, int) or size < 1:
            raise InvalidArgument(f"limit must be a number of items above zero, got {requested!r}")
        return attrs.evolve(self, limit=size if self.limit is None else min(size, self.limit)), rest


def _parse_offset(token: str | None) -> int:
    """Return the number of items that precede the page of `token`."""
    if token is None:
        return 0
    if not isinstance(token, str) or not (token.isascii() and token.isdigit() and len(token) < 19):
        raise InvalidArgument(
            f"page_token must be the number of items to skip, such as '20', got {type(token).__name__} {token!r}"
        )
    return int(token)


def _array_at(plain: JSON, key: str) -> tuple[str, Sequence[JSON]] | None:
    if _is_array(plain):
        return "$", plain
    items = cast("dict[str, JSON]", plain).get(key) if isinstance(plain, dict) else None
    return (f"$.{key}", items) if _is_array(items) else None


def _is_array(plain: JSON) -> TypeGuard[list[JSON]]:
    return isinstance(plain, list)


def _text_at(plain: JSON, *keys: str) -> str | None:
    for key in keys:
        plain = cast("dict[str, JSON]", plain).get(key) if isinstance(plain, dict) else None
    return plain if isinstance(plain, str) and plain else None


PAGE_TOKEN: Final = Pagination("page-token")
"""API v2: the token in `next_page_token`."""

CURSOR: Final = _Cursor("page[cursor]")
"""API v3: the cursor in `page.next`."""

OFFSET: Final = Offset("offset")
"""The number of items to skip, in pages of a size that the API chooses."""

NONE: Final = Pagination("page-token", is_paged=False)
"""The API gives the list in one piece."""
