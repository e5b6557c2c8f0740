"""A receiver of webhooks: it verifies, parses and queues events, and calls their handlers."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self, TypeVar

from aiocircle.errors import ConfigurationError, MalformedEvent, SignatureError
from aiocircle.events.ledger import Admission, Key, Ledger
from aiocircle.events.models import Event, JobCompleted, Ping, UnknownEvent, WorkflowCompleted
from aiocircle.events.parser import parse_event, require_bytes
from aiocircle.events.signature import Body, Headers, SigningKeys
from aiocircle.events.workers import Handler, Workers, describe

if TYPE_CHECKING:
    from aiohttp import web

__all__ = ["EventRouter"]

E = TypeVar("E", WorkflowCompleted, JobCompleted, Ping, UnknownEvent)
R = TypeVar("R", bound=Awaitable[object] | None)

_TYPES: Final = (WorkflowCompleted, JobCompleted, Ping, UnknownEvent)

# Seconds for the body of one request. CircleCI waits as long for the response, and then sends the event again.
_BODY_TIMEOUT: Final = 10.0

_STATUSES: Final[Mapping[Admission, int]] = {
    Admission.QUEUED: 202,
    Admission.SEEN: 200,
    Admission.FULL: 503,
    Admission.CLOSED: 503,
}

_log = logging.getLogger("aiocircle")


class EventRouter:
    """Receives the events of webhooks and calls the handlers of their types.

    secret: the signing secret of the webhook, or several while it is replaced. None takes unsigned events and logs a
    warning. queue_size: events that may wait for a worker; more are refused with a 503. workers: events that are
    handled concurrently. remember: events that are still known as duplicates after they were handled. drain: seconds
    for the events in the queue at the end. max_body: bytes of one request.

    202 means that an event is in the memory of this process, not that it was handled.

    https://circleci.com/docs/guides/integration/outbound-webhooks/
    """

    def __init__(
        self,
        secret: str | Sequence[str] | None,
        *,
        queue_size: int = 1000,
        workers: int = 4,
        remember: int = 10_000,
        drain: float = 10.0,
        max_body: int = 8 * 2**20,
    ) -> None:
        self._keys = None if secret is None else SigningKeys(secret)
        del secret  # An exception raised here keeps this frame.
        if self._keys is not None:
            self._keys.ensure_valid()
        _require_count("queue_size", queue_size, 1)
        _require_count("workers", workers, 1)
        _require_count("remember", remember, 0)
        _require_count("max_body", max_body, 1)
        if isinstance(drain, bool) or not isinstance(drain, int | float) or not 0 <= drain < math.inf:
            raise ConfigurationError(f"drain must be seconds, at least 0, got {drain!r}. The default is 10.0.")
        self._drain = drain
        self._max_body = max_body
        self._ledger: Ledger[Event] = Ledger(queue_size=queue_size, workers=workers, remember=remember)
        self._workers: Workers | None = None
        self._handlers: dict[type, list[Handler]] = {type_: [] for type_ in _TYPES}
        self._subscribers: dict[object, Callable[[Event], object]] = {}
        self._is_full = False
        if self._keys is None:
            _log.warning("EventRouter(None) takes unsigned events: each request to its URL is trusted")

    def on(self, event_type: type[E]) -> Callable[[Callable[[E], R]], Callable[[E], R]]:
        """Return a decorator that adds a handler for a type of event.

        event_type: WorkflowCompleted, JobCompleted, Ping or UnknownEvent. Handlers of one event are called one after
        the other, in the order of their addition. An error of a handler is logged with the event's id, and stops
        nothing. The event is not handled again.
        """
        handlers = self._handlers.get(event_type)
        if handlers is None:
            names = ", ".join(type_.__name__ for type_ in _TYPES)
            raise ConfigurationError(f"event_type must be one of {names}, got {event_type!r}. Use @router.on(Ping).")

        def add(handler: Callable[[E], R]) -> Callable[[E], R]:
            if not callable(handler):
                raise ConfigurationError(f"handler must be a function, got {type(handler).__name__}. Pass a function.")
            handlers.append(handler)
            return handler

        return add

    def subscribe(self, callback: Callable[[Event], object]) -> Callable[[], None]:
        """Call back for each event that is queued, before `receive` returns. Return a function that ends this.

        Internal to the package: waits use it. Applications use `on`. An error of the callback is logged.
        """
        token = object()
        self._subscribers[token] = callback

        def unsubscribe() -> None:
            self._subscribers.pop(token, None)

        return unsubscribe

    def receive(self, body: Body, headers: Headers) -> int:
        """Return the status of the response to a webhook's request. It never waits.

        body: the exact bytes of the request. headers: a mapping or pairs, with names in any case.

        - 202: the event is queued. 200: it was queued before.
        - 413: the body has more than `max_body` bytes. 401: the signature is missing or wrong. 400: the body is not an
          event.
        - 503: the queue is full, or the router does not run. CircleCI sends the event again.

        Raise ConfigurationError if it is called in another loop or thread than the router runs in.

        https://circleci.com/docs/guides/integration/outbound-webhooks/
        """
        content = require_bytes(body)
        if len(content) > self._max_body:
            return self._refuse_large()
        try:
            if self._keys is not None:
                self._keys.verify(content, headers)
            event = parse_event(content)
        except SignatureError as error:
            return _refuse(401, str(error))
        except MalformedEvent as error:
            return _refuse(400, str(error))
        return self._admit(event)

    async def receive_stream(self, chunks: AsyncIterable[bytes], headers: Headers) -> int:
        """Read a body and return the status of the response, as `receive` does.

        chunks: the body, as frameworks stream it (`request.stream()` of Starlette and FastAPI). No more than `max_body`
        bytes are kept. 408: the body was not complete within 10 seconds.

        https://circleci.com/docs/guides/integration/outbound-webhooks/
        """
        try:
            async with asyncio.timeout(_BODY_TIMEOUT):
                body = await self._read(chunks)
        except TimeoutError:
            return _refuse(408, f"its body was not complete within {_BODY_TIMEOUT:g} s")
        return self._refuse_large() if body is None else self.receive(body, headers)

    async def handle(self, request: web.Request) -> web.Response:
        """Respond to a webhook's request: a handler for aiohttp, `app.router.add_post("/circleci", router.handle)`.

        It reads the body itself, up to `max_body`. The `client_max_size` of the application does not count.

        https://circleci.com/docs/guides/integration/outbound-webhooks/
        """
        from aiohttp import web

        try:
            if (request.content_length or 0) > self._max_body:
                status = self._refuse_large()
            elif request.content.at_eof():
                # A middleware has read the body: then the request keeps it.
                status = self.receive(await request.read(), request.headers)
            else:
                status = await self.receive_stream(request.content.iter_any(), request.headers)
        except (web.RequestPayloadError, ConnectionError):
            status = _refuse(400, "its body ended too early")
        return web.Response(status=status)

    async def run(self, app: object = None) -> AsyncIterator[None]:
        """Run the workers until the application ends: for aiohttp, `app.cleanup_ctx.append(router.run)`.

        At the end events in the queue are handled for `drain` seconds. Then handlers are cancelled, and each event that
        was not handled is logged by its id.
        """
        async with self:
            yield

    async def __aenter__(self) -> Self:
        if self._workers is not None:
            if self._workers.is_running:
                raise ConfigurationError("the router runs already. Run it once, or make a router for each application.")
            self._workers.close()  # Its loop ended without the end of the run.
        self._workers = Workers(self._ledger, self._handlers_of)
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        workers = self._workers
        if workers is not None:
            try:
                await workers.stop(self._drain)
            finally:
                self._workers = None

    def _admit(self, event: Event) -> int:
        if self._workers is None or not self._workers.is_running:
            return _STATUSES[Admission.CLOSED]
        self._workers.ensure_own_loop()
        key: Key | None = (event.type, event.id) if event.id else None
        admission = self._ledger.admit(event, key)
        if admission is Admission.QUEUED:
            self._is_full = False
            self._workers.wake()
            self._notify(event)
        elif admission is Admission.FULL and not self._is_full:
            self._is_full = True  # Logged once, until there is room again.
            _log.warning("the event queue is full: event %s was refused with a 503", describe(event))
        return _STATUSES[admission]

    def _notify(self, event: Event) -> None:
        for callback in [*self._subscribers.values()]:
            try:
                callback(event)
            except (Exception, asyncio.CancelledError):
                _log.exception("a subscriber failed at event %s", describe(event))

    def _handlers_of(self, event: Event) -> Sequence[Handler]:
        return (*self._handlers[type(event)],)

    async def _read(self, chunks: AsyncIterable[bytes]) -> bytes | None:
        """Return the body. None if it is larger than `max_body`."""
        body = bytearray()
        try:
            async for chunk in chunks:
                body += chunk
                if len(body) > self._max_body:
                    return None
        finally:
            # An async generator that is left early would be closed by the garbage collector, at an unknown time.
            aclose = getattr(chunks, "aclose", None)
            if aclose is not None:
                await aclose()
        return bytes(body)

    def _refuse_large(self) -> int:
        return _refuse(413, f"its body has more than {self._max_body} bytes")


def _refuse(status: int, reason: str) -> int:
    _log.warning("refused a webhook's request with status %d: %s", status, reason)
    return status


def _require_count(name: str, value: object, minimum: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < minimum:
        raise ConfigurationError(f"{name} must be an integer of at least {minimum}, got {value!r}. Pass a number.")
