"""`aiocircle serve`: a local CircleCI that runs until it is interrupted."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import signal
from typing import Final

from aiocircle.testing import LocalCircleCI

__all__ = ["run"]

_SHOWN: Final = 10  # projects that are named


def run(arguments: argparse.Namespace) -> int:
    """Serve until Ctrl-C or SIGTERM."""
    # Ctrl-C arrives so where the loop cannot handle signals, as on Windows.
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_run(arguments))
    return 0


async def _run(arguments: argparse.Namespace) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        with contextlib.suppress(NotImplementedError):  # by asyncio on Windows; run() handles Ctrl-C there
            loop.add_signal_handler(number, stop.set)
    server = LocalCircleCI(
        projects=arguments.projects,
        seed=arguments.seed,
        latency=arguments.latency,
        page_size=arguments.page_size,
        rate_limit=arguments.rate_limit,
        faults=arguments.faults,
        port=arguments.port,
        record=False,
    )
    async with server:
        print(_greeting(server), flush=True)
        await stop.wait()
    print(f"Stopped after {server.statistics.requests:,} requests.")


def _greeting(server: LocalCircleCI) -> str:
    projects = server.projects
    more = [f"  and {len(projects) - _SHOWN} more"] if len(projects) > _SHOWN else []
    return "\n".join(
        [
            f"A local CircleCI at {server.url}. Ctrl-C stops it. Elsewhere:",
            "",
            f"  export CIRCLECI_BASE_URL={server.url}",
            f"  export CIRCLECI_TOKEN={server.token}",
            f"  aiocircle insights {projects[0]}",
            "",
            "Its projects:",
            *(f"  {slug}" for slug in projects[:_SHOWN]),
            *more,
        ]
    )
