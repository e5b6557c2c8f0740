"""Names of artifacts: below the folder, or refused by name; never written elsewhere."""

from __future__ import annotations

import os
import random
import unicodedata
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from aiocircle._core.retry import RetryPolicy
from aiocircle.composites._downloads import Target, download_artifacts
from aiocircle.composites._filenames import FilePaths, Root, folder_name, safe_parts
from aiocircle.errors import DownloadError, DownloadErrors
from aiocircle.resources.jobs import Artifact
from tests.support.rows import each_row
from tests.support.thorough import scaled

NAMES = scaled(1_000, 100_000)


@each_row(
    ("name", "parts"),
    [
        ("a", ("a",)),
        ("a/b.txt", ("a", "b.txt")),
        ("./a//b/./c", ("a", "b", "c")),
        (".hidden/..a", (".hidden", "..a")),
        ("console/com10/nullable.txt", ("console", "com10", "nullable.txt")),
        ("x.part", ("x.part",)),
        ("ünï/日本 語.txt", ("ünï", "日本 語.txt")),
        ("a" * 255, ("a" * 255,)),
        ("100%/a+b=c,d;e&f'g(h)[i]{j}~k@l#m$n^o`p!", ("100%", "a+b=c,d;e&f'g(h)[i]{j}~k@l#m$n^o`p!")),
    ],
)
def test_harmless_name_is_unchanged(name: str, parts: tuple[str, ...]) -> None:
    """Empty names and `.` are dropped, nothing else."""
    assert safe_parts(name) == parts


def test_control_characters_are_refused() -> None:
    """All of them, at any place in a name."""
    controls = [char for char in map(chr, range(256)) if unicodedata.category(char) == "Cc"]
    assert len(controls) == 65  # as many as Unicode has
    for char in controls:
        with pytest.raises(DownloadError, match="control character"):
            safe_parts(f"a/b{char}c")


HOSTILE = {
    "..": "leaves",
    "../x": "leaves",
    "a/../../x": "leaves",
    "a/..": "leaves",
    ".\u200b./x": "leaves",
    "/etc/passwd": "absolute",
    "//host/share/x": "absolute",
    "": "empty",
    ".": "empty",
    "././.": "empty",
    "a/": "folder",
    "a\0b": "control",
    "a\nb": "control",
    "a\x7f": "control",
    "a\x85b": "control",
    "a" * 256: "longer",
    "é" * 128: "longer",
    "x/" + "b" * 300: "longer",
    "..\\x": "reserves",
    "C:\\x": "reserves",
    "C:x": "reserves",
    "a.txt:stream": "reserves",
    "a?": "reserves",
    "a*b": "reserves",
    'a"b': "reserves",
    "a<b": "reserves",
    "a|b": "reserves",
    "CON": "device",
    "x/nul": "device",
    "aux.txt": "device",
    "Com1.tar.gz": "device",
    "lpt9 .log": "device",
    "COM\u00b9": "device",
    "conin$": "device",
    "a.": "ends",
    "a ": "ends",
    "a. /b": "ends",
    "...": "ends",
    "\ud800": "surrogate",
    "a/b\udcff.txt": "surrogate",
    "\u200b": "invisible",
    ".aiocircle-x.part": "unfinished",
    "d/.AIOCIRCLE-1.PART": "unfinished",
}


@each_row("name", HOSTILE)
def test_hostile_name_is_refused_by_name(name: str) -> None:
    """With its reason, and a message that can be printed and encoded."""
    with pytest.raises(DownloadError) as caught:
        safe_parts(name)
    assert HOSTILE[name] in str(caught.value)
    assert caught.value.name == name
    assert str(caught.value).isprintable()
    str(caught.value).encode()


@each_row(
    ("first", "second"),
    [
        ("a", "a"),
        ("a.txt", "A.TXT"),
        ("x/a", "X/A"),
        ("x//a", "x/./a"),
        ("\u00e9", "e\u0301"),
        ("\u212b", "\u00e5"),
        ("straße", "STRASSE"),
        ("a\u200bb", "ab"),
        ("a\ufe0f", "a"),
        ("a", "a/b"),
        ("a/b", "a"),
        ("A/b/c", "a/B"),
        ("a", "A/b/c"),
    ],
)
def test_same_path_is_refused_once(first: str, second: str) -> None:
    """On any file system that some user has; the first one wins."""
    paths = FilePaths()
    paths.add(first)
    with pytest.raises(DownloadError) as caught:
        paths.add(second)
    assert caught.value.name == second
    paths.add(second, ["another"])


def test_different_paths_are_accepted() -> None:
    """Files in one folder, also if its name is spelled differently."""
    paths = FilePaths()
    for name in ("a/b", "a/c", "A/d", "ab", "a.b", "b/a"):
        assert paths.add(name, ("0",)) == ("0", *name.split("/"))


@each_row(
    ("text", "name"),
    [
        ("build", "build"),
        ("test/unit: 3.11", "test_unit_ 3.11"),
        ("..", "_"),
        ("", "_"),
        ("con", "_con"),
        ("a" * 300, "a" * 55),
        ("\ud800x", "_x"),
        ("x. ", "x"),
    ],
)
def test_folder_name_is_safe(text: str, name: str) -> None:
    """Names of workflows and jobs are free text."""
    assert folder_name(text) == name
    assert safe_parts(name) == (name,)


@pytest.mark.parametrize("above", [0, 1])
def test_folder_that_becomes_a_link_is_refused(tmp_path: Path, above: int) -> None:
    """Also if files were written to it before, and whether it or a folder above it is replaced."""
    into, outside = tmp_path / "into", tmp_path / "outside"
    into.mkdir()
    (outside / "b").mkdir(parents=True)
    root = Root(into.resolve())
    root.make_folders(("a", "b", "file"), "a/b/file")
    folder = root.path / "a" / "b"
    assert folder.is_dir()
    replaced = folder.parent if above else folder
    replaced.rename(tmp_path / "moved")
    replaced.symlink_to(outside if above else outside / "b")
    for check in (root.make_folders, root.require_inside):
        with pytest.raises(DownloadError, match="link"):
            check(("a", "b", "file"), "a/b/file")


def test_folder_that_vanishes_is_created_again(tmp_path: Path) -> None:
    """Another program may have removed it between two files."""
    root = Root(tmp_path.resolve())
    folder = root.path / "a" / "b"
    root.make_folders(("a", "b", "one"), "one")
    folder.rmdir()
    folder.parent.rmdir()
    root.make_folders(("a", "b", "two"), "two")
    assert folder.is_dir()


# --- on disk --------------------------------------------------------------------------------------------------

PIECES = [
    *["..", ".", "", "/", "\\", "C:", "c:\\", "\0", "\n", "CON", "nul.txt", "COM1.a.b", "lpt1 ", " ", ".", ". ", "a."],
    *["a", "A", "b", "dir", "DIR", "file.txt", "File.TXT", "\u00e9", "e\u0301", "\u212b", "\u200b", "\ufe0f", "日本"],
    *["x" * 300, "y" * 255, "é" * 130, "\ud800", "\udcff", "out", "OUT", "deep/er", "link", "LINK", "loop", "canary"],
    *[".aiocircle-1.part", "z.part", "~", "$HOME", "%2e%2e", "%2F", "\uff0f", "\u2044", "\u2024\u2024", "*", "?", "|"],
    *["etc/passwd", "host", "file", "aux", "a:b", "<", ">", '"', "-rf", "\x1b[2J", "\u202etxt.exe", "🙂", "👩\u200d💻"],
]

HARMLESS = ["a", "A", "dir/x", "link/", "loop/", "host/out/", "\u00e9", "e\u0301", "日本", "deep/er/", "🙂 ", "v1."]


def make_name(random_: random.Random) -> str:
    hostility = random_.choice([0.0, 0.2, 1.0])
    name = ""
    for _ in range(random_.randint(1, 5)):
        hostile = random_.random() < hostility
        name += random_.choice(PIECES) if hostile else f"{random_.choice(HARMLESS)}{random_.randrange(10**4)}"
        name += random_.choice(["/", "", "\\"]) if hostile else "/"
    if random_.random() < 0.2:
        name = unicodedata.normalize("NFD", name)
    return name.rstrip("/") if random_.random() < 0.9 else random_.choice(["/", "../", "./", ""]) + name


class Body:
    status = 200
    headers: Mapping[str, str] = {"Content-Length": "7"}

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield b"written"


@asynccontextmanager
async def open_(url: str, headers: Mapping[str, str]) -> AsyncIterator[Body]:
    yield Body()


def state(folder: Path) -> dict[str, tuple[object, ...]]:
    """All that is outside of the folder for artifacts, without following links."""
    found: dict[str, tuple[object, ...]] = {}
    for at, folders, files in os.walk(folder):
        if at == str(folder):
            folders.remove("into")
        for name in folders + files:
            path = Path(at, name)
            found[str(path)] = (path.lstat().st_mode, path.lstat().st_mtime_ns, path.is_file() and path.read_bytes())
    return found


async def test_generated_names_stay_below_the_folder(tmp_path: Path) -> None:
    """Each is a file below the folder or refused by name. Nothing outside is written, links there or not."""
    outside, into = tmp_path / "outside", tmp_path / "into"
    outside.mkdir()
    (outside / "canary").write_text("canary")
    into.mkdir()
    (into / "link").symlink_to(outside)
    (into / "loop").symlink_to(into)
    (into / "file").symlink_to(outside / "canary")
    (into / "host").mkdir()
    (into / "host" / "out").symlink_to("../../outside")
    before = state(tmp_path)
    random_ = random.Random(16)
    counts: Counter[str] = Counter()
    for _ in range(NAMES // 1000):
        names = [make_name(random_) for _ in range(1000)]
        targets = [Target(artifact=Artifact(path=name, node_index=0, url="https://h/x")) for name in names]
        try:
            done = await download_artifacts(open_, targets, into, policy=RetryPolicy())
            failed: tuple[Exception, ...] = ()
        except DownloadErrors as errors:
            done, failed = errors.done, errors.exceptions
        assert len(done) + len(failed) == len(names)
        for each in done:
            assert each.path.resolve().is_relative_to(into)
            assert each.path.read_bytes() == b"written"
            assert not each.path.is_symlink()
        for error in failed:
            assert isinstance(error, DownloadError)
            assert error.name in names
        counts["written"] += len(done)
        counts["refused"] += len(failed)
    after = state(tmp_path)
    assert after == before
    assert not [*into.rglob(".aiocircle-*.part")]
    print(dict(counts), "elsewhere:", len(after.keys() - before.keys()))
    assert min(counts["written"], counts["refused"]) > NAMES // 50
