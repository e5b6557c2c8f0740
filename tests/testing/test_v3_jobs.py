"""API v3: jobs and their raw output, also while they run."""

from __future__ import annotations

import asyncio
import json

from aiocircle.testing import JobStory, StepStory, Story, WorkflowStory

V3 = "/api/v3"


async def _start(api, *jobs):
    """Start a pipeline with these jobs; their ids by name, and the id of the workflow."""
    api.server.script("gh/acme/web", Story([WorkflowStory("build", jobs)], workflow_delay=0))
    pipeline_id = api.server.start_pipeline("gh/acme/web")
    (workflow,) = (await api.get(f"/pipeline/{pipeline_id}/workflow"))["items"]
    listed = (await api.get(f"/workflow/{workflow['id']}/job"))["items"]
    return {job["name"]: job["id"] for job in listed}, workflow["id"]


def test_output_is_tailed_by_ranges(virtual):
    """Ranges of a running step are 206, or 416 without new output, and X-Terminal marks the end."""

    async def main(api):
        text = "".join(f"line {number}\r\n" for number in range(500))
        steps = [StepStory("one", output="first"), StepStory("two", output=text, errors="oops")]
        ids, _ = await _start(api, JobStory("job", 200, steps=steps))
        path = f"{V3}/jobs/{ids['job']}/stdout?filter[execution]=0&filter[step_num]=99"
        assert (await api("GET", path)).status == 404
        await asyncio.sleep(100)
        assert (await api("GET", path)).status == 204
        received, statuses = b"", []
        while True:
            reply = await api("GET", path, headers={"Range": f"bytes={len(received)}-", "Accept": "*/*"})
            statuses.append(reply.status)
            if reply.status == 206:
                start = reply.headers["Content-Range"].removeprefix("bytes ").partition("-")[0]
                assert int(start) == len(received)
                received += reply.body
            if reply.headers.get("X-Terminal") == "true":
                break
            await asyncio.sleep(0.05 if len(statuses) % 5 else 7)
        assert received == text.encode()
        assert {206, 416} == {*statuses}
        whole = await api("GET", path)
        assert (whole.status, whole.body, whole.headers["X-Terminal"]) == (200, text.encode(), "true")
        errors = await api("GET", path.replace("stdout", "stderr"))
        assert errors.body == b"oops"
        condensed = await api("GET", path.replace("stdout", "stdout/condensed"))
        assert condensed.body.decode().splitlines() == [f"line {number}" for number in range(480, 500)]

    virtual(main)


async def test_job_with_steps(api):
    ids, workflow_id = await _start(
        api,
        JobStory("job", 0, parallelism=2, tests=3, artifacts=["a b.txt"], steps=[StepStory("run", output="x" * 9)]),
        JobStory("hold", type="approval"),
    )
    listed = (await api.get(f"{V3}/jobs?filter[workflow_id]={workflow_id}"))["data"]
    assert [(job["id"], job["attributes"]["phase"]) for job in listed] == [(ids["job"], "ended"), (ids["hold"], "held")]
    data = (await api.get(f"{V3}/jobs/{ids['job']}"))["data"]
    assert data["attributes"]["outcome"] == "succeeded"
    assert data["references"]["workflow"] == {"id": workflow_id}
    executions = data["attributes"]["parallel_executions"]
    assert [[step["stdout_bytes"] for step in execution["steps"]] for execution in executions] == [[9], [9]]
    lines = (await api("GET", f"{V3}/jobs/{ids['job']}/tests")).body.splitlines()
    assert len([json.loads(line) for line in lines]) == 3
    (artifact,) = (await api.get(f"{V3}/jobs/{ids['job']}/artifacts"))["data"]
    assert artifact["attributes"]["path"] == "a b.txt"


async def test_errors_have_an_envelope(api):
    ids, _ = await _start(api, JobStory("hold", type="approval"))
    for path, status in [
        (f"{V3}/jobs", 400),
        (f"{V3}/jobs/{ids['hold']}", 404),
        (f"{V3}/jobs/{ids['hold']}/artifacts", 404),
        (f"{V3}/jobs/5034460f-c7c4-4c43-9457-de07e2029e7b", 404),
        (f"{V3}/jobs/{ids['hold']}/stdout", 400),
    ]:
        reply = await api("GET", path)
        assert reply.status == status, path
        assert reply.json["error"]["detail"]


async def test_a_server_without_v3(serve):
    api = await serve(v3=False)
    reply = await api("GET", f"{V3}/jobs")
    assert (reply.status, reply.headers["Content-Type"].split(";")[0]) == (404, "text/html")
