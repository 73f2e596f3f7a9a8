"""``python -m benchmarks SUITE [--json FILE] [--check] [--profile cpu|heap]``."""

from __future__ import annotations

import argparse
import importlib
import pkgutil
import sys
from pathlib import Path


def _installed_sophia_only() -> None:
    """Takes the checkout's root off the path: its sophia/ may have no compiled modules, or stale ones."""
    import benchmarks

    root = Path(__file__).resolve().parent.parent
    sys.path[:] = [entry for entry in sys.path if Path(entry or ".").resolve() != root]
    benchmarks.__path__ = [str(root / "benchmarks")]


def _suites() -> list[str]:
    import benchmarks

    names = [module.name for module in pkgutil.iter_modules(benchmarks.__path__)]
    return [name.removeprefix("bench_") for name in names if name.startswith("bench_")]


def main() -> int:
    _installed_sophia_only()
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("suite", choices=_suites())
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the rows as JSON")
    parser.add_argument("--check", action="store_true", help="exit with 1 when a bar is missed")
    parser.add_argument("--profile", choices=("cpu", "heap"), help="profile the suite instead of judging it")
    arguments = parser.parse_args()
    run = importlib.import_module(f"benchmarks.bench_{arguments.suite}").run
    if arguments.profile:
        from benchmarks import profile

        return profile.run(arguments.profile, run)
    suite = run()
    if arguments.json:
        arguments.json.write_text(suite.to_json() + "\n", encoding="utf-8")
    missed = suite.missed()
    print(f"# {sum(len(row.bars) for row in suite.rows)} bars, {len(missed)} missed", flush=True)
    return 1 if arguments.check and missed else 0


if __name__ == "__main__":
    sys.exit(main())
