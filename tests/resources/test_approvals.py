"""Approvals by name, over HTTP, on virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from aiocircle import BadRequest, CircleCI, NotFound, ServerError, Unauthorized
from aiocircle.errors import InvalidArgument, NotReady, WaitTimeout
from aiocircle.testing import JobStory, LocalCircleCI, Story, WorkflowStory

WEB = "gh/acme/web"
HOLD = JobStory("hold", type="approval", requires=["test"])
TEST = JobStory("test", 30)
SHIP = JobStory("ship", 5, requires=["hold"])
ABSENT = "7a3d2c52-1e39-4f4c-9b8e-000000000001"


async def workflow(circle: CircleCI, server: LocalCircleCI, *jobs: JobStory, **options: Any) -> str:
    """Start a pipeline of one workflow, and return the workflow's id as soon as it is there."""
    server.script(WEB, Story([WorkflowStory("deploy", jobs or (TEST, HOLD, SHIP), **options)], workflow_delay=0))
    pipeline = server.start_pipeline(WEB, branch="main")
    return (await circle.pipelines.list_workflows(pipeline).collect())[0].id


def approvals(server: LocalCircleCI) -> int:
    return sum(request.method == "POST" for request in server.requests)


def job_of(server: LocalCircleCI, name: str = "hold", **fields: Any) -> None:
    """Let the next list of jobs show one job."""
    job = {"id": ABSENT, "name": name, "type": "approval", "status": "on_hold", **fields}
    server.inject("answer", status=200, body={"items": [job], "next_page_token": None}, path="/workflow/", method="GET")


# --- without a wait -----------------------------------------------------------------------------------------------


async def test_job_that_waits_is_approved(server: LocalCircleCI, circle: CircleCI) -> None:
    """By one request for the jobs, and one POST."""
    workflow_id = await workflow(circle, server)
    await asyncio.sleep(31)
    before = len(server.requests)
    job = await circle.workflows.approve_by_name(workflow_id, "hold")
    assert (job.name, job.is_waiting_for_approval) == ("hold", True)
    assert len(server.requests) - before == 2
    assert [operation for operation, _ in server.changes] == ["workflows.approve"]


async def test_job_that_is_approved_is_returned(server: LocalCircleCI, circle: CircleCI) -> None:
    """Approved already is not an error, also after the end of the workflow."""
    workflow_id = await workflow(circle, server)
    await asyncio.sleep(31)
    await circle.workflows.approve_by_name(workflow_id, "hold")
    for _ in range(2):
        job = await circle.workflows.approve_by_name(workflow_id, "hold")
        assert (job.status, job.approved_by is not None) == ("success", True)
        await asyncio.sleep(60)
    assert approvals(server) == 1


@pytest.mark.parametrize(
    ("jobs", "options", "name", "state"),
    [
        ((TEST, HOLD, SHIP), {}, "no such job", "absent"),
        ((TEST, HOLD, SHIP), {}, "hold", "blocked"),
        ((JobStory("test", 1, status="failed"), HOLD, SHIP), {}, "hold", "over"),
        ((TEST, HOLD, SHIP), {"canceled_after": 2.0}, "hold", "over"),
        ((JobStory("hold", type="approval"), TEST), {"canceled_after": 2.0}, "hold", "over"),
        ((JobStory("test", 1),), {}, "no such job", "over"),
    ],
)
async def test_reasons_differ_in_their_state(
    server: LocalCircleCI,
    circle: CircleCI,
    jobs: tuple[JobStory, ...],
    options: Mapping[str, Any],
    name: str,
    state: str,
) -> None:
    """A job that is absent, waits for others, or will never wait is refused, and nothing is sent."""
    workflow_id = await workflow(circle, server, *jobs, **options)
    await asyncio.sleep(10)
    with pytest.raises(NotReady) as caught:
        await circle.workflows.approve_by_name(workflow_id, name)
    assert caught.value.state == state
    if state == "over":
        with pytest.raises(NotReady):
            await circle.workflows.approve_by_name(workflow_id, name, timeout=None)
    assert approvals(server) == 0


async def test_absent_name_is_listed_with_the_others(server: LocalCircleCI, circle: CircleCI) -> None:
    """A misspelt name is found out from the message."""
    with pytest.raises(NotReady, match="'hold'"):
        await circle.workflows.approve_by_name(await workflow(circle, server), "hodl")


async def test_job_of_another_type_is_an_invalid_argument(server: LocalCircleCI, circle: CircleCI) -> None:
    """It can never be approved."""
    with pytest.raises(InvalidArgument, match="'hold'"):
        await circle.workflows.approve_by_name(await workflow(circle, server), "test", timeout=100)
    assert approvals(server) == 0


@pytest.mark.parametrize(
    "arguments",
    [{"timeout": -1}, {"timeout": "1"}, {"poll_interval": 0}, {"name": ""}, {"name": None}, {"workflow_id": ""}],
    ids=str,
)
async def test_wrong_arguments_send_nothing(server: LocalCircleCI, circle: CircleCI, arguments: dict[str, Any]) -> None:
    """The error names the parameter."""
    with pytest.raises(InvalidArgument, match=next(iter(arguments))):
        await circle.workflows.approve_by_name(**{"workflow_id": ABSENT, "name": "hold", **arguments})
    assert server.requests == []


async def test_absent_workflow_is_not_found(server: LocalCircleCI, circle: CircleCI) -> None:
    """Immediately without a timeout, and otherwise after the time in which it may only just have been created."""
    with pytest.raises(NotFound):
        await circle.workflows.approve_by_name(ABSENT, "hold")
    began = asyncio.get_running_loop().time()
    with pytest.raises(NotFound):
        await circle.workflows.approve_by_name(ABSENT, "hold", timeout=None)
    assert 10 <= asyncio.get_running_loop().time() - began < 20


async def test_error_of_a_read_is_raised_without_a_timeout(server: LocalCircleCI, circle: CircleCI) -> None:
    """After the retries of the client."""
    server.inject("503", times=100, path="/workflow/")
    with pytest.raises(ServerError):
        await circle.workflows.approve_by_name(ABSENT, "hold")


# --- with a wait --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("timeout", [100, None])
async def test_wait_approves_as_soon_as_it_can(server: LocalCircleCI, circle: CircleCI, timeout: float | None) -> None:
    """From a workflow that has no jobs yet, through failing polls, to one POST."""
    workflow_id = await workflow(circle, server)
    server.inject("404", path="/workflow/", times=1)
    server.inject("503", path="/workflow/", times=6)
    began = asyncio.get_running_loop().time()
    job = await circle.workflows.approve_by_name(workflow_id, "hold", timeout=timeout)
    assert job.is_waiting_for_approval
    assert 29 <= asyncio.get_running_loop().time() - began < 60
    assert approvals(server) == 1


async def test_deadline_raises_the_last_state(server: LocalCircleCI, circle: CircleCI) -> None:
    """The job, or None if there was none."""
    workflow_id = await workflow(circle, server)
    with pytest.raises(WaitTimeout, match="blocked") as caught:
        await circle.workflows.approve_by_name(workflow_id, "hold", timeout=10)
    assert caught.value.state.name == "hold"
    with pytest.raises(WaitTimeout) as caught:
        await circle.workflows.approve_by_name(workflow_id, "hodl", timeout=5, poll_interval=1)
    assert caught.value.state is None
    assert approvals(server) == 0


async def test_poll_interval_replaces_the_pauses(server: LocalCircleCI, circle: CircleCI) -> None:
    """A poll of a job that is blocked is two requests."""
    workflow_id = await workflow(circle, server)
    before = len(server.requests)
    with pytest.raises(WaitTimeout):
        await circle.workflows.approve_by_name(workflow_id, "hold", timeout=20, poll_interval=10)
    assert len(server.requests) - before in (6, 8)


async def test_401_ends_the_wait(server: LocalCircleCI, circle: CircleCI) -> None:
    """A later poll would meet it again."""
    workflow_id = await workflow(circle, server)
    server.inject("401", path="/workflow/")
    with pytest.raises(Unauthorized):
        await circle.workflows.approve_by_name(workflow_id, "hold", timeout=None)


async def test_job_approved_between_two_reads_is_returned(server: LocalCircleCI, circle: CircleCI) -> None:
    """The list of jobs was read before the approval, and the workflow after its end."""
    workflow_id = await workflow(circle, server, JobStory("hold", type="approval", approved_after=1), TEST)
    await asyncio.sleep(60)
    job_of(server, status="blocked")
    assert (await circle.workflows.approve_by_name(workflow_id, "hold")).status == "success"


# --- the POST -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [400, 404, 409, 410])
async def test_refused_approval_is_read_again(server: LocalCircleCI, circle: CircleCI, status: int) -> None:
    """If the job still waits, the error is raised."""
    workflow_id = await workflow(circle, server, JobStory("hold", type="approval"), SHIP)
    await asyncio.sleep(1)
    server.inject("answer", status=status, body={"message": "no"}, method="POST")
    with pytest.raises(Exception, match="no") as caught:
        await circle.workflows.approve_by_name(workflow_id, "hold", timeout=100)
    assert getattr(caught.value, "status", None) == status
    assert approvals(server) == 1


async def test_approval_by_another_meanwhile_is_returned(server: LocalCircleCI, circle: CircleCI) -> None:
    """The 400 of the second POST is not an error."""
    workflow_id = await workflow(circle, server, JobStory("hold", type="approval"), SHIP)
    await asyncio.sleep(1)
    jobs = await asyncio.gather(*[circle.workflows.approve_by_name(workflow_id, "hold") for _ in range(5)])
    assert {job.name for job in jobs} == {"hold"}
    assert len(server.changes) == 1


async def test_cancellation_in_the_meantime_is_not_ready(server: LocalCircleCI, circle: CircleCI) -> None:
    """The refusal is the cause."""
    workflow_id = await workflow(circle, server, JobStory("hold", type="approval"), SHIP, canceled_after=1.0)
    await asyncio.sleep(5)
    job_of(server)
    with pytest.raises(NotReady) as caught:
        await circle.workflows.approve_by_name(workflow_id, "hold")
    assert caught.value.state == "over"
    assert isinstance(caught.value.__cause__, NotFound | BadRequest)


@pytest.mark.parametrize("stage", ["before", "after"])
async def test_approval_of_unknown_outcome_is_sent_once(server: LocalCircleCI, circle: CircleCI, stage: Any) -> None:
    """A wait does not send it again either."""
    workflow_id = await workflow(circle, server, JobStory("hold", type="approval"), SHIP)
    await asyncio.sleep(1)
    server.inject("503", method="POST", stage=stage)
    with pytest.raises(ServerError) as caught:
        await circle.workflows.approve_by_name(workflow_id, "hold", timeout=None)
    assert caught.value.outcome == "unknown"
    assert approvals(server) == 1
