"""Outputs of steps by API v1.1: which ones, their lines, and the last lines of those that failed."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Final

import attrs

from aiocircle._core.executor import Executor
from aiocircle._core.streams import FileOpener, stream_body
from aiocircle._core.tasks import gather_map
from aiocircle.composites._logs import list_outputs, make_output, read_last_lines, read_output
from aiocircle.errors import DownloadError, InvalidArgument
from aiocircle.resources.jobs import OutputLine, StepOutput
from aiocircle.slugs import ProjectSlug
from aiocircle.v1.builds import Build, BuildAction, Builds

__all__ = ["OutputFilter", "check_filter", "get_failed_output", "open_output", "stream_output"]

# Outputs that are read concurrently: enough to hide the round trips, few enough to leave places for calls.
_CONCURRENCY: Final = 8


@attrs.frozen(kw_only=True)
class OutputFilter:
    """The outputs of a job that a caller wants. step: a name. index: a parallel node, counted from 0."""

    failed_only: bool = False
    step: str | None = None
    index: int | None = None

    def select(self, build: Build) -> list[tuple[str, BuildAction]]:
        """Return the actions of a build that have such an output, each with the name of its step."""
        found = list_outputs(build, failed_only=self.failed_only, step=self.step, index=self.index)
        return [(name, action) for name, action in found if action.has_output]


def check_filter(failed_only: object, step: object, index: object) -> None:
    """Raise InvalidArgument if a filter has another type than documented."""
    if not isinstance(failed_only, bool):
        raise InvalidArgument(f"failed_only must be a bool, got {type(failed_only).__name__}. Pass True or False.")
    if step is not None and not isinstance(step, str):
        raise InvalidArgument(f"step must be the name of a step, got {type(step).__name__}. Pass step.name.")
    if index is not None and (isinstance(index, bool) or not isinstance(index, int) or index < 0):
        got = index if isinstance(index, int) else type(index).__name__
        raise InvalidArgument(f"index must be an int of at least 0, got {got}. Nodes are counted from 0.")


async def stream_output(
    executor: Executor, project: ProjectSlug, number: int, wanted: OutputFilter
) -> AsyncGenerator[OutputLine, None]:
    """Yield the lines of a job's outputs, step by step."""
    build = await Builds(executor).get(project, number)
    opener = FileOpener(executor, "jobs.stream_output")
    for name, action in wanted.select(build):
        async with aclosing(open_output(executor, opener, name, action)) as chunks:
            lines = read_output(chunks, step=name, index=action.index)
            async with aclosing(lines):
                async for line in lines:
                    yield line


def open_output(executor: Executor, opener: FileOpener, step: str, action: BuildAction) -> AsyncGenerator[bytes, None]:
    """Return the body of an action's output."""
    if action.output_url is None:
        raise DownloadError(f"the output of {step!r} was not read: the API gives no URL for it", name=step)
    return stream_body(opener, action.output_url, name=step, policy=executor.retry)


async def get_failed_output(
    executor: Executor, project: ProjectSlug, number: int, *, lines: int
) -> tuple[StepOutput, ...]:
    """Return the last lines of each action that failed, in the order of the steps."""
    build = await Builds(executor).get(project, number)
    opener = FileOpener(executor, "jobs.get_failed_output")

    async def read(named: tuple[str, BuildAction]) -> StepOutput:
        name, action = named
        last: Sequence[OutputLine] = ()
        if action.has_output:
            async with aclosing(open_output(executor, opener, name, action)) as chunks:
                last = await read_last_lines(read_output(chunks, step=name, index=action.index), lines)
        return make_output(name, action, last)

    return tuple(await gather_map(read, list_outputs(build, failed_only=True), _CONCURRENCY))
