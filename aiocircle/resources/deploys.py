"""Deploys: environments, the components that are deployed to them, their versions, and rollbacks.

CircleCI guarantees none of these models' fields: a missing id or name is empty, any other missing field is None.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from aiocircle._core.endpoint import Endpoint, ListEndpoint, Table
from aiocircle._core.fields import Timestamp, WholeNumber
from aiocircle._core.group import Group, Id, omit_none
from aiocircle._core.pager import Pager

__all__ = ["Component", "ComponentVersion", "Deploys", "Environment", "Label", "Rollback"]


@attrs.frozen(kw_only=True)
class Label:
    """A label of an environment or a component."""

    key: str = ""
    value: str = ""


@attrs.frozen(kw_only=True)
class Environment:
    """A place that components are deployed to."""

    id: str = ""
    name: str = ""
    description: str | None = None
    labels: tuple[Label, ...] = ()
    created_at: Timestamp | None = None
    updated_at: Timestamp | None = None


@attrs.frozen(kw_only=True)
class Component:
    """Something that is deployed. release_count is the number of its releases."""

    id: str = ""
    name: str = ""
    project_id: str | None = None
    labels: tuple[Label, ...] = ()
    release_count: WholeNumber | None = None
    created_at: Timestamp | None = None
    updated_at: Timestamp | None = None


@attrs.frozen(kw_only=True)
class ComponentVersion:
    """A version of a component in one environment, with the job that deployed it last."""

    name: str = ""
    environment_id: str | None = None
    namespace: str | None = None
    is_live: bool | None = None
    pipeline_id: str | None = None
    workflow_id: str | None = None
    job_id: str | None = None
    job_number: WholeNumber | None = None
    last_deployed_at: Timestamp | None = None


@attrs.frozen(kw_only=True)
class Rollback:
    """A rollback that was started. id is that of its pipeline, or of the command that carries it out."""

    id: str = ""
    rollback_type: str | None = None


class _Endpoints(Table, group="deploys"):
    list_environments = ListEndpoint("GET", "/deploy/environments", Environment, items_optional=True)
    get_environment = Endpoint("GET", "/deploy/environments/{environment_id:id}", Environment)
    list_components = ListEndpoint("GET", "/deploy/components", Component, items_optional=True)
    get_component = Endpoint("GET", "/deploy/components/{component_id:id}", Component)
    list_component_versions = ListEndpoint(
        "GET", "/deploy/components/{component_id:id}/versions", ComponentVersion, items_optional=True
    )
    rollback = Endpoint("POST", "/projects/{project_id:id}/rollback", Rollback)


class Deploys(Group):
    """Deploys: `circle.deploys`."""

    def list_environments(
        self, *, org_id: Id, page_size: int = 20, page_token: str | None = None
    ) -> Pager[Environment]:
        """List an organization's environments. page_size: the number that one request fetches.

        https://circleci.com/docs/api/v2/#operation/listEnvironments
        """
        return self._list(
            _Endpoints.list_environments,
            query={"org_id": org_id, "page_size": page_size},
            page_token=page_token,
        )

    async def get_environment(self, environment_id: Id) -> Environment:
        """Return an environment, by id.

        https://circleci.com/docs/api/v2/#operation/getEnvironment
        """
        return await self._call(_Endpoints.get_environment, environment_id)

    def list_components(
        self,
        *,
        org_id: Id,
        project_id: Id | None = None,
        page_size: int = 20,
        page_token: str | None = None,
    ) -> Pager[Component]:
        """List an organization's components, or one project's. page_size: the number that one request fetches.

        https://circleci.com/docs/api/v2/#operation/listComponents
        """
        return self._list(
            _Endpoints.list_components,
            query={"org_id": org_id, "project_id": project_id, "page_size": page_size},
            page_token=page_token,
        )

    async def get_component(self, component_id: Id) -> Component:
        """Return a component, by id.

        https://circleci.com/docs/api/v2/#operation/getComponent
        """
        return await self._call(_Endpoints.get_component, component_id)

    def list_component_versions(
        self, component_id: Id, *, environment_id: Id | None = None, page_token: str | None = None
    ) -> Pager[ComponentVersion]:
        """List a component's versions, in all environments or in one.

        https://circleci.com/docs/api/v2/#operation/listComponentVersions
        """
        return self._list(
            _Endpoints.list_component_versions,
            component_id,
            query={"environment_id": environment_id},
            page_token=page_token,
        )

    async def rollback(
        self,
        project_id: Id,
        *,
        component_name: str,
        environment_name: str,
        current_version: str,
        target_version: str,
        namespace: str | None = None,
        parameters: Mapping[str, Any] | None = None,
        reason: str | None = None,
    ) -> Rollback:
        """Start a rollback of a component in an environment, from one version to another.

        parameters: further parameters of the rollback's pipeline. The call returns when the rollback has been accepted,
        not when it is done.

        https://circleci.com/docs/api/v2/#operation/rollbackProject
        """
        return await self._call(
            _Endpoints.rollback,
            project_id,
            body=omit_none(
                component_name=component_name,
                environment_name=environment_name,
                current_version=current_version,
                target_version=target_version,
                namespace=namespace,
                parameters=parameters,
                reason=reason,
            ),
        )
