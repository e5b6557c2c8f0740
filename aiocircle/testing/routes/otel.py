"""Exporters of OpenTelemetry data."""

from __future__ import annotations

import re
from typing import Any, cast

import attrs

from ..call import Answer, Call, Routes
from ..identity import Kind, is_uuid
from ..world import World

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
    def __init__(self, world: World) -> None:
        self.by_id: dict[str, _Exporter] = {}
        for organization in world.founding:
            ident = world.identities.uuid(Kind.EXPORTER, organization.key)
            self.by_id[ident] = _Exporter(
                id=ident,
                org_id=organization.id,
                endpoint="otel.acme.example:4317",
                protocol="grpc",
                insecure=False,
                headers={"x-api-key": "7d1f"},
                issues=("The endpoint did not answer in time.",),
            )


def _show(exporter: _Exporter) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "id": exporter.id,
        "org_id": exporter.org_id,
        "endpoint": exporter.endpoint,
        "protocol": exporter.protocol,
        "insecure": exporter.insecure,
        "headers": dict.fromkeys(exporter.headers, "xxxx"),
    }
    if exporter.issues:
        shown["issues"] = exporter.issues
    return shown


def _of(call: Call, org_id: str) -> list[_Exporter]:
    return [exporter for exporter in call.world.part(_Exporters).by_id.values() if exporter.org_id == org_id]


@routes.add("GET", "/otel/exporters", "otel.list_exporters")
def list_exporters(call: Call) -> Answer:
    """An organization's exporters, a bare array."""
    ident = call.one("org-id") or ""
    if not is_uuid(ident):
        call.refuse(400, "org-id: must be a valid UUID.")
    organization = call.found(call.world.organization(ident), "Organization not found")
    return call.json([_show(exporter) for exporter in _of(call, organization.id)])


@routes.add("POST", "/otel/exporters", "otel.create_exporter")
def create_exporter(call: Call) -> Answer:
    """Make an exporter, the sixth of an organization being too many."""
    fields = call.fields(*_FIELDS)
    call.only(fields, (*_FIELDS, "headers"))
    org_id, endpoint, protocol, insecure = (fields[name] for name in _FIELDS)
    if not isinstance(org_id, str) or not is_uuid(org_id):
        call.refuse(400, "org_id: must be a valid UUID.")
    organization = call.found(call.world.organization(org_id), "Organization not found")
    if not isinstance(endpoint, str) or not re.fullmatch(r"[^/:\s]+:[0-9]+", endpoint):
        call.refuse(400, "endpoint: must be host:port.")
    if protocol not in ("grpc", "http") or not isinstance(insecure, bool):
        call.refuse(400, "protocol: must be grpc or http.")
    sent: object = fields.get("headers") or {}
    if not isinstance(sent, dict) or not all(
        isinstance(value, str) for value in cast("dict[str, object]", sent).values()
    ):
        call.refuse(400, "headers: must be an object of strings.")
    if len(_of(call, organization.id)) >= _MOST:
        call.refuse(422, "Internal server error.")
    made = _Exporter(
        id=call.world.new_id(Kind.EXPORTER),
        org_id=organization.id,
        endpoint=endpoint,
        protocol=protocol,
        insecure=insecure,
        headers=cast("dict[str, str]", sent),
    )
    call.world.part(_Exporters).by_id[made.id] = made
    call.changed(made.id)
    return call.json(_show(made), 201)


@routes.add("DELETE", "/otel/exporters/{id}", "otel.delete_exporter")
def delete_exporter(call: Call) -> Answer:
    """Delete an exporter."""
    ident = call.uuid("id")
    call.found(call.world.part(_Exporters).by_id.pop(ident, None), "Exporter not found")
    call.changed(ident)
    return call.message("Exporter deleted.")
