"""Organizations, and the URLs that their configurations may take orbs from."""

from __future__ import annotations

from enum import StrEnum

import attrs

from aiocircle._core.endpoint import Action, Endpoint, ListEndpoint, Table
from aiocircle._core.group import Group, Id, Org, omit_none
from aiocircle._core.pager import Pager
from aiocircle._core.pagination import NONE

__all__ = [
    "CreatedUrlOrbAllowListEntry",
    "Organization",
    "Organizations",
    "UrlOrbAllowListEntry",
    "UrlOrbAuth",
    "VcsType",
]


class VcsType(StrEnum):
    """The origins of an organization that are known today. circleci: a standalone organization."""

    GITHUB = "github"
    BITBUCKET = "bitbucket"
    CIRCLECI = "circleci"


class UrlOrbAuth(StrEnum):
    """The ways to authenticate that are known today, with which CircleCI fetches an orb from a URL."""

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
    """The id of an entry that was created, and the API's message."""

    id: str
    message: str | None = None


class _Endpoints(Table, group="organizations"):
    create = Endpoint("POST", "/organization", Organization)
    get = Endpoint("GET", "/organization/{org:slug_or_id}", Organization)
    delete = Action("DELETE", "/organization/{org:slug_or_id}")
    list_url_orb_allow_list = ListEndpoint(
        "GET", "/organization/{org:slug_or_id}/url-orb-allow-list", UrlOrbAllowListEntry, pagination=NONE
    )
    create_url_orb_allow_list_entry = Endpoint(
        "POST", "/organization/{org:slug_or_id}/url-orb-allow-list", CreatedUrlOrbAllowListEntry
    )
    delete_url_orb_allow_list_entry = Action(
        "DELETE", "/organization/{org:slug_or_id}/url-orb-allow-list/{allow_list_entry_id:id}"
    )


class Organizations(Group):
    """Organizations: `circle.organizations`."""

    async def create(self, *, name: str, vcs_type: VcsType | str) -> Organization:
        """Create a standalone organization, or take one over from GitHub or Bitbucket, if the user may.

        https://circleci.com/docs/api/v2/#operation/createOrganization
        """
        return await self._call(_Endpoints.create, body=omit_none(name=name, vcs_type=vcs_type))

    async def get(self, org: Org) -> Organization:
        """Return an organization, by slug or id.

        https://circleci.com/docs/api/v2/#operation/getOrganization
        """
        return await self._call(_Endpoints.get, org)

    async def delete(self, org: Org) -> None:
        """Delete an organization with all its projects and everything that was built in them.

        The request is accepted immediately and executed later.

        https://circleci.com/docs/api/v2/#operation/deleteOrganization
        """
        return await self._call(_Endpoints.delete, org)

    def list_url_orb_allow_list(self, org: Org, *, page_token: str | None = None) -> Pager[UrlOrbAllowListEntry]:
        """List the URL prefixes from which configurations may take orbs. The API returns them in one piece.

        https://circleci.com/docs/api/v2/#operation/listURLOrbAllowListEntries
        """
        return self._list(_Endpoints.list_url_orb_allow_list, org, page_token=page_token)

    async def create_url_orb_allow_list_entry(
        self, org: Org, *, name: str, prefix: str, auth: UrlOrbAuth | str
    ) -> CreatedUrlOrbAllowListEntry:
        """Allow orbs from URLs that start with a prefix.

        https://circleci.com/docs/api/v2/#operation/createURLOrbAllowListEntry
        """
        return await self._call(
            _Endpoints.create_url_orb_allow_list_entry, org, body=omit_none(name=name, prefix=prefix, auth=auth)
        )

    async def delete_url_orb_allow_list_entry(self, org: Org, allow_list_entry_id: Id) -> None:
        """Remove an entry from the allow-list. A missing entry is not an error.

        https://circleci.com/docs/api/v2/#operation/removeURLOrbAllowListEntry
        """
        return await self._call(_Endpoints.delete_url_orb_allow_list_entry, org, allow_list_entry_id)
