"""Signed URLs of the storage that keeps CircleCI's files."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import attrs

from .ids import digest

__all__ = ["UrlSigner"]


@attrs.frozen
class UrlSigner:
    """Signs and checks URLs of a storage host, which is another host than the API's."""

    root: str
    seed: int

    def sign(self, path: str, now: float, lifetime: int) -> str:
        """Return a URL that is valid for `lifetime` seconds; another `now` gives another URL."""
        stamp = f"{now:.6f}"
        query = f"X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Date={stamp}&X-Amz-Expires={lifetime}"
        return f"{self.root}{path}?{query}&X-Amz-Signature={self._signature(path, stamp, str(lifetime))}"

    def is_valid(self, path: str, query: Mapping[str, Sequence[str]], now: float) -> bool:
        """Return True if this signer made the URL and it has not expired."""
        stamp, lifetime, signature = (query.get(f"X-Amz-{name}", [""])[0] for name in ("Date", "Expires", "Signature"))
        if signature != self._signature(path, stamp, lifetime):
            return False
        return now <= math.ceil(float(stamp) + int(lifetime))

    def _signature(self, path: str, stamp: str, lifetime: str) -> str:
        return digest("signature", self.seed, path, stamp, lifetime).hex()
