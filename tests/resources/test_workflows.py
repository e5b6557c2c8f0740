"""Workflows and their jobs, over real HTTP."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

import pytest

from aiocircle import errors
from aiocircle.resources.workflows import JobStatus, Rerun, Workflow, WorkflowJob, WorkflowStatus

WORKFLOW = "3f9a0ad1-7b8e-4a55-9d0e-6f0a3b1c2d4e"
JOB = "0d5f6c9e-1f1c-4a4e-8a0e-52b07a0a4f11"
OTHER_JOB = "9b1b7e0c-6c1e-4c59-a0c5-7e8b7f3f1a22"


async def a_workflow(circle, **wanted):
    """The first workflow that has these fields."""
    async for pipeline in circle.pipelines.list_for_project("gh/acme/web"):
        async for workflow in circle.pipelines.list_workflows(pipeline.id):
            if all(getattr(workflow, name) == value for name, value in wanted.items()):
                return workflow
    raise AssertionError(wanted)


def wire(**changes):
    return {
        "id": WORKFLOW,
        "name": "build",
        "status": "success",
        "pipeline_id": JOB,
        "pipeline_number": 7,
        "project_slug": "gh/acme/web",
        "started_by": JOB,
        "created_at": "2026-11-20T10:00:00Z",
        "stopped_at": "2026-11-20T10:05:00Z",
    } | changes


def wire_job(**changes):
    return {
        "id": JOB,
        "name": "test",
        "type": "build",
        "status": "success",
        "project_slug": "gh/acme/web",
        "dependencies": [],
        "job_number": 12,
        "started_at": "2026-11-20T10:00:00Z",
        "stopped_at": "2026-11-20T10:05:00Z",
    } | changes


async def test_workflow_by_id(circle):
    """A workflow is found by its id, as text or UUID."""
    workflow = await a_workflow(circle)
    assert await circle.workflows.get(workflow.id) == workflow
    assert await circle.workflows.get(UUID(workflow.id)) == workflow
    assert workflow.project_slug == "gh/acme/web"


async def test_jobs_of_a_workflow(circle, arrived):
    """The jobs of a workflow are listed, and a page token continues the list."""
    workflow = await a_workflow(circle)
    jobs = await circle.workflows.list_jobs(workflow.id).collect()
    assert jobs
    assert all(isinstance(job, WorkflowJob) for job in jobs)
    page = circle.workflows.list_jobs(workflow.id, page_token="kept")
    with pytest.raises(errors.APIError):
        await page.first()
    assert arrived().query == [("page-token", "kept")]


async def test_approval_by_its_request_id(circle):
    """A job that waits is approved by the id of its approval request."""
    workflow = await a_workflow(circle, status="on_hold")
    jobs = await circle.workflows.list_jobs(workflow.id).collect()
    [waiting] = [job for job in jobs if job.is_waiting_for_approval]
    assert await circle.workflows.approve(workflow.id, waiting.approval_request_id) is None
    [approved] = [job for job in await circle.workflows.list_jobs(workflow.id).collect() if job.id == waiting.id]
    assert approved.is_finished
    assert approved.approved_by
    assert approved.approval_request_id is None


async def test_cancel_returns_none(circle):
    """cancel() returns None."""
    workflow = await a_workflow(circle, status="on_hold")
    assert await circle.workflows.cancel(workflow.id) is None
    canceled = await circle.workflows.get(workflow.id)
    assert canceled.status == WorkflowStatus.CANCELED
    assert canceled.canceled_by


async def test_rerun_of_all_jobs(circle):
    """A rerun of all jobs sends an empty object."""
    workflow = await a_workflow(circle, status="success")
    rerun = await circle.workflows.rerun(workflow.id)
    assert rerun.workflow_id != workflow.id
    assert (await circle.workflows.get(rerun.workflow_id)).name == workflow.name


async def test_rerun_sends_only_given_fields(circle, answer, arrived):
    """A rerun sends the given fields and no others."""
    answer({"workflow_id": WORKFLOW}, 202)
    assert await circle.workflows.rerun(WORKFLOW, from_failed=False) == Rerun(workflow_id=WORKFLOW)
    assert arrived().json == {"from_failed": False}
    answer({"workflow_id": WORKFLOW}, 202)
    await circle.workflows.rerun(WORKFLOW, jobs=[JOB, UUID(OTHER_JOB)], enable_ssh=True, sparse_tree=True)
    assert arrived().json == {"jobs": [JOB, OTHER_JOB], "enable_ssh": True, "sparse_tree": True}


@pytest.mark.parametrize("job", [JOB, UUID(JOB)])
async def test_single_job_to_rerun_is_an_array(circle, answer, arrived, job):
    """A single job to rerun is sent as an array of one."""
    answer({"workflow_id": WORKFLOW}, 202)
    await circle.workflows.rerun(WORKFLOW, jobs=job)
    assert arrived().json == {"jobs": [JOB]}


@pytest.mark.parametrize("status", ["success", "not_run", "failed", "error", "canceled", "unauthorized"])
async def test_terminal_status_is_finished(circle, answer, status):
    """A workflow with a terminal status is finished, also without a time."""
    answer(wire(status=status, stopped_at=None))
    assert (await circle.workflows.get(WORKFLOW)).is_finished


@pytest.mark.parametrize("status", ["running", "failing", "on_hold"])
async def test_active_status_is_not_finished(circle, answer, status):
    """A workflow with an active status is not finished."""
    answer(wire(status=status, stopped_at=None))
    assert not (await circle.workflows.get(WORKFLOW)).is_finished


def test_each_status_is_active_or_terminal():
    """Each known status is either active or terminal."""
    under_way = {"running", "failing", "on_hold"}
    at = datetime(2026, 11, 20, tzinfo=UTC)
    fields = {"name": "n", "pipeline_id": "p", "pipeline_number": 1, "project_slug": "s", "created_at": at}
    assert {each for each in WorkflowStatus if not Workflow(status=each, **fields).is_finished} == under_way


async def test_unknown_status_is_finished_when_stopped(circle, answer):
    """An unknown status is kept as text, and finished once the workflow has stopped."""
    answer(wire(status="paused", stopped_at=None))
    workflow = await circle.workflows.get(WORKFLOW)
    assert workflow.status == "paused"
    assert not workflow.is_finished
    answer(wire(status="archived"))
    assert (await circle.workflows.get(WORKFLOW)).is_finished


async def test_workflow_may_lack_fields(circle, answer):
    """Fields that are missing are None."""
    answer(wire(stopped_at=None, started_by=None))
    workflow = await circle.workflows.get(WORKFLOW)
    assert workflow.stopped_at is None
    assert workflow.started_by is None
    assert (workflow.tag, workflow.canceled_by, workflow.errored_by) == (None, None, None)
    assert (workflow.auto_rerun_number, workflow.max_auto_reruns) == (None, None)
    assert not workflow.is_setup


async def test_rare_fields_of_a_workflow_are_read(circle, answer):
    """Fields that are rarely present are read."""
    answer(wire(tag="setup", canceled_by=JOB, errored_by=JOB, auto_rerun_number=1, max_auto_reruns=3))
    workflow = await circle.workflows.get(WORKFLOW)
    assert workflow.is_setup
    assert (workflow.canceled_by, workflow.errored_by) == (JOB, JOB)
    assert (workflow.auto_rerun_number, workflow.max_auto_reruns) == (1, 3)


async def test_workflow_without_an_id(circle, server, answer):
    """A workflow without an id does not fail its page, and cannot be requested."""
    answer({"items": [wire(), wire(id=None, status="error")], "next_page_token": None})
    first, second = await circle.pipelines.list_workflows(JOB).collect()
    assert first.id == WORKFLOW
    assert second.id == ""
    sent = len(server.requests)
    with pytest.raises(errors.InvalidArgument, match="empty"):
        await circle.workflows.get(second.id)
    assert len(server.requests) == sent


async def test_approval_job_has_no_number(circle, answer):
    """An approval job has no number and no times."""
    job = wire_job(type="approval", status="on_hold", started_at=None, approval_request_id=OTHER_JOB)
    del job["job_number"], job["stopped_at"]
    answer({"items": [job | {"created_at": "2026-11-20T10:00:00Z"}], "next_page_token": None})
    [approval] = await circle.workflows.list_jobs(WORKFLOW).collect()
    assert (approval.job_number, approval.started_at, approval.stopped_at) == (None, None, None)
    assert approval.created_at == datetime(2026, 11, 20, 10, tzinfo=UTC)
    assert approval.approval_request_id == OTHER_JOB
    assert approval.is_waiting_for_approval
    assert not approval.is_finished


async def test_approved_job_may_lack_its_request(circle, answer):
    """An approved job may lack the id of its approval request."""
    answer({"items": [wire_job(type="approval", approved_by=OTHER_JOB, job_number=None)], "next_page_token": None})
    [approved] = await circle.workflows.list_jobs(WORKFLOW).collect()
    assert approved.approved_by == OTHER_JOB
    assert approved.approval_request_id is None
    assert not approved.is_waiting_for_approval


async def test_requirements_keep_their_keys(circle, answer):
    """The ids that are keys of a job's requirements stay unchanged."""
    requires = {OTHER_JOB: ["success", "failed"], "some-other-id": ["canceled"]}
    answer({"items": [wire_job(dependencies=[OTHER_JOB], requires=requires)], "next_page_token": None})
    [job] = await circle.workflows.list_jobs(WORKFLOW).collect()
    assert job.dependencies == (OTHER_JOB,)
    assert job.requires == {OTHER_JOB: ("success", "failed"), "some-other-id": ("canceled",)}


@pytest.mark.parametrize("kind", ["release", "no-op", "lock", "unlock", "teleport"])
async def test_unknown_job_type_is_kept(circle, answer, kind):
    """An unknown type of a job is kept as text."""
    answer({"items": [wire_job(type=kind)], "next_page_token": None})
    [job] = await circle.workflows.list_jobs(WORKFLOW).collect()
    assert job.type == kind


@pytest.mark.parametrize(
    ("status", "finished"),
    [(each, each not in {"running", "queued", "not_running", "on_hold", "blocked"}) for each in JobStatus],
)
async def test_job_is_finished_in_terminal_statuses(circle, answer, status, finished):
    """A job is finished in each terminal status."""
    answer({"items": [wire_job(status=status.value, stopped_at=None)], "next_page_token": None})
    [job] = await circle.workflows.list_jobs(WORKFLOW).collect()
    assert job.is_finished is finished


async def test_slash_in_an_id_is_encoded(circle, arrived):
    """A slash in an id stays within its path segment."""
    with pytest.raises(errors.APIError):
        await circle.workflows.get("../project/gh/acme/web")
    assert arrived().path == "/workflow/..%2Fproject%2Fgh%2Facme%2Fweb"


async def test_unknown_workflow_is_not_found(circle):
    """An unknown workflow raises NotFound."""
    with pytest.raises(errors.NotFound):
        await circle.workflows.get(WORKFLOW)
