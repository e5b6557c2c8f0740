"""The token's user, as API v1.1 has it."""

from __future__ import annotations

import attrs

from aiocircle._core.api import V1
from aiocircle._core.endpoint import Endpoint, Table
from aiocircle._core.fields import Timestamp
from aiocircle._core.group import Group

__all__ = ["User", "Users"]


@attrs.frozen(kw_only=True)
class User:
    """The token's user. The API sends much more, which is not modelled."""

    login: str | None = None
    name: str | None = None
    id: str | int | None = None
    github_id: int | None = None
    avatar_url: str | None = None
    selected_email: str | None = None
    all_emails: tuple[str, ...] = ()
    admin: bool | None = None
    analytics_id: str | None = None
    pusher_id: str | None = None
    created_at: Timestamp | None = None
    sign_in_count: int | None = None
    days_left_in_trial: int | None = None


class _Endpoints(Table, group="v1.users", api=V1):
    me = Endpoint("GET", "/me", User)


class Users(Group):
    """The token's user: `circle.v1.users`."""

    async def me(self) -> User:
        """Return the token's user. The response is large; fields that are not modelled are dropped.

        https://circleci.com/docs/api/v1/
        """
        return await self._call(_Endpoints.me)
