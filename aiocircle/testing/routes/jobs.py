"""Jobs: their details, tests and artifacts."""

from __future__ import annotations

import random
from typing import Any

from .. import serializers
from ..ids import digest
from ..model import Job
from ..request import RequestContext
from ..response import Response
from ..router import Routes
from ..script import raise_if_out
from ..storage import artifact_url, artifacts_of

__all__ = ["job_tests", "routes"]

routes = Routes()

_SUBJECTS = ("cart", "session", "invoice", "search", "profile", "upload", "report", "token", "price", "queue")
_BEHAVIOURS = ("is_empty_at_first", "keeps_its_order", "survives_a_restart", "rejects_bad_input", "is_rounded_once")


def _job(request: RequestContext) -> Job:
    history = request.project().history
    job = history.job(request.path_number("job-number"))
    return _accessible(request, job)


def _accessible(request: RequestContext, job: Job | None) -> Job:
    job = request.require(job, "Job not found")
    raise_if_out(job.workflow.pipeline, request.state.now())
    return job


@routes.add("GET", "/project/{project}/job/{job-number}", "jobs.get")
def get(request: RequestContext) -> Response:
    """Return a job by its number in the project."""
    return request.respond(serializers.job_details(request, _job(request)))


@routes.add("GET", "/jobs/{job-id}", "jobs.get_by_id")
def get_by_id(request: RequestContext) -> Response:
    """Return a job by its UUID."""
    return request.respond(serializers.job_details(request, _job_by_id(request)))


def _job_by_id(request: RequestContext) -> Job:
    return _accessible(request, request.state.job(request.path_uuid("job-id")))


@routes.add("POST", "/project/{project}/job/{job-number}/cancel", "jobs.cancel")
def cancel(request: RequestContext) -> Response:
    """Cancel a job by its number; one that has finished stays as it is."""
    return _cancel(request, _job(request))


@routes.add("POST", "/jobs/{job-id}/cancel", "jobs.cancel_by_id")
def cancel_by_id(request: RequestContext) -> Response:
    """Cancel a job by its UUID; one that has finished stays as it is."""
    return _cancel(request, _job_by_id(request))


def _cancel(request: RequestContext, job: Job) -> Response:
    if not job.finished:
        request.state.cancel_job(job)
        request.record_change(serializers.job_uuid(request, job))
    return request.respond_message("Job canceled successfully.")


@routes.add("GET", "/project/{project}/{job-number}/artifacts", "jobs.list_artifacts")
def list_artifacts(request: RequestContext) -> Response:
    """Return a job's artifacts, of each of its parallel runs."""
    job = _job(request)
    ident = serializers.job_uuid(request, job)
    artifacts = [
        {
            "path": artifact.path,
            "node_index": artifact.node_index,
            "url": artifact_url(request.url, ident, job, artifact),
        }
        for artifact in artifacts_of(job)
    ]
    return request.respond_page(artifacts, lambda artifact: artifact, size=100)


@routes.add("GET", "/project/{project}/{job-number}/tests", "jobs.list_tests")
def list_tests(request: RequestContext) -> Response:
    """List the results of the tests of a job."""
    return request.respond_page(job_tests(_job(request)), lambda test: test, size=100)


def test_names(index: int) -> tuple[str, str, str]:
    """Return the name, class and file of the project's test with this index."""
    subject = _SUBJECTS[index % len(_SUBJECTS)]
    behaviour = _BEHAVIOURS[index // len(_SUBJECTS) % len(_BEHAVIOURS)]
    turn = index // (len(_SUBJECTS) * len(_BEHAVIOURS))
    name = f"test_{subject}_{behaviour}" + (f"[{turn}]" if turn else "")
    return name, f"tests.test_{subject}.{subject.title()}Test", f"tests/test_{subject}.py"


def first_test(job: Job) -> int:
    """Return the index in the project of a job's first test."""
    return sum(plan.tests for plan in job.workflow.plan.jobs[: job.index])


def job_tests(job: Job) -> list[dict[str, Any]]:
    """Return the results of the tests of a job: empty if the job did not run them."""
    if not job.plan.tests or job.status not in {"success", "failed"}:
        return []
    first = first_test(job)
    rng = random.Random(int.from_bytes(digest("tests", job.workflow.salt, job.index)[:8]))
    share = (job.duration or 0.0) * job.plan.parallelism / job.plan.tests
    broken: set[int] = set()
    if job.status == "failed":
        flaky = job.workflow.flaky
        broken = (
            {flaky} if flaky is not None else set(rng.sample(range(first, first + job.plan.tests), rng.randint(1, 3)))
        )
    tests: list[dict[str, Any]] = []
    for index in range(first, first + job.plan.tests):
        name, classname, file = test_names(index)
        result = "failure" if index in broken else "skipped" if index % 23 == 7 else "success"
        tests.append(
            {
                "message": "AssertionError: expected 3, got 4" if result == "failure" else None if index % 3 else "",
                "source": "pytest",
                "run_time": 0.0 if result == "skipped" else round(share * rng.uniform(0.4, 1.6), 3),
                "file": file if index % 4 else "",
                "result": result,
                "name": name,
                "classname": classname,
            }
        )
    return tests
