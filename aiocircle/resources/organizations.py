"""Organizations, and the URLs that their configurations may take orbs from."""

from __future__ import annotations

from enum import StrEnum

import attrs

from aiocircle.resources.common import Endpoint, Group, Id, ListEndpoint, Org, Pager, sent

__all__ = [
    "CreatedUrlOrbAllowListEntry",
    "Organization",
    "Organizations",
    "UrlOrbAllowListEntry",
    "UrlOrbAuth",
    "VcsType",
]


class VcsType(StrEnum):
    """Where an organization comes from, as far as known today. circleci: a standalone organization."""

    GITHUB = "github"
    BITBUCKET = "bitbucket"
    CIRCLECI = "circleci"


class UrlOrbAuth(StrEnum):
    """How CircleCI authenticates when it fetches an orb from a URL, as far as known today."""

    BITBUCKET_OAUTH = "bitbucket-oauth"
    GITHUB_OAUTH = "github-oauth"
    GITHUB_APP = "github-app"
    NONE = "none"


@attrs.frozen(kw_only=True)
class Organization:
    """An organization. vcs_type is one of VcsType, or a newer one."""

    id: str
    name: str
    slug: str
    vcs_type: str = ""


@attrs.frozen(kw_only=True)
class UrlOrbAllowListEntry:
    """An entry of an organization's allow-list: orbs may be referred to by URLs that start with prefix.

    auth is one of UrlOrbAuth, or a newer one.
    """

    id: str
    name: str
    prefix: str = ""
    auth: str = ""


@attrs.frozen(kw_only=True)
class CreatedUrlOrbAllowListEntry:
    """The id of an entry that was created, and what the API says of it."""

    id: str
    message: str | None = None


_CREATE = Endpoint(
    "POST",
    "/organization",
    Organization,
    operation="organizations.create",
    reference="createOrganization",
)
_GET = Endpoint(
    "GET",
    "/organization/{org-slug-or-id}",
    Organization,
    operation="organizations.get",
    reference="getOrganization",
)
_DELETE: Endpoint[None] = Endpoint(
    "DELETE",
    "/organization/{org-slug-or-id}",
    None,
    operation="organizations.delete",
    reference="deleteOrganization",
)
_LIST_URL_ORB_ALLOW_LIST = ListEndpoint(
    "GET",
    "/organization/{org-slug-or-id}/url-orb-allow-list",
    UrlOrbAllowListEntry,
    operation="organizations.list_url_orb_allow_list",
    reference="listURLOrbAllowListEntries",
    paged=False,
)
_CREATE_URL_ORB_ALLOW_LIST_ENTRY = Endpoint(
    "POST",
    "/organization/{org-slug-or-id}/url-orb-allow-list",
    CreatedUrlOrbAllowListEntry,
    operation="organizations.create_url_orb_allow_list_entry",
    reference="createURLOrbAllowListEntry",
)
_DELETE_URL_ORB_ALLOW_LIST_ENTRY: Endpoint[None] = Endpoint(
    "DELETE",
    "/organization/{org-slug-or-id}/url-orb-allow-list/{allow_list_entry_id}",
    None,
    operation="organizations.delete_url_orb_allow_list_entry",
    reference="removeURLOrbAllowListEntry",
)


class Organizations(Group):
    """Organizations: `circle.organizations`."""

    async def create(self, *, name: str, vcs_type: VcsType | str) -> Organization:
        """Create a standalone organization, or take one over from GitHub or Bitbucket, if the user may.

        https://circleci.com/docs/api/v2/#operation/createOrganization
        """
        return await self._call(_CREATE, body=sent(name=name, vcs_type=vcs_type))

    async def get(self, org: Org) -> Organization:
        """An organization, by slug or id.

        https://circleci.com/docs/api/v2/#operation/getOrganization
        """
        return await self._call(_GET, org)

    async def delete(self, org: Org) -> None:
        """Delete an organization with all its projects and everything that was built in them.

        It is accepted at once and done later.

        https://circleci.com/docs/api/v2/#operation/deleteOrganization
        """
        return await self._call(_DELETE, org)

    def list_url_orb_allow_list(self, org: Org, *, page_token: str | None = None) -> Pager[UrlOrbAllowListEntry]:
        """The URL prefixes that the organization's configurations may take orbs from. The API gives them in one piece.

        https://circleci.com/docs/api/v2/#operation/listURLOrbAllowListEntries
        """
        return self._list(_LIST_URL_ORB_ALLOW_LIST, org, page_token=page_token)

    async def create_url_orb_allow_list_entry(
        self, org: Org, *, name: str, prefix: str, auth: UrlOrbAuth | str
    ) -> CreatedUrlOrbAllowListEntry:
        """Allow orbs from URLs that start with a prefix.

        https://circleci.com/docs/api/v2/#operation/createURLOrbAllowListEntry
        """
        return await self._call(_CREATE_URL_ORB_ALLOW_LIST_ENTRY, org, body=sent(name=name, prefix=prefix, auth=auth))

    async def delete_url_orb_allow_list_entry(self, org: Org, allow_list_entry_id: Id) -> None:
        """Remove an entry from the allow-list; also well where there is no such entry.

        https://circleci.com/docs/api/v2/#operation/removeURLOrbAllowListEntry
        """
        return await self._call(_DELETE_URL_ORB_ALLOW_LIST_ENTRY, org, allow_list_entry_id)
