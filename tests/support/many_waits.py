"""Many waits through one client under a rate limit, on virtual time: delay, requests and 429s.

python -m tests.support.many_waits --waits 500 --rate 50
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import random

import attrs

from aiocircle import CircleCI
from aiocircle.testing import JobStory, LocalCircleCI, Story, WorkflowStory
from aiocircle.testing.virtual_time import VirtualTimeLoop

PROJECT = "gh/acme/web"


@attrs.frozen
class Figures:
    """delays: seconds from the end of each pipeline to its notice. refused: requests that were a 429."""

    delays: tuple[float, ...]
    succeeded: int
    requests: int
    refused: int

    def percentile(self, share: float) -> float:
        return sorted(self.delays)[min(int(len(self.delays) * share), len(self.delays) - 1)]


def story(rng: random.Random) -> Story:
    minutes = rng.uniform(1, 20)
    lengths = [60 * minutes, 60 * minutes * rng.uniform(0.2, 1), 60 * minutes * rng.uniform(0.2, 1)]
    return Story([WorkflowStory(f"w{index}", [JobStory("job", length)]) for index, length in enumerate(lengths)])


async def measure(
    count: int, *, rate_limit: float | None, has_headers: bool = True, latency: float = 0.05, seed: int = 0
) -> Figures:
    """Wait for pipelines of 1 to 20 minutes that all start in the first minute."""
    rng = random.Random(seed)
    async with (
        LocalCircleCI(
            [PROJECT], rate_limit=rate_limit, rate_limit_headers=has_headers, latency=latency, record=False
        ) as server,
        CircleCI(server.token, base_url=server.url) as circle,
    ):
        server.script(PROJECT, *[story(rng) for _ in range(count)])

        async def wait(delay: float) -> tuple[float, bool]:
            await asyncio.sleep(delay)
            pipeline_id = server.start_pipeline(PROJECT)
            result = await circle.pipelines.wait(pipeline_id)
            pipeline = server.state.pipeline(pipeline_id)
            assert pipeline is not None
            end = max(each.stopped or 0.0 for each in pipeline.workflows)
            return server.clock.now() - end, result.succeeded

        results = await asyncio.gather(*[wait(rng.uniform(0, 60)) for _ in range(count)])
        statistics = server.statistics
        return Figures(
            tuple(delay for delay, _ in results),
            sum(is_good for _, is_good in results),
            statistics.requests,
            statistics.statuses[429],
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--waits", type=int, default=500)
    parser.add_argument("--rate", type=float, default=50.0, help="requests a second; 0: no limit")
    parser.add_argument("--without-headers", action="store_true")
    arguments = parser.parse_args()
    logging.getLogger("aiocircle").setLevel(logging.ERROR)
    with asyncio.Runner(debug=False, loop_factory=VirtualTimeLoop) as runner:
        figures = runner.run(
            measure(arguments.waits, rate_limit=arguments.rate or None, has_headers=not arguments.without_headers)
        )
    print(
        f"{arguments.waits} waits, {arguments.rate:g} requests a second: {figures.succeeded} succeeded, "
        f"{figures.requests} requests, {figures.refused} 429s, seconds from end to notice "
        f"p50 {figures.percentile(0.5):.1f}, p95 {figures.percentile(0.95):.1f}, max {max(figures.delays):.1f}"
    )


if __name__ == "__main__":
    main()
