"""Event times as seconds since 1970, found in what inputs bring: a `ts` field, or a log line.

Only the text counts: no clock, locale or TZ is asked, and what names no zone is UTC. A form without a year begins in
1972, one with only a time of day on day 0, and seconds since boot stay what they are: there only differences mean
something.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from functools import cache, lru_cache

from sophia.errors import StoreCorrupt
from sophia.names import LENGTH, bounded
from sophia.organs.moment_forms import BORDER, FORMS, HOURS, MINUTES, SECONDS, STAMPS, YEAR, Form, offset

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Fit = Callable[[str, int, int], re.Match[str] | None]

__all__ = ["DATED", "Moments"]

DATED = 400_000_000.0
"""From so many seconds on a time has a year: before 1982 are those that name none, or no day."""

# Sources whose form is held, about 2 kB each, 15 kB at most.
_SOURCES = 256
# A time begins within so many characters of a line, and ends within so many: the cost of a line is bounded by that.
_REACH = 120
_END = 168
# Lines that fit before a form is sure; lines in a row that a sure form does not fit before another may replace it.
_SURE = 4
_PATIENCE = 16
_TURNS = 8  # a source that changes its form more often is looked at every 16 lines: a new place costs a millisecond
# Lines in a row that have a number such as 1700000000 in the same place before it is taken for a time.
_VOTES = 3
# What came after the times of a source, as far as it is remembered: about 100 bytes each.
_LIKES = 128
_NAN = float("nan")
_FAR = 1e13  # seconds; no form says more
_EPOCH = FORMS["epoch"]
# What ends a time for sure, but for what after a blank still belongs to it.
_ENDS = frozenset(" ,;]})\"'|\t\rZ")
_ON = frozenset(["AM", "PM", "Am", "Pm", "aM", "pM", "am", "pm", "+0", "+1", "-0", "-1"])
# Where a time is: behind so many words, in its word after nothing, after signs or after anything; or behind a key.
_PLACE = re.compile(r"(\d{1,2})([\[*]?)", re.ASCII)
_KEY = re.compile(
    r"""(?<!\w)["']?(?:@?timestamp|time|Time|ts|t|date|datetime|asctime|eventTime)["']?[:=] ?["']?\Z""", re.ASCII
)
_LEADS = {"": "", "[": r"[!-/:-@\[-^`{-~]{1,3}", "*": rf"\S{{0,{_REACH}}}?{BORDER}"}
_WORD = re.compile(r"\S++")  # as str.split has them
# What every time has, but for the bare numbers, and what those have.
_TIMELY = re.compile(r"\d(?::\d|\.\d\d\.\d\d|\d{5} {1,2}\d|\d{7}[-T _]\d|\.\d{6}\])", re.ASCII)
_TEN = re.compile(r"[12]\d{9}", re.ASCII)
_NUMBER = re.compile(r"(?:0|[1-9]\d{0,18})(\.\d{1,9})?", re.ASCII)


class _Track:
    """A source: the form of its times and their place, and the last of them."""

    __slots__ = (
        "afters", "alike", "base", "clocks", "day", "ends", "fit", "form", "head", "hits", "hour", "hours", "lap",
        "last", "misses", "number", "part", "period", "place", "second", "stop", "tail", "turns", "until", "vote",
        "votes", "words",
    )  # fmt: skip

    def __init__(self, form: Form | None = None, place: str = "0", fit: Fit = _WORD.match) -> None:
        self.form, self.place, self.fit = form, place, fit
        self.period = form.period if form else 0
        at = _PLACE.fullmatch(place)
        self.words = int(at[1]) if at else 0
        self.alike = form is not None and form.quick and at is not None and at[2] != "*"
        self.hits = self.misses = self.lap = 0
        self.turns = 0  # forms that were taken one after the other, none of which was sure
        self.last = _NAN  # compares as neither before nor after
        self.vote, self.votes, self.number = "0", 0, 0.0
        self.day: str | None = None
        self.tail: str | None = None
        self.base, self.hours = 0.0, HOURS
        # How the last texts of this day were written, each up to where the next begins: what is before the hour; hours
        # and minutes; seconds; their fraction; what is after it. None where the like may mean something else.
        self.head: str | None = None
        self.hour = self.second = self.part = self.stop = self.until = 0
        self.clocks: dict[str, int] = form.clocks if form else {}
        self.ends: dict[str, int] = {}
        self.afters: set[str] = set()

    def read(self, text: str) -> float | None:
        """The time of a text in this form, else None. About 0.5 us for one that is written as those before."""
        if self.words:
            words = text[:_END].split(None, self.words)
            if len(words) <= self.words:
                return None
            text = words[-1]
        if text[: self.hour] == self.head:
            try:
                part, stop = self.part, self.stop
                value: float = (
                    self.base + self.clocks[text[self.hour : self.second]] + self.ends[text[self.second : part]]
                )
                if text[stop : self.until] in self.afters:
                    if part == stop:
                        return self._unwound(value) if self.period else value
                    digits = text[part:stop]
                    if digits.isascii() and digits.isdigit():
                        value += float("." + digits)
                        return self._unwound(value) if self.period else value
            except KeyError:
                pass
        found = self.fit(text, 0, _END)
        form = self.form
        if found is None or form is None:
            return None
        day, hour, minute, second, fraction, tail = found.groups()
        if day != self.day or tail != self.tail:
            self._turn(form, day, tail)
        try:
            value = self.base + self.hours[hour] + MINUTES[minute] + SECONDS[second]
        except KeyError:
            return None
        if self.alike and self.hours is HOURS:
            self._liken(text, found)
        if fraction:
            value += int(fraction) / 1000 if form.milli and len(fraction) <= 3 else float("." + fraction)
        return self._unwound(value) if self.period else value

    def _turn(self, form: Form, day: str, tail: str | None) -> None:
        """Another day or zone; one that no calendar has leaves no hours to find."""
        if tail != self.tail:
            self.afters = set()
        self.day, self.tail, self.head = day, tail, None
        base = form.read(day, tail)
        less, self.hours = offset(tail) if tail else (0, HOURS)
        self.base = 0.0 if base is None else float(base - less + self.lap * self.period)
        if base is None:
            self.hours = {}

    def _liken(self, text: str, found: re.Match[str]) -> None:
        """Keeps how a text is written, where a next one that is written so can only mean the like."""
        end = found.end(6) if self.tail else found.end()
        until = end + 3
        after = text[end:until]
        if after[:1] not in _ENDS or until > _END or (not self.tail and after[1:] in _ON):
            return
        if after[:1] == "," and not after[1:2].isalpha() and after[1:2] != " ":
            return  # a fraction may follow
        if self.form is not None and self.form.milli and len(found[5] or "000") < 3:
            return
        hour, second = found.start(2), found.start(4) if found[4] else found.end(3)
        stop = found.end(5) if found[5] else found.end(4) if found[4] else second
        part = found.start(5) if found[5] else stop
        layout = second, part, stop, until
        if layout != (self.second, self.part, self.stop, self.until) or hour != self.hour:
            self.hour, (self.second, self.part, self.stop, self.until) = hour, layout
            self.ends, self.afters = {}, set()
        if len(self.afters) >= _LIKES:
            self.afters.clear()
        self.head = text[:hour]
        self.clocks[text[hour:second]] = self.hours[found[2]] + MINUTES[found[3]]
        self.ends[text[second:part]] = SECONDS[found[4]]
        self.afters.add(text[stop:until])

    def _unwound(self, value: float) -> float:
        """A time of a form that begins anew: far before the last one, it is of the next year or day.

        Nearly a whole year or day after it, it is a late line of the one before: 7.6 days or 30 minutes at most.
        """
        period = self.period
        step = value - self.last
        if step < -period / 2 or step > period - period / 48:
            turn = 1 if step < 0 else -1
            self.lap += turn
            self.base += turn * period
            value += turn * period
        self.last = value
        return value


class Moments:
    """Event times of texts. Not thread-safe.

    Holds the form of 256 sources; the one that was used longest ago makes room. `state` is what another one goes on
    from, as JSON has it; StoreCorrupt where it cannot be read.
    """

    def __init__(self, state: object = None) -> None:
        self._tracks: OrderedDict[str, _Track] = OrderedDict()
        self._name: str | None = None
        self._one = _Track()
        self._stamps = [_Track(form, "0*", _whole(form.keep)) for form in STAMPS]
        if state is not None:
            self._restore(state)

    def of_stamp(self, ts: str | None) -> float | None:
        """The time of a `ts` field: ISO 8601 with date and time, or a number since 1970; None for all else.

        A number counts seconds below 1e11, milliseconds below 1e14, microseconds below 1e17, else nanoseconds; it has
        no sign, exponent or leading zero. About 1.5 us.
        """
        if not ts or len(ts) > 48:
            return None
        found = None if ts[4:5] == "-" else _NUMBER.fullmatch(ts)
        if found is not None:
            number = float(ts) if found[1] else int(ts)
            return number / (1 if number < 1e11 else 10**3 if number < 1e14 else 10**6 if number < 1e17 else 10**9)
        value = self._stamps[0].read(ts)
        return self._stamps[1].read(ts) if value is None else value

    def of_line(self, source: str, text: str) -> float | None:
        """The time of a log line, 0.6 to 1.8 us by its form; None for one without, such as those of a stack trace.

        The form and its place (behind how many words, or which key) are found from the first lines of each source. A
        date with a time of day is believed at once, a time of day only at the beginning of a line. A bare number such
        as 1700000000 must be at the same place of three lines in a row, further in as three different numbers within
        two years of each other: in prose it may be of a telephone. Another form is taken after 16 lines in a row that
        the first one does not fit. Looking costs about 25 us a line, 1 to 4 us for one without digits like a time's.
        """
        one = self._one if source == self._name else self._turn(source)
        value = one.read(text)
        if value is None:
            return self._miss(one, text)
        if one.misses or one.hits < _SURE:
            one.misses = 0
            one.hits = min(one.hits + 1, _SURE)
        return value

    @staticmethod
    def names_time(text: str) -> bool:
        """Whether a line that `of_line` reads no time of may name one nevertheless, in another form. About .5 us."""
        return _TIMELY.search(text, 0, _END) is not None

    def state(self) -> list[list[Any]]:
        """All that the answers to further lines depend on, for JSON: about 100 bytes a source and its name."""
        return [
            [
                name, one.form.name if one.form else None, one.place, one.hits, one.misses, one.lap, one.turns,
                None if one.last != one.last else one.last, one.vote, one.votes, one.number,
            ]
            for name, one in self._tracks.items()
        ]  # fmt: skip

    def _restore(self, state: Any) -> None:
        try:
            for name, form, place, hits, misses, lap, turns, last, vote, votes, number in state[-_SOURCES:]:
                counts = (hits, misses, lap, votes, turns)
                if not (
                    type(name) is str
                    and len(name) <= LENGTH
                    and all(type(count) is int and abs(count) < 1 << 20 for count in counts)
                    and all(abs(float(at)) < _FAR for at in (last or 0.0, number))
                    and all(type(at) is str and (_PLACE.fullmatch(at) or _KEY.fullmatch(at)) for at in (place, vote))
                ):
                    raise ValueError(str(name)[:40])
                one = _Track() if form is None else _track(FORMS[form], place)
                one.hits, one.misses, one.lap, one.votes, one.turns = counts
                one.last = _NAN if last is None else float(last)
                one.vote, one.number = vote, float(number)
                self._tracks[name] = one
        except (ValueError, TypeError, KeyError, AttributeError, OverflowError) as error:
            message = f"the state of the times cannot be read ({error})"
            raise StoreCorrupt(message) from error

    def _turn(self, source: str) -> _Track:
        """The source that a line is of."""
        self._name = source
        if len(source) > LENGTH:
            self._name, source = None, bounded(source)
        one = self._tracks.get(source)
        if one is None:
            one = self._tracks[source] = _Track()
            if len(self._tracks) > _SOURCES:
                self._tracks.popitem(last=False)
        else:
            self._tracks.move_to_end(source)
        self._one = one
        return one

    def _miss(self, one: _Track, text: str) -> float | None:
        """A line that the form of its source does not fit: looks for another where that one is not sure."""
        one.misses = min(one.misses + 1, _PATIENCE)
        kept = one.form is not None and one.misses < _PATIENCE
        if kept and (one.hits >= _SURE or one.turns > _TURNS):
            return None
        found = _look(text)
        if found is None:
            return None if kept else self._vote(one, text)
        one.votes = 0
        form, place = found
        # What stands at the beginning of lines is not given up for what one of them says further in.
        if kept and _first(one.place) and not _first(place):
            return None
        return self._adopt(one, form, place, text)

    def _vote(self, one: _Track, text: str) -> float | None:
        """A number that may be a time, where lines have it at the same place."""
        start = _start(_EPOCH, text) if _TEN.search(text, 0, _END) else -1
        place = _place(text, start)
        value = None if start < 0 else _track(_EPOCH, place).read(text)
        if value is None:
            one.votes = 0
            return None
        if not one.votes or place != one.vote or abs(value - one.number) > 2 * YEAR:
            one.votes = 1
        elif _first(place) or value != one.number:
            one.votes += 1
        one.vote, one.number = place, value
        return self._adopt(one, _EPOCH, place, text) if one.votes >= _VOTES else None

    def _adopt(self, one: _Track, form: Form, place: str, text: str) -> float | None:
        new = _track(form, place)
        if one.period == form.period:
            new.lap, new.last = one.lap, one.last
        new.turns = one.turns + 1 if one.hits < _SURE else 0
        value = new.read(text)
        if value is not None:  # else a day that no calendar has
            new.hits = 1
            self._tracks[next(reversed(self._tracks))] = self._one = new
        return value


def _track(form: Form, place: str) -> _Track:
    return _Track(form, place, _fit(form.name, place.lstrip("0123456789")))


def _look(text: str) -> tuple[Form, str] | None:
    """The form and place of the first time in a text that has a date, or a time of day at its beginning."""
    if not _TIMELY.search(text, 0, _END):
        return None
    first, best = _REACH, None
    for form in FORMS.values():
        if form is not _EPOCH:
            start = _start(form, text)
            if 0 <= start < first:
                first, best = start, form
    return None if best is None else (best, _place(text, first))


def _start(form: Form, text: str) -> int:
    """Where a time of a form begins, at most 120 characters in; -1 for nowhere."""
    seek, border = _seeks(form.name)
    start = -1
    while True:
        found = seek.search(text, start + 1, _END)
        start = -1 if found is None else found.start("at")
        if not 0 <= start < _REACH:
            return -1
        if border.match(text, start):
            return start


@cache
def _seeks(name: str) -> tuple[re.Pattern[str], re.Pattern[str]]:
    """What finds a form in a line, about 0.5 ms to make, and what must be before it: apart, for that is faster."""
    form = FORMS[name]
    head = r"\A\s*+(?:<\d{1,3}>)?[^\w\s]{0,3}" if form.head else ""
    return re.compile(rf"{head}(?P<at>{form.seek})", re.ASCII), re.compile(BORDER, re.ASCII)


def _place(text: str, start: int) -> str:
    """Where in a text something is that begins at `start`: behind so many words or, better, behind a key."""
    key = _KEY.search(text, 0, max(start, 0))
    if key is not None:
        return key[0]
    words = [word.span() for word in _WORD.finditer(text, 0, max(start, 0))]
    if not words or words[-1][1] < start:
        return str(len(words))
    lead = text[words[-1][0] : start]
    return f"{len(words) - 1}{'*' if len(lead) > 3 or re.search('[^!-/:-@[-^`{-~]', lead) else '['}"


def _first(place: str) -> bool:
    """Whether a place is the beginning of a line or has a key."""
    return place[0] == "0" or not place[0].isdecimal()


@lru_cache(512)
def _fit(name: str, lead: str) -> Fit:
    """What reads a form behind a lead or key, about 1 ms to make."""
    keep = FORMS[name].keep
    if lead not in _LEADS:
        return re.compile(re.escape(lead) + keep, re.ASCII).search
    return re.compile(rf"(?u:\s*+){_LEADS[lead]}{keep}", re.ASCII).match


@cache
def _whole(keep: str) -> Fit:
    return re.compile(keep, re.ASCII).fullmatch
