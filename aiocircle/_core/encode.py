"""Request bodies, nested bodies and queries: Python values to their form on the wire."""

from __future__ import annotations

import math
import re
import types
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime
from enum import Enum
from functools import cache
from typing import (
    Annotated,
    Any,
    Final,
    NotRequired,
    Required,
    TypeGuard,
    Union,
    cast,
    get_args,
    get_origin,
    get_type_hints,
    is_typeddict,
)
from uuid import UUID

import attrs
import msgspec

from aiocircle._core.fields import JSON, UNSET, Timestamp, wire_name
from aiocircle._redact import Secret, SecretBytes, type_name
from aiocircle.errors import InvalidArgument

__all__ = ["encode_body", "encode_json", "encode_nested", "encode_query", "parse_datetime", "quote_value"]

_NOT_UNRESERVED: Final = re.compile(rb"[^A-Za-z0-9_.~-]")  # RFC 3986, section 2.3
_QUOTED: Final = {bytes([byte]): b"+" if byte == 0x20 else b"%%%02X" % byte for byte in range(256)}


def encode_body(fields: Mapping[str, Any], spell: Callable[[str], str] | None = None) -> bytes:
    """Return a request body of the given fields.

    spell: returns the name of a field on the wire; None for names that are those on the wire. UNSET omits a field; None
    is null. Raise InvalidArgument, which names the field, for a value that JSON cannot hold.
    """
    return _to_json(
        {
            name if spell is None else spell(name): _encode_checked(value, name)
            for name, value in fields.items()
            if value is not UNSET
        }
    )


def quote_value(text: str) -> str:
    """Return a text as urllib's quote_plus() quotes it for a query, in a fifth of the time: each page has a token."""
    return _NOT_UNRESERVED.sub(lambda found: _QUOTED[found[0]], text.encode()).decode("ascii")


def encode_json(value: Any, name: str) -> bytes:
    """Return any value as a JSON body. Raise InvalidArgument, which names the place, if JSON cannot hold it."""
    return _to_json(_encode_checked(value, name))


def _to_json(value: JSON) -> bytes:
    # Masked texts stay masked up to here, and the body with them is masked: tracebacks show local variables.
    has_secret = False

    def unmask(secret: Any) -> str:
        nonlocal has_secret
        has_secret = True
        return str.__str__(secret)

    body = msgspec.json.encode(value, enc_hook=unmask)
    return SecretBytes(body) if has_secret else body


def encode_nested(shape: type, value: Any, path: str, *, fixed: Sequence[str] = ()) -> dict[str, JSON]:
    """Return a nested body in its form on the wire, from a mapping or a model.

    `shape` is the TypedDict that declares it. A key whose annotation is `Annotated[…, "wire-name"]` is sent under that
    name. None in a mapping is null. A model's fields are sent unless they are None, read-only, or `fixed`: those that
    an update cannot change. Raise InvalidArgument for unknown and missing keys, and for a field of a model that cannot
    be sent.
    """
    declared, required = _typeddict_fields(shape)
    if _is_attrs(value):
        value = _fields_to_send(value, declared, fixed)
    if not _is_map(value):
        raise InvalidArgument(f"{path} must be a mapping or a model, got {type(value).__name__}")
    present = {name: field for name, field in value.items() if field is not UNSET}
    if unknown := [str(key) for key in present if key not in declared]:
        raise InvalidArgument(f"{path} has no key {unknown[0]!r}. Its keys are {', '.join(declared)}")
    if missing := sorted(required - present.keys()):
        raise InvalidArgument(f"{path} needs the key {missing[0]!r}")
    return {
        wire: _encode_as(type_, present[name], f"{path}.{name}")
        for name, (wire, type_) in declared.items()
        if name in present
    }


def _fields_to_send(model: Any, declared: Mapping[str, Any], fixed: Sequence[str]) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for field in attrs.fields(cast("Any", type(model))):
        value = getattr(model, field.name)
        is_default = field.name not in declared and value == field.default
        if value is not None and not is_default and "aiocircle.read-only" not in field.metadata:
            fields[field.name] = value
    return {name: value for name, value in fields.items() if name not in fixed}


@cache
def _typeddict_fields(shape: type) -> tuple[dict[str, tuple[str, Any]], frozenset[str]]:
    """Return the name on the wire and the type of each key of a TypedDict, and the keys that it requires."""
    keys: dict[str, tuple[str, Any]] = {}
    required: set[str] = set(getattr(shape, "__required_keys__", ()))
    for name, hint in get_type_hints(shape, include_extras=True).items():
        wire = name
        while (origin := get_origin(hint)) in (Required, NotRequired, Annotated):
            if origin is Annotated:
                wire = next((note for note in get_args(hint)[1:] if isinstance(note, str)), wire)
            else:
                # If annotations are text, the class itself does not see Required and NotRequired.
                (required.add if origin is Required else required.discard)(name)
            hint = get_args(hint)[0]
        keys[name] = (wire, hint)
    return keys, frozenset(required)


def _encode_as(type_: Any, value: Any, path: str) -> JSON:
    """Return `value` with the keys that `type_` declares for it or for its items."""
    if value is None:
        return None
    members = _union_members(type_)
    for member in members:
        if is_typeddict(member) and (_is_map(value) or _is_attrs(value)):
            return encode_nested(member, value, path)
        if get_origin(member) is Sequence:
            item_type: Any = get_args(member)[0]
            if isinstance(value, str | UUID) and not is_typeddict(item_type):
                value = [value]  # One value stands for an array of one.
            if _is_sequence(value):
                return [_encode_as(item_type, item, f"{path}[{index}]") for index, item in enumerate(value)]
    if all(is_typeddict(member) or get_origin(member) is Sequence for member in members):
        expected = "a mapping or a model" if is_typeddict(members[0]) else "a sequence"
        raise InvalidArgument(f"{path} must be {expected}, got {type(value).__name__}")
    return _encode_checked(value, path)


def _union_members(type_: Any) -> list[Any]:
    """Return the members of a union except None, and of a TypedDict and a model in it only the TypedDict."""
    if get_origin(type_) in (Union, types.UnionType):
        members = [option for member in get_args(type_) for option in _union_members(member)]
        has_shape = any(is_typeddict(member) for member in members)
        return [member for member in members if member is not types.NoneType and not (has_shape and attrs.has(member))]
    return [type_]


def encode_query(parameters: Mapping[str, Any], spell: Callable[[str], str] | None = None) -> list[tuple[str, str]]:
    """Return query parameters as pairs. None is omitted, several values repeat the parameter.

    spell: returns the name of a parameter on the wire; None for names that are those on the wire.
    """
    pairs: list[tuple[str, str]] = []
    for name, value in parameters.items():
        if value is None or value is UNSET:
            continue
        wire = _encode_text(name, "the name of a query parameter") if spell is None else spell(name)
        if _is_sequence(value):
            pairs += [(wire, _query_value(item, name)) for item in value]
        else:
            pairs.append((wire, _query_value(value, name)))
    return pairs


def _is_attrs(value: Any) -> bool:
    class_: Any = value.__class__
    return attrs.has(class_)


def _is_map(value: Any) -> TypeGuard[Mapping[Any, Any]]:
    return isinstance(value, Mapping)


def _is_sequence(value: Any) -> TypeGuard[Sequence[Any]]:
    return isinstance(value, Sequence) and not isinstance(value, str | bytes | bytearray | memoryview)


def _query_value(value: Any, name: str) -> str:
    value = _unwrap_enum(value, name)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int) or (isinstance(value, float) and math.isfinite(value)):
        if value < 0:
            raise InvalidArgument(f"{name} must be zero or more, got {value}")
        return str(value)
    if isinstance(value, str):
        return _encode_text(value, name)
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, date):
        return _rfc3339(value, name)
    raise InvalidArgument(f"{name} must be a value that a query can carry, got {type_name(value)}")


def _encode_checked(value: Any, path: str) -> JSON:
    try:
        return _encode(value, path)
    except RecursionError:
        raise InvalidArgument(f"{path} cannot be sent: it is nested too deeply, or contains itself") from None


def _encode(value: Any, path: str) -> JSON:
    value = _unwrap_enum(value, path)
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, str):
        return _encode_text(value, path)
    if isinstance(value, float):
        if not math.isfinite(value):
            raise InvalidArgument(f"{path} must be a number that JSON can hold, got {value}")
        return value
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, date):
        return _rfc3339(value, path)
    if _is_map(value):
        return _encode_map(value, path)
    if _is_sequence(value):
        return [_encode(item, f"{path}[{index}]") for index, item in enumerate(value)]
    if _is_attrs(value):
        return {
            wire_name(field): _encode(item, f"{path}.{field.name}")
            for field in attrs.fields(value.__class__)
            if (item := getattr(value, field.name)) is not UNSET and item is not None
        }
    raise InvalidArgument(f"{path} must be a value that JSON can hold, got {type_name(value)}")


def _encode_map(value: Mapping[Any, Any], path: str) -> dict[str, JSON]:
    encoded: dict[str, JSON] = {}
    for key, item in value.items():
        if not isinstance(key, str):
            raise InvalidArgument(f"{path} must have strings as keys, got {key!r}")
        if item is not UNSET:
            encoded[_encode_text(key, path)] = _encode(item, f"{path}.{key}")
    return encoded


def _unwrap_enum(value: Any, path: str) -> Any:
    """Return an enum member's value, and a number without what its subclass adds."""
    if isinstance(value, Enum):
        if value is UNSET:
            raise InvalidArgument(f"{path} must be a value, got UNSET. It only omits a field")
        return _unwrap_enum(value.value, path)
    for type_ in (bool, int, float):
        if isinstance(value, type_):
            return type_(value)
    return value


def _encode_text(value: str, name: str) -> str:
    try:
        value.encode()
    except UnicodeEncodeError:
        raise InvalidArgument(f"{name} must be text that UTF-8 can hold, got a lone surrogate") from None
    # Without what a subclass adds, unless that is the mask of a secret.
    return value if isinstance(value, Secret) else str.__str__(value)


def parse_datetime(value: datetime | str, name: str) -> datetime:
    """Return an aware datetime, from one or from its text. Raise InvalidArgument for any other value."""
    if isinstance(value, str):
        try:
            return msgspec.convert(value, Timestamp)
        except (msgspec.ValidationError, UnicodeEncodeError):
            raise InvalidArgument(f"{name} must be a time with an offset, such as 2026-01-31T12:00:00Z") from None
    if not isinstance(value, datetime):
        raise InvalidArgument(f"{name} must be a datetime or its text, got {type(value).__name__}")
    _rfc3339(value, name)
    return value


def _rfc3339(value: date, name: str) -> str:
    if not isinstance(value, datetime):
        return value.isoformat()
    if value.utcoffset() is None:
        raise InvalidArgument(
            f"{name} must be an aware datetime, got a naive one. Give it a time zone, as datetime.now(UTC) has"
        )
    text = value.isoformat()
    return text.removesuffix("+00:00") + "Z" if text.endswith("+00:00") else text
