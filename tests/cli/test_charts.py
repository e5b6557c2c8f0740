from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiocircle.cli.charts import bar, duration, percentage, rate, sparkline
from tests.support.rows import each_row


@each_row(
    ("share", "drawn"),
    [(0.0, "    "), (1.0, "████"), (0.5, "██  "), (0.53125, "██▏ "), (0.99, "████"), (-1.0, "    "), (2.0, "████")],
)
def test_bar(share: float, drawn: str) -> None:
    assert bar(share, 4) == drawn


@given(st.floats(0, 1), st.integers(1, 40))
def test_bar_has_the_requested_width(share: float, width: int) -> None:
    assert len(bar(share, width)) == width


@each_row(
    ("values", "drawn"),
    [
        ([], ""),
        ([None, None], "  "),
        ([1.0, None, 8.0], "▁ █"),
        ([0, 1, 2, 3, 4, 5, 6, 7], "▁▂▃▄▅▆▇█"),
        ([5.0, 5.0], "▄▄"),
    ],
)
def test_sparkline(values: list[float | None], drawn: str) -> None:
    assert sparkline(values) == drawn


@each_row(
    ("seconds", "text"),
    [
        (0, "0s"),
        (59.4, "59s"),
        (59.6, "1m 00s"),
        (723, "12m 03s"),
        (3600, "1h 00m"),
        (6300, "1h 45m"),
        (86399.6, "1d 00h"),
        (273600, "3d 04h"),
    ],
)
def test_duration(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@each_row(("share", "text"), [(0.0, "0%"), (0.001, "1%"), (0.856, "86%"), (0.999, "99%"), (1.0, "100%")])
def test_percentage(share: float, text: str) -> None:
    assert percentage(share) == text


@pytest.mark.parametrize(("per_day", "text"), [(0.0, "0.0"), (14.25, "14.2"), (1234.5, "1,234")])
def test_rate(per_day: float, text: str) -> None:
    assert rate(per_day) == text
