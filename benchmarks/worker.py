"""A client in a process of its own: runs the scenarios named on standard input, and prints the cost of each."""

from __future__ import annotations

import asyncio
import gc
import importlib
import inspect
import json
import os
import resource
import sys
import time

from benchmarks.processes import keep_apart


def settle_malloc() -> None:
    """Free one large block, so that the C library's allocator is in the same state in every process.

    asyncio reads into a new buffer of 256 KiB each time. Until a block of that size has been freed once, glibc's malloc
    requests it from the kernel and returns it each time. That costs more than everything that is measured here. Whether
    a library frees such a block is chance. orjson does with the first long text that it reads, another library never.
    """
    bytes(1 << 20)


def mark() -> None:
    """Call something that nothing else calls, so that a profiler can find the beginning and the end of a scenario."""
    os.getsid(0)


def main() -> None:
    """Carry out one scenario for each line: its name and its options, as JSON."""
    settle_malloc()
    keep_apart(server=False)
    subject = importlib.import_module(f"benchmarks.subjects.{sys.argv[1]}")
    with asyncio.Runner() as runner:
        for line in sys.stdin:
            name, options = json.loads(line)
            gc.collect()
            # A search through all that was imported costs more than a page. It is chance in which scenario it happens.
            gc.freeze()
            mark()
            wall, cpu = time.perf_counter(), time.process_time()
            outcome = getattr(subject, name)(**options)
            if inspect.iscoroutine(outcome):
                outcome = runner.run(outcome)
            cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
            mark()
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            print(json.dumps({"cpu": cpu, "wall": wall, "peak": peak, "outcome": outcome}), flush=True)


if __name__ == "__main__":
    main()
