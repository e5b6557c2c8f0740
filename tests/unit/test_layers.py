"""The imports that the contracts in pyproject.toml cannot describe; what is loaded, exported and shipped."""

from __future__ import annotations

import ast
import importlib
import json
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from functools import cache
from pathlib import Path
from typing import Any

import pytest

import aiocircle
from tests import mutants
from tests.support.rows import each_row

ROOT = Path(aiocircle.__file__).parents[1]
PACKAGE = ROOT / "aiocircle"


def named(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


FILES = {named(path): path for path in sorted(PACKAGE.rglob("*.py"))}


@cache
def tree(module: str) -> ast.Module:
    return ast.parse(FILES[module].read_bytes())


@cache
def nodes(module: str) -> list[ast.AST]:
    return [*ast.walk(tree(module))]


# --- who imports whom -----------------------------------------------------------------------------------------

# They are run by the import of anything below them, so they must not import anything themselves.
EMPTY = {"aiocircle", "aiocircle._core", "aiocircle.composites", "aiocircle.resources", "aiocircle.v1"}


def last_name(node: ast.AST) -> str:
    """The name, or the last one of a dotted name; empty for everything else."""
    return node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""


@cache
def at_run_time(module: str) -> list[ast.AST]:
    """The nodes of a module that can run: inside functions too, but not below `if TYPE_CHECKING`."""
    found: list[ast.AST] = []
    todo: list[ast.AST] = [tree(module)]
    while todo:
        node = todo.pop()
        if isinstance(node, ast.If) and last_name(node.test) == "TYPE_CHECKING":
            todo += node.orelse
        else:
            found.append(node)
            todo += ast.iter_child_nodes(node)
    return found


def home(module: str, name: str) -> str:
    """The module that `from module import name` runs in the end."""
    if f"{module}.{name}" in FILES:
        return f"{module}.{name}"
    if module == "aiocircle":
        return aiocircle._HOMES.get(name, "aiocircle.errors")
    return module


@cache
def imports(module: str) -> set[str]:
    """Return the modules of the package that `module` imports at run time, in any place."""
    found: set[str] = set()
    package = module if FILES[module].name == "__init__.py" else module.rpartition(".")[0]
    for node in at_run_time(module):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names if alias.name.split(".")[0] == "aiocircle"}
        elif isinstance(node, ast.ImportFrom):
            above = package.rsplit(".", node.level - 1)[0] if node.level else ""
            origin = ".".join(filter(None, [above, node.module or ""]))
            if origin.split(".")[0] == "aiocircle":
                found |= {home(origin, alias.name) for alias in node.names}
    return found - {module}


def test_the_walk_sees_the_imports_that_are_there() -> None:
    """Plain, relative, from the root, and inside functions: else the tests below would pass on nothing."""
    assert "aiocircle.errors" in imports("aiocircle.slugs")
    assert "aiocircle.client" in imports("aiocircle.cli.insights")  # from aiocircle import CircleCI
    assert "aiocircle.testing.server" in imports("aiocircle.testing")  # relative, inside __getattr__
    assert "aiocircle.testing.serializers" in imports("aiocircle.testing.routes.users")  # from .. import serializers
    assert "aiocircle._core.group" in imports("aiocircle.resources.users")


@each_row("module", sorted(EMPTY))
def test_packages_import_nothing_of_the_package(module: str) -> None:
    """Their imports would be imported by everything, which also reverses the order of layers."""
    assert imports(module) == set()


def test_imports_are_static() -> None:
    """Only the package's lazy exports and groups import by a name that is made at run time."""
    dynamic = {
        module
        for module in FILES
        for node in at_run_time(module)
        if last_name(node) in ("import_module", "__import__", "exec_module")
    }
    assert dynamic == {"aiocircle", "aiocircle._groups"}


def test_the_version_is_a_leaf() -> None:
    """The build reads it without importing anything."""
    assert imports("aiocircle._version") == set()
    assert not any(isinstance(node, ast.Import | ast.ImportFrom) for node in ast.walk(tree("aiocircle._version")))


def test_the_local_server_is_a_second_opinion() -> None:
    """It shares nothing with the client: else a wrong path, key or slug is wrong on both sides, and passes."""
    for module in FILES:
        if module.split(".")[1:2] == ["testing"]:
            foreign = {name for name in imports(module) if not name.startswith("aiocircle.testing")}
            # The plugin gives tests a client, by the same import as its users.
            allowed = {"aiocircle.client"} if module == "aiocircle.testing.pytest_plugin" else {"aiocircle._version"}
            assert foreign <= allowed, module


# --- who speaks HTTP ------------------------------------------------------------------------------------------

# They name aiohttp's types, or serve; only the transport sends.
MAY_NAME_AIOHTTP = {
    "aiocircle._core.timeouts": {"ClientTimeout"},
    "aiocircle._config": {"ClientSession"},
    "aiocircle.client": {"ClientSession", "ClientTimeout", "TraceConfig"},
    "aiocircle.events.router": {"web"},
}
# The one creates sessions, the other sends over them.
SESSION = "aiocircle._core.session"
SENDS = "aiocircle._core.transport"


def aiohttp_names(module: str) -> tuple[set[str], set[str]]:
    """Return the names of aiohttp that a module uses, and those of them that it calls."""
    used: set[str] = set()
    called: set[str] = set()
    if b"aiohttp" not in FILES[module].read_bytes():
        return used, called
    for node in nodes(module):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "aiohttp":
            used |= {alias.name for alias in node.names}
        elif isinstance(node, ast.Attribute) and ast.unparse(node).startswith("aiohttp."):
            used.add(ast.unparse(node).split(".")[1])
        elif isinstance(node, ast.Call) and ast.unparse(node.func).startswith("aiohttp."):
            called.add(ast.unparse(node.func).split(".")[1])
    return used, called


def test_only_the_transport_sends() -> None:
    """Its exceptions end there, and so does the token."""
    assert "ClientSession" in aiohttp_names(SESSION)[1]
    assert "ClientSession" not in aiohttp_names(SENDS)[1]
    for module in FILES:
        used, called = aiohttp_names(module)
        if module in (SESSION, SENDS) or not used:
            continue
        if module == "aiocircle.testing.webhook_sender":
            assert used == {"ClientError", "ClientSession", "ClientTimeout"}, module
        elif module.startswith("aiocircle.testing."):
            assert used <= {"web"}, module
        else:
            assert used <= MAY_NAME_AIOHTTP.get(module, set()), module
            assert called <= {"ClientTimeout"}, module


def test_private_names_of_aiohttp_are_in_one_file() -> None:
    """A release of aiohttp may change them."""
    for module in FILES:
        literals = {node.value for node in nodes(module) if isinstance(node, ast.Constant)}
        names = {node.attr for node in nodes(module) if isinstance(node, ast.Attribute)}
        if not module.startswith("aiocircle.testing"):
            slots = {"aiocircle._core.polling"}  # has a `_loop` of its own
            assert module == SESSION or module in slots or not {"_loop", "_middlewares"} & literals, module
            assert "_middlewares" not in names, module


def test_no_other_http_client_is_used() -> None:
    """One transport, one set of rules for redirects, timeouts and the token. The loop of tests times a local socket."""
    others = {"requests", "httpx", "urllib3", "http", "urllib.request", "pycurl", "socket", "ssl"}
    for module in FILES:
        for node in nodes(module):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) and not node.level else []
            wrong = {name for name in names if name in others or name.split(".")[0] in others - {"http"}}
            # http.HTTPStatus is a table of numbers, and ssl.SSLContext an option of the client.
            if wrong in ({"http"}, {"ssl"}) and isinstance(node, ast.ImportFrom):
                wrong = {alias.name for alias in node.names} - {"HTTPStatus", "SSLContext"}
            allowed: set[str] = {"socket"} if module == "aiocircle.testing.virtual_time" else set()
            assert not wrong - allowed, module


# --- what is loaded when --------------------------------------------------------------------------------------


def run(code: str) -> Any:
    """Return the value that `code` prints as JSON, in a fresh interpreter."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


LOADED = "import json, sys; print(json.dumps([name for name in sys.modules if name.split('.')[0] in {0!r}]))"


@pytest.mark.checks
def test_importing_the_package_costs_nothing() -> None:
    """Until something of it is used."""
    heavy = ("aiocircle", "aiohttp", "attr", "attrs", "cattrs", "msgspec", "tenacity", "asyncio")
    loaded = run("import aiocircle; " + LOADED.format(heavy))
    assert loaded == ["aiocircle"]
    loaded = run("from aiocircle import NotFound, ServerError; " + LOADED.format(heavy))
    assert {*loaded} == {"aiocircle", "aiocircle.errors", "aiocircle._redact"}


@pytest.mark.checks
def test_logger_has_only_a_null_handler() -> None:
    """The logger has one NullHandler and no level. Where records go is for the application to decide."""
    code = "import json, logging, aiocircle.bulk; logger = logging.getLogger('aiocircle'); "
    found = run(code + "print(json.dumps([[type(each).__name__ for each in logger.handlers], logger.level]))")
    assert found == [["NullHandler"], 0]


WARN = """
import asyncio, json
from aiocircle import CircleCI, RetryPolicy
from aiocircle.testing import LocalCircleCI

async def main():
    async with LocalCircleCI(1) as server:
        server.inject("500")
        async with CircleCI(server.token, base_url=server.url, retry=RetryPolicy(base=0)) as circle:
            await circle.users.me()
        print(json.dumps(server.statistics.requests))

asyncio.run(main())
"""


@pytest.mark.checks
def test_warnings_print_nothing_by_default() -> None:
    """Without logging configured, a retry is a warning that does not reach stderr."""
    done = subprocess.run([sys.executable, "-c", WARN], capture_output=True, text=True, check=False, cwd=ROOT)
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout) == 2


@pytest.mark.checks
def test_a_client_loads_no_group() -> None:
    """Two hundred models cost as much as all of aiohttp. What paths, slugs and links need comes with the groups."""
    code = "import aiocircle; from aiocircle import CircleCI; circle = CircleCI(token='x'); repr(circle); dir(circle); "
    loaded = run(code + LOADED.format(("aiocircle",)))
    assert "aiocircle.client" in loaded
    packages = ("aiocircle.resources", "aiocircle.composites", "aiocircle.testing")
    assert [name for name in loaded if name.startswith(packages)] == []
    assert not {"aiocircle.bulk", "aiocircle.cli", "aiocircle.links", "aiocircle._core.endpoint"} & {*loaded}


def test_events_load_no_client() -> None:
    """A receiver of webhooks needs neither the client nor aiohttp."""
    loaded = run("import aiocircle.events; " + LOADED.format(("aiocircle", "aiohttp", "tenacity")))
    assert "aiocircle.events.router" in loaded
    assert not {"aiohttp", "tenacity", "aiocircle.client", "aiocircle._core.executor"} & {*loaded}
    assert [name for name in loaded if name.startswith("aiocircle.resources")] == []


# A group that shows another one's models.
SHARED = {"pipelines": {"workflows"}, "schedules": {"users"}, "triggers": {"pipeline_definitions"}}

# Parts of composites that are small.
SMALL = {
    "aiocircle.composites._branches",
    "aiocircle.composites._ids",
    "aiocircle.composites._job_waits",
    "aiocircle.composites._pipeline_bots",
    "aiocircle.composites._workflow_bots",
}

# Files that a composite group inherits from.
MIXINS = {"pipelines": {"_pipeline_files"}}

# A group with methods of several requests inherits the group of single requests.
COMPOSITES = {"jobs", "pipelines", "projects", "usage", "webhooks", "workflows"}

TOUCH_EACH = """
import json, sys
from aiocircle import CircleCI
from aiocircle._groups import LazyGroup, V2Groups

loaded = {}
for group in [name for name, value in vars(V2Groups).items() if isinstance(value, LazyGroup)]:
    for name in [name for name in sys.modules if name.startswith(("aiocircle.resources", "aiocircle.composites"))]:
        del sys.modules[name]
    getattr(CircleCI(token="x"), group)
    loaded[group] = sorted(name for name in sys.modules if name.startswith(("aiocircle.resources.", "aiocircle.comp")))
print(json.dumps(loaded))
"""


@pytest.mark.checks
def test_touching_a_group_loads_it_and_what_it_shares() -> None:
    """And no other: each is named like its module. What waits and streams need is loaded when one begins."""
    loaded = run(TOUCH_EACH)
    assert {"users", "projects", "pipelines", "workflows", "jobs", "insights"} <= {*loaded}
    for group, modules in loaded.items():
        expected = {f"resources.{name}" for name in (group, *SHARED.get(group, ()))}
        if expected & {"resources.workflows", "resources.jobs", "resources.insights"}:
            expected.add("resources._statuses")
        if group in COMPOSITES:
            expected |= {"composites", f"composites.{group}"}
        expected |= {f"composites.{name}" for name in MIXINS.get(group, ())}
        assert {*modules} - SMALL == {f"aiocircle.{name}" for name in expected}, group


@pytest.mark.checks
def test_every_group_is_on_the_client() -> None:
    """A module below `resources` is a group, and every group can be reached."""
    modules = {name.rpartition(".")[2] for name in FILES if name.startswith("aiocircle.resources.")}
    assert modules - {"_statuses"} == {*run(TOUCH_EACH)}
    composites = {name.rpartition(".")[2] for name in FILES if name.startswith("aiocircle.composites.")}
    assert {name for name in composites if not name.startswith("_")} == COMPOSITES


# --- what is exported -----------------------------------------------------------------------------------------


def test_every_module_can_be_imported() -> None:
    """All but the command, which would run."""
    for module in FILES.keys() - {"aiocircle.__main__"}:
        assert importlib.import_module(module).__name__ == module


def is_public(module: str) -> bool:
    return not any(part.startswith("_") for part in module.split(".")) and not module.startswith(
        ("aiocircle.testing.", "aiocircle.cli.")
    )


def test_public_modules_list_their_public_names() -> None:
    """All that is defined there without an underscore, and nothing else of theirs."""
    silent = {name for name in FILES if is_public(name) and not hasattr(importlib.import_module(name), "__all__")}
    assert silent == {"aiocircle.composites", "aiocircle.resources", "aiocircle.v1"}
    for name in [name for name in FILES if is_public(name) and name not in EMPTY]:
        module = importlib.import_module(name)
        definitions = (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
        defined = {node.name for node in tree(name).body if isinstance(node, definitions)}
        public = {each for each in defined if not each.startswith("_")}
        assert public <= {*module.__all__}, name


def in_order(name: str) -> tuple[int, str]:
    """Constants, then classes, then the rest, as `from … import` lists them."""
    return (0 if name.isupper() else 1 if name[:1].isupper() else 2, name)


def test_exports_are_sorted_and_exist() -> None:
    """Once each."""
    exporting = [name for name, path in FILES.items() if "__all__" in path.read_text("utf-8")]
    assert len(exporting) > 150
    for module in exporting:
        found = importlib.import_module(module)
        assert found.__all__ == sorted({*found.__all__}, key=in_order), module
        assert [name for name in found.__all__ if getattr(found, name, None) is None] == [], module


def test_the_root_exports_the_public_names() -> None:
    """The client, what it takes and gives, and the errors. Checkers see the same as the interpreter."""
    assert {*aiocircle.__all__} == {
        *["CircleCI", "ProjectSlug", "OrgSlug", "RetryPolicy", "Throttle", "Pager", "Page", "UNSET", "__version__"],
        *["RetryDetails", "TokenProvider", "to_dict"],
        *["Observed", "RateLimit", "RateLimiter"],
        *[name for name in importlib.import_module("aiocircle.errors").__all__ if name != "Outcome"],
    }
    typed = {
        alias.name
        for node in tree("aiocircle").body
        if isinstance(node, ast.If) and last_name(node.test) == "TYPE_CHECKING"
        for statement in node.body
        if isinstance(statement, ast.ImportFrom)
        for alias in statement.names
    }
    assert typed == {*aiocircle.__all__}
    assert dir(aiocircle) == sorted(aiocircle.__all__)
    with pytest.raises(AttributeError, match="CircelCI"):
        aiocircle.CircelCI  # type: ignore[attr-defined] # noqa: B018


# --- what is shipped ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    code = "import sys, hatchling.build as b; b.build_wheel(sys.argv[1]); b.build_sdist(sys.argv[1])"
    done = subprocess.run(
        [sys.executable, "-c", code, str(folder)], capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.checks
def test_the_wheel_holds_the_package_and_nothing_else(built: Path) -> None:
    """The wheel has no top-level `tests` and no caches, and has the marker of typed packages."""
    (wheel,) = built.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = {*archive.namelist()}
    metadata = f"aiocircle-{aiocircle.__version__}.dist-info/"
    package = {name for name in names if not name.startswith(metadata)}
    assert package == {str(path.relative_to(ROOT)) for path in FILES.values()} | {"aiocircle/py.typed"}
    assert f"{metadata}licenses/LICENSE" in names


@pytest.mark.checks
def test_there_is_one_version(built: Path) -> None:
    """In the code, the metadata, the names of the files, and what is sent as the User-Agent."""
    from aiocircle._core.transport import USER_AGENT

    version = aiocircle.__version__
    (wheel,) = built.glob("*.whl")
    assert wheel.name == f"aiocircle-{version}-py3-none-any.whl"
    with zipfile.ZipFile(wheel) as archive:
        metadata = archive.read(f"aiocircle-{version}.dist-info/METADATA").decode()
    assert f"\nVersion: {version}\n" in metadata
    assert USER_AGENT.startswith(f"aiocircle/{version} ")
    written = [path for path in FILES.values() if f'"{version}"' in path.read_text("utf-8")]
    assert written == [PACKAGE / "_version.py"]


@pytest.mark.checks
def test_dependencies_have_lower_bounds_only(built: Path) -> None:
    """An upper bound would exclude security releases of aiohttp."""
    (wheel,) = built.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        metadata = archive.read(f"aiocircle-{aiocircle.__version__}.dist-info/METADATA").decode()
    required = [line.removeprefix("Requires-Dist: ") for line in metadata.splitlines() if "Requires-Dist: " in line]
    required = [each for each in required if "extra ==" not in each]
    assert {"aiohttp", "attrs", "cattrs", "msgspec", "tenacity"} <= {each.partition(">")[0] for each in required}
    for each in required:
        assert not any(limit in each for limit in ("<", "==", "~=", "!=")), each


@pytest.mark.checks
def test_the_sources_can_be_built_and_tested_again(built: Path) -> None:
    """The archive of the sources holds the tests, and nothing that only lies about."""
    (sdist,) = built.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"pyproject.toml", "LICENSE", "README.md", "tests/unit/test_layers.py", "aiocircle/py.typed"} <= names
    tops = {name.partition("/")[0] for name in names}
    assert tops <= {
        *["aiocircle", "tests", "docs", "benchmarks", "README.md", "CHANGELOG.md", "LICENSE", "Makefile"],
        *["mkdocs.yml", "pyproject.toml", "PKG-INFO", ".gitignore"],
    }
    assert not any("__pycache__" in name or ".hypothesis" in name for name in names)


def test_mutated_files_and_their_tests_exist() -> None:
    """The paths of mutmut in pyproject.toml and of tests in tests/mutants.py are those of the package."""
    mutated = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["mutmut"]["only_mutate"]
    tests = {path for paths in mutants._TESTS.values() for path in paths}
    assert [path for path in (*mutated, *tests) if not (ROOT / path).exists()] == []
    assert {Path(path).stem for path in mutated} == mutants._TESTS.keys()
