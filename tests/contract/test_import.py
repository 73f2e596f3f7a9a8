"""What `import sophia` brings in, and what it leaves out."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

import sophia

HOME = str(Path(sophia.__file__).resolve().parents[1])
HEAVY = ("numpy", "asyncio", "pyarrow", "lancedb", "duckdb", "re2", "dataclasses", "sqlite3", "jinja2", "matplotlib")


def loaded_after(code: str) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-I", "-c", f"import sys; sys.path.append({HOME!r}); {code}; print(*sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    )
    return set(done.stdout.split())


def test_import_sophia_is_light() -> None:
    assert not loaded_after("import sophia") & set(HEAVY)


def test_routing_needs_no_numpy() -> None:
    code = "import sophia; s = sophia.open(None); s.route('hello'); s.close()"
    assert not loaded_after(code) & {"numpy", "asyncio", "pyarrow", "lancedb", "duckdb", "jinja2", "matplotlib"}


def test_a_run_with_chapters_needs_no_numpy(tmp_path: Path) -> None:
    """Its start would take as long as ten thousand lines."""
    kinds = ("kettle {} boils for {} minutes", "disk sd{} has {} bad blocks")
    log = tmp_path / "in.log"
    log.write_text("".join(kind.format(i, i % 7) + "\n" for kind in kinds for i in range(1500)))
    command = ["run", str(log), "--no-store", "--quiet", "--report", "none", "--out", str(tmp_path / "out")]
    code = f"from sophia.cli.main import main; assert main({command!r}) == 0"
    assert not loaded_after(code) & {"numpy", "pyarrow", "lancedb", "duckdb", "jinja2", "matplotlib"}


def test_what_benchmarks_ask_for_is_there() -> None:
    folder = Path(__file__).parents[2] / "benchmarks"
    asked = [
        (path.name, node.module, name.name)
        for path in sorted(folder.glob("*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "sophia"
        for name in node.names
    ]
    assert len(asked) > 50
    for file, module, name in asked:
        found = importlib.import_module(str(module))
        assert hasattr(found, name) or importlib.util.find_spec(f"{module}.{name}") is not None, (file, module, name)


def test_every_public_name_is_there() -> None:
    for name in sophia.__all__:
        assert getattr(sophia, name) is not None
    assert set(sophia.__all__) <= set(dir(sophia))


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        sophia.nothing  # noqa: B018
