# Over 600 lines: every transaction on the one database, so that what a commit holds is settled in one place.
"""One brain's memory on disk: answers, patterns, familiarity, IDF. One writer; SQLite is the only truth."""

from __future__ import annotations

import errno
import json
import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from sophia.errors import ConfigError, SophiaError, StoreCorrupt, StoreFailed
from sophia.store import chapters, checksum, memories, outputs, schema, segments, tidying
from sophia.store.ack import Ack
from sophia.store.answer_key import AnswerKey, split_key
from sophia.store.archive import ArchiveState, agrees, remove_archive
from sophia.store.changes import Answer, Changes
from sophia.store.faults import corrupt, guarded
from sophia.store.folder import StoreFolder, need_room
from sophia.store.lock import StoreLock
from sophia.store.memory_row import MemoryRow
from sophia.store.outputs import Output
from sophia.store.pending import Pending
from sophia.store.segments import SegmentEntry

if TYPE_CHECKING:
    from sophia.store.patterns import Without

__all__ = ["Store"]

_ARCHIVE = "archive"  # of `meta`: the state of the long-term index
_OLDEST_SEEN = "id IN (SELECT id FROM memories WHERE kind IN (?, ?) ORDER BY id LIMIT ?)"
_SHOWN = "shown"  # of `meta`: patterns of which files of runs may show more than the store

_ANSWER = "key, raw, CAST(answer AS BLOB), CAST(name AS BLOB), CAST(policy AS BLOB), expires, checksum"

# A write-ahead log over this is not kept as a copy when it turns out to be damaged.
_KEPT_LOG = 1 << 26


class Store:
    """The folder `path`, open for writing, made when it is not there. StoreLocked when it is open elsewhere.

    Every row has a checksum. Where one fails: an answer is not served, a derived table starts anew, a pattern or a
    named value makes the store StoreCorrupt, with the cure. `notes` says what was found and how many.

    Not thread-safe by itself: one call at a time, from any thread.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.file = path / "sophia.db"
        self.notes: list[str] = []
        self._unsettled = False
        self._turn = 0  # of transactions
        try:
            path.mkdir(parents=True, exist_ok=True)
            self._lock = StoreLock(path / "lock")
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EIO):
                message = f"the store {path} cannot be made ({error.strerror}); make room on the disk and run again"
                raise StoreFailed(message) from error
            if os.path.isdir(path):  # noqa: PTH112 (never raises)
                message = f"the store {path} cannot be written ({error.strerror}); look at its permissions and its disk"
            elif os.path.lexists(path):
                message = f"{path} is not a folder, so it is no store; name the folder with --store"
            else:
                message = f"the store {path} cannot be made ({error.strerror}); name a folder that can be written"
            raise ConfigError(message) from error
        try:
            with self._guarded():
                self.ack = Ack(path / "ack")
            try:
                self._open()
            except BaseException:
                self.ack.close()
                raise
        except BaseException:
            self._lock.release()
            raise

    def _open(self) -> None:
        log = self._write_ahead_log()
        with self._guarded():
            # Autocommit mode: transactions are begun by us, and only by us.
            self._connection = sqlite3.connect(self.file, isolation_level=None, check_same_thread=False)
        try:
            with self._guarded():
                schema.prepare(self._connection, str(self.file))
                self._commits = self._counted()
                self._identity = self.file.stat()
            self._compare(log)
        except BaseException:
            self._connection.close()
            raise

    def _write_ahead_log(self) -> bytes | None:
        """What a process that did not close the store has left; SQLite drops all that follows a damaged page of it."""
        with suppress(OSError):
            log = self.file.with_name(self.file.name + "-wal")
            if 0 < log.stat().st_size <= _KEPT_LOG:
                return log.read_bytes()
        return None

    def _compare(self, log: bytes | None) -> None:
        """The last commit must be the last one that was noted: no page of the log may have gone."""
        before = self.ack.before
        if before.fault is not None:
            self.notes.append(f"the file {self.path / 'ack'} {before.fault} and is made anew")
        lost = before.commits - self._commits
        if lost > 0:
            # Not to be passed over: an answer that was replaced or taken back in them would be served again.
            kept = "" if log is None else f", which is kept as {self._set_aside('sophia.db-wal', log)}"
            fault = (
                f"its last {lost} commits are gone with a damaged write-ahead log{kept}; if it is an older copy that "
                f"you put there, remove {self.path / 'ack'}"
            )
            raise self.corrupt(fault)

    def _set_aside(self, name: str, data: bytes) -> str:
        """Keeps what is damaged under a dated name; returns the name, or why there is none."""
        stamp = datetime.now(UTC).strftime("%Y-%m-%dT%H-%M-%S.%fZ")
        target = self.path / f"{name}.{stamp}.damaged"
        try:
            target.write_bytes(data)
        except OSError as error:
            target.unlink(missing_ok=True)
            return f"nothing ({error.strerror})"
        return target.name

    @property
    def runs(self) -> int:
        """How many runs have used this store."""
        return int(self.meta("runs") or 0)

    @property
    def commits(self) -> int:
        """How many commits were made, of all runs."""
        return self._commits

    def settle(self) -> None:
        """After a transaction that an exception ended, which a Ctrl-C may do at any point: finds out whether it counts.

        Does nothing after one that went well.
        """
        if not self._unsettled:
            return
        with self._guarded():
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            self._commits = self._counted()
        self.ack.committed(self._commits)
        self._unsettled = False

    @property
    def crystalline(self) -> bool:
        """Whether the brain has been made to learn no more: nothing is written but what ends that."""
        kept = self.meta("life")
        return kept is not None and '"stage":"crystalline"' in kept

    def begin_run(self) -> int:
        """Counts one more run, durably, and returns its number; ids of decisions start with it."""
        number = self.runs + 1
        self.set_meta("runs", str(number))
        return number

    def meta(self, name: str) -> str | None:
        """A named value of the store, or None. StoreCorrupt where it is not what was set."""
        with self._guarded():
            row = self._connection.execute("SELECT value, checksum FROM meta WHERE name = ?", (name,)).fetchone()
            if row is None:
                return None
            if checksum.of_meta(name, str(row[0])) != row[1]:
                message = f"the value of {name} fails its checksum"
                raise sqlite3.DatabaseError(message)
            return str(row[0])

    def set_meta(self, name: str, value: str) -> None:
        """Sets a named value, durably."""
        with self._guarded():
            self._put_meta(name, value)

    def answer(self, key: bytes, policy_version: str, now: float) -> Answer | None:
        """The stored answer under exactly this key and policy, unless it has expired."""
        with self._guarded():
            row = self._connection.execute(
                f"SELECT {_ANSWER} FROM answers WHERE digest = ?", (checksum.digest_of(key, policy_version),)
            ).fetchone()
        found = None if row is None else checksum.sound_answer(row)
        if found is None or found.key != key or found.policy_version != policy_version or 0 < found.expires <= now:
            return None
        return found

    def answers(self, policy_version: str, now: float, limit: int) -> tuple[list[Answer], bool]:
        """The most recent `limit` answers of a policy, oldest first, and whether there are more."""
        with self._guarded():
            rows = self._connection.execute(
                f"SELECT {_ANSWER} FROM answers "
                "WHERE policy = ? AND (expires = 0 OR expires > ?) ORDER BY rowid DESC LIMIT ?",
                (policy_version, now, limit + 1),
            ).fetchall()
        sound = [checksum.sound_answer(row) for row in reversed(rows[:limit])]
        if None in sound:
            self.notes.append(f"{sound.count(None)} answers of the store fail their checksum and are not served")
        return [answer for answer in sound if answer is not None], len(rows) > limit

    def pattern_rows(self) -> list[tuple[Any, ...]]:
        """Every row of the pattern table, by id; see PatternTable.changes for what they hold.

        StoreCorrupt where one is not what was stored: the ids that decisions name must not come to mean another.
        """
        with self._guarded():
            rows = self._connection.execute("SELECT * FROM patterns ORDER BY id").fetchall()
            damaged = sum(not _sound_pattern(row) for row in rows)
            if damaged:
                message = f"{damaged} of {len(rows)} rows of its patterns fail their checksum"
                raise sqlite3.DatabaseError(message)
        return [row[:7] for row in rows]

    def derived(self, names: Iterable[str]) -> tuple[dict[str, tuple[bytes | None, list[bytes]]], dict[str, str]]:
        """The derived tables: by name the last dump, if any, and the changes since; and by name what is wrong with one.

        A row that fails its checksum and could be of any table spoils all of them.
        """
        tables: dict[str, tuple[bytes | None, list[bytes]]] = {name: (None, []) for name in names}
        faults: dict[str, str] = {}
        with self._guarded():
            dumps = self._connection.execute(
                "SELECT 0, CAST(name AS BLOB), data, checksum FROM dumps WHERE name IS NOT ?", (schema.ROUTER,)
            ).fetchall()
            log = self._connection.execute(
                "SELECT seq, CAST(name AS BLOB), changes, checksum FROM log ORDER BY seq"
            ).fetchall()
        for rows, what in ((dumps, "dump"), (log, "piece of its log")):
            for seq, raw, data, kept in rows:
                name = raw.decode("utf-8", "replace") if isinstance(raw, bytes) else ""
                if not isinstance(data, bytes) or name not in tables or checksum.of_blob(seq, name, data) != kept:
                    for spoiled in [name] if name in tables else tables:
                        faults[spoiled] = f"a {what} fails its checksum"
                elif rows is dumps:
                    tables[name] = (data, [])
                else:
                    tables[name][1].append(data)
        return tables, faults

    def pending(self) -> list[Pending]:
        """The batches whose effects are in no other table yet, in order: the process that told their decisions died.

        One that fails its checksum is set aside, with a note; the others are what is left.
        """
        with self._guarded():
            rows = self._connection.execute("SELECT * FROM pending ORDER BY seq").fetchall()
        records = []
        for seq, data, kept in rows:
            try:
                if not isinstance(data, bytes) or checksum.of_blob(seq, "pending", data) != kept:
                    raise StoreCorrupt("it fails its checksum")  # noqa: EM101
                records.append(Pending.unpack(data))
            except StoreCorrupt as error:
                aside = self._set_aside(f"pending-{seq}", data if isinstance(data, bytes) else repr(data).encode())
                self.notes.append(
                    f"one batch of inputs of the last run is lost for the memory ({error}); set aside as {aside}"
                )
        return records

    def append(self, record: Pending) -> None:
        """Makes the inputs of a batch durable, before its decisions are told."""
        with self._guarded(), self._transaction():
            self._put_pending(record)  # its number is that of the commit, which so needs no row of its own

    def commit(self, changes: Changes, record: Pending | None = None) -> None:
        """Makes `changes` durable in one transaction, in the place of all pending inputs; they have taught them.

        `record` are the inputs of the batch that comes next.
        """
        with self._guarded(), self._transaction() as run:
            for answer in changes.answers:
                if answer.text is None:
                    # Under every policy: what was wrong is wrong under yesterday's rules too. Rare, so a scan.
                    run("DELETE FROM answers WHERE key = ?", (answer.key,))
                else:
                    run(
                        "INSERT OR REPLACE INTO answers VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                        (
                            checksum.digest_of(answer.key, answer.policy_version),
                            answer.key,
                            answer.raw,
                            answer.text,
                            answer.name,
                            answer.policy_version,
                            answer.expires,
                            checksum.of_answer(answer),
                        ),
                    )
            if changes.patterns:
                kept = [(*row, checksum.of_pattern(row)) for row in changes.patterns if row[6]]
                gone = [(row[0],) for row in changes.patterns if not row[6]]
                self._connection.executemany("INSERT OR REPLACE INTO patterns VALUES (?, ?, ?, ?, ?, ?, ?, ?)", kept)
                self._connection.executemany("DELETE FROM patterns WHERE id = ?", gone)
            for name, log in changes.logs.items():
                if log and name not in changes.dumps:
                    seq = run("SELECT coalesce(max(seq), 0) + 1 FROM log").fetchone()[0]
                    run("INSERT INTO log VALUES (?, ?, ?, ?)", (seq, name, log, checksum.of_blob(seq, name, log)))
            for name, dump in changes.dumps.items():
                run("INSERT OR REPLACE INTO dumps VALUES (?, ?, ?)", (name, dump, checksum.of_blob(0, name, dump)))
                run("DELETE FROM log WHERE name = ?", (name,))
            if changes.audit is not None:
                self._put_meta("audit", changes.audit)
            if changes.life is not None:
                self._put_meta("life", changes.life)
            if changes.tally is not None:
                self._put_meta("tally", changes.tally)
            for chapter in changes.chapters:
                chapters.insert(run, chapter)
            if changes.memories:
                memories.insert(self._connection, changes.memories)
            if changes.let_go:
                self._let_go(run, _OLDEST_SEEN, (*memories.SEEN, changes.let_go))
            run("DELETE FROM pending")
            self._count()
            if record is not None:
                self._put_pending(record)
        if changes.let_go:
            self._shrink()

    def replace_derived(self, dumps: dict[str, bytes]) -> None:
        """Puts dumps in the place of all derived tables and their logs, damaged rows included."""
        with self._guarded(), self._transaction() as run:
            run("DELETE FROM dumps WHERE name IS NOT ?", (schema.ROUTER,))
            run("DELETE FROM log")
            for name, dump in dumps.items():
                run("INSERT INTO dumps VALUES (?, ?, ?)", (name, dump, checksum.of_blob(0, name, dump)))
            self._count()

    def router(self) -> bytes | None:
        """The dump of the router that was learned here, if any. StoreCorrupt where it is not what was stored."""
        with self._guarded():
            row = self._connection.execute(
                "SELECT data, checksum FROM dumps WHERE name = ?", (schema.ROUTER,)
            ).fetchone()
            if row is None:
                return None
            if not isinstance(row[0], bytes) or checksum.of_blob(0, schema.ROUTER, row[0]) != row[1]:
                message = "its router of intents fails its checksum"
                raise sqlite3.DatabaseError(message)
            return row[0]

    def set_router(self, dump: bytes) -> None:
        """Puts a router in the place of the one before, durably."""
        with self._guarded(), self._transaction() as run:
            row = (schema.ROUTER, dump, checksum.of_blob(0, schema.ROUTER, dump))
            run("INSERT OR REPLACE INTO dumps VALUES (?, ?, ?)", row)
            self._count()

    def remember(self, rows: Sequence[MemoryRow], raised: Sequence[tuple[int, float, int]] = ()) -> None:
        """Makes memories durable, all or none; their ids are new. `raised`: (id, strength, when) of older ones."""
        with self._guarded(), self._transaction():
            if rows:
                memories.insert(self._connection, rows)
            memories.strengthen(self._connection, raised)
            self._count()

    def synchronise(self, level: Literal["FULL", "NORMAL"]) -> None:
        """FULL: a commit is on the disk when it returns. NORMAL: the operating system has it."""
        with self._guarded():
            self._connection.execute(f"PRAGMA synchronous = {level}")

    def memories(self, after: int = 0, upto: int = memories.MOST_ID) -> Iterator[MemoryRow | None]:
        """The memories with an id over `after` and not over `upto`, by id; None for one that is not what was stored."""
        with self._guarded():
            yield from memories.read(self._connection, after, upto)

    def strengths(self) -> dict[int, tuple[float, int]]:
        """Strength, and when it became that, of the memories that were recalled, by id."""
        with self._guarded():
            return memories.strengths(self._connection.execute("SELECT * FROM strengths"))

    def segments(self) -> list[SegmentEntry]:
        """The segments that count, by id. What a row that fails its checksum names is none."""
        with self._guarded():
            return segments.entries(self._connection.execute("SELECT * FROM segments ORDER BY first"))

    def exchange_segments(self, gone: Sequence[SegmentEntry], made: Sequence[SegmentEntry]) -> None:
        """Names segments whose files are written in the place of others, durably; then the files of these go."""
        with self._guarded(), self._transaction() as run:
            for entry in gone:
                run("DELETE FROM segments WHERE first = ?", (entry.first,))
            for entry in made:
                row = (*entry.values(), checksum.of_segment(entry.values()))
                run("INSERT OR REPLACE INTO segments VALUES (?, ?, ?, ?, ?, ?, ?)", row)
            self._count()
        with suppress(StoreFailed):  # they hold what is still there: the next writer tries again
            segments.remove_others(self.path, self.segments())

    @property
    def archive_state(self) -> ArchiveState | None:
        """What was noted of the long-term index, or None where there is none."""
        kept = self.meta(_ARCHIVE)
        return None if kept is None else ArchiveState.parse(kept)

    def note_archive(self, state: ArchiveState) -> None:
        """Which state of the long-term index counts, durably."""
        with self._guarded(), self._transaction():
            self._put_meta(_ARCHIVE, str(state))
            self._count()

    def drop_archive(self) -> None:
        """Ends what counts of the long-term index, durably, and removes it."""
        with self._guarded(), self._transaction() as run:
            run("DELETE FROM meta WHERE name = ?", (_ARCHIVE,))
            self._count()
        remove_archive(self.path)

    def tidy(self) -> None:
        """Removes files that do not count: a writer that was killed has left them. `notes` says what stays."""
        self.notes += [str(error) for error in tidying.tidy(self.path, self.segments(), self.archive_state)]

    def clean(self) -> None:
        """Leaves nothing of what was deleted: in no segment, in no long-term index, in no log, and in no page.

        SQLite overwrites what is deleted, but not the copies that stay where a page was once divided: so every page is
        written anew, which takes the time and the room of the whole database. StoreFailed, after all that can be done
        was, where a file cannot be removed, a reader keeps the log, or there is no room.
        """
        if not agrees(self.path, self.archive_state):
            with self._guarded(), self._transaction() as run:
                run("DELETE FROM meta WHERE name = ?", (_ARCHIVE,))
                self._count()
        failed: list[SophiaError] = list(tidying.tidy(self.path, self.segments(), self.archive_state))
        for step in (self._rewrite, self.empty_log):
            try:
                step()
            except SophiaError as error:
                failed.append(error)
        if failed:
            raise failed[0]

    def _rewrite(self) -> None:
        """Writes every page anew."""
        self._look()
        need_room(self.path, 2 * StoreFolder(self.path).database_bytes())
        with self._guarded():
            self._connection.execute("VACUUM")

    @property
    def dim(self) -> int | None:
        """The dimension of the memories, None where there is none yet."""
        kept = self.meta("dim")
        with self._guarded():
            return memories.usual_dim(self._connection) if kept is None else int(kept)

    def seen_memories(self) -> int:
        """How many memories a brain has made of its inputs."""
        with self._guarded():
            query = "SELECT count(*) FROM memories WHERE kind IN (?, ?)"
            return int(self._connection.execute(query, memories.SEEN).fetchone()[0])

    def mean_text(self) -> float:
        """The mean size of the texts of the latest memories, in bytes."""
        query = (
            "SELECT avg(length(CAST(coalesce(text, '') AS BLOB)) + length(CAST(coalesce(answer, '') AS BLOB))) "
            "FROM (SELECT text, answer FROM memories ORDER BY id DESC LIMIT 1000)"
        )
        with self._guarded():
            return float(self._connection.execute(query).fetchone()[0] or 0.0)

    def text_sizes(self) -> dict[int, int]:
        """The bytes of each memory's text and answer, by its id."""
        query = (
            "SELECT id, length(CAST(coalesce(text, '') AS BLOB)) + length(CAST(coalesce(answer, '') AS BLOB)) "
            "FROM memories"
        )
        with self._guarded():
            return dict(self._connection.execute(query).fetchall())

    def let_go_seen(self, count: int) -> None:
        """Lets go of the oldest memories that were made of inputs, so many of them, durably."""
        with self._guarded(), self._transaction() as run:
            self._let_go(run, _OLDEST_SEEN, (*memories.SEEN, count))
            self._count()
        self._shrink()

    def _shrink(self) -> None:
        """After memories went: what was made of them goes, and pages that are free."""
        self.tidy()
        self._free_pages()

    def _free_pages(self, most: int | None = None) -> None:
        """Gives pages that are free back to the system; so many at most."""
        what = "" if most is None else f"({most})"
        with self._guarded():
            # One step of this pragma frees one page, and a cursor takes one step where no row comes.
            self._connection.executescript(f"PRAGMA incremental_vacuum{what}")

    def seen_times(self) -> list[int]:
        """When each of them was made, by id: microseconds since the epoch."""
        with self._guarded():
            query = "SELECT raised FROM memories WHERE kind IN (?, ?) ORDER BY id"
            return [int(raised) for (raised,) in self._connection.execute(query, memories.SEEN)]

    @property
    def last_memory(self) -> int:
        """The highest id that a memory ever had."""
        with self._guarded():
            return memories.last_id(self._connection)

    def forget(self, ids: Sequence[int] | None, *, scope: str | None = None, before: int | None = None) -> int:
        """Deletes some memories, or those of a scope and from before a time, damaged ones too, durably; how many there
        were. Their bytes are overwritten in the file, and go from the log with `empty_log`; segments that hold one of
        them, and the long-term index if it does, go as a whole."""
        some = None if ids is None else json.dumps(list(ids))
        asked = {"id IN (SELECT value FROM json_each(?))": some, "scope = ?": scope, "ts < ?": before}
        given = {condition: value for condition, value in asked.items() if value is not None}
        return self._exchange(" AND ".join(given), tuple(given.values()), ())

    def exchange(self, gone: Sequence[int], made: Sequence[MemoryRow]) -> int:
        """Deletes memories in the same way and adds others with new ids, all or nothing; how many went."""
        return self._exchange("id IN (SELECT value FROM json_each(?))", (json.dumps(list(gone)),), made)

    def _exchange(self, condition: str, values: tuple[Any, ...], made: Sequence[MemoryRow]) -> int:
        with self._guarded(), self._transaction() as run:
            gone = self._let_go(run, condition, values)
            if made:
                memories.insert(self._connection, made)
            self._count()
        return gone

    def _let_go(self, run: Any, condition: str, values: tuple[Any, ...]) -> int:
        """Deletes memories in the transaction that is open, and what says that derived files of them count; how many.

        The files themselves go with `clean` or `tidy`.
        """
        which = f"FROM memories WHERE {condition}"
        holding = f"EXISTS (SELECT 1 {which} AND id BETWEEN segments.first AND segments.last)"
        run(f"DELETE FROM segments WHERE {holding}", values)
        run(f"DELETE FROM strengths WHERE id IN (SELECT id {which})", values)
        state = self.archive_state
        if state is not None and run(f"SELECT 1 {which} AND id <= ?", (*values, state.last)).fetchone():
            run("DELETE FROM meta WHERE name = ?", (_ARCHIVE,))
        gone = int(run(f"DELETE {which}", values).rowcount)
        self._put_meta("forgotten", str(int(self.meta("forgotten") or 0) + gone))
        return gone

    def answered(self, scope: str) -> Iterator[tuple[AnswerKey, str]]:
        """The keys of the answers of a scope, under every policy, each with the text that was answered."""
        with self._guarded():
            for row, key in self._of_scope(scope):
                raw = self._connection.execute("SELECT raw FROM answers WHERE rowid = ?", (row,)).fetchone()[0]
                if isinstance(raw, bytes):
                    yield key, raw.decode("utf-8", "replace")

    def _of_scope(self, scope: str) -> list[tuple[int, AnswerKey]]:
        """Rowids and keys of the answers of a scope; all keys are looked at."""
        found = []
        with self._guarded():
            for row, key in self._connection.execute("SELECT rowid, key FROM answers"):
                split = split_key(key) if isinstance(key, bytes) else None
                if split is not None and split.scope == scope:
                    found.append((row, split))
        return found

    def erase(self, scope: str, patterns: Without, dumps: dict[str, bytes], life: str | None = None) -> tuple[int, int]:
        """Deletes the memories and answers of a scope in the same way, and in the same step what else it has brought:
        rows of patterns, what chapters quote, and what dumps and `life` take the place of. How many memories and
        answers there were. What went stays in the log, and in derived files, until `clean`. StoreFailed where it cannot
        be written: then nothing is done.
        """
        rows = [(row,) for row, _ in self._of_scope(scope)]
        with self._guarded(), self._transaction() as run:
            memories_gone = self._let_go(run, "scope = ?", (scope,))
            many = self._connection.executemany
            many("DELETE FROM answers WHERE rowid = ?", rows)
            self._put_meta("forgotten_answers", str(int(self.meta("forgotten_answers") or 0) + len(rows)))
            many("DELETE FROM patterns WHERE id = ?", [(id,) for id in patterns.gone])
            many(
                "INSERT OR REPLACE INTO patterns VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                [(*row, checksum.of_pattern(row)) for row in patterns.changed],
            )
            for name, dump in dumps.items():
                run("INSERT OR REPLACE INTO dumps VALUES (?, ?, ?)", (name, dump, checksum.of_blob(0, name, dump)))
                run("DELETE FROM log WHERE name = ?", (name,))
            if life is not None:
                self._put_meta("life", life)
            chapters.erase(run, scope)
            if patterns.shown:
                self._put_meta(_SHOWN, json.dumps(sorted(self.shown_otherwise | patterns.shown)))
            self._count()
        return memories_gone, len(rows)

    @property
    def shown_otherwise(self) -> set[int]:
        """Patterns that `erase` has taken out, or given another template, and that files of runs may still show."""
        kept = self.meta(_SHOWN)
        return set() if kept is None else set(json.loads(kept))

    def chapters(self, count: int) -> list[dict[str, Any]]:
        """The last chapters, in order."""
        with self._guarded():
            return chapters.last(self._connection.execute, count)

    def settle_outputs(self) -> None:
        """The files of runs show no more than the store."""
        with self._guarded(), self._transaction() as run:
            run("DELETE FROM meta WHERE name = ?", (_SHOWN,))
            self._count()

    def note_outputs(self, files: Sequence[Output]) -> None:
        """Files outside of the store that a run is about to write, by absolute paths, durably."""
        with self._guarded(), self._transaction():
            lost = outputs.note(self._connection, self.path, files)
            if lost:
                self._put_meta("outputs_lost", str(int(self.meta("outputs_lost") or 0) + lost))
            self._put_meta("home", str(self.path.resolve()).encode("utf-8", "backslashreplace").decode())
            self._count()

    def outputs(self) -> tuple[list[Output], list[str]]:
        """Files outside of the store that runs have written, by run; and the paths of those that are not for this store
        to change, as it is a copy: they lie elsewhere, and it was elsewhere when they were written. None of a row that
        fails its checksum."""
        with self._guarded():
            found = outputs.outputs(self._connection.execute("SELECT * FROM outputs ORDER BY run, path"), self.path)
        if self.meta("home") == str(self.path.resolve()).encode("utf-8", "backslashreplace").decode():
            return found, []
        own = [one for one in found if Path(one.path).is_relative_to(self.path.resolve().parent)]
        return own, [one.path for one in found if one not in own]

    def empty_log(self) -> None:
        """Writes the log back into the file and empties it: nothing that was deleted is in it any more.

        StoreFailed where a reader of an older state keeps it from that.
        """
        self._free_pages()
        with self._guarded():
            busy = self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
        if busy:
            message = (
                f"it is forgotten, but another program reads an older state of {self.file}, so its bytes are still in "
                "the log; they go when the store is closed after that program has ended"
            )
            raise StoreFailed(message)

    def purge(self, now: float) -> int:
        """Deletes answers that have expired; returns how many."""
        with self._guarded(), self._transaction() as run:
            self._count()
            return int(run("DELETE FROM answers WHERE expires > 0 AND expires <= ?", (now,)).rowcount)

    def corrupt(self, error: object) -> StoreCorrupt:
        """What is damaged, as an error with its cure."""
        return corrupt(self.file, error)

    def close(self) -> None:
        """Checkpoints the log into the file, closes it and gives the lock back; may be called twice."""
        try:
            if not self.crystalline:
                self._free_pages(1024)  # bounded, as nobody waits long for the end
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        except (sqlite3.Error, SophiaError):
            pass  # closed before, or no room: the log is read at the next open
        finally:
            try:
                self._connection.close()
                self.ack.close()
            finally:
                self._lock.release()

    def _counted(self) -> int:
        """The number of the last commit, as the file has it."""
        last = self._connection.execute("SELECT coalesce(max(seq), 0) FROM pending").fetchone()[0]
        return max(int(self.meta("commits") or 0), int(last))

    def _look(self) -> None:
        """StoreFailed where the file or the lock was deleted or replaced meanwhile: a commit would go nowhere, or meet
        another writer's."""
        try:
            same = os.path.samestat(self.file.stat(), self._identity)
        except OSError:
            same = False
        if not same or not self._lock.holds():
            what = f"{self.path / 'lock'}" if same else f"{self.file}"
            message = (
                f"{what} was deleted or replaced while this process had the store open; nothing more can be "
                "remembered: end it, and let no other program touch the folder"
            )
            raise StoreFailed(message)

    def _put_meta(self, name: str, value: str) -> None:
        row = (name, value, checksum.of_meta(name, value))
        self._connection.execute("INSERT OR REPLACE INTO meta VALUES (?, ?, ?)", row)

    def _count(self) -> None:
        """Numbers the commit that is being made."""
        self._put_meta("commits", str(self._commits + 1))

    def _put_pending(self, record: Pending) -> None:
        data = record.pack()
        seq = self._commits + 1
        self._connection.execute(
            "INSERT INTO pending VALUES (?, ?, ?)", (seq, data, checksum.of_blob(seq, "pending", data))
        )

    @contextmanager
    def _transaction(self) -> Iterator[Any]:
        """One transaction, counted: in the file with it, and in the ack file after it."""
        self._look()
        self.settle()
        self._unsettled = True
        self._turn += 1
        turn = self._turn
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            yield self._connection.execute
            self._connection.execute("COMMIT")
        except BaseException:
            # An interrupt before the first line of the body leaves this to whoever collects garbage: another
            # transaction may be open then, which is not to be ended here.
            with suppress(sqlite3.Error):  # the first error is the one to tell
                if self._turn == turn and self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
            raise
        self._commits += 1
        self.ack.committed(self._commits)
        self._unsettled = False

    def _guarded(self) -> AbstractContextManager[None]:
        return guarded(self.file)


def _sound_pattern(row: tuple[Any, ...]) -> bool:
    try:
        return bool(checksum.of_pattern(row[:7]) == row[7])
    except (AttributeError, TypeError):  # a damaged row may hold any type
        return False
