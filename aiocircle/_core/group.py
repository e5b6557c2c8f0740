"""The base of all groups, the types of their parameters, and small helpers for their bodies."""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable, Mapping, Sequence
from types import FunctionType
from typing import Any, Final
from uuid import UUID

from aiocircle._core.encode import encode_nested
from aiocircle._core.executor import Executor
from aiocircle._core.fields import Unset
from aiocircle._redact import conceal, conceal_credentials
from aiocircle.links import Link, ensure_same_host, org_at
from aiocircle.slugs import HasSlug, OrgSlug, ProjectSlug

__all__ = ["Group", "Id", "OneOrMany", "Org", "Project", "as_list", "encode_optional", "omit_none"]

Id = str | UUID
"""An id, as text or as a UUID."""

Project = ProjectSlug | Link | HasSlug | UUID | str
"""A project: a ProjectSlug, any text that ProjectSlug.parse() accepts, a link, or an object with a `slug`."""

Org = OrgSlug | Link | HasSlug | UUID | str
"""An organization: an OrgSlug, any text that OrgSlug.parse() accepts, a link, or an object with a `slug`."""

OneOrMany = str | Sequence[str]
"""One value, or several."""


# Parameters that may have credentials: those of a git remote or a URL, and values that are secret as a whole.
_CONFIDENTIAL: Final[Mapping[str, Callable[[Any], Any]]] = {
    "continuation_key": conceal,
    "endpoint": conceal,
    "headers": conceal,
    "org": conceal_credentials,
    "org_slug": conceal_credentials,
    "owner_slug": conceal_credentials,
    "project": conceal_credentials,
    "signing_secret": conceal,
    "url": conceal,
    "value": conceal,
}


class Group:
    """A group of operations, bound to a client's executor.

    A method that takes something in confidence gets it masked, so that no traceback with local variables shows it.
    """

    __slots__ = ("_call", "_executor", "_list")

    def __init_subclass__(cls) -> None:
        for name, function in list(vars(cls).items()):
            if isinstance(function, FunctionType) and not name.startswith("_"):
                setattr(cls, name, _in_confidence(function))

    def __init__(self, executor: Executor) -> None:
        self._executor = executor
        self._call = executor.call
        self._list = executor.list

    def _link(self, url: str | Link) -> Link:
        """Return the link to a page of the client's host. Raise InvalidArgument if it is not one."""
        link = url if isinstance(url, Link) else Link.parse(url)
        ensure_same_host(link, self._executor.state.base_url)
        return link

    def _org_slug(self, org: Org | None) -> str | None:
        """Return the slug of an organization for a query or a body. None stays None."""
        return None if org is None else str(org_at(org, self._executor.state.base_url))


def _in_confidence(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return the method with its confidential arguments masked before it is called."""
    parameters = inspect.signature(function).parameters.values()
    masks = {parameter.name: mask for parameter in parameters if (mask := _CONFIDENTIAL.get(parameter.name))}
    if not masks:
        return function
    positions = [
        (position, masks[parameter.name])
        for position, parameter in enumerate(parameters)
        if parameter.kind is not parameter.KEYWORD_ONLY and parameter.name in masks
    ]

    # Not a coroutine function: one that is cancelled before it starts would show its arguments as they are.
    @functools.wraps(function)
    def method(*args: Any, **kwargs: Any) -> Any:
        values = [*args]
        for position, mask in positions:
            if position < len(values):
                values[position] = mask(values[position])
        for name in masks.keys() & kwargs.keys() if kwargs else ():
            kwargs[name] = masks[name](kwargs[name])
        # No frame may keep the originals.
        args = ()
        return function(*values, **kwargs)

    if inspect.iscoroutinefunction(function):
        _mark_coroutine_function(method)
    return method


def _mark_coroutine_function(function: Any) -> None:
    """Let `iscoroutinefunction` and unittest.mock take the function for a coroutine function."""
    if sys.version_info >= (3, 12):
        inspect.markcoroutinefunction(function)
    else:
        # inspect has no such mark before 3.12. asyncio and unittest.mock use this one.
        from asyncio import coroutines

        function._is_coroutine = vars(coroutines)["_is_coroutine"]


def omit_none(**fields: Any) -> dict[str, Any]:
    """Return the fields that are not None: None means "not sent"."""
    return {name: value for name, value in fields.items() if value is not None}


def as_list(values: Any) -> Any:
    """Return a single value as an array of one, for parameters that are sent as an array."""
    return [values] if isinstance(values, str | UUID) else values


def encode_optional(shape: type, value: Any, field: str, *, fixed: Sequence[str] = ()) -> Any:
    """Return a nested part of a body, encoded by the TypedDict that declares it. None and UNSET stay."""
    return value if value is None or isinstance(value, Unset) else encode_nested(shape, value, field, fixed=fixed)
