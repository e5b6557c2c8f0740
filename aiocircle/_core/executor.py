"""From an endpoint and its arguments to a request, through gate and retries, to a model."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping
from functools import partial
from http import HTTPStatus
from typing import Any, Final, TypeVar, cast
from urllib.parse import urlencode

import attrs
import msgspec
import tenacity
from multidict import CIMultiDict, istr

from aiocircle._core.clock import Clock
from aiocircle._core.codec import decode, decode_json, decode_wrapped, encode_body, encode_query, page_of, tuple_of
from aiocircle._core.endpoint import Endpoint, ListEndpoint
from aiocircle._core.http import JSON, Request, Response, Transport
from aiocircle._core.pager import Page, Pager
from aiocircle._core.retry import RetryPolicy, retry_after
from aiocircle._core.slots import Slots
from aiocircle._core.throttle import Gate, Held, Throttle
from aiocircle._text import one_line
from aiocircle.errors import (
    APIError,
    BadRequest,
    CircleCIError,
    Conflict,
    DecodeError,
    Forbidden,
    Gone,
    InvalidArgument,
    NotFound,
    Outcome,
    RateLimited,
    RequestError,
    ServerError,
    Unauthorized,
)

__all__ = ["Connection", "Deprecation", "Executor"]

T = TypeVar("T")
R = TypeVar("R")

# What makes something of a good answer to a request.
_Reader = Callable[[Response, Request], R]

_log = logging.getLogger("aiocircle")
# Without a handler, Python prints warnings to stderr: the application decides where they go.
_log.addHandler(logging.NullHandler())

_STATUSES: Final[Mapping[int, type[APIError]]] = {
    400: BadRequest,
    401: Unauthorized,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    410: Gone,
    422: BadRequest,
}
_DEPRECATION: Final = istr("Deprecation")
_SUNSET: Final = istr("Sunset")
_LONG_WAIT: Final = 1.0  # seconds: from here on a wait at the gate is worth a warning
_TITLE = re.compile(rb"<title[^>]*>(.*?)</title>", re.IGNORECASE | re.DOTALL)
_SEARCHED: Final = 4096  # bytes of an error's body that are looked at for them
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
        self.slots = Slots(max_concurrency)
        self.max_concurrency = max_concurrency
        self._lanes: dict[str, Slots] = {}

    def lane(self, family: str) -> Slots:
        """The places at a family's gate. One lane a family: a closed gate must not hold up the others."""
        lane = self._lanes.get(family)
        if lane is None:
            lane = self._lanes[family] = Slots(self.max_concurrency)
        return lane

    def note_deprecation(self, operation: str, headers: Mapping[str, str]) -> None:
        """Keep what the answer says of the operation's end, and warn of it once."""
        deprecation, sunset = headers.get(_DEPRECATION), headers.get(_SUNSET)
        if deprecation is None and sunset is None:
            return
        if operation not in self.deprecations:
            shown = [one_line(str(each), 100) for each in (deprecation, sunset)]
            _log.warning("%s is deprecated (Deprecation: %s, Sunset: %s)", operation, *shown)
        self.deprecations[operation] = Deprecation(deprecation, sunset, headers.get("Link"))


@attrs.define(eq=False)
class _Call:
    """One call through all its attempts."""

    request: Request
    operation: str
    family: str
    repeatable: bool
    confirms: bool = False  # nothing of a good answer is read
    attempts: int = 0
    waited: float = 0.0  # seconds, at the gate and between attempts
    outcome: Outcome = "not_done"  # of the change that is asked for, after the attempts so far

    @property
    def changes(self) -> bool:
        return self.request.method not in ("GET", "HEAD")

    def failed(self, error: CircleCIError) -> None:
        """Take note of a failed attempt, and tell the error what became of the call in all."""
        error.attempts = self.attempts
        if self.changes:
            outcomes = (self.outcome, _outcome(error))
            self.outcome = max(outcomes, key=_OUTCOMES.index)
        error.outcome = self.outcome

    def found_gone(self, status: int) -> bool:
        """Whether this 404 says that an earlier attempt, whose answer was lost, deleted what was to be deleted."""
        return status == 404 and self.request.method == "DELETE" and self.confirms and self.outcome != "not_done"


class Executor:
    """Carries out endpoints with one set of per-call options."""

    def __init__(self, connection: Connection, timeout: Any, retry: RetryPolicy) -> None:
        self.connection = connection
        self.timeout = timeout
        self.retry = retry

    async def call(
        self,
        endpoint: Endpoint[T],
        *values: Any,
        query: Mapping[str, Any] | None = None,
        body: Mapping[str, Any] | None = None,
    ) -> T:
        """What the endpoint answers; None where it only confirms."""
        model, wrap = endpoint.model, endpoint.wrap
        path, pairs = endpoint.fill(values), encode_query(query) if query else []
        request = self._request(endpoint.method, path, pairs, None if body is None else encode_body(body))
        call = _Call(request, endpoint.operation, endpoint.family, endpoint.repeatable, confirms=model is None)
        if model is None:
            return cast("T", await self.perform(call, _confirm))
        read = partial(decode, model) if wrap is None else partial(decode_wrapped, model, wrap)
        return cast("T", await self.perform(call, read))

    def pages(
        self,
        endpoint: ListEndpoint[T],
        *values: Any,
        query: Mapping[str, Any] | None = None,
        page_token: str | None = None,
        stop: Callable[[T], bool] | None = None,
    ) -> Pager[T]:
        """The endpoint's list. All arguments are checked here, before anything is iterated over."""
        path = endpoint.fill(values)
        pairs = encode_query(query or {})
        read = _page_reader(endpoint.model, sparse=endpoint.sparse)
        parameter = "offset" if endpoint.by_offset else "page-token"
        if endpoint.by_offset and page_token is not None:
            _offset(page_token)

        async def fetch(token: str | None) -> Page[T]:
            offset = _offset(token) if endpoint.by_offset else 0
            sent = pairs if token is None else [*pairs, (parameter, token)]
            call = _Call(self._request("GET", path, sent, None), endpoint.operation, endpoint.family, True)
            page = await self.perform(call, read)
            if endpoint.by_offset and page.items:
                return Page(page.items, str(offset + len(page.items)))
            return page

        return Pager(fetch, page_token=page_token, paged=endpoint.paged, stop=stop)

    async def request(self, method: str, path: str, params: Mapping[str, Any], body: bytes | None, into: Any) -> Any:
        """What any path answers: `into`, or plain JSON."""
        call = self._raw_call(method, path, encode_query(params), body, confirms=into is None)
        return await self.perform(call, _plain if into is None else partial(decode, into))

    def request_pages(self, path: str, params: Mapping[str, Any], into: Any, page_token: str | None) -> Pager[Any]:
        """The list that any path answers, as items of `into` or plain JSON."""
        pairs = encode_query(params)
        self._raw_call("GET", path, pairs, None)
        read = _page_reader(Any if into is None else into)

        async def fetch(token: str | None) -> Page[Any]:
            call = self._raw_call("GET", path, pairs if token is None else [*pairs, ("page-token", token)], None)
            return await self.perform(call, read)

        return Pager(fetch, page_token=page_token)

    # --- one call ------------------------------------------------------------------------------------------

    async def perform(self, call: _Call, read: _Reader[R]) -> R:
        """What `read` makes of the answer, after as many attempts as the policy allows."""
        # A client that is closed, or of another loop, says so before it waits for anything.
        self.connection.transport.check()
        try:
            return await self._attempt(call, read)
        except CircleCIError as error:
            first = error
            if self.retry.attempts == 1 or not self._may_repeat(call, first):
                raise
        return await self._attempt_again(call, read, first)

    def _may_repeat(self, call: _Call, error: BaseException) -> bool:
        return (
            isinstance(error, CircleCIError)
            and not self.connection.transport.closed
            and self.retry.may_repeat(error, repeatable=call.repeatable)
        )

    async def _attempt_again(self, call: _Call, read: _Reader[R], first: CircleCIError) -> R:
        """Further attempts, driven by tenacity. The first one's failure is handed to it as its first attempt."""
        policy, clock = self.retry, self.connection.clock
        replay: list[CircleCIError] = [first]

        async def attempt() -> R:
            if replay:
                raise replay.pop()
            return await self._attempt(call, read)

        def wait(state: tenacity.RetryCallState) -> float:
            headers = getattr(_failure(state), "headers", {})
            return policy.delay(state.attempt_number, retry_after(headers, clock.wall()), clock.random())

        def stop(state: tenacity.RetryCallState) -> bool:
            return call.attempts >= policy.attempts or call.waited + state.upcoming_sleep > policy.max_wait

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

    async def _attempt(self, call: _Call, read: _Reader[R]) -> R:
        try:
            response = await self._send(call)
            return self._read(call, response, read)
        except CircleCIError as error:
            call.failed(error)
            raise

    async def _send(self, call: _Call) -> Response:
        gate, lane = self.connection.throttle.gate(call.family), self.connection.lane(call.family)
        response: Response | None = None
        try:
            if not lane.take_at_once():
                # This is no waiting for the rate limit. It ends, though, in Held, when the gate is closed for too long,
                # however patient those may be who have the places.
                async with gate.bounded(self.retry.max_wait - call.waited):
                    await lane.take()
            try:
                while response is None:
                    if not gate.enter_at_once():
                        await self._wait(call, gate)
                    try:
                        response = await self._pass(call, gate)
                    finally:
                        gate.leave()
            finally:
                lane.release()
        except Held as held:
            seconds = held.seconds
        else:
            self.connection.note_deprecation(call.operation, response.headers)
            return response
        raise RateLimited(
            429,
            f"not sent: the rate limit would have held it back for {seconds:.1f} s, longer than max_wait allows",
            method=call.request.method,
            url=call.request.shown_url,
            retry_after=seconds,
            held_back=True,
        )

    async def _wait(self, call: _Call, gate: Gate) -> None:
        waited = await gate.enter(self.retry.max_wait - call.waited)
        call.waited += waited
        if waited > _LONG_WAIT:
            _log.warning("%s: waited %.2f s for the rate limit", call.operation, waited)

    async def _pass(self, call: _Call, gate: Gate) -> Response | None:
        """The answer to a request that was let through; None where the gate closed before there was a slot for it."""
        clock, slots = self.connection.clock, self.connection.slots
        if not slots.take_at_once():
            await slots.take()
        try:
            if gate.closed:
                return None
            started = clock.monotonic()
            response = await self._exchange(call, started)
        finally:
            slots.release()
        asked = retry_after(response.headers, clock.wall()) if response.status >= 400 else None
        gate.observe(response.status, response.headers, started, asked)
        return response

    async def _exchange(self, call: _Call, started: float) -> Response:
        """One request and its answer, told to the log."""
        clock, transport = self.connection.clock, self.connection.transport
        transport.check()
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
                    call.request.shown_url,
                    end,
                    clock.monotonic() - started,
                    call.attempts,
                )
        return response

    def _read(self, call: _Call, response: Response, read: _Reader[R]) -> R:
        status = response.status
        if 200 <= status < 300:
            return read(response, call.request)
        if call.found_gone(status):
            return cast("R", None)
        raise _api_error(call.request, response, self.connection.clock)

    # --- one request ---------------------------------------------------------------------------------------

    def _request(self, method: str, path: str, pairs: list[tuple[str, str]], body: bytes | None) -> Request:
        connection = self.connection
        url = connection.base_url + path
        if pairs:
            url += ("&" if "?" in path else "?") + urlencode(pairs)
        headers = connection.headers if body is None else connection.headers_with_body
        return Request(method, url, headers, body)

    def _raw_call(
        self, method: str, path: str, pairs: list[tuple[str, str]], body: bytes | None, *, confirms: bool = False
    ) -> _Call:
        segments = path.partition("?")[0].split("/")
        family = "/".join(segments[3:4]) if segments[2:3] == ["v2"] else "/".join(segments[2:4])
        operation = f"{method} {path.partition('?')[0]}"
        repeatable = method in ("GET", "HEAD", "PUT", "DELETE")
        return _Call(self._request(method, path, pairs, body), operation, family, repeatable, confirms)


def _page_reader(item: Any, *, sparse: bool = False) -> _Reader[Page[Any]]:
    """What reads a page of `item`: an object with `items`, or the bare array that the API has in its place at times."""
    bare, paged = tuple_of(item), page_of(item, sparse=sparse)

    def read(response: Response, request: Request) -> Page[Any]:
        if response.body.lstrip()[:1] == b"[":
            return Page(decode(bare, response, request))
        page = decode(paged, response, request)
        return Page(page.items, page.next_page_token or None)

    return read


def _offset(token: str | None) -> int:
    """The number of items that come before a page, where a number is the page's token."""
    if token is None:
        return 0
    if not isinstance(token, str) or not (token.isascii() and token.isdigit() and len(token) < 19):
        raise InvalidArgument(f"page_token is the number of items to skip here, such as '20', not {token!r}")
    return int(token)


def _plain(response: Response, request: Request) -> JSON:
    """The answer as plain JSON; None where it is empty."""
    return decode_json(response, request) if response.body or not response.complete else None


def _confirm(response: Response, request: Request) -> None:
    """Nothing: the status is the whole answer."""


def _failure(state: tenacity.RetryCallState) -> BaseException | None:
    return None if state.outcome is None else state.outcome.exception()


def _outcome(error: CircleCIError) -> Outcome:
    """What became of the change that one attempt asked for."""
    if isinstance(error, DecodeError):
        return "done"
    if isinstance(error, RequestError):
        return error.outcome
    if isinstance(error, ServerError):
        return "unknown"
    if isinstance(error, APIError) and (error.status < 400 or error.status == 408):
        return "unknown"
    return "not_done"


def _api_error(request: Request, response: Response, clock: Clock) -> APIError:
    status = response.status
    fields: dict[str, Any] = {
        "method": request.method,
        "url": request.shown_url,
        "request_id": response.request_id,
        "headers": response.shown_headers,
        "body": response.body,
    }
    message = one_line(_message(response)) or _phrase(status)
    if status == 429:
        return RateLimited(status, message, **fields, retry_after=retry_after(response.headers, clock.wall()))
    kind = _STATUSES.get(status, ServerError if status >= 500 else APIError)
    return kind(status, message, **fields)


def _message(response: Response) -> str:
    """The server's own words, from whichever place this server puts them."""
    if 300 <= response.status < 400:
        target = response.shown_headers.get("Location", "nowhere")
        return f"a redirect to {target}, which is not followed: only a GET is, within the API's host, a few times"
    try:
        text = _words(msgspec.json.decode(response.body))
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        start = response.body[:_SEARCHED].strip()
        if title := _TITLE.search(start):
            start = title[1]
        elif start[:1] == b"<":
            start = b""
        text = start.decode("utf-8", "replace")
    return text


def _words(answer: JSON, depth: int = 3) -> str:
    if isinstance(answer, str):
        return answer[:_SEARCHED]
    if not isinstance(answer, dict) or not depth:
        return ""
    fields = cast("dict[str, JSON]", answer)
    found = (_words(fields.get(key), depth - 1) for key in ("message", "error", "detail", "title"))
    return next(filter(None, found), "")


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "no words"
