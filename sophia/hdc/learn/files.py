"""The file of an estimator, without pickle: whole or not there, and checked.

64 bytes of header, little-endian: magic (8 bytes), format (u32), zeros (4 bytes), bytes of the head (u64), bytes of the
file (u64), the checksum of all that follows the header (16 bytes), and in the last 16 bytes the checksum of the other
48. Then the head, a JSON object; then the arrays that it names under "arrays" (name, dtype, shape), one behind the
other, as they are in memory: a file says no more than its size holds. Checksums are BLAKE2b.
"""

from __future__ import annotations

import json
import math
import os
import struct
from collections.abc import Callable, Iterator
from hashlib import blake2b
from typing import Any, TypeVar

import numpy
from numpy.typing import NDArray

from sophia.errors import InputError, StoreCorrupt, StoreVersionError
from sophia.whole_file import open_whole, write_whole

__all__ = ["read", "write"]

_Made = TypeVar("_Made")

_MAGIC = b"SOPHHDL\n"
_VERSION = 1
_FIELDS = struct.Struct("<8sI4xQQ16s")
_HEADER_BYTES = 64
_DIGEST_BYTES = 16
_KINDS = "biufU"
_WHAT = "the model"


def write(path: str | os.PathLike[str], head: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> None:
    """Writes beside the file, makes that durable, and gives it the file's name. `head` is plain data with a "class".

    ConfigError where that cannot be, or where the name is that of a file of another kind.
    """
    named = [[name, array.dtype.str, list(array.shape)] for name, array in arrays.items()]
    # in ASCII, with escapes: a label may hold what UTF-8 cannot
    text = json.dumps({**head, "arrays": named}, allow_nan=False).encode("ascii")
    digest = blake2b(digest_size=_DIGEST_BYTES)
    whole = _HEADER_BYTES
    for part in _parts(text, arrays):
        digest.update(part)
        whole += len(part)
    fields = _FIELDS.pack(_MAGIC, _VERSION, len(text), whole, digest.digest())

    def fill(file: Any) -> None:
        file.write(fields + _digest(fields))
        for part in _parts(text, arrays):
            file.write(part)

    write_whole(path, _WHAT, lambda begin: begin.startswith(_MAGIC), fill)


def read(
    path: str | os.PathLike[str], name: str, make: Callable[[dict[str, Any], dict[str, NDArray[Any]]], _Made]
) -> _Made:
    """What `make` makes of the head and the arrays of a file whose head has that "class".

    InputError where there is no file, or it holds another class; StoreCorrupt where it is no model, was damaged or cut
    off, or `make` raises; StoreVersionError for a newer format.
    """
    with open_whole(path, _WHAT) as file:
        header = file.read(_HEADER_BYTES)
        length, whole, digest = _parse(path, header)
        size = os.fstat(file.fileno()).st_size
        if whole != size:
            raise _damaged(path, f"{size} bytes are there of {whole}")
        body = file.read(whole - _HEADER_BYTES)
    if len(body) != whole - _HEADER_BYTES or not length <= len(body) or _digest(body) != digest:
        raise _damaged(path, "it has another checksum")
    try:
        head = json.loads(body[:length])
        arrays = dict(_arrays(head.pop("arrays"), body, length))
        found = head["class"]
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError, SyntaxError) as error:
        raise _damaged(path, f"its head is none ({error})") from error
    if found != name:
        message = f"{_WHAT} {os.fspath(path)!r} is a {found}, not {name}; load it by {found}.load"
        raise InputError(message)
    try:
        return make(head, arrays)
    except (ValueError, TypeError, LookupError, AttributeError, OverflowError) as error:
        raise _damaged(path, f"what it holds does not fit together ({error})") from error


def _parse(path: str | os.PathLike[str], header: bytes) -> tuple[int, int, bytes]:
    """Bytes of the head and of the file, and the checksum."""
    if header[: len(_MAGIC)] != _MAGIC:
        message = f"{os.fspath(path)!r} is no model of sophia, or its first bytes are damaged; name one of save()"
        raise StoreCorrupt(message)
    if len(header) < _HEADER_BYTES:
        raise _damaged(path, f"it ends after {len(header)} bytes, within its header")
    if _digest(header[:-_DIGEST_BYTES]) != header[-_DIGEST_BYTES:]:
        raise _damaged(path, "its header has another checksum")
    _, version, length, whole, digest = _FIELDS.unpack_from(header)
    if version > _VERSION:
        message = f"{_WHAT} {os.fspath(path)!r} has format {version}; this version of sophia reads up to {_VERSION}"
        raise StoreVersionError(message)
    return length, whole, digest


def _arrays(named: list[Any], body: bytes, at: int) -> Iterator[tuple[str, NDArray[Any]]]:
    """The arrays, copied. ValueError unless they fill the rest of the file."""
    for name, form, shape in named:
        dtype = numpy.dtype(form)  # SyntaxError for some that are none
        if dtype.kind not in _KINDS or not all(type(n) is int and n >= 0 for n in shape):
            message = f"array {name!r} of {form!r} and shape {shape}"
            raise ValueError(message)
        count = math.prod(shape)
        if count * dtype.itemsize > len(body) - at:  # any number may be written there, numpy counts up to 2^63
            message = f"array {name!r} of {form!r} has more elements than {len(body) - at} bytes hold"
            raise ValueError(message)
        yield (
            name,
            numpy.frombuffer(body, dtype, count, at).reshape(shape).copy() if count else numpy.empty(shape, dtype),
        )
        at += count * dtype.itemsize
    if at != len(body):
        message = f"its arrays end at byte {at} of {len(body)}"
        raise ValueError(message)


def _parts(text: bytes, arrays: dict[str, NDArray[Any]]) -> Iterator[Any]:
    """What follows the header."""
    yield text
    for array in arrays.values():
        yield numpy.ascontiguousarray(array).reshape(-1).view(numpy.uint8).data if array.size else b""


def _digest(data: bytes) -> bytes:
    return blake2b(data, digest_size=_DIGEST_BYTES).digest()


def _damaged(path: str | os.PathLike[str], why: str) -> StoreCorrupt:
    return StoreCorrupt(f"{_WHAT} {os.fspath(path)!r} is damaged: {why}; restore it from a copy, or save it again")
