"""Text that errors, logs and reprs may show: secrets masked, one printable line."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import unquote

__all__ = ["Secret", "redact_slug", "redact_url", "single_line"]

# Query parameters whose values grant access: signed storage URLs and the API's own deprecated token parameter.
_SECRET_NAME = re.compile(
    r"token|signature|credential|secret|password|key|policy|^sig$|^se$|^x-amz-|^x-goog-", re.IGNORECASE
)
_PUBLIC_NAMES = {"page-token", "page_token"}
_USER = re.compile(r"//[^/?#\s<>\"]*@")
_FRAGMENT = re.compile(r"#[^\s<>\"]*")
_AT = re.compile("@|%40")
_PORT = re.compile(r"(//[^/:]*):[^/]*")
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


def redact_url(url: str) -> str:
    """Return `url` without user part and fragment, and without the values of query parameters that grant access.

    Accept any text, also with several URLs (as in a Link header): a server may send text that is not a URL.
    """
    return _PARAMETER.sub(_mask, _FRAGMENT.sub("", _USER.sub("//", url)))


def _mask(parameter: re.Match[str]) -> str:
    name = unquote(parameter["name"]).lower()
    hidden = name not in _PUBLIC_NAMES and _SECRET_NAME.search(name)
    return f"{parameter['mark']}{parameter['name']}=***" if hidden else parameter[0]


def redact_slug(text: str) -> str:
    """Return the part of a slug, a URL or a git remote that an error may show, quoted.

    It has no credentials, no query and no fragment.
    """
    shown, _, rest = text.partition("?")
    shown, _, fragment = shown.partition("#")
    if _AT.search(rest + fragment):
        return "a text with an @"  # A password may hold a question mark, or a number sign.
    # No port either: a password stands in its place if the @ was forgotten.
    shown = _PORT.sub(r"\1", _AT.split(shown)[-1])
    return repr(shown if len(shown) <= 100 else shown[:100] + "…")


def single_line(text: str, limit: int = 500) -> str:
    """Return the first `limit` characters of a server's text as one printable line, for messages and logs."""
    printable = "".join(each if each.isprintable() else " " for each in text[: 8 * limit])
    return " ".join(printable.split())[:limit]
