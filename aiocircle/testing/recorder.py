"""The requests that arrived, and their counts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any, Literal

import attrs
import msgspec

__all__ = ["Authentication", "ReceivedRequest", "Recorder", "Statistics"]

Authentication = Literal["circle-token", "bearer", "basic"]


@attrs.define(kw_only=True, eq=False)
class ReceivedRequest:
    """A request that arrived. Its repr shows nothing that could be secret."""

    method: str
    path: str  # raw: percent-encoded, without the query
    query: list[tuple[str, str]] = attrs.field(repr=False)
    headers: Mapping[str, str] = attrs.field(repr=False)  # names in any case
    body: bytes = attrs.field(repr=False)
    at: float  # loop time of its arrival
    number: int  # its position in the order of arrival, from 1
    auth: Authentication | None
    operation: str | None = None
    status: int | None = None  # None until the response is sent, and if none is sent
    fault: str | None = None

    @property
    def json(self) -> Any:
        """The decoded JSON body; None if the body is empty."""
        return msgspec.json.decode(self.body) if self.body else None


@attrs.define(kw_only=True)
class Statistics:
    """Counts whose memory does not grow with the number of requests."""

    requests: int = 0
    in_flight: int = 0
    max_in_flight: int = 0
    bytes_sent: int = 0
    statuses: Counter[int] = attrs.field(factory=Counter[int])
    operations: Counter[str] = attrs.field(factory=Counter[str])
    faults: Counter[str] = attrs.field(factory=Counter[str])


class Recorder:
    """Keeps requests, or the last `limit` of them, and counts all."""

    def __init__(self, limit: bool | int) -> None:
        self.requests: list[ReceivedRequest] = []
        self.statistics = Statistics()
        self._limit = limit

    def add(self, received: ReceivedRequest) -> None:
        """Keep a request that arrived."""
        if self._limit is False:
            return
        self.requests.append(received)
        if self._limit is not True and len(self.requests) > self._limit:
            del self.requests[: len(self.requests) - self._limit]

    def begin(self) -> int:
        """Count a request in flight. Return its number."""
        statistics = self.statistics
        statistics.requests += 1
        statistics.in_flight += 1
        statistics.max_in_flight = max(statistics.max_in_flight, statistics.in_flight)
        return statistics.requests

    def end(self) -> None:
        """Count the end of a request."""
        self.statistics.in_flight -= 1

    def record_operation(self, received: ReceivedRequest, operation: str) -> None:
        """Record the operation that a request has been routed to."""
        received.operation = operation
        self.statistics.operations[operation] += 1

    def record_fault(self, received: ReceivedRequest, fault: str) -> None:
        """Record the fault that a request meets."""
        received.fault = fault
        self.statistics.faults[fault] += 1

    def record_status(self, received: ReceivedRequest, status: int, size: int) -> None:
        """Record the response to a request: its status and the bytes of its body."""
        received.status = status
        self.statistics.statuses[status] += 1
        self.statistics.bytes_sent += size
