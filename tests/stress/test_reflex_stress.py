from __future__ import annotations

import random

import psutil
import pytest

from sophia._core.reflex import ReflexCache

pytestmark = pytest.mark.stress


@pytest.mark.memory
def test_churn_does_not_grow_the_process():
    rng = random.Random(1)
    cache = ReflexCache(max_bytes=8 << 20, max_entries=20_000)
    process = psutil.Process()
    blob = bytes(4000)

    def churn(rounds: int) -> None:
        for _ in range(rounds):
            key = b"%d" % rng.randrange(60_000)
            if cache.get(key) is None:
                cache.put(key, key, blob[: int(rng.random() ** 4 * 4000)])

    churn(150_000)
    assert cache.has_forgotten
    before = process.memory_info().rss
    churn(450_000)
    assert process.memory_info().rss - before < 4 << 20
    assert cache.nbytes <= 8 << 20
    cache.clear()
    assert len(cache) == 0
