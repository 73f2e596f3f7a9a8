"""What may be reached of the compiled classes, however it is called, is an error and never a crash."""

from __future__ import annotations

import importlib
import pkgutil
import subprocess
import sys
from typing import Any

import pytest

import sophia._core
from sophia._core import batch, projection, prototypes, record, sequence

MODULES = [found.name for found in pkgutil.iter_modules(sophia._core.__path__)]

PROBE = """
import importlib, sys

module = importlib.import_module("sophia._core." + sys.argv[1])
for name, kind in vars(module).items():
    if not isinstance(kind, type) or kind.__module__ != module.__name__:
        continue
    print(name, flush=True)
    made = []
    for arguments in ((), (None,), (None, None), (None, None, None), (None, None, 0, None), ([], [], 0, None)):
        for make in (kind, lambda *given: kind.__new__(kind, *given)):
            try:
                made.append(make(*arguments))
            except Exception:
                pass
    for one in made:
        for what in dir(kind):
            if what in ("__class__", "__init_subclass__", "__subclasshook__"):
                continue
            try:
                found = getattr(one, what)
            except Exception:
                continue
            for arguments in ((), ((0, 1),), (b"a",), ("a",), (0,), (None,), ([],)):
                try:
                    callable(found) and found(*arguments)
                except Exception:
                    pass
print("end")
"""


@pytest.mark.parametrize("module", MODULES)
def test_no_class_crashes(module: str) -> None:
    done = subprocess.run([sys.executable, "-c", PROBE, module], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.split()[-1]) == (0, "end"), (done.stdout, done.stderr)


@pytest.mark.parametrize(
    ("module", "name"),
    [
        (batch, "Job"),
        (sequence, "Encoder"),
        (sequence, "_Job"),
        (record, "_Job"),
        (projection, "_Job"),
        (prototypes, "_Scoring"),
    ],
)
def test_what_only_the_core_makes(module: Any, name: str) -> None:
    kind = getattr(module, name)
    with pytest.raises(TypeError):
        kind()
    if name in ("_Job", "_Scoring") and module is not sequence:
        with pytest.raises(TypeError, match="has nothing to"):
            kind.__new__(kind)((0, 1))
    job = sequence._Job.__new__(sequence._Job, sequence.NgramEncoder(2, 64), ["abc"], 0, None)  # type: ignore[attr-defined]
    with pytest.raises(TypeError, match="has nothing to encode"):
        job((0, 1))


def test_every_module_is_tried() -> None:
    assert {"batch", "codebook", "hdc", "vector"} <= set(MODULES)
    assert importlib.import_module("sophia._core.batch") is batch
