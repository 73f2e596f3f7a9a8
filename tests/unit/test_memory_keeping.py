"""What sleep lets go, and what it makes one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from sophia._core.hdc import bundle, random_rows
from sophia.organs import hippocampus
from sophia.organs.hippocampus import Hippocampus
from sophia.organs.memory_reader import MemoryReader
from sophia.organs.recall import HALF_LIFE
from sophia.store.check import check
from tests.sealing import small_segments

NOW = 1_000_000_000.0
DIM = 256


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[Hippocampus]:
    with small_segments(), Hippocampus.open(tmp_path / "mind", dim=DIM, clock=lambda: NOW) as made:
        yield made
        made.close()
        assert check(tmp_path / "mind").sound


def vectors(count: int, name: str = "m") -> np.ndarray:
    return np.ascontiguousarray(np.asarray(random_rows(count, name, dim=DIM))[:, : DIM // 8])


def turned(vector: np.ndarray, bits: int) -> np.ndarray:
    bits_of = np.unpackbits(vector, bitorder="little")
    bits_of[:bits] ^= 1
    return np.packbits(bits_of, bitorder="little")


def test_what_is_older_goes(memory: Hippocampus) -> None:
    memory.remember_many([{"content": f"at {ts}", "ts": ts} for ts in range(10)])
    assert memory.keep(since=4) == {"let_go": 4, "merged": 0, "made": 0}
    assert sorted(memory.recall(None, 100).ids) == [5, 6, 7, 8, 9, 10]
    assert memory.keep(since=4) == {"let_go": 0, "merged": 0, "made": 0}


def test_what_has_faded_goes(tmp_path: Path) -> None:
    times = [NOW]
    with Hippocampus.open(tmp_path / "mind", dim=DIM, clock=lambda: times[0]) as memory:
        memory.remember("weak", strength=0.3)
        memory.remember("strong", strength=0.9)
        assert memory.keep(least=0.2)["let_go"] == 0
        times[0] += HALF_LIFE / 1e6
        assert memory.keep(least=0.2)["let_go"] == 1
        assert memory.recall(None, 5).ids == [2]


def test_of_too_many_the_weakest_go_and_of_those_the_older(memory: Hippocampus) -> None:
    memory.remember_many([{"content": f"m {number}", "strength": [0.5, 0.2, 0.9][number % 3]} for number in range(12)])
    assert memory.keep(most=12)["let_go"] == 0
    assert memory.keep(most=9)["let_go"] == 3
    assert sorted(memory.recall(None, 100).ids) == [1, 3, 4, 6, 7, 9, 10, 11, 12]
    assert memory.keep(most=5)["let_go"] == 4
    assert sorted(memory.recall(None, 100).ids) == [3, 6, 9, 10, 12]
    assert memory.keep(most=0)["let_go"] == 5
    assert len(memory) == 0


def test_those_that_say_nearly_the_same_become_one(memory: Hippocampus) -> None:
    first, other = vectors(2)
    memory.remember(first, ts=5, tags=["a"], strength=0.25, valence=1.0, answer="old")
    memory.remember(turned(first, 3), ts=9, tags=["b"], strength=0.5, valence=-0.5, answer="new")
    memory.remember(turned(first, 5), ts=7, tags=["a"], strength=0.1)
    memory.remember(turned(first, 60), ts=8)
    memory.remember(other)
    memory.remember(first, scope="elsewhere")
    assert memory.keep(merge=6 / DIM) == {"let_go": 0, "merged": 3, "made": 1}
    one = memory.get(7)
    assert sorted(memory.recall(None, 100).ids) == [4, 5, 6, 7]
    expected = bundle(np.stack([_padded(first), _padded(turned(first, 3)), _padded(turned(first, 5))]),
                      weights=[25, 50, 10], dim=DIM)  # fmt: skip
    assert one.vector.tobytes() == expected.tobytes()
    assert (one.tags, one.ts.timestamp(), one.answer) == (("a", "b"), 9.0, "new")
    assert one.strength == pytest.approx(0.85)
    assert one.valence == pytest.approx((25 * 1.0 - 50 * 0.5) / 85)
    assert memory.keep(merge=6 / DIM)["merged"] == 0
    assert memory.recall(first, 2).ids == [6, 7]


def _padded(vector: np.ndarray) -> np.ndarray:
    return np.concatenate([vector, np.zeros(64 - len(vector), np.uint8)])


def test_texts_that_are_the_same_become_one_with_the_text_of_the_strongest(memory: Hippocampus) -> None:
    memory.remember_many(["tea is ready"] * 5 + ["TEA is ready"] + ["coffee"], strength=0.1)
    memory.remember("Tea is Ready!", strength=0.6)
    assert memory.keep(merge=0.0)["merged"] == 7
    assert [(m.text, round(m.strength, 6)) for m in memory.recall("tea", 9)] == [("Tea is Ready!", 1.0)]
    assert len(memory) == 2


def test_many_groups_and_transactions(memory: Hippocampus, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hippocampus, "_GROUP", 7)
    rows = vectors(20)
    memory.remember_many([turned(row, bits) for bits in range(4) for row in rows])
    assert memory.keep(merge=3 / DIM) == {"let_go": 0, "merged": 80, "made": 20}
    assert sorted(memory.recall(None, 100).ids) == list(range(81, 101))
    assert [memory.recall(row, 1)[0].id for row in rows] == list(range(81, 101))


def test_what_is_kept_is_there_for_others_and_after_reopening(tmp_path: Path) -> None:
    path = tmp_path / "mind"
    with small_segments(), Hippocampus.open(path, dim=DIM, durability="memory") as memory:
        memory.remember_many(["tea"] * 6 + [f"note {number}" for number in range(20)], ts=5)
        with MemoryReader.open(path, interval=0) as reader:
            memory.keep(most=20, merge=0.0)
            expected = memory.recall(None, 100).ids
            assert reader.recall(None, 100).ids == expected
    with Hippocampus.open(path) as memory:
        assert memory.recall(None, 100).ids == expected
        assert memory.remember("next") == memory.stats()["last_id"] > max(expected)
    assert check(path).sound


@pytest.mark.parametrize(
    ("given", "error", "says"),
    [
        ({}, TypeError, "say what to keep"),
        ({"most": -1}, ValueError, "most is -1"),
        ({"most": 1.5}, TypeError, "1.5"),
        ({"least": 1.5}, ValueError, r"least is 1\.5"),
        ({"merge": float("nan")}, ValueError, "merge is nan"),
        ({"since": "yesterday"}, TypeError, "since is of type str"),
    ],
)
def test_bad_limits_are_refused_and_nothing_goes(
    memory: Hippocampus, given: dict[str, object], error: type[Exception], says: str
) -> None:
    memory.remember("tea")
    with pytest.raises(error, match=says):
        memory.keep(**given)  # type: ignore[arg-type]
    assert len(memory) == 1


def test_the_disk_counts_the_texts_that_stay(memory: Hippocampus) -> None:
    memory.remember_many([f"short {number}" for number in range(200)])
    memory.remember_many([f"long {number} " + "x" * 5000 for number in range(50)])
    room = 10 * (400 + 3.5 * DIM / 8 + 8 * 5010)
    would = memory.would_keep(disk=round(room), order="stored")["let_go"]
    assert memory.keep(disk=round(room), order="stored")["let_go"] == would == 240
    assert memory.keep(disk=round(room), order="stored")["let_go"] == 0


def test_where_the_disk_is_not_enough_the_weakest_go(memory: Hippocampus) -> None:
    memory.remember_many([{"content": f"note {number:03}", "strength": number / 400} for number in range(400)])
    each = 400 + 3.5 * DIM / 8 + 8 * memory._store.mean_text()
    assert memory.keep(disk=round(401 * each))["let_go"] == 0
    gone = memory.keep(disk=round(200.5 * each))["let_go"]
    assert gone == 200
    assert min(memory.recall(None, 1000).ids) == gone + 1
    assert memory.keep(disk=round(200.5 * each))["let_go"] <= 2  # texts that are left may be longer
    for bad, error in ((-1, ValueError), (1.5, TypeError), (True, TypeError)):
        with pytest.raises(error, match="disk is"):
            memory.keep(disk=bad)  # type: ignore[arg-type]


def test_what_would_go_is_what_goes(tmp_path: Path) -> None:
    with Hippocampus.open(tmp_path, dim=DIM, clock=lambda: 1e9) as memory:
        memory.remember_many(["tea"] * 3 + ["coffee"] * 2 + ["water"], ts=1e9)
        memory.remember_many(["tea"] * 2, ts=5.0)
        before = [one.id for one in memory.recall(None, 100)]
        for said in ({"since": 100.0}, {"merge": 0.0}, {"since": 100.0, "merge": 0.0}, {"most": 2}, {"least": 0.5}):
            would = memory.would_keep(**said)
            assert [one.id for one in memory.recall(None, 100)] == before
            with Hippocampus.open(tmp_path / str(said), dim=DIM, clock=lambda: 1e9) as other:
                other.remember_many(["tea"] * 3 + ["coffee"] * 2 + ["water"], ts=1e9)
                other.remember_many(["tea"] * 2, ts=5.0)
                assert other.keep(**said) == would


def test_a_disk_that_holds_no_memory_is_a_mistake(tmp_path: Path) -> None:
    with Hippocampus.open(tmp_path, dim=DIM) as memory:
        assert memory.keep(disk=1) == {"let_go": 0, "merged": 0, "made": 0}  # nothing is there to go
        memory.remember("tea")
        for call in (memory.keep, memory.would_keep):
            with pytest.raises(ValueError, match="less than a store with one memory"):
                call(disk=100)
        assert len(memory) == 1


@pytest.mark.parametrize(("order", "left"), [("weakest", [1, 3]), ("oldest", [2, 4]), ("stored", [3, 4])])
def test_which_of_too_many_go_first(tmp_path: Path, order: str, left: list[int]) -> None:
    with Hippocampus.open(tmp_path, dim=DIM, clock=lambda: 1e9) as memory:
        for number, (ts, strength) in enumerate([(1, 0.9), (7, 0.2), (2, 0.8), (8, 0.1)]):
            memory.remember(f"note {number}", ts=ts, strength=strength)
        assert memory.would_keep(most=2, order=order)["let_go"] == 2
        memory.keep(most=2, order=order)
        assert sorted(memory.recall(None, 9).ids) == left
        with pytest.raises(ValueError, match="'weakest', 'oldest', 'stored'"):
            memory.keep(most=1, order="best")
