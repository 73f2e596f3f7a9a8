"""A router on disk: one file, whole or not there.

Eight bytes of magic, then little-endian: format (u32), bytes of the description (u32), where the weights begin (u64),
bytes of the whole file (u64), a checksum of the description (16 bytes). Then the description, JSON in UTF-8, and from a
multiple of 64 bytes on the readout's own dump, which has a checksum itself.
"""

from __future__ import annotations

import json
import mmap
import os
import struct
import tempfile
from hashlib import blake2b
from pathlib import Path

from sophia._core.readout import Readout
from sophia.errors import ConfigError, InputError, StoreCorrupt, StoreVersionError
from sophia.organs.calibration import Calibration
from sophia.organs.intents import Intents, Route

__all__ = ["FILE_NAME", "place", "read", "write"]

FILE_NAME = "intents.sophia"
"""The name of the file in a folder."""

_MAGIC = b"SOPHINT\n"
_VERSION = 1
_HEADER = struct.Struct("<8sIIQQ16s")
_ALIGN = 64


def place(path: str | os.PathLike[str]) -> Path:
    """The file that a path means: itself, or the one in the folder that it names."""
    given = Path(path)
    return given / FILE_NAME if given.is_dir() or not given.suffix else given


def write(intents: Intents, path: str | os.PathLike[str]) -> None:
    """Writes beside the file, makes that durable, and gives it the file's name. ConfigError where that cannot be."""
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
    dump = intents.readout.dump()
    begin = (_HEADER.size + len(description) + _ALIGN - 1) // _ALIGN * _ALIGN
    header = _HEADER.pack(
        _MAGIC, _VERSION, len(description), begin, begin + len(dump), blake2b(description, digest_size=16).digest()
    )
    target = place(path)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(header + description)
                file.write(bytes(begin - _HEADER.size - len(description)))
                file.write(dump)
                file.flush()
                os.fsync(file.fileno())
            os.replace(name, target)  # noqa: PTH105 (a str is what mkstemp gives)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
        _sync(target.parent)
    except OSError as error:
        message = f"the model {target} cannot be written ({error.strerror}); name a folder that can be written"
        raise ConfigError(message) from error


def read(path: str | os.PathLike[str]) -> Intents:
    """The router of a file; its weights stay in the file, mapped."""
    target = place(path)
    try:
        with target.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            if size < _HEADER.size:
                message = f"{target} is not a model of sophia: it has {size} bytes"
                raise StoreCorrupt(message)
            mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except OSError as error:
        message = f"there is no model {target} ({error.strerror}); make one with sophia fit FILE --model {path}"
        raise InputError(message) from error
    magic, version, length, begin, whole, digest = _HEADER.unpack_from(mapped)
    if magic != _MAGIC:
        message = f"{target} is not a model of sophia: it does not begin with its magic"
        raise StoreCorrupt(message)
    if version > _VERSION:
        message = f"{target} has format {version}; this version of sophia reads up to {_VERSION}"
        raise StoreVersionError(message)
    description = mapped[_HEADER.size : _HEADER.size + length]
    if whole != size or begin % _ALIGN or not _HEADER.size + length <= begin < size:
        message = f"the model {target} is damaged: {size} bytes are there of {whole}"
        raise StoreCorrupt(message)
    if blake2b(description, digest_size=16).digest() != digest:
        message = f"the model {target} is damaged: its description has another checksum"
        raise StoreCorrupt(message)
    try:
        readout = Readout.load(memoryview(mapped)[begin:])
    except StoreCorrupt as error:
        message = f"the model {target} is damaged: {error}"
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


def _sync(folder: Path) -> None:
    """Makes the new name durable."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
