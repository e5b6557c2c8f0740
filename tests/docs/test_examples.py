"""The programs of docs/examples run as they stand, against a local CircleCI."""

from __future__ import annotations

import csv
import gzip
from collections import Counter
from datetime import UTC, datetime, timedelta
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import pytest

from aiocircle import CircleCI
from aiocircle.testing import JobStory, LocalCircleCI, StepStory, Story, WorkflowStory

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"
WEB = "gh/acme/web"


def load(name: str) -> Any:
    spec = spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("is_job", [True, False])
async def test_triage(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, is_job: bool
) -> None:
    """From a link to a job or a workflow: last lines of failing steps, failing tests, artifacts; in under 30 lines."""
    assert len((EXAMPLES / "triage.py").read_text("utf-8").splitlines()) < 30
    steps = [StepStory("checkout", output="quiet\n"), StepStory("pytest", output=8000, status="failed", exit_code=1)]
    job = JobStory("test", 0, status="failed", steps=steps, artifacts=["report/index.html"], tests=60)
    async with LocalCircleCI([WEB]) as server, CircleCI(server.token, base_url=server.url) as circle:
        monkeypatch.setenv("CIRCLECI_BASE_URL", server.url)
        monkeypatch.setenv("CIRCLECI_TOKEN", server.token)
        server.script(WEB, Story([WorkflowStory("build", [JobStory("fine", 0), job])], workflow_delay=0))
        (workflow,) = await circle.pipelines.list_workflows(server.start_pipeline(WEB)).collect()
        number = (await circle.workflows.list_jobs(workflow.id).collect())[1].job_number
        url = f"https://app.circleci.com/pipelines/github/acme/web/1/workflows/{workflow.id}"
        await load("triage").triage(f"{url}/jobs/{number}" if is_job else url, str(tmp_path))
        failed = await circle.jobs.list_failed_tests(WEB, number).collect()
    printed = capsys.readouterr().out
    assert "pytest, node 0: failed" in printed
    assert "Exited with code exit status 1" in printed
    assert "quiet" not in printed
    assert failed
    assert all(f"{test.classname}.{test.name}: " in printed for test in failed)
    assert f"{tmp_path / 'report' / 'index.html'}: 1024 bytes" in printed
    assert (tmp_path / "report" / "index.html").stat().st_size == 1024


async def test_usage_credits(tmp_path: Path) -> None:
    """The credits of seats are not a run's: the sum is that of the runs, as the csv module alone finds it."""
    async with LocalCircleCI() as server, CircleCI(server.token, base_url=server.url) as circle:
        org_id = (await circle.projects.get(WEB)).organization_id or ""
        total = await load("usage_credits").sum_credits(circle, org_id)
        end = datetime.now(UTC) - timedelta(minutes=1)
        (path,) = await circle.usage.download_export(org_id, tmp_path, start=end - timedelta(days=30), end=end)
    expected: Counter[str] = Counter()
    seats = 0.0
    with gzip.open(path, "rt", newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            expected[row["PROJECT_NAME"]] += float(row["TOTAL_CREDITS"]) - float(row["USER_CREDITS"])
            seats += float(row["USER_CREDITS"])
    assert total == pytest.approx(dict(expected))
    assert seats > 0
