"""Contexts, their variables and restrictions, over real HTTP."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

import attrs
import pytest

from aiocircle import OrgSlug, errors
from aiocircle.resources.contexts import Context, ContextEnvVar, ContextRestriction, ContextRestrictionType

CONTEXT = "3f9a0ad1-7b8e-4a55-9d0e-6f0a3b1c2d4e"
OTHER = "0d5f6c9e-1f1c-4a4e-8a0e-52b07a0a4f11"
AT = "2026-11-20T10:00:00Z"


async def named(circle, name):
    async for context in circle.contexts.list(owner_slug="gh/acme"):
        if context.name == name:
            return context
    raise AssertionError(name)


async def test_contexts_are_listed_by_slug_or_id(circle, arrived):
    """Contexts are listed by an organization's slug or id."""
    contexts = await circle.contexts.list(owner_slug="github/acme").collect()
    assert all(isinstance(each, Context) for each in contexts)
    organization = (await circle.projects.get("gh/acme/web")).organization_id
    assert await circle.contexts.list(owner_id=UUID(organization), owner_type="organization").collect() == contexts
    assert arrived().query == [("owner-id", organization), ("owner-type", "organization")]
    assert await circle.contexts.list(owner_slug=OrgSlug("gh", "acme")).collect() == contexts


async def test_context_has_variables_and_restrictions(circle):
    """A context comes with its variables and restrictions."""
    listed = await named(circle, "registry")
    context = await circle.contexts.get(listed.id)
    assert (context.id, context.name, context.created_at) == (listed.id, listed.name, listed.created_at)
    assert context.org_id == (await circle.projects.get("gh/acme/web")).organization_id
    assert list(context.environment_variables) == await circle.contexts.list_env_vars(listed.id).collect()
    assert context.restrictions == ()


async def test_context_may_lack_its_extras(circle, answer):
    """A context is read without the fields that the document does not have."""
    answer({"id": CONTEXT, "name": "registry", "created_at": AT})
    assert await circle.contexts.get(CONTEXT) == Context(
        id=CONTEXT, name="registry", created_at=datetime(2026, 11, 20, 10, tzinfo=UTC)
    )


async def test_null_extras_of_a_context_are_empty(circle, answer):
    """Variables and restrictions that are null are empty."""
    answer({"id": CONTEXT, "name": "n", "created_at": AT, "environment_variables": None, "restrictions": None})
    context = await circle.contexts.get(CONTEXT)
    assert (context.environment_variables, context.restrictions) == ((), ())


async def test_context_life_cycle(circle):
    """A context is created for an owner and deleted. A deleted context is forbidden."""
    created = await circle.contexts.create(name="mine", owner={"slug": "gh/acme"})
    assert created == await named(circle, "mine")
    assert await circle.contexts.delete(created.id) is None
    with pytest.raises(errors.Forbidden):
        await circle.contexts.get(created.id)


async def test_owner_may_be_an_id(circle, answer, arrived):
    """The owner of a context may be an id with a type."""
    answer({"id": CONTEXT, "name": "mine", "created_at": AT})
    await circle.contexts.create(name="mine", owner={"id": UUID(OTHER), "type": "account"})
    assert arrived().json == {"name": "mine", "owner": {"id": OTHER, "type": "account"}}


@pytest.mark.parametrize("owner", [{"name": "acme"}, {"owner-slug": "gh/acme"}, "gh/acme", ["gh/acme"], 5])
async def test_invalid_owner_is_refused_unsent(circle, server, owner):
    """An owner of another shape raises InvalidArgument."""
    with pytest.raises(errors.InvalidArgument, match="owner"):
        await circle.contexts.create(name="mine", owner=owner)
    assert server.requests == []


async def test_variable_life_cycle(circle):
    """A variable is set, listed with its last characters, and deleted. Its repr has none of them."""
    context = await named(circle, "registry")
    made = await circle.contexts.set_env_var(context.id, "DEPLOY_KEY", value="hunter2hunter2")
    assert (made.variable, made.context_id, made.truncated_value) == ("DEPLOY_KEY", context.id, None)
    listed = await circle.contexts.list_env_vars(context.id).collect()
    [found] = [each for each in listed if each.variable == "DEPLOY_KEY"]
    assert found.truncated_value == "ter2"
    assert "ter2" not in repr(found)
    assert await circle.contexts.delete_env_var(context.id, "DEPLOY_KEY") is None


async def test_set_env_var_may_return_a_message(circle, answer):
    """A response with only a message is a ContextEnvVar without values."""
    answer({"message": "Environment variable set."})
    assert await circle.contexts.set_env_var(CONTEXT, "A", value="b") == ContextEnvVar()


async def test_101st_variable_is_a_bad_request(circle):
    """The error for the 101st variable has the message of the API."""
    context = await named(circle, "legacy-secrets")
    with pytest.raises(errors.BadRequest, match="Cannot create more than 100"):
        await circle.contexts.set_env_var(context.id, "ONE_MORE", value="x")


async def test_list_that_never_advances_ends(circle):
    """A list whose page token never changes raises PaginationError with its first 100 items."""
    context = await named(circle, "legacy-secrets")
    with pytest.raises(errors.PaginationError) as caught:
        await circle.contexts.list_env_vars(context.id).collect()
    assert len(caught.value.items) == 100
    assert len({each.variable for each in caught.value.items}) == 100


async def test_restriction_life_cycle(circle):
    """A restriction to a project is created, listed and deleted."""
    context = await named(circle, "registry")
    project = await circle.projects.get("gh/acme/web")
    made = await circle.contexts.create_restriction(
        context.id, restriction_type=ContextRestrictionType.PROJECT, restriction_value=UUID(project.id)
    )
    assert (made.restriction_value, made.name) == (project.id, "web")
    [listed] = await circle.contexts.list_restrictions(context.id).collect()
    assert listed == attrs.evolve(made, context_id=context.id)
    assert await circle.contexts.delete_restriction(context.id, made.id) is None
    assert await circle.contexts.list_restrictions(context.id).collect() == []


async def test_expression_restriction(circle, arrived):
    """An expression is sent unchanged, and its restriction has no project."""
    context = await named(circle, "registry")
    made = await circle.contexts.create_restriction(
        context.id, restriction_type="expression", restriction_value='pipeline.git.branch == "main"'
    )
    assert arrived().json["restriction_value"] == 'pipeline.git.branch == "main"'
    assert made.name is None
    assert made.project_id is None


async def test_restriction_may_lack_fields(circle, answer):
    """A restriction is read without the fields that are not required."""
    answer({"items": [{}, {"id": OTHER, "name": None, "restriction_type": "team"}], "next_page_token": None})
    assert await circle.contexts.list_restrictions(CONTEXT).collect() == [
        ContextRestriction(),
        ContextRestriction(id=OTHER, restriction_type="team"),
    ]


async def test_page_tokens_are_sent_unchanged(circle, answer, arrived):
    """Page tokens with special characters arrive unchanged."""
    lists = [
        circle.contexts.list(owner_slug="gh/acme", page_token="k+/="),
        circle.contexts.list_env_vars(CONTEXT, page_token="k+/="),
        circle.contexts.list_restrictions(CONTEXT, page_token="k+/="),
    ]
    for pager in lists:
        answer({"items": [], "next_page_token": None})
        assert await pager.collect() == []
        assert arrived().query[-1] == ("page-token", "k+/=")


async def test_unknown_context_is_forbidden(circle):
    """An unknown id is Forbidden, and a name instead of an id is NotFound."""
    with pytest.raises(errors.Forbidden):
        await circle.contexts.get(CONTEXT)
    with pytest.raises(errors.NotFound):
        await circle.contexts.get("registry")


@pytest.mark.parametrize("bad", ["", "acme", "gh/..", "gh/acme/web"])
async def test_invalid_owner_slug_is_refused_unsent(circle, server, bad):
    """An invalid owner_slug raises InvalidArgument."""
    with pytest.raises(errors.InvalidArgument):
        circle.contexts.list(owner_slug=bad)
    assert server.requests == []
