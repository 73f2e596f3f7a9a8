"""A database file read page by page, without SQLite: what is sound in it can be had when SQLite refuses the rest.

Every record of a leaf page is handed out, with no word on whether it is right: the caller has checksums. Freed pages
are passed over: what was deleted stays deleted. The format is that of https://www.sqlite.org/fileformat.html.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

__all__ = ["Layout", "Pages", "Record", "header_fault"]

Values = tuple[Any, ...]

_LEAF, _BRANCH, _INDEX_LEAF, _INDEX_BRANCH = 13, 5, 10, 2
_OUR_PAGE = 8192  # what schema.prepare asks for, where the header cannot be believed
_LOG_HEADER = struct.Struct(">8I")
_FRAME_HEADER = struct.Struct(">6I")
_INTEGER_BYTES = {1: 1, 2: 2, 3: 3, 4: 4, 5: 6, 6: 8}
# Of a record's header; ours have at most eight columns.
_MOST_COLUMNS = 32


@dataclass(frozen=True, slots=True)
class Record:
    """One row as it lies in the file; `rowid` is None in a table without one."""

    page: int
    rowid: int | None
    values: Values


@dataclass(frozen=True, slots=True)
class Layout:
    """Bytes of a page, and those at its end that nothing uses."""

    page: int
    unused: int = 0


class Bad(Exception):
    """A page or record is not what it should be."""


class Pages:
    """The pages of the database `file` with the committed ones of its log over them, as SQLite sees them.

    Holds the committed pages of the log in memory; the file itself is read as needed. Close it.
    """

    def __init__(self, file: Path, log: Path | None = None, layout: Layout | None = None) -> None:
        self._file = file.open("rb")
        self._bytes = file.stat().st_size
        self.head = head = self._file.read(100)  # as it lies in the file
        self.newer, log_page, log_pages = _read_log(log) if log is not None and log.exists() else ({}, 0, 0)
        self.layout = layout or Layout(log_page or _page_bytes(head) or _OUR_PAGE)
        if log_page and log_page != self.layout.page:
            self.newer, log_pages = {}, 0
        self.count = log_pages or self._bytes // self.layout.page
        # Pages that should have been read and could not; each page once.
        self.unreadable: set[int] = set()

    def layouts(self) -> list[Layout]:
        """Layouts worth trying, the likeliest first: a header that was hit may lie about it."""
        head = self.page(1)[:100]
        sizes = dict.fromkeys([self.layout.page, _page_bytes(head) or _OUR_PAGE, _OUR_PAGE])
        unused = dict.fromkeys([0, head[20]]) if len(head) > 20 and head[20] <= 64 else {0: None}
        return [Layout(size, spare) for size in sizes for spare in unused]

    def page(self, number: int) -> bytes:
        """One page, from 1; short or empty where the file ends before it."""
        if number in self.newer:
            return self.newer[number]
        self._file.seek((number - 1) * self.layout.page)
        return self._file.read(self.layout.page)

    def records(self) -> Iterator[Record]:
        """Every record of every leaf page that is in use, by page."""
        freed = self._freed()
        children = self._children()
        roots = self._roots()
        every = self._usable // 5 + 1  # one page of pointers for as many others, from page 2 on
        for number in range(2, self.count + 1):
            if (number - 2) % every == 0 or number in freed:
                continue
            page = self.page(number)
            kind = page[0] if page else 0
            if kind == _LEAF or (number in children and kind != _BRANCH):
                yield from self._leaf(number, page, indexed=False)
            elif kind in (_INDEX_LEAF, _INDEX_BRANCH):
                yield from self._leaf(number, page, indexed=True)
            elif number in roots and kind != _BRANCH:
                yield from self._leaf(number, page, indexed=False)

    def whole(self) -> Iterator[bytes]:
        """All pages in order: the file as it stands after its log was written back."""
        for number in range(1, self.count + 1):
            yield self.page(number).ljust(self.layout.page, b"\0")

    def close(self) -> None:
        """May be called twice."""
        self._file.close()

    def __enter__(self) -> Pages:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def _usable(self) -> int:
        return self.layout.page - self.layout.unused

    def _roots(self) -> set[int]:
        """Where the tables begin, as far as the first page says it."""
        first = self.page(1)
        schema = self._leaf(1, first, indexed=False) if first[100:101] == bytes([_LEAF]) else iter(())
        found = {r.values[3] for r in schema if len(r.values) == 5 and r.values[0] == "table"}
        self.unreadable.discard(1)
        return found

    def _leaf(self, number: int, page: bytes, *, indexed: bool) -> Iterator[Record]:
        if len(page) < self.layout.page:
            self.unreadable.add(number)
            return
        head = 100 if number == 1 else 0
        start = head + (12 if page[head] == _INDEX_BRANCH else 8)
        cells = int.from_bytes(page[head + 3 : head + 5], "big")
        if start + 2 * cells > self._usable:
            if not indexed:
                self.unreadable.add(number)
            cells = (self._usable - start) // 2
        for i in range(cells):
            at = int.from_bytes(page[start + 2 * i : start + 2 * i + 2], "big")
            try:
                rowid, payload = self._cell(page, at + 4 if start == 12 else at, indexed=indexed)
                values = _values(payload)
            except Bad:
                if not indexed:  # damage to an index costs nothing, and a table without rowid is small
                    self.unreadable.add(number)
                continue
            yield Record(number, rowid, values)

    def _cell(self, page: bytes, at: int, *, indexed: bool) -> tuple[int | None, bytes]:
        """Rowid and payload of a cell, with what of it lies on pages of its own."""
        size, at = _varint(page, at)
        rowid: int | None = None
        if not indexed:
            rowid, at = _varint(page, at)
            rowid -= (rowid >> 63) << 64
        usable = self._usable
        most = usable - 35 if not indexed else (usable - 12) * 64 // 255 - 23
        local = size
        if size > most:
            least = (usable - 12) * 32 // 255 - 23
            local = least + (size - least) % (usable - 4)
            if local > most:
                local = least
        end = at + local
        if size < 2 or end > usable or size > self.count * self.layout.page:
            raise Bad
        if local == size:
            return rowid, page[at:end]
        parts = [page[at:end]]
        left = size - local
        following = int.from_bytes(page[end : end + 4], "big")
        while left:
            if not 2 <= following <= self.count:
                raise Bad
            more = self.page(following)
            if len(more) < usable:
                raise Bad
            parts.append(more[4 : 4 + min(left, usable - 4)])
            left -= len(parts[-1])
            following = int.from_bytes(more[:4], "big")
        return rowid, b"".join(parts)

    def _freed(self) -> set[int]:
        """Pages of the list of free pages, as far as it can be followed."""
        freed: set[int] = set()
        trunk = int.from_bytes(self.page(1)[32:36], "big")
        while 2 <= trunk <= self.count and trunk not in freed:
            page = self.page(trunk)
            freed.add(trunk)
            leaves = min(int.from_bytes(page[4:8], "big"), self._usable // 4 - 2)
            freed.update(int.from_bytes(page[8 + 4 * i : 12 + 4 * i], "big") for i in range(leaves))
            trunk = int.from_bytes(page[:4], "big")
        # A list that was hit may name pages in use: a leaf that another page points to is none.
        return freed - self._children()

    def _children(self) -> set[int]:
        """Pages that the inner pages of tables point to: leaves, even where their first byte was hit."""
        if self._known_children is None:
            found: set[int] = set()
            every = self._usable // 5 + 1
            for number in range(2, self.count + 1):
                page = self.page(number)
                if not page or page[0] != _BRANCH or (number - 2) % every == 0 or len(page) < self.layout.page:
                    continue
                found.add(int.from_bytes(page[8:12], "big"))
                for i in range(min(int.from_bytes(page[3:5], "big"), (self._usable - 12) // 2)):
                    at = int.from_bytes(page[12 + 2 * i : 14 + 2 * i], "big")
                    found.add(int.from_bytes(page[at : at + 4], "big"))
            self._known_children = found
        return self._known_children

    _known_children: set[int] | None = None


def header_fault(file: Path, log: Path) -> str | None:
    """What is wrong in the header of a database, in the fields that never change after its making.

    SQLite believes some of them without a look: one makes it refuse to write, and only then. A first page that is
    still in the log alone is not in the file yet, and may move there between two looks: hence the second one.
    """
    for _ in range(2):
        with Pages(file, log) as pages:
            fault = _layout_fault(pages.head) or _format_fault(pages.page(1))
        if fault is None:
            break
    return fault


def _layout_fault(head: bytes) -> str | None:
    if head[:16] != b"SQLite format 3\0":
        return "it does not begin as an SQLite file does"
    versions = tuple(head[18:20])
    if versions not in ((1, 1), (2, 2)) or not _page_bytes(head) or head[20] or tuple(head[21:24]) != (64, 32, 32):
        return "the layout in its header is none"
    return None


def _format_fault(first: bytes) -> str | None:
    if int.from_bytes(first[44:48], "big") not in (1, 2, 3, 4) or int.from_bytes(first[56:60], "big") != 1:
        return "the schema format or the text encoding in its header is none of ours"
    return None


def _page_bytes(head: bytes) -> int:
    """The size that a header names, 0 where it is none."""
    if len(head) < 18:
        return 0
    size = int.from_bytes(head[16:18], "big")
    size = 65536 if size == 1 else size
    return size if size >= 512 and size & (size - 1) == 0 else 0


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for i in range(9):
        if at + i >= len(data) or at < 0:
            raise Bad
        byte = data[at + i]
        if i == 8:
            return value << 8 | byte, at + 9
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            return value, at + i + 1
    raise AssertionError


def _values(payload: bytes) -> Values:
    """The columns of a record. Text that is not UTF-8 comes with surrogates."""
    header, at = _varint(payload, 0)
    if not at <= header <= len(payload):
        raise Bad
    kinds = []
    while at < header:
        kind, at = _varint(payload, at)
        kinds.append(kind)
        if len(kinds) > _MOST_COLUMNS:
            raise Bad
    if at != header:
        raise Bad
    values: list[Any] = []
    for kind in kinds:
        if kind in (0, 8, 9):
            values.append(None if kind == 0 else kind - 8)
            continue
        if kind in (10, 11):
            raise Bad
        size = _INTEGER_BYTES.get(kind, 8) if kind < 12 else (kind - 12) // 2
        piece = payload[at : at + size]
        at += size
        if len(piece) != size:
            raise Bad
        if kind >= 12:
            values.append(piece if kind % 2 == 0 else piece.decode("utf-8", "surrogateescape"))
        elif kind == 7:
            values.append(struct.unpack(">d", piece)[0])
        else:
            values.append(int.from_bytes(piece, "big", signed=True))
    if at != len(payload):
        raise Bad
    return tuple(values)


def _read_log(log: Path) -> tuple[dict[int, bytes], int, int]:
    """Pages of all whole transactions of a write-ahead log, the page size, and the pages of the database after it."""
    committed: dict[int, bytes] = {}
    pages = 0
    with log.open("rb") as file:
        head = file.read(_LOG_HEADER.size)
        if len(head) < _LOG_HEADER.size:
            return {}, 0, 0
        magic, _, size, _, salt1, salt2, sum1, sum2 = _LOG_HEADER.unpack(head)
        order = ">" if magic & 1 else "<"
        if magic & ~1 != 0x377F0682 or size < 512 or size > 65536 or size & (size - 1):
            return {}, 0, 0
        sums = _checksum(head[:24], (0, 0), order)
        if sums != (sum1, sum2):
            return {}, 0, 0
        waiting: dict[int, bytes] = {}
        while len(frame := file.read(_FRAME_HEADER.size + size)) == _FRAME_HEADER.size + size:
            number, after, one, two, sum1, sum2 = _FRAME_HEADER.unpack_from(frame)
            if (one, two) != (salt1, salt2) or not number:
                break
            sums = _checksum(frame[24:], _checksum(frame[:8], sums, order), order)
            if sums != (sum1, sum2):
                break
            waiting[number] = frame[24:]
            if after:
                committed.update(waiting)
                waiting.clear()
                pages = after
    return (committed, size, pages) if committed else ({}, 0, 0)


def _checksum(data: bytes, sums: tuple[int, int], order: str) -> tuple[int, int]:
    """The log's running checksum: each frame's includes all before it."""
    one, two = sums
    words = struct.unpack(f"{order}{len(data) // 4}I", data)
    for first, second in zip(words[::2], words[1::2], strict=True):
        one = (one + first + two) & 0xFFFFFFFF
        two = (two + second + one) & 0xFFFFFFFF
    return one, two
