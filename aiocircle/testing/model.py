"""The resources of an organization: users, projects, pipelines, workflows and jobs, and their progress in time.

Times are seconds since the epoch, durations are seconds.
"""

from __future__ import annotations

import bisect
import math
import random
from collections.abc import Callable

import attrs

from .ids import IdFactory, Kind, digest

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


@attrs.frozen
class WorkflowPlan:
    """A workflow of a project's configuration; a job follows all jobs that it requires."""

    name: str
    jobs: tuple[JobPlan, ...]


@attrs.define(eq=False, kw_only=True)
class Project:
    """A project: what it is, what it is configured to do, and its history."""

    key: int
    id: str
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
    runs: dict[str, list[Workflow]] = attrs.field(factory=dict[str, list["Workflow"]])  # the runs that Insights counts
    flaky_tests: tuple[int, ...] = ()
    next_job_number: int = 1
    job_blocks: list[tuple[int, Workflow]] = attrs.field(factory=list[tuple[int, "Workflow"]])

    def job(self, number: int) -> Job | None:
        """Return the job with this number, or None."""
        index = bisect.bisect_right(self.job_blocks, number, key=lambda block: block[0]) - 1
        if index < 0:
            return None
        first, workflow = self.job_blocks[index]
        if number - first >= len(workflow.jobs):
            return None
        job = workflow.jobs[number - first]
        return job if job.number == number else None


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

    id: str
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
    parameters: dict[str, object] = attrs.field(factory=dict[str, object])
    workflows: list[Workflow] = attrs.field(factory=list["Workflow"])
    visible_at: float = 0.0  # loop time at which its workflows exist
    continued: bool = True  # False while a setup pipeline waits for its continuation

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

    id: str
    pipeline: Pipeline
    sub: int
    plan: WorkflowPlan
    created: float
    salt: int
    started_by: User
    duration_factor: float = 1.0  # how much longer than planned its jobs take
    time_scale: float | None = None  # for a run that is lived through: what to multiply the planned seconds by
    failing_job: int = -1  # the job that will fail
    failure_status: str = "failed"
    flaky: int | None = None  # the flaky test that made the failing_job fail
    approval_delay: float | None = None  # seconds until an approval job is approved; None: never
    first_job_number: int = 0
    jobs: list[Job] = attrs.field(factory=list[Job])
    status: str = "running"
    stopped: float | None = None
    tag: str | None = None
    canceled_by: User | None = None
    errored_by: User | None = None
    auto_rerun_number: int | None = None
    max_auto_reruns: int | None = None
    elapsed: float = 0.0  # seconds after its creation that it has been brought to
    live_since: float | None = None  # loop time at which it was created, for a run that time passes for

    @property
    def name(self) -> str:
        """Its name in the configuration."""
        return self.plan.name

    @property
    def finished(self) -> bool:
        """True if its status is final."""
        return self.status in FINISHED

    @property
    def duration(self) -> float | None:
        """Seconds from creation to stop."""
        return None if self.stopped is None else self.stopped - self.created

    @property
    def credits(self) -> int:
        """The credits of all its jobs."""
        return sum(job.credits for job in self.jobs if job.workflow is self)

    def create_jobs(self) -> None:
        """Create its jobs and reserve their numbers."""
        history = self.pipeline.project.history
        self.first_job_number = history.next_job_number
        history.next_job_number += len(self.plan.jobs)
        history.job_blocks.append((self.first_job_number, self))
        self.jobs = [Job(self, index, plan) for index, plan in enumerate(self.plan.jobs)]

    def advance(self, elapsed: float) -> None:
        """Bring the jobs and the status to `elapsed` seconds after the creation."""
        created = self.created
        self.elapsed = elapsed
        successes: list[float | None] = []
        running = waiting = broken = False
        for index, job in enumerate(self.jobs):
            status = job.status
            if status in FINISHED:
                broken = broken or status != "success"
                stopped = job.stopped
                successes.append(None if status != "success" or stopped is None else max(0.0, stopped - created))
                continue
            ready = 0.0
            for required in job.plan.requires:
                success = successes[required]
                if success is None:
                    successes.append(None)
                    break
                ready = max(ready, success)
            else:
                if job.plan.type == "approval":
                    if self.approval_delay is None or ready + self.approval_delay > elapsed:
                        job.status = "on_hold"
                        waiting = True
                        successes.append(None)
                    else:
                        job.status = "success"
                        job.approved_by = self.started_by
                        job.stopped = created + ready + self.approval_delay
                        successes.append(ready + self.approval_delay)
                    continue
                start, length = self._span(job, index)
                start += ready
                job.number = self.first_job_number + index
                if start > elapsed:
                    job.status = "queued"
                    running = True
                    successes.append(None)
                    continue
                job.started = created + start
                if start + length > elapsed:
                    job.status = "running"
                    running = True
                    successes.append(None)
                    continue
                job.stopped = created + start + length
                if index == self.failing_job:
                    job.status = self.failure_status
                    broken = True
                    successes.append(None)
                else:
                    job.status = "success"
                    successes.append(start + length)
        self._conclude(running=running, waiting=waiting, broken=broken)

    def _span(self, job: Job, index: int) -> tuple[float, float]:
        """Return the seconds that a job is queued, and those that it runs."""
        length = job.plan.seconds * (0.6 if index == self.failing_job else 1.0)  # failures come early
        if self.time_scale is not None:
            return 0.0, length * self.time_scale
        scatter = _SCATTER[self.salt + index * 131 & 1023]
        return 1 + (self.salt >> 3 & 3), max(1, round(length * self.duration_factor * scatter))

    def _conclude(self, *, running: bool, waiting: bool, broken: bool) -> None:
        if running:
            self.status, self.stopped = ("failing" if broken else "running"), None
        elif waiting and not broken:
            self.status, self.stopped = "on_hold", None
        else:
            failed = any(job.status in _BROKEN for job in self.jobs)
            self.status = "failed" if failed else "canceled" if broken else "success"
            self.stopped = max((job.stopped for job in self.jobs if job.stopped is not None), default=self.created)

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

    def end_without_running(self, status: str) -> None:
        """End the run before any job starts: `error`, `unauthorized` or `not_run`."""
        self.status = status
        self.stopped = self.created + 1
        for job in self.jobs:
            job.status = "unauthorized" if status == "unauthorized" else "not_run"


def job_id(ids: IdFactory, job: Job) -> str:
    """Return the UUID of a job. A job that a rerun reuses keeps the UUID of its first run."""
    workflow = job.workflow
    return ids.uuid(Kind.JOB, workflow.pipeline.project.key, workflow.pipeline.number, workflow.sub, job.index)
