"""An asyncio client for the CircleCI API.

from aiocircle import CircleCI

async with CircleCI() as circle:
    me = await circle.users.me()
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aiocircle._core.auth import TokenProvider
    from aiocircle._core.fields import UNSET
    from aiocircle._core.observer import RetryDetails
    from aiocircle._core.pager import Pager
    from aiocircle._core.pagination import Page
    from aiocircle._core.plain import to_dict
    from aiocircle._core.rate_headers import RateLimit
    from aiocircle._core.rate_limiter import Observed, RateLimiter
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
        DownloadError,
        DownloadErrors,
        EventError,
        Forbidden,
        Gone,
        InvalidArgument,
        MalformedEvent,
        NotFound,
        NotReady,
        PaginationError,
        RateLimited,
        RequestError,
        RequestTimeout,
        ServerError,
        SignatureError,
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
    "DownloadError",
    "DownloadErrors",
    "EventError",
    "Forbidden",
    "Gone",
    "InvalidArgument",
    "MalformedEvent",
    "NotFound",
    "NotReady",
    "Observed",
    "OrgSlug",
    "Page",
    "Pager",
    "PaginationError",
    "ProjectSlug",
    "RateLimit",
    "RateLimited",
    "RateLimiter",
    "RequestError",
    "RequestTimeout",
    "RetryDetails",
    "RetryPolicy",
    "ServerError",
    "SignatureError",
    "Throttle",
    "TokenProvider",
    "Unauthorized",
    "WaitTimeout",
    "__version__",
    "to_dict",
]

_HOMES = {
    "UNSET": "aiocircle._core.fields",
    "CircleCI": "aiocircle.client",
    "Observed": "aiocircle._core.rate_limiter",
    "OrgSlug": "aiocircle.slugs",
    "Page": "aiocircle._core.pagination",
    "Pager": "aiocircle._core.pager",
    "ProjectSlug": "aiocircle.slugs",
    "RateLimit": "aiocircle._core.rate_headers",
    "RateLimiter": "aiocircle._core.rate_limiter",
    "RetryDetails": "aiocircle._core.observer",
    "TokenProvider": "aiocircle._core.auth",
    "RetryPolicy": "aiocircle._core.retry",
    "Throttle": "aiocircle._core.throttle",
    "__version__": "aiocircle._version",
    "to_dict": "aiocircle._core.plain",
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
