"""The clock that all tests here go by."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest

from aiocircle.testing.virtual_time import VirtualTimeLoop


async def test_sleep_moves_the_clock_by_its_length() -> None:
    """A long sleep moves the clock by exactly its length."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualTimeLoop)
    before, real = loop.time(), time.monotonic()
    await asyncio.sleep(1_000_000.125)
    assert loop.time() - before == 1_000_000.125
    assert time.monotonic() - real < 1000


async def test_timers_fire_in_order() -> None:
    """Timers fire in the order of their times."""
    fired: list[tuple[str, float]] = []
    loop = asyncio.get_running_loop()

    async def sleep(name: str, seconds: float) -> None:
        await asyncio.sleep(seconds)
        fired.append((name, loop.time()))

    await asyncio.gather(sleep("c", 30.0), sleep("a", 0.5), sleep("b", 7.0))
    assert fired == [("a", 0.5), ("b", 7.0), ("c", 30.0)]


async def test_clock_stands_still_during_io() -> None:
    """A thousand round trips over a real socket take no virtual time, so they cause no timeout."""
    loop = asyncio.get_running_loop()

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            writer.write(line)
        writer.close()

    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    before = loop.time()
    async with asyncio.timeout(3600):
        for number in range(1000):
            writer.write(b"%d\n" % number)
            assert await reader.readline() == b"%d\n" % number
    assert loop.time() == before
    writer.close()
    await writer.wait_closed()
    server.close()
    await asyncio.sleep(0.1)


async def test_clock_waits_for_threads() -> None:
    """A timeout of an hour does not fire while a thread works."""
    release = threading.Event()
    loop = asyncio.get_running_loop()
    task = loop.run_in_executor(None, release.wait)
    timer = loop.call_later(3600, lambda: None)
    real = threading.Timer(0.05, release.set)
    real.start()
    assert await asyncio.wait_for(task, 3600) is True
    assert loop.time() == 0.0
    timer.cancel()
    real.join()
    await asyncio.sleep(60)
    assert loop.time() == 60.0


def test_loop_shutdown_waits_for_threads() -> None:
    """The loop's shutdown waits for threads in real time, also with the runner's limit of Python 3.12."""
    release = threading.Event()
    real = threading.Timer(0.05, release.set)

    async def main() -> None:
        asyncio.get_running_loop().run_in_executor(None, release.wait)
        real.start()

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        runner.run(main())
        loop = runner.get_loop()
    assert release.is_set()
    assert loop.time() < 300
    real.join()


async def test_refused_job_leaves_the_clock_running() -> None:
    """A job that the executor refuses leaves the clock running."""

    class Closed:
        def submit(self, *_: object) -> None:
            raise RuntimeError("closed")

    loop = asyncio.get_running_loop()
    with pytest.raises(RuntimeError, match="closed"):
        await loop.run_in_executor(Closed(), print)  # type: ignore[arg-type]
    await asyncio.sleep(5)
    assert loop.time() == 5.0
