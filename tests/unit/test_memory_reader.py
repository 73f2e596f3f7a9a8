from __future__ import annotations

import gzip
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

import sophia
from sophia.errors import InputError, SophiaError
from sophia.organs import memory_search
from sophia.organs.hippocampus import Hippocampus
from sophia.organs.memory_reader import MemoryReader
from sophia.store.backup import backup, restore

FIXTURES = Path(__file__).parents[1] / "fixtures"


def test_a_reader_follows_the_writer(tmp_path: Path) -> None:
    path = tmp_path / "mind"
    with Hippocampus.open(path) as memory:
        memory.remember_many(["one", "two"])
        with MemoryReader.open(path, interval=0) as reader, MemoryReader.open(path, interval=3600) as later:
            memory.remember("three", scope="x")
            assert reader.recall("three", 1)[0].id == 3
            assert reader.get(3).scope == "x"
            memory.forget(1)
            assert reader.recall(None).ids == [3, 2]
            memory.remember("four")
            assert reader.recall(None).ids == [4, 3, 2]
            assert (len(later), len(reader), reader.stats()["last_id"]) == (2, 3, 4)
            assert later.recall(None).ids == [2, 1]


WRITER = """
import sys
from sophia.organs.hippocampus import Hippocampus
with Hippocampus.open(sys.argv[1]) as memory:
    for line in sys.stdin:
        print(memory.remember(line.strip()), flush=True)
"""


def test_another_process_is_seen(tmp_path: Path) -> None:
    path = tmp_path / "mind"
    Hippocampus.open(path).close()
    with (
        MemoryReader.open(path, interval=0) as reader,
        subprocess.Popen(
            [sys.executable, "-c", WRITER, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as process,
    ):
        assert process.stdin is not None
        assert process.stdout is not None
        for number in range(1, 40):
            process.stdin.write(f"memory {number}\n")
            process.stdin.flush()
            assert int(process.stdout.readline()) == number
            assert reader.recall(f"memory {number}", 1)[0].id == number
        process.stdin.close()
        assert process.wait(30) == 0
        assert len(reader) == 39


def test_a_store_that_is_put_back_is_read_anew(tmp_path: Path) -> None:
    path = tmp_path / "mind"
    with Hippocampus.open(path) as memory:
        memory.remember("kept")
    backup(path, tmp_path / "copy")
    with Hippocampus.open(path) as memory:
        memory.remember("lost")
    with MemoryReader.open(path, interval=0) as reader:
        assert len(reader) == 2
        restore(tmp_path / "copy", path, force=True)
        assert [m.text for m in reader.recall(None)] == ["kept"]


def test_a_search_that_goes_on_while_the_store_is_replaced_tells_of_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, texts in (("old", ["tea one", "tea two"]), ("new", ["coffee", "cocoa", "milk"])):
        with Hippocampus.open(tmp_path / name) as memory:
            memory.remember_many(texts)
    with MemoryReader.open(tmp_path / "old", interval=0) as reader:
        whole = memory_search.rank

        def swapped(*given: Any) -> Any:
            os.replace(tmp_path / "new" / "sophia.db", tmp_path / "old" / "sophia.db")  # noqa: PTH105
            assert {m.text for m in reader.recall(None)} == {"coffee", "cocoa", "milk"}
            return whole(*given)

        monkeypatch.setattr(memory_search, "rank", swapped)
        assert {m.text for m in reader.recall("tea")} == {"tea one", "tea two"}


def test_a_store_of_an_older_format_is_empty_until_it_is_written(tmp_path: Path) -> None:
    path = tmp_path / "mind"
    path.mkdir()
    (path / "sophia.db").write_bytes(gzip.decompress((FIXTURES / "store-2.db.gz").read_bytes()))
    with MemoryReader.open(path, interval=0) as reader:
        assert list(reader.recall("anything")) == []
        with Hippocampus.open(path) as memory:
            memory.remember("first")
        assert [m.text for m in reader.recall("first")] == ["first"]


def test_a_reader_of_a_store_that_gets_another_dimension(tmp_path: Path) -> None:
    path = tmp_path / "mind"
    sophia.open(path).close()
    with MemoryReader.open(path, interval=0) as reader:
        assert reader.dim == 10_000
        with Hippocampus.open(path, dim=256) as memory:
            memory.remember("tea")
        assert [m.text for m in reader.recall("tea")] == ["tea"]
        assert (reader.dim, reader.stats()["damaged"]) == (256, 0)
        for file in path.iterdir():
            file.unlink()
        with pytest.raises(InputError):
            reader.recall("tea")


def test_threads_read_while_it_is_written(tmp_path: Path) -> None:
    path = tmp_path / "mind"
    found: list[int] = []
    with Hippocampus.open(path, durability="os") as memory:
        memory.remember("start")
        with MemoryReader.open(path, interval=0) as reader:
            stop = threading.Event()

            def read() -> None:
                last = 0
                while not stop.is_set():
                    result = reader.recall("start", 3)
                    assert result[0].id == 1
                    assert len(reader) >= last
                    last = len(reader)
                found.append(last)

            threads = [threading.Thread(target=read) for _ in range(3)]
            for thread in threads:
                thread.start()
            for number in range(200):
                memory.remember(f"other {number}")
            stop.set()
            for thread in threads:
                thread.join(30)
            assert len(found) == 3
            reader.recall("start")
            assert len(reader) == 201


def test_what_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no store"):
        MemoryReader.open(tmp_path / "mind")
    Hippocampus.open(tmp_path / "mind").close()
    with pytest.raises(ValueError, match="interval"):
        MemoryReader.open(tmp_path / "mind", interval=-1)
    reader = MemoryReader.open(tmp_path / "mind")
    reader.close()
    reader.close()
    with pytest.raises(SophiaError, match="closed"):
        reader.recall("x")
