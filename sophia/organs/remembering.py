"""What a brain remembers of its inputs: those that were new and those that were answered; and what others are like.

The memories are those of the store (:mod:`sophia.organs.hippocampus` opens them when no brain has it). What is
remembered goes with the other changes of the brain, in one transaction, so that a killed run has remembered exactly
what it has told.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from sophia._core.decision import Decision, set_match
from sophia.organs.memory_content import MOST_TEXT
from sophia.organs.memory_index import Choice, nearest
from sophia.organs.memory_search import MemorySearch, MemorySource
from sophia.organs.memory_words import when
from sophia.store.memories import SEEN
from sophia.store.memory_row import MemoryRow
from sophia.store.segments import SegmentEntry

__all__ = ["Nothing", "Remembering"]

_LIKE = 0.2  # similarity from which on a memory is told: texts that share no words stay below .1
_SPARE = 4096  # memories over the bound that are borne, so that letting go is rare
_HOUR = 3_600_000_000  # microseconds between two looks at what is overdue
_UNREADABLE = ("invalid", "empty", "too-long")


class Nothing:
    """A store without memories."""

    path = Path()

    def segments(self) -> list[SegmentEntry]:
        """None."""
        return []

    def memories(self, after: int, upto: int) -> list[MemoryRow]:  # noqa: ARG002
        """None."""
        return []

    def strengths(self) -> dict[int, tuple[float, int]]:
        """None."""
        return {}


class Remembering(MemorySearch):
    """The memories that a brain makes, and those that it looks at. Not thread-safe by itself: the brain holds the lock.

    `last` is the highest id that the store ever gave, `count` how many memories it has of inputs. Above `most` of them
    the oldest are let go, and those that were made more than `retention` seconds ago (0: never); `times` are when those
    that are there were made, by id. With `recalls` all memories of `source` are loaded, and each decision but a repeat
    is told which memory of its scope is most like it: about .3 ms among 10,000.
    """

    def __init__(
        self,
        dim: int,
        clock: Callable[[], float],
        source: MemorySource,
        *,
        last: int,
        count: int,
        most: int,
        remembers: bool,
        recalls: bool,
        retention: float = 0.0,
        times: Sequence[int] = (),
    ) -> None:
        super().__init__(dim, clock)
        self._last, self._count, self._most = last, count, most
        self._spare = max(1, min(_SPARE, most // 8))
        self._remembers, self.recalls = remembers, recalls
        self._made: list[MemoryRow] = []
        self._let_go = 0
        self._total = [0, 0]
        self._retention = round(retention * 1e6)
        self._times = deque(times)
        self._looked = self._now()
        if recalls:
            self._fill(source)

    def follow(self, decisions: Sequence[Decision], answers: Sequence[str | None] | None) -> None:
        """Remembers and recalls for decisions that nobody has been handed yet, one after the other. Looks now and then
        for what has been kept long enough."""
        if self._retention and (now := self._now()) - self._looked >= min(_HOUR, self._retention):
            self._looked = now
            self._leave(self._overdue(now))
        for number, decision in enumerate(decisions):
            answer = None if answers is None else answers[number]
            text = decision.text
            if text is None or decision.verdict != "allow" or decision.why in _UNREADABLE or len(text) > MOST_TEXT:
                continue
            told = answer is not None and (decision.why != "repeat" or decision.answer != answer)
            new = self._remembers and (told or (decision.accepted_same == 0 and decision.why != "repeat"))
            like = self.recalls and decision.why != "repeat"
            if not (new or like):
                continue
            vector = self._reader.read(text).vector
            if like:
                self._match(decision, vector)
            if new:
                self._remember(decision, text, answer, vector)

    def complete(self, decision: Decision, answer: str) -> None:
        """The input of a decision was answered: a memory with the answer."""
        text = decision.text
        if not self._remembers or text is None or len(text) > MOST_TEXT:
            return
        vector = self._reader.read(text).vector
        self._remember(decision, text, answer, vector)

    @property
    def counted(self) -> tuple[int, int]:
        """How many were made, and let go, since it was opened."""
        return self._total[0], self._total[1]

    def take(self) -> tuple[list[MemoryRow], int]:
        """What was remembered since the last call, and how many of the oldest are let go for it."""
        made, gone = self._made, self._let_go
        self._made, self._let_go = [], 0
        return made, gone

    def _match(self, decision: Decision, vector: bytes) -> None:
        chosen = self._index.chosen(Choice(scope=decision.scope))
        places, distances = nearest(self._index.pieces(), [vector], chosen, 1, self.dim)[0]
        if places and (score := 1.0 - 2.0 * distances[0] / self.dim) >= _LIKE:
            set_match(decision, f"m{int(self._index.ids()[places[0]])}", score)

    def _remember(self, decision: Decision, text: str, answer: str | None, vector: bytes) -> None:
        now = self._now()
        self._last += 1
        row = MemoryRow(
            id=self._last,
            scope=decision.scope,
            context=decision.context,
            actor="",
            kind=decision.kind,
            tags=(),
            ts=_moment(decision.ts, now),
            valence=0.0,
            strength=1.0,
            raised=now,
            text=text,
            answer=answer,
            dim=self.dim,
            vector=vector,
        )
        self._made.append(row)
        self._total[0] += 1
        self._count += 1
        if self.recalls:
            self._add([row])
        if self._retention:
            self._times.append(now)
        if self._count >= self._most + self._spare:
            self._leave(self._count - self._most)

    def _overdue(self, now: int) -> int:
        """How many of the oldest have been kept long enough."""
        found = 0
        if self._retention:
            while found < len(self._times) and self._times[found] < now - self._retention:
                found += 1
        return found

    def _leave(self, over: int) -> None:
        """Lets the oldest go."""
        if over <= 0:
            return
        self._let_go += over
        self._total[1] += over
        self._count -= over
        for _ in range(min(over, len(self._times))):
            self._times.popleft()
        if self.recalls:
            for id in self._index.oldest(SEEN, over):
                self._index.remove(id)

    def close(self) -> None:
        """May be called twice."""
        self._closed = True
        self._aside.close()


def _moment(ts: str | None, now: int) -> int:
    """When an input happened, in microseconds; `now` where it does not say so that it can be read."""
    try:
        found = None if ts is None else datetime.fromisoformat(ts)
        said = when(found if found is None or found.tzinfo else found.replace(tzinfo=UTC), "ts")
    except (ValueError, OverflowError):
        return now
    return now if said is None else said
