"""Copies of a store: made while it is in use, proved before they are trusted, put back in one step."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from hashlib import blake2b
from pathlib import Path
from typing import Any

from sophia.errors import ConfigError, InputError, SophiaError, StoreCorrupt, StoreFailed, StoreVersionError
from sophia.store import ack, checksum, schema
from sophia.store.ack import Delivery
from sophia.store.check import Health, check_database
from sophia.store.exchange import exchange
from sophia.store.faults import guarded
from sophia.store.folder import LOCK, StoreFolder, need_room
from sophia.store.journal import set_aside
from sophia.store.lock import locked
from sophia.store.pending import Pending
from sophia.store.view import StoreView
from sophia.whole_file import sync

__all__ = ["Backup", "Restored", "backup", "read_manifest", "restore"]

MANIFEST = "manifest.json"
_VERSION = 1
_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class Backup:
    """The manifest: what a backup holds, and the proof of it. `backup` is the version of this list."""

    backup: int
    file: str
    bytes: int
    blake2b: str
    format: int
    runs: int
    answers: int
    patterns: int
    made: str
    memories: int = 0

    def as_dict(self) -> dict[str, Any]:
        """For JSON; keys may be added and are never renamed."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Restored:
    """What was put back, and where the database that stood there went."""

    path: str
    source: Backup
    aside: str | None

    def as_dict(self) -> dict[str, Any]:
        """For JSON; keys may be added and are never renamed."""
        return {"path": self.path, "aside": self.aside, **self.source.as_dict()}


def backup(path: Path, target: Path, *, force: bool = False) -> Backup:
    """A copy of the store `path` as of now, in the folder `target`; the store may be in use meanwhile.

    The copy is checked, and the manifest is written last: a backup that was broken off has none and is never
    restored. A `target` that holds a backup is replaced with `force` only, and only once the new one is whole; one
    that holds anything else is left alone. StoreCorrupt for a damaged store: repair it first.
    """
    folder = StoreFolder(path)
    folder.require()
    if target.resolve().is_relative_to(path.resolve()):
        message = f"{target} lies in the store {path}; a backup there goes with it: name a folder elsewhere"
        raise ConfigError(message)
    old = _older(target, force=force)
    with StoreView(folder.file) as view:
        fresh = not target.exists()
        try:
            target.mkdir(parents=True, exist_ok=True)
            made = _copied(view, folder, target)
            for name in old - {made.file}:
                (target / name).unlink(missing_ok=True)
            sync(target)
        except BaseException as error:
            if fresh:
                with suppress(OSError):
                    target.rmdir()
            if isinstance(error, OSError) and not isinstance(error, SophiaError):
                message = f"the backup {target} cannot be written ({error.strerror or error}); name another folder"
                raise StoreFailed(message) from error
            raise
    return made


def _copied(view: StoreView, folder: StoreFolder, target: Path) -> Backup:
    """Writes the copy and then its manifest into `target`; what was there before stays whole until then."""
    part = target / "store.part"
    part.unlink(missing_ok=True)
    need_room(target, folder.database_bytes())
    part.touch(mode=0o600)
    try:
        view.copy_to(part)
        _settle(part, ack.read(folder.ack))
        made = _manifest(part)
        shutil.copymode(folder.file, part)
        sync(part)
        part.replace(target / made.file)
    finally:
        for left in ("", "-wal", "-shm", "-journal"):
            part.with_name(part.name + left).unlink(missing_ok=True)
    _write(target / MANIFEST, json.dumps(made.as_dict(), indent=2) + "\n")
    return made


def restore(source: Path, path: Path, *, force: bool = False) -> Restored:
    """Puts the backup `source` into the store folder `path`, in one step.

    Everything is proved before anything is touched: StoreCorrupt where the copy is not what its manifest says,
    StoreVersionError for a newer format, InputError where there is no backup. A folder with a store (or anything
    else) in it is refused with ConfigError; with `force` the store that stood there is set aside under a dated name.
    """
    made = read_manifest(source)
    _prove(source, made)
    folder = StoreFolder(path)
    if path.exists() and not path.is_dir():
        message = f"{path} is not a folder; name another with --store"
        raise ConfigError(message)
    there = folder.file.exists() or (path.is_dir() and bool(folder.foreign()))
    if there and not force:
        what = "holds a store" if folder.file.exists() else f"holds other files ({folder.foreign()[0]})"
        message = f"the folder {path} {what}; name another with --store, or set it aside with --force"
        raise ConfigError(message)
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        message = f"the store {path} cannot be made ({error.strerror}); name a folder that can be written"
        raise StoreFailed(message) from error
    with locked(path / LOCK):
        need_room(path, made.bytes)
        part = folder.new_part()
        try:
            if _copy(source / made.file, part) != made.blake2b:
                message = f"{source / made.file} changed while it was read; nothing was restored"
                raise StoreCorrupt(message)
            health = Health(str(part))
            check_database(part, health)
            if not health.sound:
                message = f"the backup {source} is damaged ({health.problems[0]}); nothing was restored"
                raise StoreCorrupt(message)
            if (commits := ack.read(folder.ack).commits) > 0:
                _go_on_from(part, commits)
            part.chmod((source / made.file).stat().st_mode & 0o777)
            set_aside(path)  # the journal has runs that the backup may not know
            for derived in folder.chronicle():
                derived.unlink()
            aside = exchange(folder, part, "replaced")
        except SophiaError:
            raise
        except OSError as error:
            message = f"the store {path} cannot be written ({error.strerror or error}); look at the disk"
            raise StoreFailed(message) from error
        finally:
            folder.clear_leftovers()
    return Restored(str(path), made, None if aside is None else str(aside))


def read_manifest(source: Path) -> Backup:
    """The manifest of the backup `source`. InputError where there is none that can be read."""
    file = source / MANIFEST
    if not source.exists():
        message = f"there is no backup {source}"
        raise InputError(message)
    if not file.is_file():
        message = f"{source} is not a backup, or one that was broken off: it has no {MANIFEST}"
        raise InputError(message)
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
        newer = isinstance(found, dict) and isinstance(found.get("backup"), int) and found["backup"] > _VERSION
        made = None if newer else Backup(**{field.name: found[field.name] for field in fields(Backup)})
    except OSError as error:
        message = f"{file} cannot be read ({error.strerror})"
        raise InputError(message) from error
    except (ValueError, KeyError, TypeError) as error:
        message = f"{file} is not the manifest of a backup ({error}); take another backup"
        raise InputError(message) from error
    if made is None:
        message = f"the backup {source} is of a newer version of sophia; upgrade sophia-hlb"
        raise StoreVersionError(message)
    texts = all(isinstance(value, str) for value in (made.file, made.blake2b, made.made))
    numbers = all(type(v) is int for v in (made.bytes, made.format, made.runs, made.answers, made.patterns))
    if not texts or not numbers or Path(made.file).name != made.file or made.backup != _VERSION:
        message = f"{file} is not the manifest of a backup; take another backup"
        raise InputError(message)
    if made.format > schema.FORMAT:
        message = (
            f"the backup {source} has format {made.format}, this version of sophia knows up to {schema.FORMAT}; "
            "upgrade sophia-hlb"
        )
        raise StoreVersionError(message)
    return made


def _older(target: Path, *, force: bool) -> set[str]:
    """Names of the copies that `target` holds; ConfigError where it may not be written."""
    if not target.exists():
        return set()
    if not target.is_dir():
        message = f"{target} is not a folder; a backup is one: name another"
        raise ConfigError(message)
    names = {entry.name for entry in target.iterdir()}
    foreign = {name for name in names if name not in (MANIFEST, MANIFEST + ".part") and not name.startswith("store")}
    if foreign or (names and not force):
        what = f"holds other files ({min(foreign)})" if foreign else "holds a backup"
        cure = "name another folder" if foreign else "name another folder, or replace it with --force"
        message = f"the folder {target} {what}; {cure}"
        raise ConfigError(message)
    return {name for name in names if name.startswith("store")}


def _manifest(part: Path) -> Backup:
    """What the copy holds, if it is sound."""
    health = Health(str(part))
    check_database(part, health)
    if not health.sound:
        message = (
            f"the store is damaged ({health.problems[0]}); no backup was made: see `sophia store check`, then "
            "`sophia store repair`"
        )
        raise StoreCorrupt(message)
    digest = _digest(part)
    return Backup(
        backup=_VERSION,
        file=f"store-{digest[:16]}.db",
        bytes=part.stat().st_size,
        blake2b=digest,
        format=health.format or 0,
        runs=health.runs or 0,
        answers=health.answers,
        patterns=health.patterns,
        memories=health.tables["memories"].sound if "memories" in health.tables else 0,
        made=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
    )


def _prove(source: Path, made: Backup) -> None:
    """StoreCorrupt unless the copy is, byte for byte, what was backed up, and sound."""
    file = source / made.file
    if not file.is_file():
        message = f"the backup {source} lacks its file {made.file}; take another backup"
        raise StoreCorrupt(message)
    try:
        if file.stat().st_size != made.bytes or _digest(file) != made.blake2b:
            message = f"{file} is not what its manifest says: it is damaged; nothing was restored, take another backup"
            raise StoreCorrupt(message)
    except OSError as error:
        message = f"{file} cannot be read ({error.strerror})"
        raise InputError(message) from error


def _settle(part: Path, delivery: Delivery) -> None:
    """Says in the copy how many inputs of the last batch were acknowledged: the file that knows stays behind."""
    with StoreView(part) as view:
        rows = view.execute("SELECT * FROM pending ORDER BY seq DESC LIMIT 1") if view.format > 1 else []
        table = view.table("pending") if rows else None
    if table is None or table.fault(rows[0]) is not None:
        return
    seq, data, _ = rows[0]
    last = Pending.unpack(data)
    if last.ends is None:
        return
    # A later batch has begun since the copy was taken: one writer, in order, so this one had arrived.
    later = (delivery.run, delivery.n) > (last.run, last.n)
    count = len(last) if later else last.acknowledged(delivery)
    with guarded(part):
        connection = sqlite3.connect(part, isolation_level=None)
        try:
            connection.execute("PRAGMA secure_delete = ON")
            if count:
                told = Pending(last.run, last.n, last.at, last.head(count), settings=last.settings, rules=last.rules)
                data = told.pack()
                sealed = (data, checksum.of_blob(seq, "pending", data), seq)
                connection.execute("UPDATE pending SET data = ?, checksum = ? WHERE seq = ?", sealed)
            else:
                connection.execute("DELETE FROM pending WHERE seq = ?", (seq,))
        finally:
            connection.close()


def _go_on_from(part: Path, commits: int) -> None:
    """Counts the commits on from those of the store that stood there: its note of them stays where it is."""
    with guarded(part):
        connection = sqlite3.connect(part, isolation_level=None)
        try:
            schema.prepare(connection, str(part))
            connection.execute("BEGIN")
            found = dict(connection.execute("SELECT name, value FROM meta"))
            schema.put_meta(connection, {"commits": str(max(commits, int(found["commits"])))})
            connection.execute("COMMIT")
        finally:
            connection.close()


def _digest(file: Path) -> str:
    total = blake2b(digest_size=32)
    with file.open("rb") as data:
        while chunk := data.read(_CHUNK):
            total.update(chunk)
    return total.hexdigest()


def _copy(source: Path, target: Path) -> str:
    """Copies the bytes and returns their digest."""
    total = blake2b(digest_size=32)
    with source.open("rb") as data, target.open("wb") as out:
        while chunk := data.read(_CHUNK):
            total.update(chunk)
            out.write(chunk)
        out.flush()
        os.fsync(out.fileno())
    return total.hexdigest()


def _write(path: Path, text: str) -> None:
    partial = path.with_name(path.name + ".part")
    partial.write_text(text, encoding="utf-8")
    sync(partial)
    partial.replace(path)
    sync(path.parent)
