"""The insights of many projects, fetched concurrently."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Sequence
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Any, Final, Literal, TypeVar, cast, get_args

import attrs

from aiocircle._core.decode import decode_items, decode_json
from aiocircle._core.pager import Pager
from aiocircle._core.tasks import bounded_map, gather
from aiocircle.bulk.projects import Projects, Target, targets
from aiocircle.client import CircleCI
from aiocircle.errors import CircleCIError, DecodeError, InvalidArgument, Unauthorized
from aiocircle.resources.insights import FlakyTest, JobMetrics, ReportingWindow, WorkflowMetrics, WorkflowRun
from aiocircle.slugs import ProjectSlug

__all__ = ["Failure", "Part", "Progress", "ProjectInsights", "WorkflowInsights", "fetch_insights"]

T = TypeVar("T")
U = TypeVar("U")

Part = Literal["workflows", "runs", "jobs", "flaky_tests"]
_PARTS: Final[tuple[Part, ...]] = get_args(Part)

# Finished projects that wait for the consumer, from which on no further request is sent.
_MAX_UNCONSUMED: Final = 4


@attrs.frozen(kw_only=True)
class Failure:
    """An operation that failed: its name, such as "insights.list_workflow_runs", the workflow, and the error.

    The items of a list before its failure are kept in the project; `error.page_token` is the page to resume from.
    """

    operation: str
    workflow: str | None = None
    error: CircleCIError


@attrs.frozen(kw_only=True)
class WorkflowInsights:
    """A workflow's metrics, its runs, newest first, and its jobs' metrics. Parts that were not requested are empty."""

    name: str
    metrics: WorkflowMetrics
    runs: tuple[WorkflowRun, ...] = ()
    jobs: tuple[JobMetrics, ...] = ()


@attrs.frozen(kw_only=True)
class ProjectInsights:
    """A project's insights. failures: the operations whose results are missing; empty if none is."""

    slug: ProjectSlug
    workflows: tuple[WorkflowInsights, ...] = ()
    flaky_tests: tuple[FlakyTest, ...] = ()
    failures: tuple[Failure, ...] = ()


@attrs.frozen(kw_only=True)
class Progress:
    """The progress of a bulk fetch. requests_total grows with each workflow and page found, not with retries."""

    projects_done: int
    projects_total: int
    requests_done: int
    requests_total: int


def fetch_insights(
    circle: CircleCI,
    projects: Projects,
    *,
    window: ReportingWindow | str = ReportingWindow.LAST_90_DAYS,
    branch: str | None = None,
    all_branches: bool = False,
    include: Iterable[Part] | Part = _PARTS,
    on_progress: Callable[[Progress], object] | None = None,
) -> AsyncGenerator[ProjectInsights, None]:
    """Fetch the insights of many projects. Each project is yielded as soon as it is complete.

    projects: slugs in any form, links, `Project`s, or patterns such as `gh/acme/web-*` (see `projects.list_for_org`),
    in an iterable or an async iterable. A project that occurs twice, also in another spelling, is fetched once.
    window: the time of metrics and runs; for runs it becomes dates once, at the start. branch: the default branch if
    it is None; all_branches=True takes all of them. include: the parts to fetch. on_progress is called after every
    page and every project.

    The job takes turns with other calls of the client as one caller. It has at most `max_concurrency` requests in the
    queue, and `max_wait` does not bound them: a slow rate makes it slow, and fails nothing.

    An operation that fails becomes an entry of `failures` of its project and stops nothing else; so does an item that
    cannot be decoded, and a workflow whose name cannot be part of a path. A pattern that cannot be expanded is an entry
    of a project with the pattern as its slug. Memory is bounded by the projects in flight; while four finished
    projects wait for the consumer, no request is sent. Raise InvalidArgument immediately for a bad slug, window or
    part, and Unauthorized, after the finished projects, for a 401: nothing is sent after it.

    https://circleci.com/docs/api/v2/#tag/Insights
    """
    fetch = _InsightsFetcher(circle, _window(window), branch, all_branches, _parts(include), on_progress)
    return fetch.run(targets(circle, projects))


def _window(window: ReportingWindow | str) -> ReportingWindow:
    try:
        return ReportingWindow(window)
    except ValueError:
        raise InvalidArgument(f"window must be one of {', '.join(ReportingWindow)}, got {window!r}") from None


def _parts(include: Iterable[Part] | Part) -> frozenset[Part]:
    parts = frozenset(cast("tuple[Part, ...]", (include,) if isinstance(include, str) else tuple(include)))
    if unknown := parts - set(_PARTS):
        raise InvalidArgument(f"include must name parts of {', '.join(_PARTS)}, got {sorted(map(str, unknown))[0]!r}")
    return parts


class _InsightsFetcher:
    """One call of fetch_insights: its parameters and its progress."""

    def __init__(
        self,
        circle: CircleCI,
        window: ReportingWindow,
        branch: str | None,
        all_branches: bool,
        parts: frozenset[Part],
        on_progress: Callable[[Progress], object] | None,
    ) -> None:
        circle = circle.with_options(retry=circle.retry.unbounded())
        self._insights = circle.insights
        self._concurrency = circle.max_concurrency
        # More requests would only wait in the queue, before those of other callers.
        self._queue = asyncio.Semaphore(self._concurrency)
        self._window = window
        self._scope: dict[str, Any] = {"branch": branch, "all_branches": all_branches or None}
        self._parts = parts
        self._on_progress = on_progress
        self._projects_total = 0
        self._projects_done = 0
        self._requests_total = 0
        self._requests_done = 0
        self._has_room = asyncio.Event()
        self._refusal: Unauthorized | None = None
        self._dates: dict[str, Any] = {}

    async def run(self, found: AsyncGenerator[Target, None]) -> AsyncGenerator[ProjectInsights, None]:
        now = datetime.now(UTC)
        self._dates = {"start_date": now - self._window.span, "end_date": now}
        projects = bounded_map(
            found,
            self._project,
            concurrency=self._concurrency,
            max_unconsumed=_MAX_UNCONSUMED,
            has_room=self._has_room,
        )
        async with aclosing(projects):
            async for project in projects:
                yield project

    async def _project(self, target: Target) -> ProjectInsights:
        slug, failures = target.slug, list[Failure]()
        self._projects_total += 1
        if target.error is not None:
            self._projects_done += 1
            self._report()
            return ProjectInsights(
                slug=slug, failures=(Failure(operation="projects.list_for_org", error=target.error),)
            )
        workflows, flaky_tests = await gather(self._workflows(slug, failures), self._flaky_tests(slug, failures))
        self._projects_done += 1
        self._report()
        return ProjectInsights(slug=slug, workflows=workflows, flaky_tests=flaky_tests, failures=tuple(failures))

    async def _workflows(self, slug: ProjectSlug, failures: list[Failure]) -> tuple[WorkflowInsights, ...]:
        if self._parts <= {"flaky_tests"}:
            return ()
        metrics = await self._items(
            lambda: self._insights.list_workflow_metrics(slug, reporting_window=self._window, **self._scope),
            failures,
            "insights.list_workflow_metrics",
        )
        return tuple(await gather(*[self._workflow(slug, each, failures) for each in metrics]))

    async def _workflow(self, slug: ProjectSlug, metrics: WorkflowMetrics, failures: list[Failure]) -> WorkflowInsights:
        name = metrics.name
        runs, jobs = await gather(self._runs(slug, name, failures), self._jobs(slug, name, failures))
        return WorkflowInsights(name=name, metrics=metrics, runs=runs, jobs=jobs)

    async def _runs(self, slug: ProjectSlug, workflow: str, failures: list[Failure]) -> tuple[WorkflowRun, ...]:
        if "runs" not in self._parts:
            return ()
        return await self._items(
            lambda: self._insights.list_workflow_runs(slug, workflow, **self._dates, **self._scope),
            failures,
            "insights.list_workflow_runs",
            workflow,
        )

    async def _jobs(self, slug: ProjectSlug, workflow: str, failures: list[Failure]) -> tuple[JobMetrics, ...]:
        if "jobs" not in self._parts:
            return ()
        return await self._items(
            lambda: self._insights.list_job_metrics(slug, workflow, reporting_window=self._window, **self._scope),
            failures,
            "insights.list_job_metrics",
            workflow,
        )

    async def _flaky_tests(self, slug: ProjectSlug, failures: list[Failure]) -> tuple[FlakyTest, ...]:
        if "flaky_tests" not in self._parts:
            return ()
        self._requests_total += 1
        operation = "insights.get_flaky_tests"
        try:
            return (await self._request(lambda: self._insights.get_flaky_tests(slug))).flaky_tests
        except Unauthorized:
            raise
        except CircleCIError as error:
            tests, errors = _readable_flaky_tests(error)
            failures += [Failure(operation=operation, error=each) for each in errors]
            return tests

    async def _items(
        self, open_list: Callable[[], Pager[T]], failures: list[Failure], operation: str, workflow: str | None = None
    ) -> tuple[T, ...]:
        """Return the items of all pages; if a page fails, those of the pages before it."""
        items: list[T] = []

        def fail(error: CircleCIError) -> None:
            failures.append(Failure(operation=operation, workflow=workflow, error=error))

        self._requests_total += 1
        try:
            async with aclosing(open_list().skip_invalid(fail).pages()) as pages:
                while True:
                    page = await self._request(lambda: anext(pages))
                    items += page.items
                    if page.next_page_token is None:
                        break
                    self._requests_total += 1
        except Unauthorized:
            raise
        except CircleCIError as error:
            fail(error)
        return tuple(items)

    async def _request(self, request: Callable[[], Awaitable[T]]) -> T:
        try:
            async with self._queue:
                await self._has_room.wait()
                if self._refusal is not None:
                    raise self._refusal
                return await request()
        except Unauthorized as error:
            self._refusal = error
            raise
        finally:
            self._requests_done += 1
            self._report()

    def _report(self) -> None:
        if self._on_progress is not None:
            self._on_progress(
                Progress(
                    projects_done=self._projects_done,
                    projects_total=self._projects_total,
                    requests_done=self._requests_done,
                    requests_total=self._requests_total,
                )
            )


def _readable_flaky_tests(error: CircleCIError) -> tuple[tuple[FlakyTest, ...], list[CircleCIError]]:
    """Return the good items of a response that could not be decoded, and an error for each bad one."""
    if not isinstance(error, DecodeError) or error.malformed:
        return (), [error]
    plain: Any = decode_json(error.body)
    for key in ("flaky_tests", "flaky-tests"):
        items: Any = cast("dict[str, Any]", plain).get(key) if isinstance(plain, dict) else None
        if type(items) is list:
            tests, bad = decode_items(FlakyTest, cast("Sequence[Any]", items), f"$.{key}")
            # A response without a bad item has another problem.
            return tuple(tests), [_about(error, problems.problems) for _, problems in bad] or [error]
    return (), [error]


def _about(error: DecodeError, problems: Sequence[str]) -> DecodeError:
    """Return the error of one item of a response."""
    item = DecodeError(problems, error.status, error.method, error.url, error.headers, error.request_id, error.body)
    item.attempts, item.outcome = error.attempts, error.outcome
    return item
