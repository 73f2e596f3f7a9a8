"""Memories in Arrow files: the same as the rows of the database, or not used."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sophia._core.hdc import random_rows
from sophia.errors import StoreCorrupt, StoreFailed
from sophia.organs import hippocampus, memory_search
from sophia.organs.hippocampus import Hippocampus
from sophia.organs.memory_reader import MemoryReader
from sophia.store import segments
from sophia.store.backup import backup, restore
from sophia.store.check import check
from sophia.store.compaction import compact
from sophia.store.repair import repair
from sophia.store.segments import SegmentEntry, SegmentRows, open_segment, write_segment
from tests.sealing import small_segments

pytest.importorskip("pyarrow")

TEXTS = ["Ann likes green tea", "büro ✓", "日本語のお茶", "a", "tea is cold", "O'Brien drank the tea"]


@pytest.fixture(autouse=True)
def small() -> Iterator[None]:
    with small_segments():
        yield


def fill(path: Path, count: int = 9, dim: int = 256, **more: Any) -> None:
    with Hippocampus.open(path, dim=dim, clock=lambda: 1e9) as memory:
        for number in range(count):
            memory.remember(
                TEXTS[number % len(TEXTS)], scope="ab"[number % 2], context=f"c{number % 3}", actor="Ann",
                kind="note" if number % 4 else "fact", tags=["t", f"{number % 2}"] if number % 3 else [], ts=number,
                valence=number / 100, strength=0.5, answer=None if number % 2 else f"answer {number} ✓", **more,
            )  # fmt: skip


def rows(path: Path) -> list[dict[str, Any]]:
    with MemoryReader.open(path, clock=lambda: 1e9) as reader:
        return [memory.to_dict() | {"vector": memory.vector.tobytes()} for memory in reader.recall(None, 10_000)]


def files(path: Path) -> list[str]:
    folder = path / "segments"
    return sorted(file.name for file in folder.iterdir()) if folder.exists() else []


def rebuilt(path: Path) -> int:
    with MemoryReader.open(path) as reader:
        return int(reader.stats()["rebuilt"])


@pytest.mark.parametrize("dim", [65, 256, 1024, 10_000])
def test_a_segment_says_what_the_rows_say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dim: int) -> None:
    fill(tmp_path / "mind", dim=dim)
    assert files(tmp_path / "mind") == ["1-9.rows.arrow", "1-9.words.arrow"]
    mapped = rows(tmp_path / "mind")
    with MemoryReader.open(tmp_path / "mind") as reader:
        assert reader.stats()["index_bytes"] < 100_000
        found = reader.recall("tea").ids
        ((_, piece),) = reader._index.pieces()
        assert piece.vectors.ctypes.data % 64 == 0
        assert (piece.sketches is not None) == (dim >= 1024)
        assert piece.sketches is None or piece.sketches.ctypes.data % 64 == 0
    monkeypatch.setattr(memory_search, "arrow", lambda: False)  # as where pyarrow is missing
    assert rows(tmp_path / "mind") == mapped
    assert len(mapped) == 9
    with MemoryReader.open(tmp_path / "mind") as reader:
        assert reader.recall("tea").ids == found


def test_a_mapped_vector_is_read_only_and_outlives_the_memory(tmp_path: Path) -> None:
    fill(tmp_path / "mind")
    with Hippocampus.open(tmp_path / "mind") as memory:
        found = memory.get(3)
        vector = found.vector
        with pytest.raises(ValueError, match=r"read-only|WRITEABLE"):
            vector[0] = 1
        with pytest.raises(ValueError, match="WRITEABLE"):
            vector.flags.writeable = True
        kept = vector.tobytes()
        memory.forget(3)
    assert vector.tobytes() == kept
    assert found.text == TEXTS[2]


def test_ids_with_gaps_are_found(tmp_path: Path) -> None:
    fill(tmp_path / "mind")
    with Hippocampus.open(tmp_path / "mind") as memory:
        memory.forget(4)
        memory.forget(7)
    assert files(tmp_path / "mind") == ["1-9.rows.arrow", "1-9.words.arrow"]
    with MemoryReader.open(tmp_path / "mind") as reader:
        assert reader.stats()["rebuilt"] == 0
        for id in range(-1, 12):
            if id in {1, 2, 3, 5, 6, 8, 9}:
                assert reader.get(id).id == id
            else:
                with pytest.raises(KeyError):
                    reader.get(id)


def damages() -> dict[str, Any]:
    def flip(seed: int) -> Any:
        def damage(file: Path) -> None:
            data = bytearray(file.read_bytes())
            draw = random.Random(seed)
            data[draw.randrange(len(data))] ^= 1 << draw.randrange(8)
            file.write_bytes(bytes(data))

        return damage

    made = {f"flip {seed}": flip(seed) for seed in range(12)}
    return made | {
        "empty": lambda file: file.write_bytes(b""),
        "shorter": lambda file: os.truncate(file, file.stat().st_size - 1),
        "half": lambda file: os.truncate(file, file.stat().st_size // 2),
        "longer": lambda file: file.write_bytes(file.read_bytes() + b"\0"),
        "gone": lambda file: file.unlink(),
        "folder": lambda file: (file.unlink(), file.mkdir()),
        "text": lambda file: file.write_text("not an Arrow file"),
    }


@pytest.mark.parametrize("kind", ["rows", "words"])
@pytest.mark.parametrize("damage", damages())
def test_what_is_damaged_is_not_used_and_made_anew(tmp_path: Path, kind: str, damage: str) -> None:
    path = tmp_path / "mind"
    fill(path)
    sound = rows(path)
    damages()[damage](path / "segments" / f"1-9.{kind}.arrow")
    assert rebuilt(path) == 1
    assert rows(path) == sound
    assert check(path).sound  # nothing that counts was in it
    with Hippocampus.open(path) as memory:
        assert memory.stats()["rebuilt"] == 1
        assert len(memory) == 9
    assert rebuilt(path) == 0 or damage == "folder"
    assert rows(path) == sound


def test_every_derived_file_may_be_deleted(tmp_path: Path) -> None:
    fill(tmp_path / "mind")
    sound = rows(tmp_path / "mind")
    for name in files(tmp_path / "mind"):
        (tmp_path / "mind" / "segments" / name).unlink()
    (tmp_path / "mind" / "segments").rmdir()
    assert rows(tmp_path / "mind") == sound


def test_a_segment_of_another_store_is_not_used(tmp_path: Path) -> None:
    fill(tmp_path / "one")
    with Hippocampus.open(tmp_path / "two", dim=256) as memory:
        memory.remember_many([f"other {number}" for number in range(9)])
    kept = rows(tmp_path / "two")
    for name in files(tmp_path / "one"):
        (tmp_path / "two" / "segments" / name).write_bytes((tmp_path / "one" / "segments" / name).read_bytes())
    assert rebuilt(tmp_path / "two") == 1
    assert rows(tmp_path / "two") == kept


def test_what_a_killed_writer_left_is_removed(tmp_path: Path) -> None:
    fill(tmp_path / "mind")
    folder = tmp_path / "mind" / "segments"
    for name in ("10-20.rows.arrow", "10-20.words.arrow.part", "1-9.rows.arrow.part", "3-4.words.arrow"):
        (folder / name).write_bytes(b"left")
    (folder / "notes.txt").write_text("somebody's")
    Hippocampus.open(tmp_path / "mind").close()
    assert files(tmp_path / "mind") == ["1-9.rows.arrow", "1-9.words.arrow", "notes.txt"]


def test_small_segments_grow_together_up_to_the_largest(tmp_path: Path) -> None:
    for _ in range(7):
        fill(tmp_path / "mind", 4)
    assert [name for name in files(tmp_path / "mind") if "rows" in name] == [
        "1-8.rows.arrow", "17-24.rows.arrow", "25-28.rows.arrow", "9-16.rows.arrow",
    ]  # fmt: skip
    assert [row["id"] for row in sorted(rows(tmp_path / "mind"), key=lambda row: row["id"])] == list(range(1, 29))


def test_a_long_run_seals_while_it_goes(tmp_path: Path) -> None:
    with Hippocampus.open(tmp_path / "mind", dim=256) as memory:
        vectors = np.asarray(random_rows(40, "m", dim=256))[:, :32]
        for vector in vectors:
            memory.remember(np.ascontiguousarray(vector))
        assert len(files(tmp_path / "mind")) == 6
        assert [memory.recall(np.ascontiguousarray(v), 1)[0].distance for v in vectors] == [0] * 40
        assert memory.stats()["rebuilt"] == 0


@pytest.mark.parametrize("durability", ["disk", "memory"])
def test_sealing_with_gaps_and_with_what_waits(tmp_path: Path, durability: str) -> None:
    path = tmp_path / "mind"
    with Hippocampus.open(path, dim=256, durability=durability) as memory:  # type: ignore[arg-type]
        for number in range(60):
            memory.remember(f"tea {number}")
            if number % 5 == 4:
                memory.forget(number - 1)
                memory.remember_many(["more", "and more"])
        ids = memory.recall(None, 1000).ids
    assert [row["id"] for row in rows(path)] == ids
    assert rebuilt(path) == 0
    assert check(path).sound


def test_where_there_is_no_room_nothing_is_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(folder: Path, size: int) -> None:
        message = "no room"
        raise StoreFailed(message)

    monkeypatch.setattr(segments, "need_room", full)
    fill(tmp_path / "mind", 30)
    assert not [name for name in files(tmp_path / "mind") if name.endswith("arrow")]
    assert len(rows(tmp_path / "mind")) == 30
    monkeypatch.undo()
    with small_segments():
        Hippocampus.open(tmp_path / "mind").close()
    assert files(tmp_path / "mind")


def test_a_reader_keeps_what_it_has_mapped(tmp_path: Path) -> None:
    path = tmp_path / "mind"
    fill(path)
    with MemoryReader.open(path, interval=3600) as reader:
        found = reader.recall(None, 100)
        with Hippocampus.open(path) as memory:
            memory.forget(scope="a")
        fill(path, 5)
        assert [memory.text for memory in found] == [TEXTS[number % 6] for number in range(8, -1, -1)]
        assert reader.recall("tea").ids == [1, 7, 5, 6]
    assert sorted(row["id"] for row in rows(path)) == [2, 4, 6, 8, 10, 11, 12, 13, 14]


def test_readers_beside_a_writer_that_seals(tmp_path: Path) -> None:
    path = tmp_path / "mind"
    fill(path, 3)
    with MemoryReader.open(path, interval=0) as reader:
        for turn in range(12):
            fill(path, 4)
            with Hippocampus.open(path) as memory:
                memory.forget(4 * turn + 1)
                expected = memory.recall(None, 1000).ids
            assert reader.recall(None, 1000).ids == expected
            assert [row["id"] for row in rows(path)] == expected


def test_forgetting_removes_every_file_that_held_it(tmp_path: Path) -> None:
    path = tmp_path / "mind"
    secret = "the password is xyzzy-plugh"
    fill(path)
    with Hippocampus.open(path) as memory:
        memory.remember_many([secret, "one", "two", "three"], scope="b")
    held = [file for file in path.rglob("*") if file.is_file() and secret.encode() in file.read_bytes()]
    assert {file.name for file in held} == {"sophia.db", "10-13.rows.arrow"}
    before = {file.name: file.read_bytes() for file in held}
    with Hippocampus.open(path) as memory:
        memory.forget(10)
        assert secret.encode() not in b"".join(file.read_bytes() for file in path.rglob("*") if file.is_file())
    after = {file.name: file.read_bytes() for file in path.rglob("*") if file.is_file()}
    assert not [name for name, data in before.items() if after.get(name) == data]
    assert secret.encode() not in b"".join(after.values())
    assert [row["id"] for row in rows(path)] == [13, 12, 11, 9, 8, 7, 6, 5, 4, 3, 2, 1]


def test_strength_is_that_of_the_last_recall(tmp_path: Path) -> None:
    path = tmp_path / "mind"
    fill(path)
    with Hippocampus.open(path, clock=lambda: 1e9) as memory:
        assert memory.get(2).strength == 0.5
        memory.recall("büro")
    with Hippocampus.open(path, clock=lambda: 1e9) as memory:
        assert memory.get(2).strength == pytest.approx(0.6)
        assert memory.get(1).strength == 0.5
        memory.forget(1)  # its segment is made anew, with the strengths of now
    with MemoryReader.open(path, clock=lambda: 1e9) as reader:
        assert reader.get(2).strength == pytest.approx(0.6)
    assert check(path).sound


def test_what_is_done_to_the_whole_store_keeps_or_drops_them(tmp_path: Path) -> None:
    path = tmp_path / "mind"
    fill(path)
    kept = rows(path)
    compact(path)
    assert (rows(path), rebuilt(path)) == (kept, 0)
    backup(path, tmp_path / "copy")
    restore(tmp_path / "copy", tmp_path / "again")
    assert rows(tmp_path / "again") == kept
    repair(path)
    assert (rows(path), rebuilt(path)) == (kept, 0)
    with Hippocampus.open(path) as memory:
        assert memory.stats()["memories"] == 9
    assert (rows(path), rebuilt(path)) == (kept, 0)


def test_a_forked_child_reads_on(tmp_path: Path) -> None:
    fill(tmp_path / "mind")
    child = (
        "import os, sys\nfrom sophia.organs.memory_reader import MemoryReader\n"
        "reader = MemoryReader.open(sys.argv[1])\nmemory = reader.get(3)\npid = os.fork()\n"
        "if not pid:\n    os._exit(0 if memory.text and memory.vector.any() else 1)\n"
        "sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))"
    )
    done = subprocess.run([sys.executable, "-W", "error", "-c", child, str(tmp_path / "mind")], check=False)
    assert done.returncode == 0


def test_writing_and_opening_one_by_itself(tmp_path: Path) -> None:
    vectors = np.asarray(random_rows(3, "m", dim=1000))
    made = SegmentRows(
        dim=1000, ids=np.array([2, 5, 9]), ts=np.array([1, 2, 3]), raised=np.array([4, 5, 6]),
        valence=np.array([0.0, -1.0, 1.0]), strength=np.array([1.0, 0.5, 0.0]),
        names={"scope": ["", "b", "b"], "context": ["c"] * 3, "actor": [""] * 3, "kind": ["é", "k", "é"]},
        tags=[(), ("x", "y✓"), ("x",)], texts=[None, "text", ""], answers=["a", None, "✓"], vectors=vectors,
        words=(np.array([0, 2, 2, 3]), np.array([7, 8, 9], np.uint32), np.array([1, -2, 3], np.int8)),
    )  # fmt: skip
    entry = write_segment(tmp_path, made)
    segment = open_segment(tmp_path, entry)
    assert (entry.first, entry.last, entry.count, len(segment)) == (2, 9, 3, 3)
    assert [segment.find(id) for id in (1, 2, 3, 5, 9, 10)] == [None, 0, None, 1, 2, None]
    assert [segment.row(at).text for at in range(3)] == [None, "text", ""]
    assert [segment.row(at).answer for at in range(3)] == ["a", None, "✓"]
    assert [segment.row(at).kind for at in range(3)] == ["é", "k", "é"]
    assert [segment.row(at).tags for at in range(3)] == [(), ("x", "y✓"), ("x",)]
    assert list(segment.tagged()) == [(1, ("x", "y✓")), (2, ("x",))]
    assert [part.tolist() for part in segment.words] == [[0, 2, 2, 3], [7, 8, 9], [1, -2, 3]]
    assert segment.row(2).vector == vectors[2].tobytes()[:125]
    other = SegmentEntry(2, 9, 3, 1000, entry.words, entry.words)
    with pytest.raises(StoreCorrupt, match=r"2-9\.rows\.arrow is damaged"):
        open_segment(tmp_path, other)


def test_the_least_is_what_the_module_says() -> None:
    assert hippocampus.LEAST == 3  # or none of the above meant anything


def test_sketches_of_many_segments_find_what_all_bits_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Clusters whose rows are scattered over the segments: no segment has k near ones."""
    monkeypatch.setattr(memory_search, "_SKETCHED", 100)
    draw = np.random.default_rng(5)
    bases = draw.integers(0, 256, (30, 256), dtype=np.uint8)
    rows = bases[np.arange(900) % 30] ^ np.packbits(draw.random((900, 2048)) < 0.15, axis=1)
    with small_segments(5, 64), Hippocampus.open(tmp_path / "mind", dim=2048, durability="os") as memory:
        for start in range(0, 900, 50):
            memory.remember_many([np.ascontiguousarray(row) for row in rows[start : start + 50]])
        memory.sleep(0)
        memory.forget(17)
    with Hippocampus.open(tmp_path / "mind") as memory:
        assert len(memory._index.pieces()) > 8
        for query in [*rows[:5], *bases[:5], *draw.integers(0, 256, (3, 256), dtype=np.uint8)]:
            sketched = memory.recall(np.ascontiguousarray(query), 12)
            exact = memory.recall(np.ascontiguousarray(query), 12, exact=True)
            assert [(m.distance, m.id) for m in sketched] == [(m.distance, m.id) for m in exact]


def test_texts_may_be_searched_by_their_bits(tmp_path: Path) -> None:
    """Less memory, and the same store: who searches by words finds these too."""
    path = tmp_path / "mind"
    with Hippocampus.open(path, dim=2048, texts="bits") as memory:
        memory.remember_many(TEXTS)
        found = memory.recall(TEXTS[0], 3)
        assert (found[0].id, found[0].distance, found[0].score) == (1, 0, 1.0)
        assert found.ids == memory.recall(memory.get(1).vector, 3).ids
    with Hippocampus.open(path) as memory, MemoryReader.open(path, texts="bits") as reader:
        assert sorted(memory.recall("tea", 9).ids) == [1, 5, 6]
        assert memory.recall(TEXTS[0], 1)[0].distance is None
        assert reader.recall(TEXTS[3], 1)[0].distance == 0
        assert len(reader._texts.vectors()[1]) == 0 < len(memory._texts.vectors()[1])
        memory.remember("tea once more")
    with Hippocampus.open(path, texts="bits") as memory:
        memory.remember_many(["more", "and more tea", "and still more"])
        memory.sleep(0)
    with MemoryReader.open(path) as reader:
        assert sorted(reader.recall("tea", 9).ids) == [1, 5, 6, 7, 9]
        assert reader.stats()["rebuilt"] == 0
    with pytest.raises(ValueError, match="texts is 'int8'"):
        Hippocampus.open(path, texts="int8")
    with pytest.raises(ValueError, match="texts is 'x'"):
        MemoryReader.open(path, texts="x")
    Hippocampus.open(path).close()  # and the store is free


@pytest.mark.parametrize("workers", [2, 5])
def test_several_workers_find_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workers: int) -> None:
    from sophia._core.hdc import random_rows
    from sophia.organs import memory_search

    monkeypatch.setattr(memory_search, "_SKETCHED", 0)  # by sketches where that is allowed
    rows = random_rows(3000, "rows", dim=2048)
    with small_segments(64, 256), Hippocampus.open(tmp_path, dim=2048) as memory:
        memory.remember_many(list(rows), scope="a")
        memory.forget(range(100, 1400, 13))
    queries = [*random_rows(5, "queries", dim=2048), rows[7], rows[2999]]
    told = []
    for count in (1, workers):
        with Hippocampus.open(tmp_path, workers=count) as memory, MemoryReader.open(tmp_path, workers=count) as reader:
            assert len(memory._index.pieces()) > 5
            for one in (memory, reader):
                for exact in (False, True):
                    found = one.recall_many(queries, 12, exact=exact)
                    found += one.recall_many(queries, 5, exact=exact, since=5.0)
                    told.append([[(each.id, each.distance) for each in some] for some in found])
    assert all(each == told[0] for each in told)
    memory.close()


def test_workers_that_cannot_be(tmp_path: Path) -> None:
    for workers, error in ((0, ValueError), (65, ValueError), (True, TypeError), ("2", TypeError)):
        with pytest.raises(error, match="workers"):
            Hippocampus.open(tmp_path, workers=workers)  # type: ignore[arg-type]
    with Hippocampus.open(tmp_path) as memory:  # and the lock was given back
        assert len(memory) == 0
