"""Names of artifacts as paths below a folder, by the rules of POSIX and of Windows alike."""

from __future__ import annotations

import os
import re
import stat
import unicodedata
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from aiocircle._redact import single_line
from aiocircle._urls import has_control
from aiocircle.errors import DownloadError

__all__ = ["PART_PREFIX", "PART_SUFFIX", "FilePaths", "Root", "folder_name", "safe_parts"]

PART_PREFIX: Final = ".aiocircle-"
"""The first characters of the name of every unfinished file."""

PART_SUFFIX: Final = ".part"
"""The last characters of the name of every unfinished file."""

# Bytes in UTF-8 and units of UTF-16: the limits of ext4 and APFS, and of NTFS.
_MAX_NAME: Final = 255
# Characters of a folder's name: at most 4 bytes each, with room for a job's number.
_MAX_FOLDER: Final = 55
_RESERVED: Final = re.compile(r'[<>:"|?*\\]')
# https://learn.microsoft.com/windows/win32/fileio/naming-a-file: with any extension, and with superscript digits.
_DEVICES: Final = re.compile(r"(?:con|prn|aux|nul|conin\$|conout\$|(?:com|lpt)[0-9\u00b9\u00b2\u00b3])", re.IGNORECASE)
_PART: Final = re.compile(re.escape(PART_PREFIX) + r".*" + re.escape(PART_SUFFIX), re.IGNORECASE | re.DOTALL)


def safe_parts(name: str) -> tuple[str, ...]:
    """Return the path `name` as the names of its folders and of its file.

    `.` and empty names between slashes are dropped. Raise DownloadError if the path is absolute, leaves its folder, or
    has a name that POSIX or Windows cannot store unchanged. The same paths are refused on every system.
    """
    if name.startswith("/"):
        raise _refused(name, "it is absolute")
    if name.endswith("/"):
        raise _refused(name, "it names a folder")
    parts = tuple(part for part in name.split("/") if part not in ("", "."))
    if not parts:
        raise _refused(name, "it is empty")
    for part in parts:
        if problem := _problem(part):
            raise _refused(name, problem)
    return parts


def _problem(part: str) -> str:
    """Return the reason why no file may have the name `part`; empty if one may."""
    try:
        size = len(part) if part.isascii() else max(len(part.encode()), len(part.encode("utf-16-le")) // 2)
    except UnicodeEncodeError:
        return "it has a surrogate, which UTF-8 cannot encode"
    key = _key(part)
    if key == "..":
        return "it leaves the folder"
    if not key:
        return "one of its names is invisible"
    if size > _MAX_NAME:
        return f"one of its names is longer than {_MAX_NAME} bytes"
    if has_control(part):
        return "it has a control character"
    if found := _RESERVED.search(part):
        return f"it has the character {found[0]}, which Windows reserves"
    if part[-1] in " .":
        return "one of its names ends with a space or a dot, which Windows removes"
    if _DEVICES.fullmatch(part.partition(".")[0].rstrip(" ")):
        return "one of its names is a device of Windows"
    if _PART.fullmatch(part):
        return "one of its names is that of an unfinished download"
    return ""


def _refused(name: str, problem: str) -> DownloadError:
    shown = single_line(name.encode("utf-8", "backslashreplace").decode(), 200)
    return DownloadError(
        f"artifact {shown!r} must have a path that every system can store, but {problem}. "
        "Read it with stream_artifact() and choose a name.",
        name=name,
    )


class FilePaths:
    """The paths of the files of one download: no two of them are the same file on any file system.

    Names that differ only in case, in Unicode normalization or in invisible characters are one file on some systems.
    A path also cannot be both a file and a folder. The first path wins; later ones are refused.
    """

    def __init__(self) -> None:
        self._files: set[tuple[str, ...]] = set()
        self._folders: set[tuple[str, ...]] = set()

    def add(self, name: str, folder: Iterable[str] = ()) -> tuple[str, ...]:
        """Return the parts of `name`, below `folder`. Raise DownloadError if the path is unsafe or taken."""
        parts = (*folder, *safe_parts(name))
        key = tuple(map(_key, parts))
        parents = {key[:length] for length in range(1, len(key))}
        if key in self._files:
            raise _refused(
                name, "another artifact has the same path, or one that some systems cannot distinguish from it"
            )
        if key in self._folders:
            raise _refused(name, "other artifacts are in a folder with this path")
        if not parents.isdisjoint(self._files):
            raise _refused(name, "another artifact is a file with the path of one of its folders")
        self._files.add(key)
        self._folders |= parents
        return parts


class Root:
    """The folder that the files of one download are below. Its methods block.

    path: the folder, which exists, without links in its path.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._prefix = os.path.join(path, "")
        # By the names below the root: folders without links in their paths, with their devices and inodes.
        self._verified: dict[tuple[str, ...], tuple[str, tuple[int, int]]] = {}

    def join(self, parts: tuple[str, ...]) -> str:
        """Return the path of a file."""
        return self._prefix + os.sep.join(parts)

    def make_folders(self, parts: tuple[str, ...], name: str) -> None:
        """Create the folders of a file. Raise DownloadError if one is a link or a file."""
        if self._is_verified(parts[:-1]):
            return
        folder = self.path
        for part in parts[:-1]:
            folder /= part
            try:
                folder.mkdir()
            except FileExistsError:
                if not stat.S_ISDIR(folder.lstat().st_mode):
                    raise _refused(name, f"{folder} is a link or a file, and not a folder") from None
        self.require_inside(parts, name)

    def require_inside(self, parts: tuple[str, ...], name: str) -> None:
        """Raise DownloadError if a link leads the folder of a file to another place than it names."""
        names = parts[:-1]
        if self._is_verified(names):
            return
        folder = os.fspath(self.path.joinpath(*names))
        found = _identity(folder)
        # realpath() also follows the links of Windows that lstat() shows as folders.
        if os.path.normcase(os.path.realpath(folder)) != os.path.normcase(folder):
            raise _refused(name, f"a link leads {folder} to another place than below {self.path}")
        if found is not None:
            self._verified[names] = folder, found

    def _is_verified(self, names: tuple[str, ...]) -> bool:
        verified = self._verified.get(names)
        return verified is not None and verified[1] == _identity(verified[0])


def _identity(folder: str) -> tuple[int, int] | None:
    try:
        found = os.lstat(folder)
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino


def _key(part: str) -> str:
    """Return what is left of a name on a file system that ignores case, normalization and invisible characters."""
    if part.isascii():
        return part.lower()
    # The canonical caseless match of the Unicode standard, section 3.13 (D145).
    folded = unicodedata.normalize("NFD", unicodedata.normalize("NFD", part).casefold())
    return "".join(char for char in folded if unicodedata.category(char) != "Cf" and not _is_variation(char))


def _is_variation(char: str) -> bool:
    return "\ufe00" <= char <= "\ufe0f" or "\U000e0100" <= char <= "\U000e01ef"


def folder_name(text: str) -> str:
    """Return the name of a workflow or a job as the name of a folder. What cannot be stored becomes `_`."""
    replaced = "".join("_" if _problem(f"x{char}x") or char == "/" else char for char in text)[:_MAX_FOLDER]
    replaced = replaced.rstrip(" .") or "_"
    return f"_{replaced}" if _problem(replaced) else replaced
