"""OpenTelemetry exporters: where an organization's pipelines are sent as traces. Experimental at CircleCI."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

import attrs

from aiocircle._core.endpoint import Action, Endpoint, ListEndpoint, Table
from aiocircle._core.group import Group, Id, omit_none
from aiocircle._core.pager import Pager
from aiocircle._core.pagination import NONE

__all__ = ["Exporter", "ExporterProtocol", "Otel"]


class ExporterProtocol(StrEnum):
    """The protocols for traces that are known today."""

    GRPC = "grpc"
    HTTP = "http"


@attrs.frozen(kw_only=True)
class Exporter:
    """An exporter: traces go to endpoint, a host and port without a scheme.

    protocol is one of ExporterProtocol, or a newer one. insecure: True if traces are sent without TLS. The API returns
    the headers' values masked, and the repr omits them. issues: the problems that CircleCI found with the exporter.
    """

    id: str
    org_id: str = ""
    endpoint: str
    protocol: str = ""
    insecure: bool | None = None
    headers: Mapping[str, str] = attrs.field(factory=dict[str, str], repr=False, hash=False)
    issues: tuple[str, ...] = ()


class _Endpoints(Table, group="otel"):
    list_exporters = ListEndpoint("GET", "/otel/exporters", Exporter, pagination=NONE)
    create_exporter = Endpoint("POST", "/otel/exporters", Exporter)
    delete_exporter = Action("DELETE", "/otel/exporters/{exporter_id:id}")


class Otel(Group):
    """OpenTelemetry exporters: `circle.otel`. The API cannot return a single exporter or change one."""

    def list_exporters(self, *, org_id: Id, page_token: str | None = None) -> Pager[Exporter]:
        """List an organization's exporters. The API returns them in one piece.

        https://circleci.com/docs/api/v2/#operation/listOtelExporters
        """
        return self._list(_Endpoints.list_exporters, query={"org_id": org_id}, page_token=page_token)

    async def create_exporter(
        self,
        *,
        org_id: Id,
        endpoint: str,
        protocol: ExporterProtocol | str,
        insecure: bool,
        headers: Mapping[str, str] | None = None,
    ) -> Exporter:
        """Create an exporter; an organization has five at most, a sixth is a BadRequest without a reason.

        endpoint: host and port, without a scheme. insecure: True to send without TLS.

        https://circleci.com/docs/api/v2/#operation/createOtelExporter
        """
        return await self._call(
            _Endpoints.create_exporter,
            body=omit_none(org_id=org_id, endpoint=endpoint, protocol=protocol, insecure=insecure, headers=headers),
        )

    async def delete_exporter(self, exporter_id: Id) -> None:
        """Delete an exporter.

        https://circleci.com/docs/api/v2/#operation/deleteOtelExporter
        """
        return await self._call(_Endpoints.delete_exporter, exporter_id)
