"""Policies and decisions, over real HTTP."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

import pytest

from aiocircle import errors
from aiocircle.resources.policies import (
    Decision,
    DecisionLog,
    DecisionMetadata,
    DecisionSettings,
    DecisionStatus,
    DecisionVcs,
    Policy,
    PolicyBundle,
    PolicyBundleChange,
    PolicyViolation,
)

ID = "0d5f6c9e-1f1c-4a4e-8a0e-52b07a0a4f11"
WHEN = datetime(2022, 8, 10, 10, 47, 1, 859756, UTC)
DOCUMENT = {"name": "a", "content": "package org", "created_at": "2022-08-10T10:47:01.859756Z", "created_by": ID}


@pytest.fixture
async def owner(circle):
    return (await circle.organizations.get("gh/acme")).id


# --- bundles -----------------------------------------------------------------------------------------------------


async def test_bundle_is_replaced(circle, arrived, owner):
    """A bundle of policies is replaced as a whole."""
    before = await circle.policies.get_bundle(UUID(owner), "config")
    assert isinstance(before, PolicyBundle)
    ((images,),) = before.policies.values()
    assert images.created_at.tzinfo is not None

    policies = {"dir/a b.rego": "package org", "images": images.content}
    change = await circle.policies.create_bundle(owner, "config", policies=policies, dry=True)
    assert change == PolicyBundleChange(created=("dir/a b.rego",))
    assert await circle.policies.get_bundle(owner, "config") == before

    assert await circle.policies.create_bundle(owner, "config", policies=policies) == change
    assert (await circle.policies.get_bundle(owner, "config")).policies.keys() == policies.keys()

    policy = await circle.policies.get(owner, "config", "dir/a b.rego")
    assert (policy.name, policy.content) == ("dir/a b.rego", "package org")

    assert (await circle.policies.create_bundle(owner, "config", policies={}, dry=False)).deleted == tuple(policies)
    assert arrived().query == [("dry", "false")]
    assert arrived().json == {"policies": {}}


async def test_bundle_names_may_have_several_documents(circle, answer):
    """A name of a bundle has one document or several."""
    document = Policy(name="a", content="package org", created_at=WHEN, created_by=ID)
    answer({"a": DOCUMENT, "policies": DOCUMENT, "name": DOCUMENT})
    found = await circle.policies.get_bundle(ID, "config")
    assert found.policies == {"a": (document,), "policies": (document,), "name": (document,)}
    answer({"a": [DOCUMENT, {}], "b": []})
    found = await circle.policies.get_decision_policy_bundle(ID, "config", ID)
    assert found.policies == {"a": (document, Policy()), "b": ()}
    answer({})
    assert await circle.policies.get_bundle(ID, "config") == PolicyBundle(policies={})


async def test_invalid_bundle_is_a_decode_error(circle, answer):
    """The DecodeError of an invalid bundle has its JSON path."""
    answer({"a": {**DOCUMENT, "content": 5}})
    with pytest.raises(errors.DecodeError, match="content"):
        await circle.policies.get_bundle(ID, "config")
    answer([DOCUMENT])
    with pytest.raises(errors.DecodeError, match="expected an object"):
        await circle.policies.get_bundle(ID, "config")


async def test_unchanged_bundle_may_be_null(circle, answer):
    """A change without differences may be null."""
    answer({"created": None, "modified": ["a"]}, 201)
    change = await circle.policies.create_bundle(ID, "config", policies={"a": "b"})
    assert change == PolicyBundleChange(modified=("a",))


# --- decisions ---------------------------------------------------------------------------------------------------


async def test_decision_is_made_and_kept(circle, arrived, owner):
    """A decision is made, and found in the log."""
    text = "jobs:\n  build:\n    docker:\n      - image: cimg/base\n"
    decision = await circle.policies.make_decision(owner, "config", input=text, metadata={"project_id": ID})
    assert isinstance(decision, Decision)
    assert decision.status == DecisionStatus.HARD_FAIL
    assert not decision.is_pass
    assert isinstance(decision.hard_failures[0], PolicyViolation)

    kept = await circle.policies.list_decisions(owner, "config").first()
    assert kept.decision == decision
    assert kept.metadata.project_id == ID
    assert await circle.policies.get_decision(owner, "config", UUID(kept.id)) == kept

    bundle = await circle.policies.get_decision_policy_bundle(owner, "config", kept.id)
    assert bundle == await circle.policies.get_bundle(owner, "config")
    assert bundle.policies.keys() == kept.policies.keys()

    assert (await circle.policies.make_decision(owner, "config", input="version: 2.1")).is_pass
    assert arrived().json == {"input": "version: 2.1"}


async def test_decisions_are_paged_by_offset(circle, server, owner):
    """Decisions are requested by offset until a page is empty."""
    found = await circle.policies.list_decisions(owner, "config").collect()
    sent = [dict(request.query) for request in server.requests if request.path.endswith("/decision")]
    assert len(found) == len({each.id for each in found}) > 20
    offsets = [*range(20, len(found), 20), len(found)]
    assert sent == [{}, *({"offset": str(offset)} for offset in offsets)]
    assert all(isinstance(each, DecisionLog) for each in found)

    later = circle.policies.list_decisions(owner, "config", page_token="5")
    assert await later.collect() == found[5:]
    assert (await later.page("1")).items == tuple(found[1:21])
    assert (await later.page()).next_page_token == "25"


async def test_ignored_offset_is_a_pagination_error(circle, server):
    """A server that ignores the offset causes PaginationError, not an endless list."""
    server.inject("answer", times=3, status=200, body=[{"id": ID}])
    with pytest.raises(errors.PaginationError) as caught:
        await circle.policies.list_decisions(ID, "config").collect()
    assert caught.value.items == [DecisionLog(id=ID)]


async def test_decisions_are_filtered(circle, answer, arrived):
    """Decisions are filtered by time, status, branch and project."""
    answer([])
    await circle.policies.list_decisions(
        UUID(ID),
        "config",
        status=DecisionStatus.SOFT_FAIL,
        after=WHEN,
        before="2022-09-01T00:00:00Z",
        branch="feature/a",
        project_id=UUID(ID),
        build_number=12,
    ).collect()
    request = arrived()
    assert (request.method, request.path) == ("GET", f"/owner/{ID}/context/config/decision")
    sent = dict(request.query)
    assert datetime.fromisoformat(sent.pop("after")) == WHEN
    assert sent == {
        "status": "SOFT_FAIL",
        "before": "2022-09-01T00:00:00Z",
        "branch": "feature/a",
        "project_id": ID,
        "build_number": "12",
    }


async def test_decision_may_lack_fields(circle, answer):
    """A decision is read with only its status."""
    answer({"status": "BRAND_NEW", "enabled_rules": None, "hard_failures": None})
    assert await circle.policies.make_decision(ID, "config", input="") == Decision(status="BRAND_NEW")
    vcs = {"branch": "main", "origin_repository_url": "u", "release_tag": "", "target_repository_url": "u"}
    answer(
        [
            {},
            {"metadata": None, "policies": None, "decision": None},
            {"metadata": {"build_number": 7, "ssh_rerun": False, "vcs": vcs}, "decision": {"status": "PASS"}},
        ]
    )
    answer([])
    bare, null, full = await circle.policies.list_decisions(ID, "config").collect()
    assert bare == null == DecisionLog()
    assert full == DecisionLog(
        metadata=DecisionMetadata(build_number=7, ssh_rerun=False, vcs=DecisionVcs(**vcs)),
        decision=Decision(status="PASS"),
    )


async def test_decision_settings(circle, arrived, owner):
    """The settings of decisions are read and changed."""
    assert await circle.policies.get_decision_settings(owner, "config") == DecisionSettings(enabled=True)
    off = await circle.policies.update_decision_settings(owner, "config", enabled=False)
    assert off == DecisionSettings(enabled=False)
    assert await circle.policies.get_decision_settings(owner, "config") == off
    assert await circle.policies.update_decision_settings(owner, "config") == off
    assert arrived().json == {}


# --- what is refused ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("token", ["abc", "-1", "1.5", "", " 1", "²", "1" * 5000, 20])
async def test_page_token_must_be_an_offset(circle, server, token):
    """A page token that is not an offset raises InvalidArgument immediately."""
    with pytest.raises(errors.InvalidArgument, match="page_token"):
        circle.policies.list_decisions(ID, "config", page_token=token)
    with pytest.raises(errors.InvalidArgument, match="page_token"):
        await circle.policies.list_decisions(ID, "config").page(token)
    assert server.requests == []


async def test_unknown_decision_is_not_found(circle, owner):
    """An unknown decision raises NotFound."""
    with pytest.raises(errors.NotFound, match="decision log not found"):
        await circle.policies.get_decision(owner, "config", ID)
