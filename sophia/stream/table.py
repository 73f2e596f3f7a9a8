"""CSV records, one physical line at a time."""

from __future__ import annotations

__all__ = ["RecordParser", "sniff"]

DELIMITERS = (",", ";", "\t")
MAX_HEADER = 64 * 1024
MAX_NAME = 64
"""Characters of a column name in a header that nobody has announced as one."""


class RecordParser:
    """RFC 4180 records from lines without their line breaks.

    The `csv` module cannot do this: it pulls its lines, so that a record which waits for its next line would
    block or be given out cut, and its bound on a cell is one global for the process. Quotes read as `csv`
    reads them where they break the RFC: a quote inside an unquoted cell is a character, and characters after
    a closing quote belong to the cell. A line break inside a cell is "\\n", however it was written. Work is
    linear in the length of a record, however many lines it has.

    >>> p = RecordParser(",")
    >>> p.feed('1,"a ""b"",'), p.feed('c",'), p.feed("2,x,y")
    (None, ['1', 'a "b",\\nc', ''], ['2', 'x', 'y'])
    """

    __slots__ = ("_cells", "_parts", "_quoted", "delimiter")

    def __init__(self, delimiter: str) -> None:
        self.delimiter = delimiter
        self._cells: list[str] = []
        self._parts: list[str] = []  # of the quoted cell that is open
        self._quoted = False

    def reset(self) -> None:
        """Forgets the record that is open."""
        self._cells = []
        self._parts = []
        self._quoted = False

    def feed(self, line: str) -> list[str] | None:
        """The cells of the record that this line ends, or None if a quote is still open."""
        if not self._quoted and '"' not in line:
            return line.split(self.delimiter)
        delimiter = self.delimiter
        cells = self._cells
        at = 0
        while True:
            if self._quoted:
                end = self._close(line, at)
                if end < 0:
                    return None
                stop = line.find(delimiter, end)
                self._parts.append(line[end:] if stop < 0 else line[end:stop])
                cells.append("".join(self._parts))
                self._parts = []
                self._quoted = False
            elif line.startswith('"', at):
                self._quoted = True
                at += 1
                continue
            else:
                stop = line.find(delimiter, at)
                cells.append(line[at:] if stop < 0 else line[at:stop])
            if stop < 0:
                self._cells = []
                return cells
            at = stop + 1

    def _close(self, line: str, at: int) -> int:
        """Takes the quoted cell from `at`; the place after its closing quote, or -1 if the line has none."""
        parts = self._parts
        while True:
            end = line.find('"', at)
            if end < 0:
                parts.append(line[at:])
                parts.append("\n")
                return -1
            parts.append(line[at:end])
            if not line.startswith('"', end + 1):
                return end + 1
            parts.append('"')
            at = end + 2


def sniff(line: str, wanted: tuple[str, ...], *, certain: bool = False) -> tuple[str, list[str]] | None:
    """The delimiter and the lower-case column names if `line` is a header with one of the wanted columns.

    With `certain` it must not be mistakable for a line of prose: no name is empty, is repeated, or begins or
    ends with a space.
    """
    if len(line) > MAX_HEADER:
        return None
    lower = {name.lower() for name in wanted}
    for delimiter in DELIMITERS:
        cells = RecordParser(delimiter).feed(line.removeprefix("\ufeff"))
        if cells is None:
            continue
        names = [cell.strip().lower() for cell in cells]
        if lower.isdisjoint(names):
            continue
        if certain and (
            len(set(names)) < len(names)
            or any(not cell or cell != cell.strip() or len(cell) > MAX_NAME for cell in cells)
        ):
            continue
        return delimiter, names
    return None
