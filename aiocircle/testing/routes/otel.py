"""Exporters of OpenTelemetry data."""

from __future__ import annotations

import re
from typing import Any, cast

import attrs

from ..ids import Kind, is_uuid
from ..request import RequestContext
from ..response import Response
from ..router import Routes
from ..state import State

__all__ = ["routes"]

routes = Routes()

_MOST = 5
_FIELDS = ("org_id", "endpoint", "protocol", "insecure")


@attrs.frozen(kw_only=True)
class _Exporter:
    id: str
    org_id: str
    endpoint: str
    protocol: str
    insecure: bool
    headers: dict[str, str]
    issues: tuple[str, ...] = ()


class _Exporters:
    def __init__(self, state: State) -> None:
        self.by_id: dict[str, _Exporter] = {}
        for organization in state.initial_organizations:
            ident = state.ids.uuid(Kind.EXPORTER, organization.key)
            self.by_id[ident] = _Exporter(
                id=ident,
                org_id=organization.id,
                endpoint="otel.acme.example:4317",
                protocol="grpc",
                insecure=False,
                headers={"x-api-key": "7d1f"},
                issues=("The endpoint did not respond in time.",),
            )


def _show(exporter: _Exporter) -> dict[str, Any]:
    payload: dict[str, Any] = {
        "id": exporter.id,
        "org_id": exporter.org_id,
        "endpoint": exporter.endpoint,
        "protocol": exporter.protocol,
        "insecure": exporter.insecure,
        "headers": dict.fromkeys(exporter.headers, "xxxx"),
    }
    if exporter.issues:
        payload["issues"] = exporter.issues
    return payload


def _of(request: RequestContext, org_id: str) -> list[_Exporter]:
    return [exporter for exporter in request.state.group_state(_Exporters).by_id.values() if exporter.org_id == org_id]


@routes.add("GET", "/otel/exporters", "otel.list_exporters")
def list_exporters(request: RequestContext) -> Response:
    """Return an organization's exporters, a bare array."""
    ident = request.query_value("org-id") or ""
    if not is_uuid(ident):
        request.fail(400, "org-id: must be a valid UUID.")
    organization = request.require(request.state.organization(ident), "Organization not found")
    return request.respond([_show(exporter) for exporter in _of(request, organization.id)])


@routes.add("POST", "/otel/exporters", "otel.create_exporter")
def create_exporter(request: RequestContext) -> Response:
    """Create an exporter. An organization has at most five."""
    fields = request.body_fields(*_FIELDS)
    request.reject_unknown_fields(fields, (*_FIELDS, "headers"))
    org_id, endpoint, protocol, insecure = (fields[name] for name in _FIELDS)
    if not isinstance(org_id, str) or not is_uuid(org_id):
        request.fail(400, "org_id: must be a valid UUID.")
    organization = request.require(request.state.organization(org_id), "Organization not found")
    if not isinstance(endpoint, str) or not re.fullmatch(r"[^/:\s]+:[0-9]+", endpoint):
        request.fail(400, "endpoint: must be host:port.")
    if protocol not in ("grpc", "http") or not isinstance(insecure, bool):
        request.fail(400, "protocol: must be grpc or http.")
    raw: object = fields.get("headers") or {}
    if not isinstance(raw, dict) or not all(
        isinstance(value, str) for value in cast("dict[str, object]", raw).values()
    ):
        request.fail(400, "headers: must be an object of strings.")
    if len(_of(request, organization.id)) >= _MOST:
        request.fail(422, "Internal server error.")
    new = _Exporter(
        id=request.state.new_id(Kind.EXPORTER),
        org_id=organization.id,
        endpoint=endpoint,
        protocol=protocol,
        insecure=insecure,
        headers=cast("dict[str, str]", raw),
    )
    request.state.group_state(_Exporters).by_id[new.id] = new
    request.record_change(new.id)
    return request.respond(_show(new), 201)


@routes.add("DELETE", "/otel/exporters/{id}", "otel.delete_exporter")
def delete_exporter(request: RequestContext) -> Response:
    """Delete an exporter."""
    ident = request.path_uuid("id")
    request.require(request.state.group_state(_Exporters).by_id.pop(ident, None), "Exporter not found")
    request.record_change(ident)
    return request.respond_message("Exporter deleted.")
