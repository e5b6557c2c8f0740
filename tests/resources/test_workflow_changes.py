"""Reruns of what failed, and cancellations of what is redundant, over HTTP, on virtual time."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from aiocircle import CircleCI, CircleCIError, Unauthorized
from aiocircle.errors import ChangeErrors, InvalidArgument, NotReady
from aiocircle.testing import JobStory, LocalCircleCI, Story, WorkflowStory

WEB = "gh/acme/web"
FAILS = JobStory("test", 10, status="failed")
PASSES = JobStory("test", 10)
LONG = JobStory("test", 3600)


async def finished(server: LocalCircleCI, circle: CircleCI, *workflows: WorkflowStory, branch: str = "main") -> str:
    """Start a pipeline, wait until its first runs have ended, and return its id."""
    server.script(WEB, Story(workflows))
    pipeline = server.start_pipeline(WEB, branch=branch)
    await asyncio.sleep(12)
    return pipeline


def sent(server: LocalCircleCI, operation: str) -> int:
    return sum(request.method == "POST" and operation in request.path for request in server.requests)


# --- rerun_failed -------------------------------------------------------------------------------------------------


async def test_what_failed_is_rerun_once(server: LocalCircleCI, circle: CircleCI) -> None:
    """From failed, on the newest pipeline of the branch. The new workflow is returned."""
    await finished(server, circle, WorkflowStory("old", [FAILS]))
    pipeline = await finished(server, circle, WorkflowStory("a", [FAILS]), WorkflowStory("b", [PASSES]))
    (new,) = await circle.workflows.rerun_failed(WEB, branch="main")
    assert (new.name, new.pipeline_id) == ("a", pipeline)
    assert [request.json for request in server.requests if request.method == "POST"] == [{"from_failed": True}]
    await asyncio.sleep(20)
    assert await circle.workflows.rerun_failed(WEB, branch="main") == ()
    assert sent(server, "rerun") == 1


async def test_attempts_of_others_count(server: LocalCircleCI, circle: CircleCI) -> None:
    """Those of people and those of CircleCI; `at_most` is a number of attempts after the first."""
    await finished(server, circle, WorkflowStory("a", [FAILS], max_auto_reruns=1), WorkflowStory("b", [FAILS]))
    await asyncio.sleep(60)
    new = await circle.workflows.rerun_failed(WEB, branch="main", at_most=1)
    assert [workflow.name for workflow in new] == ["b"]
    await asyncio.sleep(60)
    new = await circle.workflows.rerun_failed(WEB, branch="main", at_most=2)
    assert sorted(workflow.name for workflow in new) == ["a", "b"]
    assert sent(server, "rerun") == 3
    assert await circle.workflows.rerun_failed(WEB, branch="main", at_most=0) == ()


async def test_automatic_rerun_is_left_to_circleci(server: LocalCircleCI, circle: CircleCI) -> None:
    """For 60 s after the end of the run."""
    await finished(server, circle, WorkflowStory("a", [FAILS], max_auto_reruns=1, auto_rerun_delay=None))
    assert await circle.workflows.rerun_failed(WEB, branch="main") == ()
    await asyncio.sleep(61)
    assert len(await circle.workflows.rerun_failed(WEB, branch="main")) == 1


async def test_branch_without_failures_is_left_alone(server: LocalCircleCI, circle: CircleCI) -> None:
    """Running and canceled workflows, and a branch without pipelines, are left alone."""
    await finished(server, circle, WorkflowStory("a", [LONG]), WorkflowStory("b", [PASSES], canceled_after=1.0))
    for branch in ("main", "none"):
        assert await circle.workflows.rerun_failed(WEB, branch=branch) == ()
    assert sent(server, "rerun") == 0


async def test_client_and_copies_rerun_once(server: LocalCircleCI, circle: CircleCI) -> None:
    """Also if they do it at the same time, and after an unknown outcome."""
    await finished(server, circle, WorkflowStory("a", [FAILS]))
    clients = [circle, circle, circle.with_options(timeout=10)]
    found = await asyncio.gather(*[each.workflows.rerun_failed(WEB, branch="main", at_most=9) for each in clients])
    assert sorted(map(len, found)) == [0, 0, 1]
    await finished(server, circle, WorkflowStory("b", [FAILS]), branch="dev")
    server.inject("503", method="POST")
    with pytest.raises(ChangeErrors) as caught:
        await circle.workflows.rerun_failed(WEB, branch="dev", at_most=9)
    assert (caught.value.exceptions[0].outcome, caught.value.done) == ("unknown", ())  # type: ignore[attr-defined]
    assert await circle.with_options().workflows.rerun_failed(WEB, branch="dev", at_most=9) == ()
    assert sent(server, "rerun") == 2


async def test_refused_rerun_stops_no_other(server: LocalCircleCI, circle: CircleCI) -> None:
    """`done` has the others, and the refused one can be tried again."""
    await finished(server, circle, WorkflowStory("a", [FAILS]), WorkflowStory("b", [FAILS]))
    server.inject("400", method="POST")
    with pytest.raises(ChangeErrors) as caught:
        await circle.workflows.rerun_failed(WEB, branch="main")
    assert (len(caught.value.done), len(caught.value.exceptions), caught.value.outcome) == (1, 1, "done")
    assert len(await circle.workflows.rerun_failed(WEB, branch="main")) == 1


async def test_401_ends_the_changes(server: LocalCircleCI, circle: CircleCI) -> None:
    """With what was changed in its items."""
    await finished(server, circle, *[WorkflowStory(name, [FAILS]) for name in "abc"])
    server.inject("headers", method="POST")
    server.inject("401", method="POST")
    with pytest.raises(Unauthorized) as caught:
        await circle.workflows.rerun_failed(WEB, branch="main")
    assert len(caught.value.items) == 1
    assert sent(server, "rerun") == 2


async def test_rerun_without_an_id_is_looked_for(server: LocalCircleCI, circle: CircleCI) -> None:
    """In the list of the pipeline, for 60 s."""
    pipeline = await finished(server, circle, WorkflowStory("a", [FAILS], list_lag=20.0))
    await asyncio.sleep(20)
    server.inject("answer", method="POST", status=202, body={"message": "Accepted."}, stage="after")
    (new,) = await circle.workflows.rerun_failed(WEB, branch="main")
    listed = await circle.pipelines.list_workflows(pipeline).collect()
    assert new.id == listed[0].id


async def test_rerun_that_stays_invisible_is_done(server: LocalCircleCI, circle: CircleCI) -> None:
    """It is not rerun again."""
    await finished(server, circle, WorkflowStory("a", [FAILS]))
    server.inject("answer", method="POST", status=202, body={"message": "Accepted."})
    with pytest.raises(ChangeErrors) as caught:
        await circle.workflows.rerun_failed(WEB, branch="main")
    (error,) = caught.value.exceptions
    assert isinstance(error, NotReady)
    assert error.outcome == "done"
    assert await circle.workflows.rerun_failed(WEB, branch="main") == ()
    assert sent(server, "rerun") == 1


# --- cancel_redundant ---------------------------------------------------------------------------------------------


async def start_many(
    server: LocalCircleCI, count: int, *workflows: WorkflowStory, branch: str = "release"
) -> list[str]:
    ids = []
    for _ in range(count):
        server.script(WEB, Story(workflows or (WorkflowStory("a", [LONG]),)))
        ids.append(server.start_pipeline(WEB, branch=branch))
        await asyncio.sleep(1)
    await asyncio.sleep(5)
    return ids


async def running(circle: CircleCI, ids: list[str]) -> list[bool]:
    listed = [await circle.pipelines.list_workflows(each).collect() for each in ids]
    return [any(not workflow.is_finished for workflow in workflows) for workflows in listed]


@pytest.mark.parametrize(("keep", "left"), [(1, 1), (0, 0), (3, 3), (9, 4)])
async def test_all_but_the_newest_are_canceled(server: LocalCircleCI, circle: CircleCI, keep: int, left: int) -> None:
    """Each workflow by itself, also those on hold. Another branch is left alone."""
    jobs = [JobStory("hold", type="approval")]
    ids = await start_many(
        server, 4, WorkflowStory("a", [LONG]), WorkflowStory("b", jobs), WorkflowStory("c", [PASSES])
    )
    other = await start_many(server, 1, branch="dev")
    await asyncio.sleep(10)
    gone = await circle.pipelines.cancel_redundant(WEB, branch="release", keep=keep)
    assert len(gone) == 2 * (4 - left)
    assert {workflow.pipeline_id for workflow in gone} == {*ids[: 4 - left]}
    assert await running(circle, ids) == [False] * (4 - left) + [True] * left
    assert await running(circle, other) == [True]
    assert await circle.pipelines.cancel_redundant(WEB, branch="release", keep=keep) == ()


async def test_pipelines_without_work_are_not_kept(server: LocalCircleCI, circle: CircleCI) -> None:
    """One whose configuration failed, and an old one without a workflow, do not protect others less."""
    ids = await start_many(server, 2)
    server.script(WEB, Story([], errors=[("config", "wrong")]), Story([]))
    server.start_pipeline(WEB, branch="release")
    server.start_pipeline(WEB, branch="release")
    await asyncio.sleep(70)
    gone = await circle.pipelines.cancel_redundant(WEB, branch="release")
    assert [workflow.pipeline_id for workflow in gone] == ids[:1]
    assert await running(circle, ids) == [False, True]


async def test_since_bounds_the_list(server: LocalCircleCI, circle: CircleCI) -> None:
    """Older pipelines are left alone. All pages are read before the first change."""
    ids = await start_many(server, 2)
    boundary = datetime.now(UTC) + timedelta(days=2)
    assert await circle.pipelines.cancel_redundant(WEB, branch="release", keep=0, since=boundary) == ()
    before = len(server.requests)
    await circle.pipelines.cancel_redundant(WEB, branch="release", keep=0)
    requests = server.requests[before:]
    first = next(index for index, request in enumerate(requests) if request.method == "POST")
    assert not any(request.path.endswith("/pipeline") for request in requests[first:])
    assert await running(circle, ids) == [False, False]


async def test_refused_cancellation_stops_no_other(server: LocalCircleCI, circle: CircleCI) -> None:
    """`done` has those that were canceled."""
    await start_many(server, 3)
    server.inject("403", method="POST")
    with pytest.raises(ChangeErrors) as caught:
        await circle.pipelines.cancel_redundant(WEB, branch="release", keep=0)
    assert (len(caught.value.done), len(caught.value.exceptions)) == (2, 1)
    assert sent(server, "cancel") == 3


async def test_workflow_that_ended_meanwhile_is_skipped(server: LocalCircleCI, circle: CircleCI) -> None:
    """It is not in the tuple either."""
    (pipeline,) = await start_many(server, 1, WorkflowStory("a", [JobStory("test", 30)]))
    path = f"/api/v2/pipeline/{pipeline}/workflow"
    stale = await circle.request("GET", path)
    await asyncio.sleep(60)
    server.inject("answer", status=200, body=stale, path=path)
    server.inject("400", method="POST")
    assert await circle.pipelines.cancel_redundant(WEB, branch="release", keep=0) == ()
    server.inject("answer", status=200, body=stale, path=path)
    server.inject("400", method="POST")
    server.inject("500", times=9, method="GET", path="/workflow/")
    with pytest.raises(ChangeErrors):
        await circle.pipelines.cancel_redundant(WEB, branch="release", keep=0)


@pytest.mark.parametrize(
    ("method", "arguments"),
    [
        ("cancel_redundant", {"keep": -1}),
        ("cancel_redundant", {"keep": True}),
        ("cancel_redundant", {"branch": None}),
        ("cancel_redundant", {"branch": ""}),
        ("cancel_redundant", {"since": datetime(2026, 1, 1)}),
        ("rerun_failed", {"at_most": 1.5}),
        ("rerun_failed", {"branch": None}),
    ],
)
async def test_wrong_arguments_change_nothing(
    server: LocalCircleCI, circle: CircleCI, method: str, arguments: dict[str, Any]
) -> None:
    """None for a branch does not mean all of them."""
    group: Any = circle.pipelines if method == "cancel_redundant" else circle.workflows
    with pytest.raises(InvalidArgument, match=next(iter(arguments))):
        await getattr(group, method)(WEB, **{"branch": "release", **arguments})
    with pytest.raises(CircleCIError, match=r"project|slug"):
        await getattr(group, method)("not a project", branch="release")
    assert server.requests == []
