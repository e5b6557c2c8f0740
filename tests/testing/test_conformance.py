"""The server's responses are valid under CircleCI's own document, except for the known deviations listed here.

The document is read from `shared/spec` next to the project. Without it these tests are skipped.
"""

from __future__ import annotations

import copy
import csv
import datetime
import json
import pathlib
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import pytest

from aiocircle.testing.router import Router
from aiocircle.testing.routes import GROUPS

SPEC = pathlib.Path(__file__).parents[3] / "shared" / "spec"

pytestmark = pytest.mark.skipif(
    not SPEC.is_dir(), reason=f"CircleCI's document is not at {SPEC.name} next to the project"
)

WEB = "gh/acme/web"
SOMEWHERE = "5034460f-c7c4-4c43-9457-de07e2029e7b"

Patch = Callable[[dict[str, Any]], None]


def _properties(schema: dict[str, Any], *path: str) -> dict[str, Any]:
    """The properties of an object inside a schema; `[]` is the items of an array."""
    for step in path:
        schema = schema["items"] if step == "[]" else schema["properties"][step]
    return schema


def _optional(*path: str) -> Patch:
    def patch(schema: dict[str, Any]) -> None:
        _properties(schema, *path[:-1])["required"].remove(path[-1])

    return patch


def _nullable(*path: str) -> Patch:
    def patch(schema: dict[str, Any]) -> None:
        _properties(schema, *path)["nullable"] = True

    return patch


def _extra(*path: str, **properties: Any) -> Patch:
    def patch(schema: dict[str, Any]) -> None:
        _properties(schema, *path)["properties"].update(properties)

    return patch


def _open(schema: dict[str, Any]) -> None:
    del schema["additionalProperties"]


_VARIABLE = {"type": "object", "required": ["variable", "truncated_value"]}

# Differences of the wire from the document: operation, patch of its schema, the fact behind it. In addition,
# enums are open ("Enums are open") and the kebab-case keys of KEBAB are snake_case on the wire.
PATCHES: list[tuple[str, Patch, str]] = [
    ("users.get", _optional("avatar_url"), "User: avatar_url may be missing"),
    ("workflows.list_jobs", _nullable("items", "[]", "started_at"), "Workflow job: approval has started_at null"),
    ("jobs.get", _nullable("started_at"), "Job details: started_at null if not run"),
    ("jobs.get", _optional("project", "id"), "Job details: no project.id"),
    ("insights.get_project_summary", _nullable("project_data", "metrics", "throughput"), "project throughput null"),
    ("contexts.get", _extra(org_id={}, environment_variables={"items": _VARIABLE}, restrictions={}), "now embeds"),
    ("contexts.list_env_vars", _extra("items", "[]", truncated_value={"type": "string"}), "truncated_value"),
    ("contexts.set_env_var", _open, "the document closes the object around both of its alternatives"),
    ("usage.create_export", _nullable("download_urls"), "download_urls null until completed"),
    ("usage.get_export", _nullable("download_urls"), "download_urls null until completed"),
]

KEBAB = {
    "insights.get_flaky_tests",
    "users.list_collaborations",
    "projects.list_checkout_keys",
    "projects.get_checkout_key",
    "projects.create_checkout_key",
    "projects.list_env_vars",
    "projects.get_env_var",
    "projects.create_env_var",
    "webhooks.list",
    "webhooks.get",
    "webhooks.create",
    "webhooks.update",
    "pipelines.get_config",
}


class Document:
    """The official document, and those of its operations that have responded."""

    def __init__(self) -> None:
        self.document = json.loads((SPEC / "circleci-v2-openapi.json").read_text("utf-8"))
        with (SPEC / "operations.tsv").open(encoding="utf-8") as rows:
            operations = list(csv.DictReader(rows, delimiter="\t"))
        self.operations = {row["client_call"].split("(")[0]: row for row in operations}
        self.answered: set[str] = set()
        self._validators: dict[tuple[str, int], Any] = {}

    def check(self, operation: str, status: int, body: Any) -> None:
        """Validate a response."""
        if status < 300:
            self.answered.add(operation)
        if self.operations[operation]["source"] != "spec":
            return
        key = (operation, status)
        if key not in self._validators:
            self._validators[key] = self._validator(*key)
        error = next(self._validators[key].iter_errors(body), None)
        assert error is None, f"{operation} {status}: {error.json_path}: {error.message}"

    def _validator(self, operation: str, status: int) -> Any:
        import jsonschema

        row = self.operations[operation]
        responses = self.document["paths"][row["path"]][row["method"].lower()]["responses"]
        response = responses.get(str(status), responses.get("default"))
        assert response is not None, f"{operation}: {status} is not documented"
        schema = copy.deepcopy(self._resolved(self._resolved(response)["content"]["application/json"]["schema"]))
        if status < 300:
            for name, patch, _ in PATCHES:
                if name == operation:
                    patch(schema)
            if operation in KEBAB:
                _snake(schema)
        _plain(schema)
        checker = jsonschema.FormatChecker(["uuid"])
        checker.checks("date-time", ValueError)(_is_time)
        return jsonschema.Draft202012Validator(schema, format_checker=checker)

    def _resolved(self, node: Any) -> Any:
        if isinstance(node, dict):
            if "$ref" in node:
                found: Any = self.document
                for step in node["$ref"].split("/")[1:]:
                    found = found[step]
                return self._resolved(found)
            return {key: self._resolved(value) for key, value in node.items()}
        return [self._resolved(value) for value in node] if isinstance(node, list) else node


def _snake(schema: Any) -> None:
    """Give all the keys of a schema underscores."""
    if isinstance(schema, dict):
        if "properties" in schema:
            schema["properties"] = {key.replace("-", "_"): value for key, value in schema["properties"].items()}
            schema["required"] = [key.replace("-", "_") for key in schema.get("required", ())]
        for value in schema.values():
            _snake(value)


def _plain(schema: Any) -> None:
    """Turn OpenAPI 3.0 into JSON Schema, with open enums."""
    if isinstance(schema, list):
        for value in schema:
            _plain(value)
    if not isinstance(schema, dict):
        return
    schema.pop("enum", None)
    schema.pop("example", None)
    if schema.get("format") in {"int64", "integer", "double", "float"}:
        del schema["format"]
    if (schema.pop("nullable", False) or schema.pop("x-nullable", False)) and "type" in schema:
        schema["type"] = [schema["type"], "null"]
    for value in [*schema.values()]:
        _plain(value)


def _is_time(value: Any) -> bool:
    return not isinstance(value, str) or datetime.datetime.fromisoformat(value).tzinfo is not None


@pytest.fixture(scope="module")
def document() -> Document:
    pytest.importorskip("jsonschema")
    return Document()


def test_every_operation_has_its_route(document):
    """Each row of the table of operations leads to the operation it names, and nothing else is served."""
    router = Router(GROUPS)
    assert router.operations == document.operations.keys()
    for name, row in document.operations.items():
        path = row["path"]
        for slug, literal in (
            ("{project-slug}", WEB),
            ("{provider}/{organization}/{project}", WEB),
            ("{org-slug}", "gh/acme"),
        ):
            path = path.replace(slug, literal)
        path = "/".join("5" if step.startswith("{") else step for step in path.split("/"))
        found = router.find(row["method"], path)
        assert found is not None, path
        assert found[0].operation == name


class Checked:
    """An Api that checks every response."""

    def __init__(self, api, document):
        self.api = api
        self.document = document

    async def __call__(self, method, path, expected=None, **options):
        reply = await self.api(method, path, **options)
        assert expected is None or reply.status == expected, (method, path, reply)
        operation = self.api.server.requests[-1].operation
        self.document.check(operation, reply.status, reply.json)
        return reply.json


async def test_responses_are_valid(serve, document):
    api = await serve(4, page_size=10, workflow_seconds=0.0, workflow_delay=0.0)
    call = Checked(api, document)
    await _users_and_projects(call)
    await _builds(call)
    await _insights(call)
    await _organization(call)
    await _definitions(call)
    await _the_rest(call)
    assert document.operations.keys() - document.answered == set()


async def _users_and_projects(call):
    await call("GET", "/me", 200)
    await call("GET", "/me/collaborations", 200)
    for person in call.api.server.state.people:
        await call("GET", f"/user/{person.id}", 200)
    await call("GET", f"/user/{SOMEWHERE}", 404)
    for slug in call.api.server.projects:
        await call("GET", f"/project/{slug}", 200)
    await call("GET", "/project/gh/acme/nothing", 404)
    await call("POST", "/organization/gh%2Facme/project", 200, json={"name": "playground"})
    await call("POST", "/project/gh/acme/handbook", 201)
    await call("POST", "/project/gh/acme/nothing", 404)
    await call("DELETE", "/project/gh/acme/handbook", 200)
    await call("GET", f"/project/{WEB}/settings", 200)
    await call("PATCH", f"/project/{WEB}/settings", 200, json={"advanced": {"disable_ssh": True}})
    await call("PATCH", f"/project/{WEB}/settings", 400, json={"advanced": {"oss": True}})
    await call("POST", f"/project/{WEB}/envvar", 201, json={"name": "A", "value": "hunter2"})
    await call("GET", f"/project/{WEB}/envvar", 200)
    await call("GET", f"/project/{WEB}/envvar/A", 200)
    await call("DELETE", f"/project/{WEB}/envvar/A", 200)
    key = await call("POST", f"/project/{WEB}/checkout-key", 201, json={"type": "deploy-key"})
    await call("GET", f"/project/{WEB}/checkout-key", 200)
    await call("GET", f"/project/{WEB}/checkout-key/{key['fingerprint']}", 200)
    await call("DELETE", f"/project/{WEB}/checkout-key/{key['fingerprint']}", 200)


async def _builds(call):
    run = await call("POST", f"/project/{WEB}/pipeline/run", 201, json={"checkout": {"branch": "fail/x"}})
    await call("POST", f"/project/{WEB}/pipeline/run", 200, json={"checkout": {"branch": "[skip ci]"}})
    await call("POST", f"/project/{WEB}/pipeline", 201, json={})
    setup = await call("POST", "/project/gh/acme/monorepo/pipeline", 201, json={})
    body = {"continuation-key": call.api.server.continuation_key(setup["id"]), "configuration": "version: 2.1"}
    await call("POST", "/pipeline/continue", 200, json=body)
    await call("GET", "/pipeline?org-slug=gh/acme", 200)
    for slug in call.api.server.projects[:4]:
        await call("GET", f"/project/{slug}/pipeline/mine", 200)
        for pipeline in (await call("GET", f"/project/{slug}/pipeline", 200))["items"][:8]:
            await call("GET", f"/pipeline/{pipeline['id']}", 200)
            await call("GET", f"/project/{slug}/pipeline/{pipeline['number']}", 200)
            await call("GET", f"/pipeline/{pipeline['id']}/config", 200)
            await call("GET", f"/pipeline/{pipeline['id']}/values", 200)
            for workflow in (await call("GET", f"/pipeline/{pipeline['id']}/workflow", 200))["items"]:
                await _workflow(call, slug, workflow["id"])
    workflow = (await call("GET", f"/pipeline/{run['id']}/workflow", 200))["items"][0]
    await call("POST", f"/workflow/{workflow['id']}/rerun", 202, json={"from_failed": True})
    await call("POST", f"/workflow/{workflow['id']}/cancel", 202)


async def _workflow(call, slug, workflow_id):
    await call("GET", f"/workflow/{workflow_id}", 200)
    for job in (await call("GET", f"/workflow/{workflow_id}/job", 200))["items"]:
        if "approval_request_id" in job:
            status = 202 if job["status"] == "on_hold" else 400
            await call("POST", f"/workflow/{workflow_id}/approve/{job['approval_request_id']}", status)
        if "job_number" in job:
            number = job["job_number"]
            await call("GET", f"/project/{slug}/job/{number}", 200)
            await call("GET", f"/jobs/{job['id']}", 200)
            await call("GET", f"/project/{slug}/{number}/tests", 200)
            await call("GET", f"/project/{slug}/{number}/artifacts", 200)
            await call("POST", f"/project/{slug}/job/{number}/cancel", 200)
            await call("POST", f"/jobs/{job['id']}/cancel", 200)


async def _insights(call):
    for slug in call.api.server.projects[:4]:
        root = f"/insights/{slug}"
        await call("GET", f"{root}/branches", 200)
        await call("GET", f"{root}/flaky-tests", 200)
        await call("GET", f"/insights/pages/{slug}/summary?reporting-window=last-7-days", 200)
        for scope in ("", "?all-branches=true", "?branch=nothing"):
            for item in (await call("GET", f"{root}/workflows{scope}", 200))["items"]:
                path = f"{root}/workflows/{quote(item['name'], safe='')}"
                for suffix in ("", "/summary", "/test-metrics", "/jobs", "/jobs/lint"):
                    await call("GET", f"{path}{suffix}{scope}", 200)
                series = path.replace("/insights/", "/insights/time-series/")
                await call("GET", f"{series}/jobs{scope}", 200)
                await call("GET", f"{series}/jobs{scope or '?'}&granularity=hourly", 200)
    await call("GET", "/insights/gh/acme/summary?project-names=web", 200)
    await call("GET", f"/insights/{WEB}/workflows?reporting-window=x", 400)


async def _organization(call):
    org = await call("POST", "/organization", 201, json={"name": "New", "vcs_type": "circleci"})
    await call("GET", f"/organization/{org['id']}", 200)
    await call("DELETE", f"/organization/{org['id']}", 202)
    acme = (await call("GET", "/organization/gh%2Facme", 200))["id"]
    path = f"/organization/{acme}/url-orb-allow-list"
    body = {"name": "a", "prefix": "https://orbs.example/", "auth": "none"}
    entry = await call("POST", path, 200, json=body)
    await call("GET", path, 200)
    await call("DELETE", f"{path}/{entry['id']}", 200)

    labs = (await call("GET", f"/project/{call.api.server.projects[2]}", 200))["organization_id"]
    for org_id in (acme, labs):
        await call("GET", f"/organizations/{org_id}/groups", 200)
    group = await call("POST", f"/organizations/{labs}/groups", 201, json={"name": "Ops"})
    await call("GET", f"/organizations/{labs}/groups/{group['id']}", 200)
    await call("DELETE", f"/organizations/{labs}/groups/{group['id']}", 200)
    await call("DELETE", f"/organizations/{labs}/groups/{group['id']}", 403)

    project_id = (await call("GET", f"/project/{WEB}", 200))["id"]
    for target in (f"/org/{acme}", f"/org/{acme}/project/{project_id}"):
        path = f"{target}/oidc-custom-claims"
        await call("GET", path, 200)
        await call("PATCH", path, 200, json={"audience": ["b", "a"], "ttl": "90m"})
        await call("PATCH", path, 400, json={"ttl": "soon"})
        await call("DELETE", f"{path}?claims=ttl", 200)
    await call("GET", "/org/nothing/oidc-custom-claims", 400)

    body = {"org_id": acme, "endpoint": "otel:4317", "protocol": "grpc", "insecure": True}
    exporter = await call("POST", "/otel/exporters", 201, json=body)
    await call("GET", f"/otel/exporters?org-id={acme}", 200)
    await call("DELETE", f"/otel/exporters/{exporter['id']}", 200)

    today = call.api.server.state.midnight
    start = datetime.datetime.fromtimestamp(today - 5 * 86_400, datetime.UTC).isoformat()
    end = datetime.datetime.fromtimestamp(today, datetime.UTC).isoformat()
    path = f"/organizations/{acme}/usage_export_job"
    export = await call("POST", path, 201, json={"start": start, "end": end})
    for state in ("processing", "completed"):
        shown = await call("GET", f"{path}/{export['usage_export_job_id']}", 200)
        assert shown["state"] == state
    await call("POST", path, 400, json={"start": end, "end": start})

    root = f"/owner/{acme}/context/config"
    await call("GET", f"{root}/policy-bundle", 200)
    await call("POST", f"{root}/policy-bundle?dry=true", 200, json={"policies": {}})
    await call("POST", f"{root}/policy-bundle", 201, json={"policies": {"a": "package org"}})
    await call("GET", f"{root}/policy-bundle/a", 200)
    await call("GET", f"{root}/policy-bundle/images", 404)
    await call("POST", f"{root}/decision", 200, json={"input": "image: cimg/base", "metadata": {"build_number": 1}})
    decisions = await call("GET", f"{root}/decision", 200)
    await call("GET", f"{root}/decision/{decisions[0]['id']}", 200)
    await call("GET", f"{root}/decision/{decisions[0]['id']}/policy-bundle", 200)
    await call("GET", f"{root}/decision/settings", 200)
    await call("PATCH", f"{root}/decision/settings", 200, json={"enabled": False})
    await call("GET", "/owner/nobody/context/config/decision", 400)


async def _definitions(call):
    for slug in call.api.server.projects[:3]:
        project_id = (await call("GET", f"/project/{slug}", 200))["id"]
        root = f"/projects/{project_id}/pipeline-definitions"
        for definition in (await call("GET", root, 200))["items"]:
            await call("GET", f"{root}/{definition['id']}/triggers", 200)
    source = {"provider": "github_app", "repo": {"external_id": "12"}}
    body = {"name": "b", "config_source": {**source, "file_path": "x.yml"}, "checkout_source": source}
    made = await call("POST", root, 200, json=body)
    await call("GET", f"{root}/{made['id']}", 200)
    await call("PATCH", f"{root}/{made['id']}", 200, json={"description": "c"})
    for event_source in (source, {"provider": "webhook", "webhook": {"sender": "datadog"}}):
        body = {"event_source": event_source, "event_preset": "only-tags", "disabled": True}
        trigger = await call("POST", f"{root}/{made['id']}/triggers", 200, json=body)
        path = f"/projects/{project_id}/triggers/{trigger['id']}"
        await call("GET", path, 200)
        await call("PATCH", path, 200, json={"disabled": False, "checkout_ref": "main"})
        await call("DELETE", path, 200)
    await call("DELETE", f"{root}/{made['id']}", 200)


async def _the_rest(call):
    acme = (await call("GET", f"/project/{WEB}", 200))["organization_id"]
    context = await call("POST", "/context", 200, json={"name": "new", "owner": {"id": acme, "type": "organization"}})
    path = f"/context/{context['id']}"
    await call("GET", f"/context?owner-id={acme}", 200)
    await call("PUT", f"{path}/environment-variable/A", 200, json={"value": "hunter-of-2"})
    await call("GET", f"{path}/environment-variable", 200)
    restriction = await call(
        "POST", f"{path}/restrictions", 201, json={"restriction_type": "expression", "restriction_value": "true"}
    )
    await call("GET", f"{path}/restrictions", 200)
    await call("GET", path, 200)
    await call("DELETE", f"{path}/restrictions/{restriction['id']}", 200)
    await call("DELETE", f"{path}/environment-variable/A", 200)
    await call("DELETE", path, 200)

    project_id = (await call("GET", f"/project/{WEB}", 200))["id"]
    environments = await call("GET", f"/deploy/environments?org-id={acme}&page-size=2", 200)
    await call("GET", f"/deploy/environments/{environments['items'][0]['id']}", 200)
    components = await call("GET", f"/deploy/components?org-id={acme}&page-size=2&project-id={project_id}", 200)
    component = components["items"][0]
    await call("GET", f"/deploy/components/{component['id']}", 200)
    versions = (await call("GET", f"/deploy/components/{component['id']}/versions", 200))["items"]
    body = {
        "component_name": component["name"],
        "environment_name": "production",
        "current_version": versions[0]["name"],
        "target_version": versions[1]["name"],
    }
    await call("POST", f"/projects/{project_id}/rollback", 202, json=body)
    await call("POST", f"/projects/{project_id}/rollback", 400, json={})

    for schedule in (await call("GET", f"/project/{WEB}/schedule", 200))["items"]:
        await call("GET", f"/schedule/{schedule['id']}", 200)
        await call("PATCH", f"/schedule/{schedule['id']}", 200, json={"timetable": {"per-hour": 2}})
        await call("DELETE", f"/schedule/{schedule['id']}", 200)
    body = {
        "name": "weekly",
        "timetable": {"per-hour": 1, "hours-of-day": [3], "days-of-month": [1], "months": ["MAR"]},
        "attribution-actor": "system",
        "parameters": {"branch": "main"},
    }
    await call("POST", f"/project/{WEB}/schedule", 201, json=body)

    body = {
        "name": "bot",
        "events": ["job-completed"],
        "url": "https://bot.example/",
        "verify-tls": True,
        "signing-secret": "hunter2",
        "scope": {"id": project_id, "type": "project"},
    }
    webhook = await call("POST", "/webhook", 201, json=body)
    await call("GET", f"/webhook?scope-id={project_id}&scope-type=project", 200)
    await call("GET", f"/webhook/{webhook['id']}", 200)
    await call("PUT", f"/webhook/{webhook['id']}", 200, json={"name": "robot"})
    await call("DELETE", f"/webhook/{webhook['id']}", 200)
