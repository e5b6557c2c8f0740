"""The queue of one family, with a limiter that the test decides for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from aiocircle._core.admission_queue import Caller, Places, Queue, Waiter, release_place
from aiocircle._core.message import Response
from tests.support.limiters import Limiter
from tests.support.loops import counting_loop, iterate, virtually

OK = Response(200, {"a": "b"}, b"")
TOO_MANY = Response(429, {}, b"")


class Refused(Exception):
    """A request that may not wait for the end of a closing, with its seconds."""


def make(limiter: Limiter, size: int = 2) -> tuple[Queue, Caller]:
    return Queue(asyncio.get_running_loop(), limiter, "account", "v2/me"), Caller("account", Places(size))


def waiting(queue: Queue, caller: Caller, deadline: float = 1000.0, *, goes_first: bool = False) -> Waiter:
    """Let a request wait. deadline: seconds on the loop's clock."""
    waiter = Waiter(caller, queue.loop.create_future(), deadline, Refused)
    queue.add(waiter, goes_first=goes_first)
    queue.serve()
    return waiter


def admitted(waiters: list[Waiter]) -> list[int]:
    """Return the numbers of those that were admitted."""
    return [number for number, waiter in enumerate(waiters) if waiter.was_admitted]


class Turns:
    """Requests that wait while others take all places, and the order in which they are admitted."""

    def __init__(self, places: Places) -> None:
        self._places = places
        self._holding = [(Caller("account", places), self.queue("held")) for _ in range(places.size)]
        for caller, queue in self._holding:
            assert queue.admit_nowait(caller)
        self._waiting: dict[str, tuple[Queue, Waiter]] = {}

    def queue(self, family: str) -> Queue:
        return Queue(asyncio.get_running_loop(), Limiter(), "account", family)

    def add(self, name: str, queue: Queue, caller: Caller, *, goes_first: bool = False) -> None:
        self._waiting[name] = queue, waiting(queue, caller, goes_first=goes_first)
        assert not self._waiting[name][1].was_admitted

    def order(self) -> str:
        """End one request after the other, the oldest first. Return the names of those that get their places."""
        names: list[str] = []
        while self._holding:
            caller, queue = self._holding.pop(0)
            queue.release(caller, OK, 0.0)
            for name, (queue, waiter) in list(self._waiting.items()):
                if waiter.was_admitted:
                    names.append(name)
                    self._holding.append((waiter.caller, queue))
                    del self._waiting[name]
        assert not self._waiting
        assert self._places.free == self._places.size
        assert not self._places.queues
        return " ".join(names)


# --- places ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("size", "half"), [(1, 1), (2, 1), (3, 1), (8, 4)])
def test_files_get_half_of_the_places(size: int, half: int) -> None:
    """At least one place, which is one of all."""
    places = Places(size)
    part = places.half()
    assert part.size == half
    part.change(-1)
    assert (part.free, places.free) == (half - 1, size - 1)


@virtually
async def test_files_need_a_free_place_of_all() -> None:
    """A file takes one of the places that calls have left, and none if they have taken all."""
    queue, call = make(Limiter())
    file = Caller("account", call.places.half())
    assert queue.admit_nowait(file)
    queue.release(file, OK, 0.0)
    assert queue.admit_nowait(call)
    assert queue.admit_nowait(call)
    assert file.places.free == 1
    assert not queue.admit_nowait(file)
    waiter = waiting(queue, file)
    assert not waiter.was_admitted
    queue.release(call, OK, 0.0)
    assert waiter.was_admitted


@pytest.mark.parametrize("is_file", [False, True])
@virtually
async def test_calls_and_files_pass_places_on(is_file: bool) -> None:
    """The end of a file admits a call of any family that waits for a place, and the other way round."""
    limiter = Limiter()
    queue, call = make(limiter, size=1)
    other = Queue(queue.loop, limiter, "account", "v2/project")
    file = Caller("account", call.places.half())
    first, second = (file, call) if is_file else (call, file)
    assert queue.admit_nowait(first)
    waiter = waiting(other, second)
    assert not waiter.was_admitted
    queue.release(first, OK, 0.0)
    assert waiter.was_admitted
    assert (call.places.free, file.places.free) == (0, 1 if is_file else 0)


@virtually
async def test_place_of_a_body_stays_taken() -> None:
    """The headers have arrived: the limiter learns. The body is still read: its place is not free."""
    limiter = Limiter()
    queue, caller = make(limiter)
    assert queue.admit_nowait(caller)
    queue.release(caller, OK, 7.0, keeps_place=True)
    assert limiter.updates == [(200, {"a": "b"}, 7.0, 0)]
    assert (caller.places.free, queue.in_flight) == (1, 0)
    release_place(caller.places)
    assert caller.places.free == 2


@virtually
async def test_free_place_admits_the_next_request() -> None:
    """A request that waits for a place gets that of a body that was read."""
    queue, caller = make(Limiter(), size=1)
    assert queue.admit_nowait(caller)
    waiter = waiting(queue, caller)
    queue.release(caller, OK, 0.0, keeps_place=True)
    assert not waiter.turn.done()
    release_place(caller.places)
    assert waiter.was_admitted
    assert caller.places.free == 0


# --- admissions ------------------------------------------------------------------------------------------------


@virtually
async def test_new_queue_holds_nothing() -> None:
    """It is in use, and may be forgotten at any time."""
    queue, caller = make(Limiter())
    assert queue.is_retired is False
    assert queue.is_idle
    assert (queue.account, queue.family, queue.in_flight, queue.closings) == ("account", "v2/me", 0, 0)
    assert caller.account == "account"
    assert caller.queues == {}


@pytest.mark.parametrize("response", [OK, TOO_MANY, None], ids=["good", "429", "failed"])
@virtually
async def test_each_admission_takes_one_place(response: Response | None) -> None:
    """As many requests are admitted as there are places. The end of each gives its own back, and is reported once."""
    limiter = Limiter()
    queue, caller = make(limiter, size=3)
    for number in (1, 2, 3):
        assert queue.admit_nowait(caller)
        assert (caller.places.free, queue.in_flight, limiter.in_flight) == (3 - number, number, number)
    assert not queue.admit_nowait(caller)
    assert not queue.is_idle
    for number in (2, 1, 0):
        queue.release(caller, response, 7.0)
        assert (caller.places.free, queue.in_flight, limiter.in_flight) == (3 - number, number, number)
    assert queue.is_idle
    expected = (None, {}) if response is None else (response.status, response.headers)
    assert limiter.updates == [(*expected, 7.0, number) for number in (2, 1, 0)]


@virtually
async def test_no_request_overtakes_those_that_wait() -> None:
    """A request that arrives with a permission waits behind those that were there before."""
    limiter = Limiter(permits=0)
    queue, caller = make(limiter)
    waiter = waiting(queue, caller)
    limiter.permits = 5
    assert not queue.admit_nowait(caller)
    assert (limiter.permits, caller.places.free) == (5, 2)
    queue.remove(waiter)
    assert queue.admit_nowait(caller)


@virtually
async def test_limiter_refuses_a_request() -> None:
    """Without a permission nothing is taken."""
    limiter = Limiter(permits=0)
    queue, caller = make(limiter)
    assert not queue.admit_nowait(caller)
    assert (caller.places.free, queue.in_flight) == (2, 0)
    assert queue.is_idle


@virtually
async def test_queue_names_its_account_and_family() -> None:
    """Each method of the limiter is called for the account and the family of the queue."""
    limiter = Limiter()
    seen: list[set[tuple[str, str]]] = []
    queue, caller = make(limiter, size=1)

    def note() -> None:
        seen.append(limiter.families)
        limiter.families = set()

    assert queue.admit_nowait(caller)
    note()
    queue.release(caller, OK, 0.0)
    note()
    waiter = waiting(queue, caller)
    note()
    queue.return_permission(waiter)
    queue.retire()
    note()
    queue.check_closed()
    note()
    limiter.permits = 0
    waiter = waiting(queue, caller)
    await iterate()
    note()
    queue.remove(waiter)
    assert seen == [{("account", "v2/me")}] * 6


# --- permissions that were not used ----------------------------------------------------------------------------


@virtually
async def test_unused_permission_is_used_next() -> None:
    """The next request needs no other permission, the one after it does."""
    limiter = Limiter(permits=1)
    queue, caller = make(limiter)
    waiter = waiting(queue, caller)
    assert waiter.was_admitted
    queue.return_permission(waiter)
    assert (caller.places.free, queue.in_flight, limiter.in_flight) == (2, 1, 1)
    assert queue.is_idle
    assert queue.admit_nowait(caller)
    assert not queue.is_idle
    assert not queue.admit_nowait(caller)
    queue.release(caller, OK, 0.0)
    assert (caller.places.free, queue.in_flight, limiter.in_flight) == (2, 0, 0)
    assert queue.is_idle


@virtually
async def test_unused_permission_admits_a_waiter() -> None:
    """The place and the permission of a request that was cancelled go to the one behind it."""
    limiter = Limiter(permits=1)
    queue, caller = make(limiter, size=1)
    first, second = waiting(queue, caller), waiting(queue, caller)
    queue.return_permission(first)
    assert second.was_admitted
    assert (caller.places.free, queue.in_flight, limiter.in_flight) == (0, 1, 1)
    assert limiter.updates == []
    queue.release(caller, OK, 0.0)
    assert queue.is_idle


@virtually
async def test_one_unused_permission_is_kept() -> None:
    """The limiter gets the others back, one by one."""
    limiter = Limiter()
    queue, caller = make(limiter, size=3)
    waiters = [waiting(queue, caller) for _ in range(3)]
    counting_loop().jump(5.0)
    for waiter in waiters:
        queue.return_permission(waiter)
    assert limiter.updates == [(None, {}, 5.0, 2), (None, {}, 5.0, 1)]
    assert (caller.places.free, queue.in_flight, limiter.in_flight) == (3, 1, 1)
    assert queue.is_idle


@virtually
async def test_retired_queue_returns_its_permission() -> None:
    """A permission that was not used is reported as the end of nothing, at the present time."""
    limiter = Limiter()
    queue, caller = make(limiter)
    waiter = waiting(queue, caller)
    queue.return_permission(waiter)
    counting_loop().jump(5.0)
    queue.retire()
    assert queue.is_retired is True
    assert queue.is_idle
    assert limiter.updates == [(None, {}, 5.0, 0)]
    assert caller.places.free == 2


@virtually
async def test_retired_queue_returns_nothing_else() -> None:
    """Without an unused permission there is nothing to report."""
    limiter = Limiter()
    queue, _ = make(limiter)
    queue.retire()
    assert queue.is_retired is True
    assert limiter.updates == []


# --- the order -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arrivals", "order"),
    [
        ("a1 a2 a3", "a1 a2 a3"),
        ("a1 a2 a3 b1", "a1 b1 a2 a3"),
        ("a1 a2 a3 b1 b2 c1", "a1 b1 c1 a2 b2 a3"),
        ("b1 a1 a2 a3 b2", "b1 a1 b2 a2 a3"),
        ("a1 a2 r!", "r! a1 a2"),
        ("a1 a2 b1 a!", "a! b1 a1 a2"),
        ("b1 a1 a2 a!", "b1 a! a1 a2"),
    ],
)
@virtually
async def test_callers_take_turns(arrivals: str, order: str) -> None:
    """Those of one caller are admitted in their order, a retry first. One caller's never wait for all of another's."""
    places = Places(1)
    turns = Turns(places)
    queue = turns.queue("v2/a")
    callers: dict[str, Caller] = {}
    for name in arrivals.replace("r!", "a!").split():
        turns.add(name, queue, callers.setdefault(name[0], Caller("account", places)), goes_first=name[1] == "!")
    assert turns.order() == order.replace("r!", "a!")


@pytest.mark.parametrize(
    ("arrivals", "order"),
    [
        ("f1 f2 c1 c2", "f1 c1 f2 c2"),
        ("c1 c2 f1 f2", "c1 f1 c2 f2"),
        ("f1 c1 c2 c3 f2", "f1 c1 f2 c2 c3"),
        ("c1 f1 f2 f3 c2", "c1 f1 c2 f2 f3"),
    ],
)
@virtually
async def test_calls_and_files_take_turns(arrivals: str, order: str) -> None:
    """Files, which may take half of the places, and calls are admitted in turn while both have free places."""
    places = Places(8)
    turns = Turns(places)
    queue = turns.queue("v2/a")
    callers = {"c": Caller("account", places), "f": Caller("account", places.half())}
    for name in arrivals.split():
        turns.add(name, queue, callers[name[0]])
    assert turns.order() == order


@pytest.mark.parametrize(
    ("arrivals", "order"),
    [("a1 a2 a3 b1 b2", "a1 b1 a2 b2 a3"), ("b1 a1 a2 a3 b2", "b1 a1 b2 a2 a3"), ("a1 a2 b1 c1", "a1 b1 c1 a2")],
)
@virtually
async def test_families_take_turns(arrivals: str, order: str) -> None:
    """A free place goes to the family that got one least recently."""
    places = Places(1)
    turns = Turns(places)
    queues = {name: turns.queue(name) for name in "abc"}
    for name in arrivals.split():
        turns.add(name, queues[name[0]], Caller("account", places))
    assert turns.order() == order


@virtually
async def test_full_callers_do_not_block_others() -> None:
    """A client whose places are taken keeps its turn. Another one with a free place goes before it."""
    queue, full = make(Limiter(), size=1)
    other = Caller("account", Places(1))
    assert queue.admit_nowait(full)
    first, second = waiting(queue, full), waiting(queue, other)
    assert not first.was_admitted
    assert second.was_admitted
    assert other.places.free == 0
    queue.release(full, OK, 0.0)
    assert first.was_admitted


@virtually
async def test_queue_waits_for_places_that_others_share() -> None:
    """A file stops to wait, and a call of the same client still gets the next free place."""
    queue, call = make(Limiter(), size=1)
    file = Caller("account", call.places.half())
    assert queue.admit_nowait(call)
    first, second = waiting(queue, file), waiting(queue, call)
    queue.remove(first)
    assert list(call.places.queues) == [queue]
    queue.release(call, OK, 0.0)
    assert second.was_admitted
    assert not call.places.queues


@virtually
async def test_clients_forget_queues_by_themselves() -> None:
    """One client's last request leaves the queue, in which those of another client still wait."""
    limiter = Limiter(permits=0)
    queue, caller = make(limiter)
    other = Caller("account", Places(2))
    first, second = waiting(queue, caller), waiting(queue, other)
    queue.remove(first)
    assert not caller.places.queues
    assert list(other.places.queues) == [queue]
    queue.remove(second)
    assert not other.places.queues
    assert queue.is_idle


@virtually
async def test_only_waiting_requests_can_be_removed() -> None:
    """To remove a request that was admitted, or that was removed before, changes nothing."""
    limiter = Limiter(permits=1)
    queue, caller = make(limiter)
    done, left, stays = [waiting(queue, caller) for _ in range(3)]
    assert admitted([done, left, stays]) == [0]
    for waiter in (done, left, left):
        queue.remove(waiter)
    limiter.permits = 2
    queue.release(caller, OK, 0.0)
    await iterate()
    limiter.grant()
    await iterate()
    assert (done.was_admitted, left.turn.done(), stays.was_admitted) == (True, False, True)
    queue.remove(stays)
    assert (caller.places.free, queue.in_flight) == (1, 1)


@virtually
async def test_cancelled_request_is_passed_over() -> None:
    """It was cancelled and its task has not run: the place and the permission go to the request behind it."""
    limiter = Limiter()
    queue, caller = make(limiter, size=1)
    assert queue.admit_nowait(caller)
    first, second = waiting(queue, caller), waiting(queue, caller)
    first.turn.cancel()
    queue.release(caller, OK, 0.0)
    assert (first.was_admitted, second.was_admitted) == (False, True)
    assert (caller.places.free, queue.in_flight, limiter.in_flight) == (0, 1, 1)


@virtually
async def test_permission_outlives_cancelled_requests() -> None:
    """All that waited were cancelled: the permission that was acquired for them is kept."""
    limiter = Limiter()
    queue, caller = make(limiter, size=1)
    assert queue.admit_nowait(caller)
    waiting(queue, caller).turn.cancel()
    queue.release(caller, OK, 0.0)
    assert queue.is_idle
    assert (caller.places.free, queue.in_flight, limiter.in_flight) == (1, 1, 1)
    limiter.permits = 0
    assert queue.admit_nowait(caller)


# --- the wait for a permission ---------------------------------------------------------------------------------


@virtually
async def test_one_permission_admits_one_request() -> None:
    """One acquire() waits at a time, for the first request of all. The others wait for the next ones."""
    limiter = Limiter(permits=0)
    queue, caller = make(limiter, size=10)
    waiters = [waiting(queue, caller) for _ in range(4)]
    await iterate()
    for number in range(4):
        assert (limiter.waits, limiter.acquired) == (1, number + 1)
        assert (admitted(waiters), queue.in_flight, caller.places.free) == ([*range(number)], number, 10 - number)
        limiter.grant()
        await iterate()
    assert (limiter.waits, limiter.acquired) == (0, 4)
    assert (admitted(waiters), queue.in_flight, caller.places.free) == ([0, 1, 2, 3], 4, 6)


@virtually
async def test_wait_ends_with_the_last_request() -> None:
    """The limiter's acquire() is cancelled if nothing waits any more, and not before."""
    limiter = Limiter(permits=0)
    queue, caller = make(limiter)
    first, second = waiting(queue, caller), waiting(queue, caller)
    await iterate()
    queue.remove(first)
    await iterate()
    assert (limiter.waits, limiter.acquired) == (1, 1)
    queue.remove(second)
    await iterate()
    assert limiter.waits == 0
    assert queue.is_idle
    third = waiting(queue, caller)
    await iterate()
    assert (limiter.waits, limiter.acquired) == (1, 2)
    limiter.grant()
    await iterate()
    assert third.was_admitted


@virtually
async def test_permission_without_a_place_is_kept() -> None:
    """It comes after the last place was taken: the waiting request uses it when a place is free."""
    limiter = Limiter(permits=0)
    queue, caller = make(limiter, size=1)
    waiter = waiting(queue, caller)
    await iterate()
    caller.places.change(-1)
    limiter.grant()
    await iterate()
    assert not waiter.was_admitted
    assert (queue.in_flight, limiter.waits) == (1, 0)
    release_place(caller.places)
    assert waiter.was_admitted
    assert (queue.in_flight, limiter.in_flight, limiter.acquired, caller.places.free) == (1, 1, 1, 0)


@virtually
async def test_wait_that_is_cancelled_begins_again() -> None:
    """Something else than the queue has cancelled the limiter's acquire(): the requests do not wait in vain."""
    limiter = Limiter(permits=0)
    queue, caller = make(limiter)
    waiters = [waiting(queue, caller) for _ in range(2)]
    await iterate()
    limiter.cancel()
    await iterate()
    assert (limiter.waits, limiter.acquired) == (1, 2)
    limiter.grant()
    await iterate()
    assert admitted(waiters) == [0]
    for waiter in waiters:
        queue.remove(waiter)


@pytest.mark.parametrize("is_later", [False, True], ids=["acquire_nowait", "acquire"])
@virtually
async def test_broken_limiter_fails_all_waiters(is_later: bool) -> None:
    """Each of them gets the error, and the queue is empty. Later requests try the limiter again."""
    limiter = Limiter(permits=0)
    queue, caller = make(limiter)
    error = RuntimeError("broken")
    waiters = [waiting(queue, caller) for _ in range(2)]
    await iterate()
    if is_later:
        limiter.grant(error)
    else:
        limiter.error = error
        limiter.cancel()
    await iterate()
    assert [waiter.turn.exception() for waiter in waiters] == [error] * 2
    assert admitted(waiters) == []
    assert (limiter.waits, limiter.acquired) == (0, 1)
    assert queue.is_idle
    assert not caller.places.queues
    assert caller.places.free == 2
    limiter.error = None
    waiter = waiting(queue, caller)
    await iterate()
    limiter.grant()
    await iterate()
    assert waiter.was_admitted


@virtually
async def test_broken_limiter_gives_places_back() -> None:
    """Its update() raises: the error is seen, and the next request has the place."""
    limiter = Limiter()
    queue, caller = make(limiter, size=1)
    assert queue.admit_nowait(caller)
    waiter = waiting(queue, caller)
    limiter.broken_update = RuntimeError("broken")
    with pytest.raises(RuntimeError, match="broken"):
        queue.release(caller, OK, 0.0)
    assert waiter.was_admitted
    assert (caller.places.free, queue.in_flight) == (0, 1)


@virtually
async def test_ended_wait_cannot_fail() -> None:
    """An error that comes after the permission, or after another error, changes nothing."""
    queue, caller = make(Limiter())
    waiter = waiting(queue, caller)
    waiter.fail(RuntimeError("late"))
    assert waiter.was_admitted
    refused = Waiter(caller, queue.loop.create_future(), 0.0, Refused)
    error = RuntimeError("first")
    refused.fail(error)
    refused.fail(RuntimeError("late"))
    assert refused.turn.exception() is error
    assert not refused.was_admitted


# --- closings --------------------------------------------------------------------------------------------------


@virtually
async def test_each_closing_is_counted() -> None:
    """A permission of before any 429 that closed the family is void."""
    limiter = Limiter()
    queue, caller = make(limiter)
    for closings, closed in ((0, 0.0), (1, 5.0), (2, 5.0)):
        limiter.close_for(closed)
        assert queue.admit_nowait(caller)
        queue.release(caller, TOO_MANY, 0.0)
        assert queue.closings == closings


@pytest.mark.parametrize("response", [OK, Response(503, {}, b""), Response(430, {}, b""), None])
@virtually
async def test_only_a_429_voids_permissions(response: Response | None) -> None:
    """Other responses of a family that is closed were to requests of before: they close nothing again."""
    limiter = Limiter()
    queue, caller = make(limiter)
    assert queue.admit_nowait(caller)
    limiter.close_for(5.0)
    queue.release(caller, response, 0.0)
    assert queue.closings == 0


@virtually
async def test_closing_voids_an_admission() -> None:
    """A request that was admitted and not sent waits again, and its permission is given back."""
    limiter = Limiter()
    queue, caller = make(limiter)
    assert queue.admit_nowait(caller)
    waiter = waiting(queue, caller)
    assert waiter.closings == queue.closings
    limiter.close_for(5.0)
    queue.release(caller, TOO_MANY, 0.0)
    assert waiter.closings != queue.closings
    counting_loop().jump(1.0)
    queue.return_permission(waiter)
    assert limiter.updates == [(429, {}, 0.0, 1), (None, {}, 1.0, 0)]
    assert (caller.places.free, queue.in_flight, limiter.in_flight) == (2, 0, 0)
    assert queue.is_idle


@virtually
async def test_closing_voids_an_unused_permission() -> None:
    """It was acquired before the closing: the request that comes next needs another one."""
    limiter = Limiter()
    queue, caller = make(limiter)
    assert queue.admit_nowait(caller)
    queue.return_permission(waiting(queue, caller))
    limiter.close_for(5.0)
    limiter.permits = 0
    queue.release(caller, TOO_MANY, 0.0)
    assert limiter.updates == [(429, {}, 0.0, 1), (None, {}, 0.0, 0)]
    assert queue.is_idle
    assert not queue.admit_nowait(caller)


@virtually
async def test_closing_refuses_those_with_less_time() -> None:
    """Requests that may wait until its end stay in the queue. The others fail, with its seconds."""
    limiter = Limiter(permits=0)
    queue, caller = make(limiter)
    waiters = [waiting(queue, caller, deadline) for deadline in (14.0, 15.0, 16.0, 14.9)]
    counting_loop().jump(10.0)
    limiter.close_for(5.0)
    assert queue.check_closed() == 5.0
    assert [waiter.turn.done() for waiter in waiters] == [True, False, False, True]
    assert [str(waiter.turn.exception()) for waiter in waiters[::3]] == ["5.0"] * 2
    await iterate()
    limiter.grant()
    await iterate()
    limiter.grant()
    await iterate()
    assert admitted(waiters) == [1, 2]


@virtually
async def test_short_closing_counts_from_the_start() -> None:
    """Half a second at the beginning of the loop's clock is a closing as any other."""
    limiter = Limiter(permits=0)
    queue, caller = make(limiter)
    waiter = waiting(queue, caller, 0.3)
    limiter.close_for(0.5)
    assert queue.check_closed() == 0.5
    assert str(waiter.turn.exception()) == "0.5"


@virtually
async def test_open_family_refuses_no_request() -> None:
    """A request whose time has just ended is left to its timer."""
    limiter = Limiter(permits=0)
    queue, caller = make(limiter)
    waiter = waiting(queue, caller, 5.0)
    counting_loop().jump(6.0)
    assert queue.check_closed() == 0.0
    assert not waiter.turn.done()
    queue.remove(waiter)


@pytest.mark.parametrize(
    ("second", "is_refused"), [(4.0, False), (4.995, False), (5.0, False), (5.01, False), (5.02, True), (9.0, True)]
)
@virtually
async def test_closing_is_checked_once(second: float, is_refused: bool) -> None:
    """A closing that ends a little later is the same one: the waiting requests are looked through once."""
    limiter = Limiter(permits=0)
    queue, caller = make(limiter)
    limiter.close_for(5.0)
    queue.check_closed()
    waiter = waiting(queue, caller, 3.0)
    limiter.close_for(second)
    assert queue.check_closed() == second
    assert waiter.turn.done() is is_refused
    if is_refused:
        assert str(waiter.turn.exception()) == str(second)
    queue.remove(waiter)


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]


@pytest.mark.parametrize(("seconds", "is_logged"), [(0.5, False), (1.0, False), (1.25, True), (5.0, True)])
@virtually
async def test_long_closings_are_logged(caplog: pytest.LogCaptureFixture, seconds: float, is_logged: bool) -> None:
    """With the family and the seconds, if it is longer than one second."""
    limiter = Limiter()
    queue, _ = make(limiter)
    limiter.close_for(seconds)
    queue.check_closed()
    text = f"v2/me: no request for {seconds:.2f} s, because of the rate limit"
    assert warnings(caplog) == ([text] if is_logged else [])


@virtually
async def test_closing_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    """Also if it is extended while it lasts. The next one after its end is logged again."""
    limiter = Limiter()
    queue, _ = make(limiter)
    logged: list[int] = []
    # Until 5.0, 7.0, 9.0, and from 9.0, where that ends, until 12.0.
    for jump, seconds in ((0.0, 5.0), (4.0, 3.0), (2.0, 3.0), (3.0, 3.0)):
        counting_loop().jump(jump)
        limiter.close_for(seconds)
        queue.check_closed()
        logged.append(len(warnings(caplog)))
    assert logged == [1, 1, 1, 2]


# --- everything together ---------------------------------------------------------------------------------------


def _cancel(queue: Queue, waiter: Waiter) -> None:
    """Do what the task of a cancelled request does."""
    if waiter.was_admitted:
        queue.return_permission(waiter)
    else:
        queue.remove(waiter)


@pytest.mark.parametrize("end", [_cancel, None], ids=["cancelled", "sent"])
@pytest.mark.parametrize("permits", [0, 1, 2, 3])
@pytest.mark.parametrize("size", [1, 2, 3])
@virtually
async def test_nothing_stays_counted(end: Callable[[Queue, Waiter], None] | None, permits: int, size: int) -> None:
    """Three requests, of which each one is cancelled or sent: all places and permissions are given back."""
    for cancelled in range(3):
        limiter = Limiter(permits)
        queue, caller = make(limiter, size)
        waiters = [waiting(queue, caller) for _ in range(3)]
        await iterate()
        if end is not None:
            end(queue, waiters.pop(cancelled))
        for _ in range(3):
            await iterate()
            if limiter.waits:
                limiter.grant()
                await iterate()
            for waiter in [waiter for waiter in waiters if waiter.was_admitted]:
                waiters.remove(waiter)
                queue.release(caller, OK, 0.0)
        assert not waiters
        assert queue.is_idle
        assert queue.in_flight == limiter.in_flight
        queue.retire()
        assert (caller.places.free, queue.in_flight, limiter.in_flight) == (size, 0, 0)
        assert not caller.places.queues
