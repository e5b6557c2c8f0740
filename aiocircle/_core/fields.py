"""Marks that models, bodies and queries use in their annotations."""

from __future__ import annotations

from typing import Any

__all__ = ["JSON"]

# A JSON value. `Any`, because a recursive alias would be checked again at every use for no gain.
JSON = Any
