"""A memory does what a list of its rows and a loop over them would, whatever was done to it before."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from sophia.organs.hippocampus import Hippocampus
from sophia.organs.memory_reader import MemoryReader
from sophia.store.check import check
from tests.sealing import small_segments

DIM = 72  # not a multiple of a word
NAMES = st.sampled_from(["", "a", "b", "'"])
VECTOR = st.integers(0, 2**DIM - 1).map(lambda number: np.frombuffer(number.to_bytes(DIM // 8, "little"), np.uint8))


@dataclass
class Row:
    bits: int
    scope: str
    kind: str
    tags: frozenset[str]
    ts: int
    valence: float


def bits_of(vector: np.ndarray) -> int:
    return int.from_bytes(vector.tobytes(), "little")


class Memories(RuleBasedStateMachine):
    @initialize(durability=st.sampled_from(["disk", "os", "memory"]), segments=st.sampled_from([2, 5, 1000]))
    def begin(self, durability: str, segments: int) -> None:
        self.small = small_segments(segments, 2 * segments)
        self.small.__enter__()
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name) / "mind"
        self.durability = durability
        self.memory = Hippocampus.open(self.path, dim=DIM, durability=durability)  # type: ignore[arg-type]
        self.rows: dict[int, Row] = {}
        self.last = 0

    @rule(
        many=st.lists(VECTOR, max_size=6), scope=NAMES, kind=NAMES, tags=st.frozensets(NAMES, max_size=3),
        ts=st.integers(-3, 3), valence=st.sampled_from([-1.0, 0.0, 0.5]),
    )  # fmt: skip
    def remember(
        self, many: list[np.ndarray], scope: str, kind: str, tags: frozenset[str], ts: int, valence: float
    ) -> None:
        said = {"scope": scope, "kind": kind, "tags": tags, "ts": ts, "valence": valence}
        ids = self.memory.remember_many(many, **said)
        assert ids == list(range(self.last + 1, self.last + 1 + len(many)))
        self.last += len(many)
        for id, vector in zip(ids, many, strict=True):
            self.rows[id] = Row(bits_of(vector), scope, kind, tags, ts, valence)

    @rule(
        query=VECTOR, k=st.integers(1, 9), scope=st.none() | NAMES, kinds=st.none() | st.lists(NAMES, max_size=2),
        tags=st.lists(NAMES, max_size=2), since=st.none() | st.integers(-3, 3), until=st.none() | st.integers(-3, 3),
        valence=st.none() | st.just((-0.5, 1.0)),
    )  # fmt: skip
    def recall(self, query, k, scope, kinds, tags, since, until, valence) -> None:
        expected = sorted(
            ((row.bits ^ bits_of(query)).bit_count(), id)
            for id, row in self.rows.items()
            if (scope is None or row.scope == scope)
            and (kinds is None or row.kind in kinds)
            and set(tags) <= row.tags
            and (since is None or row.ts >= since)
            and (until is None or row.ts < until)
            and (valence is None or valence[0] <= row.valence <= valence[1])
        )[:k]
        choice = {"scope": scope, "kinds": kinds, "tags": tags, "since": since, "until": until, "valence": valence}
        found = self.memory.recall(query, k, **choice)
        assert [(m.distance, m.id) for m in found] == expected
        again = self.memory.recall_many([query, ~query & 0xFF], k, **choice)
        assert [(m.distance, m.id) for m in again[0]] == expected

    @rule(data=st.data())
    def forget_one(self, data: st.DataObject) -> None:
        id = data.draw(st.integers(1, max(1, self.last)))
        assert self.memory.forget(id) == (id in self.rows)
        self.rows.pop(id, None)

    @rule(scope=NAMES, before=st.none() | st.integers(-3, 3))
    def forget_some(self, scope: str, before: int | None) -> None:
        gone = [i for i, r in self.rows.items() if r.scope == scope and (before is None or r.ts < before)]
        assert self.memory.forget(scope=scope, before=before) == len(gone)
        for id in gone:
            del self.rows[id]

    @rule()
    def read(self) -> None:
        with MemoryReader.open(self.path) as reader:
            if self.durability != "memory":
                assert sorted(reader.recall(None, 10_000).ids) == sorted(self.rows)
            assert reader.stats()["rebuilt"] == 0

    @rule()
    def reopen(self) -> None:
        self.memory.close()
        self.memory = Hippocampus.open(self.path, durability=self.durability)  # type: ignore[arg-type]

    @invariant()
    def same_size(self) -> None:
        if hasattr(self, "memory"):
            assert len(self.memory) == len(self.rows)

    def teardown(self) -> None:
        if hasattr(self, "memory"):
            self.memory.close()
            assert check(self.path).sound
            self.folder.cleanup()
            self.small.__exit__(None, None, None)


TestMemories = Memories.TestCase
TestMemories.settings = settings(max_examples=40, stateful_step_count=20, deadline=None)
