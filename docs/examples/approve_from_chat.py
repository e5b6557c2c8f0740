"""Offer each approval that waits, and approve what a person chooses: python approve_from_chat.py gh/acme/web"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable

from aiocircle import CircleCI, NotReady


async def offer(project: str, choose: Callable[[str], Awaitable[str]], count: int | None = None) -> None:
    async with CircleCI() as circle, circle.workflows.stream_approvals(project) as approvals:
        async for each in approvals:
            text = f"{each.job.name} of {each.workflow.name} waits on {each.pipeline.branch}: {each.workflow.web_url}"
            if await choose(text) == "approve":
                try:
                    await circle.workflows.approve_by_name(each.workflow.id, each.job.name)
                except NotReady as error:  # the workflow was canceled in the meantime
                    print(error)
            count = None if count is None else count - 1
            if count == 0:
                return


if __name__ == "__main__":
    asyncio.run(offer(sys.argv[1], lambda text: asyncio.to_thread(input, f"{text}\n> ")))
