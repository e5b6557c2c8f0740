"""Text that errors, logs and reprs may show: secrets masked, one printable line."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, SupportsIndex, cast, overload
from urllib.parse import quote, quote_plus, unquote

__all__ = [
    "NO_MASK",
    "RedactedURL",
    "Secret",
    "SecretBytes",
    "SecretHeader",
    "SecretMask",
    "conceal",
    "conceal_credentials",
    "redact_slug",
    "redact_url",
    "single_line",
    "type_name",
]

# Query parameters whose values grant access: signed storage URLs and the API's own deprecated token parameter.
_SECRET_PARTS: Final = (
    *("token", "signature", "credential", "secret", "passw", "passphrase", "key", "policy", "jwt", "bearer", "cookie"),
    *("assertion", "oauth", "authoriz"),
)
_SECRET_NAMES: Final = {
    *("auth", "code", "pass", "pwd", "pin", "otp", "sid", "session", "sessionid", "session-id", "sig", "se")
}
_SECRET_STARTS: Final = ("auth-", "x-amz-", "x-goog-")
_SECRET_ENDS: Final = ("-auth", "-pass", "-pwd", "-otp", "-sid", "-sig")
_PUBLIC_NAMES: Final = {"page-token", "page_token"}
# Compiled when they are first used: most processes show no URL.
_USER: Final = r"//[^/?#\s<>\"]*@"
_FRAGMENT: Final = r"#[^\s<>\"]*"
_PORT: Final = r"(//[^/:]*):[^/]*"
_PARAMETER: Final = r"(?P<mark>[?&;])(?P<name>[^=&;#\s<>\"]+)=[^&;#\s<>\"]+"
_MAX_DEPTH: Final = 64  # levels of a value in which texts are masked
_MIN_ENCODED: Final = 8  # characters: the Base64 of fewer could be a word


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

    def __deepcopy__(self, _: Any) -> Secret:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        raise TypeError("a secret cannot be pickled")


class SecretHeader(Secret):
    """The value of a request header. A pickle has `***` in its place, so that recorders of requests keep no token."""

    __slots__ = ()

    def __reduce__(self) -> tuple[Any, ...]:
        return str, ("***",)


class SecretBytes(bytes):
    """Bytes that a repr, a log line, a traceback with locals or a pickle shows as `***`."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "b'***'"

    def __getitem__(self, key: SupportsIndex | slice[Any, Any, Any]) -> Any:
        if isinstance(key, slice):
            return SecretBytes(super().__getitem__(key))
        return super().__getitem__(key)

    def __deepcopy__(self, _: Any) -> SecretBytes:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return bytes, (b"***",)


class RedactedURL(str):
    """A URL whose repr has no user part and no query values that grant access."""

    __slots__ = ()

    def __repr__(self) -> str:
        return repr(redact_url(str.__str__(self)))

    def __getitem__(self, key: Any) -> str:
        # Pretty printers cut long strings before they call repr.
        return redact_url(str.__str__(self))[key]


def type_name(value: object) -> str:
    """Return the name of the type of a value, as an error may show it."""
    if isinstance(value, Secret):
        return "str"
    return "bytes" if isinstance(value, SecretBytes) else type(value).__name__


def conceal(value: Any, depth: int = _MAX_DEPTH) -> Any:
    """Return the value with its texts masked, also those inside mappings, lists, tuples and sets."""
    if not depth:
        return value  # It may contain itself. What cannot be sent is refused later.
    if isinstance(value, str):
        return Secret(value)
    if isinstance(value, bytes | bytearray):
        return SecretBytes(value)
    if isinstance(value, Mapping):
        items = cast("Iterable[tuple[Any, Any]]", value.items())
        return {key: conceal(item, depth - 1) for key, item in items}
    collection = _COLLECTIONS.get(type(cast("object", value)))
    if collection is None:
        return value
    return collection([conceal(item, depth - 1) for item in cast("Iterable[Any]", value)])


# By exact type: any other one is sent as it is, or refused.
_COLLECTIONS: Final[Mapping[type, Callable[[list[Any]], Any]]] = {
    list: list[Any],
    tuple: tuple[Any, ...],
    set: set[Any],
    frozenset: frozenset[Any],
}


def conceal_credentials(value: Any) -> Any:
    """Return a text that may have credentials before an @ masked, and any other value unchanged."""
    return conceal(value) if not isinstance(value, str) or _has_at(value) else value


class SecretMask:
    """Replaces secrets in what a server sends: as they are, percent-encoded, in JSON, and inside Base64."""

    # Shorter ones are not secrets, and would cut words.
    MIN_LENGTH: Final = 4

    def __init__(self) -> None:
        self._secrets: dict[Secret, None] = {}
        self._pattern: re.Pattern[str] | None = None
        self._bytes_pattern: re.Pattern[bytes] | None = None

    def add(self, secret: Secret) -> None:
        """Mask this secret from now on, next to those before it."""
        if len(secret) >= self.MIN_LENGTH and secret not in self._secrets:
            self._secrets[secret] = None
            self._pattern = self._bytes_pattern = None

    @overload
    def apply(self, data: str) -> str: ...
    @overload
    def apply(self, data: bytes) -> bytes: ...
    def apply(self, data: str | bytes) -> str | bytes:
        """Return the data with `***` in place of each secret."""
        if not self._secrets:
            return data
        if self._pattern is None or self._bytes_pattern is None:
            forms = {form for secret in self._secrets for form in _forms(secret)}
            pattern = "|".join(map(re.escape, sorted(forms, key=len, reverse=True)))
            self._pattern = re.compile(pattern)
            plain = [form.encode(encoding) for form in self._secrets for encoding in ("utf-16-le", "utf-16-be")]
            self._bytes_pattern = re.compile(b"|".join([pattern.encode(), *map(re.escape, plain)]))
        return self._pattern.sub("***", data) if isinstance(data, str) else self._bytes_pattern.sub(b"***", data)


NO_MASK: Final = SecretMask()
"""The mask of a client that has no secrets. Nothing is added to it."""


def _forms(secret: str) -> set[str]:
    """Return the texts that reveal a secret."""
    forms = {str.__str__(secret), quote(secret), quote(secret, safe=""), quote_plus(secret), json.dumps(secret)[1:-1]}
    forms.add(secret.replace("/", "\\/"))
    forms |= {re.sub("%[0-9A-F]{2}", lambda code: code[0].lower(), form) for form in forms}
    if len(secret) >= _MIN_ENCODED:
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            for offset in range(3):
                encoded = encode(b"\0" * offset + secret.encode()).decode().rstrip("=")
                # The characters at both ends depend on what surrounds the secret.
                whole = (offset + len(secret.encode())) * 8 // 6
                forms.add(encoded[-(-offset * 8 // 6) : whole])
    return forms


def redact_url(url: str) -> str:
    """Return `url` without user part and fragment, and without the values of query parameters that grant access.

    Accept any text, also with several URLs (as in a Link header): a server may send text that is not a URL.
    """
    return re.sub(_PARAMETER, _mask, re.sub(_FRAGMENT, "", re.sub(_USER, "//", url)))


def _mask(parameter: re.Match[str]) -> str:
    return f"{parameter['mark']}{parameter['name']}=***" if _is_secret(unquote(parameter["name"])) else parameter[0]


def _is_secret(name: str) -> bool:
    """Return True if a query parameter of this name grants access."""
    name = name.casefold()
    if name in _PUBLIC_NAMES:
        return False
    name = name.replace("_", "-").replace(".", "-")
    return (
        name in _SECRET_NAMES
        or name.startswith(_SECRET_STARTS)
        or name.endswith(_SECRET_ENDS)
        or any(part in name for part in _SECRET_PARTS)
    )


def redact_slug(text: str) -> str:
    """Return the part of a slug, a URL or a git remote that an error may show, quoted.

    It has no credentials, no query and no fragment.
    """
    shown, _, rest = text.partition("?")
    shown, _, fragment = shown.partition("#")
    if _has_at(rest + fragment):
        return "a text with an @"  # A password may hold a question mark, or a number sign.
    # No port either: a password stands in its place if the @ was forgotten.
    shown = re.sub(_PORT, r"\1", shown.replace("%40", "@").rpartition("@")[2])
    return repr(shown if len(shown) <= 100 else shown[:100] + "…")


def _has_at(text: str) -> bool:
    return "@" in text or "%40" in text


def single_line(text: str, limit: int = 500) -> str:
    """Return the first `limit` characters of a server's text as one printable line, for messages and logs."""
    printable = "".join(each if each.isprintable() else " " for each in text[: 8 * limit])
    return " ".join(printable.split())[:limit]
