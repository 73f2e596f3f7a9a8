"""A router as bytes, in a store or in a file of its own, which is whole or not there.

Eight bytes of magic, then little-endian: format (u32), bytes of the description (u32), where the weights begin (u64),
bytes of the whole file (u64), a checksum of the description (16 bytes). Then the description, JSON in UTF-8, and from a
multiple of 64 bytes on the readout's own dump, which has a checksum itself.
"""

from __future__ import annotations

import json
import mmap
import os
import struct
from hashlib import blake2b
from pathlib import Path

from sophia._core.readout import Readout
from sophia.errors import ConfigError, InputError, StoreCorrupt, StoreVersionError
from sophia.organs.calibration import Calibration
from sophia.organs.intents import Intents, Route
from sophia.whole_file import refuse_foreign, write_whole

__all__ = ["FILE_NAME", "dump", "parse", "place", "read", "refuse_target", "write"]

FILE_NAME = "intents.sophia"
"""The name of the file in a folder."""

_MAGIC = b"SOPHINT\n"
_VERSION = 1
_HEADER = struct.Struct("<8sIIQQ16s")
_ALIGN = 64


def place(path: str | os.PathLike[str]) -> Path:
    """The file that a path means: itself, or the one in the folder that it names."""
    given = Path(path)
    return given / FILE_NAME if os.path.isdir(given) or not given.suffix else given  # noqa: PTH112 (never raises)


def dump(intents: Intents) -> bytes:
    """The router as bytes; see the head of this module."""
    description = json.dumps(
        {
            "threshold": intents.threshold,
            "slope": intents.calibration.slope,
            "offset": intents.calibration.offset,
            "routes": [route._asdict() for route in intents.routes],
            "report": intents.report,
        },
        ensure_ascii=True,
    ).encode()
    weights = intents.readout.dump()
    begin = (_HEADER.size + len(description) + _ALIGN - 1) // _ALIGN * _ALIGN
    header = _HEADER.pack(
        _MAGIC, _VERSION, len(description), begin, begin + len(weights), blake2b(description, digest_size=16).digest()
    )
    return (header + description).ljust(begin, b"\0") + weights


def refuse_target(path: str | os.PathLike[str]) -> Path:
    """The file that a path means; ConfigError where one is there that is no model: it is somebody's data."""
    target = place(path)
    refuse_foreign(target, "the model", _is_own)
    return target


def write(intents: Intents, path: str | os.PathLike[str]) -> None:
    """Writes the router to a file that is there whole or as it was.

    ConfigError where that cannot be, or where it would replace a file that is no model.
    """
    data = dump(intents)
    write_whole(place(path), "the model", _is_own, lambda file: file.write(data))


def _is_own(begin: bytes) -> bool:
    return begin.startswith(_MAGIC)


def read(path: str | os.PathLike[str]) -> Intents:
    """The router of a file; its weights stay in the file, mapped.

    ConfigError for a file that is none, else what `parse` raises.
    """
    target = place(path)
    try:
        with target.open("rb") as file:
            begin = file.read(len(_MAGIC))
            if begin != _MAGIC:
                why = "it does not begin with its magic" if begin else "it is empty"
                message = f"{target} is not a model of sophia: {why}; make one with sophia fit FILE --model DIR"
                raise ConfigError(message)
            mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except OSError as error:
        message = f"there is no model {target} ({error.strerror}); make one with sophia fit FILE --model {path}"
        raise InputError(message) from error
    return parse(memoryview(mapped), f"the model {target}")


def parse(data: memoryview, where: str) -> Intents:
    """The router of a dump, which is held and not copied; `where` begins what is said of a fault.

    StoreCorrupt for bytes that are none or were damaged, StoreVersionError for a newer format.
    """
    size = data.nbytes
    if size < _HEADER.size:
        message = f"{where} is not a model of sophia: it has {size} bytes"
        raise StoreCorrupt(message)
    magic, version, length, begin, whole, digest = _HEADER.unpack_from(data)
    if magic != _MAGIC:
        message = f"{where} is not a model of sophia: it does not begin with its magic"
        raise StoreCorrupt(message)
    if version > _VERSION:
        message = f"{where} has format {version}; this version of sophia reads up to {_VERSION}"
        raise StoreVersionError(message)
    description = bytes(data[_HEADER.size : _HEADER.size + length])
    if whole != size or begin % _ALIGN or not _HEADER.size + length <= begin < size:
        message = f"{where} is damaged: {size} bytes are there of {whole}"
        raise StoreCorrupt(message)
    if blake2b(description, digest_size=16).digest() != digest:
        message = f"{where} is damaged: its description has another checksum"
        raise StoreCorrupt(message)
    try:
        readout = Readout.load(data[begin:])
    except StoreCorrupt as error:
        message = f"{where} is damaged: {error}"
        raise StoreCorrupt(message) from error
    told = json.loads(description)
    routes = [
        Route(one["name"], one["threshold"], one["reflex_safe"], tuple(one["utterances"])) for one in told["routes"]
    ]
    return Intents(
        readout,
        routes,
        threshold=told["threshold"],
        calibration=Calibration(told["slope"], told["offset"]),
        report=told["report"],
    )
