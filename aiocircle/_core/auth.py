"""The request header that carries the token."""

from __future__ import annotations

import base64
import hashlib
from typing import Literal
from urllib.parse import urlsplit

from aiocircle._redact import Secret
from aiocircle.errors import ConfigurationError

__all__ = ["Auth", "auth_header", "hash_account"]

Auth = Literal["circle-token", "bearer", "basic"]


def auth_header(auth: str, token: Secret) -> dict[str, str]:
    """Return the header that carries the token. Its repr is masked."""
    if auth == "circle-token":
        return {"Circle-Token": token}
    if auth == "bearer":
        return {"Authorization": Secret(f"Bearer {token}")}
    if auth == "basic":
        return {"Authorization": Secret("Basic " + base64.b64encode(f"{token}:".encode()).decode())}
    # The value is not shown: a caller may have passed the token in its place.
    raise ConfigurationError(
        f'auth must be "circle-token", "bearer" or "basic", got another value of type {type(auth).__name__}'
    )


def hash_account(root: str, token: Secret) -> str:
    """Return the key of the budget that all requests with one token to one host share. It does not reveal the token."""
    return hashlib.sha256(f"aiocircle\0{urlsplit(root).netloc}\0{token}".encode()).hexdigest()[:32]
