"""The client's own tables of endpoints."""

from __future__ import annotations

import pkgutil
from importlib import import_module
from typing import Any, Final

from aiocircle import resources
from aiocircle._core.endpoint import Endpoint, ListEndpoint

__all__ = ["ENDPOINTS", "TABLES"]


def _read_tables() -> list[Endpoint[Any] | ListEndpoint[Any]]:
    names = [module.name for module in pkgutil.iter_modules(resources.__path__, f"{resources.__name__}.")]
    return [
        value
        for name in names
        for value in vars(import_module(name)).values()
        if isinstance(value, Endpoint | ListEndpoint)
    ]


TABLES: Final = _read_tables()
"""All endpoints of all groups."""

ENDPOINTS: Final = {endpoint.operation: endpoint for endpoint in TABLES}
"""By operation, such as "users.me"."""
