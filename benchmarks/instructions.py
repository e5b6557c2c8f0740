"""Count instead of timing: the processor's instructions, over those of the floor, by valgrind's callgrind.

    python -m benchmarks.instructions            # all counts; exits with 1 where one is above its bound
    python -m benchmarks.instructions --profile build/callgrind   # keeps what callgrind_annotate reads

The same code on the same libraries gives the same counts within a few per mille, on a busy machine and on a quiet one.
A regression is therefore visible without a stopwatch. Instructions differ in their time: the counts are not times.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from benchmarks.processes import Server, Worker
from benchmarks.scenarios import FLOOR, MODULES, OURS

PAGES: Final = 20
CALLS: Final = 100
# CPython specializes the code of a function at its eighth call: without these the making of the client would pay for it
# in the last scenario.
WARMING: Final = 10
# The maximum ratio to the floor: the measured one, and one or two per cent for other versions of the libraries.
# A change that makes one slower on purpose raises its bound, and gives the reason.
BOUNDS: Final = {"run_pages": 1.135, "run_items": 1.225, "pipeline_items": 1.285, "get": 1.10}
_WHAT: Final = {
    "run_pages": "page of 250 workflow runs, `pages()`",
    "run_items": "page of 250 workflow runs, items",
    "pipeline_items": "page of 20 pipelines, items",
    "get": "single GET",
}


@dataclass(frozen=True)
class Count:
    """Instructions of one page or call."""

    name: str
    floor: float
    ours: float

    @property
    def ratio(self) -> float:
        return self.ours / self.floor

    @property
    def is_above(self) -> bool:
        return self.ratio > BOUNDS[self.name]


def counts(folder: Path) -> list[Count]:
    """Return the instructions of each scenario and client; the profiles are kept in `folder`."""
    found: dict[tuple[str, str], float] = {}
    with Server(pages=PAGES) as server:
        for client in (FLOOR, OURS):
            out = folder / MODULES[client]
            # Each mark of the worker's ends one part of the profile and begins the next.
            options = ("--quiet", "--dump-before=getsid", "--compress-strings=no", f"--callgrind-out-file={out}")
            with Worker(MODULES[client], before=("valgrind", "--tool=callgrind", *options)) as worker:
                for _ in range(WARMING):
                    worker.run("get", url=server.url, times=1)
                for name in BOUNDS:
                    times: dict[str, Any] = {"times": CALLS} if name == "get" else {}
                    for _ in range(2):  # the first for warming up
                        worker.run(name, url=server.url, **times)
            parts = sorted(folder.glob(f"{out.name}.*"), key=lambda path: int(path.suffix[1:]))
            # The start is before the first mark, and the messages about scenarios are between two of them.
            for index, name in enumerate(BOUNDS):
                part = parts[2 * WARMING + 4 * index + 3]
                found[client, name] = _total(part) / (CALLS if name == "get" else PAGES)
    return [Count(name, found[FLOOR, name], found[OURS, name]) for name in BOUNDS]


def _total(profile: Path) -> int:
    total = re.search(r"^(?:totals|summary): (\d+)", profile.read_text(), re.MULTILINE)
    if total is None:
        raise RuntimeError(f"{profile} has no total")
    return int(total[1])


def main() -> int:
    parser = argparse.ArgumentParser(prog="benchmarks.instructions", description=__doc__)
    parser.add_argument("--profile", type=Path, metavar="FOLDER", help="where to leave the profiles")
    arguments = parser.parse_args()
    if shutil.which("valgrind") is None:
        print("valgrind is not installed: nothing was counted", file=sys.stderr)
        return 2
    # Else the order of sets and with it the way through them would be another in each process.
    os.environ.setdefault("PYTHONHASHSEED", "0")
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.profile or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        found = counts(folder)
        if any(count.is_above for count in found):
            # On a busy machine a body can arrive in more pieces, and two names of a class can have the same place in
            # CPython's cache of attributes, by the addresses that they have. Nothing makes a count smaller.
            os.environ["OTHER_ADDRESSES"] = "x" * 24
            found = [min(pair, key=lambda count: count.ratio) for pair in zip(found, counts(folder), strict=True)]
    print("| instructions of one | floor | aiocircle | ratio | bound |\n|---|---|---|---|---|")
    for count in found:
        print(
            f"| {_WHAT[count.name]} | {count.floor:,.0f} | {count.ours:,.0f} "
            f"| {count.ratio:.3f} | {BOUNDS[count.name]:.3f} |"
        )
    above = [count.name for count in found if count.is_above]
    if above:
        print(f"above the bound: {', '.join(above)}", file=sys.stderr)
    return 1 if above else 0


if __name__ == "__main__":
    sys.exit(main())
