"""What goes over the wire, counted by aiohttp's own tracing."""

from __future__ import annotations

import types

import aiohttp

__all__ = ["Traffic"]


class Traffic:
    """Counts a client's requests.

    requests: how many were sent. retries: how many of them had been sent before. limited: how many were
    answered with 429.
    """

    def __init__(self) -> None:
        self.requests = 0
        self.limited = 0
        self._asked: set[int] = set()  # hashes: addresses with page tokens are long

    @property
    def retries(self) -> int:
        """Each thing is asked for once, so what is asked for again is a retry."""
        return self.requests - len(self._asked)

    def trace_config(self) -> aiohttp.TraceConfig:
        """What makes a client count here: CircleCI(trace_configs=[traffic.trace_config()])."""
        config = aiohttp.TraceConfig()
        config.on_request_start.append(self._started)
        config.on_request_end.append(self._ended)
        return config

    async def _started(
        self, _: aiohttp.ClientSession, __: types.SimpleNamespace, request: aiohttp.TraceRequestStartParams
    ) -> None:
        self.requests += 1
        self._asked.add(hash((request.method, str(request.url))))

    async def _ended(
        self, _: aiohttp.ClientSession, __: types.SimpleNamespace, request: aiohttp.TraceRequestEndParams
    ) -> None:
        self.limited += request.response.status == 429
