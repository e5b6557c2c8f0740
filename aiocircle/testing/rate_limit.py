"""A rate limit as the API applies and reports it."""

from __future__ import annotations

import math

__all__ = ["TokenBucket"]


class TokenBucket:
    """A token bucket that holds the requests of one second."""

    def __init__(self, rate: float) -> None:
        self.rate = rate  # requests per second of the event loop
        self.capacity = max(1.0, rate)
        self.tokens = self.capacity
        self._updated_at = 0.0

    def take(self, now: float) -> float:
        """Take one token. Return 0, or the seconds until there is one."""
        self.tokens = min(self.capacity, self.tokens + (now - self._updated_at) * self.rate)
        self._updated_at = now
        if self.tokens >= 1:
            self.tokens -= 1
            return 0.0
        return (1 - self.tokens) / self.rate

    @property
    def headers(self) -> dict[str, str]:
        """The headers that report the limit."""
        unit, limit = ("Second", self.rate) if self.rate >= 1 else ("Minute", self.rate * 60)
        remaining = str(int(self.tokens))
        reset = str(math.ceil((self.capacity - self.tokens) / self.rate))
        return {
            "RateLimit-Limit": str(math.floor(limit)),
            "RateLimit-Remaining": remaining,
            "RateLimit-Reset": reset,
            f"X-RateLimit-Limit-{unit}": str(math.floor(limit)),
            "X-RateLimit-Remaining": remaining,
            "X-RateLimit-Reset": reset,
        }
