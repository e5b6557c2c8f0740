"""One webhook of a name: which of several stays, and the calls that lead there although others do the same."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Final, Protocol

import attrs

from aiocircle.errors import BadRequest, CircleCIError, ConfigurationError, Conflict, NotFound
from aiocircle.resources.webhooks import Webhook

__all__ = ["WebhookCalls", "WebhookPlan", "ensure_webhook", "plan_webhooks"]

MAX_WEBHOOKS: Final = 5
"""Webhooks that a project can have."""
UNKNOWN_FOR: Final = 10.0
"""Seconds in which a webhook may appear whose creation was not confirmed."""
LIST_PAUSE: Final = 1.0
MAX_ROUNDS: Final = 10
"""Lists of one call. Each repetition needs another caller that deletes the webhook meanwhile."""


class WebhookCalls(Protocol):
    """The requests of one call, with the fields of its webhook."""

    async def list(self) -> tuple[Webhook, ...]:
        """Return all webhooks of the project."""
        ...

    async def create(self) -> Webhook:
        """Create the webhook."""
        ...

    async def update(self, webhook_id: str, /) -> Webhook:
        """Replace all fields of the webhook, also its secret."""
        ...

    async def delete(self, webhook_id: str, /) -> None:
        """Delete the webhook."""
        ...


@attrs.frozen
class WebhookPlan:
    """The webhook of the name that stays, or None, and those to delete."""

    stays: Webhook | None
    delete: tuple[Webhook, ...]


def plan_webhooks(webhooks: Iterable[Webhook], *, name: str, url: str, first_ids: Collection[str]) -> WebhookPlan:
    """Decide which webhook of the name stays: the oldest, as every caller decides.

    The others are deleted if they were not in the first list of this call, or have its URL. Those are doubles that
    concurrent calls created. Any other one belongs to a person.
    """
    named = sorted((each for each in webhooks if each.name == name), key=_age)
    others = tuple(each for each in named[1:] if each.id not in first_ids or each.url == url)
    return WebhookPlan(named[0] if named else None, others)


def _age(webhook: Webhook) -> tuple[datetime, str]:
    return webhook.created_at or datetime.max.replace(tzinfo=UTC), webhook.id


async def ensure_webhook(calls: WebhookCalls, *, name: str, url: str) -> Webhook:
    """Return the one webhook of the name, created or updated. Doubles of it that concurrent calls made are deleted."""
    first_ids: frozenset[str] | None = None
    made: Webhook | None = None
    refusal: CircleCIError | None = None
    for _ in range(MAX_ROUNDS):
        webhooks = await calls.list()
        first_ids = frozenset(each.id for each in webhooks) if first_ids is None else first_ids
        plan = plan_webhooks(webhooks, name=name, url=url, first_ids=first_ids)
        if plan.stays is not None:
            if (kept := await _carry_out(calls, plan, plan.stays, made)) is not None:
                return kept
        elif made is not None:
            return made  # The list does not show it yet.
        elif len(webhooks) >= MAX_WEBHOOKS:
            message = f"the project has {len(webhooks)} other webhooks, the most that it can have. Delete one of them"
            raise ConfigurationError(message) from refusal
        elif refusal is not None:
            raise refusal
        else:
            made, refusal = await _create(calls, name)
    raise refusal or ConfigurationError(f"the webhook {name!r} is deleted again and again by another caller")


async def _carry_out(calls: WebhookCalls, plan: WebhookPlan, stays: Webhook, made: Webhook | None) -> Webhook | None:
    """Delete the doubles and return the webhook that stays, updated. None if it is gone meanwhile."""
    for each in plan.delete:
        with suppress(NotFound):  # Another caller was faster.
            await calls.delete(each.id)
    if made is not None and made.id == stays.id:
        return made
    try:
        return await calls.update(stays.id)
    except NotFound:
        return None


async def _create(calls: WebhookCalls, name: str) -> tuple[Webhook | None, CircleCIError | None]:
    """Create the webhook. Return it, or the error if a new list may show the webhook of another call."""
    try:
        return await calls.create(), None
    except (BadRequest, Conflict) as error:
        return None, error
    except CircleCIError as error:
        if error.outcome != "unknown":
            raise
        await _wait_for_name(calls, name)
        return None, error


async def _wait_for_name(calls: WebhookCalls, name: str) -> None:
    """Wait until a list shows a webhook of the name, but not longer than an unconfirmed one may take."""
    loop = asyncio.get_running_loop()
    until = loop.time() + UNKNOWN_FOR
    while loop.time() < until:
        await asyncio.sleep(LIST_PAUSE)
        try:
            if any(each.name == name for each in await calls.list()):
                return
        except CircleCIError:
            pass  # The error of the creation is the one to raise.
