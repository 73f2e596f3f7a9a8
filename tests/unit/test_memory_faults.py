"""What an attack on memories found, each for its whole kind."""

from __future__ import annotations

import copy
import os
import pickle
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from sophia.errors import SophiaError, StoreCorrupt, StoreFailed
from sophia.organs import long_term, memory_sealing
from sophia.organs.hippocampus import Hippocampus
from sophia.organs.memory_reader import MemoryReader
from sophia.store import archive, segments
from sophia.store.check import check
from sophia.store.store import Store
from tests.sealing import small_segments

pytest.importorskip("pyarrow")
DIM = 256
SECRET = "the password is xyzzy-plugh"


@pytest.fixture(autouse=True)
def small() -> Iterator[None]:
    with small_segments():
        yield


@pytest.fixture(autouse=True)
def without_lancedb(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    if "lance" not in request.node.name:
        monkeypatch.setattr(long_term, "available", lambda: False)


def fill(path: Path, count: int = 8) -> None:
    with Hippocampus.open(path, dim=DIM) as memory:
        memory.remember_many([f"memory number {number}" for number in range(count)])


def texts(path: Path) -> list[str | None]:
    with MemoryReader.open(path) as reader:
        return sorted(str(memory.text) for memory in reader.recall(None, 1000))


def held(path: Path, secret: str = SECRET) -> list[str]:
    return [str(f.relative_to(path)) for f in path.rglob("*") if f.is_file() and secret.encode() in f.read_bytes()]


@pytest.mark.parametrize("durability", ["disk", "os", "memory"])
def test_what_is_remembered_while_segments_are_written_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, durability: str
) -> None:
    whole, started, go = memory_sealing.write_segment, threading.Event(), threading.Event()

    def slow(*given: Any) -> Any:
        started.set()
        go.wait(10)
        return whole(*given)

    monkeypatch.setattr(memory_sealing, "write_segment", slow)
    with Hippocampus.open(tmp_path / "mind", dim=DIM, durability=durability) as memory:  # type: ignore[arg-type]
        ids = memory.remember_many([f"tea {number}" for number in range(9)])
        sleeping = threading.Thread(target=memory.sleep)
        sleeping.start()
        assert started.wait(10)
        if durability == "memory":  # others wait for the store
            ids += [memory.remember(f"more tea {number}") for number in range(5)]
            assert memory.recall(None, 100).ids == ids[::-1]
        go.set()
        sleeping.join(30)
        assert memory.recall(None, 100).ids == ids[::-1]
        assert [memory.get(id).id for id in ids] == ids
        ids.append(memory.remember("the last tea"))
        assert sorted(memory.recall("tea", 100).ids) == ids
    with Hippocampus.open(tmp_path / "mind") as memory:
        assert memory.recall(None, 100).ids == ids[::-1]


@pytest.mark.parametrize("call", ["recall", "stats", "sleep", "remember", "forget", "keep", "get", "flush"])
def test_closing_beside_calls_ends_them(tmp_path: Path, call: str) -> None:
    fill(tmp_path / "mind")
    for turn in range(6):
        memory = Hippocampus.open(tmp_path / "mind")
        reader = MemoryReader.open(tmp_path / "mind", interval=0)
        calls: list[Callable[[], object]] = [
            {
                "recall": lambda m=memory: m.recall("memory"),
                "stats": memory.stats,
                "sleep": memory.sleep,
                "remember": lambda m=memory: m.remember("one more"),
                "forget": lambda m=memory: m.forget(10**6),
                "keep": lambda m=memory: m.keep(since=1),
                "get": lambda m=memory: m.get(1),
                "flush": memory.flush,
            }[call],
            lambda r=reader: r.recall(None),
        ]
        wrong: list[BaseException] = []

        def work(call: Callable[[], object], wrong: list[BaseException] = wrong) -> None:
            try:
                while True:
                    call()
            except BaseException as error:
                if not (isinstance(error, SophiaError) and "closed" in str(error)):
                    wrong.append(error)

        threads = [threading.Thread(target=work, args=(one,)) for one in calls for _ in range(2)]
        for thread in threads:
            thread.start()
        threading.Event().wait(0.01 + 0.01 * turn)
        reader.close()
        memory.close()
        for thread in threads:
            thread.join(30)
            assert not thread.is_alive()
        assert wrong == []


def test_nothing_is_made_of_a_segment_that_was_damaged_since_it_was_mapped(tmp_path: Path) -> None:
    path = tmp_path / "mind"
    for how in ("sleep", "keep"):
        with Hippocampus.open(path, dim=DIM) as memory:
            memory.remember_many(["GOODTEXT a", "GOODTEXT b", "GOODTEXT c", "GOODTEXT a"], context=how)
        with Hippocampus.open(path) as memory:
            for file in path.glob("segments/*.rows.arrow"):
                data = file.read_bytes()
                with file.open("r+b") as out:
                    out.write(data.replace(b"GOODTEXT", b"BADDTEXT"))
            if how == "sleep":
                memory.remember_many(["more", "and more", "still more"])
                memory.sleep()
            else:
                assert memory.keep(merge=0.0)["merged"] >= 2
        with closing(sqlite3.connect(path / "sophia.db")) as connection:
            assert "BADD" not in repr(connection.execute("SELECT text FROM memories").fetchall())
        assert not [text for text in texts(path) if "BADD" in str(text)]
    assert check(path).sound


def break_exchange(monkeypatch: pytest.MonkeyPatch, error: type[BaseException]) -> None:
    def broken(*_: object) -> None:
        raise error("injected")

    monkeypatch.setattr(Store, "exchange_segments", broken)


@pytest.mark.parametrize("error", [StoreFailed, KeyboardInterrupt])
def test_files_that_were_never_named_go_when_something_is_forgotten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: type[BaseException]
) -> None:
    path = tmp_path / "mind"
    with Hippocampus.open(path, dim=DIM) as memory:
        memory.remember_many([SECRET, "a", "b", "c"])
        with monkeypatch.context() as patch:
            break_exchange(patch, error)
            try:
                memory.sleep()
            except KeyboardInterrupt:
                assert error is KeyboardInterrupt
        assert any("segments" in name for name in held(path))
        assert memory.forget(1) == 1
        assert held(path) == []


@pytest.mark.parametrize("step", ["tidying.remove_others", "tidying.remove_archive", "store.Store.empty_log"])
@pytest.mark.parametrize("error", [KeyboardInterrupt, StoreFailed, OSError])
def test_a_forget_that_was_broken_off_is_ended_by_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, error: type[BaseException]
) -> None:
    path = tmp_path / "mind"
    fill(path)
    with Hippocampus.open(path) as memory:
        secret = memory.remember_many([SECRET, "a", "b"])[0]
        memory.sleep()

        def broken(*_: object) -> None:
            raise error("injected")

        with monkeypatch.context() as patch:
            patch.setattr(f"sophia.store.{step}", broken)
            with pytest.raises(error):
                memory.forget(secret)
        memory.forget(10**9)
        assert held(path) == []
        assert len(memory) == 10


def in_place_of(kind: str, place: Path) -> None:
    if kind == "fifo":
        os.mkfifo(place)
    elif kind == "loop":
        place.symlink_to(place.name)
    elif kind == "zero":
        place.symlink_to("/dev/zero")
    elif kind == "folder":
        place.mkdir()
        (place / "inside").write_text("x")
    elif kind == "huge":
        with place.open("wb") as out:
            out.truncate(1 << 40)
    else:
        place.write_text("text")


@pytest.mark.timeout(60)
@pytest.mark.parametrize("kind", ["fifo", "loop", "zero", "folder", "huge", "text"])
@pytest.mark.parametrize("place", ["segments/1-8.rows.arrow", "segments/1-8.words.arrow", "segments", "lance"])
def test_whatever_stands_in_the_place_of_a_derived_file(tmp_path: Path, kind: str, place: str) -> None:
    path = tmp_path / "mind"
    fill(path)
    expected = texts(path)
    target = path / place
    if target.is_dir():
        target.rename(path / "away")
    elif target.exists():
        target.unlink()
    in_place_of(kind, target)
    assert texts(path) == expected
    with Hippocampus.open(path) as memory:
        assert sorted(str(m.text) for m in memory.recall(None, 100)) == expected
        memory.sleep()
        assert memory.forget(1) == 1
    assert texts(path) == [text for text in expected if text != "memory number 0"]
    with MemoryReader.open(path) as reader:
        assert reader.stats()["rebuilt"] == 0
    assert len(list((path / "segments").glob("*.arrow"))) == 2


def test_a_reader_whose_filling_was_broken_off_begins_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "mind"
    fill(path)
    with MemoryReader.open(path, interval=0) as reader:
        ids = reader.recall(None, 100).ids
        copied = (path / "sophia.db").read_bytes()
        (path / "new").write_bytes(copied)
        (path / "new").rename(path / "sophia.db")
        for error in (KeyboardInterrupt, StoreFailed):
            with monkeypatch.context() as patch:
                whole = MemoryReader._fill

                def broken(self: MemoryReader, source: Any, whole: Any = whole, error: Any = error) -> None:
                    whole(self, source)
                    raise error("injected")

                patch.setattr(MemoryReader, "_fill", broken)
                reader._version = None
                with pytest.raises(error):
                    reader.recall(None, 100)
        assert reader.recall(None, 100).ids == ids


def test_closing_that_is_broken_off_gives_the_store_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "mind"
    memory = Hippocampus.open(path, dim=DIM)
    memory.remember_many(["a", "b", "c", "d"])
    with monkeypatch.context() as patch:
        break_exchange(patch, KeyboardInterrupt)
        with pytest.raises(KeyboardInterrupt):
            memory.close()
    with Hippocampus.open(path) as again:
        assert len(again) == 4


def test_a_memory_is_pickled_and_copied_without_its_neighbours(tmp_path: Path) -> None:
    path = tmp_path / "mind"
    fill(path, 3)
    with Hippocampus.open(path) as memory:
        memory.remember_many(["not sealed", "a neighbour"])
        for id in (1, 4):
            one = memory.recall(memory.get(id).vector, 1)[0]
            for other in (pickle.loads(pickle.dumps(one)), copy.deepcopy(one), copy.copy(one)):
                assert other.to_dict() == one.to_dict()
                assert other.vector.tobytes() == one.vector.tobytes()
            assert b"neighbour" not in pickle.dumps(one)


def test_any_number_of_equal_memories_becomes_one(tmp_path: Path) -> None:
    with Hippocampus.open(tmp_path / "mind", dim=DIM) as memory:
        memory.remember_many(["tea"] * 300)
        memory.keep(merge=0.0)
        assert len(memory) == 1
        assert memory.keep(merge=0.0)["merged"] == 0


@pytest.mark.parametrize("given", [{"merge": True}, {"least": True}, {"least": "x"}, {"merge": []}])
def test_what_is_no_share_destroys_nothing(tmp_path: Path, given: dict[str, Any]) -> None:
    with Hippocampus.open(tmp_path / "mind", dim=DIM) as memory:
        memory.remember_many(["tea"] * 3)
        with pytest.raises(TypeError, match="it is a share"):
            memory.keep(**given)
        for steps in (True, "x", -1, float("nan")):
            with pytest.raises(ValueError, match="number of steps"):
                memory.sleep(steps)  # type: ignore[arg-type]
        assert memory.forget(2**70) == memory.forget(-(2**70)) == memory.forget(0) == 0
        assert len(memory) == 3


def test_a_damaged_dimension_is_told(tmp_path: Path) -> None:
    fill(tmp_path / "mind", 1)
    with closing(sqlite3.connect(tmp_path / "mind" / "sophia.db")) as connection:
        connection.execute("UPDATE meta SET value = 'x' WHERE name = 'dim'")
        connection.commit()
    with pytest.raises(StoreCorrupt, match="its dimension is 'x'"):
        MemoryReader.open(tmp_path / "mind")


def test_lance_is_left_alone_where_it_cannot_be_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a fork its threads are not there; after a Ctrl-C in its import half of it is."""
    for name, value in (("_loaded_in", os.getpid() + 1), ("_broken", True)):
        with monkeypatch.context() as patch:
            patch.setattr(archive, name, value)
            assert not archive.available()
            with Hippocampus.open(tmp_path / name, dim=DIM) as memory:
                memory.remember_many(["tea"] * 5)
                assert memory.sleep() == 0
            with pytest.raises(StoreFailed, match="start a new one"):
                archive.ArchiveTable(tmp_path, DIM, None)
    assert archive.of_lancedb(type("PanicException", (BaseException,), {})())
    assert not archive.of_lancedb(KeyboardInterrupt())


def test_lance_data_that_was_never_noted_goes_when_something_is_forgotten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("lancedb")
    path = tmp_path / "mind"
    with Hippocampus.open(path, dim=DIM) as memory:
        memory.remember_many(["a", "b", "c", "d"])
        memory.sleep()
        secret = memory.remember_many([SECRET, "e", "f", "g"])[0]

        def broken(*_: object) -> None:
            message = "no room"
            raise StoreFailed(message)

        with monkeypatch.context() as patch:
            patch.setattr(Store, "note_archive", broken)
            with pytest.raises(StoreFailed):
                memory.sleep()
        assert any("lance" in name for name in held(path))
        memory.forget(secret)
        assert held(path) == []
        assert memory.sleep() == 7


def test_a_segment_says_whether_it_is_sound(tmp_path: Path) -> None:
    fill(tmp_path / "mind")
    with Hippocampus.open(tmp_path / "mind") as memory:
        ((_, piece),) = memory._index.pieces()
        assert piece.sound
        file = next((tmp_path / "mind" / "segments").glob("*.words.arrow"))
        with file.open("r+b") as out:
            out.seek(-1, os.SEEK_END)
            out.write(b"\xff")
        assert not piece.sound
        with pytest.raises(StoreCorrupt, match="damaged after it was opened"):
            piece.segment.require_sound()  # type: ignore[union-attr]
    assert segments.entries([]) == []
