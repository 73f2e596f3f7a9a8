# Over 600 lines: every setting with what it does, and the one reader of files and variables that knows them all.
"""Settings: frozen, validated once, read by everyone below; from Python, flags, a file of TOML, variables.

A setting is one field with its section of `sophia.toml`, its check and what it does; everything else here follows from
them.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields, replace
from typing import Any, NamedTuple, Self

from sophia.errors import ConfigError
from sophia.setting_kinds import (
    CONFIDENCE,
    DISK,
    FILE,
    FLAG,
    GATES,
    GESTATION,
    JOURNAL,
    KEYS,
    MAYBE_FILE,
    MAYBE_NAME,
    PATIENCE,
    RANGES,
    RETENTION,
    SHARE,
    SIZE,
    TTL,
    ZONE,
    Kind,
    is_file,
    name_list,
    number,
    one_of,
    parse_size,
    whole_number,
)

__all__ = ["Config", "RunSettings", "Settings", "load_config", "memory_bounds", "read_config"]

# Of the cache's tables alone; see ReflexCache.
_BYTES_FOR_AN_ENTRY = 64
_DANGER_SCORE = 0.5  # chosen so that one CLINC150 validation query in a hundred reaches it
# What --max-memory is divided into, measured: the program itself, an answered input, a template with all that hangs
# on it, an item of both generations of the familiarity filter.
_PROGRAM_BYTES = 96 << 20
_ANSWER_BYTES = 344
_PATTERN_BYTES = 2200
_FAMILIAR_BYTES = 4.2


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


def _setting(default: object, section: str, kind: Kind, about: str, *, live: bool = False) -> Any:
    return field(default=default, metadata={"section": section, "kind": kind, "about": about, "live": live})


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

    def refuse_fixed(self, other: Self) -> None:
        """ConfigError where `other` differs in settings that cannot change live, in words for each."""
        fixed = [
            f"{one.name} cannot change live: it is {getattr(self, one.name)!r}, and {getattr(other, one.name)!r} holds "
            "from the next start"
            for one in fields(self)  # type: ignore[arg-type]
            if not one.metadata["live"] and getattr(self, one.name) != getattr(other, one.name)
        ]
        if fixed:
            raise ConfigError("\n".join(fixed))

    def differences(self, other: Self) -> list[str]:
        """Each setting that is another one in `other`, with the value that it has there."""
        pairs = [(one.name, getattr(self, one.name), getattr(other, one.name)) for one in fields(self)]  # type: ignore[arg-type]
        return [f"{name} = {there!r}" for name, here, there in pairs if here != there]

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

    docs/settings.md lists them, and `sophia config init` writes them to a file.

        >>> Settings(on_danger="flag").with_changes(ttl=60.0).changed()
        {'on_danger': 'flag', 'ttl': 60.0}
    """

    on_danger: str = _setting(
        "auto",
        "thalamus",
        one_of("auto", "veto", "flag"),
        'what a danger hit leads to: "veto" (refused), "flag" (reported and thought about), or "auto": '
        "lines are flagged, messages vetoed, but for rules that only report (alarm), which flag",
        live=True,
    )
    reflex_messages: bool = _setting(
        False,
        "thalamus",
        FLAG,
        "whether a known pattern of messages may be handled by reflex although no answer is stored for "
        "it: wrong for questions",
        live=True,
    )
    reflex_lines: bool = _setting(True, "thalamus", FLAG, "the same of log lines, for which it is right", live=True)
    reflex_confidence: float = _setting(0.75, "thalamus", SHARE, "least confidence for a reflex by pattern", live=True)
    cortical_confidence: float = _setting(0.5, "thalamus", SHARE, "least confidence for not being doubtful", live=True)
    complex_limit: float = _setting(
        0.75, "thalamus", SHARE, "complexity from which on the level of thought rises by one", live=True
    )
    danger_score: float = _setting(
        _DANGER_SCORE,
        "thalamus",
        SHARE,
        "messages that sound like an attack by at least this score are thought about, and never refused "
        "for it; 1 switches the score off",
        live=True,
    )
    mask: str = _setting(
        "auto",
        "thalamus",
        Kind("use 'auto', 'none' or a file name", is_file),
        'what of a text is a value and does not make it new: "auto" (numbers, addresses, times, paths '
        '...), "none", or a file of RE2 patterns, one a line, that come before the automatic ones',
    )
    max_chars: int = _setting(
        20_000,
        "thalamus",
        whole_number(1, 2**24),
        "longer texts are compared with nothing and thought about",
        live=True,
    )
    session_ngram: int = _setting(
        2, "thalamus", whole_number(1, 8), "how many patterns in a row make an order that can be new in a session"
    )
    session_counts: str = _setting(
        "rough",
        "thalamus",
        one_of("rough", "exact"),
        'how counts of patterns are compared when a session ends: "rough" (once, several times, tens, '
        'hundreds ...) or "exact"',
    )
    session_learn: bool = _setting(
        True,
        "thalamus",
        FLAG,
        "whether orders and counts become known; without it sessions are compared with what is known",
    )
    session_limit: int = _setting(
        10_000, "thalamus", whole_number(1, 2**20), "sessions that may be open; the oldest ends"
    )
    session_length: int = _setting(
        10_000, "thalamus", whole_number(1, 2**20), "inputs that a session may have; a longer one ends"
    )
    session_idle: int = _setting(
        0, "thalamus", whole_number(0, 2**40), "a session ends after so many further inputs of others; 0: never"
    )
    sensor_range: tuple[str, ...] = _setting(
        (),
        "thalamus",
        RANGES,
        'ends of what channels of sensors say: "LOW:HIGH" for all, "NAME=LOW:HIGH" for one; a channel '
        "without learns them",
    )
    sensor_warmup: int = _setting(
        750, "thalamus", whole_number(2, 2**20), "samples of a sensor before its first anomaly"
    )
    sensor_rest: int = _setting(
        150, "thalamus", whole_number(0, 2**40), "samples after an anomaly in which there is no other"
    )
    sensor_alarm: float = _setting(
        0.75,
        "thalamus",
        number("it is over 0, up to 1", lambda value: 0.0 < value <= 1.0),
        "how unusual a sample must be for an anomaly",
    )
    ttl: float = _setting(
        0.0, "memory", TTL, "how long an answer that is stored from now on is served; 0: for good", live=True
    )
    vectors: bool = _setting(
        False, "thalamus", FLAG, "whether each new decision carries the memory vector of its text (10 to 40 us a text)"
    )
    cache: bool = _setting(True, "memory", FLAG, "whether answers are served from memory at all")
    audit: float = _setting(
        0.0, "memory", SHARE, "share of the served answers that is checked: the caller does the expensive step as well"
    )
    audit_budget: float = _setting(
        0.01, "memory", SHARE, "largest rate of wrong answers that is borne; above it answers are withheld; 1: never"
    )
    audit_confidence: float = _setting(0.95, "memory", CONFIDENCE, "how sure that must be")
    cache_bytes: int = _setting(64 << 20, "memory", SIZE, "bound of the stored answers that are at hand")
    cache_entries: int = _setting(200_000, "memory", whole_number(16, 2**28), "and how many these are")
    pattern_capacity: int = _setting(50_000, "memory", whole_number(16, 2**26), "patterns that are known at once")
    familiar_capacity: int = _setting(1_000_000, "memory", whole_number(64, 2**32), "inputs that are known as familiar")
    remember: str = _setting(
        "none",
        "memory",
        one_of("none", "new"),
        '"new": inputs that are new in their scope, or answered, become memories of the store (30 us each); "none"',
    )
    recall: bool = _setting(
        False,
        "memory",
        FLAG,
        "whether a decision is told which memory of its scope its text is most like (.3 ms each among 10,000)",
    )
    memories: int = _setting(100_000, "memory", whole_number(1, 2**26), "memories of inputs that are kept, the latest")
    retention: float = _setting(
        0.0, "memory", RETENTION, "how long memories of inputs, and files of the journal, are kept; 0: for good"
    )
    memory_disk: int = _setting(
        0, "memory", DISK, "bytes of the disk that the store may come to by memories of inputs; 0: no bound"
    )
    journal: int = _setting(
        1 << 30,
        "memory",
        JOURNAL,
        "bytes of the disk that the records of decisions in the store may come to; the oldest go first; "
        "0: none is kept",
    )
    gestation_inputs: int = _setting(
        200,
        "thalamus",
        whole_number(0, 2**40),
        "inputs that come before the brain is born: until then nothing is a reflex for being familiar",
    )
    gestation_seconds: float = _setting(0.0, "thalamus", GESTATION, "and how long that takes at least")
    seed: int = _setting(
        0x50F1A,
        "thalamus",
        whole_number(0, 2**64 - 1),
        "of hashes that can reach a decision, and of samples; runs repeat exactly",
    )

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

    docs/settings.md lists them.
    """

    format: str = _setting(
        "auto", "run", one_of("auto", "jsonl", "csv", "lines", "sensor"), "how inputs are read; by their first line"
    )
    follow: bool = _setting(False, "run", FLAG, "wait for more, as tail -F does")
    text_key: tuple[str, ...] = _setting(
        (), "run", KEYS, "JSON keys or CSV columns of the text; the first one present is taken; none: the usual names"
    )
    scope_key: tuple[str, ...] = _setting((), "run", KEYS, "the same of the scope")
    context_key: tuple[str, ...] = _setting((), "run", KEYS, "the same of the context")
    answer_key: tuple[str, ...] = _setting((), "run", KEYS, "the same of the answer")
    label_key: tuple[str, ...] = _setting((), "run", KEYS, "the same of the label")
    session_key: tuple[str, ...] = _setting(
        (),
        "run",
        KEYS,
        "the same of the session, or re:PATTERN with one group that is sought in the text; none: no sessions",
    )
    sensor_key: tuple[str, ...] = _setting((), "run", KEYS, "the same of the name of the sensor")
    value_key: tuple[str, ...] = _setting(
        (), "run", KEYS, "columns of a sensor's numbers; none: all without another use"
    )
    sensor: str | None = _setting(None, "run", MAYBE_NAME, "the sensor that rows come from which name none")
    tz: str = _setting("UTC", "run", ZONE, "zone of event times that name none: UTC, +02:00, Europe/Berlin")
    limit: int = _setting(0, "run", whole_number(0, 2**63 - 1), "stop after so many inputs; 0: at their end")
    sample: float = _setting(
        1.0,
        "run",
        number("it is a share over 0, up to 1", lambda value: 0.0 < value <= 1.0),
        "share of the inputs that is decided, chosen by seed and position",
    )
    rate: float = _setting(
        0.0,
        "run",
        number("it must be inputs a second, or 0 for no bound", lambda value: 0.0 <= value <= 1e9),
        "inputs a second at most; 0: no bound",
    )
    store: str = _setting(".sophia", "run", FILE, "folder of the memory")
    no_store: bool = _setting(False, "run", FLAG, "remember nothing after the end")
    store_timeout: float = _setting(10.0, "run", PATIENCE, "a store that does not answer for that long is done without")
    no_weave: bool = _setting(False, "run", FLAG, "tell no chapters")
    rules: tuple[str, ...] = _setting(
        (),
        "run",
        name_list("it must be a file or a list of files", is_file),
        "files of further danger rules",
        live=True,
    )
    model: str | None = _setting(None, "run", MAYBE_FILE, "router of intents that sophia fit made; none: the store's")
    on_error: str = _setting("skip", "run", one_of("skip", "stop"), 'what a bad input leads to: "skip" it, or "stop"')
    workers: int = _setting(0, "run", whole_number(0, 1024), "threads that search memory; 0: one a core")
    batch: int = _setting(256, "run", whole_number(1, 65_536), "inputs that are decided together at most")
    out: str | None = _setting(
        None,
        "run",
        MAYBE_FILE,
        "file of the decisions; - is standard output; none: decisions.jsonl in a folder of the run",
    )
    report: str | None = _setting(
        None, "run", MAYBE_FILE, "file of the report page, or none; default report.html beside the decisions"
    )
    score: bool = _setting(False, "run", FLAG, "compare with the labels of the inputs")
    fail_on: tuple[str, ...] = _setting(
        (), "run", GATES, "exit 1 on danger, novel, novel-session, anomaly, alarm, or error-rate>SHARE"
    )
    cost_per_call: float = _setting(
        0.0,
        "run",
        number("it must be a number that is not negative", lambda value: 0.0 <= value <= 1e12),
        "what an answer from memory saves",
    )
    progress: str = _setting("auto", "run", one_of("auto", "plain", "none"), '"plain": a line every 10 s')
    quiet: bool = _setting(False, "run", FLAG, "only errors on standard error")

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> RunSettings:
        """The section [run] of a TOML file; the rest of it is checked as well. Read once."""
        return read_config(path)[1]


# Keys of a file that hold the name of another; they are relative to the folder of the file.
_PATHS = ("mask", "store", "rules", "model", "out", "report")
_MAX_MEMORY = Kind("it must be a size of at least '128M'", whole_number(128 << 20, 2**48).holds, parse_size)


class Config(NamedTuple):
    """What a file, the environment and the defaults add up to; and, by name, where each setting is set that is."""

    settings: Settings
    run: RunSettings
    places: dict[str, str]


def read_config(path: str | os.PathLike[str]) -> tuple[Settings, RunSettings]:
    """The settings of one TOML file, for the brain and for `sophia run`. Cost: a few ms, most of it the imports.

    Sections are [thalamus], [memory] and [run]. In [memory] `max_memory` sets all bounds that are not set there
    themselves. File names in it are relative to its folder. Raises ConfigError with everything that is wrong in
    the file: unknown keys with the nearest valid one, wrong types and ranges, each with its line.
    """
    return load_config(path)[:2]


def load_config(path: str | os.PathLike[str] | None, environment: Mapping[str, str] | None = None) -> Config:
    """The same of a file, if there is one, and of variables named as SOPHIA_RUN_BATCH, which override it.

    A variable holds a value as TOML has it, or a string without its quotes. ConfigError names them as well.

        >>> load_config(None, {"SOPHIA_THALAMUS_ON_DANGER": "flag", "SOPHIA_RUN_BATCH": "64"}).run.batch
        64
    """
    reading = _Reading()
    if path is not None:
        reading.take_file(os.fspath(path))
    reading.take_environment(environment or {})
    return reading.config()


class _Reading:
    """Settings as they are found, and what is wrong with them."""

    def __init__(self) -> None:
        self._owners: dict[str, dict[str, type]] = {}
        self._found: dict[type, dict[str, Any]] = {Settings: {}, RunSettings: {}}
        for holder in self._found:
            for one in fields(holder):
                self._owners.setdefault(one.metadata["section"], {})[one.name] = holder
        self._places: dict[str, tuple[str, int]] = {}  # a file and the line, or a variable
        self._faults: list[tuple[str, int, str]] = []  # where, and the complaint
        self._max_memory: Any = None
        self._file = ""

    def take_file(self, path: str) -> None:
        """What a file says."""
        from sophia.toml_file import TomlFile

        file = TomlFile(path, "settings file")
        self._file = file.path
        for section, table in file.table.items():
            if section not in self._owners or not isinstance(table, dict):
                self._refuse(file.path, file.line_of(section), _unknown_section(section, table, self._owners))
                continue
            for name, raw in table.items():
                line = file.line_of(section, name)
                if name not in self._names(section):
                    self._refuse(file.path, line, _unknown_key(section, name, self._names(section), self._owners))
                else:
                    self._take(section, name, raw, [raw], file.path, line, beside=True)

    def take_environment(self, variables: Mapping[str, str]) -> None:
        """What variables say that are named for a section and a setting in it."""
        known = {
            f"SOPHIA_{section}_{name}".upper(): (section, name)
            for section in self._owners
            for name in self._names(section)
        }
        starts = tuple(f"SOPHIA_{section}_".upper() for section in self._owners)
        for variable in sorted(variables):
            if not variable.startswith(starts):
                continue
            if variable not in known:
                nearest = _nearest(variable, known) or "; `sophia config init -` lists them"
                self._refuse(variable, 0, f"no setting has this name{nearest}")
                continue
            section, name = known[variable]
            raw = variables[variable]
            self._take(section, name, raw, _readings(raw), variable)

    def config(self) -> Config:
        """All of it; ConfigError with everything that is wrong."""
        if self._max_memory is not None:
            self._found[Settings] = {**memory_bounds(self._max_memory), **self._found[Settings]}
        for holder, values in self._found.items():
            whole = {one.name: values.get(one.name, one.default) for one in fields(holder)}
            for name, wants in _rules(whole):
                beside = [one for one in (name, *_RULED[name]) if one in self._places]
                self._refuse(*self._places[beside[0]], f"{name} is {whole[name]!r}; {wants}")
        if self._faults:
            faults = sorted(self._faults, key=lambda fault: (fault[0] != self._file, *fault))
            raise ConfigError("\n".join([f"{_told(where, line)}: {words}" for where, line, words in faults]))
        places = {name: _told(*place) for name, place in self._places.items()}
        return Config(Settings(**self._found[Settings]), RunSettings(**self._found[RunSettings]), places)

    def _names(self, section: str) -> list[str]:
        return [*self._owners[section], *(["max_memory"] if section == "memory" else [])]

    def _refuse(self, where: str, line: int, complaint: str) -> None:
        self._faults.append((where, line, complaint))

    def _take(
        self,
        section: str,
        name: str,
        raw: object,
        readings: list[object],
        where: str,
        line: int = 0,
        *,
        beside: bool = False,
    ) -> None:
        owner = self._owners[section].get(name)
        kind: Kind = _kinds(owner)[name] if owner is not None else _MAX_MEMORY
        fitting = [value for value in (_read(kind, one) for one in readings) if kind.holds(value)]
        if not fitting:
            self._refuse(where, line, f"{name} is {raw!r}; {kind.wants}")
            return
        self._places[name] = where, line
        if owner is None:
            self._max_memory = fitting[0]
        else:
            self._found[owner][name] = _beside(self._file, fitting[0]) if beside and name in _PATHS else fitting[0]


def _told(where: str, line: int) -> str:
    return f"{where}:{line}" if line else where


def _readings(text: str) -> list[object]:
    """What the text of a variable may mean: a value of TOML, if it is one, or itself; what begins as a list is one."""
    import tomli

    text = text.strip()
    try:
        table = tomli.loads(f"value = {text}")
    except (tomli.TOMLDecodeError, RecursionError, ValueError):
        table = {}
    read = [table["value"]] if list(table) == ["value"] else []
    return read if text.startswith("[") else [*read, text]


def _kinds(owner: type) -> dict[str, Kind]:
    return {one.name: one.metadata["kind"] for one in fields(owner)}


def _problems(owner: type, values: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Everything that is wrong with some values: the setting, and what it must be."""
    found = [(name, kind.wants) for name, kind in _kinds(owner).items() if not kind.holds(values[name])]
    return found or _rules(values)


# Of settings that must fulfil something together the others.
_RULED = {
    "reflex_confidence": ("cortical_confidence",),
    "cache_bytes": ("cache_entries", "max_memory"),
}


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


def _read(kind: Kind, raw: object) -> object:
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
    if name in owners:
        return f"{name!r} is a section, and is here none; write [{name}] in a line of its own, once, and its keys below"
    if not isinstance(table, dict):
        return f"unknown key {name!r} outside of all sections; sections are {_listed(owners)}"
    return f"unknown section [{name}]{_nearest(name, owners)}; sections are {_listed(owners)}"


def _unknown_key(section: str, name: str, names: list[str], owners: Mapping[str, Mapping[str, object]]) -> str:
    home = next((other for other, names in owners.items() if name in names), None)
    if home is not None:
        return f"{name!r} belongs into the section [{home}], not [{section}]"
    return f"unknown key {name!r} in [{section}]{_nearest(name, names) or '; it has ' + ', '.join(names)}"


def _listed(sections: Mapping[str, object]) -> str:
    return ", ".join(f"[{section}]" for section in sections)


def _nearest(name: str, names: Any) -> str:
    from difflib import get_close_matches

    close = get_close_matches(name, list(names), 1, 0.5)
    return f"; did you mean {close[0]!r}?" if close else ""
