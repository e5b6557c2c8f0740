"""Signed URLs of the storage that CircleCI keeps files in."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import attrs

from .identity import digest

__all__ = ["Storage"]


@attrs.frozen
class Storage:
    """Signs and checks URLs; its host is not the API's, so that a token must not follow there."""

    root: str
    seed: int

    def sign(self, path: str, clock: float, lifetime: int) -> str:
        """A URL that is good for `lifetime` seconds of loop time, another one at another time."""
        stamp = f"{clock:.6f}"
        query = f"X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Date={stamp}&X-Amz-Expires={lifetime}"
        return f"{self.root}{path}?{query}&X-Amz-Signature={self._signature(path, stamp, str(lifetime))}"

    def valid(self, path: str, query: Mapping[str, Sequence[str]], clock: float) -> bool:
        """Whether a URL was signed here and is still good."""
        stamp, lifetime, signature = (query.get(f"X-Amz-{name}", [""])[0] for name in ("Date", "Expires", "Signature"))
        if signature != self._signature(path, stamp, lifetime):
            return False
        return clock <= math.ceil(float(stamp) + int(lifetime))

    def _signature(self, path: str, stamp: str, lifetime: str) -> str:
        return digest("signature", self.seed, path, stamp, lifetime).hex()
