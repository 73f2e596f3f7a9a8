"""What was learned and is not durable yet: on its way to the store, in order, each change once."""

from __future__ import annotations

import math
import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from time import monotonic

from sophia.errors import StoreFailed
from sophia.store.ack import Ack
from sophia.store.changes import Answer, Changes
from sophia.store.outputs import Output
from sophia.store.pending import Pending
from sophia.store.store import Store

__all__ = ["Ledger"]

# Sightings and familiarity are committed in groups: those of so many decisions, or of so many seconds.
_GROUP_DECISIONS = 256
_GROUP_SECONDS = 1.0

# Batches that are in the store by their inputs alone; what they taught is committed for all of them together. More
# would make a recovery longer (10 us an input) and the store larger for a while.
_PENDING_BATCHES = 32
_PENDING_INPUTS = 8192
_PENDING_CHARS = 1 << 22
_PENDING_SECONDS = 5.0  # others wait for what was remembered
# A single batch over this is committed whole, before its decisions are told.
_PENDING_BATCH_CHARS = 1 << 26


class Ledger:
    """What `store` has not committed yet, in line, and what it has by its inputs alone.

    Changes are taken from what learns them, put in line, and committed, at once or later, maybe in another thread.
    `learned` always is a call that gives them, and `upto` the number of the last input that they know of. From then on
    this holds, whatever fails, and wherever an exception such as that of a Ctrl-C breaks in. (One that breaks in while
    they are being taken may lose them; the call that was to commit them has then promised nothing.)

    * Order: the store takes changes in the order in which they were put in line, as a log that lacks a piece cannot be
      replayed. Who commits some also commits all that came before them.
    * Once: changes leave the line only after their commit. Of one that an exception broke off, the store says whether
      it was made; if it was, it is not made again. It is asked before it commits anything else, which could be taken
      for it: whatever a brain commits while it is open goes through here.
    * A failed commit loses nothing: its changes stay at the head of the line, and the next commit begins with them.
      Until then `answer` finds them there.
    * Inputs or what they taught, never both: the store gets the inputs of a batch only where its tables do not know
      them yet, and a commit deletes the inputs in the transaction that brings what they taught. So a recovery learns
      nothing twice.

    The line and the store are guarded by a lock of its own, which is taken after the brain's and never before it. What
    only counts (`is_due`, `expect`) belongs to who holds the brain's.
    """

    def __init__(self, store: Store) -> None:
        self.store = store
        self._lock = threading.RLock()  # re-entered by a signal handler only
        self._unsaved: deque[tuple[Changes, int]] = deque()  # oldest first, each with its `upto`
        self._tried: tuple[Changes, int] | None = None  # the changes last given to the store, and its commits before
        self._saved_n = 0  # what the inputs up to here taught is in the store's tables
        self._decisions = 0
        self._committed_at = monotonic()
        self._batches = self._inputs = self._chars = 0
        self.patience = -1.0
        """Seconds that `answer` waits for a commit of another thread; negative: for as long as it takes."""

    @property
    def busy(self) -> bool:
        """Whether another thread is in the middle of a commit, or of reading an answer."""
        free = self._lock.acquire(timeout=0)
        if free:
            self._lock.release()
        return not free

    def is_due(self, decisions: int) -> bool:
        """Counts decisions; True when it is time to commit what all since the last commit have taught."""
        self._decisions += decisions
        return self._decisions >= _GROUP_DECISIONS or monotonic() - self._committed_at >= _GROUP_SECONDS

    def commit(self, learned: Callable[[], Changes], upto: int) -> None:
        """Makes durable what was learned, and all that waits before it."""
        self._decisions = 0
        self._committed_at = monotonic()
        changes = self.take(learned, upto)
        with self._lock:
            self._settle()
            self._commit(changes, None)

    def hurry(self) -> None:
        """What was learned is taken before the next batch, however little it is."""
        self._committed_at = -math.inf

    def take_when_full(self, learned: Callable[[], Changes], upto: int) -> Changes | None:
        """What was learned, put in line for the next `begin`, when the store has enough batches by their inputs alone.

        None as long as it has not.
        """
        few = self._batches < _PENDING_BATCHES and self._inputs < _PENDING_INPUTS and self._chars < _PENDING_CHARS
        if few and monotonic() - self._committed_at < _PENDING_SECONDS:
            return None
        self._committed_at = monotonic()
        changes = self.take(learned, upto)
        self._batches = self._inputs = self._chars = 0
        return changes

    def expect(self, inputs: int, chars: int) -> bool:
        """Counts a batch that `begin` will give the store by its inputs; False where they are too large for that: then
        what it has taught must be taken at once."""
        if chars > _PENDING_BATCH_CHARS:
            return False
        self._batches += 1
        self._inputs += inputs
        self._chars += chars
        return True

    def begin(self, record: Pending | None, changes: Changes | None) -> Ack | None:
        """Makes a batch durable by its inputs, and `changes`, that were taken before it was made, in the same step;
        without a record, by the changes alone.

        Returns what counts how many of its decisions arrive; None where nobody needs to: the tables know all of its
        inputs already, as another call has committed them, or its record has no ends.
        """
        with self._lock:
            settled = self._settle()
            needed = record if record is not None and record.n > self._saved_n else None
            if changes is None:
                if needed is not None:
                    self.store.append(needed)
            elif changes is not settled:  # if it is, the record came with them
                self._commit(changes, needed)
            if needed is None or needed.ends is None:
                return None
            self.store.ack.begin(needed.run, needed.n)
            return self.store.ack

    def answer(self, key: bytes, policy_version: str, now: float) -> Answer | None:
        """The last answer under `key`, in line or in the store; one without a text takes back what came before it."""
        for changes, _ in reversed(list(self._unsaved)):
            if (found := changes.answers.latest(key)) is not None and found.counts_under(policy_version):
                return found
        if not self._lock.acquire(timeout=self.patience):
            return None  # as if there were none: that only costs thought
        try:
            return self.store.answer(key, policy_version, now)
        finally:
            self._lock.release()

    def answers(self, policy_version: str, now: float, most: int) -> tuple[list[Answer], bool]:
        """Answers of a policy that a cache begins with, in line or in the store, the last one the most recent; and
        whether they are all. StoreFailed where another thread's commit takes longer than `patience`."""
        if not self._lock.acquire(timeout=self.patience):
            message = f"the store did not answer within {self.patience:g} s; try again when it does"
            raise StoreFailed(message)
        try:
            kept, more = self.store.answers(policy_version, now, most)
            kept += [one for changes, _ in list(self._unsaved) for one in changes.answers]
        finally:
            self._lock.release()
        return _latest(kept, policy_version), not more

    def keep_router(self, dump: bytes) -> None:
        """Puts a router of intents in the place of the one before, durably."""
        with self._lock:
            self._settle()
            self.store.set_router(dump)

    def note_outputs(self, files: Sequence[Output]) -> None:
        """Names files outside of the store that are about to be written, durably."""
        with self._lock:
            self._settle()
            self.store.note_outputs(files)

    def take(self, learned: Callable[[], Changes], upto: int) -> Changes:
        """What was learned, put in line. Waits for no commit: to append is one step."""
        changes = learned()
        self._unsaved.append((changes, upto))
        return changes

    def _commit(self, changes: Changes, record: Pending | None) -> None:
        """Makes `changes`, and all that came before them, durable, and `record` with the last of them."""
        while any(waiting is changes for waiting, _ in list(self._unsaved)):
            first, upto = self._unsaved[0]
            ends = first is changes
            if first or self._saved_n < upto or (ends and record is not None):
                self._tried = (first, self.store.commits)
                self.store.commit(first, record if ends else None)
            if ends:
                record = None
            self._leave()
        if record is not None:  # another call has taken the changes along
            self.store.append(record)

    def _settle(self) -> Changes | None:
        """Takes out of the line, and returns, what is in the store although an exception came before the line knew.

        To be called before the store commits anything else.
        """
        self.store.settle()
        if self._tried is None or not self._unsaved or self._unsaved[0][0] is not self._tried[0]:
            return None
        changes, before = self._tried
        if self.store.commits == before:
            self._tried = None
            return None
        self._leave()
        return changes

    def _leave(self) -> None:
        """The head of the line is in the store."""
        self._saved_n = self._unsaved[0][1]  # first, as an exception may come between the two
        self._unsaved.popleft()


def _latest(answers: Iterable[Answer], policy_version: str) -> list[Answer]:
    """Of each key the last one of a policy, in the order of these."""
    found: dict[bytes, Answer] = {}
    for answer in answers:
        if answer.counts_under(policy_version):
            found.pop(answer.key, None)
            found[answer.key] = answer
    return list(found.values())
