"""Docstrings: every public name has one, and every example in them runs."""

from __future__ import annotations

import doctest
import importlib
import inspect
import pkgutil

import pytest

import sophia

MODULES = sorted(
    module.name for module in pkgutil.walk_packages(sophia.__path__, "sophia.") if not module.name.endswith("__main__")
)


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_run(name: str) -> None:
    module = importlib.import_module(name)
    flags = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
    assert doctest.testmod(module, optionflags=flags).failed == 0


@pytest.mark.parametrize("name", MODULES)
def test_every_public_name_has_a_docstring(name: str) -> None:
    module = importlib.import_module(name)
    assert module.__doc__
    for attribute, value in vars(module).items():
        ours = getattr(value, "__module__", None) == name
        if ours and not attribute.startswith("_") and (inspect.isclass(value) or callable(value)):
            assert value.__doc__, f"{name}.{attribute}"
