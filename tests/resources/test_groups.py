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


async def test_a_group_from_its_making_to_its_end(circle, arrived, org_id):
    made = await circle.groups.create(org_id, name="Ops", description="May do all")
    assert made == OrganizationGroup(id=made.id, name="Ops", description="May do all")

    assert await circle.groups.get(UUID(org_id), UUID(made.id)) == made

    assert made in await circle.groups.list(org_id, limit=50).collect()

    assert await circle.groups.delete(org_id, made.id) is None
    assert made not in await circle.groups.list(org_id).collect()
    assert arrived().query == []


async def test_a_description_that_is_not_given_is_not_sent(circle, arrived, org_id):
    await circle.groups.create(org_id, name="Ops")
    assert arrived().json == {"name": "Ops"}


async def test_an_organization_that_is_not_standalone_has_no_groups(circle):
    org_id = (await circle.organizations.get("gh/acme")).id
    assert await circle.groups.list(org_id).collect() == []
    with pytest.raises(errors.Forbidden):
        await circle.groups.create(org_id, name="Ops")


async def test_deleting_a_group_that_is_not_there_is_forbidden(circle, org_id):
    with pytest.raises(errors.Forbidden):
        await circle.groups.delete(org_id, ID)


async def test_a_token_is_followed_and_nothing_of_a_group_is_promised(circle, answer, arrived):
    answer({"items": [{"id": ID, "name": "a", "description": None}], "next_page_token": "t", "total_count": 2})
    answer({"items": [{}]})
    found = await circle.groups.list(ID, limit=1).collect()
    assert found == [OrganizationGroup(id=ID, name="a"), OrganizationGroup()]
    assert arrived().query == [("limit", "1"), ("page-token", "t")]


async def test_an_empty_array_in_place_of_the_page_is_an_empty_list(circle, answer):
    answer([])
    assert await circle.groups.list("b9291e0d-a11e-41fb-8517-c545388b5953").collect() == []
