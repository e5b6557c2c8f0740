"""The other groups of operations, and the ways in which each of them is odd."""

from __future__ import annotations

import csv
import datetime
import gzip
from urllib.parse import quote

import aiohttp
import pytest

WEB = "gh/acme/web"
NOBODY = "5034460f-c7c4-4c43-9457-de07e2029e7b"


@pytest.fixture
async def acme(api):
    """The id of the classic organization."""
    return (await api.get("/organization/gh%2Facme"))["id"]


@pytest.fixture
async def labs(api):
    """The id of the standalone organization."""
    return (await api.get(f"/project/{api.server.projects[2]}"))["organization_id"]


@pytest.fixture
async def web(api):
    """The id of a classic project."""
    return (await api.get(f"/project/{WEB}"))["id"]


@pytest.fixture
async def app(api):
    """The id of a standalone project."""
    return (await api.get(f"/project/{api.server.projects[2]}"))["id"]


async def _context(api, acme):
    owner = {"id": acme, "type": "organization"}
    return (await api("POST", "/context", json={"name": "new", "owner": owner})).json


async def test_contexts(api, acme):
    made = await _context(api, acme)
    assert made.keys() == {"id", "name", "created_at"}
    by_slug = await api.walk("/context?owner-slug=gh/acme")
    assert made in by_slug
    assert by_slug == await api.walk(f"/context?owner-id={acme}&owner-type=organization")
    body = {"name": "new", "owner": {"slug": "gh/acme"}}
    assert (await api("POST", "/context", json=body)).status == 409
    whole = await api.get(f"/context/{made['id']}")
    assert whole == {**made, "org_id": acme, "environment_variables": [], "restrictions": []}
    assert (await api("DELETE", f"/context/{made['id']}")).status == 200
    for path in ("", "/environment-variable", "/restrictions"):
        assert (await api("GET", f"/context/{made['id']}{path}")).status == 403
    for path in ("/context", "/context?owner-id=x&owner-type=account"):
        assert (await api("GET", path)).status == 400
    assert (await api("GET", "/context/new")).status == 404
    assert (await api("GET", "/context/new/restrictions")).json == {"message": "context_id is invalid."}


@pytest.mark.parametrize(
    ("value", "tail"), [("hunter-of-2", "of-2"), ("hunter2", "er2"), ("x", ""), ("12345678", "5678")]
)
async def test_the_tail_of_a_context_variable(api, acme, value, tail):
    made = await _context(api, acme)
    path = f"/context/{made['id']}/environment-variable"
    put = await api("PUT", f"{path}/SECRET", json={"value": value})
    assert put.json.keys() == {"variable", "created_at", "updated_at", "context_id"}
    listed = await api.get(path)
    assert listed["next_page_token"] is None
    assert listed["items"] == [{**put.json, "truncated_value": tail}]
    assert (await api("DELETE", f"{path}/SECRET")).status == 200
    assert (await api("DELETE", f"{path}/SECRET")).status == 404


async def test_the_list_of_context_variables_never_advances(api):
    legacy = next(c for c in await api.walk("/context?owner-slug=gh/acme") if c["name"] == "legacy-secrets")
    path = f"/context/{legacy['id']}/environment-variable"
    first = await api.get(path)
    second = await api.get(f"{path}?page-token={first['next_page_token']}")
    assert len(first["items"]) == 100
    assert second["items"] == first["items"]
    assert first["next_page_token"] != second["next_page_token"]
    assert len((await api.get(f"/context/{legacy['id']}"))["environment_variables"]) == 109
    reply = await api("PUT", f"{path}/ONE_MORE", json={"value": "x"})
    assert reply.json == {"message": "Cannot create more than 100 environment variables per context"}
    assert (await api("PUT", f"{path}/{first['items'][0]['variable']}", json={"value": "x"})).status == 200


async def test_restrictions(api, acme, web):
    made = await _context(api, acme)
    path = f"/context/{made['id']}/restrictions"
    body = {"restriction_type": "project", "restriction_value": web}
    reply = await api("POST", path, json=body)
    assert reply.status == 201
    assert reply.json == {"id": reply.json["id"], **body, "project_id": web, "name": "web"}
    assert await api.walk(path) == [{"context_id": made["id"], **reply.json}]
    assert (await api("POST", path, json=body)).status == 409
    assert (await api("POST", path, json={**body, "restriction_value": NOBODY})).status == 404
    assert (await api("POST", path, json={**body, "restriction_type": "user"})).status == 400
    assert (await api("DELETE", f"{path}/{reply.json['id']}")).status == 200
    assert (await api("DELETE", f"{path}/{reply.json['id']}")).status == 404
    assert (await api("DELETE", f"{path}/x")).json == {"message": "restriction_id is invalid."}


async def test_deploys_end_with_an_empty_token(api, acme, web):
    environments = f"/deploy/environments?org-id={acme}&page-size=2"
    page = await api.get(environments)
    assert len(page["items"]) == 2
    last = await api.get(f"{environments}&page-token={page['next_page_token']}")
    assert (len(last["items"]), last["next_page_token"]) == (1, "")
    components = await api.walk(f"/deploy/components?org-id={acme}&page-size=1")
    assert [component["name"] for component in components] == ["api-gateway", "web"]
    one = await api.walk(f"/deploy/components?org-id={acme}&page-size=5&project-id={web}")
    assert one == components[1:]
    path = f"/deploy/components/{one[0]['id']}/versions"
    versions = await api.walk(path)
    assert len(versions) == one[0]["release_count"] > 20
    assert [version["is_live"] for version in versions[:3]] == [True, True, False]
    job = await api.get(f"/jobs/{versions[0]['job_id']}")
    assert (job["name"], job["number"]) == ("deploy-production", versions[0]["job_number"])
    assert job["latest_workflow"]["id"] == versions[0]["workflow_id"]
    production = next(e for e in page["items"] if e["name"] == "production")
    only = await api.walk(f"{path}?environment-id={production['id']}")
    assert only == [version for version in versions if version["environment_id"] == production["id"]]
    for wrong in ("", f"?org-id={acme}", f"?org-id={acme}&page-size=0", "?org-id=x&page-size=1"):
        assert (await api("GET", f"/deploy/environments{wrong}")).status == 400


async def test_rolling_back(api, acme, web):
    component = (await api.walk(f"/deploy/components?org-id={acme}&page-size=5&project-id={web}"))[0]
    now, then = [v["name"] for v in await api.walk(f"/deploy/components/{component['id']}/versions")][:2]
    body = {"component_name": "web", "environment_name": "production", "current_version": now, "target_version": then}
    path = f"/projects/{web}/rollback"
    reply = await api("POST", path, json=body)
    assert (reply.status, reply.json["rollback_type"]) == (202, "PIPELINE")
    assert (await api.get(f"/project/{WEB}/pipeline"))["items"][0]["trigger"]["type"] == "api"
    for change, status in [
        ({"target_version": now}, 409),
        ({"target_version": "9.9.9"}, 404),
        ({"component_name": "api"}, 404),
        ({"environment_name": "moon"}, 404),
        ({"why": "x"}, 400),
        ({"component_name": 5}, 400),
    ]:
        assert (await api("POST", path, json={**body, **change})).status == status


async def test_groups_are_for_standalone_organizations(api, acme, labs):
    assert await api.get(f"/organizations/{acme}/groups") == {"items": [], "next_page_token": None, "total_count": 0}
    refused = await api("POST", f"/organizations/{acme}/groups", json={"name": "Ops"})
    assert (refused.status, refused.json) == (403, {"message": "Permission denied."})
    path = f"/organizations/{labs}/groups"
    made = await api("POST", path, json={"name": "Ops", "description": "d"})
    assert made.status == 201
    assert await api.get(f"{path}/{made.json['id']}") == made.json
    page = await api.get(f"{path}?limit=1")
    assert len(page["items"]) == page["total_count"] == 3  # the advertised paging does not take place
    assert (await api("POST", path, json={"name": "Ops"})).status == 409
    assert (await api("POST", path, json={"name": "Ops", "members": []})).status == 400
    assert (await api("DELETE", f"{path}/{made.json['id']}")).json == {"message": "Group deleted."}
    assert (await api("DELETE", f"{path}/{made.json['id']}")).status == 403
    assert (await api("GET", f"{path}/{made.json['id']}")).status == 404


@pytest.mark.parametrize(
    ("ttl", "written"),
    [("90m", "1h30m0s"), ("1d", "24h0m0s"), ("45s", "45s"), ("1m1s", "1m1s"), ("250ms", "250ms"), ("1h", "1h0m0s")],
)
async def test_oidc_claims_are_rewritten(api, acme, ttl, written):
    path = f"/org/{acme}/oidc-custom-claims"
    reply = await api("PATCH", path, json={"audience": ["b", "a"], "ttl": ttl})
    assert (reply.json["audience"], reply.json["ttl"]) == (["a", "b"], written)


async def test_oidc_claims(api, acme, web, app):
    org, project = f"/org/{acme}/oidc-custom-claims", f"/org/{acme}/project/{web}/oidc-custom-claims"
    assert await api.get(org) == {"org_id": acme}
    await api("PATCH", org, json={"audience": ["a"], "ttl": "1h"})
    assert await api.get(project) == {"org_id": acme, "project_id": web}
    left = (await api("DELETE", f"{org}?claims=ttl")).json
    assert left.keys() == {"org_id", "audience", "audience_updated_at"}
    assert (await api("DELETE", f"{org}?claims=audience,ttl")).json == {"org_id": acme}
    for method, path, options, status in [
        ("DELETE", org, {}, 400),
        ("DELETE", f"{org}?claims=name", {}, 400),
        ("PATCH", org, {"json": {"ttl": "1 hour"}}, 400),
        ("PATCH", org, {}, 400),
        ("GET", "/org/x/oidc-custom-claims", {}, 400),
        ("GET", f"/org/{NOBODY}/oidc-custom-claims", {}, 403),
        ("GET", f"/org/{acme}/project/{app}/oidc-custom-claims", {}, 403),
    ]:
        reply = await api(method, path, **options)
        assert (reply.status, [*reply.json]) == (status, ["error"])


async def test_organizations(api, acme):
    assert await api.get(f"/organization/{acme}") == {
        "id": acme,
        "name": "acme",
        "slug": "gh/acme",
        "vcs_type": "github",
    }
    assert (await api("GET", "/organization/gh/acme")).status == 404
    new = (await api("POST", "/organization", json={"name": "New", "vcs_type": "circleci"})).json
    other = (await api("POST", "/organization", json={"name": "New", "vcs_type": "circleci"})).json
    assert new["id"] != other["id"]
    assert await api.get(f"/organization/{quote(new['slug'], safe='')}") == new
    assert new["slug"] in {each["slug"] for each in await api.get("/me/collaborations")}
    assert (await api("POST", "/organization", json={"name": "acme", "vcs_type": "github"})).json["id"] == acme
    assert (await api("POST", "/organization", json={"name": "x", "vcs_type": "svn"})).status == 400
    assert (await api("DELETE", f"/organization/{acme}")).status == 202
    assert (await api("DELETE", f"/organization/{acme}")).status == 404
    assert (await api("GET", f"/project/{WEB}")).status == 404


async def test_url_orb_allow_lists(api, acme):
    path = f"/organization/{acme}/url-orb-allow-list"
    body = {"name": "a", "prefix": "https://orbs.example/", "auth": "none"}
    made = await api("POST", path, json=body)
    assert (made.status, made.json["message"]) == (200, "Created.")
    listed = await api.get(path)
    assert listed.keys() == {"items"}
    assert {"id": made.json["id"], **body} in listed["items"]
    for _ in range(2):
        assert (await api("DELETE", f"{path}/{made.json['id']}")).status == 200
    assert [operation for operation, _ in api.server.changes] == [
        "organizations.create_url_orb_allow_list_entry",
        "organizations.delete_url_orb_allow_list_entry",
    ]
    assert (await api("DELETE", f"/organization/{NOBODY}/url-orb-allow-list/{made.json['id']}")).status == 404
    assert (await api("POST", path, json={**body, "auth": "magic"})).status == 400


async def test_exporters(api, acme):
    path = f"/otel/exporters?org-id={acme}"
    body = {"org_id": acme, "endpoint": "otel.example:4318", "protocol": "http", "insecure": False}
    for number in range(4):
        made = await api("POST", "/otel/exporters", json={**body, "headers": {"x-key": f"secret {number}"}})
        assert made.json["headers"] == {"x-key": "xxxx"}
    listed = await api.get(path)
    assert len(listed) == 5
    assert [len(exporter.get("issues", [])) for exporter in listed] == [1, 0, 0, 0, 0]
    sixth = await api("POST", "/otel/exporters", json=body)
    assert (sixth.status, sixth.json) == (422, {"message": "Internal server error."})
    assert (await api("DELETE", f"/otel/exporters/{made.json['id']}")).status == 200
    assert (await api("DELETE", f"/otel/exporters/{made.json['id']}")).status == 404
    assert (await api("POST", "/otel/exporters", json={**body, "endpoint": "https://otel.example"})).status == 400
    assert (await api("GET", "/otel/exporters")).status == 400


async def test_definitions_and_triggers(api, web, app):
    classic = (await api.get(f"/projects/{web}/pipeline-definitions"))["items"]
    assert [definition["config_source"]["provider"] for definition in classic] == ["github_oauth"]
    root = f"/projects/{app}/pipeline-definitions"
    first = (await api.get(root))["items"][0]
    source = {"provider": "github_app", "repo": {"external_id": "12"}}
    body = {"name": "b", "config_source": {**source, "file_path": "x.yml"}, "checkout_source": source}
    assert (await api("POST", f"/projects/{web}/pipeline-definitions", json=body)).status == 400
    made = (await api("POST", root, json=body)).json
    assert made["config_source"]["repo"] == {"full_name": "Acme Labs/repository-12", "external_id": "12"}
    assert [each["id"] for each in (await api.get(root))["items"]] == [first["id"], made["id"]]
    changed = (await api("PATCH", f"{root}/{made['id']}", json={"config_source": {"file_path": "y.yml"}})).json
    assert changed["config_source"] == {**made["config_source"], "file_path": "y.yml"}
    assert (await api("PATCH", f"{root}/{made['id']}", json={"config_source": {"provider": "x"}})).status == 400

    triggers = f"{root}/{made['id']}/triggers"
    hook = {"event_source": {"provider": "webhook", "webhook": {"sender": "cron"}}, "event_name": "go"}
    trigger = (await api("POST", triggers, json=hook)).json
    assert trigger["event_source"]["webhook"]["url"].startswith("https://")
    path = f"/projects/{app}/triggers/{trigger['id']}"
    body = {"event_source": {"webhook": {"sender": "datadog"}}, "disabled": True}
    changed = (await api("PATCH", path, json=body)).json
    assert (changed["event_source"]["webhook"]["sender"], changed["disabled"]) == ("datadog", True)
    assert await api.get(path) == changed
    assert (await api.get(triggers))["items"] == [changed]
    assert (await api("PATCH", path, json={"event_preset": "sometimes"})).status == 400
    assert (await api("POST", triggers, json={"event_source": {"provider": "fax"}})).status == 400
    assert (await api("GET", f"/projects/{web}/triggers/{trigger['id']}")).status == 404

    for _ in range(2):
        assert (await api("DELETE", f"{root}/{made['id']}")).status == 200
    assert (await api("GET", f"{root}/{made['id']}")).status == 404
    assert (await api("GET", path)).status == 404
    assert len([change for change in api.server.changes if change[0] == "pipeline_definitions.delete"]) == 1


async def test_policies(api, acme):
    root = f"/owner/{acme}/context/config"
    images = await api.get(f"{root}/policy-bundle/images")
    assert await api.get(f"{root}/policy-bundle") == {"images": images}
    policies = {"images": images["content"], "more": "package org"}
    dry = await api("POST", f"{root}/policy-bundle?dry=true", json={"policies": policies})
    assert (dry.status, dry.json) == (200, {"created": ["more"], "deleted": [], "modified": []})
    assert (await api("GET", f"{root}/policy-bundle/more")).json == {"error": "policy not found"}
    real = await api("POST", f"{root}/policy-bundle", json={"policies": policies})
    assert (real.status, real.json) == (201, dry.json)
    assert (await api.get(f"{root}/policy-bundle"))["images"] == images
    assert (await api.get(f"{root}/decision/settings")) == {"enabled": True}
    assert (await api("PATCH", f"{root}/decision/settings", json={"enabled": False})).json == {"enabled": False}
    large = {"policies": {"large": "#" * 600_000}}
    assert (await api("POST", f"{root}/policy-bundle", json=large)).status == 413
    for path, status in [
        ("/owner/me/context/config/policy-bundle", 400),
        (f"/owner/{acme}/context/other/policy-bundle", 400),
        (f"/owner/{NOBODY}/context/config/policy-bundle", 403),
        (f"{root}/decision/{NOBODY}", 404),
    ]:
        reply = await api("GET", path)
        assert (reply.status, [*reply.json]) == (status, ["error"])


async def test_decisions_page_by_offset(api, acme):
    root = f"/owner/{acme}/context/config/decision"
    assert (await api("POST", root, json={"input": "image: cimg/base:2026.11"})).json["status"] == "PASS"
    assert (await api("POST", root, json={"input": "image: cimg/base # soft"})).json["status"] == "SOFT_FAIL"
    failed = (await api("POST", root, json={"input": "image: cimg/base"})).json
    assert failed["hard_failures"][0]["rule"] == "require_pinned_images"
    pages = [await api.get(f"{root}?offset={offset}") for offset in (0, 20, 40)]
    decisions = [decision for page in pages for decision in page]
    assert len(decisions) == len({decision["id"] for decision in decisions}) == 35
    assert [len(page) for page in pages] == [20, 15, 0]
    times = [decision["created_at"] for decision in decisions]
    assert times == sorted(times, reverse=True)
    passed = await api.get(f"{root}?status=PASS")
    assert {decision["decision"]["status"] for decision in passed} == {"PASS"}
    branch = decisions[5]["metadata"]["vcs"]["branch"]
    for decision in await api.get(f"{root}?branch={quote(branch, safe='')}&before={times[3]}"):
        assert decision["metadata"]["vcs"]["branch"] == branch
    bundle = await api.get(f"{root}/{decisions[0]['id']}/policy-bundle")
    assert bundle.keys() == decisions[0]["policies"].keys()
    assert (await api("GET", f"{root}?offset=-1")).status == 400


async def test_schedules(api):
    path = f"/project/{WEB}/schedule"
    assert [schedule["name"] for schedule in await api.walk(path)] == ["nightly"]
    timetable = {"per-hour": 1, "hours-of-day": [3, 4], "days-of-week": ["MON"]}
    body = {"name": "w", "timetable": timetable, "attribution-actor": "system", "parameters": {"branch": "main"}}
    made = await api("POST", path, json=body)
    assert (made.status, made.json["project-slug"], made.json["description"]) == (201, WEB, None)
    assert made.json["actor"]["login"] == "system-actor"
    one = f"/schedule/{made.json['id']}"
    changed = await api("PATCH", one, json={"timetable": {"per-hour": 2}, "attribution-actor": "current"})
    assert changed.json["timetable"] == {**timetable, "per-hour": 2}
    assert changed.json["actor"]["login"] == "mira-holm"
    assert await api.get(one) == changed.json
    assert (await api("DELETE", one)).status == 200
    assert (await api("GET", one)).status == 404
    for wrong in (
        {"name": ""},
        {"attribution-actor": "me"},
        {"timetable": {"per-hour": 0}},
        {"timetable": {"per-hour": 1, "hours-of-day": [1]}},
        {"timetable": {**timetable, "days-of-week": ["Mo"]}},
        {"timetable": {**timetable, "per_hour": 1}},
        {"parameters": None},
    ):
        assert (await api("POST", path, json={**body, **wrong})).status == 400
    standalone = f"/project/{api.server.projects[2]}/schedule"
    assert await api.walk(standalone) == []
    assert (await api("POST", standalone, json=body)).status == 400


async def test_webhooks(api, web):
    listed = await api.get(f"/webhook?scope-id={web}&scope-type=project")
    assert (len(listed["items"]), listed["next_page_token"]) == (1, None)
    body = {
        "name": "bot",
        "events": ["job-completed"],
        "url": "https://bot.example/",
        "verify-tls": False,
        "signing-secret": "hunter2",
        "scope": {"id": web, "type": "project"},
    }
    made = await api("POST", "/webhook", json=body)
    assert (made.status, made.json["signing_secret"], made.json["verify_tls"]) == (201, "****", False)
    path = f"/webhook/{made.json['id']}"
    changed = (await api("PUT", path, json={"name": "robot"})).json
    assert (changed["name"], changed["url"], changed["signing_secret"]) == ("robot", "https://bot.example/", "")
    changed = (await api("PUT", path, json={"signing-secret": "new", "scope": {"id": NOBODY}})).json
    assert (changed["signing_secret"], changed["scope"]) == ("****", body["scope"])
    snake = {"verify_tls": False, "signing_secret": "x", **{k: body[k] for k in ("name", "events", "url", "scope")}}
    dropped = await api("POST", "/webhook", json=snake)
    assert (dropped.status, dropped.json["verify_tls"], dropped.json["signing_secret"]) == (201, True, "")
    for _ in range(2):
        assert (await api("POST", "/webhook", json=body)).status == 201
    assert (await api("POST", "/webhook", json=body)).status == 400
    assert (await api("DELETE", path)).status == 200
    assert (await api("DELETE", path)).status == 404
    for wrong in ({"events": ["x"]}, {"url": "bot"}, {"scope": {"id": web, "type": "org"}}, {"verify-tls": "no"}):
        assert (await api("POST", "/webhook", json={**body, **wrong})).status == 400
    assert (await api("GET", f"/webhook?scope-id={web}")).status == 400


def _day(api, days):
    return datetime.datetime.fromtimestamp(api.server.state.midnight + days * 86_400, datetime.UTC).isoformat()


async def test_a_usage_export(api, acme):
    path = f"/organizations/{acme}/usage_export_job"
    made = await api("POST", path, json={"start": _day(api, -7), "end": _day(api, 0)})
    assert (made.status, made.json["state"], made.json["download_urls"]) == (201, "created", None)
    assert made.json["start"].endswith("T00:00:00Z")
    one = f"{path}/{made.json['usage_export_job_id']}"
    assert (await api.get(one))["state"] == "processing"
    first, second = await api.get(one), await api.get(one)
    assert first["state"] == second["state"] == "completed"
    assert first["download_urls"] != second["download_urls"]
    url = first["download_urls"][0]
    assert url.startswith("http://localhost:")
    async with aiohttp.ClientSession() as session:
        async with session.get(url) as response:
            assert response.status == 200
            text = gzip.decompress(await response.read()).decode()
        for headers in ({"Circle-Token": api.server.token}, {"Authorization": f"Bearer {api.server.token}"}):
            async with session.get(url, headers=headers) as response:
                assert response.status == 400
        async with session.get(url[:-4]) as response:
            assert response.status == 403
    rows = list(csv.DictReader(text.splitlines()))
    assert len(rows) > 50
    assert all(row["ORGANIZATION_ID"] == acme for row in rows)
    job = await api.get(f"/jobs/{rows[0]['JOB_ID']}")
    assert (job["name"], job["status"]) == (rows[0]["JOB_NAME"], rows[0]["JOB_BUILD_STATUS"])
    assert job["started_at"] == rows[0]["JOB_RUN_STARTED_AT"].replace(" ", "T") + "Z"
    assert {r"\N"} & {value for row in rows for value in row.values()}


async def test_usage_exports_without_result(api, acme):
    path = f"/organizations/{acme}/usage_export_job"
    none = {"start": _day(api, -200), "end": _day(api, -190)}
    for body, state in ((none, "completed"), ({**none, "shared_org_ids": [NOBODY]}, "failed")):
        made = (await api("POST", path, json=body)).json
        for _ in range(2):
            shown = await api.get(f"{path}/{made['usage_export_job_id']}")
        assert (shown["state"], shown["download_urls"]) == (state, None)
        assert ("error_reason" in shown) == (state == "failed")
    for wrong in (
        {"start": _day(api, -40)},
        {"start": _day(api, -370), "end": _day(api, -360)},
        {"end": _day(api, 2)},
        {"start": _day(api, 0)},
        {"start": "2026-11-01"},
        {"shared_org_ids": ["acme"]},
        {"format": "csv"},
    ):
        reply = await api("POST", path, json={"start": _day(api, -1), "end": _day(api, 0), **wrong})
        assert reply.status == 400
    assert reply.json == {"message": "Unexpected field 'format'"}
    assert (await api("GET", f"{path}/{NOBODY}")).status == 404
    assert (await api("POST", f"/organizations/{NOBODY}/usage_export_job", json=none)).status == 404


async def test_artifacts(api):
    for run in (await api.get(f"/insights/{WEB}/workflows/build-and-test?all-branches=true"))["items"]:
        if run["status"] == "success":
            break
    jobs = {job["name"]: job["job_number"] for job in (await api.get(f"/workflow/{run['id']}/job"))["items"]}
    artifacts = await api.walk(f"/project/{WEB}/{jobs['unit-tests']}/artifacts")
    assert [(artifact["node_index"], artifact["path"]) for artifact in artifacts[:3]] == [
        (0, "coverage/index.html"),
        (0, "junit.xml"),
        (1, "coverage/index.html"),
    ]
    token = {"Circle-Token": api.server.token}
    async with aiohttp.ClientSession() as session:
        async with session.get(artifacts[0]["url"], headers=token) as response:
            assert (response.status, response.content_type) == (200, "text/html")
        async with session.get(artifacts[1]["url"]) as response:
            assert response.status == 404
        async with session.get(artifacts[1]["url"], headers=token, allow_redirects=False) as response:
            assert response.status == 302
            location = response.headers["Location"]
        assert location.startswith("http://localhost:")
        async with session.get(location, headers=token) as response:
            assert response.status == 400
        async with session.get(location) as response:
            assert (await response.text()).startswith("<testsuite")
        async with session.get(f"{artifacts[1]['url']}.gz", headers=token) as response:
            assert response.status == 404
