"""The requests of a command, counted by an observer."""

from __future__ import annotations

from aiocircle._core.message import Request
from aiocircle._core.observer import Observer
from aiocircle.errors import CircleCIError

__all__ = ["Traffic"]


class Traffic(Observer):
    """The counts of a client's requests.

    requests: requests sent. retries: of these, repeated attempts. limited: responses with status 429.
    """

    def __init__(self) -> None:
        self.requests = 0
        self.retries = 0
        self.limited = 0

    def on_attempt(self, operation: str, request: Request, number: int) -> None:
        """Count a request, and a retry from the second attempt on."""
        self.requests += 1
        self.retries += number > 1

    def on_response(
        self, operation: str, request: Request, number: int, result: int | CircleCIError | None, started: float
    ) -> None:
        """Count a response with status 429."""
        self.limited += result == 429
