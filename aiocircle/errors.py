"""Every exception that aiocircle raises.

    CircleCIError
    ├── ConfigurationError      no token, a bad base_url, a client used in another event loop
    │   └── InvalidArgument     the shape of an argument (also a ValueError)
    ├── RequestError            the request got no response
    │   └── ConnectionFailed, RequestTimeout
    ├── APIError                a response with an error status
    │   ├── BadRequest 400/422, Unauthorized 401, Forbidden 403, NotFound 404, Conflict 409, Gone 410
    │   └── RateLimited 429, ServerError 5xx
    ├── DecodeError             a response that does not match the declared type
    ├── PaginationError         a list that does not advance
    ├── WaitTimeout             the deadline of a wait passed
    ├── NotReady                something that the call needs does not exist yet, or no longer exists
    ├── ChangeErrors            several changes, of which some failed (also an ExceptionGroup)
    ├── DownloadError           a file could not be downloaded or written; DownloadErrors: several (an ExceptionGroup)
    └── EventError              a webhook's event that cannot be accepted
        └── SignatureError, MalformedEvent

All of them can be pickled, and none of them holds the token, the user part of a URL or a signed query value.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from os import PathLike
from typing import Any, Literal, Self, TypeVar

from aiocircle._redact import single_line

__all__ = [
    "APIError",
    "BadRequest",
    "ChangeErrors",
    "CircleCIError",
    "ConfigurationError",
    "Conflict",
    "ConnectionFailed",
    "DecodeError",
    "DownloadError",
    "DownloadErrors",
    "EventError",
    "Forbidden",
    "Gone",
    "InvalidArgument",
    "MalformedEvent",
    "NotFound",
    "NotReady",
    "Outcome",
    "PaginationError",
    "RateLimited",
    "RequestError",
    "RequestTimeout",
    "ServerError",
    "SignatureError",
    "Unauthorized",
    "WaitTimeout",
]

Outcome = Literal["not_done", "unknown", "done"]


class CircleCIError(Exception):
    """The base class of all exceptions that aiocircle raises.

    attempts: the number of times the request was sent, the first included; 0 if nothing was sent.
    outcome: the state of the requested change: "not_done", "unknown" or "done".
        A request that only reads leaves it at "not_done".
    page_token: the page from which a failed list can be resumed; None for the first page and outside of lists.
    items: the items that `Pager.collect` had collected before it failed; empty for other calls.
    """

    attempts: int = 0
    outcome: Outcome = "not_done"
    page_token: str | None = None
    items: Sequence[Any] = ()

    def __reduce__(self) -> tuple[Any, ...]:
        # The default would call the class with `args` alone, which keyword arguments do not survive.
        return _restore, (type(self), self.args, self.__dict__)


def _restore(kind: type[CircleCIError], args: tuple[Any, ...], state: dict[str, Any]) -> CircleCIError:
    error = kind.__new__(kind, *args)
    error.args = args
    error.__dict__.update(state)
    return error


class ConfigurationError(CircleCIError):
    """The client or one of its options cannot be used in this way. Nothing was sent."""


class InvalidArgument(ConfigurationError, ValueError):
    """An argument cannot be sent: its type or form is wrong. Nothing was sent."""


class RequestError(CircleCIError):
    """The request got no response. `outcome` is "unknown" if the request may have reached the server.

    is_transient: False if another attempt would fail in the same way, as with an invalid certificate.
    """

    def __init__(
        self,
        message: str,
        *,
        method: str = "",
        url: str = "",
        outcome: Outcome = "unknown",
        is_transient: bool = True,
    ) -> None:
        super().__init__(message)
        self.method = method
        self.url = url
        self.outcome = outcome
        self.is_transient = is_transient


class ConnectionFailed(RequestError):
    """The connection could not be established, or broke before the response was complete."""


class RequestTimeout(RequestError):
    """One attempt took longer than the client's `timeout`."""


class APIError(CircleCIError):
    """CircleCI responded with an error status.

    status: the HTTP status. message: the server's message. method, url: the request.
    request_id: the server's id of the request, for support. headers: of the response. body: raw bytes.
    """

    def __init__(
        self,
        status: int,
        message: str,
        method: str = "",
        url: str = "",
        request_id: str | None = None,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
    ) -> None:
        self.status = status
        self.message = message
        self.method = method
        self.url = url
        self.request_id = request_id
        self.headers: Mapping[str, str] = {} if headers is None else headers
        self.body = body
        super().__init__(self._text())

    def _text(self) -> str:
        text = f"{self.method} {self.url} -> {self.status}: {self.message}".lstrip()
        if hint := self.hint():
            text += f" ({hint})"
        if self.request_id:
            text += f" [request id {single_line(self.request_id, 100)}]"
        return text

    def hint(self) -> str:
        """Return the remedy in a few words; empty if there is not a general one."""
        return ""

    @property
    def text(self) -> str:
        """The body as text; bytes that are not UTF-8 are replaced."""
        return self.body.decode("utf-8", "replace")


class BadRequest(APIError):
    """400 or 422: the server refused the request's content."""


class Unauthorized(APIError):
    """401: the token is missing, expired, or of a kind that this API does not take."""

    def hint(self) -> str:
        """Return the remedy: check the token."""
        return "the token is missing, wrong or expired, or it is a project token, which API v2 does not take"


class Forbidden(APIError):
    """403: the token's user may not do this."""

    def hint(self) -> str:
        """Return the remedy: check the rights of the user. Contexts also return 403 if they do not exist."""
        return "the token's user lacks the permission; contexts and groups also return 403 if they do not exist"


class NotFound(APIError):
    """404: the resource does not exist, or the token's user cannot see it."""

    def hint(self) -> str:
        """Return the remedy: check the spelling, the access, the form of the slug."""
        return (
            "it does not exist, or it is private and the token's user has no access to it, or the slug has the "
            "wrong form: GitHub App and GitLab projects are circleci/<org id>/<project id>"
        )


class Conflict(APIError):
    """409: the request contradicts the present state."""


class Gone(APIError):
    """410: the endpoint was retired."""

    def hint(self) -> str:
        """Return the remedy: use the endpoint that replaced it."""
        return "CircleCI has retired this endpoint"


class RateLimited(APIError):
    """429, or a request that was not sent because its wait would have been longer than `max_wait`.

    retry_after: seconds until the next attempt may be sent; None if that is not known.
    is_local: True if the client did not send this attempt; `attempts` is 0 if it has sent none.
    """

    def __init__(
        self,
        status: int,
        message: str,
        method: str = "",
        url: str = "",
        request_id: str | None = None,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        retry_after: float | None = None,
        *,
        is_local: bool = False,
    ) -> None:
        self.retry_after = retry_after
        self.is_local = is_local
        super().__init__(status, message, method, url, request_id, headers, body)

    def hint(self) -> str:
        """Return the remedy: the seconds to wait; empty if they are not known."""
        return "" if self.retry_after is None else f"try again in {self.retry_after:g} s"


class ServerError(APIError):
    """5xx: the server failed. A change may or may not have been made: see `outcome`."""


def _listed(problems: Sequence[str]) -> str:
    shown = "; ".join(map(single_line, problems[:5]))
    return shown if len(problems) <= 5 else f"{shown}; and {len(problems) - 5} more"


class DecodeError(CircleCIError):
    """The response does not match the type that the operation declares.

    problems: one line for each wrong value, with its JSON path (`$.items[3].name`). Of one array or map, at most the
        first ten wrong values are listed.
    next_page_token: the token in the page itself, with which the list can continue after it. body: raw bytes, as
        received.
    malformed: True if the body was cut short or is not JSON, so that a retry can help.
    """

    def __init__(
        self,
        problems: Sequence[str],
        status: int = 0,
        method: str = "",
        url: str = "",
        headers: Mapping[str, str] | None = None,
        request_id: str | None = None,
        body: bytes = b"",
        next_page_token: str | None = None,
        *,
        malformed: bool = False,
    ) -> None:
        self.malformed = malformed
        self.problems = tuple(problems)
        self.status = status
        self.method = method
        self.url = url
        self.headers: Mapping[str, str] = {} if headers is None else headers
        self.request_id = request_id
        self.body = body
        self.next_page_token = next_page_token
        shown = _listed(self.problems)
        super().__init__(f"{method} {url} -> {status}: the response does not match the declared type: {shown}".lstrip())

    @property
    def text(self) -> str:
        """The body as text; bytes that are not UTF-8 are replaced."""
        return self.body.decode("utf-8", "replace")


class PaginationError(CircleCIError):
    """A list that does not advance: a token or a page came again, or too many pages in a row were empty."""


E = TypeVar("E", bound=Exception)


class _GroupWithDone(ExceptionGroup[E]):
    """A group of errors with the results of what succeeded. `split`, `subgroup` and `except*` keep them."""

    done: tuple[Any, ...] = ()
    outcome: Outcome

    def __new__(cls, message: str, exceptions: Sequence[E], *, done: Sequence[Any] = ()) -> Self:
        """Create a group of at least one error."""
        group = super().__new__(cls, message, exceptions)
        group.done = tuple(done)
        group.outcome = "done" if group.done else "not_done"
        return group

    def __init__(self, message: str, exceptions: Sequence[E], *, done: Sequence[Any] = ()) -> None:
        # Everything was set by __new__, which pickle and `derive` also call.
        super().__init__(message, exceptions)

    def derive(self, excs: Sequence[Any], /) -> Self:  # type: ignore[override] # of the same class, always
        """Return a group of some of the errors, with the same `done`."""
        return type(self)(self.message, excs, done=self.done)


class WaitTimeout(CircleCIError):
    """The deadline of a wait passed.

    state: the last known state, of the type that the wait returns; None if nothing was read. The error of the last
    poll, if it failed, is the `__cause__`.
    """

    def __init__(self, state: Any, message: str = "the deadline of the wait has passed") -> None:
        super().__init__(message)
        self.state = state


class NotReady(CircleCIError):
    """Something that the call needs does not exist yet, or no longer exists.

    state: a word that names the reason, such as "absent", "blocked", "over" or "skipped".
    """

    def __init__(self, state: str, message: str = "") -> None:
        super().__init__(message or f"not ready: {state}")
        self.state = state


class ChangeErrors(CircleCIError, _GroupWithDone[Exception]):
    """Several changes were tried, and some failed.

    exceptions: one error for each change that failed. done: what was changed. outcome is "done" if there is any.
    """


class DownloadError(CircleCIError):
    """A file could not be downloaded, or a name cannot be written below the folder.

    name: the artifact's path, or what else was downloaded. path: the file that was to be written; None if the name
    was refused. part: the file that keeps what was received and from which the next download continues; None if
    nothing can be resumed. status: the HTTP status of the response that ended the download; None without one.
    """

    def __init__(
        self,
        message: str,
        *,
        name: str = "",
        path: PathLike[str] | None = None,
        part: PathLike[str] | None = None,
        status: int | None = None,
    ) -> None:
        super().__init__(message)
        self.name = name
        self.path = path
        self.part = part
        self.status = status


class DownloadErrors(CircleCIError, _GroupWithDone[DownloadError]):
    """Several files could not be downloaded. It is raised after all other files are finished.

    exceptions: one DownloadError for each failed file. done: the finished files. outcome is "done" if there is any.
    """


class EventError(CircleCIError):
    """A webhook's event that cannot be accepted. It came from the network: nothing was sent."""


class SignatureError(EventError):
    """The signature of an event is missing or wrong, so CircleCI may not have sent it."""


class MalformedEvent(EventError):
    """The body of a webhook's request is not an event.

    problems: one line for each wrong value, with its JSON path (`$.workflow.created_at`).
    """

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        super().__init__(f"the body is not an event of CircleCI: {_listed(self.problems)}")
