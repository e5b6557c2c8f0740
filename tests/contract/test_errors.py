"""Every error of the document becomes the error of its status, with the server's own words."""

from __future__ import annotations

import random

import pytest

from aiocircle import (
    APIError,
    BadRequest,
    Conflict,
    Forbidden,
    NotFound,
    RateLimited,
    ServerError,
    Unauthorized,
)
from tests.contract.calls import make_call, needed
from tests.contract.conftest import Wire
from tests.support.official_spec import Operation, each_operation

KINDS = {
    400: BadRequest,
    401: Unauthorized,
    403: Forbidden,
    404: NotFound,
    405: APIError,
    409: Conflict,
    413: APIError,
    422: BadRequest,
    429: RateLimited,
    500: ServerError,
}
WORDS = "What the server has to say: “no”."
BODIES = [
    ("application/json", f'{{"message": "{WORDS}"}}'),
    ("application/json", f'{{"error": "{WORDS}"}}'),
    ("application/json", f'{{"error": {{"type": "x", "message": "{WORDS}"}}}}'),
    ("text/plain", WORDS),
    ("text/html", f"<html>\n<head><title>{WORDS}</title></head>\n<body><center>nginx</center></body></html>"),
]


@each_operation()
async def test_document_errors_have_class_and_message(operation: Operation) -> None:
    """Each error of the document has the class of its status and the message of its body."""
    call = make_call(operation, needed(operation), random.Random(operation.name))
    assert operation.errors
    for status, schema in operation.errors.items():
        wire = Wire()
        wire.respond_with(status, dict.fromkeys(schema.fields, WORDS))
        with pytest.raises(APIError) as caught:
            await wire.call(operation, *call.values, **call.keywords)
        assert type(caught.value) is KINDS[status]
        assert (caught.value.status, caught.value.message) == (status, WORDS)


@each_operation()
async def test_message_is_found_in_any_body(operation: Operation, wire: Wire) -> None:
    """The message is found in each shape of an error body."""
    call = make_call(operation, needed(operation), random.Random(operation.name))
    for kind, body in BODIES:
        wire.respond_with(403, body.encode(), kind)
        with pytest.raises(Forbidden) as caught:
            await wire.call(operation, *call.values, **call.keywords)
        assert caught.value.message == WORDS, body
        assert caught.value.method == operation.verb
        assert call.path in caught.value.url
