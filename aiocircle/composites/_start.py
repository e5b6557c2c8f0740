"""Starting a pipeline by the route that its project needs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from aiocircle._core.executor import Executor
from aiocircle._core.group import Id, Project
from aiocircle.composites._project_ids import full_slug, project_id
from aiocircle.errors import ConfigurationError, DecodeError, InvalidArgument, NotReady
from aiocircle.links import project_at
from aiocircle.resources.pipeline_definitions import (
    CheckoutSource,
    ConfigSource,
    PipelineDefinition,
    PipelineDefinitions,
)
from aiocircle.resources.pipelines import PipelineRef, PipelineRun, Pipelines, TriggeredPipeline
from aiocircle.slugs import ProjectSlug

__all__ = ["start_pipeline"]

_OLDER_ROUTE: Final = frozenset({"gh", "bb"})
"""The providers whose projects have a pipeline without a definition."""
_GITHUB: Final = frozenset({"github_app", "github_oauth"})
"""Two integrations of one host: a repository has the same id in both."""


async def start_pipeline(
    executor: Executor,
    project: Project,
    *,
    branch: str | None,
    tag: str | None,
    parameters: Mapping[str, str | int | bool] | None,
    definition_id: Id | None,
) -> TriggeredPipeline:
    """Start a pipeline, as `pipelines.start` describes it."""
    if branch is not None and tag is not None:
        raise InvalidArgument("branch must be None if tag is not, got both. A pipeline runs on one of them")
    slug = await full_slug(executor, project_at(project, executor.state.base_url))
    if definition_id is None and slug.provider in _OLDER_ROUTE:
        return await Pipelines(executor).trigger(slug, branch=branch, tag=tag, parameters=parameters)
    ref = _ref(branch, tag)
    definition = await _find_definition(executor, slug, definition_id, has_ref=ref is not None)
    is_one = definition is not None and _is_one_repository(definition.config_source, definition.checkout_source)
    run = await Pipelines(executor).run(
        slug,
        definition_id=definition_id if definition is None else definition.id,
        config=ref if is_one else None,
        checkout=ref,
        parameters=parameters,
    )
    return _started(run)


def _ref(branch: str | None, tag: str | None) -> PipelineRef | None:
    if branch is not None:
        return {"branch": branch}
    return None if tag is None else {"tag": tag}


async def _find_definition(
    executor: Executor, slug: ProjectSlug, definition_id: Id | None, *, has_ref: bool
) -> PipelineDefinition | None:
    """Return the definition to run. None if only its id is needed, or if the project does not list that id."""
    if definition_id is not None and not has_ref:
        return None
    definitions = await PipelineDefinitions(executor).list(await project_id(executor, slug)).collect()
    if definition_id is None:
        return _only(definitions, slug)
    wanted = str(definition_id).lower()
    return next((each for each in definitions if each.id.lower() == wanted), None)


def _only(definitions: Sequence[PipelineDefinition], slug: ProjectSlug) -> PipelineDefinition:
    if not definitions:
        raise ConfigurationError(
            f"the project {slug} has no pipeline definition to start. Create one with pipeline_definitions.create. "
            "Projects of GitLab cannot be started by the API"
        )
    if len(definitions) > 1:
        listed = ", ".join(f"{each.id} ({each.name!r})" for each in definitions)
        raise ConfigurationError(
            f"definition_id must be one of the {len(definitions)} pipeline definitions of {slug}, got None. They are "
            f"{listed}"
        )
    return definitions[0]


def _is_one_repository(config: ConfigSource | None, checkout: CheckoutSource | None) -> bool:
    """Return True if the configuration and the code are known to be in one repository."""
    if config is None or checkout is None or config.repo is None or checkout.repo is None:
        return False
    hosts = (config.provider, checkout.provider)
    if hosts[0] != hosts[1] and not {*hosts} <= _GITHUB:
        return False
    if config.repo.external_id and checkout.repo.external_id:
        return config.repo.external_id == checkout.repo.external_id
    return bool(config.repo.full_name) and config.repo.full_name == checkout.repo.full_name


def _started(run: PipelineRun) -> TriggeredPipeline:
    if run.id is None:
        raise NotReady("skipped", f"CircleCI started no pipeline: {run.message or 'without a reason'}")
    if run.number is None:
        error = DecodeError([f"$.number: missing, in the response for the new pipeline {run.id}"])
        error.outcome = "done"
        raise error
    return TriggeredPipeline(id=run.id, number=run.number, state=run.state or "", created_at=run.created_at)
