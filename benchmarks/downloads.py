"""Download artifacts from a local server: wall time, memory and the loop's longest stretch, against aiohttp alone.

python -m benchmarks.downloads --files 1 --megabytes 2048
python -m benchmarks.downloads --files 3000 --megabytes 0.02
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from multiprocessing.connection import Connection
from pathlib import Path

import aiohttp
from aiohttp import web

from aiocircle import CircleCI
from aiocircle._core.streams import FileOpener
from aiocircle.composites._downloads import download_artifacts, list_targets
from aiocircle.resources.jobs import Artifact
from benchmarks.loop_watch import watched_loop

_PIECE = bytes(256 * 1024)
_CONCURRENCY = 8


def _serve(size: int, port: Connection) -> None:
    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse(headers={"ETag": '"v1"', "Content-Length": str(size)})
        await response.prepare(request)
        for at in range(0, size, len(_PIECE)):
            await response.write(_PIECE[: size - at])
        return response

    async def main() -> None:
        runner = web.ServerRunner(web.Server(handle, access_log=None))
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        port.send(runner.addresses[0][1])
        await asyncio.Event().wait()

    asyncio.run(main())


async def _ours(urls: list[str], into: Path) -> None:
    artifacts = [Artifact(path=f"{number}.bin", node_index=0, url=url) for number, url in enumerate(urls)]
    async with CircleCI("a-token", base_url=urls[0].partition("/output/")[0]) as circle:
        executor = circle._executor.new_caller()
        opener = FileOpener(executor, "jobs.download_artifacts")
        await download_artifacts(
            opener, list_targets(artifacts), into, policy=executor.retry, concurrency=_CONCURRENCY, existing="replace"
        )


async def _bare(urls: list[str], into: Path) -> None:
    remaining = iter(enumerate(urls))

    async def work(session: aiohttp.ClientSession) -> None:
        for number, url in remaining:
            async with session.get(url) as response:
                with (into / f"{number}.bin").open("wb") as file:
                    async for chunk in response.content.iter_any():
                        file.write(chunk)

    # With a read timeout, as the client has one: without any, a lost connection would hang for ever.
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=None, sock_read=30)) as session:
        await asyncio.gather(*(work(session) for _ in range(_CONCURRENCY)))


async def _measure(subject: str, base: str, files: int, into: Path) -> None:
    async with watched_loop() as watch:
        started = time.perf_counter()
        await {"ours": _ours, "bare": _bare}[subject]([f"{base}/output/{number}" for number in range(files)], into)
        took = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    cpu = sum(resource.getrusage(resource.RUSAGE_SELF)[:2])
    print(json.dumps({"wall": took, "cpu": cpu, "peak": peak, "stretch": watch.longest * 1000}))


def main() -> int:
    parser = argparse.ArgumentParser(prog="benchmarks.downloads", description=__doc__)
    parser.add_argument("--files", type=int, default=1)
    parser.add_argument("--megabytes", type=float, default=256.0, help="of each file")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--subject", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.subject:
        subject, base, into = arguments.subject
        asyncio.run(_measure(subject, base, arguments.files, Path(into)))
        return 0
    receive, send = multiprocessing.Pipe(duplex=False)
    size = int(arguments.megabytes * 1_000_000)
    server = multiprocessing.get_context("spawn").Process(target=_serve, args=(size, send), daemon=True)
    server.start()
    base = f"http://127.0.0.1:{receive.recv()}"
    command = [sys.executable, "-m", "benchmarks.downloads", "--files", str(arguments.files)]
    results: dict[str, list[dict[str, float]]] = {"bare": [], "ours": []}
    for turn in range(arguments.turns):
        # In turns: a file system becomes slower with what was written to it just before.
        for subject in ("bare", "ours") if turn % 2 else ("ours", "bare"):
            with tempfile.TemporaryDirectory() as into:
                os.sync()  # What was written and removed before is not paid for by this one.
                ended = subprocess.run(
                    [*command, "--subject", subject, base, into], check=True, stdout=subprocess.PIPE, text=True
                )
            result: dict[str, float] = json.loads(ended.stdout)
            results[subject].append(result)
            print(
                "{subject:5} {wall:7.2f} s  cpu {cpu:6.2f} s  peak {peak:5.1f} MiB  "
                "longest stretch of the loop {stretch:.0f} ms".format(subject=subject, **result),
                flush=True,
            )
    server.terminate()
    for name in ("wall", "cpu"):
        ratios = [ours[name] / bare[name] for bare, ours in zip(*results.values(), strict=True)]
        print(f"{name}: {statistics.median(ratios):.2f} of the bare loop's, median of {len(ratios)} pairs")
    return 0


if __name__ == "__main__":
    sys.exit(main())
