"""Downloads: complete or absent, resumed, bounded. Over real HTTP against a server that misbehaves."""

from __future__ import annotations

import asyncio
import errno
import os
import pickle
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from aiocircle.composites import _disk, _downloads, _parts
from aiocircle.composites._downloads import check_options, download_artifacts, list_targets
from aiocircle.composites._parts import PartFile, part_key
from aiocircle.errors import CircleCIError, DownloadError, DownloadErrors, InvalidArgument
from aiocircle.resources.jobs import Artifact, DownloadedArtifact, DownloadProgress
from tests.support.rows import each_row
from tests.support.thorough import scaled
from tests.unit.composites.file_server import MIB, POLICY, File, FileServer, content, raw_server


def artifact(server: FileServer, path: str = "out.bin", node: int = 0) -> Artifact:
    return Artifact(path=path, node_index=node, url=f"{server.url}/f/{node}/{path}?signature=secret")


async def fetch(open_: Any, server: FileServer, into: Path, *paths: str, **options: Any) -> tuple[Any, ...]:
    artifacts = [artifact(server, path) for path in paths or ("out.bin",)]
    options.setdefault("policy", POLICY)
    return await download_artifacts(open_, list_targets(artifacts), into, **options)


async def failure(*arguments: Any, **options: Any) -> DownloadError:
    with pytest.raises(DownloadErrors) as caught:
        await fetch(*arguments, **options)
    (error,) = caught.value.exceptions
    return error


def names(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir())


def parts(folder: Path) -> list[Path]:
    return [*folder.glob("*.part")]


def make_part(server: FileServer, into: Path, data: bytes, etag: str = '"v1"') -> Path:
    into.mkdir(exist_ok=True)
    part = PartFile(str(into / "out.bin"))
    part.open(part_key(artifact(server).url, etag))
    part.write([data])
    part.close()
    return part.path


@pytest.fixture(params=["fast disk", "slow disk"])
def each_disk(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Write in the event loop, or in threads."""
    monkeypatch.setattr(_disk, "_FAST", 1e9 if request.param == "fast disk" else 0.0)


@pytest.fixture(params=["files without names", "parts only"])
def each_system(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Store small files as Linux can, and as the other systems must."""
    if request.param == "parts only":
        monkeypatch.setattr(_parts, "_UNNAMED", 0)


# --- whole files ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("framing", ["length", "chunks", "gzip"])
@pytest.mark.parametrize("etag", ['"v1"', 'W/"v1"', None])
@pytest.mark.parametrize("size", [0, 1, 3 * MIB + 7])
@pytest.mark.usefixtures("each_disk")
async def test_file_is_complete(
    server: FileServer, open_: Any, tmp_path: Path, size: int, etag: str | None, framing: str
) -> None:
    """The bytes are equal, nothing else is left in the folder, and one request was sent."""
    server.files["/f/0/out.bin"] = File(body=content(size), etag=etag, framing=framing)
    (done,) = await fetch(open_, server, tmp_path)
    assert done == DownloadedArtifact(artifact=artifact(server), path=tmp_path / "out.bin", size=size, resumed=False)
    assert done.path.read_bytes() == content(size)
    assert names(tmp_path) == ["out.bin"]
    assert len(server.requests) == 1


@pytest.mark.usefixtures("each_system")
async def test_small_file_is_complete(server: FileServer, open_: Any, tmp_path: Path) -> None:
    """Nothing else is left in the folder, and its mode is that of any new file."""
    (tmp_path / "other").touch()
    for name, body in {"a/b.txt": content(100_000), "empty": b""}.items():
        server.files[f"/f/0/{name}"] = File(body=body)
        (done,) = await fetch(open_, server, tmp_path, name)
        assert (done.path.read_bytes(), done.size) == (body, len(body))
        assert done.path.stat().st_mode == (tmp_path / "other").stat().st_mode
    assert names(tmp_path) == ["a/b.txt", "empty", "other"]


@pytest.mark.skipif(not _parts._UNNAMED, reason="the system has no files without names")
@pytest.mark.parametrize("existing", [False, True])
@pytest.mark.parametrize("failing", ["open", "write", "link", "replace"])
async def test_small_file_needs_no_unnamed_file(
    server: FileServer, open_: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str, existing: bool
) -> None:
    """A file system without them, or a call that fails once: the file is stored by a part, and nothing else is left."""
    server.files["/f/0/out.bin"] = File(body=content(5000))
    if existing:
        (tmp_path / "out.bin").write_bytes(b"old")
    failed = False

    def fail(*arguments: Any, **options: Any) -> Any:
        nonlocal failed
        if not failed:
            failed = True
            raise OSError(errno.EOPNOTSUPP, "Operation not supported")
        return getattr(os, failing)(*arguments, **options)

    monkeypatch.setattr(_parts, "os", _OsWith(**{failing: fail}))
    (done,) = await fetch(open_, server, tmp_path)
    assert failed == (existing or failing != "replace")
    assert (done.path.read_bytes(), done.size) == (content(5000), 5000)
    assert names(tmp_path) == ["out.bin"]


async def test_nodes_have_folders(server: FileServer, open_: Any, tmp_path: Path) -> None:
    """Files of several parallel nodes are below the node's index, in the order of the list."""
    artifacts = [artifact(server, "log/a.txt", node) for node in (1, 0)]
    for node in (0, 1):
        server.files[f"/f/{node}/log/a.txt"] = File(body=b"%d" % node)
    done = await download_artifacts(open_, list_targets(artifacts), tmp_path, policy=POLICY)
    assert [each.path for each in done] == [tmp_path / "1/log/a.txt", tmp_path / "0/log/a.txt"]
    assert (tmp_path / "1/log/a.txt").read_bytes() == b"1"


@each_row(
    ("match", "selected"),
    [
        ("**", ["a.xml", "x/b.xml", "x/y/c.txt"]),
        ("*", ["a.xml"]),
        ("**/*.xml", ["a.xml", "x/b.xml"]),
        ("x/**", ["x/b.xml", "x/y/c.txt"]),
        ("x/?.xml", ["x/b.xml"]),
        ("a[.]xml", []),
    ],
)
def test_match_selects_paths(match: str, selected: list[str]) -> None:
    """One star stays within a name, two cross folders; everything else is literal."""
    artifacts = [Artifact(path=path, node_index=0, url="") for path in ("a.xml", "x/b.xml", "x/y/c.txt")]
    assert [target.artifact.path for target in list_targets(artifacts, match=match)] == selected


async def test_concurrency_is_bounded(server: FileServer, open_: Any, tmp_path: Path) -> None:
    """Never more requests are in flight than `concurrency`; all of them are used; progress ends at the totals."""
    paths = [f"{number}.bin" for number in range(40)]
    for path in paths:
        server.files[f"/f/0/{path}"] = File(body=content(1000), pause=0.001, chunk=200)
    progress: list[DownloadProgress] = []
    done = await fetch(open_, server, tmp_path, *paths, concurrency=5, on_progress=progress.append)
    assert server.most_active == 5
    assert [each.path.name for each in done] == paths
    assert progress[-1] == DownloadProgress(files_done=40, files_total=40, bytes_received=40_000)
    assert [each.files_done for each in progress] == sorted(each.files_done for each in progress)


@pytest.mark.usefixtures("each_system")
async def test_existing_file_is_replaced(server: FileServer, open_: Any, tmp_path: Path) -> None:
    """The old file stays until the new one is complete."""
    (tmp_path / "out.bin").write_bytes(b"old")
    server.files["/f/0/out.bin"] = File(body=b"new", statuses=[404])
    await failure(open_, server, tmp_path)
    assert (tmp_path / "out.bin").read_bytes() == b"old"
    await fetch(open_, server, tmp_path)
    assert (tmp_path / "out.bin").read_bytes() == b"new"
    assert names(tmp_path) == ["out.bin"]


async def test_existing_file_is_skipped(server: FileServer, open_: Any, tmp_path: Path) -> None:
    """Without a request, also if it is a link to nowhere."""
    (tmp_path / "out.bin").write_bytes(b"old")
    (done,) = await fetch(open_, server, tmp_path, existing="skip")
    assert (done.size, done.resumed, server.requests) == (3, False, [])
    (tmp_path / "out.bin").unlink()
    (tmp_path / "out.bin").symlink_to(tmp_path / "nowhere")
    await fetch(open_, server, tmp_path, existing="skip")
    assert server.requests == []
    assert (tmp_path / "out.bin").is_symlink()


@each_row(
    "options",
    [{"concurrency": 0}, {"concurrency": True}, {"existing": "keep"}, {"match": None}, {"into": None}],
)
def test_bad_option_is_refused(options: dict[str, Any]) -> None:
    """Before anything is sent or created."""
    good: dict[str, Any] = {"into": "x", "match": "**", "concurrency": 8, "existing": "skip"}
    assert check_options(**good) == "x"
    with pytest.raises(InvalidArgument, match=f"^{next(iter(options))} must be"):
        check_options(**{**good, **options})


async def test_into_must_be_a_folder(server: FileServer, open_: Any, tmp_path: Path) -> None:
    """A file with its name is a DownloadError, before anything is sent."""
    (tmp_path / "file").write_text("")
    with pytest.raises(DownloadError, match="into must be a folder"):
        await fetch(open_, server, tmp_path / "file")
    assert server.requests == []


# --- failures -------------------------------------------------------------------------------------------------


async def test_failure_waits_for_all_others(server: FileServer, open_: Any, tmp_path: Path) -> None:
    """The group names each failed file, keeps the finished ones, and survives pickling and `except*`."""
    for path, status in (("a", 404), ("b", 0), ("c", 0), ("d", 403)):
        server.files[f"/f/0/{path}"] = File(body=path.encode(), statuses=[status])
    with pytest.raises(DownloadErrors) as caught:
        await fetch(open_, server, tmp_path, "a", "b", "../x", "c", "d")
    group = pickle.loads(pickle.dumps(caught.value))
    assert isinstance(group, CircleCIError)
    assert [(error.name, error.status) for error in group.exceptions] == [("a", 404), ("../x", None), ("d", 403)]
    assert [done.path.read_text("utf-8") for done in group.done] == ["b", "c"]
    assert group.outcome == "done"
    assert names(tmp_path) == ["b", "c"]
    part = group.split(lambda error: getattr(error, "status", None) == 404)[0]
    assert isinstance(part, DownloadErrors)
    assert part.done == group.done
    assert "secret" not in repr(group) + "".join(map(str, group.exceptions))


async def test_body_without_framing_is_refused(open_: Any, tmp_path: Path) -> None:
    """Neither a length nor chunks: a cut body would look complete."""
    async with raw_server(b'HTTP/1.1 200 OK\r\nETag: "v1"\r\nConnection: close\r\n\r\nbody') as url:
        targets = list_targets([Artifact(path="out.bin", node_index=0, url=url)])
        with pytest.raises(DownloadErrors) as caught:
            await download_artifacts(open_, targets, tmp_path, policy=POLICY)
    assert "neither a length nor chunks" in str(caught.value.exceptions[0])
    assert names(tmp_path) == []


@pytest.mark.parametrize("status", [429, 500, 503])
async def test_status_is_retried(server: FileServer, open_: Any, tmp_path: Path, status: int) -> None:
    """Before the first byte, as often as the policy permits."""
    server.files["/f/0/out.bin"] = File(body=b"x", statuses=[status] * 3)
    await fetch(open_, server, tmp_path)
    assert len(server.requests) == 4
    server.files["/f/0/out.bin"] = File(body=b"x", statuses=[status] * 4)
    assert (await failure(open_, server, tmp_path)).status == status
    assert len(server.requests) == 8


@pytest.mark.parametrize("status", [204, 301, 401, 403, 404, 410])
async def test_status_is_final(server: FileServer, open_: Any, tmp_path: Path, status: int) -> None:
    """One request, an error with the status, and no file with the error's body."""
    server.files["/f/0/out.bin"] = File(body=b"x", statuses=[status])
    assert (await failure(open_, server, tmp_path)).status == status
    assert len(server.requests) == 1
    assert names(tmp_path) == []


@pytest.mark.usefixtures("each_system")
async def test_folder_in_the_way_is_an_error(server: FileServer, open_: Any, tmp_path: Path) -> None:
    """The finished part cannot be renamed; nothing in the folder is lost, and the part can be resumed."""
    (tmp_path / "out.bin").mkdir()
    (tmp_path / "out.bin" / "kept").write_text("")
    server.files["/f/0/out.bin"] = File(body=b"x")
    error = await failure(open_, server, tmp_path)
    assert "cannot be written" in str(error)
    assert error.path == tmp_path / "out.bin"
    assert "out.bin/kept" in names(tmp_path)


@pytest.mark.usefixtures("each_system")
async def test_name_beyond_the_encoding_of_files(
    server: FileServer, open_: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As under LC_ALL=C without UTF-8: the file is refused by name, and the others are downloaded."""

    def link(source: str, path: str, **options: Any) -> None:
        path.encode("ascii")
        os.link(source, path, **options)

    def replace(source: str, path: str) -> None:
        path.encode("ascii")
        os.replace(source, path)

    monkeypatch.setattr(_parts, "os", _OsWith(link=link, replace=replace))
    url = artifact(server, "e.txt").url
    server.files["/f/0/e.txt"] = File(body=b"x")
    artifacts = [Artifact(path=path, node_index=0, url=url) for path in ("é.txt", "e.txt")]
    with pytest.raises(DownloadErrors) as caught:
        await download_artifacts(open_, list_targets(artifacts), tmp_path, policy=POLICY)
    (error,) = caught.value.exceptions
    assert error.name == "é.txt"
    assert "PYTHONUTF8=1" in str(error)
    assert names(tmp_path) == ["e.txt"]


@pytest.mark.usefixtures("each_system")
async def test_link_in_the_folder_is_not_followed(server: FileServer, open_: Any, tmp_path: Path) -> None:
    """A link to a folder outside is refused; a link with the file's name is replaced, not its target."""
    outside, into = tmp_path / "outside", tmp_path / "into"
    outside.mkdir()
    into.mkdir()
    (outside / "canary").write_text("canary")
    (into / "link").symlink_to(outside)
    (into / "file").symlink_to(outside / "canary")
    for path in ("link/new", "file"):
        server.files[f"/f/0/{path}"] = File(body=b"written")
    error = await failure(open_, server, into, "link/new", "file")
    assert error.name == "link/new"
    assert names(outside) == ["canary"]
    assert (outside / "canary").read_text("utf-8") == "canary"
    assert (into / "file").read_text("utf-8") == "written"
    assert not (into / "file").is_symlink()


# --- resuming -------------------------------------------------------------------------------------------------


async def test_cut_body_is_continued(server: FileServer, open_: Any, tmp_path: Path) -> None:
    """From its last byte, by Range and If-Range; more often than the policy's attempts if there is progress."""
    body = content(12 * MIB)
    server.files["/f/0/out.bin"] = File(body=body, cuts=[2 * MIB + 5, 2 * MIB] * 2 + [MIB + 1] * 2)
    (done,) = await fetch(open_, server, tmp_path)
    assert done.path.read_bytes() == body
    assert not done.resumed
    offsets = [2 * MIB + 5, 4 * MIB + 5, 6 * MIB + 10, 8 * MIB + 10, 9 * MIB + 11, 10 * MIB + 12]
    assert [headers.get("Range") for _, headers in server.requests] == [None, *(f"bytes={each}-" for each in offsets)]
    assert {headers.get("If-Range") for _, headers in server.requests[1:]} == {'"v1"'}
    assert server.sent == len(body)


@pytest.mark.parametrize("etag", [None, 'W/"v1"'])
async def test_cut_body_without_etag_starts_again(
    server: FileServer, open_: Any, tmp_path: Path, etag: str | None
) -> None:
    """Without a strong ETag the bytes may be of another file."""
    body = content(MIB)
    server.files["/f/0/out.bin"] = File(body=body, etag=etag, cuts=[1000, 500_000])
    (done,) = await fetch(open_, server, tmp_path)
    assert done.path.read_bytes() == body
    assert [headers.get("Range") for _, headers in server.requests] == [None] * 3
    assert names(tmp_path) == ["out.bin"]


async def test_download_without_progress_gives_up(server: FileServer, open_: Any, tmp_path: Path) -> None:
    """After the policy's attempts; what was received stays in a part, which the next call continues."""
    body = content(MIB)
    server.files["/f/0/out.bin"] = File(body=body, cuts=[1000] * 4)
    error = await failure(open_, server, tmp_path)
    assert len(server.requests) == 4
    assert isinstance(error.part, Path)
    assert error.part.name.endswith(".part")
    received = error.part.read_bytes()
    assert 0 < len(received) <= 4000, "aiohttp may drop what it has not handed over when the connection is lost"
    assert body.startswith(received)
    (done,) = await fetch(open_, server, tmp_path)
    assert done.resumed
    assert done.path.read_bytes() == body
    assert server.requests[-1][1]["Range"] == f"bytes={len(received)}-"
    assert names(tmp_path) == ["out.bin"]


@pytest.mark.parametrize("framing", ["length", "chunks"])
@pytest.mark.parametrize("ranges", ["honest", "ignored", "shifted", "refused", "unnamed", "short"])
async def test_range_is_checked(server: FileServer, open_: Any, tmp_path: Path, ranges: str, framing: str) -> None:
    """Another start, a 416, a 200 or a range without a total: the bytes are those of the file, always."""
    body = content(3 * MIB + 5)
    server.files["/f/0/out.bin"] = File(body=body, ranges=ranges, cuts=[MIB + 7], framing=framing)
    (done,) = await fetch(open_, server, tmp_path)
    assert done.path.read_bytes() == body
    assert names(tmp_path) == ["out.bin"]


async def test_changed_file_starts_again(server: FileServer, open_: Any, tmp_path: Path) -> None:
    """With another ETag nothing of the old file is used, and its part is removed."""
    new = content(MIB, seed=2)
    server.files["/f/0/out.bin"] = File(body=content(MIB, seed=1), cuts=[600_000])
    old_open = open_
    opened = 0

    def switching(url: str, headers: Any) -> Any:
        nonlocal opened
        opened += 1
        if opened == 2:
            server.files["/f/0/out.bin"] = File(body=new, etag='"v2"')
        return old_open(url, headers)

    (done,) = await fetch(switching, server, tmp_path)
    assert done.path.read_bytes() == new
    assert names(tmp_path) == ["out.bin"]


async def test_complete_part_needs_no_body(server: FileServer, open_: Any, tmp_path: Path) -> None:
    """A process that was killed before the rename has the whole part: it is renamed."""
    body = content(4 * MIB)
    make_part(server, tmp_path, body)
    server.files["/f/0/out.bin"] = File(body=body)
    (done,) = await fetch(open_, server, tmp_path)
    assert (done.size, done.resumed) == (len(body), True)
    assert done.path.read_bytes() == body
    assert len(server.requests) == 1


async def test_longer_part_starts_again(server: FileServer, open_: Any, tmp_path: Path) -> None:
    """A part that is longer than the file cannot be a part of it."""
    make_part(server, tmp_path, content(2000))
    server.files["/f/0/out.bin"] = File(body=b"short")
    (done,) = await fetch(open_, server, tmp_path)
    assert (done.path.read_bytes(), done.resumed) == (b"short", False)


async def test_part_of_another_version_is_unused(server: FileServer, open_: Any, tmp_path: Path) -> None:
    """Its name has another hash, and so has that of another URL's part; a query does not count."""
    part = make_part(server, tmp_path, b"other version", etag='"v0"')
    server.files["/f/0/out.bin"] = File(body=b"this version")
    (done,) = await fetch(open_, server, tmp_path)
    assert done.path.read_bytes() == b"this version"
    assert part.exists()
    assert part_key("https://h/a?x=1", '"1"') == part_key("https://h/a?x=2", '"1"') != part_key("https://h/b", '"1"')


async def test_locked_part_is_left_alone(server: FileServer, open_: Any, tmp_path: Path) -> None:
    """Another process writes to it: this one uses a part with a random name."""
    body = content(MIB)
    other = PartFile(str(tmp_path / "out.bin"))
    other.open(part_key(artifact(server).url, '"v1"'))
    other.write([b"theirs"])
    server.files["/f/0/out.bin"] = File(body=body)
    (done,) = await fetch(open_, server, tmp_path)
    assert (done.path.read_bytes(), done.resumed) == (body, False)
    assert other.path.read_bytes() == b"theirs"
    other.close()
    assert len(names(tmp_path)) == 2


async def test_part_is_named_after_the_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between open and lock another process finished the file: what was opened is not the part any more."""
    import fcntl

    finished = tmp_path / "finished"
    part = PartFile(str(tmp_path / "out.bin"))
    first = True

    def flock(descriptor: int, operation: int) -> None:
        nonlocal first
        if first:
            first = False
            (opened,) = tmp_path.glob("*.part")
            opened.write_bytes(b"complete")
            opened.rename(finished)
        fcntl.flock(descriptor, operation)

    monkeypatch.setattr(_parts, "fcntl", type("fcntl", (), {"flock": flock, "LOCK_EX": 2, "LOCK_NB": 4}))
    part.open("key")
    part.write([b"mine"])
    part.close()
    assert finished.read_bytes() == b"complete"
    assert part.path.read_bytes() == b"mine"


@pytest.mark.parametrize("kind", ["link", "hard link", "folder", "fifo"])
async def test_trap_with_the_parts_name(
    server: FileServer, open_: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """Something else has the part's name: it is neither written nor removed, and does not block."""
    monkeypatch.setattr(_parts, "_UNNAMED", 0)
    into, canary = tmp_path / "into", tmp_path / "canary"
    canary.write_text("canary")
    into.mkdir()
    trap = make_part(server, into, b"x")
    trap.unlink()
    make = {
        "link": lambda: trap.symlink_to(canary),
        "hard link": lambda: trap.hardlink_to(canary),
        "folder": trap.mkdir,
        "fifo": lambda: os.mkfifo(trap),
    }
    make[kind]()
    server.files["/f/0/out.bin"] = File(body=content(5000))
    (done,) = await fetch(open_, server, into)
    assert done.path.read_bytes() == content(5000)
    assert canary.read_text("utf-8") == "canary"
    assert trap.name in os.listdir(into)


async def test_lying_total_is_an_error(server: FileServer, open_: Any, tmp_path: Path) -> None:
    """A range that names another total than the first response is not of the same file."""
    body = content(2 * MIB)
    server.files["/f/0/out.bin"] = File(body=body, cuts=[1000], lie=5)
    (done,) = await fetch(open_, server, tmp_path)
    assert done.path.read_bytes() == body


@pytest.mark.usefixtures("each_disk")
async def test_cancellation_keeps_the_part(server: FileServer, open_: Any, tmp_path: Path) -> None:
    """It passes through, all bytes stay, and no thread writes afterwards."""
    body = content(8 * MIB)
    server.files["/f/0/out.bin"] = File(body=body, pause=0.002)
    arrived, received = asyncio.Event(), 0

    def note(progress: DownloadProgress) -> None:
        nonlocal received
        received = progress.bytes_received
        arrived.set()

    task = asyncio.create_task(fetch(open_, server, tmp_path, on_progress=note))
    await arrived.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    (part,) = parts(tmp_path)
    assert body.startswith(part.read_bytes())
    assert part.stat().st_size == received > 0
    (done,) = await fetch(open_, server, tmp_path)
    assert done.resumed
    assert done.path.read_bytes() == body


async def test_error_of_a_callback_ends_all(server: FileServer, open_: Any, tmp_path: Path) -> None:
    """An exception of on_progress is the caller's, not a DownloadError."""
    server.files["/f/0/out.bin"] = File(body=b"x")

    def fail(_: DownloadProgress) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fetch(open_, server, tmp_path, on_progress=fail)


@pytest.mark.usefixtures("each_disk", "each_system")
async def test_random_faults_never_spoil_a_file(server: FileServer, open_: Any, tmp_path: Path) -> None:
    """Random cuts, statuses, ranges and ETags: each file is equal or absent, and no part of it stays without reason."""
    random_ = random.Random(7)
    equal = 0
    turns = scaled(25, 1500)
    for turn in range(turns):
        body = content(random_.choice([0, 1, 70_000, 400_000]), turn)
        path = f"{turn}.bin"
        server.files[f"/f/0/{path}"] = File(
            body=body,
            etag=random_.choice(['"v1"', '"v1"', 'W/"v1"', None]),
            statuses=[random_.choice([0, 0, 500, 429]) for _ in range(random_.randrange(3))],
            cuts=[random_.randrange(len(body) + 1) for _ in range(random_.randrange(4))],
            ranges=random_.choice(["honest", "honest", "ignored", "shifted", "refused", "unnamed"]),
            framing=random_.choice(["length", "chunks", "gzip"]),
        )
        for _ in range(4):
            try:
                (done,) = await fetch(open_, server, tmp_path, path)
            except DownloadErrors:
                assert not (tmp_path / path).exists()
                continue
            assert done.path.read_bytes() == body
            equal += 1
            break
        for part in parts(tmp_path):
            part.unlink()
    assert equal >= 0.8 * turns


@pytest.mark.usefixtures("each_disk")
async def test_failed_write_leaves_no_gap(
    server: FileServer, open_: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk is full for a moment: the part stays a beginning of the file, and is continued later."""
    body = content(6 * MIB)
    server.files["/f/0/out.bin"] = File(body=body)
    calls = 0

    def writev(descriptor: int, views: Any) -> int:
        nonlocal calls
        calls += 1
        if calls == 10:
            raise OSError(errno.ENOSPC, "No space left on device")
        return os.writev(descriptor, [*views[:1], *views[1:2]] if calls % 2 else [views[0][:1000]])

    monkeypatch.setattr(_parts, "os", _OsWith(writev=writev))
    error = await failure(open_, server, tmp_path)
    assert "No space left on device" in str(error)
    assert isinstance(error.part, Path)
    assert body.startswith(error.part.read_bytes())
    (done,) = await fetch(open_, server, tmp_path)
    assert done.resumed
    assert done.path.read_bytes() == body


class _OsWith:
    """The module os with other functions."""

    def __init__(self, **functions: Any) -> None:
        self.__dict__.update(functions)

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)


# --- killed processes -----------------------------------------------------------------------------------------

PROGRAM = """
import asyncio, sys, aiohttp
from pathlib import Path
from aiocircle._core.retry import RetryPolicy
from aiocircle.composites._downloads import download_artifacts, list_targets
from aiocircle.resources.jobs import Artifact
from tests.unit.composites.file_server import MIB, POLICY, opener

async def main(url, into):
    async with aiohttp.ClientSession() as session:
        targets = list_targets([Artifact(path="out.bin", node_index=0, url=url)])
        await download_artifacts(opener(session), targets, Path(into), policy=RetryPolicy())

asyncio.run(main(*sys.argv[1:]))
"""


async def test_killed_download_is_resumed(server: FileServer, tmp_path: Path) -> None:
    """Killed at random moments: the bytes are equal in the end, and few of them were sent twice."""
    kills = scaled(1, 50)
    body = content((kills + 1) * 6 * MIB)
    server.files["/f/0/out.bin"] = File(body=body, pause=0.001)
    random_ = random.Random(3)
    limit, killed = 0, 0
    process: asyncio.subprocess.Process | None = None

    def kill() -> None:
        nonlocal killed
        if killed == turn < kills and server.sent - start >= limit and process is not None:
            killed += 1
            process.kill()

    server.on_sent = kill
    root = str(Path(_downloads.__file__).parents[2])
    for turn in range(kills + 1):
        start, limit = server.sent, random_.randrange(64 * 1024, 4 * MIB)
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", PROGRAM, artifact(server).url, str(tmp_path), cwd=root, stderr=subprocess.PIPE
        )
        _, stderr = await process.communicate()
        if turn < kills:
            assert process.returncode == -9, stderr.decode()
            assert not (tmp_path / "out.bin").exists()
    assert process is not None
    assert process.returncode == 0, stderr.decode()
    assert killed == kills
    assert (tmp_path / "out.bin").read_bytes() == body
    assert names(tmp_path) == ["out.bin"]
    twice = server.sent - len(body)
    print(f"{kills} kills of {len(body)} bytes: {twice} bytes sent twice, {twice // kills} a kill")
    # What is in the sockets' buffers and in the writer's: megabytes a kill, not the file.
    assert twice < kills * 16 * MIB
