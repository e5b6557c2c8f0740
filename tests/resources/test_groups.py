"""Groups, over real HTTP."""

from __future__ import annotations

from uuid import UUID

import pytest

from aiocircle import errors
from aiocircle.resources.groups import OrganizationGroup

ID = "0d5f6c9e-1f1c-4a4e-8a0e-52b07a0a4f11"


@pytest.fixture
async def org_id(circle, server):
    """A standalone organization."""
    slug = next(slug for slug in server.projects if slug.startswith("circleci/"))
    return (await circle.organizations.get("/".join(slug.split("/")[:2]))).id


async def test_group_life_cycle(circle, arrived, org_id):
    """A group is created, listed, read and deleted."""
    made = await circle.groups.create(org_id, name="Ops", description="May do all")
    assert made == OrganizationGroup(id=made.id, name="Ops", description="May do all")

    assert await circle.groups.get(UUID(org_id), UUID(made.id)) == made

    assert made in await circle.groups.list(org_id, limit=50).collect()

    assert await circle.groups.delete(org_id, made.id) is None
    assert made not in await circle.groups.list(org_id).collect()
    assert arrived().query == []


async def test_omitted_description_is_not_sent(circle, arrived, org_id):
    """A description that is not given is not sent."""
    await circle.groups.create(org_id, name="Ops")
    assert arrived().json == {"name": "Ops"}


async def test_groups_need_a_standalone_organization(circle):
    """Organizations of GitHub OAuth have no groups: 404."""
    org_id = (await circle.organizations.get("gh/acme")).id
    assert await circle.groups.list(org_id).collect() == []
    with pytest.raises(errors.Forbidden):
        await circle.groups.create(org_id, name="Ops")


async def test_deleting_an_unknown_group_is_forbidden(circle, org_id):
    """Deleting an unknown group raises Forbidden."""
    with pytest.raises(errors.Forbidden):
        await circle.groups.delete(org_id, ID)


async def test_groups_are_paged_and_may_be_empty(circle, answer, arrived):
    """Page tokens are followed, and a group is read from an empty object."""
    answer({"items": [{"id": ID, "name": "a", "description": None}], "next_page_token": "t", "total_count": 2})
    answer({"items": [{}]})
    found = await circle.groups.list(ID, limit=1).collect()
    assert found == [OrganizationGroup(id=ID, name="a"), OrganizationGroup()]
    assert arrived().query == [("limit", "1"), ("page-token", "t")]


async def test_bare_array_of_groups_is_empty(circle, answer):
    """An empty array instead of a page is an empty list."""
    answer([])
    assert await circle.groups.list("b9291e0d-a11e-41fb-8517-c545388b5953").collect() == []
