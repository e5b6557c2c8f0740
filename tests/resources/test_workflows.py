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


async def test_a_workflow_is_found_by_id_as_text_or_uuid(circle):
    workflow = await a_workflow(circle)
    assert await circle.workflows.get(workflow.id) == workflow
    assert await circle.workflows.get(UUID(workflow.id)) == workflow
    assert workflow.project_slug == "gh/acme/web"


async def test_a_workflows_jobs_are_listed_and_a_page_token_resumes(circle, arrived):
    workflow = await a_workflow(circle)
    jobs = await circle.workflows.list_jobs(workflow.id).collect()
    assert jobs
    assert all(isinstance(job, WorkflowJob) for job in jobs)
    page = circle.workflows.list_jobs(workflow.id, page_token="kept")
    with pytest.raises(errors.APIError):
        await page.first()
    assert arrived().query == [("page-token", "kept")]


async def test_a_waiting_job_is_approved_by_its_approval_request(circle):
    workflow = await a_workflow(circle, status="on_hold")
    jobs = await circle.workflows.list_jobs(workflow.id).collect()
    [waiting] = [job for job in jobs if job.is_waiting_for_approval]
    assert await circle.workflows.approve(workflow.id, waiting.approval_request_id) is None
    [approved] = [job for job in await circle.workflows.list_jobs(workflow.id).collect() if job.id == waiting.id]
    assert approved.is_finished
    assert approved.approved_by
    assert approved.approval_request_id is None


async def test_a_cancel_is_only_confirmed(circle):
    workflow = await a_workflow(circle, status="on_hold")
    assert await circle.workflows.cancel(workflow.id) is None
    canceled = await circle.workflows.get(workflow.id)
    assert canceled.status == WorkflowStatus.CANCELED
    assert canceled.canceled_by


async def test_a_rerun_of_all_sends_an_empty_object(circle):
    workflow = await a_workflow(circle, status="success")
    rerun = await circle.workflows.rerun(workflow.id)
    assert rerun.workflow_id != workflow.id
    assert (await circle.workflows.get(rerun.workflow_id)).name == workflow.name


async def test_a_rerun_sends_what_was_given_and_nothing_else(circle, answer, arrived):
    answer({"workflow_id": WORKFLOW}, 202)
    assert await circle.workflows.rerun(WORKFLOW, from_failed=False) == Rerun(workflow_id=WORKFLOW)
    assert arrived().json == {"from_failed": False}
    answer({"workflow_id": WORKFLOW}, 202)
    await circle.workflows.rerun(WORKFLOW, jobs=[JOB, UUID(OTHER_JOB)], enable_ssh=True, sparse_tree=True)
    assert arrived().json == {"jobs": [JOB, OTHER_JOB], "enable_ssh": True, "sparse_tree": True}


@pytest.mark.parametrize("job", [JOB, UUID(JOB)])
async def test_one_job_to_rerun_may_stand_by_itself(circle, answer, arrived, job):
    answer({"workflow_id": WORKFLOW}, 202)
    await circle.workflows.rerun(WORKFLOW, jobs=job)
    assert arrived().json == {"jobs": [JOB]}


@pytest.mark.parametrize("status", ["success", "not_run", "failed", "error", "canceled", "unauthorized"])
async def test_every_way_to_end_is_finished_also_without_a_stopped_at(circle, answer, status):
    answer(wire(status=status, stopped_at=None))
    assert (await circle.workflows.get(WORKFLOW)).is_finished


@pytest.mark.parametrize("status", ["running", "failing", "on_hold"])
async def test_what_is_under_way_is_not_finished(circle, answer, status):
    answer(wire(status=status, stopped_at=None))
    assert not (await circle.workflows.get(WORKFLOW)).is_finished


def test_the_known_statuses_are_either_under_way_or_over():
    under_way = {"running", "failing", "on_hold"}
    at = datetime(2026, 11, 20, tzinfo=UTC)
    fields = {"name": "n", "pipeline_id": "p", "pipeline_number": 1, "project_slug": "s", "created_at": at}
    assert {each for each in WorkflowStatus if not Workflow(status=each, **fields).is_finished} == under_way


async def test_a_status_of_tomorrow_is_kept_and_finished_once_it_stopped(circle, answer):
    answer(wire(status="paused", stopped_at=None))
    workflow = await circle.workflows.get(WORKFLOW)
    assert workflow.status == "paused"
    assert not workflow.is_finished
    answer(wire(status="archived"))
    assert (await circle.workflows.get(WORKFLOW)).is_finished


async def test_the_fields_that_may_be_missing_are_none(circle, answer):
    answer(wire(stopped_at=None, started_by=None))
    workflow = await circle.workflows.get(WORKFLOW)
    assert workflow.stopped_at is None
    assert workflow.started_by is None
    assert (workflow.tag, workflow.canceled_by, workflow.errored_by) == (None, None, None)
    assert (workflow.auto_rerun_number, workflow.max_auto_reruns) == (None, None)
    assert not workflow.is_setup


async def test_the_fields_that_are_there_sometimes_are_read(circle, answer):
    answer(wire(tag="setup", canceled_by=JOB, errored_by=JOB, auto_rerun_number=1, max_auto_reruns=3))
    workflow = await circle.workflows.get(WORKFLOW)
    assert workflow.is_setup
    assert (workflow.canceled_by, workflow.errored_by) == (JOB, JOB)
    assert (workflow.auto_rerun_number, workflow.max_auto_reruns) == (1, 3)


async def test_a_workflow_without_an_id_does_not_fail_its_page_and_cannot_be_asked_for(circle, server, answer):
    answer({"items": [wire(), wire(id=None, status="error")], "next_page_token": None})
    first, second = await circle.pipelines.list_workflows(JOB).collect()
    assert first.id == WORKFLOW
    assert second.id == ""
    sent = len(server.requests)
    with pytest.raises(errors.InvalidArgument, match="empty"):
        await circle.workflows.get(second.id)
    assert len(server.requests) == sent


async def test_an_approval_job_has_no_number_and_no_times(circle, answer):
    job = wire_job(type="approval", status="on_hold", started_at=None, approval_request_id=OTHER_JOB)
    del job["job_number"], job["stopped_at"]
    answer({"items": [job | {"created_at": "2026-11-20T10:00:00Z"}], "next_page_token": None})
    [approval] = await circle.workflows.list_jobs(WORKFLOW).collect()
    assert (approval.job_number, approval.started_at, approval.stopped_at) == (None, None, None)
    assert approval.created_at == datetime(2026, 11, 20, 10, tzinfo=UTC)
    assert approval.approval_request_id == OTHER_JOB
    assert approval.is_waiting_for_approval
    assert not approval.is_finished


async def test_an_approved_job_may_have_lost_its_approval_request(circle, answer):
    answer({"items": [wire_job(type="approval", approved_by=OTHER_JOB, job_number=None)], "next_page_token": None})
    [approved] = await circle.workflows.list_jobs(WORKFLOW).collect()
    assert approved.approved_by == OTHER_JOB
    assert approved.approval_request_id is None
    assert not approved.is_waiting_for_approval


async def test_a_jobs_requirements_keep_the_ids_as_keys(circle, answer):
    requires = {OTHER_JOB: ["success", "failed"], "some-other-id": ["canceled"]}
    answer({"items": [wire_job(dependencies=[OTHER_JOB], requires=requires)], "next_page_token": None})
    [job] = await circle.workflows.list_jobs(WORKFLOW).collect()
    assert job.dependencies == (OTHER_JOB,)
    assert job.requires == {OTHER_JOB: ("success", "failed"), "some-other-id": ("canceled",)}


@pytest.mark.parametrize("kind", ["release", "no-op", "lock", "unlock", "teleport"])
async def test_a_job_may_have_a_type_that_the_document_does_not_know(circle, answer, kind):
    answer({"items": [wire_job(type=kind)], "next_page_token": None})
    [job] = await circle.workflows.list_jobs(WORKFLOW).collect()
    assert job.type == kind


@pytest.mark.parametrize(
    ("status", "finished"),
    [(each, each not in {"running", "queued", "not_running", "on_hold", "blocked"}) for each in JobStatus],
)
async def test_a_job_is_finished_in_every_status_that_does_not_change_any_more(circle, answer, status, finished):
    answer({"items": [wire_job(status=status.value, stopped_at=None)], "next_page_token": None})
    [job] = await circle.workflows.list_jobs(WORKFLOW).collect()
    assert job.is_finished is finished


async def test_a_slash_in_an_id_stays_inside_its_segment(circle, arrived):
    with pytest.raises(errors.APIError):
        await circle.workflows.get("../project/gh/acme/web")
    assert arrived().path == "/workflow/..%2Fproject%2Fgh%2Facme%2Fweb"


async def test_an_unknown_workflow_is_not_found(circle):
    with pytest.raises(errors.NotFound):
        await circle.workflows.get(WORKFLOW)
