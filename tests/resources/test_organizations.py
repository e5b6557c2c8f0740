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


async def test_organization_is_one_segment(circle, arrived):
    """The slug of an organization is one path segment."""
    acme = await circle.organizations.get("github/acme")
    assert acme == Organization(id=acme.id, name="acme", slug="gh/acme", vcs_type="github")
    for name in (acme.id, UUID(acme.id), OrgSlug.parse(acme.id)):
        assert await circle.organizations.get(name) == acme
        assert arrived().path == f"/organization/{acme.id}"


async def test_organization_life_cycle(circle):
    """An organization is created, read and deleted."""
    made = await circle.organizations.create(name="Übung & Co", vcs_type=VcsType.CIRCLECI)
    assert made.vcs_type == VcsType.CIRCLECI
    assert await circle.organizations.get(made.slug) == made
    assert await circle.organizations.delete(made.slug) is None
    with pytest.raises(errors.NotFound):
        await circle.organizations.get(made.id)


async def test_url_orb_allow_list(circle):
    """Entries of the allow list are created, listed and deleted."""
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


async def test_unknown_vcs_type_is_kept(circle, answer):
    """An unknown type of organization is kept as text."""
    answer({"id": ID, "name": "a", "slug": "gl/a", "vcs_type": "gitlab", "plan": "free"})
    assert (await circle.organizations.get(ID)).vcs_type == "gitlab"
    answer({"id": ID})
    created = await circle.organizations.create_url_orb_allow_list_entry(ID, name="n", prefix="p", auth="none")
    assert created == CreatedUrlOrbAllowListEntry(id=ID)


@pytest.mark.parametrize("bad", ["", "gh", "gh/..", "gh/", "gh/a\nb", "gh/a/b", None])
async def test_invalid_organization_is_refused_unsent(circle, server, bad):
    """An invalid organization raises InvalidArgument."""
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


async def test_allow_list_entry_id_is_one_segment(circle, server):
    """The id of an entry must be one path segment."""
    for bad in ("", "..", None):
        with pytest.raises(errors.InvalidArgument):
            await circle.organizations.delete_url_orb_allow_list_entry("gh/acme", bad)
    assert server.requests == []
