"""Users: the owner of the token, other users, and the organizations of the owner."""

from __future__ import annotations

import attrs

from aiocircle._core.endpoint import Endpoint, ListEndpoint, Table
from aiocircle._core.fields import KEBAB
from aiocircle._core.group import Group, Id
from aiocircle._core.pager import Pager
from aiocircle._core.pagination import NONE

__all__ = ["Collaboration", "User", "Users"]


@attrs.frozen(kw_only=True)
class User:
    """A person's account. name is missing without a display name. After a sign-up by e-mail, both are the address."""

    id: str
    login: str = ""
    name: str | None = None
    avatar_url: str | None = None


@attrs.frozen(kw_only=True)
class Collaboration:
    """An organization that a user is a member of. CircleCI may not know its id yet."""

    id: str | None = None
    vcs_type: str = attrs.field(default="", metadata=KEBAB)
    name: str
    avatar_url: str | None = None
    slug: str = ""


class _Endpoints(Table, group="users"):
    me = Endpoint("GET", "/me", User)
    get = Endpoint("GET", "/user/{user_id:id}", User)
    list_collaborations = ListEndpoint("GET", "/me/collaborations", Collaboration, pagination=NONE)


class Users(Group):
    """Users: `circle.users`."""

    async def me(self) -> User:
        """Return the user that the token belongs to.

        https://circleci.com/docs/api/v2/#operation/getCurrentUser
        """
        return await self._call(_Endpoints.me)

    async def get(self, user_id: Id) -> User:
        """Return a user, by id.

        https://circleci.com/docs/api/v2/#operation/getUser
        """
        return await self._call(_Endpoints.get, user_id)

    def list_collaborations(self, *, page_token: str | None = None) -> Pager[Collaboration]:
        """List the organizations that the token's user is a member of or works with. The API returns them in one piece.

        https://circleci.com/docs/api/v2/#operation/getCollaborations
        """
        return self._list(_Endpoints.list_collaborations, page_token=page_token)
