"""Runs unit and property tests once for each SIMD level below that of this machine: ``python every_level.py``.

Tests with the `simd` fixture visit every level by themselves, wherever they run; this runs the others (patterns,
filters, caches, stores, routes) with each level as the process's own. The machine's own is what they have in any run.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from sophia._core import cpu

TESTS = Path(__file__).resolve().parent


def main() -> int:
    for level in cpu.simd_levels():
        if level == cpu.simd_level():
            continue
        sys.stdout.write(f"SIMD level {level}\n")
        sys.stdout.flush()
        command = [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-n",
            "2",
            "-p",
            "no:cacheprovider",
            "-c",
            str(TESTS.parent / "pyproject.toml"),
        ]
        command += ["--rootdir", str(TESTS.parent), "-m", "not slow and not levels and not native and not messages"]
        command += [str(TESTS / "unit"), str(TESTS / "property"), *sys.argv[1:]]
        code = subprocess.run(command, env=os.environ | {"SOPHIA_SIMD": level}, check=False).returncode
        if code:
            return code
    return 0


if __name__ == "__main__":
    sys.exit(main())
