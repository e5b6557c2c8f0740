"""Pipelines, over real HTTP."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

import pytest

from aiocircle import CircleCI, OrgSlug, errors
from aiocircle.resources.pipelines import (
    Pipeline,
    PipelineConfig,
    PipelineError,
    PipelineErrorType,
    PipelineRun,
    PipelineState,
    PipelineTriggerType,
    TriggeredPipeline,
)
from aiocircle.testing import LocalCircleCI

PIPELINE = "3f9a0ad1-7b8e-4a55-9d0e-6f0a3b1c2d4e"
DEFINITION = "0d5f6c9e-1f1c-4a4e-8a0e-52b07a0a4f11"
WEB = "gh/acme/web"


def wire(**changes):
    return {
        "id": PIPELINE,
        "errors": [],
        "project_slug": WEB,
        "updated_at": "2026-11-20T10:00:01.5Z",
        "number": 25,
        "state": "created",
        "created_at": "2026-11-20T10:00:00.123456Z",
        "trigger": {
            "type": "webhook",
            "received_at": "2026-11-20T09:59:59Z",
            "actor": {"login": "ada", "avatar_url": None},
        },
        "vcs": {
            "provider_name": "GitHub",
            "target_repository_url": "https://github.com/acme/web",
            "origin_repository_url": "https://github.com/acme/web",
            "revision": "f454a02b5d10fcccfd7d9dd7608a76d6493a98b4",
            "branch": "main",
            "commit": {"subject": "Fix it", "body": ""},
        },
    } | changes


async def test_project_pipelines_newest_first(circle, arrived):
    """The pipelines of a project are listed, newest first."""
    pipelines = await circle.pipelines.list_for_project(WEB).collect(limit=25)
    assert all(isinstance(each, Pipeline) for each in pipelines)
    numbers = [each.number for each in pipelines]
    assert numbers == sorted(numbers, reverse=True)
    assert len(set(numbers)) == 25
    assert arrived(1).query[0][0] == "page-token"


async def test_branch_is_one_query_value(circle, arrived):
    """A branch with special characters is one query value."""
    assert await circle.pipelines.list_for_project(WEB, branch="feat/a&b#c=é").collect() == []
    assert arrived().query == [("branch", "feat/a&b#c=é")]
    found = await circle.pipelines.list_for_project(WEB, branch="main").collect(limit=3)
    assert {each.branch for each in found} == {"main"}


async def test_page_token_keeps_filters(circle, arrived):
    """A list that continues from a page token keeps its filters."""
    first = await circle.pipelines.list_for_project(WEB, branch="main").page()
    rest = circle.pipelines.list_for_project(WEB, branch="main", page_token=first.next_page_token)
    assert (await rest.first()).number < first.items[-1].number
    assert sorted(arrived().query) == [("branch", "main"), ("page-token", first.next_page_token)]


async def test_organization_pipelines(circle, arrived):
    """The pipelines of an organization are listed."""
    await circle.pipelines.list(org_slug="github/acme", mine=True).collect(limit=1)
    await circle.pipelines.list(org_slug=OrgSlug("gh", "acme"), mine=False).collect(limit=1)
    assert arrived().query == [("org-slug", "gh/acme"), ("mine", "false")]
    assert await circle.pipelines.list().first() is not None
    assert arrived().query == []


async def test_own_pipelines(circle):
    """The caller's own pipelines of a project are listed."""
    me = await circle.users.me()
    mine = await circle.pipelines.list_mine(WEB).collect(limit=5)
    assert {each.trigger.actor.login for each in mine} <= {me.login}


async def test_pipeline_by_id_or_number(circle):
    """A pipeline is found by its id and by its number."""
    listed = await circle.pipelines.list_for_project(WEB).first()
    assert await circle.pipelines.get(listed.id) == listed
    assert await circle.pipelines.get(UUID(listed.id)) == listed
    assert await circle.pipelines.get_by_number(WEB, listed.number) == listed


async def test_workflows_of_a_pipeline(circle):
    """The workflows of a pipeline are listed."""
    pipeline = await circle.pipelines.list_for_project(WEB, branch="main").first()
    workflows = await circle.pipelines.list_workflows(pipeline.id).collect()
    assert {each.pipeline_id for each in workflows} <= {pipeline.id}


async def test_configuration_of_a_pipeline(circle):
    """The configuration of a pipeline is read."""
    pipeline = await circle.pipelines.list_for_project(WEB).first()
    config = await circle.pipelines.get_config(pipeline.id)
    assert config.source in config.compiled
    assert config.setup_config is None


@pytest.mark.parametrize("keys", [("setup_config", "compiled_setup_config"), ("setup-config", "compiled-setup-config")])
async def test_setup_configuration_in_both_spellings(circle, answer, keys):
    """Keys of a configuration are read with hyphens and with underscores."""
    answer({"source": "a", "compiled": "", keys[0]: "c", keys[1]: ""})
    assert await circle.pipelines.get_config(PIPELINE) == PipelineConfig(
        source="a", compiled="", setup_config="c", compiled_setup_config=""
    )


async def test_pipeline_values_keep_their_keys(circle, answer):
    """Pipeline values are a bare map, and their keys stay unchanged."""
    values = {"pipeline.git.branch": "main", "number": 7, "a-b": True, "created_at": "no time", "gone": None}
    answer(values)
    found = await circle.pipelines.get_values(PIPELINE)
    assert found.values == values
    assert found.values["a-b"] is True
    assert type(found.values["number"]) is int


async def test_pipeline_values(circle):
    """Pipeline values are read."""
    pipeline = await circle.pipelines.list_for_project(WEB).first()
    found = await circle.pipelines.get_values(pipeline.id)
    assert found.values["pipeline.number"] == pipeline.number


@pytest.mark.parametrize("body", [[], b'"x"', {"a": {"b": 1}}, {"a": [1]}, {"a": 1.5}])
async def test_invalid_pipeline_values_are_a_decode_error(circle, answer, body):
    """The DecodeError of invalid values has their JSON path."""
    answer(body)
    with pytest.raises(errors.DecodeError) as caught:
        await circle.pipelines.get_values(PIPELINE)
    assert "$" in caught.value.problems[0]


async def test_started_run_returns_its_pipeline(circle, answer):
    """A run that started returns the id and number of its pipeline."""
    answer({"id": PIPELINE, "state": "pending", "number": 26, "created_at": "2026-11-20T10:00:00Z"}, 201)
    run = await circle.pipelines.run(
        WEB,
        definition_id=UUID(DEFINITION),
        config={"branch": "main"},
        checkout={"tag": "v1"},
        parameters={"deploy-to": "prod", "count": 3, "dry_run": False},
    )
    at = datetime(2026, 11, 20, 10, tzinfo=UTC)
    assert run == PipelineRun(id=PIPELINE, state=PipelineState.PENDING, number=26, created_at=at)
    assert run.was_started


async def test_started_pipeline_can_be_read(circle):
    """A pipeline can be read as soon as its run has started."""
    run = await circle.pipelines.run(WEB, config={"branch": "main"}, checkout={"branch": "main"})
    pipeline = await circle.pipelines.get(run.id)
    assert (pipeline.number, pipeline.branch) == (run.number, "main")


async def test_skipped_run_returns_the_reason(circle, arrived):
    """A run that was skipped returns the reason."""
    run = await circle.pipelines.run(WEB, checkout={"branch": "docs [skip ci]"})
    assert not run.was_started
    assert run == PipelineRun(message=run.message)
    assert "skip" in run.message
    assert arrived().json == {"checkout": {"branch": "docs [skip ci]"}}


async def test_run_keeps_slashes_of_the_slug(circle, answer):
    """The slug of a standalone project is three path segments."""
    answer({}, 201)
    run = await circle.pipelines.run("circleci/43G3lM5RtfFE7v5sa4nWAU/44n9wujWcTnVZ2b5S8Fnat")
    assert not run.was_started


async def test_run_needs_a_slug(circle, server):
    """A run needs a slug, not a project's id."""
    with pytest.raises(errors.InvalidArgument, match="full slug"):
        await circle.pipelines.run(PIPELINE)
    assert server.requests == []


@pytest.mark.parametrize("where", ["config", "checkout"])
async def test_misspelt_ref_is_refused_unsent(circle, server, where):
    """A misspelt key of a ref raises InvalidArgument."""
    with pytest.raises(errors.InvalidArgument, match=rf"{where} has no key 'brunch'"):
        await circle.pipelines.run(WEB, **{where: {"brunch": "main"}})
    with pytest.raises(errors.InvalidArgument, match=where):
        await circle.pipelines.run(WEB, **{where: "main"})
    assert server.requests == []


async def test_trigger(circle, arrived):
    """A pipeline is triggered by the older operation."""
    triggered = await circle.pipelines.trigger(WEB, branch="main", parameters={"who": "ada"})
    assert isinstance(triggered, TriggeredPipeline)
    assert (await circle.pipelines.get(triggered.id)).branch == "main"
    await circle.pipelines.trigger(WEB, tag="v1.0")
    assert arrived().json == {"tag": "v1.0"}
    await circle.pipelines.trigger(WEB)
    assert arrived().json == {}


async def test_continuation_uses_kebab_keys():
    """A setup pipeline is continued with hyphenated keys."""
    async with LocalCircleCI(["gh/acme/monorepo"]) as server, CircleCI(server.token, base_url=server.url) as circle:
        triggered = await circle.pipelines.trigger("gh/acme/monorepo")
        key = server.continuation_key(triggered.id)
        confirmed = await circle.pipelines.continue_setup(
            continuation_key=key, configuration="version: 2.1", parameters={"a": 1}
        )
    assert confirmed is None
    assert server.requests[-1].path == "/api/v2/pipeline/continue"
    assert server.requests[-1].json == {
        "continuation-key": key,
        "configuration": "version: 2.1",
        "parameters": {"a": 1},
    }


async def test_continuation_without_parameters(circle, answer):
    """A continuation without parameters sends no parameters."""
    answer({"message": "Accepted"})
    await circle.pipelines.continue_setup(continuation_key="k", configuration="c")


# --- what the wire really has -------------------------------------------------------------------------------


async def test_times_are_aware(circle, answer):
    """Times have a time zone, and keep their fractions."""
    answer(wire())
    pipeline = await circle.pipelines.get(PIPELINE)
    assert pipeline.created_at == datetime(2026, 11, 20, 10, 0, 0, 123456, UTC)


async def test_github_app_pipeline_has_no_vcs(circle, answer):
    """A pipeline of the GitHub App has trigger parameters and no vcs."""
    app = wire(
        trigger={
            "type": "Decoupled Ingestion System",
            "received_at": "1970-01-01T00:00:00.000Z",
            "actor": {"login": "", "avatar_url": None},
        },
        trigger_parameters={
            "git": {"branch": "feat/x", "tag": "", "checkout_sha": "abc123"},
            "github_app": {"forced": False, "repo_project_id": 5, "nested": {"a": 1}},
        },
        state="errored",
    )
    del app["vcs"]
    answer(app)
    pipeline = await circle.pipelines.get(PIPELINE)
    assert pipeline.vcs is None
    assert (pipeline.branch, pipeline.tag, pipeline.revision) == ("feat/x", None, "abc123")
    assert pipeline.trigger.type == PipelineTriggerType.DECOUPLED_INGESTION_SYSTEM
    assert pipeline.trigger.received_at == datetime(1970, 1, 1, tzinfo=UTC)
    assert pipeline.trigger.actor.login == ""
    assert pipeline.state == PipelineState.ERRORED
    assert pipeline.trigger_parameters["github_app"] == {"forced": False, "repo_project_id": 5, "nested": {"a": 1}}


@pytest.mark.parametrize(
    "parameters",
    [None, {}, {"git": None}, {"git": "x"}, {"git": {}}, {"git": {"branch": 5}}, {"webhook": {"body": "{}"}}],
)
async def test_pipeline_without_a_branch(circle, answer, parameters):
    """The branch of a pipeline is None if no field has it."""
    answer(wire(vcs=None, trigger_parameters=parameters))
    pipeline = await circle.pipelines.get(PIPELINE)
    assert (pipeline.branch, pipeline.tag, pipeline.revision) == (None, None, None)


async def test_tag_pipeline_has_no_branch(circle, answer):
    """The pipeline of a tag has no branch, and one of the API has no commit."""
    answer(wire(vcs={"provider_name": "GitHub", "revision": "abc", "tag": "v1"}))
    pipeline = await circle.pipelines.get(PIPELINE)
    assert (pipeline.branch, pipeline.tag, pipeline.revision) == (None, "v1", "abc")
    assert pipeline.vcs.commit is None
    answer(wire(vcs={"branch": "main", "tag": None, "commit": {"subject": None, "body": None}}))
    assert (await circle.pipelines.get(PIPELINE)).vcs.commit.subject is None


@pytest.mark.parametrize("kind", ["unknown", "schedule_v9"])
async def test_unknown_trigger_types_are_kept(circle, answer, kind):
    """Unknown trigger types are kept as text."""
    answer(wire(trigger={"type": kind, "received_at": None, "actor": None}))
    assert (await circle.pipelines.get(PIPELINE)).trigger.type == kind


async def test_pipeline_error_may_have_lines(circle, answer):
    """The errors of a pipeline may have lines and an unknown type."""
    problems = [{"type": "config-deprecated-syntax", "message": "a\nb"}, {"type": "novel", "message": ""}]
    answer(wire(errors=problems))
    assert (await circle.pipelines.get(PIPELINE)).errors == (
        PipelineError(type=PipelineErrorType.CONFIG_DEPRECATED_SYNTAX, message="a\nb"),
        PipelineError(type="novel", message=""),
    )


async def test_pipeline_may_lack_fields(circle, answer):
    """A pipeline is read without the fields that are not required."""
    few = {"id": PIPELINE, "number": 1, "project_slug": WEB, "state": "new state", "created_at": "2026-11-20T10:00:00Z"}
    answer(few)
    pipeline = await circle.pipelines.get(PIPELINE)
    assert (pipeline.errors, pipeline.updated_at, pipeline.trigger) == ((), None, None)
    assert pipeline.state == "new state"


@pytest.mark.parametrize("last", [{}, {"next_page_token": None}, {"next_page_token": ""}])
async def test_last_page_may_lack_its_token(circle, answer, last):
    """A page without a token is the last."""
    answer({"items": [wire()], **last})
    assert len(await circle.pipelines.list().collect()) == 1


# --- what is refused before sending -------------------------------------------------------------------------


@pytest.mark.parametrize("bad", ["", ".", "..", "a\nb", None])
async def test_invalid_pipeline_id_is_refused(circle, server, bad):
    """An id that is not a path segment raises InvalidArgument."""
    for call in (circle.pipelines.get, circle.pipelines.get_config, circle.pipelines.get_values):
        with pytest.raises(errors.InvalidArgument):
            await call(bad)
    with pytest.raises(errors.InvalidArgument):
        circle.pipelines.list_workflows(bad)
    with pytest.raises(errors.InvalidArgument):
        await circle.pipelines.get_by_number(WEB, bad)
    assert server.requests == []


@pytest.mark.parametrize("bad", ["", "acme", "gh/acme", "gh/acme/..", "gh/./web", "gh/acme/a\nb", None])
async def test_invalid_project_is_refused(circle, server, bad):
    """An invalid project raises InvalidArgument."""
    for call in (circle.pipelines.run, circle.pipelines.trigger):
        with pytest.raises(errors.InvalidArgument):
            await call(bad)
    for listed in (circle.pipelines.list_for_project, circle.pipelines.list_mine):
        with pytest.raises(errors.InvalidArgument):
            listed(bad)
    assert server.requests == []


@pytest.mark.parametrize("bad", ["", "acme", "gh/..", "xx/acme", "gh/acme/web"])
async def test_invalid_organization_is_refused(circle, server, bad):
    """An invalid organization raises InvalidArgument."""
    with pytest.raises(errors.InvalidArgument):
        circle.pipelines.list(org_slug=bad)
    assert server.requests == []


@pytest.mark.parametrize("bad", [float("nan"), b"bytes", object(), "\ud800"])
async def test_parameter_must_be_json(circle, server, bad):
    """A parameter that JSON cannot represent raises InvalidArgument."""
    with pytest.raises(errors.InvalidArgument, match=r"parameters\.x"):
        await circle.pipelines.trigger(WEB, parameters={"x": bad})
    assert server.requests == []
