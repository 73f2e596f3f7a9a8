"""`sophia doctor`: what is installed, what the machine can do, whether the store is sound."""

from __future__ import annotations

import argparse
import json
import platform
import sys
from importlib import metadata
from pathlib import Path

from sophia.cli.exits import Exit, exit_of

__all__ = ["command"]

_NEEDED = ("numpy", "google-re2")
# Without them a run has no report page (jinja2, matplotlib) or no live block (rich), memories have no mapped segments
# (pyarrow) or no long-term index (lancedb), decisions cannot be asked in SQL (duckdb), settings are not watched
# (watchfiles).
_BRAIN = ("duckdb", "jinja2", "lancedb", "matplotlib", "pyarrow", "rich", "watchfiles")


def command(options: argparse.Namespace) -> int:
    """Prints the findings; returns 0 when all is well, 1 for a damaged store, 4 or 5 for one that cannot be read."""
    import sophia
    from sophia._core import cpu
    from sophia.errors import SophiaError
    from sophia.organs.danger import RuleSet

    findings: dict[str, object] = {
        "sophia": sophia.__version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "simd": cpu.simd_level(),
        "simd_levels": list(cpu.simd_levels()),
        "packages": {name: _version(name) for name in _NEEDED},
        "extra_brain": {name: _version(name) or "not installed" for name in _BRAIN},
    }
    rules = RuleSet.load()
    findings["danger_rules"] = {"count": len(rules), "version": rules.version}
    code = Exit.DONE
    try:
        findings["store"] = store = _store(Path(options.store))
        if store["state"] == "damaged":
            code = Exit.GATED
    except SophiaError as error:
        findings["store"] = store = {"path": options.store, "problem": str(error)}
        code = exit_of(error)
    if options.json:
        sys.stdout.write(json.dumps(findings, indent=2) + "\n")
    else:
        store.pop("tables", None)  # `sophia store check` has them
        _print(findings)
    return code


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _store(path: Path) -> dict[str, object]:
    """Facts about a store that is there; a missing one is not a problem and is not made."""
    if not (path / "sophia.db").exists():
        return {"path": str(path), "state": "not there yet; `sophia run` makes it"}
    from sophia.store.check import check

    return check(path).as_dict()


def _print(findings: dict[str, object], indent: str = "") -> None:
    for name, value in findings.items():
        if isinstance(value, dict):
            sys.stdout.write(f"{indent}{name}\n")
            _print(value, indent + "  ")
        else:
            shown = ", ".join(map(str, value)) if isinstance(value, list) else value
            if shown != "":
                sys.stdout.write(f"{indent}{name:<14} {shown}\n")
