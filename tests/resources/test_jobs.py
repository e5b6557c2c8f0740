"""Jobs, their artifacts and tests, over real HTTP."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

import pytest

from aiocircle import ProjectSlug, errors
from aiocircle.resources.jobs import Artifact, Job, JobMessage, JobStatus, JobTest, JobTestResult, ParallelRun

JOB = "0d5f6c9e-1f1c-4a4e-8a0e-52b07a0a4f11"
WEB = "gh/acme/web"


async def a_job(circle, **wanted):
    """The first listed job that has a number and these fields."""
    async for pipeline in circle.pipelines.list_for_project(WEB):
        async for workflow in circle.pipelines.list_workflows(pipeline.id):
            async for job in circle.workflows.list_jobs(workflow.id):
                if job.job_number and all(getattr(job, name) == value for name, value in wanted.items()):
                    return job
    raise AssertionError(wanted)


def wire(**changes):
    return {
        "web_url": "https://app.circleci.com/x",
        "project": {"slug": WEB, "name": "web", "external_url": "https://github.com/acme/web"},
        "parallel_runs": [{"index": 0, "status": "success"}],
        "started_at": "2026-11-20T10:00:00.123Z",
        "latest_workflow": {"id": JOB, "name": "build"},
        "name": "test",
        "executor": {"resource_class": "medium", "type": "docker"},
        "parallelism": 1,
        "status": "success",
        "number": 12,
        "pipeline": {"id": JOB},
        "duration": 5123,
        "created_at": "2026-11-20T09:59:58Z",
        "messages": [],
        "contexts": [{"name": "registry"}],
        "organization": {"name": "acme"},
        "queued_at": "2026-11-20T09:59:59Z",
        "stopped_at": "2026-11-20T10:00:05Z",
    } | changes


async def test_a_job_is_found_by_its_number_in_the_project(circle):
    listed = await a_job(circle, status="success")
    job = await circle.jobs.get(WEB, listed.job_number)
    assert isinstance(job, Job)
    assert (job.name, job.number, job.status) == (listed.name, listed.job_number, JobStatus.SUCCESS)
    assert job.project.slug == WEB
    assert job.is_finished
    assert len(job.parallel_runs) == job.parallelism
    assert job.duration == pytest.approx((job.stopped_at - job.started_at).total_seconds() * 1000, abs=1000)


async def test_a_job_is_found_by_id_as_text_or_uuid(circle):
    listed = await a_job(circle)
    job = await circle.jobs.get_by_id(listed.id)
    assert await circle.jobs.get_by_id(UUID(listed.id)) == job
    assert job.number == listed.job_number


async def test_a_project_may_be_a_slug_object_or_a_url(circle, answer, arrived):
    for project in (ProjectSlug.parse(WEB), "https://github.com/acme/web.git", "github/acme/web"):
        answer(wire())
        await circle.jobs.get(project, 12)
        assert arrived().path == "/project/gh/acme/web/job/12"


async def test_the_artifacts_of_a_job_are_listed(circle):
    async for pipeline in circle.pipelines.list_for_project(WEB):
        async for workflow in circle.pipelines.list_workflows(pipeline.id):
            async for job in circle.workflows.list_jobs(workflow.id):
                if job.job_number is None:
                    continue
                artifacts = await circle.jobs.list_artifacts(WEB, job.job_number).collect()
                if artifacts:
                    assert isinstance(artifacts[0], Artifact)
                    assert artifacts[0].node_index == 0
                    assert artifacts[0].url.endswith(artifacts[0].path)
                    return
    raise AssertionError("no job has artifacts")


async def test_the_tests_of_a_job_are_listed_over_all_pages(circle, answer, arrived):
    test = {
        "message": "",
        "source": "pytest",
        "run_time": 0.25,
        "file": "tests/test_a.py",
        "result": "success",
        "name": "test_a",
        "classname": "tests.test_a",
    }
    answer({"items": [test], "next_page_token": "AAEC"})
    answer({"items": [test | {"name": "test_b", "result": "failure"}], "next_page_token": None})
    tests = await circle.jobs.list_tests(WEB, 12).collect()
    assert [each.name for each in tests] == ["test_a", "test_b"]
    assert tests[1].result == JobTestResult.FAILURE
    assert tests[0].run_time == 0.25
    assert arrived(1).query == [("page-token", "AAEC")]


async def test_page_tokens_are_taken_where_the_document_forgot_them(circle, answer, arrived):
    for listed in (circle.jobs.list_artifacts, circle.jobs.list_tests):
        answer({"items": [], "next_page_token": None})
        assert await listed(WEB, 12, page_token="kept").collect() == []
        assert arrived().query == [("page-token", "kept")]


async def test_a_job_is_canceled_by_number_or_by_id(circle):
    listed = await a_job(circle)
    assert await circle.jobs.cancel(WEB, listed.job_number) is None
    assert await circle.jobs.cancel_by_id(UUID(listed.id)) is None


async def test_a_job_that_has_not_run_has_neither_times_nor_duration(circle, answer):
    late = wire(status="queued", duration=None, started_at=None)
    del late["stopped_at"]
    answer(late)
    job = await circle.jobs.get(WEB, 12)
    assert (job.duration, job.started_at, job.stopped_at) == (None, None, None)
    assert job.queued_at == datetime(2026, 11, 20, 9, 59, 59, tzinfo=UTC)
    assert not job.is_finished


async def test_a_jobs_project_has_an_id_only_in_the_document(circle, answer):
    answer(wire())
    assert (await circle.jobs.get(WEB, 12)).project.id is None
    answer(wire(project={"id": JOB, "slug": WEB, "name": "web", "external_url": "https://github.com/acme/web"}))
    assert (await circle.jobs.get(WEB, 12)).project.id == JOB


async def test_lists_that_are_null_or_missing_are_empty(circle, answer):
    bare = wire(messages=None, contexts=None)
    del bare["parallel_runs"]
    answer(bare)
    job = await circle.jobs.get(WEB, 12)
    assert (job.messages, job.contexts, job.parallel_runs) == ((), (), ())


async def test_messages_and_parallel_runs_are_models(circle, answer):
    answer(
        wire(
            messages=[{"type": "warning", "message": "old image"}, {"type": "error", "message": "x", "reason": "y"}],
            parallel_runs=[{"index": 0, "status": "success"}, {"index": 1, "status": "timedout"}],
        )
    )
    job = await circle.jobs.get(WEB, 12)
    assert job.messages == (
        JobMessage(type="warning", message="old image"),
        JobMessage(type="error", message="x", reason="y"),
    )
    assert job.parallel_runs[1] == ParallelRun(index=1, status="timedout")


async def test_what_a_job_has_beyond_the_document_is_ignored(circle, answer):
    answer(wire(pipeline={"id": JOB, "vcs": {"branch": "main"}}, shiny=True))
    assert (await circle.jobs.get(WEB, 12)).pipeline.id == JOB


async def test_a_status_of_tomorrow_is_kept(circle, answer):
    answer(wire(status="hibernating"))
    job = await circle.jobs.get(WEB, 12)
    assert job.status == "hibernating"
    assert job.is_finished


async def test_a_test_may_know_next_to_nothing(circle, answer):
    nothing = {"message": None, "source": None, "run_time": None, "file": None, "classname": None}
    answer({"items": [nothing | {"result": "skipped", "name": None}, {"result": "success"}], "next_page_token": None})
    assert await circle.jobs.list_tests(WEB, 12).collect() == [JobTest(result="skipped"), JobTest(result="success")]


async def test_whole_seconds_of_run_time_are_a_float(circle, answer):
    answer({"items": [{"result": "success", "name": "a", "run_time": 2}], "next_page_token": None})
    [test] = await circle.jobs.list_tests(WEB, 12).collect()
    assert test.run_time == 2.0
    assert isinstance(test.run_time, float)


@pytest.mark.parametrize("bad", ["", ".", "..", "a\nb", None, "gh/acme", "gh/../web", "gh//web", "gl/acme/web"])
async def test_a_bad_project_is_refused_before_sending(circle, server, bad):
    for call in (circle.jobs.get, circle.jobs.cancel):
        with pytest.raises(errors.InvalidArgument):
            await call(bad, 1)
    for listed in (circle.jobs.list_artifacts, circle.jobs.list_tests):
        with pytest.raises(errors.InvalidArgument):
            listed(bad, 1)
    assert server.requests == []


@pytest.mark.parametrize("bad", ["", ".", "..", "a\nb", None, -1, True, 1.5])
async def test_a_bad_number_or_id_is_refused_before_sending(circle, server, bad):
    calls = [
        lambda: circle.jobs.get(WEB, bad),
        lambda: circle.jobs.cancel(WEB, bad),
        lambda: circle.jobs.get_by_id(bad if bad != -1 else ".."),
        lambda: circle.jobs.cancel_by_id(bad if bad != -1 else ".."),
    ]
    for call in calls:
        with pytest.raises(errors.InvalidArgument):
            await call()
    for listed in (circle.jobs.list_artifacts, circle.jobs.list_tests):
        with pytest.raises(errors.InvalidArgument):
            listed(WEB, bad)
    assert server.requests == []


async def test_an_unknown_job_is_not_found(circle):
    with pytest.raises(errors.NotFound):
        await circle.jobs.get_by_id(JOB)
