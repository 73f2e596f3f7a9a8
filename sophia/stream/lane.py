"""One input from its first byte to its last: its lines, its format, its events."""

from __future__ import annotations

from sophia.stream.blocks import Block, LineSplitter
from sophia.stream.formats import CsvDecoder, Decoder, JsonlDecoder, Keys, LinesDecoder, detect, is_blank, is_table
from sophia.stream.table import sniff

_SHOWN = 80

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from sophia.stream.counts import Counts
    from sophia.stream.event import Event

__all__ = ["Lane", "Plan"]


class Plan:
    """How inputs are read, and what has been read so far: shared by all lanes of a reader."""

    __slots__ = ("counts", "format", "keys", "limit", "max_line")

    def __init__(self, format: str, keys: Keys, max_line: int, limit: int | None, counts: Counts) -> None:
        self.format = format
        self.keys = keys
        self.max_line = max_line
        self.limit = limit
        self.counts = counts

    @property
    def full(self) -> bool:
        """The limit is reached."""
        return self.limit is not None and self.counts.events >= self.limit


class Lane:
    """Bytes of one input to lists of events, one list for each chunk that completes some.

    After `plan.full` nothing is taken, so that the counts are exact. Holds an unfinished line and, of CSV, an
    unfinished record.
    """

    __slots__ = ("_chunk", "_decoder", "_header", "_name", "_plan", "_skipped", "_splitter", "unread")

    def __init__(self, name: str, plan: Plan, header: Decoder | None = None) -> None:
        self._name = name
        self._plan = plan
        self._header = header  # of what was read under this name before
        self._splitter = LineSplitter(plan.max_line)
        self._decoder: Decoder | None = None  # until a line that is not blank has told the format
        self._skipped = 0  # blank lines before that
        self._chunk = b""
        self.unread = 0
        """Bytes of the last chunk behind the line with which the limit was reached: they were not taken."""

    def feed(self, chunk: bytes) -> Iterator[list[Event]]:
        """The events that this chunk completes."""
        self._chunk = b"" if self._plan.limit is None else chunk
        return self._decoded(self._splitter.feed(chunk))

    def finish(self) -> Iterator[list[Event]]:
        """What the end completes: a last line without a line break, an open CSV record."""
        self._chunk = b""  # it was taken whole
        yield from self._decoded(self._splitter.finish())
        decoder = self._decoder or self._start("")
        if not self._plan.full:
            yield decoder.finish()

    def successor(self) -> Lane:
        """A lane for what comes under the same name after a new beginning (rotated, cut, a new writer).

        Its format is found anew, but rows under no header of their own belong to the one before.
        """
        own = self._decoder
        return Lane(self._name, self._plan, own if own is not None and own.has_header else self._header)

    def _decoded(self, block: Block) -> Iterator[list[Event]]:
        plan = self._plan
        if not block.lines or plan.full:
            return
        decoder = self._decoder
        if decoder is None:
            first = next((line for line in block.lines if not is_blank(line)), None)
            if first is None:
                self._skipped += len(block.lines)
                plan.counts.lines += len(block.lines)
                plan.counts.blank += len(block.lines)
                return
            decoder = self._start(first)
        while True:
            room = len(block.lines) if plan.limit is None else plan.limit - plan.counts.events
            rest = None
            if room < len(block.lines):
                block, rest = block.cut(room)
            events = decoder.feed(block)
            if self._chunk and plan.full:
                taken, *_ = self._chunk.rsplit(b"\n", 1 + (0 if rest is None else len(rest.lines)))
                self.unread = len(self._chunk) - len(taken) - 1
            if events:
                yield events
            if rest is None or plan.full:
                return
            block = rest

    def _start(self, first: str) -> Decoder:
        plan = self._plan
        format = detect(first, plan.keys) if plan.format == "auto" else plan.format
        if plan.format == "auto" and format == "lines" and is_table(self._name) and self._header is None:
            if plan.keys.text != Keys().text:
                format = "csv"  # whoever names a column means a table: its header says which columns there are
            elif not is_blank(first):
                plan.counts.add_note(
                    f"{self._name}: read as lines, for no column of its first line {first[:_SHOWN]!r} has a usual "
                    "name of a text; --text-key NAME says which one it is, --format sensor reads numbers"
                )
        header = self._header
        if isinstance(header, CsvDecoder):
            if (format == "lines" or sniff(first, plan.keys.text) is None) and format != "jsonl":
                format = "csv"
            else:
                header = None
        self._decoder = decoder = self._made(format)
        if header is not None and type(header) is type(decoder):
            decoder.adopt_header(header)
        decoder.line = self._skipped
        plan.counts.formats[self._name] = format
        return decoder

    def _made(self, format: str) -> Decoder:
        name, plan = self._name, self._plan
        if format == "jsonl":
            return JsonlDecoder(name, plan.counts, plan.keys)
        if format == "csv":
            return CsvDecoder(name, plan.counts, plan.keys, plan.max_line, plan.limit)
        if format == "sensor":
            from sophia.stream.samples import SampleDecoder

            return SampleDecoder(name, plan.counts, plan.keys)
        return LinesDecoder(name, plan.counts)
