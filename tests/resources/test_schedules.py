"""Schedules, over real HTTP."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

import attrs
import pytest

from aiocircle import UNSET, errors
from aiocircle.resources.schedules import AttributionActor, Schedule, Timetable
from aiocircle.resources.users import User

SCHEDULE = "3f9a0ad1-7b8e-4a55-9d0e-6f0a3b1c2d4e"
WEB = "gh/acme/web"
WEEKLY = {"per_hour": 2, "hours_of_day": [0, 12], "days_of_week": ["MON"], "months": ["JAN", "JUL"]}


def wire(mark="-", **changes):
    return {
        "id": SCHEDULE,
        "name": "nightly",
        "timetable": {
            f"per{mark}hour": 1,
            f"hours{mark}of{mark}day": [3],
            f"days{mark}of{mark}week": ["MON", "FRI"],
            "months": ["JAN"],
        },
        "description": None,
        f"project{mark}slug": WEB,
        "actor": {"id": SCHEDULE, "login": "ada", "name": "Ada", "avatar_url": None},
        f"created{mark}at": "2026-11-20T10:00:00Z",
        f"updated{mark}at": "2026-11-20T11:00:00Z",
        "parameters": {"branch": "main", "deploy-to": "prod", "per-hour": 5},
    } | changes


async def test_schedule_is_created(circle):
    """A schedule is created with hyphenated keys."""
    schedule = await circle.schedules.create(
        WEB,
        name="weekly",
        timetable=WEEKLY,
        attribution_actor=AttributionActor.CURRENT,
        parameters={"branch": "main", "deploy_to": "prod"},
        description="Every Monday",
    )
    assert isinstance(schedule, Schedule)
    assert schedule.timetable == Timetable(
        per_hour=2, hours_of_day=(0, 12), days_of_week=("MON",), months=("JAN", "JUL")
    )
    assert schedule.parameters == {"branch": "main", "deploy_to": "prod"}
    assert schedule.actor == await circle.users.me()


async def test_description_is_sent_omitted_or_null(circle, answer, arrived):
    """A description is sent, omitted, or null."""
    given = {"name": "n", "timetable": WEEKLY, "attribution_actor": "system", "parameters": {"tag": "v1"}}
    for description, sent in ((UNSET, {}), (None, {"description": None}), ("", {"description": ""})):
        answer(wire(), 201)
        await circle.schedules.create(WEB, **given, description=description)
        assert {key: value for key, value in arrived().json.items() if key == "description"} == sent
        answer(wire())
        await circle.schedules.update(SCHEDULE, description=description)
        assert arrived().json == sent


async def test_schedule_life_cycle(circle):
    """A schedule is listed, read and deleted."""
    schedules = await circle.schedules.list(WEB).collect()
    assert schedules
    first = schedules[0]
    assert first.project_slug == WEB
    assert await circle.schedules.get(UUID(first.id)) == first
    assert await circle.schedules.delete(first.id) is None
    with pytest.raises(errors.NotFound):
        await circle.schedules.get(first.id)


async def test_update_sends_only_given_fields(circle, arrived):
    """An update sends the given fields and no others."""
    [schedule] = await circle.schedules.list(WEB).collect()
    updated = await circle.schedules.update(schedule.id, name="later", timetable={"hours_of_day": [5]})
    assert updated.name == "later"
    assert updated.timetable == attrs.evolve(schedule.timetable, hours_of_day=(5,))
    await circle.schedules.update(schedule.id, attribution_actor="system", parameters={"branch": "next"})
    assert arrived().json == {"attribution-actor": "system", "parameters": {"branch": "next"}}
    await circle.schedules.update(schedule.id)
    assert arrived().json == {}


async def test_timetable_can_be_written_back(circle, arrived):
    """A timetable that was read can be changed and sent."""
    [schedule] = await circle.schedules.list(WEB).collect()
    wanted = attrs.evolve(schedule.timetable, per_hour=4)
    updated = await circle.schedules.update(schedule.id, timetable=wanted)
    assert updated.timetable == wanted
    # The two kinds of days exclude each other: what was not read is not sent.
    assert "days-of-month" not in arrived().json["timetable"]
    copy = await circle.schedules.create(
        WEB,
        name="copy",
        timetable=wanted,
        attribution_actor="system",
        parameters=schedule.parameters,
    )
    assert copy.timetable == wanted


async def test_single_day_is_an_array(circle, answer, arrived):
    """A single day or month is sent as an array of one."""
    answer(wire())
    await circle.schedules.update(SCHEDULE, timetable={"days_of_week": "MON", "months": "JAN"})
    assert arrived().json == {"timetable": {"days-of-week": ["MON"], "months": ["JAN"]}}


@pytest.mark.parametrize("mark", ["-", "_"])
async def test_schedule_in_both_spellings(circle, answer, mark):
    """Keys are read in both spellings, and those of parameters stay unchanged."""
    answer({"items": [wire(mark)], "next_page_token": None})
    assert await circle.schedules.list(WEB).collect() == [
        Schedule(
            id=SCHEDULE,
            name="nightly",
            project_slug=WEB,
            timetable=Timetable(per_hour=1, hours_of_day=(3,), days_of_week=("MON", "FRI"), months=("JAN",)),
            parameters={"branch": "main", "deploy-to": "prod", "per-hour": 5},
            actor=User(id=SCHEDULE, login="ada", name="Ada"),
            created_at=datetime(2026, 11, 20, 10, tzinfo=UTC),
            updated_at=datetime(2026, 11, 20, 11, tzinfo=UTC),
        )
    ]


async def test_schedule_by_days_of_the_month(circle, answer):
    """A schedule of days of the month has no days of the week."""
    answer(wire(timetable={"per-hour": 1, "hours-of-day": [3], "days-of-month": [1, 15]}, actor=None))
    timetable = (await circle.schedules.get(SCHEDULE)).timetable
    assert timetable.days_of_month == (1, 15)
    assert timetable.days_of_week is None
    assert timetable.months is None


@pytest.mark.parametrize(
    ("timetable", "problem"),
    [
        ({**WEEKLY, "per-hour": 1}, "has no key 'per-hour'"),
        ({**WEEKLY, "weekdays": ["MON"]}, "has no key 'weekdays'"),
        ({"per_hour": 1, "days_of_week": ["MON"]}, "needs the key 'hours_of_day'"),
        ({"hours_of_day": [1], "days_of_week": ["MON"]}, "needs the key 'per_hour'"),
        ("0 3 * * *", "must be a mapping or a model"),
        (Timetable(hours_of_day=(1,), days_of_week=("MON",)), "needs the key 'per_hour'"),
    ],
)
async def test_invalid_timetable_is_refused_unsent(circle, server, timetable, problem):
    """A timetable of another shape raises InvalidArgument."""
    with pytest.raises(errors.InvalidArgument, match=f"timetable {problem}"):
        await circle.schedules.create(
            WEB, name="n", timetable=timetable, attribution_actor="system", parameters={"branch": "main"}
        )
    assert server.requests == []


async def test_timetable_change_may_be_partial(circle, server):
    """A change of a timetable may be partial. A misspelt key raises InvalidArgument."""
    with pytest.raises(errors.InvalidArgument, match="no key 'hours'"):
        await circle.schedules.update(SCHEDULE, timetable={"hours": [1]})
    assert server.requests == []


async def test_page_token_is_sent(circle, answer, arrived):
    """A page token is sent."""
    answer({"items": [], "next_page_token": None})
    assert await circle.schedules.list(WEB, page_token="kept").collect() == []
    assert arrived().query == [("page-token", "kept")]
