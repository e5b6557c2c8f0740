"""Cancel all but the newest pipeline of each branch that is named: python cancel_redundant.py gh/acme/web main dev"""

from __future__ import annotations

import asyncio
import sys

from aiocircle import ChangeErrors, CircleCI


async def cancel(project: str, *branches: str, keep: int = 1) -> int:
    count = 0
    async with CircleCI() as circle:
        for branch in branches:
            try:
                gone = await circle.pipelines.cancel_redundant(project, branch=branch, keep=keep)
            except ChangeErrors as errors:  # one that cannot be canceled does not stop the others
                gone = errors.done
                print(*errors.exceptions, sep="\n")
            for workflow in gone:
                print("canceled", branch, workflow.pipeline_number, workflow.name)
            count += len(gone)
    return count


if __name__ == "__main__":
    asyncio.run(cancel(*sys.argv[1:]))
