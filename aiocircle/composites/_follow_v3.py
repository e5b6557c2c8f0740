"""The output of a running job by API v3: ranges of what grows, for each step on each node."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any, Final, cast
from urllib.parse import urlencode

import attrs
import msgspec

from aiocircle._core.api import V3
from aiocircle._core.endpoint import Endpoint, Table
from aiocircle._core.executor import Executor
from aiocircle._core.ranges import FailureCount
from aiocircle._core.rate_headers import retry_after
from aiocircle._core.streams import FileOpener, StreamedResponse
from aiocircle.composites._logs import RawOutputText
from aiocircle.composites._outputs import OutputFilter
from aiocircle.errors import DownloadError, NotFound, RequestError
from aiocircle.resources.jobs import OutputLine, step_failed
from aiocircle.slugs import ProjectSlug
from aiocircle.v1.builds import Builds

__all__ = ["V3Follower", "has_v3"]

_INTERVAL: Final = 2.0  # seconds between two reads, as CircleCI's own clients have it
_OUTCOMES: Final = {"succeeded": "success", "errored": "failed"}
# The API responds with each of them if nothing has come since the offset.
_NOTHING_NEW: Final = frozenset({204, 404, 416})


@attrs.frozen(kw_only=True)
class _Step:
    """A step on one node, as API v3 has it. *_bytes: what there is of the output; None if it is not named."""

    num: int
    name: str = ""
    phase: str = ""
    outcome: str | None = None
    stdout_bytes: int | None = None
    stderr_bytes: int | None = None

    @property
    def failed(self) -> bool:
        """True if the step ended in a failure."""
        outcome = self.outcome or ""
        return step_failed(_OUTCOMES.get(outcome, outcome))


@attrs.frozen(kw_only=True)
class _Execution:
    """The steps of one node."""

    steps: tuple[_Step, ...] = ()


@attrs.frozen(kw_only=True)
class _Attributes:
    """The state of a job, with the steps of each node."""

    phase: str = ""
    parallel_executions: tuple[_Execution, ...] = ()


@attrs.frozen(kw_only=True)
class _Job:
    """A job of API v3."""

    attributes: _Attributes


class _Endpoints(Table, group="jobs.stream_output", api=V3):
    get_job = Endpoint("GET", "/jobs/{job_id:id}", _Job)


async def has_v3(executor: Executor, job_id: str) -> bool:
    """Return True if the host has API v3. The first response that a client gets decides."""
    state = executor.state
    if state.has_v3 is None:
        try:
            await executor.call(_Endpoints.get_job, job_id)
        except NotFound as error:
            state.has_v3 = _is_v3_error(error.body)
        else:
            state.has_v3 = True
    return state.has_v3


def _is_v3_error(body: bytes) -> bool:
    """Return True if the body of a 404 has the envelope of API v3."""
    try:
        plain = msgspec.json.decode(body)
    except msgspec.DecodeError:
        return False
    if not isinstance(plain, dict):
        return False
    envelope = cast("dict[str, Any]", plain)
    return "data" in envelope or isinstance(envelope.get("error"), dict)


class V3Follower:
    """A job whose steps are read by ranges. is_unknown: True if API v3 does not know the job: nothing was read."""

    def __init__(
        self, executor: Executor, project: ProjectSlug, number: int, job_id: str, wanted: OutputFilter
    ) -> None:
        self._executor = executor
        self._project = project
        self._number = number
        self._job_id = job_id
        self._wanted = wanted
        self._opener = FileOpener(executor, "jobs.stream_output")
        self._outputs: dict[tuple[int, int], _StepOutput | None] = {}  # None: finished
        self.is_unknown = False

    async def run(self) -> AsyncGenerator[OutputLine, None]:
        """Yield the lines as they come, until the job has ended."""
        has_begun = False
        while True:
            try:
                job = (await self._executor.call(_Endpoints.get_job, self._job_id)).attributes
            except NotFound:
                if has_begun:
                    raise
                # A job that has not begun, or one that only API v1.1 knows.
                build = await Builds(self._executor).get(self._project, self._number)
                self.is_unknown = bool(build.steps) or build.is_finished
                if self.is_unknown:
                    return
            else:
                has_begun = True
                async with aclosing(self._read(job)) as lines:
                    async for line in lines:
                        yield line
                if job.phase == "ended":
                    return
            await self._executor.state.clock.sleep(_INTERVAL)

    async def _read(self, job: _Attributes) -> AsyncGenerator[OutputLine, None]:
        """Yield what is new in all steps."""
        for index, execution in enumerate(job.parallel_executions):
            for step in execution.steps:
                is_over = "ended" in (step.phase, job.phase)
                if not self._is_wanted(step, index, is_over=is_over):
                    continue
                key = (index, step.num)
                if key not in self._outputs:
                    self._outputs[key] = _StepOutput(self._executor, self._opener, self._job_id, step, index)
                output = self._outputs[key]
                if output is None:
                    continue
                async with aclosing(output.read(step, is_over=is_over)) as lines:
                    async for line in lines:
                        yield line
                if is_over:
                    self._outputs[key] = None

    def _is_wanted(self, step: _Step, index: int, *, is_over: bool) -> bool:
        wanted = self._wanted
        if wanted.index not in (None, index) or wanted.step not in (None, step.name):
            return False
        return not wanted.failed_only or (is_over and step.failed)


class _StepOutput:
    """The output of one step on one node: its standard output while it grows, and its errors at the end."""

    def __init__(self, executor: Executor, opener: FileOpener, job_id: str, step: _Step, index: int) -> None:
        query = urlencode({"filter[execution]": index, "filter[step_num]": step.num})
        root = f"{executor.state.base_url}{V3.prefix}/jobs/{job_id}"
        self._out, self._errors = (
            _Tail(executor, opener, f"{root}/{name}?{query}", RawOutputText(stream=stream, step=step.name, index=index))
            for name, stream in (("stdout", "out"), ("stderr", "err"))
        )

    async def read(self, step: _Step, *, is_over: bool) -> AsyncGenerator[OutputLine, None]:
        """Yield the lines that have come. is_over: True reads all that is left."""
        if is_over or step.stdout_bytes is None or step.stdout_bytes > self._out.offset:
            async with aclosing(self._out.read(is_over=is_over)) as lines:
                async for line in lines:
                    yield line
        if is_over and step.stderr_bytes != 0:
            async with aclosing(self._errors.read(is_over=True)) as lines:
                async for line in lines:
                    yield line


class _Tail:
    """One stream of one step. offset: the bytes of it that were read."""

    def __init__(self, executor: Executor, opener: FileOpener, url: str, text: RawOutputText) -> None:
        self._executor = executor
        self._opener = opener
        self._url = url
        self._text = text
        self._is_terminal = False
        self.offset = 0

    async def read(self, *, is_over: bool) -> AsyncGenerator[OutputLine, None]:
        """Yield the lines that have come. is_over: True reads until the stream is complete, or nothing more comes."""
        clock, failures = self._executor.state.clock, FailureCount(self._executor.retry)
        while not self._is_terminal:
            before, reason, delay, status = self.offset, "", None, None
            headers = {"Accept-Encoding": "identity", "Range": f"bytes={self.offset}-"}
            try:
                async with self._opener(self._url, headers) as response:
                    status = response.status
                    if status == 429 or status >= 500:
                        reason = f"the server responded with {status}"
                        delay = retry_after(response.headers, clock.wall())
                    else:
                        async with aclosing(self._lines(response)) as lines:
                            async for line in lines:
                                yield line
                        self._is_terminal = response.headers.get("X-Terminal", "").lower() == "true"
            except RequestError as error:
                reason = str(error)
            if reason:
                wait = failures.next_delay(self.offset, delay, clock.random())
                if wait is None:
                    raise self._unreadable(reason, status)
                await clock.sleep(wait)
            elif self.offset == before or not is_over:
                break
        if is_over:
            for line in self._text.finish():
                yield line

    async def _lines(self, response: StreamedResponse) -> AsyncGenerator[OutputLine, None]:
        status = response.status
        if status in _NOTHING_NEW:
            return
        if status not in (200, 206):
            raise self._unreadable(f"the server responded with {status}", status)
        # A server without ranges sends what was read before again.
        skipped = self.offset if status == 200 else 0
        span = response.headers.get("Content-Range", "")
        if status == 206 and not span.startswith(f"bytes {self.offset}-"):
            raise self._unreadable("the server sent another range", status)
        async for chunk in response:
            new = chunk[skipped:]
            skipped -= len(chunk) - len(new)
            self.offset += len(new)
            for line in self._text.feed(new):
                yield line

    def _unreadable(self, reason: str, status: int | None) -> DownloadError:
        name = self._text.step
        return DownloadError(f"the output of {name!r} was not read: {reason}", name=name, status=status)
