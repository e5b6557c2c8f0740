"""Concurrent work without leftovers: every task is finished or cancelled when the call returns."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterable
from typing import Any, TypeVar, overload

__all__ = ["bounded_map", "gather"]

T = TypeVar("T")
U = TypeVar("U")


@overload
async def gather(first: Coroutine[Any, Any, T], second: Coroutine[Any, Any, U], /) -> tuple[T, U]: ...
@overload
async def gather(*coroutines: Coroutine[Any, Any, T]) -> tuple[T, ...]: ...
async def gather(*coroutines: Coroutine[Any, Any, Any]) -> tuple[Any, ...]:
    """Return the results of all coroutines, run concurrently.

    Like asyncio.gather, but if one fails the others are cancelled. Its own exception is then raised.
    """
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(coroutine) for coroutine in coroutines]
    except BaseExceptionGroup as failed:
        raise failed.exceptions[0] from None
    return tuple(task.result() for task in tasks)


async def bounded_map(
    items: Iterable[T],
    func: Callable[[T], Coroutine[Any, Any, U]],
    *,
    concurrency: int,
    max_unconsumed: int,
    has_room: asyncio.Event | None = None,
) -> AsyncGenerator[U, None]:
    """Yield the results of `func` for all items, in order of completion.

    concurrency: the most items that are in work or wait for the consumer. max_unconsumed: while so many results wait
    for the consumer, no further item is begun. has_room: an event that is clear during that time, for functions that
    should then send no further request. The result that the consumer works on counts as waiting. If a function fails,
    its exception is raised after the results before it. When the iterator ends or is closed, all tasks have ended.
    """
    room = asyncio.Event() if has_room is None else has_room
    room.set()
    remaining = iter(items)
    tasks: set[asyncio.Task[U]] = set()
    finished: asyncio.Queue[asyncio.Task[U]] = asyncio.Queue()
    unconsumed = 0

    async def run(item: T) -> U:
        nonlocal unconsumed
        while not room.is_set():
            await room.wait()
        try:
            return await func(item)
        finally:
            unconsumed += 1
            if unconsumed >= max_unconsumed:
                room.clear()

    try:
        while True:
            while len(tasks) < concurrency and room.is_set():
                try:
                    item = next(remaining)
                except StopIteration:
                    break
                task = asyncio.create_task(run(item))
                task.add_done_callback(finished.put_nowait)
                tasks.add(task)
            if not tasks:
                return
            task = await finished.get()
            result = task.result()
            tasks.remove(task)
            yield result
            unconsumed -= 1
            if unconsumed < max_unconsumed:
                room.set()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
