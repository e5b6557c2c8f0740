"""A local CircleCI to develop and test against."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .server import LocalCircleCI, ReceivedRequest, Statistics

__all__ = ["LocalCircleCI", "ReceivedRequest", "Statistics"]


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from . import server

    value: object = getattr(server, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
