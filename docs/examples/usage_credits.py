"""Sum the credits of the last 30 days by project: python usage_credits.py <organization id>."""

import asyncio
import sys
from collections import defaultdict
from datetime import UTC, datetime, timedelta

from aiocircle import CircleCI


async def sum_credits(circle: CircleCI, org_id: str) -> dict[str, float]:
    end = datetime.now(UTC) - timedelta(minutes=1)
    total: defaultdict[str, float] = defaultdict(float)
    async for row in circle.usage.stream_export(org_id, start=end - timedelta(days=30), end=end):
        # The credits of users (seats) are divided among runs. They are not what a run used.
        total[row.project_name or "none"] += (row.total_credits or 0) - (row.user_credits or 0)
    return total


async def main() -> None:
    async with CircleCI() as circle:
        for project, used in sorted((await sum_credits(circle, sys.argv[1])).items()):
            print(f"{project}: {used:,.0f} credits")


if __name__ == "__main__":
    asyncio.run(main())
