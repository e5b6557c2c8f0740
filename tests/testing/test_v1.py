"""API v1.1: the operations, and what their responses lack on projects of the GitHub App."""

from __future__ import annotations

import asyncio
from urllib.parse import quote

import aiohttp
import pytest

from aiocircle.testing import JobStory, StepStory, Story, WorkflowStory

WEB = "gh/acme/web"
V1 = "/api/v1.1"
# Each operation of spec/operations-v1-v3.tsv.
OPERATIONS = {
    "v1.builds.get",
    "v1.builds.list",
    "v1.builds.list_recent",
    "v1.builds.cancel",
    "v1.builds.add_ssh_user",
    "v1.projects.list_followed",
    "v1.projects.follow",
    "v1.projects.unfollow",
    "v1.projects.clear_cache",
    "v1.projects.get_settings",
    "v1.projects.add_ssh_key",
    "v1.projects.delete_ssh_key",
    "v1.projects.list_latest_artifacts",
    "v1.users.me",
}


async def run_story(api, *jobs, project=WEB):
    """Start a pipeline with one workflow of these jobs; the number of the first and the ids of all."""
    api.server.script(project, Story([WorkflowStory("build", jobs)], workflow_delay=0))
    pipeline_id = api.server.start_pipeline(project)
    (workflow,) = (await api.get(f"/pipeline/{pipeline_id}/workflow"))["items"]
    listed = (await api.get(f"/workflow/{workflow['id']}/job"))["items"]
    return listed[0]["job_number"], {job["name"]: job["id"] for job in listed}


async def fetch(url, **headers):
    async with aiohttp.ClientSession() as session, session.get(url, headers=headers) as response:
        return response.status, response.headers, await response.read()


async def output(action):
    """The items of an output, fetched without a token."""
    async with aiohttp.ClientSession() as session, session.get(action["output_url"]) as response:
        assert response.status == 200
        return await response.json()


async def test_all_operations_have_a_route(api):
    slug = f"{V1}/project/github/acme/web"
    number = (await api.get(f"{slug}?limit=1"))[0]["build_num"]
    key = {"hostname": "github.com", "private_key": "-----BEGIN"}
    assert (await api("POST", f"{slug}/ssh-key", json=key)).status == 201
    fingerprint = (await api.get(f"{slug}/settings"))["ssh_keys"][0]["fingerprint"]
    for method, path, body in [
        ("GET", f"{slug}/{number}", None),
        ("GET", f"{slug}/tree/main", None),
        ("GET", f"{V1}/recent-builds", None),
        ("POST", f"{slug}/{number}/cancel", None),
        ("POST", f"{slug}/{number}/ssh-users", None),
        ("GET", f"{V1}/projects", None),
        ("POST", f"{slug}/unfollow", None),
        ("POST", f"{slug}/follow", None),
        ("DELETE", f"{slug}/build-cache", None),
        ("DELETE", f"{slug}/ssh-key", {"hostname": "github.com", "fingerprint": fingerprint}),
        ("GET", f"{slug}/latest/artifacts?branch=main&filter=successful", None),
        ("GET", f"{V1}/me", None),
    ]:
        reply = await api(method, path, json=body)
        assert reply.status == 200, (path, reply)
    assert {name for name in api.server.statistics.operations if name.startswith("v1.")} == OPERATIONS


async def test_lists_page_by_limit_and_offset(api):
    slug = f"{V1}/project/{WEB}"
    assert len(await api.get(slug)) == 30
    whole = await api.get(f"{slug}?limit=500")
    assert len(whole) == 100
    assert whole[40:60] == await api.get(f"{slug}?limit=20&offset=40")
    numbers = [build["build_num"] for build in whole]
    assert numbers == sorted(numbers, reverse=True)
    assert await api.get(f"{slug}?offset=1000000") == []
    branch = quote(whole[-1]["branch"], safe="")
    on_branch = await api.get(f"{slug}/tree/{branch}?limit=100")
    assert {build["branch"] for build in on_branch} == {whole[-1]["branch"]}
    for name, statuses in [("successful", {"success"}), ("failed", {"failed", "timedout", "infrastructure_fail"})]:
        assert {build["status"] for build in await api.get(f"{slug}?filter={name}&limit=100")} <= statuses
    assert "workflows" not in (await api.get(f"{slug}?shallow=true"))[0]
    recent = await api.get(f"{V1}/recent-builds?limit=100")
    assert len({build["vcs_url"] for build in recent}) > 1
    assert (await api("GET", f"{slug}?limit=many")).status == 400
    assert (await api("GET", f"{slug}?filter=all")).status == 400


async def test_edn_unless_json_is_accepted(api):
    reply = await api("GET", f"{V1}/me", headers={"Accept": "*/*"})
    assert reply.headers["Content-Type"].startswith("application/edn")
    assert b':login "mira-holm"' in reply.body
    assert (await api("GET", f"{V1}/me")).json["login"] == "mira-holm"
    assert (await api("GET", f"{V1}/nothing")).headers["Content-Type"].startswith("text/html")
    async with aiohttp.ClientSession() as session, session.get(f"{api.server.url}{V1}/me") as response:
        assert response.status == 401


async def test_builds_of_the_github_app_lack_the_commit(api):
    """They have the ids of the slug, and neither a revision nor a commit nor a user."""
    classic = (await api.get(f"{V1}/project/{WEB}?filter=successful"))[0]
    standalone = (await api.get(f"{V1}/project/{api.server.projects[2]}?filter=successful"))[0]
    assert classic.keys() == standalone.keys()
    lacking = {name for name in classic if classic[name] is not None and standalone[name] is None}
    assert {"vcs_revision"} <= lacking
    assert standalone["vcs_type"] == "circleci"
    assert standalone["vcs_url"].startswith("//circleci.com/")
    assert standalone["user"] == {"is_user": False, "login": None, "vcs_type": "circleci"}
    details = await api.get(f"{V1}/project/{api.server.projects[2]}/{standalone['build_num']}")
    assert details["steps"]


def test_steps_and_outputs(virtual):
    """Steps have actions for their nodes. A step that was killed has neither `failed` nor an exit code."""

    async def main(api):
        steps = [
            StepStory("checkout", output="Cloning\r\n", command="git clone"),
            StepStory("test", nodes=[0], output="\x1b[32mok\x1b[0m\r\n"),
            StepStory("test", nodes=[1], output="no", errors="bad", status="failed", exit_code=7, truncated=True),
            StepStory("quiet"),
        ]
        number, _ = await run_story(
            api,
            JobStory("job", 20, status="failed", parallelism=2, steps=steps),
            JobStory("killed", 20, status="timedout", steps=[StepStory("wait", output="waiting")]),
        )
        await asyncio.sleep(60)
        build = await api.get(f"{V1}/project/{WEB}/{number}")
        assert [step["name"] for step in build["steps"]] == ["checkout", "test", "quiet"]
        assert [[action["index"] for action in step["actions"]] for step in build["steps"]] == [[0, 1]] * 3
        good, bad = build["steps"][1]["actions"]
        assert (good["status"], good["exit_code"], good["failed"]) == ("success", 0, None)
        assert (bad["status"], bad["exit_code"], bad["failed"], bad["truncated"]) == ("failed", 7, True, True)
        items = await output(bad)
        assert [(item["type"], item["message"]) for item in items] == [
            ("out", "no"),
            ("err", "bad"),
            ("err", "\nExited with code exit status 7\n"),
        ]
        assert items[0]["truncated"] is True
        assert (await output(good))[0]["message"] == "\x1b[32mok\x1b[0m\r\n"
        quiet = build["steps"][2]["actions"][0]
        assert (quiet["has_output"], "output_url" in quiet) == (False, False)
        (killed,) = (await api.get(f"{V1}/project/{WEB}/{number + 1}"))["steps"]
        action = killed["actions"][0]
        assert (action["status"], action["exit_code"], action["failed"], action["timedout"]) == (
            "timedout",
            None,
            None,
            True,
        )
        assert build["failed"] is True
        assert build["workflows"]["job_name"] == "job"
        assert build["job_name"] is None

    virtual(main)


def test_output_urls_refuse_a_token_and_expire(virtual):
    """They are on another host, signed again each time, and valid for five days."""

    async def main(api):
        number, _ = await run_story(api, JobStory("job", 10))
        await asyncio.sleep(60)
        path = f"{V1}/project/{WEB}/{number}"
        first, second = [(await api.get(path))["steps"][3]["actions"][0]["output_url"] for _ in range(2)]
        assert first.startswith(api.server.storage_url + "/")
        assert api.server.storage_url.rpartition(":")[2] != api.server.url.rpartition(":")[2]
        assert (await fetch(second))[0] == 200
        for headers in ({"Circle-Token": api.server.token}, {"Authorization": f"Bearer {api.server.token}"}):
            assert (await fetch(first, **headers))[0] == 400
        assert (await fetch(first[:-3]))[0] == 403
        await asyncio.sleep(432_002)
        assert (await fetch(first))[0] == 403

    virtual(main)


def test_output_of_a_running_job_grows(virtual):
    """Each poll of a running job shows the steps that have begun, and what they have printed."""

    async def main(api):
        steps = [StepStory("one", output="a" * 100), StepStory("two", output="b" * 100)]
        number, _ = await run_story(api, JobStory("job", 100, steps=steps))
        shown = []
        for _ in range(5):
            build = await api.get(f"{V1}/project/{WEB}/{number}")
            sizes = [
                len((await output(step["actions"][0]) or [{"message": ""}])[0]["message"])
                if step["actions"][0]["has_output"]
                else 0
                for step in build["steps"]
            ]
            shown.append((build["status"], [step["actions"][0]["status"] for step in build["steps"]], sizes))
            await asyncio.sleep(25)
        assert shown == [
            ("running", ["running"], [0]),
            ("running", ["running"], [50]),
            ("running", ["success", "running"], [100, 0]),
            ("running", ["success", "running"], [100, 50]),
            ("success", ["success", "success"], [100, 100]),
        ]

    virtual(main)


async def test_a_job_that_has_not_started_has_no_steps(api):
    number, _ = await run_story(api, JobStory("job", 100, queued_seconds=100))
    build = await api.get(f"{V1}/project/{WEB}/{number}")
    assert (build["status"], build["steps"], build["start_time"]) == ("queued", [], None)
    assert (await api("POST", f"{V1}/project/{WEB}/{number}/cancel")).json["canceled"] is True
    users = (await api("POST", f"{V1}/project/{WEB}/{number}/ssh-users")).json["ssh_users"]
    assert [user["login"] for user in users] == ["mira-holm"]


async def test_following_and_keys(api):
    slug = f"{V1}/project/{WEB}"
    assert (await api("POST", f"{slug}/unfollow")).json == {"following": False}
    rows = await api.get(f"{V1}/projects?shallow=true")
    assert "web" not in {row["reponame"] for row in rows}
    assert "branches" not in rows[0]
    assert (await api("POST", f"{slug}/follow")).json == {"following": True, "workflow": False, "first_build": None}
    assert "web" in {row["reponame"] for row in await api.get(f"{V1}/projects")}
    assert (await api("DELETE", f"{slug}/build-cache")).json == {"status": "build dependency caches deleted"}
    settings = await api.get(f"{slug}/settings?skip-branches=true")
    assert "branches" not in settings
    assert settings["vcs-type"] == "github"
    assert settings["feature_flags"]["build-fork-prs"] is False
    assert (await api("POST", f"{slug}/ssh-key", json={"hostname": "a.example"})).status == 400
    assert (await api("DELETE", f"{slug}/ssh-key", json={"fingerprint": "no"})).json == {
        "message": "checkout key not found"
    }
    assert b"BEGIN" not in (await api("POST", f"{slug}/ssh-key", json={"private_key": "-----BEGIN"})).body


@pytest.mark.parametrize("size", [0, 5_000_000])
async def test_a_big_output_is_generated_while_it_is_sent(api, size):
    number, _ = await run_story(api, JobStory("job", 0, steps=[StepStory("loud", output=size)]))
    action = (await api.get(f"{V1}/project/{WEB}/{number}"))["steps"][0]["actions"][0]
    assert action["has_output"] is (size > 0)
    if size:
        text = "".join(item["message"] for item in await output(action))
        assert len(text) == size
        assert text.splitlines()[1].startswith("000000000001 ")
