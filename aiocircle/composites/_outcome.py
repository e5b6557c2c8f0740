"""The rules of waiting: when a pipeline is final, and with which result. Pure: no I/O, no clock.

All times are seconds since the epoch on the server's clock, unless a parameter names another one.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final, Literal

import attrs

from aiocircle.errors import InvalidArgument
from aiocircle.resources.pipelines import Pipeline, PipelineResult, PipelineState
from aiocircle.resources.workflows import JobStatus, Workflow, WorkflowJob

__all__ = ["JobsState", "PipelineView", "Until", "check_until", "has_ended", "jobs_state"]

Until = Literal["finished", "on_hold"]
JobsState = Literal["on_hold", "ended", "active"]

ACTIVE: Final = frozenset({"running", "failing", "queued", "on_hold"})
TERMINAL: Final = frozenset({"success", "failed", "error", "canceled", "not_run", "unauthorized"})
HOLDING: Final = frozenset({"on_hold", "failing"})
"""The statuses of a workflow that can wait for an approval. One of its jobs may have failed already."""

START_GRACE: Final = 15.0
"""Seconds in which further workflows of a pipeline may appear after the newest one."""
STOP_GRACE: Final = 5.0
"""Seconds by which the list of workflows may lag behind the end of a workflow."""
LONG_GRACE: Final = 60.0
"""Seconds in which an automatic rerun, or the first workflow of a pipeline, may still appear."""
SECOND_READ: Final = 2.0
"""Least seconds between the response of the first read and the request of the second."""


def check_until(until: object) -> Until:
    """Return the state to wait for. Raise InvalidArgument if it is not known."""
    if until == "finished":
        return "finished"
    if until == "on_hold":
        return "on_hold"
    raise InvalidArgument(f"until must be 'finished' or 'on_hold', got {until!r}")


def has_ended(workflow: Workflow) -> bool:
    """Return True if the workflow itself shows its end. For an unknown status, `stopped_at` decides."""
    if workflow.status in TERMINAL or not workflow.id:
        return True
    return workflow.status not in ACTIVE and workflow.stopped_at is not None


def jobs_state(jobs: Sequence[WorkflowJob]) -> JobsState:
    """Return "on_hold" if an approval waits and no job can continue by itself, "ended" if all jobs have ended."""
    by_id = {job.id: job for job in jobs}
    if not jobs or any(_can_continue(job, by_id) for job in jobs):
        return "active"
    if any(job.is_waiting_for_approval for job in jobs):
        return "on_hold"
    return "ended" if all(job.is_finished for job in jobs) else "active"


def _can_continue(job: WorkflowJob, jobs: Mapping[str, WorkflowJob]) -> bool:
    if job.is_finished or job.is_waiting_for_approval:
        return False
    return job.status != JobStatus.BLOCKED or all(_is_satisfied(job, jobs.get(each)) for each in job.dependencies)


def _is_satisfied(job: WorkflowJob, dependency: WorkflowJob | None) -> bool:
    if dependency is None:
        return True  # A list that lags: the job counts as one that can continue.
    wanted = job.requires.get(dependency.id) or ("success",)
    return dependency.is_finished and (dependency.status in wanted or "terminal" in wanted)


def _age(workflow: Workflow) -> tuple[float, int]:
    # Of two that were created in the same second, the higher number is the newer.
    created = workflow.created_at
    return (0.0 if created is None else created.timestamp(), workflow.auto_rerun_number or 0)


@attrs.frozen
class _FirstRead:
    """A read that showed the pipeline as final, to be confirmed by a second one. received_at is on the own clock."""

    statuses: frozenset[tuple[str, str]]
    received_at: float


class PipelineView:
    """Everything that is known of one pipeline. Each read adds to it.

    A workflow that was seen is not forgotten, and one that ended stays ended.
    """

    __slots__ = (
        "_changed_at",
        "_ended_at",
        "_first_read",
        "_is_on_hold",
        "_jobs_ended_at",
        "_pending_at",
        "_workflows",
        "pipeline",
    )

    def __init__(self) -> None:
        self.pipeline: Pipeline | None = None
        self._workflows: dict[str, Workflow] = {}
        self._ended_at: dict[str, float] = {}
        self._jobs_ended_at: dict[str, float] = {}
        self._is_on_hold: frozenset[str] = frozenset()
        self._changed_at = self._pending_at = -math.inf
        self._first_read: _FirstRead | None = None

    # --- updates ------------------------------------------------------------------------------------------------

    def update_pipeline(self, pipeline: Pipeline, now: float) -> None:
        """Record the pipeline as a response shows it."""
        if self.pipeline is not None and self.pipeline.state != pipeline.state:
            self._changed_at = now
        if pipeline.state in (PipelineState.PENDING, PipelineState.SETUP_PENDING):
            self._pending_at = now
        self.pipeline = pipeline

    def update_workflows(self, workflows: Iterable[Workflow], now: float) -> tuple[tuple[Workflow, str | None], ...]:
        """Record the list of workflows. Return those that are new or changed status, with the previous status."""
        self._is_on_hold = frozenset()
        changes: list[tuple[Workflow, str | None]] = []
        # An expired workflow has no id. It is not part of the result.
        for workflow in sorted((each for each in workflows if each.id), key=_age):
            known = self._workflows.get(workflow.id)
            if workflow.id in self._ended_at and not has_ended(workflow):
                continue
            self._workflows[workflow.id] = workflow
            if has_ended(workflow):
                self._ended_at.setdefault(workflow.id, now)
            if known is None or known.status != workflow.status:
                changes.append((workflow, None if known is None else known.status))
        return tuple(changes)

    def update_jobs(self, workflow_id: str, jobs: Sequence[WorkflowJob], now: float) -> None:
        """Record the jobs of a workflow in `needs_jobs`."""
        state = jobs_state(jobs)
        if state == "on_hold":
            self._is_on_hold |= {workflow_id}
        if state != "ended":
            self._jobs_ended_at.pop(workflow_id, None)
        elif now - self._jobs_ended_at.setdefault(workflow_id, now) >= LONG_GRACE and self._is_unclear(workflow_id):
            self._ended_at[workflow_id] = self._jobs_ended_at[workflow_id]

    def _is_unclear(self, workflow_id: str) -> bool:
        return workflow_id not in self._ended_at and self._workflows[workflow_id].status not in ACTIVE

    # --- what to read -------------------------------------------------------------------------------------------

    @property
    def needs_pipeline(self) -> bool:
        """True if the pipeline is to be read before its workflows."""
        if self.pipeline is None or self.pipeline.state not in (PipelineState.CREATED, PipelineState.ERRORED):
            return True
        return all(workflow.is_setup for workflow in self._workflows.values())

    def needs_jobs(self, until: Until) -> tuple[str, ...]:
        """Return the ids of the workflows whose jobs decide whether they have ended, or wait for an approval."""
        unclear = tuple(each for each in self._workflows if self._is_unclear(each))
        unended = self.unended
        if until == "on_hold" and all(each.status in HOLDING for each in unended):
            return tuple(each.id for each in unended)
        return unclear

    @property
    def workflows(self) -> tuple[Workflow, ...]:
        """All workflows that were seen, oldest first."""
        return tuple(sorted(self._workflows.values(), key=_age))

    @property
    def unended(self) -> tuple[Workflow, ...]:
        """The workflows that have not ended."""
        return tuple(each for each in self._workflows.values() if each.id not in self._ended_at)

    def stopped_at(self, workflow_id: str) -> float | None:
        """Return when the workflow stopped, or the first response that showed it ended. None if it has not ended."""
        ended = self._ended_at.get(workflow_id)
        stopped = self._workflows[workflow_id].stopped_at
        return ended if ended is None or stopped is None else stopped.timestamp()

    # --- decisions ----------------------------------------------------------------------------------------------

    def final_at(self, until: Until = "finished") -> float:
        """Return the time at which the last grace period ends: the pipeline is final if nothing changes until then.

        Infinity while anything can continue by itself; minus infinity if the configuration failed.
        """
        if self.pipeline is None:
            return math.inf
        if self.pipeline.state == PipelineState.ERRORED:
            return -math.inf
        if any(until == "finished" or each.id not in self._is_on_hold for each in self.unended):
            return math.inf
        return max(self._grace_ends())

    def next_grace_end(self, now: float, until: Until = "finished") -> float | None:
        """Return the next end of a grace period that alone delays the end, or None."""
        if not now < self.final_at(until) < math.inf:
            return None
        return min(end for end in self._grace_ends() if end > now)

    def is_final(
        self,
        now: float,
        *,
        until: Until = "finished",
        sent_at: float,
        received_at: float,
        is_last: bool = False,
        reported: Mapping[str, str] | None = None,
    ) -> bool:
        """Return True if the pipeline is final as of the last read. Call it once after each complete read.

        now: the server's time of that read. sent_at, received_at: the own clock at its request and its response.
        is_last: True if no other read follows. reported: statuses of workflows that events have reported, by id.
        """
        if now < self.final_at(until):
            self._first_read = None
            return False
        if self._is_settled(now, is_last, reported or {}):
            return True
        statuses = frozenset((each.id, each.status) for each in self._workflows.values())
        first = self._first_read
        if first is not None and first.statuses == statuses:
            return sent_at >= first.received_at + SECOND_READ
        self._first_read = _FirstRead(statuses, received_at)
        return False

    @property
    def second_read_at(self) -> float | None:
        """The own clock's time from which the second read may be sent; None if none is needed yet."""
        return None if self._first_read is None else self._first_read.received_at + SECOND_READ

    def may_be_rerun(self, attempts: Sequence[Workflow], now: float) -> bool:
        """Return True if CircleCI may still rerun one of the attempts of a name by itself."""
        return any(
            _may_rerun_itself(each, attempts) and now < (self.stopped_at(each.id) or now) + LONG_GRACE
            for each in attempts
        )

    def result(self) -> PipelineResult | None:
        """Return the result so far: the newest workflow of each name. None if the pipeline was never read."""
        if self.pipeline is None:
            return None
        attempts: dict[str, tuple[Workflow, ...]] = {}
        for each in self.workflows:
            attempts[each.name] = (*attempts.get(each.name, ()), each)
        newest = sorted((group[-1] for group in self.groups()), key=_age)
        return PipelineResult(pipeline=self.pipeline, workflows=tuple(newest), attempts=attempts)

    def _is_settled(self, now: float, is_last: bool, reported: Mapping[str, str]) -> bool:
        """Return True if one read is enough."""
        result = self.result()
        if result is None or result.pipeline.state == PipelineState.ERRORED:
            return True
        if result.outcome == "no_workflows" or not self._workflows:
            return False
        if is_last:
            return True
        if self.unended:
            return False
        latest = max(self._workflows.values(), key=lambda each: self.stopped_at(each.id) or -math.inf)
        stopped = self.stopped_at(latest.id)
        return (stopped is not None and now - stopped > LONG_GRACE) or reported.get(latest.id) == latest.status

    def groups(self) -> Iterable[tuple[Workflow, ...]]:
        """Return the attempts of each name, oldest first. Setup workflows have names of their own."""
        groups: dict[tuple[str, bool], tuple[Workflow, ...]] = {}
        for each in self.workflows:
            key = (each.name, each.is_setup)
            groups[key] = (*groups.get(key, ()), each)
        return groups.values()

    # --- grace periods ------------------------------------------------------------------------------------------

    def _grace_ends(self) -> Iterator[float]:
        yield self._changed_at + START_GRACE
        stops = {each.id: self.stopped_at(each.id) for each in self._workflows.values()}
        for each in self._workflows.values():
            yield _age(each)[0] + START_GRACE
            if (stopped := stops[each.id]) is not None:
                yield stopped + STOP_GRACE
        if not self._workflows:
            yield self._creation_grace_end()
            return
        for group in self.groups():
            for each in group:
                if _may_rerun_itself(each, group):
                    yield (stops[each.id] or -math.inf) + LONG_GRACE
        yield self._setup_grace_end()

    def _creation_grace_end(self) -> float:
        assert self.pipeline is not None
        times = (self.pipeline.created_at, self.pipeline.updated_at)
        known = [time.timestamp() for time in times if time is not None]
        return max(*known, self._pending_at, self._changed_at) + LONG_GRACE

    def _setup_grace_end(self) -> float:
        """Return the time until which the workflows that a setup workflow configures may appear."""
        assert self.pipeline is not None
        newest = [group[-1] for group in self.groups()]
        if not all(each.is_setup and each.id in self._ended_at for each in newest):
            return -math.inf
        if self.pipeline.state == PipelineState.SETUP and any(each.status != "success" for each in newest):
            return -math.inf
        if self.pipeline.state == PipelineState.PENDING:
            return math.inf
        return max(self._changed_at, *(self.stopped_at(each.id) or -math.inf for each in newest)) + LONG_GRACE


def _may_rerun_itself(workflow: Workflow, attempts: Sequence[Workflow]) -> bool:
    """Return True if CircleCI may still start the next automatic rerun of a workflow."""
    number = workflow.auto_rerun_number or 0
    if workflow.status != "failed" or number >= (workflow.max_auto_reruns or 0):
        return False
    is_manual_rerun = not number and workflow is not attempts[0]
    return not is_manual_rerun and all((each.auto_rerun_number or 0) != number + 1 for each in attempts)
