"""JSON bytes to models by msgspec, for types that it reads exactly as cattrs would."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, Final, TypeVar, get_args, get_origin

import attrs
import msgspec

from aiocircle._core.fields import NumericText, Timestamp, WholeNumber, wire_name
from aiocircle._core.structure import SCALARS, is_array, is_mapping, is_model, is_one_or_more, is_union

__all__ = ["msgspec_decoder"]

_MARKED: Final = (Any, Timestamp, WholeNumber, NumericText)


@cache
def msgspec_decoder(type_: Any) -> Callable[[bytes], Any] | None:
    """Return msgspec's decoder for `type_`, or None if it may read the type differently from cattrs.

    They differ if a field has a second spelling, a converter or an alias: msgspec would leave it at its default. Some
    types also have different meanings in the two. cattrs decides on all bodies that msgspec refuses.
    """
    types: set[Any] = set()
    if not _supports_msgspec(type_, types):
        return None
    for model in filter(is_model, types):
        _prefill_defaults(get_origin(model) or model)
    try:
        return msgspec.json.Decoder(type_).decode
    except TypeError:
        return None


def _prefill_defaults(model: Any) -> None:
    """Let msgspec begin each object with the defaults of its RARELY_PRESENT fields.

    It finds a missing field by an AttributeError, which takes longer than reading three fields. attrs does not see
    this method: it looks for one when it creates the class.
    """
    rare = [
        (getattr(model, field.name).__set__, field.default)
        for field in attrs.fields(model)
        if "aiocircle.rare" in field.metadata
    ]

    def prefill(self: Any) -> None:
        for write, default in rare:
            write(self, default)

    if rare:
        model.__attrs_pre_init__ = prefill


def _supports_msgspec(type_: Any, seen: set[Any]) -> bool:
    if type_ in SCALARS or type_ in _MARKED or isinstance(type_, TypeVar) or type_ in seen:
        return True  # The value of a type variable is checked where it is bound.
    seen.add(type_)
    arguments = get_args(type_)
    if is_model(type_):
        supported = _has_plain_fields(get_origin(type_) or type_, seen)
        return supported and all(_supports_msgspec(argument, seen) for argument in arguments)
    if is_array(type_) or is_one_or_more(type_):
        return _supports_msgspec(arguments[0], seen)
    if is_mapping(type_):
        return arguments[0] is str and _supports_msgspec(arguments[1], seen)
    return is_union(type_) and all(_supports_msgspec(member, seen) for member in arguments)


def _has_plain_fields(model: type, seen: set[Any]) -> bool:
    for field in attrs.fields(attrs.resolve_types(model, include_extras=True)):
        if wire_name(field) != field.name or field.alias != field.name or field.converter or not field.init:
            return False
        if not _supports_msgspec(field.type, seen):
            return False
    return True
