"""The steps of a job and their output, as far as they have got."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, Literal

import attrs
import msgspec

from .model import Job
from .stories import StepStory, read_text, text_size
from .times import iso_ms

__all__ = ["Action", "Step", "find_action", "output_items", "steps_of"]

_ITEM_BYTES = 64 * 1024  # of one item of an output
_FAILED = frozenset({"failed", "timedout", "infrastructure_fail", "canceled"})


@attrs.frozen(kw_only=True)
class Action:
    """A step on one parallel node."""

    story: StepStory
    job: Job
    number: int
    node: int
    status: str
    started: float
    stopped: float | None
    progress: float  # the share of its output that there is

    @property
    def exit_code(self) -> int | None:
        """Its exit code; None while it runs, and if it was killed."""
        if self.status in {"success", "failed"}:
            return self.story.exit_code if self.story.exit_code is not None else int(self.status == "failed")
        return None

    @property
    def has_output(self) -> bool:
        """True if there is any output."""
        return self.size("out") > 0 or self.size("err") > 0

    def size(self, stream: Literal["out", "err"]) -> int:
        """Return the number of bytes of a stream that there are."""
        return int(text_size(self._content(stream)) * self.progress)

    def read(self, stream: Literal["out", "err"], start: int, stop: int) -> bytes:
        """Return a part of a stream."""
        return read_text(self._content(stream), start, min(stop, self.size(stream)))

    def _content(self, stream: Literal["out", "err"]) -> str | bytes | int:
        return self.story.output if stream == "out" else self.story.errors


@attrs.frozen
class Step:
    """A step with its actions, one for each node that runs it."""

    name: str
    actions: tuple[Action, ...]


def steps_of(job: Job, now: float) -> list[Step]:
    """Return the steps of a job that have begun."""
    if job.started is None or job.plan.type == "approval":
        return []
    stories = [*job.plan.story.steps] if job.plan.story is not None and job.plan.story.steps else _generated(job)
    length = _length(job, stories)
    weights = [story.seconds for story in stories]
    scale = length / sum(weights) if sum(weights) else 0.0
    if math.isinf(length):
        scale = 1.0
    steps: list[Step] = []
    begin = job.started
    for index, story in enumerate(stories):
        is_last = index == len(stories) - 1
        end = job.started + length if is_last else begin + story.seconds * scale
        if begin > now or (job.stopped is not None and begin > job.stopped):
            break
        nodes = range(job.plan.parallelism) if story.nodes is None else story.nodes
        number = (0, 99)[index] if index < 2 else 99 + index
        actions = tuple(_action(job, story, number, node, begin, end, now, is_last=is_last) for node in nodes)
        if steps and steps[-1].name == story.name and story.nodes is not None:
            steps[-1] = Step(story.name, (*steps[-1].actions, *actions))
        else:
            steps.append(Step(story.name, actions))
        begin = end
    return steps


def _length(job: Job, stories: list[StepStory]) -> float:
    """Return the seconds from the start of a job to its end, also if that is still to come."""
    planned = job.planned_seconds
    if job.duration is None or (job.canceled_by is not None and math.isfinite(planned)):
        return planned
    return job.duration if math.isfinite(job.duration) else sum(story.seconds for story in stories)


def _action(
    job: Job, story: StepStory, number: int, node: int, begin: float, end: float, now: float, *, is_last: bool
) -> Action:
    stopped = job.stopped if job.stopped is not None and job.stopped <= end else end
    is_running = now < stopped
    if is_running:
        status = "running"
    elif story.status is not None:
        status = story.status
    elif job.canceled_by is not None and stopped == job.stopped:
        status = "canceled"
    else:
        status = job.status if is_last and job.status in _FAILED else "success"
    share = 1.0 if end <= begin else min(1.0, (min(now, stopped) - begin) / (end - begin))
    return Action(
        story=story,
        job=job,
        number=number,
        node=node,
        status=status,
        started=begin,
        stopped=None if is_running else stopped,
        progress=0.0 if math.isinf(end) else share,
    )


def _generated(job: Job) -> list[StepStory]:
    """Return the steps of a job without scripted ones."""
    failed = job.status in _FAILED
    name = job.plan.name
    output = f"\x1b[1mRunning {name}\x1b[0m\r\ncollecting\rcollected 3 items\r\n" + "." * 40 + "\r\n"
    output += "\x1b[31mFAILED\x1b[0m test_total: expected 3, got 4\r\n" if failed else "\x1b[32mpassed\x1b[0m\r\n"
    return [
        StepStory("Spin up environment", output="Build-agent version 1.0\r\n", seconds=2, type="test"),
        StepStory("Preparing environment variables", output="Using build environment variables\r\n", seconds=1),
        StepStory("Checkout code", output="Cloning into '.'...\r\n", seconds=2, command="git clone"),
        StepStory(f"Run {name}", output=output, seconds=20, command=f"make {name}"),
    ]


def find_action(job: Job, now: float, number: int, node: int) -> Action | None:
    """Return the action of a step on a node, or None if it has not begun."""
    actions = (action for step in steps_of(job, now) for action in step.actions)
    return next((action for action in actions if action.number == number and action.node == node), None)


def output_items(action: Action) -> Iterator[bytes]:
    """Yield the JSON array of an action's output in pieces. Its memory does not grow with the output."""
    separator = b"["
    streams: tuple[Literal["out", "err"], ...] = ("out", "err")
    for stream in streams:
        size = action.size(stream)
        for start in range(0, size, _ITEM_BYTES):
            text = action.read(stream, start, start + _ITEM_BYTES).decode(errors="replace")
            yield separator + _item(action, stream, text, is_last=start + _ITEM_BYTES >= size and stream == "out")
            separator = b","
    if action.status == "failed":
        yield separator + _item(action, "err", f"\nExited with code exit status {action.exit_code}\n", is_last=False)
        separator = b","
    yield b"[]" if separator == b"[" else b"]"


def _item(action: Action, stream: str, text: str, *, is_last: bool) -> bytes:
    item: dict[str, Any] = {"type": stream, "time": iso_ms(action.started), "message": text}
    if action.story.truncated and is_last:
        item["truncated"] = True
    return msgspec.json.encode(item)
