"""An arena driven at random against a model that remembers which vectors are still lent."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from sophia._core import hdc
from sophia._core.arena import HDCArena
from sophia.errors import ArenaFull, StaleArenaError


class ArenaMachine(RuleBasedStateMachine):
    """`lent` is a stack: a rewind cuts it where the mark was taken."""

    def __init__(self) -> None:
        super().__init__()
        self.arena = HDCArena(chunk_bytes=4096, limit_bytes=65_536)
        self.lent: list[tuple[object, int]] = []
        self.stale: list[object] = []
        self.marks: list[tuple[object, int]] = []
        self.dead_marks: list[object] = []
        self.count = 0

    @rule(dim=st.sampled_from([64, 512, 1000, 10_000, 40_000]))
    def take(self, dim: int) -> None:
        try:
            vector = hdc.random(self.count, dim=dim, arena=self.arena)
        except ArenaFull:
            return
        self.lent.append((vector, self.count))
        self.count += 1

    @rule()
    def mark(self) -> None:
        self.marks.append((self.arena.mark(), len(self.lent)))

    @precondition(lambda self: self.marks)
    @rule(data=st.data())
    def rewind(self, data) -> None:
        at = data.draw(st.integers(0, len(self.marks) - 1))
        mark, depth = self.marks[at]
        self.arena.rewind(mark)
        self.stale += [vector for vector, _ in self.lent[depth:]]
        self.dead_marks += [other for other, other_depth in self.marks if other_depth > depth]
        self.marks = [entry for entry in self.marks if entry[1] <= depth]
        del self.lent[depth:]

    @rule()
    def reset(self) -> None:
        self.arena.reset()
        self.stale += [vector for vector, _ in self.lent]
        self.dead_marks += [mark for mark, _ in self.marks]
        self.lent, self.marks = [], []

    @rule()
    def reset_is_blocked_by_a_view(self) -> None:
        if self.lent:
            with memoryview(self.lent[-1][0]), pytest.raises(BufferError):
                self.arena.reset()

    @invariant()
    def lent_vectors_hold_and_old_ones_raise(self) -> None:
        for vector, name in self.lent:
            assert vector == hdc.random(name, dim=vector.dim)
        for vector in self.stale[-20:]:
            with pytest.raises(StaleArenaError):
                vector.tobytes()
        assert self.arena.bytes_used <= self.arena.high_water <= self.arena.capacity <= 65_536
        assert self.arena.exports == 0


ArenaMachine.TestCase.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
TestArena = ArenaMachine.TestCase
