"""Events in each variant that CircleCI is known to send."""

from __future__ import annotations

from typing import Any

WEBHOOK = {"id": "cf8c4fdd-0587-4da1-b4ca-4846e9640af9", "name": "Sample"}
PROJECT = {"id": "84996744-a854-4f5e-aea3-04e2851dc1d2", "name": "web", "slug": "github/acme/web"}
APP_SLUG = "circleci/8SYxXhCB5Hm9gfr3qZTQrE/9G5Sz3bnCbSrdm2LdJzPjc"
ORGANIZATION = {"id": "f22b6566-597d-46d5-ba74-99ef5bb3d85c", "name": "acme"}
WORKFLOW = {
    "id": "fda08377-fe7e-46b1-8992-3a7aaecac9c3",
    "name": "build-test-deploy",
    "created_at": "2026-09-01T22:49:03.616Z",
    "stopped_at": "2026-09-01T22:49:34.170Z",
    "url": "https://app.circleci.com/pipelines/github/acme/web/130/workflows/fda08377-fe7e-46b1-8992-3a7aaecac9c3",
}
JOB = {
    "id": "8bd71c28-4969-3677-8940-3e3a61c46660",
    "name": "test",
    "number": 136,
    "status": "success",
    "started_at": "2026-09-01T22:49:12.279Z",
    "stopped_at": "2026-09-01T22:49:34.188Z",
}
COMMIT = {
    "subject": "Add a button",
    "body": "",
    "author": {"name": "Ada", "email": "ada@example.com"},
    "authored_at": "2026-09-01T22:48:53Z",
    "committer": {"name": "Ada", "email": "ada@example.com"},
    "committed_at": "2026-09-01T22:48:53Z",
}
NO_COMMIT = dict.fromkeys(COMMIT)
VCS = {
    "provider_name": "github",
    "origin_repository_url": "https://github.com/acme/web",
    "target_repository_url": "https://github.com/acme/web",
    "revision": "1dc6aa69429bff4806ad6afe58d3d8f57e25973e",
    "branch": "main",
    "commit": COMMIT,
}
GIT = {
    "tag": "",
    "branch": "main",
    "ref": "refs/heads/main",
    "checkout_sha": "1dc6aa69429bff4806ad6afe58d3d8f57e25973e",
    "checkout_url": "https://example.com/acme/web.git",
}
CIRCLECI = {
    "event_time": "2026-09-01T22:48:59Z",
    "event_type": "push",
    "trigger_type": "github_app",
    "trigger_id": "2faf0d0f-8c6e-4d8d-8b42-5b2a2b3c1f64",
    "actor_id": "6a19122c-82ba-41e9-ba4e-8fe4a1dcdb3e",
    "config_source_id": "ba1f4ba2-7a5e-4ee9-9b6c-3d2d7b5c0a5e",
}


def pipeline(**maps: Any) -> dict[str, Any]:
    return {
        "id": "1285fe1d-d3a6-44fc-8886-8979558254c4",
        "number": 130,
        "created_at": "2026-09-01T22:49:03.544Z",
        "trigger": {"type": "webhook"},
        **maps,
    }


def workflow_completed(event_id: str = "3888f21b-eaa7-38e3-8f3d-75a63bba8895", **maps: Any) -> dict[str, Any]:
    return {
        "type": "workflow-completed",
        "id": event_id,
        "happened_at": "2026-09-01T22:49:34.317311Z",
        "webhook": WEBHOOK,
        "project": PROJECT,
        "organization": ORGANIZATION,
        "pipeline": pipeline(vcs=VCS),
        "workflow": {**WORKFLOW, "status": "success"},
        **maps,
    }


def job_completed(event_id: str = "8bd71c28-4969-3677-8940-3e3a61c46660", **maps: Any) -> dict[str, Any]:
    return {**workflow_completed(event_id), "type": "job-completed", "workflow": WORKFLOW, "job": JOB, **maps}


_APP = {"project": {**PROJECT, "slug": APP_SLUG}}
_GITHUB_APP = {
    "git": {**GIT, "default_branch": "main", "commit_message": "Add a button", "author_login": "ada"},
    "github_app": {"forced": "false", "full_ref": "refs/heads/main", "commit_sha": GIT["checkout_sha"]},
    "circleci": {**CIRCLECI, "provider_actor_id": "4c1f"},
    "webhook": {"body": "{}"},
}
_GITLAB = {
    "git": GIT,
    "circleci": {**CIRCLECI, "trigger_type": "gitlab"},
    "gitlab": {"id": "33852820", "is_fork_merge_request": False, "username": "ada", "total_commits_count": "1"},
}
_BY_API = {
    "git": GIT,
    "circleci": {**CIRCLECI, "event_time": "2026-09-01 22:48:59.361740256 +0000 UTC", "event_type": "create pipeline"},
}
_BITBUCKET = {**VCS, "provider_name": "bitbucket", "commit": {**COMMIT, "committer": None, "committed_at": None}}

VARIANTS: dict[str, dict[str, Any]] = {
    "GitHub OAuth, workflow": workflow_completed(),
    "GitHub OAuth, job": job_completed(),
    "GitHub OAuth, tag": workflow_completed(pipeline=pipeline(vcs={**VCS, "branch": None, "commit": NO_COMMIT})),
    "GitHub OAuth, by API": workflow_completed(
        pipeline=pipeline(trigger={"type": "api"}, vcs={**VCS, "commit": NO_COMMIT})
    ),
    "Bitbucket, workflow": workflow_completed(pipeline=pipeline(vcs=_BITBUCKET)),
    "Bitbucket, job": job_completed(pipeline=pipeline(vcs=_BITBUCKET)),
    "GitHub App, workflow": workflow_completed(pipeline=pipeline(trigger_parameters=_GITHUB_APP), **_APP),
    "GitHub App, job": job_completed(pipeline=pipeline(trigger_parameters=_GITHUB_APP), **_APP),
    "GitHub App, tag": workflow_completed(
        pipeline=pipeline(trigger_parameters={**_GITHUB_APP, "git": {**GIT, "branch": "", "tag": "v1.2"}}), **_APP
    ),
    "GitHub App, by API": job_completed(pipeline=pipeline(trigger={"type": "api"}, trigger_parameters=_BY_API), **_APP),
    "GitLab, workflow": workflow_completed(pipeline=pipeline(trigger_parameters=_GITLAB), **_APP),
    "GitLab, job without its workflow": {
        key: value
        for key, value in job_completed(pipeline=pipeline(trigger_parameters=_GITLAB), **_APP).items()
        if key != "workflow"
    },
    "workflow without its optional fields": workflow_completed(
        pipeline=pipeline(), workflow={key: WORKFLOW[key] for key in ("id", "name", "created_at", "url")}
    ),
    "workflow with fields of tomorrow": workflow_completed(novel={"a": [1]}, raw=7, workflow={**WORKFLOW, "x": {}}),
    "ping": {"type": "ping", "id": "0f3a", "happened_at": "2026-09-01T22:49:34.317311Z", "webhook": WEBHOOK},
    "test event, workflow": {"type": "workflow-completed", "id": "0f3b", "webhook": WEBHOOK},
    "test event, job": {"type": "job-completed", "id": "0f3c", "webhook": WEBHOOK},
    "type alone": {"type": "workflow-completed"},
    "unknown": {"type": "deploy-completed", "id": "0f3d", "deploy": {"x": 1}},
    "unknown without an id": {"type": "workflow-started", "id": 12},
}
