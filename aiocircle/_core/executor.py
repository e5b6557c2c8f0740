"""One call: request, admission, attempts, response."""

from __future__ import annotations

import copy
from collections.abc import Callable, Coroutine, Mapping
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any, Self, TypeVar, cast

from aiocircle._core.admission_queue import Queue
from aiocircle._core.api_errors import decode_error, error_for, is_api_error
from aiocircle._core.client_state import ClientState
from aiocircle._core.encode import encode_body, encode_query, quote_value
from aiocircle._core.message import Request, Response
from aiocircle._core.pager import Pager
from aiocircle._core.pagination import BadItems, DecodedPage, Offset, Page
from aiocircle._core.retry import RetryPolicy
from aiocircle._core.retrying import CallState, retry
from aiocircle._core.structure import StructureProblems
from aiocircle._core.throttle import Caller
from aiocircle._core.timeouts import Timeout
from aiocircle._redact import RedactedURL
from aiocircle.errors import CircleCIError, ConfigurationError, DecodeError

if TYPE_CHECKING:
    from aiocircle._core.endpoint import ListEndpoint, Operation, Route

__all__ = ["Executor"]

T = TypeVar("T")
R = TypeVar("R")

# Reads a successful response.
_Parse = Callable[[Response], R]


class Executor:
    """Executes endpoints with one set of per-call options."""

    def __init__(self, state: ClientState, timeout: Timeout, retry: RetryPolicy) -> None:
        self.state = state
        self.timeout = timeout
        self.retry = retry
        self.caller = Caller(state.account, state.places)
        self._can_renew = state.credentials.can_renew
        self._on_headers: Callable[[Mapping[str, str]], object] | None = None

    def new_caller(self) -> Executor:
        """Return an executor that takes turns in the queue as a caller of its own, and waits there without a bound."""
        return Executor(self.state, self.timeout, self.retry.unbounded())

    def with_headers(self, on_headers: Callable[[Mapping[str, str]], object]) -> Self:
        """Return an executor of the same caller. It calls `on_headers` with the headers of each 2xx response."""
        other = copy.copy(self)
        other._on_headers = on_headers
        return other

    def call(
        self,
        endpoint: Operation[T],
        *values: Any,
        query: Mapping[str, Any] | None = None,
        body: Mapping[str, Any] | bytes | None = None,
    ) -> Coroutine[Any, Any, T]:
        """Return an awaitable of the endpoint's result: a model, or None. All arguments are checked here."""
        url = self._url(endpoint, values, query)
        if body is not None and not isinstance(body, bytes):
            body = encode_body(body, endpoint.body)
        return self._execute(self._new_call(endpoint, url, body), endpoint.parse)

    def list(
        self,
        endpoint: ListEndpoint[T],
        *values: Any,
        query: Mapping[str, Any] | None = None,
        page_token: str | None = None,
        stop: Callable[[T], bool] | None = None,
        keep: Callable[[T], bool] | None = None,
    ) -> Pager[T]:
        """Return the list of the endpoint. All arguments are checked here, before the first iteration."""
        url, paging = self._url(endpoint, values, query), endpoint.paging
        paging.params(page_token)

        async def fetch(token: str | None) -> Page[T]:
            pairs = paging.params(token)
            call = self._new_call(endpoint, _with_query(url, pairs) if pairs else url, None)
            try:
                page = await self._execute(call, lambda response: endpoint.parse(response, token))
            except BadItems as bad:
                return self._page_with_errors(call, bad)
            return page if call.attempts == 1 else DecodedPage(page.items, page.next_page_token, (), call.attempts)

        identity = paging.identity if isinstance(paging, Offset) else None
        return Pager(fetch, page_token=page_token, paged=paging.is_paged, stop=stop, identity=identity, keep=keep)

    def _url(self, endpoint: Route, values: tuple[Any, ...], query: Mapping[str, Any] | None) -> str:
        url = endpoint.url(values, self.state.base_url)
        if not query:
            return RedactedURL(url) if "?" in url else url
        pairs = encode_query(query, endpoint.query)
        if pairs:
            return _with_query(url, pairs)
        return RedactedURL(url) if "?" in url else url

    def _new_call(self, endpoint: Route, url: str, body: bytes | None) -> CallState:
        headers = self.state.headers if body is None else self.state.headers_with_body
        request = Request(endpoint.method, url, headers, body)
        return CallState(
            request, endpoint.operation, endpoint.family, endpoint.is_idempotent, endpoint.expects_no_content
        )

    # --- one call ------------------------------------------------------------------------------------------

    async def _execute(self, call: CallState, parse: _Parse[R]) -> R:
        """Return the parsed response, after as many attempts as the policy permits."""
        state = self.state
        # A client that is closed, or belongs to another loop, raises its error before the call waits.
        state.transport.ensure_open()
        try:
            # As _attempt(), without a coroutine more: each call pays for it.
            return self._handle_response(call, await self._send(call), parse)
        except CircleCIError as error:
            first = error
            call.record_failure(first)
            if self.retry.attempts == 1 or not self._should_retry(call, first):
                raise
        return await retry(
            partial(self._attempt, call, parse),
            first,
            call,
            self.retry,
            state.clock,
            should_retry=partial(self._should_retry, call),
            observers=state.observers,
        )

    def _should_retry(self, call: CallState, error: CircleCIError) -> bool:
        return not self.state.transport.closed and self.retry.should_retry(error, is_idempotent=call.is_idempotent)

    async def _attempt(self, call: CallState, parse: _Parse[R]) -> R:
        return self._handle_response(call, await self._send(call), parse)

    async def _send(self, call: CallState) -> Response:
        """Return the response to one attempt, sent when it is its turn, and report it to the observers.

        It is sent again, once, with a new token in place of a refused one.
        """
        state = self.state
        if self._can_renew:
            await self._follow_token()
        caller = self.caller
        if call.attempts:  # The client may have been closed since.
            state.transport.ensure_open()
        queue = state.throttle.admit_nowait(caller, call.family) or await self._wait(call, caller)
        sent_at = queue.loop.time()
        received: Response | None = None
        error: CircleCIError | None = None
        result: int | CircleCIError | None = None
        try:
            call.attempts += 1
            if self._can_renew:
                self._use_present_token(call)
            for notify in state.observers.on_attempt:
                notify(call.operation, call.request, call.attempts)
            response = received = await state.transport.send(call.request, self.timeout)
        except CircleCIError as failure:
            error = failure
            raise
        finally:
            queue.release(caller, received, sent_at)
            for report in state.observers.on_response:
                result = error if received is None else received.status
                report(call.operation, call.request, call.attempts, result, sent_at)
            error = result = None  # An error that refers to itself by its frames would stay in memory.
        state.note_deprecation(call.operation, response.headers)
        if response.status == 401 and self._can_renew and await self._renew(call):
            return await self._send(call)
        return response

    def _use_present_token(self, call: CallState) -> None:
        """Send the present token with a request: it may have been replaced while the request waited."""
        state, request = self.state, call.request
        state.use_present_token()
        call.token = state.credentials.token
        request.headers = state.headers if request.body is None else state.headers_with_body

    async def _renew(self, call: CallState) -> bool:
        """Return True if the token that was refused has been replaced, so that the call is sent again, once.

        This is not a retry: a 401 changed nothing.
        """
        if call.is_renewed:
            return False
        call.is_renewed = True
        is_renewed = await self.state.credentials.renew(call.token)
        if is_renewed:
            call.attempts -= 1
        return is_renewed

    async def _follow_token(self) -> None:
        """Use the present token and its budget. The first one is requested from the provider."""
        state = self.state
        await state.follow_token()
        if self.caller.account != state.account:
            self.caller = Caller(state.account, state.places)

    async def _wait(self, call: CallState, caller: Caller) -> Queue:
        throttle, clock = self.state.throttle, self.state.clock
        started, max_wait = clock.monotonic(), self.retry.remaining_wait(call.waited)
        is_retry = call.attempts > 0 or call.is_renewed
        queue = await throttle.admit(caller, call.family, call.request, max_wait, is_retry=is_retry)
        ended = clock.monotonic()
        call.waited += ended - started
        try:
            self.state.transport.ensure_open()  # The client may have been closed during the wait.
        except ConfigurationError:
            queue.release(caller, None, ended)
            raise
        return queue

    def _handle_response(self, call: CallState, response: Response, parse: _Parse[R]) -> R:
        status = response.status
        if 200 <= status < 300:
            if self._on_headers is not None:
                self._on_headers(response.headers)
            try:
                return parse(response)
            except StructureProblems as problems:
                error: CircleCIError = self._decode_error(call, response, problems)
        elif call.is_repeated_delete(status) and (
            call.outcome == "done" or is_api_error(response.headers, response.body)
        ):
            return cast("R", None)
        else:
            error = error_for(
                status,
                response.headers,
                response.body,
                method=call.request.method,
                url=call.request.url,
                now=self.state.clock.wall(),
                mask=self.state.credentials.mask,
            )
        raise error

    def _page_with_errors(self, call: CallState, bad: BadItems) -> DecodedPage[Any]:
        """Return the good items of a page, with a DecodeError for each bad one."""
        errors: list[tuple[int, DecodeError]] = []
        for count, problems in bad.problems:
            error = self._decode_error(call, bad.response, problems)
            call.record_failure(error)
            errors.append((count, error))
        return DecodedPage(bad.items, bad.next_page_token, tuple(errors), call.attempts)

    def _decode_error(self, call: CallState, response: Response, problems: StructureProblems) -> DecodeError:
        return decode_error(
            problems,
            response.status,
            response.headers,
            response.body,
            method=call.request.method,
            url=call.request.url,
            mask=self.state.credentials.mask,
        )


def _with_query(url: str, pairs: list[tuple[str, str]]) -> str:
    query = "&".join([f"{_quoted_name(name)}={quote_value(value)}" for name, value in pairs])
    return RedactedURL(f"{url}{'&' if '?' in url else '?'}{query}")


# Names are few, and most are sent with every page.
_quoted_name = lru_cache(maxsize=256)(quote_value)
