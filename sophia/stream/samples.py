"""Sensors: CSV rows of a time and numbers to events."""

from __future__ import annotations

from sophia.errors import InputError
from sophia.organs.sensors import sample_text
from sophia.store.sensor_table import CHANNELS, Sample
from sophia.stream.event import CUT, PLAIN, Event
from sophia.stream.formats import Decoder, Keys, is_blank, reason_of
from sophia.stream.table import DELIMITERS, RecordParser

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Self

    from sophia.stream.blocks import Block
    from sophia.stream.counts import Counts

__all__ = ["SampleDecoder"]

_TIMES = ("datetime", "date")  # beside the usual names of a time
_GAPS = ("", "nan", "na", "n/a", "null", "none", "-")
_SHOWN = 80
_NAN = float("nan")


class SampleDecoder(Decoder):
    """One row, one sample: a time, and a number a channel.

    The first line names the columns; where it has numbers itself, the first of several columns is the time. Of the
    others each is a channel that has no other use by its name (time, scope, sensor, id, label), or those that
    `keys.value` names. What the first row has in a channel must be a number or a gap; a later row in which that is not
    so is `not-a-number`, and a gap for all its channels. Where no column names the sensor it is the source.
    """

    __slots__ = ("_adopted", "_channels", "_columns", "_keys", "_names", "_parser", "_places")

    def __init__(self, source: str, counts: Counts, keys: Keys) -> None:
        super().__init__(source, counts)
        self._keys = keys
        self._adopted = False  # and no row yet that shows whether that is right
        self._parser: RecordParser | None = None  # until the first line has told the delimiter
        self._names: list[str] | None = None  # of the columns; None until there is a header, [] where there is none
        self._channels: tuple[str, ...] = ()
        self._places: list[int] = []  # columns of the channels, once the first row has told
        self._columns: list[int] = []  # of time, scope, sensor, id, label

    @property
    def has_header(self) -> bool:
        return bool(self._places)

    def adopt_header(self, other: Self) -> None:
        self._adopted = True
        self._parser = None if other._parser is None else RecordParser(other._parser.delimiter)
        self._names, self._channels = other._names, other._channels
        self._places, self._columns = other._places, other._columns

    def feed(self, block: Block) -> list[Event]:
        events: list[Event] = []
        counts = self.counts
        for i, raw in enumerate(block.lines):
            self.line += 1
            counts.lines += 1
            if is_blank(raw):
                counts.blank += 1
                continue
            parser = self._parser or self._delimited(raw)
            flags = block.flags.get(i, 0) if block.flags else 0
            row = None if flags & CUT else parser.feed(raw)
            parser.reset()
            if row is not None and self._is_header(row):
                counts.header += 1
                continue
            if row is not None and not self._places:
                self._lay_out(row)
            events.append(self._event(row, flags))
        return events

    def _delimited(self, raw: str) -> RecordParser:
        if raw.lstrip(" \ufeff").startswith("{"):
            message = f"{self.source}:{self.line}: this is JSON; --format sensor reads CSV: a time, then numbers"
            raise InputError(message)
        if "\r" in raw:
            message = (
                f"{self.source}:{self.line}: its lines end with CR alone; convert it: tr '\\r' '\\n' < {self.source}"
            )
            raise InputError(message)
        self._parser = RecordParser(max(DELIMITERS, key=raw.count))
        return self._parser

    def _is_header(self, row: list[str]) -> bool:
        """Whether it names columns: the first line does so where it has no number, a later one if it is the same, and
        the first one under an adopted header where it has words in all channels."""
        if self._adopted:
            self._adopted = False
            if all(place >= len(row) or _number(row[place]) is None for place in self._places):
                self._names, self._places = None, []
        if self._names and row[0].strip() != self._names[0]:
            return False
        names = [cell.strip().removeprefix("\ufeff") for cell in row]
        if self._names is None:
            if any(value is not None and value == value for value in map(_number, names)):  # a name may be a gap
                self._names = []
                return False
            self._names = names
            return True
        return bool(self._names) and names == self._names

    def _lay_out(self, row: list[str]) -> None:
        """Which columns are what."""
        keys, names = self._keys, [name.lower() for name in self._names or ()]
        if not names and len(row) > 1:
            names = [keys.ts[0], *(f"value{i}" for i in range(1, len(row)))] if len(row) > 2 else [keys.ts[0], "value"]
        names = names or ["value"]
        known = [
            next((names.index(name) for name in map(str.lower, wanted) if name in names), -1)
            for wanted in ((*keys.ts, *_TIMES), keys.scope, keys.sensor, keys.id, keys.label)
        ]
        cells = [*row, *[""] * (len(names) - len(row))]
        if known[0] < 0 and len(names) > 1 and _number(cells[0]) is None:
            known[0] = 0  # whatever it is called: the index of a table
        if keys.value:
            missing = [name for name in keys.value if name.lower() not in names]
            if missing:
                problem = f"there is no column {missing[0]!r}"
                raise self._no_column(problem, names)
            places = [names.index(name.lower()) for name in keys.value]
        else:
            places = [i for i in range(len(names)) if i not in known]
        if not places:
            problem = "there is no column of numbers"
            raise self._no_column(problem, names)
        for place in places:
            if _number(cells[place]) is None:
                problem = f"column {names[place]!r} holds {cells[place]!r:.{_SHOWN}}, no number"
                raise self._no_column(problem, names)
        if len(places) > CHANNELS:
            problem = f"{len(places):,} columns of numbers are more than {CHANNELS:,}"
            raise self._no_column(problem, names)
        shown = self._names or names
        self._places, self._columns = places, known
        self._channels = tuple(shown[place] or f"column{place + 1}" for place in places)

    def _no_column(self, what: str, names: list[str]) -> InputError:
        shown = ", ".join(names)
        return InputError(
            f"{self.source}:{self.line}: {what}; --value-key NAME says which columns are numbers, of {shown:.{_SHOWN}}"
        )

    def _event(self, row: list[str] | None, flags: int) -> Event:
        counts = self.counts
        counts.events += 1
        n, reason = counts.events, reason_of(flags)
        sample: Sample | None
        if row is None:
            fault, sample = self._bad(reason or "not-csv"), self._gap(self.source)
            return Event(n, self.source, self.line, None, flags=flags | PLAIN, invalid=fault, sample=sample)
        size = len(row)
        ts, scope, sensor, id, label = [row[i].strip() or None if 0 <= i < size else None for i in self._columns]
        name = self.source if sensor is None else sensor
        values = [_number(row[place]) if place < size else _NAN for place in self._places]
        numbers = tuple([value for value in values if value is not None])
        if reason is None and len(numbers) < len(values):
            reason = "not-a-number"
        if reason is None and self._names and size > len(self._names):
            reason = "not-csv"
        if reason is None:
            sample = Sample(name, self._channels, numbers)
            text = sample_text(sample, named=sensor is not None)
        else:
            self._bad(reason)
            sample, text = self._gap(name), ",".join(row)
        scope = scope or ""
        return Event(
            n, self.source, self.line, text, scope, "", ts, None, id, label, flags | PLAIN, reason, sample=sample
        )

    def _gap(self, sensor: str) -> Sample | None:
        channels = self._channels
        return Sample(sensor, channels, (_NAN,) * len(channels)) if channels else None


def _number(cell: str) -> float | None:
    """What a cell says: a finite number, NaN for a gap, None for what is neither. A comma may stand for the point."""
    try:
        value = float(cell)
    except ValueError:
        text = cell.strip().lower()
        if text in _GAPS:
            return _NAN
        if text.count(",") != 1 or "." in text:
            return None
        try:
            value = float(text.replace(",", "."))
        except ValueError:
            return None
    if "_" in cell or value in (float("inf"), -float("inf")):
        return None
    return value
