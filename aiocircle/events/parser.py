"""From the body of a webhook's request to an event."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, TypeAlias, cast

import attrs
import msgspec

from aiocircle._core.decode import decode
from aiocircle._core.structure import StructureProblems
from aiocircle.errors import InvalidArgument, MalformedEvent
from aiocircle.events.models import Event, EventType, JobCompleted, Ping, UnknownEvent, WorkflowCompleted

__all__ = ["parse_event", "require_bytes"]

KnownEvent: TypeAlias = WorkflowCompleted | JobCompleted | Ping

_KNOWN: Final[Mapping[str, type[KnownEvent]]] = {
    EventType.WORKFLOW_COMPLETED.value: WorkflowCompleted,
    EventType.JOB_COMPLETED.value: JobCompleted,
    EventType.PING.value: Ping,
}


def parse_event(body: bytes | bytearray | memoryview) -> Event:
    """Return the event in the body of a webhook's request.

    An event of an unknown type is an UnknownEvent. Raise MalformedEvent if the body is not a JSON object with a text
    `type`, or a field of a known event has the wrong type. The signature is not checked: see `verify`.

    https://circleci.com/docs/reference/outbound-webhooks-reference/
    """
    content = require_bytes(body)
    raw = _read_json(content)
    type_: Any = raw.get("type")
    if not isinstance(type_, str):
        raise MalformedEvent(["$.type must be a string"])
    if type_ not in _KNOWN:
        id_: Any = raw.get("id")
        return UnknownEvent(type=type_, id=id_ if isinstance(id_, str) else None, raw=raw)
    if "raw" in raw:
        # The event has a key with the name of the field that keeps the whole body.
        content = msgspec.json.encode({key: value for key, value in raw.items() if key != "raw"})
    return attrs.evolve(_decode(_KNOWN[type_], content), raw=raw)


def require_bytes(body: Any) -> bytes:
    """Return the body as bytes. Raise InvalidArgument if it is not bytes: the signature covers the exact bytes."""
    if isinstance(body, bytes):
        return body
    type_: type = body.__class__
    if issubclass(type_, bytearray | memoryview):
        return bytes(body)
    raise InvalidArgument(f"body must be bytes, got {type_.__name__}. Pass the request's body as it was received.")


def _read_json(body: bytes) -> dict[str, Any]:
    try:
        value: Any = msgspec.json.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        problem = f"$ is not valid JSON: {error}" if body else "$ is empty"
    else:
        if isinstance(value, dict):
            return cast("dict[str, Any]", value)
        problem = "$ must be an object"
    raise MalformedEvent([problem])


def _decode(model: type[KnownEvent], body: bytes) -> KnownEvent:
    try:
        return cast("KnownEvent", decode(model, body))
    except StructureProblems as error:
        problems = error.problems
    raise MalformedEvent(problems)
