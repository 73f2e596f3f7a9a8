"""Data flows one way: a room imports only rooms above it."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2] / "sophia"

# The layer of each room; a file may import from its own room and from lower numbers only.
LAYERS = {
    "errors": 0,
    "names": 0,
    "_core": 1,
    "toml_file": 2,
    "setting_kinds": 1,
    "whole_file": 1,
    "hdc": 2,
    "config": 3,
    "config_watch": 4,
    "actors": 3,
    "store": 3,
    "organs": 4,
    "brain": 5,
    "gestation": 5,
    "opening": 6,
    "stream": 7,
    "compat": 7,
    "forgetting": 8,
    "cli": 9,
}
# Rooms of one layer that may use another room of it, in one direction.
WITHIN = {("store", "config")}
# The package itself: lazy names and the version, importable by the command line.
FACADE = {"__init__", "__main__"}


def room(path: Path) -> str:
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def imports(path: Path) -> set[str]:
    """Rooms of sophia that a source file imports, at any depth of nesting."""
    if path.suffix == ".py":
        names: list[str] = []
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names += [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module:
                names.append(node.module)
        found = [name.split(".") for name in names]
    else:
        text = path.read_text(encoding="utf-8")
        found = [m.group(1).split(".") for m in re.finditer(r"^\s*(?:from|c?import)\s+(sophia[\w.]*)", text, re.M)]
    return {parts[1] for parts in found if parts[0] == "sophia" and len(parts) > 1}


SOURCES = sorted(p for p in ROOT.rglob("*") if p.suffix in (".py", ".pyx", ".pxd") and room(p) not in FACADE)


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT)))
def test_a_room_imports_only_rooms_above_it(path: Path) -> None:
    here = room(path)
    for other in imports(path):
        allowed = other == here or LAYERS[other] < LAYERS[here] or (here, other) in WITHIN
        assert allowed, f"{path.name} of {here!r} imports {other!r}"


def test_every_room_has_a_layer() -> None:
    rooms = {room(p) for p in SOURCES}
    assert rooms <= set(LAYERS)


@pytest.mark.parametrize("path", sorted((ROOT / "_core").glob("*.pyx")), ids=lambda p: p.stem)
def test_no_module_has_unsafe_directives_as_a_whole(path: Path) -> None:
    header = re.findall(r"^#\s*cython:.*$", path.read_text(encoding="utf-8"), re.M)
    assert not [line for line in header if re.search(r"(boundscheck|wraparound)\s*=\s*False", line)]


@pytest.mark.parametrize("path", sorted((ROOT / "_core").glob("*.pyx")), ids=lambda p: p.stem)
def test_every_compiled_module_has_its_contracts(path: Path) -> None:
    assert path.with_suffix(".pxd").exists()
    assert path.with_suffix(".pyi").exists()
