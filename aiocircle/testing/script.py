"""Pipelines that follow a story."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

import attrs

from .model import FINISHED, Job, JobPlan, Pipeline, Workflow, WorkflowPlan
from .response import APIErrorResponse
from .stories import ACTIVE, JobStory, Story, WorkflowStory

if TYPE_CHECKING:
    from .state import State

__all__ = ["begin", "continue_pipeline", "on_workflow_ended", "raise_if_out", "rerun_manually"]


def begin(state: State, pipeline: Pipeline, story: Story, delay: float) -> None:
    """Schedule all that a pipeline does by its story."""
    created = pipeline.created
    pipeline.story = story
    begins = created + (delay if story.workflow_delay is None else story.workflow_delay)
    pipeline.errors = tuple((kind, message) for kind, message in story.errors)
    _set_state(pipeline, "pending" if story.setup is None else "setup-pending", created)
    setup = story.setup
    if story.errors:
        state.schedule(begins, lambda at: _set_state(pipeline, "errored", at))
    elif setup is not None:
        pipeline.continued = False
        state.schedule(begins, lambda at: _set_state(pipeline, "setup", at))
        _schedule_workflow(state, pipeline, setup, begins)
    else:
        state.schedule(begins, lambda at: _set_state(pipeline, "created", at))
        for workflow in story.workflows:
            _schedule_workflow(state, pipeline, workflow, begins)
    for seconds, name in story.states:
        state.schedule(created + seconds, partial(_set_state, pipeline, name, scripted=True))
    for start, stop in story.outages:
        for seconds in (start, stop):
            state.schedule(created + seconds, lambda at: None)  # cached responses are dropped


def _set_state(pipeline: Pipeline, name: str, at: float, *, scripted: bool = False) -> None:
    if scripted or pipeline.story is None or not pipeline.story.states:
        pipeline.state, pipeline.updated = name, at


def _schedule_workflow(state: State, pipeline: Pipeline, story: WorkflowStory, begins: float) -> None:
    is_setup = pipeline.story is not None and story is pipeline.story.setup

    def start(at: float) -> None:
        run = state.start(pipeline, _plan(story, story.jobs), created=at)
        run.tag = "setup" if is_setup else None
        _prepare(state, run)

    state.schedule(begins + story.delay, start)


def _prepare(state: State, run: Workflow) -> None:
    """Apply what a story determines for each run, also for reruns."""
    story = run.plan.story
    if story is None:
        return
    run.max_auto_reruns = story.max_auto_reruns
    if story.canceled_after is not None and _attempt(run) == 0:

        def cancel(at: float) -> None:
            if not run.finished:
                run.cancel(at, state.token_owner)

        state.schedule(run.created + story.canceled_after, cancel)
    for seconds in (story.list_lag, story.status_lag):
        if seconds:
            state.schedule(run.created + seconds, lambda at: None)


def _plan(story: WorkflowStory, jobs: Sequence[JobStory]) -> WorkflowPlan:
    if (
        story.statuses
        and story.jobs is jobs
        and [job.name for job in jobs] == ["build"]
        and jobs[0] == JobStory("build")
    ):
        jobs = [_job_of_statuses(story)]
    names = [job.name for job in jobs]
    return WorkflowPlan(
        story.name,
        tuple(
            JobPlan(
                job.name,
                job.seconds,
                tuple(names.index(required) for required in job.requires),
                job.type,
                job.resource_class,
                job.parallelism,
                job.tests,
                tuple(artifact if isinstance(artifact, str) else artifact.path for artifact in job.artifacts),
                tuple(job.contexts),
                job,
            )
            for job in jobs
        ),
        story,
    )


def _job_of_statuses(story: WorkflowStory) -> JobStory:
    """Return the only job of a workflow whose statuses are scripted."""
    seconds, status = story.statuses[-1]
    return JobStory(
        "build",
        math.inf if status in ACTIVE else seconds,
        status=status if status in FINISHED else "success",
    )


def _attempt(run: Workflow) -> int:
    """Return the number of runs of the same workflow before this one."""
    return sum(
        other.name == run.name and other.sub < run.sub and other.tag == run.tag for other in run.pipeline.workflows
    )


def _next_plan(run: Workflow) -> WorkflowPlan:
    """Return the plan of the next rerun: the next jobs of the story, or those of `run`."""
    story = run.plan.story
    if story is None:
        return run.plan
    run = [other for other in run.pipeline.workflows if other.name == run.name and other.tag == run.tag][-1]
    number = sum(other.name == run.name and other.tag == run.tag for other in run.pipeline.workflows)
    return (
        _plan(attrs.evolve(story, statuses=(), status=None), story.reruns[number - 1])
        if number <= len(story.reruns)
        else run.plan
    )


def on_workflow_ended(state: State, run: Workflow) -> None:
    """Schedule what follows the end of a run: reruns, and the workflows after a setup workflow."""
    story, ended = run.plan.story, run.stopped
    if story is None or ended is None:
        return
    number = run.auto_rerun_number or 0
    may_rerun = run.status == "failed" and number < (story.max_auto_reruns or 0) and not run.is_manual_rerun
    if may_rerun and story.auto_rerun_delay is not None:
        state.schedule(ended + story.auto_rerun_delay, lambda at: _rerun(state, run, at, number + 1))
    if _attempt(run) == 0:
        for seconds in story.manual_reruns:
            state.schedule(ended + seconds, lambda at: _rerun(state, run, at, None))
    pipeline = run.pipeline
    is_set_up = run.tag == "setup" and run.status == "success" and not pipeline.continued
    if is_set_up and pipeline.story is not None and pipeline.story.is_continued:
        continue_pipeline(state, pipeline, ended)


def rerun_manually(state: State, run: Workflow, reused: Sequence[Job | None]) -> Workflow:
    """Start a rerun that a caller requested. `reused` are the jobs that do not run again."""
    plan = _next_plan(run)
    if len(plan.jobs) != len(reused):
        reused = ()
    again = state.start(run.pipeline, plan, reused=reused)
    again.tag, again.is_manual_rerun = run.tag, True
    _prepare(state, again)
    return again


def _rerun(state: State, run: Workflow, at: float, number: int | None) -> None:
    again = state.start(run.pipeline, _next_plan(run), created=at)
    again.tag = run.tag
    again.auto_rerun_number = number
    again.is_manual_rerun = number is None
    _prepare(state, again)


def continue_pipeline(state: State, pipeline: Pipeline, at: float) -> None:
    """Begin the workflows after a setup workflow."""
    story = pipeline.story
    if story is None:
        return
    pipeline.continued = True
    _set_state(pipeline, "pending", at)
    begins = at + story.continuation_delay
    state.schedule(begins, lambda at: _set_state(pipeline, "created", at))
    for workflow in story.workflows:
        _schedule_workflow(state, pipeline, workflow, begins)


def raise_if_out(pipeline: Pipeline, now: float) -> None:
    """Raise a 503 during the outages of a pipeline."""
    story = pipeline.story
    if story is not None and any(start <= now - pipeline.created < stop for start, stop in story.outages):
        raise APIErrorResponse(503, "Service unavailable")
