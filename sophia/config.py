"""Settings: frozen, validated once, read by everyone below; from Python, from flags, or from one TOML file.

A setting is one field with its section of `sophia.toml` and its check; everything else here follows from them.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, field, fields, replace
from typing import Any, NamedTuple, Self

from sophia.errors import ConfigError

__all__ = ["RunSettings", "Settings", "memory_bounds", "parse_duration", "parse_fail_on", "parse_size", "read_config"]

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604_800}
_BYTES = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
# Of the cache's tables alone; see ReflexCache.
_BYTES_FOR_AN_ENTRY = 64
_DANGER_SCORE = 0.5  # chosen so that one CLINC150 validation query in a hundred reaches it
# What --max-memory is divided into, measured: the program itself, an answered input, a template with all that hangs
# on it, an item of both generations of the familiarity filter.
_PROGRAM_BYTES = 96 << 20
_ANSWER_BYTES = 344
_PATTERN_BYTES = 2200
_FAMILIAR_BYTES = 4.2


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
    elif isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    message = f"{value!r} is no duration; write a number and s, m, h, d or w, as in '30d'"
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


def memory_bounds(size: int) -> dict[str, int]:
    """Settings under which a process stays near `size` bytes; ConfigError under 128 MiB.

    >>> sorted(memory_bounds(512 << 20))
    ['cache_bytes', 'cache_entries', 'familiar_capacity', 'pattern_capacity']
    """
    if not 128 << 20 <= size <= 1 << 48:
        message = f"max_memory is {size} bytes; it must be at least 128M, of which the program itself takes most"
        raise ConfigError(message)
    room = size - _PROGRAM_BYTES
    cache = room * 6 // 10
    return {
        "cache_bytes": cache,
        "cache_entries": min(cache // _ANSWER_BYTES, 2**28),
        "pattern_capacity": min(room * 35 // 100 // _PATTERN_BYTES, 2**26),
        "familiar_capacity": min(int(room * 0.05 / _FAMILIAR_BYTES), 2**32),
    }


class _Kind(NamedTuple):
    """What a value must be, in words and as a test; and how it is read from a file."""

    wants: str
    holds: Callable[[Any], bool]
    read: Callable[[object], object] = lambda value: value


def _words(*words: str) -> _Kind:
    return _Kind(f"use {', '.join(map(repr, words[:-1]))} or {words[-1]!r}", lambda value: value in words)


def _whole(least: int, most: int) -> _Kind:
    return _Kind(
        f"it must be a whole number from {least} to {most}",
        lambda value: isinstance(value, int) and not isinstance(value, bool) and least <= value <= most,
    )


def _number(wants: str, holds: Callable[[float], bool], read: Callable[[object], object] | None = None) -> _Kind:
    def test(value: object) -> bool:
        return isinstance(value, int | float) and not isinstance(value, bool) and holds(value)

    return _Kind(wants, test) if read is None else _Kind(wants, test, read)


def _names(wants: str, holds: Callable[[str], object] = bool) -> _Kind:
    def test(value: object) -> bool:
        return isinstance(value, tuple) and all(isinstance(item, str) and holds(item) for item in value)

    return _Kind(wants, test, lambda value: (value,) if isinstance(value, str) else _tuple(value))


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


_FLAG = _Kind("it must be true or false", lambda value: isinstance(value, bool))
_TEXT = _Kind("it must be a string that is not empty", lambda value: isinstance(value, str) and value != "")
_FILE_WANTS = "it must name a file or folder, without NUL bytes"


def _is_file(value: object) -> bool:
    return isinstance(value, str) and value != "" and "\0" not in value


_FILE = _Kind(_FILE_WANTS, _is_file)
_MAYBE_FILE = _Kind(_FILE_WANTS, lambda value: value is None or _is_file(value))
_SHARE = _number("it is a share between 0 and 1", lambda value: 0.0 <= value <= 1.0)
_CONFIDENCE = _number("use at least 0.5 and less than 1, as 0.95", lambda value: 0.5 <= value < 1.0)
_SIZE = _Kind(
    f"it must be a whole number from {1 << 16} to {2**48}, or a size such as '64M'",
    _whole(1 << 16, 2**48).holds,
    parse_size,
)


def _seconds(wants: str) -> _Kind:
    return _number(wants, lambda value: 0.0 <= value < 1e12, parse_duration)


_TTL = _seconds("use 0 to keep answers, or a positive number of seconds, or a duration such as '30d'")
_PATIENCE = _number(
    "use 0.1 to 86,400 seconds, or a duration such as '10s'", lambda v: 0.1 <= v <= 86_400.0, parse_duration
)
_GESTATION = _seconds("use a number of seconds that is not negative, or a duration such as '24h'")
_RETENTION = _seconds("use 0 to keep memories, or a positive number of seconds, or a duration such as '90d'")
_DISK = _Kind(
    f"use 0 for no bound, or a whole number from {1 << 20} to {2**48}, or a size such as '2G'",
    lambda value: value == 0 or _whole(1 << 20, 2**48).holds(value),
    parse_size,
)
_JOURNAL = _Kind(
    f"use 0 for no journal, or a whole number from {1 << 20} to {2**48}, or a size such as '1G'",
    lambda value: value == 0 or _whole(1 << 20, 2**48).holds(value),
    parse_size,
)
_MAYBE_NAME = _Kind("it must be a name", lambda value: value is None or (isinstance(value, str) and value != ""))
_KEYS = _names("it must be a name or a list of names")
_GATES = _names(
    "use 'danger', 'novel', 'novel-session', 'anomaly', 'alarm' and 'error-rate>0.01'", _parses(parse_fail_on)
)
_RANGES = _names("use 'LOW:HIGH' for all channels, and 'NAME=LOW:HIGH' for one", _parses(parse_range))


def _setting(default: object, section: str, kind: _Kind) -> Any:
    return field(default=default, metadata={"section": section, "kind": kind})


class _Checked:
    """What all settings have in common: checks, changed copies, files."""

    __slots__ = ()

    def __post_init__(self) -> None:
        values = {one.name: getattr(self, one.name) for one in fields(self)}  # type: ignore[arg-type]
        if problems := _problems(type(self), values):
            message = "\n".join(f"{name} is {values[name]!r}; {wants}" for name, wants in problems)
            raise ConfigError(message)

    def with_changes(self, **changes: object) -> Self:
        """A copy with some settings changed and all checked again."""
        names = {one.name for one in fields(self)}  # type: ignore[arg-type]
        if unknown := sorted(set(changes) - names):
            message = f"unknown setting {', '.join(unknown)}{_nearest(unknown[0], names)}; see {type(self).__name__}"
            raise ConfigError(message)
        return replace(self, **changes)  # type: ignore[type-var]

    def changed(self) -> dict[str, object]:
        """The settings that differ from their defaults."""
        return {
            one.name: getattr(self, one.name)
            for one in fields(self)  # type: ignore[arg-type]
            if getattr(self, one.name) != one.default
        }


@dataclass(frozen=True, slots=True)
class Settings(_Checked):
    """What a user may set of a brain. Bad values raise ConfigError, which names all of them.

    on_danger: "veto" (a danger hit is refused), "flag" (it is reported and thought about), or "auto": lines
        are flagged, messages vetoed, but for rules that only report (`alarm`), which flag.
    reflex_messages, reflex_lines: whether a known pattern may be handled by reflex although no answer is
        stored for it: right for log lines, wrong for questions.
    reflex_confidence, cortical_confidence: least confidence for REFLEX by pattern, and for not being doubtful.
    complex_limit: complexity from which on the level rises by one.
    danger_score: messages that sound like an attack by at least this score are thought about, and never refused for it;
        1 switches the score off.
    mask: what of a text is a value and does not make it new: "auto" (numbers, addresses, times, paths, ...), "none",
        or a file of RE2 patterns, one a line, that come before the automatic ones. Never part of a cache key.
    max_chars: longer texts are not compared with anything; they go to DEEP_THOUGHT.
    ttl: seconds after which a stored answer is no longer served; 0 keeps it.
    vectors: whether each new decision carries the memory vector of its text (10 to 40 us a text) and the IDF
        table learns from it.
    cache: whether answers are served from memory at all.
    audit: share of the served answers that is checked: the decision says `audit`, and the caller does the expensive
        step as well. Which ones follows from the seed.
    audit_budget: largest rate of wrong answers that is borne. When the interval of the observed rate, at
        `audit_confidence`, lies wholly above it, answers are withheld until `Sophia.resume_answers`. 1 never does.
    session_ngram: how many patterns in a row make an order that can be new in a session; see :class:`Session`.
    session_counts: how counts of patterns are compared when a session ends: "rough" (once, several times, tens,
        hundreds, ...) or "exact".
    session_learn: whether orders and counts become known; without it sessions are compared with what is known.
    session_limit, session_length: sessions that may be open, inputs that one may have; the oldest, or the longer one,
        ends. session_idle: one ends after so many further inputs of others; 0 never.
    sensor_range: ends of what the channels of sensors say, "LOW:HIGH" for all and "NAME=LOW:HIGH" for one; a channel
        without learns them. sensor_warmup: samples of a sensor before its first anomaly; sensor_rest: samples after an
        anomaly in which there is no other; sensor_alarm: how unusual one is; see
        :class:`sophia.hdc.sensor.SensorAnomaly`.
    cache_bytes, cache_entries, pattern_capacity, familiar_capacity: bounds of memory; see `memory_bounds`.
    gestation_inputs, gestation_seconds: inputs that come, and seconds that pass, before the brain is born: until then
        nothing is handled by reflex for being familiar, and what is usual is observed. 0 of both: it is born at once.
    remember: "new": inputs that are new in their scope, or answered, become memories of the store (30 us each); "none".
    recall: whether a decision is told which memory of its scope its text is most like, in `match` (.3 ms each among
        10,000 memories).
    memories: of those that were made of inputs so many are kept, the latest.
    retention: seconds after which a memory that was made of an input is let go, whenever its brain works or opens;
        0 keeps it.
    memory_disk: bytes of the disk that the store may come to by memories of inputs: no more of them are kept than fit,
        at 6 kB each, or at what those of the store take; 0 sets no bound.
    journal: bytes of the disk that the records of decisions in the store's folder may come to; the oldest go first, and
        `retention` holds for them, too; 0 keeps none.
    seed: seeds hashes that can reach a decision (the familiarity filter), so that runs repeat exactly.

        >>> Settings(on_danger="flag").with_changes(ttl=60.0).changed()
        {'on_danger': 'flag', 'ttl': 60.0}
    """

    on_danger: str = _setting("auto", "thalamus", _words("auto", "veto", "flag"))
    reflex_messages: bool = _setting(False, "thalamus", _FLAG)
    reflex_lines: bool = _setting(True, "thalamus", _FLAG)
    reflex_confidence: float = _setting(0.75, "thalamus", _SHARE)
    cortical_confidence: float = _setting(0.5, "thalamus", _SHARE)
    complex_limit: float = _setting(0.75, "thalamus", _SHARE)
    danger_score: float = _setting(_DANGER_SCORE, "thalamus", _SHARE)
    mask: str = _setting("auto", "thalamus", _Kind("use 'auto', 'none' or a file name", _is_file))
    max_chars: int = _setting(20_000, "thalamus", _whole(1, 2**24))
    session_ngram: int = _setting(2, "thalamus", _whole(1, 8))
    session_counts: str = _setting("rough", "thalamus", _words("rough", "exact"))
    session_learn: bool = _setting(True, "thalamus", _FLAG)
    session_limit: int = _setting(10_000, "thalamus", _whole(1, 2**20))
    session_length: int = _setting(10_000, "thalamus", _whole(1, 2**20))
    session_idle: int = _setting(0, "thalamus", _whole(0, 2**40))
    sensor_range: tuple[str, ...] = _setting((), "thalamus", _RANGES)
    sensor_warmup: int = _setting(750, "thalamus", _whole(2, 2**20))
    sensor_rest: int = _setting(150, "thalamus", _whole(0, 2**40))
    sensor_alarm: float = _setting(0.75, "thalamus", _number("it is over 0, up to 1", lambda value: 0.0 < value <= 1.0))
    ttl: float = _setting(0.0, "memory", _TTL)
    vectors: bool = _setting(False, "thalamus", _FLAG)
    cache: bool = _setting(True, "memory", _FLAG)
    audit: float = _setting(0.0, "memory", _SHARE)
    audit_budget: float = _setting(0.01, "memory", _SHARE)
    audit_confidence: float = _setting(0.95, "memory", _CONFIDENCE)
    cache_bytes: int = _setting(64 << 20, "memory", _SIZE)
    cache_entries: int = _setting(200_000, "memory", _whole(16, 2**28))
    pattern_capacity: int = _setting(50_000, "memory", _whole(16, 2**26))
    familiar_capacity: int = _setting(1_000_000, "memory", _whole(64, 2**32))
    remember: str = _setting("none", "memory", _words("none", "new"))
    recall: bool = _setting(False, "memory", _FLAG)
    memories: int = _setting(100_000, "memory", _whole(1, 2**26))
    retention: float = _setting(0.0, "memory", _RETENTION)
    memory_disk: int = _setting(0, "memory", _DISK)
    journal: int = _setting(1 << 30, "memory", _JOURNAL)
    gestation_inputs: int = _setting(200, "thalamus", _whole(0, 2**40))
    gestation_seconds: float = _setting(0.0, "thalamus", _GESTATION)
    seed: int = _setting(0x50F1A, "thalamus", _whole(0, 2**64 - 1))

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Settings:
        """The sections [thalamus] and [memory] of a TOML file; the rest of it is checked as well. Read once."""
        return read_config(path)[0]

    def decision_text(self) -> str:
        """The settings that can change a decision, as one stable line; part of the policy version."""
        return (
            f"{self.on_danger} {self.reflex_messages} {self.reflex_lines} {self.reflex_confidence!r} "
            f"{self.cortical_confidence!r} {self.complex_limit!r} {self.max_chars} {self.seed}"
            + (" unmasked" if self.mask == "none" else "")
            + (f" score {self.danger_score!r}" if self.danger_score != _DANGER_SCORE else "")
        )


@dataclass(frozen=True, slots=True)
class RunSettings(_Checked):
    """What a user may set of `sophia run`: section [run] of a file, or the flag of the same name.

    Which inputs: format, follow, text_key, scope_key, context_key, answer_key, label_key, sensor_key (empty: the usual
    names), value_key (columns of a sensor's numbers; empty: all but those of other use), sensor (of rows that name
    none), session_key (names, or re:PATTERN; empty: no sessions), tz (of event times that name none), limit (0: all),
    sample (share that is decided), rate (a second; 0: no bound).
    What becomes of them: store, no_store, store_timeout (seconds, then the run goes on without it), no_weave (without
    chapters), rules, model (a
    router of intents), on_error, workers (threads that search memory; 0: one a core), batch.
    What is told: out, report (a file, or "none"), score, fail_on, cost_per_call, progress, quiet.
    """

    format: str = _setting("auto", "run", _words("auto", "jsonl", "csv", "lines", "sensor"))
    follow: bool = _setting(False, "run", _FLAG)
    text_key: tuple[str, ...] = _setting((), "run", _KEYS)
    scope_key: tuple[str, ...] = _setting((), "run", _KEYS)
    context_key: tuple[str, ...] = _setting((), "run", _KEYS)
    answer_key: tuple[str, ...] = _setting((), "run", _KEYS)
    label_key: tuple[str, ...] = _setting((), "run", _KEYS)
    session_key: tuple[str, ...] = _setting((), "run", _KEYS)
    sensor_key: tuple[str, ...] = _setting((), "run", _KEYS)
    value_key: tuple[str, ...] = _setting((), "run", _KEYS)
    sensor: str | None = _setting(None, "run", _MAYBE_NAME)
    tz: str = _setting("UTC", "run", _TEXT)
    limit: int = _setting(0, "run", _whole(0, 2**63 - 1))
    sample: float = _setting(1.0, "run", _number("it is a share over 0, up to 1", lambda value: 0.0 < value <= 1.0))
    rate: float = _setting(
        0.0, "run", _number("it must be inputs a second, or 0 for no bound", lambda value: 0.0 <= value <= 1e9)
    )
    store: str = _setting(".sophia", "run", _FILE)
    no_store: bool = _setting(False, "run", _FLAG)
    store_timeout: float = _setting(10.0, "run", _PATIENCE)
    no_weave: bool = _setting(False, "run", _FLAG)
    rules: tuple[str, ...] = _setting((), "run", _names("it must be a file or a list of files", _is_file))
    model: str | None = _setting(None, "run", _MAYBE_FILE)
    on_error: str = _setting("skip", "run", _words("skip", "stop"))
    workers: int = _setting(0, "run", _whole(0, 1024))
    batch: int = _setting(256, "run", _whole(1, 65_536))
    out: str | None = _setting(None, "run", _MAYBE_FILE)
    report: str | None = _setting(None, "run", _MAYBE_FILE)
    score: bool = _setting(False, "run", _FLAG)
    fail_on: tuple[str, ...] = _setting((), "run", _GATES)
    cost_per_call: float = _setting(
        0.0, "run", _number("it must be a number that is not negative", lambda value: 0.0 <= value <= 1e12)
    )
    progress: str = _setting("auto", "run", _words("auto", "plain", "none"))
    quiet: bool = _setting(False, "run", _FLAG)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> RunSettings:
        """The section [run] of a TOML file; the rest of it is checked as well. Read once."""
        return read_config(path)[1]


# Keys of a file that hold the name of another; they are relative to the folder of the file.
_PATHS = ("mask", "store", "rules", "model", "out", "report")
_MAX_MEMORY = _Kind("it must be a size of at least '128M'", _whole(128 << 20, 2**48).holds, parse_size)


def read_config(path: str | os.PathLike[str]) -> tuple[Settings, RunSettings]:
    """The settings of one TOML file, for the brain and for `sophia run`. Cost: a few ms, most of it the imports.

    Sections are [thalamus], [memory] and [run]. In [memory] `max_memory` sets all bounds that are not set there
    themselves. File names in it are relative to its folder. Raises ConfigError with everything that is wrong in
    the file: unknown keys with the nearest valid one, wrong types and ranges, each with its line.
    """
    from sophia.toml_file import TomlFile

    file = TomlFile(os.fspath(path), "settings file")
    owners: dict[str, dict[str, type]] = {}
    found: dict[type, dict[str, Any]] = {Settings: {}, RunSettings: {}}
    for holder in found:
        for one in fields(holder):
            owners.setdefault(one.metadata["section"], {})[one.name] = holder
    lines: dict[str, int] = {}
    faults: list[tuple[int, str]] = []
    for section, table in file.table.items():
        if section not in owners or not isinstance(table, dict):
            faults.append((file.line_of(section), _unknown_section(section, table, owners)))
            continue
        for name, raw in table.items():
            line = lines[name] = file.line_of(section, name)
            owner = owners[section].get(name)
            if owner is None and (section, name) != ("memory", "max_memory"):
                faults.append((line, _unknown_key(section, name, owners)))
                continue
            kind: _Kind = _kinds(owner)[name] if owner is not None else _MAX_MEMORY
            value = _read(kind, raw)
            if not kind.holds(value):
                faults.append((line, f"{name} is {raw!r}; {kind.wants}"))
            elif owner is None:
                assert isinstance(value, int)
                found[Settings] = {**memory_bounds(value), **found[Settings]}
            else:
                found[owner][name] = _beside(file.path, value) if name in _PATHS else value
    for holder, values in found.items():
        whole = {one.name: values.get(one.name, one.default) for one in fields(holder)}
        faults += [(lines.get(name, 1), f"{name} is {whole[name]!r}; {wants}") for name, wants in _rules(whole)]
    if faults:
        message = "\n".join(f"{file.path}:{line}: {complaint}" for line, complaint in sorted(faults))
        raise ConfigError(message)
    return Settings(**found[Settings]), RunSettings(**found[RunSettings])


def _kinds(owner: type) -> dict[str, _Kind]:
    return {one.name: one.metadata["kind"] for one in fields(owner)}


def _problems(owner: type, values: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Everything that is wrong with some values: the setting, and what it must be."""
    found = [(name, kind.wants) for name, kind in _kinds(owner).items() if not kind.holds(values[name])]
    return found or _rules(values)


def _rules(values: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What settings must fulfil together, once each is right by itself."""
    found = []
    if "cortical_confidence" in values and values["reflex_confidence"] < values["cortical_confidence"]:
        least = values["cortical_confidence"]
        found.append(("reflex_confidence", f"it is below cortical_confidence {least}; a reflex needs at least as much"))
    if "cache_bytes" in values:
        entries = values["cache_entries"]
        if values["cache_bytes"] < _BYTES_FOR_AN_ENTRY * entries:
            least = _BYTES_FOR_AN_ENTRY * entries
            found.append(
                (
                    "cache_bytes",
                    f"it cannot hold the tables of {entries} entries; give at least {least}, or fewer cache_entries",
                )
            )
    return found


def _read(kind: _Kind, raw: object) -> object:
    try:
        return kind.read(raw)
    except ValueError:
        return MISSING  # holds no test


def _beside(path: str, value: object) -> object:
    if isinstance(value, tuple):
        return tuple(_beside(path, item) for item in value)
    if not isinstance(value, str) or value in ("-", "none", "auto"):
        return value
    return os.path.join(os.path.dirname(path), value)  # noqa: PTH118, PTH120 (pathlib costs start-up time)


def _unknown_section(name: str, table: object, owners: Mapping[str, Mapping[str, object]]) -> str:
    home = next((section for section, names in owners.items() if name in names), None)
    if home is not None:
        return f"{name!r} belongs into the section [{home}]"
    if not isinstance(table, dict):
        return f"unknown key {name!r} outside of all sections; sections are {_listed(owners)}"
    return f"unknown section [{name}]{_nearest(name, owners)}; sections are {_listed(owners)}"


def _unknown_key(section: str, name: str, owners: Mapping[str, Mapping[str, object]]) -> str:
    home = next((other for other, names in owners.items() if name in names), None)
    if home is not None:
        return f"{name!r} belongs into the section [{home}], not [{section}]"
    names = [*owners[section], *(["max_memory"] if section == "memory" else [])]
    return f"unknown key {name!r} in [{section}]{_nearest(name, names) or '; it has ' + ', '.join(names)}"


def _listed(sections: Mapping[str, object]) -> str:
    return ", ".join(f"[{section}]" for section in sections)


def _nearest(name: str, names: Any) -> str:
    from difflib import get_close_matches

    close = get_close_matches(name, list(names), 1, 0.5)
    return f"; did you mean {close[0]!r}?" if close else ""
