from __future__ import annotations

import random
import threading

import pytest

from sophia._core.pattern import PatternTable

pytestmark = pytest.mark.stress


def test_memory_is_bounded_under_different_lines():
    r = random.Random(1)
    letters = "bcdfghjklmnpqrstvwz"
    table = PatternTable(2000)
    highest = []
    for part in range(10):
        lines = [" ".join("".join(r.choices(letters, k=6)) for _ in range(8)) for _ in range(20_000)]
        table.observe_many(lines)
        assert table.leaves == len(table) == 2000
        highest.append(table.nbytes)
        if part == 4:
            table.changes()
    assert table.evicted == 200_000 - 2000
    assert max(highest[2:]) <= 1.5 * highest[1]
    assert max(highest) < 2000 * 2000 + (2 << 20)  # a map grows to a whole huge page before it needs one
    assert len(list(table.patterns())) == 2000


def test_memory_is_bounded_under_lines_that_merge():
    r = random.Random(2)
    table = PatternTable(500)
    for _ in range(20):
        table.observe_many(
            [f"user {r.choice('abcdefgh')}{r.choice('abcd')} did {r.choice('klmn')} of {r.random():.6f} to "
             + "".join(r.choices("bcdfg", k=5)) for _ in range(2000)]
        )  # fmt: skip
        table.changes()
    assert table.nbytes < 500 * 5000
    assert len(list(table.patterns())) <= 3 * 500


def test_garbage():
    r = random.Random(3)
    table = PatternTable(300)
    for _ in range(30_000):
        table.observe(r.randbytes(r.randint(0, 60)))
    for _ in range(200):
        table.observe(r.randbytes(6000))
    again = PatternTable.load(table.dump())
    assert list(again.patterns()) == list(table.patterns())
    assert (again.leaves, again.evicted) == (table.leaves, table.evicted)


def test_threads_share_a_table():
    table = PatternTable(64)
    lines = [f"user u{i % 50}x did {i % 7} of host{i % 3} at {'abc'[i % 3]}" for i in range(2000)]
    errors: list[BaseException] = []

    def work(seed: int) -> None:
        r = random.Random(seed)
        try:
            for _ in range(20):
                part = r.sample(lines, 200)
                for id in table.observe_many(part):
                    assert id > 0
                table.match(part[0])
                table.observe(part[1])
                list(table.patterns())
                table.changes()
                PatternTable.load(table.dump())
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    assert sum(p.count for p in table.patterns() if p.merged_into is None) <= 4 * 20 * 201
