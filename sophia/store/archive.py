"""The long-term index of memories: a LanceDB table beside the database, which has the truth.

It is filled by consolidation, some thousand memories at a time, and has every memory up to an id; what came later is
searched elsewhere. The store notes which version of the table counts, how many rows it has and up to which id, and the
digests of its files: a table that does not agree is of no use and made anew. LanceDB forces nothing to the disk and
has no checksums, so whatever it wrote is forced there before it is noted, and compared when it is opened.

Nothing that was forgotten stays: the table as a whole goes, since LanceDB keeps deleted rows in its files, and is made
anew by the next consolidation. Needs lancedb (the extra `brain`), which is imported when a table is opened: it takes
some seconds.
"""

from __future__ import annotations

import json
import os
import shutil
import stat
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sophia._core.buffer import digest
from sophia.errors import StoreCorrupt, StoreFailed
from sophia.store.folder import LANCE, need_room
from sophia.store.memory_row import MemoryRow
from sophia.store.words import words_in
from sophia.whole_file import sync

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["ArchiveState", "ArchiveTable", "Filter", "agrees", "available", "of_lancedb", "remove_archive"]

_NAME = "memories"
_NAMES = ("scope", "context", "actor", "kind")
_SPARE = 64  # rows asked for beyond k, to see where equally near ones end
_AS_IT_STANDS: dict[str, Any] = {
    "lower_case": False, "stem": False, "remove_stop_words": False, "ascii_folding": False, "max_token_length": None,
}  # fmt: skip
_DIVIDED = 4096  # rows from which on parts of a table can be told
_PARTS = 32  # of a divided table that are read
_KEPT = (".lance", ".manifest", ".idx")  # files that are compared


@dataclass(frozen=True, slots=True)
class ArchiveState:
    """What a store notes of its table: it has `count` rows, all up to id `last`, in its version `version`; the digests
    of its files by their names."""

    last: int
    count: int
    version: int
    files: dict[str, str]

    def __str__(self) -> str:
        return json.dumps([self.last, self.count, self.version, self.files], separators=(",", ":"))

    @classmethod
    def parse(cls, text: str) -> ArchiveState | None:
        """What was noted, or None where it cannot be read."""
        try:
            last, count, version, files = json.loads(text)
            return cls(int(last), int(count), int(version), dict(files))
        except (ValueError, TypeError):
            return None


@dataclass(frozen=True, slots=True)
class Filter:
    """Rows of one scope, context, actor and kind (None: of any), from a time on and before another (microseconds)."""

    scope: str | None = None
    context: str | None = None
    actor: str | None = None
    kinds: tuple[str, ...] | None = None
    since: int | None = None
    until: int | None = None


_loaded_in: int | None = None  # the process that imported lancedb: its threads do not survive a fork
_broken = False  # by an interrupt while it was imported


def available() -> bool:
    """Whether lancedb is installed, and can be used in this process."""
    return find_spec("lancedb") is not None and not _broken and _loaded_in in (None, os.getpid())


def _lancedb() -> Any:
    global _loaded_in, _broken
    if not available():
        message = "lancedb cannot be used in this process; start a new one"
        raise StoreFailed(message)
    try:
        import lancedb
    except ImportError:
        raise
    except BaseException:  # a Ctrl-C: half of it stays behind, and every later use would fail in its own way
        _broken = True
        raise
    _loaded_in = os.getpid()
    return lancedb


def of_lancedb(error: BaseException) -> bool:
    """Whether an error is one of LanceDB's, whatever it is: some do not even belong to Exception."""
    return isinstance(error, Exception) or type(error).__name__ == "PanicException"


def remove_archive(folder: Path) -> None:
    """Removes the table with all its versions. The caller holds the lock of the store.

    Raises StoreFailed where that cannot be done.
    """
    root = folder / LANCE
    try:
        if stat.S_ISDIR(root.lstat().st_mode):
            shutil.rmtree(root)
        else:
            root.unlink()  # a link, or what somebody has put there
    except FileNotFoundError:
        return
    except OSError as error:
        message = (
            f"{error.filename or root} cannot be removed ({error.strerror}), and it may hold what was forgotten; "
            "remove it, or mend its permissions and forget once more"
        )
        raise StoreFailed(message) from error


def agrees(folder: Path, state: ArchiveState | None) -> bool:
    """Whether there is no table, or one without data that was not noted: a writer may have been killed before."""
    root = folder / LANCE
    if state is None:
        return not os.path.lexists(root)
    return {str(file.relative_to(root)) for file in root.rglob("*.lance") if file.is_file()} <= set(state.files)


class ArchiveTable:
    """The table of one store, open. Only the process that has the store open writes it. Not thread-safe by itself."""

    def __init__(self, folder: Path, dim: int, state: ArchiveState | None) -> None:
        """Opens the table of `state` in the store `folder`; makes a new one for None.

        Raises StoreCorrupt where it is missing, cannot be read or is another one, ImportError without lancedb.
        """
        self.folder, self.dim = folder, dim
        self._root = folder / LANCE
        self._table = _new(self._root, dim) if state is None else _opened(self._root, state)
        self.state = state or ArchiveState(0, 0, 0, {})
        if self._table.version > self.state.version:  # a new one, or one that a writer that was killed has left
            self.compact()

    def append(self, rows: Sequence[MemoryRow]) -> None:
        """Adds memories with rising ids, all higher than those before. On the disk when it returns."""
        import numpy as np
        import pyarrow as pa

        packed = np.frombuffer(b"".join([row.vector for row in rows]), dtype=np.uint8)
        columns = {
            "id": [row.id for row in rows],
            "ts": [row.ts for row in rows],
            "valence": [row.valence for row in rows],
            **{name: [getattr(row, name) for row in rows] for name in _NAMES},
            "tags": [row.tags for row in rows],
            "text": [row.text for row in rows],
            "words": [None if row.text is None else " ".join(words_in(row.text)) for row in rows],
            "vector": pa.FixedSizeListArray.from_arrays(pa.array(packed), (self.dim + 7) // 8),
        }
        table = pa.table(columns, schema=_schema(self.dim))
        need_room(self.folder, table.nbytes)
        self._table.add(table)
        if "words" not in self._indexed:  # what is added later is searched as it stands, until the next compaction
            from lancedb.index import FTS

            self._table.create_index("words", config=FTS(base_tokenizer="whitespace", **_AS_IT_STANDS))
        self._settle(rows[-1].id, self.state.count + len(rows))

    def divide(self) -> None:
        """Makes an index of the vectors, for `nearest(divided=True)`: seconds for 100,000 rows. Compaction keeps it up
        to date."""
        from lancedb.index import IvfFlat

        self._table.create_index("vector", config=IvfFlat(distance_type="hamming"))
        self._settle(self.state.last, self.state.count)

    @property
    def divisible(self) -> bool:
        """Whether `divide` has something to do: without an index of the vectors, and with enough of them."""
        return "vector" not in self._indexed and self.state.count >= _DIVIDED

    @property
    def _indexed(self) -> set[str]:
        return {column for index in self._table.list_indices() for column in index.columns}

    @property
    def pieces(self) -> int:
        """Files of data, which compaction makes one of."""
        return sum(1 for file in (self._root / f"{_NAME}.lance" / "data").iterdir() if file.suffix == ".lance")

    def compact(self) -> None:
        """Makes one piece of many, and removes every older version."""
        self._require_sound()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that older versions go is what is asked for
            self._table.optimize(cleanup_older_than=timedelta(0), delete_unverified=True)
        self._settle(self.state.last, self.state.count)

    def _require_sound(self) -> None:
        """StoreCorrupt where a file is not what was noted: nothing is made of it."""
        for name, kept in self.state.files.items():
            if _digest(self._root / name) != kept:
                message = f"{self._root / name} is damaged: its digest is another one"
                raise StoreCorrupt(message)

    def _settle(self, last: int, count: int) -> None:
        for parent, _, files in os.walk(self._root):
            for name in files:
                sync(Path(parent) / name)
            sync(Path(parent))
        sync(self.folder)
        self.state = ArchiveState(last, count, int(self._table.version), _digests(self._root, self.state.files))

    def having(self, words: Sequence[str], chosen: Filter, most: int) -> list[int] | None:
        """The ids of the chosen rows whose texts have all of some words (see :func:`sophia.store.words.words_in`), in
        rising order; None where they are more than `most`."""
        from lancedb.query import FullTextOperator, MatchQuery

        asked: Any = MatchQuery(" ".join(words), "words", operator=FullTextOperator.AND)  # type: ignore[call-arg]
        query = self._table.search(asked, query_type="fts")
        condition = _condition(chosen)
        if condition is not None:
            query = query.where(condition)
        found: list[int] = query.select(["id", "_score"]).limit(most + 1).to_arrow()["id"].to_pylist()
        return sorted(found) if len(found) <= most else None

    def nearest(
        self, vector: NDArray[np.uint8], k: int, chosen: Filter, *, divided: bool = False
    ) -> tuple[list[int], list[int]] | None:
        """The ids of the k nearest chosen rows, and their Hamming distances; of equal ones the older first.

        None where that cannot be told: so many rows are equally near that it hangs on chance which were given. With
        `divided` only the parts of the table are read that are likely to have them (see `divide`).
        """
        query = self._table.search(vector).distance_type("hamming")
        query = query.nprobes(_PARTS) if divided else query.bypass_vector_index()
        condition = _condition(chosen)
        if condition is not None:
            query = query.where(condition)
        found = query.select(["id", "_distance"]).limit(k + _SPARE).to_arrow()
        distances = [int(distance) for distance in found.column("_distance").to_pylist()]
        both = sorted(zip(distances, found.column("id").to_pylist(), strict=True))
        if len(both) == k + _SPARE and both[-1][0] == both[k - 1][0]:
            return None
        return [id for _, id in both[:k]], [distance for distance, _ in both[:k]]


def _schema(dim: int) -> Any:
    import pyarrow as pa

    return pa.schema(
        [
            pa.field("id", pa.int64(), nullable=False),
            pa.field("ts", pa.timestamp("us", "UTC"), nullable=False),
            pa.field("valence", pa.float64(), nullable=False),
            *(pa.field(name, pa.string(), nullable=False) for name in _NAMES),
            pa.field("tags", pa.list_(pa.string())),
            pa.field("text", pa.string()),
            pa.field("words", pa.string()),
            pa.field("vector", pa.list_(pa.uint8(), (dim + 7) // 8), nullable=False),
        ]
    )


def _digests(root: Path, known: dict[str, str]) -> dict[str, str]:
    """Of the files with rows, and of those that say which count; they never change, so what is known is not read."""
    names = sorted(str(file.relative_to(root)) for file in root.rglob("*") if file.suffix in _KEPT)
    return {name: known.get(name) or _digest(root / name) for name in names if (root / name).is_file()}


def _digest(file: Path) -> str:
    import pyarrow as pa

    if not file.is_file() or file.is_symlink() or not file.stat().st_size:
        return ""
    with pa.memory_map(str(file)) as source:
        return digest(source.read_buffer()).hex()


def _new(root: Path, dim: int) -> Any:
    lancedb = _lancedb()
    remove_archive(root.parent)
    return lancedb.connect(str(root)).create_table(_NAME, schema=_schema(dim))


def _opened(root: Path, state: ArchiveState) -> Any:
    """The table in the version that counts; a later one is what a writer that was killed has left."""
    lancedb = _lancedb()
    try:
        wrong = [name for name, kept in state.files.items() if _digest(root / name) != kept]
        if wrong:
            message = f"{root / wrong[0]} is damaged: its digest is another one"
            raise StoreCorrupt(message)
        table = lancedb.connect(str(root)).open_table(_NAME)
        if int(table.version) > state.version:
            table.checkout(state.version)
            table.restore()
        elif int(table.version) < state.version:
            message = f"the table {root} has version {table.version}, not {state.version}"
            raise StoreCorrupt(message)
        count = table.count_rows()
    except StoreCorrupt:
        raise
    except BaseException as error:
        if not of_lancedb(error):
            raise
        message = f"the table {root} cannot be read: {error}"
        raise StoreCorrupt(message) from error
    if table.schema.names != _schema(1).names:
        message = f"the table {root} is one of an older version"
        raise StoreCorrupt(message)
    if count != state.count:
        message = f"the table {root} has {count} rows, not {state.count}"
        raise StoreCorrupt(message)
    return table


def _condition(chosen: Filter) -> Any:
    """As an expression of LanceDB's, whose values are values whatever is in them; None for all rows."""
    from datetime import UTC, datetime

    from lancedb.expr import col, lit

    def moment(microseconds: int) -> Any:
        return lit(datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=microseconds))

    parts = [
        col(name) == lit(value)
        for name, value in (("scope", chosen.scope), ("context", chosen.context), ("actor", chosen.actor))
        if value is not None
    ]
    if chosen.kinds is not None:
        kinds = [col("kind") == lit(kind) for kind in chosen.kinds] or [lit(1) == lit(0)]
        either = kinds[0]
        for kind in kinds[1:]:
            either = either | kind
        parts.append(either)
    if chosen.since is not None:
        parts.append(col("ts") >= moment(chosen.since))
    if chosen.until is not None:
        parts.append(col("ts") < moment(chosen.until))
    if not parts:
        return None
    whole = parts[0]
    for part in parts[1:]:
        whole = whole & part
    return whole
