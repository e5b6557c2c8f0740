"""Events that CircleCI's outbound webhooks send: verified, parsed and handled.

Nothing here needs a client or a token.

https://circleci.com/docs/guides/integration/outbound-webhooks/
"""

from __future__ import annotations

from aiocircle.errors import MalformedEvent, SignatureError
from aiocircle.events.health import Health, fold
from aiocircle.events.models import JobCompleted, Ping, UnknownEvent, WorkflowCompleted
from aiocircle.events.parser import parse_event
from aiocircle.events.router import EventRouter
from aiocircle.events.signature import sign, verify

__all__ = [
    "EventRouter",
    "Health",
    "JobCompleted",
    "MalformedEvent",
    "Ping",
    "SignatureError",
    "UnknownEvent",
    "WorkflowCompleted",
    "fold",
    "parse_event",
    "sign",
    "verify",
]
