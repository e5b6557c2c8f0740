"""Plain JSON values to models, by cattrs. Its result is the authority: no other way of decoding may differ from it."""

from __future__ import annotations

import math
import types
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from functools import cache, partial
from operator import eq, is_
from typing import Annotated, Any, Final, Union, cast, get_args, get_origin

import attrs
import cattrs
import msgspec
from cattrs.errors import IterableValidationError, IterableValidationNote, StructureHandlerNotFoundError
from cattrs.gen import make_dict_structure_fn

from aiocircle._core.fields import JSON, ONE_OR_MORE, NumericText, Timestamp, WholeNumber, wire_name

__all__ = [
    "SCALARS",
    "StructureProblems",
    "is_array",
    "is_mapping",
    "is_model",
    "is_one_or_more",
    "is_union",
    "structure",
]

# The names of JSON's types in messages. Python's int and float are both its numbers.
_JSON_TYPES: Final[Mapping[type, str]] = {
    bool: "a boolean",
    int: "an integer",
    float: "a number",
    str: "a string",
    list: "an array",
    dict: "an object",
    types.NoneType: "null",
}
SCALARS: Final = (types.NoneType, bool, int, float, str)
_MAX_PROBLEMS: Final = 10  # of one array or map: a caller needs a few, and each costs an exception


class StructureProblems(Exception):
    """A body that does not match the declared type.

    problems: one line each, with its JSON path (`$.items[3].name`). plain: the JSON value of the body, None if it has
    none. malformed: True if the body is not complete JSON, so that another attempt can succeed. next_page_token: of a
    page, the token to continue with.
    """

    def __init__(self, problems: Sequence[str], *, plain: JSON = None, malformed: bool = False) -> None:
        super().__init__(*problems)
        self.problems = tuple(problems)
        self.plain = plain
        self.malformed = malformed
        self.next_page_token: str | None = None


def structure(plain: JSON, type_: Any, path: str = "$") -> Any:
    """Return a JSON value as `type_`. Raise StructureProblems if it does not match.

    path: the JSON path of the value in the body, for the problems.
    """
    try:
        return _converter().structure(plain, type_)
    except StructureHandlerNotFoundError:
        raise  # The declared type is at fault, not the value.
    except Exception as error:
        problems = _problems(error, path)
    raise StructureProblems(problems, plain=plain)


@cache
def _converter() -> cattrs.Converter:
    """Return cattrs without its coercions: a JSON type is itself and nothing else."""
    converter = cattrs.Converter()
    for scalar in (bool, int, str):
        converter.register_structure_hook(scalar, _strict_hook(scalar))
    for type_ in (types.NoneType, list, dict):
        converter.register_structure_hook_func(partial(is_, type_), _strict_hook(type_))
    converter.register_structure_hook(float, _structure_float)
    converter.register_structure_hook_func(partial(is_, Any), lambda value, _: value)
    converter.register_structure_hook_func(_is_timestamp, _structure_timestamp)
    converter.register_structure_hook_func(partial(eq, WholeNumber), _structure_whole_number)
    converter.register_structure_hook_func(partial(eq, NumericText), _structure_numeric_text)
    converter.register_structure_hook_factory(is_union, _union_hook)
    converter.register_structure_hook_factory(is_array, _array_hook)
    converter.register_structure_hook_factory(is_one_or_more, _one_or_more_hook)
    converter.register_structure_hook_factory(is_mapping, _mapping_hook)
    converter.register_structure_hook_factory(is_model, _model_hook)
    return converter


def _strict_hook(source: type) -> Callable[[Any, Any], Any]:
    def convert(value: Any, type_: Any) -> Any:
        _require_type(source, value)
        # A subclass, such as an enum of strings, is constructed from the value.
        return value if type_ is source else type_(value)

    return convert


def _require_type(source: type, value: Any) -> None:
    # type(), not isinstance(): true is not an integer.
    if type(value) is not source:
        raise _unexpected(_JSON_TYPES[source], value)


def _unexpected(expected: str, value: Any) -> ValueError:
    return ValueError(f"expected {expected}, got {_JSON_TYPES[value.__class__]}")


def _structure_float(value: Any, _: Any) -> float:
    if type(value) is not int:
        _require_type(float, value)
    try:
        return float(value)
    except OverflowError:
        raise ValueError("expected a number that a float can hold") from None


def _structure_whole_number(value: Any, _: Any) -> int:
    if type(value) is float and value.is_integer():
        return int(value)
    _require_type(int, value)
    return cast("int", value)


def _structure_numeric_text(value: Any, _: Any) -> float:
    if type(value) is not str:
        return _structure_float(value, float)
    try:
        number = float(value)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise ValueError("expected a number or its text") from None
    return number


def _is_timestamp(type_: Any) -> bool:
    return type_ is datetime or (get_origin(type_) is Annotated and get_args(type_)[0] is datetime)


def _structure_timestamp(value: Any, _: Any) -> datetime:
    if type(value) is not str:
        raise _unexpected("a time", value)
    try:
        return msgspec.convert(value, Timestamp)
    except msgspec.ValidationError:
        raise ValueError("expected a time as RFC 3339 writes it, with an offset") from None


def is_union(type_: Any) -> bool:
    """Return True for a union whose members are read from different JSON types, so that the value selects one."""
    if get_origin(type_) not in (Union, types.UnionType):
        return False
    sources = [_source(member) for member in get_args(type_)]
    return None not in sources and len(sources) == len({*sources})


def _source(type_: Any) -> type | None:
    """Return the JSON type that `type_` is read from, None if it is not known."""
    if type_ in SCALARS:
        return cast("type", type_)
    if type_ == WholeNumber:
        return int
    if type_ == NumericText:
        return float
    if _is_timestamp(type_):
        return str
    if is_array(type_):
        return list
    return dict if is_mapping(type_) or is_model(type_) else None


def _union_hook(union: Any, converter: cattrs.Converter) -> Callable[[Any, Any], Any]:
    members: dict[Any, Any] = {_source(member): member for member in get_args(union)}
    if float in members:
        members.setdefault(int, members[float])
        if members[float] == NumericText:
            members.setdefault(str, NumericText)
    if members.get(int) == WholeNumber:
        members.setdefault(float, WholeNumber)
    if hasattr(members.get(dict), "from_text"):
        members.setdefault(str, members[dict])
    empty_is_none = types.NoneType in members and _is_timestamp(members.get(str))
    expected = " or ".join(name for source, name in _JSON_TYPES.items() if source in members)

    def convert(value: Any, _: Any) -> Any:
        if value == "" and empty_is_none:
            return None  # Older versions of the API write "" for a time that is not known yet.
        if type(value) not in members:
            raise _unexpected(expected, value)
        return converter.structure(value, members[type(value)])

    return convert


def is_array(type_: Any) -> bool:
    """Return True for a list, a sequence or a tuple of any length."""
    return get_origin(type_) in (list, Sequence) or (get_origin(type_) is tuple and get_args(type_)[1:] == (...,))


def _array_hook(array: Any, converter: cattrs.Converter) -> Callable[[Any, Any], Any]:
    convert_items = _items_hook(array, get_args(array)[0], converter)
    collection: Any = tuple if get_origin(array) is tuple else list

    def convert(value: Any, _: Any) -> Any:
        # cattrs would take any iterable, such as a string for an array of strings.
        _require_type(list, value)
        return collection(convert_items(enumerate(cast("list[Any]", value))))

    return convert


def _items_hook(
    collection: Any, item: Any, converter: cattrs.Converter
) -> Callable[[Iterable[tuple[int | str, Any]]], list[Any]]:
    """Return a hook for the values of an array or a map, each given with its place there.

    Unlike cattrs's own it stops after _MAX_PROBLEMS: an exception for each value would take a thousand times the
    memory of the response.
    """
    convert_item = converter.get_structure_hook(item)

    def convert(values: Iterable[tuple[int | str, Any]]) -> list[Any]:
        items: list[Any] = []
        problems: list[Exception] = []
        for place, value in values:
            try:
                items.append(convert_item(value, item))
            except Exception as error:
                error.add_note(IterableValidationNote("", place, item))
                problems.append(error)
                if len(problems) == _MAX_PROBLEMS:
                    break
        if problems:
            raise IterableValidationError("", problems, collection)  # pyright: ignore[reportCallIssue]
        return items

    return convert


def is_one_or_more(type_: Any) -> bool:
    """Return True for OneOrMore."""
    return get_origin(type_) is Annotated and ONE_OR_MORE in get_args(type_)[1:]


def _one_or_more_hook(type_: Any, converter: cattrs.Converter) -> Callable[[Any, Any], Any]:
    array: Any = get_args(type_)[0]
    inner = _array_hook(array, converter)
    return lambda value, _: inner(value if type(value) is list else [value], array)


def is_mapping(type_: Any) -> bool:
    """Return True for a map with declared types."""
    return get_origin(type_) in (Mapping, dict)


def _mapping_hook(mapping: Any, converter: cattrs.Converter) -> Callable[[Any, Any], Any]:
    convert_items = _items_hook(mapping, get_args(mapping)[1], converter)

    def convert(value: Any, _: Any) -> Any:
        _require_type(dict, value)
        return dict(zip(value, convert_items(value.items()), strict=True))

    return convert


def is_model(type_: Any) -> bool:
    """Return True for an attrs class, also a generic one."""
    origin = get_origin(type_)
    return attrs.has(type_ if origin is None else origin)


def _model_hook(model: Any, converter: cattrs.Converter) -> Callable[[Any, Any], Any]:
    origin = get_origin(model) or model
    attrs.resolve_types(origin, include_extras=True)
    inner = make_dict_structure_fn(model, converter)
    from_text: Callable[[str], Any] | None = getattr(origin, "from_text", None)
    # Servers write null for an empty array or a missing text: if the type does not allow null, the key is ignored.
    never_null = [
        field.name
        for field in attrs.fields(origin)
        if field.default is not attrs.NOTHING and not _allows_null(field.type)
    ]
    spellings = [(wire_name(field), field.name) for field in attrs.fields(origin) if wire_name(field) != field.name]

    def convert(value: Any, type_: Any) -> Any:
        if from_text is not None and type(value) is str:
            return from_text(value)
        _require_type(dict, value)
        renamed: dict[str, Any] = {name: value[wire] for wire, name in spellings if wire in value and name not in value}
        fields: dict[str, Any] = {**value, **renamed} if renamed else value
        if None in fields.values():
            fields = {name: field for name, field in fields.items() if field is not None or name not in never_null}
        return inner(fields, type_)

    return convert


def _allows_null(type_: Any) -> bool:
    return type_ in (Any, types.NoneType) or (
        get_origin(type_) in (Union, types.UnionType) and types.NoneType in get_args(type_)
    )


def _problems(error: BaseException, path: str) -> list[str]:
    if isinstance(error, RecursionError):
        return [f"{path} is nested too deeply"]
    return cattrs.transform_error(error, path, format_exception=_problem)


def _problem(error: BaseException, _: type | None) -> str:
    if isinstance(error, KeyError):
        return f"{error.args[0]!r} is missing"
    return str(error)
