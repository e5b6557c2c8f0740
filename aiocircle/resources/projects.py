"""Projects: their settings, environment variables and checkout keys."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import aclosing
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import TypedDict

import attrs

from aiocircle._core.executor import Executor
from aiocircle._core.pager import Page
from aiocircle._core.together import together
from aiocircle.errors import NotFound
from aiocircle.resources.common import (
    KEBAB,
    READ_ONLY,
    Endpoint,
    Group,
    ListEndpoint,
    Org,
    Pager,
    Several,
    Timestamp,
    nested,
    sent,
)
from aiocircle.resources.common import Project as AnyProject
from aiocircle.slugs import OrgSlug, check_segment

__all__ = [
    "AdvancedSettings",
    "AdvancedSettingsChanges",
    "CheckoutKey",
    "CheckoutKeyType",
    "EnvVar",
    "Project",
    "ProjectProvider",
    "ProjectSettings",
    "ProjectVcs",
    "Projects",
]


class ProjectProvider(StrEnum):
    """The hosts of a project's code that are known today."""

    BITBUCKET = "Bitbucket"
    CIRCLECI = "CircleCI"
    GITHUB = "GitHub"


class CheckoutKeyType(StrEnum):
    """The types of a checkout key that are known today. A new one is asked for as "deploy-key" or "user-key"."""

    DEPLOY_KEY = "deploy-key"
    GITHUB_USER_KEY = "github-user-key"


@attrs.frozen(kw_only=True)
class ProjectVcs:
    """Where a project's code is. vcs_url has no scheme for a project that is on CircleCI itself."""

    vcs_url: str | None = None
    provider: str | None = None
    default_branch: str | None = None


@attrs.frozen(kw_only=True)
class Project:
    """A project."""

    id: str = ""
    slug: str = ""
    name: str
    organization_id: str = ""
    organization_name: str = ""
    organization_slug: str = ""
    vcs_info: ProjectVcs | None = None


@attrs.frozen(kw_only=True)
class AdvancedSettings:
    """A project's advanced settings; None where the API does not tell one.

    autocancel_builds: a new pipeline on a branch cancels the running ones, except on the default branch.
    build_fork_prs: pull requests from forks are built; forks_receive_secret_env_vars: with the project's
    variables. build_prs_only: only branches with an open pull request are built, and pr_only_branch_overrides.
    disable_ssh: no reruns with SSH. oss: free and open source, with builds that anybody may see.
    set_github_status: GitHub is told the status of every job. setup_workflows: dynamic configuration.
    write_settings_requires_admin: only administrators of the organization change these settings.
    """

    autocancel_builds: bool | None = None
    build_fork_prs: bool | None = None
    build_prs_only: bool | None = None
    disable_ssh: bool | None = None
    forks_receive_secret_env_vars: bool | None = None
    oss: bool | None = attrs.field(default=None, metadata=READ_ONLY)
    pr_only_branch_overrides: tuple[str, ...] = ()
    set_github_status: bool | None = None
    setup_workflows: bool | None = None
    write_settings_requires_admin: bool | None = None


class AdvancedSettingsChanges(TypedDict, total=False):
    """The advanced settings to change, as AdvancedSettings describes them."""

    autocancel_builds: bool
    build_fork_prs: bool
    build_prs_only: bool
    disable_ssh: bool
    forks_receive_secret_env_vars: bool
    oss: bool
    pr_only_branch_overrides: Several
    set_github_status: bool
    setup_workflows: bool
    write_settings_requires_admin: bool


@attrs.frozen(kw_only=True)
class ProjectSettings:
    """A project's settings."""

    advanced: AdvancedSettings = AdvancedSettings()


@attrs.frozen(kw_only=True)
class EnvVar:
    """An environment variable of a project.

    value is masked by the API: "xxxx" and the last four characters. created_at is None for old ones.
    """

    name: str
    value: str = attrs.field(default="", repr=False)
    created_at: Timestamp | None = attrs.field(default=None, metadata=KEBAB)


@attrs.frozen(kw_only=True)
class CheckoutKey:
    """An SSH key that a project's code is checked out with. preferred: the one that is used."""

    fingerprint: str
    type: str = ""
    public_key: str = attrs.field(default="", metadata=KEBAB)
    preferred: bool = False
    created_at: Timestamp | None = attrs.field(default=None, metadata=KEBAB)


@attrs.frozen(kw_only=True)
class _OrgNames:
    """Of an organization's insights: the names of its projects."""

    all_projects: tuple[str, ...] = ()


@attrs.frozen(kw_only=True)
class _Org:
    """Of an organization: its slug."""

    slug: str


@attrs.frozen(kw_only=True)
class _Built:
    """Of a pipeline: what it is of."""

    project_slug: str


_CREATE = Endpoint(
    "POST",
    "/organization/{org-slug-or-id}/project",
    Project,
    operation="projects.create",
    reference="createProject",
)
_CREATE_CHECKOUT_KEY = Endpoint(
    "POST",
    "/project/{project}/checkout-key",
    CheckoutKey,
    operation="projects.create_checkout_key",
    reference="createCheckoutKey",
)
_CREATE_ENV_VAR = Endpoint(
    "POST",
    "/project/{project}/envvar",
    EnvVar,
    operation="projects.create_env_var",
    reference="createEnvVar",
)
_CREATE_FROM_REPOSITORY = Endpoint(
    "POST",
    "/project/{provider/organization/project}",
    ProjectSettings,
    operation="projects.create_from_repository",
    reference="createProject1",
)
_DELETE: Endpoint[None] = Endpoint(
    "DELETE", "/project/{project}", None, operation="projects.delete", reference="deleteProjectBySlug"
)
_DELETE_CHECKOUT_KEY: Endpoint[None] = Endpoint(
    "DELETE",
    "/project/{project}/checkout-key/{fingerprint}",
    None,
    operation="projects.delete_checkout_key",
    reference="deleteCheckoutKey",
)
_DELETE_ENV_VAR: Endpoint[None] = Endpoint(
    "DELETE",
    "/project/{project}/envvar/{name}",
    None,
    operation="projects.delete_env_var",
    reference="deleteEnvVar",
)
_ORG = Endpoint(
    "GET", "/organization/{org-slug-or-id}", _Org, operation="projects.list_for_org", reference="getOrganization"
)
_ORG_NAMES = Endpoint(
    "GET", "/insights/{org}/summary", _OrgNames, operation="projects.list_for_org", reference="getOrgSummaryData"
)
_ORG_PIPELINES = ListEndpoint("GET", "/pipeline", _Built, operation="projects.list_for_org", reference="listPipelines")
_GET = Endpoint("GET", "/project/{project}", Project, operation="projects.get", reference="getProjectBySlug")
_GET_CHECKOUT_KEY = Endpoint(
    "GET",
    "/project/{project}/checkout-key/{fingerprint}",
    CheckoutKey,
    operation="projects.get_checkout_key",
    reference="getCheckoutKey",
)
_GET_ENV_VAR = Endpoint(
    "GET",
    "/project/{project}/envvar/{name}",
    EnvVar,
    operation="projects.get_env_var",
    reference="getEnvVar",
)
_GET_SETTINGS = Endpoint(
    "GET",
    "/project/{provider/organization/project}/settings",
    ProjectSettings,
    operation="projects.get_settings",
    reference="getProjectSettings",
)
_LIST_CHECKOUT_KEYS = ListEndpoint(
    "GET",
    "/project/{project}/checkout-key",
    CheckoutKey,
    operation="projects.list_checkout_keys",
    reference="listCheckoutKeys",
)
_LIST_ENV_VARS = ListEndpoint(
    "GET", "/project/{project}/envvar", EnvVar, operation="projects.list_env_vars", reference="listEnvVars"
)
_UPDATE_SETTINGS = Endpoint(
    "PATCH",
    "/project/{provider/organization/project}/settings",
    ProjectSettings,
    operation="projects.update_settings",
    reference="patchProjectSettings",
)


class _OrgListing:
    """An organization's projects, found anew by each iteration. A page's token is the slug that it begins with."""

    _SIZE = 20  # projects a page: each is a request

    def __init__(self, executor: Executor, org: Org) -> None:
        self._executor = executor
        self._org, self._pattern = _org_and_pattern(org)
        self._slugs: list[str] = []

    async def page(self, page_token: str | None) -> Page[Project]:
        if page_token is None or not self._slugs:
            self._slugs = sorted(await self._find())
        rest = [slug for slug in self._slugs if page_token is None or slug >= page_token]
        matching: list[Project] = []
        while rest and not matching:
            found = await self._read(rest[: self._SIZE])
            matching = [project for project in found if fnmatchcase(project.name, self._pattern)]
            rest = rest[self._SIZE :]
        return Page(tuple(matching), rest[0] if rest else None)

    async def _find(self) -> set[str]:
        if self._org.provider is None:
            self._org = OrgSlug.parse((await self._executor.call(_ORG, self._org)).slug)
        org = str(self._org)
        names = (await self._executor.call(_ORG_NAMES, self._org)).all_projects
        if self._org.provider in ("gh", "bb"):
            return {f"{org}/{name}" for name in names if fnmatchcase(name, self._pattern)}
        slugs: set[str] = set()
        async with aclosing(self._executor.pages(_ORG_PIPELINES, query={"org-slug": org}).pages()) as pages:
            async for page in pages:
                slugs.update(pipeline.project_slug for pipeline in page.items)
                if len(slugs) >= len(names):
                    break
        return slugs

    async def _read(self, slugs: Sequence[str]) -> list[Project]:
        async def read(slug: str) -> Project | None:
            try:
                return await self._executor.call(_GET, slug)
            except NotFound:
                return None

        found = await together(*[read(slug) for slug in slugs])
        return [project for project in found if project is not None]


def _org_and_pattern(org: Org) -> tuple[OrgSlug, str]:
    """The organization, and the pattern of names, of `gh/acme/web-*` or of `gh/acme` alone."""
    if isinstance(org, str) and "://" not in org and org.count("/") == 2:
        prefix, _, pattern = org.rpartition("/")
        return OrgSlug.parse(prefix), check_segment(pattern, "the pattern")
    return OrgSlug.parse(org), "*"


class Projects(Group):
    """Projects: `circle.projects`."""

    async def get(self, project: AnyProject) -> Project:
        """A project, by slug or UUID. NotFound also where the token has no access to it.

        https://circleci.com/docs/api/v2/#operation/getProjectBySlug
        """
        return await self._call(_GET, project)

    def list_for_org(self, org: Org, *, page_token: str | None = None) -> Pager[Project]:
        """An organization's projects, sorted by slug; those of a pattern such as `gh/acme/web-*`, where it is one.

        A pattern is matched against the project's name: `*` is anything, `?` one character, `[ab]` either of them.

        API v2 has no such list: this one is made of the organization's insights, which name the projects that ran
        lately, and, where projects are not known by their names (`circleci/…`), of its pipelines, as far back as it
        takes to find them. Each project is then read on its own: one request for each, and those that the token's
        user cannot see are left out.

        https://circleci.com/docs/api/v2/#operation/getOrgSummaryData
        """
        listing = _OrgListing(self._executor, org)
        return Pager(listing.page, page_token=page_token)

    async def create(self, org: Org, *, name: str) -> Project:
        """The new project of an organization.

        In a GitHub OAuth or Bitbucket organization, name is that of an existing repository, which becomes a
        project: NotFound where there is none. Elsewhere the project begins empty.

        https://circleci.com/docs/api/v2/#operation/createProject
        """
        return await self._call(_CREATE, org, body=sent(name=name))

    async def create_from_repository(self, project: AnyProject) -> ProjectSettings:
        """The default settings of the project that a repository has become: the older way, which `create` replaces.

        For GitHub OAuth projects only. CircleCI has withdrawn it from its reference.

        https://circleci.com/docs/api/v2/#operation/createProject1
        """
        return await self._call(_CREATE_FROM_REPOSITORY, project)

    async def delete(self, project: AnyProject) -> None:
        """Delete a project.

        https://circleci.com/docs/api/v2/#operation/deleteProjectBySlug
        """
        return await self._call(_DELETE, project)

    async def get_settings(self, project: AnyProject) -> ProjectSettings:
        """A project's settings. CircleCI calls this operation experimental.

        https://circleci.com/docs/api/v2/#operation/getProjectSettings
        """
        return await self._call(_GET_SETTINGS, project)

    async def update_settings(
        self, project: AnyProject, *, advanced: AdvancedSettingsChanges | AdvancedSettings | None = None
    ) -> ProjectSettings:
        """A project's settings, after those that are given were changed. CircleCI calls this operation experimental.

        advanced: a mapping of what to change, or settings that were read and changed with attrs.evolve, in which
        None means "leave it". An empty pr_only_branch_overrides changes nothing, by the API's own rule. It
        refuses `oss`, which is therefore not sent from settings that were read.

        https://circleci.com/docs/api/v2/#operation/patchProjectSettings
        """
        return await self._call(
            _UPDATE_SETTINGS,
            project,
            body=sent(advanced=nested(AdvancedSettingsChanges, advanced, "advanced")),
        )

    def list_env_vars(self, project: AnyProject, *, page_token: str | None = None) -> Pager[EnvVar]:
        """A project's environment variables, with masked values.

        https://circleci.com/docs/api/v2/#operation/listEnvVars
        """
        return self._list(_LIST_ENV_VARS, project, page_token=page_token)

    async def get_env_var(self, project: AnyProject, name: str) -> EnvVar:
        """An environment variable of a project, with its value masked.

        https://circleci.com/docs/api/v2/#operation/getEnvVar
        """
        return await self._call(_GET_ENV_VAR, project, name)

    async def create_env_var(self, project: AnyProject, *, name: str, value: str) -> EnvVar:
        """The new environment variable of a project, with its value masked. One of the same name is replaced.

        https://circleci.com/docs/api/v2/#operation/createEnvVar
        """
        return await self._call(_CREATE_ENV_VAR, project, body=sent(name=name, value=value))

    async def delete_env_var(self, project: AnyProject, name: str) -> None:
        """Delete an environment variable of a project.

        https://circleci.com/docs/api/v2/#operation/deleteEnvVar
        """
        return await self._call(_DELETE_ENV_VAR, project, name)

    def list_checkout_keys(
        self, project: AnyProject, *, digest: str | None = None, page_token: str | None = None
    ) -> Pager[CheckoutKey]:
        """A project's checkout keys. digest: what the fingerprints are, "md5" (the API's choice) or "sha256".

        https://circleci.com/docs/api/v2/#operation/listCheckoutKeys
        """
        return self._list(_LIST_CHECKOUT_KEYS, project, query={"digest": digest}, page_token=page_token)

    async def get_checkout_key(self, project: AnyProject, fingerprint: str) -> CheckoutKey:
        """A checkout key of a project, by its MD5 or SHA-256 fingerprint.

        https://circleci.com/docs/api/v2/#operation/getCheckoutKey
        """
        return await self._call(_GET_CHECKOUT_KEY, project, fingerprint)

    async def create_checkout_key(self, project: AnyProject, *, type: str) -> CheckoutKey:
        """The new checkout key of a project. type: "deploy-key" or "user-key".

        Not for GitHub App and GitLab projects. A user key needs a user who has authorized CircleCI with GitHub.

        https://circleci.com/docs/api/v2/#operation/createCheckoutKey
        """
        return await self._call(_CREATE_CHECKOUT_KEY, project, body=sent(type=type))

    async def delete_checkout_key(self, project: AnyProject, fingerprint: str) -> None:
        """Delete a checkout key of a project, by its MD5 or SHA-256 fingerprint.

        https://circleci.com/docs/api/v2/#operation/deleteCheckoutKey
        """
        return await self._call(_DELETE_CHECKOUT_KEY, project, fingerprint)
