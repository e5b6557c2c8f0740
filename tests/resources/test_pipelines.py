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


async def test_a_projects_pipelines_are_listed_newest_first(circle, arrived):
    pipelines = await circle.pipelines.list_for_project(WEB).collect(limit=25)
    assert all(isinstance(each, Pipeline) for each in pipelines)
    numbers = [each.number for each in pipelines]
    assert numbers == sorted(numbers, reverse=True)
    assert len(set(numbers)) == 25
    assert arrived(1).query[0][0] == "page-token"


async def test_a_branch_travels_as_one_query_value(circle, arrived):
    assert await circle.pipelines.list_for_project(WEB, branch="feat/a&b#c=é").collect() == []
    assert arrived().query == [("branch", "feat/a&b#c=é")]
    found = await circle.pipelines.list_for_project(WEB, branch="main").collect(limit=3)
    assert {each.branch for each in found} == {"main"}


async def test_a_page_token_resumes_with_the_same_filters(circle, arrived):
    first = await circle.pipelines.list_for_project(WEB, branch="main").page()
    rest = circle.pipelines.list_for_project(WEB, branch="main", page_token=first.next_page_token)
    assert (await rest.first()).number < first.items[-1].number
    assert sorted(arrived().query) == [("branch", "main"), ("page-token", first.next_page_token)]


async def test_the_pipelines_of_an_organization_are_listed(circle, arrived):
    await circle.pipelines.list(org_slug="github/acme", mine=True).collect(limit=1)
    await circle.pipelines.list(org_slug=OrgSlug("gh", "acme"), mine=False).collect(limit=1)
    assert arrived().query == [("org-slug", "gh/acme"), ("mine", "false")]
    assert await circle.pipelines.list().first() is not None
    assert arrived().query == []


async def test_ones_own_pipelines_of_a_project_are_listed(circle):
    me = await circle.users.me()
    mine = await circle.pipelines.list_mine(WEB).collect(limit=5)
    assert {each.trigger.actor.login for each in mine} <= {me.login}


async def test_a_pipeline_is_found_by_id_and_by_number(circle):
    listed = await circle.pipelines.list_for_project(WEB).first()
    assert await circle.pipelines.get(listed.id) == listed
    assert await circle.pipelines.get(UUID(listed.id)) == listed
    assert await circle.pipelines.get_by_number(WEB, listed.number) == listed


async def test_a_pipelines_workflows_are_listed(circle):
    pipeline = await circle.pipelines.list_for_project(WEB, branch="main").first()
    workflows = await circle.pipelines.list_workflows(pipeline.id).collect()
    assert {each.pipeline_id for each in workflows} <= {pipeline.id}


async def test_a_pipelines_configuration_is_read(circle):
    pipeline = await circle.pipelines.list_for_project(WEB).first()
    config = await circle.pipelines.get_config(pipeline.id)
    assert config.source in config.compiled
    assert config.setup_config is None


@pytest.mark.parametrize("keys", [("setup_config", "compiled_setup_config"), ("setup-config", "compiled-setup-config")])
async def test_a_setup_configuration_is_read_in_both_spellings(circle, answer, keys):
    answer({"source": "a", "compiled": "", keys[0]: "c", keys[1]: ""})
    assert await circle.pipelines.get_config(PIPELINE) == PipelineConfig(
        source="a", compiled="", setup_config="c", compiled_setup_config=""
    )


async def test_pipeline_values_are_a_bare_map_whose_keys_stay_as_they_are(circle, answer):
    values = {"pipeline.git.branch": "main", "number": 7, "a-b": True, "created_at": "no time", "gone": None}
    answer(values)
    found = await circle.pipelines.get_values(PIPELINE)
    assert found.values == values
    assert found.values["a-b"] is True
    assert type(found.values["number"]) is int


async def test_pipeline_values_of_the_local_server_are_read(circle):
    pipeline = await circle.pipelines.list_for_project(WEB).first()
    found = await circle.pipelines.get_values(pipeline.id)
    assert found.values["pipeline.number"] == pipeline.number


@pytest.mark.parametrize("body", [[], b'"x"', {"a": {"b": 1}}, {"a": [1]}, {"a": 1.5}])
async def test_what_is_no_map_of_values_names_the_place(circle, answer, body):
    answer(body)
    with pytest.raises(errors.DecodeError) as caught:
        await circle.pipelines.get_values(PIPELINE)
    assert "$" in caught.value.problems[0]


async def test_a_run_that_started_answers_its_pipeline(circle, answer):
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


async def test_a_pipeline_can_be_read_once_it_was_run(circle):
    run = await circle.pipelines.run(WEB, config={"branch": "main"}, checkout={"branch": "main"})
    pipeline = await circle.pipelines.get(run.id)
    assert (pipeline.number, pipeline.branch) == (run.number, "main")


async def test_a_run_that_was_skipped_answers_why(circle, arrived):
    run = await circle.pipelines.run(WEB, checkout={"branch": "docs [skip ci]"})
    assert not run.was_started
    assert run == PipelineRun(message=run.message)
    assert "skip" in run.message
    assert arrived().json == {"checkout": {"branch": "docs [skip ci]"}}


async def test_a_run_of_a_standalone_project_keeps_its_slashes(circle, answer):
    answer({}, 201)
    run = await circle.pipelines.run("circleci/43G3lM5RtfFE7v5sa4nWAU/44n9wujWcTnVZ2b5S8Fnat")
    assert not run.was_started


async def test_a_run_needs_a_whole_slug(circle, server):
    with pytest.raises(errors.InvalidArgument, match="full slug"):
        await circle.pipelines.run(PIPELINE)
    assert server.requests == []


@pytest.mark.parametrize("where", ["config", "checkout"])
async def test_a_misspelt_key_of_a_ref_is_refused_before_sending(circle, server, where):
    with pytest.raises(errors.InvalidArgument, match=rf"{where} has no key 'brunch'"):
        await circle.pipelines.run(WEB, **{where: {"brunch": "main"}})
    with pytest.raises(errors.InvalidArgument, match=where):
        await circle.pipelines.run(WEB, **{where: "main"})
    assert server.requests == []


async def test_a_pipeline_is_triggered_the_older_way(circle, arrived):
    triggered = await circle.pipelines.trigger(WEB, branch="main", parameters={"who": "ada"})
    assert isinstance(triggered, TriggeredPipeline)
    assert (await circle.pipelines.get(triggered.id)).branch == "main"
    await circle.pipelines.trigger(WEB, tag="v1.0")
    assert arrived().json == {"tag": "v1.0"}
    await circle.pipelines.trigger(WEB)
    assert arrived().json == {}


async def test_a_setup_pipeline_is_continued_under_the_kebab_keys():
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


async def test_a_continuation_without_parameters_sends_none(circle, answer):
    answer({"message": "Accepted"})
    await circle.pipelines.continue_setup(continuation_key="k", configuration="c")


# --- what the wire really has -------------------------------------------------------------------------------


async def test_times_keep_their_fractions_and_are_aware(circle, answer):
    answer(wire())
    pipeline = await circle.pipelines.get(PIPELINE)
    assert pipeline.created_at == datetime(2026, 11, 20, 10, 0, 0, 123456, UTC)


async def test_a_github_app_pipeline_has_trigger_parameters_and_no_vcs(circle, answer):
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
async def test_a_pipeline_that_does_not_say_its_branch_has_none(circle, answer, parameters):
    answer(wire(vcs=None, trigger_parameters=parameters))
    pipeline = await circle.pipelines.get(PIPELINE)
    assert (pipeline.branch, pipeline.tag, pipeline.revision) == (None, None, None)


async def test_a_tags_pipeline_has_no_branch_and_an_api_run_no_commit(circle, answer):
    answer(wire(vcs={"provider_name": "GitHub", "revision": "abc", "tag": "v1"}))
    pipeline = await circle.pipelines.get(PIPELINE)
    assert (pipeline.branch, pipeline.tag, pipeline.revision) == (None, "v1", "abc")
    assert pipeline.vcs.commit is None
    answer(wire(vcs={"branch": "main", "tag": None, "commit": {"subject": None, "body": None}}))
    assert (await circle.pipelines.get(PIPELINE)).vcs.commit.subject is None


@pytest.mark.parametrize("kind", ["unknown", "schedule_v9"])
async def test_trigger_types_beyond_the_document_are_kept(circle, answer, kind):
    answer(wire(trigger={"type": kind, "received_at": None, "actor": None}))
    assert (await circle.pipelines.get(PIPELINE)).trigger.type == kind


async def test_an_error_may_have_lines_and_a_new_type(circle, answer):
    problems = [{"type": "config-deprecated-syntax", "message": "a\nb"}, {"type": "novel", "message": ""}]
    answer(wire(errors=problems))
    assert (await circle.pipelines.get(PIPELINE)).errors == (
        PipelineError(type=PipelineErrorType.CONFIG_DEPRECATED_SYNTAX, message="a\nb"),
        PipelineError(type="novel", message=""),
    )


async def test_what_may_be_missing_is_missed_by_nobody(circle, answer):
    few = {"id": PIPELINE, "number": 1, "project_slug": WEB, "state": "new state", "created_at": "2026-11-20T10:00:00Z"}
    answer(few)
    pipeline = await circle.pipelines.get(PIPELINE)
    assert (pipeline.errors, pipeline.updated_at, pipeline.trigger) == ((), None, None)
    assert pipeline.state == "new state"


@pytest.mark.parametrize("last", [{}, {"next_page_token": None}, {"next_page_token": ""}])
async def test_the_last_page_may_lack_its_token(circle, answer, last):
    answer({"items": [wire()], **last})
    assert len(await circle.pipelines.list().collect()) == 1


# --- what is refused before sending -------------------------------------------------------------------------


@pytest.mark.parametrize("bad", ["", ".", "..", "a\nb", None])
async def test_an_id_that_cannot_stand_in_a_path_is_refused(circle, server, bad):
    for call in (circle.pipelines.get, circle.pipelines.get_config, circle.pipelines.get_values):
        with pytest.raises(errors.InvalidArgument):
            await call(bad)
    with pytest.raises(errors.InvalidArgument):
        circle.pipelines.list_workflows(bad)
    with pytest.raises(errors.InvalidArgument):
        await circle.pipelines.get_by_number(WEB, bad)
    assert server.requests == []


@pytest.mark.parametrize("bad", ["", "acme", "gh/acme", "gh/acme/..", "gh/./web", "gh/acme/a\nb", None])
async def test_a_bad_project_is_refused(circle, server, bad):
    for call in (circle.pipelines.run, circle.pipelines.trigger):
        with pytest.raises(errors.InvalidArgument):
            await call(bad)
    for listed in (circle.pipelines.list_for_project, circle.pipelines.list_mine):
        with pytest.raises(errors.InvalidArgument):
            listed(bad)
    assert server.requests == []


@pytest.mark.parametrize("bad", ["", "acme", "gh/..", "xx/acme", "gh/acme/web"])
async def test_a_bad_organization_is_refused(circle, server, bad):
    with pytest.raises(errors.InvalidArgument):
        circle.pipelines.list(org_slug=bad)
    assert server.requests == []


@pytest.mark.parametrize("bad", [float("nan"), b"bytes", object(), "\ud800"])
async def test_a_parameter_that_json_cannot_carry_is_refused(circle, server, bad):
    with pytest.raises(errors.InvalidArgument, match=r"parameters\.x"):
        await circle.pipelines.trigger(WEB, parameters={"x": bad})
    assert server.requests == []
