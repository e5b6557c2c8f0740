"""The client: a session, a token, and the groups of operations."""

from __future__ import annotations

import base64
import copy
import hashlib
import ipaddress
import os
import re
import sys
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, Literal, Self, TypeVar, get_origin, overload
from urllib.parse import quote, unquote, urlsplit

import aiohttp
import yarl
from multidict import CIMultiDict

from aiocircle._core.clock import Clock
from aiocircle._core.codec import UNSET, Unset, encode_json
from aiocircle._core.executor import Connection, Deprecation, Executor
from aiocircle._core.http import JSON, Secret
from aiocircle._core.pager import Pager
from aiocircle._core.rate_headers import RateLimit
from aiocircle._core.rate_limiter import RateLimiter
from aiocircle._core.retry import RetryPolicy
from aiocircle._core.throttle import Throttle
from aiocircle._core.transport import USER_AGENT, AiohttpTransport, client_timeout
from aiocircle.errors import ConfigurationError, InvalidArgument

if TYPE_CHECKING:
    from aiocircle.resources.contexts import Contexts
    from aiocircle.resources.deploys import Deploys
    from aiocircle.resources.groups import Groups
    from aiocircle.resources.insights import Insights
    from aiocircle.resources.jobs import Jobs
    from aiocircle.resources.oidc import Oidc
    from aiocircle.resources.organizations import Organizations
    from aiocircle.resources.otel import Otel
    from aiocircle.resources.pipeline_definitions import PipelineDefinitions
    from aiocircle.resources.pipelines import Pipelines
    from aiocircle.resources.policies import Policies
    from aiocircle.resources.projects import Projects
    from aiocircle.resources.schedules import Schedules
    from aiocircle.resources.triggers import Triggers
    from aiocircle.resources.usage import Usage
    from aiocircle.resources.users import Users
    from aiocircle.resources.webhooks import Webhooks
    from aiocircle.resources.workflows import Workflows

__all__ = ["CircleCI"]

T = TypeVar("T")

_TOKEN_VARIABLES: Final = ("CIRCLECI_TOKEN", "CIRCLE_TOKEN")
_BASE_URL_VARIABLE: Final = "CIRCLECI_BASE_URL"
_BASE_URL: Final = "https://circleci.com"
# What an HTTP header can carry unchanged.
_TOKEN = re.compile(r"[\x21-\x7e]+")
_METHOD = re.compile(r"[A-Z]{3,10}")
_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff\\\\#]")
_NO_URL = re.compile(r"[\x00-\x20\x7f-\x9f\ud800-\udfff\\]")
# A name's labels, or the inside of an IPv6 address's brackets.
_HOST = re.compile(r"[\w-]+(?:\.[\w-]+)*\.?|[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*", re.ASCII)

Auth = Literal["circle-token", "bearer", "basic"]


class CircleCI:
    """A client for CircleCI's API.

        async with CircleCI() as circle:
            me = await circle.users.me()

    token: a personal API token; without it CIRCLECI_TOKEN, then CIRCLE_TOKEN, of the environment is read, now.
    base_url: the root of the host; without it CIRCLECI_BASE_URL, then https://circleci.com. Plain http is refused
        except to this machine, unless `allow_http`.
    auth: how the token is sent: as the Circle-Token header, as a bearer token, or as the user of basic auth.
    session: an aiohttp.ClientSession of the caller's, which stays the caller's to close. Without one the client
        makes its own when it first sends something.
    retry: how often and how patiently one call is tried.
    timeout: seconds for one attempt, or an aiohttp.ClientTimeout; None for no bound.
    max_concurrency: the most requests in flight; not more than the connections of `session`.
    throttle: a Throttle to share with other clients, or a RateLimiter, which stands for Throttle(limiter).
    trace_configs: aiohttp's, for the client's own session.

    Raises ConfigurationError, at once, for what cannot work. Belongs to the event loop that first uses it.
    """

    def __init__(
        self,
        token: str | None = None,
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
    ) -> None:
        # Under their own names, and before anything can fail, so that no traceback with locals shows what they hold.
        token = _secret(token, "token")
        base_url = _secret(base_url, "base_url")
        token = _token(token)
        root = _root(base_url, allow_http=allow_http)
        if isinstance(max_concurrency, bool) or not isinstance(max_concurrency, int) or max_concurrency < 1:
            raise ConfigurationError(f"max_concurrency takes a number of requests, at least 1, not {max_concurrency!r}")
        if session is not None and not isinstance(session, aiohttp.ClientSession):
            raise ConfigurationError(f"session takes an aiohttp.ClientSession, not {type(session).__name__}")
        max_concurrency = min(max_concurrency, *_connection_limits(session))
        self._owns_throttle = not isinstance(throttle, Throttle)
        if session is not None and trace_configs:
            raise ConfigurationError(
                "trace_configs are for the client's own session: give them to yours when you make it"
            )
        headers = CIMultiDict({"Accept": "application/json", "User-Agent": USER_AGENT, **_auth_header(auth, token)})
        connection = Connection(
            root,
            headers,
            AiohttpTransport(session, max_concurrency=max_concurrency, trace_configs=trace_configs),
            throttle if isinstance(throttle, Throttle) else Throttle(throttle),
            _account(root, token),
            max_concurrency,
            Clock(),
        )
        self._executor = Executor(connection, client_timeout(timeout), _policy(retry))
        self._borrowed = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the session and its connections, if they are the client's own. A `with_options` copy closes nothing."""
        if not self._borrowed:
            await self._executor.connection.transport.close()
            if self._owns_throttle:
                await self._executor.connection.throttle.close()

    def with_options(
        self,
        *,
        timeout: float | aiohttp.ClientTimeout | Unset | None = UNSET,
        retry: RetryPolicy | None = None,
    ) -> Self:
        """A copy with other per-call options, which shares session, throttle and token. What is left out stays."""
        executor = self._executor
        other = copy.copy(self)
        # Groups that were already touched hold the other executor.
        for name in [name for name in vars(self) if isinstance(getattr(type(self), name, None), cached_property)]:
            del other.__dict__[name]
        other._executor = Executor(
            executor.connection,
            executor.timeout if timeout is UNSET else client_timeout(timeout),
            executor.retry if retry is None else _policy(retry),
        )
        other._borrowed = True
        return other

    @property
    def base_url(self) -> str:
        """The root of the host that the client talks to."""
        return self._executor.connection.base_url

    @property
    def max_concurrency(self) -> int:
        """The most requests in flight."""
        return self._executor.connection.places.size

    @property
    def retry(self) -> RetryPolicy:
        """The policy by which one call is retried."""
        return self._executor.retry

    @property
    def rate_limits(self) -> Mapping[str, RateLimit]:
        """The limits that the API last reported, by family: version and first path segment, such as "v2/insights"."""
        connection = self._executor.connection
        return connection.throttle.rate_limits(connection.account)

    @property
    def deprecations(self) -> Mapping[str, Deprecation]:
        """What the API said of operations that are to go, by operation, such as "pipelines.trigger"."""
        return dict(self._executor.connection.deprecations)

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
    async def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, Any] | None = None,
        json: JSON = None,
        into: Any = None,
    ) -> Any:
        """What a path answers that is not modelled here, as `into` or as plain JSON (None for an empty answer).

        path: from the host's root, such as "/api/v2/me". params: the query; json: the body, None for none. Retries,
        rate limits and errors are those of all other calls: PUT and DELETE count as safe to repeat, POST and PATCH
        do not.
        """
        if not isinstance(method, str) or not _METHOD.fullmatch(method):
            raise InvalidArgument(f"{method!r} is no HTTP method; it is written in capitals")
        body = None if json is None else encode_json(json, "json")
        return await self._executor.request(method, self._path(path), _params(params), body, _type(into))

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
        """The list that a path answers that is not modelled here.

        The answer is an object with `items` and perhaps a `next_page_token`, or a bare array.
        """
        query = _params(params)
        if "page-token" in query:
            raise InvalidArgument("the page to start at is given as page_token=…, not among params")
        return self._executor.request_pages(self._path(path), query, _type(into), page_token)

    def _path(self, path: str) -> str:
        if not isinstance(path, str) or not path.startswith("/") or path.startswith("//"):
            raise InvalidArgument('path starts with exactly one "/", such as "/api/v2/me"')
        if _UNSAFE.search(path):
            raise InvalidArgument("path has a control character, a backslash or a fragment")
        segments = path.partition("?")[0].split("/")
        if any(unquote(segment) in (".", "..") for segment in segments):
            raise InvalidArgument("path has a dot segment, which a server would resolve")
        path = quote(path, safe="/%:@!$&'()*+,;=-._~?")
        root = urlsplit(self.base_url)
        if urlsplit(self.base_url + path)[:2] != root[:2]:
            raise InvalidArgument("path leads to another host")
        return path

    def __repr__(self) -> str:
        # A traceback with locals shows the client that could not be made, too.
        return f"<CircleCI at {self.base_url}>" if "_executor" in vars(self) else "<CircleCI, not made>"

    # --- groups: each is imported when it is first touched -------------------------------------------------

    @cached_property
    def contexts(self) -> Contexts:
        """Contexts: shared environment variables, and who may use them."""
        from aiocircle.resources.contexts import Contexts

        return Contexts(self._executor)

    @cached_property
    def deploys(self) -> Deploys:
        """Environments, components, versions and rollbacks."""
        from aiocircle.resources.deploys import Deploys

        return Deploys(self._executor)

    @cached_property
    def groups(self) -> Groups:
        """Groups of an organization's members."""
        from aiocircle.resources.groups import Groups

        return Groups(self._executor)

    @cached_property
    def insights(self) -> Insights:
        """Metrics of workflows, jobs and tests."""
        from aiocircle.resources.insights import Insights

        return Insights(self._executor)

    @cached_property
    def jobs(self) -> Jobs:
        """Jobs, their artifacts and tests."""
        from aiocircle.resources.jobs import Jobs

        return Jobs(self._executor)

    @cached_property
    def oidc(self) -> Oidc:
        """Custom claims of the identity tokens that jobs get."""
        from aiocircle.resources.oidc import Oidc

        return Oidc(self._executor)

    @cached_property
    def organizations(self) -> Organizations:
        """Organizations, and where their configurations may take orbs from."""
        from aiocircle.resources.organizations import Organizations

        return Organizations(self._executor)

    @cached_property
    def otel(self) -> Otel:
        """OpenTelemetry exporters (experimental at CircleCI)."""
        from aiocircle.resources.otel import Otel

        return Otel(self._executor)

    @cached_property
    def pipeline_definitions(self) -> PipelineDefinitions:
        """Pipeline definitions: which configuration runs on which code."""
        from aiocircle.resources.pipeline_definitions import PipelineDefinitions

        return PipelineDefinitions(self._executor)

    @cached_property
    def pipelines(self) -> Pipelines:
        """Pipelines: read, start, continue."""
        from aiocircle.resources.pipelines import Pipelines

        return Pipelines(self._executor)

    @cached_property
    def policies(self) -> Policies:
        """Policies for configurations, and the decisions made by them."""
        from aiocircle.resources.policies import Policies

        return Policies(self._executor)

    @cached_property
    def projects(self) -> Projects:
        """Projects, their settings, variables and checkout keys."""
        from aiocircle.resources.projects import Projects

        return Projects(self._executor)

    @cached_property
    def schedules(self) -> Schedules:
        """Schedules: pipelines that start by the clock."""
        from aiocircle.resources.schedules import Schedules

        return Schedules(self._executor)

    @cached_property
    def triggers(self) -> Triggers:
        """Triggers: which events start a pipeline definition."""
        from aiocircle.resources.triggers import Triggers

        return Triggers(self._executor)

    @cached_property
    def usage(self) -> Usage:
        """Exports of what an organization used."""
        from aiocircle.resources.usage import Usage

        return Usage(self._executor)

    @cached_property
    def users(self) -> Users:
        """Users and their organizations."""
        from aiocircle.resources.users import Users

        return Users(self._executor)

    @cached_property
    def webhooks(self) -> Webhooks:
        """Outbound webhooks."""
        from aiocircle.resources.webhooks import Webhooks

        return Webhooks(self._executor)

    @cached_property
    def workflows(self) -> Workflows:
        """Workflows: read, approve, cancel, run again."""
        from aiocircle.resources.workflows import Workflows

        return Workflows(self._executor)


def _secret(value: str | None, name: str) -> Secret | None:
    if value is not None and not isinstance(value, str):
        raise ConfigurationError(f"{name} takes a str, not {type(value).__name__}")
    return None if value is None else Secret(value)


def _token(given: Secret | None) -> Secret:
    token = given
    if token is None:
        found = (os.environ.get(name, "").strip() for name in _TOKEN_VARIABLES)
        token = Secret(next(filter(None, found), ""))
    token = Secret(token.strip())
    if not token:
        raise ConfigurationError(
            "no token: give CircleCI(token=…), or set CIRCLECI_TOKEN (or CIRCLE_TOKEN) in the environment"
            if given is None
            else "the token is empty; leave it out to read CIRCLECI_TOKEN (or CIRCLE_TOKEN) from the environment"
        )
    if not _TOKEN.fullmatch(token):
        raise ConfigurationError("the token has a character that no header can carry, such as a line break inside it")
    return token


def _account(root: str, token: Secret) -> str:
    """Return the key of the budget that all requests with one token to one host share. It does not reveal the token."""
    return hashlib.sha256(f"aiocircle\0{urlsplit(root).netloc}\0{token}".encode()).hexdigest()[:32]


def _connection_limits(session: aiohttp.ClientSession | None) -> tuple[int, int]:
    """Return how many connections the session opens, in all and to one host. More requests would wait in its pool."""
    connector = None if session is None else session.connector
    if connector is None:
        return sys.maxsize, sys.maxsize
    return connector.limit or sys.maxsize, connector.limit_per_host or sys.maxsize


def _auth_header(auth: str, token: Secret) -> dict[str, str]:
    if auth == "circle-token":
        return {"Circle-Token": token}
    if auth == "bearer":
        return {"Authorization": Secret(f"Bearer {token}")}
    if auth == "basic":
        return {"Authorization": Secret("Basic " + base64.b64encode(f"{token}:".encode()).decode())}
    raise ConfigurationError(f'auth is "circle-token", "bearer" or "basic", not {auth!r}')


def _root(given: Secret | None, *, allow_http: bool) -> str:
    if given is None:
        given = Secret(os.environ.get(_BASE_URL_VARIABLE, "").strip() or _BASE_URL)
    given = Secret(given.strip())
    if "@" in given:
        raise ConfigurationError("base_url holds credentials or an @: the token is given as token=…")
    if _NO_URL.search(given):
        raise ConfigurationError("base_url has white space, a control character or a backslash")
    try:
        url = yarl.URL(given)
        root = str(url.origin())
    except ValueError:
        url, root = yarl.URL(), ""
    scheme, host = url.scheme, url.raw_host or ""
    if scheme not in ("https", "http") or not _HOST.fullmatch(host):
        raise ConfigurationError("base_url is the root of a host, such as https://circleci.example.com")
    if url.raw_path.strip("/") or url.raw_query_string or url.raw_fragment:
        raise ConfigurationError("base_url is the root of the host, without a path: /api/v2 is added by the client")
    if scheme == "http" and not allow_http and not _is_loopback(host):
        raise ConfigurationError(f"base_url would send the token over plain http to {host}; allow_http=True permits it")
    return root


def _type(into: Any) -> Any:
    if into is None or into is Any or isinstance(into, type) or get_origin(into) is not None:
        return into
    raise InvalidArgument(f"into takes a type, such as User or tuple[User, ...], not {into!r}")


def _params(params: Mapping[str, Any] | None) -> Mapping[str, Any]:
    if params is None:
        return {}
    if not isinstance(params, Mapping):
        raise InvalidArgument(f"params takes a mapping, not {type(params).__name__}")
    for name in params:
        if not isinstance(name, str):
            raise InvalidArgument(f"params has a name that is no string: {name!r}")
    return params


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _policy(retry: RetryPolicy) -> RetryPolicy:
    if not isinstance(retry, RetryPolicy):
        raise ConfigurationError(f"retry takes a RetryPolicy, not {type(retry).__name__}")
    return retry
