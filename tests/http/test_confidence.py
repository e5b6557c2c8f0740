"""Everything that is given in confidence, or repeated by a server, in no error, log line or local variable."""

from __future__ import annotations

import asyncio
import base64
from urllib.parse import quote

import pytest

from aiocircle import CircleCIError, DecodeError, InvalidArgument, RetryPolicy
from tests.support.confidence import library_frames, shown_by_library

X = "/api/v2/x"
SECRET = "hunter2-canary-89c1/f+e"
FORMS = [SECRET, quote(SECRET, safe=""), base64.b64encode(SECRET.encode()).decode().rstrip("=")]
REMOTE = f"https://ada:{quote(SECRET, safe='')}@github.com/acme/web.git"
ORG = f"https://ada:{quote(SECRET, safe='')}@github.com/acme"
BAD = f"ssh://git:{SECRET}@gitlab.example/acme/web"
ID = "00000000-0000-0000-0000-000000000001"

CALLS = {
    "contexts.set_env_var": lambda c: c.contexts.set_env_var(ID, "KEY", value=SECRET),
    "contexts.list": lambda c: c.contexts.list(owner_slug=ORG).collect(),
    "projects.create_env_var": lambda c: c.projects.create_env_var(REMOTE, name="KEY", value=SECRET),
    "projects.create_env_var, bytes": lambda c: c.projects.create_env_var(REMOTE, name="KEY", value=SECRET.encode()),
    "projects.create_env_var, surrogate": lambda c: c.projects.create_env_var(
        REMOTE, name="K", value="\ud800" + SECRET
    ),
    "projects.get": lambda c: c.projects.get(REMOTE),
    "projects.get, keyword": lambda c: c.projects.get(project=REMOTE),
    "projects.get, bad": lambda c: c.projects.get(BAD),
    "projects.list_env_vars, bad": lambda c: _called(lambda: c.projects.list_env_vars(BAD)),
    "pipelines.list_for_project": lambda c: c.pipelines.list_for_project(REMOTE).collect(),
    "pipelines.list": lambda c: c.pipelines.list(org_slug=ORG).collect(),
    "insights.list_workflow_runs": lambda c: c.insights.list_workflow_runs(REMOTE, "build").collect(),
    "insights.get_org_summary": lambda c: c.insights.get_org_summary(ORG),
    "organizations.get": lambda c: c.organizations.get(ORG),
    "jobs.get": lambda c: c.jobs.get(REMOTE, 1),
    "jobs.list_tests": lambda c: c.jobs.list_tests(REMOTE, 1).collect(),
    "schedules.list": lambda c: c.schedules.list(REMOTE).collect(),
    "pipelines.trigger": lambda c: c.pipelines.trigger(REMOTE, branch="main"),
    "pipelines.continue_setup": lambda c: c.pipelines.continue_setup(continuation_key=SECRET, configuration="x"),
    "webhooks.create": lambda c: c.webhooks.create(
        name="mine",
        events=["job-completed"],
        url=f"https://hooks.example.org/?secret={SECRET}",
        verify_tls=True,
        signing_secret=SECRET,
        scope={"id": ID, "type": "project"},
    ),
    "webhooks.update": lambda c: c.webhooks.update(ID, signing_secret=SECRET),
    "webhooks.update, bad": lambda c: c.webhooks.update(ID, signing_secret=[SECRET, object()]),
    "otel.create_exporter": lambda c: c.otel.create_exporter(
        org_id=ID, endpoint=f"https://{SECRET}", protocol="grpc", insecure=False, headers={"Authorization": SECRET}
    ),
    "otel.create_exporter, bad": lambda c: c.otel.create_exporter(
        org_id=ID, endpoint="e", protocol="grpc", insecure=False, headers={"A": {SECRET}}
    ),
    "request, query": lambda c: c.request("GET", X, params={"circle-token": SECRET}),
    "request, path": lambda c: c.request("GET", f"{X}?jwt={quote(SECRET, safe='')}"),
    "request, body": lambda c: c.request("POST", X, json={"value": [SECRET, {"a": SECRET}]}),
    "request, bad body": lambda c: c.request("POST", X, json={"value": SECRET, "other": object()}),
    "request, bad query": lambda c: c.request("GET", X, params={"token": SECRET, "other": object()}),
    "request, bad path": lambda c: c.request("GET", f"//ada:{SECRET}@elsewhere/x"),
    "request_pages": lambda c: c.request_pages(X, params={"passwd": SECRET}).collect(),
    "request_pages, bad": lambda c: _called(lambda: c.request_pages(X, params={"passwd": SECRET, "b": object()})),
}


async def _called(call):
    return call()


def endings(server):
    yield server.reply(404, {"message": "no"})
    yield server.reply(503)
    yield server.reply(200, body=b"<html>")
    yield server.reply(200, {"unexpected": 1}, cut=2)
    yield server.drop()


@pytest.mark.parametrize("name", CALLS)
async def test_confidential_arguments_are_in_no_frame(server, make, caplog, name):
    """Each end of a call: refused, lost, cut, not decoded, cancelled before its start or while it waits."""
    caplog.set_level(1)
    circle = make(retry=RetryPolicy(attempts=2, base=0.1), timeout=5)
    looked_at = 0
    for script in endings(server):
        server._script = lambda request, script=script: script
        try:
            await CALLS[name](circle)
        except CircleCIError as error:
            looked_at += library_frames(error)
            assert_hidden(shown_by_library(error), name)
    server._script = lambda request: server.hang()
    for turns in (0, 1, 4):
        task = asyncio.ensure_future(CALLS[name](circle))
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        try:
            await task
        except (asyncio.CancelledError, InvalidArgument) as error:
            assert_hidden(shown_by_library(error), name)
    assert looked_at > 5
    for record in caplog.records:
        if record.name == "aiocircle":
            assert_hidden(record.getMessage(), name)


def assert_hidden(text: str, name: str) -> None:
    for form in FORMS:
        index = text.find(form)
        # Not the text itself: the failure would show it.
        assert index < 0, f"{name}: shown after {text[max(0, index - 200) : index]!r}"


async def test_confidential_arguments_arrive(server, circle):
    """Values that are masked here are sent unchanged."""
    server._script = lambda request: server.reply(200, {"name": "KEY", "value": "xxxx"})
    await circle.projects.create_env_var(REMOTE, name="KEY", value=SECRET)
    await circle.request("POST", X, json={"a": [SECRET]}, params={"token": SECRET})
    assert server.requests[0].path == "/api/v2/project/gh/acme/web/envvar"
    assert SECRET.encode() in server.requests[0].body
    assert SECRET.encode() in server.requests[1].body
    assert server.requests[1].query == {"token": SECRET}


TOKEN = "CCIPAT_canary/7f3b+0123456789abcdef"


def echoes(server, auth):
    """The ways in which a server may repeat the token."""
    sent = {
        "circle-token": TOKEN,
        "bearer": f"Bearer {TOKEN}",
        "basic": base64.b64encode(f"{TOKEN}:".encode()).decode(),
    }[auth]
    for secret in (TOKEN, sent, quote(TOKEN, safe="")):
        yield server.reply(403, {"message": f"no access with {secret}"})
        yield server.reply(500, {"error": {"detail": f"token {secret}"}})
        yield server.reply(502, body=f"<html><title>Bad {secret}</title></html>".encode())
        yield server.reply(400, body=f"plain {secret}".encode())
        yield server.reply(
            404, {}, headers={"X-Token": secret, "X-Request-Id": secret, "Link": f"<https://x/{secret}>"}
        )
        yield server.reply(302, headers={"Location": f"https://elsewhere.example/{secret}?q={secret}"})
        yield server.reply(302, headers={"Location": f"{X}?again={quote(secret)}"})
        yield server.reply(429, {"message": secret}, headers={"Retry-After": "1"})
        yield server.reply(200, body=f"not JSON {secret}".encode())
        yield server.reply(200, {"id": secret, "login": 5})
        yield server.reply(200, {"message": secret}, cut=3)
        yield server.raw(f"HTTP/1.1 200 {secret}\r\nbad header {secret}\r\n\r\n".encode())
        yield server.raw(f"{secret} nonsense\r\n\r\n".encode())
    yield server.reply(403, body=f"no access with {TOKEN}".encode("utf-16"))
    yield server.reply(403, body=('{"message": "' + "".join(f"\\u{ord(c):04x}" for c in TOKEN) + '"}').encode())


def check_no_form(error: CircleCIError, forms: list[str]) -> None:
    body = getattr(error, "body", b"")
    problems = str(error.problems) if isinstance(error, DecodeError) else ""
    headers = str(getattr(error, "headers", ""))
    text = shown_by_library(error) + repr(body) + body.decode("utf-16-le", "ignore") + headers + problems
    for form in forms:
        assert form not in text


@pytest.mark.parametrize("auth", ["circle-token", "bearer", "basic"])
async def test_repeated_token_is_masked(server, make, caplog, auth):
    """In str, repr, traceback, pickle, log, error.body and error.headers, also inside the Base64 of basic auth."""
    caplog.set_level(1)
    circle = make(token=TOKEN, auth=auth, retry=RetryPolicy(attempts=2, base=0.1))
    forms = [TOKEN, quote(TOKEN, safe=""), base64.b64encode(TOKEN.encode()).decode()[:-4]]
    failures = 0
    for script in echoes(server, auth):
        for path in ("/api/v2/me", X):
            server.on(path, script)
        for call in (circle.users.me(), circle.request("PUT", X, into=int), circle.request_pages(X).collect()):
            try:
                await call
            except CircleCIError as error:
                failures += 1
                check_no_form(error, forms)
    assert failures > 100
    for record in caplog.records:
        for form in forms:
            assert form not in record.getMessage()


@pytest.mark.parametrize("auth", ["circle-token", "bearer", "basic"])
async def test_repeated_token_of_a_file_is_masked(server, make, caplog, tmp_path, auth):
    """The host of a file may repeat the token as well: when it is read as it comes, and when it is downloaded."""
    caplog.set_level(1)
    circle = make(token=TOKEN, auth=auth, retry=RetryPolicy(attempts=2, base=0.1))
    forms = [TOKEN, quote(TOKEN, safe=""), base64.b64encode(TOKEN.encode()).decode()[:-4]]
    broken_chunk = server.raw(f"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{TOKEN}\r\n".encode())
    url = f"{server.url}/file"
    items = [{"path": "a", "node_index": 0, "url": url}]
    server.on("/api/v2/project/gh/acme/web/1/artifacts", server.reply(200, {"items": items, "next_page_token": None}))
    failures = 0
    for script in (*echoes(server, auth), broken_chunk):
        server.on("/file", script)
        for call in (
            _read(circle.jobs.stream_artifact(url)),
            circle.jobs.download_artifacts("gh/acme/web", 1, tmp_path),
        ):
            try:
                await call
            except CircleCIError as error:
                failures += 1
                for each in (error, *getattr(error, "exceptions", ())):
                    check_no_form(each, forms)
    assert failures > 60
    for record in caplog.records:
        for form in forms:
            assert form not in record.getMessage()


async def _read(chunks):
    return [chunk async for chunk in chunks]


async def test_repeated_token_in_a_deprecation_is_masked(server, circle, caplog, canary):
    """The headers that announce the end of an operation are kept and logged."""
    link = {"Deprecation": canary, "Sunset": f"x {canary}", "Link": f"<https://x/?t={canary}>"}
    server.on(X, server.reply(200, {}, headers=link))
    await circle.request("GET", X)
    assert canary not in repr(circle.deprecations)
    assert canary not in caplog.text
    assert "***" in repr(circle.deprecations)
