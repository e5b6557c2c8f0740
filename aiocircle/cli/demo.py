"""`aiocircle demo`: the whole of a bulk fetch, against a local CircleCI."""

from __future__ import annotations

import argparse
import asyncio
import sys
from typing import Final

from aiocircle import CircleCI, ProjectSlug
from aiocircle.cli.insights import fetch_and_show, log_to_stderr
from aiocircle.cli.traffic import Traffic
from aiocircle.client import add_observer
from aiocircle.testing import LocalCircleCI

__all__ = ["run"]

_TIMEOUT: Final = 2.0  # seconds beyond the latency: less than a slow response takes, so that those are retried


def run(arguments: argparse.Namespace) -> int:
    """Start a local CircleCI and fetch 90 days of insights of all its projects."""
    log_to_stderr(verbose=arguments.verbose)
    return asyncio.run(_run(arguments))


async def _run(arguments: argparse.Namespace) -> int:
    traffic = Traffic()
    async with (
        LocalCircleCI(
            projects=arguments.projects,
            seed=arguments.seed,
            latency=arguments.latency,
            rate_limit=arguments.rate_limit,
            faults=arguments.faults,
            record=False,
        ) as server,
        CircleCI(
            server.token,
            base_url=server.url,
            timeout=arguments.latency + _TIMEOUT,
        ) as circle,
    ):
        add_observer(circle, traffic)
        print(_introduction(server.url, arguments), file=sys.stderr)
        projects = [ProjectSlug.parse(slug) for slug in server.projects]
        return await fetch_and_show(circle, projects, traffic, window="last-90-days", top=arguments.top)


def _introduction(url: str, arguments: argparse.Namespace) -> str:
    limit = "no rate limit" if arguments.rate_limit is None else f"{arguments.rate_limit:g} requests a second"
    return (
        f"A local CircleCI at {url}: {arguments.projects} projects,\n"
        f"{arguments.latency * 1000:g} ms for a response, {limit}, {arguments.faults:.0%} faults.\n"
        "Fetching 90 days of insights."
    )
