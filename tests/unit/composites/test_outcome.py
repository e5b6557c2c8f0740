"""The rules of waiting, as a table of cases."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest

from aiocircle.composites._outcome import PipelineView, Until, has_ended, jobs_state
from aiocircle.resources.pipelines import Pipeline, PipelineResult
from aiocircle.resources.workflows import Workflow, WorkflowJob
from tests.support.rows import each_row

EPOCH = 1_700_000_000.0


def moment(at: float) -> datetime:
    return datetime.fromtimestamp(EPOCH + at, UTC)


def pipeline(state: str = "created", created: float = 0.0, updated: float | None = None) -> Pipeline:
    return Pipeline(
        id="p",
        number=1,
        project_slug="gh/acme/web",
        state=state,
        created_at=moment(created),
        updated_at=None if updated is None else moment(updated),
    )


def workflow(
    status: str, *, name: str = "build", created: float = 0.0, stopped: float | None = None, **more: Any
) -> Workflow:
    return Workflow(
        id=more.pop("id", f"{name}-{created:g}"),
        name=name,
        status=status,
        pipeline_id="p",
        pipeline_number=1,
        project_slug="gh/acme/web",
        created_at=moment(created),
        stopped_at=None if stopped is None else moment(stopped),
        **more,
    )


EXPIRED = Workflow(
    id="", name="", status="", pipeline_id="p", pipeline_number=1, project_slug="gh/acme/web", created_at=None
)  # type: ignore[arg-type]


def job(status: str, *, name: str = "a", type: str = "build", **more: Any) -> WorkflowJob:
    return WorkflowJob(id=name, name=name, type=type, status=status, **more)


HELD = (job("success"), job("on_hold", name="hold", type="approval"), job("blocked", name="b", dependencies=("hold",)))
BUSY_AND_HELD = (*HELD, job("running", name="c"))
ENDED = (job("success"), job("failed", name="b"))


@dataclass
class Case:
    """The reads so far, and the time from which the pipeline is final; None: not by itself."""

    title: str
    final_at: float | None
    workflows: list[Workflow] = field(default_factory=list)
    state: str = "created"
    outcome: str | None = None
    until: Until = "finished"
    jobs: dict[str, tuple[WorkflowJob, ...]] = field(default_factory=dict)
    read_at: float = 1000.0
    created: float = 0.0
    updated: float | None = None


def setup(status: str, **more: Any) -> Workflow:
    return workflow(status, name="setup", tag="setup", **more)


CASES = [
    # --- the grace periods that always apply
    Case("a workflow that runs is not final", None, [workflow("running")], outcome="running"),
    Case("5 s after the last workflow stopped", 105, [workflow("success", stopped=100)], outcome="success"),
    Case("15 s after the newest was created", 110, [workflow("success", created=95, stopped=96)], outcome="success"),
    Case(
        "each workflow counts",
        None,
        [workflow("success", stopped=5), workflow("running", name="test")],
        outcome="running",
    ),
    Case(
        "an older attempt that still runs counts",
        None,
        [workflow("running"), workflow("success", created=50, stopped=60)],
        outcome="success",
    ),
    Case("no stopped_at: the first response that showed the end", 1005, [workflow("success")], outcome="success"),
    # --- unknown statuses
    Case("an unknown status that stopped", 105, [workflow("new", stopped=100)], outcome="new"),
    Case("an unknown status that did not stop", None, [workflow("new")], outcome="new"),
    Case("queued is not an end", None, [workflow("queued", stopped=100)], outcome="queued"),
    # --- reruns
    Case(
        "an automatic rerun may come",
        160,
        [workflow("failed", stopped=100, max_auto_reruns=1)],
        outcome="failed",
    ),
    Case(
        "the last automatic rerun was used",
        205,
        [
            workflow("failed", stopped=100, max_auto_reruns=1),
            workflow("failed", created=101, stopped=200, max_auto_reruns=1, auto_rerun_number=1),
        ],
        outcome="failed",
    ),
    Case(
        "a manual rerun is not rerun by itself",
        205,
        [
            workflow("failed", stopped=20, max_auto_reruns=1),
            workflow("failed", created=50, stopped=90, max_auto_reruns=1, auto_rerun_number=1),
            workflow("failed", created=101, stopped=200, max_auto_reruns=1),
        ],
        outcome="failed",
    ),
    Case(
        "a manual rerun does not hide the automatic one of the first",
        160,
        [workflow("failed", stopped=100, max_auto_reruns=1), workflow("success", created=95, stopped=101)],
        outcome="success",
    ),
    Case("only failed is rerun", 105, [workflow("canceled", stopped=100, max_auto_reruns=3)], outcome="canceled"),
    Case(
        "of two of one second the higher number is newer",
        105,
        [
            workflow("success", id="b", created=50, stopped=100, auto_rerun_number=1, max_auto_reruns=1),
            workflow("failed", id="a", created=50, stopped=60, max_auto_reruns=1),
        ],
        outcome="success",
    ),
    # --- no workflow
    Case("no workflow, 60 s after the creation", 60, outcome="no_workflows"),
    Case("no workflow, 60 s after the update", 90, updated=30.0, outcome="no_workflows"),
    Case("no workflow, pending when last seen", 1060, state="pending", outcome="no_workflows"),
    Case("no workflow, setup-pending when last seen", 1060, state="setup-pending", outcome="no_workflows"),
    Case("only expired workflows", 60, [EXPIRED], outcome="no_workflows"),
    Case("an expired workflow next to another", 105, [EXPIRED, workflow("failed", stopped=100)], outcome="failed"),
    # --- setup workflows
    Case("a setup workflow succeeded", 160, [setup("success", stopped=100)], state="setup", outcome="no_workflows"),
    Case("it succeeded, and its pipeline is pending", None, [setup("success", stopped=100)], state="pending"),
    Case("a setup workflow failed", 105, [setup("failed", stopped=100)], state="setup", outcome="failed"),
    Case("it failed after it continued", 160, [setup("failed", stopped=100)], outcome="failed"),
    Case("it failed, and its pipeline is pending", None, [setup("failed", stopped=100)], state="pending"),
    Case(
        "a setup workflow that may be rerun",
        160,
        [setup("failed", stopped=100, max_auto_reruns=1)],
        state="setup",
        outcome="failed",
    ),
    Case(
        "setup and build",
        205,
        [setup("success", stopped=100), workflow("failed", created=101, stopped=200)],
        outcome="failed",
    ),
    Case(
        "a setup workflow has a name of its own",
        205,
        [workflow("failed", id="s", tag="setup", stopped=100), workflow("success", created=101, stopped=200)],
        outcome="failed",
    ),
    # --- the configuration failed
    Case("errored", -math.inf, state="errored", outcome="error"),
    Case("errored while the setup workflow runs", -math.inf, [setup("running")], state="errored", outcome="error"),
    # --- on hold
    Case("on hold is not finished", None, [workflow("on_hold")], outcome="on_hold"),
    Case("on hold", 15, [workflow("on_hold", id="w")], until="on_hold", jobs={"w": HELD}, outcome="on_hold"),
    Case(
        "failing, and the rest is on hold",
        15,
        [workflow("failing", id="w")],
        until="on_hold",
        jobs={"w": HELD},
        outcome="failing",
    ),
    Case("on hold while a job runs", None, [workflow("on_hold", id="w")], until="on_hold", jobs={"w": BUSY_AND_HELD}),
    Case("on hold without jobs", None, [workflow("on_hold", id="w")], until="on_hold", jobs={"w": ()}),
    Case(
        "one on hold, one ended",
        105,
        [workflow("on_hold", id="w"), workflow("success", name="test", stopped=100)],
        until="on_hold",
        jobs={"w": HELD},
        outcome="on_hold",
    ),
    Case(
        "one on hold, one running",
        None,
        [workflow("on_hold", id="w"), workflow("running", name="test")],
        until="on_hold",
        outcome="running",
    ),
]


def view_of(case: Case) -> PipelineView:
    view = PipelineView()
    now = EPOCH + case.read_at
    view.update_pipeline(pipeline(case.state, case.created, case.updated), now)
    view.update_workflows(case.workflows, now)
    assert {*view.needs_jobs(case.until)} >= {*case.jobs}
    for each, jobs in case.jobs.items():
        view.update_jobs(each, jobs, now)
    return view


@each_row("case", CASES)
def test_view_is_final_by_the_rules(case: Case) -> None:
    """It is final from the end of the last grace period on, and never while something can continue by itself."""
    view = view_of(case)
    expected = math.inf if case.final_at is None else case.final_at + EPOCH
    assert view.final_at(case.until) == pytest.approx(expected)
    result = view.result()
    assert result is not None
    if case.outcome is not None:
        assert result.outcome == case.outcome
    assert result.succeeded == (case.outcome == "success" and not view.unended)


@each_row("case", [case for case in CASES if case.final_at is not None])
def test_view_needs_the_graces_and_a_second_read(case: Case) -> None:
    """Just before the last grace period ends it is not final, then a read that is sent 2 s later confirms it."""
    view = view_of(case)
    assert case.final_at is not None
    if case.outcome == "error":
        assert view.is_final(EPOCH, until=case.until, sent_at=0.0, received_at=0.1)
        return
    end = EPOCH + case.final_at
    assert not view.is_final(end - 0.01, until=case.until, sent_at=0.0, received_at=0.1)
    assert not view.is_final(end, until=case.until, sent_at=1.0, received_at=1.1)
    assert view.second_read_at == pytest.approx(3.1)
    assert not view.is_final(end, until=case.until, sent_at=3.0, received_at=3.1)
    assert view.is_final(end, until=case.until, sent_at=3.2, received_at=3.3)


# --- one read -------------------------------------------------------------------------------------------------


def final(view: PipelineView, at: float, **more: Any) -> bool:
    return view.is_final(EPOCH + at, sent_at=0.0, received_at=0.1, **more)


def test_one_read_is_enough_for_an_old_end() -> None:
    """If the last workflow stopped more than 60 s ago."""
    assert not final(view_of(Case("", None, [workflow("success", stopped=100)])), 160)
    assert final(view_of(Case("", None, [workflow("success", stopped=100)])), 161)


def test_one_read_is_enough_at_the_deadline() -> None:
    """But not to call a pipeline empty."""
    assert final(view_of(Case("", None, [workflow("success", stopped=100)])), 110, is_last=True)
    assert not final(view_of(Case("", None)), 90, is_last=True)
    assert not final(view_of(Case("", None)), 900)


def test_one_read_is_enough_after_an_event() -> None:
    """If it reported the status of the workflow that stopped last."""
    both = [workflow("failed", id="a", stopped=100), workflow("success", id="b", name="test", stopped=90)]
    assert final(view_of(Case("", None, both)), 110, reported={"a": "failed"})
    assert not final(view_of(Case("", None, both)), 110, reported={"b": "success"})
    assert not final(view_of(Case("", None, both)), 110, reported={"a": "success"})
    assert not final(view_of(Case("", None, both)), 104, reported={"a": "failed"})


def test_second_read_starts_over_after_a_change() -> None:
    """Both reads must show the same statuses of the same workflows."""
    view = view_of(Case("", None, [workflow("success", stopped=100)]))
    assert not view.is_final(EPOCH + 110, sent_at=0.0, received_at=0.0)
    view.update_workflows([workflow("canceled", stopped=100)], EPOCH + 112)
    assert not view.is_final(EPOCH + 112, sent_at=2.0, received_at=2.0)
    assert view.is_final(EPOCH + 114, sent_at=4.0, received_at=4.0)


# --- what was seen --------------------------------------------------------------------------------------------


def test_view_forgets_no_workflow() -> None:
    """A list that leaves one out changes nothing."""
    view = view_of(Case("", None, [workflow("running")]))
    view.update_workflows([], EPOCH + 1001)
    assert [each.status for each in view.unended] == ["running"]


def test_view_keeps_an_end() -> None:
    """A list that shows an earlier status again is out of date."""
    view = view_of(Case("", None, [workflow("success", id="w", stopped=100)]))
    assert view.update_workflows([workflow("running", id="w")], EPOCH + 1001) == ()
    assert view.unended == ()


def test_view_reports_each_change_once() -> None:
    """With the previous status, oldest workflow first."""
    view = PipelineView()
    one, two = workflow("running", id="a", created=1), workflow("running", id="b", name="test", created=2)
    assert view.update_workflows([two, one], EPOCH) == ((one, None), (two, None))
    ended = workflow("success", id="a", created=1, stopped=9)
    assert view.update_workflows([two, ended], EPOCH) == ((ended, "running"),)
    assert view.update_workflows([two, ended], EPOCH) == ()


def test_state_change_starts_a_grace_period() -> None:
    """15 s with workflows, 60 s without, from the response that first showed the new state."""
    view = PipelineView()
    view.update_pipeline(pipeline("setup"), EPOCH + 100)
    view.update_pipeline(pipeline("created"), EPOCH + 110)
    assert view.final_at() == EPOCH + 170
    view.update_workflows([workflow("success", stopped=100)], EPOCH + 110)
    assert view.final_at() == EPOCH + 125


def test_unknown_status_ends_by_its_jobs() -> None:
    """Once it has jobs and all have ended, none blocked, for 60 s. The time of the first such read is its end."""
    view = view_of(Case("", None, [workflow("new", id="w")]))
    assert view.needs_jobs("finished") == ("w",)
    for at, jobs, is_ended in [(1000, (), False), (1010, ENDED, False), (1069, ENDED, False), (1070, ENDED, True)]:
        view.update_jobs("w", jobs, EPOCH + at)
        assert (view.unended == ()) == is_ended
    assert view.stopped_at("w") == EPOCH + 1010


def test_unknown_status_waits_again_for_new_jobs() -> None:
    """A job that is not over starts the 60 s again."""
    view = view_of(Case("", None, [workflow("new", id="w")]))
    for at, jobs in [(1010, ENDED), (1050, (job("running"),)), (1060, ENDED), (1119, ENDED)]:
        view.update_jobs("w", jobs, EPOCH + at)
    assert view.unended


def test_view_reads_the_pipeline_while_it_matters() -> None:
    """Until it is `created` or `errored` and a workflow that is not a setup workflow is known."""
    view = PipelineView()
    assert view.needs_pipeline
    view.update_pipeline(pipeline("pending"), EPOCH)
    view.update_workflows([workflow("running")], EPOCH)
    assert view.needs_pipeline
    view.update_pipeline(pipeline("created"), EPOCH)
    assert not view.needs_pipeline
    view = view_of(Case("", None, [setup("running")]))
    assert view.needs_pipeline


def test_jobs_are_read_only_if_all_can_hold() -> None:
    """One workflow that runs makes the jobs of the others irrelevant."""
    both = [workflow("on_hold", id="a"), workflow("running", id="b", name="test")]
    view = view_of(Case("", None, both, until="on_hold"))
    assert view.needs_jobs("on_hold") == ()
    view.update_workflows([workflow("failing", id="b", name="test")], EPOCH + 1001)
    assert {*view.needs_jobs("on_hold")} == {"a", "b"}
    assert view.needs_jobs("finished") == ()


def test_next_grace_end_is_due_only_if_nothing_runs() -> None:
    """The nearest of those that alone delay the end."""
    view = view_of(Case("", None, [workflow("failed", created=97, stopped=100, max_auto_reruns=1)]))
    assert view.next_grace_end(EPOCH + 101) == EPOCH + 105
    assert view.next_grace_end(EPOCH + 105) == EPOCH + 112
    assert view.next_grace_end(EPOCH + 112) == EPOCH + 160
    assert view.next_grace_end(EPOCH + 160) is None
    assert view_of(Case("", None, [workflow("running")])).next_grace_end(EPOCH + 1) is None


def test_view_without_a_read_has_no_result() -> None:
    """None, and it is never final."""
    assert PipelineView().result() is None
    assert not final(PipelineView(), 1e9)


# --- outcomes -------------------------------------------------------------------------------------------------

WORST_FIRST = [
    "error",
    "failed",
    "failing",
    "unauthorized",
    "canceled",
    "new",
    "running",
    "queued",
    "on_hold",
    "not_run",
    "success",
]


@each_row("worse", range(len(WORST_FIRST)))
def test_outcome_is_the_worst(worse: int) -> None:
    """The outcome is the worse status of each pair; but `not_run` next to a success is a success."""
    for better in range(worse, len(WORST_FIRST)):
        pair = (workflow(WORST_FIRST[better], name="a"), workflow(WORST_FIRST[worse], name="b"))
        expected = WORST_FIRST[worse]
        if (WORST_FIRST[worse], WORST_FIRST[better]) == ("not_run", "success"):
            expected = "success"
        assert PipelineResult(pipeline=pipeline(), workflows=pair).outcome == expected


def test_result_keeps_all_attempts() -> None:
    """`workflows` has the newest of each name."""
    first, second = workflow("failed", id="1", stopped=1), workflow("success", id="2", created=5, stopped=6)
    other = workflow("success", name="test", created=3, stopped=4)
    result = view_of(Case("", None, [second, other, first])).result()
    assert result is not None
    assert result.workflows == (other, second)
    assert result.attempts == {"build": (first, second), "test": (other,)}


def test_result_can_be_constructed_by_users() -> None:
    """From a pipeline alone, from its workflows, or with an outcome of one's own."""
    done = workflow("success", stopped=1)
    assert PipelineResult(pipeline=pipeline()).outcome == "no_workflows"
    assert PipelineResult(pipeline=pipeline(), workflows=(done,)).succeeded
    assert not PipelineResult(pipeline=pipeline("errored"), workflows=(done,)).succeeded
    assert PipelineResult(pipeline=pipeline(), outcome="failed").outcome == "failed"
    assert hash(PipelineResult(pipeline=pipeline(), workflows=(done,)))


def test_result_does_not_succeed_while_an_attempt_runs() -> None:
    """Also if the newest has succeeded already."""
    both = (workflow("running", id="1"), workflow("success", id="2", created=5, stopped=6))
    result = PipelineResult(pipeline=pipeline(), workflows=both[1:], attempts={"build": both})
    assert result.outcome == "success"
    assert not result.succeeded


# --- single workflows and their jobs --------------------------------------------------------------------------


@pytest.mark.parametrize("status", ["running", "failing", "queued", "on_hold"])
def test_workflow_with_an_active_status_has_not_ended(status: str) -> None:
    """Also if it has `stopped_at`."""
    assert not has_ended(workflow(status, stopped=1))


JOBS: list[tuple[str, tuple[WorkflowJob, ...], str]] = [
    ("no jobs", (), "active"),
    ("an approval waits", HELD, "on_hold"),
    ("another runs", BUSY_AND_HELD, "active"),
    ("all ended", ENDED, "ended"),
    (
        "blocked behind a success: it starts soon",
        (job("success"), job("blocked", name="b", dependencies=("a",))),
        "active",
    ),
    (
        "blocked behind a failure: it never starts",
        (*HELD, job("failed", name="f"), job("blocked", name="g", dependencies=("f",))),
        "on_hold",
    ),
    (
        "blocked behind a failure that it wants",
        (*HELD, job("failed", name="f"), job("blocked", name="g", dependencies=("f",), requires={"f": ("failed",)})),
        "active",
    ),
    (
        "blocked behind any end",
        (*HELD, job("failed", name="f"), job("blocked", name="g", dependencies=("f",), requires={"f": ("terminal",)})),
        "active",
    ),
    ("blocked behind nothing", (*HELD, job("blocked", name="g")), "active"),
    ("a dependency that the list misses", (*HELD, job("blocked", name="g", dependencies=("z",))), "active"),
    (
        "all over but for one that never starts",
        (job("failed"), job("blocked", name="b", dependencies=("a",))),
        "active",
    ),
    ("on hold, but not an approval", (job("on_hold", name="lock", type="lock"),), "active"),
]


@each_row(("title", "jobs", "expected"), JOBS)
def test_jobs_state_finds_what_can_continue(title: str, jobs: tuple[WorkflowJob, ...], expected: str) -> None:
    """By itself, that is without an approval."""
    assert jobs_state(jobs) == expected
