"""Sensors: CSV rows of a time and numbers to events."""

from __future__ import annotations

from sophia.errors import InputError
from sophia.names import bounded
from sophia.organs.sensors import sample_text
from sophia.store.sensor_table import CHANNELS, Sample
from sophia.stream.event import CUT, PLAIN, Event
from sophia.stream.formats import Decoder, Keys, is_blank, reason_of
from sophia.stream.table import RecordParser

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn, Self

    from sophia.stream.blocks import Block
    from sophia.stream.counts import Counts

__all__ = ["SampleDecoder"]

_DATES = ("date", "datum")
_CLOCKS = ("time", "uhrzeit")  # the time of day, where a date has a column of its own
_TIMES = ("datetime", *_DATES, *_CLOCKS)  # beside the usual names of a time
_INDEX = ("", "unnamed: 0", "index")  # a first column of whole numbers that is so called is the index of a table
_GAPS = ("", "nan", "na", "n/a", "#n/a", "#na", "n.a.", "null", "none", "-", "?")
_VALUES = "--value-key NAME says which are numbers"
_SHOWN = 80
_NAN = float("nan")


class SampleDecoder(Decoder):
    """One row, one sample: a time, and a number a channel.

    The first line names the columns; where it has numbers itself, the first of several columns is the time. Of the
    others each is a channel that has no other use by its name (time, scope, sensor, id, label), or those that
    `keys.value` names; a date and a time of day in two columns are one time. What the first row has in a channel must
    be a number or a gap; a later row in which that is not so is `not-a-number`, one of another width `not-csv`: a gap
    for all its channels. Where no column names the sensor it is `keys.named`, or else the source. A header that comes
    again is passed over; the rows after one with other names, or the same in another order, have those.
    """

    __slots__ = (
        "_adopted",
        "_channels",
        "_clock",
        "_columns",
        "_fault",
        "_keys",
        "_names",
        "_parser",
        "_places",
        "_times",
        "_width",
    )

    def __init__(self, source: str, counts: Counts, keys: Keys) -> None:
        super().__init__(source, counts)
        self._keys = keys
        self._times = {name.lower() for name in (*keys.ts, *_TIMES)}
        self._adopted = False  # and no row yet that shows whether that is right
        self._parser: RecordParser | None = None  # until the first line has told the delimiter
        self._names: list[str] | None = None  # of the columns; None until there is a header, [] where there is none
        self._width = 0
        self._channels: tuple[str, ...] = ()
        self._places: list[int] = []  # columns of the channels, once the first row has told
        self._columns: list[int] = []  # of time, scope, sensor, id, label
        self._clock = -1  # the column of the time of day where the other has the date alone
        self._fault: InputError | None = None  # of a later header, when what stands before it was handed out

    @property
    def has_header(self) -> bool:
        return self._names is not None

    def adopt_header(self, other: Self) -> None:
        self._adopted = True
        self._names, self._channels, self._width = other._names, other._channels, other._width
        self._places, self._columns, self._clock = other._places, other._columns, other._clock

    def feed(self, block: Block) -> list[Event]:
        if self._fault is not None:
            raise self._fault
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
                try:
                    self._lay_out(row)
                except InputError as error:
                    if not events:
                        raise
                    self._fault = error
                    break
            events.append(self._event(row, flags))
        return events

    def finish(self) -> list[Event]:
        if self._fault is not None:
            raise self._fault
        return []

    def _delimited(self, raw: str) -> RecordParser:
        if raw.lstrip(" \ufeff").startswith("{"):
            message = f"{self.source}:{self.line}: this is JSON; --format sensor reads CSV: a time, then numbers"
            raise InputError(message)
        if "\r" in raw:
            message = (
                f"{self.source}:{self.line}: its lines end with CR alone; convert it: tr '\\r' '\\n' < {self.source}"
            )
            raise InputError(message)
        plain = "".join(raw.split('"')[::2])  # what is not quoted
        # a comma may be in a number, the others in a name at most
        delimiter = max(";\t", key=plain.count)
        self._parser = RecordParser(delimiter if delimiter in plain else ",")
        return self._parser

    def _is_header(self, row: list[str]) -> bool:
        """Whether it names columns: the first line does so where it has no number, or begins with the name of a time; a
        later one if it has the names that are known, or begins with the name of a time and has no number."""
        known, first = self._names, row[0].strip().removeprefix("\ufeff")
        is_time = first.lower() in self._times
        if known is not None and not self._adopted and not is_time and first not in known:
            return False
        names = [cell.strip().removeprefix("\ufeff") for cell in row]
        if known is None or (self._adopted and names != known):
            self._adopted = False
            if not is_time and not all(map(_is_word, names)):
                self._names = [] if known is None else known
                return False
            self._begin(names)
            return True
        self._adopted = False
        if names == known:
            return True
        if sorted(names) != sorted(known) and not (is_time and len(names) > 1 and all(map(_is_word, names))):
            return False
        self._begin(names)
        return True

    def _begin(self, names: list[str]) -> None:
        """Other columns from the next row on."""
        self._names, self._places, self._channels, self._width = names, [], (), len(names)

    def _lay_out(self, row: list[str]) -> None:
        """Which columns are what."""
        keys, usual, shown = self._keys, Keys(), self._names
        if not shown:
            values = [f"value{i}" for i in range(1, len(row))] if len(row) > 2 else ["value"]
            shown = [keys.ts[0], *values] if len(row) > 1 else ["value"]
            self._width = len(row)
        names = [name.lower() for name in shown]
        known = [
            next((names.index(name) for name in map(str.lower, wanted) if name in names), -1)
            for wanted in ((*keys.ts, *_TIMES), keys.scope, keys.sensor, keys.id, keys.label)
        ]
        for place, wanted, common, flag in (
            (known[1], keys.scope, usual.scope, "--scope-key NAME says which is the scope"),
            (known[2], keys.sensor, usual.sensor, "--sensor-key NAME says which is the name of the sensor"),
            (known[4], keys.label, usual.label, "--label-key NAME says which is the label"),
        ):
            if place < 0 and wanted != common:
                self._refuse(f"there is no column {' or '.join(map(repr, wanted))}", shown, flag)
        cells = [*row, *[""] * (len(names) - len(row))]
        self._clock = -1
        date, clock = (next((names.index(name) for name in of if name in names), -1) for of in (_DATES, _CLOCKS))
        if keys.ts == usual.ts and date >= 0 and clock >= 0 and known[0] in (date, clock):
            known[0] = date
            if names[clock] not in map(str.lower, keys.value):
                self._clock = clock
        index = -1
        if len(names) > 1 and 0 not in known and names[0] not in map(str.lower, keys.value):
            if names[0] in _INDEX and cells[0].strip().removeprefix("-").isdecimal():
                index = 0  # the time, unless another column is: pandas writes it beside all columns
            if known[0] < 0 and (index == 0 or _number(cells[0]) is None or not (names[0] or cells[0].strip())):
                known[0] = 0  # whatever it is called: what rows are found by
        if keys.value:
            missing = [name for name in keys.value if name.lower() not in names]
            if missing:
                each = " and ".join(f"--value-key {name}" for name in missing[0].split(","))
                several = f"give the flag for each: {each}; {_VALUES}" if "," in missing[0] else _VALUES
                self._refuse(f"there is no column {missing[0]!r:.{_SHOWN}}", shown, several)
            places = [i for wanted in keys.value for i, name in enumerate(names) if name == wanted.lower()]
        else:
            places = [i for i in range(len(names)) if i not in known and i not in (index, self._clock)]
        if not places:
            self._refuse("there is no column of numbers", shown)
        for place in places:
            if _number(cells[place]) is None:
                self._refuse(f"column {shown[place]!r} holds {cells[place]!r:.{_SHOWN}}, no number", shown)
        if len(places) > CHANNELS:
            self._refuse(f"{len(places):,} columns of numbers are more than {CHANNELS:,}", shown)
        self._places, self._columns = places, known
        self._channels = _told_apart([bounded(shown[place]) or f"column{place + 1}" for place in places])

    def _refuse(self, what: str, names: list[str], flag: str = _VALUES) -> NoReturn:
        shown = ", ".join(names)
        message = f"{self.source}:{self.line}: {what}; {flag}, of {shown:.{_SHOWN}}"
        raise InputError(message)

    def _event(self, row: list[str] | None, flags: int) -> Event:
        counts = self.counts
        counts.events += 1
        n, reason = counts.events, reason_of(flags)
        sample: Sample | None
        if row is None:
            fault, sample = self._bad(reason or "not-csv"), self._gap(bounded(self._keys.named or self.source))
            return Event(n, self.source, self.line, None, flags=flags | PLAIN, invalid=fault, sample=sample)
        size = len(row)
        ts, scope, sensor, id, label = [row[i].strip() or None if 0 <= i < size else None for i in self._columns]
        if ts and 0 <= self._clock < size:
            ts = _joined(ts, row[self._clock].strip())
        name = bounded(sensor or self._keys.named or self.source)
        values = [_number(row[place]) if place < size else _NAN for place in self._places]
        numbers = tuple([value for value in values if value is not None])
        if reason is None and len(numbers) < len(values):
            reason = "not-a-number"
        if reason is None and (size < self._width or any(row[self._width :])):
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


def _is_word(cell: str) -> bool:
    """Whether a cell can name a column: it is no number, and no time of numbers."""
    value = _number(cell)
    return (value is None or value != value) and not cell[:1].isdigit()


def _joined(date: str, clock: str) -> str:
    """A date with the time of day that stands beside it; the date alone where it has one itself, or that is none.

    >>> _joined("2024-01-01", "10:00"), _joined("2024-01-01 10:00", "10:00"), _joined("2024-01-01", "7")
    ('2024-01-01 10:00', '2024-01-01 10:00', '2024-01-01')
    """
    is_time = ":" in clock or (clock.count(".") == 2 and clock[:1].isdigit())  # 17.24.00 is no number
    return f"{date} {clock}" if is_time and ":" not in date else date


def _told_apart(names: list[str]) -> tuple[str, ...]:
    """Names of which no two are the same."""
    made: list[str] = []
    taken = set(names)
    for name in names:
        new, number = name, 2
        while new in made or (new != name and new in taken):
            new, number = f"{name} ({number})", number + 1
        made.append(new)
    return tuple(made)


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
