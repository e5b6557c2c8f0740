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
from aiocircle.errors import CircleCIError, DownloadError, DownloadErrors, InvalidArgument, RequestError, Unauthorized
from aiocircle.resources.jobs import Artifact, DownloadedArtifact, DownloadProgress

__all__ = ["Existing", "Target", "check_options", "download_artifacts", "list_targets"]

T = TypeVar("T")

Existing = Literal["replace", "skip"]
"""What becomes of a file that exists: it is replaced when the download is complete, or kept without a request."""

# Bytes that are collected before a thread writes them: a thread for each chunk of 64 KiB costs more than the write.
_BUFFER: Final = 256 * 1024
# Bytes that are collected while a thread writes. If there are more, the disk is slower than the network.
_MAX_BUFFER: Final = 4 * _BUFFER
# Bytes of a file that is kept in memory until it is complete: it is cheaper to fetch it again than to look for a part.
_SMALL: Final = 256 * 1024


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
            if self._existing == "skip":
                path, size = await _in_thread(partial(_find_existing, self._root, parts, artifact.path))
                if size is not None:
                    return DownloadedArtifact(artifact=artifact, path=path, size=size, resumed=False)
            return await _Download(self._open, artifact, self._root, parts, self._policy, self._report).run()
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


def _find_existing(root: Path, parts: tuple[str, ...], name: str) -> tuple[Path, int | None]:
    """Return the path of a file and its size; None if it does not exist."""
    path = make_parents(root, parts, name)
    try:
        return path, path.lstat().st_size
    except FileNotFoundError:
        return path, None


def _os_reason(error: OSError) -> str:
    # Without the names of files, which may be those of parts.
    return f"it cannot be written: {error.strerror or type(error).__name__}"


def _failure(artifact: Artifact, reason: str, **details: Any) -> DownloadError:
    return DownloadError(f"artifact {artifact.path!r} was not downloaded: {reason}", name=artifact.path, **details)


class _Download:
    """One file. All work on the disk is done in threads, in as few turns as possible."""

    def __init__(
        self,
        open_: Open,
        artifact: Artifact,
        root: Path,
        parts: tuple[str, ...],
        policy: RetryPolicy,
        report: Callable[[int], None],
    ) -> None:
        self._open = open_
        self._artifact = artifact
        self._root = root
        self._parts = parts
        self._path = root.joinpath(*parts)
        self._report = report
        self._failures = FailureCount(policy)
        self._clock = Clock()
        self._part = PartFile(self._path)
        self._is_open = False
        self._etag: str | None = None
        self._total: int | None = None
        self._resumed = False

    async def run(self) -> DownloadedArtifact:
        try:
            while not await self._attempt():
                pass
            if self._is_open:
                await _in_thread(self._finish)
        except OSError as error:
            raise self._error(_os_reason(error), None) from error
        finally:
            if self._is_open:
                await _in_thread(self._part.close)
        return DownloadedArtifact(artifact=self._artifact, path=self._path, size=self._part.size, resumed=self._resumed)

    def _finish(self) -> None:
        require_inside(self._root, self._path, self._artifact.path)
        self._part.finish()
        self._is_open = False

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
                    if not self._is_open and plan.total is not None and plan.total <= _SMALL:
                        if await self._read_small(response, plan):
                            return True
                        reason = "the body is shorter than its length"
                    elif not await self._prepare(plan, offset):
                        return self._part.size == self._total
                    else:
                        await self._read(response, plan)
                        if plan.is_complete(self._part.size):
                            return True
                        reason = f"the body ended after {self._part.size} bytes"
                elif plan.verdict is Verdict.RESTART:
                    await self._restart()
        except RequestError as error:
            reason = str(error)
        except (DownloadError, Unauthorized):
            raise
        except CircleCIError as error:
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

    async def _read_small(self, response: StreamedResponse, plan: BodyPlan) -> bool:
        """Read a small body, and store it in one turn of a thread. Return False if it was cut."""
        chunks: list[bytes] = []
        size = 0
        async for chunk in response:
            chunks.append(chunk)
            size += len(chunk)
            self._check_length(size, plan)
        if size != plan.total:
            return False
        self._report(await _in_thread(partial(self._store, chunks, part_key(self._artifact.url, plan.etag))))
        return True

    def _store(self, chunks: list[bytes], key: str | None) -> int:
        """Write a whole file."""
        make_parents(self._root, self._parts, self._artifact.path)
        self._part.open(key)
        try:
            if self._part.size:
                self._part.clear()
            size = self._part.write(chunks)
            self._part.finish()
        finally:
            self._part.close()
        return size

    async def _prepare(self, plan: BodyPlan, offset: int) -> bool:
        """Open the part of this body. Return False if the body must not be read."""
        if self._is_open and plan.etag != self._etag:
            await self._restart()
        if not self._is_open:
            await _in_thread(partial(self._open_part, part_key(self._artifact.url, plan.etag)))
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

    def _open_part(self, key: str | None) -> None:
        make_parents(self._root, self._parts, self._artifact.path)
        self._part.open(key)
        self._is_open = True

    async def _read(self, response: StreamedResponse, plan: BodyPlan) -> None:
        """Write the body to the part. Chunks are collected while a thread writes those before them."""
        chunks: list[bytes] = []
        collected = 0
        writing: asyncio.Future[int] | None = None
        position = self._part.size
        try:
            async for chunk in response:
                position += len(chunk)
                self._check_length(position, plan)
                chunks.append(chunk)
                collected += len(chunk)
                if collected >= _BUFFER and (writing is None or writing.done() or collected >= _MAX_BUFFER):
                    previous, writing = writing, None
                    await self._written(previous)
                    writing, chunks, collected = self._start_writing(chunks), [], 0
        finally:
            # Also after an error or a cancellation: the next request continues after these bytes.
            await self._written(writing)
            if chunks:
                await self._written(self._start_writing(chunks))

    def _check_length(self, position: int, plan: BodyPlan) -> None:
        if plan.end is not None and position > plan.end:
            raise self._error("the body is longer than its length", None)

    def _start_writing(self, chunks: list[bytes]) -> asyncio.Future[int]:
        return asyncio.get_running_loop().run_in_executor(None, self._part.write, chunks)

    async def _written(self, writing: asyncio.Future[int] | None) -> None:
        if writing is not None:
            self._report(await _settled(writing))

    async def _restart(self) -> None:
        if self._is_open:
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
