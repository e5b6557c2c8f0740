"""Install the lowest versions that pyproject.toml allows into a fresh environment, and run the tests that use them.

    python -m tests.floors           # make the environment, run the tests, audit the versions
    python -m tests.floors --show    # only print the versions

The audit uses pip-audit, which needs its advisory database: without network the report states that it was not reached.
The exit status is 1 if a test fails or a version has a known vulnerability.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path
from typing import Final

from packaging.requirements import Requirement

ROOT: Final = Path(__file__).parents[1]
# Tests that use each dependency: aiohttp, yarl and tenacity over HTTP, attrs, cattrs and msgspec in decoding, rich.
TESTS: Final = ("tests/unit", "tests/http", "tests/cli", "tests/docs/test_code_blocks.py")
# Of the extra `test`, without checkers and builders. pytest finds the package by PYTHONPATH.
TOOLS: Final = {
    "aioresponses-ng",
    "fastapi",
    "httpx",
    "hypothesis",
    "jsonschema",
    "packaging",
    "pytest",
    "pytest-asyncio",
    "pytest-randomly",
    "pytest-xdist",
    "starlette",
    "trustme",
}


def floors() -> list[str]:
    """Return the lowest version of each dependency, also of the command's."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    required = [*project["dependencies"], *project["optional-dependencies"]["cli"]]
    pinned: list[str] = []
    for text in required:
        requirement = Requirement(text)
        (floor,) = [each.version for each in requirement.specifier if each.operator == ">="]
        pinned.append(f"{requirement.name}=={floor}")
    return pinned


def environment(folder: Path, pinned: list[str]) -> Path:
    """Make an environment with the floors and the tools of the tests, and return its interpreter."""
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    python = folder / "bin" / "python"
    constraints = folder / "floors.txt"
    constraints.write_text("\n".join(pinned) + "\n")
    install = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    tools = [text for text in extras["test"] if Requirement(text).name in TOOLS]
    subprocess.run([*install, "-c", str(constraints), *pinned, *tools], check=True)
    return python


def audit(python: Path, pinned: list[str]) -> bool:
    """Report vulnerabilities of the floors. Return False if there are any.

    pip-audit succeeds with a skip reason for each version that the advisory database does not list.
    """
    listed = python.parents[1] / "audited.txt"
    listed.write_text("\n".join(pinned) + "\n")
    command = [sys.executable, "-m", "pip_audit", "--no-deps", "--disable-pip", "-f", "json", "-r", str(listed)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    try:
        dependencies = json.loads(done.stdout)["dependencies"]
    except (ValueError, KeyError):
        reason = (done.stderr.strip().splitlines() or ["no output"])[-1]
        print(f"audit: not done, the advisory database was not reached: {reason[:200]}")
        return True
    skipped = [each["name"] for each in dependencies if "skip_reason" in each]
    if skipped:
        print(f"audit: not done for {', '.join(skipped)}: the advisory database was not reached or does not list them")
    if len(skipped) == len(dependencies):
        return True
    vulnerable = {each["name"]: [found["id"] for found in each["vulns"]] for each in dependencies if each.get("vulns")}
    print(
        f"audit: {len(dependencies) - len(skipped)} of {len(dependencies)} audited, vulnerable: {vulnerable or 'none'}"
    )
    return not vulnerable


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="python -m tests.floors")
    parser.add_argument("--show", action="store_true", help="only print the versions")
    options = parser.parse_args()
    pinned = floors()
    print(*pinned, sep="\n")
    if options.show:
        return
    with tempfile.TemporaryDirectory() as folder:
        python = environment(Path(folder) / "env", pinned)
        command = [str(python), "-m", "pytest", "-q", "-n", "2", "--dist", "worksteal", "-m", "not checks"]
        command += ["-p", "no:cacheprovider", *TESTS]
        tests = subprocess.run(command, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, check=False)
        sound = audit(python, pinned)
    print(f"tests at the floors: {'pass' if tests.returncode == 0 else 'FAIL'}")
    sys.exit(tests.returncode != 0 or not sound)


if __name__ == "__main__":
    main()
