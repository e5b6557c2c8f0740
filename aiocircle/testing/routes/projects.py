"""Projects: their settings, environment variables and checkout keys."""

from __future__ import annotations

import re
from base64 import b64encode
from typing import cast

from .. import wire
from ..call import Answer, Call, Routes
from ..identity import digest, is_uuid
from ..model import CheckoutKey, Project, ProjectVariable
from ..world import default_settings, now

__all__ = ["routes"]

routes = Routes()

# Repositories of the classic organizations that are not projects yet.
_REPOSITORIES = frozenset({"infrastructure", "playground", "handbook", "website"})


@routes.add("GET", "/project/{project}", "projects.get")
def get(call: Call) -> Answer:
    """A project."""
    return call.json(wire.project(call.project()))


@routes.add("GET", "/project/{project-id}", "projects.get")
def get_by_id(call: Call) -> Answer:
    """A project by its UUID, which is a slug for this operation alone."""
    ident = call.variable("project-id")
    if not is_uuid(ident):
        call.refuse(400, f"Invalid project slug '{ident}'.")
    return call.json(wire.project(call.found(call.world.project_by_id(ident), "Project not found")))


@routes.add("DELETE", "/project/{project}", "projects.delete")
def delete(call: Call) -> Answer:
    """Delete a project with all that belongs to it."""
    project = call.project()
    call.world.remove_project(project)
    call.changed(project.slug)
    return call.message("Project deleted")


@routes.add("POST", "/organization/{org}/project", "projects.create")
def create(call: Call) -> Answer:
    """Make a project: out of nothing in a standalone organization, out of a repository in others."""
    organization = call.org()
    name: object = call.fields("name")["name"]
    if not isinstance(name, str) or not name:
        call.refuse(400, "name: must be a non-empty string.")
    if any(project.name == name for project in call.world.projects_of(organization)):
        call.refuse(409, "Project already exists")
    if not organization.standalone and name not in _REPOSITORIES:
        call.refuse(404, "GitHub response: Not Found")
    project = call.world.add_project(organization, name)
    project.write_history = None
    call.changed(project.slug)
    return call.json(wire.project(project))


@routes.add("POST", "/project/{provider}/{organization}/{name}", "projects.create_from_repository")
def create_from_repository(call: Call) -> Answer:
    """Make a project of a repository, the older way."""
    provider, owner, name = (call.variable(part) for part in ("provider", "organization", "name"))
    if provider == "circleci":
        call.refuse(405, "Create projects using the API is currently supported for classic organizations only.")
    if provider not in {"gh", "github", "bb", "bitbucket"}:
        call.refuse(400, f"Invalid project slug '{provider}/{owner}/{name}'.")
    organization = call.found(call.world.organization(f"{provider}/{owner}"), "Organization not found")
    project = call.world.project(f"{provider}/{owner}/{name}")
    if project is None:
        if name not in _REPOSITORIES:
            call.refuse(404, "GitHub response: Not Found")
        project = call.world.add_project(organization, name)
        project.write_history = None
        call.changed(project.slug)
    return call.json({"advanced": project.settings}, 201)


@routes.add("GET", "/project/{project/}/settings", "projects.get_settings")
def get_settings(call: Call) -> Answer:
    """A project's advanced settings."""
    return call.json({"advanced": call.project().settings})


@routes.add("PATCH", "/project/{project/}/settings", "projects.update_settings")
def update_settings(call: Call) -> Answer:
    """Change some of a project's advanced settings; an empty list of branches changes nothing."""
    project = call.project()
    fields = call.fields()
    call.only(fields, ("advanced",))
    sent: object = fields.get("advanced", {})
    if not isinstance(sent, dict):
        call.refuse(400, "advanced: must be an object.")
    settings = cast("dict[str, object]", sent)
    call.only(settings, default_settings())
    if "oss" in settings:
        call.refuse(400, "Unexpected field 'advanced.oss'")
    for name, value in settings.items():
        if name == "pr_only_branch_overrides":
            if not isinstance(value, list) or not all(
                isinstance(branch, str) for branch in cast("list[object]", value)
            ):
                call.refuse(400, f"advanced.{name}: must be an array of strings.")
        elif not isinstance(value, bool):
            call.refuse(400, f"advanced.{name}: must be a boolean.")
    branches = cast("list[str]", settings.pop("pr_only_branch_overrides", []))
    if branches:
        settings["pr_only_branch_overrides"] = sorted(set(branches))
    if any(project.settings[name] != value for name, value in settings.items()):
        project.settings.update(settings)
        call.changed(project.slug)
    return call.json({"advanced": project.settings})


@routes.add("GET", "/project/{project/}/envvar", "projects.list_env_vars")
def list_env_vars(call: Call) -> Answer:
    """A project's environment variables, their values masked."""
    variables = [*call.project().variables.values()]
    return call.page(variables, lambda variable: wire.project_variable(call, variable), size=100)


@routes.add("POST", "/project/{project/}/envvar", "projects.create_env_var")
def create_env_var(call: Call) -> Answer:
    """Set an environment variable, whether it existed or not."""
    project = call.project()
    fields = call.fields("name", "value")
    name: object = fields["name"]
    value: object = fields["value"]
    if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
        call.refuse(400, "name: must be letters, digits and underscores, not beginning with a digit.")
    if not isinstance(value, str):
        call.refuse(400, "value: must be a string.")
    variable = project.variables[name] = ProjectVariable(name=name, value=value, created=now())
    call.changed(f"{project.slug} {name}")
    return call.json(wire.project_variable(call, variable), 201)


@routes.add("GET", "/project/{project/}/envvar/{name}", "projects.get_env_var")
def get_env_var(call: Call) -> Answer:
    """An environment variable of a project, its value masked."""
    return call.json(wire.project_variable(call, _variable(call, call.project())))


@routes.add("DELETE", "/project/{project/}/envvar/{name}", "projects.delete_env_var")
def delete_env_var(call: Call) -> Answer:
    """Delete an environment variable of a project."""
    project = call.project()
    variable = _variable(call, project)
    del project.variables[variable.name]
    call.changed(f"{project.slug} {variable.name}")
    return call.message("Environment variable deleted.")


def _variable(call: Call, project: Project) -> ProjectVariable:
    return call.found(project.variables.get(call.variable("name")), "Environment variable not found.")


@routes.add("GET", "/project/{project/}/checkout-key", "projects.list_checkout_keys")
def list_checkout_keys(call: Call) -> Answer:
    """A project's checkout keys."""
    digest_type = call.choice("digest", ("sha256", "md5")) or "md5"
    return call.page(call.project().checkout_keys, lambda key: wire.checkout_key(call, key, digest_type))


@routes.add("POST", "/project/{project/}/checkout-key", "projects.create_checkout_key")
def create_checkout_key(call: Call) -> Answer:
    """Make a checkout key, which becomes the preferred one."""
    project = call.project()
    kind: object = call.fields("type")["type"]
    types = {"user-key": "github-user-key", "deploy-key": "deploy-key"}
    if not isinstance(kind, str) or kind not in types:
        call.refuse(400, "type: must be one of user-key, deploy-key.")
    if project.organization.standalone:
        call.refuse(400, "Checkout keys are not available to this project.")
    octets = digest("checkout key", project.key, len(call.world.changes), kind)
    for key in project.checkout_keys:
        key.preferred = False
    made = CheckoutKey(
        type=types[kind],
        public_key=f"ssh-rsa {b64encode(octets * 4).decode()} {project.slug}",
        md5=":".join(f"{byte:02x}" for byte in octets[:16]),
        sha256=f"SHA256:{b64encode(octets).decode().rstrip('=')}",
        preferred=True,
        created=now(),
    )
    project.checkout_keys.append(made)
    call.changed(f"{project.slug} {made.md5}")
    return call.json(wire.checkout_key(call, made, "md5"), 201)


@routes.add("GET", "/project/{project/}/checkout-key/{fingerprint}", "projects.get_checkout_key")
def get_checkout_key(call: Call) -> Answer:
    """A checkout key by either of its fingerprints."""
    fingerprint = call.variable("fingerprint")
    digest_type = "sha256" if fingerprint.startswith("SHA256:") else "md5"
    return call.json(wire.checkout_key(call, _checkout_key(call, call.project()), digest_type))


@routes.add("DELETE", "/project/{project/}/checkout-key/{fingerprint}", "projects.delete_checkout_key")
def delete_checkout_key(call: Call) -> Answer:
    """Delete a checkout key."""
    project = call.project()
    key = _checkout_key(call, project)
    project.checkout_keys.remove(key)
    call.changed(f"{project.slug} {key.md5}")
    return call.message("Checkout key deleted.")


def _checkout_key(call: Call, project: Project) -> CheckoutKey:
    fingerprint = call.variable("fingerprint")
    keys = (key for key in project.checkout_keys if fingerprint in {key.md5, key.sha256})
    return call.found(next(keys, None), "checkout key not found")
