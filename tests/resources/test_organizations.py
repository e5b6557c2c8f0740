"""Organizations, over real HTTP."""

from __future__ import annotations

from uuid import UUID

import pytest

from aiocircle import OrgSlug, errors
from aiocircle.resources.organizations import (
    CreatedUrlOrbAllowListEntry,
    Organization,
    UrlOrbAllowListEntry,
    UrlOrbAuth,
    VcsType,
)

ID = "0d5f6c9e-1f1c-4a4e-8a0e-52b07a0a4f11"
ORBS = "/organization/gh%2Facme/url-orb-allow-list"


async def test_an_organization_is_named_in_one_segment(circle, arrived):
    acme = await circle.organizations.get("github/acme")
    assert acme == Organization(id=acme.id, name="acme", slug="gh/acme", vcs_type="github")
    for name in (acme.id, UUID(acme.id), OrgSlug.parse(acme.id)):
        assert await circle.organizations.get(name) == acme
        assert arrived().path == f"/organization/{acme.id}"


async def test_an_organization_from_its_making_to_its_end(circle):
    made = await circle.organizations.create(name="Übung & Co", vcs_type=VcsType.CIRCLECI)
    assert made.vcs_type == VcsType.CIRCLECI
    assert await circle.organizations.get(made.slug) == made
    assert await circle.organizations.delete(made.slug) is None
    with pytest.raises(errors.NotFound):
        await circle.organizations.get(made.id)


async def test_the_allow_list_of_url_orbs(circle):
    organizations = circle.organizations
    made = await organizations.create_url_orb_allow_list_entry(
        "gh/acme", name="ours", prefix="https://example.org/orbs/", auth=UrlOrbAuth.GITHUB_APP
    )
    assert isinstance(made, CreatedUrlOrbAllowListEntry)

    entry = UrlOrbAllowListEntry(id=made.id, name="ours", prefix="https://example.org/orbs/", auth="github-app")
    assert entry in await organizations.list_url_orb_allow_list("gh/acme").collect()

    assert await organizations.delete_url_orb_allow_list_entry("gh/acme", UUID(made.id)) is None
    assert entry not in await organizations.list_url_orb_allow_list("gh/acme").collect()
    assert await organizations.delete_url_orb_allow_list_entry("gh/acme", made.id) is None


async def test_a_kind_of_organization_that_is_newer_than_this_library(circle, answer):
    answer({"id": ID, "name": "a", "slug": "gl/a", "vcs_type": "gitlab", "plan": "free"})
    assert (await circle.organizations.get(ID)).vcs_type == "gitlab"
    answer({"id": ID})
    created = await circle.organizations.create_url_orb_allow_list_entry(ID, name="n", prefix="p", auth="none")
    assert created == CreatedUrlOrbAllowListEntry(id=ID)


@pytest.mark.parametrize("bad", ["", "gh", "gh/..", "gh/", "gh/a\nb", "gh/a/b", None])
async def test_what_names_no_organization_is_refused_before_sending(circle, server, bad):
    organizations = circle.organizations
    with pytest.raises(errors.InvalidArgument):
        organizations.list_url_orb_allow_list(bad)
    for call in (
        organizations.get(bad),
        organizations.delete(bad),
        organizations.create_url_orb_allow_list_entry(bad, name="n", prefix="p", auth="none"),
        organizations.delete_url_orb_allow_list_entry(bad, ID),
    ):
        with pytest.raises(errors.InvalidArgument):
            await call
    assert server.requests == []


async def test_an_entry_is_deleted_by_its_id_alone(circle, server):
    for bad in ("", "..", None):
        with pytest.raises(errors.InvalidArgument):
            await circle.organizations.delete_url_orb_allow_list_entry("gh/acme", bad)
    assert server.requests == []
