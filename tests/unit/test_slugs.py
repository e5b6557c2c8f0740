"""Names of projects and organizations: every form that is understood, and nothing that could lead elsewhere."""

from __future__ import annotations

import pickle
import re
import traceback
from uuid import UUID

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from aiocircle import InvalidArgument, OrgSlug, ProjectSlug

ORG_UUID = "5034460f-c7c4-4c43-9457-de07e2029e7b"
PROJECT_UUID = "44b4d7a4-2f9c-4a43-8c4a-8d1a8f6d0f3e"
ORG_ID = "VtuEvGhkQYSGPTmoQmMqPw"
PROJECT_ID = "5cwsgfxdk1qvvnQCHVzpQ2"
WORKFLOW = "https://app.circleci.com/pipelines/github/acme/web/12/workflows/fda08377-fe7e-46b1-8992-3a7aaecac9c3"


@pytest.mark.parametrize(
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
    ],
)
def test_a_project_is_understood_in_every_form(given: str, slug: str) -> None:
    """Short and long slugs, ids, pages and remotes are the same project."""
    parsed = ProjectSlug.parse(given)
    assert str(parsed) == slug
    assert parsed == ProjectSlug.parse(slug)
    assert "/".join(parsed.segments) == slug


@pytest.mark.parametrize(
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
    ],
)
def test_an_organization_is_understood_in_every_form(given: str, slug: str) -> None:
    """Slugs, ids, and URLs of the organization or of one of its projects."""
    parsed = OrgSlug.parse(given)
    assert str(parsed) == slug
    assert parsed == OrgSlug.parse(slug)
    assert "/".join(parsed.segments) == slug


def test_a_uuid_names_a_project_or_an_organization_by_itself() -> None:
    """A UUID object is as good as its text."""
    assert ProjectSlug.parse(UUID(PROJECT_UUID)) == ProjectSlug(None, None, PROJECT_UUID)
    assert OrgSlug.parse(UUID(ORG_UUID)) == OrgSlug(None, ORG_UUID)


def test_a_uuid_is_the_same_in_small_and_in_capital_letters() -> None:
    """The API writes them small; what is base62 or a name keeps its case."""
    assert ProjectSlug.parse(PROJECT_UUID.upper()) == ProjectSlug.parse(PROJECT_UUID)
    assert OrgSlug(None, ORG_UUID.upper()) == OrgSlug.parse(ORG_UUID)
    standalone = f"circleci/{ORG_UUID}/{PROJECT_UUID}"
    assert str(ProjectSlug.parse(standalone.replace(PROJECT_UUID, PROJECT_UUID.upper()))) == standalone
    assert str(ProjectSlug.parse("circleci/9TvWMV/Nbq3Kq")) == "circleci/9TvWMV/Nbq3Kq"
    assert str(ProjectSlug.parse("gh/Acme/Web")) == "gh/Acme/Web"


def test_a_slug_is_taken_as_it_is() -> None:
    """What is parsed already is not parsed again."""
    project, org = ProjectSlug("gh", "acme", "web"), OrgSlug("gh", "acme")
    assert ProjectSlug.parse(project) is project
    assert OrgSlug.parse(org) is org


def test_a_project_knows_its_organization() -> None:
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
    " ",
    "/",
    "//",
    "acme",
    "gh",
    "gh/",
    "gh//",
    "gh/.",
    "gh/..",
    "/gh/acme",
    "gh/acme\n",
    "gh/ac\x00me/web",
    "gh/acme/we\x7fb",
    "gh/acme/we\x85b",
    "gh/acme/we\udfffb",
    "GH/acme/web/x",
    "gitlab/acme/web/x",
    "gl/acme",
    " gh/acme",
    "gh\\acme\\web",
    "gh%2Facme%2Fweb",
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


@pytest.mark.parametrize("given", BAD_FOR_BOTH)
@pytest.mark.parametrize("kind", [ProjectSlug, OrgSlug])
def test_what_names_nothing_is_refused(kind: type[ProjectSlug | OrgSlug], given: str) -> None:
    """Refused rather than guessed at: a wrong guess reads, or changes, another project."""
    with pytest.raises(InvalidArgument):
        kind.parse(given)


@pytest.mark.parametrize(
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
    ],
)
def test_what_names_no_project_is_refused(given: str) -> None:
    """Names with other than three parts, dot segments, and slashes inside a name."""
    with pytest.raises(InvalidArgument):
        ProjectSlug.parse(given)


@pytest.mark.parametrize("given", ["gh/acme/web", "git@github.com:acme/web.git", "gh/ac/../me"])
def test_a_project_is_no_organization(given: str) -> None:
    """A project's slug where an organization's belongs is a mistake, not an organization."""
    with pytest.raises(InvalidArgument):
        OrgSlug.parse(given)


@pytest.mark.parametrize("given", [None, 5, b"gh/acme/web", ["gh", "acme", "web"], OrgSlug("gh", "acme")])
def test_only_text_is_parsed(given: object) -> None:
    """`None`, above all, never becomes the text "None"."""
    with pytest.raises(InvalidArgument, match="named by a slug or a string"):
        ProjectSlug.parse(given)  # type: ignore[arg-type]


@pytest.mark.parametrize(
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
def test_a_slug_cannot_be_made_that_could_not_be_parsed(
    provider: object, organization: object, project: object
) -> None:
    """The constructor checks what `parse` checks: a slug that exists can stand in a path."""
    with pytest.raises(InvalidArgument):
        ProjectSlug(provider, organization, project)  # type: ignore[arg-type]
    if project == "web" and organization is not None:
        with pytest.raises(InvalidArgument):
            OrgSlug(provider, organization)  # type: ignore[arg-type]


def test_the_constructors_know_the_long_names_of_providers() -> None:
    """`github` is `gh` wherever it is written."""
    assert ProjectSlug("github", "acme", "web") == ProjectSlug.parse("gh/acme/web")
    assert OrgSlug("bitbucket", "acme") == OrgSlug.parse("bb/acme")


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


@pytest.mark.parametrize("given", CREDENTIALS)
@pytest.mark.parametrize("kind", [ProjectSlug, OrgSlug])
def test_credentials_are_never_repeated(kind: type[ProjectSlug | OrgSlug], given: str) -> None:
    """Neither by the error nor by what led to it: remotes are often written with a token inside."""
    with pytest.raises(InvalidArgument) as caught:
        kind.parse(given)
    error = caught.value
    seen = [str(error), repr(error), repr(error.args), str(error.__dict__), pickle.dumps(error).decode("latin-1")]
    seen += traceback.format_exception_only(error)
    assert error.__context__ is None
    assert error.__cause__ is None
    for text in seen:
        assert not any(part in text for part in ("us3r", "hun", "ter2"))


def test_credentials_are_dropped_from_what_was_understood() -> None:
    """The slug of a remote is the slug alone."""
    slug = ProjectSlug.parse("https://us3r:hunter2@github.com/acme/web.git")
    assert "hunter2" not in repr(slug)
    assert slug == ProjectSlug("gh", "acme", "web")


def test_an_error_is_short_and_says_what_to_write() -> None:
    """Also for input that is not."""
    with pytest.raises(InvalidArgument) as caught:
        ProjectSlug.parse("x/" * 100_000)
    assert len(str(caught.value)) < 500
    with pytest.raises(InvalidArgument, match=r"gh/<org>/<repo>"):
        ProjectSlug.parse("gh/acme")
    with pytest.raises(InvalidArgument, match="circleci/<org id>/<project id>"):
        ProjectSlug.parse("gitlab/acme/web")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("gitlab/acme", "'gitlab/acme'"),
        ("https://x.example/a?b?c", "'https://x.example/a'"),
        ("https://x.example/a#b#c", "'https://x.example/a'"),
        ("https://x.example/a?b#c", "'https://x.example/a'"),
        ("https://x.example:8080/a", "'https://x.example/a'"),
        ("x://u:p@h.example/a", "'h.example/a'"),
        ("x://u:p%40h.example/a", "'h.example/a'"),
        ("a?p@b", "what was given"),
        ("a#p@b", "what was given"),
        ("a?b#p@c", "what was given"),
        ("a#b?p@c", "what was given"),
        ("x" * 100, repr("x" * 100)),
        ("x" * 101, repr("x" * 100 + "…")),
    ],
)
def test_an_error_repeats_of_the_input_what_cannot_be_a_credential(text: str, shown: str) -> None:
    """Neither a user part nor a port, a query or a fragment, and no more than a hundred letters."""
    with pytest.raises(InvalidArgument) as caught:
        ProjectSlug.parse(text)
    assert re.search(rf"(?:^|not |of ){re.escape(shown)}(?: |$|;)", str(caught.value)), str(caught.value)


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
    """Whatever its names hold."""
    try:
        slug = ProjectSlug(provider, organization, project)
    except InvalidArgument:
        return
    assert ProjectSlug.parse(str(slug)) == slug
    assert slug.org is not None
    assert OrgSlug.parse(str(slug.org)) == slug.org
