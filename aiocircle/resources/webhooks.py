"""Webhooks: where CircleCI reports what has happened."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, TypedDict

import attrs

from aiocircle._core.api import kebab
from aiocircle._core.encode import encode_nested
from aiocircle._core.endpoint import Action, Endpoint, ListEndpoint, Table
from aiocircle._core.fields import KEBAB, Timestamp, Unset
from aiocircle._core.group import Group, Id, OneOrMany, as_list, omit_none
from aiocircle._core.pager import Pager
from aiocircle.errors import InvalidArgument

__all__ = ["Webhook", "WebhookEvent", "WebhookScope", "WebhookScopeFields", "Webhooks"]


class WebhookEvent(StrEnum):
    """The events that a webhook can report, as far as they are known today."""

    WORKFLOW_COMPLETED = "workflow-completed"
    JOB_COMPLETED = "job-completed"


@attrs.frozen(kw_only=True)
class WebhookScope:
    """The scope of a webhook: type is "project", and id that project's."""

    id: str = ""
    type: str = "project"


class WebhookScopeFields(TypedDict):
    """The scope of a new webhook, with the fields of WebhookScope."""

    id: Id
    type: str


@attrs.frozen(kw_only=True)
class Webhook:
    """An outbound webhook. signing_secret is masked by the API; None or "" without one."""

    id: str
    name: str
    url: str = ""
    events: tuple[str, ...] = ()
    scope: WebhookScope | None = None
    verify_tls: bool | None = attrs.field(default=None, metadata=KEBAB)
    signing_secret: str | None = attrs.field(default=None, repr=False, metadata=KEBAB)
    created_at: Timestamp | None = attrs.field(default=None, metadata=KEBAB)
    updated_at: Timestamp | None = attrs.field(default=None, metadata=KEBAB)


class _Endpoints(Table, group="webhooks"):
    create = Endpoint("POST", "/webhook", Webhook, body=kebab)
    delete = Action("DELETE", "/webhook/{webhook_id:id}")
    get = Endpoint("GET", "/webhook/{webhook_id:id}", Webhook)
    list = ListEndpoint("GET", "/webhook", Webhook)
    update = Endpoint("PUT", "/webhook/{webhook_id:id}", Webhook, body=kebab)


class Webhooks(Group):
    """Webhooks: `circle.webhooks`."""

    async def get(self, webhook_id: Id) -> Webhook:
        """Return a webhook, by id.

        https://circleci.com/docs/api/v2/#operation/getWebhookById
        """
        return await self._call(_Endpoints.get, webhook_id)

    def list(self, *, scope_id: Id, scope_type: str, page_token: str | None = None) -> Pager[Webhook]:
        """List the webhooks of a project: scope_id is the project's id, and scope_type "project".

        https://circleci.com/docs/api/v2/#operation/getWebhooks
        """
        return self._list(
            _Endpoints.list, query={"scope_id": scope_id, "scope_type": scope_type}, page_token=page_token
        )

    async def create(
        self,
        *,
        name: str,
        events: OneOrMany,
        url: str,
        verify_tls: bool,
        signing_secret: str,
        scope: WebhookScopeFields | WebhookScope,
    ) -> Webhook:
        """Create a webhook. A project has at most five.

        events: "workflow-completed", "job-completed" or both. url: https only. verify_tls: True if CircleCI is to
        check its certificate. signing_secret: the key of the signature of each event, "" for none.
        scope: the project, as `{"id": …, "type": "project"}`.

        https://circleci.com/docs/api/v2/#operation/createWebhook
        """
        return await self._call(
            _Endpoints.create,
            body={
                **_fields(name, events, url, verify_tls, signing_secret),
                "scope": encode_nested(WebhookScopeFields, scope, "scope"),
            },
        )

    async def update(
        self,
        webhook_id: Id,
        *,
        signing_secret: str | None,
        name: str | None = None,
        events: OneOrMany | None = None,
        url: str | None = None,
        verify_tls: bool | None = None,
    ) -> Webhook:
        """Replace a webhook.

        Fields that are omitted may be lost: read the webhook, and pass all of its fields. signing_secret is required,
        because the API deletes the secret if it is omitted; None deletes it. The secret that was read is masked and
        must not be sent back. The scope cannot change.

        https://circleci.com/docs/api/v2/#operation/updateWebhook
        """
        if isinstance(signing_secret, Unset):
            raise InvalidArgument("signing_secret is given, or None to remove it: left out, it would be lost")
        return await self._call(
            _Endpoints.update, webhook_id, body=_fields(name, events, url, verify_tls, signing_secret)
        )

    async def delete(self, webhook_id: Id) -> None:
        """Delete a webhook.

        https://circleci.com/docs/api/v2/#operation/deleteWebhook
        """
        return await self._call(_Endpoints.delete, webhook_id)


def _fields(
    name: str | None,
    events: OneOrMany | None,
    url: str | None,
    verify_tls: bool | None,
    signing_secret: str | None,
) -> dict[str, Any]:
    return omit_none(name=name, events=as_list(events), url=url, verify_tls=verify_tls, signing_secret=signing_secret)
