"""Contexts: environment variables that projects of an organization share, and the rules for their use."""

from __future__ import annotations

from enum import StrEnum
from typing import TypedDict

import attrs

from aiocircle._core.encode import encode_nested
from aiocircle._core.endpoint import Action, Endpoint, ListEndpoint, Table
from aiocircle._core.fields import Timestamp
from aiocircle._core.group import Group, Id, Org, omit_none
from aiocircle._core.pager import Pager

__all__ = [
    "Context",
    "ContextEnvVar",
    "ContextOwner",
    "ContextRestriction",
    "ContextRestrictionType",
    "Contexts",
]


class ContextRestrictionType(StrEnum):
    """The types of a context's restrictions that are known today."""

    PROJECT = "project"
    EXPRESSION = "expression"
    GROUP = "group"


@attrs.frozen(kw_only=True)
class ContextEnvVar:
    """An environment variable of a context. The API never returns its value.

    variable: the name; "" if the API only confirmed that it was set. truncated_value: the last four characters of the
    value, or its last half if it has at most eight; None just after it was set.
    """

    variable: str = ""
    context_id: str | None = None
    created_at: Timestamp | None = None
    updated_at: Timestamp | None = None
    truncated_value: str | None = attrs.field(default=None, repr=False)


@attrs.frozen(kw_only=True)
class ContextRestriction:
    """A rule that restricts the use of a context.

    restriction_value: the id of a project or of a group, or an expression, according to restriction_type. name: a
    readable form, such as a project's name. project_id: the project's id in older responses.
    """

    id: str = ""
    context_id: str | None = None
    restriction_type: str = ""
    restriction_value: str = ""
    name: str | None = None
    project_id: str | None = None


@attrs.frozen(kw_only=True)
class Context:
    """A context. Only `get` returns org_id, environment_variables and restrictions."""

    id: str
    name: str
    created_at: Timestamp | None = None
    org_id: str | None = None
    environment_variables: tuple[ContextEnvVar, ...] = ()
    restrictions: tuple[ContextRestriction, ...] = ()


class ContextOwner(TypedDict, total=False):
    """An organization, by id or by slug. type is "organization" when it is left out; "account" is for Server."""

    id: Id
    slug: str
    type: str


class _Endpoints(Table, group="contexts"):
    create = Endpoint("POST", "/context", Context)
    create_restriction = Endpoint("POST", "/context/{context_id:id}/restrictions", ContextRestriction)
    delete = Action("DELETE", "/context/{context_id:id}")
    delete_env_var = Action("DELETE", "/context/{context_id:id}/environment-variable/{env_var_name}")
    delete_restriction = Action("DELETE", "/context/{context_id:id}/restrictions/{restriction_id:id}")
    get = Endpoint("GET", "/context/{context_id:id}", Context)
    list = ListEndpoint("GET", "/context", Context)
    list_env_vars = ListEndpoint("GET", "/context/{context_id:id}/environment-variable", ContextEnvVar)
    list_restrictions = ListEndpoint(
        "GET", "/context/{context_id:id}/restrictions", ContextRestriction, items_optional=True
    )
    set_env_var = Endpoint("PUT", "/context/{context_id:id}/environment-variable/{env_var_name}", ContextEnvVar)


class Contexts(Group):
    """Contexts: `circle.contexts`.

    For a context that does not exist, the API returns 403: Forbidden is raised, not NotFound.
    """

    async def get(self, context_id: Id) -> Context:
        """Return a context, by id, with its variables and restrictions if the API includes them.

        https://circleci.com/docs/api/v2/#operation/getContext
        """
        return await self._call(_Endpoints.get, context_id)

    def list(
        self,
        *,
        owner_id: Id | None = None,
        owner_slug: Org | None = None,
        owner_type: str | None = None,
        page_token: str | None = None,
    ) -> Pager[Context]:
        """List the contexts of an organization, which owner_id or owner_slug names. One of the two is needed.

        owner_type: "organization" if it is omitted; "account" is for CircleCI Server.

        https://circleci.com/docs/api/v2/#operation/listContexts
        """
        return self._list(
            _Endpoints.list,
            query={"owner_id": owner_id, "owner_slug": self._org_slug(owner_slug), "owner_type": owner_type},
            page_token=page_token,
        )

    async def create(self, *, name: str, owner: ContextOwner) -> Context:
        """Create a context. owner: the organization, as `{"slug": "gh/acme"}` or `{"id": …}`.

        https://circleci.com/docs/api/v2/#operation/createContext
        """
        return await self._call(
            _Endpoints.create, body=omit_none(name=name, owner=encode_nested(ContextOwner, owner, "owner"))
        )

    async def delete(self, context_id: Id) -> None:
        """Delete a context, with all its environment variables.

        https://circleci.com/docs/api/v2/#operation/deleteContext
        """
        return await self._call(_Endpoints.delete, context_id)

    def list_env_vars(self, context_id: Id, *, page_token: str | None = None) -> Pager[ContextEnvVar]:
        """List a context's environment variables, without their values.

        A context has at most 100, which is one page. If it has more of them, the API returns its first page again and
        again: PaginationError follows the first 100.

        https://circleci.com/docs/api/v2/#operation/listEnvironmentVariablesFromContext
        """
        return self._list(_Endpoints.list_env_vars, context_id, page_token=page_token)

    async def set_env_var(self, context_id: Id, env_var_name: str, *, value: str) -> ContextEnvVar:
        """Create an environment variable of a context, or replace its value.

        https://circleci.com/docs/api/v2/#operation/addEnvironmentVariableToContext
        """
        return await self._call(_Endpoints.set_env_var, context_id, env_var_name, body=omit_none(value=value))

    async def delete_env_var(self, context_id: Id, env_var_name: str) -> None:
        """Delete an environment variable of a context.

        https://circleci.com/docs/api/v2/#operation/deleteEnvironmentVariableFromContext
        """
        return await self._call(_Endpoints.delete_env_var, context_id, env_var_name)

    def list_restrictions(self, context_id: Id, *, page_token: str | None = None) -> Pager[ContextRestriction]:
        """List a context's restrictions.

        https://circleci.com/docs/api/v2/#operation/getContextRestrictions
        """
        return self._list(_Endpoints.list_restrictions, context_id, page_token=page_token)

    async def create_restriction(
        self, context_id: Id, *, restriction_type: str | None = None, restriction_value: Id | None = None
    ) -> ContextRestriction:
        """Restrict a context.

        restriction_type: "project", "expression" or "group". restriction_value: the id of the project or group, or
        the expression. The API's document requires neither, but the API uses both.

        https://circleci.com/docs/api/v2/#operation/createContextRestriction
        """
        return await self._call(
            _Endpoints.create_restriction,
            context_id,
            body=omit_none(restriction_type=restriction_type, restriction_value=restriction_value),
        )

    async def delete_restriction(self, context_id: Id, restriction_id: Id) -> None:
        """Delete a restriction of a context.

        https://circleci.com/docs/api/v2/#operation/deleteContextRestriction
        """
        return await self._call(_Endpoints.delete_restriction, context_id, restriction_id)
