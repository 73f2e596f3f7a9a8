"""The journal of a store: what is in it after any end, and what goes from it."""

from __future__ import annotations

import errno
import json
import os
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

import sophia
from sophia.store.backup import backup, restore
from sophia.store.journal import Journal, journal_files
from sophia.stream.decisions import decision_line
from sophia.stream.event import PLAIN, Event
from sophia.stream.pipeline import columns


def records(first: int, count: int, text: str = "x") -> list[str]:
    return [json.dumps({"n": n, "answer": text}) for n in range(first, first + count)]


def found(store: Path) -> list[tuple[int, int]]:
    lines = [line for file in journal_files(store) for line in file.path.read_text().splitlines()]
    return [(line["run"], line["n"]) for line in map(json.loads, lines)]


def test_what_was_appended_is_there_in_order_over_files_and_openings(tmp_path: Path) -> None:
    for run in (1, 2, 3):
        journal = Journal(tmp_path, size=200)
        for first in range(1, 20, 3):
            assert journal.append(run, 0.0, records(first, 3))
        journal.close()
    assert found(tmp_path) == [(run, n) for run in (1, 2, 3) for n in range(1, 22)]
    assert len(journal_files(tmp_path)) > 5
    assert [file.number for file in journal_files(tmp_path)] == list(range(1, len(journal_files(tmp_path)) + 1))


@given(
    sizes=st.lists(st.integers(1, 9), min_size=1, max_size=8),
    size=st.integers(1, 400),
    part=st.integers(0, 100),
    at=st.tuples(st.integers(0, 3), st.integers(0, 40)),
)
def test_what_was_not_told_is_cut_off(
    sizes: list[int], size: int, part: int, at: tuple[int, int], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Also a line that the end of a process or of a disk has left half of."""
    store = tmp_path_factory.mktemp("store")
    journal = Journal(store, size=size)
    wanted, n = [], 1
    for number, count in enumerate(sizes):
        run = 1 + number * 2 // len(sizes)
        journal.append(run, 0.0, records(n, count, "a" * number))
        wanted += [(run, n + i) for i in range(count)]
        n += count
    journal.close()
    last = journal_files(store)[-1]
    half = b'{"run": 9, "at": 0.000, "n": 1, "answer": "never told"}\n'[: part % 55]
    last.path.write_bytes(last.path.read_bytes() + half)
    gone = journal.cut(*at)
    kept = [one for one in wanted if one < at]
    assert found(store) == kept
    assert gone == len(wanted) - len(kept) + bool(half)
    assert journal.append(7, 0.0, records(1, 2))
    journal.close()
    assert found(store) == [*kept, (7, 1), (7, 2)]


def test_after_a_torn_line_a_new_file_begins(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.append(1, 0.0, records(1, 2))
    journal.close()
    (file,) = journal_files(tmp_path)
    file.path.write_bytes(file.path.read_bytes()[:-5])
    assert journal.append(2, 0.0, records(1, 1))
    journal.close()
    assert len(journal_files(tmp_path)) == 2
    assert journal_files(tmp_path)[1].path.read_text() == '{"run": 2, "at": 0.000, "n": 1, "answer": "x"}\n'


def test_the_oldest_go_when_there_is_too_much(tmp_path: Path) -> None:
    journal = Journal(tmp_path, most=4096, size=1000)
    for n in range(1, 400):
        assert journal.append(1, 0.0, records(n, 1))
        assert sum(file.bytes for file in journal_files(tmp_path)) <= 4096
    journal.close()
    kept = found(tmp_path)
    assert kept == [(1, n) for n in range(kept[0][1], 400)]
    assert len(kept) > 40


def test_files_go_when_they_are_too_old(tmp_path: Path) -> None:
    now = [1000.0]
    journal = Journal(tmp_path, size=50, retention=60.0, clock=lambda: now[0])
    for n in range(1, 7):
        journal.append(1, 0.0, records(n, 2))
        os.utime(journal_files(tmp_path)[-1].path, (now[0], now[0]))
        now[0] += 50.0
    journal.close()
    assert [file.written for file in journal_files(tmp_path)] == [1200.0, 1250.0]


def test_a_disk_without_room_costs_whole_batches_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = os.write
    room = [230]

    def full(descriptor: int, data: bytes) -> int:
        if not room[0]:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        done = write(descriptor, bytes(data)[: room[0]])
        room[0] -= done
        return done

    monkeypatch.setattr("os.write", full)
    journal = Journal(tmp_path)
    told = [journal.append(1, 0.0, records(n, 2)) for n in range(1, 9, 2)]
    assert told == [True, True, False, False]
    assert (journal.dropped, journal.fault) == (4, "No space left on device")
    room[0] = 1 << 20
    assert journal.append(1, 0.0, records(9, 2))
    journal.close()
    assert found(tmp_path) == [(1, 1), (1, 2), (1, 3), (1, 4), (1, 9), (1, 10)]


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "decisions").write_text("a file")
    journal = Journal(tmp_path)
    assert not journal.append(1, 0.0, records(1, 3))
    assert journal.dropped == 3
    assert journal.fault is not None
    assert journal_files(tmp_path) == []
    journal.close()


def test_what_is_no_file_of_the_journal_is_left_alone(tmp_path: Path) -> None:
    folder = tmp_path / "decisions"
    folder.mkdir()
    (folder / "notes.txt").write_text("mine")
    (folder / "20261130.jsonl").write_text('{"n": 1}\n')
    (folder / "decisions-00000007.jsonl").symlink_to(folder / "notes.txt")
    journal = Journal(tmp_path, size=100)
    for n in range(1, 100):
        journal.append(1, 0.0, records(n, 1))
    journal.cut(1, 90)
    journal.close()
    assert (folder / "notes.txt").read_text() == "mine"
    assert (folder / "20261130.jsonl").read_text() == '{"n": 1}\n'
    assert found(tmp_path) == [(1, n) for n in range(1, 90)]
    assert 7 not in [file.number for file in journal_files(tmp_path)]


def play(store: Path, first: int, count: int) -> None:
    """A run that decides and tells so many lines."""
    with sophia.open(store) as brain:
        for n in range(first, first + count):
            batch = brain.decide(columns([Event(n, "-", n, f"line {n} of many", flags=PLAIN)]))
            brain.begin(batch, records=[decision_line(one) for one in batch.decisions])


def asides(store: Path) -> list[Path]:
    return sorted(
        path for path in store.iterdir() if path.name.startswith("replaced-") and (path / "decisions").is_dir()
    )


def test_what_is_restored_has_the_journal_of_its_own_runs_only(tmp_path: Path) -> None:
    store = tmp_path / "mind"
    play(store, 1, 3)
    backup(store, tmp_path / "copy")
    play(store, 4, 2)
    assert found(store) == [(1, 1), (1, 2), (1, 3), (2, 1), (2, 2)]
    restore(tmp_path / "copy", store, force=True)
    assert found(store) == []
    assert [found(aside) for aside in asides(store)] == [[(1, 1), (1, 2), (1, 3), (2, 1), (2, 2)]]
    play(store, 4, 1)
    assert found(store) == [(2, 1)]


def test_runs_that_the_store_does_not_know_have_a_journal_of_their_own(tmp_path: Path) -> None:
    """As after a database was put back by hand; nothing of it is lost."""
    store, older = tmp_path / "mind", tmp_path / "older"
    play(store, 1, 2)
    shutil.copytree(store, older)
    play(store, 3, 2)
    play(store, 5, 2)
    shutil.rmtree(older / "decisions")
    shutil.copytree(store / "decisions", older / "decisions")
    with sophia.open(older) as brain:
        assert [note.partition(";")[0] for note in brain.notes] == ["the journal has runs that the store does not know"]
    assert found(older) == []
    assert [found(aside) for aside in asides(older)] == [found(store)]


def test_a_whole_line_of_somebody_else_ends_a_cut(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.append(1, 0.0, records(1, 3))
    (file,) = journal_files(tmp_path)
    file.path.write_bytes(file.path.read_bytes() + b"what is this\n")
    journal.append(1, 0.0, records(4, 2))
    assert journal.last() == (1, 5)
    assert journal.cut(1, 2) == 2
    journal.close()
    assert file.path.read_bytes().endswith(b"what is this\n")
    assert journal.last() == (1, 3)


def test_long_lines_are_read_backwards_in_time(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.append(1, 0.0, records(1, 3, "x" * 3_000_000))
    journal.append(1, 0.0, records(4, 3, "y" * 70_000))
    (file,) = journal_files(tmp_path)
    with file.path.open("ab") as opened:
        opened.write(bytes(1 << 24))  # as a power failure may leave it
    assert journal.last() == (1, 6)
    assert journal.cut(1, 2) == 6
    assert journal.last() == (1, 1)
    journal.close()


def test_a_batch_that_is_larger_than_the_journal_is_not_in_it(tmp_path: Path) -> None:
    journal = Journal(tmp_path, most=1 << 20)
    assert not journal.append(1, 0.0, records(1, 2, "x" * 600_000))
    assert journal.append(1, 0.0, records(3, 1))
    journal.close()
    assert found(tmp_path) == [(1, 3)]
    assert journal.dropped == 2


def test_room_on_the_disk_is_left_to_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    look = os.statvfs
    monkeypatch.setattr(
        "os.statvfs",
        lambda path: SimpleNamespace(f_bavail=(1 << 26) // look(path).f_frsize, f_frsize=look(path).f_frsize),
    )
    journal = Journal(tmp_path)
    assert not journal.append(1, 0.0, records(1, 2))
    assert (journal.dropped, journal.fault) == (2, "No space left on device")
    assert not (tmp_path / "decisions").exists()


def test_a_brain_without_a_journal(tmp_path: Path) -> None:
    with sophia.open(tmp_path, settings=sophia.Settings(journal=0)) as brain:
        batch = brain.decide(columns([Event(1, "-", 1, "a line", flags=PLAIN)]))
        brain.begin(batch, records=[decision_line(one) for one in batch.decisions])
        assert brain.unjournaled == (0, None)
    assert not (tmp_path / "decisions").exists()
