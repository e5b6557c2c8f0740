"""Deploys, over real HTTP."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

import pytest

from aiocircle.resources.deploys import Component, ComponentVersion, Environment, Label, Rollback

ID = "0d5f6c9e-1f1c-4a4e-8a0e-52b07a0a4f11"
WEB = "gh/acme/web"


@pytest.fixture
async def project(circle):
    return await circle.projects.get(WEB)


@pytest.fixture
async def org_id(circle):
    return (await circle.organizations.get("gh/acme")).id


async def a_component(circle, org_id):
    async for component in circle.deploys.list_components(org_id=org_id):
        if component.release_count > 2:
            return component
    raise AssertionError


async def test_environments(circle, arrived, org_id):
    """Environments are listed over all pages and read by id."""
    found = await circle.deploys.list_environments(org_id=UUID(org_id), page_size=2).collect()
    first, second = arrived(-2), arrived()
    assert second.query[:2] == first.query
    assert second.query[2][0] == "page-token"
    assert len(found) == 3
    production = found[0]
    assert isinstance(production, Environment)
    assert production.name == "production"
    assert production.labels == (Label(key="tier", value="production"),)
    assert production.created_at < production.updated_at

    assert await circle.deploys.get_environment(production.id) == production


async def test_page_size_is_always_sent(circle, arrived, org_id):
    """A page size is sent even if the caller gives none."""
    await circle.deploys.list_environments(org_id=org_id).page()
    assert arrived().query == [("org-id", org_id), ("page-size", "20")]
    await circle.deploys.list_components(org_id=org_id).page()
    assert arrived().query == [("org-id", org_id), ("page-size", "20")]


async def test_components(circle, org_id, project):
    """Components are listed for an organization and for a project."""
    found = await circle.deploys.list_components(org_id=org_id).collect()
    assert len(found) > 1
    assert all(isinstance(each, Component) for each in found)
    (own,) = await circle.deploys.list_components(org_id=org_id, project_id=project.id, page_size=5).collect()
    assert own in found
    assert own.project_id == project.id

    assert await circle.deploys.get_component(UUID(own.id)) == own


async def test_versions_of_a_component(circle, arrived, org_id):
    """Versions of a component are listed and filtered by environment."""
    component = await a_component(circle, org_id)
    versions = await circle.deploys.list_component_versions(component.id).collect()
    assert arrived(-1).path == f"/deploy/components/{component.id}/versions"
    assert all(isinstance(version, ComponentVersion) for version in versions)
    live = next(version for version in versions if version.is_live)
    assert (await circle.workflows.get(live.workflow_id)).pipeline_id == live.pipeline_id

    there = circle.deploys.list_component_versions(component.id, environment_id=live.environment_id)
    assert (await there.first()).environment_id == live.environment_id
    assert arrived().query == [("environment-id", live.environment_id)]


async def test_rollback(circle, org_id):
    """A rollback starts a pipeline and returns its id."""
    component = await a_component(circle, org_id)
    newest, *older = await circle.deploys.list_component_versions(component.id).collect()
    started = await circle.deploys.rollback(
        component.project_id,
        component_name=component.name,
        environment_name="production",
        current_version=newest.name,
        target_version=older[-1].name,
        namespace="default",
        parameters={"Some Key": {"deep-er": [1, None]}},
        reason="it burns",
    )
    assert isinstance(started, Rollback)
    assert UUID(started.id)
    assert started.rollback_type


async def test_rollback_sends_only_given_fields(circle, answer, arrived):
    """Fields that are not given are not sent."""
    answer({"id": ID}, 202)
    started = await circle.deploys.rollback(
        UUID(ID), component_name="web", environment_name="e", current_version="2", target_version="1"
    )
    assert started == Rollback(id=ID)
    sent = {"component_name": "web", "environment_name": "e", "current_version": "2", "target_version": "1"}
    assert arrived().json == sent


async def test_deploy_models_may_be_empty(circle, answer):
    """Each deploy model is read from an empty object."""
    answer({})
    assert await circle.deploys.get_environment(ID) == Environment()
    answer({"id": ID, "name": "web", "labels": None, "description": None, "updated_at": None})
    assert await circle.deploys.get_component(ID) == Component(id=ID, name="web")
    answer({"items": [{"name": "1", "job_number": None, "is_live": None}], "next_page_token": ""})
    assert await circle.deploys.list_component_versions(ID).collect() == [ComponentVersion(name="1")]
    answer({"id": ID, "created_at": "2026-11-20T10:00:00Z", "labels": [{"key": "a", "value": ""}]})
    assert await circle.deploys.get_component(ID) == Component(
        id=ID, created_at=datetime(2026, 11, 20, 10, tzinfo=UTC), labels=(Label(key="a"),)
    )


async def test_deploy_lists_end_with_an_empty_token(circle, answer, server):
    """An empty page token ends a list, also on a page without items."""
    for payload in ({"items": [], "next_page_token": ""}, {"items": [], "next_page_token": None}, {"items": []}):
        answer(payload)
        assert await circle.deploys.list_components(org_id=ID).collect() == []
    assert len(server.requests) == 3
