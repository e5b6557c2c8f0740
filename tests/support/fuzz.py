"""Decode damaged responses: only a model or a DecodeError may result, soon, and equal in both decoders.

python -m tests.support.fuzz --inputs 1000000 --seconds 600
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import random
import resource
import sys
import time
import types
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from functools import partial
from typing import Annotated, Any, Final, Union, get_args, get_origin

import attrs

from aiocircle._core import decode as decode_module
from aiocircle._core.api_errors import decode_error
from aiocircle._core.endpoint import Endpoint, ListEndpoint
from aiocircle._core.fields import wire_name
from aiocircle._core.message import Response
from aiocircle._core.pagination import BadItems
from aiocircle._core.structure import StructureProblems
from aiocircle.errors import DecodeError
from tests.support.operations import ENDPOINTS

__all__ = ["TARGETS", "Finding", "Fuzzer", "Target", "valid"]

_HEADERS: Final = {"Content-Type": "application/json"}
SLOW: Final = 2.0  # seconds: no input is bigger than this:
_BIG: Final = 256 * 1024  # bytes
_MEMORY: Final = 256 * 1024 * 1024  # bytes


@attrs.frozen
class Target:
    """One operation, and the type of its response's body."""

    name: str
    kind: Any
    parse: Callable[[Response], object]

    def read(self, body: bytes) -> object:
        try:
            return self.parse(Response(200, _HEADERS, body))
        except BadItems as bad:
            [problems, *_] = [each for _, each in bad.problems]
        except StructureProblems as whole:
            problems = whole
        raise decode_error(problems, 200, _HEADERS, body, method="GET", url="https://circleci.com/api/v2/x")

    def read_carefully(self, body: bytes) -> object:
        """The same by cattrs alone."""
        fast = decode_module.msgspec_decoder
        decode_module.msgspec_decoder = lambda _: None  # type: ignore[assignment]
        try:
            return self.read(body)
        finally:
            decode_module.msgspec_decoder = fast


def _targets() -> Iterator[Target]:
    for name, endpoint in ENDPOINTS.items():
        if endpoint.api.envelope is not None:
            continue
        if isinstance(endpoint, ListEndpoint):
            kind = endpoint.paging.page_type(endpoint.model)
            yield Target(name, kind, partial(endpoint.parse, page_token=None))
        elif isinstance(endpoint, Endpoint):
            kind = endpoint.model
            if endpoint.wrap_in is not None:
                kind = attrs.fields_dict(attrs.resolve_types(kind, include_extras=True))[endpoint.wrap_in].type
            yield Target(name, kind, endpoint.parse)


TARGETS: Final = tuple(_targets())


# --- valid answers -----------------------------------------------------------------------------------------------

_TIMES: Final = (
    "2026-11-23T17:08:09Z",
    "2026-11-23T17:08:09.123456Z",
    "2024-02-29T23:59:59.5-07:30",
    "1970-01-01T00:00:00.000Z",
)
_TEXTS: Final = ("", "main", "a b/c?d", "Zürich \N{ROCKET}", "\0", "null", "9" * 40, "x" * 300)
_NUMBERS: Final = (0, 1, -1, 2**31, 2**53, 2**63 - 1)


def valid(kind: Any, rng: random.Random, depth: int = 0) -> Any:
    """A JSON value that is read as `kind`."""
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return valid(arguments[0], rng, depth)
    if origin in (Union, types.UnionType):
        return valid(rng.choice(arguments), rng, depth)
    if kind is types.NoneType or kind is None:
        return None
    if kind is bool:
        return rng.random() < 0.5
    if kind is int:
        return rng.choice(_NUMBERS)
    if kind is float:
        return rng.choice((0.5, 1e-9, 3, -2.5e10))
    if kind is datetime:
        return rng.choice(_TIMES)
    if isinstance(kind, type) and issubclass(kind, str):
        return rng.choice(_TEXTS)
    if kind is Any:
        return rng.choice((None, True, 7, 0.5, "x", [], {"a": [1, {"b": None}]}))
    if origin in (tuple, list):
        return [valid(arguments[0], rng, depth + 1) for _ in range(rng.randrange(3))]
    if origin is not None and issubclass(origin, Mapping):
        return {rng.choice(_TEXTS): valid(arguments[1], rng, depth + 1) for _ in range(rng.randrange(3))}
    model = origin or kind
    parameters = dict(zip(getattr(model, "__parameters__", ()), arguments, strict=True))
    made: dict[str, Any] = {}
    for field in attrs.fields(attrs.resolve_types(model, include_extras=True)):
        if field.default is attrs.NOTHING or rng.random() < 0.7:
            name = rng.choice((field.name, wire_name(field)))
            made[name] = valid(_filled(field.type, parameters), rng, depth + 1)
    if rng.random() < 0.2:
        made["brand_new"] = [1, {"a": None}]
    return made


def _filled(kind: Any, parameters: Mapping[Any, Any]) -> Any:
    """`kind` with what stands for its type variables."""
    if kind in parameters:
        return parameters[kind]
    if parameters and get_origin(kind) is tuple:
        return tuple[_filled(get_args(kind)[0], parameters), ...]
    return kind


# --- mutations ---------------------------------------------------------------------------------------------------

_ODD_VALUES: Final[tuple[bytes, ...]] = (
    *(b"null", b"true", b"false", b"0", b"-0", b"-1", b"1.5", b"1.0", b"1e2", b"1e308", b"1E-400"),
    *(b"9223372036854775807", b"9223372036854775808", b"18446744073709551616", b"9" * 400, b"0." + b"1" * 400),
    *(b'""', b'"x"', b'"\\u0000"', b"[]", b"{}", b"[null]", b"[[]]", b'{"":0}', b'{"a":1,"a":2}'),
    *(b"[" * 60 + b"]" * 60, b'{"items":[]}', b'{"next_page_token":5}', b'{"id":null}', b'["x"]', b'{"a":["x"]}'),
    *(b'"2026-11-23T17:08:09"', b'"2026-11-23"', b'"2026-13-45T99:99:99Z"', b'"2026-11-23T23:59:60Z"'),
    *(b'"0000-01-01T00:00:00Z"', b'"10000-01-01T00:00:00Z"', b'"9999-12-31T23:59:59.999999999Z"'),
    *(b'"2026-11-23T17:08:09+24:00"', b'"2026-11-23T17:08:09-23:59"', b'"2026-11-23t17:08:09z"'),
    *(
        b'"2026-11-23 17:08:09Z"',
        b'"2026-11-23T24:00:00Z"',
        b'"1763917689"',
        b"1763917689",
        b'"9999-12-31T23:59:59-23:59"',
    ),
    *(
        b'"0001-01-01T00:00:00+23:59"',
        b'"2026-02-29T00:00:00Z"',
        '"\N{FULLWIDTH DIGIT TWO}026-11-23T17:08:09Z"'.encode(),
    ),
)
_BROKEN: Final[tuple[bytes, ...]] = (
    *(b"NaN", b"Infinity", b"-Infinity", b"undefined", b"True", b"None", b"0x10", b"01", b"+1", b".5", b"5."),
    *(b"1e309", b"-1e999", b'"\\ud800"', b'"\\udc00\\ud800"', b'"\xff"', b'"\xc0\x80"', b'"\xed\xa0\x80"'),
    *(b"[" * 3000, b"'x'", b"", b" ", b",", b":", b"\xef\xbb\xbf", b'"', b'{"a"}', b"{,}"),
)
_BYTES: Final = b'{}[]:,"\\\x00\x1f\x7f\x80\xff \n0123456789.eE+-tfnul'


class Fuzzer:
    """Makes inputs from a seed: valid responses, damaged a little or a lot."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(f"fuzz {seed}")
        self._most = 50  # times that an array may be repeated

    def input(self, target: Target) -> bytes:
        rng = self.rng
        value = valid(target.kind, rng)
        self._most = 50
        if rng.random() < 0.7:
            for _ in range(rng.choice((1, 1, 1, 2, 5))):
                value = self._spoil(value)
            return self._written(value)[:_BIG]
        data = json.dumps(value, ensure_ascii=rng.random() < 0.5).encode()
        for _ in range(rng.choice((1, 1, 2, 4, 16))):
            data = self._mangle(data)
        return data[:_BIG]

    # --- the value

    def _spoil(self, value: Any) -> Any:
        """Something else in one place of it."""
        rng = self.rng
        if isinstance(value, dict) and value and rng.random() < 0.8:
            key = rng.choice([*value])
            made = dict(value)
            how = rng.random()
            if how < 0.6:
                made[key] = self._spoil(made[key])
            elif how < 0.75:
                del made[key]
            elif how < 0.85:
                made[rng.choice((key.replace("_", "-"), key.upper(), key + "\0", ""))] = made.pop(key)
            else:
                made[rng.choice((key, *_TEXTS))] = rng.choice([*made.values()])
            return made
        if isinstance(value, list) and value and rng.random() < 0.8:
            index = rng.randrange(len(value))
            how = rng.random()
            if how < 0.7:
                return [*value[:index], self._spoil(value[index]), *value[index + 1 :]]
            if how < 0.8:
                times, self._most = rng.choice((2, self._most)), 2  # Five times fifty would be the fuzzer's own flood.
                return value * times
            return {"items": value} if how < 0.9 else value[0]
        how = rng.random()
        if how < 0.8:
            return Raw(rng.choice(_ODD_VALUES if rng.random() < 0.9 else _BROKEN))
        return [value] if how < 0.9 else {"value": value}

    def _written(self, value: Any) -> bytes:
        if isinstance(value, Raw):
            return value.data
        if isinstance(value, dict):
            pairs = [json.dumps(key).encode() + b":" + self._written(each) for key, each in value.items()]
            if pairs and self.rng.random() < 0.02:
                pairs.append(self.rng.choice(pairs))
            return b"{" + b",".join(pairs) + b"}"
        if isinstance(value, list):
            return b"[" + b",".join([self._written(each) for each in value]) + b"]"
        return json.dumps(value).encode()

    # --- the bytes

    def _mangle(self, data: bytes) -> bytes:
        rng = self.rng
        start = rng.randrange(len(data) + 1)
        end = min(len(data), start + rng.choice((0, 1, 1, 2, 8, 64)))
        how = rng.randrange(6)
        if how == 0:
            return data[:start] + data[end:]
        if how == 1:
            return data[:start] + bytes(rng.choices(_BYTES, k=rng.choice((1, 1, 2, 5)))) + data[end:]
        if how == 2:
            return data[:start] + rng.randbytes(rng.choice((1, 1, 4))) + data[end:]
        if how == 3:
            return data[:start] + data[start:end] * rng.choice((2, 2, 30)) + data[end:]
        if how == 4:
            return data[:start]
        return data[:start] + rng.choice(_ODD_VALUES + _BROKEN) + data[end:]


@attrs.frozen
class Raw:
    """Bytes that stand in a JSON text as they are."""

    data: bytes


# --- what must hold ----------------------------------------------------------------------------------------------


class Finding(AssertionError):
    """A wrong result, with the input that causes it."""

    def __init__(self, target: Target, body: bytes, what: str) -> None:
        shown = body if len(body) <= 4000 else body[:4000] + b"..."
        super().__init__(f"{target.name}: {what[:4000]}: {shown!r} ({len(body)} bytes)")
        self.body = body


def check(target: Target, body: bytes, *, carefully: bool) -> str:
    """Return "model" or "error". Raise Finding if the input has another result."""
    started = time.perf_counter()
    try:
        result = target.read(body)
        kind = "model"
    except DecodeError as error:
        result, kind = None, "error"
        if not error.problems or not str(error).isprintable() or len(str(error)) > 5000:
            raise Finding(target, body, f"an error that is none: {str(error)!r}") from None
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        raise Finding(target, body, f"{type(error).__name__}: {error}") from error
    if (took := time.perf_counter() - started) > SLOW:
        raise Finding(target, body, f"took {took:.1f} s")
    if carefully:
        try:
            other = target.read_carefully(body)
        except DecodeError as error:
            other = None
            # msgspec does not look at the numbers and the letters of keys without a field.
            if kind == "model" and (error.malformed or "not UTF-8" in str(error)):
                return kind
        if repr(other) != repr(result):
            raise Finding(target, body, f"msgspec reads {result!r}, and cattrs {other!r}")
    return kind


def run(inputs: int, seconds: float, seed: int, *, carefully: float = 0.1, say: bool = False) -> Counter[str]:
    """So many inputs, or as many as can be had in the time; the counts."""
    fuzzer = Fuzzer(seed)
    counts: Counter[str] = Counter()
    for target in TARGETS:
        for _ in range(5):
            body = json.dumps(valid(target.kind, fuzzer.rng)).encode()
            if check(target, body, carefully=True) != "model":
                raise Finding(target, body, "a valid answer is refused")
    gc.collect()
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    started = shown = time.monotonic()
    for number in range(inputs):
        target = TARGETS[number % len(TARGETS)]
        body = fuzzer.input(target)
        counts[check(target, body, carefully=fuzzer.rng.random() < carefully)] += 1
        if number % 1000 == 999:
            now = time.monotonic()
            if now - started > seconds:
                break
            if say and now - shown > 30:
                shown = now
                print(f"{number + 1} inputs in {now - started:.0f} s: {dict(counts)}", flush=True)
    counts["inputs"] = counts.total()
    grown = 1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory)
    counts["MiB grown"] = grown // 1024**2
    if grown > _MEMORY:
        raise AssertionError(f"memory grew by {grown} bytes")
    return counts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--inputs", type=int, default=1_000_000)
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--seed", type=int, default=int(os.environ.get("AIOCIRCLE_SEED") or random.getrandbits(32)))
    options = parser.parse_args()
    print(f"seed {options.seed} (--seed {options.seed}), {len(TARGETS)} kinds of answer")
    started = time.monotonic()
    try:
        counts = run(options.inputs, options.seconds, options.seed, say=True)
    except Finding as finding:
        sys.exit(f"found, seed {options.seed}: {finding}")
    took = time.monotonic() - started
    print(f"{counts['inputs']} inputs in {took:.0f} s: {dict(counts)}; nothing else came out")


if __name__ == "__main__":
    main()
