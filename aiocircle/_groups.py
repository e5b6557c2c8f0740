"""The groups of operations on a client, each imported when it is first used."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar, cast, overload

from aiocircle._core.executor import Executor

if TYPE_CHECKING:
    from aiocircle.composites.jobs import Jobs
    from aiocircle.composites.pipelines import Pipelines
    from aiocircle.composites.projects import Projects
    from aiocircle.composites.usage import Usage
    from aiocircle.composites.webhooks import Webhooks
    from aiocircle.composites.workflows import Workflows
    from aiocircle.resources.contexts import Contexts
    from aiocircle.resources.deploys import Deploys
    from aiocircle.resources.groups import Groups
    from aiocircle.resources.insights import Insights
    from aiocircle.resources.oidc import Oidc
    from aiocircle.resources.organizations import Organizations
    from aiocircle.resources.otel import Otel
    from aiocircle.resources.pipeline_definitions import PipelineDefinitions
    from aiocircle.resources.policies import Policies
    from aiocircle.resources.schedules import Schedules
    from aiocircle.resources.triggers import Triggers
    from aiocircle.resources.users import Users
    from aiocircle.v1 import builds as v1_builds
    from aiocircle.v1 import projects as v1_projects
    from aiocircle.v1 import users as v1_users

__all__ = ["ClientGroups", "LazyGroup", "V1Groups", "V2Groups"]

T = TypeVar("T")


class LazyGroup(Generic[T]):
    """An attribute that holds a group. Its module is imported, and the group created, by the first access.

    It works on every class that has an executor: a client, and a namespace of another API's groups.
    """

    def __init__(self, path: str) -> None:
        """Take the module and the class, as `package.module:Class`."""
        self._module, _, self._class_name = path.partition(":")

    def __set_name__(self, _: type, name: str) -> None:
        self._name = name

    @overload
    def __get__(self, instance: None, owner: type) -> Self: ...
    @overload
    def __get__(self, instance: Any, owner: type) -> T: ...
    def __get__(self, instance: Any, owner: type) -> Self | T:
        if instance is None:
            return self
        group = cast("T", getattr(import_module(self._module), self._class_name)(instance._executor))
        # An entry in the instance takes precedence over this descriptor: it is called once.
        instance.__dict__[self._name] = group
        return group


class V2Groups:
    """The groups of API v2."""

    _executor: Executor

    contexts: LazyGroup[Contexts] = LazyGroup("aiocircle.resources.contexts:Contexts")
    """Contexts: shared environment variables, and the rules for their use."""
    deploys: LazyGroup[Deploys] = LazyGroup("aiocircle.resources.deploys:Deploys")
    """Environments, components, versions and rollbacks."""
    groups: LazyGroup[Groups] = LazyGroup("aiocircle.resources.groups:Groups")
    """Groups of an organization's members."""
    insights: LazyGroup[Insights] = LazyGroup("aiocircle.resources.insights:Insights")
    """Metrics of workflows, jobs and tests."""
    jobs: LazyGroup[Jobs] = LazyGroup("aiocircle.composites.jobs:Jobs")
    """Jobs, their steps and output, artifacts and tests."""
    oidc: LazyGroup[Oidc] = LazyGroup("aiocircle.resources.oidc:Oidc")
    """Custom claims of the identity tokens that jobs get."""
    organizations: LazyGroup[Organizations] = LazyGroup("aiocircle.resources.organizations:Organizations")
    """Organizations, and where their configurations may take orbs from."""
    otel: LazyGroup[Otel] = LazyGroup("aiocircle.resources.otel:Otel")
    """OpenTelemetry exporters (experimental at CircleCI)."""
    pipeline_definitions: LazyGroup[PipelineDefinitions] = LazyGroup(
        "aiocircle.resources.pipeline_definitions:PipelineDefinitions"
    )
    """Pipeline definitions: which configuration runs on which code."""
    pipelines: LazyGroup[Pipelines] = LazyGroup("aiocircle.composites.pipelines:Pipelines")
    """Pipelines: read, start, continue."""
    policies: LazyGroup[Policies] = LazyGroup("aiocircle.resources.policies:Policies")
    """Policies for configurations, and the decisions made by them."""
    projects: LazyGroup[Projects] = LazyGroup("aiocircle.composites.projects:Projects")
    """Projects, their settings, variables and checkout keys."""
    schedules: LazyGroup[Schedules] = LazyGroup("aiocircle.resources.schedules:Schedules")
    """Schedules: pipelines that start by the clock."""
    triggers: LazyGroup[Triggers] = LazyGroup("aiocircle.resources.triggers:Triggers")
    """Triggers: which events start a pipeline definition."""
    usage: LazyGroup[Usage] = LazyGroup("aiocircle.composites.usage:Usage")
    """Exports of what an organization used."""
    users: LazyGroup[Users] = LazyGroup("aiocircle.resources.users:Users")
    """Users and their organizations."""
    webhooks: LazyGroup[Webhooks] = LazyGroup("aiocircle.composites.webhooks:Webhooks")
    """Outbound webhooks."""
    workflows: LazyGroup[Workflows] = LazyGroup("aiocircle.composites.workflows:Workflows")
    """Workflows: read, approve, cancel, run again."""


class V1Groups:
    """The groups of API v1.1: `circle.v1`. They have what API v2 lacks and what stays after February 2027."""

    builds: LazyGroup[v1_builds.Builds] = LazyGroup("aiocircle.v1.builds:Builds")
    """Builds, which are API v2's jobs, with their steps."""
    projects: LazyGroup[v1_projects.Projects] = LazyGroup("aiocircle.v1.projects:Projects")
    """Followed projects, their settings and SSH keys."""
    users: LazyGroup[v1_users.Users] = LazyGroup("aiocircle.v1.users:Users")
    """The token's user."""

    def __init__(self, executor: Executor) -> None:
        """Take the executor of the client."""
        self._executor = executor


class ClientGroups(V2Groups):
    """The groups of a client: those of API v2, and a namespace for each other API."""

    v1: LazyGroup[V1Groups] = LazyGroup("aiocircle._groups:V1Groups")
    """API v1.1: what API v2 lacks."""
