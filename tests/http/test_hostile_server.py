"""A call to a hostile server ends in a result or a CircleCIError, in time, and the client can be used afterwards."""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from aiocircle import APIError, CircleCI, CircleCIError, DecodeError, RetryPolicy
from aiocircle.resources.users import User
from tests.support.attacks import ATTACKS, BIG, GOOD, LIMIT, Attack, Hostile, good
from tests.support.loops import iterate
from tests.support.scripted_server import reply
from tests.support.stress import Tally, assert_nothing_held, ending
from tests.support.thorough import THOROUGH

PATH = "/api/v2/attacked"


@pytest.fixture
async def server(no_leaks: object) -> AsyncIterator[Hostile]:
    async with Hostile() as server:
        server.on("/api/v2/good", good())
        yield server


@pytest.fixture
async def make(server: Hostile) -> AsyncIterator[Callable[..., CircleCI]]:
    made: list[CircleCI] = []

    def client(**options: Any) -> CircleCI:
        circle = CircleCI(**{"token": "t", "base_url": server.url, "timeout": 5.0, **options})
        circle._executor.state.transport._max_body = LIMIT
        made.append(circle)
        return circle

    yield client
    for each in made:
        await each.close()


@pytest.fixture(autouse=True)
def lenient(monkeypatch: pytest.MonkeyPatch) -> None:
    """aiohttp parses HTTP strictly in debug mode. Here it parses as in production."""
    monkeypatch.setattr("aiohttp._http_parser.DEBUG", False)


class Victims:
    """Makes a client and attacks it."""

    def __init__(self, server: Hostile, make: Callable[..., CircleCI], tally: Tally) -> None:
        self.server = server
        self.make = make
        self.tally = tally

    async def attacked(
        self, attack: Attack, call: Callable[[CircleCI], Awaitable[object]], *, attempts: int = 1, get: bool = True
    ) -> object:
        """Return the result or error of a call of a new client under an attack."""
        circle = self.make(retry=RetryPolicy(attempts=attempts, base=0))
        times = 2 if attack.resent and get else 1
        self.server.welcomes = [] if attack.welcome is None else [attack.welcome] * times
        last = attack.script if attack.for_ever and attack.script is not None else good()
        self.server.on(PATH, *([] if attack.script is None else [attack.script] * times), last)
        self.tally["faults"] += times
        before = len(self.server.requests)
        result = await ending(call(circle), self.tally, within=10 if attempts == 1 else 200)
        self.tally["requests"] += len(self.server.requests) - before
        await assert_nothing_held(circle, self.tally)
        await asyncio.sleep(2)  # What comes late has come.
        # The next call gets its own response.
        self.server.welcomes = []
        again = await ending(circle.request("GET", "/api/v2/good"), self.tally, within=10)
        if again != GOOD:
            raise self.tally.failed("lost", f"the next call got {again!r}")
        await assert_nothing_held(circle, self.tally)
        await circle.close()
        return result


def matches(result: object, attack: Attack) -> bool:
    return isinstance(result, attack.ends) if attack.fails else result == attack.ends


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
async def test_each_attack_ends_as_declared(
    server: Hostile, make: Callable[..., CircleCI], tally: Tally, attack: Attack
) -> None:
    """Each attack ends in the declared result or error, in time, and the client can be used afterwards."""
    victims = Victims(server, make, tally)
    result = await victims.attacked(attack, lambda circle: circle.request("GET", PATH))
    print(repr(result)[:1000])
    assert matches(result, attack)
    if attack.fails:
        # One line of what can be printed, and nothing but the server's own words in a proper place.
        assert str(result).isprintable()
        assert len(str(result)) < 1000

    result = await victims.attacked(attack, lambda circle: circle.request("POST", PATH, json={}), get=False)
    print(repr(result)[:1000])
    if attack.fails:
        assert isinstance(result, CircleCIError)
        assert result.outcome == attack.outcome or (attack.outcome == "unknown" and isinstance(result, DecodeError))

    if attack in BIG and not THOROUGH:
        return  # The bytes are the same.
    result = await victims.attacked(attack, lambda circle: circle.request("GET", PATH, into=User))
    assert matches(result, attack) or isinstance(result, DecodeError | User)

    result = await victims.attacked(attack, lambda circle: circle.request_pages(PATH).collect())
    assert isinstance(result, list | CircleCIError)


@pytest.mark.parametrize(
    "attack", [attack for attack in ATTACKS if THOROUGH or attack not in BIG], ids=lambda attack: attack.name
)
async def test_retry_overcomes_transient_attacks(
    server: Hostile, make: Callable[..., CircleCI], tally: Tally, attack: Attack
) -> None:
    """A GET succeeds after a retry if the attack is transient. Otherwise it is not retried."""
    victims = Victims(server, make, tally)
    result = await victims.attacked(attack, lambda circle: circle.request("GET", PATH), attempts=2)
    assert result == GOOD if attack.passing else matches(result, attack)

    await victims.attacked(attack, lambda circle: circle.request("POST", PATH, json={}), attempts=2, get=False)
    posted = [request for request in server.received(PATH) if request.method == "POST"]
    if len(posted) > 1 and attack.outcome != "not_done":
        raise tally.failed("doubled", "a POST that may have been done was sent again")


# --- redirects ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PATCH", "PUT", "DELETE"])
async def test_redirects_stay_on_host_and_repeat_no_change(
    server: Hostile, make: Callable[..., CircleCI], tally: Tally, method: str, status: int
) -> None:
    """A redirect is never followed to another host, and a redirected change is never repeated."""
    circle = make()
    async with Hostile() as other:
        elsewhere = f"127.0.0.1:{other.port}/stolen"
        for target in (
            f"http://{elsewhere}",
            f"//{elsewhere}",
            f"http://localhost:{other.port}/stolen",
            f"http://127.0.0.1:{server.port}@{elsewhere}",
            f"http://ada:secret@127.0.0.1:{server.port}/stolen",
            f"http:\\\\{elsewhere}",
            f"https://127.0.0.1:{server.port}/stolen",
            f"  http://{elsewhere}",
            f"HTTP://{elsewhere}#x",
        ):
            moved = reply(status, headers={"Location": target})
            server.on(PATH, moved)
            tally["faults"] += 1
            result = await ending(circle.request(method, PATH), tally, within=60)
            assert isinstance(result, APIError)
            assert "secret" not in f"{result!r}{result.headers}"
        # Within the host only a GET follows.
        server.on(PATH, reply(status, headers={"Location": "/api/v2/good"}))
        result = await ending(circle.request(method, PATH), tally, within=60)
        assert result == GOOD if method == "GET" else method == "HEAD" or isinstance(result, APIError)
        tally["requests"] += len(server.requests)
        assert other.accepted == 0
    assert server.received("/stolen") == []
    assert len([each for each in server.received("/api/v2/good") if each.method not in ("GET", "HEAD")]) == 0
    await assert_nothing_held(circle, tally)


async def test_redirect_to_plain_http_is_not_followed(
    no_leaks: object, tally: Tally, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A redirect from https to http is not followed."""
    served = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    served.load_cert_chain(certificate)
    monkeypatch.setattr(asyncio, "start_server", partial(asyncio.start_server, ssl=served))
    async with Hostile() as server:
        monkeypatch.undo()
        async with Hostile() as plain:
            connector = aiohttp.TCPConnector(ssl=ssl.create_default_context(cafile=str(certificate)))
            async with aiohttp.ClientSession(connector=connector) as session:
                circle = CircleCI("t", base_url=f"https://127.0.0.1:{server.port}", session=session)
                server.on("/api/v2/good", good())
                assert await circle.request("GET", "/api/v2/good") == GOOD
                for port in (server.port, plain.port):
                    server.on(PATH, reply(302, headers={"Location": f"http://127.0.0.1:{port}/stolen"}))
                    assert isinstance(await ending(circle.request("GET", PATH), tally, within=60), APIError)
            await iterate()
        assert plain.accepted == 0
        assert server.received("/stolen") == []
    await asyncio.sleep(0.1)


# --- memory --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "attack",
    BIG,
    ids=lambda attack: attack.name,
)
async def test_response_memory_is_bounded(
    server: Hostile, make: Callable[..., CircleCI], tally: Tally, attack: Attack
) -> None:
    """A response of any size takes no more memory than a few times the limit."""
    before = peak_memory()
    await Victims(server, make, tally).attacked(attack, lambda circle: circle.request("GET", PATH))
    assert peak_memory() - before < 5 * LIMIT


def peak_memory() -> int:
    """The most memory that this process had since the last call, in bytes."""
    status = Path("/proc/self/status").read_text("utf-8")
    Path("/proc/self/clear_refs").write_text("5")
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    assert found
    return int(found[1]) * 1024
