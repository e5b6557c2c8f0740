"""Every Python block of README.md and docs/ runs as it stands, against a local CircleCI."""

from __future__ import annotations

import ast
import gc
import inspect
import logging
import re
import textwrap
from collections.abc import Iterator
from pathlib import Path
from types import CodeType
from typing import Any

import attrs
import pytest

from aiocircle import CircleCI
from aiocircle.testing import LocalCircleCI

ROOT = Path(__file__).parents[2]
# A fence, its indentation (in a list or a tab of the documentation), and what is inside.
FENCED = re.compile(r"^(?P<indent> *)```python\n(?P<code>.*?)^(?P=indent)```$", re.MULTILINE | re.DOTALL)


@attrs.frozen
class Block:
    path: Path
    line: int
    code: str

    def __str__(self) -> str:
        return f"{self.path.relative_to(ROOT)}:{self.line}"

    def compiled(self) -> CodeType:
        # Line numbers of the file, so that a traceback points into it.
        padded = "\n" * (self.line - 1) + textwrap.dedent(self.code)
        return compile(padded, str(self.path), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)


def blocks() -> Iterator[Block]:
    for path in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]:
        text = path.read_text(encoding="utf-8")
        for match in FENCED.finditer(text):
            yield Block(path, text.count("\n", 0, match.start("code")) + 1, match["code"])


@pytest.fixture
async def server(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The projects that the examples name, where a client without arguments finds them."""
    async with LocalCircleCI(["gh/acme/web", "gh/acme/api"]) as server:
        monkeypatch.setenv("CIRCLECI_BASE_URL", server.url)
        monkeypatch.setenv("CIRCLECI_TOKEN", server.token)
        monkeypatch.setenv("CIRCLECI_WEBHOOK_SECRET", "the secret of the examples")
        yield server


@pytest.fixture
def _restored_logger() -> Iterator[None]:
    """Undo what an example does to the logger, so that later tests find it as it was."""
    logger = logging.getLogger("aiocircle")
    level, handlers = logger.level, [*logger.handlers]
    yield
    logger.setLevel(level)
    logger.handlers = handlers


@pytest.mark.parametrize("block", list(blocks()), ids=str)
@pytest.mark.usefixtures("_restored_logger")
async def test_block_runs(block: Block, server: LocalCircleCI) -> None:
    """Each Python block of the documentation runs, and closes what it opened."""
    names: dict[str, Any] = {"__name__": "example"}
    coroutine = eval(block.compiled(), names)
    if coroutine is not None:
        await coroutine
    for name, value in list(names.items()):
        if name.startswith("test_"):
            async with CircleCI() as circle:
                fixtures = {"local_circleci": server, "circle": circle}
                await value(**{parameter: fixtures[parameter] for parameter in inspect.signature(value).parameters})
    # What it left open warns when it is freed: now, and not in the middle of a later test.
    names.clear()
    gc.collect()


def test_each_readme_block_is_run() -> None:
    """Each Python block of the README is among those that run."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    found = [block for block in blocks() if block.path.name == "README.md"]
    assert len(found) == text.count("```python") >= 8
