"""The client: a session, a token, and the groups of operations."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Mapping, Sequence
from ssl import SSLContext
from typing import Any, Final, Self, TypeVar, get_origin, overload
from urllib.parse import urlsplit

import aiohttp

from aiocircle._config import (
    bound_concurrency,
    check_flag,
    check_on_retry,
    check_retry,
    check_session,
    check_ssl,
    check_text,
    mask_option,
    parse_auth,
    parse_base_url,
    resolve_token,
)
from aiocircle._core.auth import Auth, Credentials, TokenProvider
from aiocircle._core.client_state import ClientState, Deprecation
from aiocircle._core.clock import Clock
from aiocircle._core.encode import encode_json
from aiocircle._core.executor import Executor
from aiocircle._core.fields import JSON, UNSET, Unset
from aiocircle._core.observer import Observer, RetryDetails, RetryObserver
from aiocircle._core.pager import Pager
from aiocircle._core.proxy import parse_proxy
from aiocircle._core.rate_headers import RateLimit
from aiocircle._core.rate_limiter import RateLimiter
from aiocircle._core.raw_path import raw_path
from aiocircle._core.retry import RetryPolicy
from aiocircle._core.session import Session
from aiocircle._core.throttle import Throttle
from aiocircle._core.timeouts import client_timeout
from aiocircle._core.transport import Transport
from aiocircle._groups import ClientGroups, LazyGroup
from aiocircle._redact import Secret, conceal, type_name
from aiocircle.errors import InvalidArgument

__all__ = ["CircleCI", "add_observer"]

T = TypeVar("T")

_METHOD: Final = "[A-Z]{3,10}"


class CircleCI(ClientGroups):
    """A client for CircleCI's API.

        async with CircleCI() as circle:
            me = await circle.users.me()

    token: a personal API token, or a function that returns the present one (TokenProvider). Without it the first of
        CIRCLECI_TOKEN, CIRCLE_TOKEN and CIRCLECI_CLI_TOKEN in the environment is read, when the client is created.
    base_url: the root of the host, perhaps with a gateway's path before `/api`. The default is CIRCLECI_BASE_URL, then
        https://circleci.com. Plain http is refused except to this machine, unless `allow_http` is True.
    auth: the way in which the token is sent. It is the Circle-Token header, a bearer token, or the user of basic auth.
        With "none" no token is read or sent, as for public projects and `pipelines.continue_setup`.
    session: an aiohttp.ClientSession of the caller's, which the client does not close. If it is omitted, the client
        creates its own for the first request.
    retry: the policy by which one call is retried.
    timeout: seconds for one attempt, or an aiohttp.ClientTimeout; None for no limit.
    max_concurrency: the maximum number of requests in flight, at most the connections of `session`.
    throttle: a Throttle to share with other clients, or a RateLimiter, which stands for Throttle(limiter).
    trace_configs: aiohttp's, for the client's own session.
    proxy: the URL of an HTTP proxy, perhaps with credentials; without it HTTP_PROXY, HTTPS_PROXY and NO_PROXY of the
        environment apply, but not to loopback hosts. ssl: an ssl.SSLContext, such as one that trusts a private
        certificate authority. Both are for the client's own session.
    on_retry: called with RetryDetails before each repeated attempt, but not for waits in the queue.

    Raises ConfigurationError immediately for options that cannot work. Belongs to the event loop that first uses it.
    """

    def __init__(
        self,
        token: str | TokenProvider | None = None,
        *,
        base_url: str | None = None,
        auth: Auth = "circle-token",
        session: aiohttp.ClientSession | None = None,
        retry: RetryPolicy = RetryPolicy(),  # noqa: B008 - frozen
        timeout: float | aiohttp.ClientTimeout | None = 30.0,
        max_concurrency: int = 32,
        throttle: Throttle | RateLimiter | None = None,
        trace_configs: Sequence[aiohttp.TraceConfig] = (),
        allow_http: bool = False,
        proxy: str | None = None,
        ssl: SSLContext | None = None,
        on_retry: Callable[[RetryDetails], object] | None = None,
    ) -> None:
        # The values are masked before anything can fail, so that no traceback with locals shows them. Any of them may
        # be the token, by mistake.
        token, base_url, auth = mask_option(token), mask_option(base_url), mask_option(auth)
        session, retry, timeout, throttle = map(mask_option, (session, retry, timeout, throttle))
        max_concurrency, trace_configs, allow_http = map(mask_option, (max_concurrency, trace_configs, allow_http))
        proxy, ssl, on_retry = map(mask_option, (proxy, ssl, on_retry))
        auth = parse_auth(auth)
        token = resolve_token(token, auth)
        root = parse_base_url(base_url, allow_http=check_flag(allow_http, "allow_http"))
        check_session(session, trace_configs=trace_configs, proxy=proxy, ssl=ssl)
        max_concurrency = bound_concurrency(max_concurrency, session)
        self._owns_throttle = not isinstance(throttle, Throttle)
        credentials = Credentials(root, auth, token)
        http_session = Session(
            session,
            max_concurrency=max_concurrency,
            trace_configs=trace_configs,
            proxy=None if proxy is None else parse_proxy(check_text(proxy, "proxy") or Secret(), "proxy"),
            ssl_context=check_ssl(ssl),
        )
        state = ClientState(
            root,
            credentials,
            Transport(http_session, credentials.mask),
            throttle if isinstance(throttle, Throttle) else Throttle(throttle),
            max_concurrency,
            Clock(),
        )
        check_on_retry(on_retry)
        if on_retry is not None:
            state.observers.add(RetryObserver(on_retry))
        self._executor = Executor(state, client_timeout(timeout), check_retry(retry))
        self._owns_transport = True

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the session and its connections, if they are the client's own. A `with_options` copy closes nothing."""
        if self._owns_transport:
            await self._executor.state.transport.close()
            if self._owns_throttle:
                await self._executor.state.throttle.close()

    def with_options(
        self,
        *,
        timeout: float | aiohttp.ClientTimeout | Unset | None = UNSET,
        retry: RetryPolicy | None = None,
    ) -> Self:
        """Return a copy with other per-call options, which shares session, throttle and token. Omitted options stay."""
        executor, timeout, retry = self._executor, mask_option(timeout), mask_option(retry)
        other = copy.copy(self)
        other._executor = Executor(
            executor.state,
            executor.timeout if timeout is UNSET else client_timeout(timeout),
            executor.retry if retry is None else check_retry(retry),
        )
        return other

    def __copy__(self) -> Self:
        # A copy shares the session, and closes nothing. Groups in use are bound to this client's executor.
        other = object.__new__(type(self))
        for name, value in vars(self).items():
            if not isinstance(getattr(type(self), name, None), LazyGroup):
                other.__dict__[name] = value
        other._owns_transport = False
        return other

    @property
    def base_url(self) -> str:
        """The root of the host that requests are sent to."""
        return self._executor.state.base_url

    @property
    def max_concurrency(self) -> int:
        """The maximum number of requests in flight."""
        return self._executor.state.places.size

    @property
    def retry(self) -> RetryPolicy:
        """The policy by which one call is retried."""
        return self._executor.retry

    @property
    def rate_limits(self) -> Mapping[str, RateLimit]:
        """The limits that the API last reported, by family: version and first path segment, such as "v2/insights"."""
        state = self._executor.state
        return state.throttle.rate_limits(state.account)

    @property
    def deprecations(self) -> Mapping[str, Deprecation]:
        """The deprecations that the API has reported, by operation, such as "pipelines.trigger"."""
        return dict(self._executor.state.deprecations)

    @overload
    async def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, Any] | None = None,
        json: JSON = ...,
        into: type[T],
    ) -> T: ...
    @overload
    async def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, Any] | None = None,
        json: JSON = ...,
        into: None = None,
    ) -> JSON: ...
    def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, Any] | None = None,
        json: JSON = None,
        into: Any = None,
    ) -> Any:
        """Send a request to a route that is not modelled, and return the body of the response.

        path: from the host's root, such as "/api/v2/me". params: the query. json: the body, None to send none. into: a
        type to decode the body into, `str` or `bytes` for the body unchanged, None for plain JSON (None if it is
        empty). Retries, rate limits and errors are those of all other calls: PUT and DELETE are repeated, POST and
        PATCH are not. With `str` and `bytes`, a body that is not JSON is not repeated.
        """
        # Not a coroutine function: one that is cancelled before it starts would show its arguments as they are.
        return self._request(method, mask_option(path), conceal(params), conceal(json), into)

    async def _request(self, method: str, path: str, params: Any, json: Any, into: Any) -> Any:
        if not isinstance(method, str) or not re.fullmatch(_METHOD, method):
            raise InvalidArgument(f"method must be an HTTP method in capitals, got {method!r}")
        body = None if json is None else encode_json(json, "json")
        # Imported here, as with the groups: a client without requests does without it.
        from aiocircle._core.endpoint import raw_endpoint

        endpoint = raw_endpoint(method, self._path(path), _type(into))
        return await self._executor.call(endpoint, query=_params(params), body=body)

    @overload
    def request_pages(
        self,
        path: str,
        *,
        params: Mapping[str, Any] | None = None,
        into: type[T],
        page_token: str | None = None,
    ) -> Pager[T]: ...
    @overload
    def request_pages(
        self,
        path: str,
        *,
        params: Mapping[str, Any] | None = None,
        into: None = None,
        page_token: str | None = None,
    ) -> Pager[JSON]: ...
    def request_pages(
        self,
        path: str,
        *,
        params: Mapping[str, Any] | None = None,
        into: Any = None,
        page_token: str | None = None,
    ) -> Pager[Any]:
        """Return the list of a route that is not modelled, as items of `into` or as plain JSON.

        The API of the path decides how it is paged: v2 by `next_page_token`, v3 by `page.next`, and v1.1 by `limit` and
        `offset`. A list of v1.1 ends with a page of fewer items than requested (100 if `limit` is omitted or larger).
        A bare array is one page. page_token: the page to start at, in v1.1 the number of items to skip.
        """
        if into is bytes:
            raise InvalidArgument("into must be the type of an item, got bytes. No JSON value is bytes")
        path, params = mask_option(path), conceal(params)
        from aiocircle._core.endpoint import raw_list_endpoint

        endpoint, query = raw_list_endpoint(self._path(path), Any if into is None else _type(into), _params(params))
        return self._executor.list(endpoint, query=query, page_token=page_token)

    def _path(self, path: str) -> str:
        path = raw_path(path)
        if urlsplit(self.base_url + path)[:2] != urlsplit(self.base_url)[:2]:
            raise InvalidArgument("path must stay on the client's host")
        return path

    def __repr__(self) -> str:
        # A traceback with locals also shows a client that could not be created.
        return f"<CircleCI at {self.base_url}>" if "_executor" in vars(self) else "<CircleCI, not created>"


def add_observer(circle: CircleCI, observer: Observer) -> None:
    """Add an observer to a client and its copies: the command's progress and integrations are made of one."""
    circle._executor.state.observers.add(observer)  # pyright: ignore[reportPrivateUsage] - of the same file


def _type(into: Any) -> Any:
    if into is None or into is Any or isinstance(into, type) or get_origin(into) is not None:
        return into
    raise InvalidArgument(f"into must be a type, such as User or tuple[User, ...], got {type(into).__name__}")


def _params(params: Mapping[str, Any] | None) -> Mapping[str, Any]:
    if params is None:
        return {}
    if not isinstance(params, Mapping):
        raise InvalidArgument(f"params must be a mapping, got {type_name(params)}")
    for name in params:
        if not isinstance(name, str):
            raise InvalidArgument(f"params must have strings as names, got {type(name).__name__}")
    return params
