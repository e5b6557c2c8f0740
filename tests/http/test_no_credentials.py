"""auth="none", the variables of the token, and a gateway's path."""

from __future__ import annotations

import copy

import pytest

from aiocircle import CircleCI, ConfigurationError, InvalidArgument
from tests.support.confidence import shown_by_library
from tests.support.rows import each_row

VARIABLES = ["CIRCLECI_TOKEN", "CIRCLE_TOKEN", "CIRCLECI_CLI_TOKEN"]
TOKEN = "canary-7f3b-0123456789"


async def test_auth_none_sends_no_credentials(server, make, monkeypatch):
    """No token of the environment is read, not even a malformed one."""
    for name in VARIABLES:
        monkeypatch.setenv(name, "bad\ntoken")
    server.on("/api/v2/x", server.reply(200, {}))
    await make(token=None, auth="none").request("GET", "/api/v2/x")
    [request] = server.requests
    assert not {"Circle-Token", "Authorization", "Cookie"} & {*request.headers}


def test_auth_none_refuses_a_token():
    """One of the two is a mistake."""
    with pytest.raises(ConfigurationError, match='auth="none"') as caught:
        CircleCI(TOKEN, auth="none")
    assert TOKEN not in str(caught.value)


@pytest.mark.parametrize("name", VARIABLES)
async def test_token_is_read_from_each_variable(server, make, monkeypatch, name):
    """Each of the three names, without white space at the ends."""
    monkeypatch.delenv("CIRCLECI_CLI_TOKEN", raising=False)
    monkeypatch.setenv(name, f" {TOKEN}\n")
    server.on("/api/v2/x", server.reply(200, {}))
    await make(token=None).request("GET", "/api/v2/x")
    assert server.requests[0].headers["Circle-Token"] == TOKEN


def test_missing_token_names_the_remedies(monkeypatch):
    """The message names the variables and auth="none"."""
    monkeypatch.delenv("CIRCLECI_CLI_TOKEN", raising=False)
    with pytest.raises(ConfigurationError) as caught:
        CircleCI()
    assert all(name in str(caught.value) for name in [*VARIABLES, 'auth="none"'])


@each_row(
    "option",
    [
        *["auth", "timeout", "max_concurrency", "base_url", "session", "retry", "throttle", "trace_configs"],
        *["allow_http", "proxy", "ssl", "on_retry"],
    ],
)
def test_misplaced_token_is_not_repeated(option):
    """Neither the message has them nor the local variables of any of the library's frames."""
    with pytest.raises(ConfigurationError, match=option) as caught:
        CircleCI("another", **{option: TOKEN})
    assert TOKEN not in shown_by_library(caught.value)


@pytest.mark.parametrize("base", ["/circleci", "/a/b/", "/gw%20x"])
async def test_base_url_may_have_a_gateways_path(server, make, base):
    """It stands before `/api` in every request, also in pages and redirects."""
    circle = make(base_url=server.url + base)
    path = base.rstrip("/") + "/api/v2/me"
    server.on(path, server.reply(200, {"id": "1", "login": "ada", "name": "Ada"}))
    await circle.users.me()
    assert server.requests[0].path == path
    assert circle.base_url == server.url + base.rstrip("/")
    await circle.request("GET", "/api/v2/me")
    assert server.requests[1].path == path


@each_row("path", ["/api/v2", "/api", "/x/api/v1.1/", "/a/../b", "/a//b", "/%2e%2e", "?x=1", "#x"])
def test_base_url_refuses_other_paths(path):
    """The client adds `/api/v2` itself, and a dot segment leads elsewhere."""
    with pytest.raises(ConfigurationError, match="base_url"):
        CircleCI("token", base_url=f"https://gw.example.com{path}")


@pytest.mark.parametrize(
    "path",
    [
        *["/api/v2/..%2fx", "/api/v2/%2e%2e%2fx", "/api/v2/..;/x", "/api/v2/.;a=1/x", "/api/v2/%252e%252e/x"],
        *["/api/v2/..%5cx", "/api/v2/a%2f../x", "/api/v2/%2E%2E;x/y", "/api/v2/a%00", "/api/v2/a%0d%0ab"],
        *["/api/v2/%80", "/api/v2/%c0%ae%c0%ae/x", "/%ff?a=b"],
    ],
)
async def test_encoded_dot_segments_are_refused(server, circle, path):
    """Servers and proxies decode and resolve in different orders."""
    with pytest.raises(InvalidArgument, match="path must not"):
        await circle.request("GET", path)
    assert server.requests == []


async def test_a_url_as_path_names_the_remedy(server, circle):
    """An artifact's URL is not a path: another method reads it."""
    with pytest.raises(InvalidArgument, match=r"got a URL.*stream_artifact"):
        await circle.request("GET", "https://output.circle-artifacts.com/a?token=x")
    assert server.requests == []


async def test_a_copy_closes_nothing(server, make):
    """As a copy made by with_options."""
    server.on("/api/v2/x", server.reply(200, {}))
    circle = make()
    await circle.request("GET", "/api/v2/x")
    await copy.copy(circle).close()
    async with circle.with_options(timeout=3):
        pass
    assert await circle.request("GET", "/api/v2/x") == {}
    assert len({request.connection for request in server.requests}) == 1
