"""Projects: their settings, environment variables and checkout keys."""

from __future__ import annotations

from enum import StrEnum
from typing import TypedDict

import attrs

from aiocircle._core.endpoint import Action, Endpoint, ListEndpoint, Table
from aiocircle._core.fields import KEBAB, READ_ONLY, Timestamp
from aiocircle._core.group import Group, OneOrMany, Org, encode_optional, omit_none
from aiocircle._core.group import Project as AnyProject
from aiocircle._core.pager import Pager

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
    """The types of a checkout key that are known today. A new one is requested as "deploy-key" or "user-key"."""

    DEPLOY_KEY = "deploy-key"
    GITHUB_USER_KEY = "github-user-key"


@attrs.frozen(kw_only=True)
class ProjectVcs:
    """The place of a project's code. vcs_url has no scheme for a project that is on CircleCI itself."""

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
    """A project's advanced settings. A setting that the API does not return is None.

    autocancel_builds: a new pipeline on a branch cancels the running ones, except on the default branch.
    build_fork_prs: pull requests from forks are built; forks_receive_secret_env_vars: with the project's
    variables. build_prs_only: only branches with an open pull request are built, and pr_only_branch_overrides.
    disable_ssh: no reruns with SSH. oss: free and open source, with public builds.
    set_github_status: CircleCI sends the status of every job to GitHub. setup_workflows: dynamic configuration.
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
    pr_only_branch_overrides: OneOrMany
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

    value is masked by the API: "xxxx" and the last four characters. Old ones have no created_at.
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


class _Endpoints(Table, group="projects"):
    create = Endpoint("POST", "/organization/{org:slug_or_id}/project", Project)
    create_checkout_key = Endpoint("POST", "/project/{project:slug}/checkout-key", CheckoutKey)
    create_env_var = Endpoint("POST", "/project/{project:slug}/envvar", EnvVar)
    create_from_repository = Endpoint("POST", "/project/{project:full_slug}", ProjectSettings)
    delete = Action("DELETE", "/project/{project:slug}")
    delete_checkout_key = Action("DELETE", "/project/{project:slug}/checkout-key/{fingerprint}")
    delete_env_var = Action("DELETE", "/project/{project:slug}/envvar/{name}")
    get = Endpoint("GET", "/project/{project:slug}", Project)
    get_checkout_key = Endpoint("GET", "/project/{project:slug}/checkout-key/{fingerprint}", CheckoutKey)
    get_env_var = Endpoint("GET", "/project/{project:slug}/envvar/{name}", EnvVar)
    get_settings = Endpoint("GET", "/project/{project:full_slug}/settings", ProjectSettings)
    list_checkout_keys = ListEndpoint("GET", "/project/{project:slug}/checkout-key", CheckoutKey)
    list_env_vars = ListEndpoint("GET", "/project/{project:slug}/envvar", EnvVar)
    update_settings = Endpoint("PATCH", "/project/{project:full_slug}/settings", ProjectSettings)


class Projects(Group):
    """Projects: `circle.projects`."""

    async def get(self, project: AnyProject) -> Project:
        """Return a project, by slug or UUID. Raise NotFound also if the token has no access to it.

        https://circleci.com/docs/api/v2/#operation/getProjectBySlug
        """
        return await self._call(_Endpoints.get, project)

    async def create(self, org: Org, *, name: str) -> Project:
        """Create a project of an organization.

        In a GitHub OAuth or Bitbucket organization, name is that of an existing repository, which becomes a project.
        Raise NotFound if it does not exist. In other organizations the project begins empty.

        https://circleci.com/docs/api/v2/#operation/createProject
        """
        return await self._call(_Endpoints.create, org, body=omit_none(name=name))

    async def create_from_repository(self, project: AnyProject) -> ProjectSettings:
        """Create a project from a repository, and return its settings. `create` is newer.

        For GitHub OAuth projects only. CircleCI has removed it from its reference.

        https://circleci.com/docs/api/v2/#operation/createProject1
        """
        return await self._call(_Endpoints.create_from_repository, project)

    async def delete(self, project: AnyProject) -> None:
        """Delete a project.

        https://circleci.com/docs/api/v2/#operation/deleteProjectBySlug
        """
        return await self._call(_Endpoints.delete, project)

    async def get_settings(self, project: AnyProject) -> ProjectSettings:
        """Return a project's settings. CircleCI calls this operation experimental.

        https://circleci.com/docs/api/v2/#operation/getProjectSettings
        """
        return await self._call(_Endpoints.get_settings, project)

    async def update_settings(
        self, project: AnyProject, *, advanced: AdvancedSettingsChanges | AdvancedSettings | None = None
    ) -> ProjectSettings:
        """Change a project's settings, and return them. CircleCI calls this operation experimental.

        advanced: a mapping of the settings to change, or settings that were read and changed with attrs.evolve, in
        which None means "leave it". An empty pr_only_branch_overrides changes nothing, by the API's own rule. It
        refuses `oss`, which is therefore not sent from settings that were read.

        https://circleci.com/docs/api/v2/#operation/patchProjectSettings
        """
        return await self._call(
            _Endpoints.update_settings,
            project,
            body=omit_none(advanced=encode_optional(AdvancedSettingsChanges, advanced, "advanced")),
        )

    def list_env_vars(self, project: AnyProject, *, page_token: str | None = None) -> Pager[EnvVar]:
        """List a project's environment variables, with masked values.

        https://circleci.com/docs/api/v2/#operation/listEnvVars
        """
        return self._list(_Endpoints.list_env_vars, project, page_token=page_token)

    async def get_env_var(self, project: AnyProject, name: str) -> EnvVar:
        """Return an environment variable of a project, with its value masked.

        https://circleci.com/docs/api/v2/#operation/getEnvVar
        """
        return await self._call(_Endpoints.get_env_var, project, name)

    async def create_env_var(self, project: AnyProject, *, name: str, value: str) -> EnvVar:
        """Create an environment variable of a project, or replace it. The result has a masked value.

        https://circleci.com/docs/api/v2/#operation/createEnvVar
        """
        return await self._call(_Endpoints.create_env_var, project, body=omit_none(name=name, value=value))

    async def delete_env_var(self, project: AnyProject, name: str) -> None:
        """Delete an environment variable of a project.

        https://circleci.com/docs/api/v2/#operation/deleteEnvVar
        """
        return await self._call(_Endpoints.delete_env_var, project, name)

    def list_checkout_keys(
        self, project: AnyProject, *, digest: str | None = None, page_token: str | None = None
    ) -> Pager[CheckoutKey]:
        """List a project's checkout keys. digest: of their fingerprints, "md5" (the API's default) or "sha256".

        https://circleci.com/docs/api/v2/#operation/listCheckoutKeys
        """
        return self._list(_Endpoints.list_checkout_keys, project, query={"digest": digest}, page_token=page_token)

    async def get_checkout_key(self, project: AnyProject, fingerprint: str) -> CheckoutKey:
        """Return a checkout key of a project, by its MD5 or SHA-256 fingerprint.

        https://circleci.com/docs/api/v2/#operation/getCheckoutKey
        """
        return await self._call(_Endpoints.get_checkout_key, project, fingerprint)

    async def create_checkout_key(self, project: AnyProject, *, type: str) -> CheckoutKey:
        """Create a checkout key of a project. type: "deploy-key" or "user-key".

        Not for GitHub App and GitLab projects. A user key needs a user who has authorized CircleCI with GitHub.

        https://circleci.com/docs/api/v2/#operation/createCheckoutKey
        """
        return await self._call(_Endpoints.create_checkout_key, project, body=omit_none(type=type))

    async def delete_checkout_key(self, project: AnyProject, fingerprint: str) -> None:
        """Delete a checkout key of a project, by its MD5 or SHA-256 fingerprint.

        https://circleci.com/docs/api/v2/#operation/deleteCheckoutKey
        """
        return await self._call(_Endpoints.delete_checkout_key, project, fingerprint)
