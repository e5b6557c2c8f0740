"""The resources of an organization: users, projects, pipelines, workflows and jobs, and their progress in time.

Times are seconds since the epoch, durations are seconds.
"""

from __future__ import annotations

import bisect
import math
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from types import MappingProxyType
from typing import Final

import attrs

from .ids import IdFactory, Kind, digest
from .stories import ACTIVE, ArtifactStory, JobStory, Story, WorkflowStory

__all__ = [
    "FINISHED",
    "CheckoutKey",
    "History",
    "Job",
    "JobPlan",
    "Organization",
    "Pipeline",
    "Project",
    "ProjectVariable",
    "User",
    "Workflow",
    "WorkflowPlan",
    "job_id",
]

FINISHED = frozenset(
    {"success", "failed", "canceled", "timedout", "infrastructure_fail", "not_run", "unauthorized", "error"}
)
_BROKEN = frozenset({"failed", "timedout", "infrastructure_fail"})
_WORST = ("failed", "timedout", "infrastructure_fail", "unauthorized", "error")  # decide a workflow, in this order
_WITHOUT_RUNNING = ("error", "unauthorized", "not_run")
_SECONDS_WITHOUT_RUNNING = 1.0

_NO_PARAMETERS: Final[Mapping[str, object]] = MappingProxyType({})
_CREDITS_PER_MINUTE = {"small": 5, "medium": 10, "medium+": 15, "large": 20, "xlarge": 40}
_SCATTER = [random.Random(1024).lognormvariate(0.0, 0.22) for _ in range(1024)]


@attrs.frozen(kw_only=True)
class User:
    """A user."""

    id: str
    login: str
    name: str
    avatar_url: str | None
    email_only: bool = False  # signed up by e-mail: the API then omits the avatar


@attrs.define(eq=False, kw_only=True)
class Organization:
    """An account on a code host, or a standalone account of CircleCI."""

    id: str
    key: int
    provider: str  # as in slugs: gh, bb or circleci
    name: str
    fragment: str  # as in slugs: the name, or an opaque part for standalone ones

    @property
    def slug(self) -> str:
        """The slug as in responses."""
        return f"{self.provider}/{self.fragment}"

    @property
    def standalone(self) -> bool:
        """True if its projects come through the GitHub App, not OAuth."""
        return self.provider == "circleci"


@attrs.frozen
class JobPlan:
    """One job of a workflow's configuration."""

    name: str
    seconds: float
    requires: tuple[int, ...] = ()
    type: str = "build"
    resource_class: str = "medium"
    parallelism: int = 1
    tests: int = 0
    artifacts: tuple[str, ...] = ()
    contexts: tuple[str, ...] = ()
    story: JobStory | None = None

    @property
    def artifact_stories(self) -> tuple[ArtifactStory, ...]:
        """Its artifacts on all of its parallel nodes."""
        if self.story is not None:
            return tuple(
                ArtifactStory(artifact) if isinstance(artifact, str) else artifact for artifact in self.story.artifacts
            )
        return tuple(
            ArtifactStory(path, _generated_content(path), node_index=node)
            for node in range(self.parallelism)
            for path in self.artifacts
        )


@attrs.frozen
class WorkflowPlan:
    """A workflow of a project's configuration; a job follows all jobs that it requires."""

    name: str
    jobs: tuple[JobPlan, ...]
    story: WorkflowStory | None = None


@cache
def _generated_content(path: str) -> str:
    """Return a text that depends on the path alone, in the format of its ending."""
    ending = path.rpartition(".")[2]
    words = "\n".join(digest(path, line).hex() for line in range(64))
    if ending == "json":
        return f'{{"path": "{path}"}}'
    if ending == "html":
        return f"<html><body><pre>{words}</pre></body></html>"
    return f'<testsuite name="{path}"/>' if ending == "xml" else words


@attrs.define(eq=False, kw_only=True)
class Project:
    """A project: what it is, what it is configured to do, and its history."""

    key: int
    id: str
    ids: IdFactory
    organization: Organization
    name: str
    fragment: str
    default_branch: str
    plans: dict[str, WorkflowPlan]
    dynamic: bool  # its configuration is made by a setup workflow
    settings: dict[str, object]
    variables: dict[str, ProjectVariable] = attrs.field(factory=dict[str, "ProjectVariable"])
    checkout_keys: list[CheckoutKey] = attrs.field(factory=list["CheckoutKey"])
    generate_history: Callable[[Project], None] | None = None
    generate_workflows: Callable[[Pipeline], None]  # of a pipeline of its history
    _history: History | None = None

    @property
    def history(self) -> History:
        """Its pipelines and runs, generated when they are first read."""
        if self._history is None:
            self._history = History()
            if self.generate_history is not None:
                self.generate_history(self)
        return self._history

    @property
    def has_history(self) -> bool:
        """True if its history has been read, or a pipeline has been started."""
        return self._history is not None

    @property
    def slug(self) -> str:
        """The slug as in responses."""
        return f"{self.organization.slug}/{self.fragment}"

    @property
    def repository_url(self) -> str:
        """The URL of its repository."""
        host = "bitbucket.org" if self.organization.provider == "bb" else "github.com"
        return f"https://{host}/{self.organization.name}/{self.name}"


@attrs.define(eq=False)
class History:
    """The pipelines and runs of a project."""

    pipelines: list[Pipeline] = attrs.field(factory=list["Pipeline"])  # oldest first; number n at index n - 1
    workflow_names: tuple[str, ...] = ()  # of the runs that Insights counts
    flaky_tests: tuple[int, ...] = ()
    next_job_number: int = 1
    _blocks: list[tuple[int, Pipeline]] = attrs.field(factory=list[tuple[int, "Pipeline"]])  # by their first number
    _runs: dict[str, list[Workflow]] | None = None

    @property
    def runs(self) -> dict[str, list[Workflow]]:
        """The runs that Insights counts, by the name of their workflow, oldest first."""
        if self._runs is None:
            self._runs = {name: [] for name in self.workflow_names}
            for pipeline in self.pipelines:
                for run in pipeline.workflows:
                    if run.is_counted:
                        self._runs[run.name].append(run)
            for runs in self._runs.values():
                runs.sort(key=lambda run: run.created)  # reruns come later than the next pipeline
        return self._runs

    def reserve_jobs(self, pipeline: Pipeline, count: int) -> int:
        """Reserve numbers for that many jobs of a pipeline. Return the first one."""
        first = self.next_job_number
        self.next_job_number += count
        self._blocks.append((first, pipeline))
        return first

    def job(self, number: int) -> Job | None:
        """Return the job with this number, or None."""
        index = bisect.bisect_right(self._blocks, number, key=lambda block: block[0]) - 1
        jobs = [] if index < 0 else [job for run in self._blocks[index][1].workflows for job in run.jobs]
        return next((job for job in jobs if job.number == number), None)

    def newest_runs(self) -> Iterator[Workflow]:
        """Yield all runs, those with the highest numbers of jobs first."""
        end = self.next_job_number
        for first, pipeline in reversed(self._blocks):
            yield from [run for run in reversed(pipeline.workflows) if first <= run.first_job_number < end]
            end = first


@attrs.define(eq=False, kw_only=True)
class ProjectVariable:
    """An environment variable of a project."""

    name: str
    value: str
    created: float | None  # None for old ones


@attrs.define(eq=False, kw_only=True)
class CheckoutKey:
    """An ssh key that checks a project's code out."""

    type: str
    public_key: str
    md5: str
    sha256: str
    preferred: bool
    created: float


@attrs.define(eq=False, kw_only=True)
class Pipeline:
    """One trigger of a project's configuration."""

    project: Project
    number: int
    created: float
    salt: int
    trigger: str  # webhook, api, explicit, scheduled_pipeline or another value of the wire
    actor: User
    branch: str | None = None
    tag: str | None = None
    state: str = "created"
    errors: tuple[tuple[str, str], ...] = ()
    parameters: Mapping[str, object] = _NO_PARAMETERS
    past_plans: Sequence[WorkflowPlan] = ()  # what has run when its workflows are first read
    first_job_number: int = 0  # of their jobs
    _workflows: list[Workflow] | None = None
    updated: float | None = None  # its last change of state
    story: Story | None = None
    list_requests: int = 0  # requests for the list of its workflows
    continued: bool = True  # False while a setup pipeline waits for its continuation

    @property
    def id(self) -> str:
        """Its UUID. Few of a history's are ever read."""
        return self.project.ids.uuid(Kind.PIPELINE, self.project.key, self.number)

    @property
    def workflows(self) -> list[Workflow]:
        """Its runs, generated when they are first read."""
        if self._workflows is None:
            self._workflows = []
            if self.past_plans:
                self.project.generate_workflows(self)
        return self._workflows

    @property
    def configured(self) -> list[WorkflowPlan]:
        """The workflows that the configuration has for its branch or tag, without the setup workflow."""
        if self.tag is not None:
            names = ["deploy"]
        elif self.branch == self.project.default_branch:
            names = ["build-and-test", "deploy"]
        else:
            names = ["build-and-test"]
        return [self.project.plans[name] for name in names]

    @property
    def revision(self) -> str:
        """The commit that it builds."""
        return digest("revision", self.project.key, self.salt).hex()[:40]


@attrs.define(eq=False)
class Job:
    """One job of a workflow run."""

    workflow: Workflow
    index: int
    plan: JobPlan
    status: str = "blocked"
    number: int | None = None
    started: float | None = None
    stopped: float | None = None
    approved_by: User | None = None
    canceled_by: User | None = None
    is_reported: bool = False  # True once its end has been reported to the listeners
    ssh_users: tuple[User, ...] = ()

    @property
    def finished(self) -> bool:
        """True if its status is final."""
        return self.status in FINISHED or self.stopped is not None

    @property
    def planned_seconds(self) -> float:
        """The seconds from its start to its end, as planned."""
        return self.workflow.span(self, self.index)[1]

    @property
    def duration(self) -> float | None:
        """Seconds from start to stop."""
        return None if self.started is None or self.stopped is None else self.stopped - self.started

    @property
    def credits(self) -> int:
        """Its credits."""
        rate = _CREDITS_PER_MINUTE[self.plan.resource_class] * self.plan.parallelism
        return math.ceil((self.duration or 0.0) / 60 * rate)


@attrs.define(eq=False, kw_only=True)
class Workflow:
    """One run of a workflow, a rerun being a run of its own."""

    pipeline: Pipeline
    sub: int
    plan: WorkflowPlan
    created: float
    salt: int
    started_by: User
    first_job_number: int
    duration_factor: float = 1.0  # how much longer than planned its jobs take
    time_scale: float | None = None  # for a run that is lived through: what to multiply the planned seconds by
    failing_job: int = -1  # the job that will fail
    failure_status: str = "failed"
    flaky: int | None = None  # the flaky test that made the failing_job fail
    approval_delay: float | None = None  # seconds until an approval job is approved; None: never
    jobs: list[Job] = attrs.field(init=False)
    status: str = "running"
    stopped: float | None = None
    tag: str | None = None
    canceled_by: User | None = None
    errored_by: User | None = None
    auto_rerun_number: int | None = None
    max_auto_reruns: int | None = None
    elapsed: float = 0.0  # seconds after its creation at which its jobs last changed
    next_elapsed: float = math.inf  # seconds after its creation at which its jobs change next
    is_manual_rerun: bool = False
    is_counted: bool = False  # True if Insights counts it
    is_reported: bool = False  # True once its end has been reported to the listeners
    status_history: list[tuple[float, str]] = attrs.field(factory=list[tuple[float, str]])  # only of a story

    def __attrs_post_init__(self) -> None:
        """Create its jobs."""
        self.jobs = [Job(self, index, plan) for index, plan in enumerate(self.plan.jobs)]

    @property
    def id(self) -> str:
        """Its UUID. Few of a history's are ever read."""
        project = self.pipeline.project
        return project.ids.uuid(Kind.WORKFLOW, project.key, self.pipeline.number, self.sub)

    @property
    def name(self) -> str:
        """Its name in the configuration."""
        return self.plan.name

    @property
    def finished(self) -> bool:
        """True if its status is final."""
        return self.status in FINISHED or self.stopped is not None

    @property
    def duration(self) -> float | None:
        """Seconds from creation to stop."""
        return None if self.stopped is None else self.stopped - self.created

    @property
    def credits(self) -> int:
        """The credits of all its jobs."""
        return sum(job.credits for job in self.jobs if job.workflow is self)

    def advance(self, elapsed: float) -> None:
        """Bring the jobs and the status to `elapsed` seconds after the creation."""
        self.elapsed = elapsed
        self.next_elapsed = math.inf
        story = self.plan.story
        if story is not None and story.status in _WITHOUT_RUNNING:
            self._expect(_SECONDS_WITHOUT_RUNNING)
            if elapsed >= _SECONDS_WITHOUT_RUNNING:
                self.end_without_running(story.status)
            self._record_status()
            return
        successes: list[float | None] = []  # when each job succeeded
        for index, job in enumerate(self.jobs):
            successes.append(self._advance_job(index, job, successes))
        self._conclude()
        if story is not None:
            self._follow(story)
            self._record_status()

    def _expect(self, elapsed: float) -> None:
        """Note that something changes at `elapsed`, if that is still to come."""
        if self.elapsed < elapsed < self.next_elapsed:
            self.next_elapsed = elapsed

    def _advance_job(self, index: int, job: Job, successes: list[float | None]) -> float | None:
        """Bring one job to the present. Return when it succeeded, or None."""
        if job.finished:
            succeeded = job.status == "success" and job.stopped is not None
            return max(0.0, (job.stopped or 0.0) - self.created) if succeeded else None
        ready = 0.0
        for required in job.plan.requires:
            success = successes[required]
            if success is None:
                return None
            ready = max(ready, success)
        if job.plan.type == "approval":
            return self._advance_approval(job, ready)
        queued, length = self.span(job, index)
        start = ready + queued
        job.number = self.first_job_number + index
        if start > self.elapsed:
            job.status = "queued"
            self._expect(start)
            return None
        job.started = self.created + start
        if start + length > self.elapsed:
            job.status = "running"
            self._expect(start + length)
            return None
        job.stopped = self.created + start + length
        failed = index == self.failing_job
        job.status = self.failure_status if failed else job.plan.story.status if job.plan.story else "success"
        return start + length if job.status == "success" else None

    def _advance_approval(self, job: Job, ready: float) -> float | None:
        delay = self.approval_delay if job.plan.story is None else job.plan.story.approved_after
        if delay is None or ready + delay > self.elapsed:
            job.status = "on_hold"
            if delay is not None:
                self._expect(ready + delay)
            return None
        job.status = "success"
        job.approved_by = self.started_by
        job.stopped = self.created + ready + delay
        return ready + delay

    def span(self, job: Job, index: int) -> tuple[float, float]:
        """Return the seconds that a job is queued, and those that it runs."""
        if job.plan.story is not None:
            return job.plan.story.queued_seconds, job.plan.story.seconds
        length = job.plan.seconds * (0.6 if index == self.failing_job else 1.0)  # failures come early
        if self.time_scale is not None:
            return 0.0, length * self.time_scale
        scatter = _SCATTER[self.salt + index * 131 & 1023]
        return 1 + (self.salt >> 3 & 3), max(1, round(length * self.duration_factor * scatter))

    def _conclude(self) -> None:
        """Set the status to that of the jobs."""
        statuses = {job.status for job in self.jobs}
        if statuses == {"success"}:
            self.status, self.stopped = "success", max([job.stopped or 0.0 for job in self.jobs])
            return
        broken = any(job.finished and job.status != "success" for job in self.jobs)
        if statuses & {"running", "queued"}:
            self.status, self.stopped = ("failing" if broken else "running"), None
        elif "on_hold" in statuses and not broken:
            self.status, self.stopped = "on_hold", None
        elif "on_hold" in statuses and self.plan.story is not None:
            self.status, self.stopped = "failing", None
        else:
            final = next((status for status in _WORST if status in statuses), None)
            self.status = final or ("canceled" if broken else "success")
            if self.status in _BROKEN:
                self.status = "failed"
            self.stopped = max([job.stopped for job in self.jobs if job.stopped is not None], default=self.created)

    def _follow(self, story: WorkflowStory) -> None:
        """Replace the status by that of the story."""
        if story.status is not None and self.stopped is not None:
            self.status = story.status
        if not story.statuses:
            return
        self.status, self.stopped = "running", None
        for seconds, status in story.statuses:
            self._expect(seconds)
            if seconds <= self.elapsed:
                self.status = status
        last, status = story.statuses[-1]
        if last <= self.elapsed and status not in ACTIVE:
            self.stopped = self.created + last

    def _record_status(self, at: float | None = None) -> None:
        if not self.status_history or self.status_history[-1][1] != self.status:
            self.status_history.append((self.created + self.elapsed if at is None else at, self.status))

    def shown_status(self, now: float) -> str:
        """Return the status that responses contain."""
        story = self.plan.story
        if story is None or not story.status_lag:
            return self.status
        shown = [status for at, status in self.status_history if at <= now - story.status_lag]
        return shown[-1] if shown else self.status_history[0][1]

    def shown_stopped(self, now: float) -> float | None:
        """Return the end that responses contain."""
        return self.stopped if self.stopped is not None and self.settles_at <= now else None

    @property
    def settles_at(self) -> float:
        """The time from which responses contain its end; infinite if they never do."""
        story = self.plan.story
        if self.stopped is None:
            return math.inf
        if story is None:
            return self.stopped
        return self.stopped + story.status_lag + (math.inf if story.stopped_at_lag is None else story.stopped_at_lag)

    def cancel(self, now: float, by: User | None) -> None:
        """Stop everything that has not finished."""
        for job in self.jobs:
            if job.status in {"running", "queued", "on_hold"}:
                job.status = "canceled"
                job.canceled_by = by
                if job.started is not None:
                    job.stopped = now
        self.status = "canceled"
        self.canceled_by = by
        self.stopped = now
        self.next_elapsed = math.inf
        if self.plan.story is not None:
            self._record_status(now)

    def end_without_running(self, status: str) -> None:
        """End the run before any job starts: `error`, `unauthorized` or `not_run`."""
        self.status = status
        self.stopped = self.created + _SECONDS_WITHOUT_RUNNING
        for job in self.jobs:
            job.status = "unauthorized" if status == "unauthorized" else "not_run"


def job_id(ids: IdFactory, job: Job) -> str:
    """Return the UUID of a job. A job that a rerun reuses keeps the UUID of its first run."""
    workflow = job.workflow
    return ids.uuid(Kind.JOB, workflow.pipeline.project.key, workflow.pipeline.number, workflow.sub, job.index)
