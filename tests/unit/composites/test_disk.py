"""Threads for work on the disk while it is slow, and the event loop otherwise."""

from __future__ import annotations

import threading

import pytest

from aiocircle.composites import _disk
from aiocircle.composites._disk import Disk


async def test_first_work_is_done_in_a_thread() -> None:
    """Nothing is known of the disk yet: it may be one that hangs."""
    assert await Disk().run(threading.get_ident) != threading.get_ident()


async def test_fast_disk_needs_no_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """After work that was fast, the next work is done in the loop."""
    monkeypatch.setattr(_disk, "_FAST", 1e9)
    disk = Disk()
    await disk.run(threading.get_ident)
    assert await disk.run(threading.get_ident) == threading.get_ident()


async def test_slow_disk_leaves_the_loop_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """After work that was slow, also in the loop, and also if it failed, the next work is done in a thread."""
    disk = Disk()
    disk.is_fast = True
    monkeypatch.setattr(_disk, "_FAST", 0.0)
    with pytest.raises(ZeroDivisionError):
        await disk.run(lambda: 1 / 0)
    for _ in range(3):
        assert await disk.run(threading.get_ident) != threading.get_ident()
