"""API v1.1 over HTTP: the fourteen operations, and what responses lack on GitHub App projects."""

from __future__ import annotations

from collections.abc import Callable

import attrs
import pytest

from aiocircle import CircleCI, InvalidArgument, NotFound
from aiocircle.testing import JobStory, LocalCircleCI, StepStory, Story, WorkflowStory
from aiocircle.v1.builds import Build, BuildSummary

WEB = "gh/acme/web"
STEPS = [StepStory("checkout", output="ok\r\n"), StepStory("pytest", status="timedout", errors="stuck\n")]


async def run_job(server: LocalCircleCI, circle: CircleCI, job: JobStory, project: str = WEB) -> int:
    """The number of a job that has begun."""
    server.script(project, Story([WorkflowStory("build", [job])], workflow_delay=0))
    pipeline_id = server.start_pipeline(project)
    (workflow,) = await circle.pipelines.list_workflows(pipeline_id).collect()
    (listed,) = await circle.workflows.list_jobs(workflow.id).collect()
    assert listed.job_number is not None
    return listed.job_number


async def test_all_operations_over_http(server: LocalCircleCI, circle: CircleCI) -> None:
    """Each of the fourteen is sent, understood and read."""
    v1 = circle.v1
    number = await run_job(server, circle, JobStory("test", 100, steps=STEPS))
    build = await v1.builds.get(WEB, number)
    assert (build.build_num, build.username, build.is_finished) == (number, "acme", False)
    assert [each.build_num for each in await v1.builds.list(WEB).collect(limit=1)] == [number]
    assert {each.branch for each in await v1.builds.list(WEB, branch="main").collect(limit=5)} == {"main"}
    assert await v1.builds.list_recent(shallow=True).collect(limit=3)
    assert [user.login for user in (await v1.builds.add_ssh_user(WEB, number)).ssh_users] == ["mira-holm"]
    assert (await v1.builds.cancel(WEB, number)).status == "canceled"
    followed = await v1.projects.list_followed().collect()
    assert len(followed) == 3
    assert (await v1.projects.unfollow(WEB)).following is False
    assert len(await v1.projects.list_followed().collect()) == 2
    assert (await v1.projects.follow(WEB)).following is True
    await v1.projects.clear_cache(WEB)
    await v1.projects.add_ssh_key(WEB, hostname="github.com", private_key="-----BEGIN")
    settings = await v1.projects.get_settings(WEB)
    assert settings.vcs_type == "github"
    assert settings.feature_flags
    assert all("_" not in name for name in settings.feature_flags)
    (key,) = settings.ssh_keys
    assert key.fingerprint is not None
    await v1.projects.delete_ssh_key(WEB, hostname="github.com", fingerprint=key.fingerprint)
    with pytest.raises(NotFound, match="checkout key not found"):
        await v1.projects.delete_ssh_key(WEB, hostname="github.com", fingerprint=key.fingerprint)
    assert (await v1.projects.get_settings(WEB)).ssh_keys == ()
    await run_job(server, circle, JobStory("store", 0, artifacts=["a b.txt"]))
    (artifact,) = await v1.projects.list_latest_artifacts(WEB, branch="main", filter="successful").collect()
    assert (artifact.path, artifact.url.endswith("/a+b.txt")) == ("a b.txt", True)
    me = await v1.users.me()
    assert (me.login, me.name) == ((await circle.users.me()).login, "Mira Holm")
    v1_operations = {name for name in server.statistics.operations if name.startswith("v1.")}
    assert len(v1_operations) == 14


async def test_a_lists_pages_follow_each_other(server: LocalCircleCI, circle: CircleCI) -> None:
    """By offset, a hundred a page, until a page is short; each build once and in order."""
    builds = await circle.v1.builds.list(WEB).collect()
    numbers = [build.build_num for build in builds]
    assert numbers == sorted(set(numbers), reverse=True)
    offsets = [dict(request.query).get("offset") for request in server.requests]
    assert offsets == [None, *[str(each) for each in range(100, len(builds) + 1, 100)]]
    rest = await circle.v1.builds.list(WEB, page_token="150").collect()
    assert [build.build_num for build in rest] == numbers[150:]


async def test_builds_that_arrive_repeat_nothing(server: LocalCircleCI, circle: CircleCI) -> None:
    """New builds push those of one page to the next: each is still yielded once, and none is lost."""
    expected = [build.build_num for build in await circle.v1.builds.list(WEB).collect()]
    seen: list[int] = []
    async for page in circle.v1.builds.list(WEB).pages():
        seen += [build.build_num for build in page.items]
        await run_job(server, circle, JobStory("new", 0))
        await run_job(server, circle, JobStory("newer", 0))
    assert seen == expected


async def test_followed_projects_are_one_page(server: LocalCircleCI) -> None:
    """The list has more than a hundred, and the API ignores an offset: a second request would repeat it."""
    projects = [f"gh/acme/service-{number:03}" for number in range(120)]
    async with LocalCircleCI(projects) as server, CircleCI(server.token, base_url=server.url) as circle:
        followed = await circle.v1.projects.list_followed().collect()
        assert len(followed) == 120
        assert len(server.requests) == 1
        with pytest.raises(InvalidArgument, match="page_token"):
            circle.v1.projects.list_followed(page_token="100")


async def test_a_steps_timeout_is_read(server: LocalCircleCI, circle: CircleCI) -> None:
    """It has neither an exit code nor `failed`, and a step without output has no URL."""
    number = await run_job(server, circle, JobStory("test", 0, status="timedout", steps=STEPS))
    build = await circle.v1.builds.get(WEB, number)
    last = build.steps[-1].actions[0]
    assert (last.status, last.failed, last.exit_code, last.timedout) == ("timedout", None, None, True)
    assert last.output_url is not None
    assert last.output_url not in repr(build)


def missing(build: BuildSummary) -> set[str]:
    return {field.name for field in attrs.fields(Build) if getattr(build, field.name, None) in (None, "", ())}


async def test_github_app_builds_lack_the_commit(server: LocalCircleCI, circle: CircleCI) -> None:
    """Neither a revision nor a commit nor a user; list, detail and cancel read all the same."""
    standalone = server.projects[2]
    (classic,) = await circle.v1.builds.list(WEB, branch="main", filter="successful").collect(limit=1)
    (build,) = await circle.v1.builds.list(standalone, branch="main", filter="successful").collect(limit=1)
    commit = {"subject", "body", "author_name", "author_email", "author_date"}
    commit |= {name.replace("author", "committer") for name in commit}
    assert missing(build) - missing(classic) <= commit | {"vcs_revision"}
    assert {"vcs_revision"} <= missing(build)
    assert build.user is not None
    assert (build.user.login, build.user.is_user) == (None, False)
    detail = await circle.v1.builds.get(standalone, build.build_num)
    assert detail.steps
    assert (detail.vcs_type, detail.vcs_revision) == ("circleci", None)
    settings = await circle.v1.projects.get_settings(standalone)
    assert settings.vcs_type == "circleci"


async def test_a_private_key_is_in_no_traceback(circle: CircleCI, answer: Callable[..., None]) -> None:
    """Nor in the error or its repr, also if the server repeats it."""
    answer({"message": "bad key"}, status=400)
    key = "-----BEGIN" + "-a-very-private-key"
    try:
        await circle.v1.projects.add_ssh_key(WEB, hostname=None, private_key=key)
    except Exception as error:
        shown = repr(error) + str(error)
        frame = error.__traceback__
        while frame is not None:
            if frame.tb_frame.f_code.co_name == "add_ssh_key":
                shown += repr(frame.tb_frame.f_locals)
            frame = frame.tb_next
    else:
        raise AssertionError("the server has refused the key")
    assert "very-private" not in shown


async def test_a_private_key_is_text(server: LocalCircleCI, circle: CircleCI) -> None:
    """Bytes are refused before anything is sent, without showing them."""
    with pytest.raises(InvalidArgument, match=r"private_key must be a str, got bytes\."):
        await circle.v1.projects.add_ssh_key(WEB, hostname=None, private_key=b"-----BEGIN")  # type: ignore[arg-type]
    assert server.requests == []
