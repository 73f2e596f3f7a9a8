"""One module a target; `NAMES` lists them."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

NAMES = tuple(sorted(path.stem for path in Path(__file__).parent.glob("[a-z]*.py")))


def load(name: str) -> Any:
    """The module of a target."""
    return importlib.import_module(f"fuzz.targets.{name}")
