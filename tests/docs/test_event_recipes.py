"""The recipes for webhooks receive signed events in the frameworks that they are for."""

from __future__ import annotations

import asyncio
import json
import re
import textwrap
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from aiohttp import ClientSession, web

from aiocircle.events import sign
from tests.support import events as bodies

GUIDE = Path(__file__).parents[2] / "docs/guide/events.md"
SECRET = "the secret of the examples"
BLOCK = re.compile(r"^( *)```python\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
RECIPES = [block[1] for block in BLOCK.findall(GUIDE.read_text(encoding="utf-8"))]


def recipe(word: str, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Run the recipe that imports `word`, and return its names."""
    monkeypatch.setenv("CIRCLECI_WEBHOOK_SECRET", SECRET)
    (code,) = [textwrap.dedent(code) for code in RECIPES if word in code]
    names: dict[str, Any] = {"__name__": "example"}
    exec(compile(code, str(GUIDE), "exec"), names)
    return names


@asynccontextmanager
async def lifespan(app: Any) -> AsyncIterator[None]:
    """Start and end an ASGI application, as a server does."""
    incoming: asyncio.Queue[Any] = asyncio.Queue()
    outgoing: asyncio.Queue[Any] = asyncio.Queue()
    scope = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": {}}
    task = asyncio.create_task(app(scope, incoming.get, outgoing.put))
    await incoming.put({"type": "lifespan.startup"})
    assert (await outgoing.get())["type"] == "lifespan.startup.complete"
    yield
    await incoming.put({"type": "lifespan.shutdown"})
    assert (await outgoing.get())["type"] == "lifespan.shutdown.complete"
    await task


async def statuses(post: Any) -> list[int]:
    """Deliver an event, its duplicate, a forged one and a malformed one."""
    body = json.dumps(bodies.workflow_completed("a")).encode()
    signature = sign(body, SECRET)
    return [
        await post(body, {"circleci-signature": signature}),
        await post(body, {"Circleci-Signature": signature}),
        await post(body + b" ", {"circleci-signature": signature}),
        await post(body, {}),
        await post(b"{", {"circleci-signature": sign(b"{", SECRET)}),
        await post(b" " * 9 * 2**20, {}),
    ]


@pytest.mark.parametrize("word", ["from fastapi", "from starlette", "lifespan.startup.complete"])
async def test_asgi_recipe(word: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """The application accepts what is signed, refuses the rest, and calls the handler once."""
    app = recipe(word, monkeypatch)["app"]
    transport = httpx.ASGITransport(app)

    async def post(body: bytes, headers: dict[str, str]) -> int:
        response = await client.post("/circleci", content=body, headers=headers)
        return response.status_code

    async with httpx.AsyncClient(transport=transport, base_url="http://example.com") as client:
        signed = json.dumps(bodies.workflow_completed("early")).encode()
        assert await post(signed, {"circleci-signature": sign(signed, SECRET)}) == 503
        async with lifespan(app):
            assert await statuses(post) == [202, 200, 401, 401, 400, 413]
    assert capsys.readouterr().out == "build-test-deploy success\n"


async def test_aiohttp_recipe(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """The application accepts what is signed, refuses the rest, and calls the handler once."""
    runner = web.AppRunner(recipe("from aiohttp", monkeypatch)["app"], shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}/circleci"

    async def chunks(body: bytes) -> AsyncIterator[bytes]:
        yield body

    async def post(body: bytes, headers: dict[str, str]) -> int:
        async with session.post(url, data=chunks(body), headers=headers) as response:
            return response.status

    async with ClientSession() as session:
        assert await statuses(post) == [202, 200, 401, 401, 400, 413]
        failed = bodies.workflow_completed("b", workflow={**bodies.WORKFLOW, "status": "failed"})
        body = json.dumps(failed).encode()
        assert await post(body, {"circleci-signature": sign(body, SECRET)}) == 202
        await runner.cleanup()
    assert capsys.readouterr().out == f"github/acme/web 130 build-test-deploy {bodies.WORKFLOW['url']}\n"
