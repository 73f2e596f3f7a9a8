"""The closed table of forms that times have in logs; :mod:`sophia.organs.moments` finds and reads them."""

from __future__ import annotations

import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    Read = Callable[[str, str | None], int | None]
    Hours = dict[str | None, int]

__all__ = ["BORDER", "DAY", "FORMS", "HOURS", "MINUTES", "SECONDS", "YEAR", "Form", "offset"]

DAY = 86_400
# Years of forms that name none have 366 days each, as 1972: any of them may be a leap year, and February 29 is read.
YEAR = 366 * DAY
_1972 = 730 * DAY
_BEFORE = (0, 0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334)  # days before a month of a common year
_ORDER = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec"

_TWO: Hours = {text: n for n in range(60) for text in (str(n), f"{n:02}")}
HOURS: Hours = {"": 0, **{text: n * 3600 for text, n in _TWO.items() if n < 24}}
_HOURS_12: Hours = {text: n % 12 * 3600 for text, n in _TWO.items() if 1 <= n <= 12}
MINUTES: Hours = {"": 0, **{text: n * 60 for text, n in _TWO.items()}}
# A leap second is the first of the next minute, as POSIX has it. Some forms leave the seconds out.
SECONDS: Hours = {"": 0, None: 0, "60": 60, **_TWO}


def _days(year: int | None, month: int, day: int) -> int | None:
    """The seconds of a date since 1970, None for one that no calendar has; without a year, of 1972."""
    leap = year is None or (year % 4 == 0 and (year % 100 != 0 or year % 400 == 0))
    if not 1 <= month <= 12 or year == 0:
        return None
    last = 31 if month == 12 else _BEFORE[month + 1] - _BEFORE[month] + (leap and month == 2)
    if not 1 <= day <= last:
        return None
    of_year = _BEFORE[month] + (leap and month > 2) + day - 1
    if year is None:
        return _1972 + of_year * DAY
    before = year - 1
    return (before * 365 + before // 4 - before // 100 + before // 400 - 719_162 + of_year) * DAY


def _parts(day: str) -> list[int]:
    """The three numbers of a day, whatever is between them."""
    parts = re.findall(r"\d+", day, re.ASCII)
    return [int(part) for part in (parts if len(parts) == 3 else (day[:-4], day[-4:-2], day[-2:]))]


def _number(day: str, _tail: str | None) -> int:
    return int(day or 0)


def _ymd(day: str, _tail: str | None) -> int | None:
    return _days(*_parts(day))


def _short(day: str, _tail: str | None) -> int | None:
    year, month, date = _parts(day)
    return _days(year + (2000 if year < 69 else 1900), month, date)  # as POSIX has it


def _dmy(day: str, _tail: str | None) -> int | None:
    date, month, year = _parts(day)
    return _days(year, month, date)


def _mdy(day: str, _tail: str | None) -> int | None:
    month, date, year = _parts(day)
    return _days(year, month, date)


def _md(day: str, _tail: str | None) -> int | None:
    return _days(None, int(day[:2]), int(day[-2:]))


def _named(day: str, _tail: str | None) -> int | None:
    date, *year = re.findall(r"\d+", day, re.ASCII)
    month = re.search(r"[A-Z][a-z][a-z]", day)
    at = _ORDER.find(month[0]) if month else -1
    return _days(int(year[0]) if year else None, at // 4 + 1, int(date))


def _ctime(day: str, tail: str | None) -> int | None:
    return _named(day + (tail or "")[-5:], None)


def offset(tail: str | None) -> tuple[int, Hours]:
    """What a zone, or AM or PM, takes from a time, and which hours it has."""
    if not tail:
        return 0, HOURS
    half = tail.strip().upper()
    if half in ("AM", "PM"):
        return (-12 * 3600 if half == "PM" else 0), _HOURS_12
    found = re.match(r" ?([+-])(\d\d):?(\d\d)?", tail, re.ASCII)
    seconds = int(found[2]) * 3600 + int(found[3] or 0) * 60 if found else 0
    return (-seconds if found and found[1] == "-" else seconds), HOURS


class Form:
    """A form of times: `keep` reads it, `seek` finds it where that must be stricter, and `read` has the day's seconds.

    `keep` has six groups: day, hour, minute, second, fraction, and zone, AM or PM, or year.
    """

    __slots__ = ("clocks", "head", "keep", "milli", "name", "period", "quick", "read", "seek")

    def __init__(
        self,
        name: str,
        read: Read,
        keep: str,
        seek: str = "",
        *,
        head: bool = False,
        milli: bool = False,
        quick: bool = True,
        period: int = 0,
    ) -> None:
        self.name, self.read, self.keep, self.seek = name, read, keep, seek or keep
        self.head = head  # only at the beginning of a line: elsewhere numbers look like it
        self.milli = milli  # up to three digits after the second count milliseconds, however many they are
        self.quick = quick  # lines of one day begin alike
        self.period = period  # seconds after which it begins anew
        # Hours and minutes as they were written, and their seconds; some thousand can be written.
        self.clocks: dict[str, int] = {}


# What may not come before a time, but for the end of a terminal's colour or of a key.
BORDER = r"""(?:(?<![\w.:/+-])|(?<=\dm)|(?<=["']:))"""
_Y, _MON = r"(?:19|20)\d\d", r"(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)"
_FRACTION = r"(?:(?:\.|,(?=(?:\d{3}){1,3}(?!\d)))(\d{1,9})\d*+)?"
_HALF = r"[AaPp][Mm]\b"
_OFFSET = r" ?[+-](?:0\d|1[0-4]):?[0-5]\d(?!\d)|[+-](?:0\d|1[0-4])(?!\d)"
_ZONE = rf"(?!(?u:\d))((?=[ AaPp+-])(?: ?{_HALF}|{_OFFSET}))?"  # Z, UTC and GMT change nothing
_STAMP_ZONE = rf"( ?(?:Z|z|UTC|GMT)|{_OFFSET})?"
_TIME = rf"(\d\d):(\d\d):(\d\d){_FRACTION}{_ZONE}"
_LOOSE = rf"(\d\d?):(\d\d?)(?::(\d\d?){_FRACTION}|(?!:\S)){_ZONE}"
# Days and months are told apart by what can be no month, by AM or PM (of the US), or by the dots (never of the US).
_NO_MONTH = r"(?:1[3-9]|2\d|3[01])"
_DMY = rf"(?:{_NO_MONTH}[/-]\d\d?[/-]|\d\d?\.\d\d?\.){_Y},? \d\d?:\d\d"
_MDY = rf"\d\d?[/-](?:{_NO_MONTH}[/-]{_Y},? \d\d?:\d\d|\d\d?[/-]{_Y},? \d\d?:\d\d(?::\d\d)? ?{_HALF})"

# Of forms that begin at the same place the first one counts.
FORMS = {
    form.name: form
    for form in (
        Form("iso", _ymd, rf"({_Y}[-/.]\d\d?[-/.]\d\d?)[T :_,-] ?{_LOOSE}"),
        Form("bgl", _ymd, rf"({_Y}-\d\d-\d\d)-(\d\d)\.(\d\d)\.(\d\d){_FRACTION}{_ZONE}"),
        Form("health", _ymd, rf"({_Y}\d{{4}})[-T _](\d\d?):(\d\d?):(\d\d?)(?:[:.,](\d{{1,9}}))?{_ZONE}", milli=True),
        Form("basic", _ymd, rf"({_Y}\d{{4}})[-T _](\d\d)(\d\d)(\d\d){_FRACTION}{_ZONE}"),
        Form("glog", _ymd, rf"[DIWEF]({_Y}\d{{4}}) {_TIME}"),
        Form("day month", _named, rf"(\d\d?[-/ ]{_MON}[-/ ]{_Y}),?[: T]{_TIME}"),
        Form(
            "ctime",
            _ctime,
            r"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun) "
            rf"({_MON} {{1,2}}\d\d?) (\d\d):(\d\d):(\d\d){_FRACTION}( (?:[A-Z]{{1,5}} |[+-]\d{{4}} )?{_Y})(?!\d)",
        ),
        Form("month day", _named, rf"({_MON} {{1,2}}\d\d?,? {_Y}),? (\d\d?):(\d\d):(\d\d){_FRACTION}{_ZONE}"),
        # The second date of these lines has no year, the first one no time of day.
        Form("dated syslog", _ymd, rf"({_Y}\.\d\d\.\d\d) \S{{1,40}} {_MON} {{1,2}}\d\d? {_TIME}", quick=False),
        Form("dmy", _dmy, rf"(\d\d?[-/.]\d\d?[-/.]{_Y}),? {_LOOSE}", _DMY),
        Form("mdy", _mdy, rf"(\d\d?[-/]\d\d?[-/]{_Y}),? {_LOOSE}", _MDY),
        Form("ymd", _short, rf"(\d\d/\d\d/\d\d) {_TIME}"),
        Form("hdfs", _short, r"(\d{6}) {1,2}(\d\d?+):?(\d\d):?(\d\d)()()(?![\d.:])", head=True),
        Form("syslog", _named, rf"({_MON} {{1,2}}\d\d?) {_TIME}", period=YEAR),
        Form("klog", _md, rf"[DIWEF](\d{{4}}) {_TIME}", period=YEAR),
        Form("month.day", _md, rf"(\d\d[-.]\d\d) {_TIME}", head=True, period=YEAR),
        Form("boot", _number, r"\[ {0,12}(\d{1,9})()()()\.(\d{6})()\]", head=True, quick=False),
        Form(
            "bracket",
            _number,
            rf"(?<=[\[(])()(\d\d?):(\d\d)(?::(\d\d){_FRACTION})?( ?{_HALF})?(?=[\])])",
            head=True,
            period=DAY,
        ),
        Form("clock", _number, rf"()(\d\d):(\d\d):(\d\d){_FRACTION}( ?{_HALF})?(?![\d:])", head=True, period=DAY),
        Form("chat", _number, r"()(\d\d):(\d\d)()()()(?= <| -!-| \* )", head=True, quick=False, period=DAY),
        # Seconds, milli-, micro- or nanoseconds from 2001 to 2065: other numbers are no times.
        Form(
            "epoch",
            _number,
            r"([12]\d{9})()()()(?:(?:\.|(?=(?:\d{3}){1,3}(?![\d.])))(\d{1,9}))?()(?![\w-])",
            quick=False,
        ),
    )
}
# A `ts` field has these only; whole, so that any year can be meant.
STAMPS = (
    Form("stamp", _ymd, rf"(\d{{4}}-\d\d-\d\d)[Tt ](\d\d):(\d\d)(?::(\d\d){_FRACTION})?{_STAMP_ZONE}"),
    Form("basic stamp", _ymd, rf"(\d{{8}})[Tt](\d\d)(\d\d)(\d\d){_FRACTION}{_STAMP_ZONE}"),
)
