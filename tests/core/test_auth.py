"""The token: where it comes from, how it is sent, and what is refused before anything is sent."""

from __future__ import annotations

import base64

import pytest

from aiocircle import CircleCI, ConfigurationError, RetryPolicy, Throttle


@pytest.fixture(autouse=True)
def _me(server):
    server.on("/api/v2/me", server.reply(200, {"id": "1", "login": "ada", "name": "Ada"}))


async def test_the_token_goes_into_the_circle_token_header_and_nowhere_else(server, make, canary):
    await make().users.me()
    [request] = server.requests
    assert request.headers["Circle-Token"] == canary
    assert "Authorization" not in request.headers
    assert canary not in request.target


async def test_a_bearer_token(server, make, canary):
    await make(auth="bearer").users.me()
    [request] = server.requests
    assert request.headers["Authorization"] == f"Bearer {canary}"
    assert "Circle-Token" not in request.headers


async def test_basic_auth_has_the_token_as_user_and_an_empty_password(server, make, canary):
    await make(auth="basic").users.me()
    [request] = server.requests
    scheme, _, value = request.headers["Authorization"].partition(" ")
    assert scheme == "Basic"
    assert base64.b64decode(value).decode() == f"{canary}:"
    assert "Circle-Token" not in request.headers


def test_another_way_to_authenticate_is_refused():
    with pytest.raises(ConfigurationError, match="auth must be"):
        CircleCI("token", auth="query")  # type: ignore[arg-type]


async def test_white_space_around_the_token_is_stripped(server, make):
    """A token read from a file ends in a line break, which would break the header."""
    await make(token=" \t secret\r\n").users.me()
    assert server.requests[0].headers["Circle-Token"] == "secret"


@pytest.mark.parametrize("token", ["a\nb", "a\r\nHost: evil", "a\x00b", "a b", "a\x7fb", "tökén", "a\u2028b"])
def test_a_token_that_no_header_can_carry_is_refused_without_being_shown(token):
    with pytest.raises(ConfigurationError, match="character that no header can carry") as caught:
        CircleCI(token)
    assert token not in str(caught.value)


@pytest.mark.parametrize("token", ["", "  \n"])
def test_an_empty_token_is_refused_and_the_variables_are_named(token, monkeypatch):
    monkeypatch.setenv("CIRCLECI_TOKEN", "from-the-environment")
    with pytest.raises(ConfigurationError, match=r"CIRCLECI_TOKEN.*CIRCLE_TOKEN"):
        CircleCI(token)


@pytest.mark.parametrize("token", [b"bytes", 5, object()])
def test_a_token_that_is_no_text_is_refused(token):
    """str(b"abc") would be sent as "b'abc'", and answered with a puzzling 401."""
    with pytest.raises(ConfigurationError, match="token"):
        CircleCI(token)


def test_no_token_anywhere_is_refused_at_once_and_the_variables_are_named():
    with pytest.raises(ConfigurationError, match=r"CIRCLECI_TOKEN.*CIRCLE_TOKEN"):
        CircleCI()


async def test_circleci_token_comes_before_circle_token(server, make, monkeypatch):
    monkeypatch.setenv("CIRCLE_TOKEN", "second")
    await make(token=None).users.me()
    monkeypatch.setenv("CIRCLECI_TOKEN", "first")
    await make(token=None).users.me()
    monkeypatch.setenv("CIRCLECI_TOKEN", " \n")
    await make(token=None).users.me()
    assert [request.headers["Circle-Token"] for request in server.requests] == ["second", "first", "second"]


async def test_the_argument_comes_before_the_environment(server, make, monkeypatch):
    monkeypatch.setenv("CIRCLECI_TOKEN", "environment")
    await make(token="argument").users.me()
    assert server.requests[0].headers["Circle-Token"] == "argument"


async def test_the_environment_is_read_when_the_client_is_made(server, make, monkeypatch):
    """Not at import, and not later: a client goes on with the token that it was made with."""
    monkeypatch.setenv("CIRCLECI_TOKEN", "then")
    circle = make(token=None)
    monkeypatch.setenv("CIRCLECI_TOKEN", "now")
    await circle.users.me()
    assert server.requests[0].headers["Circle-Token"] == "then"


# --- base_url ------------------------------------------------------------------------------------------------


def test_the_default_is_circleci_com():
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
def test_a_base_url_is_the_root_of_a_host(given, root, monkeypatch):
    assert CircleCI("token", base_url=given).base_url == root
    monkeypatch.setenv("CIRCLECI_BASE_URL", given)
    assert CircleCI("token").base_url == root


def test_the_argument_comes_before_the_variable(monkeypatch):
    monkeypatch.setenv("CIRCLECI_BASE_URL", "https://environment.example")
    assert CircleCI("token", base_url="https://argument.example").base_url == "https://argument.example"


def test_an_empty_variable_is_no_variable(monkeypatch):
    monkeypatch.setenv("CIRCLECI_BASE_URL", " ")
    assert CircleCI("token").base_url == "https://circleci.com"


@pytest.mark.parametrize(
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
def test_what_is_no_root_of_a_host_is_refused_at_once(given):
    """The empty string too: a self-hosted server's token must not go to circleci.com for want of a setting."""
    with pytest.raises(ConfigurationError, match="base_url"):
        CircleCI("token", base_url=given)


def test_credentials_in_the_base_url_are_refused_and_not_repeated():
    with pytest.raises(ConfigurationError, match="credentials") as caught:
        CircleCI("token", base_url="https://ada:hunter2@circleci.com")
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    "host", ["circleci.example.com", "10.0.0.1", "127.0.0.1.evil.example", "localhost.evil.example", "0.0.0.0"]
)
def test_plain_http_is_for_this_machine_only_unless_allowed(host):
    with pytest.raises(ConfigurationError, match="allow_http"):
        CircleCI("token", base_url=f"http://{host}")
    assert CircleCI("token", base_url=f"http://{host}", allow_http=True).base_url == f"http://{host}"


# --- the other options ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
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
    ids=str,
)
def test_an_option_that_cannot_work_is_refused_at_once(options):
    with pytest.raises(ConfigurationError):
        CircleCI("token", **options)


@pytest.mark.parametrize(
    "options",
    [{"attempts": 0}, {"attempts": 1.0}, {"base": -1}, {"cap": float("inf")}, {"max_wait": float("nan")}],
    ids=str,
)
def test_a_policy_that_cannot_work_is_refused_at_once(options):
    with pytest.raises(ConfigurationError, match="RetryPolicy"):
        RetryPolicy(**options)


def test_a_client_is_made_without_a_loop_and_needs_no_closing():
    """Cheap to build: at module level, too. Nothing is opened before it is used."""
    circle = CircleCI("token", throttle=Throttle())
    assert circle.rate_limits == {}
    assert circle.deprecations == {}
    assert repr(circle) == "<CircleCI at https://circleci.com>"
