"""OIDC: the custom claims of the identity tokens that jobs get, for an organization or for one project."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

import attrs

from aiocircle.errors import InvalidArgument
from aiocircle.resources.common import Endpoint, Group, Id, Several, Timestamp, sent, several

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


_GET_ORG_CLAIMS = Endpoint(
    "GET",
    "/org/{org_id}/oidc-custom-claims",
    Claims,
    operation="oidc.get_org_claims",
    reference="GetOrgClaims",
)
_UPDATE_ORG_CLAIMS = Endpoint(
    "PATCH",
    "/org/{org_id}/oidc-custom-claims",
    Claims,
    operation="oidc.update_org_claims",
    reference="PatchOrgClaims",
)
_DELETE_ORG_CLAIMS = Endpoint(
    "DELETE",
    "/org/{org_id}/oidc-custom-claims",
    Claims,
    operation="oidc.delete_org_claims",
    reference="DeleteOrgClaims",
)
_GET_PROJECT_CLAIMS = Endpoint(
    "GET",
    "/org/{org_id}/project/{project_id}/oidc-custom-claims",
    Claims,
    operation="oidc.get_project_claims",
    reference="GetProjectClaims",
)
_UPDATE_PROJECT_CLAIMS = Endpoint(
    "PATCH",
    "/org/{org_id}/project/{project_id}/oidc-custom-claims",
    Claims,
    operation="oidc.update_project_claims",
    reference="PatchProjectClaims",
)
_DELETE_PROJECT_CLAIMS = Endpoint(
    "DELETE",
    "/org/{org_id}/project/{project_id}/oidc-custom-claims",
    Claims,
    operation="oidc.delete_project_claims",
    reference="DeleteProjectClaims",
)


class Oidc(Group):
    """Custom claims of identity tokens: `circle.oidc`."""

    async def get_org_claims(self, org_id: Id) -> Claims:
        """An organization's custom claims.

        https://circleci.com/docs/api/v2/#operation/GetOrgClaims
        """
        return await self._call(_GET_ORG_CLAIMS, org_id)

    async def update_org_claims(self, org_id: Id, *, audience: Several | None = None, ttl: str | None = None) -> Claims:
        """Set an organization's custom claims; what is left out stays.

        ttl: one to seven numbers with a unit of ms, s, m, h, d or w, such as "90m", which reads back as "1h30m0s". The
        API may give the audience back in another order.

        https://circleci.com/docs/api/v2/#operation/PatchOrgClaims
        """
        return await self._call(_UPDATE_ORG_CLAIMS, org_id, body=sent(audience=several(audience), ttl=ttl))

    async def delete_org_claims(self, org_id: Id, *, claims: Several) -> Claims:
        """Remove some of an organization's custom claims. The answer is what is left.

        claims: one of Claim, or several.

        https://circleci.com/docs/api/v2/#operation/DeleteOrgClaims
        """
        return await self._call(_DELETE_ORG_CLAIMS, org_id, query={"claims": _joined(claims)})

    async def get_project_claims(self, org_id: Id, project_id: Id) -> Claims:
        """A project's custom claims.

        https://circleci.com/docs/api/v2/#operation/GetProjectClaims
        """
        return await self._call(_GET_PROJECT_CLAIMS, org_id, project_id)

    async def update_project_claims(
        self, org_id: Id, project_id: Id, *, audience: Several | None = None, ttl: str | None = None
    ) -> Claims:
        """Set a project's custom claims; what is left out stays. audience and ttl are as in update_org_claims.

        https://circleci.com/docs/api/v2/#operation/PatchProjectClaims
        """
        return await self._call(
            _UPDATE_PROJECT_CLAIMS, org_id, project_id, body=sent(audience=several(audience), ttl=ttl)
        )

    async def delete_project_claims(self, org_id: Id, project_id: Id, *, claims: Several) -> Claims:
        """Remove some of a project's custom claims. The answer is what is left.

        claims: one of Claim, or several.

        https://circleci.com/docs/api/v2/#operation/DeleteProjectClaims
        """
        return await self._call(_DELETE_PROJECT_CLAIMS, org_id, project_id, query={"claims": _joined(claims)})


def _joined(claims: Several) -> str:
    """The claims as the query has them: one parameter, separated by commas."""
    names: Sequence[str] = several(claims)
    if not isinstance(names, Sequence) or not all(isinstance(name, str) for name in names):
        raise InvalidArgument("claims takes the name of a claim, or several of them")
    return ",".join(names)
