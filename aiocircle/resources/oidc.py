"""OIDC: the custom claims of the identity tokens that jobs get, for an organization or for one project."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

import attrs

from aiocircle._core.endpoint import Endpoint, Table
from aiocircle._core.fields import Timestamp
from aiocircle._core.group import Group, Id, OneOrMany, as_list, omit_none
from aiocircle.errors import InvalidArgument

__all__ = ["Claim", "Claims", "Oidc"]


class Claim(StrEnum):
    """The claims that can be customized, as far as known today."""

    AUDIENCE = "audience"
    TTL = "ttl"


@attrs.frozen(kw_only=True)
class Claims:
    """The custom claims of an organization's or a project's identity tokens.

    project_id is None for an organization's. ttl is a duration such as "1h30m0s"; it and the times are None, and
    audience is empty, where the claim is not customized.
    """

    org_id: str = ""
    project_id: str | None = None
    audience: tuple[str, ...] = ()
    audience_updated_at: Timestamp | None = None
    ttl: str | None = None
    ttl_updated_at: Timestamp | None = None


class _Endpoints(Table, group="oidc"):
    get_org_claims = Endpoint("GET", "/org/{org_id:id}/oidc-custom-claims", Claims)
    update_org_claims = Endpoint("PATCH", "/org/{org_id:id}/oidc-custom-claims", Claims)
    delete_org_claims = Endpoint("DELETE", "/org/{org_id:id}/oidc-custom-claims", Claims)
    get_project_claims = Endpoint("GET", "/org/{org_id:id}/project/{project_id:id}/oidc-custom-claims", Claims)
    update_project_claims = Endpoint("PATCH", "/org/{org_id:id}/project/{project_id:id}/oidc-custom-claims", Claims)
    delete_project_claims = Endpoint("DELETE", "/org/{org_id:id}/project/{project_id:id}/oidc-custom-claims", Claims)


class Oidc(Group):
    """Custom claims of identity tokens: `circle.oidc`."""

    async def get_org_claims(self, org_id: Id) -> Claims:
        """Return an organization's custom claims.

        https://circleci.com/docs/api/v2/#operation/GetOrgClaims
        """
        return await self._call(_Endpoints.get_org_claims, org_id)

    async def update_org_claims(
        self, org_id: Id, *, audience: OneOrMany | None = None, ttl: str | None = None
    ) -> Claims:
        """Set an organization's custom claims; claims that are omitted stay.

        ttl: one to seven numbers with a unit of ms, s, m, h, d or w, such as "90m", which reads back as "1h30m0s". The
        API may give the audience back in another order.

        https://circleci.com/docs/api/v2/#operation/PatchOrgClaims
        """
        return await self._call(
            _Endpoints.update_org_claims, org_id, body=omit_none(audience=as_list(audience), ttl=ttl)
        )

    async def delete_org_claims(self, org_id: Id, *, claims: OneOrMany) -> Claims:
        """Remove some of an organization's custom claims. Return those that are left.

        claims: one of Claim, or several.

        https://circleci.com/docs/api/v2/#operation/DeleteOrgClaims
        """
        return await self._call(_Endpoints.delete_org_claims, org_id, query={"claims": _joined(claims)})

    async def get_project_claims(self, org_id: Id, project_id: Id) -> Claims:
        """Return a project's custom claims.

        https://circleci.com/docs/api/v2/#operation/GetProjectClaims
        """
        return await self._call(_Endpoints.get_project_claims, org_id, project_id)

    async def update_project_claims(
        self, org_id: Id, project_id: Id, *, audience: OneOrMany | None = None, ttl: str | None = None
    ) -> Claims:
        """Set a project's custom claims; claims that are omitted stay. audience and ttl are as in update_org_claims.

        https://circleci.com/docs/api/v2/#operation/PatchProjectClaims
        """
        return await self._call(
            _Endpoints.update_project_claims, org_id, project_id, body=omit_none(audience=as_list(audience), ttl=ttl)
        )

    async def delete_project_claims(self, org_id: Id, project_id: Id, *, claims: OneOrMany) -> Claims:
        """Remove some of a project's custom claims. Return those that are left.

        claims: one of Claim, or several.

        https://circleci.com/docs/api/v2/#operation/DeleteProjectClaims
        """
        return await self._call(_Endpoints.delete_project_claims, org_id, project_id, query={"claims": _joined(claims)})


def _joined(claims: OneOrMany) -> str:
    """Return the claims in their form in the query: one parameter, separated by commas."""
    names: Sequence[str] = as_list(claims)
    if not isinstance(names, Sequence) or not all(isinstance(name, str) for name in names):
        raise InvalidArgument("claims must be the name of a claim, or several of them")
    return ",".join(names)
