"""A file that is not complete yet, on disk."""

from __future__ import annotations

import hashlib
import os
import secrets
import stat
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from aiocircle.composites._filenames import PART_PREFIX, PART_SUFFIX

if TYPE_CHECKING:
    import fcntl
else:
    try:
        import fcntl
    except ImportError:  # Windows
        fcntl = None

__all__ = ["PartFile", "part_key"]

# O_NOFOLLOW: a link with the part's name is not followed. O_NONBLOCK: a FIFO with it does not block.
_FLAGS: Final = (
    os.O_RDWR
    | os.O_CREAT
    | getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_NONBLOCK", 0)
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_BINARY", 0)
)
# Linux creates a file without a name if its file system can, and gives it one through /proc. A killed process leaves
# nothing of it, and a folder of ext4 is changed once instead of three times.
_UNNAMED: Final = (
    os.O_TMPFILE | os.O_WRONLY | os.O_CLOEXEC if sys.platform == "linux" and os.path.isdir("/proc/self/fd") else 0
)
# The number of buffers that one call of the system takes is at least 16, and 1,024 on Linux and macOS.
_MAX_CHUNKS: Final = 512
# Each turn means that another process finished the same file in between.
_MAX_OPENS: Final = 8


def part_key(url: str, etag: str | None) -> str | None:
    """Return the key of the part that holds the file with this strong ETag and URL; None without an ETag.

    The query of a signed URL changes with each signature, so only the path counts.
    """
    if etag is None:
        return None
    path = url.partition("?")[0].partition("://")[2].partition("/")[2]
    return hashlib.sha256(f"{path}\n{etag}".encode("utf-8", "surrogateescape")).hexdigest()[:32]


class PartFile:
    """The part of one file. Its methods block: call them in a thread, one after the other.

    With a key, the part is found again by other processes, and is locked while it is open. Without one, without locks,
    or if another process has the lock, its name is random, and it is removed if it was not finished.

    Nothing is flushed to the disk (`fsync`). A killed process loses nothing that was written. A loss of power may lose
    files that were finished within the last seconds.
    """

    def __init__(self, target: str) -> None:
        self._target = self._path = target
        self._descriptor = -1
        self._failure: OSError | None = None
        self.is_resumable = False
        self.size = 0

    @property
    def path(self) -> Path:
        """The path of the part."""
        return Path(self._path)

    def open(self, key: str | None) -> None:
        """Open the part with this key, or one with a random name. `size` is what it already holds."""
        if key is None or not self._open_locked(self._path_of(key)):
            self._path = self._path_of(secrets.token_hex(16))
            self._descriptor = os.open(self._path, _FLAGS | os.O_EXCL, 0o666)
            self.is_resumable = False
            self.size = 0

    def store(self, chunks: Sequence[bytes], key: str | None) -> None:
        """Write the whole file, and give it its name, in place of a file that has it already."""
        self.open(key)
        try:
            if self.size:
                self.clear()
            self.write(chunks)
            self.finish()
        finally:
            self.close()

    def store_unnamed(self, body: bytes) -> bool:
        """Write the whole file, without a name until then. Return False if that is not possible."""
        if not _UNNAMED:
            return False
        try:
            descriptor = os.open(self._target.rpartition("/")[0] or "/", _UNNAMED, 0o666)
        except OSError:
            return False  # The attempt with a name shows if the folder is not writable.
        try:
            remaining = memoryview(body)
            while remaining:
                remaining = remaining[os.write(descriptor, remaining) :]
            try:
                _link(descriptor, self._target)
            except FileExistsError:
                self._path = self._path_of(secrets.token_hex(16))
                _link(descriptor, self._path)
                self.finish()
        except OSError:
            return False  # The attempt with a name shows why, if it fails too.
        finally:
            os.close(descriptor)
        self.size = len(body)
        return True

    def _path_of(self, key: str) -> str:
        return os.path.join(os.path.dirname(self._target), f"{PART_PREFIX}{key}{PART_SUFFIX}")

    def _open_locked(self, path: str) -> bool:
        if fcntl is None:
            return False
        for _ in range(_MAX_OPENS):
            try:
                descriptor = os.open(path, _FLAGS, 0o666)
            except OSError:
                return False  # A link or a folder has the name. A random name shows if the folder is not writable.
            opened = os.fstat(descriptor)
            try:
                if not stat.S_ISREG(opened.st_mode) or opened.st_nlink > 1:
                    raise BlockingIOError("a part must be a file with one name")
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                os.close(descriptor)
                return False
            # Another process may have finished the file, and renamed it, before the lock was free.
            if _is_named(path, opened):
                self._path = path
                self._descriptor = descriptor
                self.is_resumable = True
                self.size = os.lseek(descriptor, 0, os.SEEK_END)
                return True
            os.close(descriptor)
        return False

    def write(self, chunks: Sequence[bytes]) -> int:
        """Append to the part, and return the number of bytes."""
        if self._failure is not None:
            raise self._failure  # What follows would be written after a gap.
        before = self.size
        try:
            for at in range(0, len(chunks), _MAX_CHUNKS):
                self._write_all(chunks[at : at + _MAX_CHUNKS])
        except OSError as error:
            self._failure = error
            raise
        return self.size - before

    def _write_all(self, chunks: Sequence[bytes]) -> None:
        remaining: list[bytes | memoryview] = [*chunks]
        while remaining:
            count = _write(self._descriptor, remaining)
            self.size += count
            while remaining and count >= len(remaining[0]):
                count -= len(remaining.pop(0))
            if count:
                remaining[0] = memoryview(remaining[0])[count:]

    def clear(self) -> None:
        """Remove what the part holds."""
        os.ftruncate(self._descriptor, 0)
        os.lseek(self._descriptor, 0, os.SEEK_SET)
        self.size = 0

    def finish(self) -> None:
        """Give the file its name, in place of a file that has it already."""
        if os.name == "nt":
            self._close()  # Windows does not rename open files.
        try:
            os.replace(self._path, self._target)
        except OSError:
            if self._descriptor < 0:
                _remove(self._path)
            raise
        self._close()

    def close(self, *, discard: bool = False) -> None:
        """Close the part if it is open. It stays on disk only if it can be resumed."""
        if self._descriptor < 0:
            return
        if discard or not self.size or not self.is_resumable:
            if os.name == "nt":
                self._close()
            _remove(self._path)
        self._close()

    def _close(self) -> None:
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)


def _link(descriptor: int, path: str) -> None:
    """Give a name to a file that has none."""
    # With a descriptor, which an absolute path ignores, Python follows the link of /proc to the file.
    os.link(f"/proc/self/fd/{descriptor}", path, src_dir_fd=descriptor, follow_symlinks=True)


def _write(descriptor: int, chunks: Sequence[bytes | memoryview]) -> int:
    if hasattr(os, "writev"):
        return os.writev(descriptor, chunks)
    return os.write(descriptor, chunks[0])  # Windows


def _is_named(path: str, opened: os.stat_result) -> bool:
    try:
        return os.path.samestat(os.lstat(path), opened)
    except FileNotFoundError:
        return False


def _remove(path: str) -> None:
    with suppress(FileNotFoundError):
        os.unlink(path)
