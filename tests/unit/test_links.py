"""Links: every page of CircleCI to the ids that it names, and ids to the page."""

from __future__ import annotations

import os
import pickle
import random
import time
from typing import Any
from uuid import UUID

import attrs
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from aiocircle import InvalidArgument, OrgSlug, ProjectSlug
from aiocircle.links import (
    Link,
    ensure_same_host,
    job_url,
    org_at,
    pipeline_url,
    project_at,
    workflow_url,
)
from tests.support.rows import each_row
from tests.support.thorough import scaled
from tests.unit.test_slugs import CREDENTIALS, SECRETS, kept_locals

ID = "fda08377-fe7e-46b1-8992-3a7aaecac9c3"
ORG_ID = "5034460f-c7c4-4c43-9457-de07e2029e7b"
CLOUD = "https://circleci.com"
APP = "https://app.circleci.com"
SERVER = "https://ci.acme.com"

Parts = tuple[str | None, int | None, str | None, int | None]
WEB: Parts = ("gh/acme/web", None, None, None)
JOB: Parts = ("gh/acme/web", None, None, 34)
PIPELINE: Parts = ("gh/acme/web", 12, None, None)
WORKFLOW: Parts = ("gh/acme/web", 12, ID, None)
WORKFLOW_JOB: Parts = ("gh/acme/web", 12, ID, 34)
ACME: Parts = ("gh/acme", None, None, None)
WORKFLOW_ALONE: Parts = (None, None, ID, None)

# Paths of pages, and the project or organization, pipeline, workflow and job that they name.
PAGES: dict[str, Parts] = {
    # Pipelines, workflows, jobs
    "/pipelines/github/acme": ACME,
    "/pipelines/github/acme/web": WEB,
    "/pipelines/gh/acme/web/": WEB,
    "/pipelines/github/acme/web?branch=feat%2Fa&page=2": WEB,
    "/pipelines/github/acme/web#top": WEB,
    "/pipelines/github/acme/web/12": PIPELINE,
    "/pipelines/github/acme/web/0012/": PIPELINE,
    "/pipelines/bitbucket/acme/web/12": ("bb/acme/web", 12, None, None),
    f"/pipelines/github/acme/web/12/workflows/{ID}": WORKFLOW,
    f"/pipelines/github/acme/web/12/workflows/{ID.upper()}/": WORKFLOW,
    f"/pipelines/github/acme/web/12/workflows/{ID}?invite=true#x": WORKFLOW,
    f"/pipelines/github/acme/web/12/workflows/{ID}/jobs/34": WORKFLOW_JOB,
    f"/pipelines/github/acme/web/12/workflows/{ID}/jobs/34/": WORKFLOW_JOB,
    f"/pipelines/github/acme/web/12/workflows/{ID}/jobs/34/tests": WORKFLOW_JOB,
    f"/pipelines/github/acme/web/12/workflows/{ID}/jobs/34/artifacts": WORKFLOW_JOB,
    f"/pipelines/github/acme/web/12/workflows/{ID}/jobs/34/resources": WORKFLOW_JOB,
    f"/pipelines/github/acme/web/12/workflows/{ID}/jobs/34/steps?invite=true#step-103-0_1": WORKFLOW_JOB,
    f"/pipelines/github/acme/web/12/workflows/{ID}/jobs/34/parallel-runs/0/steps/0-101": WORKFLOW_JOB,
    f"/pipelines/circleci/O/P/12/workflows/{ID}/jobs/34": ("circleci/O/P", 12, ID, 34),
    f"/pipelines/circleci/{ORG_ID}/{ID}": (f"circleci/{ORG_ID}/{ID}", None, None, None),
    "/pipelines/github/acme/my%20web/12": ("gh/acme/my web", 12, None, None),
    "/pipelines/github%2Facme%2Fweb/12": PIPELINE,
    "/pipelines/github/github/gh/12": ("gh/github/gh", 12, None, None),
    "/pipelines/github/acme/12/34": ("gh/acme/12", 34, None, None),
    "/pipelines/github/acme/web/jobs/34": JOB,
    # Names what is legible before it
    "/pipelines/github/acme/web/latest": WEB,
    "/pipelines/github/acme/web/0": WEB,
    "/pipelines/github/acme/web/12/workflows/fda08377": PIPELINE,
    f"/pipelines/github/acme/web/12/workflows/{ID}/jobs": WORKFLOW,
    f"/pipelines/github/acme/web/12/workflows/{ID}/jobs/build": WORKFLOW,
    # A workflow alone
    f"/workflow-run/{ID}": WORKFLOW_ALONE,
    f"/workflow-run/{ID.upper()}?utm_source=github": WORKFLOW_ALONE,
    f"/pipelines/workflows/{ID}": WORKFLOW_ALONE,
    # Other pages of a project
    "/jobs/github/acme/web/34": JOB,
    "/jobs/github/acme/web/34/artifacts": JOB,
    "/insights/github/acme/web": WEB,
    "/insights/github/acme/web/workflows/build/overview?branch=main": WEB,
    "/insights/github/acme/web/workflows/12/jobs": WEB,
    "/settings/project/github/acme/web": WEB,
    "/settings/project/github/acme/web/environment-variables": WEB,
    "/settings/project/circleci/O/P/triggers?return-to=x": ("circleci/O/P", None, None, None),
    "/projects/github/acme/web": WEB,
    "/projects/project-setup/github/acme/web": WEB,
    "/deploys/circleci/O/P": ("circleci/O/P", None, None, None),
    # Pages of an organization
    "/insights/github/acme?reporting-window=last-7-days": ACME,
    "/home/circleci/O": ("circleci/O", None, None, None),
    "/projects/project-dashboard/github/acme/": ACME,
    "/organization/circleci/O/people": ("circleci/O", None, None, None),
    "/settings/organization/github/acme/contexts": ACME,
    "/settings/plan/github/acme/overview": ACME,
    # The older form
    "/gh/acme": ACME,
    "/gh/acme/web": WEB,
    "/github/acme/web": WEB,
    "/gh/acme/web/34": JOB,
    "/gh/acme/web/34#tests/containers/0": JOB,
    "/gh/acme/web/34/artifacts": JOB,
    "/bb/acme/web/34": ("bb/acme/web", None, None, 34),
    "/circleci/O/P/34": ("circleci/O/P", None, None, 34),
    "/gh/acme/web/tree/feat%2Fa": WEB,
    "/gh/acme/web/tree/12": WEB,
    "/gh/acme/web/edit#env-vars": WEB,
    "/gh/acme/web.svg?style=svg": WEB,
    "/gh/acme/workflows/web/tree/main": WEB,
    "/gh/acme/workflows/34": ("gh/acme/workflows", None, None, 34),
    "/gh/organizations/acme/settings": ACME,
    "/build-insights/gh/acme/web/main": WEB,
    # URLs of the API
    "/api/v2/project/gh/acme/web": WEB,
    "/api/v2/project/gh%2Facme%2Fweb/job/34": JOB,
    "/api/v2/project/gh/acme/web/34/tests": JOB,
    "/api/v2/project/gh/acme/web/pipeline/12": PIPELINE,
    "/api/v2/insights/gh/acme/web/workflows/build": WEB,
    "/api/v2/insights/gh/acme/summary": ACME,
    f"/api/v2/workflow/{ID}/job": WORKFLOW_ALONE,
    "/api/v1.1/project/github/acme/web/34/artifacts": JOB,
}
ROOTS = {
    APP: CLOUD,
    CLOUD: CLOUD,
    "https://www.circleci.com": CLOUD,
    "http://APP.CircleCI.com:80": CLOUD,
    "app.circleci.com": CLOUD,
    "circleci.com": CLOUD,
    SERVER: SERVER,
    "HTTPS://CI.ACME.com:443": SERVER,
    "ci.acme.com": SERVER,
    "https://user:pass@ci.acme.com:8443": "https://ci.acme.com:8443",
    "http://127.0.0.1:8080": "http://127.0.0.1:8080",
    "127.0.0.1:8080": "http://127.0.0.1:8080",
    "http://[::1]:8080": "http://[::1]:8080",
}


def parts(link: Link) -> Parts:
    slug = link.project or link.org
    return (None if slug is None else str(slug), link.pipeline_number, link.workflow_id, link.job_number)


@each_row("path", PAGES)
def test_page_names_its_parts(path: str) -> None:
    """Every page, on the cloud and on a Server, with and without the scheme, gives what it names; and stays itself."""
    for written, root in ROOTS.items():
        link = Link.parse(f" {written}{path}\n")
        assert parts(link) == PAGES[path], written
        assert link.root == root
        assert link.org == (link.project.org if link.project else link.org)
        assert Link.parse(str(link)) == link
        assert str(link).startswith(APP if root == CLOUD and "/pipelines/" in str(link) else root)


@each_row(
    ("link", "page"),
    [
        (Link(org=OrgSlug("gh", "acme")), "{app}/pipelines/github/acme"),
        (Link(project=ProjectSlug("gh", "acme", "web")), "{app}/pipelines/github/acme/web"),
        (Link(project=ProjectSlug("bb", "acme", "web"), pipeline_number=12), "{app}/pipelines/bitbucket/acme/web/12"),
        (
            Link(project=ProjectSlug("circleci", "O", "P"), pipeline_number=12, workflow_id=ID),
            f"{{app}}/pipelines/circleci/O/P/12/workflows/{ID}",
        ),
        (
            Link(project=ProjectSlug("gh", "a", "my wb?#%2F"), pipeline_number=1, workflow_id=ID),
            f"{{app}}/pipelines/github/a/my%20wb%3F%23%252F/1/workflows/{ID}",
        ),
        (
            Link(project=ProjectSlug("gh", "acme", "web"), pipeline_number=12, workflow_id=ID.upper(), job_number=34),
            f"{{app}}/pipelines/github/acme/web/12/workflows/{ID}/jobs/34",
        ),
        (Link(project=ProjectSlug("gh", "acme", "web"), job_number=34), "{old}/gh/acme/web/34"),
        (Link(workflow_id=ID), f"{{old}}/workflow-run/{ID}"),
    ],
)
def test_link_is_its_page_on_every_host(link: Link, page: str) -> None:
    """The cloud has two hosts, for pages of the new and of the older form; a Server has one."""
    assert str(link) == page.format(app=APP, old=CLOUD)
    for root in (CLOUD, APP, APP + "/"):
        assert link.at(root) == str(link)
    for root in (SERVER, "http://127.0.0.1:8080", "http://[::1]:8080"):
        there = link.at(root)
        assert there == page.format(app=root, old=root)
        assert link.at(root + "/") == there
        moved = Link.parse(there)
        assert parts(moved) == parts(link)
        assert moved != link
        assert str(moved) == there
        assert moved.at(CLOUD) == str(link)
    assert link.at("ci.acme.com:443") == link.at(SERVER)
    assert link.at("https://gateway.acme.com/ci") == page.format(
        app="https://gateway.acme.com/ci", old="https://gateway.acme.com/ci"
    )


@each_row(
    "text",
    [
        "",
        " \n",
        "gh/acme/web",
        "gh%2Facme%2Fweb",
        ID,
        "acme",
        "x" * 20_000,
        f"{APP}/pipelines/github/acme/web/" + "x" * 20_000,
        # Hosts of code
        "https://github.com/acme/web",
        "https://github.com/gh/acme/web",
        "https://gist.github.com/gh/acme/web",
        "github.com/pipelines/github/acme/web/12",
        "https://gitlab.com/gh/acme/web",
        "https://bitbucket.org/bb/acme/web",
        "git@github.com:acme/web.git",
        "git@ghe.acme.com:acme/web.git",
        "ssh://git@github.com/acme/web.git",
        "ssh://git@ci.acme.com/gh/acme/web",
        "ftp://app.circleci.com/gh/acme/web",
        "file:///gh/acme/web",
        # Pages that name nothing
        CLOUD,
        APP,
        f"{APP}/home",
        f"{APP}/pipelines",
        f"{APP}/pipelines/github",
        f"{APP}/pipelines/gitlab/acme/web",
        f"{CLOUD}/docs/guides/orchestrate/pipelines/",
        f"{CLOUD}/workflow-run/fda08377",
        f"{APP}/unknown-page/github/acme/web",
        f"{CLOUD}/api/v2/me",
        f"{CLOUD}/api/v2/project/{ID}",
        f"{CLOUD}/api/v2/pipeline/{ID}",
        f"//circleci.com/{ORG_ID}/{ID}",
        # Names that cannot be names
        f"{APP}/pipelines/github/acme/..",
        f"{APP}/pipelines/github/%2e%2e/web",
        f"{APP}/pipelines/github/acme/we%2Fb",
        f"{APP}/pipelines/github/a%0Ab/web",
        f"{APP}/pipelines/github/a%FFb/web",
        f"{APP}/pipelines/github/acme/%20web",
        f"{APP}/pipelines/github/acme/" + "x" * 256,
        # Not URLs
        f"{APP}\\@ci.acme.com/gh/acme/web",
        f"{APP}/pipelines/github/ac\x00me/web",
        "https://[::1/gh/acme/web",
        "https://ci.acme.com:99999/gh/acme/web",
        "https://a b/gh/acme/web",
        "https://us3r%40ci.acme.com/gh/acme/web",
    ],
)
def test_other_text_is_refused(text: str) -> None:
    """A text that is not a page, a page that names nothing, and pages of hosts of code."""
    with pytest.raises(InvalidArgument, match="url must be a page of CircleCI") as caught:
        Link.parse(text)
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize("value", [None, 5, b"https://circleci.com/gh/acme/web", ProjectSlug("gh", "acme", "web")])
def test_other_types_are_refused(value: Any) -> None:
    """Only a text and a Link are read."""
    with pytest.raises(InvalidArgument, match=f"as a str, got {type(value).__name__}"):
        Link.parse(value)


@each_row("text", CREDENTIALS)
def test_credentials_are_not_repeated(text: str) -> None:
    """They are in no message, in no local variable of a frame that the error keeps, and in no link."""
    for call in (
        lambda: Link.parse(text),
        lambda: project_at(text, CLOUD),
        lambda: org_at(text, SERVER),
        lambda: Link(workflow_id=ID).at(text),
    ):
        try:
            result = call()
        except InvalidArgument as error:
            seen = [str(error), repr(error), pickle.dumps(error).decode("latin-1"), *kept_locals(error)]
        else:
            seen = [str(result), repr(result)]
        assert not any(part in each for each in seen for part in SECRETS)


def test_link_drops_credentials() -> None:
    """A page that was copied with a user part, a query or a fragment is the page alone."""
    link = Link.parse("https://us3r:hunter2@ci.acme.com/gh/acme/web/34?circle-token=hunter2#hunter2")
    assert str(link) == "https://ci.acme.com/gh/acme/web/34"
    assert not any(part in repr(link) for part in SECRETS)


GH = ProjectSlug("gh", "acme", "web")


@each_row(
    "values",
    [
        {},
        {"pipeline_number": 1},
        {"job_number": 1},
        {"org": OrgSlug("gh", "acme"), "pipeline_number": 1},
        {"org": OrgSlug("gh", "acme"), "job_number": 1},
        {"org": OrgSlug("gh", "acme"), "workflow_id": ID},
        {"project": GH, "org": OrgSlug("gh", "other")},
        {"project": GH, "workflow_id": ID},
        {"project": GH, "workflow_id": ID, "job_number": 1},
        {"project": GH, "pipeline_number": 1, "job_number": 1},
        {"workflow_id": ID, "job_number": 1},
        {"workflow_id": "fda08377"},
        {"workflow_id": 5},
        {"project": "gh/acme/web"},
        {"project": OrgSlug("gh", "acme")},
        {"org": GH},
        {"project": ProjectSlug(None, None, ID)},
        {"org": OrgSlug(None, ORG_ID)},
        {"project": GH, "pipeline_number": 0},
        {"project": GH, "pipeline_number": -1},
        {"project": GH, "pipeline_number": "1"},
        {"project": GH, "pipeline_number": True},
        {"project": GH, "job_number": 1.0},
        {"project": GH, "job_number": 10**18},
        {"project": GH, "root": "https://user@ci.acme.com"},
        {"project": GH, "root": "ftp://ci.acme.com"},
        {"project": GH, "root": 5},
    ],
)
def test_link_without_a_page_is_refused(values: dict[str, Any]) -> None:
    """The constructor makes no link that could not be parsed again."""
    with pytest.raises(InvalidArgument):
        Link(**values)


def test_links_are_values() -> None:
    """Equal, hashable, picklable; the host belongs to the value, the form of the page does not."""
    one = Link.parse(f"{APP}/pipelines/github/acme/web/12/workflows/{ID}")
    other = Link(project=GH, org=OrgSlug("gh", "acme"), pipeline_number=12, workflow_id=ID)
    assert one == other
    assert hash(one) == hash(other)
    assert pickle.loads(pickle.dumps(one)) == one
    assert Link.parse(one) is one
    assert Link(workflow_id=UUID(ID)) == Link(workflow_id=ID)  # type: ignore[arg-type]
    assert Link.parse(f"{SERVER}/gh/acme/web") != Link.parse(f"{CLOUD}/gh/acme/web")
    assert Link.parse(f"{CLOUD}/gh/acme/web") == Link.parse(f"{APP}/pipelines/github/acme/web")
    assert attrs.evolve(Link.parse(f"{SERVER}/gh/acme/web"), job_number=3) == Link.parse(f"{SERVER}/gh/acme/web/3")
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        one.job_number = 3  # type: ignore[misc]


@each_row("root", ["", "x y", "ftp://ci.acme.com", "https://u@ci.acme.com", "https://ci.acme.com?x", None])
def test_at_refuses_other_roots(root: Any) -> None:
    """The root of a host, as a client's base_url is."""
    with pytest.raises(InvalidArgument, match="root must be the root of a host"):
        Link(workflow_id=ID).at(root)


@each_row(
    ("page", "base_url", "same"),
    [
        (f"{APP}/pipelines/github/acme/web", CLOUD, True),
        (f"{CLOUD}/gh/acme/web", CLOUD, True),
        ("https://www.circleci.com/gh/acme/web", CLOUD, True),
        ("http://app.circleci.com/jobs/gh/acme/web/3", CLOUD, True),
        (f"{CLOUD}/gh/acme/web", "http://127.0.0.1:8080", True),
        (f"{APP}/pipelines/github/acme/web", "http://localhost:8080", True),
        (f"{APP}/pipelines/github/acme/web", "http://[::1]:8080", True),
        ("http://127.0.0.1:8080/gh/acme/web", "http://127.0.0.1:8080", True),
        (f"{SERVER}/gh/acme/web", SERVER, True),
        ("https://CI.acme.com:443/gh/acme/web", SERVER + "/", True),
        (f"{SERVER}/gh/acme/web", "https://ci.acme.com/gateway", True),
        (f"{SERVER}/gh/acme/web", CLOUD, False),
        (f"{CLOUD}/gh/acme/web", SERVER, False),
        ("https://ci.other.com/gh/acme/web", SERVER, False),
        ("https://ci.acme.com:8443/gh/acme/web", SERVER, False),
        ("http://127.0.0.1:8081/gh/acme/web", "http://127.0.0.1:8080", False),
        (f"{SERVER}/gh/acme/web", "http://127.0.0.1:8080", False),
        ("http://127.0.0.1:8080/gh/acme/web", CLOUD, False),
        ("https://app.circleci.com.evil.example/gh/acme/web", CLOUD, False),
        ("https://app.circleci.com@evil.example/gh/acme/web", CLOUD, False),
    ],
)
def test_link_of_another_host_is_refused(page: str, base_url: str, same: bool) -> None:
    """A client takes links of its own host only; for the cloud and for a local server these are all of the cloud's."""
    link = Link.parse(page)
    if same:
        ensure_same_host(link, base_url)
        assert project_at(link, base_url) == GH
        assert org_at(link, base_url) == OrgSlug("gh", "acme")
        # As text, the path of a gateway must be there.
        if "gateway" not in base_url:
            assert project_at(page + "\n", base_url) == GH
            assert org_at(page, base_url) == OrgSlug("gh", "acme")
        return
    for call in (ensure_same_host, project_at, org_at):
        with pytest.raises(InvalidArgument, match="the client's host"):
            call(link, base_url)
    for read in (project_at, org_at):
        with pytest.raises(InvalidArgument, match=r"must be named by .* got"):
            read(page, base_url)


@pytest.mark.parametrize("base_url", [CLOUD, SERVER, "http://127.0.0.1:8080"])
def test_project_of_a_client_is_read_in_every_form(base_url: str) -> None:
    """Slugs, UUIDs, remotes and a standalone project's vcs_url belong to every host."""

    @attrs.frozen
    class Model:
        slug: str

    for value in (GH, "gh/acme/web", " github/acme/web\n", "git@github.com:acme/web.git", Model("gh/acme/web")):
        assert project_at(value, base_url) == GH
    assert project_at(UUID(ID), base_url) == ProjectSlug(None, None, ID)
    assert str(project_at(f"//circleci.com/{ORG_ID}/{ID}", base_url)) == f"circleci/{ORG_ID}/{ID}"
    assert org_at("gh/acme", base_url) == OrgSlug("gh", "acme")
    assert org_at(OrgSlug("gh", "acme"), base_url) == OrgSlug("gh", "acme")
    for wrong in ("gh/acme", "", None, 5):
        with pytest.raises(InvalidArgument, match="project must be named by"):
            project_at(wrong, base_url)  # type: ignore[arg-type]
    with pytest.raises(InvalidArgument, match="org must be named by"):
        org_at("gh/acme/web", base_url)


def test_link_without_a_project_is_refused() -> None:
    """A page of a workflow names neither a project nor an organization, and one of an organization no project."""
    with pytest.raises(InvalidArgument, match=r"the link must be a page of a project, got .*/workflow-run/"):
        project_at(Link(workflow_id=ID), CLOUD)
    with pytest.raises(InvalidArgument, match="the link must be a page of an organization"):
        org_at(Link(workflow_id=ID), CLOUD)
    with pytest.raises(InvalidArgument, match="the link must be a page of a project"):
        project_at(Link(org=OrgSlug("gh", "acme")), CLOUD)
    with pytest.raises(InvalidArgument, match="base_url must be the root of a host"):
        project_at("gh/acme/web", "ftp://x")


def test_web_urls_are_pages() -> None:
    """A pipeline and a workflow have pages of the app. A job has a page of the older form, by its number."""
    assert pipeline_url("gh/acme/web", 12) == f"{APP}/pipelines/github/acme/web/12"
    assert workflow_url("github/acme/web", 12, ID) == f"{APP}/pipelines/github/acme/web/12/workflows/{ID}"
    assert job_url("gh/acme/web", 34) == f"{CLOUD}/gh/acme/web/34"
    assert job_url("circleci/O/P", 34) == f"{CLOUD}/circleci/O/P/34"
    assert pipeline_url("gh/acme/my web", 12) == f"{APP}/pipelines/github/acme/my%20web/12"


@each_row("slug", [None, "", "acme", "gh/acme", "gh/acme/..", ID, "gl/acme/web"])
def test_web_urls_need_a_project(slug: str | None) -> None:
    """A model never raises because the API left a value out."""
    assert pipeline_url(slug, 12) is None
    assert workflow_url(slug, 12, ID) is None
    assert job_url(slug, 34) is None


def test_web_urls_need_a_number() -> None:
    """An expired workflow has an empty id, an approval no number."""
    assert pipeline_url("gh/acme/web", None) is None
    assert pipeline_url("gh/acme/web", 0) is None
    assert pipeline_url("gh/acme/web", 1) == f"{APP}/pipelines/github/acme/web/1"
    assert pipeline_url("gh/acme/web", 10**18 - 1) == f"{APP}/pipelines/github/acme/web/{10**18 - 1}"
    assert pipeline_url("gh/acme/web", 10**18) is None
    assert workflow_url("gh/acme/web", None, ID) is None
    assert workflow_url("gh/acme/web", 12, "") is None
    assert workflow_url("gh/acme/web", 12, None) is None
    assert workflow_url("gh/acme/web", 12, "not-an-id") is None
    assert job_url("gh/acme/web", None) is None


# --- random links and texts --------------------------------------------------------------------------------------

NAMES = st.text(st.characters(codec="utf-8") | st.sampled_from("./:@%?#\\ +-_gh2Ff"), min_size=1, max_size=20)
WORDS = [
    "workflows",
    "pipelines",
    "jobs",
    "organizations",
    "api",
    "settings",
    "tree",
    "web.svg",
    "12",
    "gh",
    "x.git",
    ID,
]
NUMBERS = st.integers(1, 10**18 - 1)


@st.composite
def links(draw: st.DrawFn) -> Link | None:
    """Any link that can be made; None for values that are refused."""
    provider = draw(st.sampled_from(["gh", "bb", "circleci"]))
    org, name = draw(NAMES | st.sampled_from(WORDS)), draw(NAMES | st.sampled_from(WORDS))
    workflow = str(draw(st.uuids()))
    shape = draw(st.integers(0, 6))
    root = draw(st.sampled_from([None, SERVER, "http://127.0.0.1:8080", "https://ci.acme.com:8443"]))
    try:
        project = ProjectSlug(provider, org, name)
    except InvalidArgument:
        return None
    number, job = draw(NUMBERS), draw(NUMBERS)
    values: list[dict[str, Any]] = [
        {"workflow_id": workflow},
        {"org": project.org},
        {"project": project},
        {"project": project, "pipeline_number": number},
        {"project": project, "pipeline_number": number, "workflow_id": workflow},
        {"project": project, "pipeline_number": number, "workflow_id": workflow, "job_number": job},
        {"project": project, "job_number": job},
    ]
    return Link(**values[shape], root=root)


@given(links())
@settings(max_examples=scaled(100, 20_000))
def test_link_survives_its_own_page(link: Link | None) -> None:
    """`parse(str(link)) == link`, and so on every other host."""
    if link is None:
        return
    assert Link.parse(str(link)) == link
    there = Link.parse(link.at("https://other.example:8443"))
    assert parts(there) == parts(link)
    assert Link.parse(there.at(link.root)) == link
    if link.project is not None:
        assert project_at(str(link), link.root) == link.project
    if link.org is not None:
        assert org_at(str(link), link.root) == link.org


PIECES = [
    *[
        "https://",
        "http://",
        "//",
        "/",
        ":",
        "@",
        "?",
        "#",
        "%2F",
        "%2f",
        "%",
        "%FF",
        "%00",
        "..",
        ".",
        " ",
        "\n",
        "\x00",
        "\\",
    ],
    *["app.circleci.com", "circleci.com", "ci.acme.com", "github.com", "127.0.0.1:8080", "[::1]", "localhost", ":443"],
    *["pipelines", "workflows", "workflow-run", "jobs", "settings", "project", "insights", "api", "v2", "organization"],
    *["gh", "github", "bb", "circleci", "acme", "web", "12", "0", "9" * 30, ID, "git@", "é", "\udfff", ".git", "orgs"],
]


def random_text(chance: random.Random) -> str:
    """A text of pieces that mean something, and of others."""
    pieces = chance.choices(PIECES, k=chance.randint(0, 12))
    if chance.random() < 0.5:  # a page, damaged a little
        page = chance.choice([*ROOTS]) + chance.choice([*PAGES])
        where = chance.randrange(len(page) + 1)
        pieces = [page[:where], *pieces[: chance.randint(0, 2)], page[where + chance.randint(0, 3) :]]
    if chance.random() < 0.1:
        pieces.append(chr(chance.randrange(0x110000)))
    return "".join(pieces)


def test_any_text_is_read_or_refused() -> None:
    """Random texts raise nothing but InvalidArgument, and what is read is read again from its own text."""
    chance = random.Random(int(os.environ.get("AIOCIRCLE_SEED", "7")))
    read = 0
    for _ in range(scaled(500, 100_000)):
        text = random_text(chance)
        for kind in (Link, ProjectSlug, OrgSlug):
            try:
                value = kind.parse(text)
            except InvalidArgument:
                continue
            assert kind.parse(str(value)) == value, text
            read += 1
    assert read > 100


@given(st.text() | st.lists(st.sampled_from(PIECES) | NAMES, max_size=9).map("".join))
@example("https://[v1.]/gh/a/b")
@example("//\uff0f/gh/a/b")
def test_any_text_is_a_link_or_refused(text: str) -> None:
    """Link.parse, project_at and org_at raise nothing but InvalidArgument."""
    for call in (Link.parse, lambda text: project_at(text, SERVER), lambda text: org_at(text, CLOUD)):
        try:
            call(text)
        except InvalidArgument:
            continue


@pytest.mark.parametrize(
    "piece", ["a", ".", "/", ":", "@", "a.", "a:", "%2F", "-", "gh/", "//", "github.com-", "?", "#", " "]
)
def test_long_text_is_read_in_linear_time(piece: str) -> None:
    """No input keeps the event loop busy: the longest text that is read, and one of a megabyte."""
    for text in ((piece * 16_384)[:16_384], (piece * 1_000_000)[:1_000_000]):
        for prefix in ("", "git@", "https://", "https://app.circleci.com/", "https://ci.acme.com/pipelines/gh/"):
            whole = (prefix + text)[: len(text)]
            begin = time.process_time()
            for parse in (Link.parse, ProjectSlug.parse, OrgSlug.parse):
                try:
                    parse(whole)
                except InvalidArgument:
                    continue
            assert time.process_time() - begin < 0.5
