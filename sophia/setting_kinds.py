"""What a setting may be: in words, as a test, and as it is read from a file or an argument."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any, NamedTuple

__all__ = [
    "CONFIDENCE",
    "DISK",
    "FILE",
    "FLAG",
    "GATES",
    "GESTATION",
    "JOURNAL",
    "KEYS",
    "MAYBE_FILE",
    "MAYBE_NAME",
    "PATIENCE",
    "RANGES",
    "RETENTION",
    "SHARE",
    "SIZE",
    "TTL",
    "ZONE",
    "Kind",
    "is_file",
    "name_list",
    "number",
    "one_of",
    "parse_duration",
    "parse_fail_on",
    "parse_range",
    "parse_size",
    "whole_number",
]

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604_800}
_LONGEST = 1e15  # seconds: thirty million years
_BYTES = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}


def parse_duration(value: object) -> float:
    """Seconds of a duration such as ``30d``, ``12h``, ``1.5h``, ``90s`` or ``0``; ValueError for anything else.

    Units are s, m, h, d and w; a number without one is seconds.

        >>> parse_duration("30d"), parse_duration("90"), parse_duration(7)
        (2592000.0, 90.0, 7.0)
    """
    if isinstance(value, str):
        found = re.fullmatch(r"\s*(\d{1,12}(?:\.\d{1,9})?)\s*([smhdw]?)\s*", value, re.ASCII)
        if found:
            return float(found[1]) * _SECONDS[found[2] or "s"]
    elif isinstance(value, int | float) and not isinstance(value, bool) and not abs(value) > _LONGEST:
        return float(value)
    message = f"{value!r:.80} is no duration; write a number and s, m, h, d or w, as in '30d'"
    raise ValueError(message)


def parse_size(value: object) -> int:
    """Bytes of a size such as ``512M``, ``2G`` or ``64KiB`` (powers of 1,024); ValueError for anything else.

    >>> parse_size("512M"), parse_size(4096)
    (536870912, 4096)
    """
    if isinstance(value, str):
        found = re.fullmatch(r"\s*(\d{1,15}(?:\.\d{1,9})?)\s*([KMGT]?)(?:i?B)?\s*", value, re.ASCII | re.IGNORECASE)
        if found:
            return int(float(found[1]) * _BYTES[found[2].upper()])
    elif isinstance(value, int) and not isinstance(value, bool):
        return value
    message = f"{value!r} is no size; write a number and K, M or G, as in '512M'"
    raise ValueError(message)


def parse_fail_on(value: object) -> tuple[str, float]:
    """What a run is gated on: ``danger``, ``novel``, ``novel-session``, ``anomaly``, ``alarm`` or ``error-rate>SHARE``;
    ValueError for others.

    >>> parse_fail_on("error-rate > 0.01"), parse_fail_on("danger")
    (('error-rate', 0.01), ('danger', 0.0))
    """
    if value in ("danger", "novel", "novel-session", "anomaly", "alarm"):
        return str(value), 0.0
    found = re.fullmatch(r"error-rate\s*>\s*(\d{1,9}(?:\.\d{1,9})?)(%?)", value) if isinstance(value, str) else None
    if found and (share := float(found[1]) / (100 if found[2] else 1)) <= 1.0:
        return "error-rate", share
    gates = "danger, novel, novel-session, anomaly, alarm"
    message = f"{value!r} cannot be gated on; use {gates}, or, in quotes, 'error-rate>0.01'"
    raise ValueError(message)


def parse_range(value: object) -> tuple[str, float, float]:
    """(channel, low, high) of ``NAME=LOW:HIGH``, or of ``LOW:HIGH`` with "" for all channels; ValueError for others.

    >>> parse_range("0:100"), parse_range("water level=-1.5:2e3")
    (('', 0.0, 100.0), ('water level', -1.5, 2000.0))
    """
    if isinstance(value, str):
        name, _, ends = value.rpartition("=")
        try:
            low, high = map(float, ends.split(":"))
        except ValueError:
            low = high = math.nan
        finite = -math.inf < low < high < math.inf and high - low < math.inf
        if finite and "_" not in ends and not (name == "" and "=" in value):
            return name.strip(), low, high
    message = f"{value!r} is no range; write LOW:HIGH for all channels, or NAME=LOW:HIGH for one, as in 'temp=-20:60'"
    raise ValueError(message)


class Kind(NamedTuple):
    """What a value must be, in words and as a test; and how it is read from a file."""

    wants: str
    holds: Callable[[Any], bool]
    read: Callable[[object], object] = lambda value: value


def one_of(*words: str) -> Kind:
    """One of some words."""
    return Kind(f"use {', '.join(map(repr, words[:-1]))} or {words[-1]!r}", lambda value: value in words)


def whole_number(least: int, most: int) -> Kind:
    """A whole number in a range."""
    return Kind(
        f"it must be a whole number from {least} to {most}",
        lambda value: isinstance(value, int) and not isinstance(value, bool) and least <= value <= most,
    )


def number(wants: str, holds: Callable[[float], bool], read: Callable[[object], object] | None = None) -> Kind:
    """A number for which something holds; `read` makes one of what a file says."""

    def test(value: object) -> bool:
        return isinstance(value, int | float) and not isinstance(value, bool) and holds(value)

    return Kind(wants, test) if read is None else Kind(wants, test, read)


def name_list(wants: str, holds: Callable[[str], object] = bool) -> Kind:
    """A list of names, each of which something holds for; one alone is a list, too."""

    def test(value: object) -> bool:
        return isinstance(value, tuple) and all(isinstance(item, str) and holds(item) for item in value)

    return Kind(wants, test, lambda value: (value,) if isinstance(value, str) else _tuple(value))


def _tuple(value: object) -> object:
    return tuple(value) if isinstance(value, list) else value


def _parses(parse: Callable[[object], object]) -> Callable[[str], bool]:
    def test(text: str) -> bool:
        try:
            parse(text)
        except ValueError:
            return False
        return True

    return test


FLAG = Kind("it must be true or false", lambda value: isinstance(value, bool))


def _is_zone(value: object) -> bool:
    if not isinstance(value, str) or not value or "\0" in value:
        return False
    if value.upper() in ("UTC", "Z") or re.fullmatch(r"[+-](?:0\d|1[0-4]):?[0-5]\d", value, re.ASCII):
        return True
    from zoneinfo import ZoneInfo

    try:
        ZoneInfo(value)
    except (ValueError, OSError, LookupError):
        return False
    return True


ZONE = Kind("use UTC, an offset such as '+02:00', or a name such as 'Europe/Berlin'", _is_zone)
FILE_WANTS = "it must name a file or folder, without NUL bytes"


def is_file(value: object) -> bool:
    """Whether a value may name a file."""
    return isinstance(value, str) and value != "" and "\0" not in value


FILE = Kind(FILE_WANTS, is_file)
MAYBE_FILE = Kind(FILE_WANTS, lambda value: value is None or is_file(value))
SHARE = number("it is a share between 0 and 1", lambda value: 0.0 <= value <= 1.0)
CONFIDENCE = number("use at least 0.5 and less than 1, as 0.95", lambda value: 0.5 <= value < 1.0)
SIZE = Kind(
    f"it must be a whole number from {1 << 16} to {2**48}, or a size such as '64M'",
    whole_number(1 << 16, 2**48).holds,
    parse_size,
)


def _seconds(wants: str) -> Kind:
    return number(wants, lambda value: 0.0 <= value < 1e12, parse_duration)


TTL = _seconds("use 0 to keep answers, or a positive number of seconds, or a duration such as '30d'")
PATIENCE = number(
    "use 0.1 to 86,400 seconds, or a duration such as '10s'", lambda v: 0.1 <= v <= 86_400.0, parse_duration
)
GESTATION = _seconds("use a number of seconds that is not negative, or a duration such as '24h'")
RETENTION = _seconds("use 0 to keep memories, or a positive number of seconds, or a duration such as '90d'")
DISK = Kind(
    f"use 0 for no bound, or a whole number from {1 << 20} to {2**48}, or a size such as '2G'",
    lambda value: value == 0 or whole_number(1 << 20, 2**48).holds(value),
    parse_size,
)
JOURNAL = Kind(
    f"use 0 for no journal, or a whole number from {1 << 20} to {2**48}, or a size such as '1G'",
    lambda value: value == 0 or whole_number(1 << 20, 2**48).holds(value),
    parse_size,
)
MAYBE_NAME = Kind("it must be a name", lambda value: value is None or (isinstance(value, str) and value != ""))
KEYS = name_list("it must be a name or a list of names")
GATES = name_list(
    "use 'danger', 'novel', 'novel-session', 'anomaly', 'alarm' and 'error-rate>0.01'", _parses(parse_fail_on)
)
RANGES = name_list("use 'LOW:HIGH' for all channels, and 'NAME=LOW:HIGH' for one", _parses(parse_range))
