"""OpenTelemetry exporters, over real HTTP."""

from __future__ import annotations

from uuid import UUID

import pytest

from aiocircle import errors
from aiocircle.resources.otel import Exporter, ExporterProtocol

ID = "0d5f6c9e-1f1c-4a4e-8a0e-52b07a0a4f11"


@pytest.fixture
async def org_id(circle):
    return (await circle.organizations.get("gh/acme")).id


async def test_exporter_life_cycle(circle, org_id):
    """An exporter is created, listed and deleted."""
    made = await circle.otel.create_exporter(
        org_id=UUID(org_id),
        endpoint="otel.example.org:4318",
        protocol=ExporterProtocol.HTTP,
        insecure=False,
        headers={"X-Api-Key": "s3cret"},
    )
    assert isinstance(made, Exporter)
    assert made.headers == {"X-Api-Key": "xxxx"}

    found = await circle.otel.list_exporters(org_id=org_id).collect()
    assert made in found
    assert any(each.issues for each in found)

    assert await circle.otel.delete_exporter(made.id) is None
    assert made not in await circle.otel.list_exporters(org_id=org_id).collect()


async def test_sixth_exporter_is_a_bad_request(circle, arrived, org_id):
    """A sixth exporter raises BadRequest."""
    exporter = {"org_id": org_id, "endpoint": "h:1", "protocol": "grpc", "insecure": True}
    with pytest.raises(errors.BadRequest) as caught:
        for _ in range(6):
            await circle.otel.create_exporter(**exporter)
    assert caught.value.status == 422
    assert caught.value.attempts == 1
    assert arrived().json == exporter


async def test_repr_has_no_header_values(circle, answer):
    """The values of an exporter's headers are not in its repr."""
    answer({"id": ID, "org_id": ID, "endpoint": "h:1", "protocol": "grpc", "headers": {"x-api-key": "s3cret"}}, 201)
    made = await circle.otel.create_exporter(org_id=ID, endpoint="h:1", protocol="grpc", insecure=True)
    assert made.headers == {"x-api-key": "s3cret"}
    assert "s3cret" not in repr(made)


async def test_exporter_may_lack_headers(circle, answer):
    """An exporter is read without headers and issues."""
    exporter = {"id": ID, "org_id": ID, "endpoint": "h:1", "protocol": "quic", "insecure": False}
    answer([exporter, {**exporter, "headers": None, "issues": None}])
    bare, null = await circle.otel.list_exporters(org_id=ID).collect()
    assert bare == null == Exporter(**exporter)
    assert (bare.headers, bare.issues) == ({}, ())
