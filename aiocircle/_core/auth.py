"""The tokens of a client: the present one, its request header, and the provider of further ones."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import inspect
from collections.abc import Awaitable, Callable
from typing import Any, Final, Literal, cast
from urllib.parse import urlsplit

from multidict import istr

from aiocircle._redact import Secret, SecretHeader, SecretMask
from aiocircle.errors import ConfigurationError

__all__ = ["Auth", "Credentials", "TokenProvider", "hash_account", "parse_token"]

Auth = Literal["circle-token", "bearer", "basic", "none"]

TokenProvider = Callable[[], str | Awaitable[str]]
"""A function that returns the present token, or an awaitable of it.

It is called before the first request, and once more after a 401.
"""

_CIRCLE_TOKEN: Final = istr("Circle-Token")
_AUTHORIZATION: Final = istr("Authorization")


def parse_token(text: Secret, source: str) -> Secret:
    """Return the token without white space at its ends. Raise ConfigurationError, which names the source, if malformed.

    The message does not repeat the token.
    """
    token = Secret(text.strip())
    if not token:
        raise ConfigurationError(f"{source} must be a token, got an empty text")
    if not (token.isascii() and token.isprintable() and " " not in token):
        raise ConfigurationError(
            f"{source} must be a token, got a character that no header can carry. Look for a line break inside it"
        )
    return token


def hash_account(root: str, token: str) -> str:
    """Return the key of the budget that all requests with one token to one host share. It does not reveal the token."""
    return hashlib.sha256(f"aiocircle\0{urlsplit(root).netloc}\0{token}".encode()).hexdigest()[:32]


class Credentials:
    """The token of a client and its copies.

    header: the name and value of the request header that carries the token; empty without a token. account: the key of
    the budget. mask: masks all tokens that were used. can_renew: True if a token that was refused can be replaced.
    """

    def __reduce__(self) -> tuple[Any, ...]:
        raise TypeError("credentials cannot be pickled")

    def __init__(self, root: str, auth: Auth, token: Secret | TokenProvider | None) -> None:
        self._root = root
        self._auth = auth
        self._provider = None if isinstance(token, str) else token
        self._present: Secret | None = None
        self._calls = 0  # of the provider, that have ended
        self._failure: str | None = None  # of its last call
        self._calling: asyncio.Lock | None = None
        self.can_renew = self._provider is not None
        self.header: dict[str, str] = {}
        self.mask = SecretMask()
        if isinstance(token, Secret):
            self._use(token)
        else:
            self.account = hash_account(root, "")

    @property
    def token(self) -> Secret | None:
        """The present token; None before the first one, and without one."""
        return self._present

    async def renew(self, refused: Secret | None) -> bool:
        """Return True if there is another token than the one that was refused. Call the provider if need be.

        One call serves all requests that wait for it. Raise ConfigurationError if it failed.
        """
        calls = self._calls
        if self._present != refused:
            return True
        if self._calling is None:
            self._calling = asyncio.Lock()
        async with self._calling:
            # After a cancelled call, the next request that waits makes it.
            if calls == self._calls:
                await self._call_provider()
        if self._failure is not None:
            raise ConfigurationError(self._failure)
        return self._present != refused

    async def _call_provider(self) -> None:
        assert self._provider is not None
        failure = None
        try:
            # The token is masked before anything can fail, so that no traceback with local variables shows it.
            self._use(parse_token(await _call(self._provider), "the value of the token provider"))
        except ConfigurationError as error:
            failure = str(error)
        except Exception as error:
            # Its text may repeat the token.
            failure = f"the token provider must return a token, got {type(error).__name__}. Catch it in the provider"
        self._failure = failure
        self._calls += 1

    def _use(self, token: Secret) -> None:
        self._present = token
        self.account = hash_account(self._root, token)
        self.mask.add(token)
        if self._auth == "circle-token":
            self.header = {_CIRCLE_TOKEN: SecretHeader(token)}
        elif self._auth == "bearer":
            self.header = {_AUTHORIZATION: SecretHeader(f"Bearer {token}")}
        else:
            self.header = {_AUTHORIZATION: SecretHeader("Basic " + base64.b64encode(f"{token}:".encode()).decode())}


async def _call(provider: TokenProvider) -> Secret:
    result: object = _masked(provider())
    if inspect.isawaitable(result):
        result = _masked(await cast("Awaitable[object]", result))
    if not isinstance(result, Secret):
        raise ConfigurationError(f"the token provider must return a str, got {type(result).__name__}")
    return result


def _masked(value: object) -> object:
    return Secret(value) if isinstance(value, str) else value
