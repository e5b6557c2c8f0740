"""Jobs: their details, tests and artifacts."""

from __future__ import annotations

import random
from typing import Any

from .. import wire
from ..call import Answer, Call, Routes
from ..identity import digest
from ..model import FINISHED, Job
from ..world import now

__all__ = ["job_tests", "routes"]

routes = Routes()

_SUBJECTS = ("cart", "session", "invoice", "search", "profile", "upload", "report", "token", "price", "queue")
_BEHAVIOURS = ("is_empty_at_first", "keeps_its_order", "survives_a_restart", "rejects_bad_input", "is_rounded_once")


def _job(call: Call) -> Job:
    history = call.project().history
    job = history.job(call.number("job-number"))
    return call.found(job, "Job not found")


@routes.add("GET", "/project/{project}/job/{job-number}", "jobs.get")
def get(call: Call) -> Answer:
    """A job by its number in the project."""
    return call.json(wire.job_details(call, _job(call)))


@routes.add("GET", "/jobs/{job-id}", "jobs.get_by_id")
def get_by_id(call: Call) -> Answer:
    """A job by its UUID."""
    return call.json(wire.job_details(call, _job_by_id(call)))


def _job_by_id(call: Call) -> Job:
    return call.found(call.world.job(call.uuid("job-id")), "Job not found")


@routes.add("POST", "/project/{project}/job/{job-number}/cancel", "jobs.cancel")
def cancel(call: Call) -> Answer:
    """Cancel a job by its number; one that has finished stays as it is."""
    return _cancel(call, _job(call))


@routes.add("POST", "/jobs/{job-id}/cancel", "jobs.cancel_by_id")
def cancel_by_id(call: Call) -> Answer:
    """Cancel a job by its UUID; one that has finished stays as it is."""
    return _cancel(call, _job_by_id(call))


def _cancel(call: Call, job: Job) -> Answer:
    if job.status not in FINISHED:
        job.status, job.canceled_by = "canceled", call.world.me
        if job.started is not None:
            job.stopped = now()
        if not job.workflow.finished:
            job.workflow.play(job.workflow.elapsed)
        call.changed(wire.job_uuid(call, job))
    return call.message("Job canceled successfully.")


@routes.add("GET", "/project/{project}/{job-number}/artifacts", "jobs.list_artifacts")
def list_artifacts(call: Call) -> Answer:
    """A job's artifacts, of each of its parallel runs."""
    job = _job(call)
    ident = wire.job_uuid(call, job)
    artifacts = [
        {"path": path, "node_index": node, "url": f"{call.url}/output/job/{ident}/artifacts/{node}/{path}"}
        for node in range(job.plan.parallelism)
        for path in job.plan.artifacts
        if job.status in {"success", "failed"}
    ]
    return call.page(artifacts, lambda artifact: artifact, size=100)


@routes.add("GET", "/project/{project}/{job-number}/tests", "jobs.list_tests")
def list_tests(call: Call) -> Answer:
    """What a job's tests said."""
    return call.page(job_tests(_job(call)), lambda test: test, size=100)


def test_names(index: int) -> tuple[str, str, str]:
    """The name, class and file of the project's test with this index."""
    subject = _SUBJECTS[index % len(_SUBJECTS)]
    behaviour = _BEHAVIOURS[index // len(_SUBJECTS) % len(_BEHAVIOURS)]
    turn = index // (len(_SUBJECTS) * len(_BEHAVIOURS))
    name = f"test_{subject}_{behaviour}" + (f"[{turn}]" if turn else "")
    return name, f"tests.test_{subject}.{subject.title()}Test", f"tests/test_{subject}.py"


def first_test(job: Job) -> int:
    """The index in the project of a job's first test."""
    return sum(plan.tests for plan in job.workflow.plan.jobs[: job.leaf])


def job_tests(job: Job) -> list[dict[str, Any]]:
    """What a job's tests said: none when it did not get so far."""
    if not job.plan.tests or job.status not in {"success", "failed"}:
        return []
    first = first_test(job)
    rng = random.Random(int.from_bytes(digest("tests", job.workflow.salt, job.leaf)[:8]))
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
