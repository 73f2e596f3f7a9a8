"""From byte chunks of any size to blocks of whole, decoded lines.

All work on bytes is done by `rfind`, `split` and `decode` on the whole chunk; a line costs Python time only
where a chunk has something wrong in it.
"""

from __future__ import annotations

from sophia.stream.event import BAD_UTF8, CUT, NUL

__all__ = ["MAX_LINE", "Block", "LineSplitter"]

MAX_LINE = 16 * 1024 * 1024
"""Bytes of a line, without its line break, that are kept by default."""


class Block:
    """Consecutive lines without their line breaks, and the flags of those that have any, by place."""

    __slots__ = ("flags", "lines")

    def __init__(self, lines: list[str], flags: dict[int, int]) -> None:
        self.lines = lines
        self.flags = flags

    def cut(self, count: int) -> tuple[Block, Block]:
        """The first `count` lines and the rest."""
        head = {i: bits for i, bits in self.flags.items() if i < count}
        tail = {i - count: bits for i, bits in self.flags.items() if i >= count}
        return Block(self.lines[:count], head), Block(self.lines[count:], tail)


class LineSplitter:
    """Cuts a byte stream at LF, drops CRs before it, and decodes UTF-8.

    The lines do not depend on where the chunks were cut. Holds at most `max_line` + 1 bytes of an unfinished
    line; what is longer is cut (at a whole character) and skipped up to its line break.

    >>> s = LineSplitter()
    >>> s.feed(b"one\\r\\ntw").lines, s.feed(b"o").lines, s.finish().lines
    (['one'], [], ['two'])
    """

    __slots__ = ("_carry", "_max", "_started")

    def __init__(self, max_line: int = MAX_LINE) -> None:
        if max_line < 4:
            msg = f"max_line must be at least 4 bytes, not {max_line}"
            raise ValueError(msg)
        self._carry = bytearray()
        self._max = max_line
        self._started = False

    def feed(self, chunk: bytes) -> Block:
        """The lines that this chunk completes."""
        end = chunk.rfind(b"\n")
        if end < 0:
            self._hold(chunk)
            return Block([], {})
        data = chunk[:end]
        if self._carry:
            data = bytes(self._carry) + data
            self._carry.clear()
        self._hold(chunk[end + 1 :])
        return self._block(data)

    def finish(self) -> Block:
        """The last line, if it has no line break."""
        if not self._carry:
            return Block([], {})
        data = bytes(self._carry)
        self._carry.clear()
        return self._block(data)

    def _hold(self, piece: bytes) -> None:
        # one byte over the bound is enough to know that the line is too long
        room = self._max + 1 - len(self._carry)
        self._carry += piece if len(piece) <= room else piece[:room]

    def _block(self, data: bytes) -> Block:
        flags: dict[int, int] = {}
        if len(data) > self._max:
            data = self._clip(data, flags)
        try:
            lines = data.decode().split("\n")
        except UnicodeDecodeError:
            lines = self._decode_each(data, flags)
        if b"\r" in data:
            lines = [line.rstrip("\r") for line in lines]
        if b"\0" in data:
            for i, line in enumerate(lines):
                if "\0" in line:
                    flags[i] = flags.get(i, 0) | NUL
        if not self._started:
            self._started = True
            lines[0] = lines[0].removeprefix("\ufeff")
        return Block(lines, flags)

    def _clip(self, data: bytes, flags: dict[int, int]) -> bytes:
        lines = data.split(b"\n")
        for i, line in enumerate(lines):
            if len(line) > self._max:
                end = self._max
                # not inside a character: step back over at most three continuation bytes
                while end > self._max - 3 and line[end] & 0xC0 == 0x80:
                    end -= 1
                lines[i] = line[:end]
                flags[i] = CUT
        return b"\n".join(lines) if flags else data

    @staticmethod
    def _decode_each(data: bytes, flags: dict[int, int]) -> list[str]:
        lines = []
        for i, line in enumerate(data.split(b"\n")):
            try:
                lines.append(line.decode())
            except UnicodeDecodeError:
                lines.append(line.decode(errors="replace"))
                flags[i] = flags.get(i, 0) | BAD_UTF8
        return lines
