"""Scripted pipelines: each part of a story, as a client sees it over HTTP."""

from __future__ import annotations

import asyncio
import math
import random
from email.utils import parsedate_to_datetime

import aiohttp
import pytest

from aiocircle.testing import JobStory, LocalCircleCI, Story, WorkflowStory
from tests.support.rows import each_row

WEB = "gh/acme/web"


async def _start(api, *stories, **body):
    api.server.script(WEB, *stories)
    reply = await api("POST", f"/project/{WEB}/pipeline", json=body)
    assert reply.status == 201
    return reply.json["id"]


async def _watch(api, pipeline_id, seconds, *, every=1.0):
    """The different states that polls of a pipeline show, each with the seconds of its first poll."""
    seen = []
    for number in range(int(seconds / every)):
        reply = await api("GET", f"/pipeline/{pipeline_id}/workflow")
        shown = reply.status
        if reply.status == 200:
            shown = [(w["name"], w["status"], w.get("auto_rerun_number")) for w in reversed(reply.json["items"])]
        if not seen or seen[-1][1] != shown:
            seen.append((number * every, shown))
        await asyncio.sleep(every)
    return seen


async def _workflows(api, pipeline_id):
    return [*reversed((await api.get(f"/pipeline/{pipeline_id}/workflow"))["items"])]


def test_workflows_are_absent_at_first(virtual):
    """By default the list of workflows is a 404 for a second, and the pipeline is pending."""

    async def main(api):
        reply = await api("POST", f"/project/{WEB}/pipeline", json={})
        path = f"/pipeline/{reply.json['id']}"
        assert (await api("GET", f"{path}/workflow")).status == 404
        assert (await api.get(path))["state"] == "pending"
        await asyncio.sleep(0.9)
        assert (await api("GET", f"{path}/workflow")).status == 404
        await asyncio.sleep(0.2)
        assert len((await api.get(f"{path}/workflow"))["items"]) == 2
        assert (await api.get(path))["state"] == "created"

    virtual(main)


def test_story_with_all_parts(virtual):
    """Setup, approval, automatic and manual rerun, failing polls and an unknown status come in order."""

    async def main(api):
        build = WorkflowStory(
            "build",
            [
                JobStory("test", 30, status="failed"),
                JobStory("hold", type="approval", approved_after=20),
                JobStory("deploy", 5, requires=["hold"]),
            ],
            max_auto_reruns=2,
            reruns=[[JobStory("test", 7)], [JobStory("test", 9, status="canceled")]],
            manual_reruns=[100],
        )
        odd = WorkflowStory("odd", statuses=[(0, "running"), (10, "quarantined")], delay=15)
        setup = WorkflowStory("setup", [JobStory("generate", 12)])
        story = Story([build, odd], setup=setup, workflow_delay=3.0, continuation_delay=2.0, failing_polls=[8, 9, 10])
        pipeline_id = await _start(api, story)
        seen = await _watch(api, pipeline_id, 180)
        ended = ("setup", "success", None)
        first = ("build", "failed", None)
        second = ("build", "success", 1)
        unknown = ("odd", "quarantined", None)
        assert seen == [
            (0, 404),
            (3, [("setup", "running", None)]),
            (7, 500),
            (10, [("setup", "running", None)]),
            (15, [ended]),
            (17, [ended, ("build", "running", None)]),
            (32, [ended, ("build", "running", None), ("odd", "running", None)]),
            (42, [ended, ("build", "running", None), unknown]),
            (47, [ended, first, unknown]),
            (48, [ended, first, unknown, ("build", "running", 1)]),
            (55, [ended, first, unknown, second]),
            (147, [ended, first, unknown, second, ("build", "running", None)]),
            (156, [ended, first, unknown, second, ("build", "canceled", None)]),
        ]
        workflows = await _workflows(api, pipeline_id)
        assert [w.get("max_auto_reruns") for w in workflows] == [None, 2, None, 2, 2]
        assert [w.get("tag") for w in workflows] == ["setup", None, None, None, None]
        assert all(w["stopped_at"] for w in workflows)

    virtual(main)


def test_pipeline_states_of_a_setup(virtual):
    """A setup pipeline is setup-pending, setup, pending and created, and `updated_at` follows."""

    async def main(api):
        setup = WorkflowStory("setup", [JobStory("generate", 10)])
        pipeline_id = await _start(api, Story([WorkflowStory("build")], setup=setup, workflow_delay=2))
        states = []
        for _ in range(20):
            pipeline = await api.get(f"/pipeline/{pipeline_id}")
            if not states or states[-1][0] != pipeline["state"]:
                states.append((pipeline["state"], pipeline["updated_at"]))
            await asyncio.sleep(0.9)
        assert [state for state, _ in states] == ["setup-pending", "setup", "pending", "created"]
        assert len({updated for _, updated in states}) == 4

    virtual(main)


@pytest.mark.parametrize("continued", [True, False])
def test_setup_that_fails_or_is_not_continued(virtual, continued):
    """No other workflow begins, and the pipeline stays in setup."""

    async def main(api):
        setup = WorkflowStory("setup", [JobStory("generate", 5, status="failed" if continued else "success")])
        story = Story([WorkflowStory("build")], setup=setup, is_continued=continued)
        pipeline_id = await _start(api, story)
        await asyncio.sleep(60)
        assert [w["name"] for w in await _workflows(api, pipeline_id)] == ["setup"]
        assert (await api.get(f"/pipeline/{pipeline_id}"))["state"] == "setup"
        key = api.server.continuation_key(pipeline_id)
        body = {"continuation-key": key, "configuration": "version: 2.1"}
        assert (await api("POST", "/pipeline/continue", json=body)).status == 200
        await asyncio.sleep(2)
        assert [w["name"] for w in await _workflows(api, pipeline_id)] == ["setup", "build"]

    virtual(main)


def test_approval_by_the_api(virtual):
    """An approval without `approved_after` waits until the API approves it, with a failed job next to it or not."""

    async def main(api):
        jobs = [
            JobStory("test", 2, status="failed"),
            JobStory("hold", type="approval"),
            JobStory("ship", 5, requires=["hold"]),
        ]
        pipeline_id = await _start(api, Story([WorkflowStory("good", jobs[1:]), WorkflowStory("bad", jobs)]))
        await asyncio.sleep(600)
        good, bad = await _workflows(api, pipeline_id)
        assert (good["status"], bad["status"]) == ("on_hold", "failing")
        for workflow in (good, bad):
            listed = {job["name"]: job for job in (await api.get(f"/workflow/{workflow['id']}/job"))["items"]}
            assert (listed["hold"]["status"], listed["ship"]["status"]) == ("on_hold", "blocked")
            approve = f"/workflow/{workflow['id']}/approve/{listed['hold']['approval_request_id']}"
            assert (await api("POST", approve)).status == 202
        await asyncio.sleep(4)
        assert [w["status"] for w in await _workflows(api, pipeline_id)] == ["running", "failing"]
        await asyncio.sleep(2)
        assert [w["status"] for w in await _workflows(api, pipeline_id)] == ["success", "failed"]

    virtual(main)


@pytest.mark.parametrize("status", ["error", "unauthorized", "not_run"])
def test_workflow_that_never_runs(virtual, status):
    """It ends after a second, and none of its jobs has started."""

    async def main(api):
        pipeline_id = await _start(api, Story([WorkflowStory("build", status=status)], workflow_delay=0))
        assert [w["status"] for w in await _workflows(api, pipeline_id)] == ["running"]
        await asyncio.sleep(2)
        (workflow,) = await _workflows(api, pipeline_id)
        assert workflow["status"] == status
        jobs = (await api.get(f"/workflow/{workflow['id']}/job"))["items"]
        assert [job["started_at"] for job in jobs] == [None]

    virtual(main)


@pytest.mark.parametrize(
    ("statuses", "expected"),
    [
        (["success", "success"], "success"),
        (["success", "failed"], "failed"),
        (["timedout"], "failed"),
        (["infrastructure_fail", "canceled"], "failed"),
        (["unauthorized"], "unauthorized"),
        (["canceled", "success"], "canceled"),
    ],
)
def test_status_follows_from_jobs(virtual, statuses, expected):
    """The status of a workflow is the worst of its jobs."""

    async def main(api):
        jobs = [JobStory(f"job-{number}", 5 + number, status=status) for number, status in enumerate(statuses)]
        jobs.append(JobStory("after", requires=["job-0"]))
        pipeline_id = await _start(api, Story([WorkflowStory("build", jobs)]))
        await asyncio.sleep(100)
        (workflow,) = await _workflows(api, pipeline_id)
        assert workflow["status"] == expected
        listed = (await api.get(f"/workflow/{workflow['id']}/job"))["items"]
        after = "success" if statuses[0] == "success" else "blocked"
        assert [job["status"] for job in listed] == [*statuses, after]

    virtual(main)


def test_times_of_jobs(virtual):
    """A job is queued, runs and ends at the times of the story, which the header Date follows."""

    async def main(api):
        jobs = [JobStory("test", 60, queued_seconds=10), JobStory("deploy", 30, requires=["test"])]
        pipeline_id = await _start(api, Story([WorkflowStory("build", jobs)]))
        await asyncio.sleep(1)
        (workflow,) = await _workflows(api, pipeline_id)
        statuses = []
        for _ in range(110):
            reply = await api("GET", f"/workflow/{workflow['id']}/job")
            shown = [job["status"] for job in reply.json["items"]]
            if not statuses or statuses[-1][1] != shown:
                statuses.append((parsedate_to_datetime(reply.headers["Date"]).timestamp(), shown))
            await asyncio.sleep(1)
        begin = statuses[0][0]
        assert [(round(at - begin), shown) for at, shown in statuses] == [
            (0, ["queued", "blocked"]),
            (10, ["running", "blocked"]),
            (70, ["success", "running"]),
            (100, ["success", "success"]),
        ]
        job = await api.get(f"/project/{WEB}/job/{reply.json['items'][0]['job_number']}")
        assert job["duration"] == 60_000

    virtual(main)


def test_canceled_after(virtual):
    """A workflow that is cancelled in the middle does not run on."""

    async def main(api):
        workflow = WorkflowStory("build", [JobStory("test", 100)], canceled_after=30, max_auto_reruns=3)
        pipeline_id = await _start(api, Story([workflow], workflow_delay=0))
        assert await _watch(api, pipeline_id, 300) == [
            (0, [("build", "running", None)]),
            (30, [("build", "canceled", None)]),
        ]

    virtual(main)


def test_endless_job(virtual):
    """A job of infinite length never ends."""

    async def main(api):
        pipeline_id = await _start(api, Story([WorkflowStory("build", [JobStory("test", math.inf)])]))
        await asyncio.sleep(1_000_000)
        assert [w["status"] for w in await _workflows(api, pipeline_id)] == ["running"]

    virtual(main)


def test_automatic_reruns_end(virtual):
    """CircleCI reruns a failed workflow at most so often, and never after a manual rerun."""

    async def main(api):
        jobs = [JobStory("test", 5, status="failed")]
        workflow = WorkflowStory("build", jobs, max_auto_reruns=2, auto_rerun_delay=2, manual_reruns=[60])
        pipeline_id = await _start(api, Story([workflow]))
        await asyncio.sleep(300)
        assert [w.get("auto_rerun_number") for w in await _workflows(api, pipeline_id)] == [None, 1, 2, None]
        absent = await _start(api, Story([WorkflowStory("build", jobs, max_auto_reruns=2, auto_rerun_delay=None)]))
        await asyncio.sleep(300)
        assert len(await _workflows(api, absent)) == 1

    virtual(main)


def test_rerun_by_the_api(virtual):
    """A rerun takes the next jobs of the story, and repeats the last ones without any left."""

    async def main(api):
        workflow = WorkflowStory("build", [JobStory("test", 5, status="failed")], reruns=[[JobStory("test", 5)]])
        pipeline_id = await _start(api, Story([workflow]))
        await asyncio.sleep(10)
        for body in ({"from_failed": True}, {}):
            (first, *_) = await _workflows(api, pipeline_id)
            assert (await api("POST", f"/workflow/{first['id']}/rerun", json=body)).status == 202
            await asyncio.sleep(10)
        assert [w["status"] for w in await _workflows(api, pipeline_id)] == ["failed", "success", "success"]

    virtual(main)


def test_lags_of_lists(virtual):
    """Lists show a workflow, its status and its end as late as the story wants."""

    async def main(api):
        workflow = WorkflowStory("build", [JobStory("test", 10)], list_lag=3, status_lag=4, stopped_at_lag=5)
        pipeline_id = await _start(api, Story([workflow], workflow_delay=0))
        seen = []
        for second in range(25):
            reply = await api("GET", f"/pipeline/{pipeline_id}/workflow")
            shown = [(w["status"], w["stopped_at"] is not None) for w in reply.json.get("items", [])]
            if not seen or seen[-1][1] != shown:
                seen.append((second, shown))
            await asyncio.sleep(1)
        assert seen == [
            (0, []),
            (3, [("running", False)]),
            (14, [("success", False)]),
            (19, [("success", True)]),
        ]
        never = WorkflowStory("build", [JobStory("test", 10)], stopped_at_lag=None)
        pipeline_id = await _start(api, Story([never]))
        await asyncio.sleep(1000)
        (workflow,) = await _workflows(api, pipeline_id)
        assert (workflow["status"], workflow["stopped_at"]) == ("success", None)
        assert (await api.get(f"/workflow/{workflow['id']}"))["stopped_at"] is None

    virtual(main)


def test_polls_that_miss_or_fail(virtual):
    """Single lists miss a workflow or fail, and an outage fails everything of the pipeline."""

    async def main(api):
        workflow = WorkflowStory("build", [JobStory("test", 100)], missing_polls=[2])
        story = Story([workflow], workflow_delay=0, failing_polls=[3], empty_is_404=False, outages=[(10, 20)])
        pipeline_id = await _start(api, story)
        path = f"/pipeline/{pipeline_id}/workflow"
        replies = [await api("GET", path) for _ in range(4)]
        assert [reply.status for reply in replies] == [200, 200, 500, 200]
        assert [len(reply.json.get("items", ())) for reply in replies] == [1, 0, 0, 1]
        workflow_id = replies[0].json["items"][0]["id"]
        paths = (f"/pipeline/{pipeline_id}", path, f"/workflow/{workflow_id}", f"/workflow/{workflow_id}/job")
        for status in (200, 503, 200):
            assert [(await api("GET", path)).status for path in paths] == [status] * 4
            await asyncio.sleep(12)

    virtual(main)


def test_errored_expired_and_empty_pipelines(virtual):
    """A configuration error, workflows that have expired, and a pipeline that never gets a workflow."""

    async def main(api):
        errored = await _start(api, Story(errors=[("config", "Cannot find a job")]))
        expired = await _start(api, Story([WorkflowStory("build", expired=True)]))
        empty = await _start(api, Story())
        await asyncio.sleep(60)
        pipeline = await api.get(f"/pipeline/{errored}")
        assert (pipeline["state"], pipeline["errors"]) == (
            "errored",
            [{"type": "config", "message": "Cannot find a job"}],
        )
        (workflow,) = await _workflows(api, expired)
        assert (workflow["id"], workflow["status"], workflow["created_at"]) == (None, None, None)
        assert (await api("GET", f"/pipeline/{empty}/workflow")).status == 404
        assert (await api.get(f"/pipeline/{empty}"))["state"] == "created"

    virtual(main)


def test_scripted_pipeline_states(virtual):
    """`states` replaces the states that the pipeline would have."""

    async def main(api):
        pipeline_id = await _start(api, Story([WorkflowStory("build")], states=[(0, "pending"), (90, "created")]))
        await asyncio.sleep(30)
        assert (await api.get(f"/pipeline/{pipeline_id}"))["state"] == "pending"
        await asyncio.sleep(61)
        assert (await api.get(f"/pipeline/{pipeline_id}"))["state"] == "created"

    virtual(main)


def test_stories_are_used_in_order(virtual):
    """Each story serves its number of pipelines. After the last, pipelines do what they do by default."""

    async def main(api):
        one, two = Story([WorkflowStory("one")], workflow_delay=0), Story([WorkflowStory("two")], workflow_delay=0)
        api.server.script(WEB, one)
        api.server.script(WEB, two, times=2)
        names = []
        for _ in range(4):
            reply = await api("POST", f"/project/{WEB}/pipeline", json={})
            await asyncio.sleep(1)
            names.append([w["name"] for w in await _workflows(api, reply.json["id"])])
        assert names == [["one"], ["two"], ["two"], ["build-and-test", "deploy"]]
        api.server.script(WEB, one, times=None)
        for _ in range(3):
            pipeline_id = api.server.start_pipeline(WEB, branch="fix/typo")
            assert [w["name"] for w in await _workflows(api, pipeline_id)] == ["one"]
        pipeline = await api.get(f"/pipeline/{pipeline_id}")
        assert (pipeline["trigger"]["type"], pipeline["vcs"]["branch"]) == ("webhook", "fix/typo")

    virtual(main)


async def test_speed(serve):
    """A server at speed 600 plays ten minutes in a second, and its Date header shows them."""
    api = await serve([WEB], speed=600)
    pipeline_id = await _start(api, Story([WorkflowStory("build", [JobStory("test", 300)])]))
    loop = asyncio.get_running_loop()
    begin = loop.time()
    first = parsedate_to_datetime((await api("GET", "/me")).headers["Date"])
    async with asyncio.timeout(10):
        while True:
            reply = await api("GET", f"/pipeline/{pipeline_id}/workflow")
            if reply.status == 200 and reply.json["items"][0]["status"] == "success":
                break
            await asyncio.sleep(0.01)
    elapsed = loop.time() - begin
    assert elapsed < 5
    shown = (parsedate_to_datetime(reply.headers["Date"]) - first).total_seconds()
    assert shown == pytest.approx(600 * elapsed, rel=0.2)


def test_random_stories_end_on_time(virtual):
    """A random story ends with the statuses and at the times that its jobs add up to."""

    async def main(api):
        rng = random.Random(5)
        for _ in range(30):
            jobs, ends = [], {}
            for number in range(rng.randint(1, 6)):
                requires = rng.sample(sorted(ends), rng.randint(0, min(2, len(ends))))
                seconds, queued = rng.randint(0, 50), rng.choice([0, 0, 7])
                jobs.append(JobStory(f"j{number}", seconds, requires=requires, queued_seconds=queued))
                ends[f"j{number}"] = max((ends[name] for name in requires), default=0) + queued + seconds
            pipeline_id = await _start(api, Story([WorkflowStory("build", jobs)], workflow_delay=0))
            last = max(ends.values())
            if last:
                await asyncio.sleep(last - 0.5)
                assert [w["status"] for w in await _workflows(api, pipeline_id)] == ["running"]
            await asyncio.sleep(1)
            assert [w["status"] for w in await _workflows(api, pipeline_id)] == ["success"]

    virtual(main)


@each_row(
    ("make", "message"),
    [
        (lambda: JobStory("a", -1), "seconds must be 0 or more"),
        (lambda: WorkflowStory("a", [JobStory("b", requires=["c"])]), "requires must be names of earlier jobs"),
        (lambda: WorkflowStory("a", [JobStory("b"), JobStory("b")]), "must differ"),
        (lambda: WorkflowStory("a", statuses=[(5, "running"), (1, "success")]), "in the order"),
        (lambda: JobStory("a", requires="b"), "must be a sequence"),
        (lambda: LocalCircleCI().script("gh/acme/nothing", Story()), "project must be one of"),
        (lambda: LocalCircleCI().script(WEB, Story(), times=0), "times must be 1 or more"),
        (lambda: LocalCircleCI().script(WEB, "story"), "must be of type Story"),
        (lambda: LocalCircleCI(speed=0), "speed must be a positive number"),
    ],
)
def test_wrong_stories_are_refused(make, message):
    """The error names the parameter."""
    with pytest.raises((ValueError, TypeError), match=message):
        make()


async def test_story_in_a_thread():
    """A server in another thread takes stories and starts pipelines from this one."""
    loop = asyncio.new_event_loop()
    server = LocalCircleCI([WEB])

    def run():
        asyncio.set_event_loop(None)
        loop.run_until_complete(server.start())
        loop.run_forever()
        loop.run_until_complete(server.stop())
        loop.close()

    thread = asyncio.get_running_loop().run_in_executor(None, run)
    while True:
        try:
            url = server.url
            break
        except RuntimeError:
            await asyncio.sleep(0.001)
    server.script(WEB, Story([WorkflowStory("build")], workflow_delay=0))
    pipeline_id = server.start_pipeline(WEB)
    path = f"{url}/api/v2/pipeline/{pipeline_id}/workflow"
    async with (
        aiohttp.ClientSession(headers={"Circle-Token": server.token}) as session,
        session.get(path) as response,
    ):
        assert [w["name"] for w in (await response.json())["items"]] == ["build"]
    loop.call_soon_threadsafe(loop.stop)
    await thread
