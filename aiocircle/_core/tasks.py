"""Concurrent work without leftovers: every task is finished or cancelled when the call returns."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Coroutine, Iterable, Sequence
from contextlib import aclosing
from typing import Any, TypeVar, cast, overload

__all__ = ["bounded_map", "gather", "gather_map"]

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


async def gather_map(func: Callable[[T], Coroutine[Any, Any, U]], items: Sequence[T], concurrency: int) -> list[U]:
    """Return the results of `func` for all items, in their order. At most `concurrency` of them run concurrently.

    If one fails the others are cancelled, and its own exception is raised.
    """
    results: dict[int, U] = {}
    remaining = iter(enumerate(items))

    async def work() -> None:
        for index, item in remaining:
            results[index] = await func(item)

    await gather(*(work() for _ in range(min(concurrency, len(items)))))
    return [results[index] for index in range(len(items))]


async def bounded_map(
    items: Iterable[T] | AsyncIterable[T],
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
    or an async iterable of items, its exception is raised after the results that are there. When the iterator ends or
    is closed, all tasks have ended, and an async generator of items is closed.
    """
    room = asyncio.Event() if has_room is None else has_room
    room.set()
    vacancy = asyncio.Event()
    ended: asyncio.Queue[asyncio.Task[Any]] = asyncio.Queue()
    tasks: set[asyncio.Task[U]] = set()
    unconsumed = 0

    def start(coroutine: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        task = asyncio.create_task(coroutine)
        task.add_done_callback(ended.put_nowait)
        return task

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

    async def feed() -> None:
        async with aclosing(_as_async(items)) as remaining:
            async for item in remaining:
                tasks.add(start(run(item)))
                while len(tasks) >= concurrency or not room.is_set():
                    vacancy.clear()
                    await vacancy.wait()

    feeder = start(feed())
    is_feeding = True
    failed: asyncio.Task[Any] | None = None
    try:
        while is_feeding or tasks:
            if failed is not None and ended.empty():
                break
            task = await ended.get()
            if task is feeder:
                is_feeding = False
            if task.cancelled():
                continue
            if task.exception() is not None:
                failed = failed or task
                feeder.cancel()
            elif task is not feeder:
                yield task.result()
                tasks.remove(task)
                unconsumed -= 1
                if unconsumed < max_unconsumed:
                    room.set()
                vacancy.set()
        if failed is not None:
            failed.result()
    finally:
        for task in (feeder, *tasks):
            task.cancel()
        await asyncio.gather(feeder, *tasks, return_exceptions=True)


async def _as_async(items: Iterable[T] | AsyncIterable[T]) -> AsyncGenerator[T, None]:
    if isinstance(items, AsyncGenerator):
        async with aclosing(cast("AsyncGenerator[T, None]", items)):
            async for item in items:
                yield item
    elif isinstance(items, AsyncIterable):
        async for item in items:
            yield item
    else:
        for item in items:
            yield item
