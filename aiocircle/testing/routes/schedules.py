"""Schedules that trigger pipelines of classic projects."""

from __future__ import annotations

from typing import Any, cast

import attrs

from .. import serializers
from ..ids import Kind
from ..model import Project, User
from ..request import RequestContext
from ..response import Response
from ..router import Routes
from ..state import State
from ..times import DAY, iso_ms

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
    def __init__(self, state: State) -> None:
        self.system = User(
            id=state.ids.uuid(Kind.SYSTEM, 0),
            login="system-actor",
            name="Scheduled Pipelines",
            avatar_url=None,
        )
        self.by_id: dict[str, _Schedule] = {}
        for project in state.projects.values():
            if project.organization.standalone or project.generate_history is None:
                continue
            created = state.midnight - 150 * DAY
            new = _Schedule(
                id=state.ids.uuid(Kind.SCHEDULE, project.key),
                project=project,
                name="nightly",
                description=None if project.key % 2 else "Everything that is too slow for each push",
                timetable={"per-hour": 1, "hours-of-day": [2], "days-of-week": [*_DAYS]},
                parameters={"branch": project.default_branch, "deep": True},
                actor=self.system if project.key % 2 else state.token_owner,
                created=created,
                updated=created,
            )
            self.by_id[new.id] = new


def _show(schedule: _Schedule) -> dict[str, Any]:
    """Return a schedule with the keys of the official document. No recording has other keys."""
    return {
        "id": schedule.id,
        "timetable": schedule.timetable,
        "updated-at": iso_ms(schedule.updated),
        "name": schedule.name,
        "created-at": iso_ms(schedule.created),
        "project-slug": schedule.project.slug,
        "parameters": schedule.parameters,
        "actor": serializers.user(schedule.actor),
        "description": schedule.description,
    }


@routes.add("GET", "/project/{project}/schedule", "schedules.list")
def list_all(request: RequestContext) -> Response:
    """Return a project's schedules."""
    project = request.project()
    schedules = [each for each in request.state.group_state(_Schedules).by_id.values() if each.project is project]
    return request.respond_page(schedules, _show)


@routes.add("POST", "/project/{project}/schedule", "schedules.create")
def create(request: RequestContext) -> Response:
    """Create a schedule, on a classic project."""
    project = request.project()
    if project.organization.standalone:
        request.fail(400, "Schedules are not available to this project.")
    part = request.state.group_state(_Schedules)
    fields = request.body_fields(*_FIELDS)
    new = _Schedule(
        id=request.state.new_id(Kind.SCHEDULE),
        project=project,
        name="",
        description=None,
        timetable={},
        parameters={},
        actor=request.state.token_owner,
        created=request.state.now(),
        updated=request.state.now(),
    )
    _change(request, new, fields)
    part.by_id[new.id] = new
    request.record_change(new.id)
    return request.respond(_show(new), 201)


@routes.add("GET", "/schedule/{schedule-id}", "schedules.get")
def get(request: RequestContext) -> Response:
    """Return a schedule."""
    return request.respond(_show(_schedule(request)))


@routes.add("PATCH", "/schedule/{schedule-id}", "schedules.update")
def update(request: RequestContext) -> Response:
    """Update a schedule. Fields of its timetable that are not sent stay."""
    schedule = _schedule(request)
    fields = request.body_fields()
    _change(request, schedule, fields)
    if fields:
        schedule.updated = request.state.now()
        request.record_change(schedule.id)
    return request.respond(_show(schedule))


@routes.add("DELETE", "/schedule/{schedule-id}", "schedules.delete")
def delete(request: RequestContext) -> Response:
    """Delete a schedule."""
    schedule = _schedule(request)
    del request.state.group_state(_Schedules).by_id[schedule.id]
    request.record_change(schedule.id)
    return request.respond_message("Schedule deleted.")


def _schedule(request: RequestContext) -> _Schedule:
    return request.require(
        request.state.group_state(_Schedules).by_id.get(request.path_uuid("schedule-id")), "Schedule not found"
    )


def _change(request: RequestContext, schedule: _Schedule, fields: dict[str, Any]) -> None:
    """Check all fields, then apply them."""
    name: object = fields.get("name", schedule.name)
    description: object = fields.get("description", schedule.description)
    parameters: object = fields.get("parameters", schedule.parameters)
    actor: object = fields.get("attribution-actor")
    if not isinstance(name, str) or not name:
        request.fail(400, "name: must be a non-empty string.")
    if description is not None and not isinstance(description, str):
        request.fail(400, "description: must be a string or null.")
    if not isinstance(parameters, dict):
        request.fail(400, "parameters: must be an object.")
    if actor not in (None, "current", "system"):
        request.fail(400, "attribution-actor: must be one of current, system.")
    timetable = {**schedule.timetable, **_timetable(request, fields.get("timetable", {}))}
    if not {"per-hour", "hours-of-day"} <= timetable.keys() or not {"days-of-week", "days-of-month"} & timetable.keys():
        request.fail(400, "timetable: needs per-hour, hours-of-day and days-of-week or days-of-month.")
    schedule.name, schedule.description, schedule.timetable = name, description, timetable
    schedule.parameters = cast("dict[str, Any]", parameters)
    if actor is not None:
        schedule.actor = (
            request.state.token_owner if actor == "current" else request.state.group_state(_Schedules).system
        )


def _timetable(request: RequestContext, raw: object) -> dict[str, Any]:
    if not isinstance(raw, dict):
        request.fail(400, "timetable: must be an object.")
    timetable = cast("dict[str, object]", raw)
    allowed: dict[str, tuple[object, ...]] = {
        "hours-of-day": (*range(24),),
        "days-of-week": _DAYS,
        "days-of-month": (*range(1, 32),),
        "months": _MONTHS,
    }
    for name, value in timetable.items():
        if name == "per-hour":
            if type(value) is not int or not 1 <= value <= 60:
                request.fail(400, "timetable.per-hour: must be from 1 to 60.")
        elif name not in allowed:
            request.fail(400, f"timetable: Unexpected field '{name}'")
        elif not isinstance(value, list) or any(each not in allowed[name] for each in cast("list[object]", value)):
            request.fail(400, f"timetable.{name}: has a value that is not allowed.")
    return timetable
