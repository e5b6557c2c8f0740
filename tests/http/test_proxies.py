"""Proxies and certificates of the client's own session."""

from __future__ import annotations

import asyncio
import base64
import ssl
from collections.abc import AsyncIterator

import aiohttp
import pytest
import trustme

from aiocircle import ConfigurationError, ConnectionFailed, RetryPolicy
from tests.support.confidence import shown_by_library

X = "/api/v2/x"
PASSWORD = "hunter2-canary"
VARIABLES = ["HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy"]


@pytest.fixture(autouse=True)
def _no_proxies(monkeypatch):
    for name in [*VARIABLES, "REQUEST_METHOD"]:
        monkeypatch.delenv(name, raising=False)


class LocalProxy:
    """A proxy that forwards every request to one port of this machine."""

    def __init__(self, target: int) -> None:
        self.target = target
        self.heads: list[str] = []
        self.refusal = ""

    async def __aenter__(self) -> LocalProxy:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.tasks: set[asyncio.Task] = set()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.tasks.add(asyncio.current_task())
        try:
            await self._serve(reader, writer)
        except (ConnectionError, asyncio.CancelledError):
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        self.heads.append(head.decode())
        if self.refusal:
            writer.write(f"HTTP/1.1 {self.refusal}\r\nContent-Length: 0\r\n\r\n".encode())
            await writer.drain()
            writer.close()
            return
        there, back = await asyncio.open_connection("127.0.0.1", self.target)
        if head.startswith(b"CONNECT"):
            writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        else:
            method, url, rest = head.split(b" ", 2)
            back.write(b" ".join([method, b"/" + url.split(b"/", 3)[3], rest]))
        try:
            await asyncio.gather(self._copy(reader, back), self._copy(there, writer))
        finally:
            back.close()
            writer.close()

    async def _copy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            writer.write(data)
        writer.close()


@pytest.fixture
async def proxy(server) -> AsyncIterator[LocalProxy]:
    async with LocalProxy(server.port) as proxy:
        yield proxy


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
async def tls(server, authority) -> AsyncIterator[int]:
    """The scripted server over TLS, as api.example.test and localhost."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("api.example.test", "localhost").configure_cert(context)
    tls = await asyncio.start_server(server._accept, "127.0.0.1", 0, ssl=context)
    yield tls.sockets[0].getsockname()[1]
    tls.close()


@pytest.fixture
def trust(authority) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


@pytest.mark.parametrize("name", ["HTTP_PROXY", "http_proxy"])
async def test_proxy_of_the_environment_is_used(server, make, proxy, monkeypatch, name):
    """In upper and in lower case, with or without a scheme, read once by the first request."""
    monkeypatch.setenv(name, proxy.url.removeprefix("http://") if name.islower() else proxy.url)
    server.on(X, server.reply(200, {"a": 1}))
    # The second request over the same connection is passed on as it is.
    server.on(f"http://api.example.test{X}", server.reply(200, {"a": 1}))
    circle = make(base_url="http://api.example.test", allow_http=True)
    assert await circle.request("GET", X) == {"a": 1}
    monkeypatch.delenv(name)
    assert await circle.request("GET", X) == {"a": 1}
    assert proxy.heads[0].startswith("GET http://api.example.test/api/v2/x HTTP/1.1")
    assert server.requests[0].headers["Host"] == "api.example.test"


async def test_environment_never_applies_to_loopback(server, make, proxy, monkeypatch):
    """A local server for tests is reached directly."""
    monkeypatch.setenv("HTTP_PROXY", proxy.url)
    server.on(X, server.reply(200, {}))
    await make().request("GET", X)
    assert proxy.heads == []


@pytest.mark.parametrize("value", ["api.example.test", "*", ".example.test", "other, EXAMPLE.test"])
async def test_no_proxy_excludes_hosts(server, make, proxy, monkeypatch, value):
    """The host would have to be resolved: no proxy sees the request."""
    monkeypatch.setenv("HTTP_PROXY", proxy.url)
    monkeypatch.setenv("no_proxy", value)
    circle = make(base_url="http://api.example.test", allow_http=True, retry=RetryPolicy(attempts=1))
    with pytest.raises(ConnectionFailed):
        await circle.request("GET", X)
    assert proxy.heads == []


async def test_option_wins_over_the_environment(server, make, proxy, monkeypatch):
    """Also over NO_PROXY, and for a loopback host: the caller named it."""
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", "*")
    server.on(X, server.reply(200, {}))
    await make(proxy=proxy.url).request("GET", X)
    assert len(proxy.heads) == 1


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_https_goes_through_a_tunnel(server, make, proxy, tls, trust, canary, method):
    """The proxy sees neither the path nor the token, and its credentials do not reach the server."""
    proxy.target = tls
    server.on(X, server.reply(200, {}))
    url = proxy.url.replace("//", f"//ada:{PASSWORD}@")
    circle = make(base_url="https://api.example.test", proxy=url, ssl=trust)
    assert await circle.request(method, X) == {}
    [head] = proxy.heads
    assert head.startswith("CONNECT api.example.test:443 ")
    assert f"Basic {base64.b64encode(f'ada:{PASSWORD}'.encode()).decode()}" in head
    assert canary not in head
    assert "Proxy-Authorization" not in server.requests[0].headers


async def test_proxy_credentials_over_plain_http(server, make, proxy):
    """They are in the request to the proxy, decoded from the URL."""
    server.on(X, server.reply(200, {}))
    await make(proxy=proxy.url.replace("//", "//ada:p%40ss@")).request("GET", X)
    assert base64.b64encode(b"ada:p@ss").decode() in proxy.heads[0]


@pytest.mark.parametrize("refusal", ["407 Proxy Authentication Required", "403 Forbidden", "502 Bad Gateway"])
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_refused_tunnel_sent_nothing(server, make, proxy, trust, caplog, refusal, method):
    """The outcome is "not_done". No credentials of the proxy are shown anywhere."""
    caplog.set_level(1)
    proxy.refusal = refusal
    url = proxy.url.replace("//", f"//ada:{PASSWORD}@")
    circle = make(base_url="https://api.example.test", proxy=url, ssl=trust, retry=RetryPolicy(attempts=2))
    with pytest.raises(ConnectionFailed, match=f"the proxy refused the tunnel: {refusal[:3]}") as caught:
        await circle.request(method, X)
    assert caught.value.outcome == "not_done"
    encoded = base64.b64encode(f"ada:{PASSWORD}".encode()).decode()
    shown = shown_by_library(caught.value) + repr(circle) + repr(vars(circle)) + caplog.text
    assert PASSWORD not in shown
    assert encoded not in shown


async def test_dead_proxy_sent_nothing(make):
    """Nothing listens on the port: the request is repeated, also a POST, and was not sent."""
    circle = make(proxy=f"http://ada:{PASSWORD}@127.0.0.1:9", retry=RetryPolicy(attempts=2))
    with pytest.raises(ConnectionFailed) as caught:
        await circle.request("POST", X)
    assert (caught.value.outcome, caught.value.attempts) == ("not_done", 2)
    assert PASSWORD not in shown_by_library(caught.value)


async def test_invalid_certificate_is_not_retried(server, make, tls, trust, no_leaks):
    """The message names ssl=, with which the same request succeeds."""
    server.on(X, server.reply(200, {}))
    base_url = f"https://localhost:{tls}"
    with pytest.raises(ConnectionFailed, match="ssl=") as caught:
        await make(base_url=base_url).request("GET", X)
    assert (caught.value.attempts, caught.value.outcome) == (1, "not_done")
    assert "certificate" in str(caught.value)
    assert await make(base_url=base_url, ssl=trust).request("GET", X) == {}
    assert {complaint["message"] for complaint in no_leaks} <= {"Error on transport creation for incoming connection"}
    no_leaks.clear()


@pytest.mark.parametrize("option", ["proxy", "ssl"])
async def test_options_of_the_own_session_only(make, option, trust):
    """A caller's session has its own proxy and context."""
    async with aiohttp.ClientSession() as session:
        with pytest.raises(ConfigurationError, match=f"{option} must be omitted with session"):
            make(session=session, **{option: trust if option == "ssl" else "http://proxy.example.com"})


@pytest.mark.parametrize("bad", ["socks5://h:1", "http://", "ftp://x", "no-scheme:3128", f"http://ada:{PASSWORD}@[bad"])
def test_proxy_must_be_an_http_url(make, bad):
    """The message does not repeat it: it may have a password."""
    with pytest.raises(ConfigurationError, match="proxy must be the URL of an HTTP proxy") as caught:
        make(proxy=bad)
    assert PASSWORD not in shown_by_library(caught.value)


async def test_bad_variable_is_named(make, monkeypatch):
    """The error has the type, and not the value."""
    monkeypatch.setenv("HTTPS_PROXY", f"socks5://ada:{PASSWORD}@h:1")
    with pytest.raises(ConfigurationError, match="HTTPS_PROXY must be") as caught:
        await make(base_url="https://api.example.test").request("GET", X)
    assert PASSWORD not in shown_by_library(caught.value)
