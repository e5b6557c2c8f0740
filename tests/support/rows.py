"""Tables whose rows are checked in one test."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import wraps
from inspect import Signature
from typing import Any


def each_row(names: str | tuple[str, ...], rows: Iterable[Any]) -> Callable[[Callable[..., None]], Callable[[], None]]:
    """Call a test with each row of a table, as one test: with one name, a row is the value itself.

    It is for checks that take less time than pytest needs for a test. A row that fails keeps no other from being
    checked: the errors are raised as a group, each with a note of its row.
    """
    table = [dict(zip(names, row, strict=True)) if isinstance(names, tuple) else {names: row} for row in rows]
    assert table, f"no rows of {names}"

    def decorate(test: Callable[..., None]) -> Callable[[], None]:
        @wraps(test)
        def check() -> None:
            errors: list[Exception] = []
            for row in table:
                try:
                    test(**row)
                except Exception as error:
                    error.add_note("row: " + ", ".join(f"{name} = {value!r:.300}" for name, value in row.items()))
                    errors.append(error)
            if errors:
                raise ExceptionGroup(f"{len(errors)} of {len(table)} rows", errors)

        check.__signature__ = Signature()  # type: ignore[attr-defined]  # otherwise pytest looks for fixtures
        return check

    return decorate
