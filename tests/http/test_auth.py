"""The token: where it comes from, how it is sent, and what is refused before anything is sent."""

from __future__ import annotations

import base64
import os

import pytest

from aiocircle import CircleCI, ConfigurationError, RetryPolicy, Throttle
from tests.support.rows import each_row


@pytest.fixture(autouse=True)
def _me(server):
    server.on("/api/v2/me", server.reply(200, {"id": "1", "login": "ada", "name": "Ada"}))


async def test_token_is_in_the_circle_token_header_only(server, make, canary):
    """By default the token is in the header Circle-Token and nowhere else."""
    await make().users.me()
    [request] = server.requests
    assert request.headers["Circle-Token"] == canary
    assert "Authorization" not in request.headers
    assert canary not in request.target


async def test_bearer_token(server, make, canary):
    """With auth="bearer" the token is a bearer token."""
    await make(auth="bearer").users.me()
    [request] = server.requests
    assert request.headers["Authorization"] == f"Bearer {canary}"
    assert "Circle-Token" not in request.headers


async def test_basic_auth_has_the_token_as_user(server, make, canary):
    """With auth="basic" the token is the user, with an empty password."""
    await make(auth="basic").users.me()
    [request] = server.requests
    scheme, _, value = request.headers["Authorization"].partition(" ")
    assert scheme == "Basic"
    assert base64.b64decode(value).decode() == f"{canary}:"
    assert "Circle-Token" not in request.headers


def test_unknown_auth_is_refused():
    """Another value of auth raises ConfigurationError."""
    with pytest.raises(ConfigurationError, match="auth must be"):
        CircleCI("token", auth="query")  # type: ignore[arg-type]


async def test_white_space_around_the_token_is_stripped(server, make):
    """White space around the token is stripped: a token read from a file ends in a line break."""
    await make(token=" \t secret\r\n").users.me()
    assert server.requests[0].headers["Circle-Token"] == "secret"


@each_row("token", ["a\nb", "a\r\nHost: evil", "a\x00b", "a b", "a\x7fb", "tökén", "a\u2028b"])
def test_token_unfit_for_a_header_is_refused(token):
    """A token that a header cannot contain raises ConfigurationError, which does not show it."""
    with pytest.raises(ConfigurationError, match="character that no header can carry") as caught:
        CircleCI(token)
    assert token not in str(caught.value)


@pytest.mark.parametrize("token", ["", "  \n"])
def test_empty_token_is_refused(token, monkeypatch):
    """An empty token raises ConfigurationError, which names the environment variables."""
    monkeypatch.setenv("CIRCLECI_TOKEN", "from-the-environment")
    with pytest.raises(ConfigurationError, match=r"CIRCLECI_TOKEN.*CIRCLE_TOKEN"):
        CircleCI(token)


@pytest.mark.parametrize("token", [b"bytes", 5, object()])
def test_token_that_is_not_text_is_refused(token):
    """A token of another type raises ConfigurationError: str(b"abc") would be sent as "b'abc'"."""
    with pytest.raises(ConfigurationError, match="token"):
        CircleCI(token)


def test_missing_token_is_refused():
    """Without a token the constructor raises ConfigurationError, which names the environment variables."""
    with pytest.raises(ConfigurationError, match=r"CIRCLECI_TOKEN.*CIRCLE_TOKEN"):
        CircleCI()


async def test_circleci_token_comes_before_circle_token(server, make, monkeypatch):
    """CIRCLECI_TOKEN is used before CIRCLE_TOKEN."""
    monkeypatch.setenv("CIRCLE_TOKEN", "second")
    await make(token=None).users.me()
    monkeypatch.setenv("CIRCLECI_TOKEN", "first")
    await make(token=None).users.me()
    monkeypatch.setenv("CIRCLECI_TOKEN", " \n")
    await make(token=None).users.me()
    assert [request.headers["Circle-Token"] for request in server.requests] == ["second", "first", "second"]


async def test_token_argument_comes_before_variables(server, make, monkeypatch):
    """The argument is used before the environment."""
    monkeypatch.setenv("CIRCLECI_TOKEN", "environment")
    await make(token="argument").users.me()
    assert server.requests[0].headers["Circle-Token"] == "argument"


async def test_environment_is_read_by_the_constructor(server, make, monkeypatch):
    """The token is read when the client is made, neither at import nor later."""
    monkeypatch.setenv("CIRCLECI_TOKEN", "then")
    circle = make(token=None)
    monkeypatch.setenv("CIRCLECI_TOKEN", "now")
    await circle.users.me()
    assert server.requests[0].headers["Circle-Token"] == "then"


# --- base_url ------------------------------------------------------------------------------------------------


def test_default_host_is_circleci_com():
    """The default host is circleci.com."""
    assert CircleCI("token").base_url == "https://circleci.com"


@pytest.mark.parametrize(
    ("given", "root"),
    [
        ("https://circleci.example.com", "https://circleci.example.com"),
        ("https://circleci.example.com/", "https://circleci.example.com"),
        ("  https://circleci.example.com:8443// \n", "https://circleci.example.com:8443"),
        ("HTTPS://CircleCI.Example.Com", "https://circleci.example.com"),
        ("https://bücher.example", "https://xn--bcher-kva.example"),
        ("http://localhost:8080", "http://localhost:8080"),
        ("http://127.0.0.1:1", "http://127.0.0.1:1"),
        ("http://127.8.8.8", "http://127.8.8.8"),
        ("http://[::1]:9", "http://[::1]:9"),
    ],
)
def test_base_url_is_the_root_of_a_host(given, root, monkeypatch):
    """A base URL is the root of a host."""
    assert CircleCI("token", base_url=given).base_url == root
    # In the C locale setenv() cannot encode every host.
    monkeypatch.setattr("os.environ", {**os.environ, "CIRCLECI_BASE_URL": given})
    assert CircleCI("token").base_url == root


def test_base_url_argument_comes_before_variable(monkeypatch):
    """The argument is used before CIRCLECI_BASE_URL."""
    monkeypatch.setenv("CIRCLECI_BASE_URL", "https://environment.example")
    assert CircleCI("token", base_url="https://argument.example").base_url == "https://argument.example"


def test_empty_base_url_variable_is_ignored(monkeypatch):
    """An empty CIRCLECI_BASE_URL is ignored."""
    monkeypatch.setenv("CIRCLECI_BASE_URL", " ")
    assert CircleCI("token").base_url == "https://circleci.com"


@each_row(
    "given",
    [
        "",
        "circleci.com",
        "ftp://circleci.com",
        "https://",
        "https:///api",
        "https://circleci.com/api/v2",
        "https://circleci.com?x=1",
        "https://circleci.com#x",
        "https://circleci.com:port",
        "https://circleci.com:99999",
        "https://circle ci.com",
        "https://circleci.com\n.evil.example",
        "https://circleci.com\\@evil.example",
        "https://[::1",
        "https://a..b",
        "//circleci.com",
        5,
    ],
)
def test_invalid_base_url_is_refused(given):
    """Another base URL raises ConfigurationError, also an empty one: a token must not go to circleci.com by mistake."""
    with pytest.raises(ConfigurationError, match="base_url"):
        CircleCI("token", base_url=given)


def test_base_url_with_credentials_is_refused():
    """Credentials in the base URL raise ConfigurationError, which does not show them."""
    with pytest.raises(ConfigurationError, match="credentials") as caught:
        CircleCI("token", base_url="https://ada:hunter2@circleci.com")
    assert "hunter2" not in str(caught.value)


@each_row("host", ["circleci.example.com", "10.0.0.1", "127.0.0.1.evil.example", "localhost.evil.example", "0.0.0.0"])
def test_plain_http_is_for_loopback_unless_allowed(host):
    """Plain http is only for loopback, unless it is allowed."""
    with pytest.raises(ConfigurationError, match="allow_http"):
        CircleCI("token", base_url=f"http://{host}")
    assert CircleCI("token", base_url=f"http://{host}", allow_http=True).base_url == f"http://{host}"


# --- the other options ---------------------------------------------------------------------------------------


@each_row(
    "options",
    [
        {"timeout": 0},
        {"timeout": -1.0},
        {"timeout": float("nan")},
        {"timeout": float("inf")},
        {"timeout": True},
        {"timeout": "30"},
        {"max_concurrency": 0},
        {"max_concurrency": 1.5},
        {"max_concurrency": True},
        {"retry": 5},
        {"retry": None},
        {"throttle": 5},
        {"session": "no session"},
    ],
)
def test_invalid_option_is_refused(options):
    """An invalid option of the client raises ConfigurationError in the constructor."""
    with pytest.raises(ConfigurationError):
        CircleCI("token", **options)


@each_row(
    "options",
    [{"attempts": 0}, {"attempts": 1.0}, {"base": -1}, {"cap": float("inf")}, {"max_wait": float("nan")}],
)
def test_invalid_retry_policy_is_refused(options):
    """An invalid option of a retry policy raises an error in the constructor."""
    with pytest.raises(ConfigurationError, match=r"must be .*, got .*\. "):
        RetryPolicy(**options)


def test_unused_client_needs_no_loop_and_no_close():
    """A client can be made at module level. It opens nothing before its first request."""
    circle = CircleCI("token", throttle=Throttle())
    assert circle.rate_limits == {}
    assert circle.deprecations == {}
    assert repr(circle) == "<CircleCI at https://circleci.com>"
