"""Checks the models of the core's protocols with Spin: ``python run.py [MODEL ...]``, all by default.

Each ``*.pml`` here is searched through every interleaving: its assertions, that nothing is ever stuck, and its `ltl`
claims (one whose name begins with `fair_` under weak fairness: no thread stands still for good). The search must be
complete, without an error, and must have reached every statement. Then the same with each fault that a model has under
``#ifdef BUG_...``: there an error must be found, or the claims say nothing.

Spin and a C compiler are needed (Debian: spin and gcc).
"""

from __future__ import annotations

import argparse
import os
import re
import resource
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

MODELS = Path(__file__).resolve().parent
DEPTH = 2_000_000
# Every interleaving, also those that partial-order reduction would prove superfluous; exact states, no hash of them.
OPTIONS = ("-O1", "-w", "-DNOREDUCE", "-DCOLLAPSE", "-DMEMLIM=2048")
LIMIT = 300  # seconds for one search; far above what any takes

BUG = re.compile(r"\bBUG_[A-Z_]+")
LTL = re.compile(r"^ltl (\w+)", re.MULTILINE)
ERRORS = re.compile(r"errors: (\d+)$", re.MULTILINE)
STATES = re.compile(r"^ *([\d.e+]+) states, stored", re.MULTILINE)
WHAT = re.compile(r"^pan:\d+: (.*) \(at depth", re.MULTILINE)
INCOMPLETE = re.compile(r"^.*(?:max search depth too small|not completed|MEMLIM|out of memory).*$", re.MULTILINE)
UNREACHED = re.compile(r"^\t(\w+\.(?:pml|h):\d+), state \d+, (\".*)$", re.MULTILINE)


class Search:
    """One search of one variant of a model."""

    def __init__(self, text: str) -> None:
        errors, states, what = ERRORS.search(text), STATES.search(text), WHAT.search(text)
        self.text = text
        self.errors = int(errors.group(1)) if errors else None
        self.states = int(float(states.group(1))) if states else 0
        self.what = what.group(1) if what else ""
        self.incomplete = [line.strip() for line in INCOMPLETE.findall(text)]
        self.unreached = {place for place, statement in UNREACHED.findall(text) if statement != '"-end-"'}


def run(command: list[str], folder: Path) -> str:
    try:
        done = subprocess.run(
            command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, timeout=LIMIT
        )
    except subprocess.TimeoutExpired:
        sys.exit(f"{' '.join(command)} took more than {LIMIT} s")
    if done.returncode:
        sys.exit(f"{' '.join(command)} failed with status {done.returncode}\n{done.stdout}")
    return done.stdout


def searches(model: Path, bug: str | None, claims: list[str], folder: Path) -> Iterator[Search]:
    """Searches, one after the other: first assertions and what is stuck, then each claim."""
    define = [f"-D{bug}"] if bug else []
    for file in (*MODELS.glob("*.pml"), *MODELS.glob("*.h")):  # spin writes beside what it reads
        shutil.copy(file, folder)
    run(["spin", *define, "-a", model.name], folder)
    cc = os.environ.get("CC", "cc").split()
    depth = f"-m{DEPTH}"
    run([*cc, *OPTIONS, "-DSAFETY", "-DNOCLAIM", "-o", "safety", "pan.c"], folder)
    yield Search(run(["./safety", depth], folder))
    if claims:
        run([*cc, *OPTIONS, "-DNFAIR=4", "-o", "claims", "pan.c"], folder)
        for claim in claims:
            fair = ["-f"] if claim.startswith("fair_") else []
            yield Search(run(["./claims", depth, "-a", *fair, "-N", claim], folder))


def correct(model: Path, claims: list[str]) -> bool:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        states = []
        for search in searches(model, None, claims, folder):
            states.append(search.states)
            complaint = search.what or "; ".join(search.incomplete)
            if search.errors is None:
                complaint = "no result"
            if not complaint and len(states) == 1 and search.unreached:
                complaint = f"never reached: {', '.join(sorted(search.unreached))}"
            if complaint or search.errors:
                report(model, None, states, f"FAILED: {complaint}")
                trail = sorted(folder.glob("*.trail"))
                if trail:
                    trace = subprocess.run(
                        ["spin", "-p", "-g", "-k", trail[0].name, model.name],
                        cwd=folder, capture_output=True, text=True, check=False,
                    ).stdout  # fmt: skip
                    sys.stdout.write(trace)
                else:
                    sys.stdout.write(search.text)
                return False
        report(model, None, states, "holds")
    return True


def faulty(model: Path, bug: str, claims: list[str]) -> bool:
    with tempfile.TemporaryDirectory() as name:
        states = []
        for search in searches(model, bug, claims, Path(name)):
            states.append(search.states)
            if search.errors:
                report(model, bug, states, f"found: {search.what}")
                return True
    report(model, bug, states, "NOT FOUND")
    return False


_spent = 0.0


def report(model: Path, bug: str | None, states: list[int], words: str) -> None:
    global _spent
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    total = used.ru_utime + used.ru_stime
    sys.stdout.write(
        f"{model.stem:10} {bug or '':20} {' + '.join(f'{n:,}' for n in states):>26} states "
        f"{total - _spent:5.1f} s  {words}\n"
    )
    sys.stdout.flush()
    _spent = total


def main() -> int:
    there = {path.stem: path for path in sorted(MODELS.glob("*.pml"))}
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", metavar="MODEL", help=f"of {', '.join(there)}; all by default")
    names = parser.parse_args().models or list(there)
    if unknown := [name for name in names if name not in there]:
        parser.error(f"no such model: {', '.join(unknown)}")
    compiler = os.environ.get("CC", "cc").split()[0]
    if missing := [tool for tool in ("spin", compiler, "gcc") if not shutil.which(tool)]:
        sys.exit(f"missing: {', '.join(missing)}. Install Spin and GCC (on Debian: apt-get install spin gcc)")
    held = True
    for name in names:
        text = there[name].read_text()
        claims, bugs = LTL.findall(text), sorted(set(BUG.findall(text)))
        if not bugs:
            sys.exit(f"{there[name]} has no fault that shows that its claims can fail")
        held &= correct(there[name], claims)
        for bug in bugs:
            held &= faulty(there[name], bug, claims)
    sys.stdout.write(f"{_spent:.0f} s of CPU\n")
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main())
