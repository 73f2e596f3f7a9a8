"""Whatever breaks a commit off, the store gets what was learned in order and each piece once."""

from __future__ import annotations

import sqlite3
import sys
import tempfile
from contextlib import suppress
from functools import partial
from pathlib import Path
from types import FrameType

from hypothesis import given, settings
from hypothesis import strategies as st

from sophia.errors import StoreLocked
from sophia.store.changes import Answer, Answers, Changes
from sophia.store.ledger import Ledger
from sophia.store.pending import Pending
from sophia.store.store import Store

# What happens to a step: nothing, another program that holds the database, a Ctrl-C at its n-th call or return.
FAULTS = st.none() | st.just("locked") | st.integers(1, 90)
FILES = ("/sophia/store/ledger.py", "/sophia/store/store.py", "/contextlib.py")
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["commit", "take", "begin", "begin late", "begin taken", "begin whole", "router"]), FAULTS
    ),
    max_size=12,
)


class CtrlC:
    """Raises KeyboardInterrupt at the n-th call or return, of Python or C, of the ledger and the store."""

    def __init__(self, at: int) -> None:
        self.left = at

    def __call__(self, frame: FrameType, event: str, argument: object) -> None:
        code = frame.f_code
        # A generator expression that is closed swallows what is raised there; until take ends nothing is in line.
        if code.co_filename.endswith(FILES) and code.co_name not in ("<genexpr>", "take"):
            self.left -= 1
            if self.left == 0:
                sys.setprofile(None)
                raise KeyboardInterrupt


class Learner:
    """Learns numbered pieces: each an entry of a log and an answer."""

    def __init__(self) -> None:
        self.pieces = 0
        self.upto = [0]
        """By piece, the last input that it knows of."""

    def learned(self, upto: int) -> Changes:
        self.pieces += 1
        self.upto.append(upto)
        answers = Answers()
        answers.append(Answer(b"key", b"raw", f"answer {self.pieces}", f"1.{self.pieces}", "policy", 0.0))
        return Changes(answers, [], {"familiar": b"piece %d" % self.pieces})


def step(ledger: Ledger, learner: Learner, what: str, taken: list[Changes], n: int) -> None:
    learned = partial(learner.learned, n)
    if what == "commit":
        ledger.commit(learned, n)
    elif what == "take":
        taken.append(ledger.take(learned, n))
    elif what == "begin whole":
        ledger.begin(None, ledger.take(learned, n))
    elif what == "router":
        ledger.keep_router(b"a router")
    else:
        changes = taken.pop() if taken and what == "begin taken" else None
        first = n - 1 if what == "begin late" else n  # then the step before may have committed it
        ledger.begin(Pending(1, first, 0.0, {"texts": [f"text {n}"]}), changes)


@given(STEPS)
@settings(deadline=None)
def test_each_piece_is_committed_once_and_in_order(steps: list[tuple[str, int | str | None]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder) / "mind")
        store._connection.execute("PRAGMA busy_timeout = 1")
        other = sqlite3.connect(store.file, isolation_level=None, timeout=0)
        ledger, learner = Ledger(store), Learner()
        taken: list[Changes] = []
        for n, (what, fault) in enumerate(steps, 1):
            if fault == "locked":
                with suppress(sqlite3.OperationalError):  # a transaction that was broken off may be open still
                    other.execute("BEGIN IMMEDIATE")
            try:
                if isinstance(fault, int):
                    sys.setprofile(CtrlC(fault))
                step(ledger, learner, what, taken, n)
            except (StoreLocked, KeyboardInterrupt):
                pass
            finally:
                sys.setprofile(None)
                other.rollback()
            last = ledger.answer(b"key", "policy", 0.0)
            assert (last and last.text) == (f"answer {learner.pieces}" if learner.pieces else None)
        other.close()
        store.settle()
        known = learner.upto[len(store.derived(["familiar"])[0]["familiar"][1])]
        assert all(record.n > known for record in store.pending())
        step(ledger, learner, "commit", taken, len(steps) + 1)
        tables, faults = store.derived(["familiar"])
        assert faults == {}
        assert tables["familiar"] == (None, [b"piece %d" % i for i in range(1, learner.pieces + 1)])
        assert store.pending() == []
        store.close()
