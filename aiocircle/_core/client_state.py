"""The state that a client and its copies share, and the deprecations that the API has reported."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from multidict import CIMultiDict, istr

from aiocircle._core.admission_queue import Places
from aiocircle._core.auth import Credentials
from aiocircle._core.clock import Clock
from aiocircle._core.observer import LogObserver, Observers
from aiocircle._core.polling import SharedCalls
from aiocircle._core.throttle import Throttle
from aiocircle._core.transport import USER_AGENT, Transport
from aiocircle._redact import single_line

__all__ = ["ClientState", "Deprecation"]

_log: Final = logging.getLogger("aiocircle")

# Each request gets a copy, which is faster from names that are `istr`.
_HEADERS: Final[Mapping[str, str]] = {istr("Accept"): "application/json", istr("User-Agent"): USER_AGENT}
_WITH_BODY: Final[Mapping[str, str]] = {istr("Content-Type"): "application/json"}
_DEPRECATION: Final = istr("Deprecation")
_SUNSET: Final = istr("Sunset")
_MAX_DEPRECATIONS: Final = 256  # operations: raw paths may have ids in them


class Deprecation(NamedTuple):
    """The end of an operation, as the API reports it: the values of its `Deprecation`, `Sunset` and `Link` headers."""

    deprecation: str | None
    sunset: str | None
    link: str | None


class _Headers(CIMultiDict[str]):
    """Request headers with the token. They cannot be pickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        raise TypeError("headers with a token cannot be pickled")


class ClientState:
    """The host, the token, the connections and the budget of a client and its copies."""

    def __init__(
        self,
        base_url: str,
        credentials: Credentials,
        transport: Transport,
        throttle: Throttle,
        max_concurrency: int,
        clock: Clock,
    ) -> None:
        self.base_url = base_url
        self.credentials = credentials
        self.transport = transport
        self.throttle = throttle
        self.clock = clock
        self.places = Places(max_concurrency)
        self.file_places = self.places.half()  # of downloads, so that they do not starve calls
        self.has_v3: bool | None = None  # None until the first response of API v3
        self.observers = Observers()
        self.observers.add(LogObserver())
        self.deprecations: dict[str, Deprecation] = {}
        # More polls would only wait in the queue, before the requests of other callers.
        self.poll_slots = asyncio.Semaphore(max_concurrency)
        self.polls = SharedCalls()
        self._set_headers()

    async def follow_token(self) -> None:
        """Use the present token. The first one is requested from the provider."""
        if self.credentials.token is None:
            await self.credentials.renew(None)
        self.use_present_token()

    def use_present_token(self) -> None:
        """Put the present token into the headers if it is another one, and count requests towards its budget."""
        if self.account != self.credentials.account:
            self._set_headers()

    def _set_headers(self) -> None:
        self.account = self.credentials.account
        self.headers = _Headers({**_HEADERS, **self.credentials.header})
        self.headers_with_body = _Headers({**self.headers, **_WITH_BODY})

    def note_deprecation(self, operation: str, headers: Mapping[str, str]) -> None:
        """Keep the reported end of an operation, and warn of it once."""
        deprecation, sunset = headers.get(_DEPRECATION), headers.get(_SUNSET)
        if deprecation is None and sunset is None:
            return
        deprecation, sunset, link = map(self._masked, (deprecation, sunset, headers.get("Link")))
        if operation not in self.deprecations:
            shown = [single_line(str(value), 100) for value in (deprecation, sunset)]
            _log.warning("%s is deprecated (Deprecation: %s, Sunset: %s)", operation, *shown)
            if len(self.deprecations) >= _MAX_DEPRECATIONS:
                del self.deprecations[next(iter(self.deprecations))]
        self.deprecations[operation] = Deprecation(deprecation, sunset, link)

    def _masked(self, text: str | None) -> str | None:
        return None if text is None else self.credentials.mask.apply(text)
