"""Responses that stay the same until the state changes."""

from __future__ import annotations

from .response import Response

__all__ = ["ResponseCache"]

_MAX_BYTES = 64 * 1024 * 1024  # of bodies; a page of a hundred items has some 100 KB


class ResponseCache:
    """The responses of one version of the state, by path and query."""

    def __init__(self) -> None:
        self._responses: dict[str, Response] = {}
        self._bytes = 0
        self._version = 0

    def get(self, version: int, key: str) -> Response | None:
        """Return the response of this version, or None. Another version clears the cache."""
        if version != self._version:
            self._clear()
            self._version = version
        return self._responses.get(key)

    def put(self, version: int, key: str, response: Response) -> None:
        """Keep a response, unless the state has changed since `get`."""
        if version != self._version:
            return
        if self._bytes > _MAX_BYTES:
            self._clear()
        self._responses[key] = response
        self._bytes += len(response.body)

    def _clear(self) -> None:
        self._responses.clear()
        self._bytes = 0
