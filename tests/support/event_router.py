"""Helpers for tests of the router: signed deliveries and a handler that records."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from aiocircle.events import EventRouter, Ping, sign

SECRET = "the-secret"


def send(router: EventRouter, event: Any, secret: str = SECRET) -> int:
    body = event if isinstance(event, bytes) else json.dumps(event).encode()
    return router.receive(body, {"Circleci-Signature": sign(body, secret)})


def ping(event_id: Any) -> dict[str, Any]:
    return {"type": "ping", "id": event_id}


async def turns(number: int = 5) -> None:
    for _ in range(number):
        await asyncio.sleep(0)


class Recorder:
    """A handler that records the ids of its events, and waits for an event if it is cleared."""

    def __init__(self, router: EventRouter, event_type: Any = Ping) -> None:
        self.started: list[str] = []
        self.ended: list[str] = []
        self.go_on = asyncio.Event()
        self.go_on.set()
        router.on(event_type)(self.handle)

    async def handle(self, event: Any) -> None:
        self.started.append(event.id)
        await self.go_on.wait()
        self.ended.append(event.id)
