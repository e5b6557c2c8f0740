"""The health of a branch over time: newly broken, still broken, mended, still working."""

from __future__ import annotations

from typing import Final, Literal, Protocol, TypeAlias

import attrs

__all__ = ["Change", "Health", "fold"]

Change: TypeAlias = Literal["newly_broken", "still_broken", "mended", "still_working"]
"""The change that a result brought."""

# The code was not judged: what stood before still stands.
_NEUTRAL: Final = frozenset({"on_hold", "canceled", "not_run", "no_workflows"})


class _Pipeline(Protocol):
    @property
    def number(self) -> int: ...


class _Result(Protocol):
    @property
    def outcome(self) -> str: ...

    @property
    def pipeline(self) -> _Pipeline: ...


@attrs.frozen(kw_only=True)
class Health:
    """The health of a branch after a result.

    change: "newly_broken" and "mended" come once each time. is_broken: True if the last result that counted was not a
    success. pipeline_number: the number of the pipeline of that result; None if no result has counted yet.
    """

    change: Change
    is_broken: bool
    pipeline_number: int | None = None


def fold(health: Health | None, result: _Result) -> Health:
    """Return the health after a result: that of a finished pipeline, as `pipelines.wait` returns it.

    health: the health before; None counts as working. A success is working. `on_hold`, `canceled`, `not_run`,
    `no_workflows` and a result of a lower pipeline number keep the health. All other outcomes are broken.
    """
    was_broken = health is not None and health.is_broken
    last = None if health is None else health.pipeline_number
    number = result.pipeline.number
    if result.outcome in _NEUTRAL or (last is not None and number < last):
        return _health(was_broken, was_broken, last)
    return _health(was_broken, result.outcome != "success", number)


def _health(was_broken: bool, is_broken: bool, pipeline_number: int | None) -> Health:
    change: Change
    if is_broken:
        change = "still_broken" if was_broken else "newly_broken"
    else:
        change = "mended" if was_broken else "still_working"
    return Health(change=change, is_broken=is_broken, pipeline_number=pipeline_number)
