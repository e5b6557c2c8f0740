"""All models that responses are decoded as."""

from __future__ import annotations

from typing import Any, Final, get_args

import attrs

from tests.contract.tables import TABLES, model_of

__all__ = ["MODELS"]


def _collect(type_: Any, found: dict[Any, None]) -> None:
    if isinstance(type_, type) and attrs.has(type_):
        if type_ in found:
            return
        found[type_] = None
        for field in attrs.fields(attrs.resolve_types(type_, include_extras=True)):
            _collect(field.type, found)
    for each in get_args(type_):
        _collect(each, found)


def _models() -> tuple[Any, ...]:
    found: dict[Any, None] = {}
    for endpoint in TABLES:
        _collect(model_of(endpoint), found)
    return tuple(found)


MODELS: Final = _models()
"""The models of all results, and those that their fields hold, in the order of the tables."""
