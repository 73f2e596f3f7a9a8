"""Event times: what names no zone gets one; what cannot be read stays as it was written."""

from __future__ import annotations

import re

from sophia.errors import ConfigError
from sophia.organs.moments import DATED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

__all__ = ["duration", "told", "zone"]

_YEARLESS = 63_072_000  # 1972, of times without a year; before it are those without a date
_UNITS = ((86_400, "days"), (3600, "h"), (60, "min"))

_OFFSET = re.compile(r"[+-](?:0\d|1[0-4]):?[0-5]\d", re.ASCII)
# A date and a time of day as ISO 8601 and most logs write them, without a zone.
_NAIVE = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d(?:[.,]\d{1,9})?)?", re.ASCII)


def zone(name: str) -> Callable[[str], str]:
    """What completes a naive time by the offset of a zone: ``UTC``, ``+02:00`` or an IANA name.

    Times that name a zone, numbers (seconds since 1970 have none) and everything else are left alone; so is a time
    that no calendar has. About 0.4 us, with a named zone 3 us. Raises ConfigError for a zone that is not known.

        >>> zone("Europe/Berlin")("2026-07-01 12:00:00"), zone("UTC")("2026-07-01T12:00:00Z")
        ('2026-07-01 12:00:00+02:00', '2026-07-01T12:00:00Z')
    """
    if name.upper() in ("UTC", "Z"):
        return lambda text: text + "+00:00" if _NAIVE.fullmatch(text) else text
    if _OFFSET.fullmatch(name):
        offset = f"{name[:3]}:{name[-2:]}"
        return lambda text: text + offset if _NAIVE.fullmatch(text) else text
    from datetime import datetime
    from zoneinfo import ZoneInfo, available_timezones

    try:
        region = ZoneInfo(name)
    except (ValueError, OSError, KeyError):
        from difflib import get_close_matches

        close = get_close_matches(name, available_timezones(), 1, 0.6)
        hint = f"did you mean {close[0]!r}?" if close else "use UTC, an offset such as +02:00, or a name of tzdata"
        message = f"tz is {name!r}, which is no time zone; {hint}"
        raise ConfigError(message) from None
    return lambda text: text + _offset(datetime, region, text) if _NAIVE.fullmatch(text) else text


def told(moment: float) -> str:
    """A moment (see :mod:`sophia.organs.moments`) as it is told: ISO 8601 in UTC; without a year, or as the day of the
    stream, where its input named none.

        >>> told(1764417600.25), told(78_000_000), told(90_061)
        ('2025-11-29T12:00:00Z', '06-21 18:40:00', 'day 2 01:01:01')
    """
    days, second = divmod(int(moment), 86_400)
    clock = f"{second // 3600:02}:{second // 60 % 60:02}:{second % 60:02}"
    if moment < _YEARLESS:
        return f"day {days + 1} {clock}"
    from datetime import date

    try:
        day = date.fromordinal(days + date(1970, 1, 1).toordinal()).isoformat()
    except (ValueError, OverflowError):
        return str(moment)
    return f"{day[5:]} {clock}" if moment < DATED else f"{day}T{clock}Z"


def duration(seconds: float) -> str:
    """How long that is, in the largest unit of which there are two.

    >>> duration(2400.0), duration(90_000), duration(200_000), duration(59.5)
    ('40 min', '25 h', '2.3 days', '59.5 s')
    """
    for size, name in _UNITS:
        if seconds >= 2 * size:
            return f"{seconds / size:.{0 if seconds >= 10 * size or seconds % size == 0 else 1}f} {name}"
    return f"{seconds:.3g} s"


def _offset(kind: type[datetime], region: object, text: str) -> str:
    try:
        moment = kind.fromisoformat(text[:19].replace(" ", "T")).replace(tzinfo=region)  # type: ignore[arg-type]
    except ValueError:
        return ""
    return moment.isoformat()[19:25]
