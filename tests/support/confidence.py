"""Everything that an error shows: its texts, its pickle, and the local variables of the library's frames."""

from __future__ import annotations

import pickle
import types
from collections.abc import Iterator
from pathlib import Path

import aiocircle

_PACKAGE = str(Path(aiocircle.__file__).parent)


def shown_by_library(error: BaseException) -> str:
    """Return all that the error and the frames of the library in it and in its contexts show."""
    texts: list[str] = []
    for each in _with_contexts(error):
        texts += [str(each), repr(each), repr(vars(each))]
        texts += [f"{frame.f_code.co_qualname}: {name} = {value!r}" for frame, name, value in _locals(each)]
    try:
        texts.append(repr(pickle.dumps(error)))
    except TypeError as refusal:
        texts.append(str(refusal))
    return "\n".join(texts)


def library_frames(error: BaseException) -> int:
    """Return the number of local variables of the library that were looked at."""
    return sum(1 for each in _with_contexts(error) for _ in _locals(each))


def _with_contexts(error: BaseException) -> list[BaseException]:
    found: list[BaseException] = []
    pending: list[BaseException | None] = [error]
    while pending:
        each = pending.pop()
        if each is not None and each not in found:
            found.append(each)
            pending += [each.__cause__, each.__context__]
    return found


def _locals(error: BaseException) -> Iterator[tuple[types.FrameType, str, object]]:
    trace = error.__traceback__
    while trace is not None:
        frame = trace.tb_frame
        if frame.f_code.co_filename.startswith(_PACKAGE):
            for name, value in frame.f_locals.items():
                yield frame, name, value
        trace = trace.tb_next
