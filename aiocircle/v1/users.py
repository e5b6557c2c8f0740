"""The token's user, as API v1.1 has it."""

from __future__ import annotations

import attrs

from aiocircle._core.fields import Timestamp

__all__ = ["User"]


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
