"""Triggers of pipeline definitions, over real HTTP."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

import pytest

from aiocircle import errors
from aiocircle.resources.pipeline_definitions import Repository
from aiocircle.resources.triggers import EventPreset, EventSchedule, EventSource, EventWebhook, Trigger

TRIGGER = "3f9a0ad1-7b8e-4a55-9d0e-6f0a3b1c2d4e"
REPO_SOURCE = {"provider": "github_app", "repo": {"external_id": "1234"}}
HOOK_SOURCE = {"provider": "webhook", "webhook": {"sender": "DataDog"}}


async def standalone(circle, server):
    """The ids of a GitHub App project and of its pipeline definition."""
    [slug] = [each for each in server.projects if each.startswith("circleci/")]
    project = (await circle.projects.get(slug)).id
    return project, (await circle.pipeline_definitions.list(project).first()).id


async def test_trigger_life_cycle(circle, server):
    """A trigger is created, listed, read and deleted."""
    project, definition = await standalone(circle, server)
    made = await circle.triggers.create(
        project, UUID(definition), event_source=REPO_SOURCE, event_preset=EventPreset.ONLY_TAGS
    )
    assert isinstance(made, Trigger)
    assert made.event_source.repo.external_id == "1234"
    assert made.disabled is False
    assert made in await circle.triggers.list(project, definition).collect()
    assert await circle.triggers.get(UUID(project), made.id) == made
    assert await circle.triggers.delete(project, made.id) is None
    with pytest.raises(errors.NotFound):
        await circle.triggers.get(project, made.id)


async def test_webhook_trigger_sends_all_fields(circle, server, arrived):
    """The trigger of a webhook sends all given fields."""
    project, definition = await standalone(circle, server)
    made = await circle.triggers.create(
        project,
        definition,
        event_source=HOOK_SOURCE,
        event_name="alert",
        checkout_ref="main",
        config_ref="next",
        disabled=True,
    )
    assert arrived().json == {
        "event_source": HOOK_SOURCE,
        "event_name": "alert",
        "checkout_ref": "main",
        "config_ref": "next",
        "disabled": True,
    }
    assert (made.event_name, made.checkout_ref, made.config_ref, made.disabled) == ("alert", "main", "next", True)
    assert made.event_source.webhook.sender == "DataDog"
    assert made.event_source.webhook.url.startswith("https://")


async def test_update_sends_only_given_fields(circle, server, arrived):
    """An update sends the given fields and no others."""
    project, definition = await standalone(circle, server)
    made = await circle.triggers.create(project, definition, event_source=HOOK_SOURCE, disabled=True)
    updated = await circle.triggers.update(
        project, made.id, disabled=False, event_source={"webhook": {"sender": "PagerDuty"}}
    )
    assert (updated.disabled, updated.event_source.webhook.sender) == (False, "PagerDuty")
    await circle.triggers.update(
        project, made.id, event_preset="all-pushes", event_name="a", checkout_ref="b", config_ref="c"
    )
    assert arrived().json == {
        "event_preset": "all-pushes",
        "event_name": "a",
        "checkout_ref": "b",
        "config_ref": "c",
    }


async def test_source_can_be_written_back(circle, server, arrived):
    """A source that was read can be changed and sent."""
    project, definition = await standalone(circle, server)
    made = await circle.triggers.create(project, definition, event_source=HOOK_SOURCE)
    await circle.triggers.create(project, definition, event_source=made.event_source)
    # Only the API sets the webhook's url.
    assert arrived().json == {"event_source": HOOK_SOURCE}
    await circle.triggers.update(project, made.id, event_source=made.event_source)
    assert arrived().json == {"event_source": {"webhook": {"sender": "DataDog"}}}
    first = await circle.triggers.list(project, definition).first()
    await circle.triggers.create(project, definition, event_source=first.event_source)
    assert set(arrived().json["event_source"]["repo"]) == {"external_id"}


async def test_repr_of_a_webhook_has_no_url():
    """The URL of a webhook, which has a secret, is not in its repr."""
    source = EventSource(provider="webhook", webhook=EventWebhook(url="https://x.example/?secret=s3", sender="s"))
    assert "s3" not in repr(source)


@pytest.mark.parametrize(
    "schedule",
    [
        {"cron_expression": "0 3 * * *", "attribution_actor": "system"},
        EventSchedule(cron_expression="0 3 * * *", attribution_actor="system"),
    ],
    ids=["mapping", "model"],
)
async def test_schedule_trigger_sends_its_schedule(circle, answer, arrived, schedule):
    """A schedule trigger is created from a mapping or a model, with the parameters of its pipelines."""
    answer({"id": TRIGGER}, status=201)
    await circle.triggers.create(
        TRIGGER,
        TRIGGER,
        event_source={"provider": "schedule", "schedule": schedule},
        parameters={"deploy": True},
    )
    assert arrived().json == {
        "event_source": {
            "provider": "schedule",
            "schedule": {"cron_expression": "0 3 * * *", "attribution_actor": "system"},
        },
        "parameters": {"deploy": True},
    }


async def test_trigger_of_an_older_api_is_read(circle, answer):
    """API v2 of Server 3.x writes a repository as text, the actor as text or object, and "" for an unknown time."""
    source = {"provider": "schedule", "repo": "acme/web", "schedule": {"attribution_actor": {"login": "amy"}}}
    answer(
        {
            "id": TRIGGER,
            "name": "n",
            "description": "d",
            "parameters": {"a": 1},
            "event_source": source,
            "created_at": "",
        }
    )
    trigger = await circle.triggers.get(TRIGGER, TRIGGER)
    assert (trigger.name, trigger.description, trigger.parameters, trigger.created_at) == ("n", "d", {"a": 1}, None)
    assert trigger.event_source.repo == Repository(full_name="acme/web")
    assert trigger.event_source.schedule.attribution_actor == {"login": "amy"}


async def test_schedule_trigger(circle, answer):
    """The trigger of a schedule is read."""
    source = {"provider": "schedule", "schedule": {"cron_expression": "0 3 * * *"}}
    answer({"id": TRIGGER, "event_source": source, "created_at": "2026-11-20T10:00:00Z", "disabled": False})
    assert await circle.triggers.get(TRIGGER, TRIGGER) == Trigger(
        id=TRIGGER,
        event_source=EventSource(provider="schedule", schedule=EventSchedule(cron_expression="0 3 * * *")),
        created_at=datetime(2026, 11, 20, 10, tzinfo=UTC),
        disabled=False,
    )


async def test_trigger_may_lack_fields(circle, answer):
    """A trigger is read without the fields that are not required."""
    few = {"id": TRIGGER, "event_source": {"repo": {}}, "event_preset": "only-full-moons", "disabled": None}
    answer({"items": [{}, few | {"webhook": None, "checkout_ref": None, "created_at": None}]})
    assert await circle.triggers.list(TRIGGER, TRIGGER).collect() == [
        Trigger(),
        Trigger(id=TRIGGER, event_source=EventSource(repo=Repository()), event_preset="only-full-moons"),
    ]


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ({"repo": {"external_id": "1"}}, "event_source needs the key 'provider'"),
        ({**REPO_SOURCE, "timetable": {}}, "event_source has no key 'timetable'"),
        ({"provider": "schedule", "schedule": {}}, r"event_source\.schedule needs the key 'cron_expression'"),
        ({"provider": "github_app", "repo": {"id": "1"}}, r"event_source\.repo has no key 'id'"),
        ({"provider": "github_app", "repo": {}}, r"event_source\.repo needs the key 'external_id'"),
        ({"provider": "webhook", "webhook": {"url": "x"}}, r"event_source\.webhook has no key 'url'"),
        ("github_app", "event_source must be a mapping"),
        (None, "event_source"),
    ],
)
async def test_invalid_source_is_refused_unsent(circle, server, source, problem):
    """A source of another shape raises InvalidArgument."""
    with pytest.raises(errors.InvalidArgument, match=problem):
        await circle.triggers.create(TRIGGER, TRIGGER, event_source=source)
    assert server.requests == []


async def test_update_takes_fewer_keys(circle, server):
    """An update refuses the keys that only a new trigger takes."""
    with pytest.raises(errors.InvalidArgument, match="event_source has no key 'provider'"):
        await circle.triggers.update(TRIGGER, TRIGGER, event_source={"provider": "webhook"})
    assert server.requests == []
