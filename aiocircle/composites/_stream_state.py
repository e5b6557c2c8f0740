"""The memory of a stream of a project's pipelines, as plain JSON. Pure: no I/O, no clock.

All times are seconds since the epoch on the server's clock. Pipelines are known by their number.

Of every pipeline created at or after `mark` that a list has shown, `open` or `final` has an entry. A pipeline that was
created before `mark` and has no entry is finished.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, cast

import attrs

from aiocircle.errors import InvalidArgument

__all__ = ["Listed", "StreamState"]

LATE: Final = 3600.0
"""Seconds after its creation in which a pipeline may become visible in the list."""
REMEMBERED: Final = 1000
"""Results that are kept so that an event of a later rerun can be compared with them."""


@attrs.frozen
class Listed:
    """A pipeline as the list shows it. branch: "" if it has none."""

    number: int
    branch: str
    created: float


class StreamState:
    """The state of one stream.

    begin: what was final before is not reported; None if everything since `mark` is. open: what is to be read, as
    number -> (created, outcome reported before or None). final: what is final, as number -> (created, outcome).
    newest: the newest pipeline of each branch at the last poll. approvals: the reported jobs of each open workflow.
    is_by_own_clock: True until a response has shown the server's time; `begin` and `mark` are corrected then.
    """

    def __init__(self, project: str, branch: str | None, *, begin: float | None, mark: float) -> None:
        self.project = project
        self.branch = branch
        self.begin = begin
        self.mark = mark
        self.open: dict[int, tuple[float, str | None]] = {}
        self.final: dict[int, tuple[float, str | None]] = {}
        self.newest: dict[str, int] = {}
        self.approvals: dict[str, list[str]] = {}
        self.is_by_own_clock = False

    # --- JSON ---------------------------------------------------------------------------------------------------

    def to_json(self) -> dict[str, Any]:
        """Return the state as new JSON values."""
        value: dict[str, Any] = {
            "project": self.project,
            "branch": self.branch,
            "begin": self.begin,
            "mark": self.mark,
            "open": {str(number): list(entry) for number, entry in self.open.items()},
            "told": {str(number): list(entry) for number, entry in self.final.items()},
            "newest": {branch: str(number) for branch, number in self.newest.items()},
        }
        if self.approvals:
            value["approvals"] = {workflow: [*jobs] for workflow, jobs in self.approvals.items()}
        if self.is_by_own_clock:
            value["is_by_own_clock"] = True
        return value

    @classmethod
    def from_json(cls, value: object, *, project: str, branch: str | None) -> StreamState:
        """Return the state that `to_json` returned. Raise InvalidArgument if it is not one, or of another project."""
        try:
            fields = cast("Mapping[str, Any]", json.loads(json.dumps(value)))
            state = cls(fields["project"], fields["branch"], begin=fields["begin"], mark=float(fields["mark"]))
            state.begin = None if state.begin is None else float(state.begin)
            state.is_by_own_clock = bool(fields.get("is_by_own_clock", False))
            state.open = {int(number): (float(created), before) for number, (created, before) in fields["open"].items()}
            state.final = {
                int(number): (float(created), before) for number, (created, before) in fields["told"].items()
            }
            state.newest = {str(name): int(number) for name, number in fields["newest"].items()}
            state.approvals = {str(workflow): [*jobs] for workflow, jobs in fields.get("approvals", {}).items()}
        except (TypeError, ValueError, KeyError, AttributeError) as error:
            raise InvalidArgument(f"state must be the state of a stream, got {type(value).__name__}") from error
        if (state.project, state.branch) != (project, branch):
            raise InvalidArgument(
                f"state must be of {project} and branch {branch!r}, got {state.project} and branch {state.branch!r}"
            )
        return state

    # --- the list -----------------------------------------------------------------------------------------------

    def correct(self, seconds: float) -> None:
        """Correct the times that were taken from the own clock by what the server's clock is ahead of it."""
        if not self.is_by_own_clock:
            return
        self.is_by_own_clock = False
        if self.begin is not None:
            self.begin += seconds
        self.mark += seconds

    def take(self, listed: Listed) -> None:
        """Record a pipeline that a list or an event has shown."""
        if listed.number not in self.open and listed.number not in self.final and listed.created >= self.mark:
            self.open[listed.number] = (listed.created, None)

    def end_walk(self, shown: Sequence[Listed]) -> tuple[int, ...]:
        """Record that the list was read to its end. Return the final pipelines in which later changes are looked for.

        These are the newest of each branch, as of this poll and of the last one. A rerun may have begun before a newer
        pipeline appeared.
        """
        newest: dict[str, int] = {}
        for each in shown:
            newest[each.branch] = max(each.number, newest.get(each.branch, 0))
        looked = dict.fromkeys((*newest.values(), *self.newest.values()))
        self.newest = newest
        self.mark = max([self.mark, *(each.created - LATE for each in shown)])
        return tuple(number for number in looked if number not in self.open)

    def reopen(self, number: int) -> bool:
        """Have a final pipeline read again. Return True if the pipeline is known."""
        if number in self.final:
            self.open[number] = self.final.pop(number)
        return number in self.open

    # --- results ------------------------------------------------------------------------------------------------

    def record_open(self, number: int, created: float) -> None:
        """Record that a pipeline is not final."""
        if number not in self.open:
            self.open[number] = self.final.pop(number, (created, None))

    def record_final(self, number: int, created: float, outcome: str | None, final_at: float) -> bool:
        """Record that a pipeline is final. Return True if this is to be reported now."""
        was_open = number in self.open
        entries = self.open if was_open else self.final
        created, before = entries.pop(number, (created, None))
        self.final[number] = (created, outcome)
        if before is not None:
            return outcome != before
        return was_open and (self.begin is None or final_at >= self.begin)

    def record_approval(self, workflow_id: str, job_id: str) -> None:
        """Record that a job is reported."""
        self.approvals.setdefault(workflow_id, []).append(job_id)

    def prune(self) -> None:
        """Forget the results that nothing can be compared with any more. Call it after each complete poll."""
        last = {*[*self.final][-REMEMBERED:], *self.newest.values()}
        self.final = {number: entry for number, entry in self.final.items() if entry[0] >= self.mark or number in last}

    def prune_approvals(self, ended: Iterable[str]) -> None:
        """Forget the reported jobs of workflows that have ended: none of them waits again."""
        for workflow_id in ended:
            self.approvals.pop(workflow_id, None)
