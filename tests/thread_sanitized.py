"""Runs the lock-free parts of the core under ThreadSanitizer: ``python thread_sanitized.py [--stress] [options]``.

For an installed sophia (tox environment `tsan`). First it is shown that this run can fail: a ring whose messages are
published without an order is reported as a data race. Then native/lockfree_stress.c and native/workers_test.c run as
they ship, and with what systems without futex and eventfd have, and native/breaker_test.c; any report fails the run.
``--repeats N`` rounds, 10 by default: about a minute.

With ``--stress`` (tox environment `stress`) no sanitizer slows the threads: every scenario of native/explore_test.c,
also those with millions of interleavings, then ``--repeats`` rounds (100) of these programs and of the Python stress
tests of actors, pool and breaker, every tenth with the slow ones. Not to be through after ``--limit`` seconds (7200)
fails.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from programs import build, compiler_name

SANITIZER = ["-pthread", "-fsanitize=thread"]
BUILDS = {"futex and eventfd": [], "condition variable and pipe": ["-DSOPHIA_PARK_FUTEX=0", "-DSOPHIA_BELL_EVENTFD=0"]}
PROGRAMS = ("lockfree_stress", "workers_test", "breaker_test")
PYTHON = [f"test_{name}_stress.py" for name in ("actors", "pool", "breaker")]
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
        for program in PROGRAMS:
            built = build(compiler, program, folder, *SANITIZER, *flags)
            for arguments in rounds_of(program, repeats, SIZE):
                done = sanitized(built, *arguments)
                if done.returncode or "ThreadSanitizer" in done.stderr or done.stdout != "ok\n":
                    sys.exit(f"{program}, {name}: status {done.returncode}\n{done.stdout}{done.stderr}")
            say(f"{program}, {name}: no report in {repeats} rounds")


def rounds_of(program: str, repeats: int, *size: str) -> list[list[str]]:
    """The arguments of each run: lockfree_stress repeats by itself, the others are run again."""
    return [["all", str(repeats), *size]] if program == "lockfree_stress" else [[]] * repeats


def in_time(end: float, command: list[str | Path]) -> str:
    """What it says; it must succeed before `end`."""
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=max(0.001, end - time.monotonic())
        )
    except subprocess.TimeoutExpired:
        sys.exit(f"not through in time: {' '.join(map(str, command))}")
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))}: status {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def stress(compiler: str, folder: Path, repeats: int, end: float) -> None:
    say(in_time(end, [build(compiler, "explore_test", folder, "-O2"), "all", "deep"]).rstrip())
    for name, flags in BUILDS.items():
        for program in PROGRAMS:
            built = build(compiler, program, folder, "-O2", "-pthread", *flags)
            for arguments in rounds_of(program, repeats):
                in_time(end, [built, *arguments])
            say(f"{program}, {name}: {repeats} rounds")
    tests = Path(__file__).parent
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-n", "0"]
    command += ["-c", str(tests.parent / "pyproject.toml"), "--rootdir", str(tests.parent)]
    command += [str(tests / "stress" / name) for name in PYTHON]
    for i in range(1, repeats + 1):
        words = in_time(end, [*command, "-m", "stress" if i % 10 == 0 else "stress and not slow"])
        say(f"Python, round {i} of {repeats}: {words.splitlines()[-1]}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--stress", action="store_true")
    parser.add_argument("--repeats", type=int, help="rounds (10; 100 with --stress)")
    parser.add_argument("--limit", type=float, default=7200.0, help="seconds for all of --stress")
    options = parser.parse_args()
    compiler = compiler_name()
    if not shutil.which(compiler):
        sys.exit(f"no C compiler ({compiler})")
    with tempfile.TemporaryDirectory() as name:
        if options.stress:
            stress(compiler, Path(name), options.repeats or 100, time.monotonic() + options.limit)
        else:
            threads_sanitized(compiler, Path(name), options.repeats or 10)


if __name__ == "__main__":
    main()
