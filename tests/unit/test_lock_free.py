"""Ring, deque, schedule flag, event count, bell and workers: every interleaving of small scenarios, and real threads.

Each is also built with a fault on purpose (SOPHIA_BUG_...): the test that is there for it must say so.
"""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from programs import build, run

pytestmark = pytest.mark.native

# -O2: here it is the program that takes the time
EXPLORER = ["-O2"]
THREADS = ["-pthread"]
FALLBACK = ["-DSOPHIA_PARK_FUTEX=0", "-DSOPHIA_BELL_EVENTFD=0"]
SCENARIO = re.compile(r"(\w+), .*, (TSO|PSO|SC): (\d+) executions, (\d+) states")

# The scenarios of each part, and how many executions they have at the least, in both models together.
PARTS = {
    "litmus": (8, 50),
    "deque": (14, 300_000),
    "ring": (12, 170_000),
    "schedule": (3, 50_000),
    "park": (8, 70_000),
    "bell": (4, 1500),
    "workers": (4, 200_000),
}

BUGS = {
    "DEQUE_CAS": ("deque", "deque, one item, a thief, TSO: an item was taken twice"),
    "FENCE_TAKE": ("deque", "deque, two items, a thief, TSO: an item was taken twice"),
    "PUBLISH": ("ring", "ring, two senders, PSO: a message was read before it was written"),
    "RECHECK": ("schedule", "schedule, two senders, TSO: a message is left with an actor that is not scheduled"),
    "IDLE": ("workers", "workers, a sleeper's inbox, SC: a lost wake-up: all who are left sleep"),
    "FENCE_NOTIFY": ("park", "park, one sleeper, TSO: a lost wake-up: all who are left sleep"),
}


@pytest.mark.parametrize("part", PARTS)
def test_every_interleaving_is_right(part: str, compiler: str, programs: Path) -> None:
    *lines, last = run(build(compiler, "explore_test", programs, *EXPLORER), part)
    assert last == "ok"
    scenarios = [SCENARIO.fullmatch(line) for line in lines]
    assert all(scenarios), lines
    found = [scenario.groups() for scenario in scenarios if scenario]
    assert {name for name, *_ in found} == {part}
    assert {model for _, model, *_ in found} == ({"SC"} if part == "workers" else {"TSO", "PSO"})
    number, executions = PARTS[part]
    assert len(found) == number
    assert sum(int(count) for *_, count, _ in found) > executions


@pytest.mark.parametrize("bug", BUGS)
def test_a_fault_on_purpose_is_found(bug: str, compiler: str, programs: Path) -> None:
    part, words = BUGS[bug]
    program = build(compiler, "explore_test", programs, *EXPLORER, f"-DSOPHIA_BUG_{bug}")
    done = subprocess.run([str(program), part], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    wrong = [line for line in done.stdout.splitlines() if line.startswith("WRONG: ")]
    assert wrong == [f"WRONG: {words}"]
    assert "  thread 0: " in done.stdout  # the way there


def test_a_store_that_nothing_orders_is_right_where_stores_keep_their_order(compiler: str, programs: Path) -> None:
    """What real threads cannot find on x86-64: that is why the explorer has two models."""
    program = build(compiler, "explore_test", programs, "-DSOPHIA_BUG_PUBLISH")
    done = subprocess.run([str(program), "ring"], capture_output=True, text=True, check=False)
    assert [model for _, model, *_ in SCENARIO.findall(done.stdout)].count("TSO") == 7
    assert "WRONG: ring, two senders, PSO: " in done.stdout


@pytest.mark.parametrize("flags", [[], FALLBACK], ids=["futex-eventfd", "condvar-pipe"])
@pytest.mark.parametrize("part", ["deque", "ring", "actors", "park", "bell"])
def test_under_threads(part: str, flags: list[str], compiler: str, programs: Path) -> None:
    program = build(compiler, "lockfree_stress", programs, *THREADS, *flags)
    assert run(program, part, "2", "500") == ["ok"]


def test_what_is_stuck_is_said_to_be(compiler: str, programs: Path) -> None:
    """The watchdog: a run that would take hours, and may take a second."""
    program = build(compiler, "lockfree_stress", programs, *THREADS)
    done = subprocess.run([str(program), "park", "1", "1000000000", "1"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "WRONG: park: stuck\n")
