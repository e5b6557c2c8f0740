"""Paths: each value stays inside its segment, with any characters."""

from __future__ import annotations

from enum import StrEnum
from typing import Any
from urllib.parse import unquote
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiocircle import InvalidArgument, OrgSlug, ProjectSlug
from aiocircle._core.api import V2, V3, family_of, kebab, snake
from aiocircle._core.endpoint import Action, Endpoint, ListEndpoint, Route, Table, raw_endpoint
from aiocircle._core.message import Response
from aiocircle._core.pagination import NONE, OFFSET, Page
from tests.support.rows import each_row

ID = "44b4d7a4-2f9c-4a43-8c4a-8d1a8f6d0f3e"
ROOT = "https://circleci.com"


def endpoint(path: str, method: str = "GET") -> Route:
    action = Action(method, path)
    action.bind(V2, "things.do")
    return action


@each_row(
    ("path", "values", "filled"),
    [
        ("/me", (), "/api/v2/me"),
        ("/user/{user_id}", ("abc",), "/api/v2/user/abc"),
        ("/user/{user_id}", (UUID(ID),), f"/api/v2/user/{ID}"),
        ("/x/{number}/y", (12,), "/api/v2/x/12/y"),
        ("/x/{number}", (0,), "/api/v2/x/0"),
        # Each value is one segment, with all that means something in a URL encoded
        ("/w/{workflow_name}/jobs", ("build & test/#1?",), "/api/v2/w/build%20%26%20test%2F%231%3F/jobs"),
        ("/w/{workflow_name}", ("a%2Fb",), "/api/v2/w/a%252Fb"),
        ("/w/{workflow_name}", ("../../admin",), "/api/v2/w/..%2F..%2Fadmin"),
        ("/w/{workflow_name}", ("é😀",), "/api/v2/w/%C3%A9%F0%9F%98%80"),
        ("/w/{workflow_name}", (" ",), "/api/v2/w/%20"),
        ("/w/{workflow_name}", ("a+b;c=d:e@f,g!$'()*~",), "/api/v2/w/a%2Bb%3Bc%3Dd%3Ae%40f%2Cg%21%24%27%28%29%2A~"),
        ("/k/{fingerprint}", ("SHA256:a/b+c=",), "/api/v2/k/SHA256%3Aa%2Fb%2Bc%3D"),
        # A slug's slashes are the path's
        ("/project/{project:slug}", ("gh/acme/web",), "/api/v2/project/gh/acme/web"),
        ("/project/{project:slug}/pipeline", ("github/acme/my web",), "/api/v2/project/gh/acme/my%20web/pipeline"),
        ("/project/{project:slug}", ("gh/a#c/w?b%",), "/api/v2/project/gh/a%23c/w%3Fb%25"),
        ("/project/{project:slug}", ("git@github.com:acme/web.git",), "/api/v2/project/gh/acme/web"),
        ("/project/{project:slug}", (ProjectSlug("gh", "acme", "web"),), "/api/v2/project/gh/acme/web"),
        ("/project/{project:slug}", (UUID(ID),), f"/api/v2/project/{ID}"),
        ("/project/{project:slug}/job/{job_number}", ("gh/acme/web", 5), "/api/v2/project/gh/acme/web/job/5"),
        ("/project/{project:full_slug}/run", ("bb/acme/web",), "/api/v2/project/bb/acme/web/run"),
        ("/project/{project:long_slug}", ("gh/acme/web",), "/api/v2/project/github/acme/web"),
        ("/project/{project:long_slug}", ("bitbucket/acme/web",), "/api/v2/project/bitbucket/acme/web"),
        ("/project/{project:long_slug}", (f"circleci/{ID}/{ID}",), f"/api/v2/project/circleci/{ID}/{ID}"),
        ("/project/{project:long_slug}", (f"{ROOT}/api/v2/project/gh/acme/web",), "/api/v2/project/github/acme/web"),
        ("/insights/{org:org_slug}/summary", ("github/acme",), "/api/v2/insights/gh/acme/summary"),
        ("/insights/{org:org_slug}/summary", (OrgSlug("circleci", "x y"),), "/api/v2/insights/circleci/x%20y/summary"),
        # The one parameter that is a whole slug in one segment
        ("/organization/{org:slug_or_id}", ("github/acme",), "/api/v2/organization/gh%2Facme"),
        ("/organization/{org:slug_or_id}", ("gh/a/",), "/api/v2/organization/gh%2Fa"),
        ("/organization/{org:slug_or_id}", (ID,), f"/api/v2/organization/{ID}"),
        ("/organization/{org:slug_or_id}/project", (UUID(ID),), f"/api/v2/organization/{ID}/project"),
    ],
)
def test_values_are_written_segment_by_segment(path: str, values: tuple[Any, ...], filled: str) -> None:
    """No value leaves its segment, and only a slug has several."""
    assert endpoint(path).url(values, ROOT) == ROOT + filled


def test_an_enum_is_its_value() -> None:
    """The value of an enum is sent, not the name of its member."""

    class Name(StrEnum):
        BUILD = "build it"

    assert endpoint("/w/{name}").url((Name.BUILD,), ROOT) == ROOT + "/api/v2/w/build%20it"


@each_row("value", ["", ".", "..", "a\x00b", "a\nb", "\x7f", "\x85", "\ud800", None, True, 1.5, b"x", -1, ["a"], {}])
def test_what_cannot_be_a_segment_is_refused(value: Any) -> None:
    """By name, before anything is sent: deleting a variable called ".." would delete the project."""
    with pytest.raises(InvalidArgument, match="env_var_name"):
        endpoint("/x/{env_var_name}", "DELETE").url((value,), ROOT)


@pytest.mark.parametrize(
    "value", ["", "gh/..", "gh/acme/..", None, 5, "gh/acme", "gh/a/b/c", "acme/web", "gh/acme/w\nx"]
)
@pytest.mark.parametrize("path", ["/project/{project:slug}", "/project/{project:full_slug}/pipeline/run"])
def test_invalid_project_is_refused(path: str, value: Any) -> None:
    """Before anything is sent."""
    with pytest.raises(InvalidArgument):
        endpoint(path).url((value,), ROOT)


@pytest.mark.parametrize("value", ["", "acme", "gh/..", None, "gh/acme/web", "gl/acme"])
@pytest.mark.parametrize("path", ["/insights/{org:org_slug}/summary", "/organization/{org:slug_or_id}"])
def test_invalid_organization_is_refused(path: str, value: Any) -> None:
    """Before anything is sent."""
    with pytest.raises(InvalidArgument):
        endpoint(path).url((value,), ROOT)


@pytest.mark.parametrize("value", [ID, UUID(ID), ProjectSlug(None, None, ID)])
def test_full_slug_refuses_a_uuid(value: Any) -> None:
    """A UUID does not name the provider and the organization that the path needs."""
    with pytest.raises(InvalidArgument, match="full slug"):
        endpoint("/project/{project:full_slug}/pipeline/run").url((value,), ROOT)


@pytest.mark.parametrize("values", [(), ("a",), ("a", "b", "c")])
def test_values_match_placeholders(values: tuple[str, ...]) -> None:
    """A method that omits a value fails, and sends no other path."""
    with pytest.raises(TypeError, match="takes 2"):
        endpoint("/a/{b}/{c}").url(values, ROOT)
    if values:
        with pytest.raises(TypeError, match="takes 0"):
            endpoint("/a").url(values, ROOT)


@each_row("path", ["/org/{orgID}/x", "/x/{}", "/x/{a", "/x/a}", "/x/{a b}", "/x/{a:word}"])
def test_invalid_placeholder_is_an_error(path: str) -> None:
    """An invalid placeholder is an error of the table. Otherwise its braces would be sent."""
    with pytest.raises(ValueError, match="placeholder"):
        endpoint(path)


def test_the_family_is_version_and_first_segment() -> None:
    """CircleCI limits it together."""
    assert endpoint("/insights/{project:slug}/workflows").family == "v2/insights"
    assert endpoint("/me").family == "v2/me"


class _Things(Table, group="things"):
    get = Endpoint("GET", "/thing/{thing_id:id}", dict)
    list = ListEndpoint("GET", "/thing", dict)
    list_all = ListEndpoint("GET", "/thing/all", dict, pagination=NONE)
    list_logs = ListEndpoint("GET", "/thing/log", dict, pagination=OFFSET)
    delete = Action("DELETE", "/thing/{thing_id:id}")


class _Third(Table, group="third", api=V3):
    get = Endpoint("GET", "/thing/{thing_id:id}", dict)
    list = ListEndpoint("GET", "/thing", dict)
    list_all = ListEndpoint("GET", "/thing/all", dict, pagination=NONE)


def test_an_endpoint_is_named_by_its_table() -> None:
    """By its group and its attribute, so that no name is written twice."""
    assert _Things.get.operation == "things.get"
    assert _Things.list_all.operation == "things.list_all"
    assert (_Things.get.family, _Third.get.family) == ("v2/thing", "v3/thing")
    assert _Third.get.url(("x",), ROOT) == ROOT + "/api/v3/thing/x"


def test_a_list_is_paged_as_its_api_pages() -> None:
    """Unless its line has another way."""
    assert _Things.list.paging.params("t") == [("page-token", "t")]
    assert _Third.list.paging.params("t") == [("page[cursor]", "t")]
    assert _Things.list_logs.paging.params("20") == [("offset", "20")]
    assert [each.paging.is_paged for each in (_Things.list, _Third.list)] == [True, True]
    # A token that is passed all the same is sent as the API expects it.
    for unpaged, parameter in ((_Things.list_all, "page-token"), (_Third.list_all, "page[cursor]")):
        assert not unpaged.paging.is_paged
        assert unpaged.paging.params("t") == [(parameter, "t")]


def test_an_envelope_is_opened() -> None:
    """API v3 wraps a single result; a list has its items in the same place."""
    body = b'{"data": {"id": "x"}}'
    assert _Third.get.parse(Response(200, {}, body)) == {"id": "x"}
    assert _Things.get.parse(Response(200, {}, body)) == {"data": {"id": "x"}}
    listed = _Third.list.parse(Response(200, {}, b'{"data": [{"id": "x"}], "page": {"next": "n"}}'), None)
    assert listed == Page(({"id": "x"},), "n")


def test_an_action_reads_nothing() -> None:
    """Its status is the whole result, also if the body was cut."""
    assert _Things.delete.expects_no_content
    assert _Things.delete.parse(Response(200, {}, b"{", "the body was cut")) is None
    assert not _Things.get.expects_no_content


@pytest.mark.parametrize(
    ("path", "family"),
    [("/private/output/raw/5", "private"), ("/output?name=api/v2/me", "output"), ("/", ""), ("/api/v2", "v2")],
)
def test_a_path_outside_of_the_apis_has_a_family(path: str, family: str) -> None:
    """Its first segment: the output of steps is not limited with any part of an API."""
    assert family_of(path) == family


@each_row(
    ("path", "family"),
    [
        ("/api/v2/me", "v2/me"),
        ("/api/v2/insights/gh/acme/web/workflows?branch=x", "v2/insights"),
        ("/api/v3/runs/x", "v3/runs"),
        ("/api/v1.1/project/gh/acme/web", "v1.1/project"),
        ("/api/v9/x/y", "v9/x"),
    ],
)
def test_a_raw_path_is_of_the_same_family_as_a_table(path: str, family: str) -> None:
    """The version and the first segment."""
    raw = raw_endpoint("GET", path, None)
    assert raw.family == family
    assert raw.url((), ROOT) == ROOT + path
    assert raw.operation == f"GET {path.partition('?')[0]}"


@given(st.text())
def test_any_text_stays_in_its_segment_or_is_refused(text: str) -> None:
    """And comes out of it again as it was."""
    try:
        path = endpoint("/x/{name}/y").url((text,), ROOT).removeprefix(ROOT)
    except InvalidArgument:
        return
    before, x, name, y = path.rsplit("/", 3)
    assert (before, x, y) == ("/api/v2", "x", "y")
    assert path.isascii()
    assert not {"?", "#", "\\", "&"} & {*path}
    assert unquote(name) == text
    assert name not in (".", "..", "")


NAMES = st.text(st.characters(codec="utf-8"), min_size=1, max_size=10)


@given(NAMES, NAMES)
def test_any_project_has_three_segments(organization: str, project: str) -> None:
    """A project is three segments without outer white space, or refused."""
    try:
        path = endpoint("/project/{project:slug}/x").url((f"gh/{organization}/{project}",), ROOT).removeprefix(ROOT)
    except InvalidArgument:
        return
    assert [unquote(segment) for segment in path.split("/")] == [
        *["", "api", "v2", "project", "gh"],
        *[organization, project.rstrip(), "x"],
    ]


def test_names_are_spelled_as_the_api_has_them() -> None:
    """API v2 has hyphens in queries and underscores in bodies."""
    assert kebab("reporting_window_end") == "reporting-window-end"
    assert snake("reporting_window_end") == "reporting_window_end"
