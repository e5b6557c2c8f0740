"""Projects, their settings, variables and checkout keys, over real HTTP."""

from __future__ import annotations

from datetime import UTC, datetime

import attrs
import pytest

from aiocircle import OrgSlug, errors
from aiocircle.resources.projects import (
    AdvancedSettings,
    CheckoutKey,
    CheckoutKeyType,
    EnvVar,
    Project,
    ProjectProvider,
    ProjectSettings,
)

PROJECT = "3f9a0ad1-7b8e-4a55-9d0e-6f0a3b1c2d4e"
WEB = "gh/acme/web"


def wire(**changes):
    return {
        "slug": WEB,
        "name": "web",
        "id": PROJECT,
        "organization_name": "acme",
        "organization_slug": "gh/acme",
        "organization_id": PROJECT,
        "vcs_info": {"vcs_url": "https://github.com/acme/web", "provider": "GitHub", "default_branch": "main"},
    } | changes


async def test_project_by_slug_or_id(circle):
    """A project is found by its slug and by its id."""
    project = await circle.projects.get(WEB)
    assert isinstance(project, Project)
    assert (project.slug, project.name, project.organization_slug) == (WEB, "web", "gh/acme")
    assert project.vcs_info.provider == ProjectProvider.GITHUB
    assert await circle.projects.get(project.id) == project


async def test_project_is_created_by_org_slug(circle):
    """A project is created in an organization, whose slug is one path segment."""
    created = await circle.projects.create(OrgSlug("gh", "acme"), name="playground")
    assert created.slug == "gh/acme/playground"
    with pytest.raises(errors.NotFound, match="GitHub response"):
        await circle.projects.create("gh/acme", name="no-such-repository")


async def test_project_is_created_by_org_id(circle, arrived):
    """A project is created in an organization that is given by its id."""
    organization = (await circle.projects.get(WEB)).organization_id
    await circle.projects.create(organization, name="handbook")
    assert arrived().path == f"/organization/{organization}/project"


async def test_repository_becomes_a_project(circle):
    """A repository becomes a project by the older operation."""
    settings = await circle.projects.create_from_repository("gh/acme/website")
    assert isinstance(settings, ProjectSettings)
    assert settings.advanced.autocancel_builds is not None


async def test_project_is_deleted(circle):
    """A deleted project is not found."""
    assert await circle.projects.delete(WEB) is None
    with pytest.raises(errors.NotFound, match="Project not found"):
        await circle.projects.get(WEB)


async def test_settings_are_changed_by_name(circle):
    """Settings are read, and changed by name."""
    settings = await circle.projects.get_settings(WEB)
    changed = await circle.projects.update_settings(
        WEB, advanced={"disable_ssh": not settings.advanced.disable_ssh, "pr_only_branch_overrides": ["main", "next"]}
    )
    assert changed.advanced.disable_ssh is not settings.advanced.disable_ssh
    assert changed.advanced.pr_only_branch_overrides == ("main", "next")
    assert await circle.projects.get_settings(WEB) == changed


async def test_settings_can_be_written_back(circle, arrived):
    """Settings that were read can be changed and sent."""
    before = (await circle.projects.get_settings(WEB)).advanced
    assert before.oss is not None
    wanted = attrs.evolve(before, set_github_status=not before.set_github_status)
    after = await circle.projects.update_settings(WEB, advanced=wanted)
    # The API refuses fields that it returns itself here.
    assert "oss" not in arrived().json["advanced"]
    assert after.advanced == wanted


async def test_oss_is_refused_by_the_api(circle, arrived):
    """`oss` is sent if a mapping has it, and the API refuses it."""
    with pytest.raises(errors.BadRequest, match="oss"):
        await circle.projects.update_settings(WEB, advanced={"oss": True})
    assert arrived().json == {"advanced": {"oss": True}}


async def test_only_given_settings_are_sent(circle, answer, arrived):
    """Only given settings are sent."""
    answer({"advanced": {}})
    result = await circle.projects.update_settings(
        WEB, advanced=AdvancedSettings(build_prs_only=False, pr_only_branch_overrides=("main",))
    )
    assert arrived().json == {"advanced": {"build_prs_only": False, "pr_only_branch_overrides": ["main"]}}
    assert result.advanced == AdvancedSettings()
    answer({"advanced": {}})
    await circle.projects.update_settings(WEB)
    assert arrived().json == {}


async def test_single_branch_is_an_array(circle, answer, arrived):
    """A single branch is sent as an array of one."""
    answer({"advanced": {}})
    await circle.projects.update_settings(WEB, advanced={"pr_only_branch_overrides": "main"})
    assert arrived().json == {"advanced": {"pr_only_branch_overrides": ["main"]}}


async def test_unknown_setting_is_refused_unsent(circle, server):
    """An unknown setting raises InvalidArgument."""
    with pytest.raises(errors.InvalidArgument, match="advanced has no key 'disable_shh'"):
        await circle.projects.update_settings(WEB, advanced={"disable_shh": True})
    with pytest.raises(errors.InvalidArgument, match="advanced must be a mapping"):
        await circle.projects.update_settings(WEB, advanced=[("disable_ssh", True)])
    assert server.requests == []


@pytest.mark.parametrize("body", [{}, {"advanced": None}, {"advanced": {"new_setting": 1}}])
async def test_settings_may_be_empty(circle, answer, body):
    """Settings are read from an empty object."""
    answer(body)
    assert await circle.projects.get_settings(WEB) == ProjectSettings(advanced=AdvancedSettings())


async def test_settings_need_a_slug(circle, server):
    """Settings need a slug, not a project's id."""
    for call in (circle.projects.get_settings, circle.projects.update_settings, circle.projects.create_from_repository):
        with pytest.raises(errors.InvalidArgument, match="full slug"):
            await call(PROJECT)
    assert server.requests == []


async def test_variable_life_cycle(circle):
    """A variable is created, masked, listed, read and deleted."""
    made = await circle.projects.create_env_var(WEB, name="DEPLOY_KEY", value="hunter2hunter2")
    assert made.value == "xxxxter2"
    assert isinstance(made, EnvVar)
    assert made in await circle.projects.list_env_vars(WEB).collect()
    assert await circle.projects.get_env_var(WEB, "DEPLOY_KEY") == made
    assert await circle.projects.delete_env_var(WEB, "DEPLOY_KEY") is None
    with pytest.raises(errors.NotFound):
        await circle.projects.get_env_var(WEB, "DEPLOY_KEY")


async def test_repr_of_a_variable_has_no_value(circle):
    """The value of a variable is not in its repr."""
    made = await circle.projects.create_env_var(WEB, name="DEPLOY_KEY", value="hunter2hunter2")
    assert "ter2" not in repr(made)
    assert "DEPLOY_KEY" in repr(made)


async def test_variable_named_dot_dot_is_refused(circle, server):
    """A variable named `..` is refused: its path would delete the project."""
    for name in ("..", ".", "", "a\nb", None):
        with pytest.raises(errors.InvalidArgument):
            await circle.projects.delete_env_var(WEB, name)
        with pytest.raises(errors.InvalidArgument):
            await circle.projects.get_env_var(WEB, name)
    assert server.requests == []


@pytest.mark.parametrize("key", ["created_at", "created-at"])
async def test_variable_time_in_both_spellings(circle, answer, key):
    """The time of a variable is read in both spellings, and may be null."""
    answer({"items": [{"name": "A", "value": "xxxx1234", key: "2023-04-14T21:20:14Z"}], "next_page_token": None})
    [variable] = await circle.projects.list_env_vars(WEB).collect()
    assert variable.created_at == datetime(2023, 4, 14, 21, 20, 14, tzinfo=UTC)
    answer({"name": "A", "value": "xxxx1234", key: None})
    assert (await circle.projects.get_env_var(WEB, "A")).created_at is None
    answer({"name": "A", "value": "xxxx1234"})
    assert (await circle.projects.get_env_var(WEB, "A")).created_at is None


async def test_checkout_key_life_cycle(circle, arrived):
    """A checkout key is created, listed, read and deleted."""
    made = await circle.projects.create_checkout_key(WEB, type="user-key")
    assert isinstance(made, CheckoutKey)
    assert made.type == CheckoutKeyType.GITHUB_USER_KEY
    assert made.preferred
    assert made in await circle.projects.list_checkout_keys(WEB).collect()
    assert await circle.projects.get_checkout_key(WEB, made.fingerprint) == made
    assert await circle.projects.delete_checkout_key(WEB, made.fingerprint) is None
    assert arrived().method == "DELETE"
    with pytest.raises(errors.NotFound, match="checkout key not found"):
        await circle.projects.get_checkout_key(WEB, made.fingerprint)


async def test_fingerprint_is_one_segment(circle, answer, arrived):
    """A SHA-256 fingerprint with slashes is one path segment."""
    key = {"public_key": "ssh-rsa x", "type": "deploy-key", "fingerprint": "SHA256:a/b+c=", "preferred": True}
    answer(key | {"created_at": "2023-04-14T21:20:14Z"})
    await circle.projects.get_checkout_key(WEB, "SHA256:a/b+c=")
    assert arrived().path == "/project/gh/acme/web/checkout-key/SHA256%3Aa%2Fb%2Bc%3D"
    answer({"message": "ok"})
    await circle.projects.delete_checkout_key(WEB, "SHA256:a/b+c=")


async def test_fingerprints_in_a_digest(circle, arrived):
    """Fingerprints are listed in the requested digest."""
    await circle.projects.create_checkout_key(WEB, type="deploy-key")
    keys = await circle.projects.list_checkout_keys(WEB, digest="sha256").collect()
    assert arrived().query == [("digest", "sha256")]
    assert all(key.fingerprint.startswith("SHA256:") for key in keys)
    assert await circle.projects.get_checkout_key(WEB, keys[-1].fingerprint) == keys[-1]


@pytest.mark.parametrize("keys", [("public_key", "created_at"), ("public-key", "created-at")])
async def test_checkout_key_in_both_spellings(circle, answer, keys):
    """Keys are read with hyphens and with underscores."""
    wired = {keys[0]: "ssh-rsa x", "type": "deploy-key", "fingerprint": "aa:bb", "preferred": False}
    answer({"items": [wired | {keys[1]: "2023-04-14T21:20:14Z"}], "next_page_token": None})
    assert await circle.projects.list_checkout_keys(WEB).collect() == [
        CheckoutKey(
            public_key="ssh-rsa x",
            type="deploy-key",
            fingerprint="aa:bb",
            preferred=False,
            created_at=datetime(2023, 4, 14, 21, 20, 14, tzinfo=UTC),
        )
    ]


async def test_undocumented_page_tokens_are_sent(circle, answer, arrived):
    """Lists take a page token even if the document omits it."""
    for listed in (circle.projects.list_checkout_keys, circle.projects.list_env_vars):
        answer({"items": [], "next_page_token": None})
        assert await listed(WEB, page_token="kept").collect() == []
        assert arrived().query == [("page-token", "kept")]


async def test_vcs_url_of_a_standalone_project(circle, answer):
    """The vcs_url of a standalone project has no scheme."""
    info = {"vcs_url": f"//circleci.com/{PROJECT}/{PROJECT}", "provider": "CircleCI", "default_branch": None}
    answer(wire(slug="circleci/a/b", vcs_info=info))
    project = await circle.projects.get("circleci/a/b")
    assert project.vcs_info.vcs_url.startswith("//circleci.com/")
    assert project.vcs_info.default_branch is None
    answer(wire(vcs_info={"vcs_url": "x", "provider": "Forgejo", "default_branch": "main"}))
    assert (await circle.projects.get(WEB)).vcs_info.provider == "Forgejo"


@pytest.mark.parametrize("bad", ["", "acme", "gh/acme", "gh/acme/..", "gh/./web", "gh/acme/a\nb", None])
async def test_invalid_project_is_refused_unsent(circle, server, bad):
    """An invalid project raises InvalidArgument."""
    calls = [
        lambda: circle.projects.get(bad),
        lambda: circle.projects.delete(bad),
        lambda: circle.projects.get_settings(bad),
        lambda: circle.projects.update_settings(bad),
        lambda: circle.projects.create_from_repository(bad),
        lambda: circle.projects.create_env_var(bad, name="A", value="b"),
        lambda: circle.projects.get_env_var(bad, "A"),
        lambda: circle.projects.delete_env_var(bad, "A"),
        lambda: circle.projects.create_checkout_key(bad, type="deploy-key"),
        lambda: circle.projects.get_checkout_key(bad, "aa:bb"),
        lambda: circle.projects.delete_checkout_key(bad, "aa:bb"),
    ]
    for call in calls:
        with pytest.raises(errors.InvalidArgument):
            await call()
    for listed in (circle.projects.list_env_vars, circle.projects.list_checkout_keys):
        with pytest.raises(errors.InvalidArgument):
            listed(bad)
    assert server.requests == []


@pytest.mark.parametrize("bad", ["", "..", "gh/..", "acme", "gh/acme/web", None])
async def test_invalid_organization_is_refused_unsent(circle, server, bad):
    """An invalid organization raises InvalidArgument."""
    with pytest.raises(errors.InvalidArgument):
        await circle.projects.create(bad, name="x")
    assert server.requests == []
