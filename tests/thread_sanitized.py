"""Runs the lock-free parts of the core under ThreadSanitizer: ``python thread_sanitized.py [--stress] [--repeats N]``.

For an installed sophia (tox environment `tsan`). First it is shown that this run can fail: a ring whose messages are
published without an order is reported as a data race. Then native/lockfree_stress.c runs as it ships, and with what
systems without futex and eventfd have; any report fails the run.

With ``--stress`` (tox environment `stress`) no sanitizer slows the threads: every scenario of native/explore_test.c,
also those with millions of interleavings, then a hundred rounds of lockfree_stress.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from programs import build, compiler_name, run

SANITIZER = ["-pthread", "-fsanitize=thread"]
BUILDS = {"futex and eventfd": [], "condition variable and pipe": ["-DSOPHIA_PARK_FUTEX=0", "-DSOPHIA_BELL_EVENTFD=0"]}
SIZE = "100"  # a step takes ten times as long
OPTIONS = "halt_on_error=0:exitcode=66:second_deadlock_stack=1"
NO_ROOM = "unexpected memory mapping"  # where addresses are more random than the runtime of this compiler knows


def say(words: str) -> None:
    sys.stdout.write(f"{words}\n")
    sys.stdout.flush()


def sanitized(program: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Once more without random addresses, where the runtime cannot start with them."""
    command = [str(program), *arguments]
    env = os.environ | {"TSAN_OPTIONS": OPTIONS}
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    if NO_ROOM in done.stderr and shutil.which("setarch"):
        done = subprocess.run(["setarch", "-R", *command], env=env, capture_output=True, text=True, check=False)
    return done


def check_reports(compiler: str, folder: Path) -> None:
    program = build(compiler, "lockfree_stress", folder, *SANITIZER, "-DSOPHIA_BUG_PUBLISH")
    done = sanitized(program, "ring", "1", SIZE)
    if "ThreadSanitizer: data race" not in done.stderr or "sophia_ring_pop_many" not in done.stderr:
        sys.exit(f"a race made on purpose was not reported (status {done.returncode})\n{done.stdout}{done.stderr}")
    say(f"a race made on purpose: {done.stderr.count('WARNING: ThreadSanitizer')} reports")


def threads_sanitized(compiler: str, folder: Path, repeats: int) -> None:
    check_reports(compiler, folder)
    for name, flags in BUILDS.items():
        done = sanitized(build(compiler, "lockfree_stress", folder, *SANITIZER, *flags), "all", str(repeats), SIZE)
        if done.returncode or "ThreadSanitizer" in done.stderr or done.stdout != "ok\n":
            sys.exit(f"{name}: status {done.returncode}\n{done.stdout}{done.stderr}")
        say(f"{name}: no report in {repeats} rounds")


def stress(compiler: str, folder: Path, repeats: int) -> None:
    say("\n".join(run(build(compiler, "explore_test", folder, "-O2"), "all", "deep")))
    for name, flags in BUILDS.items():
        run(build(compiler, "lockfree_stress", folder, "-O2", "-pthread", *flags), "all", str(repeats))
        say(f"{name}: {repeats} rounds")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--stress", action="store_true")
    parser.add_argument("--repeats", type=int)
    options = parser.parse_args()
    compiler = compiler_name()
    if not shutil.which(compiler):
        sys.exit(f"no C compiler ({compiler})")
    with tempfile.TemporaryDirectory() as name:
        if options.stress:
            stress(compiler, Path(name), options.repeats or 100)
        else:
            threads_sanitized(compiler, Path(name), options.repeats or 10)


if __name__ == "__main__":
    main()
