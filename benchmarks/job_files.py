"""A job's files by the client, against LocalCircleCI: memory of a long log and a large artifact, and killed downloads.

python -m benchmarks.job_files log --megabytes 200
python -m benchmarks.job_files artifact --megabytes 2000
python -m benchmarks.job_files kills --megabytes 24 --kills 50
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import logging
import random
import resource
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

from aiocircle import CircleCI
from aiocircle.testing import ArtifactStory, JobStory, LocalCircleCI, StepStory, Story, WorkflowStory

_PROJECT = "gh/acme/web"


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024  # MiB


async def _client(what: str, url: str, token: str, number: int, into: str) -> None:
    """Run the process that is measured, or killed."""
    async with CircleCI(token, base_url=url) as circle:
        await circle.users.me()
        before, started, lines = _peak(), time.perf_counter(), 0
        if what == "log":
            async for _ in circle.jobs.stream_output(_PROJECT, number):
                lines += 1
        else:
            await circle.jobs.download_artifacts(_PROJECT, number, into)
    took = time.perf_counter() - started
    print(f"{what}: {took:.1f} s, {lines} lines, peak {_peak():.1f} MiB, before it {before:.1f} MiB", flush=True)


async def _measure(what: str, size: int, kills: int) -> None:
    step = StepStory("log", output=size if what == "log" else "x\n")
    artifacts = [] if what == "log" else [ArtifactStory("big.bin", size)]
    job = JobStory("job", 0, steps=[step], artifacts=artifacts)
    async with LocalCircleCI([_PROJECT]) as server, CircleCI(server.token, base_url=server.url) as circle:
        server.script(_PROJECT, Story([WorkflowStory("build", [job])], workflow_delay=0))
        (workflow,) = await circle.pipelines.list_workflows(server.start_pipeline(_PROJECT)).collect()
        (listed,) = await circle.workflows.list_jobs(workflow.id).collect()
        with tempfile.TemporaryDirectory() as into:
            command = ["--client", what, server.url, server.token, str(listed.job_number), into]
            if what == "kills":
                await _kill(command, Path(into), kills, ArtifactStory("big.bin", size))
            else:
                process = await _start(command)
                assert await process.wait() == 0


async def _start(command: list[str]) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(sys.executable, "-m", "benchmarks.job_files", *command)


async def _kill(command: list[str], into: Path, kills: int, story: ArtifactStory) -> None:
    """Kill downloads at random moments until `kills` had something on disk; resume each, and compare the bytes."""
    random_ = random.Random(16)
    expected = hashlib.sha256(story.read(0, story.size)).hexdigest()
    killed = partly = equal = kept = 0
    while killed < kills:
        process = await _start(command)
        threshold = random_.randrange(story.size)
        while process.returncode is None and sum(_part_sizes(into)) <= threshold:  # noqa: ASYNC110 - a file grows
            await asyncio.sleep(0.002)
        if process.returncode is None:
            process.kill()
        if await process.wait() == 0:
            (into / "big.bin").unlink()
            continue
        killed += 1
        sizes = _part_sizes(into)
        partly += bool(sizes)
        kept += sum(sizes)
        process = await _start(command)
        assert await process.wait() == 0
        equal += _hash(into / "big.bin") == expected
        (into / "big.bin").unlink()
        assert not _part_sizes(into)
    print(f"{killed} killed, {partly} with a part, {equal} equal after resuming")
    print(f"{kept / 1e6:.1f} of {killed * story.size / 1e6:.1f} MB were on disk and not fetched again")


def _part_sizes(into: Path) -> list[int]:
    sizes: list[int] = []
    for part in into.glob("*.part"):
        with suppress(FileNotFoundError):  # It was finished in the meantime.
            sizes.append(part.stat().st_size)
    return sizes


def _hash(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def main() -> int:
    parser = argparse.ArgumentParser(prog="benchmarks.job_files", description=__doc__)
    parser.add_argument("what", nargs="?", choices=["log", "artifact", "kills"])
    parser.add_argument("--megabytes", type=int, default=24)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--client", nargs=5, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    logging.disable(logging.ERROR)  # The server logs each connection that a kill breaks.
    if arguments.client:
        what, url, token, number, into = arguments.client
        asyncio.run(_client(what, url, token, int(number), into))
    else:
        asyncio.run(_measure(arguments.what, arguments.megabytes * 1_000_000, arguments.kills))
    return 0


if __name__ == "__main__":
    sys.exit(main())
