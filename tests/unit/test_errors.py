"""Errors: their tree, their messages, and the secrets that none of them shows."""

from __future__ import annotations

import copy
import inspect
import json
import logging
import pickle
import pprint
import reprlib
import traceback
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict
from rich.console import Console
from rich.pretty import pretty_repr
from rich.traceback import Traceback

import aiocircle
from aiocircle import CircleCI, errors
from aiocircle._core.api_errors import decode_error, error_for, is_api_error, outcome_of
from aiocircle._core.message import Request
from aiocircle._core.structure import StructureProblems
from aiocircle._redact import Secret, SecretMask, redact_url
from tests.support.rows import each_row

URL = "https://circleci.com/api/v2/me"

TREE = """
CircleCIError
  ConfigurationError
    InvalidArgument
  RequestError
    ConnectionFailed
    RequestTimeout
  APIError
    BadRequest
    Unauthorized
    Forbidden
    NotFound
    Conflict
    Gone
    RateLimited
    ServerError
  DecodeError
  PaginationError
  WaitTimeout
  NotReady
  ChangeErrors
  DownloadError
  DownloadErrors
  EventError
    SignatureError
    MalformedEvent
"""


def drawn(kind: type, depth: int = 0) -> list[str]:
    lines = ["  " * depth + kind.__name__]
    for each in kind.__subclasses__():
        if each.__module__ == errors.__name__:
            lines += drawn(each, depth + 1)
    return lines


# --- the tree -------------------------------------------------------------------------------------------------


def test_the_tree_is_the_one_that_is_documented() -> None:
    """Callers catch by it."""
    assert drawn(errors.CircleCIError) == TREE.split("\n")[1:-1]


def test_an_invalid_argument_is_a_value_error() -> None:
    """As Python's own functions have it."""
    assert issubclass(errors.InvalidArgument, ValueError)
    assert not issubclass(errors.ConfigurationError, ValueError)


def test_every_error_is_exported_by_the_package() -> None:
    """Callers need not know the module."""
    kinds = {
        name for name, kind in vars(errors).items() if inspect.isclass(kind) and issubclass(kind, errors.CircleCIError)
    }
    assert kinds == {name for name in errors.__all__ if name != "Outcome"}
    assert kinds <= {*aiocircle.__all__}
    for name in kinds:
        assert getattr(aiocircle, name) is getattr(errors, name)


def test_every_error_has_the_attributes_of_the_base() -> None:
    """Without an `isinstance` before each."""
    error = errors.CircleCIError("x")
    assert (error.attempts, error.outcome, error.page_token, error.items) == (0, "not_done", None, ())


@each_row(
    ("status", "kind"),
    [
        (400, errors.BadRequest),
        (401, errors.Unauthorized),
        (402, errors.APIError),
        (403, errors.Forbidden),
        (404, errors.NotFound),
        (405, errors.APIError),
        (408, errors.APIError),
        (409, errors.Conflict),
        (410, errors.Gone),
        (418, errors.APIError),
        (422, errors.BadRequest),
        (429, errors.RateLimited),
        (499, errors.APIError),
        (500, errors.ServerError),
        (502, errors.ServerError),
        (503, errors.ServerError),
        (504, errors.ServerError),
        (599, errors.ServerError),
        (302, errors.APIError),
        (304, errors.APIError),
    ],
)
def test_a_status_has_its_error(status: int, kind: type[errors.APIError]) -> None:
    """Each status has one class, and the error has all values of the response."""
    headers = CIMultiDict({"X-Request-Id": "req-1", "Retry-After": "3", "Content-Type": "application/json"})
    body = b'{"message": "server\'s words"}'
    error = error_for(status, headers, body, method="GET", url=URL, now=0.0)
    assert type(error) is kind
    assert (error.status, error.method, error.url, error.request_id) == (status, "GET", URL, "req-1")
    assert error.headers["content-type"] == "application/json"
    assert error.body == body
    assert error.text == body.decode()
    if isinstance(error, errors.RateLimited):
        assert error.retry_after == 3.0


@each_row(
    ("body", "message"),
    [
        (b'{"message": "Project not found"}', "Project not found"),
        (b'{"error": "policies say so"}', "policies say so"),
        (b'{"error": {"title": "v3", "detail": "says it at length"}}', "says it at length"),
        (b'{"message": {"message": "inside"}}', "inside"),
        (b'{"message": "", "error": "the other one"}', "the other one"),
        (b'"just text"', "just text"),
        (b"Rate limited.", "Rate limited."),
        (b"  two\n  lines ", "two lines"),
        (b"<html><head><title> 502 Bad\nGateway </title></head><body>x</body></html>", "502 Bad Gateway"),
        (b"<html><body>nothing that is short</body></html>", "Bad Gateway"),
        (b"", "Bad Gateway"),
        (b"{}", "Bad Gateway"),
        (b"[]", "Bad Gateway"),
        (b"null", "Bad Gateway"),
        (b'{"message": 5}', "Bad Gateway"),
        (b"\xff\xfe broken", "\ufffd\ufffd broken"),
        (b"[" * 100_000, "[" * 500),
        (b"x" * 10_000, "x" * 500),
    ],
)
def test_the_servers_own_words_are_found(body: bytes, message: str) -> None:
    """The message is found in each form of the server's bodies; without one the status names it."""
    error = error_for(502, CIMultiDict(), body, method="GET", url=URL, now=0.0)
    assert error.message == message
    assert str(error) == f"GET {URL} -> 502: {message}"
    assert error.body == body


# --- constructors ---------------------------------------------------------------------------------------------


def test_keywords_of_api_errors() -> None:
    """`APIError(status, message, method, url, request_id, headers, body)`, in that order or by name."""
    fields = {
        "status": 418,
        "message": "short and stout",
        "method": "PUT",
        "url": URL,
        "request_id": "req-9",
        "headers": {"A": "b"},
        "body": b"{}",
    }
    for error in (errors.APIError(**fields), errors.APIError(*fields.values())):  # type: ignore[arg-type]
        assert {name: getattr(error, name) for name in fields} == fields
        assert str(error) == f"PUT {URL} -> 418: short and stout [request id req-9]"
    assert errors.RateLimited(429, "slow down", retry_after=1.5).retry_after == 1.5
    assert errors.RateLimited(429, "slow down").retry_after is None
    assert errors.APIError(500, "x").headers == {}


def test_keywords_of_decode_errors() -> None:
    """`DecodeError(problems, status, method, url, headers, request_id, body, next_page_token)`."""
    fields: dict[str, Any] = {
        "problems": ("expected a string, got null @ $.id",),
        "status": 200,
        "method": "GET",
        "url": URL,
        "headers": {"A": "b"},
        "request_id": "req-9",
        "body": b"{\xff",
        "next_page_token": "t2",
    }
    for error in (errors.DecodeError(**fields), errors.DecodeError(*fields.values())):
        assert {name: getattr(error, name) for name in fields} == fields
        assert str(error) == f"GET {URL} -> 200: the response does not match the declared type: {fields['problems'][0]}"
        assert error.text == "{\ufffd"
        assert not error.malformed


def test_message_has_few_problems() -> None:
    """The message of 250 problems is one readable line. The error has all that were read."""
    error = errors.DecodeError([f"problem {index}" for index in range(7)])
    assert len(error.problems) == 7
    assert str(error).endswith("problem 0; problem 1; problem 2; problem 3; problem 4; and 2 more")


def test_outcome_of_request_errors() -> None:
    """The outcome of a request error is "unknown" by default."""
    error = errors.RequestTimeout(f"GET {URL}: no complete response within 30 s", method="GET", url=URL)
    assert (error.method, error.url, error.outcome) == ("GET", URL, "unknown")
    assert errors.ConnectionFailed("x", outcome="not_done").outcome == "not_done"


@each_row(
    ("error", "hint"),
    [
        (errors.Unauthorized(401, "no"), "missing, wrong or expired, or it is a project token"),
        (errors.Forbidden(403, "no"), "lacks the permission"),
        (errors.NotFound(404, "no"), "private and the token's user has no access"),
        (errors.NotFound(404, "no"), "circleci/<org id>/<project id>"),
        (errors.Gone(410, "no"), "retired"),
        (errors.RateLimited(429, "no", retry_after=2.5), "try again in 2.5 s"),
    ],
)
def test_the_message_has_a_remedy(error: errors.APIError, hint: str) -> None:
    """The remedy follows the problem, for everything that a caller can change."""
    assert hint in str(error)
    assert str(error).index("no") < str(error).index(hint)


def test_an_error_without_advice_gives_none() -> None:
    """Rather than empty brackets."""
    assert str(errors.RateLimited(429, "no", "GET", URL)) == f"GET {URL} -> 429: no"
    assert str(errors.ServerError(500, "no")) == "-> 500: no"


# --- pickling -------------------------------------------------------------------------------------------------

HEADERS = CIMultiDict([("X-Request-Id", "r"), ("Link", "a"), ("Link", "b")])
EXAMPLES: list[errors.CircleCIError] = [
    errors.CircleCIError("x"),
    errors.ConfigurationError("x"),
    errors.InvalidArgument("x"),
    errors.RequestError("x", method="GET", url=URL),
    errors.ConnectionFailed("x", method="GET", url=URL),
    errors.RequestTimeout("x", method="POST", url=URL, outcome="not_done"),
    errors.APIError(418, "x", "GET", URL, "r", HEADERS, b"\x00\xff"),
    errors.BadRequest(422, "x", "GET", URL, "r", HEADERS, b"{}"),
    errors.Unauthorized(401, "x", "GET", URL, "r", HEADERS, b"{}"),
    errors.Forbidden(403, "x", "GET", URL, "r", HEADERS, b"{}"),
    errors.NotFound(404, "x", "GET", URL, "r", HEADERS, b"{}"),
    errors.Conflict(409, "x", "GET", URL, "r", HEADERS, b"{}"),
    errors.Gone(410, "x", "GET", URL, "r", HEADERS, b"{}"),
    errors.RateLimited(429, "x", "GET", URL, "r", HEADERS, b"{}", retry_after=2.5, is_local=True),
    errors.ServerError(503, "x", "GET", URL, "r", HEADERS, b"{}"),
    errors.DecodeError(["a", "b"], 200, "GET", URL, HEADERS, "r", b"[", "t2", malformed=True),
    errors.PaginationError("x"),
    errors.EventError("x"),
    errors.SignatureError("x"),
    errors.MalformedEvent(["a", "b"]),
    errors.DownloadError("x", name="a/b", path=Path("a/b"), part=Path("a/.part"), status=503),
    errors.DownloadErrors("x", [errors.DownloadError("y", name="a")], done=["b"]),
    errors.WaitTimeout(("running", 3), "x"),
    errors.NotReady("blocked", "x"),
    errors.ChangeErrors("x", [errors.Conflict(409, "x")], done=("w1",)),
]


def test_every_kind_has_an_example() -> None:
    """The tests below miss none."""
    assert {type(each).__name__ for each in EXAMPLES} == {name for name in errors.__all__ if name != "Outcome"}


@each_row("error", EXAMPLES)
def test_errors_pickle(error: errors.CircleCIError) -> None:
    """Whole: a process pool, a task queue and pytest-xdist hand them on so."""
    error = copy.copy(error)
    error.attempts = 3
    error.outcome = "done"
    error.page_token = "t1"
    error.items = [aiocircle.ProjectSlug.parse("gh/acme/web")]
    error.add_note("seen in the nightly run")
    for other in (pickle.loads(pickle.dumps(error)), copy.copy(error), copy.deepcopy(error)):
        assert type(other) is type(error)
        # Exceptions in a group's arguments are equal only to themselves.
        assert (str(other), repr(other), repr(other.args)) == (str(error), repr(error), repr(error.args))
        assert other.__dict__ == error.__dict__
        assert {"attempts", "outcome", "page_token", "items", "__notes__"} <= {*other.__dict__}
        if isinstance(other, errors.APIError | errors.DecodeError):
            assert other.headers["x-request-id"] == "r"
            assert other.headers["X-REQUEST-ID"] == "r"
            assert other.headers.getall("link") == ["a", "b"]  # type: ignore[attr-defined]


def test_a_callers_own_subclass_pickles() -> None:
    """A subclass may have any constructor."""
    error = pickle.loads(pickle.dumps(Own(extra="y")))
    assert (type(error), error.extra, str(error), error.status) == (Own, "y", "-> 500: x", 500)


class Own(errors.ServerError):
    def __init__(self, *, extra: str) -> None:
        self.extra = extra
        super().__init__(500, "x")


# --- several changes ------------------------------------------------------------------------------------------


def test_change_errors_keep_done_when_split() -> None:
    """By `except*`, `split` and `subgroup`, each of which makes new groups of the same class."""
    group = errors.ChangeErrors("x", [errors.Conflict(409, "a"), errors.ServerError(500, "b")], done=["w1"])
    seen = []
    try:
        try:
            raise group
        except* errors.Conflict as part:
            seen.append(part)
    except errors.CircleCIError as rest:
        seen.append(rest)
    seen.extend(part for part in group.split(errors.Conflict) if part is not None)
    assert [[type(each) for each in part.exceptions] for part in seen] == [
        [errors.Conflict],
        [errors.ServerError],
    ] * 2
    for part in seen:
        assert isinstance(part, errors.ChangeErrors)
        assert (part.done, part.outcome) == (("w1",), "done")


def test_change_errors_without_a_change_are_not_done() -> None:
    """Nothing was changed, as far as is known."""
    assert errors.ChangeErrors("x", [errors.Conflict(409, "a")]).outcome == "not_done"


def test_not_ready_names_its_state() -> None:
    """Callers decide by the state, readers by the message."""
    error = errors.NotReady("blocked")
    assert (error.state, str(error)) == ("blocked", "not ready: blocked")


# --- nothing secret: URLs and headers -------------------------------------------------------------------------


@each_row(
    ("url", "shown"),
    [
        (URL, URL),
        (f"{URL}?page-token=abc&branch=feat%2Fa&x", f"{URL}?page-token=abc&branch=feat%2Fa&x"),
        (f"{URL}?page_token=abc", f"{URL}?page_token=abc"),
        ("https://user:hunter2@h.example/p", "https://h.example/p"),
        ("https://hunter2@h.example:8443/p?a=b", "https://h.example:8443/p?a=b"),
        ("https://hun@ter2@h.example/p", "https://h.example/p"),
        ("https://h.example/p?circle-token=hunter2&a=b", "https://h.example/p?circle-token=***&a=b"),
        ("https://h.example/p?circle%2Dtoken=hunter2", "https://h.example/p?circle%2Dtoken=***"),
        ("https://h.example/p?%74oken=hunter2", "https://h.example/p?%74oken=***"),
        ("https://h.example/p?a=b;token=hunter2", "https://h.example/p?a=b;token=***"),
        (
            "https://b.s3.amazonaws.com/k?X-Amz-Signature=hunter2&X-Amz-Credential=hunter2&X-Amz-Expires=9&response=x",
            "https://b.s3.amazonaws.com/k?X-Amz-Signature=***&X-Amz-Credential=***&X-Amz-Expires=***&response=x",
        ),
        (
            "https://s.example/?x-goog-signature=hunter2&x-goog-date=1",
            "https://s.example/?x-goog-signature=***&x-goog-date=***",
        ),
        (
            "https://s.example/?AWSAccessKeyId=hunter2&Signature=hunter2",
            "https://s.example/?AWSAccessKeyId=***&Signature=***",
        ),
        ("https://s.example/?Policy=hunter2&Key-Pair-Id=hunter2", "https://s.example/?Policy=***&Key-Pair-Id=***"),
        ("https://s.example/?sv=1&se=hunter2&sig=hunter2&design=2", "https://s.example/?sv=1&se=***&sig=***&design=2"),
        (
            "https://s.example/?client_secret=hunter2&password=hunter2",
            "https://s.example/?client_secret=***&password=***",
        ),
        ("https://s.example/p#access_token=hunter2", "https://s.example/p"),
        ("/p?token=hunter2", "/p?token=***"),
        ("?token=hunter2", "?token=***"),
        ("https://h.example/p?token=", "https://h.example/p?token="),
        ("http://[::1", "http://[::1"),
        ("", ""),
        (
            '<https://u:hunter2@h.example/?sig=hunter2>; rel="sunset", <https://i.example/a?b=c>; rel="next"',
            '<https://h.example/?sig=***>; rel="sunset", <https://i.example/a?b=c>; rel="next"',
        ),
    ],
)
def test_a_shown_url_hides_what_opens_something(url: str, shown: str) -> None:
    """And keeps what helps: the page, the branch, the host."""
    assert redact_url(url) == shown
    assert Request("GET", url, {}).redacted_url == shown
    assert "hunter2" not in repr(Request("GET", url, {"Circle-Token": Secret("hunter2")}, b"hunter2"))


@given(st.text() | st.text('/:@?#&;=[]%<>" abtoken', max_size=40))
def test_any_text_can_be_shown(text: str) -> None:
    """A server's Location need not be a URL, and an error must not fail for it."""
    once = redact_url(text)
    assert redact_url(once) == once


@given(st.text("abc/:.@%!$'()*+,;=-", max_size=12), st.sampled_from(["https", "http"]))
def test_no_user_part_is_shown(user: str, scheme: str) -> None:
    """The user part is removed, with any characters."""
    if "/" not in user:
        assert redact_url(f"{scheme}://{user}hunter2@h.example/p") == f"{scheme}://h.example/p"


def test_error_headers_are_redacted() -> None:
    """Cookies and signatures are masked. All other headers are complete, also repeated ones."""
    headers = CIMultiDict(
        [
            ("Set-Cookie", "session=hunter2"),
            ("Location", "/elsewhere?token=hunter2"),
            ("Content-Location", "https://u:hunter2@h.example/x?sig=hunter2"),
            ("Link", "<https://h.example/?sig=hunter2>; rel=x"),
            ("Link", "<https://h.example/2>; rel=y"),
            ("X-Request-Id", "r"),
        ]
    )
    error = error_for(302, headers, b"", method="POST", url=URL, now=0.0)
    assert [*error.headers.items()] == [
        ("Location", "/elsewhere?token=***"),
        ("Content-Location", "https://h.example/x?sig=***"),
        ("Link", "<https://h.example/?sig=***>; rel=x"),
        ("Link", "<https://h.example/2>; rel=y"),
        ("X-Request-Id", "r"),
    ]
    for text in (str(error), repr(error), pickle.dumps(error).decode("latin-1")):
        assert "hunter2" not in text
    assert "a redirect to /elsewhere?token=***" in str(error)


@each_row("location", ["http://[::1", "https://a\uff0fb@c/", "//", "\x00", "http://h:99999999/"])
def test_a_redirect_to_nonsense_is_an_api_error(location: str) -> None:
    """An APIError is raised, not a ValueError of the URL's parser."""
    error = error_for(302, CIMultiDict(Location=location), b"", method="POST", url=URL, now=0.0)
    assert type(error) is errors.APIError


# --- nothing secret: the token --------------------------------------------------------------------------------

TOKEN = "CCIPAT_hunter2_0123456789abcdef"


@each_row(
    "shown",
    [
        repr,
        ascii,
        lambda s: f"{s!r}",
        lambda s: "%r" % s,  # noqa: UP031
        lambda s: "{!r}".format(s),  # noqa: UP032
        lambda s: repr([s]) + repr({"k": s}) + repr((s,)),
        lambda s: repr(s[:8]) + repr(s[4:]) + repr(s[0]) + repr(s[::-1]),
        pprint.pformat,
        lambda s: pprint.pformat({"k": s}, width=10),
        reprlib.repr,
        lambda s: reprlib.repr({"k": [s]}),
        pretty_repr,
        lambda s: pretty_repr({"k": s}, max_string=10),
        lambda s: pretty_repr([s], max_string=1, max_width=5),
        lambda s: repr(Request("GET", URL, {"Circle-Token": s})),
        lambda s: repr(CIMultiDict({"Circle-Token": s})),
    ],
)
def test_a_secret_is_not_shown(shown: Any) -> None:
    """By a repr, or by the printers that cut long strings first."""
    text = shown(Secret(TOKEN))
    assert "***" in text
    assert not any(TOKEN[start : start + 4] in text for start in range(len(TOKEN) - 3))


def test_a_secret_is_its_text_on_the_wire() -> None:
    """Headers are made of `str`, and the API wants the token."""
    secret = Secret(TOKEN)
    assert secret == TOKEN
    assert hash(secret) == hash(TOKEN)
    assert str(secret) == f"{secret}" == "%s" % secret == TOKEN  # noqa: UP031
    assert json.dumps(secret) == f'"{TOKEN}"'
    assert secret.encode() == TOKEN.encode()
    assert type(str(secret)) is str
    assert not hasattr(secret, "__dict__")


@each_row("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_secret_is_not_pickled(protocol: int) -> None:
    """An object that contains a secret would carry it into a queue or a cache."""
    with pytest.raises(TypeError, match="a secret cannot be pickled"):
        pickle.dumps({"headers": Secret(TOKEN)}, protocol)
    with pytest.raises(TypeError):
        pickle.dumps(CircleCI(TOKEN), protocol)


def test_a_log_line_shows_no_secret(caplog: pytest.LogCaptureFixture) -> None:
    """Headers are logged without their secrets."""
    with caplog.at_level(logging.DEBUG):
        logging.getLogger("somebody").debug("sent %s with %r", {"Circle-Token": Secret(TOKEN)}, Secret(TOKEN))
    assert TOKEN not in caplog.text
    assert "***" in caplog.text


@pytest.mark.parametrize("auth", ["circle-token", "bearer", "basic"])
def test_the_client_shows_no_secret(auth: Any) -> None:
    """Itself, and everything that it is made of."""
    circle = CircleCI(TOKEN, auth=auth)
    executor = circle._executor
    seen = [repr(circle), repr(vars(circle)), repr(vars(executor)), repr(vars(executor.state))]
    seen += [pretty_repr(vars(executor.state), max_string=12), repr(executor.state.headers)]
    for text in seen:
        assert "hunter2" not in text
        assert "Q0NJUEFUX2h1bnRlcjJf" not in text  # the token as basic auth encodes it


@pytest.mark.parametrize(
    "options",
    [
        {"token": f"{TOKEN}\n{TOKEN}"},
        {"token": TOKEN, "auth": "digest"},
        {"token": TOKEN, "base_url": "https://user:hunter2@circleci.com"},
        {"token": TOKEN, "base_url": "http://circleci.example.com"},
        {"token": TOKEN, "timeout": -1},
        {"token": TOKEN, "retry": 5},
        {"token": TOKEN, "max_concurrency": 0},
    ],
)
def test_no_traceback_with_locals_shows_the_token(options: Any) -> None:
    """Frames are the library's own, below the caller's, which knows the token anyway."""
    with pytest.raises(errors.ConfigurationError) as caught:
        CircleCI(**options)
    error = caught.value
    assert error.__traceback__ is not None
    error = error.with_traceback(error.__traceback__.tb_next)
    shown = StringIO()
    frames = error.__traceback__
    Console(file=shown, width=200).print(
        Traceback.from_exception(type(error), error, frames, show_locals=True, locals_max_string=200)
    )
    plain = traceback.TracebackException.from_exception(error, capture_locals=True)
    for text in (shown.getvalue(), "".join(plain.format()), str(error), repr(error.args)):
        assert "hunter2" not in text


@each_row(
    ("kind", "body", "expected"),
    [
        ("application/json", b'{"message": "Not found"}', True),
        ("application/json", b'["Not found"]', False),
        ("application/json", b"<html>", False),
        ("application/json", b"\xff", False),
        ("text/html", b'{"message": "Not found"}', False),
        ("Text/HTML; charset=utf-8", b'{"message": "Not found"}', False),
        (None, b'{"message": "Not found"}', True),
    ],
)
def test_error_of_the_api_is_a_json_object(kind: str | None, body: bytes, expected: bool) -> None:
    """A gateway's page is not the API's word that a resource does not exist."""
    headers = CIMultiDict({} if kind is None else {"content-type": kind})
    assert is_api_error(headers, body) is expected


def of(status: int, body: bytes = b"", headers: dict[str, str] | None = None, now: float = 0.0) -> errors.APIError:
    return error_for(status, CIMultiDict(headers or {}), body, method="GET", url="https://circleci.com/x", now=now)


@pytest.mark.parametrize("status", [300, 301, 399])
def test_each_redirect_names_its_target(status: int) -> None:
    """The text of a redirect's body is not the reason."""
    error = of(status, b'{"message": "moved"}', {"Location": "https://circleci.com/y"})
    assert error.message.startswith("a redirect to https://circleci.com/y, which is not followed")


def test_error_after_the_redirects_has_its_message() -> None:
    """A 400 is the first status whose body is read for the reason."""
    assert of(400, b'{"message": "no"}', {"Location": "https://circleci.com/y"}).message == "no"


def test_message_is_found_three_objects_deep() -> None:
    """A message further inside is not looked for."""
    assert of(403, b'{"message": {"error": {"detail": "deep"}}}').message == "deep"
    assert of(403, b'{"message": {"error": {"detail": {"message": "deeper"}}}}').message == "Forbidden"


def test_rate_limited_has_the_servers_message() -> None:
    """A 429 shows what the server wrote, as every other error does."""
    assert of(429, b'{"message": "slow down"}').message == "slow down"


@each_row(
    ("error", "outcome"),
    [
        (errors.DecodeError([]), "done"),
        (errors.ConnectionFailed("refused", outcome="not_done"), "not_done"),
        (errors.ConnectionFailed("lost", outcome="unknown"), "unknown"),
        (of(500), "unknown"),
        (of(302), "unknown"),
        (of(399), "unknown"),
        (of(400), "not_done"),
        (of(407), "not_done"),
        (of(408), "unknown"),
        (of(409), "not_done"),
        (of(429), "not_done"),
        (errors.ConfigurationError("closed"), "not_done"),
    ],
)
def test_outcome_of_one_attempt(error: errors.CircleCIError, outcome: str) -> None:
    """A change may have been made unless the API refused it, or nothing was sent."""
    assert outcome_of(error) == outcome


def test_decode_error_has_what_the_response_had() -> None:
    """The token is masked in all texts that a server may have repeated it in."""
    found = StructureProblems(["$.id is hunter2"], malformed=True)
    found.next_page_token = "next"
    headers = CIMultiDict({"X-Request-Id": "r", "X-Echo": "hunter2"})
    mask = SecretMask()
    mask.add(Secret("hunter2"))
    url = "https://circleci.com/api/v2/hunter2"
    error = decode_error(found, 201, headers, b"hunter2", method="POST", url=url, mask=mask)
    assert error.problems == ("$.id is ***",)
    assert (error.status, error.method, error.url) == (201, "POST", "https://circleci.com/api/v2/***")
    assert error.headers == {"X-Request-Id": "r", "X-Echo": "***"}
    assert (error.request_id, error.body, error.next_page_token) == ("r", b"***", "next")
    assert error.malformed
    plain = decode_error(found, 201, headers, b"hunter2", method="POST", url=url)
    assert (plain.problems, plain.body) == (("$.id is hunter2",), b"hunter2")


def test_date_of_a_retry_after_counts_from_now() -> None:
    """Without a Date of its own, the response is as old as this moment."""
    error = of(429, headers={"Retry-After": "Thu, 01 Jan 1970 00:01:40 GMT"}, now=90.0)
    assert isinstance(error, errors.RateLimited)
    assert error.retry_after == 10.0
