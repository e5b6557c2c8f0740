"""Users, over real HTTP."""

from __future__ import annotations

from uuid import UUID

import pytest

from aiocircle import errors
from aiocircle.resources.users import Collaboration, User

USER = "3f9a0ad1-7b8e-4a55-9d0e-6f0a3b1c2d4e"


async def test_me_is_the_tokens_owner(circle, arrived):
    me = await circle.users.me()
    assert isinstance(me, User)
    assert me.id
    assert me.login
    assert (arrived().method, arrived().path, arrived().query, arrived().json) == ("GET", "/me", [], None)


async def test_a_user_is_found_by_id_as_text_or_uuid(circle, arrived):
    me = await circle.users.me()
    assert await circle.users.get(me.id) == me
    assert await circle.users.get(UUID(me.id)) == me
    assert (arrived().method, arrived().path) == ("GET", f"/user/{me.id}")


async def test_collaborations_are_a_bare_array(circle, arrived):
    found = await circle.users.list_collaborations().collect()
    assert found
    assert all(isinstance(each, Collaboration) for each in found)
    assert "gh/acme" in {each.slug for each in found}
    assert (arrived().method, arrived().path, arrived().query) == ("GET", "/me/collaborations", [])


async def test_a_user_may_have_no_avatar(circle, answer):
    answer({"id": USER, "login": "ada@example.org", "name": "ada@example.org"})
    assert await circle.users.me() == User(id=USER, login="ada@example.org", name="ada@example.org")
    answer({"id": USER, "login": "ada", "name": "Ada", "avatar_url": None, "analytics_id": "x"})
    assert (await circle.users.get(USER)).avatar_url is None


@pytest.mark.parametrize("key", ["vcs_type", "vcs-type"])
async def test_a_collaborations_vcs_type_is_read_in_both_spellings(circle, answer, key):
    answer([{"id": None, key: "github", "name": "acme", "avatar_url": None, "slug": "gh/acme"}])
    assert await circle.users.list_collaborations().collect() == [
        Collaboration(id=None, vcs_type="github", name="acme", avatar_url=None, slug="gh/acme")
    ]


async def test_an_unknown_user_is_not_found(circle):
    with pytest.raises(errors.NotFound):
        await circle.users.get(USER)
