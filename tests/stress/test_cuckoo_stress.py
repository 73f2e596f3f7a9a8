from __future__ import annotations

import random

import numpy as np
import psutil
import pytest
from oracle import cuckoo as oracle

from sophia._core.cuckoo import CuckooFilter, GenerationalFilter
from sophia.errors import FilterFull

pytestmark = pytest.mark.stress


def test_a_million_random_steps_without_a_false_negative():
    rng = random.Random(20)
    known = CuckooFilter(20_000, seed=8)
    size = oracle.table_size(20_000)
    present: list[int] = []
    copies: dict[int, int] = {}
    refused = 0
    for step in range(1_000_000):
        # waves between nearly empty and refusing
        rising = (step // 60_000) % 2 == 0
        if rng.random() < (0.75 if rising else 0.25):
            key = rng.randrange(40_000) * 0x9E3779B97F4A7C15 % 2**64
            try:
                known.add(key)
            except FilterFull:
                refused += 1
                continue
            present.append(key)
            copies[key] = copies.get(key, 0) + 1
        elif present:
            at = rng.randrange(len(present))
            key, present[at] = present[at], present[-1]
            present.pop()
            copies[key] -= 1
            assert known.discard(key)
        if step % 50_000 == 0:
            held = np.array([key for key, count in copies.items() if count], dtype=np.uint64)
            assert known.contains_many(held).all()
    assert refused > 100
    assert len(known) == len(present)
    assert known.contains_many(np.array(present, dtype=np.uint64)).all()
    wanted = sorted(oracle.place(key, size, 8) for key in present[:2000])
    assert len(wanted) == 2000
    assert known.discard_many(np.array(present, dtype=np.uint64)).all()
    assert len(known) == 0


@pytest.mark.memory
def test_memory_stays_flat():
    process = psutil.Process()
    keys = np.arange(50_000, dtype=np.uint64)

    def churn() -> None:
        known = GenerationalFilter(30_000, track_changes=100_000)
        for _ in range(3):
            known.add_many(keys)
            known.drain_changes()
        GenerationalFilter.load(known.dump())

    for _ in range(20):
        churn()
    before = process.memory_info().rss
    for _ in range(100):
        churn()
    assert process.memory_info().rss - before < 4 << 20
