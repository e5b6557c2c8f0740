"""The bookkeeping of a router: which events are queued, in work or remembered. Pure: no loop, no clock, no I/O."""

from __future__ import annotations

from collections import deque
from enum import Enum
from typing import Final, Generic, TypeAlias, TypeVar

__all__ = ["Admission", "Entry", "Key", "Ledger"]

E = TypeVar("E")

Key: TypeAlias = tuple[str, str]
"""The type and the id of an event."""


class Admission(Enum):
    """The result of the admission of an event."""

    QUEUED = "queued"
    SEEN = "seen"
    FULL = "full"
    CLOSED = "closed"


class _Phase(Enum):
    CLOSED = "closed"
    OPEN = "open"
    DRAINING = "draining"


class Entry(Generic[E]):
    """An event that was queued. key is None if the event has no id."""

    __slots__ = ("event", "key")

    def __init__(self, event: E, key: Key | None) -> None:
        self.event: Final = event
        self.key: Final = key


class Ledger(Generic[E]):
    """The events of a router, from their admission until they are forgotten.

    queue_size: how many may wait. workers: how many are in work concurrently. remember: how many are still seen after
    they were handled.
    """

    def __init__(self, *, queue_size: int, workers: int, remember: int) -> None:
        self._queue_size = queue_size
        self._workers = workers
        self._remember = remember
        self._phase = _Phase.CLOSED
        self._queue: deque[Entry[E]] = deque()
        # Dictionaries serve as ordered sets.
        self._in_work: dict[Entry[E], None] = {}
        self._active_keys: set[Key] = set()
        self._remembered_keys: dict[Key, None] = {}

    @property
    def is_idle(self) -> bool:
        """True if no event is queued or in work."""
        return not self._queue and not self._in_work

    def open(self) -> None:
        """Begin to admit events."""
        self._phase = _Phase.OPEN

    def drain(self) -> None:
        """Admit no more events. Those that are queued are still taken."""
        self._phase = _Phase.DRAINING

    def close(self) -> list[Entry[E]]:
        """End. Return the events that were not handled, in the order of their admission, and forget them."""
        self._phase = _Phase.CLOSED
        unhandled = [*self._in_work, *self._queue]
        self._in_work.clear()
        self._queue.clear()
        self._active_keys.clear()
        return unhandled

    def admit(self, event: E, key: Key | None) -> Admission:
        """Queue an event, unless it was seen before or the queue is full."""
        if self._phase is _Phase.CLOSED:
            return Admission.CLOSED
        if key in self._remembered_keys:
            return Admission.SEEN
        if self._phase is _Phase.DRAINING:
            # Also if it is queued or in work: it may still be lost, so the sender must keep it.
            return Admission.CLOSED
        if key in self._active_keys:
            return Admission.SEEN
        if len(self._queue) >= self._queue_size:
            return Admission.FULL
        self._queue.append(Entry(event, key))
        if key is not None:
            self._active_keys.add(key)
        return Admission.QUEUED

    def take(self) -> Entry[E] | None:
        """Return the next event to work on. None if the queue is empty or all workers are busy."""
        if not self._queue or len(self._in_work) >= self._workers:
            return None
        entry = self._queue.popleft()
        self._in_work[entry] = None
        return entry

    def finish(self, entry: Entry[E]) -> None:
        """Record that the handlers of an event have ended. An event that `close` returned is ignored."""
        if entry not in self._in_work:
            return
        del self._in_work[entry]
        if entry.key is None:
            return
        self._active_keys.discard(entry.key)
        self._remembered_keys[entry.key] = None
        if len(self._remembered_keys) > self._remember:
            del self._remembered_keys[next(iter(self._remembered_keys))]
