"""Jobs of API v3: their details, raw output, tests and artifacts."""

from __future__ import annotations

from typing import Any, Literal, NoReturn

import msgspec

from ...files import serve_bytes
from ...model import Job, Workflow, job_id
from ...request import RequestContext, parse_natural
from ...response import APIErrorResponse, FileResponse, Response
from ...router import Routes
from ...script import raise_if_out
from ...steps import Action, find_action, steps_of
from ...storage import artifact_url, artifacts_of
from ...times import iso_ms
from ..jobs import job_tests

__all__ = ["V3Error", "routes"]

routes = Routes()

_OUTCOMES = {"success": "succeeded", "error": "errored"}
_CONDENSED_LINES = 20


class V3Error(APIErrorResponse):
    """An error in the envelope of API v3."""

    def __init__(self, status: int, type_: str, title: str, detail: str) -> None:
        super().__init__(status, detail)
        self.error = {"type": type_, "title": title, "detail": detail}

    @property
    def response(self) -> Response:
        """The response to send."""
        return Response(self.status, msgspec.json.encode({"error": self.error}))


def _not_found() -> NoReturn:
    raise V3Error(404, "not_found", "Not Found", "The job does not exist or you may not see it.")


def _job(request: RequestContext) -> Job:
    job = request.state.job(request.path_uuid("job_id"))
    if job is None:
        _not_found()
    raise_if_out(job.workflow.pipeline, request.state.now())
    return job


def _phase(job: Job) -> dict[str, Any]:
    if job.status == "on_hold":
        return {"phase": "held"}
    if not job.finished:
        return {"phase": {"running": "started", "queued": "queued"}.get(job.status, "created")}
    return {"phase": "ended", "outcome": _OUTCOMES.get(job.status, job.status)}


def _references(request: RequestContext, run: Workflow) -> dict[str, Any]:
    return {"workflow": {"id": run.id}, "project": {"id": run.pipeline.project.id}}


def _times(started: float | None, stopped: float | None) -> dict[str, Any]:
    times = {"started_at": started, "ended_at": stopped}
    return {name: iso_ms(seconds) for name, seconds in times.items() if seconds is not None}


@routes.add("GET", "/jobs", "v3.jobs.list")
def list_for_workflow(request: RequestContext) -> Response:
    """List the jobs of a workflow. It is never paged."""
    ident = request.query_value("filter[workflow_id]")
    if ident is None:
        detail = "Query parameter 'filter[workflow_id]' is required."
        raise V3Error(400, "validation_error", "Missing Required Filter", detail)
    run = request.state.workflow(ident)
    if run is None:
        _not_found()
    jobs = [
        {
            "id": job_id(request.state.ids, job),
            "attributes": {
                "number": run.first_job_number + job.index if job.number is None else job.number,
                "name": job.plan.name,
                "type": job.plan.type,
                **_phase(job),
                **_times(job.started, job.stopped),
            },
            "references": _references(request, run),
        }
        for job in run.jobs
    ]
    return request.respond({"data": jobs})


@routes.add("GET", "/jobs/{job_id}", "v3.jobs.get", cacheable=False)
def get(request: RequestContext) -> Response:
    """Return a job with its steps. A job that never ran is a 404."""
    job = _job(request)
    if job.started is None:
        _not_found()
    steps = steps_of(job, request.state.now())
    executions = [
        {"steps": [_step(action) for step in steps for action in step.actions if action.node == node]}
        for node in range(job.plan.parallelism)
    ]
    attributes = {
        "name": job.plan.name,
        "type": job.plan.type,
        **_phase(job),
        **_times(job.started, job.stopped),
        "parallel_executions": executions,
    }
    references = {
        **_references(request, job.workflow),
        "user": {"id": job.workflow.started_by.id},
    }
    ident = job_id(request.state.ids, job)
    return request.respond({"data": {"id": ident, "attributes": attributes, "references": references}})


def _step(action: Action) -> dict[str, Any]:
    payload: dict[str, Any] = {
        "num": action.number,
        "name": action.story.name,
        "type": action.story.type,
        "phase": "started" if action.status == "running" else "ended",
        **_times(action.started, action.stopped),
        "stdout_bytes": action.size("out"),
        "stderr_bytes": action.size("err"),
    }
    if action.status != "running":
        payload["outcome"] = _OUTCOMES.get(action.status, action.status)
    if action.exit_code is not None:
        payload["exit_code"] = action.exit_code
    if action.story.command is not None:
        payload["command"] = action.story.command
    return payload


@routes.add("GET", "/jobs/{job_id}/stdout", "v3.jobs.stream_stdout", cacheable=False)
def stream_stdout(request: RequestContext) -> Response | FileResponse:
    """Return the standard output of a step, or a range of it."""
    return _output(request, "out")


@routes.add("GET", "/jobs/{job_id}/stderr", "v3.jobs.stream_stderr", cacheable=False)
def stream_stderr(request: RequestContext) -> Response | FileResponse:
    """Return the standard error of a step, or a range of it."""
    return _output(request, "err")


@routes.add("GET", "/jobs/{job_id}/stdout/condensed", "v3.jobs.get_condensed_output", cacheable=False)
def get_condensed_output(request: RequestContext) -> Response:
    """Return the last lines of the standard output of a step."""
    action = _action(request)
    size = action.size("out")
    lines = action.read("out", max(0, size - 64 * 1024), size).splitlines(keepends=True)
    return Response(200, b"".join(lines[-_CONDENSED_LINES:]), "text/plain;charset=utf-8", cacheable=False)


def _action(request: RequestContext) -> Action:
    number = parse_natural(request.query_value("filter[step_num]") or "")
    node = parse_natural(request.query_value("filter[execution]") or "0")
    if number is None or node is None:
        detail = "Query parameter 'filter[step_num]' is required."
        raise V3Error(400, "validation_error", "Missing Required Filter", detail)
    action = find_action(_job(request), request.state.now(), number, node)
    if action is None:
        raise V3Error(404, "not_found", "Not Found", "The step has no output yet.")
    return action


def _output(request: RequestContext, stream: Literal["out", "err"]) -> Response | FileResponse:
    """Return what there is of a stream: 204 without any, 416 if nothing has come after the offset."""
    action = _action(request)
    size = action.size(stream)
    own = {"X-Terminal": "true"} if action.status != "running" else {}
    if not size and "Range" not in request.headers:
        return Response(204, b"", "application/octet-stream", own, cacheable=False)
    return serve_bytes(
        lambda start, stop: action.read(stream, start, stop),
        size,
        request.headers,
        own,
        content_type="application/octet-stream",
    )


@routes.add("GET", "/jobs/{job_id}/tests", "v3.jobs.stream_tests")
def stream_tests(request: RequestContext) -> Response:
    """Return the results of the tests of a job as JSON Lines."""
    lines = b"".join(
        msgspec.json.encode({**test, "message": test["message"] or ""}) + b"\n" for test in job_tests(_job(request))
    )
    return Response(200, lines, "application/x-ndjson")


@routes.add("GET", "/jobs/{job_id}/artifacts", "v3.jobs.list_artifacts")
def list_artifacts(request: RequestContext) -> Response:
    """List the artifacts of a job. A job without any is a 404."""
    job = _job(request)
    artifacts = artifacts_of(job)
    if not artifacts:
        raise V3Error(404, "not_found", "Not Found", "The job has no artifacts.")
    ident = job_id(request.state.ids, job)
    data = [
        {
            "id": request.state.ids.event_uuid("artifact", f"{ident} {index}"),
            "attributes": {
                "path": artifact.path,
                "url": artifact_url(request.url, ident, job, artifact),
                "execution": artifact.node_index,
            },
        }
        for index, artifact in enumerate(artifacts)
    ]
    return request.respond({"data": data})
