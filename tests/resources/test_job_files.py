"""Files of a job, over HTTP: steps, output, artifacts and failed tests."""

from __future__ import annotations

import asyncio
import sys
from contextlib import aclosing
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from aiocircle import CircleCI, InvalidArgument, Unauthorized
from aiocircle.errors import DownloadError, DownloadErrors
from aiocircle.links import Link
from aiocircle.resources.jobs import DownloadProgress, OutputLine
from aiocircle.resources.workflows import WorkflowJob
from aiocircle.testing import ArtifactStory, JobStory, LocalCircleCI, StepStory, Story, WorkflowStory

WEB = "gh/acme/web"
MIB = 1024 * 1024
HOSTILE = ["../../etc/x", "/etc/passwd", "a\0b", "x" * 300, "C:\\con", "CON", "..", "a/../../b", "good/CON.txt", "e."]


async def run_jobs(server: LocalCircleCI, circle: CircleCI, *jobs: JobStory) -> tuple[str, list[WorkflowJob]]:
    """A pipeline of the jobs: its id, and the jobs as their workflow lists them."""
    server.script(WEB, Story([WorkflowStory("build: all", jobs)], workflow_delay=0))
    pipeline_id = server.start_pipeline(WEB)
    (workflow,) = await circle.pipelines.list_workflows(pipeline_id).collect()
    return pipeline_id, await circle.workflows.list_jobs(workflow.id).collect()


async def run_job(server: LocalCircleCI, circle: CircleCI, **story: Any) -> WorkflowJob:
    story.setdefault("seconds", 0)
    _, (job,) = await run_jobs(server, circle, JobStory("test", **story))
    return job


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def to_storage(server: LocalCircleCI) -> list[Any]:
    port = server.storage_url.rpartition(":")[2]
    return [request for request in server.requests if request.headers["Host"].endswith(f":{port}")]


# --- which job ------------------------------------------------------------------------------------------------


async def test_a_job_is_named_in_four_ways(server: LocalCircleCI, circle: CircleCI) -> None:
    """By project and number, by a link to its page, by the link's text, and by the job of a workflow's list."""
    job = await run_job(server, circle, status="failed")
    link = f"https://app.circleci.com/pipelines/github/acme/web/1/workflows/{'1' * 8}-1111-4111-8111-{'1' * 12}"
    page = f"{link}/jobs/{job.job_number}"
    found = [
        await circle.jobs.get_steps(WEB, job.job_number),
        await circle.jobs.get_steps(page),
        await circle.jobs.get_steps(Link.parse(page)),
        await circle.jobs.get_steps(job),
        await circle.jobs.get_steps(f"circleci.com/gh/acme/web/{job.job_number}"),
    ]
    assert found[0]
    assert all(steps == found[0] for steps in found)


async def test_a_call_without_a_job_is_refused(server: LocalCircleCI, circle: CircleCI) -> None:
    """Before anything is sent, also by methods that return an iterator."""
    job = WorkflowJob(id="j", name="hold", type="approval")
    for arguments in [
        (WEB,),
        (WEB, 0),
        (WEB, True),
        (WEB, "7"),
        (job,),
        (job, 7),
        ("https://app.circleci.com/pipelines/github/acme/web",),
        ("https://circleci.internal.example/gh/acme/web/7",),
        (Link.parse("https://circleci.com/gh/acme/web/7"), 7),
    ]:
        with pytest.raises(InvalidArgument):
            await circle.jobs.get_steps(*arguments)
        with pytest.raises(InvalidArgument):
            circle.jobs.stream_output(*arguments)
        with pytest.raises(InvalidArgument):
            circle.jobs.list_failed_tests(*arguments)
    for options in [{"failed_only": "yes"}, {"step": 5}, {"index": -1}, {"index": "0"}]:
        with pytest.raises(InvalidArgument, match=next(iter(options))):
            circle.jobs.stream_output(WEB, 7, **options)  # type: ignore[arg-type]
    with pytest.raises(InvalidArgument, match="lines must be"):
        await circle.jobs.get_failed_output(WEB, 7, lines=0)
    with pytest.raises(InvalidArgument, match="into must be"):
        await circle.jobs.download_artifacts(WEB, 7, None)  # type: ignore[call-overload]
    assert server.requests == []


# --- output ---------------------------------------------------------------------------------------------------

STEPS = [
    StepStory("checkout", output="\x1b[1mcloning\x1b[0m\r\n10%\r100%\r\n"),
    StepStory("pytest", output="1 failed\r\n", errors="\x1b[31mE assert\x1b[0m\n", status="failed", exit_code=3),
    StepStory("upload", status="timedout", output="waiting\r\n"),
    StepStory("quiet", status="failed"),
]


async def test_steps_fail_by_their_status(server: LocalCircleCI, circle: CircleCI) -> None:
    """A timeout has no exit code and no `failed` on the wire."""
    job = await run_job(server, circle, status="failed", steps=STEPS, parallelism=2)
    steps = await circle.jobs.get_steps(job)
    assert [(step.name, step.failed) for step in steps] == [
        ("checkout", False),
        ("pytest", True),
        ("upload", True),
        ("quiet", True),
    ]
    assert [(action.index, action.status, action.exit_code) for action in steps[2].actions] == [
        (0, "timedout", None),
        (1, "timedout", None),
    ]


async def test_output_is_made_readable(server: LocalCircleCI, circle: CircleCI) -> None:
    """Control sequences are gone, and a carriage return overwrites the line; no token goes to the storage."""
    job = await run_job(server, circle, status="failed", steps=STEPS)
    lines = [line async for line in circle.jobs.stream_output(job)]
    assert [(line.step, line.stream, line.text) for line in lines] == [
        ("checkout", "out", "cloning"),
        ("checkout", "out", "100%"),
        ("pytest", "out", "1 failed"),
        ("pytest", "err", "E assert"),
        ("pytest", "err", ""),
        ("pytest", "err", "Exited with code exit status 3"),
        ("upload", "out", "waiting"),
    ]
    assert all(line.index == 0 and line.at is not None for line in lines)
    outputs = to_storage(server)
    assert len(outputs) == 3
    assert not any({"Circle-Token", "Authorization"} & request.headers.keys() for request in outputs)


async def test_output_is_selected(server: LocalCircleCI, circle: CircleCI) -> None:
    """By failure, by the name of a step and by the node; only those outputs are fetched."""
    job = await run_job(server, circle, status="failed", steps=STEPS, parallelism=2)

    async def select(**options: Any) -> set[tuple[str, int]]:
        return {(line.step, line.index) async for line in circle.jobs.stream_output(job, **options)}

    assert await select(failed_only=True) == {("pytest", 0), ("pytest", 1), ("upload", 0), ("upload", 1)}
    assert await select(step="checkout", index=1) == {("checkout", 1)}
    assert await select(index=9) == set()
    assert len(to_storage(server)) == 5


async def test_failed_output_takes_few_requests(server: LocalCircleCI, circle: CircleCI) -> None:
    """The last 100 lines of each of 20 failing steps: one request for the job, and one for each output."""
    steps = [
        StepStory(f"step {number}", output=40_000, errors="E\n", status="failed", exit_code=1) for number in range(20)
    ]
    job = await run_job(server, circle, status="failed", steps=[*steps, StepStory("fine", output="x\n"), STEPS[3]])
    before = len(server.requests)
    outputs = await circle.jobs.get_failed_output(job)
    assert len(server.requests) - before == 1 + 20
    assert [output.step for output in outputs] == [*[step.name for step in steps], "quiet"]
    for output in outputs[:20]:
        lines = output.text.split("\n")
        assert len(lines) == 100
        assert lines[-1] == "Exited with code exit status 1"
        assert output.text.count("E\n") == 1
        assert output.exit_code == 1
    assert (outputs[-1].status, outputs[-1].exit_code) == ("failed", 1)


async def test_a_truncated_output_is_marked(server: LocalCircleCI, circle: CircleCI) -> None:
    """Its last lines are not the real ones. A failed step without output has an empty text."""
    steps = [StepStory("long", output="beginning\n", truncated=True, status="failed", exit_code=1), STEPS[2]]
    job = await run_job(server, circle, status="failed", steps=steps)
    first, second = await circle.jobs.get_failed_output(job, lines=1)
    assert (first.truncated, second.truncated) == (True, False)
    assert (second.status, second.exit_code, second.text) == ("timedout", None, "waiting")


async def test_an_expired_output_is_an_error(server: LocalCircleCI, circle: CircleCI) -> None:
    """Lines of the outputs before it are yielded."""
    job = await run_job(server, circle, steps=STEPS[:1])
    server.inject("answer", status=403, path="/output/", body="Request has expired")
    with pytest.raises(DownloadError, match="'checkout' was not read: the server responded with 403"):
        [line async for line in circle.jobs.stream_output(job)]


# --- output of running jobs -----------------------------------------------------------------------------------


async def follow(server: LocalCircleCI, circle: CircleCI, **options: Any) -> tuple[list[OutputLine], list[float]]:
    """The lines of a job that runs for a minute, and when each came, after the job's start."""
    steps = [
        StepStory("build", output=6400, seconds=20),
        StepStory("test", output=12_800, errors="E\n", status="failed", exit_code=1, seconds=40),
    ]
    job = await run_job(server, circle, seconds=60, status="failed", steps=steps, parallelism=2, queued_seconds=10)
    clock = asyncio.get_running_loop().time
    start = clock()
    lines, times = [], []
    async for line in circle.jobs.stream_output(job, follow=True, **options):
        lines.append(line)
        times.append(clock() - start)
    return lines, times


@pytest.mark.parametrize("v3", [True, False])
async def test_a_running_job_is_followed(v3: bool) -> None:
    """From before its start to its end, each line once and soon after it was written: with API v3 and without."""
    async with LocalCircleCI(v3=v3) as server, CircleCI(server.token, base_url=server.url) as circle:
        lines, times = await follow(server, circle)
        assert 65 < times[-1] < 76
        for node in (0, 1):
            out = [line.text for line in lines if line.index == node and line.stream == "out"]
            assert [text.split()[0] for text in out if text] == [
                *[f"{number:012}" for number in range(100)],
                *[f"{number:012}" for number in range(200)],
            ]
        assert {line.step for line in lines if line.stream == "err"} == {"test"}
        gaps = [later - earlier for earlier, later in pairwise(times)]
        assert max(gaps) <= 6, "lines come while the job runs"
        operations = server.statistics.operations
        assert ("v3.jobs.stream_stdout" in operations) is v3
        assert operations.get("v3.jobs.get", 0) >= 1 or not v3


@pytest.mark.parametrize("v3", [True, False])
async def test_following_selects_outputs(v3: bool) -> None:
    """Failed steps are read when they have failed; other steps and nodes are never read."""
    async with LocalCircleCI(v3=v3) as server, CircleCI(server.token, base_url=server.url) as circle:
        lines, _ = await follow(server, circle, failed_only=True, index=1)
        assert {(line.step, line.index) for line in lines} == {("test", 1)}
        assert len([line for line in lines if line.text.startswith("0000")]) == 200
    async with LocalCircleCI(v3=v3) as server, CircleCI(server.token, base_url=server.url) as circle:
        lines, _ = await follow(server, circle, step="build", index=0)
        assert {(line.step, line.index) for line in lines} == {("build", 0)}


async def test_v3_is_looked_for_once() -> None:
    """A host without v3 gets one request for it from a client, for all its later calls."""
    async with LocalCircleCI(v3=False) as server, CircleCI(server.token, base_url=server.url) as circle:
        job = await run_job(server, circle, steps=STEPS[:1])
        for _ in range(3):
            assert len([line async for line in circle.jobs.stream_output(job, follow=True)]) == 2
        assert len([request for request in server.requests if request.path.startswith("/api/v3/")]) == 1


async def test_following_survives_faults(server: LocalCircleCI, circle: CircleCI) -> None:
    """Lost connections and 5xx in the middle neither lose nor repeat a line."""
    for kind in ("503", "drop", "429", "503"):
        server.inject(kind, path="/stdout")
    lines, _ = await follow(server, circle, index=0)
    out = [line.text.split()[0] for line in lines if line.stream == "out" and line.text]
    assert out == [*[f"{number:012}" for number in range(100)], *[f"{number:012}" for number in range(200)]]


async def test_a_dropped_stream_leaves_nothing(server: LocalCircleCI, circle: CircleCI) -> None:
    """Its connection and its place are given back, and calls work."""
    job = await run_job(server, circle, steps=[StepStory("long", output=5 * MIB)])
    async with aclosing(circle.jobs.stream_output(job)) as lines:
        async for line in lines:
            assert line.text
            assert circle._executor.state.file_places.free == circle.max_concurrency // 2 - 1
            await circle.users.me()
            break
    state = circle._executor.state
    assert (state.places.free, state.file_places.free) == (circle.max_concurrency, circle.max_concurrency // 2)


# --- artifacts ------------------------------------------------------------------------------------------------


@pytest.mark.skipif(sys.getfilesystemencoding() == "ascii", reason="the names of files cannot have accents here")
async def test_artifacts_are_downloaded(server: LocalCircleCI, circle: CircleCI, tmp_path: Path) -> None:
    """Names with spaces, accents and marks, nodes in folders of their own, a pattern, and progress."""
    stories = [
        ArtifactStory("a b/cafe\u0301 +&%.txt", "one", node_index=0),
        ArtifactStory("report/index.html", "<html>", node_index=1),
        ArtifactStory("empty", b"", node_index=1),
        ArtifactStory("packed.txt", "x" * 5000, node_index=1, content_encoding="gzip"),
    ]
    job = await run_job(server, circle, artifacts=stories, parallelism=2)
    seen: list[DownloadProgress] = []
    done = await circle.jobs.download_artifacts(WEB, job.job_number, tmp_path, on_progress=seen.append)
    assert files(tmp_path) == {
        "0/a b/cafe\u0301 +&%.txt": b"one",
        "1/report/index.html": b"<html>",
        "1/empty": b"",
        "1/packed.txt": b"x" * 5000,
    }
    assert [file.size for file in done] == [3, 6, 0, 5000]
    assert (seen[-1].files_done, seen[-1].files_total, seen[-1].bytes_received) == (4, 4, 5009)
    (one,) = await circle.jobs.download_artifacts(job, tmp_path / "html", match="**/*.html")
    assert one.path.read_bytes() == b"<html>"
    before = len(server.requests)
    kept = await circle.jobs.download_artifacts(job, into=tmp_path, existing="skip")
    assert [file.path for file in kept] == [file.path for file in done]
    assert len(server.requests) == before + 1, "only the list"


async def test_hostile_names_are_refused(server: LocalCircleCI, circle: CircleCI, tmp_path: Path) -> None:
    """Each by its name, after all others are done, and nothing is written elsewhere."""
    stories = [ArtifactStory(name, "evil") for name in HOSTILE] + [
        ArtifactStory("Good.txt", "1"),
        ArtifactStory("good.TXT", "2"),
        ArtifactStory("linked/x", "3"),
    ]
    job = await run_job(server, circle, artifacts=stories)
    into, outside = tmp_path / "into", tmp_path / "outside"
    into.mkdir()
    outside.mkdir()
    (into / "linked").symlink_to(outside)
    with pytest.raises(DownloadErrors) as caught:
        await circle.jobs.download_artifacts(job, into)
    refused = {error.name for error in caught.value.exceptions}
    assert refused == {*HOSTILE, "good.TXT", "linked/x"}
    assert [file.artifact.path for file in caught.value.done] == ["Good.txt"]
    assert files(tmp_path) == {"into/Good.txt": b"1"}
    name = next(artifact for artifact in await circle.jobs.list_artifacts(WEB, job.job_number or 0).collect())
    assert b"".join([chunk async for chunk in circle.jobs.stream_artifact(name)]) == b"evil"


async def test_cuts_are_continued(server: LocalCircleCI, circle: CircleCI, tmp_path: Path) -> None:
    """By a range from the last byte; the storage gets no token over any of the redirects."""
    stories = [
        ArtifactStory("cut.bin", 3 * MIB + 7, cuts=2, cut_after=MIB),
        ArtifactStory("chunked.bin", 2 * MIB, cuts=1, framing="chunked"),
        ArtifactStory("deaf.bin", 2 * MIB, cuts=1, ranges=False),
        ArtifactStory("weak.bin", 2 * MIB, cuts=1, etag=False),
    ]
    job = await run_job(server, circle, artifacts=stories)
    done = await circle.jobs.download_artifacts(job, tmp_path)
    for story, file in zip(stories, done, strict=True):
        assert file.path.read_bytes() == story.read(0, story.size), story.path
    assert files(tmp_path).keys() == {story.path for story in stories}
    stored = to_storage(server)
    assert not any({"Circle-Token", "Authorization"} & request.headers.keys() for request in stored)
    assert len([request for request in stored if request.headers.get("Range", "").startswith("bytes=")]) >= 3
    asked = [request for request in server.requests if request.path.startswith("/output/job/")]
    assert all(request.headers["Circle-Token"] == server.token for request in asked)


async def test_a_body_without_a_length_is_an_error(server: LocalCircleCI, circle: CircleCI, tmp_path: Path) -> None:
    """A cut one would look complete."""
    job = await run_job(server, circle, artifacts=[ArtifactStory("a", framing="close"), ArtifactStory("b", "b")])
    with pytest.raises(DownloadErrors) as caught:
        await circle.jobs.download_artifacts(job, tmp_path)
    assert [(error.name, error.status) for error in caught.value.exceptions] == [("a", 200)]
    assert files(tmp_path) == {"b": b"b"}


async def test_an_error_is_not_saved(server: LocalCircleCI, circle: CircleCI, tmp_path: Path) -> None:
    """The body of a 404 is not the file."""
    job = await run_job(server, circle, artifacts=["a.txt"])
    server.inject("answer", status=404, path="/output/job/", body="<html>Not Found</html>")
    with pytest.raises(DownloadErrors) as caught:
        await circle.jobs.download_artifacts(job, tmp_path)
    assert [(error.name, error.status) for error in caught.value.exceptions] == [("a.txt", 404)]
    assert files(tmp_path) == {}


async def test_a_refused_token_ends_the_download(server: LocalCircleCI, circle: CircleCI, tmp_path: Path) -> None:
    """A 401 is not the fault of a file: it is raised, and few more files are requested."""
    job = await run_job(server, circle, artifacts=[ArtifactStory(f"{number}.html", "x") for number in range(200)])
    for _ in range(200):
        server.inject("answer", status=401, path="/output/job/", body={"message": "You must log in first."})
    with pytest.raises(Unauthorized):
        await circle.jobs.download_artifacts(job, tmp_path, concurrency=4)
    assert len([request for request in server.requests if request.path.startswith("/output/job/")]) <= 8
    assert files(tmp_path) == {}


async def test_downloads_take_half_of_the_places(server: LocalCircleCI, tmp_path: Path) -> None:
    """A hundred files with a concurrency of fifty: never more than half of max_concurrency are open."""
    async with CircleCI(server.token, base_url=server.url, max_concurrency=6) as circle:
        job = await run_job(server, circle, artifacts=[ArtifactStory(f"{number}", 3 * MIB) for number in range(20)])
        places = circle._executor.state.places
        most = 0

        def look(_: DownloadProgress) -> None:
            nonlocal most
            most = max(most, places.size - places.free)

        await circle.jobs.download_artifacts(job, tmp_path, concurrency=50, on_progress=look)
        assert most == 3
        assert places.free == 6


async def test_artifacts_of_a_pipeline(server: LocalCircleCI, circle: CircleCI, tmp_path: Path) -> None:
    """A folder for each workflow and job, whose names are made safe; jobs without a number have none."""
    jobs = [
        JobStory("test: unit", 0, artifacts=[ArtifactStory("x.txt", "1")]),
        JobStory("test/e2e", 0, artifacts=[ArtifactStory("x.txt", "2"), ArtifactStory("y.log", "3")]),
        JobStory("hold", type="approval"),
        JobStory("empty", 0),
    ]
    pipeline_id, listed = await run_jobs(server, circle, *jobs)
    numbers = {job.name: job.job_number for job in listed}
    done = await circle.pipelines.download_artifacts(pipeline_id, tmp_path, match="**/*.txt")
    assert len(done) == 2
    assert files(tmp_path) == {
        f"build_ all/test_ unit-{numbers['test: unit']}/x.txt": b"1",
        f"build_ all/test_e2e-{numbers['test/e2e']}/x.txt": b"2",
    }


async def test_an_artifact_is_streamed(server: LocalCircleCI, circle: CircleCI) -> None:
    """Decompressed, over a cut, by the artifact or its URL; memory does not grow with it."""
    stories = [ArtifactStory("a.bin", 3 * MIB, cuts=1), ArtifactStory("b.txt", "x" * 10_000, content_encoding="gzip")]
    job = await run_job(server, circle, artifacts=stories)
    artifacts = await circle.jobs.list_artifacts(WEB, job.job_number or 0).collect()
    for story, artifact in zip(stories, artifacts, strict=True):
        for given in (artifact, artifact.url):
            body = b"".join([chunk async for chunk in circle.jobs.stream_artifact(given)])
            assert body == story.read(0, story.size)


async def test_failed_tests_are_listed(server: LocalCircleCI, circle: CircleCI) -> None:
    """Failed tests of all pages; a page without any is not the end."""
    async with LocalCircleCI(page_size=2) as server, CircleCI(server.token, base_url=server.url) as circle:
        job = await run_job(server, circle, status="failed", tests=400)
        every = await circle.jobs.list_tests(WEB, job.job_number or 0).collect()
        failed = await circle.jobs.list_failed_tests(job).collect()
        assert failed == [test for test in every if test.result in ("failure", "error")]
        assert 0 < len(failed) < len(every)
        assert await circle.jobs.list_failed_tests(job).first() == failed[0]
