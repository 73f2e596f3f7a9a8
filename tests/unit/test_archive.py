"""The long-term index in LanceDB: filled in steps, made anew when it disagrees, and never the only place of a row."""

from __future__ import annotations

import hashlib
import os
import random
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sophia._core.hdc import random_rows
from sophia.organs import hippocampus, long_term, memory_search
from sophia.organs.hippocampus import Hippocampus
from sophia.organs.memory_reader import MemoryReader
from sophia.store.archive import ArchiveState, ArchiveTable, Filter
from sophia.store.check import check
from sophia.store.store import Store
from sophia.store.words import words_in
from tests.sealing import small_segments

lancedb = pytest.importorskip("lancedb")

DIM = 256


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(long_term, "_STEP", 8)
    monkeypatch.setattr(long_term, "_LONG", 1)  # texts are asked for in the index, as soon as there is one
    with small_segments(4, 16):
        yield


def vectors(count: int, name: str = "m", dim: int = DIM) -> np.ndarray:
    return np.ascontiguousarray(np.asarray(random_rows(count, name, dim=dim))[:, : dim // 8])


def fill(path: Path, count: int = 30) -> None:
    with Hippocampus.open(path, dim=DIM, clock=lambda: 1e9) as memory:
        memory.remember_many([f"memory {number} of tea" for number in range(count)], scope="O'Brien \"b\\q日本語")


def table_of(path: Path) -> ArchiveTable:
    store = Store(path)
    try:
        state = store.archive_state
        assert state is not None
        return ArchiveTable(path, DIM, state)
    finally:
        store.close()


def answers(memory: Hippocampus | MemoryReader) -> list[Any]:
    found = memory.recall_many([*vectors(3, "q"), "tea 7", None], 12)
    found += [memory.find(words) for words in ("memory", "tea of 7", "MEMORY 12", "coffee")]
    return [[(m.id, m.text, m.score, m.distance) for m in each] for each in found]


def test_steps_are_bounded_and_go_on_where_they_ended(tmp_path: Path) -> None:
    fill(tmp_path / "mind")
    with Hippocampus.open(tmp_path / "mind") as memory:
        assert memory.stats()["archived"] == 0
        assert memory.sleep(1) == 8
        assert memory.stats()["archived"] == 8
    with Hippocampus.open(tmp_path / "mind") as memory:
        assert memory.sleep(2) == 16
        assert memory.sleep() == 6
        assert memory.sleep() == 0
        memory.remember_many(["a", "b", "c"])
        assert memory.sleep() == 0  # fewer than are worth a file
        assert memory.stats()["archived"] == 30
    table = table_of(tmp_path / "mind")
    assert (table.state.last, table.state.count, table.pieces) == (30, 30, 1)
    assert len(list((tmp_path / "mind" / "lance" / "memories.lance" / "_versions").glob("*.manifest"))) == 1


def test_results_are_the_same_before_during_and_after(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "mind"
    fill(path)
    with Hippocampus.open(path, clock=lambda: 1e9) as memory:
        memory.remember_many(list(vectors(20)))
        answers(memory)  # after which nothing grows stronger any more
        expected = answers(memory)
        while memory.sleep(1):
            assert answers(memory) == expected
        memory.sleep()
        assert answers(memory) == expected
    for folder in ("lance", "segments"):
        with Hippocampus.open(path, clock=lambda: 1e9) as memory:
            memory.sleep()
            assert answers(memory) == expected
        for file in sorted((path / folder).rglob("*"), reverse=True):
            file.rmdir() if file.is_dir() else file.unlink()
        with MemoryReader.open(path, clock=lambda: 1e9) as reader:
            assert answers(reader) == expected
    monkeypatch.setattr(long_term, "available", lambda: False)
    monkeypatch.setattr(hippocampus, "arrow", lambda: False)
    monkeypatch.setattr(memory_search, "arrow", lambda: False)
    with Hippocampus.open(path, clock=lambda: 1e9) as memory:
        assert memory.sleep() == 0
        assert answers(memory) == expected


def test_exact_recall_is_what_a_flat_search_finds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """10,000 rows, some of them forgotten, and some that came after the consolidation."""
    monkeypatch.setattr(long_term, "_STEP", 2500)
    many = vectors(10_200, "rows", 1024)
    with Hippocampus.open(tmp_path / "mind", dim=1024, durability="os") as memory:
        memory.remember_many(list(many[:10_000]), scope="a")
        memory.sleep()
        for id in range(1, 10_001, 997):
            memory.forget(id)
        memory.sleep()
        memory.remember_many(list(many[10_000:]), scope="b")
        gone = set(range(1, 10_001, 997))
        ids = [id for id in range(1, 10_201) if id not in gone]
        table = _flat(tmp_path / "flat", ids, many)
        for query in [*vectors(5, "q", 1024), many[5], many[10_100], many[997]]:
            found = memory.recall(query, 20, exact=True)
            distances = table.search(query).distance_type("hamming").limit(60).select(["id", "_distance"]).to_arrow()
            flat = sorted(zip(distances["_distance"].to_pylist(), distances["id"].to_pylist(), strict=True))[:20]
            assert [(m.distance, m.id) for m in found] == flat


def _flat(path: Path, ids: list[int], many: np.ndarray) -> Any:
    import pyarrow as pa

    width = many.shape[1]
    rows = np.ascontiguousarray(many[[id - 1 for id in ids]]).reshape(-1)
    data = pa.table({"id": ids, "vector": pa.FixedSizeListArray.from_arrays(pa.array(rows), width)})
    return lancedb.connect(str(path)).create_table("t", data)


def test_the_index_finds_what_the_kernel_finds(tmp_path: Path) -> None:
    path = tmp_path / "mind"
    many = vectors(120)
    with Hippocampus.open(path, dim=DIM) as memory:
        for number, vector in enumerate(many):
            memory.remember(vector, scope="a'b" if number % 3 else "", kind="xyz"[number % 3], ts=number)
        memory.sleep()
        assert memory.stats()["archived"] == 120
    table = table_of(path)
    with MemoryReader.open(path) as reader:
        for choice in (
            {}, {"scope": "a'b"}, {"scope": "x' OR 1=1 --"}, {"kinds": ("x", "z"), "since": 10, "until": 90},
            {"kinds": ()}, {"context": "", "actor": ""},
        ):  # fmt: skip
            times = {name: value * 1_000_000 for name, value in choice.items() if isinstance(value, int)}
            found = table.nearest(many[7], 9, Filter(**(choice | times)))  # type: ignore[arg-type]
            expected = reader.recall(many[7], 9, **choice)  # type: ignore[arg-type]
            assert found == (expected.ids, [memory.distance for memory in expected])
    (tmp_path / "equal").mkdir()
    equal = ArchiveTable(tmp_path / "equal", DIM, None)
    with Hippocampus.open(tmp_path / "same", dim=DIM) as memory:
        memory.remember_many([many[0]] * 100)
        equal.append([row for row in memory._store.memories() if row is not None])
    assert equal.nearest(many[1], 5, Filter()) is None  # a hundred are equally near: which five, is chance


def newest(path: Path, pattern: str) -> Path:
    return max((path / "lance").rglob(pattern), key=lambda file: (file.stat().st_mtime_ns, file.name))


def flip(file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[random.Random(3).randrange(len(data))] ^= 4
    file.write_bytes(bytes(data))


DAMAGES: dict[str, Callable[[Path], object]] = {
    "zeroed manifest": lambda path: newest(path, "*.manifest").write_bytes(b""),
    "lost manifest": lambda path: newest(path, "*.manifest").unlink(),
    "turned bit of a manifest": lambda path: flip(newest(path, "*.manifest")),
    "turned bit of the data": lambda path: flip(newest(path, "*.lance")),
    "truncated data": lambda path: os.truncate(newest(path, "data/*.lance"), 100),
    "lost data": lambda path: newest(path, "data/*.lance").unlink(),
    "lost table": lambda path: (path / "lance" / "memories.lance").rename(path / "lance" / "other"),
    "lost folder": lambda path: (path / "lance").rename(path.with_name("elsewhere")),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_table_that_disagrees_is_made_anew_and_counted(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "mind"
    fill(path)
    with Hippocampus.open(path, clock=lambda: 1e9) as memory:
        memory.sleep()
        answers(memory)
        expected = answers(memory)
    DAMAGES[damage](path)
    with Hippocampus.open(path, clock=lambda: 1e9) as memory:
        assert answers(memory) == expected
        memory.remember_many(["more"] * 6)
        assert memory.sleep() == 36
        assert (memory.stats()["rebuilt"], memory.stats()["archived"]) == (1, 36)
    with Hippocampus.open(path) as memory:
        assert memory.sleep() == 0
        assert memory.stats()["rebuilt"] == 0
    assert check(path).sound


def test_what_a_killed_writer_added_does_not_count(tmp_path: Path) -> None:
    path = tmp_path / "mind"
    fill(path)
    with Hippocampus.open(path) as memory:
        memory.sleep(2)
        table = memory._long_term.table()
        assert table is not None
        kept = table.state
        table.append([row for row in memory._store.memories(16) if row is not None])  # and is killed before it is noted
        assert memory._store.archive_state == kept
    with Hippocampus.open(path) as memory:
        assert memory.sleep() == 14
        assert (memory.stats()["rebuilt"], memory.stats()["archived"]) == (0, 30)
    assert table_of(path).state.count == 30


def secrets_in(path: Path, secret: str) -> tuple[bool, bool, bool]:
    """What the readers of the three formats find: SQLite, Arrow, and LanceDB in every version."""
    import sqlite3

    import pyarrow as pa

    with closing(sqlite3.connect(f"file:{path / 'sophia.db'}?mode=ro", uri=True)) as connection:
        held = connection.execute("SELECT count(*) FROM memories WHERE text = ?", (secret,)).fetchone()[0] > 0
    raw = b"".join(file.read_bytes() for file in path.glob("sophia.db*"))
    mapped = False
    for file in path.glob("segments/*.rows.arrow"):
        mapped = mapped or secret in pa.ipc.open_file(pa.memory_map(str(file))).read_all().column("text").to_pylist()
    archived = False
    if (path / "lance").exists():
        table = lancedb.connect(str(path / "lance")).open_table("memories")
        for version in table.list_versions():
            table.checkout(version["version"])
            archived = archived or secret in table.to_arrow().column("text").to_pylist()
    return held or secret.encode() in raw, mapped, archived


@pytest.mark.parametrize("how", ["id", "scope", "before"])
def test_forgetting_leaves_nothing_in_any_format(tmp_path: Path, how: str) -> None:
    path = tmp_path / "mind"
    secret = "the password is xyzzy-plugh"
    with Hippocampus.open(path, dim=DIM) as memory:
        memory.remember(secret, scope="ann", ts=5)
        memory.remember_many([f"memory {number}" for number in range(20)], scope="bob", ts=1000)
        memory.sleep()
    assert secrets_in(path, secret) == (True, True, True)
    before = {hashlib.sha256(file.read_bytes()).digest() for file in path.rglob("*") if file.is_file()}
    held = {
        hashlib.sha256(file.read_bytes()).digest()
        for file in path.rglob("*")
        if file.is_file() and (secret.encode() in file.read_bytes() or file.suffix == ".lance")
    }
    with Hippocampus.open(path) as memory:
        which: dict[str, dict[str, Any]] = {"id": {"id": 1}, "scope": {"scope": "ann"}, "before": {"before": 10}}
        assert memory.forget(**which[how]) == 1
        assert secrets_in(path, secret) == (False, False, False)
        memory.sleep()
        assert memory.stats()["archived"] == 20
    assert secrets_in(path, secret) == (False, False, False)
    after = {hashlib.sha256(file.read_bytes()).digest() for file in path.rglob("*") if file.is_file()}
    assert held
    assert held <= before
    assert not held & after


def test_a_state_reads_what_it_wrote() -> None:
    state = ArchiveState(5, 4, 7, {"a": "00"})
    assert ArchiveState.parse(str(state)) == state
    for text in ("", "[]", "5", "[1,2]", "nonsense", '[1,2,"x",{}]', "[1,2,3,4]"):
        assert ArchiveState.parse(text) is None


# ---------------------------------------------------------------------------------------------------- asked for words


SAID = [
    "Invoice 4711 was paid", "invoice 4712 was not", None, "who paid INVOICE 4711?", "die Straße nach Jena",
    "DIE STRASSE", "日本語 tea", "it's O'Brien's", "snake_case_name", "the ﬁle is lost", "invoices 47110", "x",
]  # fmt: skip
ASKED = [
    "invoice 4711", "4711", "strasse", "straße", "日本語", "o'brien", "name snake", "file", "the", "s", "nothing", "X",
    "paid paid PAID",
]  # fmt: skip


def say(memory: Hippocampus) -> None:
    for number, text in enumerate(SAID):
        content = vectors(1, "none")[0] if text is None else text
        memory.remember(content, scope="ab"[number % 2], ts=float(number % 5), tags=["t"] * (number % 3 == 0))


def found(memory: Hippocampus | MemoryReader, **choice: Any) -> list[list[int]]:
    return [[one.id for one in memory.find(words, **choice)] for words in ASKED]


def read(memory: Hippocampus, **choice: Any) -> list[list[int]]:
    """What reading every text says."""
    everything = memory.recall(None, 1000, **choice)
    made = []
    for asked in ASKED:
        wanted = set(words_in(asked))
        made.append([one.id for one in everything if one.text and wanted <= set(words_in(one.text))])
    return made


CHOICES: list[dict[str, Any]] = [
    {}, {"scope": "a"}, {"scope": "b", "tags": ["t"]}, {"since": 2.0}, {"until": 3.0, "kinds": ["note"]},
    {"kinds": ["other"]}, {"valence": (0.0, 1.0)}, {"valence": (0.5, 1.0)},
]  # fmt: skip


@pytest.mark.parametrize("texts", ["words", "bits"])
def test_the_same_texts_are_found_however_they_are_sought(tmp_path: Path, texts: str) -> None:
    with Hippocampus.open(tmp_path, dim=DIM, texts=texts) as memory:
        say(memory)
        expected = [read(memory, **choice) for choice in CHOICES]
        assert [found(memory, **choice) for choice in CHOICES] == expected  # in blocks
        assert expected[0][0] == [4, 1]
        assert expected[0][2] == expected[0][3] == [5, 6]
        while memory.sleep(1) or memory._long_term.count < len(SAID):
            assert [found(memory, **choice) for choice in CHOICES] == expected
        say(memory)  # a tail that the index does not have
        expected = [read(memory, **choice) for choice in CHOICES]
        assert [found(memory, **choice) for choice in CHOICES] == expected
        assert memory._store.notes == []
    with MemoryReader.open(tmp_path, texts=texts) as reader:  # in segments, by Arrow
        assert [found(reader, **choice) for choice in CHOICES] == expected


def test_the_index_is_really_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Hippocampus.open(tmp_path, dim=DIM) as memory:
        say(memory)
        memory.sleep()
        calls = []
        having = ArchiveTable.having
        monkeypatch.setattr(ArchiveTable, "having", lambda *a: calls.append(a[1]) or having(*a))
        assert [one.id for one in memory.find("paid", 1)] == [4]
        assert calls == [["paid"]]
        monkeypatch.setattr(long_term, "_LONG", 1000)
        assert [one.id for one in memory.find("paid", 1)] == [4]
        assert calls == [["paid"]]


def test_an_index_that_cannot_be_asked_is_passed_by(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def refuse(*_: object) -> None:
        asked.append(1)
        raise RuntimeError("lance error")

    with Hippocampus.open(tmp_path, dim=DIM) as memory:
        say(memory)
        memory.sleep()
        with monkeypatch.context() as patch:
            patch.setattr(ArchiveTable, "having", refuse)
            for _ in range(3):
                assert [one.id for one in memory.find("paid")] == [4, 1]
        assert "cannot be asked: lance error" in memory._store.notes[-1]
        assert (len(asked), len(memory._store.notes)) == (1, 1)  # not again and again
        memory.sleep()
        assert memory._long_term.knows()
        memory._long_term._table = None
        with monkeypatch.context() as patch:  # nor an error where it cannot even be opened
            patch.setattr(ArchiveTable, "__init__", refuse)
            assert [one.id for one in memory.find("paid")] == [4, 1]
        assert memory._long_term.count == len(SAID)


def test_very_many_texts_are_read_rather_than_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(long_term, "_HITS", 1)
    with Hippocampus.open(tmp_path, dim=DIM) as memory:
        say(memory)
        memory.sleep()
        say(memory)
        expected = [read(memory, **choice) for choice in CHOICES]
        assert [found(memory, **choice) for choice in CHOICES] == expected
        table = memory._long_term.table()
        assert table is not None
        assert table.having(["invoice"], Filter(), 1) is None


def test_a_table_that_is_ahead_of_its_note_stays_in_use(tmp_path: Path) -> None:
    with Hippocampus.open(tmp_path, dim=DIM) as memory:
        say(memory)
        memory.sleep()
        say(memory)
        table = memory._long_term.table()
        assert table is not None
        table.append([row for row in memory._store.memories(table.state.last) if row is not None])  # and is killed
    for _ in range(2):
        with Hippocampus.open(tmp_path, dim=DIM) as memory:
            expected = read(memory)[ASKED.index("paid paid PAID")]
            for _ in range(2):
                assert [one.id for one in memory.find("paid")] == expected
            assert (memory._long_term.count, memory.stats()["rebuilt"]) == (len(SAID), 0)


def test_what_is_no_text_to_look_for(tmp_path: Path) -> None:
    with Hippocampus.open(tmp_path, dim=DIM) as memory:
        assert len(memory.find("anything")) == 0
        for words in ("", " ?! ", None, 7, " ".join(map(str, range(65)))):
            with pytest.raises(ValueError, match="give 1 to 64"):
                memory.find(words)  # type: ignore[arg-type]
        for k, error in ((0, ValueError), (True, TypeError)):
            with pytest.raises(error):
                memory.find("x", k)
        with pytest.raises(TypeError):
            memory.find("x", exact=True)


def test_a_table_of_an_older_version_is_made_anew(tmp_path: Path) -> None:
    with Hippocampus.open(tmp_path, dim=DIM) as memory:
        say(memory)
        memory.sleep()
        table = memory._long_term.table()
        assert table is not None
        table._table.drop_columns(["words"])
        table._settle(table.state.last, table.state.count)
        memory._store.note_archive(table.state)
    with Hippocampus.open(tmp_path, dim=DIM) as memory:
        memory.sleep()
        assert memory.stats()["rebuilt"] == 1
        assert [one.id for one in memory.find("paid")] == [4, 1]


# ---------------------------------------------------------------------------------------------- asked for the nearest


def clustered(count: int) -> np.ndarray:
    """Rows around 16 centres, a tenth of their bits flipped."""
    draw = np.random.default_rng(5)
    centres = draw.integers(0, 256, (16, DIM // 8), dtype=np.uint8)
    flips = np.packbits(draw.random((count, DIM)) < 0.1, axis=1)
    return centres[draw.integers(0, 16, count)] ^ flips


def test_vectors_that_are_more_than_can_be_read_are_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(long_term, "_STEP", 4000)
    rows = clustered(6000)
    with small_segments(4, 4000), Hippocampus.open(tmp_path, dim=DIM, scan_limit=1000) as memory:
        memory.remember_many(list(rows[:5000]), scope="a")
        memory.sleep()
        table = memory._long_term.table()
        assert table is not None
        assert not table.divisible
        memory.remember_many(list(rows[5000:]), scope="b")  # a tail
        memory.forget(17)  # which drops the index
        assert memory._long_term.count == 0
        memory.sleep()
        asked = []
        nearest = ArchiveTable.nearest
        monkeypatch.setattr(ArchiveTable, "nearest", lambda *a, **k: asked.append(k) or nearest(*a, **k))
        queries = list(rows[np.r_[3:5000:250, 5003:6000:250]])
        told = [[(one.id, one.distance) for one in each] for each in memory.recall_many(queries, 10)]
        assert asked == [{"divided": True}] * len(queries)
        exact = [[(one.id, one.distance) for one in each] for each in memory.recall_many(queries, 10, exact=True)]
        assert len(asked) == len(queries)
        hits = sum(len(set(a) & set(b)) for a, b in zip(told, exact, strict=True))
        assert hits >= 0.9 * 10 * len(queries)
        for a, b in zip(told, exact, strict=True):
            assert a[0][1] == b[0][1] == 0
        only = memory.recall(rows[5003], 10, scope="b")
        assert {one.scope for one in only} == {"b"}
        tagged = memory.recall(rows[3], 3, tags=["none"])  # which the index cannot choose by
        assert len(tagged) == 0
        assert len(asked) == len(queries) + 1
    with Hippocampus.open(tmp_path) as memory:  # all of them fit into memory
        assert not memory._long_term.nears()


def test_a_limit_that_is_none(tmp_path: Path) -> None:
    for limit, error in ((-1, ValueError), (True, TypeError), ("2G", TypeError)):
        with pytest.raises(error, match="scan_limit"):
            Hippocampus.open(tmp_path, scan_limit=limit)  # type: ignore[arg-type]
