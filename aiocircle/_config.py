"""The options of a client: checked, and completed from the environment."""

from __future__ import annotations

import inspect
import os
import re
from collections.abc import Callable, Sequence
from ssl import SSLContext
from typing import Any, Final

import aiohttp
import yarl

from aiocircle._core.auth import Auth, TokenProvider, parse_token
from aiocircle._core.observer import RetryDetails
from aiocircle._core.raw_path import raw_path
from aiocircle._core.retry import RetryPolicy
from aiocircle._redact import Secret, type_name
from aiocircle._urls import has_control, is_loopback
from aiocircle.errors import ConfigurationError, InvalidArgument

__all__ = [
    "bound_concurrency",
    "check_flag",
    "check_on_retry",
    "check_retry",
    "check_session",
    "check_ssl",
    "check_text",
    "mask_option",
    "parse_auth",
    "parse_base_url",
    "resolve_token",
]

_AUTHS: Final[tuple[Auth, ...]] = ("circle-token", "bearer", "basic", "none")
_TOKEN_VARIABLES: Final = ("CIRCLECI_TOKEN", "CIRCLE_TOKEN", "CIRCLECI_CLI_TOKEN")
_NO_TOKEN: Final = (
    "Pass CircleCI(token=…), or set CIRCLECI_TOKEN, CIRCLE_TOKEN or CIRCLECI_CLI_TOKEN in the environment. "
    'auth="none" sends no token'
)
_BASE_URL_VARIABLE: Final = "CIRCLECI_BASE_URL"
_BASE_URL: Final = "https://circleci.com"
_API_PATH = re.compile(r"/api(?:/v[0-9.]+)?$")
# The labels of a name, or the inside of an IPv6 address's brackets.
_HOST = re.compile(r"[\w-]+(?:\.[\w-]+)*\.?|[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*", re.ASCII)


def mask_option(value: Any) -> Any:
    """Return an option whose repr is masked if it is a text: the token may have been passed in its place."""
    return Secret(value) if isinstance(value, str) else value


def check_text(value: object, name: str) -> Secret | None:
    """Return a text whose repr is masked. None stays None. Raise ConfigurationError for any other value."""
    if value is None or isinstance(value, Secret):
        return value
    if isinstance(value, str):
        return Secret(value)
    raise ConfigurationError(f"{name} must be a str, got {type_name(value)}")


def check_flag(value: bool, name: str) -> bool:
    """Return the flag. Raise ConfigurationError if it is not one."""
    if not isinstance(value, bool):
        raise ConfigurationError(f"{name} must be True or False, got {type_name(value)}")
    return value


def parse_auth(auth: str) -> Auth:
    """Return the way in which the token is sent. Raise ConfigurationError, which does not repeat another value."""
    for known in _AUTHS:
        if isinstance(auth, str) and auth == known:
            return known
    raise ConfigurationError(
        f'auth must be "circle-token", "bearer", "basic" or "none", got another value of type {type_name(auth)}. '
        "Pass the token as token=…"
    )


def resolve_token(token: str | TokenProvider | None, auth: Auth) -> Secret | TokenProvider | None:
    """Return the token, from the environment if it is None, or its provider; None if none is sent.

    Raise ConfigurationError if it is missing or malformed.
    """
    if auth == "none":
        if token is not None:
            raise ConfigurationError('token must be None with auth="none", which sends no credentials. Leave one out')
        return None
    if token is not None and not isinstance(token, str):
        if not callable(token):
            raise ConfigurationError(f"token must be a str or a function that returns one, got {type_name(token)}")
        return token
    text = check_text(token, "token")
    if text is not None:
        if not text.strip():
            raise ConfigurationError(f"token must be a token, got an empty text. {_NO_TOKEN}")
        return parse_token(text, "token")
    for name in _TOKEN_VARIABLES:
        if value := Secret(os.environ.get(name, "").strip()):
            return parse_token(value, name)
    raise ConfigurationError(f"the token is missing. {_NO_TOKEN}")


def parse_base_url(base_url: str | None, *, allow_http: bool) -> str:
    """Return the root of the host, from the environment if it is None. Raise ConfigurationError if it is not one.

    It may have a path, which is a gateway's and stands before `/api`.
    """
    base_url = check_text(base_url, "base_url")
    if base_url is None:
        base_url = Secret(os.environ.get(_BASE_URL_VARIABLE, "").strip() or _BASE_URL)
    base_url = Secret(base_url.strip())
    if "@" in base_url:
        raise ConfigurationError("base_url must not have credentials or an @. Pass the token as token=…")
    if has_control(base_url) or " " in base_url or "\\" in base_url:
        raise ConfigurationError("base_url must not have white space, a control character or a backslash")
    try:
        url = yarl.URL(base_url)
        root = str(url.origin())
    except ValueError:
        url, root = yarl.URL(), ""
    scheme, host = url.scheme, url.raw_host or ""
    if scheme not in ("https", "http") or not _HOST.fullmatch(host):
        raise ConfigurationError("base_url must be the root of a host, such as https://circleci.example.com")
    if url.raw_query_string or url.raw_fragment:
        raise ConfigurationError("base_url must not have a query or a fragment. Pass the token as token=…")
    if scheme == "http" and not allow_http and not is_loopback(host):
        raise ConfigurationError(f"base_url would send the token over plain http to {host}; allow_http=True permits it")
    return root + _gateway_path(Secret(base_url))


def _gateway_path(base_url: Secret) -> str:
    # Read from the text: yarl resolves dot segments.
    path = Secret("/" + "/".join(base_url.split("//", 1)[1].split("/")[1:])).rstrip("/")
    if not path:
        return ""
    if _API_PATH.search(path):
        raise ConfigurationError("base_url must be the root of the host, or a gateway's path. The client adds /api/v2")
    if "//" in path:
        raise ConfigurationError("base_url must not have an empty segment in its path")
    try:
        return raw_path(path)
    except InvalidArgument as error:
        reason = str(error)
    raise ConfigurationError(f"base_url: its {reason}")


def bound_concurrency(max_concurrency: int, session: aiohttp.ClientSession | None) -> int:
    """Return the number of requests in flight, at most the connections that the session opens.

    More requests would wait in its pool. Raise ConfigurationError if it is not a number of requests.
    """
    if isinstance(max_concurrency, bool) or not isinstance(max_concurrency, int) or max_concurrency < 1:
        raise ConfigurationError(
            f"max_concurrency must be a number of requests, at least 1, got {_type_or_number(max_concurrency)}"
        )
    connector = getattr(session, "connector", None)
    if connector is None:
        return max_concurrency
    # aiohttp reads a limit of 0 as unlimited.
    limit: int = min(max_concurrency, *filter(None, (connector.limit, connector.limit_per_host)))
    return limit


def check_session(session: aiohttp.ClientSession | None, *, trace_configs: object, proxy: object, ssl: object) -> None:
    """Raise ConfigurationError if it is not a session, or if there are options for a session of the client's own."""
    if isinstance(trace_configs, str) or not isinstance(trace_configs, Sequence):
        raise ConfigurationError(
            f"trace_configs must be a sequence of aiohttp.TraceConfig, got {type_name(trace_configs)}"
        )
    if session is None:
        return
    # An object with the methods of a session also works, such as a wrapper that caches.
    if isinstance(session, str | type) or not callable(getattr(session, "request", None)):
        raise ConfigurationError(f"session must be an aiohttp.ClientSession, got {type_name(session)}")
    options: dict[str, object] = {"trace_configs": trace_configs or None, "proxy": proxy, "ssl": ssl}
    for name, option in options.items():
        if option is not None:
            raise ConfigurationError(f"{name} must be omitted with session. Pass it to your session instead")


def check_ssl(ssl: SSLContext | None) -> SSLContext | None:
    """Return the context. Raise ConfigurationError if it is not one."""
    if ssl is not None and not isinstance(ssl, SSLContext):
        raise ConfigurationError(f"ssl must be an ssl.SSLContext, got {type_name(ssl)}")
    return ssl


def check_on_retry(on_retry: Callable[[RetryDetails], object] | None) -> None:
    """Raise ConfigurationError if it is not a plain function: nothing would await a coroutine."""
    if on_retry is None:
        return
    if not callable(on_retry) or inspect.iscoroutinefunction(on_retry):
        raise ConfigurationError(f"on_retry must be a function that is not async, got {type(on_retry).__name__}")


def check_retry(retry: RetryPolicy) -> RetryPolicy:
    """Return the policy. Raise ConfigurationError if it is not one."""
    if not isinstance(retry, RetryPolicy):
        raise ConfigurationError(f"retry must be a RetryPolicy, got {type_name(retry)}")
    return retry


def _type_or_number(value: object) -> str:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else type_name(value)
