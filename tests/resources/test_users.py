"""Users, over real HTTP."""

from __future__ import annotations

from uuid import UUID

import pytest

from aiocircle import errors
from aiocircle.resources.users import Collaboration, User

USER = "3f9a0ad1-7b8e-4a55-9d0e-6f0a3b1c2d4e"


async def test_me_is_the_owner_of_the_token(circle, arrived):
    """users.me() returns the owner of the token."""
    me = await circle.users.me()
    assert isinstance(me, User)
    assert me.id
    assert me.login
    assert (arrived().method, arrived().path, arrived().query, arrived().json) == ("GET", "/me", [], None)


async def test_user_by_id(circle, arrived):
    """A user is found by id, as text or UUID."""
    me = await circle.users.me()
    assert await circle.users.get(me.id) == me
    assert await circle.users.get(UUID(me.id)) == me
    assert (arrived().method, arrived().path) == ("GET", f"/user/{me.id}")


async def test_collaborations_are_a_bare_array(circle, arrived):
    """Collaborations are a bare array."""
    found = await circle.users.list_collaborations().collect()
    assert found
    assert all(isinstance(each, Collaboration) for each in found)
    assert "gh/acme" in {each.slug for each in found}
    assert (arrived().method, arrived().path, arrived().query) == ("GET", "/me/collaborations", [])


async def test_user_may_have_no_avatar(circle, answer):
    """A user is read without an avatar."""
    answer({"id": USER, "login": "ada@example.org", "name": "ada@example.org"})
    assert await circle.users.me() == User(id=USER, login="ada@example.org", name="ada@example.org")
    answer({"id": USER, "login": "ada", "name": "Ada", "avatar_url": None, "analytics_id": "x"})
    assert (await circle.users.get(USER)).avatar_url is None


@pytest.mark.parametrize("key", ["vcs_type", "vcs-type"])
async def test_collaboration_in_both_spellings(circle, answer, key):
    """The vcs type of a collaboration is read in both spellings."""
    answer([{"id": None, key: "github", "name": "acme", "avatar_url": None, "slug": "gh/acme"}])
    assert await circle.users.list_collaborations().collect() == [
        Collaboration(id=None, vcs_type="github", name="acme", avatar_url=None, slug="gh/acme")
    ]


async def test_unknown_user_is_not_found(circle):
    """An unknown user raises NotFound."""
    with pytest.raises(errors.NotFound):
        await circle.users.get(USER)
