"""The page reader against SQLite itself: the same rows, from a file, from its log, and none that were deleted."""

from __future__ import annotations

import random
import shutil
import sqlite3
from pathlib import Path

import pytest

import sophia
from sophia.store.pages import Layout, Pages


def table_rows(file: Path, log: Path | None = None) -> list[tuple[object, ...]]:
    with Pages(file, log) as pages:
        found = [(r.rowid, *r.values) for r in pages.records() if r.rowid is not None]
        assert not pages.unreadable
        return sorted(found, key=repr)


def make(file: Path, page_size: int, *, wal: bool = False) -> sqlite3.Connection:
    rows = sqlite3.connect(file, isolation_level=None)
    rows.execute(f"PRAGMA page_size = {page_size}")
    rows.execute("PRAGMA auto_vacuum = INCREMENTAL")
    if wal:
        rows.execute("PRAGMA journal_mode = WAL")
        rows.execute("PRAGMA wal_autocheckpoint = 0")
    rows.execute("PRAGMA secure_delete = ON")
    rows.execute("CREATE TABLE t (a, b, c, d)")
    rows.execute("CREATE INDEX by_b ON t (b)")
    return rows


def fill(rows: sqlite3.Connection, seed: int, count: int) -> None:
    draw = random.Random(seed)
    rows.execute("BEGIN")
    for i in range(count):
        values = (
            draw.choice([None, 0, 1, -1, 127, -129, 2**23, -(2**31), 2**40, -(2**62), 0.5, -1e300]),
            draw.randbytes(draw.choice([0, 3, 100, 1000, 5000, 40_000])),
            "ä€𝄞"[: draw.randrange(4)] * draw.randrange(40),
            i,
        )
        rows.execute(
            "INSERT INTO t (rowid, a, b, c, d) VALUES (?, ?, ?, ?, ?)", (draw.randrange(-(2**40), 2**40), *values)
        )
    rows.execute("COMMIT")


@pytest.mark.parametrize("page_size", [512, 4096, 8192, 65536])
def test_every_row_as_sqlite_reads_it(tmp_path: Path, page_size: int) -> None:
    rows = make(tmp_path / "a.db", page_size)
    fill(rows, page_size, 150)
    rows.execute("DELETE FROM t WHERE rowid % 3 = 0")
    expected = sorted(rows.execute("SELECT rowid, * FROM t").fetchall(), key=repr)
    rows.close()
    assert len(expected) > 50
    assert [row for row in table_rows(tmp_path / "a.db") if len(row) == 5] == expected


@pytest.mark.parametrize("page_size", [1024, 8192])
def test_committed_pages_of_the_log_count_and_others_do_not(tmp_path: Path, page_size: int) -> None:
    file, log = tmp_path / "a.db", tmp_path / "a.db-wal"
    rows = make(file, page_size, wal=True)
    fill(rows, 1, 60)
    rows.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    fill(rows, 2, 60)
    rows.execute("DELETE FROM t WHERE rowid % 2 = 0")
    expected = sorted(rows.execute("SELECT rowid, * FROM t").fetchall(), key=repr)
    shutil.copy(file, tmp_path / "b.db")
    shutil.copy(log, tmp_path / "b.db-wal")
    size = (tmp_path / "b.db-wal").stat().st_size
    assert [row for row in table_rows(tmp_path / "b.db", tmp_path / "b.db-wal") if len(row) == 5] == expected
    # A log that broke off in a frame gives the same.
    with (tmp_path / "b.db-wal").open("ab") as torn:
        torn.write(random.Random(3).randbytes(3 * page_size))
    assert (tmp_path / "b.db-wal").stat().st_size > size
    assert [row for row in table_rows(tmp_path / "b.db", tmp_path / "b.db-wal") if len(row) == 5] == expected
    # Written back page by page it is the file that SQLite reads.
    with Pages(tmp_path / "b.db", tmp_path / "b.db-wal") as pages:
        (tmp_path / "c.db").write_bytes(b"".join(pages.whole()))
    rows.close()
    again = sqlite3.connect(tmp_path / "c.db")
    assert sorted(again.execute("SELECT rowid, * FROM t").fetchall(), key=repr) == expected
    assert again.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    again.close()


def test_a_log_that_was_hit_gives_what_came_before(tmp_path: Path) -> None:
    """As SQLite: all transactions that ended before the first bad frame."""
    file = tmp_path / "a.db"
    rows = make(file, 1024, wal=True)
    for i in range(20):
        rows.execute("INSERT INTO t VALUES (?, ?, 'x', 0)", (i, bytes(300)))
    log = bytearray((tmp_path / "a.db-wal").read_bytes())
    draw = random.Random(5)
    for k in range(40):
        broken = bytearray(log)
        broken[draw.randrange(len(log))] ^= 1 << draw.randrange(8)
        for name in ("b.db", "c.db"):
            shutil.copy(file, tmp_path / name)
            (tmp_path / f"{name}-wal").write_bytes(broken)
        with Pages(tmp_path / "b.db", tmp_path / "b.db-wal") as pages:
            mine = sorted(r.values[0] for r in pages.records() if r.rowid is not None and len(r.values) == 4)
        other = sqlite3.connect(tmp_path / "c.db")
        theirs = sorted(a for (a,) in other.execute("SELECT a FROM t")) if other.execute(
            "SELECT 1 FROM sqlite_master WHERE name = 't'").fetchall() else []  # fmt: skip
        other.close()
        for left in tmp_path.glob("[bc].db*"):
            left.unlink()
        assert mine == theirs, k
    rows.close()


def test_nonsense_ends_and_raises_nothing(tmp_path: Path) -> None:
    draw = random.Random(11)
    file = tmp_path / "a.db"
    rows = make(file, 1024)
    fill(rows, 9, 40)
    rows.close()
    sound = file.read_bytes()
    for size in (0, 1, 99, 100, 512, 5000):
        file.write_bytes(draw.randbytes(size))
        with Pages(file) as pages:
            assert list(pages.records()) == []
    for _ in range(200):
        data = bytearray(sound)
        for _ in range(draw.randrange(1, 60)):
            data[draw.randrange(len(data))] = draw.randrange(256)
        file.write_bytes(data[: draw.randrange(len(data))] if draw.random() < 0.3 else data)
        for layout in (Layout(512), Layout(1024), Layout(8192), Layout(1024, 32)):
            with Pages(file, None, layout) as pages:
                assert len(list(pages.records())) < 10_000


def test_what_was_deleted_stays_deleted(tmp_path: Path) -> None:
    with sophia.open(tmp_path / "mind") as brain:
        for i in range(200):
            brain.complete(brain.route(f"question {i}"), answer=f"answer {i} " * 50)
        for i in range(0, 200, 2):
            brain.reject(brain.route(f"question {i}"))
    rows = table_rows(tmp_path / "mind" / "sophia.db")
    answers = [row[4] for row in rows if len(row) == 9 and isinstance(row[1], bytes)]  # others are patterns
    assert sorted(answers) == sorted(f"answer {i} " * 50 for i in range(1, 200, 2))
