"""Folding results into the health of a branch."""

from __future__ import annotations

import random

import attrs
import pytest

from aiocircle.events import Health, fold
from tests.support.rows import each_row


@attrs.frozen
class Pipeline:
    number: int


@attrs.frozen
class Result:
    outcome: str
    pipeline: Pipeline


def result(outcome: str, number: int = 1) -> Result:
    return Result(outcome, Pipeline(number))


WORKING = Health(change="still_working", is_broken=False, pipeline_number=5)
BROKEN = Health(change="newly_broken", is_broken=True, pipeline_number=5)
NEUTRAL = ["on_hold", "canceled", "not_run", "no_workflows"]
BROKEN_BY = ["failed", "error", "failing", "unauthorized", "running", "queued", "a status of tomorrow"]


@each_row(
    ("before", "outcome", "change"),
    [
        (None, "success", "still_working"),
        (WORKING, "success", "still_working"),
        (BROKEN, "success", "mended"),
        *[(None, outcome, "newly_broken") for outcome in BROKEN_BY],
        *[(WORKING, outcome, "newly_broken") for outcome in BROKEN_BY],
        *[(BROKEN, outcome, "still_broken") for outcome in BROKEN_BY],
    ],
)
def test_result_that_counts(before: Health | None, outcome: str, change: str) -> None:
    """A success is working, everything else is broken, and the number is that of the result."""
    health = fold(before, result(outcome, 6))
    assert (health.change, health.pipeline_number) == (change, 6)
    assert health.is_broken == (outcome != "success")


@pytest.mark.parametrize("outcome", NEUTRAL)
@pytest.mark.parametrize("before", [None, WORKING, BROKEN])
def test_neutral_result_keeps_the_health(before: Health | None, outcome: str) -> None:
    """Nothing was judged: a broken branch stays broken, without a second "newly_broken"."""
    health = fold(before, result(outcome, 6))
    assert health.is_broken == (before is BROKEN)
    assert health.change == ("still_broken" if before is BROKEN else "still_working")
    assert health.pipeline_number == (None if before is None else 5)


@pytest.mark.parametrize("outcome", ["success", "failed"])
@pytest.mark.parametrize("before", [WORKING, BROKEN])
def test_older_result_keeps_the_health(before: Health, outcome: str) -> None:
    """A result of a lower pipeline number comes too late to count."""
    health = fold(before, result(outcome, 4))
    assert (health.is_broken, health.pipeline_number) == (before.is_broken, 5)


def test_rerun_of_the_same_pipeline_counts() -> None:
    """The same number is not lower."""
    assert fold(BROKEN, result("success", 5)).change == "mended"


def test_fold_agrees_with_the_whole_history() -> None:
    """In random stories the health is that of the last result that counted, and each change is reported once."""
    for seed in range(3000):
        chance = random.Random(seed)
        story = [
            result(chance.choice(["success", *NEUTRAL, *BROKEN_BY]), chance.randint(1, 6))
            for _ in range(chance.randint(1, 12))
        ]
        health: Health | None = None
        for index in range(len(story)):
            before, health = health, fold(health, story[index])
            counting = [each for each in story[: index + 1] if each.outcome not in NEUTRAL]
            highest = max((each.pipeline.number for each in counting), default=None)
            last = [each for each in counting if each.pipeline.number == highest]
            assert health.is_broken == (bool(last) and last[-1].outcome != "success")
            assert health.pipeline_number == highest
            was = before is not None and before.is_broken
            expected = {
                (False, False): "still_working",
                (False, True): "newly_broken",
                (True, True): "still_broken",
                (True, False): "mended",
            }
            assert health.change == expected[was, health.is_broken]
