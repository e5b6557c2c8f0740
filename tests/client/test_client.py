"""What all calls have in common, seen from outside."""

from __future__ import annotations

from typing import Any

import pytest

from aiocircle import CircleCI, InvalidArgument
from aiocircle.testing import LocalCircleCI


@pytest.mark.parametrize("into", ["User", 5, [int], {"id": str}])
async def test_what_is_no_type_is_refused_before_anything_is_sent(
    server: LocalCircleCI, circle: CircleCI, into: Any
) -> None:
    with pytest.raises(InvalidArgument, match="into takes a type"):
        await circle.request("POST", "/api/v2/things", json={}, into=into)
    with pytest.raises(InvalidArgument, match="into takes a type"):
        circle.request_pages("/api/v2/things", into=into)
    assert server.requests == []


@pytest.mark.parametrize("into", [dict, dict[str, Any], Any, dict[str, Any] | None])
async def test_any_type_is_decoded_to(circle: CircleCI, into: Any) -> None:
    assert (await circle.request("GET", "/api/v2/me", into=into)).keys() >= {"id", "login", "name"}
