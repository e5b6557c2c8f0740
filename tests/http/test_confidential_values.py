"""Secrets are where they belong and nowhere else: the token, and values that callers pass or receive.

Errors, tracebacks and frames of single calls are in tests/http/test_secrets.py. Here all operations run under faults.
"""

from __future__ import annotations

import asyncio
import io
import logging
import pickle
import random
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from rich.console import Console
from rich.pretty import pretty_repr
from rich.traceback import Traceback

from aiocircle import CircleCI, CircleCIError, InvalidArgument, ProjectSlug, RetryPolicy
from aiocircle.bulk import fetch_insights
from aiocircle.testing import LocalCircleCI
from tests.support.loops import counting_loop, iterate
from tests.support.operations import PREPARED, PROJECTS, WEB
from tests.support.secrets import Holder, shown
from tests.support.stress import Tally
from tests.support.thorough import scaled

TOKEN = Holder("CCIPAT_canary/7f3b+0123456789abcdef")
GIVEN = Holder("hunter2-canary-89c1/f+e")  # a variable's value, a webhook's secret, a header, a password


class Witness:
    """Keeps all texts in which a secret could be seen."""

    def __init__(self, tally: Tally) -> None:
        self.seen: list[tuple[str, str]] = []
        self._tally = tally

    def sees(self, where: str, text: str) -> None:
        self.seen.append((where, text))

    def result(self, where: str, result: object) -> None:
        self.sees(f"{where}, result", f"{result!r} {result!s} {pretty_repr(result)}")

    def error(self, where: str, error: BaseException, *, with_locals: bool) -> None:
        self.sees(
            f"{where}, error", f"{error!s} {error!r} {getattr(error, 'url', '')} {getattr(error, 'headers', '')!r}"
        )
        if isinstance(error, CircleCIError):
            self.sees(f"{where}, pickle", repr(pickle.dumps(error)))
        if with_locals:
            self.sees(f"{where}, locals", shown(error))

    def assert_none(self, holder: Holder) -> None:
        forms = holder.forms()
        for where, text in self.seen:
            self._tally["texts"] += 1
            for form in forms:
                index = text.find(form)
                if index >= 0:
                    raise self._tally.failed("leaked", f"{where}, after {text[max(0, index - 200) : index]!r}")


@pytest.fixture
def witness(tally: Tally, caplog: pytest.LogCaptureFixture) -> Witness:
    for name in ("", "aiocircle", "aiohttp", "asyncio"):
        caplog.set_level(1, name)
    return Witness(tally)


@pytest.fixture
async def server(no_leaks: object, rng: random.Random) -> AsyncIterator[LocalCircleCI]:
    async with LocalCircleCI(PROJECTS, seed=rng.randrange(2**32), workflow_seconds=1e6, workflow_delay=0.0) as server:
        server.token = TOKEN.get()
        yield server


def storm(server: LocalCircleCI, rng: random.Random) -> None:
    """Let something go wrong with one request or another."""
    if rng.random() < 0.7:
        kind = rng.choice(("429", "500", "502", "503", "drop", "truncate", "cut", "slow", "401", "403", "404", "409"))
        server.inject(kind, stage=rng.choice(("before", "after")))


SECRETIVE: dict[str, Callable[[CircleCI, Any], Awaitable[object]]] = {
    "contexts.set_env_var": lambda c, p: c.contexts.set_env_var(p["context"], "KEY", value=GIVEN.get()),
    "projects.create_env_var": lambda c, p: c.projects.create_env_var(WEB, name="KEY", value=GIVEN.get()),
    "webhooks.create": lambda c, p: c.webhooks.create(
        name="mine",
        events=["job-completed"],
        url="https://hooks.example.org",
        verify_tls=True,
        signing_secret=GIVEN.get(),
        scope={"id": p["web"], "type": "project"},
    ),
    "webhooks.update": lambda c, p: c.webhooks.update(p["webhook"], signing_secret=GIVEN.get()),
    "webhooks.ensure": lambda c, p: c.webhooks.ensure(
        p["web"],
        name="chat",
        url="https://hooks.example.org",
        events=["job-completed"],
        signing_secret=GIVEN.get(),
    ),
    "otel.create_exporter": lambda c, p: c.otel.create_exporter(
        org_id=p["org"],
        endpoint="otel.example.org:4317",
        protocol="grpc",
        insecure=False,
        headers={"Authorization": GIVEN.get()},
    ),
    "pipelines.continue_setup": lambda c, p: c.pipelines.continue_setup(
        continuation_key=GIVEN.get(), configuration="version: 2.1"
    ),
    "projects.get by a remote": lambda c, p: c.projects.get(f"https://ada:{GIVEN.get()}@github.com/acme/web.git"),
    "request": lambda c, p: c.request("GET", "/api/v2/me", params={"circle-token": GIVEN.get()}),
    "request, body": lambda c, p: c.request("POST", f"/api/v2/project/{WEB}/envvar", json={"value": GIVEN.get()}),
    "bad value": lambda c, p: c.projects.create_env_var(WEB, name="KEY", value=f"\ud800{GIVEN.get()}"),
    "bad remote": lambda c, p: c.projects.get(f"ssh://git:{GIVEN.get()}@gitlab.example/acme/web"),
    "bad scp remote": lambda c, p: c.projects.get(f"ada:{GIVEN.get()}@github.com:acme"),
    "bad path": lambda c, p: c.request("GET", f"//ada:{GIVEN.get()}@elsewhere/x"),
    "bad secret": lambda c, p: c.webhooks.update(p["webhook"], signing_secret=[GIVEN.get(), object()]),  # type: ignore[arg-type]
    "bad headers": lambda c, p: c.otel.create_exporter(
        org_id=p["org"],
        endpoint="e",
        protocol="grpc",
        insecure=False,
        headers={"A": {GIVEN.get()}},  # type: ignore[dict-item]
    ),
}


@pytest.mark.parametrize("auth", ["circle-token", "bearer", "basic"])
async def test_token_is_in_one_header_and_nowhere_else(
    server: LocalCircleCI,
    witness: Witness,
    tally: Tally,
    rng: random.Random,
    caplog: pytest.LogCaptureFixture,
    auth: Any,
) -> None:
    """The token is in one header and nowhere else, for all operations and under faults."""
    policy = RetryPolicy(attempts=3, base=0.01, max_wait=100)
    names = sorted({*PREPARED} - {"projects.delete"})
    async with CircleCI(TOKEN.get(), base_url=server.url, auth=auth, retry=policy, timeout=2) as circle:
        for name in (*rng.sample(names, scaled(10, len(names))), "projects.delete"):
            tally["cases"] += 1
            try:
                call = await PREPARED[name](circle, server)
                storm(server, rng)
                witness.result(name, await call())
            except (CircleCIError, AssertionError) as error:
                # A preparation may meet with the storm of the call before it.
                witness.error(name, error, with_locals=isinstance(error, CircleCIError))
        for each in ("cancelled", "timed out", "streamed"):
            tally["cases"] += 1
            await _interrupted(circle, server, witness, each, rng)
        witness.sees("client", f"{circle!r} {vars(circle)!r} {pretty_repr(vars(circle), max_depth=6)}")
    try:
        await circle.users.me()
    except CircleCIError as error:
        witness.error("closed", error, with_locals=True)
    header = "Circle-Token" if auth == "circle-token" else "Authorization"
    for request in server.requests:
        carriers = [name for name, value in request.headers.items() if any(form in value for form in TOKEN.forms())]
        assert carriers == [header]
        assert request.headers["Host"] == server.url.removeprefix("http://")
        witness.sees("request", f"{request!r} {request.path} {request.query} {request.body!r}")
    witness.sees("server", f"{server!r} {server.requests!r}")
    for record in caplog.records:
        witness.sees(f"log of {record.name}", f"{record.getMessage()} {record.args!r} {record.exc_text}")
    tally["requests"] += len(server.requests)
    tally["faults"] += server.statistics.faults.total()
    assert caplog.records
    witness.assert_none(TOKEN)


async def _interrupted(circle: CircleCI, server: LocalCircleCI, witness: Witness, how: str, rng: random.Random) -> None:
    async def stream() -> None:
        async for project in fetch_insights(circle, server.projects, window="last-24-hours"):
            witness.result("bulk", project)

    call: Callable[[], Awaitable[object]] = stream if how == "streamed" else lambda: circle.users.me()
    if how == "timed out":
        server.inject("slow", times=3)
    task = asyncio.ensure_future(call())
    if how == "cancelled":
        counting_loop().at_iteration(rng.randrange(1, 15), task.cancel)
    await asyncio.wait([task])
    if task.cancelled():
        try:
            await task
        except asyncio.CancelledError as error:
            witness.error(how, error, with_locals=True)
    elif error := task.exception():
        witness.error(how, error, with_locals=True)
    witness.sees(how, f"{task!r} {task.get_stack()!r}")


async def test_callers_secrets_are_only_in_the_request(
    server: LocalCircleCI, witness: Witness, tally: Tally, rng: random.Random, caplog: pytest.LogCaptureFixture
) -> None:
    """Values of variables, webhook secrets and credentials are in the request and nowhere else."""
    policy = RetryPolicy(attempts=2, base=0.01, max_wait=100)
    async with CircleCI(TOKEN.get(), base_url=server.url, retry=policy, timeout=2) as circle:
        web = await circle.projects.get(WEB)
        webhook: Any = await (await PREPARED["webhooks.create"](circle, server))()
        things = {
            "web": web.id,
            "org": web.organization_id,
            "webhook": webhook.id,
            "context": (await circle.contexts.create(name="mine", owner={"slug": "gh/acme"})).id,
        }
        for name, call in SECRETIVE.items():
            for _ in range(scaled(4, 40)):
                tally["cases"] += 1
                storm(server, rng)
                try:
                    witness.result(name, await call(circle, things))
                except CircleCIError as error:
                    # Its frames are the caller's own, with the caller's own values.
                    witness.error(name, error, with_locals=False)
                else:
                    assert not name.startswith("bad")
        for pager in (
            circle.contexts.list_env_vars(things["context"]),
            circle.projects.list_env_vars(WEB),
            circle.webhooks.list(scope_id=web.id, scope_type="project"),
            circle.otel.list_exporters(org_id=web.organization_id),
        ):
            try:
                witness.result("list", await pager.collect())
            except CircleCIError as error:
                witness.error("list", error, with_locals=True)
    for record in caplog.records:
        if record.name != "aiohttp.server":
            witness.sees(f"log of {record.name}", f"{record.getMessage()} {record.args!r} {record.exc_text}")
    witness.sees("requests", repr(server.requests))
    arrived = [request for request in server.requests if any(form.encode() in request.body for form in GIVEN.forms())]
    assert len(arrived) > 4, "they must arrive, though"
    assert not any(form in request.path for request in server.requests for form in GIVEN.forms())
    tally["requests"] += len(server.requests)
    tally["faults"] += server.statistics.faults.total()
    witness.assert_none(GIVEN)
    witness.assert_none(TOKEN)


async def test_signed_urls_are_only_in_their_field(
    server: LocalCircleCI, witness: Witness, tally: Tally, rng: random.Random, caplog: pytest.LogCaptureFixture
) -> None:
    """Signed URLs are in their field of a model and nowhere else."""
    async with CircleCI(TOKEN.get(), base_url=server.url, timeout=2) as circle:
        org = (await circle.organizations.get("gh/acme")).id
        export: Any = await (await PREPARED["usage.create_export"](circle, server))()
        for _ in range(20):
            export = await circle.usage.get_export(org, export.usage_export_job_id)
            witness.result("export", export)
            if export.is_finished:
                break
        [signed, *_] = export.download_urls
        signature = re.search(r"Signature=([^&]+)", signed)
        assert signature
        path = signed.partition("?")[2]
        # Also in an error, a redirect and a header.
        for name, options in {
            "redirect": {"status": 302, "headers": {"Location": signed}},
            "link": {"status": 404, "headers": {"Link": f"<{signed}>; rel=next"}},
            "query": {"status": 500},
        }.items():
            tally["cases"] += 1
            server.inject("answer", path="/me", times=5, **options)  # type: ignore[arg-type]
            try:
                await circle.with_options(retry=RetryPolicy(attempts=1)).request("GET", f"/api/v2/me?{path}")
            except CircleCIError as error:
                witness.error(name, error, with_locals=False)
            server._faults._scripts.clear()
    for record in caplog.records:
        if record.name == "aiocircle":
            witness.sees("log", record.getMessage())
    witness.assert_none(Holder(signature[1]))


@pytest.mark.parametrize(
    "remote",
    [
        "https://ada:{0}@github.com/acme",
        "https://{0}@github.com/",
        "https://x-access-token:{0}@gitlab.example/acme/web.git",
        "ssh://git:{0}@bitbucket.org:7999/acme",
        "git+https://{0}:x@example.org/a/b",
        "{0}@github.com:acme",
        "https://github.com/acme/web?token={0}",
        "https://user:{0}@[bad",
        "//ada:{0}@github.com/acme",
    ],
)
def test_refused_remote_shows_no_credentials(witness: Witness, tally: Tally, remote: str) -> None:
    """An error about a Git remote does not repeat its credentials."""
    tally["cases"] += 1
    text = remote.format(GIVEN.get())
    try:
        slug = ProjectSlug.parse(text)
    except InvalidArgument as error:
        witness.error("remote", error, with_locals=False)
    else:
        witness.result("remote", slug)
    witness.assert_none(GIVEN)


async def test_rich_traceback_shows_no_token(server: LocalCircleCI, witness: Witness, tally: Tally) -> None:
    """A traceback with local variables, as rich.traceback.install(show_locals=True) prints it, has no token."""
    server.inject("404", times=9)
    circle = CircleCI(TOKEN.get(), base_url=server.url, retry=RetryPolicy(attempts=2, base=0))
    for call in (
        lambda: circle.users.me(),
        lambda: circle.pipelines.list_for_project(WEB).collect(),
        lambda: circle.contexts.list(owner_slug="gh/acme").prefetch().first(),
    ):
        tally["cases"] += 1
        try:
            await call()
        except CircleCIError as error:
            console = Console(file=io.StringIO(), width=200)
            console.print(Traceback.from_exception(type(error), error, error.__traceback__, show_locals=True))
            text = console.file.getvalue()  # type: ignore[attr-defined]
            assert "request" in text
            witness.sees("rich", text)
    await circle.close()
    await iterate()
    witness.assert_none(TOKEN)
    logging.getLogger("aiocircle").debug("done")
