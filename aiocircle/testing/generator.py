"""The history of a generated organization: its users, its workflows and ninety days of runs."""

from __future__ import annotations

import random
from base64 import b64encode
from collections.abc import Sequence
from functools import cache

import attrs

from .ids import IdFactory, Kind, digest
from .model import CheckoutKey, JobPlan, Pipeline, Project, ProjectVariable, User, Workflow, WorkflowPlan

__all__ = ["DAY", "DAYS", "HistoryGenerator", "commit_subject", "people", "project_names"]

DAY = 86_400  # seconds
DAYS = 90

_NAMES = (
    "api-gateway",
    "web",
    "billing",
    "monorepo",
    "mobile-app",
    "search",
    "notifications",
    "auth-service",
    "data-pipeline",
    "design-system",
    "checkout",
    "inventory",
    "reports",
    "admin-console",
    "payments",
    "docs-site",
    "recommendation",
    "image-resizer",
    "feature-flags",
    "scheduler",
    "ledger",
    "email-renderer",
    "partner-api",
    "warehouse-sync",
    "status-page",
)

_PEOPLE = (
    ("mira-holm", "Mira Holm"),
    ("jtanaka", "Jun Tanaka"),
    ("oduya", "Chidi Oduya"),
    ("lena-f", "Lena Fischer"),
    ("rsantos", "Rui Santos"),
    ("priya-nair", "Priya Nair"),
    ("tomasz-w", "Tomasz Wilk"),
    ("sofie-lund", "Sofie Lund"),
    ("dependabot[bot]", "dependabot[bot]"),
    ("amara@acme.example", "amara@acme.example"),
)

_BRANCHES = (
    "feature/login-form",
    "feature/dark-mode",
    "feature/bulk-export",
    "feature/größe-ändern",
    "fix/flaky-clock",
    "fix/utf8-names",
    "fix/retry-storm",
    "refactor/settings",
    "chore/ci-cache",
    "dependabot/npm/lodash-4.17.21",
    "experiment/wasm",
    "release/2.x",
    "pull/318/head",
    "hotfix/#42",
)

_SUBJECTS = (
    "Show the total before checkout",
    "Keep the order of the columns",
    "Retry once when the cache is cold",
    "Bump lodash from 4.17.20 to 4.17.21",
    "Do not count deleted users twice",
    "Speed up the nightly report",
    "Translate the settings page",
    "Fix the clock in the session tests",
    "Split the upload into parts",
    "Remove the old login form",
)

# How much of a weekday's work is done on each day, Monday first.
_WEEK = (1.0, 1.1, 1.1, 1.05, 0.8, 0.12, 0.08)

_BUILD = WorkflowPlan(
    "build-and-test",
    (
        JobPlan("lint", 38, resource_class="small"),
        JobPlan("unit-tests", 165, parallelism=4, tests=48, artifacts=("coverage/index.html", "junit.xml")),
        JobPlan("integration-tests", 240, (1,), resource_class="large", tests=22, artifacts=("logs/server.log",)),
        JobPlan("build-image", 95, (0, 1), artifacts=("dist/app.tar.gz",), contexts=("registry",)),
    ),
)
_DEPLOY = WorkflowPlan(
    "deploy",
    (
        JobPlan("package", 70, artifacts=("dist/bundle.zip",)),
        JobPlan("hold", 0, (0,), "approval"),
        JobPlan("deploy-production", 130, (1,), contexts=("aws-production", "slack")),
        JobPlan("release-marker", 4, (2,), "release", "small"),
    ),
)
_NIGHTLY = WorkflowPlan(
    "nightly",
    (
        JobPlan("seed-database", 60),
        JobPlan("end-to-end", 900, (0,), resource_class="xlarge", parallelism=2, tests=30),
        JobPlan("report", 20, (1,), resource_class="small", artifacts=("report.html", "report.json")),
    ),
)
# A space and a slash: names are path segments of the Insights routes.
_WEEKLY = WorkflowPlan("weekly scan/licenses", (JobPlan("scan", 300), JobPlan("unlock", 2, (0,), "no-op", "small")))
_SETUP = WorkflowPlan("setup", (JobPlan("generate-config", 12, resource_class="small"),))

_SUCCESS_RATES = {"build-and-test": 0.83, "deploy": 0.95, "nightly": 0.72, "weekly scan/licenses": 0.9, "setup": 0.99}


def people(ids: IdFactory) -> tuple[User, ...]:
    """Return the users of the organization. The first one is the owner of the token."""
    return tuple(
        User(
            id=ids.uuid(Kind.USER, 0, number),
            login=login,
            name=name,
            avatar_url=None if number % 4 == 3 else f"https://avatars.example/u/{4100 + 37 * number}?v=4",
            email_only="@" in login,
        )
        for number, (login, name) in enumerate(_PEOPLE)
    )


def project_names(count: int) -> list[str]:
    """Return that many names of projects, all different."""
    rounds = -(-count // len(_NAMES))
    return [f"{name}-{turn + 1}" if turn else name for turn in range(rounds) for name in _NAMES][:count]


@attrs.frozen
class _Draw:
    """The random properties of a run."""

    luck: float  # from 0 to 1: below the rate of success, it succeeds
    duration_factor: float
    approval_delay: float


@cache
def _draws() -> list[_Draw]:
    """Return what runs take turns in: a generator of random numbers for each run would take as long as the run."""
    rng = random.Random(4096)
    return [_Draw(rng.random(), rng.lognormvariate(0.0, 0.18), rng.expovariate(1 / 1800)) for _ in range(4096)]


@attrs.frozen
class HistoryGenerator:
    """Writes projects' pasts: the same seed, project and day give the same past."""

    seed: int
    midnight: int  # midnight that the past ends at
    people: Sequence[User]

    def configure(self, project: Project, rng: random.Random) -> None:
        """Set the workflows and settings of a project, without a history."""
        plans = [_BUILD, _DEPLOY, _NIGHTLY, _WEEKLY]
        project.dynamic = "monorepo" in project.name
        if project.dynamic:
            plans.append(_SETUP)
        project.plans = {plan.name: plan for plan in plans}
        key = digest("key", project.key)
        project.checkout_keys.append(
            CheckoutKey(
                type="deploy-key",
                public_key=f"ssh-rsa {b64encode(key * 4).decode()} {project.slug}",
                md5=":".join(f"{byte:02x}" for byte in key[:16]),
                sha256=f"SHA256:{b64encode(key).decode().rstrip('=')}",
                preferred=True,
                created=self.midnight - rng.randrange(100, 900) * DAY,
            )
        )
        for index, name in enumerate(("NPM_TOKEN", "SENTRY_DSN", "AWS_REGION")):
            project.variables[name] = ProjectVariable(
                name=name,
                value=digest(name, project.key).hex()[:24],
                created=None if index == 0 else self.midnight - rng.randrange(30, 400) * DAY,
            )

    def generate(self, project: Project) -> None:
        """Generate ninety days of a project's history. The newest pipelines come minutes before midnight."""
        rng = random.Random(f"history {self.seed} {project.key}")
        history = project.history
        tests = _BUILD.jobs[1].tests + _BUILD.jobs[2].tests
        history.flaky_tests = tuple(sorted(rng.sample(range(tests), rng.randint(3, 6))))
        history.workflow_names = tuple(project.plans)
        branches = rng.sample(_BRANCHES, 9)
        volume = 4 + 6 * rng.random()
        start = self.midnight - DAYS * DAY
        weekday = (start // DAY + 3) % 7  # the epoch was a Thursday
        for day in range(DAYS):
            midnight = start + day * DAY
            self._add_scheduled(project, rng, midnight + 2 * 3600 + 7, _NIGHTLY)
            if (weekday + day) % 7 == 6:
                self._add_scheduled(project, rng, midnight + 4 * 3600 + 11, _WEEKLY)
            expected = volume * _WEEK[(weekday + day) % 7]
            count = max(0, round(rng.gauss(expected, expected**0.5)))
            active = branches[day // 15 : day // 15 + 4]  # branches come and go
            times = sorted(int(rng.triangular(7 * 3600, 21 * 3600, 14 * 3600)) for _ in range(count))
            for second in times:
                self._add_pushed(project, rng, midnight + second, active)
        self._add_recent(project, rng, branches[-1])

    def _pipeline(
        self,
        project: Project,
        rng: random.Random,
        created: float,
        trigger: str,
        *,
        branch: str | None = None,
        tag: str | None = None,
        actor: User | None = None,
    ) -> Pipeline:
        pipelines = project.history.pipelines
        salt = rng.getrandbits(30)
        pipeline = Pipeline(
            project=project,
            number=len(pipelines) + 1,
            created=created,
            salt=salt,
            trigger="Decoupled Ingestion System" if project.organization.standalone else trigger,
            actor=actor or self.people[(salt >> 12) % len(self.people)],
            branch=branch,
            tag=tag,
        )
        pipelines.append(pipeline)
        return pipeline

    def run(
        self,
        pipeline: Pipeline,
        plan: WorkflowPlan,
        created: float,
        salt: int,
        started_by: User | None = None,
        first_job_number: int | None = None,
    ) -> Workflow:
        """Start one more workflow of a pipeline; its jobs are laid out, and no time has passed."""
        if first_job_number is None:
            first_job_number = pipeline.project.history.reserve_jobs(pipeline, len(plan.jobs))
        workflow = Workflow(
            pipeline=pipeline,
            sub=len(pipeline.workflows),
            plan=plan,
            created=created,
            salt=salt,
            started_by=started_by or pipeline.actor,
            first_job_number=first_job_number,
            tag="setup" if plan is _SETUP else None,
        )
        pipeline.workflows.append(workflow)
        return workflow

    def _add_finished(self, pipeline: Pipeline, plans: Sequence[WorkflowPlan]) -> None:
        """Let a pipeline have finished runs of workflows, which are generated when they are first read."""
        count = 2 * sum([len(plan.jobs) for plan in plans])  # each may run again
        pipeline.past_plans = plans
        pipeline.first_job_number = pipeline.project.history.reserve_jobs(pipeline, count)

    def generate_workflows(self, pipeline: Pipeline) -> None:
        """Run the workflows of a pipeline's past to their end, and again those that a flaky test broke."""
        draws = _draws()
        first_job_number = pipeline.first_job_number
        is_counted = pipeline.branch is not None
        for number, plan in enumerate(pipeline.past_plans):
            salt = pipeline.salt + 7919 * number
            draw = draws[salt % len(draws)]
            workflow = self.run(pipeline, plan, pipeline.created + 1, salt, first_job_number=first_job_number)
            first_job_number += len(plan.jobs)
            workflow.is_counted = is_counted
            workflow.duration_factor = draw.duration_factor
            workflow.approval_delay = draw.approval_delay
            if draw.luck < _SUCCESS_RATES[plan.name]:
                workflow.advance(float("inf"))
            else:
                self._end_badly(workflow, random.Random(salt))
            if workflow.flaky is None:
                continue
            again = self.run(
                pipeline, plan, (workflow.stopped or 0) + 90, salt + 1, workflow.started_by, first_job_number
            )
            first_job_number += len(plan.jobs)
            again.is_counted = is_counted
            again.duration_factor = workflow.duration_factor
            if pipeline.project.key & 1:
                again.auto_rerun_number, again.max_auto_reruns = 1, 3
                workflow.max_auto_reruns = 3
            again.advance(float("inf"))

    def _end_badly(self, workflow: Workflow, rng: random.Random) -> None:
        """End a run with a failure, a cancellation or an error."""
        roll = rng.random()
        jobs = [index for index, job in enumerate(workflow.jobs) if job.plan.type == "build"]
        if roll < 0.86:
            workflow.failing_job = rng.choice(jobs)
            tests = workflow.plan.jobs[workflow.failing_job].tests
            if workflow.plan is _BUILD and tests and rng.random() < 0.45:
                first = _BUILD.jobs[1].tests if workflow.failing_job == 2 else 0
                own = [test for test in workflow.pipeline.project.history.flaky_tests if first <= test < first + tests]
                if own:
                    workflow.flaky = rng.choice(own)
            if workflow.flaky is None and not tests and rng.random() < 0.2:
                workflow.failure_status = rng.choice(("timedout", "infrastructure_fail"))
            workflow.advance(float("inf"))
        elif roll < 0.95:
            workflow.advance(rng.randint(10, 90))
            if not workflow.finished:
                by = self.people[rng.randrange(len(self.people))]
                workflow.cancel(workflow.created + rng.randint(91, 120), by)
        else:
            workflow.end_without_running(rng.choice(("error", "unauthorized", "not_run")))
            if workflow.status == "error":
                workflow.errored_by = workflow.started_by

    def _add_pushed(self, project: Project, rng: random.Random, created: int, active: Sequence[str]) -> None:
        roll = rng.random()
        if roll < 0.03:
            tag = f"v{2 + created % 3}.{created // DAY % 40}.{created % 10}"
            pipeline = self._pipeline(project, rng, created, "webhook", tag=tag)
            self._add_finished(pipeline, pipeline.configured)
            return
        branch = project.default_branch if roll < 0.5 else rng.choice(active)
        pipeline = self._pipeline(project, rng, created, "api" if rng.random() < 0.06 else "webhook", branch=branch)
        if rng.random() < 0.01:
            pipeline.state = "errored"
            pipeline.errors = (("config", "Error calling workflow: 'build-and-test'\nCannot find a job named `lnit`"),)
            return
        if pipeline.salt % 53 == 0:
            pipeline.errors = (("config-deprecated-syntax", "The `deploy` stanza is deprecated"),)
        plans = pipeline.configured
        self._add_finished(pipeline, [_SETUP, *plans] if project.dynamic else plans)

    def _add_scheduled(self, project: Project, rng: random.Random, created: int, plan: WorkflowPlan) -> None:
        pipeline = self._pipeline(
            project, rng, created, "scheduled_pipeline", branch=project.default_branch, actor=self.people[0]
        )
        self._add_finished(pipeline, (plan,))

    def _add_recent(self, project: Project, rng: random.Random, branch: str) -> None:
        """Return the last minutes before midnight: what waits, runs, fails just now, was canceled or never started."""
        default = project.default_branch
        waiting = self._pipeline(project, rng, self.midnight - 3300, "webhook", branch=default)
        for plan in (_BUILD, _DEPLOY):
            self._add_open(waiting, plan, rng).advance(3300)

        slow = self._pipeline(project, rng, self.midnight - 300, "api", branch=default, actor=self.people[0])
        run = self._add_open(slow, _BUILD, rng)
        run.duration_factor = 4.0
        run.advance(240)

        failing = self._pipeline(project, rng, self.midnight - 290, "webhook", branch=branch)
        run = self._add_open(failing, _BUILD, rng)
        run.duration_factor, run.failing_job = 4.0, 0
        run.advance(250)

        canceled = self._pipeline(project, rng, self.midnight - 280, "webhook", branch=branch)
        run = self._add_open(canceled, _BUILD, rng)
        run.advance(20)
        run.cancel(canceled.created + 25, self.people[0])

        if project.dynamic:
            setting_up = self._pipeline(project, rng, self.midnight - 200, "webhook", branch=branch)
            setting_up.state, setting_up.continued = "setup-pending", False
            run = self.run(setting_up, _SETUP, setting_up.created + 1, rng.getrandbits(30))
            run.advance(0)
            run.status = "needs_setup"

        broken = self._pipeline(project, rng, self.midnight - 100, "webhook", branch=branch)
        broken.state = "errored"
        broken.errors = (("config", "Unable to parse YAML\nmapping values are not allowed here"),)

    def _add_open(self, pipeline: Pipeline, plan: WorkflowPlan, rng: random.Random) -> Workflow:
        workflow = self.run(pipeline, plan, pipeline.created + 1, rng.getrandbits(30))
        workflow.is_counted = True
        return workflow


def commit_subject(pipeline: Pipeline) -> str:
    """Return the first line of the commit that a pipeline builds."""
    return _SUBJECTS[pipeline.salt % len(_SUBJECTS)]
