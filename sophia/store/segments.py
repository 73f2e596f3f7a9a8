"""Memories in Arrow files: what is searched and read, where the operating system maps it.

A segment holds some memories with neighbouring ids in two files of Arrow's IPC format, uncompressed: `rows` (the packed
vectors, 64-byte aligned; their sketches; everything else that is known of a memory) and `words` (the sparse vectors of
their texts). SQLite has the same and is the truth: a segment that is missing, damaged or of another time is made anew.
Which segments count, and the digest of each file, stands in the table `segments`.

A file never changes: it is written under another name, brought to the disk and renamed. Whoever has it open goes on
reading it after it was removed. Needs pyarrow (the extra `brain`); without it there are none.
"""

from __future__ import annotations

import re
import shutil
import stat
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sophia._core.buffer import digest
from sophia.errors import StoreCorrupt, StoreFailed
from sophia.store import checksum
from sophia.store.folder import SEGMENTS, need_room
from sophia.store.memory_row import MemoryRow
from sophia.whole_file import sync

if TYPE_CHECKING:
    import numpy as np
    import pyarrow
    from numpy.typing import NDArray

__all__ = [
    "Segment",
    "SegmentEntry",
    "SegmentRows",
    "entries",
    "open_segment",
    "remove_others",
    "write_segment",
]

_NAME = re.compile(r"(\d+-\d+)\.(rows|words)\.arrow(\.part)?")
_SKETCHED = 1024  # bits of a vector from which on it has a sketch
_NAMES = ("scope", "context", "actor", "kind")
_FORMAT = b"1"


@dataclass(frozen=True, slots=True)
class SegmentEntry:
    """A row of the table `segments`: ids from `first` to `last`, of which `count` are there; digests of both files."""

    first: int
    last: int
    count: int
    dim: int
    rows: bytes
    words: bytes

    @property
    def name(self) -> str:
        """What its files are called, up to the kind."""
        return f"{self.first}-{self.last}"

    def values(self) -> tuple[Any, ...]:
        """As the table has them, without the checksum."""
        return self.first, self.last, self.count, self.dim, self.rows, self.words


@dataclass(frozen=True, slots=True)
class SegmentRows:
    """What a segment is made of: columns of equal length, rising ids. `vectors` is uint8[n, stride], a stride that is a
    multiple of 64; `words` are starts, places and weights as :mod:`sophia._core.episode` has them."""

    dim: int
    ids: NDArray[np.int64]
    ts: NDArray[np.int64]
    raised: NDArray[np.int64]
    valence: NDArray[np.float64]
    strength: NDArray[np.float64]
    names: dict[str, list[str]]
    tags: list[tuple[str, ...]]
    texts: list[str | None]
    answers: list[str | None]
    vectors: NDArray[np.uint8]
    words: tuple[NDArray[np.int64], NDArray[np.uint32], NDArray[np.int8]]


class Segment:
    """The memories of one segment, mapped. Immutable; its arrays are read-only and stay valid for as long as they are
    held. Positions count from 0."""

    def __init__(
        self,
        entry: SegmentEntry,
        rows: pyarrow.RecordBatch,
        words: pyarrow.RecordBatch,
        files: Sequence[pyarrow.Buffer] = (),
    ) -> None:
        import numpy as np

        self.entry = entry
        self._files = files
        count = len(rows)
        column = {name: rows.column(name) for name in rows.schema.names}
        stride = column["vector"].type.list_size
        self.vectors: NDArray[np.uint8] = _flat(column["vector"], np.uint8).reshape(count, stride)
        self.sketches: NDArray[np.uint8] | None = None
        if "sketch" in column:
            self.sketches = _flat(column["sketch"], np.uint8).reshape(count, _SKETCHED // 8)
        self.ids, self.ts, self.raised = (_flat(column[name], np.int64) for name in ("id", "ts", "raised"))
        self.valence, self.strength = (_flat(column[name], np.float64) for name in ("valence", "strength"))
        self.names = {name: _Codes(column[name]) for name in _NAMES}
        self._tags = _Texts(column["tags"].values), _flat(column["tags"].offsets, np.int32).tolist()
        self._texts, self._answers = _Texts(column["text"]), _Texts(column["answer"])
        self._text_column = column["text"]
        starts = _flat(words.column("places").offsets, np.int64)
        places, weights = words.column("places").values, words.column("weights").values
        self.words = starts, _flat(places, np.uint32), _flat(weights, np.int8)
        if not (len(words) == count and len(starts) == count + 1):
            message = f"{len(words)} rows of words for {count} memories"
            raise ValueError(message)
        self._id_view = self.ids.data
        self._packed = (entry.dim + 7) // 8
        self._first, self._last = entry.first, entry.last
        self._dense = entry.count == entry.last - entry.first + 1

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def sound(self) -> bool:
        """Whether the files are still what was written; reads them."""
        return [_seal(file) for file in self._files] == [self.entry.rows, self.entry.words]

    def require_sound(self) -> None:
        """StoreCorrupt where they are not: who has them mapped sees what was done to them since."""
        if not self.sound:
            message = f"the segment {self.entry.name} was damaged after it was opened"
            raise StoreCorrupt(message)

    def find(self, id: int) -> int | None:
        """The position of a memory, or None."""
        if not self._first <= id <= self._last:
            return None
        if self._dense:
            return id - self._first
        at = bisect_left(self._id_view, id)
        return at if at < len(self) and self._id_view[at] == id else None

    def id(self, at: int) -> int:
        """The id of one memory."""
        found: int = self._id_view[at]
        return found

    def row(self, at: int) -> MemoryRow:
        """One memory, with the strength that it had when the segment was made."""
        return MemoryRow(
            id=self._id_view[at],
            **{name: codes[at] for name, codes in self.names.items()},
            tags=self.tags(at),
            ts=int(self.ts[at]),
            valence=float(self.valence[at]),
            strength=float(self.strength[at]),
            raised=int(self.raised[at]),
            text=self._texts[at],
            answer=self._answers[at],
            dim=self.entry.dim,
            vector=self.vectors[at, : self._packed].tobytes(),
        )

    def may_have(self, words: Sequence[str]) -> NDArray[np.bool_]:
        """Which memories have a text with all of these words (see :func:`sophia.store.words.words_in`); those whose
        text is not ASCII may have anything. One pass over the bytes of the texts for each word."""
        import pyarrow.compute as pc

        found = None
        for word in words:
            alone = f"(?:^|[^a-z0-9]){word}(?:$|[^a-z0-9])"  # words are letters and digits
            has = pc.match_substring_regex(self._text_column, alone, ignore_case=True)
            found = has if found is None else pc.and_(found, has)
        other = pc.invert(pc.string_is_ascii(self._text_column))
        may: NDArray[np.bool_] = pc.fill_null(other if found is None else pc.or_(found, other), False).to_numpy(
            zero_copy_only=False
        )
        return may

    def tags(self, at: int) -> tuple[str, ...]:
        """The tags of one memory."""
        texts, offsets = self._tags
        return tuple([str(texts[number]) for number in range(offsets[at], offsets[at + 1])])

    def tagged(self) -> Iterator[tuple[int, tuple[str, ...]]]:
        """The positions of memories with tags, and these."""
        _, offsets = self._tags
        for at in range(len(self)) if offsets[-1] else ():
            if offsets[at] < offsets[at + 1]:
                yield at, self.tags(at)


class _Texts:
    """A column of texts, each decoded when it is asked for."""

    def __init__(self, array: pyarrow.Array) -> None:
        import numpy as np

        validity, offsets, data = array.buffers()
        self._valid = None if validity is None else memoryview(validity)
        self._offsets = np.frombuffer(b"" if offsets is None else offsets, dtype=np.int64).data
        self._data = memoryview(b"" if data is None else data)

    def __getitem__(self, at: int) -> str | None:
        if self._valid is not None and not self._valid[at >> 3] >> (at & 7) & 1:
            return None
        return str(self._data[self._offsets[at] : self._offsets[at + 1]], "utf-8")


class _Codes:
    """A column of texts that many rows share: `texts`, and the number of each row's."""

    def __init__(self, array: pyarrow.DictionaryArray) -> None:
        import numpy as np

        self.texts: list[str] = array.dictionary.to_pylist()
        self.numbers: NDArray[np.int32] = _flat(array.indices, np.int32)
        if len(self.numbers) and not 0 <= int(self.numbers.min()) <= int(self.numbers.max()) < len(self.texts):
            message = "a name that is not there"
            raise ValueError(message)

    def __getitem__(self, at: int) -> str:
        text: str = self.texts[self.numbers[at]]
        return text


def _flat(array: pyarrow.Array, dtype: Any) -> NDArray[Any]:
    """The values of a column without nulls, of a list column all of them: no copy, read-only."""
    import numpy as np

    if hasattr(array, "values") and array.type.num_fields:
        array = array.values
    buffer = array.buffers()[1]
    if buffer is None or not len(array):
        return np.zeros(0, dtype=dtype)
    return np.frombuffer(buffer, dtype=dtype, count=len(array))


def entries(rows: Iterable[tuple[Any, ...]]) -> list[SegmentEntry]:
    """Those of the table's rows that are sound."""
    found = []
    for *values, kept in rows:
        with suppress(TypeError, ValueError):  # a damaged row may hold any type
            if checksum.of_segment(tuple(values)) == kept:
                found.append(SegmentEntry(*values))
    return found


def write_segment(folder: Path, rows: SegmentRows) -> SegmentEntry:
    """Writes the files of a segment into the store `folder`, durably; not yet named by any table.

    Raises StoreFailed where there is no room, OSError where it cannot be written.
    """
    import numpy as np
    import pyarrow as pa

    from sophia._core.search import sketch

    count = len(rows.ids)
    vectors = np.ascontiguousarray(rows.vectors)
    columns: dict[str, pyarrow.Array] = {"vector": _lists(pa, vectors)}
    if rows.dim >= _SKETCHED:
        columns["sketch"] = _lists(pa, sketch(vectors, dim=rows.dim))
    columns |= {
        "id": pa.array(rows.ids),
        "ts": pa.array(rows.ts),
        "raised": pa.array(rows.raised),
        "valence": pa.array(rows.valence),
        "strength": pa.array(rows.strength),
    }
    for name in _NAMES:
        columns[name] = pa.array(rows.names[name], pa.large_string()).dictionary_encode()
    columns |= {
        "tags": pa.array(rows.tags, pa.list_(pa.large_string())),
        "text": pa.array(rows.texts, pa.large_string()),
        "answer": pa.array(rows.answers, pa.large_string()),
    }
    starts, places, weights = (pa.array(part) for part in rows.words)
    words = {
        "places": pa.LargeListArray.from_arrays(starts, places),
        "weights": pa.LargeListArray.from_arrays(starts, weights),
    }
    (folder / SEGMENTS).mkdir(exist_ok=True)
    first, last = int(rows.ids[0]), int(rows.ids[-1])
    digests = []
    for kind, held in (("rows", columns), ("words", words)):
        batch = pa.RecordBatch.from_pydict(held)
        need_room(folder, batch.nbytes)
        path = folder / SEGMENTS / f"{first}-{last}.{kind}.arrow"
        part = path.with_name(path.name + ".part")
        try:
            with pa.OSFile(str(part), "wb") as sink:
                _write(pa, batch, sink)
            with pa.memory_map(str(part)) as made:
                digests.append(_seal(made.read_buffer()))
            sync(part)
            part.rename(path)
        except BaseException:
            with suppress(OSError):
                part.unlink()
            raise
    sync(folder / SEGMENTS)
    return SegmentEntry(first, last, count, rows.dim, *digests)


def _lists(pa: Any, matrix: NDArray[np.uint8]) -> pyarrow.Array:
    return pa.FixedSizeListArray.from_arrays(pa.array(matrix.reshape(-1)), matrix.shape[1])


def _write(pa: Any, batch: pyarrow.RecordBatch, sink: Any) -> None:
    """Writes one batch so that its first column begins at a multiple of 64 bytes, which Arrow does not promise: what
    stands before it grows by blanks."""
    blanks = 0
    for _ in range(2):
        trial = pa.BufferOutputStream()
        few = batch.slice(0, 1)
        with pa.ipc.new_file(trial, _padded(few.schema, blanks)) as writer:
            writer.write_batch(few.replace_schema_metadata({b"sophia": _FORMAT + b" " * blanks}))
        kept = trial.getvalue()
        column = pa.ipc.open_file(kept).get_batch(0).column(0)
        data = (column.values if column.type.num_fields else column).buffers()[1]
        blanks += -(data.address - kept.address) % 64
    with pa.ipc.new_file(sink, _padded(batch.schema, blanks)) as writer:
        writer.write_batch(batch.replace_schema_metadata({b"sophia": _FORMAT + b" " * blanks}))


def _padded(schema: pyarrow.Schema, blanks: int) -> pyarrow.Schema:
    return schema.with_metadata({b"sophia": _FORMAT + b" " * blanks})


def open_segment(folder: Path, entry: SegmentEntry) -> Segment:
    """Maps a segment, and reads all of it once to compare the digests: about .4 s a gigabyte that is in memory.

    Raises StoreCorrupt for one that is missing or is not what was written, ImportError without pyarrow.
    """
    import pyarrow as pa

    batches, files = [], []
    for kind, wanted in (("rows", entry.rows), ("words", entry.words)):
        path = folder / SEGMENTS / f"{entry.name}.{kind}.arrow"
        try:
            found = path.lstat()
            if not stat.S_ISREG(found.st_mode) or found.st_size != int.from_bytes(wanted[16:], "little"):
                message = f"the segment {path} is damaged: it is no file of the size that was written"
                raise StoreCorrupt(message)
            with pa.memory_map(str(path)) as source:
                whole = source.read_buffer()
            files.append(whole)
            if _seal(whole) != wanted:
                message = f"the segment {path} is damaged: its digest is another one"
                raise StoreCorrupt(message)
            batches.append(pa.ipc.open_file(pa.BufferReader(whole)).get_batch(0))
        except (OSError, pa.ArrowException) as error:
            message = f"the segment {path} cannot be read: {error}"
            raise StoreCorrupt(message) from error
    try:
        segment = Segment(entry, batches[0], batches[1], files)
    except (ValueError, KeyError, AttributeError, pa.ArrowException) as error:
        message = f"the segment {entry.name} is not one of this version: {error}"
        raise StoreCorrupt(message) from error
    if len(segment) != entry.count:
        message = f"the segment {entry.name} has {len(segment)} rows, not {entry.count}"
        raise StoreCorrupt(message)
    return segment


def _seal(file: pyarrow.Buffer) -> bytes:
    """The digest of a file and its size, which is looked at first."""
    return digest(file) + int(file.size).to_bytes(8, "little")


def remove_others(folder: Path, entries: Sequence[SegmentEntry]) -> None:
    """Removes every file of a segment that is none of these. The caller holds the lock of the store.

    Raises StoreFailed for one that cannot be removed, after all others.
    """
    kept = {entry.name for entry in entries}
    home = folder / SEGMENTS
    failed: OSError | None = None
    try:
        mode = home.lstat().st_mode
    except FileNotFoundError:
        return
    try:
        if not stat.S_ISDIR(mode):
            home.unlink()  # somebody's, in the place where ours belong
            return
        files = sorted(home.iterdir())
    except OSError as error:
        raise _stays(home, error) from error
    gone = False
    for file in files:
        found = _NAME.fullmatch(file.name)
        if found is None or (found[1] in kept and not found[3]):
            continue
        try:
            if file.is_dir() and not file.is_symlink():
                shutil.rmtree(file)
            else:
                file.unlink()
            gone = True
        except OSError as error:
            failed = error
    if gone:
        with suppress(OSError):
            sync(home)
    if failed is not None:
        raise _stays(Path(str(failed.filename or home)), failed) from failed


def _stays(file: Path, error: OSError) -> StoreFailed:
    return StoreFailed(
        f"{file} cannot be removed ({error.strerror}), and it may hold what was forgotten; remove it, or mend its "
        "permissions and forget once more"
    )
