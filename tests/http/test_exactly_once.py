"""A change is made once or not at all under all faults, and its error has the right outcome."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import attrs
import pytest

from aiocircle import CircleCI, CircleCIError, RetryPolicy
from aiocircle.testing import LocalCircleCI
from tests.support.operations import CHANGING, ENDPOINTS, PREPARED, PROJECTS, Call
from tests.support.stress import Tally, assert_nothing_held, ending
from tests.support.thorough import scaled

POLICY = RetryPolicy(attempts=4, base=0.1, max_wait=1000)
TIMEOUT = 3.0
LATE = 10.0  # seconds after which the server makes the change: the client has timed out by then


@attrs.frozen
class Trouble:
    """A fault of one request. stage: before or after the change is made; `late` is long after."""

    kind: str
    stage: str

    def __str__(self) -> str:
        return f"{self.kind} {self.stage}"


# A 429 means that nothing was done, so it never follows the change. A truncated, cut or slow response always does.
TROUBLES = (
    Trouble("429", "before"),
    *[Trouble(kind, stage) for kind in ("500", "502", "503", "drop") for stage in ("before", "after")],
    *[Trouble(kind, "after") for kind in ("truncate", "cut", "slow")],
    Trouble("timeout", "late"),
)


@attrs.define
class Prepared:
    """A server, a client, and one call that is to be made."""

    server: LocalCircleCI
    circle: CircleCI
    operation: str
    call: Call
    before: int

    @property
    def method(self) -> str:
        return ENDPOINTS[self.operation].method

    @property
    def changes(self) -> list[tuple[str, str]]:
        """Those that were made since."""
        return self.server.changes[self.before :]

    def spoil(self, trouble: Trouble) -> None:
        """Let it happen to the next request that changes something."""
        if trouble.kind != "timeout":
            self.server.inject(
                trouble.kind, method=self.method, stage="before" if trouble.stage == "before" else "after"
            )


@asynccontextmanager
async def prepared(operation: str, policy: RetryPolicy = POLICY) -> AsyncIterator[Prepared]:
    async with (
        LocalCircleCI(PROJECTS, workflow_seconds=1e6, workflow_delay=0.0) as server,
        CircleCI(server.token, base_url=server.url, timeout=TIMEOUT, retry=policy) as circle,
    ):
        call = await PREPARED[operation](circle, server)
        yield Prepared(server, circle, operation, call, len(server.changes))


async def suffer(one: Prepared, troubles: Sequence[Trouble], tally: Tally) -> object:
    """Make the call with one fault after the other, and compare its outcome with what was done."""
    for trouble in troubles:
        one.spoil(trouble)
    first = len(one.server.requests)
    late = any(trouble.stage == "late" for trouble in troubles)
    one.server._latency = LATE if late else 0.0
    result = await ending(one.call(), tally, within=2000)
    if late or any(trouble.kind == "slow" for trouble in troubles):
        await asyncio.sleep(5 * LATE)  # What a server does after its client has given up is done.
    arrived = [request for request in one.server.requests[first:] if request.operation == one.operation]
    made = one.changes
    tally["requests"] += len(arrived)
    tally["faults"] += sum(request.fault is not None for request in arrived) + (len(arrived) if late else 0)
    tally["changes"] += len(made)
    what = f"{one.operation} after {', '.join(map(str, troubles))}: {len(arrived)} arrived, {made}, {result!r}"
    repeats = one.method in ("PUT", "DELETE")
    if len(made) > 1 and not (repeats and len(set(made)) == 1):
        raise tally.failed("doubled", what)
    if not repeats and len(arrived) > 1 and any(trouble.kind != "429" for trouble in troubles[: len(arrived) - 1]):
        raise tally.failed("doubled", f"sent again: {what}")
    if isinstance(result, CircleCIError):
        tally[f"outcome {result.outcome}"] += 1
        if (result.outcome == "not_done" and made) or (result.outcome == "done" and not made):
            raise tally.failed("wrong outcome", what)
        assert result.attempts == len(arrived), what
    elif not made:
        raise tally.failed("lost", what)
    await assert_nothing_held(one.circle, tally)
    return result


def test_table_has_every_changing_operation() -> None:
    """The table prepares each operation that changes something."""
    assert sorted(PREPARED) == CHANGING


@pytest.mark.parametrize("operation", CHANGING)
async def test_change_is_made_once_without_faults(operation: str, tally: Tally) -> None:
    """Without a fault, the server counts one change. Otherwise the tests below would count nothing."""
    async with prepared(operation) as one:
        result = await suffer(one, [], tally)
        assert not isinstance(result, CircleCIError)
        assert [name for name, _ in one.changes] == [operation]


@pytest.mark.parametrize("operation", CHANGING)
async def test_change_is_made_at_most_once_per_fault(operation: str, tally: Tally, rng: random.Random) -> None:
    """Each fault at each stage of a request makes a change once or not at all, and the error's outcome is right."""
    for trouble in rng.sample(TROUBLES, scaled(2, len(TROUBLES))):
        async with prepared(operation) as one:
            await suffer(one, [trouble], tally)


@pytest.mark.parametrize("operation", CHANGING)
async def test_change_is_made_at_most_once_in_a_storm(operation: str, tally: Tally, rng: random.Random) -> None:
    """Several faults in a row make a change once or not at all, and the error's outcome is right."""
    for _ in range(scaled(1, 10)):
        troubles = rng.choices([each for each in TROUBLES if each.stage != "late"], k=rng.randint(2, 5))
        async with prepared(operation) as one:
            await suffer(one, troubles, tally)
