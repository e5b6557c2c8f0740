"""The state of a LocalCircleCI: its organizations and projects, and the progress of what is running."""

from __future__ import annotations

import heapq
import itertools
import math
import random
import uuid
from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

from .generator import HistoryGenerator, people, project_names
from .ids import Address, IdFactory, Kind, base62, digest, is_project_slug
from .model import Job, Organization, Pipeline, Project, User, Workflow, WorkflowPlan
from .script import begin, continue_pipeline, on_workflow_ended, rerun_manually
from .stories import Story
from .times import DAY, ServerClock
from .usage_csv import UsageFormat

__all__ = ["GroupState", "State", "default_settings"]

_PROVIDERS = {"gh": "gh", "github": "gh", "bb": "bb", "bitbucket": "bb", "circleci": "circleci"}


class GroupState(Protocol):
    """The state of one group of operations."""

    def __init__(self, state: State) -> None: ...


_P = TypeVar("_P", bound=GroupState)


class State:
    """The deterministic organizations of one seed and day, with the changes that callers have made."""

    def __init__(
        self, projects: int | Sequence[str], seed: int, workflow_seconds: float, clock: ServerClock | None = None
    ) -> None:
        self.seed = seed
        self.clock = clock or ServerClock()
        self.midnight = int(self.clock.now()) // DAY * DAY
        self.ids = IdFactory(seed)
        self.people = people(self.ids)
        self.generator = HistoryGenerator(seed, self.midnight, self.people)
        self.workflow_seconds = workflow_seconds
        self.organizations: dict[str, Organization] = {}
        self.projects: dict[int, Project] = {}  # by key, in the order of their creation
        self.version = 0  # grows with every change, so that responses can be cached until then
        self.changes: list[tuple[str, str]] = []
        self._slugs: dict[str, Project] = {}
        self._live: list[Workflow] = []
        self._parts: dict[type, object] = {}
        self._serials: dict[Kind, int] = {}
        self._stories: dict[int, list[tuple[Story, int | None]]] = {}  # by project, with the pipelines that follow it
        self._events: list[tuple[float, int, Callable[[float], None]]] = []
        self._event_numbers = itertools.count()
        self.usage_format = UsageFormat()
        self.job_listeners: list[Callable[[Job], None]] = []
        self.workflow_listeners: list[Callable[[Workflow], None]] = []
        acme = self._organization("gh", "acme")
        if isinstance(projects, int):
            others = [self._organization("circleci", "Acme Labs"), self._organization("bb", "acme")]
            for index, name in enumerate(project_names(projects)):
                self.add_project(others[0] if index % 5 == 2 else others[1] if index % 7 == 5 else acme, name)
        else:
            for slug in [projects] if isinstance(projects, str) else projects:
                self._add_slug(slug)
        self.initial_organizations = tuple(self.organizations.values())  # those with a history

    @property
    def token_owner(self) -> User:
        """The user whose token it is."""
        return self.people[0]

    def _organization(self, provider: str, name: str, fragment: str | None = None) -> Organization:
        identity = f"{provider}/{fragment or name}"
        key = _key(self.seed, identity)
        ident = self.ids.uuid(Kind.ORGANIZATION, key)
        if fragment is None:
            fragment = base62(uuid.UUID(ident).int) if provider == "circleci" else name
        new = Organization(id=ident, key=key, provider=provider, name=name, fragment=fragment)
        return self.organizations.setdefault(new.slug, new)

    def add_organization(self, provider: str, name: str) -> Organization:
        """Create an organization. `provider` is gh, bb or circleci, where several may have the same name."""
        if provider != "circleci":
            return self._organization(provider, name)
        key = _key(self.seed, self.new_id(Kind.ORGANIZATION))
        ident = self.ids.uuid(Kind.ORGANIZATION, key)
        fragment = base62(uuid.UUID(ident).int)
        new = Organization(id=ident, key=key, provider=provider, name=name, fragment=fragment)
        self.organizations[new.slug] = new
        return new

    def add_project(self, organization: Organization, name: str, fragment: str | None = None) -> Project:
        """Create a project with a configuration. Its history is generated when it is first read."""
        key = _key(self.seed, f"{organization.slug}/{fragment or name}")
        rng = random.Random(f"project {self.seed} {key}")
        ident = self.ids.uuid(Kind.PROJECT, key)
        if fragment is None:
            fragment = base62(uuid.UUID(ident).int) if organization.standalone else name
        project = Project(
            key=key,
            id=ident,
            ids=self.ids,
            organization=organization,
            name=name,
            fragment=fragment,
            default_branch=rng.choice(("main", "main", "main", "master", "develop")),
            plans={},
            dynamic=False,
            settings=default_settings(),
            generate_history=self.generator.generate,
            generate_workflows=self.generator.generate_workflows,
        )
        self.generator.configure(project, rng)
        self.projects[key] = project
        self._slugs[project.slug] = project
        if organization.standalone:  # slugs may have UUIDs in place of both fragments
            for owner in (organization.fragment, organization.id):
                for own in (fragment, project.id):
                    self._slugs[f"circleci/{owner}/{own}"] = project
        return project

    def _add_slug(self, slug: str) -> Project:
        if not is_project_slug(slug):
            raise ValueError(f"not a project slug such as gh/acme/web: {slug!r}")
        host, owner, name = slug.split("/")
        provider = _PROVIDERS[host]
        standalone = provider == "circleci"
        organization = self._organization(provider, owner, owner if standalone else None)
        known = self._slugs.get(f"{provider}/{owner}/{name}")
        return known or self.add_project(organization, name, name if standalone else None)

    def remove_project(self, project: Project) -> None:
        """Delete a project and all that belongs to it."""
        del self.projects[project.key]
        self._slugs = {slug: known for slug, known in self._slugs.items() if known is not project}
        self._live = [run for run in self._live if run.pipeline.project is not project]

    def remove_organization(self, organization: Organization) -> None:
        """Delete an organization and all its projects."""
        for project in self.projects_of(organization):
            self.remove_project(project)
        del self.organizations[organization.slug]

    # Look-ups

    def project(self, slug: str) -> Project | None:
        """Return the project with this slug, in any of its spellings, or None."""
        provider, _, rest = slug.partition("/")
        return self._slugs.get(f"{_PROVIDERS.get(provider, provider)}/{rest}")

    def project_by_id(self, ident: str) -> Project | None:
        """Return the project with this UUID, or None."""
        address = self._address(ident, Kind.PROJECT)
        return None if address is None else self.projects.get(address.owner)

    def organization(self, slug_or_id: str) -> Organization | None:
        """Return the organization with this slug, in any of its spellings, or with this UUID; or None."""
        provider, _, rest = slug_or_id.partition("/")
        slug = f"{_PROVIDERS.get(provider, provider)}/{rest}"
        if slug in self.organizations:
            return self.organizations[slug]
        wanted = (rest if provider == "circleci" else slug_or_id).lower()
        return next((resource for resource in self.organizations.values() if resource.id == wanted), None)

    def projects_of(self, organization: Organization) -> list[Project]:
        """Return the projects of an organization, in the order of their creation."""
        return [project for project in self.projects.values() if project.organization is organization]

    def user(self, ident: str) -> User | None:
        """Return the user with this UUID, or None."""
        return next((user for user in self.people if user.id == ident.lower()), None)

    def pipeline(self, ident: str) -> Pipeline | None:
        """Return the pipeline with this UUID, or None."""
        return self._pipeline(self._address(ident, Kind.PIPELINE))

    def workflow(self, ident: str) -> Workflow | None:
        """Return the workflow run with this UUID, or None."""
        return self._workflow(self._address(ident, Kind.WORKFLOW))

    def job(self, ident: str, kind: Kind = Kind.JOB) -> Job | None:
        """Return the job with this UUID, or the job of this approval request; or None."""
        address = self._address(ident, kind)
        workflow = self._workflow(address)
        if address is None or workflow is None or address.index >= len(workflow.jobs):
            return None
        return workflow.jobs[address.index]

    def _address(self, ident: str, kind: Kind) -> Address | None:
        address = self.ids.address(ident)
        return address if address is not None and address.kind is kind else None

    def _pipeline(self, address: Address | None) -> Pipeline | None:
        project = None if address is None else self.projects.get(address.owner)
        if address is None or project is None or not 0 < address.number <= len(project.history.pipelines):
            return None
        return project.history.pipelines[address.number - 1]

    def _workflow(self, address: Address | None) -> Workflow | None:
        pipeline = self._pipeline(address)
        if address is None or pipeline is None or address.sub >= len(pipeline.workflows):
            return None
        return pipeline.workflows[address.sub]

    def group_state(self, kind: type[_P]) -> _P:
        """Return the state of a group of operations. It is created at its first use."""
        resource = self._parts.get(kind)
        if resource is None:
            resource = self._parts[kind] = kind(self)
        assert isinstance(resource, kind)
        return resource

    # Changes

    def new_id(self, kind: Kind) -> str:
        """Return a new UUID for a resource that a caller creates."""
        serial = self._serials[kind] = self._serials.get(kind, 0) + 1
        return self.ids.uuid(kind, 0, serial)

    def record_change(self, operation: str, subject: str) -> None:
        """Record one change of state."""
        self.version += 1
        self.changes.append((operation, subject))

    def script(self, project: Project, story: Story, times: int | None) -> None:
        """Let the next `times` pipelines of a project follow a story; None: all that follow."""
        self._stories.setdefault(project.key, []).append((story, times))

    def _next_story(self, project: Project) -> Story | None:
        stories = self._stories.get(project.key)
        if not stories:
            return None
        story, times = stories[0]
        if times is not None:
            stories[:1] = [(story, times - 1)] if times > 1 else []
        return story

    def trigger(
        self,
        project: Project,
        *,
        branch: str | None,
        tag: str | None,
        parameters: dict[str, object],
        delay: float,
        trigger: str = "api",
    ) -> Pipeline:
        """Start a pipeline as the token's owner. Its workflows exist `delay` seconds later."""
        history = project.history
        number = len(history.pipelines) + 1
        now = self.now()
        pipeline = Pipeline(
            project=project,
            number=number,
            created=now,
            salt=int.from_bytes(digest("trigger", self.seed, project.key, number)[:4]),
            trigger="Decoupled Ingestion System" if project.organization.standalone else trigger,
            actor=self.token_owner,
            branch=branch or (None if tag else project.default_branch),
            tag=tag,
            parameters=parameters,
        )
        history.pipelines.append(pipeline)
        story = self._next_story(project)
        if story is not None:
            begin(self, pipeline, story, delay)
            return pipeline
        pipeline.state = "setup-pending" if project.dynamic else "pending"
        pipeline.continued = not project.dynamic

        def start(at: float) -> None:
            if not (project.dynamic and pipeline.continued):  # it may have been continued before
                pipeline.state, pipeline.updated = ("setup" if project.dynamic else "created"), at
            for plan in [project.plans["setup"]] if project.dynamic else pipeline.configured:
                self.start(pipeline, plan, created=at)

        if delay:
            self.schedule(now + delay, start)
        else:
            start(now)
        return pipeline

    def continue_setup(self, pipeline: Pipeline) -> None:
        """Start the workflows of a setup pipeline that has been continued."""
        if pipeline.story is not None:
            continue_pipeline(self, pipeline, self.now())
            return
        pipeline.state, pipeline.continued, pipeline.updated = "created", True, self.now()
        for plan in pipeline.configured:
            self.start(pipeline, plan)

    def start(
        self,
        pipeline: Pipeline,
        plan: WorkflowPlan,
        *,
        created: float | None = None,
        reused: Sequence[Job | None] = (),
    ) -> Workflow:
        """Start one more run of a workflow, which ends after the server's `workflow_seconds`."""
        created = self.now() if created is None else created
        run = self.generator.run(pipeline, plan, created, pipeline.salt, self.token_owner)
        for index, job in enumerate(reused):
            if job is not None:
                run.jobs[index] = job
        if plan.story is None:
            run.time_scale = self.workflow_seconds / _longest(plan)
            if pipeline.branch is not None and "fail" in pipeline.branch:
                run.failing_job = 0
        run.advance(0.0)
        self._live.append(run)
        return run

    def rerun(self, run: Workflow, reused: Sequence[Job | None]) -> Workflow:
        """Run a workflow again, as a caller requested. `reused` are the jobs that do not run again."""
        return rerun_manually(self, run, reused)

    def cancel_job(self, job: Job) -> None:
        """Cancel a job, and bring the status of its run in line with it."""
        job.status, job.canceled_by = "canceled", self.token_owner
        if job.started is not None:
            job.stopped = self.now()
        run = job.workflow
        if not run.finished:
            run.advance(max(run.elapsed, self.now() - run.created) if run in self._live else run.elapsed)

    def resume(self, run: Workflow) -> None:
        """Continue a run after the approval of the job that it waited for."""
        if run.time_scale is None and run.plan.story is None:
            run.time_scale = self.workflow_seconds / _longest(run.plan)
        if run not in self._live:
            for job in run.jobs:
                job.is_reported = job.finished
            self._live.append(run)
        run.advance(max(run.elapsed, self.now() - run.created))

    # Time

    def now(self) -> float:
        """Return the time of the server's clock, in seconds since the epoch."""
        return self.clock.now()

    def schedule(self, at: float, action: Callable[[float], None]) -> None:
        """Call `action(at)` when the clock reaches `at`."""
        heapq.heappush(self._events, (at, next(self._event_numbers), action))

    def next_change(self) -> float:
        """Return the time at which something changes next; infinite if nothing does."""
        changes = [run.created + run.next_elapsed for run in self._live if not run.finished]
        if self._events:
            changes.append(self._events[0][0])
        return min(changes, default=math.inf)

    def advance(self) -> None:
        """Bring what is running to the present time."""
        now = self.now()
        self._settle(now)
        while (at := self.next_change()) <= now:
            self.version += 1
            for run in self._live:
                if not run.finished and run.created + run.next_elapsed <= at:
                    run.advance(run.next_elapsed)
            while self._events and self._events[0][0] <= at:
                _, _, action = heapq.heappop(self._events)
                action(at)
            self._settle(now)

    def _settle(self, now: float) -> None:
        """Report what has ended, and drop the runs that responses show as ended."""
        for run in self._live.copy():
            for job in run.jobs:
                if job.workflow is run and job.finished and job.number is not None and not job.is_reported:
                    job.is_reported = True
                    for on_job_ended in self.job_listeners:
                        on_job_ended(job)
            if run.finished and not run.is_reported:
                run.is_reported = True
                on_workflow_ended(self, run)
                for on_ended in self.workflow_listeners:
                    on_ended(run)
        if any(run.finished for run in self._live):
            self.version += 1
            self._live = [run for run in self._live if not run.finished or now < run.settles_at < math.inf]


def default_settings() -> dict[str, object]:
    """Return the advanced settings of a new project."""
    return {
        "autocancel_builds": False,
        "build_fork_prs": False,
        "build_prs_only": False,
        "disable_ssh": False,
        "forks_receive_secret_env_vars": False,
        "oss": False,
        "set_github_status": True,
        "setup_workflows": False,
        "write_settings_requires_admin": False,
        "pr_only_branch_overrides": ["main"],
    }


def _key(seed: int, identity: str) -> int:
    return int.from_bytes(digest("key", seed, identity)[:4])


def _longest(plan: WorkflowPlan) -> float:
    """Return the planned seconds of the longest chain of jobs."""
    ends: list[float] = []
    for job in plan.jobs:
        ends.append(max((ends[required] for required in job.requires), default=0.0) + job.seconds)
    return max(ends)
