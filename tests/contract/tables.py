"""The client's own tables of endpoints."""

from __future__ import annotations

import pkgutil
from importlib import import_module
from typing import Any, Final

from aiocircle import composites, resources
from aiocircle._core.endpoint import Action, Endpoint, ListEndpoint, Route, Table

__all__ = ["ENDPOINTS", "TABLES", "model_of"]

Declared = Endpoint[Any] | Action | ListEndpoint[Any]


def _read_tables() -> list[Declared]:
    modules = [
        import_module(module.name)
        for package in (resources, composites)
        for module in pkgutil.iter_modules(package.__path__, f"{package.__name__}.")
    ]
    tables = [
        value
        for module in modules
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, Table) and value is not Table
    ]
    return [value for table in tables for value in vars(table).values() if isinstance(value, Route)]


def model_of(endpoint: Declared) -> Any:
    """The model of a result; None of an action."""
    return None if isinstance(endpoint, Action) else endpoint.model


TABLES: Final = _read_tables()
"""All endpoints of all groups."""

ENDPOINTS: Final = {endpoint.operation: endpoint for endpoint in TABLES}
"""By operation, such as "users.me"."""
