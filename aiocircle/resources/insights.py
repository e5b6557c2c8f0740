"""Insights: success, duration, throughput and credits of workflows, jobs and tests.

Figures that CircleCI does not report are None. Durations are in seconds. Credits are an estimate, not what CircleCI
bills. The figures are gathered once a day, so the last 24 hours may be missing. Without a branch they are those of
the default branch.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from enum import StrEnum

import attrs

from aiocircle._core.endpoint import Endpoint, ListEndpoint, Table
from aiocircle._core.fields import KEBAB, Timestamp, WholeNumber
from aiocircle._core.group import Group, OneOrMany, Org, Project
from aiocircle._core.pager import Pager
from aiocircle.resources._statuses import JobStatus

__all__ = [
    "DurationMetrics",
    "FlakyTest",
    "FlakyTests",
    "Granularity",
    "Insights",
    "JobMetrics",
    "JobRun",
    "JobRunMetrics",
    "JobTimeseries",
    "JobTimeseriesMetrics",
    "MeasuredTest",
    "MeasuredTestRun",
    "OrgProjectSummary",
    "OrgSummary",
    "ProjectBranchSummary",
    "ProjectBranches",
    "ProjectSummary",
    "ProjectWorkflowSummary",
    "ReportingWindow",
    "ResultCounts",
    "SummaryMetrics",
    "SummaryTotals",
    "SummaryTrends",
    "TimeseriesDurations",
    "WorkflowMetrics",
    "WorkflowRun",
    "WorkflowRunMetrics",
    "WorkflowRunStatus",
    "WorkflowSummary",
    "WorkflowSummaryMetrics",
    "WorkflowTestMetrics",
    "WorkflowTrends",
]


class ReportingWindow(StrEnum):
    """The time that summaries are about, up to now. The API's default is the last 90 days."""

    LAST_24_HOURS = "last-24-hours"
    LAST_7_DAYS = "last-7-days"
    LAST_30_DAYS = "last-30-days"
    LAST_60_DAYS = "last-60-days"
    LAST_90_DAYS = "last-90-days"

    @property
    def span(self) -> timedelta:
        """How long it is."""
        _, number, unit = self.split("-")
        return timedelta(**{unit: int(number)})


class Granularity(StrEnum):
    """The interval of a time series. Hourly figures are kept for 48 hours, daily ones for 90 days."""

    DAILY = "daily"
    HOURLY = "hourly"


class WorkflowRunStatus(StrEnum):
    """How a workflow's run ended, as far as known today."""

    SUCCESS = "success"
    FAILED = "failed"
    ERROR = "error"
    CANCELED = "canceled"
    UNAUTHORIZED = "unauthorized"


# --- workflows and jobs: read without second spellings, converters and aliases, so that pages decode fast --------


@attrs.frozen(kw_only=True)
class DurationMetrics:
    """The spread of some runs' durations, in seconds; None without a run that has one."""

    min: WholeNumber | None = None
    mean: WholeNumber | None = None
    median: WholeNumber | None = None
    p95: WholeNumber | None = None
    max: WholeNumber | None = None
    standard_deviation: float | None = None
    total_duration: WholeNumber | None = None


@attrs.frozen(kw_only=True)
class WorkflowRunMetrics:
    """The figures of a workflow's runs in a window.

    total_runs counts those that still run or wait, too. mttr, the mean time to recovery, is the seconds from a failure
    to the next success, None where nothing recovered; throughput is runs a day, total_recoveries recovered runs a day.
    median_credits_used is not kept up any more and always 0.
    """

    total_runs: WholeNumber | None = None
    successful_runs: WholeNumber | None = None
    failed_runs: WholeNumber | None = None
    success_rate: float | None = None
    duration_metrics: DurationMetrics = DurationMetrics()
    throughput: float | None = None
    mttr: WholeNumber | None = None
    total_recoveries: WholeNumber | None = None
    total_credits_used: WholeNumber | None = None
    median_credits_used: WholeNumber | None = None


@attrs.frozen(kw_only=True)
class WorkflowMetrics:
    """A workflow and its figures. The window's ends are its first and last run within the reporting window."""

    name: str
    metrics: WorkflowRunMetrics = WorkflowRunMetrics()
    window_start: Timestamp | None = None
    window_end: Timestamp | None = None
    project_id: str | None = None


@attrs.frozen(kw_only=True)
class WorkflowRun:
    """One run of a workflow.

    duration is in seconds. It, stopped_at and status are None while the run is under way. status is one of
    WorkflowRunStatus, or a newer one. is_approval says whether the run waits for an approval.
    """

    # In the order of the wire: msgspec looks for a key where the one before it ended.
    id: str
    branch: str | None = None
    duration: WholeNumber | None = None
    created_at: Timestamp
    stopped_at: Timestamp | None = None
    credits_used: WholeNumber | None = None
    status: str | None = None
    is_approval: bool | None = None

    @property
    def is_successful(self) -> bool:
        """Whether the run ended well."""
        return self.status == WorkflowRunStatus.SUCCESS


@attrs.frozen(kw_only=True)
class JobRunMetrics:
    """The figures of a job's runs in a window.

    total_runs counts those that still run or wait, too; throughput is runs a day. median_credits_used is not kept up
    any more and always 0.
    """

    total_runs: WholeNumber | None = None
    successful_runs: WholeNumber | None = None
    failed_runs: WholeNumber | None = None
    success_rate: float | None = None
    duration_metrics: DurationMetrics = DurationMetrics()
    throughput: float | None = None
    total_credits_used: WholeNumber | None = None
    median_credits_used: WholeNumber | None = None


@attrs.frozen(kw_only=True)
class JobMetrics:
    """A job and its figures. The window's ends are its first and last run within the reporting window."""

    name: str
    metrics: JobRunMetrics = JobRunMetrics()
    window_start: Timestamp | None = None
    window_end: Timestamp | None = None


@attrs.frozen(kw_only=True)
class JobRun:
    """One run of a job. duration is in seconds; status is one of JobStatus, or a newer one."""

    id: str
    status: str | None = None
    started_at: Timestamp | None = None
    stopped_at: Timestamp | None = None
    duration: WholeNumber | None = None
    credits_used: WholeNumber | None = None

    @property
    def is_successful(self) -> bool:
        """Whether the run ended well."""
        return self.status == JobStatus.SUCCESS


# --- time series -----------------------------------------------------------------------------------------------


@attrs.frozen(kw_only=True)
class TimeseriesDurations:
    """The spread of an interval's durations, in seconds. total has been seen to be 0 whatever the others are."""

    min: WholeNumber | None = None
    median: WholeNumber | None = None
    p95: WholeNumber | None = None
    max: WholeNumber | None = None
    total: WholeNumber | None = None


@attrs.frozen(kw_only=True)
class JobTimeseriesMetrics:
    """The figures of a job's runs in an interval. median_credits_used is always 0."""

    total_runs: WholeNumber | None = None
    successful_runs: WholeNumber | None = None
    failed_runs: WholeNumber | None = None
    duration_metrics: TimeseriesDurations = TimeseriesDurations()
    throughput: float | None = None
    total_credits_used: WholeNumber | None = None
    median_credits_used: WholeNumber | None = None


@attrs.frozen(kw_only=True)
class JobTimeseries:
    """A job's figures in one interval, which starts at timestamp."""

    name: str
    timestamp: Timestamp
    metrics: JobTimeseriesMetrics = JobTimeseriesMetrics()
    min_started_at: Timestamp | None = None
    max_ended_at: Timestamp | None = None


# --- summaries -------------------------------------------------------------------------------------------------


@attrs.frozen(kw_only=True)
class WorkflowSummaryMetrics:
    """A workflow's figures: those of WorkflowRunMetrics, and how many runs completed.

    The window's ends are its first and last run.
    """

    total_runs: WholeNumber | None = None
    successful_runs: WholeNumber | None = None
    failed_runs: WholeNumber | None = None
    success_rate: float | None = None
    duration_metrics: DurationMetrics = DurationMetrics()
    completed_runs: WholeNumber | None = None
    throughput: float | None = None
    mttr: WholeNumber | None = None
    total_credits_used: WholeNumber | None = None
    window_start: Timestamp | None = None
    window_end: Timestamp | None = None


@attrs.frozen(kw_only=True)
class WorkflowTrends:
    """How a workflow's figures moved against the window before."""

    total_runs: float | None = None
    failed_runs: float | None = None
    success_rate: float | None = None
    p95_duration_secs: float | None = None
    median_duration_secs: float | None = None
    total_credits_used: float | None = None
    mttr: float | None = None
    throughput: float | None = None


@attrs.frozen(kw_only=True)
class WorkflowSummary:
    """A workflow's figures and trends. workflow_names are all workflows of the project."""

    metrics: WorkflowSummaryMetrics = WorkflowSummaryMetrics()
    trends: WorkflowTrends = WorkflowTrends()
    workflow_names: tuple[str, ...] = ()


@attrs.frozen(kw_only=True)
class SummaryMetrics:
    """The figures of a whole organization, a project, a workflow or a branch; what does not apply there is None.

    Durations are in seconds, throughput is runs a day.
    """

    total_runs: WholeNumber | None = None
    success_rate: float | None = None
    total_duration_secs: WholeNumber | None = None
    p95_duration_secs: float | None = None
    total_credits_used: WholeNumber | None = None
    throughput: float | None = None


@attrs.frozen(kw_only=True)
class SummaryTrends:
    """How the figures of a SummaryMetrics moved against the window before."""

    total_runs: float | None = None
    success_rate: float | None = None
    total_duration_secs: float | None = None
    p95_duration_secs: float | None = None
    total_credits_used: float | None = None
    throughput: float | None = None


@attrs.frozen(kw_only=True)
class SummaryTotals:
    """The figures and trends of a whole organization or project."""

    metrics: SummaryMetrics = SummaryMetrics()
    trends: SummaryTrends = SummaryTrends()


@attrs.frozen(kw_only=True)
class ProjectWorkflowSummary:
    """The figures and trends of one of a project's workflows, over all branches."""

    workflow_name: str
    metrics: SummaryMetrics = SummaryMetrics()
    trends: SummaryTrends = SummaryTrends()


@attrs.frozen(kw_only=True)
class ProjectBranchSummary:
    """The figures and trends of a workflow on one branch."""

    workflow_name: str
    branch: str | None = None
    metrics: SummaryMetrics = SummaryMetrics()
    trends: SummaryTrends = SummaryTrends()


@attrs.frozen(kw_only=True)
class ProjectSummary:
    """A project's figures and trends: as a whole, by workflow, and by workflow and branch."""

    org_id: str | None = None
    project_id: str | None = None
    project_data: SummaryTotals | None = None
    project_workflow_data: tuple[ProjectWorkflowSummary, ...] = ()
    project_workflow_branch_data: tuple[ProjectBranchSummary, ...] = ()
    all_branches: tuple[str, ...] = ()
    all_workflows: tuple[str, ...] = ()


@attrs.frozen(kw_only=True)
class OrgProjectSummary:
    """The figures and trends of one of an organization's projects, over all branches."""

    project_name: str
    metrics: SummaryMetrics = SummaryMetrics()
    trends: SummaryTrends = SummaryTrends()


@attrs.frozen(kw_only=True)
class OrgSummary:
    """An organization's figures and trends.

    org_project_data holds the projects that were asked for by name; all_projects are the names of all.
    """

    org_data: SummaryTotals = SummaryTotals()
    org_project_data: tuple[OrgProjectSummary, ...] = ()
    all_projects: tuple[str, ...] = ()


@attrs.frozen(kw_only=True)
class ProjectBranches:
    """The branches of a project that Insights knows; 5,000 at most."""

    org_id: str | None = None
    project_id: str | None = None
    branches: tuple[str, ...]


# --- tests -----------------------------------------------------------------------------------------------------


@attrs.frozen(kw_only=True)
class FlakyTest:
    """A test that passed and failed on the same commit.

    The workflow, job and pipeline are those of its latest flake. time_wasted is in seconds. source and file may be
    empty as well as None.
    """

    test_name: str = attrs.field(metadata=KEBAB)
    classname: str | None = None
    job_name: str = attrs.field(default="", metadata=KEBAB)
    job_number: WholeNumber | None = attrs.field(default=None, metadata=KEBAB)
    workflow_name: str = attrs.field(default="", metadata=KEBAB)
    workflow_id: str | None = attrs.field(default=None, metadata=KEBAB)
    workflow_created_at: Timestamp | None = attrs.field(default=None, metadata=KEBAB)
    pipeline_number: WholeNumber | None = attrs.field(default=None, metadata=KEBAB)
    times_flaked: WholeNumber | None = attrs.field(default=None, metadata=KEBAB)
    time_wasted: WholeNumber | None = attrs.field(default=None, metadata=KEBAB)
    source: str | None = None
    file: str | None = None


@attrs.frozen(kw_only=True)
class FlakyTests:
    """A project's flaky tests. total_flaky_tests counts each test once, however often it flaked."""

    flaky_tests: tuple[FlakyTest, ...] = attrs.field(default=(), metadata=KEBAB)
    total_flaky_tests: float | None = attrs.field(default=None, metadata=KEBAB)


@attrs.frozen(kw_only=True)
class MeasuredTest:
    """A test and its figures. p95_duration is in seconds. source and file may be empty as well as None."""

    test_name: str
    job_name: str = ""
    classname: str | None = None
    file: str | None = None
    source: str | None = None
    total_runs: WholeNumber | None = None
    failed_runs: WholeNumber | None = None
    flaky: bool | None = None
    p95_duration: float | None = None


@attrs.frozen(kw_only=True)
class ResultCounts:
    """How many tests of a run ended how."""

    total: WholeNumber | None = None
    success: WholeNumber | None = None
    failure: WholeNumber | None = None
    error: WholeNumber | None = None
    skipped: WholeNumber | None = None


@attrs.frozen(kw_only=True)
class MeasuredTestRun:
    """What the tests of one workflow run said."""

    workflow_id: str
    pipeline_number: WholeNumber | None = None
    success_rate: float | None = None
    test_counts: ResultCounts = ResultCounts()


@attrs.frozen(kw_only=True)
class WorkflowTestMetrics:
    """The figures of a workflow's tests, of its ten latest runs.

    most_failed_tests_extra and slowest_tests_extra count the tests that are left out though they fare the same.
    """

    average_test_count: WholeNumber | None = None
    total_test_runs: WholeNumber | None = None
    most_failed_tests: tuple[MeasuredTest, ...] = ()
    most_failed_tests_extra: WholeNumber | None = None
    slowest_tests: tuple[MeasuredTest, ...] = ()
    slowest_tests_extra: WholeNumber | None = None
    test_runs: tuple[MeasuredTestRun, ...] = ()


# --- operations ------------------------------------------------------------------------------------------------


class _Endpoints(Table, group="insights"):
    list_workflow_metrics = ListEndpoint("GET", "/insights/{project:slug}/workflows", WorkflowMetrics)
    list_workflow_runs = ListEndpoint("GET", "/insights/{project:slug}/workflows/{workflow}", WorkflowRun)
    list_job_metrics = ListEndpoint("GET", "/insights/{project:slug}/workflows/{workflow}/jobs", JobMetrics)
    list_job_runs = ListEndpoint("GET", "/insights/{project:slug}/workflows/{workflow}/jobs/{job}", JobRun)
    list_job_timeseries = ListEndpoint(
        "GET", "/insights/time-series/{project:slug}/workflows/{workflow}/jobs", JobTimeseries
    )
    get_workflow_summary = Endpoint("GET", "/insights/{project:slug}/workflows/{workflow}/summary", WorkflowSummary)
    get_project_summary = Endpoint("GET", "/insights/pages/{project:slug}/summary", ProjectSummary)
    get_org_summary = Endpoint("GET", "/insights/{org:org_slug}/summary", OrgSummary)
    get_branches = Endpoint("GET", "/insights/{project:slug}/branches", ProjectBranches)
    get_flaky_tests = Endpoint("GET", "/insights/{project:slug}/flaky-tests", FlakyTests)
    get_test_metrics = Endpoint(
        "GET", "/insights/{project:slug}/workflows/{workflow}/test-metrics", WorkflowTestMetrics
    )


class Insights(Group):
    """Insights: `circle.insights`.

    Parameters of several operations:
    branch: a branch, the default branch if it is omitted.
    all_branches: True for all branches together. It takes precedence over branch.
    reporting_window: the last 90 days if it is omitted.
    start_date, end_date: only runs that started at or after the first and before the second, at most 90 days apart. The
        API refuses an end without a start (BadRequest). A datetime.date is its midnight in UTC.
    """

    def list_workflow_metrics(
        self,
        project: Project,
        *,
        reporting_window: ReportingWindow | str | None = None,
        branch: str | None = None,
        all_branches: bool | None = None,
        page_token: str | None = None,
    ) -> Pager[WorkflowMetrics]:
        """List summary metrics of each of a project's workflows.

        https://circleci.com/docs/api/v2/#operation/getProjectWorkflowMetrics
        """
        return self._list(
            _Endpoints.list_workflow_metrics,
            project,
            query={**_scope(branch, all_branches), "reporting_window": reporting_window},
            page_token=page_token,
        )

    def list_workflow_runs(
        self,
        project: Project,
        workflow: str,
        *,
        start_date: date | str | None = None,
        end_date: date | str | None = None,
        branch: str | None = None,
        all_branches: bool | None = None,
        page_token: str | None = None,
    ) -> Pager[WorkflowRun]:
        """List a workflow's runs of the last 90 days, newest first.

        https://circleci.com/docs/api/v2/#operation/getProjectWorkflowRuns
        """
        return self._list(
            _Endpoints.list_workflow_runs,
            project,
            workflow,
            query={**_scope(branch, all_branches), **_dates(start_date, end_date)},
            page_token=page_token,
        )

    def list_job_metrics(
        self,
        project: Project,
        workflow: str,
        *,
        reporting_window: ReportingWindow | str | None = None,
        branch: str | None = None,
        all_branches: bool | None = None,
        job_name: str | None = None,
        page_token: str | None = None,
    ) -> Pager[JobMetrics]:
        """List summary metrics of each of a workflow's jobs. job_name: only jobs whose name contains this.

        https://circleci.com/docs/api/v2/#operation/getProjectWorkflowJobMetrics
        """
        return self._list(
            _Endpoints.list_job_metrics,
            project,
            workflow,
            query={
                **_scope(branch, all_branches),
                "reporting_window": reporting_window,
                "job_name": job_name,
            },
            page_token=page_token,
        )

    def list_job_runs(
        self,
        project: Project,
        workflow: str,
        job: str,
        *,
        start_date: date | str | None = None,
        end_date: date | str | None = None,
        branch: str | None = None,
        page_token: str | None = None,
    ) -> Pager[JobRun]:
        """List a job's runs within a workflow, of the last 90 days on one branch.

        For CircleCI Server: the current reference of the cloud does not have this operation any more. It cannot list
        all branches.

        https://circleci.com/docs/api/v2/#operation/getProjectJobRuns
        """
        return self._list(
            _Endpoints.list_job_runs,
            project,
            workflow,
            job,
            query={"branch": branch, **_dates(start_date, end_date)},
            page_token=page_token,
        )

    def list_job_timeseries(
        self,
        project: Project,
        workflow: str,
        *,
        granularity: Granularity | str | None = None,
        start_date: date | str | None = None,
        end_date: date | str | None = None,
        branch: str | None = None,
        page_token: str | None = None,
    ) -> Pager[JobTimeseries]:
        """List the figures of a workflow's jobs by day or by hour: an item for each job in each interval.

        Hourly figures are kept for 48 hours, daily ones for 90 days.

        https://circleci.com/docs/api/v2/#operation/getJobTimeseries
        """
        return self._list(
            _Endpoints.list_job_timeseries,
            project,
            workflow,
            query={"branch": branch, "granularity": granularity, **_dates(start_date, end_date)},
            page_token=page_token,
        )

    async def get_workflow_summary(
        self,
        project: Project,
        workflow: str,
        *,
        branch: str | None = None,
        all_branches: bool | None = None,
    ) -> WorkflowSummary:
        """Return a workflow's metrics and trends.

        https://circleci.com/docs/api/v2/#operation/getWorkflowSummary
        """
        return await self._call(_Endpoints.get_workflow_summary, project, workflow, query=_scope(branch, all_branches))

    async def get_project_summary(
        self,
        project: Project,
        *,
        reporting_window: ReportingWindow | str | None = None,
        branches: OneOrMany | None = None,
        workflow_names: OneOrMany | None = None,
    ) -> ProjectSummary:
        """Return a project's metrics and trends: as a whole, by workflow, and by workflow and branch.

        branches, workflow_names: the subjects of the parts by branch and by workflow. Trends reach back at most 30
        days.

        https://circleci.com/docs/api/v2/#operation/getProjectWorkflowsPageData
        """
        return await self._call(
            _Endpoints.get_project_summary,
            project,
            query={
                "reporting_window": reporting_window,
                "branches": branches,
                "workflow_names": workflow_names,
            },
        )

    async def get_org_summary(
        self,
        org: Org,
        *,
        reporting_window: ReportingWindow | str | None = None,
        project_names: OneOrMany | None = None,
    ) -> OrgSummary:
        """Return an organization's metrics and trends, and those of the projects that project_names names.

        project_names: names, not slugs. Without them no project is listed by itself.

        https://circleci.com/docs/api/v2/#operation/getOrgSummaryData
        """
        return await self._call(
            _Endpoints.get_org_summary,
            org,
            query={"reporting_window": reporting_window, "project_names": project_names},
        )

    async def get_branches(self, project: Project, *, workflow_name: str | None = None) -> ProjectBranches:
        """Return the branches of a project, or of one of its workflows, that Insights knows: at most 5,000.

        https://circleci.com/docs/api/v2/#operation/getAllInsightsBranches
        """
        return await self._call(_Endpoints.get_branches, project, query={"workflow_name": workflow_name})

    async def get_flaky_tests(self, project: Project) -> FlakyTests:
        """Return a project's flaky tests, of all branches: those that passed and failed on the same commit.

        A test is flaky until two weeks have passed without a flake. The API returns them in one piece.

        https://circleci.com/docs/api/v2/#operation/getFlakyTests
        """
        return await self._call(_Endpoints.get_flaky_tests, project)

    async def get_test_metrics(
        self,
        project: Project,
        workflow: str,
        *,
        branch: str | None = None,
        all_branches: bool | None = None,
    ) -> WorkflowTestMetrics:
        """Return the metrics of a workflow's tests, of its ten latest runs.

        https://circleci.com/docs/api/v2/#operation/getProjectWorkflowTestMetrics
        """
        return await self._call(_Endpoints.get_test_metrics, project, workflow, query=_scope(branch, all_branches))


def _scope(branch: str | None, all_branches: bool | None) -> dict[str, str | bool | None]:
    return {"branch": branch, "all_branches": all_branches}


def _dates(start: date | str | None, end: date | str | None) -> dict[str, date | str | None]:
    return {"start_date": _midnight(start), "end_date": _midnight(end)}


def _midnight(value: date | str | None) -> date | str | None:
    """Return the beginning of a day in UTC. A datetime or its text stays: the API takes times only."""
    if isinstance(value, date) and not isinstance(value, datetime):
        return datetime(value.year, value.month, value.day, tzinfo=UTC)
    return value
