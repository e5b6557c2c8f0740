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


async def test_job_by_number(circle):
    """A job is found by its number in the project."""
    listed = await a_job(circle, status="success")
    job = await circle.jobs.get(WEB, listed.job_number)
    assert isinstance(job, Job)
    assert (job.name, job.number, job.status) == (listed.name, listed.job_number, JobStatus.SUCCESS)
    assert job.project.slug == WEB
    assert job.is_finished
    assert len(job.parallel_runs) == job.parallelism
    assert job.duration == pytest.approx((job.stopped_at - job.started_at).total_seconds() * 1000, abs=1000)


async def test_job_by_id(circle):
    """A job is found by its id, as text or UUID."""
    listed = await a_job(circle)
    job = await circle.jobs.get_by_id(listed.id)
    assert await circle.jobs.get_by_id(UUID(listed.id)) == job
    assert job.number == listed.job_number


async def test_project_may_be_a_slug_or_url(circle, answer, arrived):
    """A project may be given as a ProjectSlug or a URL."""
    for project in (ProjectSlug.parse(WEB), "https://github.com/acme/web.git", "github/acme/web"):
        answer(wire())
        await circle.jobs.get(project, 12)
        assert arrived().path == "/project/gh/acme/web/job/12"


async def test_artifacts_are_listed(circle):
    """The artifacts of a job are listed."""
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


async def test_tests_are_listed_over_all_pages(circle, answer, arrived):
    """The tests of a job are listed over all pages."""
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


async def test_undocumented_page_tokens_are_sent(circle, answer, arrived):
    """Lists take a page token even if the document omits it."""
    for listed in (circle.jobs.list_artifacts, circle.jobs.list_tests):
        answer({"items": [], "next_page_token": None})
        assert await listed(WEB, 12, page_token="kept").collect() == []
        assert arrived().query == [("page-token", "kept")]


async def test_job_is_canceled(circle):
    """A job is canceled by its number or its id."""
    listed = await a_job(circle)
    assert await circle.jobs.cancel(WEB, listed.job_number) is None
    assert await circle.jobs.cancel_by_id(UUID(listed.id)) is None


async def test_job_that_has_not_run_has_no_times(circle, answer):
    """A job that has not run has neither times nor a duration."""
    late = wire(status="queued", duration=None, started_at=None)
    del late["stopped_at"]
    answer(late)
    job = await circle.jobs.get(WEB, 12)
    assert (job.duration, job.started_at, job.stopped_at) == (None, None, None)
    assert job.queued_at == datetime(2026, 11, 20, 9, 59, 59, tzinfo=UTC)
    assert not job.is_finished


async def test_job_project_may_lack_its_id(circle, answer):
    """The project of a job is read without an id."""
    answer(wire())
    assert (await circle.jobs.get(WEB, 12)).project.id is None
    answer(wire(project={"id": JOB, "slug": WEB, "name": "web", "external_url": "https://github.com/acme/web"}))
    assert (await circle.jobs.get(WEB, 12)).project.id == JOB


async def test_null_lists_of_a_job_are_empty(circle, answer):
    """Lists of a job that are null or missing are empty."""
    bare = wire(messages=None, contexts=None)
    del bare["parallel_runs"]
    answer(bare)
    job = await circle.jobs.get(WEB, 12)
    assert (job.messages, job.contexts, job.parallel_runs) == ((), (), ())


async def test_messages_and_parallel_runs_are_models(circle, answer):
    """Messages and parallel runs of a job are models."""
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


async def test_unknown_fields_of_a_job_are_ignored(circle, answer):
    """Unknown fields of a job are ignored."""
    answer(wire(pipeline={"id": JOB, "vcs": {"branch": "main"}}, shiny=True))
    assert (await circle.jobs.get(WEB, 12)).pipeline.id == JOB


async def test_unknown_job_status_is_kept(circle, answer):
    """An unknown status of a job is kept as text."""
    answer(wire(status="hibernating"))
    job = await circle.jobs.get(WEB, 12)
    assert job.status == "hibernating"
    assert job.is_finished


async def test_test_may_lack_fields(circle, answer):
    """A test is read without the fields that are not required."""
    nothing = {"message": None, "source": None, "run_time": None, "file": None, "classname": None}
    answer({"items": [nothing | {"result": "skipped", "name": None}, {"result": "success"}], "next_page_token": None})
    assert await circle.jobs.list_tests(WEB, 12).collect() == [JobTest(result="skipped"), JobTest(result="success")]


async def test_run_time_is_a_float(circle, answer):
    """A run time of whole seconds is a float."""
    answer({"items": [{"result": "success", "name": "a", "run_time": 2}], "next_page_token": None})
    [test] = await circle.jobs.list_tests(WEB, 12).collect()
    assert test.run_time == 2.0
    assert isinstance(test.run_time, float)


@pytest.mark.parametrize("bad", ["", ".", "..", "a\nb", None, "gh/acme", "gh/../web", "gh//web", "gl/acme/web"])
async def test_invalid_project_is_refused_unsent(circle, server, bad):
    """An invalid project raises InvalidArgument."""
    for call in (circle.jobs.get, circle.jobs.cancel):
        with pytest.raises(errors.InvalidArgument):
            await call(bad, 1)
    for listed in (circle.jobs.list_artifacts, circle.jobs.list_tests):
        with pytest.raises(errors.InvalidArgument):
            listed(bad, 1)
    assert server.requests == []


@pytest.mark.parametrize("bad", ["", ".", "..", "a\nb", None, -1, True, 1.5])
async def test_invalid_job_is_refused_unsent(circle, server, bad):
    """An invalid number or id raises InvalidArgument."""
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


async def test_unknown_job_is_not_found(circle):
    """An unknown job raises NotFound."""
    with pytest.raises(errors.NotFound):
        await circle.jobs.get_by_id(JOB)
