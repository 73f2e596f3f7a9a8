"""The inputs of a batch whose decisions are about to be told: what a store needs to learn them once more."""

from __future__ import annotations

import json
import os
import stat
import struct
from bisect import bisect_right
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sophia.errors import StoreCorrupt
from sophia.store.ack import Delivery
from sophia.store.sensor_table import Sample

__all__ = ["FileMark", "Pending"]

# The size of a text that is not there.
_NOTHING = 0xFFFF_FFFF


@dataclass(frozen=True, slots=True)
class FileMark:
    """Where a regular file stood before a batch: its growth since tells how much of the batch it got."""

    path: str
    device: int
    inode: int
    size: int

    @classmethod
    def of(cls, descriptor: int, path: str) -> FileMark | None:
        """The mark of what `descriptor` writes to, or None where that is no regular file, or not at its end."""
        found = os.fstat(descriptor)
        if not path or not stat.S_ISREG(found.st_mode):
            return None
        if os.lseek(descriptor, 0, os.SEEK_CUR) != found.st_size and not _appends(descriptor):
            return None
        return cls(path, found.st_dev, found.st_ino, found.st_size)

    def grown(self) -> int:
        """Bytes that the file got since; 0 where it has gone or another is in its place."""
        try:
            found = Path(self.path).stat()
        except (OSError, ValueError):
            return 0
        same = (found.st_dev, found.st_ino) == (self.device, self.inode)
        return max(0, found.st_size - self.size) if same else 0


def _appends(descriptor: int) -> bool:
    import fcntl

    return bool(fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_APPEND)


@dataclass(frozen=True, slots=True)
class Pending:
    """One batch of run `run`, numbered from `n` and decided at `at` (seconds since the epoch), by column.

    `ends` are the ends, in bytes, of its records in what is sent to the output; None where nobody counts what
    arrives there: then all of them count as acknowledged. `settings` are those of the run that are not the usual ones,
    by name, and `rules` its rule files beside the shipped set: the next run need not share them.
    """

    run: int
    n: int
    at: float
    columns: dict[str, Any]
    ends: list[int] | None = None
    mark: FileMark | None = None
    settings: dict[str, Any] = field(default_factory=dict)
    rules: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.columns["texts"])

    def pack(self) -> bytes:
        """A JSON object of all but texts and ends, then both as numbers and UTF-8. About 40 us for 256 lines of a log.

        Not compressed: that would cost more than writing what it saves.
        """
        out = self.mark
        texts = self.columns["texts"]
        head = json.dumps(
            {
                "run": self.run,
                "n": self.n,
                "at": self.at,
                "count": len(texts),
                "ends": self.ends is not None,
                "settings": self.settings,
                "rules": self.rules,
                "out": None if out is None else [out.path, out.device, out.inode, out.size],
                "columns": {
                    name: values[:1] if values.count(values[0]) == len(values) else values  # mostly all are the same
                    for name, values in self.columns.items()
                    if values is not None and name not in ("texts", "samples")
                },
                "samples": _packed_samples(self.columns.get("samples")),
            },
            separators=(",", ":"),
        ).encode("ascii")
        sizes = [_NOTHING if text is None else len(text) for text in texts]
        numbers = struct.pack(f"<{len(sizes)}I", *sizes)
        if self.ends is not None:
            numbers += struct.pack(f"<{len(sizes)}Q", *self.ends)
        text = "".join([text for text in texts if text is not None]).encode("utf-8", "surrogatepass")
        return b"".join((len(head).to_bytes(4, "little"), head, numbers, text))

    @classmethod
    def unpack(cls, data: bytes) -> Pending:
        """The record that `pack` gave; StoreCorrupt for anything else."""
        try:
            at = 4 + int.from_bytes(data[:4], "little")
            head = json.loads(data[4:at])
            count, out = head["count"], head["out"]
            sizes = struct.unpack_from(f"<{count}I", data, at)
            at += 4 * count
            ends = None
            if head["ends"]:
                ends = list(struct.unpack_from(f"<{count}Q", data, at))
                at += 8 * count
            text = data[at:].decode("utf-8", "surrogatepass")
            texts: list[str | None] = []
            start = 0
            for size in sizes:
                texts.append(None if size == _NOTHING else text[start : start + size])
                start += 0 if size == _NOTHING else size
            columns = {name: values * count if len(values) == 1 else values for name, values in head["columns"].items()}
            columns["texts"] = texts
            if (packed := head.get("samples")) is not None:
                names, samples = packed
                columns["samples"] = [
                    None if one is None else _sample(one[0], names[one[1]], one[2]) for one in samples
                ]
            if start != len(text) or any(len(values) != count for values in columns.values()):
                raise ValueError("its parts do not fit together")  # noqa: EM101
            mark = None if out is None else FileMark(*out)
            told, rules = head.get("settings", {}), head.get("rules", [])
            settings = {name: tuple(value) if type(value) is list else value for name, value in told.items()}
            record = cls(head["run"], head["n"], head["at"], columns, ends, mark, settings, rules)
            if not _is_typed(record):
                raise ValueError("a value is of another type")  # noqa: EM101
            return record
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError, struct.error) as error:
            message = f"a record of pending inputs cannot be read ({error})"
            raise StoreCorrupt(message) from error

    def acknowledged(self, delivery: Delivery) -> int:
        """How many of its records arrived whole, by what the dead process left behind."""
        if self.ends is None:
            return len(self)
        known = (delivery.run, delivery.n) == (self.run, self.n)  # if not, it died before the first byte
        sent = delivery.sent if known else 0
        if self.mark is not None and not (known and delivery.done):
            sent = max(sent, self.mark.grown())
        return bisect_right(self.ends, sent)

    def head(self, count: int) -> dict[str, Any]:
        """The columns of its first `count` inputs."""
        return {name: values[:count] for name, values in self.columns.items()}


def _packed_samples(samples: list[Sample | None] | None) -> list[Any] | None:
    """The different names of channels, and each sample with the place of its own: they are mostly the same."""
    if samples is None:
        return None
    places: dict[tuple[str, ...], int] = {}
    rows = [
        None if one is None else [one.sensor, places.setdefault(one.channels, len(places)), one.values]
        for one in samples
    ]
    return [list(places), rows]


def _sample(sensor: Any, channels: Any, values: Any) -> Sample:
    sample = Sample(sensor, tuple(channels), tuple(map(float, values)))
    names = (sensor, *sample.channels)
    if len(sample.channels) != len(sample.values) or not sample.values or any(type(name) is not str for name in names):
        message = f"{sample!r:.80} is no sample"
        raise ValueError(message)
    return sample


def _is_setting(value: object) -> bool:
    if type(value) is tuple:
        return all(type(name) is str for name in value)
    return type(value) in (int, float, bool, str, type(None))


def _is_typed(record: Pending) -> bool:
    """JSON can hold anything anywhere; what only code of ours can have written holds these."""
    numbers = [record.run, record.n]
    numbers += [] if record.mark is None else [record.mark.device, record.mark.inode, record.mark.size]
    return (
        all(type(number) is int and number >= 0 for number in numbers)
        and type(record.at) in (int, float)
        and all(map(_is_setting, record.settings.values()))
        and type(record.rules) is list
        and all(type(rule) is str for rule in record.rules)
        and (record.mark is None or type(record.mark.path) is str)
        and all(type(values) is list for values in record.columns.values())
    )
