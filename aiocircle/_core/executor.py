"""From an endpoint and its arguments to a request, through gate and retries, to a model."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final, TypeVar, cast
from urllib.parse import urlencode

import attrs
import tenacity
from multidict import CIMultiDict, istr

from aiocircle._core.admission_queue import Queue
from aiocircle._core.api_errors import decode_error, error_for, outcome_of
from aiocircle._core.clock import Clock
from aiocircle._core.encode import encode_body, encode_query
from aiocircle._core.endpoint import BadItems, ListEndpoint, Operation, Route
from aiocircle._core.message import Request, Response, is_safe
from aiocircle._core.pager import Pager
from aiocircle._core.pagination import DecodedPage, Offset, Page
from aiocircle._core.rate_headers import retry_after
from aiocircle._core.retry import RetryPolicy
from aiocircle._core.structure import StructureProblems
from aiocircle._core.throttle import Caller, Places, Throttle
from aiocircle._core.transport import Transport
from aiocircle._redact import single_line
from aiocircle.errors import CircleCIError, DecodeError, Outcome

__all__ = ["Connection", "Deprecation", "Executor"]

T = TypeVar("T")
R = TypeVar("R")

# Reads a successful response.
_Parse = Callable[[Response], R]

_log = logging.getLogger("aiocircle")
# Without a handler, Python prints warnings to stderr: the application decides where they go.
_log.addHandler(logging.NullHandler())

_DEPRECATION: Final = istr("Deprecation")
_SUNSET: Final = istr("Sunset")
_MAX_DEPRECATIONS: Final = 256  # operations: raw paths may have ids in them
# Of several attempts' outcomes, the later in this order counts.
_OUTCOMES: Final[tuple[Outcome, ...]] = ("not_done", "unknown", "done")


@attrs.frozen
class Deprecation:
    """What the API says of an operation that is to go: the values of its `Deprecation`, `Sunset` and `Link` headers."""

    deprecation: str | None
    sunset: str | None
    link: str | None


class Connection:
    """What a client and its copies share: where, as whom, over what, how many at once."""

    def __init__(
        self,
        base_url: str,
        headers: Mapping[str, str],
        transport: Transport,
        throttle: Throttle,
        account: str,
        max_concurrency: int,
        clock: Clock,
    ) -> None:
        self.base_url = base_url
        self.headers = headers
        self.headers_with_body = CIMultiDict({**headers, "Content-Type": "application/json"})
        self.transport = transport
        self.throttle = throttle
        self.clock = clock
        self.deprecations: dict[str, Deprecation] = {}
        self.account = account
        self.places = Places(max_concurrency)

    def note_deprecation(self, operation: str, headers: Mapping[str, str]) -> None:
        """Keep what the answer says of the operation's end, and warn of it once."""
        deprecation, sunset = headers.get(_DEPRECATION), headers.get(_SUNSET)
        if deprecation is None and sunset is None:
            return
        if operation not in self.deprecations:
            shown = [single_line(str(each), 100) for each in (deprecation, sunset)]
            _log.warning("%s is deprecated (Deprecation: %s, Sunset: %s)", operation, *shown)
            if len(self.deprecations) >= _MAX_DEPRECATIONS:
                del self.deprecations[next(iter(self.deprecations))]
        self.deprecations[operation] = Deprecation(deprecation, sunset, headers.get("Link"))


@attrs.define(eq=False)
class _Call:
    """One call through all its attempts."""

    request: Request
    operation: str
    family: str
    repeatable: bool
    expects_no_content: bool = False  # nothing of a good answer is read
    attempts: int = 0
    waited: float = 0.0  # seconds, in the queue and between attempts
    outcome: Outcome = "not_done"  # of the change that is asked for, after the attempts so far

    @property
    def changes(self) -> bool:
        return not is_safe(self.request.method)

    def failed(self, error: CircleCIError) -> None:
        """Take note of a failed attempt, and tell the error what became of the call in all."""
        error.attempts = self.attempts
        if self.changes:
            outcomes = (self.outcome, outcome_of(error))
            self.outcome = max(outcomes, key=_OUTCOMES.index)
        error.outcome = self.outcome

    def found_gone(self, status: int) -> bool:
        """Whether this 404 says that an earlier attempt, whose answer was lost, deleted what was to be deleted."""
        return (
            status == 404 and self.request.method == "DELETE" and self.expects_no_content and self.outcome != "not_done"
        )


class Executor:
    """Carries out endpoints with one set of per-call options."""

    def __init__(self, connection: Connection, timeout: Any, retry: RetryPolicy) -> None:
        self.connection = connection
        self.timeout = timeout
        self.retry = retry
        self.caller = Caller(connection.account, connection.places)

    async def call(
        self,
        endpoint: Operation[T],
        *values: Any,
        query: Mapping[str, Any] | None = None,
        body: Mapping[str, Any] | bytes | None = None,
    ) -> T:
        """Return what the endpoint makes of the response: a model, or None."""
        url = self._url(endpoint, values, query)
        if body is not None and not isinstance(body, bytes):
            body = encode_body({endpoint.body(name): value for name, value in body.items()})
        return await self.perform(self._new_call(endpoint, url, body), endpoint.parse)

    def list(
        self,
        endpoint: ListEndpoint[T],
        *values: Any,
        query: Mapping[str, Any] | None = None,
        page_token: str | None = None,
        stop: Callable[[T], bool] | None = None,
    ) -> Pager[T]:
        """Return the endpoint's list. All arguments are checked here, before the first iteration."""
        url, paging = self._url(endpoint, values, query), endpoint.paging
        paging.params(page_token)

        async def fetch(token: str | None) -> Page[T]:
            call = self._new_call(endpoint, _with_query(url, paging.params(token)), None)
            try:
                page = await self.perform(call, partial(endpoint.parse, page_token=token))
            except BadItems as bad:
                return _page_with_errors(call, bad)
            return page if call.attempts == 1 else DecodedPage(page.items, page.next_page_token, (), call.attempts)

        identity = paging.identity if isinstance(paging, Offset) else None
        return Pager(fetch, page_token=page_token, paged=paging.is_paged, stop=stop, identity=identity)

    def _url(self, endpoint: Route, values: tuple[Any, ...], query: Mapping[str, Any] | None) -> str:
        url = endpoint.url(values, self.connection.base_url)
        if not query:
            return url
        spell = endpoint.query
        return _with_query(url, encode_query({spell(name): value for name, value in query.items()} if spell else query))

    def _new_call(self, endpoint: Route, url: str, body: bytes | None) -> _Call:
        connection = self.connection
        request = Request(
            endpoint.method, url, connection.headers if body is None else connection.headers_with_body, body
        )
        return _Call(request, endpoint.operation, endpoint.family, endpoint.is_idempotent, endpoint.expects_no_content)

    # --- one call ------------------------------------------------------------------------------------------

    async def perform(self, call: _Call, parse: _Parse[R]) -> R:
        """What `read` makes of the answer, after as many attempts as the policy allows."""
        # A client that is closed, or of another loop, says so before it waits for anything.
        self.connection.transport.ensure_open()
        try:
            return await self._attempt(call, parse)
        except CircleCIError as error:
            first = error
            if self.retry.attempts == 1 or not self._may_repeat(call, first):
                raise
        return await self._attempt_again(call, parse, first)

    def _may_repeat(self, call: _Call, error: BaseException) -> bool:
        return (
            isinstance(error, CircleCIError)
            and not self.connection.transport.closed
            and self.retry.may_repeat(error, repeatable=call.repeatable)
        )

    async def _attempt_again(self, call: _Call, parse: _Parse[R], first: CircleCIError) -> R:
        """Further attempts, driven by tenacity. The first one's failure is handed to it as its first attempt."""
        policy, clock = self.retry, self.connection.clock
        replay: list[CircleCIError] = [first]

        async def attempt() -> R:
            if replay:
                raise replay.pop()
            return await self._attempt(call, parse)

        def wait(state: tenacity.RetryCallState) -> float:
            headers = getattr(_failure(state), "headers", {})
            return policy.delay(state.attempt_number, retry_after(headers, clock.wall()), clock.random())

        def stop(state: tenacity.RetryCallState) -> bool:
            return call.attempts >= policy.attempts or state.upcoming_sleep > policy.remaining_wait(call.waited)

        def before_sleep(state: tenacity.RetryCallState) -> None:
            call.waited += state.upcoming_sleep
            _log.warning(
                "%s: attempt %d of %d failed, the next in %.2f s: %s",
                call.operation,
                call.attempts,
                policy.attempts,
                state.upcoming_sleep,
                _failure(state),
            )

        retrying = tenacity.AsyncRetrying(
            sleep=clock.sleep,
            retry=tenacity.retry_if_exception(partial(self._may_repeat, call)),
            wait=wait,
            stop=stop,
            before_sleep=before_sleep,
            reraise=True,
        )
        return await retrying(attempt)

    async def _attempt(self, call: _Call, parse: _Parse[R]) -> R:
        try:
            response = await self._send(call)
            return self._read(call, response, parse)
        except CircleCIError as error:
            call.failed(error)
            raise

    async def _send(self, call: _Call) -> Response:
        """Return the response to one attempt, sent when it is its turn."""
        queue = self.connection.throttle.admit_nowait(self.caller, call.family) or await self._wait(call)
        sent_at = self.connection.clock.monotonic()
        result: Response | None = None
        try:
            response = result = await self._exchange(call, sent_at)
        finally:
            queue.release(self.caller, result, sent_at)
        self.connection.note_deprecation(call.operation, response.headers)
        return response

    async def _wait(self, call: _Call) -> Queue:
        throttle, clock = self.connection.throttle, self.connection.clock
        started, max_wait = clock.monotonic(), self.retry.remaining_wait(call.waited)
        queue = await throttle.admit(self.caller, call.family, call.request, max_wait, is_retry=call.attempts > 0)
        call.waited += clock.monotonic() - started
        return queue

    async def _exchange(self, call: _Call, started: float) -> Response:
        """One request and its answer, told to the log."""
        clock, transport = self.connection.clock, self.connection.transport
        transport.ensure_open()
        call.attempts += 1
        end: object = "cancelled"
        try:
            response = await transport.send(call.request, self.timeout)
            end = response.status
        except CircleCIError as error:
            end = type(error).__name__
            raise
        finally:
            if _log.isEnabledFor(logging.DEBUG):
                _log.debug(
                    "%s %s -> %s in %.3f s (attempt %d)",
                    call.request.method,
                    call.request.redacted_url,
                    end,
                    clock.monotonic() - started,
                    call.attempts,
                )
        return response

    def _read(self, call: _Call, response: Response, parse: _Parse[R]) -> R:
        request, status = call.request, response.status
        if 200 <= status < 300:
            try:
                return parse(response)
            except StructureProblems as problems:
                error: CircleCIError = _decode_error(call, response, problems)
        elif call.found_gone(status):
            return cast("R", None)
        else:
            now = self.connection.clock.wall()
            error = error_for(status, response.headers, response.body, method=request.method, url=request.url, now=now)
        raise error


def _page_with_errors(call: _Call, bad: BadItems) -> DecodedPage[Any]:
    """Return the good items of a page, with a DecodeError for each bad one."""
    errors: list[tuple[int, DecodeError]] = []
    for count, problems in bad.problems:
        error = _decode_error(call, bad.response, problems)
        call.failed(error)
        errors.append((count, error))
    return DecodedPage(bad.items, bad.next_page_token, tuple(errors), call.attempts)


def _decode_error(call: _Call, response: Response, problems: StructureProblems) -> DecodeError:
    request = call.request
    return decode_error(
        problems, response.status, response.headers, response.body, method=request.method, url=request.url
    )


def _with_query(url: str, pairs: list[tuple[str, str]]) -> str:
    return f"{url}{'&' if '?' in url else '?'}{urlencode(pairs)}" if pairs else url


def _failure(state: tenacity.RetryCallState) -> BaseException | None:
    return None if state.outcome is None else state.outcome.exception()
