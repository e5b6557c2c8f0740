"""Schedules: pipelines that start by the clock."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Annotated, Any, NotRequired, TypedDict

import attrs

from aiocircle._core.api import kebab
from aiocircle._core.encode import encode_nested
from aiocircle._core.endpoint import Action, Endpoint, ListEndpoint, Table
from aiocircle._core.fields import KEBAB, UNSET, Timestamp, Unset, WholeNumber
from aiocircle._core.group import Group, Id, OneOrMany, Project, encode_optional, omit_none
from aiocircle._core.pager import Pager
from aiocircle.resources.users import User

__all__ = ["AttributionActor", "Schedule", "Schedules", "Timetable", "TimetableChanges", "TimetableFields"]


class AttributionActor(StrEnum):
    """In whose name a schedule's pipelines run: the token's user, or CircleCI itself."""

    CURRENT = "current"
    SYSTEM = "system"


@attrs.frozen(kw_only=True)
class Timetable:
    """When a schedule starts pipelines. All hours are UTC.

    per_hour: how often in each of the hours_of_day, 1 to 60. days_of_week ("MON") or days_of_month
    (1 to 31): only one of the two is set. months: ("JAN"), None for all.
    """

    per_hour: WholeNumber | None = attrs.field(default=None, metadata=KEBAB)
    hours_of_day: tuple[int, ...] = attrs.field(default=(), metadata=KEBAB)
    days_of_week: tuple[str, ...] | None = attrs.field(default=None, metadata=KEBAB)
    days_of_month: tuple[int, ...] | None = attrs.field(default=None, metadata=KEBAB)
    months: tuple[str, ...] | None = None


class TimetableFields(TypedDict):
    """The timetable of a new schedule, as Timetable describes it."""

    per_hour: Annotated[int, "per-hour"]
    hours_of_day: Annotated[Sequence[int], "hours-of-day"]
    days_of_week: NotRequired[Annotated[OneOrMany, "days-of-week"]]
    days_of_month: NotRequired[Annotated[Sequence[int], "days-of-month"]]
    months: NotRequired[OneOrMany]


class TimetableChanges(TypedDict, total=False):
    """Changes to a timetable, with the fields of Timetable."""

    per_hour: Annotated[int, "per-hour"]
    hours_of_day: Annotated[Sequence[int], "hours-of-day"]
    days_of_week: Annotated[OneOrMany, "days-of-week"]
    days_of_month: Annotated[Sequence[int], "days-of-month"]
    months: OneOrMany


@attrs.frozen(kw_only=True)
class Schedule:
    """A schedule. parameters are those of its pipelines, `branch` or `tag` among them."""

    id: str
    name: str
    description: str | None = None
    project_slug: str = attrs.field(default="", metadata=KEBAB)
    timetable: Timetable = Timetable()
    parameters: Mapping[str, Any] = attrs.field(factory=dict[str, Any], hash=False)
    actor: User | None = None
    created_at: Timestamp | None = attrs.field(default=None, metadata=KEBAB)
    updated_at: Timestamp | None = attrs.field(default=None, metadata=KEBAB)


class _Endpoints(Table, group="schedules"):
    create = Endpoint("POST", "/project/{project:slug}/schedule", Schedule, body=kebab)
    delete = Action("DELETE", "/schedule/{schedule_id:id}")
    get = Endpoint("GET", "/schedule/{schedule_id:id}", Schedule)
    list = ListEndpoint("GET", "/project/{project:slug}/schedule", Schedule)
    update = Endpoint("PATCH", "/schedule/{schedule_id:id}", Schedule, body=kebab)


class Schedules(Group):
    """Schedules: `circle.schedules`. GitHub App and GitLab projects have schedule triggers instead."""

    async def get(self, schedule_id: Id) -> Schedule:
        """Return a schedule, by id.

        https://circleci.com/docs/api/v2/#operation/getScheduleById
        """
        return await self._call(_Endpoints.get, schedule_id)

    def list(self, project: Project, *, page_token: str | None = None) -> Pager[Schedule]:
        """List a project's schedules.

        https://circleci.com/docs/api/v2/#operation/listSchedulesForProject
        """
        return self._list(_Endpoints.list, project, page_token=page_token)

    async def create(
        self,
        project: Project,
        *,
        name: str,
        timetable: TimetableFields | Timetable,
        attribution_actor: str,
        parameters: Mapping[str, str | int | bool],
        description: str | Unset | None = UNSET,
    ) -> Schedule:
        """Create a schedule of a project.

        timetable: such as `{"per_hour": 1, "hours_of_day": [3], "days_of_week": ["MON"]}`, in UTC.
        attribution_actor: "current" for the token's user, or "system". parameters: those of the pipelines; `branch`
        or `tag` has to be among them.

        https://circleci.com/docs/api/v2/#operation/createSchedule
        """
        return await self._call(
            _Endpoints.create,
            project,
            body=_fields(
                name,
                encode_nested(TimetableFields, timetable, "timetable"),
                attribution_actor,
                parameters,
                description,
            ),
        )

    async def update(
        self,
        schedule_id: Id,
        *,
        name: str | None = None,
        timetable: TimetableChanges | Timetable | None = None,
        attribution_actor: str | None = None,
        parameters: Mapping[str, str | int | bool] | None = None,
        description: str | Unset | None = UNSET,
    ) -> Schedule:
        """Change a schedule. Parameters that are omitted stay. A description of None is removed.

        https://circleci.com/docs/api/v2/#operation/updateSchedule
        """
        return await self._call(
            _Endpoints.update,
            schedule_id,
            body=_fields(
                name,
                encode_optional(TimetableChanges, timetable, "timetable"),
                attribution_actor,
                parameters,
                description,
            ),
        )

    async def delete(self, schedule_id: Id) -> None:
        """Delete a schedule.

        https://circleci.com/docs/api/v2/#operation/deleteScheduleById
        """
        return await self._call(_Endpoints.delete, schedule_id)


def _fields(
    name: str | None,
    timetable: Mapping[str, Any] | None,
    attribution_actor: str | None,
    parameters: Mapping[str, Any] | None,
    description: str | Unset | None,
) -> dict[str, Any]:
    fields = {"name": name, "timetable": timetable, "attribution_actor": attribution_actor, "parameters": parameters}
    return {**omit_none(**fields), "description": description}
