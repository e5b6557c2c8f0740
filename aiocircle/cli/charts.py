"""Numbers as a reader takes them in: short texts, bars and sparklines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

__all__ = ["bar", "duration", "percentage", "rate", "sparkline"]

_EIGHTHS: Final = " ▏▎▍▌▋▊▉█"
_LEVELS: Final = "▁▂▃▄▅▆▇█"


def bar(share: float, width: int) -> str:
    """Draw a bar of `width` columns, filled up to `share` (0 to 1) in steps of an eighth of a column."""
    eighths = round(max(0.0, min(1.0, share)) * width * 8)
    full, rest = divmod(eighths, 8)
    return ("█" * full + (_EIGHTHS[rest] if rest else "")).ljust(width)


def sparkline(values: Sequence[float | None]) -> str:
    """Return one character for each value, from the lowest to the highest of them; a blank for each None."""
    known = [value for value in values if value is not None]
    if not known:
        return " " * len(values)
    low, span = min(known), max(known) - min(known)
    middle = len(_LEVELS) // 2 - 1

    def level(value: float) -> int:
        return middle if span == 0 else round((value - low) / span * (len(_LEVELS) - 1))

    return "".join(" " if value is None else _LEVELS[level(value)] for value in values)


def duration(seconds: float) -> str:
    """Seconds in the two largest units that they have: 42s, 12m 03s, 1h 20m, 3d 04h."""
    whole = round(seconds)
    for size, unit, part, part_unit in ((86400, "d", 3600, "h"), (3600, "h", 60, "m"), (60, "m", 1, "s")):
        if whole >= size:
            return f"{whole // size}{unit} {whole % size // part:02}{part_unit}"
    return f"{whole}s"


def percentage(share: float) -> str:
    """Return a share of 1 in whole percent; 100 % and 0 % only if it is exactly that."""
    percent = round(share * 100)
    if percent == 100 and share < 1:
        percent = 99
    if percent == 0 and share > 0:
        percent = 1
    return f"{percent}%"


def rate(per_day: float) -> str:
    """Return a number a day, with a decimal while it is small."""
    return f"{per_day:.1f}" if per_day < 100 else f"{per_day:,.0f}"
