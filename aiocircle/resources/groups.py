"""Groups of an organization's members, which roles are granted to. Only standalone organizations have them."""

from __future__ import annotations

import attrs

from aiocircle.resources.common import Endpoint, Group, Id, ListEndpoint, Pager, sent

__all__ = ["Groups", "OrganizationGroup"]


@attrs.frozen(kw_only=True)
class OrganizationGroup:
    """A group of an organization's members. An id or name that is not given is empty."""

    id: str = ""
    name: str = ""
    description: str | None = None


_LIST = ListEndpoint(
    "GET",
    "/organizations/{org_id}/groups",
    OrganizationGroup,
    operation="groups.list",
    reference="getOrganizationGroups",
    sparse=True,
)
_CREATE = Endpoint(
    "POST",
    "/organizations/{org_id}/groups",
    OrganizationGroup,
    operation="groups.create",
    reference="createOrganizationGroup",
)
_GET = Endpoint(
    "GET",
    "/organizations/{org_id}/groups/{group_id}",
    OrganizationGroup,
    operation="groups.get",
    reference="getGroup",
)
_DELETE: Endpoint[None] = Endpoint(
    "DELETE",
    "/organizations/{org_id}/groups/{group_id}",
    None,
    operation="groups.delete",
    reference="deleteGroup",
)


class Groups(Group):
    """Groups of an organization's members: `circle.groups`."""

    def list(self, org_id: Id, *, limit: int | None = None, page_token: str | None = None) -> Pager[OrganizationGroup]:
        """An organization's groups; none in an organization that is not standalone.

        limit: how many of them one request fetches; the pager goes on to all of them.

        https://circleci.com/docs/api/v2/#operation/getOrganizationGroups
        """
        return self._list(_LIST, org_id, query={"limit": limit}, page_token=page_token)

    async def create(self, org_id: Id, *, name: str, description: str | None = None) -> OrganizationGroup:
        """Create a group in a standalone organization; Forbidden in another.

        https://circleci.com/docs/api/v2/#operation/createOrganizationGroup
        """
        return await self._call(_CREATE, org_id, body=sent(name=name, description=description))

    async def get(self, org_id: Id, group_id: Id) -> OrganizationGroup:
        """A group, by id.

        https://circleci.com/docs/api/v2/#operation/getGroup
        """
        return await self._call(_GET, org_id, group_id)

    async def delete(self, org_id: Id, group_id: Id) -> None:
        """Delete a group, with its memberships and the roles that were granted to it.

        A group that is not there is Forbidden rather than NotFound.

        https://circleci.com/docs/api/v2/#operation/deleteGroup
        """
        return await self._call(_DELETE, org_id, group_id)
