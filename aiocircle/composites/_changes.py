"""Changes of several workflows: reruns of what failed, and cancellation of what newer pipelines have made redundant."""

from __future__ import annotations

from collections.abc import Callable, Collection, Coroutine, Iterable, Sequence
from typing import Any, Final, Protocol

import attrs

from aiocircle._core.polling import Poller
from aiocircle.composites._outcome import LONG_GRACE, PipelineView, has_ended
from aiocircle.composites._reads import Read, server_time
from aiocircle.errors import (
    ChangeErrors,
    CircleCIError,
    ConfigurationError,
    InvalidArgument,
    NotFound,
    NotReady,
    Unauthorized,
)
from aiocircle.resources.pipelines import Pipeline, PipelineState
from aiocircle.resources.workflows import Workflow

__all__ = ["RerunMemory", "WorkflowCalls", "cancel_redundant", "check_count", "is_kept", "rerun_failed", "to_rerun"]

REMEMBERED: Final = 10_000
"""Workflows of which a client remembers that it has rerun them."""
VISIBLE_WITHIN: Final = 60.0
"""Seconds in which the workflow that a rerun made becomes visible."""
MAX_PAUSE: Final = 15.0


class WorkflowCalls(Protocol):
    """The requests of these changes."""

    async def list_workflows(self, pipeline_id: str, /) -> Read[tuple[Workflow, ...]]:
        """Return the workflows of the pipeline."""
        ...

    async def read_workflow(self, workflow_id: str, /) -> Read[Workflow]:
        """Return the workflow."""
        ...

    async def rerun_workflow(self, workflow_id: str, /) -> str | None:
        """Rerun the workflow from failed. Return the id of the new one, or None if the response has none."""
        ...

    async def cancel_workflow(self, workflow_id: str, /) -> None:
        """Cancel the workflow."""
        ...


def check_count(value: object, parameter: str) -> int:
    """Return the number. Raise InvalidArgument if it is not an integer from 0 on."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise InvalidArgument(f"{parameter} must be an integer from 0 on, got {value!r}")
    return value


async def _change_all(
    workflows: Iterable[Workflow], change: Callable[[Workflow], Coroutine[Any, Any, Workflow | None]], verb: str
) -> tuple[Workflow, ...]:
    """Change each workflow. Raise ChangeErrors at the end if some failed, and a 401 immediately."""
    done: list[Workflow] = []
    errors: list[CircleCIError] = []
    for workflow in workflows:
        try:
            changed = await change(workflow)
        except (Unauthorized, ConfigurationError) as error:
            error.items = tuple(done)
            raise
        except CircleCIError as error:
            errors.append(error)
        else:
            done += [] if changed is None else [changed]
    if errors:
        raise ChangeErrors(f"{len(errors)} workflows could not be {verb}", errors, done=done)
    return tuple(done)


async def _list(calls: WorkflowCalls, pipeline: Pipeline) -> Read[tuple[Workflow, ...]]:
    """Return the workflows of a pipeline. A 404 means that there are none yet."""
    try:
        return await calls.list_workflows(pipeline.id)
    except NotFound as error:
        return Read((), server_time(error.headers))


# --- rerun ------------------------------------------------------------------------------------------------------


class RerunMemory:
    """The workflows that a client has rerun, or tried to with an unknown outcome."""

    __slots__ = ("_ids",)

    def __init__(self) -> None:
        self._ids: dict[str, None] = {}

    def __contains__(self, workflow_id: str) -> bool:
        return workflow_id in self._ids

    def add(self, workflow_id: str) -> None:
        """Remember a workflow, and forget the oldest of too many."""
        self._ids[workflow_id] = None
        while len(self._ids) > REMEMBERED:
            del self._ids[next(iter(self._ids))]

    def discard(self, workflow_id: str) -> None:
        """Forget a workflow that was not rerun."""
        self._ids.pop(workflow_id, None)


def to_rerun(
    view: PipelineView, now: float, *, at_most: int, tried: Collection[str] | RerunMemory
) -> tuple[Workflow, ...]:
    """Return the workflows to rerun: the newest attempt failed, and no automatic rerun of the name may come any more.

    at_most: the attempts of a name after the first, also those of other processes, of people and of CircleCI.
    """
    chosen = [
        group[-1]
        for group in view.groups()
        if group[-1].status == "failed" and len(group) - 1 < at_most and not view.may_be_rerun(group, now)
    ]
    return tuple(each for each in chosen if each.id not in tried)


async def rerun_failed(
    calls: WorkflowCalls, pipeline: Pipeline, *, at_most: int, memory: RerunMemory, now: Callable[[Read[Any]], float]
) -> tuple[Workflow, ...]:
    """Rerun what failed on a pipeline, and return the new workflows. now: returns the server's time of a response."""
    view = PipelineView()
    read = await _list(calls, pipeline)
    view.update_workflows(read.value, now(read))
    known = {each.id for each in view.workflows}

    async def rerun(workflow: Workflow) -> Workflow | None:
        if workflow.id in memory:
            return None  # A concurrent call was faster.
        memory.add(workflow.id)
        try:
            new_id = await calls.rerun_workflow(workflow.id)
        except CircleCIError as error:
            if error.outcome == "not_done":
                memory.discard(workflow.id)
            raise
        new = await _find_rerun(calls, pipeline, workflow, new_id, known)
        known.add(new.id)
        return new

    return await _change_all(to_rerun(view, now(read), at_most=at_most, tried=memory), rerun, "rerun")


async def _find_rerun(
    calls: WorkflowCalls, pipeline: Pipeline, workflow: Workflow, new_id: str | None, known: Collection[str]
) -> Workflow:
    """Return the workflow that a rerun made, as soon as it is visible."""
    poller = Poller(timeout=VISIBLE_WITHIN)
    failure: CircleCIError | None = None

    async def look() -> Workflow | None:
        if new_id is not None and failure is None:
            return (await calls.read_workflow(new_id)).value
        listed = (await _list(calls, pipeline)).value
        return next((each for each in listed if _is_rerun(each, workflow, new_id, known)), None)

    while True:
        poller.begin()
        try:
            if (new := await look()) is not None:
                return new
        except (Unauthorized, ConfigurationError):
            raise
        except CircleCIError as error:
            failure = error
        if poller.has_expired:
            message = f"the workflow {workflow.name!r} was rerun, but the new workflow is not visible yet"
            not_ready = NotReady("absent", message)
            not_ready.outcome = "done"
            raise not_ready from failure
        await poller.pause(MAX_PAUSE)


def _is_rerun(candidate: Workflow, workflow: Workflow, new_id: str | None, known: Collection[str]) -> bool:
    if new_id is not None:
        return candidate.id == new_id
    return (candidate.name, candidate.is_setup) == (workflow.name, workflow.is_setup) and candidate.id not in known


# --- cancel -----------------------------------------------------------------------------------------------------


@attrs.frozen
class _Found:
    pipeline: Pipeline
    workflows: tuple[Workflow, ...]


def is_kept(pipeline: Pipeline, workflows: Sequence[Workflow], now: float) -> bool:
    """Return True if a pipeline counts as one of those that are kept: it has workflows, or may still get some."""
    if pipeline.state == PipelineState.ERRORED:
        return False
    return any(each.id for each in workflows) or now < pipeline.created_at.timestamp() + LONG_GRACE


def _newest_first(pipelines: Iterable[Pipeline]) -> list[Pipeline]:
    """Return each pipeline once: while pages are read, a new pipeline moves the others to later pages."""
    unique = {each.id: each for each in pipelines}
    return sorted(unique.values(), key=lambda each: (each.created_at, each.number), reverse=True)


async def cancel_redundant(
    calls: WorkflowCalls, pipelines: Iterable[Pipeline], *, keep: int, now: Callable[[Read[Any]], float]
) -> tuple[Workflow, ...]:
    """Cancel what runs on all pipelines but the `keep` newest, and return the workflows that were cancelled.

    pipelines: all pipelines of the branch, read before this. now: returns the server's time of a response.
    """
    redundant: list[Workflow] = []
    kept = 0
    for pipeline in _newest_first(pipelines):
        read = await _list(calls, pipeline)
        if kept < keep and is_kept(pipeline, read.value, now(read)):
            kept += 1
            continue
        redundant += [each for each in read.value if not has_ended(each)]

    async def cancel(workflow: Workflow) -> Workflow | None:
        try:
            await calls.cancel_workflow(workflow.id)
        except (Unauthorized, ConfigurationError):
            raise
        except CircleCIError:
            if await _has_ended_since(calls, workflow):
                return None
            raise
        return workflow

    return await _change_all(redundant, cancel, "cancelled")


async def _has_ended_since(calls: WorkflowCalls, workflow: Workflow) -> bool:
    try:
        return has_ended((await calls.read_workflow(workflow.id)).value)
    except CircleCIError:
        return False  # The error of the cancellation is the one to raise.
