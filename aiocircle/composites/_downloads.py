"""Artifacts as files: each complete or absent, below one folder, continued where an earlier download stopped."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from os import PathLike
from pathlib import Path
from typing import Any, Final, Literal, TypeVar, get_args

import attrs

from aiocircle._core.clock import Clock
from aiocircle._core.ranges import BodyPlan, FailureCount, Verdict, plan_body, range_headers
from aiocircle._core.retry import RetryPolicy
from aiocircle._core.streams import Open, StreamedResponse
from aiocircle._core.tasks import gather
from aiocircle.composites._filenames import FilePaths, make_parents, require_inside
from aiocircle.composites._parts import PartFile, part_key
from aiocircle.errors import CircleCIError, DownloadError, DownloadErrors, InvalidArgument, RequestError
from aiocircle.resources.jobs import Artifact, DownloadedArtifact, DownloadProgress

__all__ = ["Existing", "Target", "check_options", "download_artifacts", "list_targets"]

T = TypeVar("T")

Existing = Literal["replace", "skip"]
"""What becomes of a file that exists: it is replaced when the download is complete, or kept without a request."""

# Bytes that are collected before a thread writes them: a thread for each chunk of 64 KiB costs more than the write.
_BUFFER: Final = 1024 * 1024


@attrs.frozen(kw_only=True)
class Target:
    """An artifact, and the folders below the root that it is written to."""

    artifact: Artifact
    folder: tuple[str, ...] = ()


def list_targets(artifacts: Sequence[Artifact], *, match: str = "**", folder: tuple[str, ...] = ()) -> list[Target]:
    """Return the artifacts of a job that `match` selects, below `<node index>/` if the job has several nodes.

    match: a pattern for the artifact's path. `*` and `?` match within a name, `**` also across folders.
    """
    pattern = _pattern(match)
    is_parallel = len({artifact.node_index for artifact in artifacts}) > 1
    return [
        Target(artifact=artifact, folder=(*folder, str(artifact.node_index)) if is_parallel else folder)
        for artifact in artifacts
        if pattern.fullmatch(artifact.path)
    ]


_WILDCARDS: Final = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}


def _pattern(match: str) -> re.Pattern[str]:
    tokens: list[str] = re.findall(r"\*\*/|\*\*|.", match, re.DOTALL)
    return re.compile("".join(_WILDCARDS.get(token, re.escape(token)) for token in tokens), re.DOTALL)


async def download_artifacts(
    open_: Open,
    targets: Sequence[Target],
    into: str | PathLike[str],
    *,
    policy: RetryPolicy,
    concurrency: int = 8,
    existing: Existing = "replace",
    on_progress: Callable[[DownloadProgress], object] | None = None,
) -> tuple[DownloadedArtifact, ...]:
    """Download artifacts into a folder, and return them in the order of `targets`.

    into: created if it does not exist. concurrency: the highest number of requests in flight. policy: how often a
    download without progress is tried. on_progress is called after each write and each file.

    Raise DownloadErrors after all other files are finished. Nothing is written outside of `into`.
    """
    root = await _in_thread(partial(_make_root, Path(into)))
    batch = _Batch(open_, root, policy, existing, on_progress)
    await batch.run(targets, concurrency)
    if batch.errors:
        message = f"{len(batch.errors)} of {len(targets)} files were not downloaded"
        raise DownloadErrors(message, batch.errors, done=batch.done)
    return batch.done


def check_options(
    into: str | PathLike[str] | None, match: object, concurrency: object, existing: object
) -> str | PathLike[str]:
    """Return `into`. Raise InvalidArgument if an option of a download has another value than documented."""
    if not isinstance(into, str | PathLike):
        raise InvalidArgument(f"into must be the path of a folder, got {type(into).__name__}. Pass a str or a Path.")
    if not isinstance(match, str):
        raise InvalidArgument(f"match must be a pattern for paths, got {type(match).__name__}. Pass '**' for all.")
    if isinstance(concurrency, bool) or not isinstance(concurrency, int) or concurrency < 1:
        raise InvalidArgument(f"concurrency must be an int of at least 1, got {concurrency!r}. Pass 8, for example.")
    if existing not in get_args(Existing):
        raise InvalidArgument(f"existing must be 'replace' or 'skip', got {existing!r}. Pass one of them.")
    return into


def _make_root(into: Path) -> Path:
    try:
        into.mkdir(parents=True, exist_ok=True)
        return into.resolve(strict=True)
    except OSError as error:
        message = f"into must be a folder that can be written, got {str(into)!r} ({error.strerror}). Pass another one."
        raise DownloadError(message, name=str(into), path=into) from error


class _Batch:
    """Several downloads into one folder."""

    def __init__(
        self,
        open_: Open,
        root: Path,
        policy: RetryPolicy,
        existing: Existing,
        on_progress: Callable[[DownloadProgress], object] | None,
    ) -> None:
        self._open = open_
        self._root = root
        self._policy = policy
        self._existing = existing
        self._on_progress = on_progress
        self._results: list[DownloadedArtifact | DownloadError | None] = []
        self._files_done = 0
        self._bytes_received = 0

    @property
    def done(self) -> tuple[DownloadedArtifact, ...]:
        return tuple(result for result in self._results if isinstance(result, DownloadedArtifact))

    @property
    def errors(self) -> list[DownloadError]:
        return [result for result in self._results if isinstance(result, DownloadError)]

    async def run(self, targets: Sequence[Target], concurrency: int) -> None:
        self._results = [None] * len(targets)
        paths = FilePaths()
        accepted: list[tuple[int, Target, tuple[str, ...]]] = []
        for index, target in enumerate(targets):
            try:
                accepted.append((index, target, paths.add(target.artifact.path, target.folder)))
            except DownloadError as error:
                self._results[index] = error
                self._files_done += 1
        remaining = iter(accepted)

        async def work() -> None:
            for index, target, parts in remaining:
                self._results[index] = await self._result(target, parts)
                self._files_done += 1
                self._report(0)

        await gather(*(work() for _ in range(min(concurrency, len(accepted)))))

    async def _result(self, target: Target, parts: tuple[str, ...]) -> DownloadedArtifact | DownloadError:
        artifact = target.artifact
        try:
            path = await _in_thread(partial(make_parents, self._root, parts, artifact.path))
            if self._existing == "skip" and (size := await _in_thread(partial(_size, path))) is not None:
                return DownloadedArtifact(artifact=artifact, path=path, size=size, resumed=False)
            download = _Download(self._open, artifact, self._root, path, self._policy, self._report)
            return await download.run()
        except DownloadError as error:
            return error
        except OSError as error:
            return _failure(artifact, _os_reason(error), path=self._root.joinpath(*parts))

    def _report(self, size: int) -> None:
        self._bytes_received += size
        if self._on_progress is not None:
            self._on_progress(
                DownloadProgress(
                    files_done=self._files_done, files_total=len(self._results), bytes_received=self._bytes_received
                )
            )


def _size(path: Path) -> int | None:
    try:
        return path.lstat().st_size
    except FileNotFoundError:
        return None


def _os_reason(error: OSError) -> str:
    # Without the names of files, which may be those of parts.
    return f"it cannot be written: {error.strerror or type(error).__name__}"


def _failure(artifact: Artifact, reason: str, **details: Any) -> DownloadError:
    return DownloadError(f"artifact {artifact.path!r} was not downloaded: {reason}", name=artifact.path, **details)


class _Download:
    """One file."""

    def __init__(
        self,
        open_: Open,
        artifact: Artifact,
        root: Path,
        path: Path,
        policy: RetryPolicy,
        report: Callable[[int], None],
    ) -> None:
        self._open = open_
        self._artifact = artifact
        self._root = root
        self._path = path
        self._report = report
        self._failures = FailureCount(policy)
        self._clock = Clock()
        self._part = PartFile(path)
        self._is_open = False
        self._etag: str | None = None
        self._total: int | None = None
        self._resumed = False

    async def run(self) -> DownloadedArtifact:
        try:
            while not await self._attempt():
                pass
            await _in_thread(partial(require_inside, self._root, self._path, self._artifact.path))
            size = self._part.size
            await _in_thread(self._part.finish)
        except OSError as error:
            raise self._error(_os_reason(error), None) from error
        finally:
            await _in_thread(self._part.close)
        return DownloadedArtifact(artifact=self._artifact, path=self._path, size=size, resumed=self._resumed)

    async def _attempt(self) -> bool:
        """Send one request. Return True if the file is complete, False if another request is needed."""
        offset = self._part.size if self._etag else 0
        status = delay = None
        try:
            async with self._open(self._artifact.url, range_headers(offset, self._etag)) as response:
                status = response.status
                plan = self._plan(response, offset)
                reason, delay = plan.reason, plan.retry_after
                if plan.verdict is Verdict.FAIL:
                    raise self._error(reason, status)
                if plan.verdict is Verdict.READ:
                    if not await self._prepare(plan, offset):
                        return self._part.size == self._total
                    await self._read(response, plan)
                    if plan.is_complete(self._part.size):
                        return True
                    reason = f"the body ended after {self._part.size} bytes"
                elif plan.verdict is Verdict.RESTART:
                    await self._restart()
        except RequestError as error:
            reason = str(error)
        except CircleCIError as error:
            if isinstance(error, DownloadError):
                raise
            raise self._error(str(error), getattr(error, "status", status)) from error
        await self._wait(reason, status, delay)
        return False

    def _plan(self, response: StreamedResponse, offset: int) -> BodyPlan:
        return plan_body(
            response.status,
            response.headers,
            offset=offset,
            etag=self._etag,
            total=self._total,
            now=self._clock.wall(),
        )

    async def _prepare(self, plan: BodyPlan, offset: int) -> bool:
        """Open the part of this body. Return False if the body must not be read."""
        if self._is_open and plan.etag != self._etag:
            await self._restart()
        if not self._is_open:
            await _in_thread(partial(self._part.open, part_key(self._artifact.url, plan.etag)))
            self._is_open = True
        self._etag = plan.etag
        self._total = plan.total
        if plan.offset or not self._part.size:
            return True
        is_whole = plan.total == self._part.size
        if plan.etag and not offset and (is_whole or plan.total is None or self._part.size < plan.total):
            # The part of an earlier download. Unless it is whole, the next request continues it.
            self._resumed = True
            return False
        await _in_thread(self._part.clear)
        self._resumed = False
        return True

    async def _read(self, response: StreamedResponse, plan: BodyPlan) -> None:
        """Write the body to the part. One buffer is filled while a thread writes another."""
        buffer = bytearray()
        writing: asyncio.Future[int] | None = None
        position = self._part.size
        try:
            async for chunk in response:
                position += len(chunk)
                if plan.end is not None and position > plan.end:
                    raise self._error("the body is longer than its length", None)
                buffer += chunk
                if len(buffer) >= _BUFFER:
                    previous, writing = writing, None
                    await self._written(previous)
                    writing, buffer = self._start_writing(buffer), bytearray()
        finally:
            # Also after an error or a cancellation: the next request continues after these bytes.
            await self._written(writing)
            if buffer:
                await self._written(self._start_writing(buffer))

    def _start_writing(self, buffer: bytearray) -> asyncio.Future[int]:
        return asyncio.get_running_loop().run_in_executor(None, self._part.write, buffer)

    async def _written(self, writing: asyncio.Future[int] | None) -> None:
        if writing is not None:
            self._report(await _settled(writing))

    async def _restart(self) -> None:
        await _in_thread(partial(self._part.close, discard=True))
        self._part = PartFile(self._path)
        self._is_open = False
        self._etag = self._total = None
        self._resumed = False

    async def _wait(self, reason: str, status: int | None, required: float | None) -> None:
        delay = self._failures.next_delay(self._part.size, required, self._clock.random())
        if delay is None:
            raise self._error(reason, status)
        await self._clock.sleep(delay)

    def _error(self, reason: str, status: int | None) -> DownloadError:
        part = self._part.path if self._part.is_resumable and self._part.size else None
        return _failure(self._artifact, reason, path=self._path, part=part, status=status)


async def _in_thread(function: Callable[[], T]) -> T:
    """Call a blocking function in a thread."""
    return await _settled(asyncio.get_running_loop().run_in_executor(None, function))


async def _settled(future: asyncio.Future[T]) -> T:
    """Return the result of a thread. If the task is cancelled, wait until the thread has ended.

    Otherwise a file could be closed while the thread still writes to it.
    """
    try:
        return await asyncio.shield(future)
    except asyncio.CancelledError:
        while not future.done():
            with suppress(asyncio.CancelledError):
                await asyncio.wait([future])
        if not future.cancelled():
            future.exception()  # It is superseded by the cancellation.
        raise
