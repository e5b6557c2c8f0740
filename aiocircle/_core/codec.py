"""Between bytes and models: answers are decoded, request bodies and queries are encoded.

cattrs is the authority on what an answer means; msgspec reads the same bytes straight into the same classes
wherever both would give the same.
"""

from __future__ import annotations

import math
import types
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from enum import Enum
from functools import cache, partial
from operator import eq, is_
from typing import (
    Annotated,
    Any,
    Final,
    Generic,
    NotRequired,
    Required,
    TypeGuard,
    TypeVar,
    Union,
    cast,
    get_args,
    get_origin,
    get_type_hints,
    is_typeddict,
)
from uuid import UUID

import attrs
import cattrs
import msgspec
from cattrs.errors import IterableValidationError, IterableValidationNote, StructureHandlerNotFoundError
from cattrs.gen import make_dict_structure_fn

from aiocircle._core.http import JSON, Request, Response
from aiocircle.errors import DecodeError, InvalidArgument

__all__ = [
    "KEBAB",
    "RARE",
    "READ_ONLY",
    "UNSET",
    "NumericText",
    "OneOrMore",
    "Timestamp",
    "Unset",
    "WholeNumber",
    "decode",
    "decode_json",
    "decode_wrapped",
    "encode_body",
    "encode_json",
    "encode_nested",
    "encode_query",
    "moment",
    "page_of",
    "reads_alike",
    "tuple_of",
    "wire_name",
]

T = TypeVar("T")


class Unset(Enum):
    """The type of UNSET."""

    UNSET = "UNSET"

    def __repr__(self) -> str:
        return "UNSET"


UNSET: Final = Unset.UNSET
"""Says "do not send this field" where None already says "send null"."""

Timestamp = Annotated[datetime, msgspec.Meta(tz=True)]
"""An aware datetime, with the offset that the wire gave it."""

_ONE_OR_MORE: Final = "aiocircle.one-or-more"

OneOrMore = Annotated[tuple[T, ...], _ONE_OR_MORE]
"""An array, or one value that stands for an array of one."""

_WHOLE: Final = "aiocircle.whole-number"

WholeNumber = Annotated[int, _WHOLE]
"""A counter or a duration: an integer that may arrive as 12.0."""

_NUMERIC_TEXT: Final = "aiocircle.numeric-text"

NumericText = Annotated[float, _NUMERIC_TEXT]
"""A number that may arrive as text."""

KEBAB: Final[Mapping[str, Any]] = types.MappingProxyType({"aiocircle.kebab": True})
"""Field metadata: `created_at` may come as `created-at`, and is sent as `created-at`."""

RARE: Final[Mapping[str, Any]] = types.MappingProxyType({"aiocircle.rare": True})
"""Field metadata: most answers leave the field out. It costs less where it is missing, and more where it is not."""

READ_ONLY: Final[Mapping[str, Any]] = types.MappingProxyType({"aiocircle.read-only": True})
"""Field metadata: the API returns the field and takes none. A model that is sent back is sent without it."""


def wire_name(field: attrs.Attribute[Any]) -> str:
    """The name by which the official document knows a model's field."""
    if "aiocircle.wire" in field.metadata:
        return cast("str", field.metadata["aiocircle.wire"])
    return field.name.replace("_", "-") if "aiocircle.kebab" in field.metadata else field.name


@attrs.frozen(kw_only=True)
class _PageOf(Generic[T]):
    """A page as it stands on the wire."""

    items: tuple[T, ...]
    next_page_token: str | None = None


@attrs.frozen(kw_only=True)
class _SparsePageOf(Generic[T]):
    """A page as it stands on the wire, where an empty one may be without its items."""

    items: tuple[T, ...] = ()
    next_page_token: str | None = None


def page_of(item: Any, *, sparse: bool = False) -> Any:
    """The type of a page of `item`: an object with `items`, which may be missing if sparse, and `next_page_token`."""
    return _SparsePageOf[item] if sparse else _PageOf[item]


def tuple_of(item: Any) -> Any:
    """The type of an array of `item`."""
    return tuple[item, ...]


# --- answers -----------------------------------------------------------------------------------------------


def decode(model: Any, response: Response, request: Request) -> Any:
    """The answer's body as `model`; DecodeError where it is none."""
    body = response.body
    if response.complete:
        decoder = _fast_decoder(model)
        if decoder is not None:
            try:
                return decoder(body)
            except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
                pass  # The careful way decides, and says what is wrong.
    plain = decode_json(response, request)
    try:
        return _converter().structure(plain, model)
    except StructureHandlerNotFoundError:
        raise  # The declared type is at fault, not the answer.
    except Exception as error:
        problems = _problems(error)
    raise _decode_error(problems, response, request, next_page_token=_next_page_token(plain))


def _next_page_token(plain: JSON) -> str | None:
    token: JSON = cast("dict[str, JSON]", plain).get("next_page_token") if isinstance(plain, dict) else None
    return token if isinstance(token, str) and token else None


def decode_wrapped(model: Any, field: str, response: Response, request: Request) -> Any:
    """The answer's body as the one `field` of `model`: for answers that are a bare array or map."""
    kind = attrs.fields_dict(attrs.resolve_types(model, include_extras=True))[field].type
    return model(**{field: decode(kind, response, request)})


def decode_json(response: Response, request: Request) -> JSON:
    """The answer's body as plain JSON values; DecodeError where it is cut or is no JSON."""
    if not response.complete:
        raise _decode_error((response.flaw or "",), response, request, malformed=not response.too_large)
    try:
        return msgspec.json.decode(response.body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        kind = response.headers.get("Content-Type", "no content type")
        problem = f"$ is no JSON: {error} ({kind}, {len(response.body)} bytes)"
    raise _decode_error((problem,), response, request, malformed=True)


def _decode_error(
    problems: Sequence[str],
    response: Response,
    request: Request,
    *,
    malformed: bool = False,
    next_page_token: str | None = None,
) -> DecodeError:
    return DecodeError(
        problems,
        status=response.status,
        method=request.method,
        url=request.shown_url,
        headers=response.shown_headers,
        request_id=response.request_id,
        body=response.body,
        next_page_token=next_page_token,
        malformed=malformed,
    )


@cache
def _fast_decoder(model: Any) -> Callable[[bytes], Any] | None:
    """The decoder of msgspec for `model`, where it gives what cattrs would give; else None."""
    kinds: set[Any] = set()
    if not _reads_alike(model, kinds):
        return None
    for kind in filter(_is_model, kinds):
        _begin_with_defaults(get_origin(kind) or kind)
    try:
        return msgspec.json.Decoder(model).decode
    except TypeError:
        return None


def _begin_with_defaults(model: Any) -> None:
    """Let msgspec begin each object with the defaults of its rare fields.

    It learns that a field is missing from an AttributeError, which takes longer than to read three fields. attrs does
    not know of this method: it looks for one when it makes the class.
    """
    rare = [
        (getattr(model, field.name).__set__, field.default)
        for field in attrs.fields(model)
        if "aiocircle.rare" in field.metadata
    ]

    def begin(self: Any) -> None:
        for write, default in rare:
            write(self, default)

    if rare:
        model.__attrs_pre_init__ = begin


def reads_alike(model: Any) -> bool:
    """Whether what msgspec reads as `model` is what cattrs reads.

    It is not where a field has a second spelling, a converter or an alias, which msgspec would leave at its default,
    nor for types that the two understand differently. What msgspec refuses is for cattrs to decide.
    """
    return _reads_alike(model, set())


def _reads_alike(kind: Any, seen: set[Any]) -> bool:
    if kind in _SCALARS or kind in _MARKED or isinstance(kind, TypeVar) or kind in seen:
        return True  # What a type variable stands for is looked at where it is given.
    seen.add(kind)
    arguments = get_args(kind)
    if _is_model(kind):
        return _plain_fields(get_origin(kind) or kind, seen) and all(_reads_alike(each, seen) for each in arguments)
    if _is_array(kind) or _is_one_or_more(kind):
        return _reads_alike(arguments[0], seen)
    if _is_mapping(kind):
        return arguments[0] is str and _reads_alike(arguments[1], seen)
    return _is_union(kind) and all(_reads_alike(each, seen) for each in arguments)


def _plain_fields(model: type, seen: set[Any]) -> bool:
    for field in attrs.fields(attrs.resolve_types(model, include_extras=True)):
        if wire_name(field) != field.name or field.alias != field.name or field.converter or not field.init:
            return False
        if not _reads_alike(field.type, seen):
            return False
    return True


# How JSON's types are called; int and float are both its numbers.
_JSON_TYPES: Final[Mapping[type, str]] = {
    bool: "a boolean",
    int: "an integer",
    float: "a number",
    str: "a string",
    list: "an array",
    dict: "an object",
    types.NoneType: "null",
}
_SCALARS: Final = (types.NoneType, bool, int, float, str)
_MARKED: Final = (Any, Timestamp, WholeNumber, NumericText)
_MOST_PROBLEMS: Final = 10  # of one array or map


@cache
def _converter() -> cattrs.Converter:
    """cattrs, without its coercions: a JSON type is itself and nothing else."""
    converter = cattrs.Converter()
    for scalar in (bool, int, str):
        converter.register_structure_hook(scalar, _exactly(scalar))
    for kind in (types.NoneType, list, dict):
        converter.register_structure_hook_func(partial(is_, kind), _exactly(kind))
    converter.register_structure_hook(float, _structure_float)
    converter.register_structure_hook_func(partial(is_, Any), lambda value, _: value)
    converter.register_structure_hook_func(_is_timestamp, _structure_timestamp)
    converter.register_structure_hook_func(partial(eq, WholeNumber), _structure_whole_number)
    converter.register_structure_hook_func(partial(eq, NumericText), _structure_numeric_text)
    converter.register_structure_hook_factory(_is_union, _union_hook)
    converter.register_structure_hook_factory(_is_array, _array_hook)
    converter.register_structure_hook_factory(_is_one_or_more, _one_or_more_hook)
    converter.register_structure_hook_factory(_is_mapping, _mapping_hook)
    converter.register_structure_hook_factory(_is_model, _model_hook)
    return converter


def _exactly(source: type) -> Callable[[Any, Any], Any]:
    def structure(value: Any, kind: Any) -> Any:
        _expect(source, value)
        # A subclass, such as an enum of strings, is made of the value.
        return value if kind is source else kind(value)

    return structure


def _expect(source: type, value: Any) -> None:
    # type(), not isinstance(): true is no integer.
    if type(value) is not source:
        raise _unexpected(_JSON_TYPES[source], value)


def _unexpected(expected: str, value: Any) -> ValueError:
    return ValueError(f"expected {expected}, got {_JSON_TYPES[value.__class__]}")


def _structure_float(value: Any, _: Any) -> float:
    if type(value) is not int:
        _expect(float, value)
    try:
        return float(value)
    except OverflowError:
        raise ValueError("expected a number that a float can hold") from None


def _structure_whole_number(value: Any, _: Any) -> int:
    if type(value) is float and value.is_integer():
        return int(value)
    _expect(int, value)
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


def _is_timestamp(kind: Any) -> bool:
    return kind is datetime or (get_origin(kind) is Annotated and get_args(kind)[0] is datetime)


def _structure_timestamp(value: Any, _: Any) -> datetime:
    if type(value) is not str:
        raise _unexpected("a time", value)
    try:
        return msgspec.convert(value, Timestamp)
    except msgspec.ValidationError:
        raise ValueError("expected a time as RFC 3339 writes it, with an offset") from None


def _is_union(kind: Any) -> bool:
    """Whether `kind` is a union of what is read from different JSON types, so that the value tells which it is."""
    if get_origin(kind) not in (Union, types.UnionType):
        return False
    sources = [_source(member) for member in get_args(kind)]
    return None not in sources and len(sources) == len({*sources})


def _source(kind: Any) -> type | None:
    """The JSON type that `kind` is read from; None where that is not known."""
    if kind in _SCALARS:
        return cast("type", kind)
    if kind == WholeNumber:
        return int
    if kind == NumericText:
        return float
    if _is_timestamp(kind):
        return str
    if _is_array(kind):
        return list
    return dict if _is_mapping(kind) or _is_model(kind) else None


def _union_hook(kind: Any, converter: cattrs.Converter) -> Callable[[Any, Any], Any]:
    members: dict[Any, Any] = {_source(member): member for member in get_args(kind)}
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

    def structure(value: Any, _: Any) -> Any:
        if value == "" and empty_is_none:
            return None  # Older versions of the API write "" for a time that is not known yet.
        if type(value) not in members:
            raise _unexpected(expected, value)
        return converter.structure(value, members[type(value)])

    return structure


def _is_array(kind: Any) -> bool:
    return get_origin(kind) in (list, Sequence) or (get_origin(kind) is tuple and get_args(kind)[1:] == (...,))


def _array_hook(kind: Any, converter: cattrs.Converter) -> Callable[[Any, Any], Any]:
    read = _reader(kind, get_args(kind)[0], converter)
    made: Any = tuple if get_origin(kind) is tuple else list

    def structure(value: Any, _: Any) -> Any:
        # cattrs would take whatever can be iterated over, such as a string for an array of strings.
        _expect(list, value)
        return made(read(enumerate(cast("list[Any]", value))))

    return structure


def _reader(
    kind: Any, item: Any, converter: cattrs.Converter
) -> Callable[[Iterable[tuple[int | str, Any]]], list[Any]]:
    """What reads the values of an array or a map, each given with its place there.

    Unlike cattrs's own it stops when enough of them are wrong: an exception for each would take a thousand times the
    memory of what was answered.
    """
    read = converter.get_structure_hook(item)

    def structure(values: Iterable[tuple[int | str, Any]]) -> list[Any]:
        items: list[Any] = []
        problems: list[Exception] = []
        for place, value in values:
            try:
                items.append(read(value, item))
            except Exception as error:
                error.add_note(IterableValidationNote("", place, item))
                problems.append(error)
                if len(problems) == _MOST_PROBLEMS:
                    break
        if problems:
            raise IterableValidationError("", problems, kind)  # pyright: ignore[reportCallIssue]
        return items

    return structure


def _is_one_or_more(kind: Any) -> bool:
    return get_origin(kind) is Annotated and _ONE_OR_MORE in get_args(kind)[1:]


def _one_or_more_hook(kind: Any, converter: cattrs.Converter) -> Callable[[Any, Any], Any]:
    array: Any = get_args(kind)[0]
    inner = _array_hook(array, converter)
    return lambda value, _: inner(value if type(value) is list else [value], array)


def _is_mapping(kind: Any) -> bool:
    return get_origin(kind) in (Mapping, dict)


def _mapping_hook(kind: Any, converter: cattrs.Converter) -> Callable[[Any, Any], Any]:
    read = _reader(kind, get_args(kind)[1], converter)

    def structure(value: Any, _: Any) -> Any:
        _expect(dict, value)
        return dict(zip(value, read(value.items()), strict=True))

    return structure


def _is_model(kind: Any) -> bool:
    origin = get_origin(kind)
    return attrs.has(kind if origin is None else origin)


def _model_hook(model: Any, converter: cattrs.Converter) -> Callable[[Any, Any], Any]:
    origin = get_origin(model) or model
    attrs.resolve_types(origin, include_extras=True)
    inner = make_dict_structure_fn(model, converter)
    from_text: Callable[[str], Any] | None = getattr(origin, "from_text", None)
    # Servers write null for an empty array or a missing text: where the type has no place for it, it is not there.
    never_null = [
        field.name
        for field in attrs.fields(origin)
        if field.default is not attrs.NOTHING and not _takes_null(field.type)
    ]
    spellings = [(wire_name(field), field.name) for field in attrs.fields(origin) if wire_name(field) != field.name]

    def structure(value: Any, kind: Any) -> Any:
        if from_text is not None and type(value) is str:
            return from_text(value)
        _expect(dict, value)
        renamed: dict[str, Any] = {name: value[wire] for wire, name in spellings if wire in value and name not in value}
        given: dict[str, Any] = {**value, **renamed} if renamed else value
        if None in given.values():
            given = {name: each for name, each in given.items() if each is not None or name not in never_null}
        return inner(given, kind)

    return structure


def _takes_null(kind: Any) -> bool:
    return kind in (Any, types.NoneType) or (
        get_origin(kind) in (Union, types.UnionType) and types.NoneType in get_args(kind)
    )


def _problems(error: BaseException) -> list[str]:
    if isinstance(error, RecursionError):
        return ["$ is nested too deeply"]
    return cattrs.transform_error(error, format_exception=_problem)


def _problem(error: BaseException, kind: type | None) -> str:
    if isinstance(error, KeyError):
        return f"{error.args[0]!r} is missing"
    return str(error)


# --- requests ----------------------------------------------------------------------------------------------


def encode_body(fields: Mapping[str, Any]) -> bytes:
    """A request body of the fields that are to be sent, under the names they have on the wire.

    UNSET leaves a field out; None is null. InvalidArgument names the field whose value cannot go on the wire.
    """
    return msgspec.json.encode({name: _bounded(value, name) for name, value in fields.items() if value is not UNSET})


def encode_json(value: Any, name: str) -> bytes:
    """Any value as a JSON body; InvalidArgument names the place of what cannot go on the wire."""
    return msgspec.json.encode(_bounded(value, name))


def encode_nested(shape: type, value: Any, path: str, *, fixed: Sequence[str] = ()) -> dict[str, JSON]:
    """A nested body as it goes on the wire, from a mapping or a model; `shape` is the TypedDict that declares it.

    A key whose annotation is `Annotated[…, "wire-name"]` is sent under that name. None in a mapping is null. A
    model's fields are sent unless they are None, read-only, or `fixed`: those that an update cannot change. Raise
    InvalidArgument for unknown and missing keys, and for a field of a model that cannot be sent.
    """
    hints, required = _shape(shape)
    if _is_attrs(value):
        value = _fields_to_send(value, hints, fixed)
    if not _is_map(value):
        raise InvalidArgument(f"{path} takes a mapping or a model, not {type(value).__name__}")
    given = {name: each for name, each in value.items() if each is not UNSET}
    if unknown := [str(key) for key in given if key not in hints]:
        raise InvalidArgument(f"{path} has no key {unknown[0]!r}; it knows {', '.join(hints)}")
    if missing := sorted(required - given.keys()):
        raise InvalidArgument(f"{path} needs the key {missing[0]!r}")
    return {
        wire: _json_of(kind, given[name], f"{path}.{name}") for name, (wire, kind) in hints.items() if name in given
    }


def _fields_to_send(model: Any, known: Mapping[str, Any], fixed: Sequence[str]) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for field in attrs.fields(cast("Any", type(model))):
        value = getattr(model, field.name)
        is_default = field.name not in known and value == field.default
        if value is not None and not is_default and "aiocircle.read-only" not in field.metadata:
            fields[field.name] = value
    return {name: value for name, value in fields.items() if name not in fixed}


@cache
def _shape(shape: type) -> tuple[dict[str, tuple[str, Any]], frozenset[str]]:
    """Of each key of a TypedDict: its name on the wire, and its type. And the keys that it requires."""
    keys: dict[str, tuple[str, Any]] = {}
    required: set[str] = set(getattr(shape, "__required_keys__", ()))
    for name, hint in get_type_hints(shape, include_extras=True).items():
        wire = name
        while (origin := get_origin(hint)) in (Required, NotRequired, Annotated):
            if origin is Annotated:
                wire = next((note for note in get_args(hint)[1:] if isinstance(note, str)), wire)
            else:
                # Where annotations are text, the class itself does not see what they say of a key.
                (required.add if origin is Required else required.discard)(name)
            hint = get_args(hint)[0]
        keys[name] = (wire, hint)
    return keys, frozenset(required)


def _json_of(kind: Any, value: Any, path: str) -> JSON:
    """`value`, with the keys that `kind` declares of it or of its items."""
    if value is None:
        return None
    options = _options(kind)
    for option in options:
        if is_typeddict(option) and (_is_map(value) or _is_attrs(value)):
            return encode_nested(option, value, path)
        if get_origin(option) is Sequence:
            item: Any = get_args(option)[0]
            if isinstance(value, str | UUID) and not is_typeddict(item):
                value = [value]  # One value stands for an array of one.
            if _is_sequence(value):
                return [_json_of(item, each, f"{path}[{index}]") for index, each in enumerate(value)]
    if all(is_typeddict(option) or get_origin(option) is Sequence for option in options):
        takes = "a mapping or a model" if is_typeddict(options[0]) else "a sequence"
        raise InvalidArgument(f"{path} takes {takes}, not {type(value).__name__}")
    return _bounded(value, path)


def _options(kind: Any) -> list[Any]:
    """What a value of `kind` can be but None: the members of a union, a shape rather than the model beside it."""
    if get_origin(kind) in (Union, types.UnionType):
        members = [option for member in get_args(kind) for option in _options(member)]
        shaped = any(is_typeddict(member) for member in members)
        return [each for each in members if each is not types.NoneType and not (shaped and attrs.has(each))]
    return [kind]


def encode_query(parameters: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Query parameters as pairs: None is left out, several values repeat the parameter, booleans are true or false."""
    pairs: list[tuple[str, str]] = []
    for name, value in parameters.items():
        if value is None or value is UNSET:
            continue
        if _is_sequence(value):
            pairs += [(name, _query_value(each, name)) for each in value]
        else:
            pairs.append((name, _query_value(value, name)))
    return pairs


def _is_attrs(value: Any) -> bool:
    kind: Any = value.__class__
    return attrs.has(kind)


def _is_map(value: Any) -> TypeGuard[Mapping[Any, Any]]:
    return isinstance(value, Mapping)


def _is_sequence(value: Any) -> TypeGuard[Sequence[Any]]:
    return isinstance(value, Sequence) and not isinstance(value, str | bytes | bytearray | memoryview)


def _query_value(value: Any, name: str) -> str:
    value = _plain(value, name)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int) or (isinstance(value, float) and math.isfinite(value)):
        if value < 0:
            raise InvalidArgument(f"{name} is negative: {value}")
        return str(value)
    if isinstance(value, str):
        return _text(value, name)
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, datetime):
        return _rfc3339(value, name)
    raise InvalidArgument(f"{name} cannot be sent: {type(value).__name__} has no form in a query")


def _bounded(value: Any, path: str) -> JSON:
    try:
        return _json(value, path)
    except RecursionError:
        raise InvalidArgument(f"{path} cannot be sent: it is nested too deeply, or holds itself") from None


def _json(value: Any, path: str) -> JSON:
    value = _plain(value, path)
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, str):
        return _text(value, path)
    if isinstance(value, float):
        if not math.isfinite(value):
            raise InvalidArgument(f"{path} cannot be sent: JSON has no {value}")
        return value
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, datetime):
        return _rfc3339(value, path)
    if _is_map(value):
        encoded: dict[str, JSON] = {}
        for key, each in value.items():
            if not isinstance(key, str):
                raise InvalidArgument(f"{path} has a key that is no string: {key!r}")
            if each is not UNSET:
                encoded[_text(key, path)] = _json(each, f"{path}.{key}")
        return encoded
    if _is_sequence(value):
        return [_json(each, f"{path}[{index}]") for index, each in enumerate(value)]
    if _is_attrs(value):
        return {
            wire_name(field): _json(each, f"{path}.{field.name}")
            for field in attrs.fields(value.__class__)
            if (each := getattr(value, field.name)) is not UNSET and each is not None
        }
    raise InvalidArgument(f"{path} cannot be sent: {type(value).__name__} has no form in JSON")


def _plain(value: Any, path: str) -> Any:
    """`value` without what a subclass adds to a number or a text: an enum's member is its value."""
    if isinstance(value, Enum):
        if value is UNSET:
            raise InvalidArgument(f"{path} cannot be sent: UNSET leaves out a field, and is no value")
        return _plain(value.value, path)
    for kind in (bool, int, float):
        if isinstance(value, kind):
            return kind(value)
    return value


def _text(value: str, name: str) -> str:
    try:
        value.encode()
    except UnicodeEncodeError:
        raise InvalidArgument(f"{name} cannot be sent: it has a lone surrogate, which is no text") from None
    return str.__str__(value)


def moment(value: datetime | str, name: str) -> datetime:
    """An aware datetime, of one or of its text; InvalidArgument for a naive one or no time at all."""
    if isinstance(value, str):
        try:
            return msgspec.convert(value, Timestamp)
        except msgspec.ValidationError:
            raise InvalidArgument(f"{name} is no time with an offset, such as 2026-01-31T12:00:00Z") from None
    if not isinstance(value, datetime):
        raise InvalidArgument(f"{name} takes a datetime or its text, not {type(value).__name__}")
    _rfc3339(value, name)
    return value


def _rfc3339(value: datetime, name: str) -> str:
    if value.utcoffset() is None:
        raise InvalidArgument(f"{name} is a naive datetime; say which time zone it is in, as datetime.now(UTC) does")
    text = value.isoformat()
    return text.removesuffix("+00:00") + "Z" if text.endswith("+00:00") else text
