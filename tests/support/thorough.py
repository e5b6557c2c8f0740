"""Length of the suite: short by default, at length with AIOCIRCLE_THOROUGH=1."""

from __future__ import annotations

import os
from typing import Final

# asyncio's debug mode, more examples and longer runs: some minutes.
THOROUGH: Final = os.environ.get("AIOCIRCLE_THOROUGH") == "1"


def scaled(short: int, thorough: int) -> int:
    """Return `thorough` under AIOCIRCLE_THOROUGH=1, otherwise `short`."""
    return thorough if THOROUGH else short
