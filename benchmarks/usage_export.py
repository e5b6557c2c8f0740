"""Read a usage export that this script makes: rows a second and memory, against csv alone.

python -m benchmarks.usage_export --parts 8 --megabytes 300
"""

from __future__ import annotations

import argparse
import asyncio
import csv
import gzip
import io
import random
import resource
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import attrs

from aiocircle.composites._usage_csv import read_usage_rows
from aiocircle.resources.usage import UsageRow
from benchmarks.loop_watch import watched_loop

_COLUMNS = [field.name.upper() for field in attrs.fields(UsageRow)][:-1]
_CHUNK = 64 * 1024


def _record(random_: random.Random) -> list[str]:
    """Return one run of a job, as exports write it."""
    began = datetime(2026, 11, 1, tzinfo=UTC) + timedelta(seconds=random_.randrange(30 * 86_400))
    ids = [str(uuid.UUID(int=random_.getrandbits(128))) for _ in range(4)]
    row = []
    for column in _COLUMNS:
        if column.endswith("_ID"):
            value = ids[len(row) % 4]
        elif column.endswith(("_AT", "CREATED_DATE")):
            value = f"{began:%Y-%m-%d %H:%M:%S}.{random_.randrange(1000):03}"
        elif column == "JOB_RUN_DATE":
            value = f"{began:%Y-%m-%d}"
        elif column.startswith("IS_"):
            value = random_.choice(("true", "false"))
        elif column in ("PIPELINE_NUMBER", "JOB_RUN_NUMBER", "PARALLELISM"):
            value = str(random_.randrange(1, 90_000))
        elif column.endswith(("_CREDITS", "_PCT", "_SECONDS")):
            value = r"\N" if random_.random() < 0.3 else f"{random_.random() * 900:.2f}"
        elif column == "ORGANIZATION_NAME":
            value = "acme"
        elif column == "JOB_NAME":
            value = random_.choice(("build", 'test "unit", slow', "deploy"))
        else:
            value = random_.choice(("github", "https://github.com/acme/shop", "main", r"\N", "docker", "large"))
        row.append(value)
    return row


def make(path: Path, megabytes: int, seed: int) -> int:
    """Write one part of `megabytes` of text, compressed; return its rows."""
    random_ = random.Random(seed)
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(_record(random_) for _ in range(2000))
    block = text.getvalue().encode()
    repeats = max(1, megabytes * 1_000_000 // len(block))
    with gzip.open(path, "wb", compresslevel=1) as file:
        file.write((",".join(_COLUMNS) + "\n").encode())
        for _ in range(repeats):
            file.write(block)
    return repeats * 2000


async def _chunks(path: Path) -> AsyncIterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            yield chunk


async def _ours(paths: list[Path]) -> tuple[int, float]:
    rows = 0
    async with watched_loop() as watch:
        for path in paths:
            async for _ in read_usage_rows(_chunks(path)):
                rows += 1
    return rows, watch.longest


def _csv_alone(paths: list[Path]) -> Iterator[int]:
    for path in paths:
        with gzip.open(path, "rt", newline="") as file:
            yield sum(1 for _ in csv.reader(file)) - 1


def measure(subject: str, paths: list[Path]) -> None:
    """Print one line of figures; run in a process of its own, for its peak of memory."""
    started = time.perf_counter()
    rows, longest = asyncio.run(_ours(paths)) if subject == "ours" else (sum(_csv_alone(paths)), 0.0)
    took = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"{subject:8} {rows:>9} rows  {took:7.2f} s  {rows / took:>8.0f} rows/s  peak {peak:5.1f} MiB  "
        f"longest stretch of the loop {longest * 1000:.0f} ms",
        flush=True,
    )


def main() -> int:
    parser = argparse.ArgumentParser(prog="benchmarks.usage_export", description=__doc__)
    parser.add_argument("--parts", type=int, default=1)
    parser.add_argument("--megabytes", type=int, default=60, help="of text, for each part")
    parser.add_argument("--subject", choices=["ours", "csv"], help=argparse.SUPPRESS)
    parser.add_argument("paths", nargs="*", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.subject:
        measure(arguments.subject, arguments.paths)
        return 0
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / f"part-{number}.csv.gz" for number in range(arguments.parts)]
        for number, path in enumerate(paths):
            make(path, arguments.megabytes, number)
        for subject in ("csv", "ours"):
            command = [sys.executable, "-m", "benchmarks.usage_export", "--subject", subject, *map(str, paths)]
            subprocess.run(command, check=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
