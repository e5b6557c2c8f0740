"""Streams of results and approvals, on virtual time."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Callable, Coroutine
from itertools import pairwise
from typing import Any

import pytest

from aiocircle._core.pagination import Page
from aiocircle.composites import _stream_state
from aiocircle.composites._pipeline_streams import ApprovalStream, FinishedStream
from aiocircle.composites._reads import Read
from aiocircle.composites._stream_state import Listed, StreamState
from aiocircle.errors import ConfigurationError, Forbidden, InvalidArgument, NotFound, ServerError, Unauthorized
from aiocircle.resources.pipelines import Pipeline
from aiocircle.testing.virtual_time import VirtualTimeLoop
from tests.support import stream_stories as stories
from tests.support.rows import each_row
from tests.support.stream_stories import EPOCH, INF, PROJECT, Attempt, Named, PipelineStory, ProjectServer, moment
from tests.support.thorough import scaled
from tests.support.waiting_stories import Events


def run(main: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
    with asyncio.Runner(debug=False, loop_factory=VirtualTimeLoop) as runner:
        return runner.run(main())


# --- stories --------------------------------------------------------------------------------------------------


def test_finished_stream_agrees_with_the_observer() -> None:
    """Each result once, through crashes, failing requests, and lost, doubled and late events."""
    assert stories.run_campaign(range(scaled(30, 400)), approvals=False)[:2] == ({}, {})


def test_approval_stream_agrees_with_the_observer() -> None:
    """Each approval once, while it waits."""
    assert stories.run_campaign(range(scaled(30, 400)), approvals=True)[:2] == ({}, {})


def test_observer_notices_an_early_save() -> None:
    """Before the work is done: a crash in between loses the result. The state is to be saved after the work."""
    counts, _, _ = stories.run_campaign([892], approvals=False, save_first=True)
    assert {*counts} == {"its work was lost in a crash"}


@pytest.mark.parametrize(
    ("rule", "broken", "fault"),
    [
        ("end_walk", lambda self, shown: StreamState_end_walk(self, shown) and (), "a later change was missed"),
        ("prune", lambda self: self.final.clear(), "reported twice"),
        ("correct", lambda self, seconds: None, "missed"),
    ],
)
def test_observer_notices_a_wrong_rule(
    monkeypatch: pytest.MonkeyPatch, rule: str, broken: Callable[..., Any], fault: str
) -> None:
    """Otherwise the stories would prove nothing."""
    monkeypatch.setattr(StreamState, rule, broken)
    assert any(fault in stories.run_campaign([seed], approvals=False)[0] for seed in range(150))


StreamState_end_walk = StreamState.end_walk


def test_observer_notices_a_mark_without_room(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pipeline that becomes visible late would be missed."""
    monkeypatch.setattr(_stream_state, "LATE", 0.0)
    assert any("missed" in stories.run_campaign([seed], approvals=False)[0] for seed in range(150))


# --- a scripted project ---------------------------------------------------------------------------------------


def pipeline(number: int, created: float, stopped: float = INF, status: str = "success", **more: Any) -> PipelineStory:
    attempt = Attempt(f"{number}.0", created + 1, stopped, status, approvals=more.pop("approvals", []))
    return PipelineStory(number, more.pop("branch", "main"), created, created, attempts=[attempt], **more)


class Project(ProjectServer):
    """A project whose requests are counted by kind, and fail on demand."""

    def __init__(self, *pipelines: PipelineStory) -> None:
        story = stories.Story([*pipelines], INF, None, False, 20, 60.0, [], [], 0.0, False, [])
        self.kinds: list[tuple[str, float]] = []
        self.error: Exception | None = None
        super().__init__(story, stories.random.Random(1))

    async def _serve(self) -> float:
        await asyncio.sleep(0.1)
        if self.error is not None:
            raise self.error
        return self.now

    async def list_pipelines(
        self, project: str, /, *, branch: str | None, page_token: str | None
    ) -> Read[Page[Pipeline]]:
        self.kinds.append(("list", self.now))
        return await super().list_pipelines(project, branch=branch, page_token=page_token)

    async def list_workflows(self, pipeline_id: str, /) -> Any:
        self.kinds.append((pipeline_id, self.now))
        return await super().list_workflows(pipeline_id)


@pytest.fixture(autouse=True)
def _own_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """The own clock advances with the loop."""

    def wall() -> float:
        try:
            return EPOCH + asyncio.get_running_loop().time()
        except RuntimeError:
            return EPOCH

    monkeypatch.setattr("time.time", wall)


async def results(stream: FinishedStream, count: int) -> list[tuple[int, str]]:
    return [((result := await anext(stream)).pipeline.number, result.outcome) for _ in range(count)]


def test_stream_yields_results_as_they_become_final() -> None:
    """Results come in the order of their ends. Earlier ones are left out; a rerun with another outcome comes again."""

    async def main() -> None:
        first = pipeline(1, -500, 300, "failed")
        first.attempts.append(Attempt("1.1", 700, 800, "success"))
        server = Project(pipeline(0, -900, -600, branch="old"), first, pipeline(2, -400, 100, branch="b"))
        async with FinishedStream(server, PROJECT) as stream:
            assert await results(stream, 3) == [(2, "success"), (1, "failed"), (1, "success")]

    run(main)


def test_stream_with_since_yields_what_was_final() -> None:
    """Everything that was created since then."""

    async def main() -> None:
        server = Project(pipeline(0, -900, -600), pipeline(1, -5000, -4000, branch="b"))
        async with FinishedStream(server, PROJECT, since=moment(-1000)) as stream:
            assert await results(stream, 1) == [(0, "success")]
            assert stream.state["begin"] is None

    run(main)


def test_stream_reads_at_the_end_of_a_grace_period() -> None:
    """And for the second read: not only once in a poll interval."""

    async def main() -> float:
        server = Project(pipeline(0, -100, 61))
        async with FinishedStream(server, PROJECT, poll_interval=600.0, events=(events := Events())) as stream:
            loop = asyncio.get_running_loop()
            event = stories.ProjectEvent(Named(0), stories.EventPart("0.0", "success"), Named())
            loop.call_at(62.0, lambda: [listener(event) for listener in events.listeners])
            assert await results(stream, 1) == [(0, "success")]
            return server.now

    assert run(main) == pytest.approx(66.5, abs=1.5)


def test_event_has_an_older_result_read_again() -> None:
    """A rerun of a pipeline that is not the newest of its branch: polls do not look for it."""

    async def main(with_event: bool) -> list[tuple[int, str]]:
        first = pipeline(1, -500, 30, "failed")
        first.attempts.append(Attempt("1.1", 700, 800, "success"))
        server = Project(first, pipeline(2, -400, 50))
        async with FinishedStream(server, PROJECT, events=(events := Events())) as stream:
            event = stories.ProjectEvent(Named(1), stories.EventPart("1.1", "success"), Named())
            if with_event:
                asyncio.get_running_loop().call_at(801.0, lambda: [listener(event) for listener in events.listeners])
            found: list[tuple[int, str]] = []
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(5000):
                    while True:
                        found += await results(stream, 1)
            return found

    assert sorted(run(lambda: main(False))) == [(1, "failed"), (2, "success")]
    assert run(lambda: main(True))[2:] == [(1, "success")]


def test_events_of_other_projects_are_ignored() -> None:
    """And those that name no pipeline, and those of jobs."""

    async def main() -> None:
        server = Project(pipeline(1, -500))
        async with FinishedStream(server, PROJECT, events=(events := Events())) as stream:
            task = asyncio.create_task(anext(stream))
            await asyncio.sleep(5)
            before = len(server.kinds)
            other = stories.ProjectEvent(Named(1), stories.EventPart("1.0", "success"), Named(slug="gh/acme/api"))
            for event in (other, object(), stories.ProjectEvent(None, stories.EventPart(""), Named())):
                events.listeners[0](event)
            await asyncio.sleep(5)
            assert len(server.kinds) == before
            task.cancel()

    run(main)


def test_event_shows_a_pipeline_before_the_list_does() -> None:
    """It is read by its number."""

    async def main() -> None:
        late = pipeline(1, 10, 100)
        late.visible = 2000.0
        async with FinishedStream(Project(late), PROJECT, events=(events := Events())) as stream:
            event = stories.ProjectEvent(Named(1), stories.EventPart("1.0", "success"), Named())
            asyncio.get_running_loop().call_at(101.0, lambda: [listener(event) for listener in events.listeners])
            assert await results(stream, 1) == [(1, "success")]
            assert stream._loop.time() < 110

    run(main)


def test_stream_continues_from_its_state() -> None:
    """Only a result whose state was not saved comes twice."""

    async def main() -> None:
        server = Project(pipeline(0, -100, 10), pipeline(1, -100, 200, branch="b"))
        async with FinishedStream(server, PROJECT) as stream:
            before = json.loads(json.dumps(stream.state))
            assert await results(stream, 1) == [(0, "success")]
            after = json.loads(json.dumps(stream.state))
        async with FinishedStream(server, PROJECT, state=after) as stream:
            assert await results(stream, 1) == [(1, "success")]
        async with FinishedStream(server, PROJECT, state=before) as stream:
            assert sorted(await results(stream, 2)) == [(0, "success"), (1, "success")]

    run(main)


def test_cancelled_next_loses_nothing() -> None:
    """A timeout around the next item is the usual way to stop waiting. It is tried at many moments."""

    async def main() -> None:
        server = Project(*(pipeline(number, -100, 30 + number, branch=str(number)) for number in range(5)))
        async with FinishedStream(server, PROJECT) as stream:
            found = []
            while len(found) < 5:
                try:
                    async with asyncio.timeout(0.37):
                        found += await results(stream, 1)
                except TimeoutError:
                    continue
            assert sorted(found) == [(number, "success") for number in range(5)]

    run(main)


def test_failed_polls_do_not_end_a_stream() -> None:
    """The stream continues, even after an hour of failed polls."""

    async def main() -> None:
        server = Project(pipeline(0, -100, 10))
        server.error = ServerError(503, "no")
        asyncio.get_running_loop().call_at(3600.0, lambda: setattr(server, "error", None))
        async with FinishedStream(server, PROJECT) as stream:
            assert await results(stream, 1) == [(0, "success")]
            assert 3600 < server.now < 3680
            assert len(server.kinds) < 80

    run(main)


@pytest.mark.parametrize(
    "error",
    [Unauthorized(401, "x"), Forbidden(403, "x"), NotFound(404, "x"), ConfigurationError("closed")],
    ids=lambda error: type(error).__name__,
)
def test_errors_that_stay_end_a_stream(error: Exception) -> None:
    """A lasting error of the list's first page ends the stream."""

    async def main() -> None:
        server = Project(pipeline(0, -100))
        server.error = error
        stream = FinishedStream(server, PROJECT)
        with pytest.raises(type(error)):
            await anext(stream)
        with pytest.raises(StopAsyncIteration):
            await anext(stream)

    run(main)


def test_aclose_ends_a_waiting_iteration() -> None:
    """And its subscription. It leaves no task."""

    async def main() -> None:
        events = Events()
        stream = FinishedStream(Project(pipeline(0, -100)), PROJECT, events=events)
        task = asyncio.create_task(anext(stream, "ended"))
        await asyncio.sleep(5)
        assert len(events.listeners) == 1
        with pytest.raises(RuntimeError, match="another task"):
            await anext(stream)
        await stream.aclose()
        assert await task == "ended"
        assert events.listeners == []
        assert len(asyncio.all_tasks()) == 1

    run(main)


def test_requests_of_a_quiet_poll() -> None:
    """One list, one read of the newest pipeline of each branch, and one of each that is not final."""

    async def main() -> None:
        server = Project(
            *(pipeline(number, -5000 + number, -3000, branch=str(number % 2)) for number in range(10)),
            pipeline(20, -100, branch="c"),
        )
        async with FinishedStream(server, PROJECT) as stream:
            task = asyncio.create_task(anext(stream))
            await asyncio.sleep(1000)
            task.cancel()
            await asyncio.wait([task])
        polls = [at for kind, at in server.kinds if kind == "list"]
        last = sorted(kind for kind, at in server.kinds if polls[-2] <= at < polls[-1])
        assert last == ["list", "p20", "p8", "p9"]

    run(main)


def test_pipelines_on_hold_are_read_in_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fifty in a poll, so that those that are never approved do not use up the rate limit."""

    async def main() -> None:
        held = [(f"{1}/0", -3000.0, INF)]
        many = [pipeline(number, -4000, approvals=held) for number in range(120)]
        server = Project(*many, pipeline(500, -4000, branch="b"))
        server.story.page_size = 200
        async with FinishedStream(server, PROJECT) as stream:
            task = asyncio.create_task(anext(stream))
            await asyncio.sleep(60 * 8)
            task.cancel()
            await asyncio.wait([task])
        polls = [at for kind, at in server.kinds if kind == "list"]
        reads = [[kind for kind, at in server.kinds if a < at < b] for a, b in pairwise(polls[1:])]
        assert {len(each) for each in reads} == {51}
        assert all("p500" in each for each in reads)
        assert len({kind for each in reads[:3] for kind in each}) == 121

    run(main)


def test_approvals_of_one_pipeline_come_one_by_one() -> None:
    """Each is read immediately before it is yielded: one that was approved meanwhile is left out."""

    async def main() -> None:
        waits = [("1/a", -50.0, INF), ("1/b", -50.0, 30.0), ("1/c", -50.0, INF)]
        async with ApprovalStream(Project(pipeline(1, -100, approvals=waits)), PROJECT) as stream:
            first = await anext(stream)
            await asyncio.sleep(100)
            second = await anext(stream)
            assert (first.job.id, second.job.id, first.pipeline.number, first.workflow.id) == ("1/a", "1/c", 1, "1.0")
            assert stream.state["approvals"] == {"1.0": ["1/a", "1/c"]}

    run(main)


# --- the state ------------------------------------------------------------------------------------------------


def test_state_is_plain_json() -> None:
    """And gives an equal state."""
    state = StreamState(PROJECT, None, begin=1.5, mark=0.5)
    for number, branch in ((7, "a"), (8, ""), (9, "a")):
        state.take(Listed(number, branch, 10.0 + number))
    assert state.end_walk([Listed(7, "a", 17.0), Listed(8, "", 18.0), Listed(9, "a", 19.0)]) == ()
    assert state.record_final(7, 17.0, "failed", 30.0)
    assert not state.record_final(8, 18.0, "success", 1.0)
    value = state.to_json()
    assert value == {
        "project": PROJECT,
        "branch": None,
        "begin": 1.5,
        "mark": 0.5,
        "open": {"9": [19.0, None]},
        "told": {"7": [17.0, "failed"], "8": [18.0, "success"]},
        "newest": {"a": "9", "": "8"},
    }
    assert StreamState.from_json(json.loads(json.dumps(value)), project=PROJECT, branch=None).to_json() == value


@each_row("change", [{"mark": None}, {"open": []}, {"told": {"x": [1, 2]}}, {"newest": None}, {"open": {"1": [1]}}])
def test_broken_state_is_an_invalid_argument(change: dict[str, Any]) -> None:
    """Immediately, not with the first poll."""
    value = StreamState(PROJECT, None, begin=1.5, mark=0.5).to_json() | change
    with pytest.raises(InvalidArgument, match="state must be"):
        FinishedStream(Project(), PROJECT, state=value) if False else StreamState.from_json(
            value, project=PROJECT, branch=None
        )


def test_state_of_another_project_or_branch_is_refused() -> None:
    """It would report nothing of what it should."""
    value = StreamState(PROJECT, "main", begin=None, mark=0.5).to_json()
    for project, branch in (("gh/acme/api", "main"), (PROJECT, None)):
        with pytest.raises(InvalidArgument, match="got gh/acme/web and branch 'main'"):
            StreamState.from_json(value, project=project, branch=branch)


def test_state_forgets_old_results(monkeypatch: pytest.MonkeyPatch) -> None:
    """It keeps what was created since the mark, the newest of each branch, and the last 1,000."""
    monkeypatch.setattr(_stream_state, "REMEMBERED", 2)
    state = StreamState(PROJECT, None, begin=None, mark=0.0)
    shown = [Listed(number, "a" if number else "b", 1000.0 * number + 1) for number in range(10)]
    for each in shown:
        state.take(each)
        state.record_final(each.number, each.created, "success", each.created)
    state.end_walk(shown)
    state.reopen(1)
    state.record_final(1, 1001.0, "failed", 5.0)
    state.prune()
    assert [*state.final] == [0, 6, 7, 8, 9, 1]
    assert state.mark == 9001 - 3600


def test_result_is_compared_with_the_one_before() -> None:
    """The same outcome again is not a new result; another one is."""
    state = StreamState(PROJECT, None, begin=None, mark=0.0)
    state.take(Listed(1, "a", 5.0))
    assert state.record_final(1, 5.0, "failed", 9.0)
    for outcome, is_new in (("failed", False), ("success", True), ("success", False)):
        assert state.reopen(1)
        assert state.record_final(1, 5.0, outcome, 9.0) == is_new
    state.record_open(1, 5.0)
    assert state.open == {1: (5.0, "success")}
    assert not state.reopen(2)
