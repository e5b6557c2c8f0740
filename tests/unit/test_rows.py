"""Tables of rows in one test: no row hides another."""

from __future__ import annotations

import pytest

from tests.support.rows import each_row


def test_each_failing_row_is_shown() -> None:
    """All rows are checked, and each that fails is named with its values."""
    seen: list[int] = []

    @each_row(("number", "square"), [(1, 1), (2, 5), (3, 9), (4, 17)])
    def check(number: int, square: int) -> None:
        seen.append(number)
        assert number**2 == square

    with pytest.raises(ExceptionGroup, match="2 of 4 rows") as caught:
        check()
    assert seen == [1, 2, 3, 4]
    notes = [error.__notes__ for error in caught.value.exceptions]
    assert notes == [["row: number = 2, square = 5"], ["row: number = 4, square = 17"]]


def test_table_without_rows_is_refused() -> None:
    """A test of nothing would pass for ever."""
    with pytest.raises(AssertionError, match="no rows of number"):
        each_row("number", [])


def test_row_needs_a_value_for_each_name() -> None:
    """A row that is too long or too short is an error of the table."""
    with pytest.raises(ValueError, match="zip"):
        each_row(("number", "square"), [(1,)])
