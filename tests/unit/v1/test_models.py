"""Models of API v1.1: what recorded responses hold, what they lack, what they send as null."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from aiocircle._core.decode import decode
from aiocircle.v1.builds import Build, BuildAction, BuildSummary, BuildUser
from aiocircle.v1.projects import FollowedProject, Following, LatestArtifact, ProjectSettings
from aiocircle.v1.users import User
from tests.support.rows import each_row


def read(model: Any, value: Any) -> Any:
    return decode(model, msgspec.json.encode(value))


def test_build_is_read() -> None:
    """With steps, actions whose exit code is null, offsets, and fractions of two digits."""
    build = read(
        Build,
        {
            "build_num": 7,
            "status": "failed",
            "lifecycle": "finished",
            "start_time": "2026-11-20T09:14:05.12Z",
            "author_date": "2017-03-01T10:00:00-07:00",
            "committer_date": None,
            "job_name": None,
            "retries": [8, 9],
            "workflows": {"job_name": "test", "workflow_id": "w", "upstream_concurrency_map": {}},
            "user": {"is_user": False, "login": None, "vcs_type": "github"},
            "ssh_users": [{"github_id": 5, "login": "mona"}],
            "build_parameters": {"A": "1"},
            "steps": [
                {
                    "name": "test",
                    "actions": [{"index": 0, "step": 101, "status": "timedout", "failed": None, "exit_code": None}],
                }
            ],
        },
    )
    assert build.steps[0].actions[0] == BuildAction(index=0, step=101, status="timedout")
    assert build.user == BuildUser(is_user=False, vcs_type="github")
    assert build.workflows.job_name == "test"
    assert build.start_time.microsecond == 120_000
    assert build.author_date.utcoffset().total_seconds() == -7 * 3600
    assert build.is_finished
    assert isinstance(hash(build), int)


@pytest.mark.parametrize("lifecycle", ["queued", "running", "not_run", None])
def test_build_that_runs_is_not_finished(lifecycle: str | None) -> None:
    """Before it starts it has no steps."""
    build = read(Build, {"build_num": 7, "lifecycle": lifecycle, "steps": []})
    assert not build.is_finished
    assert build.steps == ()


@each_row(
    ("model", "least"),
    [
        (BuildSummary, {"build_num": 1}),
        (FollowedProject, {}),
        (Following, {"following": False}),
        (LatestArtifact, {"path": "a", "url": "https://x"}),
        (ProjectSettings, {}),
        (User, {}),
    ],
)
def test_model_needs_little(model: Any, least: dict[str, Any]) -> None:
    """Rows lack most of their fields; unknown keys are ignored."""
    assert read(model, {**least, "a-new-key": [1]}) == model(**least)


def test_settings_have_both_spellings() -> None:
    """`vcs-type`, and flags of the API's own spelling."""
    settings = read(ProjectSettings, {"vcs-type": "github", "feature_flags": {"build-fork-prs": True, "oss": None}})
    assert settings.vcs_type == read(ProjectSettings, {"vcs_type": "github"}).vcs_type == "github"
    assert settings.feature_flags == {"build-fork-prs": True, "oss": None}


def test_follow_and_unfollow_are_read() -> None:
    """A first build, null, or nothing."""
    assert read(Following, {"following": True, "workflow": False, "first_build": None}).following
    assert read(Following, {"following": True, "first_build": {"build_num": 3}}).first_build.build_num == 3


def test_output_url_stays_out_of_the_repr() -> None:
    """It is signed: it works without a token."""
    assert "X-Amz" not in repr(BuildAction(output_url="https://s3/x?X-Amz-Signature=1"))
