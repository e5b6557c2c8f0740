"""The pytest plugin in a pytest of its own, and the server on a clock of its own."""

from __future__ import annotations

import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[2]

TEST = """
import aiohttp
import pytest

@pytest.mark.asyncio
async def test_me(local_circleci):
    async with aiohttp.ClientSession(headers={"Circle-Token": local_circleci.token}) as session:
        async with session.get(f"{local_circleci.url}/api/v2/me") as response:
            assert response.status == 200
"""


def _python(*arguments: str, cwd: pathlib.Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *arguments]
    return subprocess.run(command, cwd=cwd, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False)


@pytest.mark.checks
@pytest.mark.parametrize("mode", ["auto", "strict"])
def test_the_fixture_in_both_modes_of_pytest_asyncio(tmp_path, mode):
    (tmp_path / "test_it.py").write_text(TEST)
    plugins = ["-p", "pytest_asyncio.plugin", "-p", "aiocircle.testing.pytest_plugin"]
    options = ["-q", "-W", "error", "-o", f"asyncio_mode={mode}", "-o", "asyncio_default_fixture_loop_scope=function"]
    code = "import os, sys, pytest; os.environ['PYTEST_DISABLE_PLUGIN_AUTOLOAD'] = '1'; sys.exit(pytest.main({}))"
    code = code.format(plugins + options)
    done = _python("-c", code, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.checks
def test_the_plugin_imports_no_server(tmp_path):
    code = "import sys, aiocircle.testing.pytest_plugin; sys.exit('aiohttp' in sys.modules or 'attrs' in sys.modules)"
    assert _python("-c", code, cwd=tmp_path).returncode == 0


@pytest.mark.checks
def test_without_pytest_asyncio_only_the_fixture_is_missing(tmp_path):
    code = (
        "import sys; sys.modules['pytest_asyncio'] = None; from aiocircle.testing.pytest_plugin import local_circleci"
    )
    assert _python("-c", code, cwd=tmp_path).returncode == 0


def test_all_waiting_is_of_the_loops_time(clocked):
    """An hour that passes on the loop alone refills limits, ends workflows and spoils signed URLs."""

    async def main(api, clock):
        made = await api("POST", "/project/gh/acme/web/pipeline", json={})
        assert made.status == 201
        assert (await api("GET", "/me")).status == 429
        clock.wait(101)
        page = await api.get(f"/pipeline/{made.json['id']}/workflow")
        assert [workflow["status"] for workflow in page["items"]] == ["running", "running"]
        clock.wait(3600)
        page = await api.get(f"/pipeline/{made.json['id']}/workflow")
        assert [workflow["status"] for workflow in page["items"]] == ["on_hold", "success"]

    clocked(main, rate_limit=0.01, workflow_seconds=3000, workflow_delay=30)
