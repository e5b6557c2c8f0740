"""Rules for every model: frozen, by keyword only, and without undeclared attributes."""

from __future__ import annotations

import importlib
import inspect
import pkgutil

import attrs
import pytest

from aiocircle import resources, v1
from tests.support.rows import each_row

MODELS = [
    model
    for package in (resources, v1)
    for module in pkgutil.iter_modules(package.__path__, f"{package.__name__}.")
    for _, model in inspect.getmembers(importlib.import_module(module.name), attrs.has)
    if model.__module__ == module.name and not model.__name__.startswith("_")
]


def test_models_are_found() -> None:
    """The tests below find all models, each once."""
    assert len(MODELS) > 80
    assert len({*MODELS}) == len(MODELS)


@each_row("model", MODELS)
def test_models_are_frozen(model: type[attrs.AttrsInstance]) -> None:
    """Every model is immutable, and a misspelt attribute is an AttributeError, never None."""
    names = [field.name for field in attrs.fields(model)]
    one = model(**dict.fromkeys(names))
    with pytest.raises(AttributeError):
        one.statsu  # type: ignore[attr-defined]  # noqa: B018
    with pytest.raises(AttributeError):
        one.statsu = 1  # type: ignore[attr-defined]
    for name in names:
        with pytest.raises(attrs.exceptions.FrozenInstanceError):
            setattr(one, name, 1)
    with pytest.raises(TypeError):
        model(*[None] * len(names))
