"""The token of files: which host gets which header, over redirects between all kinds of hosts."""

from __future__ import annotations

import random
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import product
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from yarl import URL

from aiocircle import CircleCI, InvalidArgument, RetryPolicy, Unauthorized
from aiocircle._core.streams import check_url, receives_token
from aiocircle.errors import DownloadError
from tests.support.rows import each_row
from tests.support.thorough import scaled

TOKEN = "CCIPAT_a-secret-token"
API, ARTIFACTS, PROJECT = "circleci.test", "output.circle-artifacts.com", "9-123-gh.circle-artifacts.com"
STORAGE, LOOKALIKE = "bucket.s3.amazonaws.com", "circle-artifacts.com.evil.test"
HOSTS = [API, ARTIFACTS, PROJECT, STORAGE, LOOKALIKE]


@each_row(
    ("url", "expected"),
    [
        ("https://circleci.com/api/v3/jobs/1/stdout", True),
        ("https://circleci.com:443/x", True),
        ("https://CIRCLECI.com/x", True),
        ("https://output.circle-artifacts.com/output/job/1", True),
        ("https://9-1-gh.circle-artifacts.com/0/x", True),
        ("https://circle-artifacts.com/x", True),
        ("http://output.circle-artifacts.com/x", False),
        ("http://circleci.com/x", False),
        ("https://circleci.com:8443/x", False),
        ("https://output.circle-artifacts.com:8443/x", False),
        ("https://app.circleci.com/x", False),
        ("https://circle-artifacts.com.evil.test/x", False),
        ("https://evilcircle-artifacts.com/x", False),
        ("https://bucket.s3.amazonaws.com/x", False),
    ],
)
def test_the_hosts_that_get_the_token(url: str, expected: bool) -> None:
    """The API's own host and, over https and its port, CircleCI's hosts of artifacts."""
    assert receives_token(URL(url), "https://circleci.com") is expected


@pytest.mark.parametrize(
    "url",
    [
        None,
        5,
        "",
        "x",
        "/x",
        "ftp://h/x",
        "file:///etc/passwd",
        "https:///x",
        "https://user:pass@output.circle-artifacts.com/x",
        "https://user@h/x",
        "https://h:99999/x",
        "https://h/a\r\nX: y",
        "https://h/\x00",
    ],
)
async def test_a_bad_url_is_refused(url: Any) -> None:
    """Immediately, without showing it: it may hold credentials."""
    with pytest.raises(InvalidArgument, match=r"^artifact_or_url must be an http or https URL") as caught:
        check_url(url, "artifact_or_url")
    assert "pass" not in str(caught.value)
    async with CircleCI(TOKEN) as circle:
        with pytest.raises(InvalidArgument):
            circle.jobs.stream_artifact(url)


class Resolver(aiohttp.abc.AbstractResolver):
    """All names lead to two local ports: one with TLS and one without."""

    def __init__(self, ports: dict[int, int]) -> None:
        self.ports = ports

    async def resolve(self, host: str, port: int = 0, family: int = socket.AF_INET) -> list[Any]:
        return [
            {
                "hostname": host,
                "host": "127.0.0.1",
                "port": self.ports[port],
                "family": socket.AF_INET,
                "proto": 0,
                "flags": 0,
            }
        ]

    async def close(self) -> None:
        pass


class Hosts:
    """Servers of all hosts. `routes` maps a URL's scheme, host and path to the Location that it redirects to."""

    def __init__(self) -> None:
        self.routes: dict[str, str] = {}
        self.seen: list[tuple[str, str | None]] = []
        self.headers: list[dict[str, str]] = []
        self.status = 200
        self.refused: set[str] = set()

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        token = request.headers.get("Circle-Token") or request.headers.get("Authorization")
        assert "Cookie" not in request.headers
        url = f"{request.scheme}://{request.host}{request.path}"
        self.seen.append((url, token))
        self.headers.append(dict(request.headers))
        if token in self.refused:
            return web.Response(status=401)
        if url in self.routes:
            return web.Response(status=302, headers={"Location": self.routes[url]})
        return web.Response(status=self.status, body=b"content")


@asynccontextmanager
async def running(certificate: Path) -> AsyncIterator[tuple[Hosts, aiohttp.ClientSession]]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    hosts = Hosts()
    runner = web.ServerRunner(web.Server(hosts.handle, access_log=None))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    ports = [address[1] for address in runner.addresses]
    resolver = Resolver({443: ports[0], 80: ports[1]})
    connector = aiohttp.TCPConnector(resolver=resolver, ssl=False, force_close=True)
    try:
        async with aiohttp.ClientSession(connector=connector) as session:
            yield hosts, session
    finally:
        await runner.cleanup()


async def read(circle: CircleCI, url: str) -> bytes:
    return b"".join([chunk async for chunk in circle.jobs.stream_artifact(url)])


@pytest.mark.parametrize("auth", ["circle-token", "bearer", "basic"])
async def test_the_token_over_every_redirect(certificate: Path, auth: Any) -> None:
    """Chains of two redirects between six kinds of hosts: the token nowhere but where the rule permits it."""
    async with running(certificate) as (hosts, session):
        circle = CircleCI(TOKEN, base_url=f"https://{API}", session=session, auth=auth)
        places = [f"https://{host}" for host in HOSTS] + [f"http://{ARTIFACTS}"]
        trusted = {f"https://{API}", f"https://{ARTIFACTS}", f"https://{PROJECT}"}
        chains = list(product(places, repeat=3))
        for first, second, third in random.sample(chains, scaled(40, len(chains))):
            hosts.seen.clear()
            hosts.routes = {f"{first}/1": f"{second}/2", f"{second}/2": f"{third}/3?X-Amz-Signature=s"}
            assert await read(circle, f"{first}/1") == b"content"
            assert [url for url, _ in hosts.seen] == [f"{first}/1", f"{second}/2", f"{third}/3"]
            may = True
            for place, (_, token) in zip((first, second, third), hosts.seen, strict=True):
                may = may and place in trusted
                assert (token is not None) is may, (first, second, third)


async def test_range_headers_follow_a_redirect(certificate: Path) -> None:
    """The storage gets what makes a range, the User-Agent, and nothing that names the client's account."""
    async with running(certificate) as (hosts, session):
        circle = CircleCI(TOKEN, base_url=f"https://{API}", session=session)
        hosts.routes = {f"https://{ARTIFACTS}/1": f"https://{STORAGE}/2?a=%2F%2B+%7E"}
        await read(circle, f"https://{ARTIFACTS}/1")
        first, second = hosts.headers
        assert first.keys() - second.keys() == {"Circle-Token"}
        assert second.keys() == {"Host", "Accept", "User-Agent", "Accept-Encoding", "Connection"}
        assert second["Accept-Encoding"] == "identity"


@pytest.mark.parametrize("location", ["ftp://h/x", "https://user:pass@h/x", "file:///etc/passwd", "https://h:0x1/"])
async def test_a_strange_redirect_is_not_followed(certificate: Path, location: str) -> None:
    """It is the response, which is not the file."""
    async with running(certificate) as (hosts, session):
        circle = CircleCI(TOKEN, base_url=f"https://{API}", session=session)
        hosts.routes = {f"https://{ARTIFACTS}/1": location}
        with pytest.raises(DownloadError, match="302"):
            await read(circle, f"https://{ARTIFACTS}/1")


async def test_redirects_have_an_end(certificate: Path) -> None:
    """A host that redirects to itself without end costs some requests, not all."""
    async with running(certificate) as (hosts, session):
        circle = CircleCI(TOKEN, base_url=f"https://{API}", session=session)
        hosts.routes = {f"https://{STORAGE}/1": f"https://{PROJECT}/1", f"https://{PROJECT}/1": f"https://{STORAGE}/1"}
        with pytest.raises(DownloadError, match="302"):
            await read(circle, f"https://{STORAGE}/1")
        assert len(hosts.seen) == 6


async def test_a_refused_token_is_unauthorized(certificate: Path) -> None:
    """A 401 to a request with the token; one without it is about the file's own signature."""
    async with running(certificate) as (hosts, session):
        circle = CircleCI(TOKEN, base_url=f"https://{API}", session=session, retry=RetryPolicy(attempts=2))
        hosts.status = 401
        with pytest.raises(Unauthorized):
            await read(circle, f"https://{ARTIFACTS}/1")
        with pytest.raises(DownloadError, match="401"):
            await read(circle, f"https://{STORAGE}/1")
        assert circle._executor.state.places.free == circle.max_concurrency
        assert circle._executor.state.file_places.free == circle.max_concurrency // 2


async def test_a_refused_token_is_renewed(certificate: Path) -> None:
    """A provider is called before the first file and after a 401; the file is opened once more, from its first URL."""
    async with running(certificate) as (hosts, session):
        tokens = iter(["first", "second", "third"])
        circle = CircleCI(lambda: next(tokens), base_url=f"https://{API}", session=session)
        hosts.refused = {"first"}
        hosts.routes = {f"https://{API}/1": f"https://{ARTIFACTS}/2"}
        assert await read(circle, f"https://{API}/1") == b"content"
        assert [token for _, token in hosts.seen] == ["first", "second", "second"]
        hosts.refused = {"second", "third"}
        with pytest.raises(Unauthorized):
            await read(circle, f"https://{API}/1")
        assert circle._executor.state.file_places.free == circle.max_concurrency // 2
