"""Rerun once what failed on a branch, from cron or a schedule: python rerun_flaky.py gh/acme/web main"""

from __future__ import annotations

import asyncio
import sys

from aiocircle import ChangeErrors, CircleCI


async def rerun(project: str, branch: str) -> int:
    async with CircleCI() as circle:
        try:
            new = await circle.workflows.rerun_failed(project, branch=branch, at_most=1)
        except ChangeErrors as errors:
            new = errors.done
            print(*errors.exceptions, sep="\n")
    for workflow in new:
        print("rerun", workflow.name, workflow.web_url)
    return len(new)


if __name__ == "__main__":
    asyncio.run(rerun(*sys.argv[1:]))
