"""Bytes to models: by msgspec where it reads exactly as cattrs would, otherwise by cattrs."""

from __future__ import annotations

from typing import Any

import msgspec

from aiocircle._core.fast_decode import msgspec_decoder
from aiocircle._core.fields import JSON
from aiocircle._core.structure import StructureProblems, structure

__all__ = ["decode", "decode_json"]


def decode(type_: Any, body: bytes) -> Any:
    """Return a JSON body as `type_`. Raise StructureProblems if it is not JSON, or does not match."""
    decoder = msgspec_decoder(type_)
    if decoder is not None:
        try:
            return decoder(body)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            pass  # cattrs decides, and names the problems.
    return structure(decode_json(body), type_)


def decode_json(body: bytes) -> JSON:
    """Return a body as plain JSON values. Raise StructureProblems if it is not JSON."""
    try:
        return msgspec.json.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        problem = f"$ is not JSON: {error}"
    raise StructureProblems((problem,), malformed=True)
