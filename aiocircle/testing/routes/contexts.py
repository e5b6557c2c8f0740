"""Contexts: secrets that jobs share, and who may use them."""

from __future__ import annotations

from typing import Any, cast

import attrs

from ..call import Answer, Call, Routes, iso_ms
from ..history import DAY
from ..identity import Kind, digest, is_uuid
from ..model import Organization
from ..world import World, now

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

    def __init__(self, world: World) -> None:
        self.by_id: dict[str, _Context] = {}
        self.lists = 0  # lists of variables so far: each gets a token of its own
        for organization in world.founding:
            counts = (("registry", 2), ("aws-production", 4), ("slack", 1), ("legacy-secrets", 109))
            for number, (name, count) in enumerate(counts):
                created = world.anchor - (400 - 40 * number) * DAY
                context = _Context(
                    id=world.identities.uuid(Kind.CONTEXT, organization.key, number),
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


def _contexts(call: Call) -> _Contexts:
    return call.world.part(_Contexts)


def _context(call: Call) -> _Context:
    """The context of the path: unknown ids are forbidden ones, a name is not found."""
    ident = call.variable("context_id")
    if not is_uuid(ident):
        call.refuse(404, "Context not found")
    context = _contexts(call).by_id.get(ident.lower())
    if context is None:
        call.refuse(403, _DENIED)
    return context


def _show(context: _Context) -> dict[str, Any]:
    return {"id": context.id, "name": context.name, "created_at": iso_ms(context.created)}


def _show_variable(context: _Context, variable: _Variable, *, tail: bool) -> dict[str, Any]:
    shown = {
        "variable": variable.name,
        "created_at": iso_ms(variable.created),
        "updated_at": iso_ms(variable.updated),
        "context_id": context.id,
    }
    if tail:
        length = min(4, len(variable.value) // 2) if len(variable.value) <= 8 else 4
        shown["truncated_value"] = variable.value[len(variable.value) - length :]
    return shown


def _show_restriction(call: Call, restriction: _Restriction) -> dict[str, Any]:
    shown = {
        "id": restriction.id,
        "restriction_type": restriction.type,
        "restriction_value": restriction.value,
    }
    project = call.world.project_by_id(restriction.value) if restriction.type == "project" else None
    if project is not None:
        shown["project_id"] = project.id
        shown["name"] = project.name
    return shown


@routes.add("GET", "/context", "contexts.list")
def list_all(call: Call) -> Answer:
    """An organization's contexts."""
    if call.choice("owner-type", ("account", "organization")) == "account":
        call.refuse(400, "owner-type: account is for CircleCI Server only.")
    owner = call.one("owner-id") or call.one("owner-slug")
    if owner is None:
        call.refuse(400, "owner-id or owner-slug: is required.")
    organization = call.found(call.world.organization(owner), "Organization not found")
    contexts = [context for context in _contexts(call).by_id.values() if context.organization is organization]
    return call.page(contexts, _show)


@routes.add("POST", "/context", "contexts.create")
def create(call: Call) -> Answer:
    """Make a context."""
    fields = call.fields("name", "owner")
    call.only(fields, ("name", "owner"))
    name: object = fields["name"]
    sent: object = fields["owner"]
    if not isinstance(name, str) or not name or not isinstance(sent, dict):
        call.refuse(400, "Unexpected request body provided.")
    owner = cast("dict[str, object]", sent)
    call.only(owner, ("id", "slug", "type"))
    if owner.get("type", "organization") != "organization":
        call.refuse(400, "owner.type: account is for CircleCI Server only.")
    which = owner.get("id", owner.get("slug"))
    if not isinstance(which, str):
        call.refuse(400, "owner: needs an id or a slug.")
    organization = call.found(call.world.organization(which), "Organization not found")
    known = _contexts(call).by_id
    if any(context.organization is organization and context.name == name for context in known.values()):
        call.refuse(409, "A context with this name already exists.")
    context = _Context(id=call.world.new_id(Kind.CONTEXT), organization=organization, name=name, created=now())
    known[context.id] = context
    call.changed(context.id)
    return call.json(_show(context))


@routes.add("GET", "/context/{context_id}", "contexts.get")
def get(call: Call) -> Answer:
    """A context with its variables and restrictions, which the document does not know of."""
    context = _context(call)
    shown = _show(context)
    if call.spelling == "wire":
        shown["org_id"] = context.organization.id
        shown["environment_variables"] = [
            _show_variable(context, variable, tail=True) for variable in context.variables.values()
        ]
        shown["restrictions"] = [_show_restriction(call, each) for each in context.restrictions.values()]
    return call.json(shown)


@routes.add("DELETE", "/context/{context_id}", "contexts.delete")
def delete(call: Call) -> Answer:
    """Delete a context with its variables."""
    context = _context(call)
    del _contexts(call).by_id[context.id]
    call.changed(context.id)
    return call.message("Context deleted.")


@routes.add("GET", "/context/{context_id}/environment-variable", "contexts.list_env_vars", keep=False)
def list_env_vars(call: Call) -> Answer:
    """The first of a context's variables: there is a token for more, a new one each time, but it leads nowhere."""
    context = _context(call)
    contexts = _contexts(call)
    contexts.lists += 1
    size = call.page_size or 100
    variables = [*context.variables.values()]
    token = None
    if len(variables) > size:
        token = digest("token", context.id, contexts.lists).hex() * 2 + "abcdefghijkl"
    shown = [_show_variable(context, variable, tail=call.spelling == "wire") for variable in variables[:size]]
    return call.json({"items": shown, "next_page_token": token})


@routes.add("PUT", "/context/{context_id}/environment-variable/{env_var_name}", "contexts.set_env_var")
def set_env_var(call: Call) -> Answer:
    """Set a variable; a hundred of them can be made."""
    context = _context(call)
    fields = call.fields("value")
    call.only(fields, ("value",))
    value: object = fields["value"]
    if not isinstance(value, str):
        call.refuse(400, "value: must be a string.")
    name = call.variable("env_var_name")
    variable = context.variables.get(name)
    if variable is None:
        if len(context.variables) >= _MOST_VARIABLES:
            call.refuse(400, "Cannot create more than 100 environment variables per context")
        variable = context.variables[name] = _Variable(name=name, value=value, created=now(), updated=now())
    else:
        variable.value, variable.updated = value, now()
    call.changed(f"{context.id} {name}")
    return call.json(_show_variable(context, variable, tail=False))


@routes.add("DELETE", "/context/{context_id}/environment-variable/{env_var_name}", "contexts.delete_env_var")
def delete_env_var(call: Call) -> Answer:
    """Delete a variable."""
    context = _context(call)
    name = call.variable("env_var_name")
    call.found(context.variables.pop(name, None), "Environment variable not found.")
    call.changed(f"{context.id} {name}")
    return call.message("Environment variable deleted.")


@routes.add("GET", "/context/{context_id}/restrictions", "contexts.list_restrictions")
def list_restrictions(call: Call) -> Answer:
    """What restricts a context's use."""
    if not is_uuid(call.variable("context_id")):
        call.refuse(400, "context_id is invalid.")
    context = _context(call)

    def show(restriction: _Restriction) -> dict[str, Any]:
        return {"context_id": context.id, **_show_restriction(call, restriction)}

    return call.page([*context.restrictions.values()], show)


@routes.add("POST", "/context/{context_id}/restrictions", "contexts.create_restriction")
def create_restriction(call: Call) -> Answer:
    """Restrict a context to a project, to a group or by an expression."""
    context = _context(call)
    fields = call.fields("restriction_type", "restriction_value")
    call.only(fields, ("restriction_type", "restriction_value"))
    kind: object = fields["restriction_type"]
    value: object = fields["restriction_value"]
    if kind not in _RESTRICTIONS or not isinstance(kind, str):
        call.refuse(400, f"restriction_type: must be one of {', '.join(_RESTRICTIONS)}.")
    if not isinstance(value, str) or not value or (kind != "expression" and not is_uuid(value)):
        call.refuse(400, "restriction_value is invalid.")
    if kind == "project":
        call.found(call.world.project_by_id(value), "Project not found")
    if any((known.type, known.value) == (kind, value) for known in context.restrictions.values()):
        call.refuse(409, "This restriction already exists.")
    made = _Restriction(id=call.world.new_id(Kind.RESTRICTION), type=kind, value=value)
    context.restrictions[made.id] = made
    call.changed(f"{context.id} {made.id}")
    return call.json(_show_restriction(call, made), 201)


@routes.add("DELETE", "/context/{context_id}/restrictions/{restriction_id}", "contexts.delete_restriction")
def delete_restriction(call: Call) -> Answer:
    """Lift a restriction."""
    context = _context(call)
    ident = call.variable("restriction_id").lower()
    if not is_uuid(ident):
        call.refuse(400, "restriction_id is invalid.")
    call.found(context.restrictions.pop(ident, None), "Restriction not found.")
    call.changed(f"{context.id} {ident}")
    return call.message("Context restriction deleted.")
