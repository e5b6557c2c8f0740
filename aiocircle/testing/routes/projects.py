"""Projects: their settings, environment variables and checkout keys."""

from __future__ import annotations

import re
from base64 import b64encode
from typing import cast

from .. import serializers
from ..ids import digest, is_uuid
from ..model import CheckoutKey, Project, ProjectVariable
from ..request import RequestContext
from ..response import Response
from ..router import Routes
from ..state import default_settings

__all__ = ["routes"]

routes = Routes()

# Repositories of the classic organizations that are not projects yet.
_REPOSITORIES = frozenset({"infrastructure", "playground", "handbook", "website"})


@routes.add("GET", "/project/{project}", "projects.get")
def get(request: RequestContext) -> Response:
    """Return a project."""
    return request.respond(serializers.project(request.project()))


@routes.add("GET", "/project/{project-id}", "projects.get")
def get_by_id(request: RequestContext) -> Response:
    """Return a project by its UUID, which is a slug for this operation alone."""
    ident = request.path_value("project-id")
    if not is_uuid(ident):
        request.fail(400, f"Invalid project slug '{ident}'.")
    return request.respond(
        serializers.project(request.require(request.state.project_by_id(ident), "Project not found"))
    )


@routes.add("DELETE", "/project/{project}", "projects.delete")
def delete(request: RequestContext) -> Response:
    """Delete a project with all that belongs to it."""
    project = request.project()
    request.state.remove_project(project)
    request.record_change(project.slug)
    return request.respond_message("Project deleted")


@routes.add("POST", "/organization/{org}/project", "projects.create")
def create(request: RequestContext) -> Response:
    """Create a project: a new one in a standalone organization, one of a repository in others."""
    organization = request.organization()
    name: object = request.body_fields("name")["name"]
    if not isinstance(name, str) or not name:
        request.fail(400, "name: must be a non-empty string.")
    if any(project.name == name for project in request.state.projects_of(organization)):
        request.fail(409, "Project already exists")
    if not organization.standalone and name not in _REPOSITORIES:
        request.fail(404, "GitHub response: Not Found")
    project = request.state.add_project(organization, name)
    project.generate_history = None
    request.record_change(project.slug)
    return request.respond(serializers.project(project))


@routes.add("POST", "/project/{provider}/{organization}/{name}", "projects.create_from_repository")
def create_from_repository(request: RequestContext) -> Response:
    """Create a project of a repository by the older route."""
    provider, owner, name = (request.path_value(part) for part in ("provider", "organization", "name"))
    if provider == "circleci":
        request.fail(405, "Create projects using the API is currently supported for classic organizations only.")
    if provider not in {"gh", "github", "bb", "bitbucket"}:
        request.fail(400, f"Invalid project slug '{provider}/{owner}/{name}'.")
    organization = request.require(request.state.organization(f"{provider}/{owner}"), "Organization not found")
    project = request.state.project(f"{provider}/{owner}/{name}")
    if project is None:
        if name not in _REPOSITORIES:
            request.fail(404, "GitHub response: Not Found")
        project = request.state.add_project(organization, name)
        project.generate_history = None
        request.record_change(project.slug)
    return request.respond({"advanced": project.settings}, 201)


@routes.add("GET", "/project/{project/}/settings", "projects.get_settings")
def get_settings(request: RequestContext) -> Response:
    """Return a project's advanced settings."""
    return request.respond({"advanced": request.project().settings})


@routes.add("PATCH", "/project/{project/}/settings", "projects.update_settings")
def update_settings(request: RequestContext) -> Response:
    """Update some of a project's advanced settings. An empty list of branches changes nothing."""
    project = request.project()
    fields = request.body_fields()
    request.reject_unknown_fields(fields, ("advanced",))
    raw: object = fields.get("advanced", {})
    if not isinstance(raw, dict):
        request.fail(400, "advanced: must be an object.")
    settings = cast("dict[str, object]", raw)
    request.reject_unknown_fields(settings, default_settings())
    if "oss" in settings:
        request.fail(400, "Unexpected field 'advanced.oss'")
    for name, value in settings.items():
        if name == "pr_only_branch_overrides":
            if not isinstance(value, list) or not all(
                isinstance(branch, str) for branch in cast("list[object]", value)
            ):
                request.fail(400, f"advanced.{name}: must be an array of strings.")
        elif not isinstance(value, bool):
            request.fail(400, f"advanced.{name}: must be a boolean.")
    branches = cast("list[str]", settings.pop("pr_only_branch_overrides", []))
    if branches:
        settings["pr_only_branch_overrides"] = sorted(set(branches))
    if any(project.settings[name] != value for name, value in settings.items()):
        project.settings.update(settings)
        request.record_change(project.slug)
    return request.respond({"advanced": project.settings})


@routes.add("GET", "/project/{project/}/envvar", "projects.list_env_vars")
def list_env_vars(request: RequestContext) -> Response:
    """Return a project's environment variables, their values masked."""
    variables = [*request.project().variables.values()]
    return request.respond_page(variables, lambda variable: serializers.project_variable(request, variable), size=100)


@routes.add("POST", "/project/{project/}/envvar", "projects.create_env_var")
def create_env_var(request: RequestContext) -> Response:
    """Create or replace an environment variable."""
    project = request.project()
    fields = request.body_fields("name", "value")
    name: object = fields["name"]
    value: object = fields["value"]
    if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
        request.fail(400, "name: must be letters, digits and underscores, not beginning with a digit.")
    if not isinstance(value, str):
        request.fail(400, "value: must be a string.")
    variable = project.variables[name] = ProjectVariable(name=name, value=value, created=request.state.now())
    request.record_change(f"{project.slug} {name}")
    return request.respond(serializers.project_variable(request, variable), 201)


@routes.add("GET", "/project/{project/}/envvar/{name}", "projects.get_env_var")
def get_env_var(request: RequestContext) -> Response:
    """Return an environment variable of a project, its value masked."""
    return request.respond(serializers.project_variable(request, _variable(request, request.project())))


@routes.add("DELETE", "/project/{project/}/envvar/{name}", "projects.delete_env_var")
def delete_env_var(request: RequestContext) -> Response:
    """Delete an environment variable of a project."""
    project = request.project()
    variable = _variable(request, project)
    del project.variables[variable.name]
    request.record_change(f"{project.slug} {variable.name}")
    return request.respond_message("Environment variable deleted.")


def _variable(request: RequestContext, project: Project) -> ProjectVariable:
    return request.require(project.variables.get(request.path_value("name")), "Environment variable not found.")


@routes.add("GET", "/project/{project/}/checkout-key", "projects.list_checkout_keys")
def list_checkout_keys(request: RequestContext) -> Response:
    """Return a project's checkout keys."""
    digest_type = request.query_choice("digest", ("sha256", "md5")) or "md5"
    return request.respond_page(
        request.project().checkout_keys, lambda key: serializers.checkout_key(request, key, digest_type)
    )


@routes.add("POST", "/project/{project/}/checkout-key", "projects.create_checkout_key")
def create_checkout_key(request: RequestContext) -> Response:
    """Create a checkout key, which becomes the preferred one."""
    project = request.project()
    kind: object = request.body_fields("type")["type"]
    types = {"user-key": "github-user-key", "deploy-key": "deploy-key"}
    if not isinstance(kind, str) or kind not in types:
        request.fail(400, "type: must be one of user-key, deploy-key.")
    if project.organization.standalone:
        request.fail(400, "Checkout keys are not available to this project.")
    octets = digest("checkout key", project.key, len(request.state.changes), kind)
    for key in project.checkout_keys:
        key.preferred = False
    new = CheckoutKey(
        type=types[kind],
        public_key=f"ssh-rsa {b64encode(octets * 4).decode()} {project.slug}",
        md5=":".join(f"{byte:02x}" for byte in octets[:16]),
        sha256=f"SHA256:{b64encode(octets).decode().rstrip('=')}",
        preferred=True,
        created=request.state.now(),
    )
    project.checkout_keys.append(new)
    request.record_change(f"{project.slug} {new.md5}")
    return request.respond(serializers.checkout_key(request, new, "md5"), 201)


@routes.add("GET", "/project/{project/}/checkout-key/{fingerprint}", "projects.get_checkout_key")
def get_checkout_key(request: RequestContext) -> Response:
    """Return a checkout key by either of its fingerprints."""
    fingerprint = request.path_value("fingerprint")
    digest_type = "sha256" if fingerprint.startswith("SHA256:") else "md5"
    return request.respond(serializers.checkout_key(request, _checkout_key(request, request.project()), digest_type))


@routes.add("DELETE", "/project/{project/}/checkout-key/{fingerprint}", "projects.delete_checkout_key")
def delete_checkout_key(request: RequestContext) -> Response:
    """Delete a checkout key."""
    project = request.project()
    key = _checkout_key(request, project)
    project.checkout_keys.remove(key)
    request.record_change(f"{project.slug} {key.md5}")
    return request.respond_message("Checkout key deleted.")


def _checkout_key(request: RequestContext, project: Project) -> CheckoutKey:
    fingerprint = request.path_value("fingerprint")
    keys = (key for key in project.checkout_keys if fingerprint in {key.md5, key.sha256})
    return request.require(next(keys, None), "checkout key not found")
