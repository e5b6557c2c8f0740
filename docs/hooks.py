"""Adds a reference page for each group of operations, so that none is forgotten."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

RESOURCES = Path(__file__).parents[1] / "aiocircle" / "resources"
COMPOSITES = RESOURCES.with_name("composites")
GROUPS = sorted(path.stem for path in RESOURCES.glob("[a-z]*.py"))
V1_GROUPS = sorted(path.stem for path in RESOURCES.with_name("v1").glob("[a-z]*.py"))


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Put the pages into the navigation, below the reference."""
    nav: list[dict[str, Any]] = config.nav or []
    (reference,) = (part["Reference"] for part in nav if isinstance(part, dict) and "Reference" in part)
    reference.append({"Groups": [f"reference/groups/{group}.md" for group in GROUPS]})
    reference.append({"Groups of API v1.1": [f"reference/v1/{group}.md" for group in V1_GROUPS]})
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Make the pages."""
    for group in GROUPS:
        packages = ["resources", "composites"] if (COMPOSITES / f"{group}.py").exists() else ["resources"]
        modules = "\n".join(
            f"::: aiocircle.{package}.{group}\n    options:\n      show_root_heading: false\n"
            f"      inherited_members: {_inherited(package, group)}\n"
            for package in packages
        )
        content = f"# circle.{group}\n\n{modules}"
        files.append(File.generated(config, f"reference/groups/{group}.md", content=content))
    for group in V1_GROUPS:
        content = f"# circle.v1.{group}\n\n::: aiocircle.v1.{group}\n    options:\n      show_root_heading: false\n"
        files.append(File.generated(config, f"reference/v1/{group}.md", content=content))
    return files


def _inherited(package: str, group: str) -> list[str]:
    """Return the methods that the classes of a module inherit from a part of composites: those of a private module."""
    module = import_module(f"aiocircle.{package}.{group}")
    parts = [
        base
        for value in vars(module).values()
        if isinstance(value, type) and value.__module__ == module.__name__
        for base in value.__mro__
        if base.__module__.startswith("aiocircle.composites._")
    ]
    return [name for part in parts for name in vars(part) if not name.startswith("_")]
