"""One brain's memory on disk: answers, patterns, familiarity, IDF. One writer; SQLite is the only truth."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import blake2b
from pathlib import Path
from typing import Any

from sophia.errors import ConfigError, StoreCorrupt, StoreFailed, StoreLocked
from sophia.store import schema
from sophia.store.changes import Answer, Changes
from sophia.store.lock import StoreLock

__all__ = ["Store"]


class Store:
    """The folder `path`, open for writing, made when it is not there. StoreLocked when it is open elsewhere.

    Not thread-safe by itself: one call at a time, from any thread.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.file = path / "sophia.db"
        try:
            path.mkdir(parents=True, exist_ok=True)
            self._lock = StoreLock(path / "lock")
        except OSError as error:
            message = f"the store {path} cannot be made ({error.strerror}); name a folder that can be written"
            raise ConfigError(message) from error
        try:
            # Autocommit mode: transactions are begun by us, and only by us.
            self._connection = sqlite3.connect(self.file, isolation_level=None, check_same_thread=False)
            try:
                with self._guarded():
                    schema.prepare(self._connection, str(self.file))
            except BaseException:
                self._connection.close()
                raise
        except BaseException:
            self._lock.release()
            raise

    @property
    def runs(self) -> int:
        """How many runs have used this store."""
        return int(self.meta("runs") or 0)

    def begin_run(self) -> int:
        """Counts one more run, durably, and returns its number; ids of decisions start with it."""
        with self._guarded():
            number = self.runs + 1
            self.set_meta("runs", str(number))
        return number

    def meta(self, name: str) -> str | None:
        """A named value of the store, or None."""
        row = self._connection.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
        return None if row is None else str(row[0])

    def set_meta(self, name: str, value: str) -> None:
        """Sets a named value, durably."""
        self._connection.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (name, value))

    def answer(self, key: bytes, policy_version: str, now: float) -> Answer | None:
        """The stored answer under exactly this key and policy, unless it has expired."""
        with self._guarded():
            row = self._connection.execute(
                "SELECT key, raw, answer, name, policy, expires, checksum FROM answers WHERE digest = ?",
                (_digest(key, policy_version),),
            ).fetchone()
        found = None if row is None else _sound(row)
        if found is None or found.key != key or found.policy_version != policy_version or 0 < found.expires <= now:
            return None
        return found

    def answers(self, policy_version: str, now: float, limit: int) -> tuple[list[Answer], bool]:
        """The most recent `limit` answers of a policy, oldest first, and whether there are more."""
        with self._guarded():
            rows = self._connection.execute(
                "SELECT key, raw, answer, name, policy, expires, checksum FROM answers "
                "WHERE policy = ? AND (expires = 0 OR expires > ?) ORDER BY rowid DESC LIMIT ?",
                (policy_version, now, limit + 1),
            ).fetchall()
        sound = [_sound(row) for row in reversed(rows[:limit])]
        return [answer for answer in sound if answer is not None], len(rows) > limit

    def pattern_rows(self) -> list[tuple[Any, ...]]:
        """Every row of the pattern table, by id; see PatternTable.changes for what they hold."""
        with self._guarded():
            return self._connection.execute("SELECT * FROM patterns ORDER BY id").fetchall()

    def derived(self, name: str) -> tuple[bytes | None, list[bytes]]:
        """The last dump of a derived table ("familiar" or "idf"), if any, and the changes since."""
        with self._guarded():
            row = self._connection.execute("SELECT data FROM dumps WHERE name = ?", (name,)).fetchone()
            log = self._connection.execute("SELECT changes FROM log WHERE name = ? ORDER BY seq", (name,)).fetchall()
        return (None if row is None else row[0]), [changes for (changes,) in log]

    def commit(self, changes: Changes) -> None:
        """Makes `changes` durable in one transaction."""
        with self._guarded(), self._transaction() as run:
            for answer in changes.answers:
                digest = _digest(answer.key, answer.policy_version)
                if answer.text is None:
                    # Under every policy: what was wrong is wrong under yesterday's rules too. Rare, so a scan.
                    run("DELETE FROM answers WHERE key = ?", (answer.key,))
                else:
                    run(
                        "INSERT OR REPLACE INTO answers VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                        (
                            digest,
                            answer.key,
                            answer.raw,
                            answer.text,
                            answer.name,
                            answer.policy_version,
                            answer.expires,
                            _checksum(answer),
                        ),
                    )
            if changes.patterns:
                kept = [row for row in changes.patterns if row[6]]
                gone = [(row[0],) for row in changes.patterns if not row[6]]
                self._connection.executemany("INSERT OR REPLACE INTO patterns VALUES (?, ?, ?, ?, ?, ?, ?)", kept)
                self._connection.executemany("DELETE FROM patterns WHERE id = ?", gone)
            for name, log in (("familiar", changes.familiar), ("idf", changes.idf)):
                if log and name not in changes.dumps:
                    run("INSERT INTO log (name, changes) VALUES (?, ?)", (name, log))
            for name, dump in changes.dumps.items():
                run("INSERT OR REPLACE INTO dumps VALUES (?, ?)", (name, dump))
                run("DELETE FROM log WHERE name = ?", (name,))
            if changes.audit is not None:
                self.set_meta("audit", changes.audit)

    def log_bytes(self, name: str) -> int:
        """How much a derived table's log has grown since its last dump."""
        with self._guarded():
            row = self._connection.execute("SELECT total(length(changes)) FROM log WHERE name = ?", (name,)).fetchone()
        return int(row[0])

    def check(self) -> dict[str, object]:
        """Reads the whole file and counts what it holds; StoreCorrupt where SQLite finds damage."""
        with self._guarded():
            verdict = self._connection.execute("PRAGMA quick_check").fetchone()[0]
            if verdict != "ok":
                raise sqlite3.DatabaseError(verdict)
            counts = {
                name: self._connection.execute(f"SELECT count(*) FROM {rows}").fetchone()[0]
                for name, rows in (
                    ("answers", "answers"),
                    ("patterns", "patterns WHERE id > 0 AND merged_into IS NULL"),
                )
            }
        size = sum(file.stat().st_size for file in self.path.iterdir() if file.is_file())
        return {"state": "sound", "format": schema.FORMAT, "runs": self.runs, **counts, "bytes": size}

    def purge(self, now: float) -> int:
        """Deletes answers that have expired; returns how many."""
        with self._guarded(), self._transaction() as run:
            return int(run("DELETE FROM answers WHERE expires > 0 AND expires <= ?", (now,)).rowcount)

    def close(self) -> None:
        """Checkpoints the log into the file, closes it and gives the lock back; may be called twice."""
        try:
            self._connection.execute("PRAGMA incremental_vacuum(1024)").fetchall()  # deleted pages go back, bounded
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        except sqlite3.Error:
            pass  # closed before, or no room: the log is read at the next open
        finally:
            self._connection.close()
            self._lock.release()

    @contextmanager
    def _transaction(self) -> Iterator[Any]:
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield self._connection.execute
            self._connection.execute("COMMIT")
        except BaseException:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        """Turns SQLite's words into ours, with the cure."""
        try:
            yield
        except (sqlite3.Error, UnicodeDecodeError) as error:
            said = str(error)
            if isinstance(error, sqlite3.OperationalError) and not said.startswith(_DAMAGE):
                if "locked" in said:
                    message = f"the store {self.file} is used by another program ({said}); close it there"
                    raise StoreLocked(message) from error
                message = f"the store {self.file} cannot be used ({said}); look at the disk and its permissions"
                raise StoreFailed(message) from error
            message = (
                f"the store {self.file} is damaged ({said}); move the folder {self.path} away and run again, "
                "or restore a copy of it"
            )
            raise StoreCorrupt(message) from error


# OperationalErrors that speak of the file's contents and not of the moment.
_DAMAGE = ("no such table", "no such column", "Could not decode", "malformed")


def _digest(key: bytes, policy_version: str) -> bytes:
    return blake2b(key, digest_size=16, key=policy_version.encode()).digest()


def _checksum(answer: Answer) -> bytes:
    """Over everything that a row says: a bit that turned must not become an answer, or another question's."""
    parts = (answer.key, answer.raw, (answer.text or "").encode(), answer.name.encode(), answer.policy_version.encode())
    total = blake2b(repr(answer.expires).encode(), digest_size=16)
    for part in parts:
        total.update(len(part).to_bytes(8, "little"))
        total.update(part)
    return total.digest()


def _sound(row: tuple[Any, ...]) -> Answer | None:
    """The answer of a row, or None where its checksum says that it is not what was stored."""
    answer = Answer(*row[:6])
    return answer if _checksum(answer) == row[6] else None
