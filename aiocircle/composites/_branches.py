"""Branches as arguments."""

from __future__ import annotations

from aiocircle.errors import InvalidArgument

__all__ = ["check_branch"]


def check_branch(branch: object) -> str:
    """Return the branch. Raise InvalidArgument if it is not a text, or empty."""
    if not isinstance(branch, str) or not branch:
        shown = repr(branch) if branch is None or isinstance(branch, str) else type(branch).__name__
        raise InvalidArgument(f"branch must be the name of a branch, got {shown}")
    return branch
