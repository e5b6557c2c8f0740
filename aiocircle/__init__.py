"""An asyncio client for the CircleCI API.

from aiocircle import CircleCI

async with CircleCI() as circle:
    me = await circle.users.me()
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aiocircle._core.codec import UNSET
    from aiocircle._core.pager import Page, Pager
    from aiocircle._core.retry import RetryPolicy
    from aiocircle._core.throttle import Throttle
    from aiocircle._version import __version__
    from aiocircle.client import CircleCI
    from aiocircle.errors import (
        APIError,
        BadRequest,
        ChangeErrors,
        CircleCIError,
        ConfigurationError,
        Conflict,
        ConnectionFailed,
        DecodeError,
        Forbidden,
        Gone,
        InvalidArgument,
        NotFound,
        NotReady,
        PaginationError,
        RateLimited,
        RequestError,
        RequestTimeout,
        ServerError,
        Unauthorized,
        WaitTimeout,
    )
    from aiocircle.slugs import OrgSlug, ProjectSlug

__all__ = [
    "UNSET",
    "APIError",
    "BadRequest",
    "ChangeErrors",
    "CircleCI",
    "CircleCIError",
    "ConfigurationError",
    "Conflict",
    "ConnectionFailed",
    "DecodeError",
    "Forbidden",
    "Gone",
    "InvalidArgument",
    "NotFound",
    "NotReady",
    "OrgSlug",
    "Page",
    "Pager",
    "PaginationError",
    "ProjectSlug",
    "RateLimited",
    "RequestError",
    "RequestTimeout",
    "RetryPolicy",
    "ServerError",
    "Throttle",
    "Unauthorized",
    "WaitTimeout",
    "__version__",
]

_HOMES = {
    "UNSET": "aiocircle._core.codec",
    "CircleCI": "aiocircle.client",
    "OrgSlug": "aiocircle.slugs",
    "Page": "aiocircle._core.pager",
    "Pager": "aiocircle._core.pager",
    "ProjectSlug": "aiocircle.slugs",
    "RetryPolicy": "aiocircle._core.retry",
    "Throttle": "aiocircle._core.throttle",
    "__version__": "aiocircle._version",
}


def __getattr__(name: str) -> Any:
    # Importing the package costs nothing until something of it is used (PEP 562).
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_HOMES.get(name, "aiocircle.errors")), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
