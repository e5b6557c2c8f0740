"""Tokens that are replaced while the client lives."""

from __future__ import annotations

import asyncio
import base64

import pytest

from aiocircle import CircleCI, ConfigurationError, RetryPolicy, Throttle, Unauthorized
from tests.support.confidence import shown_by_library

X = "/api/v2/x"


def accept(server, *tokens):
    """Let the server accept some tokens only."""
    accepted = set(tokens)
    server.route(
        X,
        lambda request: (
            server.reply(200, {"ok": True})
            if request.headers.get("Circle-Token") in accepted
            else server.reply(401, {"message": f"no: {request.headers.get('Circle-Token')}"})
        ),
    )
    return accepted


class Provider:
    """Returns one token after the other, the last one again and again."""

    def __init__(self, *tokens, wait=0.0):
        self.tokens = list(tokens)
        self.calls = 0
        self.wait = wait

    async def __call__(self):
        self.calls += 1
        await asyncio.sleep(self.wait)
        token = self.tokens.pop(0) if len(self.tokens) > 1 else self.tokens[0]
        if isinstance(token, Exception):
            raise token
        return token


async def test_provider_is_called_before_the_first_request(server, make):
    """Once for all requests that wait for it, and not when the client is created."""
    accept(server, "first-token")
    provider = Provider("first-token", wait=1.0)
    circle = make(token=provider)
    assert provider.calls == 0
    await asyncio.gather(*[circle.request("GET", X) for _ in range(10)])
    assert provider.calls == 1
    assert len(server.requests) == 10


async def test_plain_function_is_a_provider(server, make):
    """A provider may return the token itself, with white space around it."""
    accept(server, "plain-token")
    assert await make(token=lambda: " plain-token\n").request("GET", X) == {"ok": True}


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE"])
async def test_another_token_is_tried_once(server, make, method):
    """A 401 changed nothing: every verb is sent again, which is neither an attempt nor a retry."""
    accept(server, "second-token")
    retries = []
    circle = make(token=Provider("first-token", "second-token"), on_retry=retries.append, retry=RetryPolicy(attempts=1))
    assert await circle.request(method, X, json={"a": 1} if method == "POST" else None) == {"ok": True}
    assert [request.headers["Circle-Token"] for request in server.requests] == ["first-token", "second-token"]
    assert retries == []


async def test_the_same_token_is_not_tried_again(server, make):
    """The provider is called once after the 401, and its error has one attempt."""
    accept(server)
    provider = Provider("only-token")
    with pytest.raises(Unauthorized) as caught:
        await make(token=provider).request("POST", X)
    assert (provider.calls, len(server.requests), caught.value.attempts) == (2, 1, 1)
    assert caught.value.outcome == "not_done"


async def test_a_second_refusal_is_final(server, make):
    """Two tokens are sent at most, also if the provider has others."""
    accept(server, "third-token")
    provider = Provider("first-token", "second-token", "third-token")
    with pytest.raises(Unauthorized) as caught:
        await make(token=provider).request("GET", X)
    assert (provider.calls, len(server.requests), caught.value.attempts) == (2, 2, 1)


async def test_one_call_serves_concurrent_refusals(server, make):
    """Requests that were refused with the old token wait for one call, or take the token that is there already."""
    accepted = accept(server, "first-token")
    provider = Provider("first-token", "second-token", wait=1.0)
    circle = make(token=provider)
    await circle.request("GET", X)
    accepted.clear()
    accepted.add("second-token")
    await asyncio.gather(*[circle.request("POST", X) for _ in range(20)])
    assert provider.calls == 2


async def test_a_replaced_token_needs_no_call(server, make):
    """A request that was sent with the old token and refused late takes the present one."""
    late = asyncio.Event()
    answers = {
        ("/api/v2/late", "first-token"): server.reply(401, when=late),
        ("/api/v2/early", "first-token"): server.reply(401),
    }
    for path in ("/api/v2/late", "/api/v2/early"):
        server.route(path, lambda r: answers.get((r.path, r.headers["Circle-Token"]), server.reply(200, {})))
    provider = Provider("first-token", "second-token")
    circle = make(token=provider)
    waiting = asyncio.ensure_future(circle.request("GET", "/api/v2/late"))
    await asyncio.sleep(0.1)
    await circle.request("GET", "/api/v2/early")
    late.set()
    assert await waiting == {}
    assert provider.calls == 2


async def test_a_cancelled_call_is_made_again(server, make):
    """The task that called the provider is cancelled: the next one that waits calls it, and nothing hangs."""
    accept(server, "first-token")
    provider = Provider("first-token", wait=10.0)
    circle = make(token=provider)
    first, second = (asyncio.ensure_future(circle.request("GET", X)) for _ in range(2))
    await asyncio.sleep(1)
    first.cancel()
    assert await second == {"ok": True}
    assert first.cancelled()
    assert provider.calls == 2


@pytest.mark.parametrize(
    "bad", [ValueError("hush-token-123"), "", "  ", "hush-token-123\nx", None, 5, b"hush-token-123"], ids=repr
)
@pytest.mark.parametrize("first", [True, False], ids=["first", "after a 401"])
async def test_bad_provider_is_a_configuration_error(server, make, bad, first):
    """The error repeats neither the token nor the provider's own text. The next call calls it again."""
    accept(server, "good-token")
    provider = Provider(*([] if first else ["old-token"]), bad, "good-token")
    circle = make(token=provider)
    with pytest.raises(ConfigurationError, match="token") as caught:
        await circle.request("GET", X)
    assert "hush-token" not in shown_by_library(caught.value)
    assert len(server.requests) == (0 if first else 1)
    assert await circle.request("GET", X) == {"ok": True}


async def test_copies_share_the_token(server, make):
    """A token that one copy has replaced is that of all."""
    accept(server, "second-token")
    provider = Provider("first-token", "second-token")
    circle = make(token=provider)
    copy = circle.with_options(timeout=5)
    await circle.request("GET", X)
    await copy.request("GET", X)
    await circle.with_options(timeout=5).request("GET", X)
    assert provider.calls == 2
    assert len(server.requests) == 4


async def test_budget_follows_the_token(server, make):
    """Limits are those of a token: the new one starts with its own."""
    server.route(
        X,
        lambda request: (
            server.reply(401, headers={"X-RateLimit-Limit": "7"})
            if request.headers["Circle-Token"] == "first-token"
            else server.reply(200, {})
        ),
    )
    throttle = Throttle()
    circle = make(token=Provider("first-token", "second-token"), throttle=throttle)
    await circle.request("GET", X)
    plain = make(token="second-token", throttle=throttle)
    assert circle._executor.state.account == plain._executor.state.account
    assert {account for account, _ in throttle._state.queues} >= {plain._executor.state.account}
    assert len({account for account, _ in throttle._state.queues}) == 2


@pytest.mark.parametrize("auth", ["circle-token", "bearer", "basic"])
async def test_all_used_tokens_are_masked(server, make, auth):
    """Also the one before, which a server may repeat."""
    first, second = "first-token-0123456789", "second-token-0123456789"
    encoded = base64.b64encode(f"{first}:".encode()).decode()
    server.on(X, server.reply(401), server.reply(403, {"message": f"{first} {second} {encoded}"}))
    with pytest.raises(Exception, match=r"\*\*\* \*\*\*") as caught:
        await make(token=Provider(first, second), auth=auth).request("GET", X)
    text = shown_by_library(caught.value) + repr(caught.value.body)
    for secret in (first, second, encoded):
        assert secret not in text


def test_a_provider_with_none_is_refused():
    """auth="none" sends no credentials: a provider is a mistake."""
    with pytest.raises(ConfigurationError, match="none"):
        CircleCI(lambda: "x", auth="none")
