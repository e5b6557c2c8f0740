"""Random interleavings of calls of `ensure` for one webhook, on virtual time.

python -m tests.support.ensure_stories --stories 100000
"""

from __future__ import annotations

import argparse
import asyncio
import random
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from aiocircle.composites._ensure import ensure_webhook
from aiocircle.errors import BadRequest, CircleCIError, ConfigurationError, NotFound, RequestTimeout
from aiocircle.resources.webhooks import Webhook
from aiocircle.testing.virtual_time import VirtualTimeLoop

URL = "https://bot.example/circleci"
MOST = 5


@dataclass
class Story:
    callers: int
    others: int
    doubles: int  # of the name, with another URL: made by a person
    created_at: str  # "made", "arrived", or "coarse": all in the same second
    has_lost_create: bool  # the first create gets no response, and may be made later

    @classmethod
    def random(cls, rng: random.Random) -> Story:
        lost = rng.random() < 0.3
        others, doubles = rng.choice([(0, 0), (2, 0), (3, 0), (4, 0), (5, 0), (0, 1), (1, 2)])
        created_at = rng.choice(["made", "arrived", "coarse"])
        return cls(rng.randint(1, 3), min(others, 2) if lost else others, doubles, created_at, lost)


class Project:
    """The webhooks of a project. A request arrives, and is served later; an id may sort before an older one."""

    def __init__(self, story: Story, rng: random.Random) -> None:
        self.story, self.rng, self.made, self.is_lost = story, rng, 0, not story.has_lost_create
        names = [f"other {number}" for number in range(story.others)] + ["bot"] * story.doubles
        self.hooks = {
            f"x{i}": self.hook(f"x{i}", name, "https://else.example", i - 100) for i, name in enumerate(names)
        }
        self.before = {*self.hooks}
        self.deleted: list[str] = []
        self.tasks: list[asyncio.Task[None]] = []

    def hook(self, id: str, name: str, url: str, at: float) -> Webhook:
        return Webhook(id=id, name=name, url=url, created_at=datetime.fromtimestamp(1_700_000_000 + at, UTC))

    async def travel(self) -> None:
        await asyncio.sleep(self.rng.choice([0.0, self.rng.uniform(0, 0.1), self.rng.uniform(0, 2)]))

    async def list(self) -> tuple[Webhook, ...]:
        await self.travel()
        found = tuple(self.hooks.values())
        await self.travel()
        return found

    async def create(self) -> Webhook:
        await self.travel()
        arrived = asyncio.get_running_loop().time()
        if not self.is_lost:
            self.is_lost = True
            if self.rng.random() < 0.8:
                self.tasks.append(asyncio.create_task(self.make_later(self.rng.uniform(0, 14), arrived)))
            raise RequestTimeout("no response", outcome="unknown")
        await self.travel()
        made = self.make(arrived)
        await self.travel()
        return made

    async def make_later(self, seconds: float, arrived: float) -> None:
        await asyncio.sleep(seconds)
        if len(self.hooks) < MOST:
            self.make(arrived)

    def make(self, arrived: float) -> Webhook:
        if len(self.hooks) >= MOST:
            raise BadRequest(400, "too many webhooks")
        self.made += 1
        new_id = f"w{99 - self.made}"  # the later sorts first
        kind, now = self.story.created_at, asyncio.get_running_loop().time()
        at = 0.0 if kind == "coarse" else arrived if kind == "arrived" else now + self.made / 1000
        self.hooks[new_id] = self.hook(new_id, "bot", URL, at)
        return self.hooks[new_id]

    async def update(self, webhook_id: str, /) -> Webhook:
        await self.travel()
        if webhook_id not in self.hooks:
            raise NotFound(404, "Not found.")
        old = self.hooks[webhook_id]
        self.hooks[webhook_id] = Webhook(id=old.id, name=old.name, url=URL, created_at=old.created_at)
        return self.hooks[webhook_id]

    async def delete(self, webhook_id: str, /) -> None:
        await self.travel()
        if webhook_id not in self.hooks:
            raise NotFound(404, "Not found.")
        self.deleted.append(webhook_id)
        del self.hooks[webhook_id]


async def play(story: Story, rng: random.Random) -> list[str]:
    project = Project(story, rng)

    async def call() -> Webhook:
        await project.travel()
        return await ensure_webhook(project, name="bot", url=URL)

    results: list[Webhook | BaseException] = await asyncio.gather(
        *(call() for _ in range(story.callers)), return_exceptions=True
    )
    if story.has_lost_create:
        await asyncio.gather(*project.tasks)
        results = [await call()]
    left = {hook.id for hook in project.hooks.values() if hook.name == "bot"}
    found = []
    if {*project.deleted} & project.before:
        found.append("deleted a webhook that was there before")
    has_room = story.others + story.doubles < MOST or story.doubles > 0
    if len(left) != (max(1, story.doubles) if has_room else 0):
        found.append(f"{len(left)} webhooks of the name are left")
    for result in results:
        if isinstance(result, Webhook):
            if result.id not in left and story.created_at == "made" and not story.has_lost_create:
                found.append("returned a webhook that is gone")
        elif has_room or not isinstance(result, ConfigurationError):
            found.append(f"raised {type(result).__name__}")
            if not isinstance(result, CircleCIError):
                raise result
    return found


async def campaign(numbers: Iterable[int]) -> Counter[str]:
    counts: Counter[str] = Counter()
    for number in numbers:
        rng = random.Random(number)
        counts.update(await play(Story.random(rng), rng))
    return counts


def run_campaign(numbers: Iterable[int]) -> Counter[str]:
    with asyncio.Runner(debug=False, loop_factory=VirtualTimeLoop) as runner:
        return runner.run(campaign(numbers))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stories", type=int, default=1000)
    arguments = parser.parse_args()
    began = time.monotonic()
    counts = run_campaign(range(arguments.stories))
    print(f"{arguments.stories} stories, {counts.total()} faults {dict(counts)}, {time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    main()
