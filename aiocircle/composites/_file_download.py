"""One artifact as a file: complete or absent, and continued where an earlier download stopped."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Final

from aiocircle._core.clock import Clock
from aiocircle._core.ranges import BodyPlan, FailureCount, Verdict, plan_body, range_headers
from aiocircle._core.retry import RetryPolicy
from aiocircle._core.streams import Open, StreamedResponse
from aiocircle.composites._disk import Disk, settled
from aiocircle.composites._filenames import Root
from aiocircle.composites._parts import PartFile, part_key
from aiocircle.errors import CircleCIError, DownloadError, RequestError, Unauthorized
from aiocircle.resources.jobs import Artifact, DownloadedArtifact

__all__ = ["FileDownload", "disk_failure"]

# Bytes that are collected before a thread writes them: a thread for each chunk of 64 KiB costs more than the write.
_BUFFER: Final = 256 * 1024
# Bytes that are collected while a thread writes. If there are more, the disk is slower than the network.
_MAX_BUFFER: Final = 4 * _BUFFER
# Bytes of a file that is kept in memory until it is complete: it is cheaper to fetch it again than to look for a part.
_SMALL: Final = 256 * 1024


class FileDownload:
    """The download of one file."""

    def __init__(
        self,
        open_: Open,
        disk: Disk,
        artifact: Artifact,
        root: Root,
        parts: tuple[str, ...],
        policy: RetryPolicy,
        report: Callable[[int], None],
    ) -> None:
        self._open = open_
        self._disk = disk
        self._artifact = artifact
        self._root = root
        self._parts = parts
        self._report = report
        self._failures = FailureCount(policy)
        self._clock = Clock()
        self._part = PartFile(root.join(parts))
        self._is_open = False
        self._etag: str | None = None
        self._total: int | None = None
        self._resumed = False

    @property
    def _path(self) -> Path:
        return self._root.path.joinpath(*self._parts)

    async def run(self) -> DownloadedArtifact:
        """Return the finished file. Raise DownloadError or Unauthorized if it cannot be downloaded or written."""
        try:
            while not await self._attempt():
                pass
            if self._is_open:
                await self._disk.run(self._finish)
        except OSError as error:
            raise self._error(_os_reason(error), None) from error
        finally:
            if self._is_open:
                await self._disk.run(self._part.close)
        return DownloadedArtifact(artifact=self._artifact, path=self._path, size=self._part.size, resumed=self._resumed)

    def _finish(self) -> None:
        self._root.require_inside(self._parts, self._artifact.path)
        self._part.finish()
        self._is_open = False

    async def _attempt(self) -> bool:
        """Send one request. Return True if the file is complete, False if another request is needed."""
        offset = self._part.size if self._etag else 0
        status = delay = None
        try:
            async with self._open(self._artifact.url, range_headers(offset, self._etag)) as response:
                status = response.status
                plan = plan_body(
                    status, response.headers, offset=offset, etag=self._etag, total=self._total, now=self._clock.wall()
                )
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
        await self._disk.run(partial(self._store, chunks, plan.etag))
        self._report(size)
        return True

    def _store(self, chunks: list[bytes], etag: str | None) -> None:
        """Write a whole file."""
        self._root.make_folders(self._parts, self._artifact.path)
        if not self._part.store_unnamed(b"".join(chunks)):
            self._part.store(chunks, part_key(self._artifact.url, etag))

    async def _prepare(self, plan: BodyPlan, offset: int) -> bool:
        """Open the part of this body. Return False if the body must not be read."""
        if self._is_open and plan.etag != self._etag:
            await self._restart()
        if not self._is_open:
            await self._disk.run(partial(self._open_part, part_key(self._artifact.url, plan.etag)))
        self._etag = plan.etag
        self._total = plan.total
        if plan.offset or not self._part.size:
            return True
        is_whole = plan.total == self._part.size
        if plan.etag and not offset and (is_whole or plan.total is None or self._part.size < plan.total):
            # The part of an earlier download. Unless it is whole, the next request continues it.
            self._resumed = True
            return False
        await self._disk.run(self._part.clear)
        self._resumed = False
        return True

    def _open_part(self, key: str | None) -> None:
        self._root.make_folders(self._parts, self._artifact.path)
        self._part.open(key)
        self._is_open = True

    async def _read(self, response: StreamedResponse, plan: BodyPlan) -> None:
        """Write the body to the part. On a slow disk, chunks are collected while a thread writes those before them."""
        chunks: list[bytes] = []
        collected = 0
        writing: asyncio.Future[int] | None = None
        position = self._part.size
        try:
            async for chunk in response:
                position += len(chunk)
                self._check_length(position, plan)
                if self._disk.is_fast and not chunks and (writing is None or writing.done()):
                    previous, writing = writing, None
                    await self._written(previous)
                    self._report(self._disk.do(partial(self._part.write, [chunk])))
                    continue
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
        return self._disk.start(partial(self._part.write, chunks))

    async def _written(self, writing: asyncio.Future[int] | None) -> None:
        if writing is not None:
            self._report(await settled(writing))

    async def _restart(self) -> None:
        if self._is_open:
            await self._disk.run(partial(self._part.close, discard=True))
        self._part = PartFile(self._root.join(self._parts))
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


def disk_failure(artifact: Artifact, error: OSError | UnicodeEncodeError, path: Path) -> DownloadError:
    """Return the error of a file that the system refuses."""
    return _failure(artifact, _os_reason(error), path=path)


def _os_reason(error: OSError | UnicodeEncodeError) -> str:
    if isinstance(error, UnicodeEncodeError):
        return f"this process encodes the names of files as {error.encoding}, which cannot spell it. Set PYTHONUTF8=1"
    # Without the names of files, which may be those of parts.
    return f"it cannot be written: {error.strerror or type(error).__name__}"


def _failure(artifact: Artifact, reason: str, **details: Any) -> DownloadError:
    return DownloadError(f"artifact {artifact.path!r} was not downloaded: {reason}", name=artifact.path, **details)
