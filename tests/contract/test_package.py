"""What an installed package holds: contracts and data, no sources of the core, no tests."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path

import pytest

import sophia

ROOT = Path(sophia.__file__).resolve().parent
CHECKOUT = Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.skipif(ROOT.parent == CHECKOUT, reason="built in place; tox checks the installed package")


def installed() -> set[str]:
    return {
        str(path.relative_to(ROOT)) for path in ROOT.rglob("*") if path.is_file() and "__pycache__" not in path.parts
    }


def test_the_data_and_the_contracts_are_there() -> None:
    files = installed()
    assert {"py.typed", "organs/rules/danger.toml", "stream/demo.jsonl", "stream/decision.schema.json"} <= files
    assert {"stream/templates/report.html.j2", "stream/templates/report.css"} <= files
    for source in (CHECKOUT / "sophia" / "_core").glob("*.pyx"):
        assert f"_core/{source.stem}.pyi" in files
        assert f"_core/{source.stem}.pxd" in files
    for header in (CHECKOUT / "sophia" / "_core" / "include").glob("*.h"):
        assert f"_core/include/{header.name}" in files


def test_no_sources_of_the_core_and_no_build_products() -> None:
    assert not [name for name in installed() if name.endswith((".pyx", ".c", ".html"))]


def test_nothing_is_installed_beside_the_package() -> None:
    tops = {str(path).split("/")[0] for path in metadata.files("sophia-hlb") or [] if not str(path).startswith("..")}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"sophia"}


def test_the_version_is_one() -> None:
    assert metadata.version("sophia-hlb") == sophia.__version__
