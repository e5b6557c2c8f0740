"""Each operation that changes something, ready to be called once: one table."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from aiocircle import CircleCI
from aiocircle._core.message import SAFE
from aiocircle.testing import LocalCircleCI
from tests.contract.tables import ENDPOINTS

__all__ = ["CHANGING", "ENDPOINTS", "PREPARED", "PROJECTS", "Prepare"]

WEB: Final = "gh/acme/web"
PROJECTS: Final = [WEB, "circleci/43G3lM5RtfFE7v5sa4nWAU/44n9wujWcTnVZ2b5S8Fnat", "gh/acme/monorepo"]

_REPO: Final = {"external_id": "1234"}
_CONFIG: Final[Any] = {"provider": "github_app", "repo": _REPO, "file_path": ".circleci/config.yml"}
_CHECKOUT: Final[Any] = {"provider": "github_app", "repo": _REPO}
_HOOK: Final[Any] = {"provider": "webhook", "webhook": {"sender": "DataDog"}}
_NIGHTLY: Final[Any] = {"per_hour": 1, "hours_of_day": [3], "days_of_week": ["MON"]}
_UNTIL: Final = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=2)

CHANGING: Final = sorted(name for name, endpoint in ENDPOINTS.items() if endpoint.method not in SAFE)

# Brings a server to where the operation makes one change, and gives the call that makes it.
Call = Callable[[], Awaitable[object]]
Prepare = Callable[[CircleCI, LocalCircleCI], Awaitable[Call]]
PREPARED: Final[dict[str, Prepare]] = {}


def _prepares(prepare: Prepare) -> Prepare:
    group, _, name = prepare.__name__.partition("__")
    PREPARED[f"{group}.{name}"] = prepare
    return prepare


async def _org(circle: CircleCI) -> str:
    organization = await circle.organizations.get("gh/acme")
    assert organization.id
    return organization.id


async def _web(circle: CircleCI) -> str:
    return (await circle.projects.get(WEB)).id


async def _standalone(circle: CircleCI) -> tuple[str, str]:
    """The ids of a GitHub App project and of its pipeline definition."""
    project = (await circle.projects.get(PROJECTS[1])).id
    definition = await circle.pipeline_definitions.list(project).first()
    assert definition is not None
    return project, definition.id


async def _grouped(circle: CircleCI) -> str:
    """The id of an organization that has groups."""
    return (await circle.projects.get(PROJECTS[1])).organization_id


async def _running(circle: CircleCI, **options: Any) -> str:
    """The id of a workflow that has just begun."""
    started = await circle.pipelines.trigger(WEB, **(options or {"branch": "main"}))
    workflow = await circle.pipelines.list_workflows(started.id).first()
    assert workflow is not None
    return workflow.id


async def _waiting(circle: CircleCI) -> tuple[str, str]:
    """The ids of a workflow and of the approval that it waits for."""
    pipelines = circle.pipelines.list_for_project(WEB)
    async for pipeline in pipelines:
        async for workflow in circle.pipelines.list_workflows(pipeline.id):
            if workflow.status == "on_hold":
                async for job in circle.workflows.list_jobs(workflow.id):
                    if job.is_waiting_for_approval and job.approval_request_id:
                        return workflow.id, job.approval_request_id
    raise AssertionError("nothing waits for approval")


async def _context(circle: CircleCI) -> str:
    return (await circle.contexts.create(name="mine", owner={"slug": "gh/acme"})).id


async def _webhook(circle: CircleCI) -> str:
    return (await (await webhooks__create(circle, None))()).id  # type: ignore[attr-defined, arg-type]


@_prepares
async def contexts__create(circle: CircleCI, server: LocalCircleCI) -> Call:
    return lambda: circle.contexts.create(name="mine", owner={"slug": "gh/acme"})


@_prepares
async def contexts__create_restriction(circle: CircleCI, server: LocalCircleCI) -> Call:
    context, project = await _context(circle), await _web(circle)
    return lambda: circle.contexts.create_restriction(context, restriction_type="project", restriction_value=project)


@_prepares
async def contexts__delete(circle: CircleCI, server: LocalCircleCI) -> Call:
    context = await _context(circle)
    return lambda: circle.contexts.delete(context)


@_prepares
async def contexts__set_env_var(circle: CircleCI, server: LocalCircleCI) -> Call:
    context = await _context(circle)
    return lambda: circle.contexts.set_env_var(context, "KEY", value="value")


@_prepares
async def contexts__delete_env_var(circle: CircleCI, server: LocalCircleCI) -> Call:
    context = await _context(circle)
    await circle.contexts.set_env_var(context, "KEY", value="value")
    return lambda: circle.contexts.delete_env_var(context, "KEY")


@_prepares
async def contexts__delete_restriction(circle: CircleCI, server: LocalCircleCI) -> Call:
    context, project = await _context(circle), await _web(circle)
    made = await circle.contexts.create_restriction(context, restriction_type="project", restriction_value=project)
    return lambda: circle.contexts.delete_restriction(context, made.id)


@_prepares
async def deploys__rollback(circle: CircleCI, server: LocalCircleCI) -> Call:
    component = await circle.deploys.list_components(org_id=await _org(circle)).first()
    assert component is not None
    assert component.id
    assert component.project_id
    assert component.name
    project, name = component.project_id, component.name
    newest, *_, oldest = await circle.deploys.list_component_versions(component.id).collect()
    assert newest.name
    assert oldest.name
    versions = {"current_version": newest.name, "target_version": oldest.name}
    return lambda: circle.deploys.rollback(project, component_name=name, environment_name="production", **versions)


@_prepares
async def groups__create(circle: CircleCI, server: LocalCircleCI) -> Call:
    org = await _grouped(circle)
    return lambda: circle.groups.create(org, name="Ops")


@_prepares
async def groups__delete(circle: CircleCI, server: LocalCircleCI) -> Call:
    org = await _grouped(circle)
    made = await circle.groups.create(org, name="Ops")
    return lambda: circle.groups.delete(org, made.id)


@_prepares
async def jobs__cancel(circle: CircleCI, server: LocalCircleCI) -> Call:
    jobs = await circle.workflows.list_jobs(await _running(circle)).collect()
    number = next(job.job_number for job in jobs if job.job_number is not None)
    return lambda: circle.jobs.cancel(WEB, number)


@_prepares
async def jobs__cancel_by_id(circle: CircleCI, server: LocalCircleCI) -> Call:
    jobs = await circle.workflows.list_jobs(await _running(circle)).collect()
    return lambda: circle.jobs.cancel_by_id(jobs[0].id)


@_prepares
async def oidc__update_org_claims(circle: CircleCI, server: LocalCircleCI) -> Call:
    org = await _org(circle)
    return lambda: circle.oidc.update_org_claims(org, audience=["a"], ttl="1h")


@_prepares
async def oidc__delete_org_claims(circle: CircleCI, server: LocalCircleCI) -> Call:
    org = await _org(circle)
    await circle.oidc.update_org_claims(org, ttl="1h")
    return lambda: circle.oidc.delete_org_claims(org, claims="ttl")


@_prepares
async def oidc__update_project_claims(circle: CircleCI, server: LocalCircleCI) -> Call:
    org, project = await _org(circle), await _web(circle)
    return lambda: circle.oidc.update_project_claims(org, project, ttl="1h")


@_prepares
async def oidc__delete_project_claims(circle: CircleCI, server: LocalCircleCI) -> Call:
    org, project = await _org(circle), await _web(circle)
    await circle.oidc.update_project_claims(org, project, ttl="1h")
    return lambda: circle.oidc.delete_project_claims(org, project, claims=["ttl"])


@_prepares
async def organizations__create(circle: CircleCI, server: LocalCircleCI) -> Call:
    return lambda: circle.organizations.create(name="New", vcs_type="circleci")


@_prepares
async def organizations__delete(circle: CircleCI, server: LocalCircleCI) -> Call:
    made = await circle.organizations.create(name="New", vcs_type="circleci")
    return lambda: circle.organizations.delete(made.slug)


@_prepares
async def organizations__create_url_orb_allow_list_entry(circle: CircleCI, server: LocalCircleCI) -> Call:
    return lambda: circle.organizations.create_url_orb_allow_list_entry(
        "gh/acme", name="ours", prefix="https://example.org/orbs/", auth="none"
    )


@_prepares
async def organizations__delete_url_orb_allow_list_entry(circle: CircleCI, server: LocalCircleCI) -> Call:
    made: Any = await (await organizations__create_url_orb_allow_list_entry(circle, server))()
    return lambda: circle.organizations.delete_url_orb_allow_list_entry("gh/acme", made.id)


@_prepares
async def otel__create_exporter(circle: CircleCI, server: LocalCircleCI) -> Call:
    org = await _org(circle)
    return lambda: circle.otel.create_exporter(
        org_id=org, endpoint="otel.example.org:4318", protocol="http", insecure=False
    )


@_prepares
async def otel__delete_exporter(circle: CircleCI, server: LocalCircleCI) -> Call:
    made: Any = await (await otel__create_exporter(circle, server))()
    return lambda: circle.otel.delete_exporter(made.id)


@_prepares
async def pipeline_definitions__create(circle: CircleCI, server: LocalCircleCI) -> Call:
    project, _ = await _standalone(circle)
    return lambda: circle.pipeline_definitions.create(
        project, name="docs", config_source=_CONFIG, checkout_source=_CHECKOUT
    )


@_prepares
async def pipeline_definitions__delete(circle: CircleCI, server: LocalCircleCI) -> Call:
    project, definition = await _standalone(circle)
    return lambda: circle.pipeline_definitions.delete(project, definition)


@_prepares
async def pipeline_definitions__update(circle: CircleCI, server: LocalCircleCI) -> Call:
    project, definition = await _standalone(circle)
    return lambda: circle.pipeline_definitions.update(project, definition, name="renamed")


@_prepares
async def pipelines__continue_setup(circle: CircleCI, server: LocalCircleCI) -> Call:
    triggered = await circle.pipelines.trigger("gh/acme/monorepo")
    key = server.continuation_key(triggered.id)
    return lambda: circle.pipelines.continue_setup(continuation_key=key, configuration="version: 2.1")


@_prepares
async def pipelines__run(circle: CircleCI, server: LocalCircleCI) -> Call:
    return lambda: circle.pipelines.run(WEB, config={"branch": "main"}, checkout={"branch": "main"})


@_prepares
async def pipelines__trigger(circle: CircleCI, server: LocalCircleCI) -> Call:
    return lambda: circle.pipelines.trigger(WEB, branch="main")


@_prepares
async def policies__create_bundle(circle: CircleCI, server: LocalCircleCI) -> Call:
    org = await _org(circle)
    return lambda: circle.policies.create_bundle(org, "config", policies={"a.rego": "package org"})


@_prepares
async def policies__make_decision(circle: CircleCI, server: LocalCircleCI) -> Call:
    org = await _org(circle)
    return lambda: circle.policies.make_decision(org, "config", input="version: 2.1")


@_prepares
async def policies__update_decision_settings(circle: CircleCI, server: LocalCircleCI) -> Call:
    org = await _org(circle)
    return lambda: circle.policies.update_decision_settings(org, "config", enabled=False)


@_prepares
async def projects__create(circle: CircleCI, server: LocalCircleCI) -> Call:
    return lambda: circle.projects.create("gh/acme", name="playground")


@_prepares
async def projects__create_checkout_key(circle: CircleCI, server: LocalCircleCI) -> Call:
    return lambda: circle.projects.create_checkout_key(WEB, type="deploy-key")


@_prepares
async def projects__create_env_var(circle: CircleCI, server: LocalCircleCI) -> Call:
    return lambda: circle.projects.create_env_var(WEB, name="NEW_KEY", value="value")


@_prepares
async def projects__create_from_repository(circle: CircleCI, server: LocalCircleCI) -> Call:
    return lambda: circle.projects.create_from_repository("gh/acme/website")


@_prepares
async def projects__delete(circle: CircleCI, server: LocalCircleCI) -> Call:
    return lambda: circle.projects.delete(WEB)


@_prepares
async def projects__delete_checkout_key(circle: CircleCI, server: LocalCircleCI) -> Call:
    made = await circle.projects.create_checkout_key(WEB, type="deploy-key")
    return lambda: circle.projects.delete_checkout_key(WEB, made.fingerprint)


@_prepares
async def projects__delete_env_var(circle: CircleCI, server: LocalCircleCI) -> Call:
    await circle.projects.create_env_var(WEB, name="NEW_KEY", value="value")
    return lambda: circle.projects.delete_env_var(WEB, "NEW_KEY")


@_prepares
async def projects__update_settings(circle: CircleCI, server: LocalCircleCI) -> Call:
    before = (await circle.projects.get_settings(WEB)).advanced.autocancel_builds
    return lambda: circle.projects.update_settings(WEB, advanced={"autocancel_builds": not before})


@_prepares
async def schedules__create(circle: CircleCI, server: LocalCircleCI) -> Call:
    return lambda: circle.schedules.create(
        WEB, name="nightly", timetable=_NIGHTLY, attribution_actor="current", parameters={"branch": "main"}
    )


@_prepares
async def schedules__delete(circle: CircleCI, server: LocalCircleCI) -> Call:
    made: Any = await (await schedules__create(circle, server))()
    return lambda: circle.schedules.delete(made.id)


@_prepares
async def schedules__update(circle: CircleCI, server: LocalCircleCI) -> Call:
    made: Any = await (await schedules__create(circle, server))()
    return lambda: circle.schedules.update(made.id, name="later")


@_prepares
async def triggers__create(circle: CircleCI, server: LocalCircleCI) -> Call:
    project, definition = await _standalone(circle)
    return lambda: circle.triggers.create(project, definition, event_source=_HOOK)


@_prepares
async def triggers__delete(circle: CircleCI, server: LocalCircleCI) -> Call:
    project, definition = await _standalone(circle)
    made = await circle.triggers.create(project, definition, event_source=_HOOK)
    return lambda: circle.triggers.delete(project, made.id)


@_prepares
async def triggers__update(circle: CircleCI, server: LocalCircleCI) -> Call:
    project, definition = await _standalone(circle)
    made = await circle.triggers.create(project, definition, event_source=_HOOK)
    return lambda: circle.triggers.update(project, made.id, disabled=True)


@_prepares
async def usage__create_export(circle: CircleCI, server: LocalCircleCI) -> Call:
    org = await _org(circle)
    return lambda: circle.usage.create_export(org, start=_UNTIL - timedelta(days=7), end=_UNTIL)


@_prepares
async def webhooks__create(circle: CircleCI, server: LocalCircleCI) -> Call:
    project = await _web(circle)
    return lambda: circle.webhooks.create(
        name="mine",
        events=["workflow-completed"],
        url="https://hooks.example.org/circleci",
        verify_tls=True,
        signing_secret="hunter2",
        scope={"id": project, "type": "project"},
    )


@_prepares
async def webhooks__delete(circle: CircleCI, server: LocalCircleCI) -> Call:
    webhook = await _webhook(circle)
    return lambda: circle.webhooks.delete(webhook)


@_prepares
async def webhooks__update(circle: CircleCI, server: LocalCircleCI) -> Call:
    webhook = await _webhook(circle)
    return lambda: circle.webhooks.update(webhook, signing_secret="other", name="renamed")


@_prepares
async def workflows__approve(circle: CircleCI, server: LocalCircleCI) -> Call:
    workflow, approval = await _waiting(circle)
    return lambda: circle.workflows.approve(workflow, approval)


@_prepares
async def workflows__cancel(circle: CircleCI, server: LocalCircleCI) -> Call:
    workflow = await _running(circle)
    return lambda: circle.workflows.cancel(workflow)


@_prepares
async def workflows__rerun(circle: CircleCI, server: LocalCircleCI) -> Call:
    workflow = await _running(circle)
    await circle.workflows.cancel(workflow)
    return lambda: circle.workflows.rerun(workflow)
