"""Concurrent work without leftovers: every task is finished or cancelled when the call returns."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar, overload

__all__ = ["gather"]

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
