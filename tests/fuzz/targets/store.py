"""A store with bytes of its file, or values of its rows, changed: never a wrong answer, never another error.

What cannot be read is refused with an error of ours, or set aside with a note. An answer that is given is one that
was stored for that text. A check says what is wrong and changes nothing; what a repair leaves is a sound store.
"""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path
from typing import Any

import sophia
from fuzz.tape import Tape
from sophia.config import Settings
from sophia.errors import SophiaError
from sophia.store.check import check as check_store
from sophia.store.pages import Pages
from sophia.store.repair import repair

SETTINGS = Settings(cache_bytes=1 << 16, cache_entries=64, pattern_capacity=64, familiar_capacity=64, vectors=True)
ANSWERS = {f"question number {i} about {word}": f"answer {i}" for i, word in enumerate(("cats", "dogs", "ships"))}

_FOLDER = tempfile.TemporaryDirectory(prefix="sophia-fuzz-", dir="/dev/shm" if Path("/dev/shm").is_dir() else None)
_KEPT = Path(_FOLDER.name) / "kept"
_USED = Path(_FOLDER.name) / "used"


def _make() -> bytes:
    with sophia.open(_KEPT, settings=SETTINGS) as brain:
        for text, answer in ANSWERS.items():
            brain.complete(brain.route(text), answer=answer)
        for i in range(40):
            brain.route(f"session {i} opened for user u{i % 7}", kind="line")
    return (_KEPT / "sophia.db").read_bytes()


_DATABASE = _make()
with closing(sqlite3.connect(_KEPT / "sophia.db")) as _open:
    _TABLES = [row[0] for row in _open.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")]


def seeds() -> list[bytes]:
    return [
        bytes([mode, place, 4 * place, 1, 3, 255, 0, 9]) + b"\x00\x01x" * 5 for mode in range(5) for place in (0, 9, 60)
    ]


def check(data: bytes) -> None:
    tape = Tape(data)
    shutil.rmtree(_USED, ignore_errors=True)
    shutil.copytree(_KEPT, _USED)
    file = _USED / "sophia.db"
    if tape.number(4) < 2:
        _change_bytes(tape, file)
    else:
        _change_rows(tape, file)
    if tape.number(1):
        _try_repair(file)
    try:
        _use()
    except SophiaError as error:
        assert str(error)


def _use() -> None:
    with sophia.open(_USED, settings=SETTINGS) as brain:
        for text, answer in ANSWERS.items():
            decision = brain.route(text)
            assert decision.answer in (None, answer), decision
        for text in ("session 9 opened for user u9", "disk full"):
            brain.route(text, kind="line")
        new = brain.route("something quite new")
        if brain.complete(new, answer="new"):
            assert brain.route("something quite new").answer == "new"
        brain.patterns()


def _try_repair(file: Path) -> None:
    before = file.read_bytes()
    with Pages(file) as pages:
        for record in pages.records():
            assert record.page >= 1
    try:
        health = check_store(_USED)
        assert file.read_bytes() == before
        done = repair(_USED)
    except SophiaError as error:
        assert str(error)
        return
    assert (done.state == "sound") == health.sound
    assert check_store(_USED).sound, (done, check_store(_USED).problems)
    _use()


def _change_bytes(tape: Tape, file: Path) -> None:
    changed = bytearray(_DATABASE)
    for _ in range(1 + tape.number(7)):
        changed[tape.number(len(changed) - 1)] ^= 1 + tape.number(254)
    if tape.number(7) == 7:
        del changed[tape.number(len(changed) - 1) :]
    file.write_bytes(changed)


def _change_rows(tape: Tape, file: Path) -> None:
    with closing(sqlite3.connect(file)) as connection:
        for _ in range(1 + tape.number(3)):
            table = tape.pick(_TABLES)
            columns = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
            column = tape.pick(columns)
            key = columns[0]
            keys = [row[0] for row in connection.execute(f"SELECT {key} FROM {table} ORDER BY {key}")]
            if not keys:
                continue
            where = tape.pick(keys)
            (old,) = connection.execute(f"SELECT {column} FROM {table} WHERE {key} = ?", (where,)).fetchone()
            try:
                if tape.number(7) == 0:
                    connection.execute(f"DELETE FROM {table} WHERE {key} = ?", (where,))
                else:
                    connection.execute(f"UPDATE {table} SET {column} = ? WHERE {key} = ?", (_other(tape, old), where))
            except sqlite3.Error:
                connection.rollback()  # a value that the table itself refuses
        connection.commit()


def _other(tape: Tape, old: Any) -> Any:
    kind = tape.number(6)
    if kind == 0:
        return None
    if kind == 1:
        return int.from_bytes(tape.take(8), "little", signed=True)
    if kind == 2:
        return tape.take(24)
    if kind == 3:
        return tape.take(24).decode(errors="replace")
    if kind == 4:
        return (0.5, -1.0, 1e300, float("inf"))[tape.number(3)]
    if isinstance(old, bytes) and old:
        changed = bytearray(old)
        changed[tape.number(len(old) - 1)] ^= 1 + tape.number(254)
        return bytes(changed[: len(old) - tape.number(1)])
    if isinstance(old, int):
        return max(-(2**63), min(2**63 - 1, old + tape.number(4) - 2))
    return f"{old}\0x"
