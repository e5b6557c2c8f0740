"""Events that the server sends, as a plain receiver gets them."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
from collections import Counter
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from aiocircle.testing import JobStory, Story, WorkflowStory

WEB = "gh/acme/web"
SECRET = "a secret that both know"


class Receiver:
    """Keeps what arrives. Its responses have the statuses in `statuses`, then 200."""

    def __init__(self):
        self.statuses = []
        self.received = []

    async def handle(self, request):
        self.received.append((asyncio.get_running_loop().time(), request.headers.copy(), await request.read()))
        return web.Response(status=self.statuses.pop(0) if self.statuses else 200)

    @property
    def events(self):
        return [json.loads(body) for _, _, body in self.received]


@asynccontextmanager
async def receiving():
    receiver = Receiver()
    runner = web.ServerRunner(web.Server(receiver.handle))
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    receiver.url = f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
    try:
        yield receiver
    finally:
        await runner.cleanup()


def signature_of(body, secret=SECRET):
    return f"v1={hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()}"


@pytest.fixture
def deliver(virtual):
    """Run a function with a server's Api and a receiver of its events, in virtual time."""

    def run(main, *args, **options):
        async def start(api):
            async with receiving() as receiver:
                await main(api, receiver)

        virtual(start, *args, **options)

    return run


STORY = Story([WorkflowStory("build", [JobStory("test", 30), JobStory("lint", 10, status="failed")])])


def test_events_are_sent_when_things_end(deliver):
    """Each end is one signed event, sent without any request of a client."""

    async def main(api, receiver):
        loop = asyncio.get_running_loop()
        api.server.webhooks.add(receiver.url, secret=SECRET)
        api.server.script(WEB, STORY)
        begin = loop.time()
        pipeline_id = api.server.start_pipeline(WEB, branch="main")
        await asyncio.sleep(100)
        ends = [
            (round(at - begin), event["type"])
            for (at, _, _), event in zip(receiver.received, receiver.events, strict=True)
        ]
        assert ends[0] == (11, "job-completed")
        assert sorted(ends[1:]) == [(31, "job-completed"), (31, "workflow-completed")]
        for _, headers, body in receiver.received:
            assert headers["Circleci-Signature"] == signature_of(body)
            assert headers["Circleci-Event-Type"] == json.loads(body)["type"]
            assert headers["User-Agent"] == "CircleCI-Webhook/1.0"
            assert headers["Content-Type"] == "application/json"
        by_type = {event["type"]: event for event in receiver.events[1:]}
        workflow = by_type["workflow-completed"]
        (listed,) = (await api.get(f"/pipeline/{pipeline_id}/workflow"))["items"]
        assert workflow["workflow"]["status"] == "failed"
        assert workflow["workflow"]["id"] == listed["id"]
        assert workflow["pipeline"]["id"] == pipeline_id
        assert workflow["pipeline"]["vcs"]["branch"] == "main"
        assert workflow["project"]["slug"] == "github/acme/web"
        job = by_type["job-completed"]
        assert (job["job"]["name"], job["job"]["status"]) == ("test", "success")
        assert "status" not in job["workflow"]
        assert len({event["id"] for event in receiver.events}) == 3
        assert [delivery.status for delivery in api.server.webhooks.deliveries] == [200] * 3

    deliver(main, [WEB])


def test_canceled_workflow_is_sent(deliver):
    """An end by a request of a client is an event also."""

    async def main(api, receiver):
        api.server.webhooks.add(receiver.url, events=["workflow-completed"])
        api.server.script(WEB, Story([WorkflowStory("build", [JobStory("test", 3000)])]))
        pipeline_id = api.server.start_pipeline(WEB)
        await asyncio.sleep(10)
        (workflow,) = (await api.get(f"/pipeline/{pipeline_id}/workflow"))["items"]
        await api("POST", f"/workflow/{workflow['id']}/cancel")
        await asyncio.sleep(1)
        await api.server.webhooks.wait()
        (event,) = receiver.events
        assert event["workflow"]["status"] == "canceled"
        assert "Circleci-Signature" not in receiver.received[0][1]

    deliver(main, [WEB])


def test_standalone_projects_have_trigger_parameters(deliver):
    """Events of the GitHub App have no `vcs`."""

    async def main(api, receiver):
        slug = api.server.projects[2]
        api.server.webhooks.add(receiver.url, project=slug)
        for project in (WEB, slug):
            api.server.script(project, Story([WorkflowStory("build")]))
            api.server.start_pipeline(project)
        await asyncio.sleep(60)
        assert len(receiver.events) == 2
        for event in receiver.events:
            assert event["project"]["slug"] == slug
            assert "vcs" not in event["pipeline"]
            assert event["pipeline"]["trigger_parameters"]["git"]["checkout_sha"]

    deliver(main)


def test_disorders(deliver):
    """Events arrive twice, late, unsigned, wrongly signed or never, each on request."""

    async def main(api, receiver):
        webhooks = api.server.webhooks
        webhooks.add(receiver.url, secret=SECRET, events=["workflow-completed"])
        api.server.script(WEB, Story([WorkflowStory("build", [JobStory("test", 5)])], workflow_delay=0), times=None)
        loop = asyncio.get_running_loop()

        async def run(disorder=None, **options):
            if disorder is not None:
                webhooks.inject(disorder, **options)
            receiver.received.clear()
            begin = loop.time()
            api.server.start_pipeline(WEB)
            await asyncio.sleep(100)
            return [
                (round(at - begin), headers.get("Circleci-Signature") == signature_of(body), json.loads(body)["id"])
                for at, headers, body in receiver.received
            ]

        assert [reply[:2] for reply in await run()] == [(5, True)]
        first, second = await run("duplicate")
        assert first == second
        assert [reply[:2] for reply in await run("delay", seconds=60)] == [(65, True)]
        assert [reply[:2] for reply in await run("wrong_signature")] == [(5, False)]
        assert "Circleci-Signature" in receiver.received[0][1]
        assert [reply[:2] for reply in await run("unsigned")] == [(5, False)]
        assert "Circleci-Signature" not in receiver.received[0][1]
        assert await run("lost") == []
        assert webhooks.deliveries[-1].error == "lost"
        assert len(await run()) == 1
        assert len(await run("lost", event="job-completed")) == 1
        with pytest.raises(ValueError, match="disorder must be one of"):
            webhooks.inject("late")

    deliver(main, [WEB])


def test_failed_deliveries_are_repeated(deliver):
    """Without a 2xx an event is sent again with the same id, a few times."""

    async def main(api, receiver):
        webhooks = api.server.webhooks
        webhooks.add(receiver.url, events=["workflow-completed"])
        api.server.script(WEB, Story([WorkflowStory("build", [JobStory("test", 5)])]), times=None)
        receiver.statuses = [503, 500]
        api.server.start_pipeline(WEB)
        await asyncio.sleep(100)
        assert [delivery.status for delivery in webhooks.deliveries] == [503, 500, 200]
        assert len({event["id"] for event in receiver.events}) == 1
        receiver.statuses = [500] * 9
        api.server.start_pipeline(WEB)
        await asyncio.sleep(100)
        assert Counter(delivery.status for delivery in webhooks.deliveries) == {503: 1, 500: 4, 200: 1}
        webhooks.remove(webhooks.targets[0])
        webhooks.add("http://127.0.0.1:1/nothing", events=["workflow-completed"])
        api.server.start_pipeline(WEB)
        await asyncio.sleep(100)
        assert [delivery.error for delivery in webhooks.deliveries[-3:]] == ["ClientConnectorError"] * 3

    deliver(main, [WEB])


def test_send_any_body(deliver):
    """`send` takes any bytes, a mapping, any signature and any header."""

    async def main(api, receiver):
        webhooks = api.server.webhooks
        pipeline_id = (await api.get(f"/project/{WEB}/pipeline"))["items"][10]["id"]
        workflow = (await api.get(f"/pipeline/{pipeline_id}/workflow"))["items"][0]
        event = webhooks.workflow_completed(workflow["id"])
        delivery = await webhooks.send(event, receiver.url, secret=SECRET)
        assert (delivery.status, delivery.id, delivery.event) == (200, event["id"], "workflow-completed")
        assert receiver.events == [event]
        job_id = (await api.get(f"/workflow/{workflow['id']}/job"))["items"][0]["id"]
        webhooks.add(receiver.url, secret=SECRET)
        await webhooks.send(webhooks.job_completed(job_id))
        await webhooks.send(webhooks.ping(), signature="wrong")
        await webhooks.send(b"\xff{", signature="missing")
        await webhooks.send("[]", signature="v0=1,v1=2", headers={"x-other": "1"}, event="deploy-completed")
        types = [headers["Circleci-Event-Type"] for _, headers, _ in receiver.received]
        assert types == ["workflow-completed", "job-completed", "ping", "workflow-completed", "deploy-completed"]
        valid = [headers.get("Circleci-Signature") == signature_of(body) for _, headers, body in receiver.received]
        assert valid == [True, True, False, False, False]
        assert receiver.received[3][2] == b"\xff{"
        assert "Circleci-Signature" not in receiver.received[3][1]
        assert receiver.received[4][1]["X-Other"] == "1"
        assert receiver.received[4][1]["Circleci-Signature"] == "v0=1,v1=2"

    deliver(main)


@pytest.mark.parametrize(
    ("body", "secret", "expected"),
    [
        ("hello world", "secret", "734cc62f32841568f45715aeb9f4d7891324e6d948e4c6c60c0621cdac48623a"),
        ("lalala", "another-secret", "daa220016c8f29a8b214fbfc3671aeec2145cfb1e6790184ffb38b6d0425fa00"),
        (
            "an-important-request-payload",
            "hunter123",
            "9be2242094a9a8c00c64306f382a7f9d691de910b4a266f67bd314ef18ac49fa",
        ),
        ("foo", "secret", "773ba44693c7553d6ee20f61ea5d2757a9a4f4a44d2841ae4e95b52e4cd62db4"),
    ],
)
def test_documented_signatures(deliver, body, secret, expected):
    """The signatures are those of CircleCI's documentation."""

    async def main(api, receiver):
        await api.server.webhooks.send(body, receiver.url, secret=secret)
        assert receiver.received[0][1]["Circleci-Signature"] == f"v1={expected}"

    deliver(main)


def test_nothing_is_sent_after_the_stop(virtual):
    """A late event does not outlive its server."""

    async def main(api):
        async with receiving() as receiver:
            api.server.webhooks.add(receiver.url)
            api.server.webhooks.inject("delay", seconds=1000, times=9)
            api.server.start_pipeline(WEB)
            await asyncio.sleep(30)
            await api.server.stop()
            await asyncio.sleep(2000)
            assert receiver.received == []

    virtual(main)


def test_stop_right_after_a_start(virtual):
    """A change of state just before the stop does not keep the server from stopping."""

    async def main(api):
        for wait in (None, 0, 0.5):
            api.server.webhooks.add("http://127.0.0.1:1/nothing")
            api.server.start_pipeline(WEB)
            if wait is not None:
                await asyncio.sleep(wait)
            await api.server.stop()
            await api.server.start()

    virtual(main)
