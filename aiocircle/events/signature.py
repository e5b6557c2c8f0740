"""Signatures of events: HMAC-SHA256 over the exact bytes of the body.

No frame of an exception raised here has a local variable that holds the secret. This is why secrets are turned into
keyed hashes first, and deleted before anything is raised.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, TypeAlias

from aiocircle.errors import ConfigurationError, SignatureError
from aiocircle.events.parser import require_bytes

__all__ = ["Body", "Headers", "SigningKeys", "sign", "verify"]

Body: TypeAlias = bytes | bytearray | memoryview
"""The body of a request, as it was received."""

Headers: TypeAlias = Mapping[str, str] | Iterable[tuple[str | bytes, str | bytes]]
"""The headers of a request: a mapping, or pairs as ASGI has them."""

_HEADER: Final = "circleci-signature"
_VERSION: Final = "v1"


def verify(body: Body, headers: Headers, secret: str | Sequence[str]) -> None:
    """Raise SignatureError if the request was not signed with the secret.

    body: the exact bytes of the request. headers: a mapping or pairs, with names in any case. secret: the signing
    secret of the webhook, or several while it is replaced. An empty secret is a ConfigurationError.

    https://circleci.com/docs/guides/integration/outbound-webhooks/#validate-webhooks
    """
    keys = SigningKeys(secret)
    del secret
    keys.ensure_valid()
    keys.verify(require_bytes(body), headers)


def sign(body: Body, secret: str) -> str:
    """Return the value of the header `circleci-signature` for a body, to test a receiver.

    An empty secret is a ConfigurationError.

    https://circleci.com/docs/guides/integration/outbound-webhooks/#validate-webhooks
    """
    keys = SigningKeys([secret])
    del secret
    keys.ensure_valid()
    (digest,) = keys.digests(require_bytes(body))
    return f"{_VERSION}={digest}"


class SigningKeys:
    """The secrets of a webhook, as keyed hashes. The text of a secret is not kept."""

    __slots__ = ("_hashes", "_problem")

    def __init__(self, secret: Any) -> None:
        # It never raises: its frame, and that of its caller, have the secret in a local variable.
        self._hashes: tuple[hmac.HMAC, ...] = ()
        self._problem = _problem(secret)
        if self._problem is None:
            secrets: Sequence[str] = [secret] if isinstance(secret, str) else secret
            self._hashes = tuple(hmac.new(text.encode(), digestmod="sha256") for text in secrets)

    def ensure_valid(self) -> None:
        """Raise ConfigurationError if the secret cannot be used."""
        if self._problem is not None:
            raise ConfigurationError(self._problem)

    def digests(self, body: bytes) -> list[str]:
        """Return the signature of the body by each secret."""
        return [_digest(key, body) for key in self._hashes]

    def verify(self, body: bytes, headers: Headers) -> None:
        """Raise SignatureError if none of the secrets made a signature of the headers."""
        signatures = _signatures(headers)
        if not signatures:
            raise SignatureError(
                f"the request has no {_VERSION} signature in the header {_HEADER}. "
                "Set the signing secret of the webhook in CircleCI."
            )
        if not self._matches(body, signatures):
            raise SignatureError(
                "the signature is wrong. Compare the secret with the webhook's in CircleCI, "
                "and pass the body as it was received."
            )

    def _matches(self, body: bytes, signatures: Sequence[bytes]) -> bool:
        matches = False
        for digest in self.digests(body):
            for signature in signatures:
                # Without an early exit: the time does not reveal which secret matched.
                matches |= hmac.compare_digest(digest.encode(), signature)
        return matches


def _problem(secret: Any) -> str | None:
    """Return the reason why a secret cannot be used, without its value."""
    type_: type = secret.__class__
    if issubclass(type_, bytes | bytearray | memoryview) or not issubclass(type_, Sequence):
        return f"secret must be a str or a sequence of them, got {type_.__name__}. Decode bytes as UTF-8 first."
    secrets: Sequence[Any] = (secret,) if issubclass(type_, str) else secret
    if not secrets:
        return "secret must be one secret or several, got an empty sequence. Take it from the webhook in CircleCI."
    for text in secrets:
        if not isinstance(text, str):
            return f"secret must be a str or a sequence of them, got {type(text).__name__} in it. Pass text only."
        if not text.strip():
            return "secret must be a text that is not empty, got an empty str. Take it from the webhook in CircleCI."
        if any("\ud800" <= character <= "\udfff" for character in text):
            return "secret must be text that UTF-8 can encode, got a lone surrogate. Check how it is read."
    return None


def _digest(key: hmac.HMAC, body: bytes) -> str:
    mac = key.copy()
    mac.update(body)
    return mac.hexdigest()


def _signatures(headers: Headers) -> list[bytes]:
    """Return the signatures of version 1 in the headers. Other versions are ignored."""
    mapping_or_pairs: Any = headers
    pairs: Iterable[tuple[Any, Any]] = mapping_or_pairs.items() if isinstance(headers, Mapping) else mapping_or_pairs
    signatures: list[bytes] = []
    for name, value in pairs:
        if _text(name).lower() == _HEADER:
            for part in _text(value).split(","):
                version, _, digest = part.strip().partition("=")
                if version == _VERSION:
                    signatures.append(digest.encode("utf-8", "replace"))
    return signatures


def _text(value: object) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)
