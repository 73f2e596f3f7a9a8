"""Files that runs have written, without what they say of a scope."""

from __future__ import annotations

import json
import os
import shutil
import stat
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sophia.store.outputs import ALARMS, DECISIONS, LOG, PATTERNS, REPORT, SESSIONS, Output
from sophia.stream.partial import Partial, sweep
from sophia.whole_file import sync

__all__ = ["Erased", "erase_outputs"]

_HEAD = 1 << 16
_MARKS = {REPORT: b"<title>sophia", LOG: b"traceback"}  # of a report, and of a log that may quote an input
_UNKNOWN = "<*>"

Template = Callable[[int], str | None]


@dataclass(slots=True)
class Erased:
    """What was taken out: `decisions`, `sessions` and `patterns` are lines; `removed` are files that went as a whole,
    `gone` those that are not there any more. `kept` says what may still tell of the scope, and why; `failed` what could
    not be cleaned."""

    decisions: int = 0
    sessions: int = 0
    patterns: int = 0
    removed: list[str] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)


@dataclass(slots=True)
class _Named:
    """Whom patterns were named for: ids in decisions of the scope, and in others; runs that had such a decision, and
    those whose decisions are not there to be read."""

    theirs: set[int]
    others: set[int] = field(default_factory=set)
    runs: set[int] = field(default_factory=set)
    read: set[int] = field(default_factory=set)


def erase_outputs(files: Sequence[Output], scope: str, template: Template, changed: Collection[int] = ()) -> Erased:
    """Takes the decisions and sessions of a scope out of files that runs have written.

    A pattern that they name goes with the last decision that names it, or shows the `template` that the store has left
    of it; so do those whose template the store has `changed`. The report of a run that decided for the scope is
    removed, as it quotes inputs, and its log where it has a traceback. Files are replaced as a whole, and each line
    that stays is what it was, byte for byte; killed at any point it can be done again. What cannot be cleaned does not
    keep it from the rest.
    """
    done = Erased()
    there = []
    for one in files:
        try:
            mode = Path(one.path).stat().st_mode
        except (FileNotFoundError, NotADirectoryError):
            done.gone.append(one.path)
        except OSError as error:
            done.failed.append(f"{one.path} cannot be looked at ({error.strerror})")
        else:
            if stat.S_ISREG(mode):
                there.append(one)
            else:
                done.kept.append(f"{one.path}, which is no file any more")
    names = {Path(one.path).name for one in there}
    for folder in {Path(one.path).parent for one in there}:
        sweep(folder, names)  # what a killed run has left
    named = _Named(set(changed))
    for one in there:
        if one.kind in (DECISIONS, SESSIONS):
            _each(one, done, lambda one: _read(one, scope, named, done))
    # The decisions last: what else is to be done follows from them.
    for kinds in ((ALARMS,), (PATTERNS, REPORT, LOG), (SESSIONS,), (DECISIONS,)):
        for one in there:
            if one.kind in kinds:
                _each(one, done, lambda one: _erase(one, scope, template, named, done))
    return done


def _each(one: Output, done: Erased, work: Callable[[Output], None]) -> None:
    try:
        work(one)
    except OSError as error:
        words = f"{one.path} cannot be cleaned ({error.strerror or error}); mend that, or remove it"
        if words not in done.failed:
            done.failed.append(words)


def _read(one: Output, scope: str, named: _Named, done: Erased) -> None:
    strange = 0
    for line in _lines(one.path):
        found = _decision(line) if one.kind == DECISIONS else _session(line)
        if found is None:
            strange += one.kind != DECISIONS or _journalled_alarm(line) is None
            continue
        mine = found["scope"] == scope
        if mine:
            named.runs.add(one.run)
        if one.kind == DECISIONS and found["pattern"] is not None:
            (named.theirs if mine else named.others).add(found["pattern"])
    if one.kind == DECISIONS:
        named.read.add(one.run)
    if strange:
        done.kept.append(f"{strange:,} lines of {one.path} that are no {one.kind}")


def _erase(one: Output, scope: str, template: Template, named: _Named, done: Erased) -> None:
    unknown = one.run not in named.read
    if one.kind == DECISIONS:
        done.decisions += _rewrite(one.path, lambda line: _without_decision(line, scope))
        if any(b'"alarm": {' in line for line in _lines(one.path)):  # of a journal
            _rewrite(one.path, lambda line: _without_journalled(line, named, unknown=unknown))
    elif one.kind == SESSIONS:
        done.sessions += _rewrite(one.path, lambda line: _without_session(line, scope))
    elif one.kind == ALARMS:
        _rewrite(one.path, lambda line: _without_alarm(line, named, unknown=unknown))
    elif one.kind == PATTERNS:
        done.patterns += _rewrite(one.path, lambda line: _without_pattern(line, named, template, unknown=unknown))
    elif (one.run in named.runs or unknown) and _has(one.path, _MARKS[one.kind]):
        for path in {Path(one.path).resolve(), Path(one.path)}:  # what a link leads to, and the link
            path.unlink()
            sync(path.parent)
        done.removed.append(one.path)


def _lines(path: str) -> Iterator[bytes]:
    with Path(path).open("rb") as file:
        yield from file


def _rewrite(name: str, change: Callable[[bytes], bytes | None]) -> int:
    """Replaces a file by its changed lines, where one of them changes; how many do. None takes a line out."""
    changed = sum(change(line) != line for line in _lines(name))
    if not changed:
        return 0
    path = Path(name).resolve()  # a link stays one
    with Partial(path) as partial:
        with suppress(OSError):
            shutil.copymode(path, partial.partial)
        for line in _lines(name):
            left = change(line)
            if left is not None:
                partial.file.write(left)
        partial.file.flush()
        os.fsync(partial.file.fileno())
        partial.keep()
    sync(path.parent)
    return changed


def _object(line: bytes, *keys: str) -> dict[str, Any] | None:
    """The object of a line that has these keys; None for whatever else somebody has put there."""
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) and all(key in found for key in keys) else None


def _decision(line: bytes) -> dict[str, Any] | None:
    found = _object(line, "scope", "route", "why", "pattern", "policy_version")
    return found if found is not None and isinstance(found["pattern"], int | None) else None


def _without_decision(line: bytes, scope: str) -> bytes | None:
    found = _decision(line)
    return None if found is not None and found["scope"] == scope else line


def _session(line: bytes) -> dict[str, Any] | None:
    return _object(line, "session", "scope", "patterns")


def _without_session(line: bytes, scope: str) -> bytes | None:
    found = _session(line)
    return None if found is not None and found["scope"] == scope else line


def _without_pattern(line: bytes, named: _Named, template: Template, *, unknown: bool) -> bytes | None:
    """The line with no more words than the store has left of the pattern, and none that it did not have."""
    found = _object(line, "id", "template", "count", "first_n", "last_n", "merged_into")
    if found is None or not isinstance(found["id"], int) or not isinstance(found["template"], str):
        return line
    id = found["id"]
    if not unknown and id not in named.theirs:
        return line
    left = template(id)
    if left is None and id not in named.others:
        return None
    its, theirs = _words(found["template"]), _words(left or "")
    if left is not None and its <= theirs:
        return line
    shown = left if left is not None and theirs <= its else _UNKNOWN
    return json.dumps({**found, "template": shown}).encode() + b"\n"


def _without_alarm(line: bytes, named: _Named, *, unknown: bool) -> bytes | None:
    """The line, unless its pattern was only of the scope, or nobody knows whose it was."""
    found = _object(line, "kind", "pattern", "at", "since")
    if found is None or found["pattern"] is None:
        return line
    theirs = unknown or found["pattern"] in named.theirs
    return None if theirs and found["pattern"] not in named.others else line


def _journalled_alarm(line: bytes) -> dict[str, Any] | None:
    """The alarm that a line of a journal tells."""
    found = _object(line, "n", "alarm")
    return found["alarm"] if found is not None and isinstance(found["alarm"], dict) else None


def _without_journalled(line: bytes, named: _Named, *, unknown: bool) -> bytes | None:
    alarm = _journalled_alarm(line)
    if alarm is None or _without_alarm(json.dumps(alarm).encode(), named, unknown=unknown) is not None:
        return line
    return None


def _words(template: str) -> set[str]:
    return set(template.split()) - {_UNKNOWN}


def _has(path: str, mark: bytes) -> bool:
    with Path(path).open("rb") as file:
        return mark in file.read(_HEAD if mark != _MARKS[LOG] else -1).lower()
