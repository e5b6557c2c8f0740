"""Changes by callers, and their later state: projects, pipelines, workflows, jobs."""

from __future__ import annotations

from urllib.parse import quote

import pytest

WEB = "gh/acme/web"
MONOREPO = "gh/acme/monorepo"


async def _workflows(api, pipeline_id):
    return {w["name"]: w for w in (await api.get(f"/pipeline/{pipeline_id}/workflow"))["items"]}


async def test_a_triggered_pipeline_runs_and_shows(serve):
    api = await serve(workflow_seconds=3600, workflow_delay=0.0)
    reply = await api("POST", f"/project/{WEB}/pipeline", json={"branch": "fix/typo", "parameters": {"deep": True}})
    assert reply.status == 201
    assert reply.json.keys() == {"id", "state", "number", "created_at"}
    newest = (await api.get(f"/project/{WEB}/pipeline"))["items"][0]
    assert (newest["id"], newest["number"]) == (reply.json["id"], reply.json["number"])
    assert newest == (await api.get(f"/project/{WEB}/pipeline/mine"))["items"][0]
    assert newest == (await api.get("/pipeline?org-slug=gh/acme"))["items"][0]
    assert (await api.get(f"/pipeline/{newest['id']}/values"))["pipeline.parameters.deep"] is True
    workflow = (await _workflows(api, newest["id"]))["build-and-test"]
    assert (workflow["status"], workflow["stopped_at"]) == ("running", None)
    jobs = (await api.get(f"/workflow/{workflow['id']}/job"))["items"]
    assert [job["status"] for job in jobs] == ["running", "running", "blocked", "blocked"]


def test_a_triggered_pipeline_ends(clocked):
    async def main(api, clock):
        tagged = (await api("POST", f"/project/{WEB}/pipeline", json={"tag": "v9.9"})).json["id"]
        pushed = (await api("POST", f"/project/{WEB}/pipeline", json={"branch": "fix/typo"})).json["id"]
        seen = []
        for _ in range(11):
            deploy = (await _workflows(api, tagged))["deploy"]
            build = (await _workflows(api, pushed))["build-and-test"]
            seen.append((deploy["status"], build["status"]))
            clock.wait(1)
        assert seen[0] == ("running", "running")
        assert seen[5] == ("on_hold", "running")
        assert seen[10] == ("on_hold", "success")
        jobs = (await api.get(f"/workflow/{build['id']}/job"))["items"]
        assert {job["status"] for job in jobs} == {"success"}

    clocked(main, workflow_seconds=10, workflow_delay=0.0)


async def test_a_branch_that_fails(serve):
    api = await serve(workflow_seconds=0.0, workflow_delay=0.0)
    reply = await api("POST", f"/project/{WEB}/pipeline", json={"branch": "fail/on-purpose"})
    workflow = (await _workflows(api, reply.json["id"]))["build-and-test"]
    assert workflow["status"] == "failed"


def test_workflows_come_after_their_pipeline(clocked):
    async def main(api, clock):
        reply = await api("POST", f"/project/{WEB}/pipeline", json={})
        path = f"/pipeline/{reply.json['id']}/workflow"
        assert (await api("GET", path)).status == 404
        clock.wait(3)
        assert len((await api.get(path))["items"]) == 2

    clocked(main, workflow_delay=3)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"branch": "a", "tag": "b"}, "mutually exclusive"),
        ({"branch": 5}, "branch"),
        ({"parameters": {f"p{n}": 1 for n in range(101)}}, "100"),
        ({"parameters": {"p" * 129: 1}}, "128"),
        ({"parameters": {"p": "v" * 513}}, "512"),
        ({"parameters": {"p": [1]}}, "parameters.p"),
        ([], "body"),
    ],
)
async def test_wrong_triggers_are_refused(api, body, message):
    reply = await api("POST", f"/project/{WEB}/pipeline", json=body)
    assert reply.status == 400
    assert message in reply.json["message"]
    assert api.server.changes == []


async def test_run(api):
    path = f"/project/{WEB}/pipeline/run"
    reply = await api("POST", path, json={"config": {"branch": "main"}, "checkout": {"branch": "fix/typo"}})
    assert reply.status == 201
    assert (await api.get(f"/pipeline/{reply.json['id']}"))["vcs"]["branch"] == "fix/typo"
    for body in ({"checkout": {"branch": "docs [skip ci]"}}, {"parameters": {"message": "typo [skip ci]"}}):
        reply = await api("POST", path, json=body)
        assert reply.status == 200
        assert reply.json.keys() == {"message"}
    assert len(api.server.changes) == 1
    for body in ({"branch": "main"}, {"definition_id": "x"}, {"config": {"ref": "x"}}, {"config": "main"}):
        assert (await api("POST", path, json=body)).status == 400
    standalone = api.server.projects[2]
    assert (await api("POST", f"/project/{standalone}/pipeline", json={})).status == 400
    assert (await api("POST", f"/project/{standalone}/pipeline/run", json={})).status == 400
    body = {"definition_id": "5034460f-c7c4-4c43-9457-de07e2029e7b", "checkout": {"tag": "v9"}}
    assert (await api("POST", f"/project/{standalone}/pipeline/run", json=body)).status == 404
    project_id = (await api.get(f"/project/{standalone}"))["id"]
    definition = (await api.get(f"/projects/{project_id}/pipeline-definitions"))["items"][0]
    body["definition_id"] = definition["id"]
    reply = await api("POST", f"/project/{standalone}/pipeline/run", json=body)
    assert reply.status == 201
    pipeline = await api.get(f"/pipeline/{reply.json['id']}")
    assert pipeline["trigger_parameters"]["git"]["tag"] == "v9"


async def test_a_setup_pipeline_is_continued_once(serve):
    api = await serve([MONOREPO], workflow_seconds=0.0, workflow_delay=0.0)
    reply = await api("POST", f"/project/{MONOREPO}/pipeline", json={"branch": "fix/typo"})
    pipeline_id = reply.json["id"]
    assert reply.json["state"] == "setup-pending"
    workflows = await _workflows(api, pipeline_id)
    assert (workflows.keys(), workflows["setup"]["tag"]) == ({"setup"}, "setup")
    assert (await api.get(f"/pipeline/{pipeline_id}/config")).keys() == {
        "source",
        "compiled",
        "setup_config",
        "compiled_setup_config",
    }
    body = {"continuation-key": api.server.continuation_key(pipeline_id), "configuration": "version: 2.1"}
    body["parameters"] = {"deep": True}
    assert (await api("POST", "/pipeline/continue", json=body)).status == 200
    assert (await _workflows(api, pipeline_id)).keys() == {"setup", "build-and-test"}
    assert (await api.get(f"/pipeline/{pipeline_id}"))["state"] == "created"
    assert (await api("POST", "/pipeline/continue", json=body)).status == 400
    body["continuation-key"] = "no"
    assert (await api("POST", "/pipeline/continue", json=body)).status == 404
    with pytest.raises(KeyError):
        api.server.continuation_key(pipeline_id[::-1])


def test_setup_continued_before_it_begins(clocked):
    """The pipeline stays `created` when its setup workflow appears."""

    async def main(api, clock):
        pipeline_id = (await api("POST", f"/project/{MONOREPO}/pipeline", json={"branch": "fix/typo"})).json["id"]
        body = {"continuation-key": api.server.continuation_key(pipeline_id), "configuration": "version: 2.1"}
        assert (await api("POST", "/pipeline/continue", json=body)).status == 200
        clock.wait(2)
        assert (await _workflows(api, pipeline_id)).keys() == {"setup", "build-and-test"}
        assert (await api.get(f"/pipeline/{pipeline_id}"))["state"] == "created"

    clocked(main, [MONOREPO])


def test_approving_lets_the_rest_run(clocked):
    async def main(api, clock):
        workflows = [
            workflow
            for pipeline in (await api.get(f"/project/{WEB}/pipeline"))["items"]
            for workflow in (await api.get(f"/pipeline/{pipeline['id']}/workflow"))["items"]
        ]
        waiting = next(workflow for workflow in workflows if workflow["status"] == "on_hold")
        jobs = {job["name"]: job for job in (await api.get(f"/workflow/{waiting['id']}/job"))["items"]}
        path = f"/workflow/{waiting['id']}/approve"
        assert (await api("POST", f"{path}/{jobs['hold']['id']}")).status == 404
        assert (await api("POST", f"{path}/{jobs['hold']['approval_request_id']}")).status == 202
        assert (await api("POST", f"{path}/{jobs['hold']['approval_request_id']}")).status == 400
        assert (await api.get(f"/workflow/{waiting['id']}"))["status"] == "running"
        clock.wait(10)
        assert (await api.get(f"/workflow/{waiting['id']}"))["status"] == "success"
        jobs = {job["name"]: job for job in (await api.get(f"/workflow/{waiting['id']}/job"))["items"]}
        assert jobs["hold"]["approved_by"] == (await api.get("/me"))["id"]
        assert "approval_request_id" not in jobs["hold"]
        assert jobs["deploy-production"]["status"] == "success"
        assert api.server.changes == [("workflows.approve", waiting["id"])]

    clocked(main, workflow_seconds=10, workflow_delay=0.0)


async def test_canceling_a_workflow_once(serve):
    api = await serve(workflow_seconds=3600, workflow_delay=0.0)
    reply = await api("POST", f"/project/{WEB}/pipeline", json={"branch": "fix/typo"})
    workflow = (await _workflows(api, reply.json["id"]))["build-and-test"]
    for _ in range(2):
        assert (await api("POST", f"/workflow/{workflow['id']}/cancel")).status == 202
    canceled = await api.get(f"/workflow/{workflow['id']}")
    assert (canceled["status"], canceled["canceled_by"]) == ("canceled", (await api.get("/me"))["id"])
    assert canceled["stopped_at"]
    assert [operation for operation, _ in api.server.changes] == ["pipelines.trigger", "workflows.cancel"]


async def test_canceling_jobs(serve):
    api = await serve(workflow_seconds=3600, workflow_delay=0.0)
    reply = await api("POST", f"/project/{WEB}/pipeline", json={"branch": "fix/typo"})
    workflow = (await _workflows(api, reply.json["id"]))["build-and-test"]
    lint, unit, *_ = (await api.get(f"/workflow/{workflow['id']}/job"))["items"]
    for _ in range(2):
        assert (await api("POST", f"/project/{WEB}/job/{lint['job_number']}/cancel")).status == 200
    assert (await api.get(f"/project/{WEB}/job/{lint['job_number']}"))["status"] == "canceled"
    assert (await api("POST", f"/jobs/{unit['id']}/cancel")).status == 200
    assert (await api.get(f"/workflow/{workflow['id']}"))["status"] == "canceled"
    assert [operation for operation, _ in api.server.changes][1:] == ["jobs.cancel", "jobs.cancel_by_id"]


async def test_rerunning(serve):
    api = await serve(workflow_seconds=0.0, workflow_delay=0.0)
    reply = await api("POST", f"/project/{WEB}/pipeline", json={"branch": "fail/x"})
    first = (await _workflows(api, reply.json["id"]))["build-and-test"]
    path = f"/workflow/{first['id']}/rerun"
    jobs = (await api.get(f"/workflow/{first['id']}/job"))["items"]
    assert [job["status"] for job in jobs] == ["failed", "success", "success", "blocked"]

    reply = await api("POST", path, json={"from_failed": True})
    assert reply.status == 202
    again = (await api.get(f"/workflow/{reply.json['workflow_id']}/job"))["items"]
    assert [job["id"] == before["id"] for job, before in zip(again, jobs, strict=True)] == [False, True, True, False]

    reply = await api("POST", path, json={"jobs": [jobs[1]["id"]], "enable_ssh": True})
    again = (await api.get(f"/workflow/{reply.json['workflow_id']}/job"))["items"]
    assert not {job["id"] for job in again} & {job["id"] for job in jobs}

    assert (await api("POST", path)).status == 202
    pipeline = await api.get(f"/pipeline/{first['pipeline_id']}/workflow")
    assert len(pipeline["items"]) == 4
    for body in (
        {"from_failed": True, "jobs": [jobs[0]["id"]]},
        {"enable_ssh": True},
        {"jobs": ["5034460f-c7c4-4c43-9457-de07e2029e7b"]},
        {"jobs": "all"},
        {"from_failed": "yes"},
    ):
        assert (await api("POST", path, json=body)).status == 400


async def test_environment_variables(api):
    path = f"/project/{WEB}/envvar"
    old = await api.walk(path)
    assert None in {variable["created_at"] for variable in old}
    reply = await api("POST", path, json={"name": "SECRET", "value": "hunter-of-12345"})
    assert (reply.status, reply.json["value"]) == (201, "xxxx2345")
    assert await api.get(f"{path}/SECRET") == reply.json
    assert reply.json in await api.walk(path)
    assert len(await api.walk(path)) == len(old) + 1
    assert (await api("DELETE", f"{path}/SECRET")).json == {"message": "Environment variable deleted."}
    assert (await api("DELETE", f"{path}/SECRET")).status == 404
    assert (await api("GET", f"{path}/SECRET")).status == 404
    for body in ({"name": "1A", "value": "x"}, {"name": "A"}, {"name": "A", "value": 5}):
        assert (await api("POST", path, json=body)).status == 400


async def test_checkout_keys(api):
    path = f"/project/{WEB}/checkout-key"
    reply = await api("POST", path, json={"type": "user-key"})
    assert (reply.status, reply.json["type"], reply.json["preferred"]) == (201, "github-user-key", True)
    md5, sha256 = [(await api.walk(f"{path}?digest={kind}"))[-1]["fingerprint"] for kind in ("md5", "sha256")]
    assert md5 == reply.json["fingerprint"]
    assert sha256.startswith("SHA256:")
    assert await api.get(f"{path}/{md5}") == reply.json
    assert (await api.get(f"{path}/{quote(sha256, safe='')}"))["fingerprint"] == sha256
    assert (await api("DELETE", f"{path}/{quote(sha256, safe='')}")).status == 200
    assert (await api("DELETE", f"{path}/{md5}")).json == {"message": "checkout key not found"}
    assert (await api("POST", path, json={"type": "deploy"})).status == 400
    assert (await api("GET", f"{path}?digest=sha1")).status == 400


async def test_settings(api):
    path = f"/project/{WEB}/settings"
    before = (await api.get(path))["advanced"]
    assert len(before) == 10
    body = {"advanced": {"build_fork_prs": True, "pr_only_branch_overrides": ["z", "a"]}}
    changed = (await api("PATCH", path, json=body)).json["advanced"]
    assert changed == {**before, "build_fork_prs": True, "pr_only_branch_overrides": ["a", "z"]}
    await api("PATCH", path, json={"advanced": {"pr_only_branch_overrides": []}})
    assert (await api.get(path))["advanced"] == changed
    assert api.server.changes == [("projects.update_settings", WEB)]
    for wrong in ({"oss": True}, {"unknown": True}, {"disable_ssh": "no"}, {"pr_only_branch_overrides": "main"}):
        assert (await api("PATCH", path, json={"advanced": wrong})).status == 400
    unknown = await api("PATCH", path, json={"basic": {}})
    assert unknown.json == {"message": "Unexpected field 'basic'"}


async def test_making_and_deleting_projects(api):
    assert (await api("POST", "/organization/gh%2Facme/project", json={"name": "nothing"})).json == {
        "message": "GitHub response: Not Found"
    }
    reply = await api("POST", "/organization/gh%2Facme/project", json={"name": "playground"})
    assert (reply.status, reply.json["slug"]) == (200, "gh/acme/playground")
    assert (await api.get("/project/gh/acme/playground/pipeline"))["items"] == []
    assert (await api.get("/insights/gh/acme/playground/workflows"))["items"] == []
    standalone = await api.get(f"/project/{api.server.projects[2]}")
    for org in (standalone["organization_id"], quote(standalone["organization_slug"], safe="")):
        reply = await api("POST", f"/organization/{org}/project", json={"name": f"thing {org[:2]}"})
        assert reply.status == 200
        assert await api.get(f"/project/{reply.json['slug']}") == reply.json
    assert (await api("POST", f"/organization/{org}/project", json={"name": standalone["name"]})).status == 409
    assert (await api("POST", "/organization/gh/acme/project", json={"name": "x"})).status == 404
    older = await api("POST", "/project/gh/acme/website")
    assert (older.status, older.json["advanced"]["oss"]) == (201, False)
    assert (await api("POST", "/project/circleci/a/b")).status == 405

    pipeline = (await api.get(f"/project/{WEB}/pipeline"))["items"][0]
    assert (await api("DELETE", f"/project/{WEB}")).json == {"message": "Project deleted"}
    assert (await api("DELETE", f"/project/{WEB}")).json == {"message": "Project not found"}
    assert (await api("GET", f"/pipeline/{pipeline['id']}")).status == 404
    assert WEB not in api.server.projects
