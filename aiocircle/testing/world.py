"""Everything that a LocalCircleCI knows: its organizations, its projects and how time passes for what is running."""

from __future__ import annotations

import random
import time
import uuid
from collections.abc import Sequence
from typing import Protocol, TypeVar

from .history import DAY, Historian, people, project_names
from .identity import Address, Identities, Kind, base62, digest, slug_form
from .model import Job, Organization, Pipeline, Project, User, Workflow, WorkflowPlan

__all__ = ["Part", "World", "now"]

_PROVIDERS = {"gh": "gh", "github": "gh", "bb": "bb", "bitbucket": "bb", "circleci": "circleci"}


def now() -> float:
    """The wall clock, the one place it is read."""
    return time.time()


class Part(Protocol):
    """State that one group of operations keeps for itself."""

    def __init__(self, world: World) -> None: ...


_P = TypeVar("_P", bound=Part)


class World:
    """The deterministic organizations of one seed and day, and what callers have made of them since."""

    def __init__(self, projects: int | Sequence[str], seed: int, workflow_seconds: float) -> None:
        self.seed = seed
        self.anchor = int(now()) // DAY * DAY
        self.identities = Identities(seed)
        self.people = people(self.identities)
        self.historian = Historian(seed, self.anchor, self.identities, self.people)
        self.workflow_seconds = workflow_seconds
        self.organizations: dict[str, Organization] = {}
        self.projects: dict[int, Project] = {}  # by key, in the order they were made
        self.version = 0  # grows with every change, so that answers can be kept until then
        self.changes: list[tuple[str, str]] = []
        self._slugs: dict[str, Project] = {}
        self._living: list[Workflow] = []
        self._parts: dict[type, object] = {}
        self._serials: dict[Kind, int] = {}
        self.clock = 0.0  # loop time of the request being answered
        acme = self._organization("gh", "acme")
        if isinstance(projects, int):
            beside = [self._organization("circleci", "Acme Labs"), self._organization("bb", "acme")]
            for index, name in enumerate(project_names(projects)):
                self.add_project(beside[0] if index % 5 == 2 else beside[1] if index % 7 == 5 else acme, name)
        else:
            for slug in [projects] if isinstance(projects, str) else projects:
                self._add_slug(slug)
        self.founding = tuple(self.organizations.values())  # those that have a past

    @property
    def me(self) -> User:
        """Whom the token belongs to."""
        return self.people[0]

    def _organization(self, provider: str, name: str, fragment: str | None = None) -> Organization:
        identity = f"{provider}/{fragment or name}"
        key = _key(self.seed, identity)
        ident = self.identities.uuid(Kind.ORGANIZATION, key)
        if fragment is None:
            fragment = base62(uuid.UUID(ident).int) if provider == "circleci" else name
        made = Organization(id=ident, key=key, provider=provider, name=name, fragment=fragment)
        return self.organizations.setdefault(made.slug, made)

    def add_organization(self, provider: str, name: str) -> Organization:
        """Make an organization; `provider` is gh, bb or circleci, where names need not differ."""
        if provider != "circleci":
            return self._organization(provider, name)
        key = _key(self.seed, self.new_id(Kind.ORGANIZATION))
        ident = self.identities.uuid(Kind.ORGANIZATION, key)
        fragment = base62(uuid.UUID(ident).int)
        made = Organization(id=ident, key=key, provider=provider, name=name, fragment=fragment)
        self.organizations[made.slug] = made
        return made

    def add_project(self, organization: Organization, name: str, fragment: str | None = None) -> Project:
        """Make a project with a configuration and no history yet but the one its name stands for."""
        key = _key(self.seed, f"{organization.slug}/{fragment or name}")
        rng = random.Random(f"project {self.seed} {key}")
        ident = self.identities.uuid(Kind.PROJECT, key)
        if fragment is None:
            fragment = base62(uuid.UUID(ident).int) if organization.standalone else name
        project = Project(
            key=key,
            id=ident,
            organization=organization,
            name=name,
            fragment=fragment,
            default_branch=rng.choice(("main", "main", "main", "master", "develop")),
            plans={},
            dynamic=False,
            settings=default_settings(),
            write_history=self.historian.write,
        )
        self.historian.configure(project, rng)
        self.projects[key] = project
        self._slugs[project.slug] = project
        if organization.standalone:  # whose slugs may be spelt with UUIDs
            for owner in (organization.fragment, organization.id):
                for own in (fragment, project.id):
                    self._slugs[f"circleci/{owner}/{own}"] = project
        return project

    def _add_slug(self, slug: str) -> Project:
        if not slug_form(slug):
            raise ValueError(f"not a project slug such as gh/acme/web: {slug!r}")
        host, owner, name = slug.split("/")
        provider = _PROVIDERS[host]
        standalone = provider == "circleci"
        organization = self._organization(provider, owner, owner if standalone else None)
        known = self._slugs.get(f"{provider}/{owner}/{name}")
        return known or self.add_project(organization, name, name if standalone else None)

    def remove_project(self, project: Project) -> None:
        """Forget a project and all that belongs to it."""
        del self.projects[project.key]
        self._slugs = {slug: known for slug, known in self._slugs.items() if known is not project}
        self._living = [run for run in self._living if run.pipeline.project is not project]

    def remove_organization(self, organization: Organization) -> None:
        """Forget an organization and all its projects."""
        for project in self.projects_of(organization):
            self.remove_project(project)
        del self.organizations[organization.slug]

    # Looking things up

    def project(self, slug: str) -> Project | None:
        """The project with this slug, in any of its spellings."""
        provider, _, rest = slug.partition("/")
        return self._slugs.get(f"{_PROVIDERS.get(provider, provider)}/{rest}")

    def project_by_id(self, ident: str) -> Project | None:
        """The project with this UUID."""
        address = self._address(ident, Kind.PROJECT)
        return None if address is None else self.projects.get(address.owner)

    def organization(self, slug_or_id: str) -> Organization | None:
        """The organization with this slug, in any of its spellings, or with this UUID."""
        provider, _, rest = slug_or_id.partition("/")
        slug = f"{_PROVIDERS.get(provider, provider)}/{rest}"
        if slug in self.organizations:
            return self.organizations[slug]
        wanted = (rest if provider == "circleci" else slug_or_id).lower()
        return next((found for found in self.organizations.values() if found.id == wanted), None)

    def projects_of(self, organization: Organization) -> list[Project]:
        """An organization's projects, in the order they were made."""
        return [project for project in self.projects.values() if project.organization is organization]

    def user(self, ident: str) -> User | None:
        """The user with this UUID."""
        return next((user for user in self.people if user.id == ident.lower()), None)

    def pipeline(self, ident: str) -> Pipeline | None:
        """The pipeline with this UUID."""
        return self._pipeline(self._address(ident, Kind.PIPELINE))

    def workflow(self, ident: str) -> Workflow | None:
        """The workflow run with this UUID."""
        return self._workflow(self._address(ident, Kind.WORKFLOW))

    def job(self, ident: str, kind: Kind = Kind.JOB) -> Job | None:
        """The job with this UUID, or the one that this approval request is for."""
        address = self._address(ident, kind)
        workflow = self._workflow(address)
        if address is None or workflow is None or address.leaf >= len(workflow.jobs):
            return None
        return workflow.jobs[address.leaf]

    def _address(self, ident: str, kind: Kind) -> Address | None:
        address = self.identities.address(ident)
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

    def part(self, kind: type[_P]) -> _P:
        """The state that a group of operations keeps for itself, made when it is first asked for."""
        found = self._parts.get(kind)
        if found is None:
            found = self._parts[kind] = kind(self)
        assert isinstance(found, kind)
        return found

    # Changing things

    def new_id(self, kind: Kind) -> str:
        """A new UUID for something that a caller makes."""
        serial = self._serials[kind] = self._serials.get(kind, 0) + 1
        return self.identities.uuid(kind, 0, serial)

    def changed(self, operation: str, subject: str) -> None:
        """Note one change of state that was really made."""
        self.version += 1
        self.changes.append((operation, subject))

    def trigger(
        self,
        project: Project,
        *,
        branch: str | None,
        tag: str | None,
        parameters: dict[str, object],
        delay: float,
    ) -> Pipeline:
        """Start a pipeline as the token's owner; its workflows exist `delay` seconds of loop time later."""
        history = project.history
        number = len(history.pipelines) + 1
        pipeline = Pipeline(
            id=self.identities.uuid(Kind.PIPELINE, project.key, number),
            project=project,
            number=number,
            created=now(),
            salt=int.from_bytes(digest("trigger", self.seed, project.key, number)[:4]),
            trigger="Decoupled Ingestion System" if project.organization.standalone else "api",
            actor=self.me,
            branch=branch or (None if tag else project.default_branch),
            tag=tag,
            parameters=parameters,
            visible_at=self.clock + delay,
        )
        history.pipelines.append(pipeline)
        if project.dynamic:
            pipeline.state, pipeline.continued = "setup-pending", False
            plans = ["setup"]
        else:
            plans = self._configured(pipeline)
        for name in plans:
            self.start(pipeline, project.plans[name], delay)
        return pipeline

    def _configured(self, pipeline: Pipeline) -> list[str]:
        if pipeline.tag is not None:
            return ["deploy"]
        if pipeline.branch == pipeline.project.default_branch:
            return ["build-and-test", "deploy"]
        return ["build-and-test"]

    def go_on(self, pipeline: Pipeline) -> None:
        """Start the workflows that a setup pipeline was waiting to be given."""
        pipeline.state, pipeline.continued = "created", True
        for name in self._configured(pipeline):
            self.start(pipeline, pipeline.project.plans[name])

    def start(
        self,
        pipeline: Pipeline,
        plan: WorkflowPlan,
        delay: float = 0.0,
        reused: Sequence[Job | None] = (),
    ) -> Workflow:
        """Start one more run of a workflow that ends after the server's `workflow_seconds`."""
        run = self.historian.run(pipeline, plan, now() + delay, pipeline.salt, self.me)
        for leaf, job in enumerate(reused):
            if job is not None:
                run.jobs[leaf] = job
        run.scale = self.workflow_seconds / _longest(plan)
        if pipeline.branch is not None and "fail" in pipeline.branch:
            run.culprit = 0
        run.lived_since = self.clock + delay
        run.play(0.0)
        self._living.append(run)
        return run

    def revive(self, run: Workflow) -> None:
        """Let time pass for a run again, after somebody has approved what it waited for."""
        if run.lived_since is None:
            run.lived_since = self.clock - (now() - run.created)
            run.scale = self.workflow_seconds / _longest(run.plan)
        run.play(self.clock - run.lived_since)
        if run not in self._living:
            self._living.append(run)

    def advance(self, clock: float) -> None:
        """Let time pass until `clock`, in seconds of the event loop."""
        self.clock = clock
        if not self._living:
            return
        self.version += 1
        for run in self._living:
            if not run.finished and run.lived_since is not None:
                run.play(clock - run.lived_since)
        self._living = [run for run in self._living if not run.finished and run.status != "on_hold"]


def default_settings() -> dict[str, object]:
    """A new project's advanced settings."""
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
    """Seconds that a run of it takes at least, about."""
    ends: list[float] = []
    for job in plan.jobs:
        ends.append(max((ends[required] for required in job.requires), default=0.0) + job.seconds)
    return max(ends)
