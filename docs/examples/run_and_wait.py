"""Start a pipeline with parameters and wait for its result: python run_and_wait.py gh/acme/web main env=staging"""

from __future__ import annotations

import asyncio
import sys

from aiocircle import CircleCI, NotReady, WaitTimeout


async def run(project: str, branch: str, *pairs: str) -> int:
    parameters = dict(pair.split("=", 1) for pair in pairs)
    async with CircleCI() as circle:
        try:
            started = await circle.pipelines.start(project, branch=branch, parameters=parameters)
            result = await circle.pipelines.wait(started, timeout=3600, on_change=print)
        except (NotReady, WaitTimeout) as error:
            print(error)
            return 2
    print(result.outcome, *(f"{each.name}: {each.status} {each.web_url}" for each in result.workflows), sep="\n")
    return 0 if result.succeeded else 1


if __name__ == "__main__":
    sys.exit(asyncio.run(run(*sys.argv[1:])))
