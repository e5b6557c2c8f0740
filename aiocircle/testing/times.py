"""The server's clock, and times as the API writes and reads them."""

from __future__ import annotations

import asyncio
import datetime
import time
from email.utils import formatdate

__all__ = ["DAY", "ServerClock", "http_date", "iso", "iso_ms", "parse_time"]

DAY = 86_400  # seconds


class ServerClock:
    """The time of a server: real time before its start, then the time of its event loop, `speed` times as fast."""

    def __init__(self, speed: float = 1.0) -> None:
        self._speed = speed
        self._epoch = time.time()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._loop_start = 0.0

    def start(self) -> None:
        """Start to follow the running loop."""
        self._epoch = self.now()
        self._loop = asyncio.get_running_loop()
        self._loop_start = self._loop.time()

    def stop(self) -> None:
        """Stop at the present time."""
        self._epoch = self.now()
        self._loop = None

    def now(self) -> float:
        """Return the time in seconds since the epoch."""
        if self._loop is None:
            return self._epoch
        return self._epoch + (self._loop.time() - self._loop_start) * self._speed

    def loop_seconds(self, seconds: float) -> float:
        """Return how long the event loop takes for `seconds` of this clock."""
        return seconds / self._speed


def parse_time(text: str) -> float | None:
    """Return the seconds since the epoch of an RFC 3339 time, or None if it is malformed.

    A date alone is its midnight. A time without an offset is UTC.
    """
    try:
        parsed = datetime.datetime.fromisoformat(text)
        return (parsed if parsed.tzinfo else parsed.replace(tzinfo=datetime.UTC)).timestamp()
    except (ValueError, OverflowError):
        return None


def iso(seconds: float) -> str:
    """Return a time to the second, as workflows and jobs have it."""
    return f"{datetime.datetime.fromtimestamp(int(seconds), datetime.UTC).replace(tzinfo=None).isoformat()}Z"


def iso_ms(seconds: float) -> str:
    """Return a time to the millisecond, as pipelines and most other resources have it."""
    parsed = datetime.datetime.fromtimestamp(seconds, datetime.UTC).replace(tzinfo=None)
    return f"{parsed.isoformat(timespec='milliseconds')}Z"


def http_date(seconds: float) -> str:
    """Return a time as the header `Date` has it."""
    return formatdate(seconds, usegmt=True)
