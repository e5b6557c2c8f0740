"""Bytes to models: by msgspec where it reads exactly as cattrs would, otherwise by cattrs."""

from __future__ import annotations

import codecs
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from aiocircle._core.fast_decode import msgspec_decoder
from aiocircle._core.fields import JSON
from aiocircle._core.structure import StructureProblems, structure

__all__ = ["decode", "decode_items", "decode_json"]

_MAX_BAD_ITEMS: Final = 100  # of one page: each costs an error


def decode(type_: Any, body: bytes) -> Any:
    """Return a JSON body as `type_`. Raise StructureProblems if it is not JSON, or does not match."""
    decoder = msgspec_decoder(type_)
    if decoder is not None:
        try:
            return decoder(body)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            pass  # cattrs decides, and names the problems.
    return structure(decode_json(body), type_)


def decode_items(type_: Any, items: Sequence[JSON], path: str) -> tuple[list[Any], list[tuple[int, StructureProblems]]]:
    """Return the items that match `type_`, and of each other item the number of good items before it and its problems.

    path: the JSON path of the items in the body. After 100 bad items, the others are one entry that counts them.
    """
    is_fast = msgspec_decoder(type_) is not None
    good: list[Any] = []
    bad: list[tuple[int, StructureProblems]] = []
    uncounted = 0
    for index, item in enumerate(items):
        try:
            good.append(_convert(type_, item, f"{path}[{index}]", is_fast=is_fast))
        except StructureProblems as problems:
            if len(bad) < _MAX_BAD_ITEMS:
                bad.append((len(good), problems))
            else:
                uncounted += 1
    if uncounted:
        bad.append((len(good), StructureProblems((f"{path} has {uncounted} more items that do not match",))))
    return good, bad


def _convert(type_: Any, item: JSON, path: str, *, is_fast: bool) -> Any:
    if is_fast:
        try:
            return msgspec.convert(item, type_)
        except (msgspec.MsgspecError, RecursionError):
            pass  # cattrs decides, and names the problems.
    return structure(item, type_, path)


def decode_json(body: bytes) -> JSON:
    """Return a body as plain JSON values. Raise StructureProblems if it is not JSON."""
    try:
        # Some gateways write a byte order mark, which JSON does not permit.
        return msgspec.json.decode(body.removeprefix(codecs.BOM_UTF8))
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        problem = f"$ is not JSON: {error}"
    if encoding := _other_encoding(body):
        # The next response would be encoded in the same way.
        raise StructureProblems((f"$ is not JSON: the body is {encoding}, not UTF-8",))
    raise StructureProblems((problem,), malformed=True)


def _other_encoding(body: bytes) -> str | None:
    """Return the encoding of a body that is not UTF-8; None for UTF-8, also if it was cut."""
    if body.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) or b"\0" in body[:4]:
        return "UTF-16 or UTF-32"
    try:
        codecs.getincrementaldecoder("utf-8")().decode(body)
    except UnicodeDecodeError:
        return "of another encoding"
    return None
