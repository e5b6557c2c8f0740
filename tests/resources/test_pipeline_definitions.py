"""Pipeline definitions, over real HTTP."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

import attrs
import pytest

from aiocircle import errors
from aiocircle.resources.pipeline_definitions import (
    CheckoutSource,
    ConfigSource,
    PipelineDefinition,
    Provider,
    Repository,
)

DEFINITION = "3f9a0ad1-7b8e-4a55-9d0e-6f0a3b1c2d4e"
REPO = {"external_id": "1234"}
CONFIG = {"provider": "github_app", "repo": REPO, "file_path": ".circleci/config.yml"}
CHECKOUT = {"provider": "github_app", "repo": REPO}


async def standalone(circle, server):
    """The id of a GitHub App project."""
    [slug] = [each for each in server.projects if each.startswith("circleci/")]
    return (await circle.projects.get(slug)).id


async def test_definition_life_cycle(circle, server):
    """A definition is created, read, listed and deleted."""
    project = await standalone(circle, server)
    made = await circle.pipeline_definitions.create(
        UUID(project), name="docs", description="The docs", config_source=CONFIG, checkout_source=CHECKOUT
    )
    assert isinstance(made, PipelineDefinition)
    assert made.config_source.provider == Provider.GITHUB_APP
    assert made.config_source.file_path == ".circleci/config.yml"
    assert made.checkout_source.repo.external_id == "1234"
    assert made in await circle.pipeline_definitions.list(project).collect()
    assert await circle.pipeline_definitions.get(project, UUID(made.id)) == made
    for _ in range(2):
        assert await circle.pipeline_definitions.delete(project, made.id) is None
    assert made not in await circle.pipeline_definitions.list(project).collect()


async def test_circleci_config_has_no_repository(circle, answer, arrived):
    """A configuration that CircleCI keeps has no repository."""
    answer({"id": DEFINITION})
    await circle.pipeline_definitions.create(
        DEFINITION,
        name="docs",
        config_source={"provider": "circleci", "file_path": "a.yml"},
        checkout_source=CHECKOUT,
    )
    assert arrived().json["config_source"] == {"provider": "circleci", "file_path": "a.yml"}
    assert "description" not in arrived().json


async def test_update_sends_only_given_fields(circle, server, arrived):
    """An update sends the given fields and no others."""
    project = await standalone(circle, server)
    [definition] = await circle.pipeline_definitions.list(project).collect()
    updated = await circle.pipeline_definitions.update(
        project, definition.id, name="renamed", config_source={"file_path": "b.yml"}
    )
    assert updated == attrs.evolve(
        definition, name="renamed", config_source=attrs.evolve(definition.config_source, file_path="b.yml")
    )
    await circle.pipeline_definitions.update(project, definition.id, description="", checkout_source=CHECKOUT)
    assert arrived().json == {"description": "", "checkout_source": CHECKOUT}


async def test_definition_can_be_written_back(circle, server, arrived):
    """A definition that was read can be changed and sent."""
    project = await standalone(circle, server)
    [definition] = await circle.pipeline_definitions.list(project).collect()
    copy = await circle.pipeline_definitions.create(
        project,
        name="copy",
        config_source=definition.config_source,
        checkout_source=definition.checkout_source,
    )
    # Only the API sets the repository's name.
    assert "full_name" not in arrived().json["config_source"]["repo"]
    assert copy.config_source == definition.config_source
    changed = attrs.evolve(definition.config_source, file_path="c.yml")
    await circle.pipeline_definitions.update(
        project, copy.id, config_source=changed, checkout_source=definition.checkout_source
    )
    assert arrived().json["config_source"] == {"file_path": "c.yml"}


@pytest.mark.parametrize("provider", ["github_server", "origin", "bitbucket_dc", "schedule", "svn"])
async def test_unknown_providers_are_kept(circle, answer, provider):
    """Unknown providers are kept as text."""
    answer({"items": [{"id": DEFINITION, "config_source": {"provider": provider}}]})
    [definition] = await circle.pipeline_definitions.list(DEFINITION).collect()
    assert definition.config_source == ConfigSource(provider=provider)


async def test_definition_may_lack_fields(circle, answer):
    """A definition is read without the fields that are not required."""
    answer({"items": [{}, {"id": DEFINITION, "name": None, "description": None, "checkout_source": {"repo": {}}}]})
    assert await circle.pipeline_definitions.list(DEFINITION).collect() == [
        PipelineDefinition(),
        PipelineDefinition(id=DEFINITION, checkout_source=CheckoutSource(repo=Repository())),
    ]
    answer({"id": DEFINITION, "name": "n", "created_at": "2026-11-20T10:00:00Z"})
    definition = await circle.pipeline_definitions.get(DEFINITION, DEFINITION)
    assert definition.created_at == datetime(2026, 11, 20, 10, tzinfo=UTC)


async def test_undocumented_page_token_is_followed(circle, answer, arrived):
    """A page token that the document omits is followed."""
    answer({"items": [{"id": "a"}], "next_page_token": "AAEC"})
    answer({"items": [{"id": "b"}]})
    assert [each.id for each in await circle.pipeline_definitions.list(DEFINITION).collect()] == ["a", "b"]
    assert arrived().query == [("page-token", "AAEC")]


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"config_source": {**CONFIG, "path": "x"}}, "config_source has no key 'path'"),
        ({"config_source": {"provider": "github_app"}}, "config_source needs the key 'file_path'"),
        ({"config_source": {**CONFIG, "repo": {"full_name": "acme/web"}}}, r"config_source\.repo has no key"),
        ({"config_source": {**CONFIG, "repo": {}}}, r"config_source\.repo needs the key 'external_id'"),
        ({"checkout_source": {**CHECKOUT, "file_path": "x"}}, "checkout_source has no key 'file_path'"),
        ({"checkout_source": {"provider": "github_app"}}, "checkout_source needs the key 'repo'"),
        ({"checkout_source": None}, "checkout_source"),
    ],
)
async def test_invalid_source_is_refused_unsent(circle, server, fields, problem):
    """A source of another shape raises InvalidArgument."""
    with pytest.raises(errors.InvalidArgument, match=problem):
        await circle.pipeline_definitions.create(
            DEFINITION, **{"name": "n", "config_source": CONFIG, "checkout_source": CHECKOUT} | fields
        )
    assert server.requests == []


async def test_update_takes_fewer_keys(circle, server):
    """An update refuses the keys that only a new definition takes."""
    with pytest.raises(errors.InvalidArgument, match="config_source has no key 'provider'"):
        await circle.pipeline_definitions.update(DEFINITION, DEFINITION, config_source={"provider": "x"})
    assert server.requests == []
