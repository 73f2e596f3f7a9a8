from __future__ import annotations

import asyncio
import gzip
import os
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import numpy as np
import pytest

import sophia
from sophia._core.hdc import convert, random_rows
from sophia._core.vector import Hypervector
from sophia.errors import ShapeError, SophiaError, StoreCorrupt, StoreFailed, StoreLocked
from sophia.organs.hippocampus import Hippocampus
from sophia.store.check import check
from sophia.store.repair import repair
from sophia.store.store import Store

FIXTURES = Path(__file__).parents[1] / "fixtures"
DAY = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
def memory(tmp_path: Path):
    with Hippocampus.open(tmp_path / "mind", dim=256, clock=lambda: DAY.timestamp()) as made:
        yield made


def vectors(count: int, dim: int = 256, name: str = "m") -> np.ndarray:
    return np.ascontiguousarray(np.asarray(random_rows(count, name, dim=dim))[:, : dim // 8])


def test_what_was_remembered_is_found_after_reopening(tmp_path: Path) -> None:
    with Hippocampus.open(tmp_path / "mind") as memory:
        first = memory.remember(
            "Ann likes green tea", scope="ann", context="s1", actor="Ann", kind="fact", tags=["tea", "ann"],
            ts=DAY, valence=0.5, strength=0.75, answer="noted",
        )  # fmt: skip
        second = memory.remember("Bob drives to work", scope="bob")
        assert (first, second) == (1, 2)
    with Hippocampus.open(tmp_path / "mind") as memory:
        found = memory.recall("Ann likes green tea", 1)[0]
        assert (found.id, found.distance) == (1, None)
        said = found.to_dict()
        assert said.pop("strength") == pytest.approx(0.75, rel=1e-3)
        assert said == {
            "id": 1, "text": "Ann likes green tea", "answer": "noted", "scope": "ann", "context": "s1", "actor": "Ann",
            "kind": "fact", "tags": ["ann", "tea"], "ts": "2026-03-01T12:00:00Z", "valence": 0.5,
            "score": found.score, "distance": None,
        }  # fmt: skip
        assert memory.recall("Zzzz qqq?", 5).ids == []
        assert memory.recall(None, 5).ids == [2, 1]
        assert memory.remember("a third") == 3


def test_one_vector_in_any_form_is_the_same_memory(memory: Hippocampus) -> None:
    packed = vectors(1)[0]
    bits = Hypervector.from_bytes(packed.tobytes(), 256)
    bipolar = np.where(np.unpackbits(packed, bitorder="little") == 1, -1, 1).astype(np.int8)
    forms = [packed, bits, bits.freeze(), convert(bits, "MAP"), bipolar, bipolar.astype(np.int64), bipolar < 0]
    memory.remember_many(forms)
    found = memory.recall(bipolar, 10)
    assert found.ids == list(range(1, len(forms) + 1))
    assert {m.distance for m in found} == {0}
    assert all(np.array_equal(m.vector, packed) and m.text is None for m in found)


@pytest.mark.parametrize(
    ("content", "error", "word"),
    [
        ("", ValueError, "empty"),
        (" \n", ValueError, "empty"),
        ("x" * ((1 << 20) + 1), ValueError, "characters"),
        ("lone \ud800", ValueError, "surrogate at character 5"),
        (None, TypeError, "NoneType"),
        (b"bytes", TypeError, "bytes"),
        ([1.0, 2.0], TypeError, "list"),
        (np.zeros(31, np.uint8), ShapeError, "[31]"),
        (np.zeros((1, 256), np.int8), ShapeError, "[1, 256]"),
        (np.full(256, np.nan), ShapeError, "float64"),
        (np.full(256, 1.7), ShapeError, "float64"),
        (np.full(256, 300), ValueError, "component 0 is 300"),
        (np.zeros(256, np.int8), ValueError, "component 0 is 0"),
        (np.full(256, -1, np.int8) * 2, ValueError, "is -2"),
        (np.zeros(256, np.uint8), ShapeError, "uint8"),
        (Hypervector.from_bytes(bytes(16), 128), ShapeError, "dim=128"),
    ],
)
def test_what_is_no_memory_is_refused_whole(memory: Hippocampus, content: object, error: type, word: str) -> None:
    for call in (memory.remember, *([] if content is None else [memory.recall])):
        with pytest.raises(error) as told:
            call(content)
        assert word in str(told.value)
    with pytest.raises(error) as told:
        memory.remember_many(["fine", content, "fine too"])
    assert "memory 1 of those given" in told.value.__notes__[0]
    assert len(memory) == 0
    assert memory.remember("next") == 1


@pytest.mark.parametrize(
    ("said", "error"),
    [
        ({"scope": 3}, TypeError),
        ({"scope": "x" * 5000}, ValueError),
        ({"kind": "\udfff"}, ValueError),
        ({"tags": "tea"}, TypeError),
        ({"tags": [1]}, TypeError),
        ({"tags": [str(i) for i in range(65)]}, ValueError),
        ({"valence": 1.5}, ValueError),
        ({"valence": float("nan")}, ValueError),
        ({"strength": -0.1}, ValueError),
        ({"strength": True}, TypeError),
        ({"ts": "yesterday"}, TypeError),
        ({"ts": float("inf")}, ValueError),
        ({"colour": "red"}, TypeError),
    ],
)
def test_what_is_said_wrongly_is_refused(memory: Hippocampus, said: dict, error: type) -> None:
    with pytest.raises(error):
        memory.remember("a text", **said)
    assert len(memory) == 0


def test_a_text_without_words_is_remembered_too(memory: Hippocampus) -> None:
    ids = [memory.remember(text) for text in ("!!!", "👍", "???", "...")]
    assert [memory.get(id).text for id in ids] == ["!!!", "👍", "???", "..."]
    assert [memory.recall(memory.get(id).vector, 1).ids for id in ids] == [[id] for id in ids]
    assert list(memory.recall("???")) == []


def test_an_empty_memory_finds_nothing(memory: Hippocampus) -> None:
    assert list(memory.recall("anything")) == []
    assert memory.recall_many(["a", "b"]) == [] or [len(r) for r in memory.recall_many(["a", "b"])] == [0, 0]
    assert memory.recall_many([]) == []
    with pytest.raises(KeyError):
        memory.get(1)
    assert memory.forget(scope="nobody") == 0


@pytest.mark.parametrize(("k", "error"), [(0, ValueError), (-1, ValueError), (2.0, TypeError), (True, TypeError)])
def test_k(memory: Hippocampus, k: object, error: type) -> None:
    with pytest.raises(error):
        memory.recall("x", k)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["O'Brien", 'b"q', "back\\slash", "日本語", "x' OR 1=1 --", "%", "", "a\0b", "_"])
def test_exactly_the_named_rows_are_touched(memory: Hippocampus, name: str) -> None:
    memory.remember("many hours", scope="other", tags=["other"], kind="other", actor="other", context="other")
    mine = memory.remember("it is all minecraft", scope=name, tags=[name], kind=name, actor=name, context=name)
    choices = ({"scope": name}, {"tags": [name]}, {"kinds": [name]}, {"actor": name}, {"context": name})
    for choice in choices:
        assert memory.recall("minecraft", **choice).ids == [mine], choice
        assert memory.recall(None, **choice).ids == [mine], choice
    assert memory.forget(scope=name) == 1
    assert memory.recall("hours and others").ids == [1]


def test_times(memory: Hippocampus) -> None:
    naive = memory.remember("naive", ts=datetime(2026, 1, 1, 10))
    aware = memory.remember("aware", ts=datetime(2026, 1, 1, 12, tzinfo=timezone(timedelta(hours=2))))
    stamp = memory.remember("stamp", ts=datetime(2026, 1, 1, 10, tzinfo=UTC).timestamp())
    later = memory.remember("later", ts=datetime(2026, 1, 1, 10, 0, 0, 1, tzinfo=UTC))
    ten = datetime(2026, 1, 1, 10, tzinfo=UTC)
    assert {memory.get(id).ts for id in (naive, aware, stamp)} == {ten}
    assert set(memory.recall(None, until=ten + timedelta(microseconds=1)).ids) == {naive, aware, stamp}
    assert memory.recall(None, since=ten + timedelta(microseconds=1)).ids == [later]
    assert memory.forget(before=ten) == 0
    assert memory.forget(before=ten + timedelta(microseconds=1)) == 3


def test_strength_decays_and_grows_when_recalled(tmp_path: Path) -> None:
    now = [DAY.timestamp()]
    with Hippocampus.open(tmp_path / "mind", clock=lambda: now[0]) as memory:
        id = memory.remember("tea", strength=0.8)
        now[0] += 30 * 86_400
        assert memory.get(id).strength == pytest.approx(0.4)
        assert memory.recall("tea", 1)[0].strength == pytest.approx(0.4)
        assert memory.get(id).strength == pytest.approx(0.5)
    with Hippocampus.open(tmp_path / "mind", clock=lambda: now[0]) as memory:
        assert memory.get(id).strength == pytest.approx(0.5)
    assert check(tmp_path / "mind").sound


def test_a_vector_is_a_read_only_view_that_stays(memory: Hippocampus) -> None:
    rows = vectors(5)
    memory.remember_many(list(rows))
    view = memory.get(2).vector
    assert view.base is not None
    with pytest.raises(ValueError, match="read-only"):
        view[0] = 1
    with pytest.raises(ValueError, match="WRITEABLE"):
        view.setflags(write=True)
    memory.remember_many(list(vectors(3000, name="more")))
    memory.forget(2)
    assert np.array_equal(view, rows[1])


def test_forgotten_is_gone_from_every_file(tmp_path: Path) -> None:
    secret, path = "the password is xyzzy-plugh", tmp_path / "mind"
    with Hippocampus.open(path) as memory:
        for i in range(50):
            memory.remember(f"{secret} {i}" if i % 2 else f"harmless {i}", scope="u" if i % 2 else "v")
        vector = memory.get(2).vector.tobytes()
        held = {file: file.read_bytes() for file in path.iterdir()}
        assert any(b"xyzzy-plugh" in data for data in held.values())
        assert any(vector in data for data in held.values())
        assert memory.forget(scope="u") == 25
        for file in path.iterdir():
            assert b"xyzzy-plugh" not in file.read_bytes(), file
            assert vector not in file.read_bytes(), file
    with closing(sqlite3.connect(path / "sophia.db")) as rows:
        assert rows.execute("SELECT count(*) FROM memories WHERE text LIKE '%xyzzy%'").fetchone() == (0,)
    for file in path.iterdir():
        assert b"xyzzy-plugh" not in file.read_bytes(), file


def test_a_reader_of_an_older_state_keeps_bytes_in_the_log_and_that_is_told(tmp_path: Path) -> None:
    path = tmp_path / "mind"
    with Hippocampus.open(path) as memory:
        memory.remember("the password is xyzzy-plugh")
        memory._store._connection.execute("PRAGMA busy_timeout = 50")
        with closing(sqlite3.connect(path / "sophia.db", isolation_level=None)) as other:
            other.execute("BEGIN")
            other.execute("SELECT count(*) FROM memories").fetchall()
            with pytest.raises(StoreFailed, match="is forgotten, but another program"):
                memory.forget(1)
            assert memory.recall(None).ids == []
    for file in path.iterdir():
        assert b"xyzzy-plugh" not in file.read_bytes(), file


def test_an_id_is_never_given_twice(tmp_path: Path) -> None:
    with Hippocampus.open(tmp_path / "mind") as memory:
        memory.remember_many(["a", "b", "c"])
        memory.forget(3)
    with Hippocampus.open(tmp_path / "mind") as memory:
        assert memory.remember("d") == 4


def test_the_dimension_of_a_store_stays(tmp_path: Path) -> None:
    Hippocampus.open(tmp_path / "mind", dim=128).close()
    with pytest.raises(ValueError, match="dim=128, not 256"):
        Hippocampus.open(tmp_path / "mind", dim=256)
    with Hippocampus.open(tmp_path / "mind") as memory:
        assert memory.dim == 128
    with pytest.raises(ValueError, match="durability"):
        Hippocampus.open(tmp_path / "mind", durability="maybe")  # type: ignore[arg-type]


def test_durability_memory_is_written_by_flush_and_close(tmp_path: Path) -> None:
    def kept() -> int:
        with closing(sqlite3.connect(tmp_path / "mind" / "sophia.db")) as rows:
            return int(rows.execute("SELECT count(*) FROM memories").fetchone()[0])

    with Hippocampus.open(tmp_path / "mind", durability="memory") as memory:
        memory.remember("one")
        assert (kept(), memory.recall("one").ids) == (0, [1])
        memory.flush()
        assert kept() == 1
        for i in range(256):
            memory.remember(f"more {i}")
        assert kept() == 257
        memory.remember("last")
    assert kept() == 258


@pytest.mark.parametrize("durability", ["disk", "memory"])
def test_what_cannot_be_written_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, durability: str) -> None:
    whole = Store.remember

    def full(self: Store, *given: object) -> None:
        message = "no room"
        raise StoreFailed(message)

    with Hippocampus.open(tmp_path / "mind", durability=durability) as memory:  # type: ignore[arg-type]
        memory.remember("before")
        monkeypatch.setattr(Store, "remember", full)
        if durability == "disk":
            with pytest.raises(StoreFailed, match="no room"):
                memory.remember("lost")
            assert memory.recall(None).ids == [1]
        else:
            memory.remember("kept")
            with pytest.raises(StoreFailed, match="no room"):
                memory.flush()
            assert len(memory) == 2
        monkeypatch.setattr(Store, "remember", whole)
        assert memory.remember("after") == 3
    with Hippocampus.open(tmp_path / "mind") as memory:
        assert len(memory) == (2 if durability == "disk" else 3)


def test_a_damaged_row_is_not_returned_and_is_repaired_away(tmp_path: Path) -> None:
    path = tmp_path / "mind"
    with Hippocampus.open(path) as memory:
        memory.remember_many(["one", "two", "three"])
    with closing(sqlite3.connect(path / "sophia.db")) as rows:
        rows.execute("UPDATE memories SET text = 'tow' WHERE id = 2")
        rows.commit()
    assert not check(path).sound
    with Hippocampus.open(path) as memory:
        assert memory.recall(None).ids == [3, 1]
        assert (len(memory), memory.stats()["damaged"]) == (2, 1)
    done = repair(path)
    assert (done.state, done.saved["memories"], done.lost["memories"]) == ("repaired", 2, 1)
    with Hippocampus.open(path) as memory:
        assert (len(memory), memory.stats()["damaged"], memory.remember("four")) == (2, 0, 4)


@pytest.mark.parametrize("lost", ["", "dim", "memories"])
def test_a_repaired_store_keeps_its_dimension_and_its_ids(tmp_path: Path, lost: str) -> None:
    path = tmp_path / "mind"
    with Hippocampus.open(path, dim=256) as memory:
        memory.remember_many(["one", "two", "three"])
        memory.forget(3)
    with closing(sqlite3.connect(path / "sophia.db")) as rows:
        rows.execute("UPDATE memories SET text = 'tow' WHERE id = 2")
        rows.execute("DELETE FROM meta WHERE name = ?", (lost,))
        rows.commit()
    assert repair(path).state == "repaired"
    with Hippocampus.open(path) as memory:
        assert (memory.dim, [m.text for m in memory.recall(None)]) == (256, ["one"])
        assert memory.remember("next") == (2 if lost == "memories" else 4)


def test_a_brain_and_a_memory_share_a_store_one_after_the_other(tmp_path: Path) -> None:
    path = tmp_path / "mind"
    with sophia.open(path) as brain:
        brain.complete(brain.route("When do you open?"), answer="At nine.")
        with pytest.raises(StoreLocked, match=str(os.getpid())):
            Hippocampus.open(path)
    with Hippocampus.open(path) as memory:
        memory.remember("a note")
    with sophia.open(path) as brain:
        assert brain.route("When do you open?").answer == "At nine."
    with Hippocampus.open(path) as memory:
        assert memory.recall("a note").ids == [1]


def test_closed(memory: Hippocampus) -> None:
    memory.close()
    memory.close()
    for call in (lambda: memory.remember("x"), lambda: memory.recall("x"), lambda: memory.get(1), memory.stats):
        with pytest.raises(SophiaError, match="closed"):
            call()


@pytest.mark.parametrize(
    "ts",
    [
        -7e10, 1e12, 10**400, float("nan"), datetime(9999, 12, 31, 23, tzinfo=timezone(timedelta(hours=-12))),
        datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=14))),
    ],
)  # fmt: skip
def test_a_time_that_no_calendar_has_is_refused_before_anything_is_written(tmp_path: Path, ts: object) -> None:
    with Hippocampus.open(tmp_path / "mind") as memory:
        for call in (lambda: memory.remember("x", ts=ts), lambda: memory.recall(None, since=ts)):  # type: ignore[arg-type]
            with pytest.raises(ValueError, match="years 1 to 9999"):
                call()
        for edge in (datetime(1, 1, 1), datetime(9999, 12, 31, 23, 59, 59, 999999)):
            assert memory.get(memory.remember("edge", ts=edge)).ts == edge.replace(tzinfo=UTC)
    with Hippocampus.open(tmp_path / "mind") as memory:
        assert (len(memory), len(memory.recall("edge"))) == (2, 2)


def test_a_zero_with_a_sign_is_kept(tmp_path: Path) -> None:
    with Hippocampus.open(tmp_path / "mind") as memory:
        memory.remember("t", valence=-0.0, strength=-0.0)
    with Hippocampus.open(tmp_path / "mind") as memory:
        assert (len(memory), memory.stats()["damaged"]) == (1, 0)


def test_ids_of_numpy_and_no_others(tmp_path: Path) -> None:
    with Hippocampus.open(tmp_path / "mind") as memory:
        memory.remember_many(["one", "two", "three"])
        assert memory.get(np.int64(2)).text == "two"  # type: ignore[arg-type]
        assert memory.forget(np.int64(1)) == 1  # type: ignore[arg-type]
        for wrong in (2.0, "2", True, b"2"):
            with pytest.raises(TypeError):
                memory.forget(wrong)  # type: ignore[arg-type]
        with pytest.raises(TypeError):
            memory.forget(scope=5)  # type: ignore[arg-type]
    with Hippocampus.open(tmp_path / "mind") as memory:
        assert memory.recall(None).ids == [3, 2]


@pytest.mark.parametrize("dim", [63, -5, 0, True, 3.5, "abc", 10**12])
def test_a_dimension_that_cannot_be_makes_no_store(tmp_path: Path, dim: object) -> None:
    with pytest.raises((ValueError, TypeError)):
        Hippocampus.open(tmp_path / "mind", dim=dim)  # type: ignore[arg-type]
    with Hippocampus.open(tmp_path / "mind") as memory:
        assert memory.dim == 10_000


def test_what_can_be_read_once_is_read_once(memory: Hippocampus) -> None:
    memory.remember_many([{"content": "a"}, {"content": "b"}], tags=(tag for tag in ["x"]))
    assert [m.tags for m in memory.recall(None)] == [("x",)] * 2
    memory.remember("c", tags=np.array(["y", "z"]))
    assert memory.recall(None, 1)[0].tags == ("y", "z")
    with pytest.raises(TypeError, match="put it into a list"):
        memory.remember_many("abc")


def test_damaged_rows_of_a_scope_are_forgotten_with_it(tmp_path: Path) -> None:
    path = tmp_path / "mind"
    with Hippocampus.open(path) as memory:
        memory.remember_many(["alices xyzzy", "alices other"], scope="alice")
        memory.remember("bobs", scope="bob")
    with closing(sqlite3.connect(path / "sophia.db")) as rows:
        rows.execute("UPDATE memories SET valence = 0.25 WHERE id = 1")
        rows.commit()
    with Hippocampus.open(path) as memory:
        assert memory.stats()["damaged"] == 1
        assert memory.forget(scope="alice") == 2
    for file in path.iterdir():
        assert b"xyzzy" not in file.read_bytes(), file


def test_memory_is_given_back_when_most_is_forgotten(memory: Hippocampus) -> None:
    for _ in range(12):
        memory.remember_many(list(vectors(1000)))
        memory.forget(scope="")
    assert (len(memory), memory.stats()["index_bytes"] < 2_000_000) == (0, True)
    assert memory.remember("next") == 12_001


def test_forget_says_what_it_needs(memory: Hippocampus) -> None:
    with pytest.raises(TypeError, match="what to forget"):
        memory.forget()
    with pytest.raises(TypeError, match="leave scope"):
        memory.forget(1, scope="x")


def test_from_an_event_loop(memory: Hippocampus) -> None:
    async def main() -> None:
        first, second = await asyncio.gather(memory.aremember("one"), memory.aremember("two"))
        assert {first, second} == {1, 2}
        assert await memory.aremember_many(["three"]) == [3]
        assert (await memory.arecall("three", 1)).ids == [3]
        assert [r.ids for r in await memory.arecall_many(["three"], 1)] == [[3]]
        assert await memory.aforget(3) == 1

    asyncio.run(main())


def test_arrow(memory: Hippocampus) -> None:
    pa = pytest.importorskip("pyarrow")
    rows = vectors(3)
    flat = pa.array(rows.reshape(-1))
    table = pa.table({"vector": pa.FixedSizeListArray.from_arrays(flat, 32), "scope": ["a", "b", None]})
    assert memory.remember_table(table, kind="seen") == [1, 2, 3]
    assert memory.remember_table(pa.table({"text": ["tea"], "tags": [["x", "y"]], "ts": [DAY]})) == [4]
    found = memory.recall(rows[0], 4).to_arrow()
    assert found.column_names[0] == "id"
    assert found.column("id").to_pylist()[0] == 1
    assert found.column("vector").to_pylist()[0] == rows[0].tolist()
    assert memory.recall("none", scope="nobody").to_arrow().num_rows == 0
    assert memory.get(4).tags == ("x", "y")
    assert memory.get(4).ts == DAY
    with pytest.raises(ValueError, match="text"):
        memory.remember_table(pa.table({"words": ["x"]}))
    with pytest.raises(ValueError, match="row 1"):
        memory.remember_table(pa.table({"text": ["x", None]}))
    lists = pa.array([rows[0].tolist(), None], pa.list_(pa.uint8(), 32))
    stamps = pa.array([1, 2], pa.timestamp("ns", "UTC"))
    ids = memory.remember_table(pa.table({"vector": lists, "text": [None, "x"], "ts": stamps}))
    assert [memory.get(id).text for id in ids] == [None, "x"]
    with pytest.raises(ValueError, match="fixed_size_list"):
        memory.remember_table(pa.table({"vector": [[1, 2]]}))


def test_an_old_store_gets_memories(tmp_path: Path) -> None:
    path = tmp_path / "mind"
    path.mkdir()
    (path / "sophia.db").write_bytes(gzip.decompress((FIXTURES / "store-2.db.gz").read_bytes()))
    with Hippocampus.open(path) as memory:
        assert memory.remember("new") == 1
    assert check(path).sound


def test_a_lost_table_is_damage(tmp_path: Path) -> None:
    path = tmp_path / "mind"
    Hippocampus.open(path).close()
    with closing(sqlite3.connect(path / "sophia.db")) as rows:
        rows.execute("DROP TABLE memories")
    with pytest.raises(StoreCorrupt, match="memories"):
        Hippocampus.open(path)


def test_some_are_forgotten_in_one_step(tmp_path: Path) -> None:
    with Hippocampus.open(tmp_path / "mind") as memory:
        memory.remember_many(["one", "two", "three", "four"])
        assert memory.forget([1, 3, 3, 99, -1, 1 << 70]) == 2
        assert sorted(one.id for one in memory.recall(None, 9)) == [2, 4]
        assert memory.forget([]) == 0
        assert memory.forget(iter([2])) == 1


def test_one_mask_over_rows_and_query_changes_nothing(tmp_path: Path) -> None:
    """Distances are between bits, whatever they stand for; of equal ones the older comes first."""
    rows = np.random.default_rng(3).integers(0, 256, (300, 32), dtype=np.uint8)
    rows[100:120] = rows[:20]  # equal ones
    mask = np.random.default_rng(4).integers(0, 256, 32, dtype=np.uint8)
    told = []
    for name, turned in (("plain", np.zeros_like(mask)), ("masked", mask)):
        with Hippocampus.open(tmp_path / name, dim=256) as memory:
            memory.remember_many(list(rows ^ turned))
            found = [memory.recall(row ^ turned, 20) for row in rows[:40]]
            told.append([[(one.id, one.distance) for one in each] for each in found])
    assert told[0] == told[1]
    assert told[0][5][:2] == [(6, 0), (106, 0)]
