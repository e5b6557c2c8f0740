"""Users: who the token belongs to, and which organizations they work in."""

from __future__ import annotations

import attrs

from aiocircle.resources.common import KEBAB, Endpoint, Group, Id, ListEndpoint, Pager

__all__ = ["Collaboration", "User", "Users"]


@attrs.frozen(kw_only=True)
class User:
    """A person's account. name is None without a display name. After a sign-up by e-mail, both are the address."""

    id: str
    login: str = ""
    name: str | None = None
    avatar_url: str | None = None


@attrs.frozen(kw_only=True)
class Collaboration:
    """An organization that a user is a member of. id is None where CircleCI does not know it yet."""

    id: str | None = None
    vcs_type: str = attrs.field(default="", metadata=KEBAB)
    name: str
    avatar_url: str | None = None
    slug: str = ""


_ME = Endpoint("GET", "/me", User, operation="users.me", reference="getCurrentUser")
_GET = Endpoint("GET", "/user/{user_id}", User, operation="users.get", reference="getUser")
_LIST_COLLABORATIONS = ListEndpoint(
    "GET",
    "/me/collaborations",
    Collaboration,
    operation="users.list_collaborations",
    reference="getCollaborations",
    paged=False,
    bare=True,
)


class Users(Group):
    """Users: `circle.users`."""

    async def me(self) -> User:
        """The user that the token belongs to.

        https://circleci.com/docs/api/v2/#operation/getCurrentUser
        """
        return await self._call(_ME)

    async def get(self, user_id: Id) -> User:
        """A user, by id.

        https://circleci.com/docs/api/v2/#operation/getUser
        """
        return await self._call(_GET, user_id)

    def list_collaborations(self, *, page_token: str | None = None) -> Pager[Collaboration]:
        """The organizations that the token's user is a member of or works with. The API gives them in one piece.

        https://circleci.com/docs/api/v2/#operation/getCollaborations
        """
        return self._list(_LIST_COLLABORATIONS, page_token=page_token)
