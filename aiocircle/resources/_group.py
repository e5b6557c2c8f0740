"""What all groups are made of."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, TypeVar
from uuid import UUID

from aiocircle._core.codec import Unset, encode_nested
from aiocircle._core.endpoint import Endpoint, ListEndpoint
from aiocircle._core.executor import Executor
from aiocircle._core.pager import Pager

__all__ = ["Group", "nested", "sent", "several"]

T = TypeVar("T")


class Group:
    """A group of operations, bound to a client's executor."""

    __slots__ = ("_executor",)

    def __init__(self, executor: Executor) -> None:
        self._executor = executor

    def _call(
        self,
        endpoint: Endpoint[T],
        *values: Any,
        query: Mapping[str, Any] | None = None,
        body: Mapping[str, Any] | None = None,
    ) -> Coroutine[Any, Any, T]:
        return self._executor.call(endpoint, *values, query=query, body=body)

    def _list(
        self,
        endpoint: ListEndpoint[T],
        *values: Any,
        query: Mapping[str, Any] | None = None,
        page_token: str | None = None,
        stop: Callable[[T], bool] | None = None,
    ) -> Pager[T]:
        return self._executor.pages(endpoint, *values, query=query, page_token=page_token, stop=stop)


def sent(**fields: Any) -> dict[str, Any]:
    """The fields that are not None: None means "not sent"."""
    return {name: value for name, value in fields.items() if value is not None}


def several(values: Any) -> Any:
    """What is sent as an array: a value that stands by itself is an array of one."""
    return [values] if isinstance(values, str | UUID) else values


def nested(shape: type, value: Any, field: str, *, fixed: Sequence[str] = ()) -> Any:
    """Encode a nested part of a body by the TypedDict that declares it. None stays None."""
    return value if value is None or isinstance(value, Unset) else encode_nested(shape, value, field, fixed=fixed)
