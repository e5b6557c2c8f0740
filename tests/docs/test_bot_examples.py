"""The programs of docs/examples do their jobs, against a local CircleCI on virtual time."""

from __future__ import annotations

import ast
import asyncio
import sys
from collections.abc import Callable, Iterator
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from aiocircle import CircleCI
from aiocircle.testing import JobStory, LocalCircleCI, Story, WorkflowStory
from tests.support import notifier_day
from tests.support.notifier_day import own_clock
from tests.support.thorough import THOROUGH

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "docs/examples"
WEB, API = "gh/acme/web", "gh/acme/api"
SECRET = "the secret of the examples"
BRANCH = "work"
BOTS = ("deployment_gate", "failure_notifier")
PROGRAMS = ("run_and_wait", "report_failures", "rerun_flaky", "approve_from_chat", "cancel_redundant")
PASSES, FAILS = JobStory("test", 20), JobStory("test", 20, status="failed")
HOLD, SHIP = JobStory("hold", type="approval", requires=["test"]), JobStory("ship", 10, requires=["hold"])


def example(name: str) -> Any:
    """Import an example as a module."""
    spec = spec_from_file_location(f"example_{name}", EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(autouse=True)
def _own_clock() -> Iterator[None]:
    """The own clock advances with the loop."""
    with own_clock():
        yield


@pytest.fixture
async def server(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A server that a client without arguments finds. Workflows come a second after their pipeline."""
    async with LocalCircleCI([WEB, API]) as server:
        monkeypatch.setenv("CIRCLECI_BASE_URL", server.url)
        monkeypatch.setenv("CIRCLECI_TOKEN", server.token)
        monkeypatch.setenv("CIRCLECI_WEBHOOK_SECRET", SECRET)
        yield server


def story(*jobs: JobStory, **options: Any) -> Story:
    return Story([WorkflowStory("build", jobs, **options)])


def push(server: LocalCircleCI, *stories: Story, project: str = WEB, branch: str = BRANCH) -> None:
    for each in stories:
        server.script(project, each)
        server.start_pipeline(project, branch=branch)


def changes(server: LocalCircleCI) -> list[str]:
    return [operation for operation, _ in server.changes]


async def eventually(condition: Callable[[], bool], seconds: float = 3600) -> None:
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - a list is filled by a program
            await asyncio.sleep(1)


def test_examples_are_short() -> None:
    """A bot has less than 100 lines, and the program of one job less than 30."""
    for name in (*BOTS, *PROGRAMS):
        lines = len((EXAMPLES / f"{name}.py").read_text("utf-8").splitlines())
        assert lines < (100 if name in BOTS else 30), name


def test_examples_use_the_public_package() -> None:
    """No name of an example begins with an underscore, and no module does."""
    for path in EXAMPLES.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            modules = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not any(part.startswith("_") for name in modules for part in name.split(".") if name != "__future__")


# --- one job each -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("jobs", "status", "outcome"), [([PASSES], 0, "success"), ([FAILS], 1, "failed")])
async def test_run_and_wait(
    server: LocalCircleCI, capsys: pytest.CaptureFixture[str], jobs: list[JobStory], status: int, outcome: str
) -> None:
    """Start a pipeline with parameters, and wait for its result."""
    server.script(WEB, story(*jobs))
    assert await example("run_and_wait").run(WEB, BRANCH, "env=staging") == status
    assert f"\n{outcome}\nbuild: {outcome} https://" in capsys.readouterr().out
    assert server.requests[0].json == {"branch": BRANCH, "parameters": {"env": "staging"}}
    assert changes(server) == ["pipelines.trigger"]


async def test_run_and_wait_reports_a_missing_run(server: LocalCircleCI, capsys: pytest.CaptureFixture[str]) -> None:
    """A pipeline without workflows is not a success."""
    server.script(WEB, Story([]))
    assert await example("run_and_wait").run(WEB, BRANCH) == 1
    assert "no_workflows" in capsys.readouterr().out


async def test_report_failures(server: LocalCircleCI, capsys: pytest.CaptureFixture[str]) -> None:
    """Newly broken, still broken, mended, and the failed jobs with their pages."""
    task = asyncio.create_task(example("report_failures").report(WEB, BRANCH, "mended"))
    for jobs in (PASSES, FAILS, FAILS, PASSES):
        await asyncio.sleep(600)
        push(server, story(jobs))
    await asyncio.wait_for(task, 600)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["newly_broken", "failed:", "still_broken", "failed:", "mended"]
    assert lines[1].startswith("  failed: test https://")


async def test_rerun_flaky(server: LocalCircleCI, capsys: pytest.CaptureFixture[str]) -> None:
    """Several runs of the program make one change."""
    push(server, story(FAILS))
    await asyncio.sleep(60)
    rerun = example("rerun_flaky").rerun
    assert [await rerun(WEB, BRANCH), await rerun(WEB, BRANCH)] == [1, 0]
    await asyncio.sleep(60)
    assert await rerun(WEB, BRANCH) == 0
    assert changes(server) == ["workflows.rerun"]
    assert capsys.readouterr().out.startswith("rerun build https://")


async def test_approve_from_chat(server: LocalCircleCI) -> None:
    """The job that the person chooses is approved, and no other."""
    push(server, story(PASSES, HOLD, SHIP), story(JobStory("test", 300), HOLD, SHIP))
    texts: list[str] = []

    async def choose(text: str) -> str:
        if f"waits on {BRANCH}:" in text:
            texts.append(text)
            return "approve" if len(texts) == 1 else "no"
        return "no"

    task = asyncio.create_task(example("approve_from_chat").offer(WEB, choose))
    await eventually(lambda: len(texts) == 2)
    task.cancel()
    await asyncio.wait([task])
    assert changes(server) == ["workflows.approve"]
    assert texts[0].startswith("hold of build waits")


async def test_cancel_redundant(server: LocalCircleCI, capsys: pytest.CaptureFixture[str]) -> None:
    """On each branch that is named."""
    push(server, *[story(JobStory("test", 3600))] * 3)
    push(server, *[story(JobStory("test", 3600))] * 2, branch="other")
    await asyncio.sleep(10)
    assert await example("cancel_redundant").cancel(WEB, BRANCH, "other") == 3
    assert changes(server) == ["workflows.cancel"] * 3
    assert capsys.readouterr().out.count("canceled") == 3


# --- the deployment gate ------------------------------------------------------------------------------------------


async def gate(server: LocalCircleCI, revision: str | None = None) -> bool:
    async with CircleCI() as circle:
        return await example("deployment_gate").deploy(circle, WEB, BRANCH, revision)


async def test_gate_approves_what_the_rules_permit(server: LocalCircleCI, capsys: pytest.CaptureFixture[str]) -> None:
    """It starts the pipeline, waits for the approval, and then for the deployment."""
    server.script(WEB, story(PASSES, HOLD, SHIP))
    assert await gate(server)
    assert changes(server) == ["pipelines.trigger", "workflows.approve"]
    assert "approved\nsuccess https://" in capsys.readouterr().out


async def test_gate_finds_the_pipeline_of_a_commit(server: LocalCircleCI) -> None:
    """It starts none then."""
    push(server, story(PASSES, HOLD, SHIP))
    async with CircleCI() as circle:
        pipeline = await circle.pipelines.list_for_project(WEB, branch=BRANCH).first()
    assert pipeline is not None
    assert await gate(server, pipeline.revision)
    assert changes(server) == ["workflows.approve"]


async def test_gate_refuses_a_failed_job(server: LocalCircleCI, capsys: pytest.CaptureFixture[str]) -> None:
    """Another workflow than that of the deployment failed: the deployment is canceled."""
    server.script(
        WEB,
        Story([WorkflowStory("test", [JobStory("lint", 5, status="failed")]), WorkflowStory("ship", [PASSES, HOLD])]),
    )
    assert not await gate(server)
    assert changes(server) == ["pipelines.trigger", "workflows.cancel"]
    assert "refused: job lint is failed: https://" in capsys.readouterr().out


async def test_gate_refuses_an_older_pipeline(server: LocalCircleCI, capsys: pytest.CaptureFixture[str]) -> None:
    """A newer one has been started in the meantime."""
    server.script(WEB, story(PASSES, HOLD, SHIP))
    task = asyncio.create_task(gate(server))
    await asyncio.sleep(5)
    push(server, story(PASSES))
    assert not await task
    assert "is newer" in capsys.readouterr().out


async def test_gate_without_an_approval_is_the_result(server: LocalCircleCI) -> None:
    """Nothing is approved if the pipeline fails before."""
    server.script(WEB, story(FAILS, HOLD, SHIP))
    assert not await gate(server)
    assert changes(server) == ["pipelines.trigger"]


def test_readme_has_the_gate() -> None:
    """The bot of the README is the one that is tested here, from its first function on."""
    code = (EXAMPLES / "deployment_gate.py").read_text(encoding="utf-8")
    body = code[code.index("import asyncio") : code.index("async def main")].strip()
    assert body in (ROOT / "README.md").read_text(encoding="utf-8")


# --- the failure notifier -----------------------------------------------------------------------------------------


async def test_notifier_reports_each_change_once(
    server: LocalCircleCI, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By events, of both projects, over a restart. An unknown project stops none of the others."""
    monkeypatch.setenv("STATE", str(tmp_path))
    messages: list[str] = []
    notifier = example("failure_notifier")

    async def serve() -> web.AppRunner:
        runner = web.AppRunner(notifier.make_app([WEB, API, "gh/acme/none"], BRANCH, messages.append))
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        url = f"http://127.0.0.1:{runner.addresses[0][1]}/circleci"
        server.webhooks.targets.clear()
        server.webhooks.add(url, secret=SECRET, events=["workflow-completed"])
        return runner

    runner = await serve()
    await eventually(lambda: len(messages) == 1, 60)
    assert messages.pop().startswith("gh/acme/none is not followed")
    push(server, story(FAILS))
    await eventually(lambda: len(messages) == 1, 60)
    push(server, story(PASSES), project=API)
    push(server, story(FAILS))
    await eventually(lambda: len(messages) == 2, 60)
    await server.webhooks.wait()
    await runner.cleanup()
    push(server, story(PASSES))
    await asyncio.sleep(3600)
    runner = await serve()
    await eventually(lambda: len(messages) == 4, 60)
    await asyncio.sleep(1200)
    await runner.cleanup()
    titles = [" ".join(message.split()[:4]) for message in messages if "none" not in message]
    expected = ["newly_broken: failed", "still_broken: failed", "mended: success"]
    assert titles == [f"{WEB} {BRANCH} {each}" for each in expected]
    assert [message.count("\n  test: https://") for message in messages if "none" not in message] == [1, 1, 0]


async def test_notifier_continues_after_a_failed_message(
    server: LocalCircleCI, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The jobs cannot be read for some minutes: the message comes later, and only once."""
    monkeypatch.setenv("STATE", str(tmp_path))
    messages: list[str] = []
    runner = web.AppRunner(example("failure_notifier").make_app([WEB], BRANCH, messages.append))
    await runner.setup()
    server.inject("503", times=15, path="/workflow/")
    push(server, story(FAILS))
    await eventually(lambda: len(messages) == 1, 7200)
    await asyncio.sleep(3600)
    await runner.cleanup()
    assert len(messages) == 1
    assert messages[0].startswith(f"{WEB} {BRANCH} newly_broken")


@pytest.mark.parametrize(("seed", "by_events"), [(1, True), (2, False), *([(1, False), (2, True)] if THOROUGH else [])])
def test_notifier_reports_what_an_observer_would(seed: int, by_events: bool) -> None:
    """A part of a day: lost, doubled and late events, a restart, an hour without network. The script plays a day."""
    outcome = notifier_day.run_day(seed, projects=3, hours=7, by_events=by_events)
    assert outcome.reported == outcome.expected
    assert sum(map(len, outcome.reported.values())) > 5
