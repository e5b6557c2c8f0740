"""Starting pipelines on all kinds of projects."""

from __future__ import annotations

from typing import Any

import pytest

from aiocircle import BadRequest, CircleCI, ConfigurationError, Forbidden, NotFound, RetryPolicy, ServerError
from aiocircle.errors import CircleCIError, DecodeError, InvalidArgument, NotReady, RequestError
from aiocircle.testing import LocalCircleCI, Story

ORG, APP = "3ff2f6ff-a4e5-4d5c-8dd4-7a0a5b0ea28a", "8b3a9c9e-53f2-4c43-9c0e-6a0f0f5ad8a1"
OLDER = {"gh": "gh/acme/web", "bb": "bb/acme/web"}
APP_SLUG = "circleci/0D5hy18b2M3EeJb0y85zbw/4a6iWwjElpIdJfUx7N6c0J"


@pytest.fixture
async def server() -> Any:
    """Projects of GitHub OAuth, Bitbucket and the GitHub App."""
    async with LocalCircleCI([*OLDER.values(), APP_SLUG]) as server:
        yield server


def posts(server: LocalCircleCI) -> list[tuple[str, Any]]:
    requests = [request for request in server.requests if request.method == "POST"]
    return [(request.path.removeprefix("/api/v2/project/"), request.json) for request in requests]


async def app_project(circle: CircleCI, server: LocalCircleCI) -> Any:
    return await circle.projects.get(APP_SLUG)


def listed(server: LocalCircleCI, *definitions: dict[str, Any]) -> None:
    server.inject("answer", status=200, body={"items": [*definitions]}, path="/projects/", method="GET")


def definition(number: int, config: Any = ..., checkout: Any = ...) -> dict[str, Any]:
    source = {"provider": "github_app", "repo": {"external_id": "7", "full_name": "acme/web"}}
    return {
        "id": f"7a3d2c52-1e39-4f4c-9b8e-00000000000{number}",
        "name": f"build {number}",
        "config_source": {**source, "file_path": "c.yml"} if config is ... else config,
        "checkout_source": source if checkout is ... else checkout,
    }


# --- routes -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("slug", OLDER.values())
async def test_start_uses_the_older_route(server: LocalCircleCI, circle: CircleCI, slug: str) -> None:
    """Projects of GitHub OAuth and Bitbucket, by one request."""
    run = await circle.pipelines.start(slug, branch="dev", parameters={"deploy": True, "count": 2})
    assert posts(server) == [(f"{slug}/pipeline", {"branch": "dev", "parameters": {"deploy": True, "count": 2}})]
    assert len(server.requests) == 1
    assert (await circle.pipelines.get(run.id)).branch == "dev"
    await circle.pipelines.start(slug, tag="v1")
    await circle.pipelines.start(slug)
    assert [body for _, body in posts(server)[1:]] == [{"tag": "v1"}, {}]


@pytest.mark.parametrize("text", ["https://github.com/acme/web.git", "github/acme/web", "gh%2Facme%2Fweb"])
async def test_start_takes_each_form_of_a_project(server: LocalCircleCI, circle: CircleCI, text: str) -> None:
    """A remote and the long form of the provider are of GitHub OAuth also."""
    await circle.pipelines.start(text)
    assert [path for path, _ in posts(server)] == ["gh/acme/web/pipeline"]


async def test_start_uses_the_only_definition(server: LocalCircleCI, circle: CircleCI) -> None:
    """A project of the GitHub App: the ref is that of the code, and of the configuration in the same repository."""
    run = await circle.pipelines.start(APP_SLUG, branch="dev", parameters={"a": "b"})
    ((path, body),) = posts(server)
    project = await app_project(circle, server)
    (only,) = await circle.pipeline_definitions.list(project.id).collect()
    assert path == f"{APP_SLUG}/pipeline/run"
    ref = {"branch": "dev"}
    assert body == {"definition_id": only.id, "config": ref, "checkout": ref, "parameters": {"a": "b"}}
    assert (await circle.pipelines.get(run.id)).number == run.number


async def test_start_without_a_ref_sends_none(server: LocalCircleCI, circle: CircleCI) -> None:
    """The API takes the default branch."""
    await circle.pipelines.start(APP_SLUG)
    ((_, body),) = posts(server)
    assert {*body} == {"definition_id"}


@pytest.mark.parametrize(
    ("config", "checkout", "is_one"),
    [
        (..., ..., True),
        ({"provider": "github_oauth", "repo": {"external_id": "7"}}, ..., True),
        ({"provider": "github_app", "repo": {"external_id": "8"}}, ..., False),
        ({"provider": "bitbucket_dc", "repo": {"external_id": "7"}}, ..., False),
        ({"provider": "circleci", "file_path": "c.yml"}, ..., False),
        (..., {"provider": "github_app"}, False),
        (None, None, False),
        ({"provider": "github_app", "repo": {"full_name": "acme/web"}}, ..., True),
        ({"provider": "github_app", "repo": {"full_name": "acme/api"}}, ..., False),
    ],
)
async def test_ref_of_another_repository_is_not_sent(
    server: LocalCircleCI, circle: CircleCI, config: Any, checkout: Any, is_one: bool
) -> None:
    """A branch of the code does not exist in the repository of the configuration."""
    listed(server, definition(1, config, checkout))
    server.inject("answer", status=201, body={"id": APP, "number": 7, "state": "pending"}, method="POST")
    run = await circle.pipelines.start(f"circleci/{ORG}/{APP}", tag="v2")
    ((_, body),) = posts(server)
    assert body["checkout"] == {"tag": "v2"}
    assert ("config" in body) == is_one
    assert (run.id, run.number, run.state) == (APP, 7, "pending")


async def test_slug_with_the_project_id_costs_no_request(server: LocalCircleCI, circle: CircleCI) -> None:
    """The list of definitions takes the id."""
    listed(server, definition(1))
    server.inject("answer", status=201, body={"id": APP, "number": 7}, method="POST")
    await circle.pipelines.start(f"circleci/{ORG}/{APP}")
    paths = [request.path for request in server.requests]
    assert paths[0] == f"/api/v2/projects/{APP}/pipeline-definitions"
    assert len(paths) == 2


@pytest.mark.parametrize("slug", ["gh/acme/web", APP_SLUG])
async def test_bare_id_costs_one_request_more(server: LocalCircleCI, circle: CircleCI, slug: str) -> None:
    """It does not show the kind of the project."""
    project = await circle.projects.get(slug)
    await circle.pipelines.start(project.id)
    request = server.requests[1]
    assert (request.method, request.path) == ("GET", f"/api/v2/project/{project.id}")
    assert posts(server)[0][0].startswith(f"{slug}/pipeline")
    assert len(server.requests) == 1 + (2 if slug == "gh/acme/web" else 4)


@pytest.mark.parametrize("slug", ["gh/acme/web", APP_SLUG])
async def test_definition_that_is_named_is_run(server: LocalCircleCI, circle: CircleCI, slug: str) -> None:
    """On each kind of project, and by one request if no ref needs the sources."""
    project = await circle.projects.get(slug)
    (only,) = await circle.pipeline_definitions.list(project.id).collect()
    before = len(server.requests)
    await circle.pipelines.start(slug, definition_id=only.id)
    assert len(server.requests) - before == 1
    await circle.pipelines.start(slug, definition_id=only.id.upper(), branch="dev")
    ref = {"branch": "dev"}
    assert posts(server) == [
        (f"{slug}/pipeline/run", {"definition_id": only.id}),
        (f"{slug}/pipeline/run", {"definition_id": only.id, "config": ref, "checkout": ref}),
    ]


# --- refusals ---------------------------------------------------------------------------------------------------


async def test_skipped_pipeline_is_not_ready(server: LocalCircleCI, circle: CircleCI) -> None:
    """CircleCI returns a message with a 200."""
    with pytest.raises(NotReady, match="skip") as caught:
        await circle.pipelines.start(APP_SLUG, branch="[skip ci] dev")
    assert (caught.value.state, server.changes) == ("skipped", [])


async def test_several_definitions_are_listed(server: LocalCircleCI, circle: CircleCI) -> None:
    """With their ids and names. Nothing is sent."""
    listed(server, definition(1), definition(2))
    with pytest.raises(ConfigurationError) as caught:
        await circle.pipelines.start(APP_SLUG, branch="main")
    for number in (1, 2):
        assert f"{definition(number)['id']} ('build {number}')" in str(caught.value)
    assert posts(server) == []


async def test_project_without_a_definition_is_refused(server: LocalCircleCI, circle: CircleCI) -> None:
    """Such as one of GitLab."""
    listed(server)
    with pytest.raises(ConfigurationError, match="GitLab"):
        await circle.pipelines.start(APP_SLUG)
    assert posts(server) == []


async def test_branch_and_tag_together_are_refused(server: LocalCircleCI, circle: CircleCI) -> None:
    """Before anything is sent."""
    with pytest.raises(InvalidArgument, match="branch"):
        await circle.pipelines.start("gh/acme/web", branch="main", tag="v1")
    assert server.requests == []


async def test_unknown_definition_is_refused_by_the_api(server: LocalCircleCI, circle: CircleCI) -> None:
    """Its error is raised, and no other route is tried."""
    with pytest.raises(NotFound):
        await circle.pipelines.start("gh/acme/web", definition_id=APP, branch="main")
    assert len(posts(server)) == 1
    assert server.changes == []


@pytest.mark.parametrize(
    ("slug", "arguments", "error"),
    [
        ("gh/acme/web", {"parameters": {str(number): 1 for number in range(101)}}, BadRequest),
        ("gh/acme/web", {"parameters": {"k" * 129: 1}}, BadRequest),
        (APP_SLUG, {"parameters": {"k": "v" * 513}}, BadRequest),
        (APP_SLUG, {"branch": ""}, BadRequest),
        ("gh/acme/web", {"branch": ""}, BadRequest),
        ("gh/acme/none", {}, NotFound),
        ("circleci/0D5hy18b2M3EeJb0y85zbw/4a6iWwjElpIdJfUx7N6c0K", {}, NotFound),
        (APP, {}, NotFound),
    ],
)
async def test_refusal_of_the_api_is_raised(
    server: LocalCircleCI, circle: CircleCI, slug: str, arguments: dict[str, Any], error: type[CircleCIError]
) -> None:
    """As it is. Nothing was started, and no other route is tried."""
    with pytest.raises(error) as caught:
        await circle.pipelines.start(slug, **arguments)
    assert caught.value.outcome == "not_done"
    assert len(posts(server)) <= 1
    assert server.changes == []


@pytest.mark.parametrize(
    ("status", "message", "error"),
    [
        (400, "Triggering pipelines of this project is not supported by this endpoint.", BadRequest),  # GitLab
        (403, "Permission denied", Forbidden),
        (404, "Project not found", NotFound),
    ],
)
@pytest.mark.parametrize("slug", ["gh/acme/web", "bb/acme/web", APP_SLUG])
async def test_refused_post_is_sent_once(
    server: LocalCircleCI, circle: CircleCI, slug: str, status: int, message: str, error: type[CircleCIError]
) -> None:
    """On all kinds of projects."""
    server.inject("answer", status=status, body={"message": message}, method="POST")
    with pytest.raises(error, match=message):
        await circle.pipelines.start(slug, branch="main")
    assert len(posts(server)) == 1
    assert server.changes == []


@pytest.mark.parametrize("stage", ["before", "after"])
@pytest.mark.parametrize("kind", ["500", "503", "drop", "truncate"])
@pytest.mark.parametrize("slug", ["gh/acme/web", APP_SLUG])
async def test_post_is_never_sent_twice_on_doubt(server: LocalCircleCI, slug: str, kind: str, stage: Any) -> None:
    """Its outcome is unknown then."""
    server.inject(kind, method="POST", stage="after" if kind == "truncate" else stage)
    async with CircleCI(server.token, base_url=server.url, retry=RetryPolicy(attempts=5, base=0.01)) as circle:
        with pytest.raises((ServerError, RequestError, DecodeError)) as caught:
            await circle.pipelines.start(slug, branch="main")
    assert caught.value.outcome in ("unknown", "done")
    assert len(posts(server)) == 1
    assert len(server.changes) == (stage == "after" or kind == "truncate")


async def test_post_is_repeated_after_a_429(server: LocalCircleCI, circle: CircleCI) -> None:
    """Nothing was started by the first."""
    server.inject("429", method="POST")
    await circle.pipelines.start(APP_SLUG, branch="main")
    assert len(posts(server)) == 2
    assert len(server.changes) == 1


async def test_list_of_definitions_is_repeated(server: LocalCircleCI, circle: CircleCI) -> None:
    """A read can be."""
    server.inject("503", method="GET", path="/projects/", times=2)
    await circle.pipelines.start(APP_SLUG, branch="main")
    assert len(server.changes) == 1


async def test_started_pipeline_without_a_number_is_done(server: LocalCircleCI, circle: CircleCI) -> None:
    """The error names the pipeline."""
    server.inject("answer", status=201, body={"id": APP}, method="POST")
    with pytest.raises(DecodeError, match=APP) as caught:
        await circle.pipelines.start(APP_SLUG)
    assert caught.value.outcome == "done"


@pytest.mark.parametrize("slug", ["gh/acme/web", APP_SLUG])
async def test_wait_takes_what_start_returns(server: LocalCircleCI, circle: CircleCI, slug: str) -> None:
    """It reports a pipeline without workflows."""
    server.script(slug, Story([]))
    result = await circle.pipelines.wait(await circle.pipelines.start(slug, branch="dev"))
    assert (result.outcome, result.succeeded) == ("no_workflows", False)
    result = await circle.pipelines.wait(await circle.pipelines.start(slug, branch="dev"))
    assert result.succeeded
