"""Ways of paging: pure values, each tried without a request."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from aiocircle import InvalidArgument
from aiocircle._core.api import V1, V2, V3
from aiocircle._core.decode import decode
from aiocircle._core.pagination import CURSOR, NONE, OFFSET, PAGE_TOKEN, Offset, Page, Pagination, array_type
from tests.support.rows import each_row

V1_PAGING = V1.pagination


def read(paging: Pagination, body: bytes, token: str | None = None) -> Page[Any]:
    return paging.page(decode(paging.page_type(Any), body), token)


def test_each_api_has_its_paging() -> None:
    """Page tokens, cursors, offsets."""
    assert (V2.pagination, V3.pagination) == (PAGE_TOKEN, CURSOR)
    assert V1.pagination == Offset("offset", limit=100)


@each_row(
    ("paging", "token", "params"),
    [
        (PAGE_TOKEN, None, []),
        (PAGE_TOKEN, "t", [("page-token", "t")]),
        (NONE, None, []),
        (CURSOR, None, []),
        (CURSOR, "c", [("page[cursor]", "c")]),
        (OFFSET, None, []),
        (OFFSET, "20", [("offset", "20")]),
        (V1_PAGING, None, [("limit", "100")]),
        (V1_PAGING, "300", [("limit", "100"), ("offset", "300")]),
    ],
)
def test_params_select_a_page(paging: Pagination, token: str | None, params: list[tuple[str, str]]) -> None:
    """None is the first page."""
    assert paging.params(token) == params


@each_row("token", ["", "-1", "1.5", "x", "\u0663", "1" * 19, " 1"])
def test_an_offset_is_a_number(token: str) -> None:
    """Anything else would be sent as it is."""
    with pytest.raises(InvalidArgument, match="page_token must be the number of items"):
        OFFSET.params(token)


@pytest.mark.parametrize(
    ("body", "page"),
    [
        (b'{"items": [1, 2], "next_page_token": "t"}', Page((1, 2), "t")),
        (b'{"items": [1], "next_page_token": null}', Page((1,))),
        (b'{"items": [1], "next_page_token": ""}', Page((1,))),
        (b'{"items": []}', Page(())),
    ],
)
def test_a_page_of_v2_has_items_and_a_token(body: bytes, page: Page[Any]) -> None:
    """An empty token ends the list."""
    assert read(PAGE_TOKEN, body) == page


def test_a_page_is_decoded_into_itself() -> None:
    """No second object is created for a page of the usual shape."""
    decoded = decode(PAGE_TOKEN.page_type(Any), b'{"items": [1], "next_page_token": "t"}')
    assert PAGE_TOKEN.page(decoded, None) is decoded


@pytest.mark.parametrize("body", [b"{}", b'{"next_page_token": "t"}', b'{"items": [1], "next_page_token": "t"}'])
def test_items_are_optional_where_declared(body: bytes) -> None:
    """Also then the result is a plain Page."""
    page = PAGE_TOKEN.page(decode(PAGE_TOKEN.page_type(Any, items_optional=True), body), None)
    assert type(page) is Page
    assert page.items == ((1,) if b"items" in body else ())
    assert page.next_page_token == ("t" if b'"t"' in body else None)


@each_row(
    ("body", "page"),
    [
        (b'{"data": [1], "page": {"next": "c", "prev": null}}', Page((1,), "c")),
        (b'{"data": [1], "page": {"next": ""}}', Page((1,))),
        (b'{"data": [1], "page": {"next": null}}', Page((1,))),
        (b'{"data": [1], "page": {}}', Page((1,))),
        (b'{"data": [1], "page": null}', Page((1,))),
        (b'{"data": []}', Page(())),
    ],
)
def test_a_page_of_v3_has_data_and_a_cursor(body: bytes, page: Page[Any]) -> None:
    """`page` may be missing or empty, and all of that is the end."""
    assert read(CURSOR, body) == page


@pytest.mark.parametrize("paging", [PAGE_TOKEN, CURSOR, NONE])
def test_a_bare_array_is_the_only_page(paging: Pagination) -> None:
    """In every API."""
    assert paging.page(decode(array_type(Any), b"[1, 2]"), None) == Page((1, 2))


def test_offsets_end_with_an_empty_page() -> None:
    """If the API chooses the size, a short page may have another one behind it."""
    assert OFFSET.page((1, 2), None) == Page((1, 2), "2")
    assert OFFSET.page((1, 2), "20") == Page((1, 2), "22")
    assert OFFSET.page((), "22") == Page(())


def test_offsets_of_a_known_size_end_with_a_short_page() -> None:
    """One request less, and no doubt."""
    paging = Offset("offset", limit=2)
    assert paging.page((1, 2), None) == Page((1, 2), "2")
    assert paging.page((1,), "2") == Page((1,))
    assert paging.page((), "2") == Page(())


@each_row(
    ("query", "limit", "rest"),
    [
        ({}, 100, {}),
        ({"limit": None}, 100, {}),
        ({"limit": 30, "filter": "failed"}, 30, {"filter": "failed"}),
        ({"limit": "30"}, 30, {}),
        ({"limit": 250}, 100, {}),
    ],
)
def test_a_requested_size_is_bounded(query: dict[str, Any], limit: int, rest: dict[str, Any]) -> None:
    """v1.1 sends no more than 100, and a page of 100 would be taken for the last of 250."""
    paging, left = V1_PAGING.requested_by(query, set())
    assert (paging, left) == (Offset("offset", limit=limit), rest)


@each_row("limit", [0, -1, "x", "", "-5", True, 1.5, [3]])
def test_a_requested_size_is_a_number(limit: Any) -> None:
    """Before anything is sent."""
    with pytest.raises(InvalidArgument, match="limit must be a number of items above zero"):
        V1_PAGING.requested_by({"limit": limit}, set())


@pytest.mark.parametrize(
    ("paging", "name"), [(PAGE_TOKEN, "page-token"), (CURSOR, "page[cursor]"), (V1_PAGING, "offset")]
)
def test_a_query_selects_no_page(paging: Pagination, name: str) -> None:
    """It would be sent with every page."""
    for query, in_path in (({name: "x"}, set[str]()), ({}, {name})):
        with pytest.raises(InvalidArgument, match="page_token"):
            paging.requested_by(query, in_path)
    assert paging.requested_by({"x": 1}, {"y"})[1] == {"x": 1}


def test_a_size_in_the_path_is_refused() -> None:
    """It would be sent twice."""
    with pytest.raises(InvalidArgument, match="limit must not be in the path"):
        V1_PAGING.requested_by({}, {"limit"})


@each_row("token", [None, "", 5, [], {}])
def test_only_text_is_a_token(token: Any) -> None:
    """A value that cannot be sent as a token is not one."""
    assert PAGE_TOKEN.next_token({"items": 5, "next_page_token": token}, None) is None
    assert CURSOR.next_token({"data": 5, "page": {"next": token}}, None) is None
    assert PAGE_TOKEN.next_token([], None) is None
    assert CURSOR.next_token({"page": []}, None) is None
    assert PAGE_TOKEN.next_token({"next_page_token": "t"}, "s") == "t"
    assert CURSOR.next_token({"page": {"next": "t"}}, "s") == "t"


def test_offset_counts_bad_items() -> None:
    """The next page of a list by position begins after all items, those that cannot be decoded included."""
    assert OFFSET.next_token([1, "bad", None], "20") == "23"
    assert V1_PAGING.next_token([{}] * 99, None) is None
    assert V1_PAGING.next_token([{}] * 100, "100") == "200"
    assert OFFSET.next_token({"message": "no list"}, None) is None


def test_items_are_found_in_any_body() -> None:
    """The items of a page that cannot be decoded as a whole, with their JSON path."""
    assert PAGE_TOKEN.items({"items": [1]}) == ("$.items", [1])
    assert CURSOR.items({"data": [1]}) == ("$.data", [1])
    assert [paging.items([1]) for paging in (PAGE_TOKEN, CURSOR, OFFSET)] == [("$", [1])] * 3
    assert (PAGE_TOKEN.items({"data": [1]}), CURSOR.items({"items": [1]}), CURSOR.items({"data": {}})) == (None,) * 3


@pytest.mark.parametrize("plain", ["text", 7, True, None])
def test_bodies_of_other_kinds_have_no_items(plain: Any) -> None:
    """A body that is neither an object nor an array has no items and no next page."""
    for paging in (PAGE_TOKEN, CURSOR, OFFSET):
        assert paging.items(plain) is None
        assert paging.next_token(plain, None) is None


def test_unpaged_list_selects_no_page() -> None:
    """A list in one piece keeps the API's way of continuing; by position it has none."""
    assert PAGE_TOKEN.unpaged() == Pagination("page-token", is_paged=False)
    assert CURSOR.unpaged().parameter == "page[cursor]"
    assert CURSOR.unpaged().is_paged is False
    assert V1_PAGING.unpaged() == NONE


@attrs.frozen
class Build:
    id: Any = None
    build_url: Any = None


@each_row(
    ("values", "identity"),
    [
        ({"id": "1", "build_url": "u"}, "1"),
        ({"id": "", "build_url": "u"}, "u"),
        ({"id": 7, "build_url": "u"}, "u"),
        ({"build_url": "u"}, "u"),
        ({"id": 7}, None),
        ({}, None),
    ],
)
def test_identity_is_a_text(values: dict[str, Any], identity: str | None) -> None:
    """An item is recognized by its id or its page, as a model and as plain JSON."""
    assert OFFSET.identity(values) == identity
    assert OFFSET.identity(Build(**values)) == identity
    assert PAGE_TOKEN.identity(values) is None


@pytest.mark.parametrize("item", [7, "text", object()])
def test_item_without_fields_has_no_identity(item: Any) -> None:
    """A list may be of anything: what has neither an id nor a page is not recognized."""
    assert OFFSET.identity(item) is None


def test_smallest_page_by_position() -> None:
    """Pages of one item: the next one is requested until one is empty."""
    paging, rest = V1_PAGING.requested_by({"limit": 1, "filter": "x"}, set())
    assert (paging.params(None), rest) == ([("limit", "1")], {"filter": "x"})
    assert paging.page(("a",), "4") == Page(("a",), "5")
    assert OFFSET.requested_by({"limit": "5"}, set())[0].params(None) == [("limit", "5")]
    assert OFFSET.page(("a",), None) == Page(("a",), "1")
    assert OFFSET.page((), "9") == Page(())
