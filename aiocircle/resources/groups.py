"""Groups of an organization's members, which roles are granted to. Only standalone organizations have them."""

from __future__ import annotations

import attrs

from aiocircle._core.endpoint import Action, Endpoint, ListEndpoint, Table
from aiocircle._core.group import Group, Id, omit_none
from aiocircle._core.pager import Pager

__all__ = ["Groups", "OrganizationGroup"]


@attrs.frozen(kw_only=True)
class OrganizationGroup:
    """A group of an organization's members. An id or name that is not given is empty."""

    id: str = ""
    name: str = ""
    description: str | None = None


class _Endpoints(Table, group="groups"):
    list = ListEndpoint("GET", "/organizations/{org_id:id}/groups", OrganizationGroup, items_optional=True)
    create = Endpoint("POST", "/organizations/{org_id:id}/groups", OrganizationGroup)
    get = Endpoint("GET", "/organizations/{org_id:id}/groups/{group_id:id}", OrganizationGroup)
    delete = Action("DELETE", "/organizations/{org_id:id}/groups/{group_id:id}")


class Groups(Group):
    """Groups of an organization's members: `circle.groups`."""

    def list(self, org_id: Id, *, limit: int | None = None, page_token: str | None = None) -> Pager[OrganizationGroup]:
        """List an organization's groups. Only standalone organizations have groups.

        limit: the number that one request fetches. The pager continues to all of them.

        https://circleci.com/docs/api/v2/#operation/getOrganizationGroups
        """
        return self._list(_Endpoints.list, org_id, query={"limit": limit}, page_token=page_token)

    async def create(self, org_id: Id, *, name: str, description: str | None = None) -> OrganizationGroup:
        """Create a group in a standalone organization; Forbidden in another.

        https://circleci.com/docs/api/v2/#operation/createOrganizationGroup
        """
        return await self._call(_Endpoints.create, org_id, body=omit_none(name=name, description=description))

    async def get(self, org_id: Id, group_id: Id) -> OrganizationGroup:
        """Return a group, by id.

        https://circleci.com/docs/api/v2/#operation/getGroup
        """
        return await self._call(_Endpoints.get, org_id, group_id)

    async def delete(self, org_id: Id, group_id: Id) -> None:
        """Delete a group, with its memberships and the roles that were granted to it.

        A group that is not there is Forbidden rather than NotFound.

        https://circleci.com/docs/api/v2/#operation/deleteGroup
        """
        return await self._call(_Endpoints.delete, org_id, group_id)
