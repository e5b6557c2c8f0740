"""The output of a running job, while it grows: ranges of API v3, or new URLs of API v1.1."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Final

from aiocircle._core.executor import Executor
from aiocircle._core.streams import FileOpener
from aiocircle.composites._follow_v3 import V3Follower, has_v3
from aiocircle.composites._logs import OutputText, read_items
from aiocircle.composites._outputs import OutputFilter, open_output
from aiocircle.errors import DecodeError, DownloadError
from aiocircle.resources.jobs import OutputLine
from aiocircle.slugs import ProjectSlug
from aiocircle.v1.builds import Build, BuildAction, Builds

__all__ = ["follow_output"]

_INTERVAL: Final = 5.0  # seconds; each read is of the whole output
_ACTIVE: Final = frozenset({"running", "queued"})


async def follow_output(
    executor: Executor, project: ProjectSlug, number: int, wanted: OutputFilter
) -> AsyncGenerator[OutputLine, None]:
    """Yield the lines of a job's outputs as they come, until the job has ended."""
    build = await Builds(executor).get(project, number)
    job_id = None if build.workflows is None else build.workflows.job_id
    if job_id is not None and await has_v3(executor, job_id):
        follower = V3Follower(executor, project, number, job_id, wanted)
        async with aclosing(follower.run()) as lines:
            async for line in lines:
                yield line
        if not follower.is_unknown:
            return
    async with aclosing(_follow_v1(executor, project, number, wanted)) as lines:
        async for line in lines:
            yield line


async def _follow_v1(
    executor: Executor, project: ProjectSlug, number: int, wanted: OutputFilter
) -> AsyncGenerator[OutputLine, None]:
    """Read each output of a running step again and again, and yield what is new in it."""
    opener = FileOpener(executor, "jobs.stream_output")
    texts: dict[tuple[str, int | None, int], OutputText] = {}
    finished: set[tuple[str, int | None, int]] = set()
    while True:
        build = await Builds(executor).get(project, number)
        for name, action in wanted.select(build):
            key = (name, action.step, action.index)
            if key in finished:
                continue
            text = texts.setdefault(key, OutputText(step=name, index=action.index))
            is_growing = _is_growing(build, action)
            async with aclosing(_read_again(executor, opener, text, action, is_growing=is_growing)) as lines:
                async for line in lines:
                    yield line
            if not is_growing:
                finished.add(key)
                del texts[key]
                for line in text.finish():
                    yield line
        if build.is_finished:
            return
        await executor.state.clock.sleep(_INTERVAL)


def _is_growing(build: Build, action: BuildAction) -> bool:
    return not build.is_finished and (action.status or "running") in _ACTIVE


async def _read_again(
    executor: Executor, opener: FileOpener, text: OutputText, action: BuildAction, *, is_growing: bool
) -> AsyncGenerator[OutputLine, None]:
    """Yield the lines that an output has got since it was last read."""
    text.restart()
    try:
        async with aclosing(open_output(executor, opener, text.step, action)) as chunks:
            async for item in read_items(chunks):
                for line in text.feed(item):
                    yield line
    except (DecodeError, DownloadError):
        # The output of a running step may be replaced while it is read. The next read has it all.
        if not is_growing:
            raise
