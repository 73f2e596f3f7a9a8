"""The formats of a stream: lines of text to events.

A decoder takes the blocks of one source in order. Each line it is given makes at most one event, so that a
caller who wants no more than k events may give it k lines.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from itertools import count

from sophia.errors import InputError
from sophia.stream.event import BAD_UTF8, CUT, NUL, PLAIN, SURROGATE, Event
from sophia.stream.table import RecordParser, sniff

TYPE_CHECKING = False  # typing itself costs 8 ms at start
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Self

    from sophia.stream.blocks import Block
    from sophia.stream.counts import Counts

__all__ = [
    "FORMATS",
    "CsvDecoder",
    "Decoder",
    "JsonlDecoder",
    "Keys",
    "LinesDecoder",
    "detect",
    "is_blank",
    "reason_of",
]

_SHOWN_KEYS = 12
FORMATS = ("auto", "jsonl", "csv", "lines", "sensor")
MAX_DEPTH = 200
"""Arrays and objects inside each other that a JSON line may have. Python's own bound is another one in each
version and depends on the caller's stack; a decision must not."""


class Keys:
    """Which JSON keys or CSV columns (any case) hold a field; the first one present is taken.

    `value` are all columns of a sensor's numbers; without, those that have no other use. `named` is the sensor of rows
    that name none; without, that is their source.

    >>> Keys(text=("body",)).scope
    ('scope', 'user', 'tenant')
    """

    __slots__ = (
        "actor",
        "answer",
        "context",
        "id",
        "label",
        "named",
        "scope",
        "sensor",
        "session",
        "text",
        "ts",
        "value",
    )

    def __init__(
        self,
        *,
        text: tuple[str, ...] = ("text", "message", "msg", "content", "log", "query", "prompt"),
        scope: tuple[str, ...] = ("scope", "user", "tenant"),
        context: tuple[str, ...] = ("context", "session"),
        ts: tuple[str, ...] = ("ts", "time", "timestamp"),
        answer: tuple[str, ...] = ("answer", "response"),
        id: tuple[str, ...] = ("id",),
        label: tuple[str, ...] = ("label",),
        session: tuple[str, ...] = (),
        actor: tuple[str, ...] = (),
        sensor: tuple[str, ...] = ("sensor", "device", "machine", "sensor_id", "device_id", "machine_id"),
        value: tuple[str, ...] = (),
        named: str | None = None,
    ) -> None:
        if not text:
            msg = "at least one key must be able to hold the text"
            raise ValueError(msg)
        self.text = text
        self.scope = scope
        self.context = context
        self.ts = ts
        self.answer = answer
        self.id = id
        self.label = label
        self.session = session
        self.actor = actor
        self.sensor = sensor
        self.value = value
        self.named = named


class Decoder(ABC):
    """One source in one format. Not shared between threads."""

    __slots__ = ("counts", "line", "source")

    def __init__(self, source: str, counts: Counts) -> None:
        self.source = source
        self.counts = counts
        self.line = 0  # lines of this source that were taken

    @abstractmethod
    def feed(self, block: Block) -> list[Event]:
        """The events that these lines complete; the counts are up to date when it returns."""

    def finish(self) -> list[Event]:
        """What is still open at the end of the source: at most one event."""
        return []

    @property
    def has_header(self) -> bool:
        """What the columns of its rows are is known."""
        return False

    def adopt_header(self, other: Self) -> None:  # noqa: B027 (most have none)
        """Reads rows under the header of `other`, as a file that was cut to nothing goes on without one."""

    def _bad(self, reason: str) -> str:
        bad = self.counts.bad
        bad[reason] = bad.get(reason, 0) + 1
        return reason


class LinesDecoder(Decoder):
    """Each line that is not blank is a text; its line break is not part of it."""

    __slots__ = ()

    def feed(self, block: Block) -> list[Event]:
        lines = block.lines
        counts = self.counts
        counts.lines += len(lines)
        first = self.line + 1
        self.line += len(lines)
        kept: list[str] = lines
        numbers: Iterable[int] = count(first)
        # both tests run in C and end at the first character of a line that has any
        if not all(lines) or any(map(str.isspace, lines)):
            numbers = [first + i for i, line in enumerate(lines) if not is_blank(line)]
            kept = [lines[number - first] for number in numbers]
            counts.blank += len(lines) - len(kept)
        source = self.source
        events = [
            Event(n, source, number, text, "", "", None, None, None, None, PLAIN)
            for n, number, text in zip(count(counts.events + 1), numbers, kept, strict=False)
        ]
        counts.events += len(events)
        if block.flags:
            for event in events:
                flags = block.flags.get(event.line - first, 0)
                reason = reason_of(flags)
                if reason is not None:
                    event.flags |= flags
                    event.invalid = self._bad(reason)
        return events


class JsonlDecoder(Decoder):
    """One JSON object a line.

    Kept where strict JSON would refuse: control characters inside strings, NaN, a byte-order mark before
    the object. Of equal keys the last wins. A key with null is as good as absent, but if all text keys that
    are present hold null the text is `not-a-string`.
    """

    __slots__ = ("_decode", "_found", "_keys", "_without")

    def __init__(self, source: str, counts: Counts, keys: Keys) -> None:
        super().__init__(source, counts)
        import json

        self._decode = json.JSONDecoder(strict=False).raw_decode
        self._keys = keys
        self._found = False  # a text, in any object
        self._without: list[str] | None = None  # the keys of the first object without one

    def feed(self, block: Block) -> list[Event]:
        events = []
        n = self.counts.events
        line = self.line
        flags = block.flags
        blank = 0
        for i, raw in enumerate(block.lines):
            line += 1
            if is_blank(raw):
                blank += 1
                continue
            n += 1
            events.append(self._event(n, line, raw, flags.get(i, 0) if flags else 0))
        counts = self.counts
        counts.lines += len(block.lines)
        counts.blank += blank
        counts.events = n
        self.line = line
        return events

    def finish(self) -> list[Event]:
        if self._without is not None and not self._found:
            self.counts.add_note(
                f"{self.source}: no object has a text under {_either(self._keys.text)}; the first one has "
                f"{', '.join(map(repr, self._without)) or 'no key'}. --text-key NAME says which"
            )
        return []

    def _event(self, n: int, line: int, raw: str, flags: int) -> Event:
        if flags & CUT:
            return Event(n, self.source, line, None, flags=flags, invalid=self._bad("too-long-line"))
        if raw[0] != "{":
            raw = raw.strip(" \t\r\ufeff")
        try:
            row, end = self._decode(raw)
        except (ValueError, RecursionError, MemoryError):
            # not JSON, or an integer of more than 4,300 digits, or a nesting far over MAX_DEPTH
            row = None
            end = -1
        if end != len(raw) and (end < 0 or raw[end:].strip(" \t\r")):
            return Event(n, self.source, line, None, flags=flags, invalid=self._bad("not-json"))
        if raw.count("{") + raw.count("[") > MAX_DEPTH and _too_deep(row):
            return Event(n, self.source, line, None, flags=flags, invalid=self._bad("not-json"))
        if type(row) is not dict:
            return Event(n, self.source, line, None, flags=flags, invalid=self._bad("not-an-object"))
        keys = self._keys
        reason = None
        text = None
        present = False
        for key in keys.text:
            if key in row:
                present = True
                text = row[key]
                if text is not None:
                    break
        if type(text) is not str:
            reason = "not-a-string" if present else "no-text"
            text = None
            if not present and self._without is None:
                self._without = list(row)[:_SHOWN_KEYS]
        else:
            self._found = True
        scope = context = ""
        ts = answer = id = label = session = actor = None
        if len(row) > 1 or not present:
            scope = _string(_first(row, keys.scope)) or ""
            context = _string(_first(row, keys.context)) or ""
            ts = _string(_first(row, keys.ts)) or None
            answer = _string(_first(row, keys.answer)) or None
            id = _string(_first(row, keys.id)) or None
            label = _string(_first(row, keys.label)) or None
            if keys.session:
                session = _string(_first(row, keys.session)) or None
            if keys.actor:
                actor = _string(_first(row, keys.actor)) or None
        event = Event(n, self.source, line, text, scope, context, ts, answer, id, label, flags, None, session, actor)
        if "\\u" in raw:
            _make_safe(event)
        reason = reason or reason_of(event.flags)
        if reason is None and (not text or text.isspace()):
            reason = "empty"
        if reason is not None:
            event.invalid = self._bad(reason)
        return event


class CsvDecoder(Decoder):
    """A header and one record a row (RFC 4180; see `RecordParser`); columns are found by name in any case.

    A row with more cells than the header has is `not-csv`: an unquoted comma would have cut its text.
    """

    __slots__ = ("_columns", "_flags", "_held", "_keys", "_limit", "_max", "_parser", "_start", "_swallowed", "_width")

    def __init__(self, source: str, counts: Counts, keys: Keys, max_line: int, limit: int | None = None) -> None:
        super().__init__(source, counts)
        self._keys = keys
        self._max = max_line
        self._limit = limit  # events of all lanes; a batch is cut to it before, but one quote may hold back many
        self._parser: RecordParser | None = None  # until the header has told the delimiter
        self._columns: list[int] = []
        self._width = 0
        self._start = 0  # line of the record that is open; 0: none is
        self._held = 0  # characters of it
        self._swallowed: list[tuple[str, int]] = []  # its second and later lines, with their flags
        self._flags = 0

    def feed(self, block: Block) -> list[Event]:
        events: list[Event] = []
        counts = self.counts
        parser = self._parser
        for i, raw in enumerate(block.lines):
            self.line += 1
            counts.lines += 1
            if self._start:
                counts.continued += 1
                self._swallowed.append((raw, block.flags.get(i, 0)))
            elif is_blank(raw):
                counts.blank += 1
                continue
            elif parser is None:
                counts.header += 1
                parser = self._parser = self._header(raw)
                continue
            else:
                self._start = self.line
                self._held = self._flags = 0
            assert parser is not None
            self._flags |= block.flags.get(i, 0)
            self._held += len(raw)
            if self._held > self._max or self._flags & CUT:
                self._flags |= CUT
                events += self._broken(parser)
                continue
            row = parser.feed(raw)
            if row is not None:
                self._swallowed.clear()
                events.append(self._event(row))
        return events

    @property
    def has_header(self) -> bool:
        return self._parser is not None

    def adopt_header(self, other: Self) -> None:
        if other._parser is not None:
            self._parser = RecordParser(other._parser.delimiter)
        self._columns = other._columns
        self._width = other._width

    def finish(self) -> list[Event]:
        return self._broken(self._parser) if self._start and self._parser is not None else []

    def _broken(self, parser: RecordParser) -> list[Event]:
        """A record whose quote was never closed: its first line is none, and each line that it swallowed is a row of
        its own. One stray quote must not hide what comes after it."""
        swallowed, self._swallowed = self._swallowed, []
        parser.reset()
        events = [self._event(None)]
        counts = self.counts
        for line, (raw, flags) in enumerate(swallowed, self.line - len(swallowed) + 1):
            if self._limit is not None and counts.events >= self._limit:
                break
            counts.continued -= 1
            if is_blank(raw):
                counts.blank += 1
                continue
            self._start, self._flags = line, flags
            events.append(self._event(None if flags & CUT else parser.feed(raw)))
            parser.reset()
        return events

    def _header(self, raw: str) -> RecordParser:
        if "\r" in raw:
            msg = f"{self.source}:{self.line}: its lines end with CR alone; convert it: tr '\\r' '\\n' < {self.source}"
            raise InputError(msg)
        table = sniff(raw, self._keys.text)
        if table is None:
            msg = (
                f"{self.source}:{self.line}: the CSV header has no column "
                f"{_either(self._keys.text)}; it has: {raw[:200]!r}"
            )
            raise InputError(msg)
        delimiter, names = table
        self._width = len(names)
        keys = self._keys
        order = (
            keys.text, keys.scope, keys.context, keys.ts, keys.answer, keys.id, keys.label, keys.session, keys.actor,
        )  # fmt: skip
        self._columns = [
            next((names.index(name) for name in map(str.lower, wanted) if name in names), -1) for wanted in order
        ]
        # in a table of one column nothing is delimited: an unquoted comma is text
        return RecordParser(delimiter if len(names) > 1 else "\n")

    def _event(self, row: list[str] | None) -> Event:
        counts = self.counts
        counts.events += 1
        n, line, flags = counts.events, self._start, self._flags
        self._start = 0
        if row is None or (len(row) > self._width and any(row[self._width :])):
            fault = self._bad("too-long-line" if flags & CUT else "not-csv")
            return Event(n, self.source, line, None, flags=flags, invalid=fault)
        size = len(row)
        cells = [row[i] if 0 <= i < size else None for i in self._columns]
        text = cells[0]
        reason = "no-text" if text is None else reason_of(flags)
        if reason is None and (not text or text.isspace()):
            reason = "empty"
        if reason is not None:
            self._bad(reason)
        ts, answer, id, label, session, actor = [value or None for value in cells[3:]]
        scope, context = cells[1] or "", cells[2] or ""
        return Event(n, self.source, line, text, scope, context, ts, answer, id, label, flags, reason, session, actor)


def detect(line: str, keys: Keys) -> str:
    """The format that the first line which is not blank speaks for.

    >>> detect('{"text": "hi"}', Keys()), detect("id,Content", Keys()), detect("Hi, content", Keys())
    ('jsonl', 'csv', 'lines')
    """
    if line.lstrip(" \t\ufeff\0").startswith("{"):
        return "jsonl"
    return "csv" if sniff(line, keys.text, certain=True) else "lines"


def is_table(name: str) -> bool:
    """Whether a source is called what CSV files are called."""
    return name.lower().removesuffix(".gz").endswith((".csv", ".tsv"))


def _either(names: tuple[str, ...]) -> str:
    return " or ".join(map(repr, names))


def is_blank(line: str) -> bool:
    """Whether a line has nothing but white space."""
    return not line or line.isspace()


def _first(row: dict[str, object], names: tuple[str, ...]) -> object:
    """The first value that says something: {"scope": "", "user": "bob"} is bob's, not everybody's."""
    for name in names:
        value = row.get(name)
        if value is not None and value != "":
            return value
    return None


def _too_deep(value: object) -> bool:
    level = [value]
    for _ in range(MAX_DEPTH + 1):
        inner: list[object] = []
        for container in level:
            if type(container) is dict:
                inner += container.values()
            elif type(container) is list:
                inner += container
        level = inner
        if not level:
            return False
    return True


def _string(value: object) -> str | None:
    """Strings as they are, numbers in decimal, everything else as JSON with sorted keys."""
    if value is None or type(value) is str:
        return value
    if type(value) is int:
        return str(value)
    import json

    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def _make_safe(event: Event) -> None:
    """Only a JSON escape brings in half a surrogate pair, or a NUL that no byte showed."""
    for name in ("text", "scope", "context", "ts", "answer", "id", "label", "session", "actor"):
        value = getattr(event, name)
        if value is None:
            continue
        if "\0" in value:
            event.flags |= NUL
        if value.isascii():
            continue
        try:
            value.encode()
        except UnicodeEncodeError:
            # UTF-16 keeps whole pairs, and has one code unit, so one replacement, for each half
            setattr(event, name, value.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace"))
            event.flags |= SURROGATE


def reason_of(flags: int) -> str | None:
    """The reason that the flags of an event are, if any."""
    if flags & CUT:
        return "too-long-line"
    if flags & (BAD_UTF8 | SURROGATE):
        return "not-utf8"
    return "nul" if flags & NUL else None
