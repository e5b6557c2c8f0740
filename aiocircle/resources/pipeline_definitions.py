"""Pipeline definitions: which configuration a project's pipelines run, and on which code."""

from __future__ import annotations

from enum import StrEnum
from typing import NotRequired, TypedDict

import attrs

from aiocircle._core.encode import encode_nested
from aiocircle._core.endpoint import Action, Endpoint, ListEndpoint, Table
from aiocircle._core.fields import READ_ONLY, Timestamp
from aiocircle._core.group import Group, Id, encode_optional, omit_none
from aiocircle._core.pager import Pager
from aiocircle._core.pagination import NONE

__all__ = [
    "CheckoutSource",
    "CheckoutSourceChanges",
    "CheckoutSourceFields",
    "ConfigSource",
    "ConfigSourceChanges",
    "ConfigSourceFields",
    "PipelineDefinition",
    "PipelineDefinitions",
    "Provider",
    "Repository",
    "RepositoryChanges",
    "RepositoryFields",
]


class Provider(StrEnum):
    """The integrations that code, configuration and events come from, as far as they are known today."""

    BITBUCKET_DC = "bitbucket_dc"
    CIRCLECI = "circleci"
    GITHUB_APP = "github_app"
    GITHUB_OAUTH = "github_oauth"
    GITHUB_SERVER = "github_server"
    ORIGIN = "origin"
    SCHEDULE = "schedule"
    WEBHOOK = "webhook"


@attrs.frozen(kw_only=True)
class Repository:
    """A repository. external_id is its id at the provider, a number as text at GitHub. full_name is never sent."""

    external_id: str | None = None
    full_name: str | None = attrs.field(default=None, metadata=READ_ONLY)

    @classmethod
    def from_text(cls, text: str) -> Repository:
        """Return the repository that older versions of the API write as a text: its full name, or its id."""
        return cls(full_name=text) if "/" in text else cls(external_id=text)


@attrs.frozen(kw_only=True)
class ConfigSource:
    """The place of a pipeline's configuration: file_path, in a repository or at CircleCI itself."""

    provider: str | None = None
    repo: Repository | None = None
    file_path: str | None = None


@attrs.frozen(kw_only=True)
class CheckoutSource:
    """The place of the code that a pipeline's `checkout` fetches."""

    provider: str | None = None
    repo: Repository | None = None


@attrs.frozen(kw_only=True)
class PipelineDefinition:
    """A pipeline definition of a project."""

    id: str = ""
    name: str = ""
    description: str | None = None
    created_at: Timestamp | None = None
    config_source: ConfigSource | None = None
    checkout_source: CheckoutSource | None = None


class RepositoryFields(TypedDict):
    """A repository, by its id at the provider."""

    external_id: str


class RepositoryChanges(TypedDict, total=False):
    """A repository, by its id at the provider."""

    external_id: str


class ConfigSourceFields(TypedDict):
    """The place of a new definition's configuration. "github_app" needs a repo, "circleci" takes none."""

    provider: str
    file_path: str
    repo: NotRequired[RepositoryFields | Repository]


class ConfigSourceChanges(TypedDict, total=False):
    """Changes to the place of the configuration."""

    file_path: str


class CheckoutSourceFields(TypedDict):
    """The place of a new definition's code. provider: "github_app"."""

    provider: str
    repo: RepositoryFields | Repository


class CheckoutSourceChanges(TypedDict, total=False):
    """Changes to the place of the code."""

    provider: str
    repo: RepositoryChanges | Repository


class _Endpoints(Table, group="pipeline_definitions"):
    create = Endpoint("POST", "/projects/{project_id:id}/pipeline-definitions", PipelineDefinition)
    delete = Action("DELETE", "/projects/{project_id:id}/pipeline-definitions/{pipeline_definition_id:id}")
    get = Endpoint(
        "GET", "/projects/{project_id:id}/pipeline-definitions/{pipeline_definition_id:id}", PipelineDefinition
    )
    list = ListEndpoint(
        "GET",
        "/projects/{project_id:id}/pipeline-definitions",
        PipelineDefinition,
        pagination=NONE,
        items_optional=True,
    )
    update = Endpoint(
        "PATCH", "/projects/{project_id:id}/pipeline-definitions/{pipeline_definition_id:id}", PipelineDefinition
    )


class PipelineDefinitions(Group):
    """Pipeline definitions: `circle.pipeline_definitions`. Projects are named by their ids here.

    The API changes definitions of GitHub App projects only. For other projects it only lists them.
    """

    async def get(self, project_id: Id, pipeline_definition_id: Id) -> PipelineDefinition:
        """Return a pipeline definition of a project, by id.

        https://circleci.com/docs/api/v2/#operation/getPipelineDefinition
        """
        return await self._call(_Endpoints.get, project_id, pipeline_definition_id)

    def list(self, project_id: Id, *, page_token: str | None = None) -> Pager[PipelineDefinition]:
        """List a project's pipeline definitions. The API returns them in one piece.

        https://circleci.com/docs/api/v2/#operation/listPipelineDefinitions
        """
        return self._list(_Endpoints.list, project_id, page_token=page_token)

    async def create(
        self,
        project_id: Id,
        *,
        name: str,
        config_source: ConfigSourceFields | ConfigSource,
        checkout_source: CheckoutSourceFields | CheckoutSource,
        description: str | None = None,
    ) -> PipelineDefinition:
        """Create a pipeline definition of a project.

        config_source: such as `{"provider": "github_app", "repo": {"external_id": "…"}, "file_path": "…"}`.
        checkout_source: the same without a file_path.

        https://circleci.com/docs/api/v2/#operation/createPipelineDefinition
        """
        return await self._call(
            _Endpoints.create,
            project_id,
            body=omit_none(
                name=name,
                config_source=encode_nested(ConfigSourceFields, config_source, "config_source"),
                checkout_source=encode_nested(CheckoutSourceFields, checkout_source, "checkout_source"),
                description=description,
            ),
        )

    async def update(
        self,
        project_id: Id,
        pipeline_definition_id: Id,
        *,
        name: str | None = None,
        description: str | None = None,
        config_source: ConfigSourceChanges | ConfigSource | None = None,
        checkout_source: CheckoutSourceChanges | CheckoutSource | None = None,
    ) -> PipelineDefinition:
        """Change a pipeline definition. Parameters that are omitted stay.

        Of a config_source, only the file_path can change.

        https://circleci.com/docs/api/v2/#operation/updatePipelineDefinition
        """
        return await self._call(
            _Endpoints.update,
            project_id,
            pipeline_definition_id,
            body=omit_none(
                name=name,
                description=description,
                config_source=encode_optional(
                    ConfigSourceChanges, config_source, "config_source", fixed=("provider", "repo")
                ),
                checkout_source=encode_optional(CheckoutSourceChanges, checkout_source, "checkout_source"),
            ),
        )

    async def delete(self, project_id: Id, pipeline_definition_id: Id) -> None:
        """Delete a pipeline definition of a project. One that is gone already is confirmed again.

        https://circleci.com/docs/api/v2/#operation/deletePipelineDefinition
        """
        return await self._call(_Endpoints.delete, project_id, pipeline_definition_id)
