"""Reruns of what failed, and cancellation of what is redundant."""

from __future__ import annotations

import asyncio
import math
import random
from collections import Counter
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from typing import Any

import pytest

from aiocircle.composites._changes import RerunMemory, cancel_redundant, check_count, rerun_failed
from aiocircle.composites._reads import Read
from aiocircle.errors import (
    BadRequest,
    ChangeErrors,
    ConnectionFailed,
    InvalidArgument,
    NotFound,
    NotReady,
    RequestTimeout,
    Unauthorized,
)
from aiocircle.resources.pipelines import Pipeline
from aiocircle.resources.workflows import Workflow
from aiocircle.testing.virtual_time import VirtualTimeLoop
from tests.support.rows import each_row

EPOCH = 1_700_000_000
NOW = EPOCH + 1000.0


def run(main: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
    with asyncio.Runner(debug=False, loop_factory=VirtualTimeLoop) as runner:
        return runner.run(main())


def moment(at: float) -> datetime:
    return datetime.fromtimestamp(EPOCH + at, UTC)


def pipeline(number: int = 1, created: float = 0.0, state: str = "created") -> Pipeline:
    return Pipeline(id=f"p{number}", number=number, project_slug="gh/acme/web", state=state, created_at=moment(created))


def workflow(id: str, status: str = "failed", name: str = "build", created: float = 0.0, **more: Any) -> Workflow:
    return Workflow(
        id=id,
        name=name,
        status=status,
        pipeline_id="p1",
        pipeline_number=1,
        project_slug="gh/acme/web",
        created_at=moment(created),
        stopped_at=moment(more.pop("stopped", 100)) if status in ("failed", "success", "canceled") else None,
        **more,
    )


class Calls:
    """Workflows by pipeline. A rerun appears `lag` seconds later; errors by "verb id"."""

    def __init__(self, **workflows: list[Workflow]) -> None:
        self.workflows = workflows
        self.errors: dict[str, Exception] = {}
        self.made: list[str] = []
        self.lag = 0.0
        self.has_id = True
        self.visible: dict[str, float] = {}

    def _call(self, verb: str, id: str) -> None:
        self.made.append(f"{verb} {id}")
        if (error := self.errors.get(f"{verb} {id}")) is not None:
            raise error

    def _is_visible(self, id: str) -> bool:
        return self.visible.get(id, -math.inf) <= asyncio.get_running_loop().time()

    async def list_workflows(self, pipeline_id: str, /) -> Read[tuple[Workflow, ...]]:
        self._call("list", pipeline_id)
        found = tuple(each for each in self.workflows.get(pipeline_id, []) if self._is_visible(each.id))
        if not found:
            raise NotFound(404, "Not found.", headers={"Date": "Tue, 14 Nov 2023 22:30:00 GMT"})
        return Read(found, NOW)

    async def read_workflow(self, workflow_id: str, /) -> Read[Workflow]:
        self._call("read", workflow_id)
        for each in [each for group in self.workflows.values() for each in group]:
            if each.id == workflow_id and self._is_visible(each.id):
                return Read(each, NOW)
        raise NotFound(404, "Not found.")

    async def rerun_workflow(self, workflow_id: str, /) -> str | None:
        self._call("rerun", workflow_id)
        old = next(each for each in self.workflows["p1"] if each.id == workflow_id)
        new = workflow(f"{old.id}'", "running", old.name, created=900)
        self.workflows["p1"].append(new)
        self.visible[new.id] = asyncio.get_running_loop().time() + self.lag
        return new.id if self.has_id else None

    async def cancel_workflow(self, workflow_id: str, /) -> None:
        self._call("cancel", workflow_id)

    def changes(self) -> list[str]:
        return [each for each in self.made if each.split()[0] in ("rerun", "cancel")]


def server_now(read: Read[Any]) -> float:
    return read.server_time or NOW


def rerun(calls: Calls, at_most: int = 1, memory: RerunMemory | None = None) -> list[str]:
    memory = memory or RerunMemory()
    found = run(lambda: rerun_failed(calls, pipeline(), at_most=at_most, memory=memory, now=server_now))
    return [each.id for each in found]


# --- rerun ----------------------------------------------------------------------------------------------------


def test_rerun_takes_the_newest_failed_attempts() -> None:
    """Only those; not what succeeded, was cancelled or still runs."""
    calls = Calls(
        p1=[workflow("a"), workflow("b", "success", "b"), workflow("c", "running", "c"), workflow("d", "canceled", "d")]
    )
    assert rerun(calls) == ["a'"]
    assert calls.changes() == ["rerun a"]


def test_rerun_counts_all_attempts_but_the_first() -> None:
    """Also those of people and of CircleCI."""
    attempts = [workflow("a"), workflow("a2", created=200, stopped=300)]
    assert rerun(Calls(p1=[*attempts]), at_most=1) == []
    assert rerun(Calls(p1=[*attempts]), at_most=2) == ["a2'"]
    assert rerun(Calls(p1=[*attempts]), at_most=0) == []
    assert rerun(Calls(p1=[workflow("a"), workflow("a2", "success", created=200)]), at_most=5) == []


@pytest.mark.parametrize(("stopped", "expected"), [(939, ["a'"]), (941, [])])
def test_rerun_leaves_automatic_reruns_to_circleci(stopped: float, expected: list[str]) -> None:
    """It takes the workflow once an automatic rerun cannot come any more: 60 s after its end."""
    assert rerun(Calls(p1=[workflow("a", stopped=stopped, max_auto_reruns=1)])) == expected


def test_rerun_without_workflows_changes_nothing() -> None:
    """A new pipeline has none."""
    assert rerun(Calls()) == []


def test_client_reruns_a_workflow_once() -> None:
    """Also after an unknown outcome; again if nothing was done."""
    memory = RerunMemory()
    calls = Calls(p1=[workflow("a")])
    calls.errors["rerun a"] = ConnectionFailed("x", outcome="not_done")
    with pytest.raises(ChangeErrors):
        rerun(calls, memory=memory)
    calls.errors["rerun a"] = RequestTimeout("x", outcome="unknown")
    with pytest.raises(ChangeErrors) as raised:
        rerun(calls, memory=memory)
    assert raised.value.done == ()
    calls.errors.clear()
    assert rerun(calls, memory=memory) == []
    assert calls.changes() == ["rerun a"] * 2


def test_memory_of_reruns_is_bounded() -> None:
    """The oldest is forgotten first."""
    memory = RerunMemory()
    for number in range(10_001):
        memory.add(str(number))
    assert "0" not in memory
    assert "1" in memory


@pytest.mark.parametrize("has_id", [True, False])
def test_rerun_waits_until_the_new_workflow_is_visible(has_id: bool) -> None:
    """It is looked for in the list, for a minute."""
    calls = Calls(p1=[workflow("a")])
    calls.lag, calls.has_id = 20.0, has_id
    assert rerun(calls) == ["a'"]
    calls = Calls(p1=[workflow("a"), workflow("b", name="b")])
    calls.lag, calls.has_id = 1000.0, has_id
    with pytest.raises(ChangeErrors) as raised:
        rerun(calls)
    assert [(type(each), each.outcome) for each in raised.value.exceptions] == [(NotReady, "done")] * 2  # type: ignore[attr-defined]
    assert calls.changes() == ["rerun a", "rerun b"]


def test_refused_rerun_does_not_stop_the_others() -> None:
    """`done` has those that were made."""
    calls = Calls(p1=[workflow("a"), workflow("b", name="b"), workflow("c", name="c")])
    calls.errors["rerun b"] = BadRequest(400, "x")
    with pytest.raises(ChangeErrors, match="1 workflows could not be rerun") as raised:
        rerun(calls)
    assert [each.id for each in raised.value.done] == ["a'", "c'"]
    assert raised.value.outcome == "done"


def test_unauthorized_ends_the_changes() -> None:
    """Its `items` are the workflows that were changed."""
    calls = Calls(p1=[workflow("a"), workflow("b", name="b"), workflow("c", name="c")])
    calls.errors["rerun b"] = Unauthorized(401, "x")
    with pytest.raises(Unauthorized) as raised:
        rerun(calls)
    assert [each.id for each in raised.value.items] == ["a'"]
    assert calls.changes() == ["rerun a", "rerun b"]


def test_reruns_never_exceed_their_number() -> None:
    """1,000 random stories: calls of one client, concurrent or not, while the new attempts also fail."""

    async def play(rng: random.Random) -> bool:
        calls, memory, at_most = Calls(p1=[workflow("a")]), RerunMemory(), rng.randint(1, 3)
        calls.lag = rng.choice([0.0, 5.0])
        for _ in range(rng.randint(1, 6)):
            await asyncio.gather(
                *(
                    rerun_failed(calls, pipeline(), at_most=at_most, memory=memory, now=server_now)
                    for _ in range(rng.randint(1, 3))
                ),
                return_exceptions=True,
            )
            await asyncio.sleep(rng.choice([0.0, 10.0]))
            if rng.random() < 0.7:
                calls.workflows["p1"] = [
                    workflow(each.id, created=each.created_at.timestamp() - EPOCH + index / 10)
                    if each.status == "running"
                    else each
                    for index, each in enumerate(calls.workflows["p1"])
                ]
        counts = Counter(calls.changes())
        return len(calls.changes()) <= at_most and max(counts.values(), default=0) <= 1

    async def main() -> list[int]:
        return [number for number in range(1000) if not await play(random.Random(number))]

    assert run(main) == []


# --- cancel ---------------------------------------------------------------------------------------------------


def cancel(calls: Calls, pipelines: list[Pipeline], keep: int = 1) -> list[str]:
    return [each.id for each in run(lambda: cancel_redundant(calls, pipelines, keep=keep, now=server_now))]


def test_cancel_keeps_the_newest() -> None:
    """By creation. On hold counts as running; what has ended is left alone."""
    calls = Calls(
        p3=[workflow("c", "running")],
        p2=[workflow("b", "on_hold"), workflow("b2", "success", "b2")],
        p1=[workflow("a", "failing")],
    )
    pipelines = [pipeline(2, 20), pipeline(3, 30), pipeline(1, 10)]
    assert cancel(calls, pipelines) == ["b", "a"]
    assert cancel(calls, pipelines, keep=2) == ["a"]
    assert cancel(calls, pipelines, keep=0) == ["c", "b", "a"]
    assert cancel(calls, pipelines, keep=9) == []


def test_cancel_counts_a_pipeline_once() -> None:
    """Two pages can show it."""
    calls = Calls(p2=[workflow("b", "running")], p1=[workflow("a", "running")])
    assert cancel(calls, [pipeline(2, 20), pipeline(2, 20), pipeline(1, 10)]) == ["a"]
    assert cancel(calls, [pipeline(2, 20), pipeline(2, 20), pipeline(1, 10)], keep=2) == []


def test_cancel_does_not_keep_what_will_not_run() -> None:
    """Errored pipelines, and those older than a minute without a workflow."""
    calls = Calls(p1=[workflow("a", "running")], p2=[workflow("b", "running")])
    assert cancel(calls, [pipeline(1, 10), pipeline(2, 20), pipeline(4, 40, "errored")]) == ["a"]
    assert cancel(calls, [pipeline(1, 10), pipeline(2, 20), pipeline(5, 50)]) == ["a"]
    assert cancel(calls, [pipeline(1, 10), pipeline(2, 20), pipeline(5, 1950)]) == ["b", "a"]


def test_workflow_that_ended_meanwhile_is_not_an_error() -> None:
    """It is not among those that were cancelled either."""
    calls = Calls(p2=[], p1=[workflow("a", "running"), workflow("b", "running", "b"), workflow("c", "running", "c")])
    calls.errors = {"cancel a": BadRequest(400, "x"), "cancel b": NotFound(404, "x")}
    reads: list[str] = []

    async def read_workflow(workflow_id: str, /) -> Read[Workflow]:
        reads.append(workflow_id)
        return Read(workflow(workflow_id, "success" if workflow_id == "a" else "running"), NOW)

    calls.read_workflow = read_workflow  # type: ignore[method-assign]
    with pytest.raises(ChangeErrors) as raised:
        cancel(calls, [pipeline(1, 10)], keep=0)
    assert [each.id for each in raised.value.done] == ["c"]
    assert [type(each) for each in raised.value.exceptions] == [NotFound]
    assert reads == ["a", "b"]


def test_cancel_reads_before_it_changes() -> None:
    """A list that fails leaves all as it was."""
    calls = Calls(p2=[workflow("b", "running")], p1=[workflow("a", "running")])
    calls.errors["list p1"] = ConnectionFailed("x")
    with pytest.raises(ConnectionFailed):
        cancel(calls, [pipeline(2, 20), pipeline(1, 10)], keep=0)
    assert calls.changes() == []


@each_row("value", [-1, 1.0, True, "1", None])
def test_counts_are_checked(value: object) -> None:
    """They are integers from 0 on."""
    assert check_count(3, "keep") == 3
    with pytest.raises(InvalidArgument, match="keep must be an integer"):
        check_count(value, "keep")
