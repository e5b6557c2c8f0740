"""The pytest plugin in a pytest of its own, and the server on a clock of its own."""

from __future__ import annotations

import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[2]

ASYNC_TEST = """
import aiohttp
import pytest

@pytest.mark.asyncio(loop_scope={scope!r})
class TestIt:
    async def test_server(self, local_circleci):
        async with aiohttp.ClientSession(headers={{"Circle-Token": local_circleci.token}}) as session:
            async with session.get(f"{{local_circleci.url}}/api/v2/me") as response:
                assert response.status == 200

    async def test_client(self, local_circleci, circle):
        me = await circle.users.me()
        assert me.login
        assert [request.path for request in local_circleci.requests] == ["/api/v2/me"]

    async def test_each_test_has_a_server(self, local_circleci):
        assert local_circleci.requests == []
"""

SYNC_TEST = """
import asyncio
import urllib.request

def test_server(local_circleci):
    request = urllib.request.Request(f"{local_circleci.url}/api/v2/me", headers={"Circle-Token": local_circleci.token})
    with urllib.request.urlopen(request, timeout=10) as response:
        assert response.status == 200
    assert local_circleci.statistics.operations == {"users.me": 1}

def test_client(local_circleci, circle):
    async def main():
        async with circle:
            return await circle.users.me()

    assert asyncio.run(main()).login

def test_a_server_that_is_not_used(local_circleci):
    assert local_circleci.requests == []
"""


def _python(*arguments: str, cwd: pathlib.Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *arguments]
    environment = {"PYTHONPATH": str(ROOT), "PYTHONASYNCIODEBUG": "1"}
    # A fixture that waits for a loop that does not run would hang.
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False, timeout=60)


def _run_pytest(directory: pathlib.Path, test: str, *options: str) -> subprocess.CompletedProcess[str]:
    (directory / "test_it.py").write_text(test)
    plugins = ["-p", "pytest_asyncio.plugin", "-p", "aiocircle.testing.pytest_plugin"]
    arguments = ["-q", "-W", "error", "-o", "asyncio_default_fixture_loop_scope=function", *options]
    code = "import os, sys, pytest; os.environ['PYTEST_DISABLE_PLUGIN_AUTOLOAD'] = '1'; sys.exit(pytest.main({}))"
    return _python("-c", code.format(plugins + arguments), cwd=directory)


@pytest.mark.checks
@pytest.mark.parametrize("mode", ["auto", "strict"])
def test_fixture_in_loops_of_each_scope(tmp_path, mode):
    """The server runs in the loop of the test, for each scope and each mode of pytest-asyncio."""
    for scope in ("function", "class", "module", "package", "session"):
        (tmp_path / f"test_{scope}.py").write_text(ASYNC_TEST.format(scope=scope))
    done = _run_pytest(tmp_path, "", "-o", f"asyncio_mode={mode}")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "15 passed" in done.stdout


@pytest.mark.checks
def test_fixture_with_a_default_loop_scope(tmp_path):
    """The scope of the loop can also come from the configuration of pytest-asyncio."""
    test = ASYNC_TEST.format(scope="function").replace("(loop_scope='function')", "")
    done = _run_pytest(tmp_path, test, "-o", "asyncio_mode=auto", "-o", "asyncio_default_test_loop_scope=session")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 passed" in done.stdout


@pytest.mark.checks
@pytest.mark.parametrize("mode", ["auto", "strict"])
def test_fixture_in_synchronous_tests(tmp_path, mode):
    """The server runs in a thread of its own, so a blocking client and `asyncio.run` reach it."""
    done = _run_pytest(tmp_path, SYNC_TEST, "-o", f"asyncio_mode={mode}")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 passed" in done.stdout


@pytest.mark.checks
def test_fixture_without_pytest_asyncio(tmp_path):
    """Synchronous tests need no other plugin."""
    (tmp_path / "test_it.py").write_text(SYNC_TEST)
    code = (
        "import os, sys; sys.modules['pytest_asyncio'] = None; os.environ['PYTEST_DISABLE_PLUGIN_AUTOLOAD'] = '1'; "
        "import pytest; sys.exit(pytest.main(['-q', '-W', 'error', '-p', 'aiocircle.testing.pytest_plugin']))"
    )
    done = _python("-c", code, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 passed" in done.stdout


@pytest.mark.checks
def test_plugin_imports_no_server(tmp_path):
    """pytest loads the plugin in each environment that has aiocircle, so it must be cheap."""
    code = "import sys, aiocircle.testing.pytest_plugin; sys.exit('aiohttp' in sys.modules or 'attrs' in sys.modules)"
    assert _python("-c", code, cwd=tmp_path).returncode == 0


def test_time_is_that_of_the_loop(clocked):
    """An hour that passes only on the loop refills limits and ends workflows."""

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
