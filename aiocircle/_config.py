"""The options of a client: checked, and completed from the environment."""

from __future__ import annotations

import inspect
import ipaddress
import os
import re
from collections.abc import Callable
from typing import Final

import aiohttp
import yarl

from aiocircle._core.observer import RetryDetails
from aiocircle._core.retry import RetryPolicy
from aiocircle._redact import Secret
from aiocircle.errors import ConfigurationError

__all__ = [
    "as_secret",
    "bound_concurrency",
    "check_on_retry",
    "check_retry",
    "check_session",
    "parse_base_url",
    "resolve_token",
]

_TOKEN_VARIABLES: Final = ("CIRCLECI_TOKEN", "CIRCLE_TOKEN")
_BASE_URL_VARIABLE: Final = "CIRCLECI_BASE_URL"
_BASE_URL: Final = "https://circleci.com"
# The characters that an HTTP header can carry unchanged.
_TOKEN = re.compile(r"[\x21-\x7e]+")
_NOT_IN_URLS = re.compile(r"[\x00-\x20\x7f-\x9f\ud800-\udfff\\]")
# The labels of a name, or the inside of an IPv6 address's brackets.
_HOST = re.compile(r"[\w-]+(?:\.[\w-]+)*\.?|[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*", re.ASCII)


def as_secret(value: str | None, name: str) -> Secret | None:
    """Return a value whose repr is masked. None stays None."""
    if value is not None and not isinstance(value, str):
        raise ConfigurationError(f"{name} must be a str, got {type(value).__name__}")
    return None if value is None else Secret(value)


def resolve_token(token: Secret | None) -> Secret:
    """Return the token, from the environment if it is None. Raise ConfigurationError if it is missing or malformed."""
    found = token
    if found is None:
        values = (os.environ.get(name, "").strip() for name in _TOKEN_VARIABLES)
        found = Secret(next(filter(None, values), ""))
    found = Secret(found.strip())
    if not found:
        raise ConfigurationError(
            "no token: pass CircleCI(token=…), or set CIRCLECI_TOKEN (or CIRCLE_TOKEN) in the environment"
            if token is None
            else "the token is empty. Omit it to read CIRCLECI_TOKEN (or CIRCLE_TOKEN) from the environment"
        )
    if not _TOKEN.fullmatch(found):
        raise ConfigurationError("the token has a character that no header can carry, such as a line break inside it")
    return found


def parse_base_url(base_url: Secret | None, *, allow_http: bool) -> str:
    """Return the root of the host, from the environment if it is None. Raise ConfigurationError if it is not one."""
    if base_url is None:
        base_url = Secret(os.environ.get(_BASE_URL_VARIABLE, "").strip() or _BASE_URL)
    base_url = Secret(base_url.strip())
    if "@" in base_url:
        raise ConfigurationError("base_url must not have credentials or an @. Pass the token as token=…")
    if _NOT_IN_URLS.search(base_url):
        raise ConfigurationError("base_url must not have white space, a control character or a backslash")
    try:
        url = yarl.URL(base_url)
        root = str(url.origin())
    except ValueError:
        url, root = yarl.URL(), ""
    scheme, host = url.scheme, url.raw_host or ""
    if scheme not in ("https", "http") or not _HOST.fullmatch(host):
        raise ConfigurationError("base_url must be the root of a host, such as https://circleci.example.com")
    if url.raw_path.strip("/") or url.raw_query_string or url.raw_fragment:
        raise ConfigurationError("base_url must be the root of the host, without a path. The client adds /api/v2")
    if scheme == "http" and not allow_http and not _is_loopback(host):
        raise ConfigurationError(f"base_url would send the token over plain http to {host}; allow_http=True permits it")
    return root


def bound_concurrency(max_concurrency: int, session: aiohttp.ClientSession | None) -> int:
    """Return the number of requests in flight, at most the connections that the session opens.

    More requests would wait in its pool. Raise ConfigurationError if it is not a number of requests.
    """
    if isinstance(max_concurrency, bool) or not isinstance(max_concurrency, int) or max_concurrency < 1:
        raise ConfigurationError(
            f"max_concurrency must be a number of requests, at least 1, got {_type_or_number(max_concurrency)}"
        )
    connector = None if session is None else session.connector
    if connector is None:
        return max_concurrency
    # A limit of 0 is none.
    return min(max_concurrency, *filter(None, (connector.limit, connector.limit_per_host)))


def check_session(session: aiohttp.ClientSession | None, *, has_trace_configs: bool) -> None:
    """Raise ConfigurationError if it is not a session, or if there are options for a session of the client's own."""
    if session is not None and not isinstance(session, aiohttp.ClientSession):
        raise ConfigurationError(f"session must be an aiohttp.ClientSession, got {type(session).__name__}")
    if session is not None and has_trace_configs:
        raise ConfigurationError("trace_configs are for the client's own session. Pass them to yours instead")


def check_on_retry(on_retry: Callable[[RetryDetails], object] | None) -> None:
    """Raise ConfigurationError if it is not a plain function: nothing would await a coroutine."""
    if on_retry is None:
        return
    if not callable(on_retry) or inspect.iscoroutinefunction(on_retry):
        raise ConfigurationError(f"on_retry must be a function that is not async, got {type(on_retry).__name__}")


def check_retry(retry: RetryPolicy) -> RetryPolicy:
    """Return the policy. Raise ConfigurationError if it is not one."""
    if not isinstance(retry, RetryPolicy):
        raise ConfigurationError(f"retry must be a RetryPolicy, got {type(retry).__name__}")
    return retry


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _type_or_number(value: object) -> str:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else type(value).__name__
