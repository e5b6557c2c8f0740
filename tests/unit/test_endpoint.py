"""Paths: each value stays inside its segment, whatever it holds."""

from __future__ import annotations

from enum import StrEnum
from typing import Any
from urllib.parse import unquote
from uuid import UUID

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiocircle import InvalidArgument, OrgSlug, ProjectSlug
from aiocircle._core.endpoint import Endpoint, ListEndpoint, reference_url

ID = "44b4d7a4-2f9c-4a43-8c4a-8d1a8f6d0f3e"


def endpoint(path: str, method: str = "GET") -> Endpoint[Any]:
    return Endpoint(method, path, None, operation="things.do", reference="doThing")


@pytest.mark.parametrize(
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
        ("/project/{project}", ("gh/acme/web",), "/api/v2/project/gh/acme/web"),
        ("/project/{project}/pipeline", ("github/acme/my web",), "/api/v2/project/gh/acme/my%20web/pipeline"),
        ("/project/{project}", ("gh/a#c/w?b%",), "/api/v2/project/gh/a%23c/w%3Fb%25"),
        ("/project/{project}", ("git@github.com:acme/web.git",), "/api/v2/project/gh/acme/web"),
        ("/project/{project}", (ProjectSlug("gh", "acme", "web"),), "/api/v2/project/gh/acme/web"),
        ("/project/{project}", (UUID(ID),), f"/api/v2/project/{ID}"),
        ("/project/{project}/job/{job_number}", ("gh/acme/web", 5), "/api/v2/project/gh/acme/web/job/5"),
        ("/project/{provider/organization/project}/run", ("bb/acme/web",), "/api/v2/project/bb/acme/web/run"),
        ("/insights/{org}/summary", ("github/acme",), "/api/v2/insights/gh/acme/summary"),
        ("/insights/{org}/summary", (OrgSlug("circleci", "x y"),), "/api/v2/insights/circleci/x%20y/summary"),
        # The one parameter that is a whole slug in one segment
        ("/organization/{org-slug-or-id}", ("github/acme",), "/api/v2/organization/gh%2Facme"),
        ("/organization/{org-slug-or-id}", ("gh/a/",), "/api/v2/organization/gh%2Fa"),
        ("/organization/{org-slug-or-id}", (ID,), f"/api/v2/organization/{ID}"),
        ("/organization/{org-slug-or-id}/project", (UUID(ID),), f"/api/v2/organization/{ID}/project"),
    ],
)
def test_values_are_written_segment_by_segment(path: str, values: tuple[Any, ...], filled: str) -> None:
    """No value leaves its segment, and only a slug has several."""
    assert endpoint(path).fill(values) == filled


def test_an_enum_is_its_value() -> None:
    """Not the name of its member."""

    class Name(StrEnum):
        BUILD = "build it"

    assert endpoint("/w/{name}").fill((Name.BUILD,)) == "/api/v2/w/build%20it"


@pytest.mark.parametrize(
    "value", ["", ".", "..", "a\x00b", "a\nb", "\x7f", "\x85", "\ud800", None, True, 1.5, b"x", -1, ["a"], {}]
)
def test_what_cannot_be_a_segment_is_refused(value: Any) -> None:
    """By name, before anything is sent: deleting a variable called ".." would delete the project."""
    with pytest.raises(InvalidArgument, match="env_var_name"):
        endpoint("/x/{env_var_name}", "DELETE").fill((value,))


@pytest.mark.parametrize(
    "value", ["", "gh/..", "gh/acme/..", None, 5, "gh/acme", "gh/a/b/c", "acme/web", "gh/acme/w\n"]
)
@pytest.mark.parametrize("path", ["/project/{project}", "/project/{provider/organization/project}/pipeline/run"])
def test_what_is_no_project_is_refused(path: str, value: Any) -> None:
    """Before anything is sent."""
    with pytest.raises(InvalidArgument):
        endpoint(path).fill((value,))


@pytest.mark.parametrize("value", ["", "acme", "gh/..", None, "gh/acme/web", "gl/acme"])
@pytest.mark.parametrize("path", ["/insights/{org}/summary", "/organization/{org-slug-or-id}"])
def test_what_is_no_organization_is_refused(path: str, value: Any) -> None:
    """Before anything is sent."""
    with pytest.raises(InvalidArgument):
        endpoint(path).fill((value,))


@pytest.mark.parametrize("value", [ID, UUID(ID), ProjectSlug(None, None, ID)])
def test_a_bare_uuid_does_not_name_provider_and_organization(value: Any) -> None:
    """Where the path asks for the three of them."""
    with pytest.raises(InvalidArgument, match="full slug"):
        endpoint("/project/{provider/organization/project}/pipeline/run").fill((value,))


@pytest.mark.parametrize("values", [(), ("a",), ("a", "b", "c")])
def test_the_number_of_values_is_that_of_the_placeholders(values: tuple[str, ...]) -> None:
    """A method that forgets one fails in its first test, and sends no other path."""
    with pytest.raises(TypeError, match=r"things\.do takes 2"):
        endpoint("/a/{b}/{c}").fill(values)


@pytest.mark.parametrize("path", ["/org/{orgID}/x", "/x/{}", "/x/{a", "/x/a}", "/x/{a b}"])
def test_a_placeholder_that_is_none_is_an_error_of_the_table(path: str) -> None:
    """Else its braces would be sent as they are."""
    with pytest.raises(ValueError, match="placeholder"):
        endpoint(path)


@pytest.mark.parametrize(
    ("method", "repeatable", "changes"),
    [
        ("GET", True, False),
        ("HEAD", True, False),
        ("PUT", True, True),
        ("DELETE", True, True),
        ("POST", False, True),
        ("PATCH", False, True),
    ],
)
def test_the_verb_says_whether_a_request_may_be_sent_twice(method: str, repeatable: bool, changes: bool) -> None:
    """And whether it changes anything."""
    route = endpoint("/me", method)
    assert (route.repeatable, route.changes) == (repeatable, changes)


def test_the_family_is_version_and_first_segment() -> None:
    """CircleCI limits it together."""
    assert endpoint("/insights/{project}/workflows").family == "v2/insights"
    assert endpoint("/me").family == "v2/me"


def test_endpoints_are_values() -> None:
    """A table can be listed, compared and cited."""
    route = ListEndpoint("GET", "/a/{b}", int, operation="as.list", reference="listAs", bare=True)
    assert route == ListEndpoint("GET", "/a/{b}", int, operation="as.list", reference="listAs", bare=True)
    assert route.placeholders == ("b",)
    assert (route.paged, route.bare, route.by_offset) == (True, True, False)
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        route.path = "/x"  # type: ignore[misc]
    assert reference_url(route.reference) == "https://circleci.com/docs/api/v2/#operation/listAs"


@given(st.text())
def test_any_text_stays_in_its_segment_or_is_refused(text: str) -> None:
    """And comes out of it again as it was."""
    try:
        path = endpoint("/x/{name}/y").fill((text,))
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
    """Or is refused."""
    try:
        path = endpoint("/project/{project}/x").fill((f"gh/{organization}/{project}",))
    except InvalidArgument:
        return
    assert [unquote(segment) for segment in path.split("/")] == [
        *["", "api", "v2", "project", "gh"],
        *[organization, project, "x"],
    ]
