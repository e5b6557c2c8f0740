"""Models become plain JSON values."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, date, datetime, timedelta, timezone
from enum import StrEnum
from pathlib import Path
from typing import Any
from uuid import UUID

import attrs
import pytest

import aiocircle
from aiocircle import InvalidArgument, ProjectSlug, to_dict
from aiocircle.bulk import Failure, ProjectInsights
from aiocircle.resources.pipelines import Pipeline, PipelineVcs
from aiocircle.resources.workflows import WorkflowStatus
from tests.support.rows import each_row

PIPELINE = Pipeline(
    id="p",
    number=7,
    created_at=datetime(2026, 11, 26, 10, 0, tzinfo=timezone(timedelta(hours=2))),
    trigger_parameters={"git": {"branch": "main", "tags": ("a", None)}},
    vcs=PipelineVcs(branch="main"),
)


class Colour(StrEnum):
    RED = "red"


@attrs.frozen
class Everything:
    value: Any
    _private: int = 0


def plain(value: Any) -> Any:
    return to_dict(Everything(value))["value"]


def test_to_dict_gives_plain_values() -> None:
    """Names are those of the fields, times RFC 3339 text with their offset, tuples lists."""
    found = to_dict(PIPELINE)
    assert found["created_at"] == "2026-11-26T10:00:00+02:00"
    assert found["trigger_parameters"] == {"git": {"branch": "main", "tags": ["a", None]}}
    assert found["vcs"]["branch"] == "main"
    assert found["errors"] == []
    assert list(found) == [field.name for field in attrs.fields(Pipeline)]


@each_row(
    ("value", "expected"),
    [
        (Colour.RED, "red"),
        (WorkflowStatus.FAILED, "failed"),
        (date(2026, 11, 26), "2026-11-26"),
        (datetime(2026, 11, 26, 10, 0, 0, 5, tzinfo=UTC), "2026-11-26T10:00:00.000005+00:00"),
        (timedelta(minutes=1.5), 90.0),
        (Path("a") / "b", str(Path("a/b"))),
        (UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (ProjectSlug.parse("gh/acme/web"), "gh/acme/web"),
        (aiocircle.NotFound(404, "Pipeline not found"), "-> 404: Pipeline not found"),
        (frozenset({1}), [1]),
        (float("nan"), None),
        ({UUID(int=1): {"a": (1, True)}}, {"00000000-0000-0000-0000-000000000001": {"a": [1, True]}}),
    ],
)
def test_to_dict_converts(value: Any, expected: Any) -> None:
    """Each type that a model of the package holds has a plain form, of exactly the JSON type."""
    found = plain(value)
    if isinstance(expected, str):
        assert type(found) is str
        assert found.startswith(expected)
    else:
        assert found == expected


@each_row("value", [5, "x", None, [PIPELINE], {}, Pipeline])
def test_to_dict_takes_one_model(value: Any) -> None:
    """Anything but one model is refused with a message that names its type."""
    with pytest.raises(InvalidArgument, match="model must be a model of aiocircle, got"):
        to_dict(value)


def test_to_dict_refuses_what_json_cannot_carry() -> None:
    """A value without a JSON form is named by its place."""
    with pytest.raises(InvalidArgument, match=r"model\.value\[0\]\.a must be a JSON value or a model, got object"):
        plain([{"a": object()}])


def test_to_dict_takes_bulk_results() -> None:
    """Failures of a bulk fetch hold errors: they become text, and json.dumps takes the whole."""
    failure = Failure(operation="insights.get_flaky_tests", error=aiocircle.NotFound(404, "no"))
    project = ProjectInsights(slug=ProjectSlug.parse("gh/acme/web"), failures=(failure,))
    again = json.loads(json.dumps(to_dict(project)))
    assert again["slug"] == "gh/acme/web"
    assert "404" in again["failures"][0]["error"]


def test_fastapi_returns_a_model() -> None:
    """A FastAPI route returns to_dict(model), and a pydantic model is made of it."""
    fastapi = pytest.importorskip("fastapi")
    httpx = pytest.importorskip("httpx")
    pydantic = pytest.importorskip("pydantic")
    app = fastapi.FastAPI()

    @app.get("/pipeline")
    async def pipeline() -> dict[str, Any]:
        return to_dict(PIPELINE)

    async def fetch() -> Any:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://test") as client:
            return (await client.get("/pipeline")).json()

    body = asyncio.run(fetch())
    assert body == json.loads(json.dumps(to_dict(PIPELINE)))
    summary = pydantic.create_model("Summary", id=(str, ...), number=(int, ...), created_at=(datetime, ...))
    assert summary.model_validate(body).created_at == PIPELINE.created_at
