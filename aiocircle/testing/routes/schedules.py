"""Schedules that trigger pipelines of classic projects."""

from __future__ import annotations

from typing import Any, cast

import attrs

from .. import wire
from ..call import Answer, Call, Routes, iso_ms
from ..history import DAY
from ..identity import Kind
from ..model import Project, User
from ..world import World, now

__all__ = ["routes"]

routes = Routes()

_DAYS = ("MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN")
_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_FIELDS = ("name", "timetable", "attribution-actor", "parameters")


@attrs.define(eq=False, kw_only=True)
class _Schedule:
    id: str
    project: Project
    name: str
    description: str | None
    timetable: dict[str, Any]
    parameters: dict[str, Any]
    actor: User
    created: float
    updated: float


class _Schedules:
    def __init__(self, world: World) -> None:
        self.system = User(
            id=world.identities.uuid(Kind.SYSTEM, 0),
            login="system-actor",
            name="Scheduled Pipelines",
            avatar_url=None,
        )
        self.by_id: dict[str, _Schedule] = {}
        for project in world.projects.values():
            if project.organization.standalone or project.write_history is None:
                continue
            created = world.anchor - 150 * DAY
            made = _Schedule(
                id=world.identities.uuid(Kind.SCHEDULE, project.key),
                project=project,
                name="nightly",
                description=None if project.key % 2 else "Everything that is too slow for each push",
                timetable={"per-hour": 1, "hours-of-day": [2], "days-of-week": [*_DAYS]},
                parameters={"branch": project.default_branch, "deep": True},
                actor=self.system if project.key % 2 else world.me,
                created=created,
                updated=created,
            )
            self.by_id[made.id] = made


def _show(schedule: _Schedule) -> dict[str, Any]:
    """A schedule: no wire recording says that its keys have underscores, so they are the document's."""
    return {
        "id": schedule.id,
        "timetable": schedule.timetable,
        "updated-at": iso_ms(schedule.updated),
        "name": schedule.name,
        "created-at": iso_ms(schedule.created),
        "project-slug": schedule.project.slug,
        "parameters": schedule.parameters,
        "actor": wire.user(schedule.actor),
        "description": schedule.description,
    }


@routes.add("GET", "/project/{project}/schedule", "schedules.list")
def list_all(call: Call) -> Answer:
    """A project's schedules."""
    project = call.project()
    schedules = [each for each in call.world.part(_Schedules).by_id.values() if each.project is project]
    return call.page(schedules, _show)


@routes.add("POST", "/project/{project}/schedule", "schedules.create")
def create(call: Call) -> Answer:
    """Make a schedule, on a classic project."""
    project = call.project()
    if project.organization.standalone:
        call.refuse(400, "Schedules are not available to this project.")
    part = call.world.part(_Schedules)
    fields = call.fields(*_FIELDS)
    made = _Schedule(
        id=call.world.new_id(Kind.SCHEDULE),
        project=project,
        name="",
        description=None,
        timetable={},
        parameters={},
        actor=call.world.me,
        created=now(),
        updated=now(),
    )
    _change(call, made, fields)
    part.by_id[made.id] = made
    call.changed(made.id)
    return call.json(_show(made), 201)


@routes.add("GET", "/schedule/{schedule-id}", "schedules.get")
def get(call: Call) -> Answer:
    """A schedule."""
    return call.json(_show(_schedule(call)))


@routes.add("PATCH", "/schedule/{schedule-id}", "schedules.update")
def update(call: Call) -> Answer:
    """Change a schedule; of its timetable what is sent."""
    schedule = _schedule(call)
    fields = call.fields()
    _change(call, schedule, fields)
    if fields:
        schedule.updated = now()
        call.changed(schedule.id)
    return call.json(_show(schedule))


@routes.add("DELETE", "/schedule/{schedule-id}", "schedules.delete")
def delete(call: Call) -> Answer:
    """Delete a schedule."""
    schedule = _schedule(call)
    del call.world.part(_Schedules).by_id[schedule.id]
    call.changed(schedule.id)
    return call.message("Schedule deleted.")


def _schedule(call: Call) -> _Schedule:
    return call.found(call.world.part(_Schedules).by_id.get(call.uuid("schedule-id")), "Schedule not found")


def _change(call: Call, schedule: _Schedule, fields: dict[str, Any]) -> None:
    """Check all fields, then take them over."""
    name: object = fields.get("name", schedule.name)
    description: object = fields.get("description", schedule.description)
    parameters: object = fields.get("parameters", schedule.parameters)
    actor: object = fields.get("attribution-actor")
    if not isinstance(name, str) or not name:
        call.refuse(400, "name: must be a non-empty string.")
    if description is not None and not isinstance(description, str):
        call.refuse(400, "description: must be a string or null.")
    if not isinstance(parameters, dict):
        call.refuse(400, "parameters: must be an object.")
    if actor not in (None, "current", "system"):
        call.refuse(400, "attribution-actor: must be one of current, system.")
    timetable = {**schedule.timetable, **_timetable(call, fields.get("timetable", {}))}
    if not {"per-hour", "hours-of-day"} <= timetable.keys() or not {"days-of-week", "days-of-month"} & timetable.keys():
        call.refuse(400, "timetable: needs per-hour, hours-of-day and days-of-week or days-of-month.")
    schedule.name, schedule.description, schedule.timetable = name, description, timetable
    schedule.parameters = cast("dict[str, Any]", parameters)
    if actor is not None:
        schedule.actor = call.world.me if actor == "current" else call.world.part(_Schedules).system


def _timetable(call: Call, sent: object) -> dict[str, Any]:
    if not isinstance(sent, dict):
        call.refuse(400, "timetable: must be an object.")
    timetable = cast("dict[str, object]", sent)
    allowed: dict[str, tuple[object, ...]] = {
        "hours-of-day": (*range(24),),
        "days-of-week": _DAYS,
        "days-of-month": (*range(1, 32),),
        "months": _MONTHS,
    }
    for name, value in timetable.items():
        if name == "per-hour":
            if type(value) is not int or not 1 <= value <= 60:
                call.refuse(400, "timetable.per-hour: must be from 1 to 60.")
        elif name not in allowed:
            call.refuse(400, f"timetable: Unexpected field '{name}'")
        elif not isinstance(value, list) or any(each not in allowed[name] for each in cast("list[object]", value)):
            call.refuse(400, f"timetable.{name}: has a value that is not allowed.")
    return timetable
