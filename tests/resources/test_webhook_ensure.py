"""One webhook of a name, for any number of services that ensure it."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest

from aiocircle import CircleCI, ConfigurationError, Forbidden, NotFound, RetryPolicy, ServerError
from aiocircle.errors import CircleCIError, InvalidArgument
from aiocircle.resources.webhooks import Webhook
from aiocircle.testing import LocalCircleCI

WEB = "gh/acme/web"
FIELDS: dict[str, Any] = {
    "name": "bot",
    "url": "https://bot.example/circleci",
    "events": ["workflow-completed"],
    "signing_secret": "a secret of the tests",
}


async def webhooks(circle: CircleCI, name: str | None = "bot") -> list[Webhook]:
    project = await circle.projects.get(WEB)
    listed = await circle.webhooks.list(scope_id=project.id, scope_type="project").collect()
    return [each for each in listed if name in (None, each.name)]


def operations(server: LocalCircleCI) -> list[str]:
    return [operation for operation, _ in server.changes]


async def test_webhook_is_created_then_updated(server: LocalCircleCI, circle: CircleCI) -> None:
    """Always with the secret, which CircleCI deletes otherwise."""
    first = await circle.webhooks.ensure(WEB, **FIELDS)
    second = await circle.webhooks.ensure(WEB, **{**FIELDS, "url": "https://new.example/", "events": "job-completed"})
    assert first.id == second.id
    assert operations(server) == ["webhooks.create", "webhooks.update"]
    (stored,) = await webhooks(circle)
    assert (stored.url, stored.events, stored.verify_tls) == ("https://new.example/", ("job-completed",), True)
    bodies = [request.json for request in server.requests if request.method in ("POST", "PUT")]
    assert {body["signing-secret"] for body in bodies} == {FIELDS["signing_secret"]}
    assert len(await webhooks(circle, None)) == 2  # That of a person is left alone.


async def test_unsigned_webhook_has_no_secret(server: LocalCircleCI, circle: CircleCI) -> None:
    """None removes it."""
    await circle.webhooks.ensure(WEB, **FIELDS)
    await circle.webhooks.ensure(WEB, **{**FIELDS, "signing_secret": None}, verify_tls=False)
    (stored,) = await webhooks(circle)
    assert (stored.signing_secret, stored.verify_tls) == ("", False)


@pytest.mark.parametrize("form", ["id", "url"])
async def test_ensure_takes_each_form_of_a_project(server: LocalCircleCI, circle: CircleCI, form: str) -> None:
    """The id costs no request more."""
    project = await circle.projects.get(WEB)
    before = len(server.requests)
    await circle.webhooks.ensure(project.id if form == "id" else "https://github.com/acme/web", **FIELDS)
    assert len(server.requests) - before == (3 if form == "id" else 4)


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("services", [2, 3, 5])
async def test_concurrent_services_leave_one_webhook(seed: int, services: int) -> None:
    """Three services that start at the same time, each with a client of its own; also when responses take a while."""
    rng = random.Random(seed)
    async with LocalCircleCI([WEB], latency=rng.choice([0.0, 0.05])) as server:
        clients = [CircleCI(server.token, base_url=server.url) for _ in range(services)]

        async def ensure(circle: CircleCI, pause: float) -> Webhook:
            await asyncio.sleep(pause)
            return await circle.webhooks.ensure(WEB, **FIELDS)

        found = await asyncio.gather(*[ensure(circle, rng.uniform(0, 0.2)) for circle in clients])
        (only,) = await webhooks(clients[0])
        assert {each.id for each in found} == {only.id}
        for circle in clients:
            await circle.close()


@pytest.mark.parametrize("stage", ["before", "after"])
@pytest.mark.parametrize("others", [0, 2])
async def test_unknown_outcome_leaves_one_webhook(
    server: LocalCircleCI, circle: CircleCI, stage: Any, others: int
) -> None:
    """If it was created, it is found and kept. Otherwise the error is raised, unless another service creates it."""
    server.inject("503", method="POST", path="/webhook", stage=stage)
    calls = [circle.webhooks.ensure(WEB, **FIELDS) for _ in range(1 + others)]
    results = await asyncio.gather(*calls, return_exceptions=True)
    failed = [each for each in results if isinstance(each, CircleCIError)]
    assert (len(failed) == 1) == (stage == "before" and not others)
    assert len(await webhooks(circle)) == 1 - len(failed)


async def test_full_project_is_refused(server: LocalCircleCI, circle: CircleCI) -> None:
    """With five others. The sixth is never requested."""
    for number in range(4):
        await circle.webhooks.ensure(WEB, **{**FIELDS, "name": f"bot {number}"})
    before = len(server.changes)
    with pytest.raises(ConfigurationError, match="5 other webhooks"):
        await circle.webhooks.ensure(WEB, **FIELDS)
    assert len(server.changes) == before
    assert (await circle.webhooks.ensure(WEB, **{**FIELDS, "name": "bot 3"})).name == "bot 3"


async def test_webhooks_of_persons_are_never_deleted(server: LocalCircleCI, circle: CircleCI) -> None:
    """If two of the same name have other URLs, the oldest is updated, and the other stays."""
    project = await circle.projects.get(WEB)
    made = []
    for url in ("https://a.example/", "https://b.example/"):
        scope = {"id": project.id, "type": "project"}
        made.append(await circle.webhooks.create(**{**FIELDS, "url": url}, verify_tls=True, scope=scope))
        await asyncio.sleep(1)
    assert (await circle.webhooks.ensure(WEB, **FIELDS)).id == made[0].id
    assert [each.id for each in await webhooks(circle)] == [each.id for each in made]


@pytest.mark.parametrize(("status", "error"), [("403", Forbidden), ("404", NotFound), ("500", ServerError)])
async def test_error_of_the_list_is_raised(server: LocalCircleCI, status: str, error: type[CircleCIError]) -> None:
    """Nothing was changed."""
    server.inject(status, times=99, path="/webhook")
    async with CircleCI(server.token, base_url=server.url, retry=RetryPolicy(attempts=2, base=0.1)) as circle:
        with pytest.raises(error):
            await circle.webhooks.ensure(WEB, **FIELDS)
    assert server.changes == []


@pytest.mark.parametrize("change", [{"name": ""}, {"name": None}, {"url": 5}])
async def test_wrong_arguments_are_refused(server: LocalCircleCI, circle: CircleCI, change: dict[str, Any]) -> None:
    """Before anything is sent."""
    with pytest.raises(InvalidArgument, match=next(iter(change))):
        await circle.webhooks.ensure(WEB, **{**FIELDS, **change})
    assert server.requests == []
