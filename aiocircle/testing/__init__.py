"""A local CircleCI to develop and test against."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .recorder import ReceivedRequest, Statistics
    from .server import LocalCircleCI

__all__ = ["LocalCircleCI", "ReceivedRequest", "Statistics"]


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from . import recorder, server

    for module in (server, recorder):
        if name in module.__all__:
            value: object = getattr(module, name)
            globals()[name] = value
            return value
    raise AssertionError(name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
