"""Webhooks, with one of a name that is created or updated."""

from __future__ import annotations

import attrs

from aiocircle._core.group import OneOrMany, Project
from aiocircle.errors import InvalidArgument
from aiocircle.links import project_at
from aiocircle.resources import webhooks
from aiocircle.resources.webhooks import Webhook, WebhookScope

__all__ = ["Webhooks"]


class Webhooks(webhooks.Webhooks):
    """Webhooks: `circle.webhooks`."""

    __slots__ = ()

    async def ensure(
        self,
        project: Project,
        *,
        name: str,
        url: str,
        events: OneOrMany,
        signing_secret: str | None,
        verify_tls: bool = True,
    ) -> Webhook:
        """Create the webhook of this name, or update it, and return it.

        Services can call this at the same time, and at each start: one webhook of the name remains. If there are
        several, the oldest remains. Others are deleted if they appeared during this call, or have its URL.

        events: "workflow-completed", "job-completed" or both. signing_secret: None for unsigned events. It is sent
        with each update, because CircleCI deletes a secret that is not sent again. verify_tls: True if CircleCI
        verifies the certificate of the URL.

        Raise ConfigurationError if the project has five other webhooks, the most that it can have.

        https://circleci.com/docs/api/v2/#operation/createWebhook
        """
        from aiocircle.composites._ensure import ensure_webhook
        from aiocircle.composites._project_ids import project_id

        for value, parameter in ((name, "name"), (url, "url")):
            if not isinstance(value, str) or not value:
                raise InvalidArgument(f"{parameter} must be a text, got {type(value).__name__}")
        scope_id = await project_id(self._executor, project_at(project, self._executor.state.base_url))
        calls = _WebhookCalls(
            webhooks.Webhooks(self._executor), scope_id, name, url, events, signing_secret, verify_tls
        )
        return await ensure_webhook(calls, name=name, url=url)


@attrs.frozen
class _WebhookCalls:
    """The requests of one `ensure`, by a client."""

    _webhooks: webhooks.Webhooks
    _project_id: str
    _name: str
    _url: str
    _events: OneOrMany
    _signing_secret: str | None = attrs.field(repr=False)
    _verify_tls: bool

    async def list(self) -> tuple[Webhook, ...]:
        return tuple(await self._webhooks.list(scope_id=self._project_id, scope_type="project").collect())

    async def create(self) -> Webhook:
        return await self._webhooks.create(
            name=self._name,
            events=self._events,
            url=self._url,
            verify_tls=self._verify_tls,
            signing_secret=self._signing_secret or "",
            scope=WebhookScope(id=self._project_id),
        )

    async def update(self, webhook_id: str, /) -> Webhook:
        return await self._webhooks.update(
            webhook_id,
            signing_secret=self._signing_secret,
            name=self._name,
            events=self._events,
            url=self._url,
            verify_tls=self._verify_tls,
        )

    async def delete(self, webhook_id: str, /) -> None:
        await self._webhooks.delete(webhook_id)
