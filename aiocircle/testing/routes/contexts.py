"""Contexts: secrets that jobs share, and the rules for their use."""

from __future__ import annotations

from typing import Any, cast

import attrs

from ..ids import Kind, digest, is_uuid
from ..model import Organization
from ..request import RequestContext
from ..response import Response
from ..router import Routes
from ..state import State
from ..times import DAY, iso_ms

__all__ = ["routes"]

routes = Routes()

_MOST_VARIABLES = 100
_DENIED = "Permission denied."
_RESTRICTIONS = ("project", "expression", "group")


@attrs.define(eq=False, kw_only=True)
class _Variable:
    name: str
    value: str
    created: float
    updated: float


@attrs.frozen(kw_only=True)
class _Restriction:
    id: str
    type: str
    value: str


@attrs.define(eq=False, kw_only=True)
class _Context:
    id: str
    organization: Organization
    name: str
    created: float
    variables: dict[str, _Variable] = attrs.field(factory=dict[str, _Variable])
    restrictions: dict[str, _Restriction] = attrs.field(factory=dict[str, _Restriction])


class _Contexts:
    """All contexts. One has more variables than may be made, which a race between callers can bring about."""

    def __init__(self, state: State) -> None:
        self.by_id: dict[str, _Context] = {}
        self.lists = 0  # lists of variables so far: each gets a token of its own
        for organization in state.initial_organizations:
            counts = (("registry", 2), ("aws-production", 4), ("slack", 1), ("legacy-secrets", 109))
            for number, (name, count) in enumerate(counts):
                created = state.midnight - (400 - 40 * number) * DAY
                context = _Context(
                    id=state.ids.uuid(Kind.CONTEXT, organization.key, number),
                    organization=organization,
                    name=name,
                    created=created,
                )
                self.by_id[context.id] = context
                for index in range(count):
                    variable = f"{name.upper().replace('-', '_')}_{index:03}"
                    value = digest("context", organization.key, name, index).hex()[: 6 + index % 20]
                    changed = created + index * DAY / 4
                    context.variables[variable] = _Variable(
                        name=variable, value=value, created=created, updated=changed
                    )


def _contexts(request: RequestContext) -> _Contexts:
    return request.state.group_state(_Contexts)


def _context(request: RequestContext) -> _Context:
    """Return the context of the path: unknown ids are forbidden ones, a name is not found."""
    ident = request.path_value("context_id")
    if not is_uuid(ident):
        request.fail(404, "Context not found")
    context = _contexts(request).by_id.get(ident.lower())
    if context is None:
        request.fail(403, _DENIED)
    return context


def _show(context: _Context) -> dict[str, Any]:
    return {"id": context.id, "name": context.name, "created_at": iso_ms(context.created)}


def _show_variable(context: _Context, variable: _Variable, *, tail: bool) -> dict[str, Any]:
    payload = {
        "variable": variable.name,
        "created_at": iso_ms(variable.created),
        "updated_at": iso_ms(variable.updated),
        "context_id": context.id,
    }
    if tail:
        length = min(4, len(variable.value) // 2) if len(variable.value) <= 8 else 4
        payload["truncated_value"] = variable.value[len(variable.value) - length :]
    return payload


def _show_restriction(request: RequestContext, restriction: _Restriction) -> dict[str, Any]:
    payload = {
        "id": restriction.id,
        "restriction_type": restriction.type,
        "restriction_value": restriction.value,
    }
    project = request.state.project_by_id(restriction.value) if restriction.type == "project" else None
    if project is not None:
        payload["project_id"] = project.id
        payload["name"] = project.name
    return payload


@routes.add("GET", "/context", "contexts.list")
def list_all(request: RequestContext) -> Response:
    """Return an organization's contexts."""
    if request.query_choice("owner-type", ("account", "organization")) == "account":
        request.fail(400, "owner-type: account is for CircleCI Server only.")
    owner = request.query_value("owner-id") or request.query_value("owner-slug")
    if owner is None:
        request.fail(400, "owner-id or owner-slug: is required.")
    organization = request.require(request.state.organization(owner), "Organization not found")
    contexts = [context for context in _contexts(request).by_id.values() if context.organization is organization]
    return request.respond_page(contexts, _show)


@routes.add("POST", "/context", "contexts.create")
def create(request: RequestContext) -> Response:
    """Create a context."""
    fields = request.body_fields("name", "owner")
    request.reject_unknown_fields(fields, ("name", "owner"))
    name: object = fields["name"]
    raw: object = fields["owner"]
    if not isinstance(name, str) or not name or not isinstance(raw, dict):
        request.fail(400, "Unexpected request body provided.")
    owner = cast("dict[str, object]", raw)
    request.reject_unknown_fields(owner, ("id", "slug", "type"))
    if owner.get("type", "organization") != "organization":
        request.fail(400, "owner.type: account is for CircleCI Server only.")
    which = owner.get("id", owner.get("slug"))
    if not isinstance(which, str):
        request.fail(400, "owner: needs an id or a slug.")
    organization = request.require(request.state.organization(which), "Organization not found")
    known = _contexts(request).by_id
    if any(context.organization is organization and context.name == name for context in known.values()):
        request.fail(409, "A context with this name already exists.")
    context = _Context(
        id=request.state.new_id(Kind.CONTEXT), organization=organization, name=name, created=request.state.now()
    )
    known[context.id] = context
    request.record_change(context.id)
    return request.respond(_show(context))


@routes.add("GET", "/context/{context_id}", "contexts.get")
def get(request: RequestContext) -> Response:
    """Return a context. Its variables and restrictions are not in the official document."""
    context = _context(request)
    payload = _show(context)
    if request.spelling == "wire":
        payload["org_id"] = context.organization.id
        payload["environment_variables"] = [
            _show_variable(context, variable, tail=True) for variable in context.variables.values()
        ]
        payload["restrictions"] = [_show_restriction(request, each) for each in context.restrictions.values()]
    return request.respond(payload)


@routes.add("DELETE", "/context/{context_id}", "contexts.delete")
def delete(request: RequestContext) -> Response:
    """Delete a context with its variables."""
    context = _context(request)
    del _contexts(request).by_id[context.id]
    request.record_change(context.id)
    return request.respond_message("Context deleted.")


@routes.add("GET", "/context/{context_id}/environment-variable", "contexts.list_env_vars", cacheable=False)
def list_env_vars(request: RequestContext) -> Response:
    """List the first variables of a context. The token is new each time and never leads to the next page."""
    context = _context(request)
    contexts = _contexts(request)
    contexts.lists += 1
    size = request.page_size or 100
    variables = [*context.variables.values()]
    token = None
    if len(variables) > size:
        token = digest("token", context.id, contexts.lists).hex() * 2 + "abcdefghijkl"
    payload = [_show_variable(context, variable, tail=request.spelling == "wire") for variable in variables[:size]]
    return request.respond({"items": payload, "next_page_token": token})


@routes.add("PUT", "/context/{context_id}/environment-variable/{env_var_name}", "contexts.set_env_var")
def set_env_var(request: RequestContext) -> Response:
    """Set a variable. A context has at most a hundred."""
    context = _context(request)
    fields = request.body_fields("value")
    request.reject_unknown_fields(fields, ("value",))
    value: object = fields["value"]
    if not isinstance(value, str):
        request.fail(400, "value: must be a string.")
    name = request.path_value("env_var_name")
    variable = context.variables.get(name)
    if variable is None:
        if len(context.variables) >= _MOST_VARIABLES:
            request.fail(400, "Cannot create more than 100 environment variables per context")
        variable = context.variables[name] = _Variable(
            name=name, value=value, created=request.state.now(), updated=request.state.now()
        )
    else:
        variable.value, variable.updated = value, request.state.now()
    request.record_change(f"{context.id} {name}")
    return request.respond(_show_variable(context, variable, tail=False))


@routes.add("DELETE", "/context/{context_id}/environment-variable/{env_var_name}", "contexts.delete_env_var")
def delete_env_var(request: RequestContext) -> Response:
    """Delete a variable."""
    context = _context(request)
    name = request.path_value("env_var_name")
    request.require(context.variables.pop(name, None), "Environment variable not found.")
    request.record_change(f"{context.id} {name}")
    return request.respond_message("Environment variable deleted.")


@routes.add("GET", "/context/{context_id}/restrictions", "contexts.list_restrictions")
def list_restrictions(request: RequestContext) -> Response:
    """List the restrictions of a context."""
    if not is_uuid(request.path_value("context_id")):
        request.fail(400, "context_id is invalid.")
    context = _context(request)

    def show(restriction: _Restriction) -> dict[str, Any]:
        return {"context_id": context.id, **_show_restriction(request, restriction)}

    return request.respond_page([*context.restrictions.values()], show)


@routes.add("POST", "/context/{context_id}/restrictions", "contexts.create_restriction")
def create_restriction(request: RequestContext) -> Response:
    """Restrict a context to a project, to a group or by an expression."""
    context = _context(request)
    fields = request.body_fields("restriction_type", "restriction_value")
    request.reject_unknown_fields(fields, ("restriction_type", "restriction_value"))
    kind: object = fields["restriction_type"]
    value: object = fields["restriction_value"]
    if kind not in _RESTRICTIONS or not isinstance(kind, str):
        request.fail(400, f"restriction_type: must be one of {', '.join(_RESTRICTIONS)}.")
    if not isinstance(value, str) or not value or (kind != "expression" and not is_uuid(value)):
        request.fail(400, "restriction_value is invalid.")
    if kind == "project":
        request.require(request.state.project_by_id(value), "Project not found")
    if any((known.type, known.value) == (kind, value) for known in context.restrictions.values()):
        request.fail(409, "This restriction already exists.")
    new = _Restriction(id=request.state.new_id(Kind.RESTRICTION), type=kind, value=value)
    context.restrictions[new.id] = new
    request.record_change(f"{context.id} {new.id}")
    return request.respond(_show_restriction(request, new), 201)


@routes.add("DELETE", "/context/{context_id}/restrictions/{restriction_id}", "contexts.delete_restriction")
def delete_restriction(request: RequestContext) -> Response:
    """Delete a restriction."""
    context = _context(request)
    ident = request.path_value("restriction_id").lower()
    if not is_uuid(ident):
        request.fail(400, "restriction_id is invalid.")
    request.require(context.restrictions.pop(ident, None), "Restriction not found.")
    request.record_change(f"{context.id} {ident}")
    return request.respond_message("Context restriction deleted.")
