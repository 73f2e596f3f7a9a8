"""What `import sophia` brings in, and what it leaves out."""

from __future__ import annotations

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


def test_every_public_name_is_there() -> None:
    for name in sophia.__all__:
        assert getattr(sophia, name) is not None
    assert set(sophia.__all__) <= set(dir(sophia))


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        sophia.nothing  # noqa: B018
