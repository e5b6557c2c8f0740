"""Artifacts as files below one folder: which ones, under which names, and all of them downloaded."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Sequence
from functools import partial
from os import PathLike
from pathlib import Path
from typing import Final, Literal, get_args

import attrs

from aiocircle._core.retry import RetryPolicy
from aiocircle._core.streams import Open
from aiocircle._core.tasks import gather_map
from aiocircle.composites._disk import Disk
from aiocircle.composites._file_download import FileDownload, disk_failure
from aiocircle.composites._filenames import FilePaths, Root
from aiocircle.errors import DownloadError, DownloadErrors, InvalidArgument
from aiocircle.resources.jobs import Artifact, DownloadedArtifact, DownloadProgress

__all__ = ["Existing", "Target", "check_options", "download_artifacts", "list_targets"]

Existing = Literal["replace", "skip"]
"""What happens to a file that exists: it is replaced when the download is complete, or kept without a request."""


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


_NAMES_AT_ONCE: Final = 200  # that are checked before other tasks have a turn: a millisecond

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
    disk = Disk()
    root = await disk.run(partial(_make_root, Path(into)))
    batch = _Batch(open_, disk, root, policy, existing, on_progress)
    results = await batch.run(targets, concurrency)
    done = tuple(result for result in results if isinstance(result, DownloadedArtifact))
    errors = [result for result in results if isinstance(result, DownloadError)]
    if errors:
        raise DownloadErrors(f"{len(errors)} of {len(targets)} files were not downloaded", errors, done=done)
    return done


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


def _make_root(into: Path) -> Root:
    try:
        into.mkdir(parents=True, exist_ok=True)
        return Root(into.resolve(strict=True))
    except OSError as error:
        message = f"into must be a folder that can be written, got {str(into)!r} ({error.strerror}). Pass another one."
        raise DownloadError(message, name=str(into), path=into) from error


class _Batch:
    """Several downloads into one folder."""

    def __init__(
        self,
        open_: Open,
        disk: Disk,
        root: Root,
        policy: RetryPolicy,
        existing: Existing,
        on_progress: Callable[[DownloadProgress], object] | None,
    ) -> None:
        self._open = open_
        self._disk = disk
        self._root = root
        self._policy = policy
        self._existing = existing
        self._on_progress = on_progress
        self._files_total = 0
        self._files_done = 0
        self._bytes_received = 0

    async def run(self, targets: Sequence[Target], concurrency: int) -> list[DownloadedArtifact | DownloadError]:
        """Return the file or the error of each target, in their order."""
        paths = FilePaths()
        placed: list[tuple[Artifact, tuple[str, ...] | DownloadError]] = []
        # All names first: which one of two is refused does not depend on what is finished first.
        for target in targets:
            placed.append((target.artifact, _place(paths, target)))
            if len(placed) % _NAMES_AT_ONCE == 0:
                await asyncio.sleep(0)
        self._files_total = len(placed)
        self._files_done = sum(isinstance(place, DownloadError) for _, place in placed)
        return await gather_map(self._result, placed, concurrency)

    async def _result(
        self, placed: tuple[Artifact, tuple[str, ...] | DownloadError]
    ) -> DownloadedArtifact | DownloadError:
        artifact, place = placed
        if isinstance(place, DownloadError):
            return place
        result: DownloadedArtifact | DownloadError | None = None
        try:
            if self._existing == "skip":
                result = await self._disk.run(partial(_find_existing, self._root, place, artifact))
            if result is None:
                result = await FileDownload(
                    self._open, self._disk, artifact, self._root, place, self._policy, self._report
                ).run()
        except DownloadError as error:
            result = error
        except (OSError, UnicodeEncodeError) as error:
            result = disk_failure(artifact, error, self._root.path.joinpath(*place))
        self._files_done += 1
        self._report(0)
        return result

    def _report(self, size: int) -> None:
        self._bytes_received += size
        if self._on_progress is not None:
            self._on_progress(
                DownloadProgress(
                    files_done=self._files_done, files_total=self._files_total, bytes_received=self._bytes_received
                )
            )


def _find_existing(root: Root, parts: tuple[str, ...], artifact: Artifact) -> DownloadedArtifact | None:
    """Return the file of an artifact, or None if it does not exist."""
    root.make_folders(parts, artifact.path)
    path = root.path.joinpath(*parts)
    try:
        return DownloadedArtifact(artifact=artifact, path=path, size=path.lstat().st_size, resumed=False)
    except FileNotFoundError:
        return None


def _place(paths: FilePaths, target: Target) -> tuple[str, ...] | DownloadError:
    """Return the names of the folders and the file of a target, or the error of a name that is refused."""
    try:
        return paths.add(target.artifact.path, target.folder)
    except DownloadError as error:
        return error
