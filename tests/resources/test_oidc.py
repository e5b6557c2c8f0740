"""OIDC claims, over real HTTP."""

from __future__ import annotations

from uuid import UUID

import pytest

from aiocircle import errors
from aiocircle.resources.oidc import Claim, Claims

ID = "0d5f6c9e-1f1c-4a4e-8a0e-52b07a0a4f11"


@pytest.fixture
async def org_id(circle):
    return (await circle.organizations.get("gh/acme")).id


@pytest.fixture
async def project_id(circle):
    return (await circle.projects.get("gh/acme/web")).id


async def test_organization_claims(circle, org_id):
    """The claims of an organization are changed, read and deleted."""
    assert await circle.oidc.get_org_claims(UUID(org_id)) == Claims(org_id=org_id)

    claims = await circle.oidc.update_org_claims(org_id, audience=["b", "a"], ttl="90m")
    assert set(claims.audience) == {"a", "b"}
    assert claims.ttl == "1h30m0s"
    assert claims.ttl_updated_at.tzinfo is not None
    assert await circle.oidc.get_org_claims(org_id) == claims

    left = await circle.oidc.delete_org_claims(org_id, claims=Claim.TTL)
    assert (left.ttl, left.ttl_updated_at, left.audience) == (None, None, claims.audience)


async def test_project_claims(circle, org_id, project_id):
    """The claims of a project are changed, read and deleted."""
    assert await circle.oidc.get_project_claims(org_id, UUID(project_id)) == Claims(
        org_id=org_id, project_id=project_id
    )

    claims = await circle.oidc.update_project_claims(org_id, project_id, ttl="5m")
    assert (claims.audience, claims.project_id) == ((), project_id)

    left = await circle.oidc.delete_project_claims(org_id, project_id, claims=["audience", Claim.TTL])
    assert left == Claims(org_id=org_id, project_id=project_id)


async def test_single_audience_is_an_array(circle, arrived, org_id, project_id):
    """A single audience is sent as an array of one."""
    await circle.oidc.update_org_claims(org_id, audience="https://vault.example.org")
    assert arrived().json == {"audience": ["https://vault.example.org"]}
    await circle.oidc.update_project_claims(org_id, project_id, audience="sts")
    assert arrived().json == {"audience": ["sts"]}


async def test_claims_are_joined_by_commas(circle, answer, arrived):
    """Several claims are one parameter with commas."""
    answer({"org_id": ID, "audience": None})
    assert await circle.oidc.delete_org_claims(ID, claims=("audience", "ttl")) == Claims(org_id=ID)
    assert arrived().query == [("claims", "audience,ttl")]


async def test_oidc_error_has_its_own_key(circle, org_id):
    """The message of an error is read from the key of this API."""
    with pytest.raises(errors.BadRequest, match="ttl: must be a valid duration"):
        await circle.oidc.update_org_claims(org_id, ttl="soon")
    with pytest.raises(errors.Forbidden):
        await circle.oidc.get_org_claims(ID)


@pytest.mark.parametrize("bad", [None, 5, ["ttl", 5], ["ttl", None]])
async def test_invalid_claims_are_refused_unsent(circle, server, bad):
    """Claims that are not names raise InvalidArgument."""
    with pytest.raises(errors.InvalidArgument, match="claims"):
        await circle.oidc.delete_org_claims(ID, claims=bad)
    assert server.requests == []
