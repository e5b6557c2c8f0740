"""Names of projects and organizations: every form that is understood, and nothing that could lead elsewhere."""

from __future__ import annotations

import pickle
import traceback
from itertools import product
from types import FrameType
from typing import Any
from uuid import UUID

import attrs
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from aiocircle import InvalidArgument, OrgSlug, ProjectSlug
from aiocircle.slugs import check_segment, read_slug
from tests.support.rows import each_row

ORG_UUID = "5034460f-c7c4-4c43-9457-de07e2029e7b"
PROJECT_UUID = "44b4d7a4-2f9c-4a43-8c4a-8d1a8f6d0f3e"
ORG_ID = "VtuEvGhkQYSGPTmoQmMqPw"
PROJECT_ID = "5cwsgfxdk1qvvnQCHVzpQ2"
WORKFLOW = "https://app.circleci.com/pipelines/github/acme/web/12/workflows/fda08377-fe7e-46b1-8992-3a7aaecac9c3"


@each_row(
    ("given", "slug"),
    [
        # Slugs
        ("gh/acme/web", "gh/acme/web"),
        ("github/acme/web", "gh/acme/web"),
        ("bb/acme/web", "bb/acme/web"),
        ("bitbucket/acme/web", "bb/acme/web"),
        (f"circleci/{ORG_ID}/{PROJECT_ID}", f"circleci/{ORG_ID}/{PROJECT_ID}"),
        (f"circleci/{ORG_UUID}/{PROJECT_UUID}", f"circleci/{ORG_UUID}/{PROJECT_UUID}"),
        (PROJECT_UUID, PROJECT_UUID),
        (PROJECT_UUID.upper(), PROJECT_UUID),
        ("gh/acme/web/", "gh/acme/web"),
        ("gh/github/gh", "gh/github/gh"),
        ("gh/a c-m_e.x/w@b:c%2F?#+é", "gh/a c-m_e.x/w@b:c%2F?#+é"),
        ("gh/acme/.github", "gh/acme/.github"),
        ("gh/acme/...", "gh/acme/..."),
        ("gh/acme/web.git", "gh/acme/web.git"),
        # Pages of app.circleci.com
        ("https://app.circleci.com/pipelines/github/acme/web", "gh/acme/web"),
        ("https://app.circleci.com/pipelines/gh/acme/web/", "gh/acme/web"),
        ("https://app.circleci.com/pipelines/github/acme/web?branch=feat%2Fa", "gh/acme/web"),
        ("https://app.circleci.com/pipelines/github/acme/web#top", "gh/acme/web"),
        ("https://app.circleci.com/pipelines/github/acme/web/12", "gh/acme/web"),
        (WORKFLOW, "gh/acme/web"),
        (f"{WORKFLOW}/jobs/34/steps?invite=true#step-103-0", "gh/acme/web"),
        ("https://app.circleci.com/jobs/github/acme/web/34/artifacts", "gh/acme/web"),
        ("https://app.circleci.com/insights/bitbucket/acme/web/workflows/build/overview?branch=main", "bb/acme/web"),
        ("https://app.circleci.com/settings/project/github/acme/web/environment-variables", "gh/acme/web"),
        ("https://app.circleci.com/settings/project/github/acme/my%20web", "gh/acme/my web"),
        (
            f"https://app.circleci.com/pipelines/circleci/{ORG_ID}/{PROJECT_ID}/7/workflows/{PROJECT_UUID}/jobs/2",
            f"circleci/{ORG_ID}/{PROJECT_ID}",
        ),
        ("https://app.circleci.com/pipelines/github/github/gh/12", "gh/github/gh"),
        ("HTTPS://APP.CircleCI.com:443/pipelines/github/Acme/Web", "gh/Acme/Web"),
        ("https://circleci.com/gh/acme/web", "gh/acme/web"),
        ("https://circleci.com/gh/acme/web/34", "gh/acme/web"),
        ("https://circleci.com/gh/acme/web/tree/main", "gh/acme/web"),
        ("https://www.circleci.com/bb/acme/web", "bb/acme/web"),
        ("https://circleci.com/api/v2/project/gh/acme/web", "gh/acme/web"),
        # The vcs_url of a standalone project has no scheme
        (f"//circleci.com/{ORG_UUID}/{PROJECT_UUID}", f"circleci/{ORG_UUID}/{PROJECT_UUID}"),
        (f"https://circleci.com/{ORG_UUID}/{PROJECT_UUID}", f"circleci/{ORG_UUID}/{PROJECT_UUID}"),
        # Git remotes
        ("https://github.com/acme/web", "gh/acme/web"),
        ("https://github.com/acme/web.git", "gh/acme/web"),
        ("https://github.com/acme/web.git/", "gh/acme/web"),
        ("https://github.com/acme/web.github.io.git", "gh/acme/web.github.io"),
        ("https://github.com/acme/web/tree/main/src", "gh/acme/web"),
        ("http://www.github.com/acme/web", "gh/acme/web"),
        ("https://x-access-token:hunter2@github.com/acme/web.git", "gh/acme/web"),
        ("https://hunter2@bitbucket.org/acme/web.git", "bb/acme/web"),
        ("git@github.com:acme/web.git", "gh/acme/web"),
        ("git@github.com:acme/web", "gh/acme/web"),
        ("git@github.com:/acme/web.git", "gh/acme/web"),
        ("github.com:acme/web.git", "gh/acme/web"),
        ("org-123@github.com:acme/web.git", "gh/acme/web"),
        ("git@bitbucket.org:acme/web.git", "bb/acme/web"),
        ("ssh://git@github.com/acme/web.git", "gh/acme/web"),
        ("ssh://git@ssh.github.com:443/acme/web.git", "gh/acme/web"),
        ("ssh://git@altssh.bitbucket.org:443/acme/web.git", "bb/acme/web"),
        ("git+ssh://git@github.com/acme/web.git", "gh/acme/web"),
        ("git://github.com/acme/web.git", "gh/acme/web"),
        ("git+https://github.com/acme/web.git", "gh/acme/web"),
        ("github.com/acme/web", "gh/acme/web"),
        ("GitHub.com/acme/web.git", "gh/acme/web"),
        ("git@GitHub.com:acme/web.git", "gh/acme/web"),
        # ssh aliases, and ssh over port 443
        ("git@github.com-work:acme/web.git", "gh/acme/web"),
        ("github.com-work:acme/web", "gh/acme/web"),
        ("git@bitbucket.org-my_team:acme/web.git", "bb/acme/web"),
        ("ssh://git@github.com-work/acme/web.git", "gh/acme/web"),
        ("git@ssh.github.com:acme/web.git", "gh/acme/web"),
        ("ssh://git@altssh.bitbucket.org/acme/web", "bb/acme/web"),
        # Encoded slashes
        ("gh%2Facme%2Fweb", "gh/acme/web"),
        ("github%2facme%2fweb", "gh/acme/web"),
        ("gh%2Facme%2Fmy%20web", "gh/acme/my web"),
        ("gh%2Facme%2Fa%252Fb", "gh/acme/a%2Fb"),
        ("https://app.circleci.com/pipelines/github%2Facme%2Fweb/12", "gh/acme/web"),
        # White space at both ends, as commands print it
        ("git@github.com:acme/web.git\n", "gh/acme/web"),
        ("https://github.com/acme/web.git\r\n", "gh/acme/web"),
        (" \tgh/acme/web \n", "gh/acme/web"),
        (f" {PROJECT_UUID}\n", PROJECT_UUID),
        # Pages without the scheme
        ("app.circleci.com/pipelines/github/acme/web/12", "gh/acme/web"),
        ("circleci.com/gh/acme/web/18408", "gh/acme/web"),
        ("App.CircleCI.com/pipelines/gh/acme/web", "gh/acme/web"),
        # Further pages
        ("https://app.circleci.com/projects/github/acme/web", "gh/acme/web"),
        ("https://app.circleci.com/projects/project-setup/github/acme/web", "gh/acme/web"),
        ("https://app.circleci.com/deploys/circleci/O/P", "circleci/O/P"),
        ("https://circleci.com/gh/acme/workflows/web/tree/main", "gh/acme/web"),
        ("https://circleci.com/gh/acme/workflows/12", "gh/acme/workflows"),
        ("https://circleci.com/gh/acme/web/edit#env-vars", "gh/acme/web"),
        ("https://circleci.com/gh/acme/web.svg?style=svg", "gh/acme/web"),
        ("https://circleci.com/build-insights/gh/acme/web/main", "gh/acme/web"),
        ("https://dl.circleci.com/status-badge/redirect/gh/acme/web/tree/main", "gh/acme/web"),
        # The API's own URLs
        ("https://circleci.com/api/v2/project/gh/acme/web/pipeline?branch=main", "gh/acme/web"),
        ("https://circleci.com/api/v2/project/gh%2Facme%2Fweb/envvar", "gh/acme/web"),
        (f"https://circleci.com/api/v2/project/{PROJECT_UUID.upper()}", PROJECT_UUID),
        (f"https://circleci.com/api/v2/projects/{PROJECT_UUID}/pipeline-definitions", PROJECT_UUID),
        ("https://circleci.com/api/v2/insights/gh/acme/web/workflows/build", "gh/acme/web"),
        ("https://circleci.com/api/v2/insights/pages/gh/acme/web/summary", "gh/acme/web"),
        ("https://circleci.com/api/v2/insights/time-series/gh/acme/web/workflows/build/jobs", "gh/acme/web"),
        ("https://circleci.com/api/v1.1/project/github/acme/web/34/artifacts", "gh/acme/web"),
        ("circleci.com/api/v1.1/project/gh/acme/web/tree/main", "gh/acme/web"),
    ],
)
def test_project_is_read_in_every_form(given: str, slug: str) -> None:
    """Short and long slugs, ids, pages, URLs of the API and remotes are the same project."""
    parsed = ProjectSlug.parse(given)
    assert str(parsed) == slug
    assert parsed == ProjectSlug.parse(slug)
    assert "/".join(parsed.segments) == slug


@each_row(
    ("given", "slug"),
    [
        ("gh/acme", "gh/acme"),
        ("github/acme", "gh/acme"),
        ("bitbucket/acme/", "bb/acme"),
        (f"circleci/{ORG_ID}", f"circleci/{ORG_ID}"),
        (ORG_UUID, ORG_UUID),
        ("https://app.circleci.com/pipelines/github/acme", "gh/acme"),
        ("https://app.circleci.com/settings/organization/github/acme/contexts?x=1", "gh/acme"),
        (WORKFLOW, "gh/acme"),
        ("https://circleci.com/gh/acme", "gh/acme"),
        (f"https://app.circleci.com/home/circleci/{ORG_ID}", f"circleci/{ORG_ID}"),
        (f"//circleci.com/{ORG_UUID}/{PROJECT_UUID}", f"circleci/{ORG_UUID}"),
        ("https://github.com/acme", "gh/acme"),
        ("https://hunter2@github.com/acme/web.git", "gh/acme"),
        ("https://github.com/orgs/acme/repositories", "gh/acme"),
        ("gh%2Facme", "gh/acme"),
        (" gh/acme\n", "gh/acme"),
        ("app.circleci.com/pipelines/github/acme", "gh/acme"),
        ("https://app.circleci.com/insights/github/acme?reporting-window=last-7-days", "gh/acme"),
        ("https://app.circleci.com/projects/project-dashboard/github/acme/", "gh/acme"),
        ("https://app.circleci.com/organization/circleci/O/people", "circleci/O"),
        ("https://app.circleci.com/settings/plan/github/acme/overview", "gh/acme"),
        ("https://circleci.com/gh/organizations/acme/settings", "gh/acme"),
        ("https://circleci.com/api/v2/organization/gh/acme/project", "gh/acme"),
        ("https://circleci.com/api/v2/organization/gh%2Facme", "gh/acme"),
        (f"https://circleci.com/api/v2/organization/{ORG_UUID}", ORG_UUID),
        ("https://circleci.com/api/v2/insights/gh/acme/summary", "gh/acme"),
    ],
)
def test_org_is_read_in_every_form(given: str, slug: str) -> None:
    """Slugs, ids, and URLs of the organization or of one of its projects."""
    parsed = OrgSlug.parse(given)
    assert str(parsed) == slug
    assert parsed == OrgSlug.parse(slug)
    assert "/".join(parsed.segments) == slug


def test_uuid_names_a_project_or_an_org() -> None:
    """A UUID object is as good as its text."""
    assert ProjectSlug.parse(UUID(PROJECT_UUID)) == ProjectSlug(None, None, PROJECT_UUID)
    assert OrgSlug.parse(UUID(ORG_UUID)) == OrgSlug(None, ORG_UUID)


def test_uuid_is_read_in_any_case() -> None:
    """The API writes them small; what is base62 or a name keeps its case."""
    assert ProjectSlug.parse(PROJECT_UUID.upper()) == ProjectSlug.parse(PROJECT_UUID)
    assert OrgSlug(None, ORG_UUID.upper()) == OrgSlug.parse(ORG_UUID)
    standalone = f"circleci/{ORG_UUID}/{PROJECT_UUID}"
    assert str(ProjectSlug.parse(standalone.replace(PROJECT_UUID, PROJECT_UUID.upper()))) == standalone
    assert str(ProjectSlug.parse("circleci/9TvWMV/Nbq3Kq")) == "circleci/9TvWMV/Nbq3Kq"
    assert str(ProjectSlug.parse("gh/Acme/Web")) == "gh/Acme/Web"


def test_slug_is_returned_unchanged() -> None:
    """A slug that is parsed already is not parsed again."""
    project, org = ProjectSlug("gh", "acme", "web"), OrgSlug("gh", "acme")
    assert ProjectSlug.parse(project) is project
    assert OrgSlug.parse(org) is org


def test_project_has_its_organization() -> None:
    """Unless only its UUID is known."""
    assert ProjectSlug.parse("github/acme/web").org == OrgSlug("gh", "acme")
    assert ProjectSlug.parse(PROJECT_UUID).org is None


def test_slugs_are_values() -> None:
    """They can be keys of a dict, and go to other processes."""
    slug = ProjectSlug.parse("gh/acme/web")
    assert {slug: 1}[ProjectSlug.parse("github/acme/web")] == 1
    assert pickle.loads(pickle.dumps(slug)) == slug


BAD_FOR_BOTH = [
    "",
    " \n",
    "/",
    "//",
    "acme",
    "gh",
    "gh/",
    "gh//",
    "gh/.",
    "gh/..",
    "/gh/acme",
    "gh/ac\x00me/web",
    "gh/acme/we\x7fb",
    "gh/acme/we\x85b",
    "gh/acme/we\udfffb",
    "GH/acme/web/x",
    "gitlab/acme/web/x",
    "gl/acme",
    "gh\\acme\\web",
    "gh%2Facme%2F..",
    "gh%2Facme%2Fa%0Ab",
    "gh%2Facme%2Fa%FF",
    "a%2Fb%2Fc",
    "gh:acme/web",
    "https://",
    "https://app.circleci.com",
    "https://app.circleci.com/pipelines",
    "https://app.circleci.com/pipelines/gitlab/acme/web",
    "https://app.circleci.com/pipelines/github//",
    "https://app.circleci.com/pipelines/github/..%2Fx/web",
    "https://app.circleci.com/pipelines/github/%2e%2e/web",
    "https://app.circleci.com/pipelines/github/a%0Ab/web",
    "https://circleci.example.com/pipelines/github/acme/web",
    "https://app.circleci.com.example.com/pipelines/github/acme/web",
    "https://example.com/https://app.circleci.com/pipelines/github/acme/web",
    "https://github.example.com/acme/web",
    "git@gitlab.com:acme/web.git",
    "https://gitlab.com/acme/web",
    "http://[::1/acme/web",
    "ssh://git@github.com:acme/web.git",
    f"//circleci.com/{ORG_UUID}",
    f"//circleci.com/acme/{PROJECT_UUID}",
    f"//circleci.com/{ORG_UUID}/{PROJECT_UUID}/x",
    f"//circleci.com/{ORG_UUID}/{PROJECT_UUID}/{PROJECT_UUID}",
    f"{PROJECT_UUID}x",
    PROJECT_UUID.replace("-", ""),
]


@each_row("given", BAD_FOR_BOTH)
def test_unreadable_text_is_refused(given: str) -> None:
    """Refused rather than guessed at: a wrong guess reads, or changes, another project."""
    with pytest.raises(InvalidArgument):
        ProjectSlug.parse(given)
    with pytest.raises(InvalidArgument):
        OrgSlug.parse(given)


@each_row(
    "given",
    [
        "gh/acme",
        "gh/acme/",
        "gh/acme/web/x",
        "gh/acme//web",
        "gh/acme/web//",
        "gh/./web",
        "gh/../web",
        "gh/acme/.",
        "gh/acme/..",
        "gh/acme/../..",
        "https://github.com/acme",
        "https://github.com/acme/.git",
        "https://github.com/acme/..",
        "https://github.com/acme/...git",
        "git@github.com:acme/web/x.git",
        "https://app.circleci.com/pipelines/github/acme",
        "https://app.circleci.com/pipelines/github/acme/..%2F",
        "https://app.circleci.com/pipelines/github/acme/we%2Fb",
        # The tabs of an organization are not projects.
        "https://app.circleci.com/settings/organization/github/acme/contexts",
        "https://app.circleci.com/home/circleci/O/anything",
        "https://app.circleci.com/projects/project-dashboard/github/acme/",
        "https://app.circleci.com/inventory/github/acme/resource-classes",
        "https://app.circleci.com/unknown-page/github/acme/web",
        "https://circleci.com/gh/organizations/acme/settings",
        "https://circleci.com/api/v2/insights/gh/acme/summary",
        "https://circleci.com/api/v2/organization/gh/acme/project",
        "https://circleci.com/api/v2/organization/gh/acme/url-orb-allow-list",
        f"https://circleci.com/api/v2/workflow/{PROJECT_UUID}",
        f"https://circleci.com/workflow-run/{PROJECT_UUID}",
        "https://github.com/orgs/acme/repositories",
        # Hosts that only look like others
        "git@github.com-evil.example:acme/web.git",
        "https://github.com-work/acme/web.git",
        "git@github-work:acme/web.git",
        "ftp://github.com/acme/web.git",
        "ssh://git@app.circleci.com/pipelines/github/acme/web",
        "https://app.circleci.com@evil.example/pipelines/github/acme/web",
        "https://app.circleci.com:8443/pipelines/github/acme/web",
        "https://app.circleci.com/pipelines/github/acme/w%FFb",
        "ssh://git@github.com/acme/web/x.git",
        "x" * 20_000,
        "https://app.circleci.com/pipelines/github/acme/" + "x" * 256,
    ],
)
def test_text_without_a_project_is_refused(given: str) -> None:
    """Names with other than three parts, dot segments, slashes inside a name, and pages of something else."""
    with pytest.raises(InvalidArgument):
        ProjectSlug.parse(given)


@pytest.mark.parametrize("given", ["gh/acme/web", "git@github.com:acme/web.git", "gh/ac/../me"])
def test_org_refuses_a_project(given: str) -> None:
    """A project's slug where an organization's belongs is a mistake, not an organization."""
    with pytest.raises(InvalidArgument):
        OrgSlug.parse(given)


@each_row("given", [None, 5, b"gh/acme/web", ["gh", "acme", "web"], OrgSlug("gh", "acme")])
def test_other_types_are_refused(given: object) -> None:
    """`None`, above all, never becomes the text "None"."""
    with pytest.raises(InvalidArgument, match=r"must be named by .*, got (NoneType|int|bytes|list|OrgSlug)"):
        ProjectSlug.parse(given)  # type: ignore[arg-type]


@each_row(
    ("provider", "organization", "project"),
    [
        ("gh", "..", "web"),
        ("gh", "acme", "."),
        ("gh", "acme", ""),
        ("gh", "", "web"),
        ("gh", None, "web"),
        ("gh", "ac/me", "web"),
        ("gh", "acme", "../../admin"),
        ("gh", "acme", "we\x1bb"),
        ("gh", "acme", "web "),
        ("gh", "acme", "\u2003web"),
        ("gh", " acme", "web"),
        ("gh", "acme", "x" * 256),
        ("gh", "acme", None),
        ("gh", "acme", 5),
        ("gitlab", "acme", "web"),
        ("..", "acme", "web"),
        ("", "acme", "web"),
        (5, "acme", "web"),
        (None, "acme", "web"),
        (None, None, "web"),
        (None, ORG_UUID, PROJECT_UUID),
    ],
)
def test_constructor_checks_what_parse_checks(provider: object, organization: object, project: object) -> None:
    """The constructor checks what `parse` checks: a slug that exists can stand in a path."""
    with pytest.raises(InvalidArgument):
        ProjectSlug(provider, organization, project)  # type: ignore[arg-type]
    if project == "web" and organization is not None:
        with pytest.raises(InvalidArgument):
            OrgSlug(provider, organization)  # type: ignore[arg-type]


def test_constructor_reads_long_provider_names() -> None:
    """`github` becomes `gh` in each spelling."""
    assert ProjectSlug("github", "acme", "web") == ProjectSlug.parse("gh/acme/web")
    assert OrgSlug("bitbucket", "acme") == OrgSlug.parse("bb/acme")


def kept_locals(error: BaseException) -> list[str]:
    """The local variables of the package's frames that the error keeps, and those of what led to it."""
    seen: list[str] = []
    chain: list[BaseException | None] = [error, error.__cause__, error.__context__]
    for link in filter(None, chain):
        frames: list[FrameType] = [frame for frame, _ in traceback.walk_tb(link.__traceback__)]
        ours = [frame for frame in frames if frame.f_globals["__name__"].startswith("aiocircle")]
        assert ours or link is not error
        seen += [repr(value) for frame in ours for value in frame.f_locals.values()]
    return seen


CREDENTIALS = [
    "https://us3r:hunter2@gitlab.com/acme/web.git",
    "https://us3r:hunter2@gitlab.com",
    "https://us3r:hunter2@github.com",
    "https://us3r:hunter2@github.com/..",
    "https://us3r:hunter2@github.com/a/b\x00",
    "https://us3r:hunter2@[::1/acme/web",
    "https://us3r:hunter2@github.com:acme/web",
    "https://us3r%3Ahunter2%40gitlab.com/acme/web",
    "https://us3r:hunter2%40github.com/acme/web",
    "https://us3r:hun/ter2@gitlab.com/acme/web",
    "https://us3r:hun?ter2@gitlab.com/acme/web",
    "https://us3r:hun#ter2@gitlab.com/acme/web",
    "https://us3r:hun@ter2@gitlab.com/acme/web",
    "https://us3r:hunter2\uff0f@gitlab.com/acme/web",
    "https://x:hunter2/acme/web",
    "https://x:hunter2.gitlab.com/acme/web",
    "us3r:hunter2@gitlab.com:acme/web",
    "us3r:hunter2@gitlab.com/acme/web",
    "hunter2@gitlab.com/acme/web",
    "hunter2@gitlab.com:acme/web/x/y",
    "https://app.circleci.com/x?circle-token=hunter2",
    "https://app.circleci.com/x?a=b@c&circle-token=hunter2",
    "https://app.circleci.com/x#access_token=hunter2",
]


SECRETS = ("us3r", "hun", "ter2")


@each_row("given", CREDENTIALS)
def test_credentials_are_not_repeated(given: str) -> None:
    """They are in no message and in no local variable of a frame that the error keeps."""
    every_option = {"hosts": {"ghe.acme.com": "gh"}, "app_hosts": ("ci.acme.com",)}
    for kind, text, options in product((ProjectSlug, OrgSlug), (given, f" {given}\n"), ({}, every_option)):
        with pytest.raises(InvalidArgument) as caught:
            kind.parse(text, **options)
        error = caught.value
        seen = [str(error), repr(error), repr(error.args), str(error.__dict__), pickle.dumps(error).decode("latin-1")]
        seen += traceback.format_exception_only(error)
        seen += kept_locals(error)
        assert not [shown for shown in seen if any(part in shown for part in SECRETS)], (kind, text, options)


@each_row("hosts", [{"ghe.acme.com": "hunter2"}, {5: "gh"}, {"ghe.acme.com": "circleci"}, "hunter2", 5])
def test_hosts_must_map_hosts_to_providers(hosts: Any) -> None:
    """A wrong mapping is refused, and its text is not repeated."""
    with pytest.raises(InvalidArgument, match="hosts must be a mapping of hosts to gh or bb") as caught:
        ProjectSlug.parse("https://hunter2@ghe.acme.com/acme/web", hosts=hosts)
    assert not any("hunter2" in text for text in [str(caught.value), *kept_locals(caught.value)])


@each_row(
    "app_hosts", [["https://hunter2@ci.acme.com"], [5], [""], ["https://"], ["ci.acme.com?x"], ["ftp://ci.acme.com"], 5]
)
def test_app_hosts_must_be_hosts(app_hosts: Any) -> None:
    """A wrong host is refused, and its text is not repeated."""
    with pytest.raises(InvalidArgument, match="app_hosts must be") as caught:
        ProjectSlug.parse("https://hunter2@ci.acme.com/gh/acme/web", app_hosts=app_hosts)
    assert not any("hunter2" in text for text in [str(caught.value), *kept_locals(caught.value)])


@each_row(
    "given",
    [
        "https://ghe.acme.com/acme/web.git",
        "https://us3r:hunter2@ghe.acme.com/acme/web",
        "git@ghe.acme.com:acme/web.git\n",
        "git@GHE.acme.com-work:acme/web.git",
        "ssh://git@ghe.acme.com:2222/acme/web.git",
        "ghe.acme.com/acme/web",
    ],
)
def test_remote_of_another_host_is_read_by_hosts(given: str) -> None:
    """A GitHub Enterprise or a Bitbucket of one's own, if `hosts` names it. The known hosts stay known."""
    with pytest.raises(InvalidArgument, match="hosts="):
        ProjectSlug.parse(given)
    hosts = {"GHE.acme.com": "github"}
    assert str(ProjectSlug.parse(given, hosts=hosts)) == "gh/acme/web"
    assert str(ProjectSlug.parse("git@github.com:acme/web.git", hosts=hosts)) == "gh/acme/web"
    assert str(OrgSlug.parse("https://ghe.acme.com/acme", hosts={"ghe.acme.com": "bb"})) == "bb/acme"


@each_row(
    ("given", "app_hosts"),
    [
        ("https://ci.acme.com/pipelines/github/acme/web/12", "ci.acme.com"),
        ("https://ci.acme.com/gh/acme/web/18408", ["ci.acme.com"]),
        ("CI.acme.com/pipelines/github/acme/web", {"x.example", "ci.acme.com"}),
        ("https://ci.acme.com:443/api/v2/project/gh/acme/web", ("https://CI.acme.com/",)),
        ("https://ci.acme.com:8443/pipelines/github/acme/web", ("ci.acme.com:8443",)),
        ("ci.acme.com:8443/pipelines/github/acme/web", ("https://ci.acme.com:8443",)),
        ("http://127.0.0.1:8080/pipelines/github/acme/web", ("http://127.0.0.1:8080",)),
        ("http://[::1]:8080/pipelines/github/acme/web", ("http://[::1]:8080",)),
        ("https://gateway.acme.com/ci/pipelines/github/acme/web", ("https://gateway.acme.com/ci/",)),
    ],
)
def test_page_of_a_server_is_read_by_app_hosts(given: str, app_hosts: Any) -> None:
    """The pages have the same forms on a Server. Those of the cloud are still read."""
    with pytest.raises(InvalidArgument, match="app_hosts="):
        ProjectSlug.parse(given)
    assert str(ProjectSlug.parse(given, app_hosts=app_hosts)) == "gh/acme/web"
    assert str(OrgSlug.parse(given, app_hosts=app_hosts)) == "gh/acme"
    assert str(ProjectSlug.parse("https://circleci.com/gh/acme/web", app_hosts=app_hosts)) == "gh/acme/web"


@pytest.mark.parametrize(
    "given",
    [
        "https://ci.acme.com:8443/pipelines/github/acme/web",
        "https://x.ci.acme.com/pipelines/github/acme/web",
        "https://gateway.acme.com/other/pipelines/github/acme/web",
    ],
)
def test_page_of_another_port_or_path_is_refused(given: str) -> None:
    """Another port or another path of a gateway may be another installation."""
    with pytest.raises(InvalidArgument):
        ProjectSlug.parse(given, app_hosts=("ci.acme.com", "https://gateway.acme.com/ci"))


@attrs.frozen
class Model:
    slug: object


def test_object_with_a_slug_names_a_project() -> None:
    """A model, or a result that holds a parsed slug."""
    slug = ProjectSlug("gh", "acme", "web")
    assert ProjectSlug.parse(Model("github/acme/web")) == slug
    assert ProjectSlug.parse(Model(slug)) is slug
    assert OrgSlug.parse(Model("gh/acme")) == OrgSlug("gh", "acme")
    for wrong in (Model(None), Model(5), Model(Model("gh/acme/web")), Model(OrgSlug("gh", "acme"))):
        with pytest.raises(InvalidArgument, match="got Model"):
            ProjectSlug.parse(wrong)


def test_parsed_slug_equals_a_constructed_one() -> None:
    """Parsing does not check twice, yet its slugs are the constructor's: equal, hashable, with the same repr."""
    for text in ("github/acme/web", f"circleci/{ORG_UUID.upper()}/{PROJECT_ID}", "https://github.com/acme/web.git"):
        parsed = ProjectSlug.parse(text)
        made = ProjectSlug(parsed.provider, parsed.organization, parsed.project)
        assert (parsed, hash(parsed), repr(parsed)) == (made, hash(made), repr(made))
        assert pickle.loads(pickle.dumps(parsed)) == made
        assert parsed.org == OrgSlug(made.provider, made.organization or "")


def test_slug_has_no_credentials() -> None:
    """The slug of a remote is the slug alone."""
    slug = ProjectSlug.parse("https://us3r:hunter2@github.com/acme/web.git")
    assert "hunter2" not in repr(slug)
    assert slug == ProjectSlug("gh", "acme", "web")


def test_error_is_short_and_names_the_forms() -> None:
    """Also for input that is not."""
    with pytest.raises(InvalidArgument) as caught:
        ProjectSlug.parse("x/" * 100_000)
    assert len(str(caught.value)) < 500
    with pytest.raises(InvalidArgument, match=r"gh/<org>/<repo>"):
        ProjectSlug.parse("gh/acme")
    with pytest.raises(InvalidArgument, match="circleci/<org id>/<project id>"):
        ProjectSlug.parse("gitlab/acme/web")


@each_row(
    ("text", "shown"),
    [
        ("gitlab/acme", "'gitlab/acme'"),
        ("https://x.example/a?b?c", "'https://x.example/a'"),
        ("https://x.example/a#b#c", "'https://x.example/a'"),
        ("https://x.example/a?b#c", "'https://x.example/a'"),
        ("https://x.example:8080/a", "'https://x.example/a'"),
        ("x://u:p@h.example/a", "'h.example/a'"),
        ("x://u:p%40h.example/a", "'h.example/a'"),
        ("a?p@b", "a text with an @"),
        ("a#p@b", "a text with an @"),
        ("a?b#p@c", "a text with an @"),
        ("a#b?p@c", "a text with an @"),
        ("x" * 100, repr("x" * 100)),
        ("x" * 101, repr("x" * 100 + "…")),
    ],
)
def test_error_shows_no_possible_credential(text: str, shown: str) -> None:
    """Neither a user part nor a port, a query or a fragment, and no more than a hundred letters."""
    with pytest.raises(InvalidArgument) as caught:
        ProjectSlug.parse(text)
    assert f", got {shown}. " in str(caught.value), str(caught.value)


# What could be part of a name, above all what means something in URLs, paths and remotes.
NAMES = st.text(st.characters(codec="utf-8") | st.sampled_from("./:@%?#\\ +-_gh"), max_size=20)
PARTS = [
    "gh",
    "github",
    "bb",
    "circleci",
    "acme",
    "web.git",
    ".",
    "..",
    "",
    "git@",
    "github.com",
    ":",
    "/",
    "//",
    "://",
]
PARTS += [
    "https",
    "ssh",
    "app.circleci.com",
    "circleci.com",
    "pipelines",
    "%2F",
    "%2e",
    "?",
    "#",
    "@",
    ORG_UUID,
    "\x00",
]


@given(st.text() | st.lists(st.sampled_from(PARTS) | NAMES, max_size=9).map("".join))
@example("//[")
@example("https://[v1.]")
@example("https://github.com:99999/acme/web")
def test_any_text_is_a_slug_or_an_invalid_argument(text: str) -> None:
    """And the slug's own text is the same slug again."""
    for kind in (ProjectSlug, OrgSlug):
        try:
            slug = kind.parse(text)
        except InvalidArgument:
            continue
        assert kind.parse(str(slug)) == slug
        assert not {"", ".", ".."} & {*slug.segments}


@given(st.sampled_from(["gh", "github", "bb", "bitbucket", "circleci"]), NAMES, NAMES)
def test_a_slug_survives_its_own_text(provider: str, organization: str, project: str) -> None:
    """The text of a slug is read back equal, for any names."""
    try:
        slug = ProjectSlug(provider, organization, project)
    except InvalidArgument:
        return
    assert ProjectSlug.parse(str(slug)) == slug
    assert slug.org is not None
    assert OrgSlug.parse(str(slug.org)) == slug.org


@pytest.mark.parametrize("value", ["", ".", "..", "a\nb"])
def test_segments_that_servers_resolve_are_refused(value: str) -> None:
    """A request to delete a variable named `..` would delete what contains it."""
    with pytest.raises(InvalidArgument, match="name must be a name"):
        check_segment(value, "name")


@pytest.mark.parametrize("value", ["...", ".a", "a b", "a/b"])
def test_other_segments_are_kept(value: str) -> None:
    """They are encoded where the path is written."""
    assert check_segment(value, "name") == value


def test_percent_sign_of_a_slug_is_kept() -> None:
    """Only a page's path is decoded. A slug is read as it is written."""
    for slug in (ProjectSlug.parse("gh/acme/a%20b"), read_slug(ProjectSlug, "gh/acme/a%20b")):
        assert slug == ProjectSlug("gh", "acme", "a%20b")


def test_page_of_the_cloud_may_be_of_another_host() -> None:
    """A client of another installation reads no page of the cloud as its own."""
    page = "https://app.circleci.com/pipelines/github/acme/web"
    assert read_slug(ProjectSlug, page) == ProjectSlug("gh", "acme", "web")
    assert isinstance(read_slug(ProjectSlug, page, read_cloud=False), str)


def test_slug_with_some_slashes_encoded_is_refused() -> None:
    """Either all of its slashes are encoded, or none. Otherwise a name would have a slash in it."""
    assert read_slug(ProjectSlug, "gh%2Facme%2Fweb") == ProjectSlug("gh", "acme", "web")
    assert isinstance(read_slug(ProjectSlug, "gh/acme%2Fweb"), str)
