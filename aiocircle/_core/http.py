"""Requests and answers as plain values, and the one protocol between the core and an HTTP library."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Protocol
from urllib.parse import unquote

import attrs
from multidict import CIMultiDict

__all__ = ["JSON", "Request", "Response", "Secret", "Transport", "shown_url"]

# What a JSON text can hold. `Any`, because a recursive alias would be re-checked at every use for no gain.
JSON = Any

# Query parameters whose values open something: signed storage URLs and the API's own deprecated token parameter.
_SIGNED = re.compile(
    r"token|signature|credential|secret|password|key|policy|^sig$|^se$|^x-amz-|^x-goog-", re.IGNORECASE
)
_PUBLIC = {"page-token", "page_token"}
_USER = re.compile(r"//[^/?#\s<>\"]*@")
_FRAGMENT = re.compile(r"#[^\s<>\"]*")
_PARAMETER = re.compile(r"(?P<mark>[?&;])(?P<name>[^=&;#\s<>\"]+)=[^&;#\s<>\"]+")


class Secret(str):
    """A string that a repr, a log line or a traceback with locals shows as `***`.

    On the wire it is the plain string.
    """

    __slots__ = ()

    def __repr__(self) -> str:
        return "'***'"

    def __getitem__(self, key: Any) -> str:
        # Pretty printers cut long strings before they call repr: the cut must stay masked.
        return Secret(super().__getitem__(key))

    def __reduce__(self) -> tuple[Any, ...]:
        raise TypeError("a secret cannot be pickled")


# Not frozen: attrs writes a frozen field by a call, and these are made for each request.
@attrs.define
class Request:
    """One HTTP request, complete but for what the transport adds to all of them."""

    method: str
    url: str = attrs.field(repr=lambda url: repr(shown_url(url)))
    headers: Mapping[str, str]
    body: bytes | None = attrs.field(default=None, repr=False)

    @property
    def shown_url(self) -> str:
        """The URL as errors and logs may show it."""
        return shown_url(self.url)


@attrs.define
class Response:
    """One HTTP answer, read to its end.

    complete is False where the connection broke, or the body exceeded the limit (too_large), before the end: body
    then holds what had come, and flaw says what happened.
    """

    status: int
    headers: Mapping[str, str] = attrs.field(repr=False)
    body: bytes = attrs.field(repr=False)
    flaw: str | None = None
    too_large: bool = False

    @property
    def complete(self) -> bool:
        """Whether the whole body arrived."""
        return self.flaw is None

    @property
    def shown_headers(self) -> CIMultiDict[str]:
        """The headers as errors may keep them: no cookies, no signed query values."""
        return CIMultiDict(
            (name, shown_url(value) if "//" in value or name.lower() == "location" else value)
            for name, value in self.headers.items()
            if name.lower() != "set-cookie"
        )

    @property
    def request_id(self) -> str | None:
        """The server's id for the request, to quote to CircleCI's support."""
        return self.headers.get("X-Request-Id")


class Transport(Protocol):
    """What the core needs of an HTTP library."""

    @property
    def closed(self) -> bool:
        """Whether nothing can be sent any more."""
        ...

    def check(self) -> None:
        """ConfigurationError where nothing can be sent: it is closed, or belongs to another event loop."""
        ...

    async def send(self, request: Request, timeout: Any) -> Response:
        """The answer to one attempt, which check() went before; RequestError where there was none."""
        ...

    async def close(self) -> None:
        """Give back what the transport itself opened."""
        ...


def shown_url(url: str) -> str:
    """`url` without user part and fragment, and without the values of query parameters that sign or authenticate.

    Takes any text, several URLs too (as a Link header has them): what a server sends need not be a URL.
    """
    return _PARAMETER.sub(_masked, _FRAGMENT.sub("", _USER.sub("//", url)))


def _masked(parameter: re.Match[str]) -> str:
    name = unquote(parameter["name"]).lower()
    hidden = name not in _PUBLIC and _SIGNED.search(name)
    return f"{parameter['mark']}{parameter['name']}=***" if hidden else parameter[0]
