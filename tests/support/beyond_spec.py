"""The operations that CircleCI's document does not have, written down by hand in its own form.

Five came after it (newer references list them, and they respond live), and the runs of a job are from an older one.
"""

from __future__ import annotations

from typing import Any, Final

__all__ = ["BEYOND"]

_TEXT: Final = {"type": "string"}
_ID: Final = {"type": "string", "format": "uuid"}
_TIME: Final = {"type": "string", "format": "date-time"}
_MAYBE_TIME: Final = {**_TIME, "nullable": True}
_COUNT: Final = {"type": "integer", "minimum": 0}


def _array(items: Any) -> dict[str, Any]:
    return {"type": "array", "items": items}


def _object(required: str, optional: str = "", **fields: Any) -> dict[str, Any]:
    """An object; fields that are not described are strings."""
    names = [*required.split(), *optional.split()]
    properties = {name: fields.get(name, _TEXT) for name in names}
    return {"type": "object", "properties": properties, "required": required.split()}


def _json(schema: Any) -> dict[str, Any]:
    return {"content": {"application/json": {"schema": schema}}}


def _query(name: str, schema: Any = _TEXT, *, required: bool = False) -> dict[str, Any]:
    return {"name": name, "in": "query", "schema": schema, "required": required}


_ERROR: Final = _json(_object("message"))

_JOB_RUN: Final = _object(
    "id status started_at stopped_at duration credits_used",
    id=_ID,
    started_at=_TIME,
    stopped_at=_MAYBE_TIME,
    duration={**_COUNT, "nullable": True},
    credits_used=_COUNT,
)
_JOB: Final = _object(
    "name number status web_url created_at started_at stopped_at duration parallelism parallel_runs executor "
    "contexts messages latest_workflow pipeline project organization",
    "queued_at",
    number=_COUNT,
    created_at=_TIME,
    queued_at=_TIME,
    started_at=_MAYBE_TIME,
    stopped_at=_MAYBE_TIME,
    duration={**_COUNT, "nullable": True},
    parallelism=_COUNT,
    parallel_runs=_array(_object("index status", index=_COUNT)),
    executor=_object("resource_class", "type"),
    contexts=_array(_object("name")),
    messages=_array(_object("type message", "reason")),
    latest_workflow=_object("id name", id=_ID),
    pipeline=_object("id", id=_ID),
    project=_object("slug name external_url", "id", id=_ID),
    organization=_object("name"),
)
_ORGANIZATION: Final = _object("id name slug vcs_type", id=_ID)
_EXPORTER: Final = _object(
    "id org_id endpoint protocol insecure headers",
    "issues",
    id=_ID,
    org_id=_ID,
    protocol={"type": "string", "enum": ["grpc", "http"]},
    insecure={"type": "boolean"},
    headers={"type": "object", "additionalProperties": _TEXT},
    issues=_array(_TEXT),
)
_NEW_EXPORTER: Final = _object(
    "org_id endpoint protocol insecure",
    "headers",
    org_id=_ID,
    protocol={"type": "string", "enum": ["grpc", "http"]},
    insecure={"type": "boolean"},
    headers={"type": "object", "additionalProperties": _TEXT},
)

BEYOND: Final[dict[str, dict[str, Any]]] = {
    "/insights/{project-slug}/workflows/{workflow-name}/jobs/{job-name}": {
        "get": {
            "parameters": [
                _query("branch"),
                _query("start-date", _TIME),
                _query("end-date", _TIME),
                _query("page-token"),
            ],
            "responses": {
                "200": _json(
                    _object(
                        "items next_page_token", items=_array(_JOB_RUN), next_page_token={**_TEXT, "nullable": True}
                    )
                ),
                "default": _ERROR,
            },
        }
    },
    "/jobs/{job-id}": {"get": {"responses": {"200": _json(_JOB), "404": _ERROR}}},
    "/organization/{org-slug-or-id}": {"get": {"responses": {"200": _json(_ORGANIZATION), "404": _ERROR}}},
    "/otel/exporters": {
        "get": {
            "parameters": [_query("org-id", _ID, required=True)],
            "responses": {"200": _json(_array(_EXPORTER)), "403": _ERROR},
        },
        "post": {
            "requestBody": _json(_NEW_EXPORTER),
            "responses": {"201": _json(_EXPORTER), "422": _ERROR},
        },
    },
    "/otel/exporters/{id}": {"delete": {"responses": {"200": _json(_object("", "message")), "404": _ERROR}}},
}
