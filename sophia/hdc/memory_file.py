"""The file of an item memory, without pickle: whole or not there, checked, and read in place.

256 bytes of header, little-endian: magic (8 bytes), format (u32), model (4 bytes, ASCII), dimension, seed, rows, bytes
of a row, where the rows begin, where the keys begin, bytes of the file (u64 each), checksums of the rows and of the
keys (16 bytes each), zeros, and in the last 16 bytes the checksum of the other 240. Then the rows, one behind the
other, from byte 256 on; then the keys, a JSON array of strings and numbers in the order of the rows, or `null` where
each row's key is its number. Checksums are BLAKE2b. The header keeps its length and its first and last field in every
format to come.
"""

from __future__ import annotations

import json
import mmap
import os
import struct
from hashlib import blake2b
from pathlib import Path
from typing import Any, NamedTuple

import numpy
from numpy.typing import NDArray

from sophia.errors import ConfigError, StoreCorrupt, StoreVersionError
from sophia.hdc.operands import checked_rows, layout
from sophia.hdc.space import MODELS, Space
from sophia.whole_file import open_whole, write_whole

__all__ = ["Stored", "read", "write"]

Key = str | int

_MAGIC = b"SOPHHVM\n"
_VERSION = 1
_FIELDS = struct.Struct("<8sI4s7Q16s16s")
_HEADER_BYTES = 256
_DIGEST_BYTES = 16
_CHUNK_BYTES = 16 << 20


class Stored(NamedTuple):
    """What a file holds."""

    space: Space
    rows: NDArray[Any]
    """A matrix of the space, a read-only map of the file."""
    keys: list[Key] | None
    """None where each row's key is its number."""


def write(path: str | os.PathLike[str], space: Space, rows: NDArray[Any], keys: list[Key] | None) -> None:
    """Writes beside the file, makes that durable, and gives it the file's name.

    ConfigError where that cannot be, or where the name is that of a file of another kind.
    """
    text = json.dumps(keys, ensure_ascii=True, separators=(",", ":")).encode()
    write_whole(
        path, "the item memory", lambda begin: begin.startswith(_MAGIC), lambda file: _write(file, space, rows, text)
    )


def read(path: str | os.PathLike[str], *, verify: bool = True) -> Stored:
    """What a file holds; the rows stay in the file, mapped. With `verify` all bytes are read once and checked, at about
    1 GB a second, else all but the rows.

    InputError where there is no file, StoreCorrupt where it is none of these or was damaged or cut off,
    StoreVersionError for a newer format.
    """
    target = Path(path)
    with open_whole(path, "the item memory") as file:
        size = os.fstat(file.fileno()).st_size
        found = _parse(target, file.read(_HEADER_BYTES), size)
        file.seek(found.keys_begin)
        text = file.read(size - found.keys_begin)
        dtype, columns = layout(found.space)
        # of the file that is open: another may have its name by now
        rows: NDArray[Any] = numpy.empty((0, columns), dtype)  # nothing cannot be mapped
        if found.rows:
            held = mmap.mmap(
                file.fileno(), _HEADER_BYTES + found.rows * columns * dtype.itemsize, access=mmap.ACCESS_READ
            )
            flat = numpy.frombuffer(held, dtype, found.rows * columns, _HEADER_BYTES)
            rows = flat.reshape(found.rows, columns)
    if _digest(text) != found.keys_digest:
        raise _damaged(target, "its keys have another checksum")
    keys = _keys(target, text, found.rows)
    if verify and found.rows:
        if _rows_digest(rows) != found.rows_digest:
            raise _damaged(target, "its rows have another checksum")
        try:
            checked_rows(found.space, rows, "rows")
        except ValueError as error:
            raise _damaged(target, str(error)) from error
    return Stored(found.space, rows, keys)


class _Header(NamedTuple):
    space: Space
    rows: int
    keys_begin: int
    rows_digest: bytes
    keys_digest: bytes


def _write(file: Any, space: Space, rows: NDArray[Any], keys: bytes) -> None:
    width = _width(space)
    keys_begin = _HEADER_BYTES + len(rows) * width
    fields = _FIELDS.pack(
        _MAGIC,
        _VERSION,
        space.model.encode(),
        space.dim,
        space.seed,
        len(rows),
        width,
        _HEADER_BYTES,
        keys_begin,
        keys_begin + len(keys),
        _rows_digest(rows),
        _digest(keys),
    ).ljust(_HEADER_BYTES - _DIGEST_BYTES, b"\0")
    file.write(fields + _digest(fields))
    for part in _parts(rows):
        file.write(part)
    file.write(keys)


def _parse(target: Path, header: bytes, size: int) -> _Header:
    if header[: len(_MAGIC)] != _MAGIC:
        message = (
            f"{target} is not an item memory of sophia, or its first bytes are damaged; name one that save() wrote"
        )
        raise StoreCorrupt(message)
    if len(header) < _HEADER_BYTES:
        raise _damaged(target, f"it ends after {len(header)} bytes, within its header")
    if _digest(header[:-_DIGEST_BYTES]) != header[-_DIGEST_BYTES:]:
        raise _damaged(target, "its header has another checksum")
    _, version, model, dim, seed, count, width, begin, keys_begin, whole, rows_digest, keys_digest = (
        _FIELDS.unpack_from(header)
    )
    if version > _VERSION:
        message = f"the item memory {target} has format {version}; this version of sophia reads up to {_VERSION}"
        raise StoreVersionError(message)
    name = model.rstrip(b"\0").decode("ascii", "replace")
    try:
        space = Space(name if name in MODELS else "unknown", dim, seed)
    except ConfigError as error:
        raise _damaged(target, str(error)) from error
    ends = begin + count * width
    if width != _width(space) or begin != _HEADER_BYTES or keys_begin != ends or not keys_begin <= whole:
        raise _damaged(target, f"{count} rows of {width} bytes cannot be from {begin} to {keys_begin}")
    if whole != size:
        raise _damaged(target, f"{size} bytes are there of {whole}")
    return _Header(space, count, keys_begin, rows_digest, keys_digest)


def _keys(target: Path, text: bytes, count: int) -> list[Key] | None:
    try:
        keys = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _damaged(target, f"its keys are no JSON ({error})") from error
    if keys is None:
        return None
    if not isinstance(keys, list) or len(keys) != count:
        raise _damaged(target, f"it has not one key for each of {count} rows")
    for place, key in enumerate(keys):
        if type(key) not in (str, int):
            raise _damaged(target, f"key {place} is neither a string nor a whole number")
    if len(set(keys)) != count:
        raise _damaged(target, "one key stands for two rows")
    return keys


def _width(space: Space) -> int:
    """Bytes of a row."""
    dtype, columns = layout(space)
    return dtype.itemsize * columns


def _parts(rows: NDArray[Any]) -> Any:
    """The bytes of the rows, a few MB at a time."""
    step = max(1, _CHUNK_BYTES // max(1, rows[:1].nbytes))
    for start in range(0, len(rows), step):
        yield numpy.ascontiguousarray(rows[start : start + step]).view(numpy.uint8).data.cast("B")


def _rows_digest(rows: NDArray[Any]) -> bytes:
    digest = blake2b(digest_size=_DIGEST_BYTES)
    for part in _parts(rows):
        digest.update(part)
    return digest.digest()


def _digest(data: bytes) -> bytes:
    return blake2b(data, digest_size=_DIGEST_BYTES).digest()


def _damaged(target: Path, why: str) -> StoreCorrupt:
    return StoreCorrupt(f"the item memory {target} is damaged: {why}; restore it from a copy")
