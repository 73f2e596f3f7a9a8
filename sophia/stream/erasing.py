"""Files that runs have written, without what they say of a scope."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any

from sophia.errors import StoreFailed
from sophia.store.folder import sync
from sophia.store.outputs import DECISIONS, PATTERNS, REPORT, SESSIONS, Output
from sophia.stream.partial import Partial

__all__ = ["Erased", "erase_outputs"]

_MARK = b"sophia"  # near the beginning of a report
_HEAD = 1 << 16
_UNKNOWN = "<*>"

Template = Callable[[int], str | None]


@dataclass(slots=True)
class Erased:
    """What was taken out: `decisions`, `sessions` and `patterns` are lines; `removed` are files that went as a whole,
    `gone` those that are not there any more. `kept` says what may still tell of the scope, and why."""

    decisions: int = 0
    sessions: int = 0
    patterns: int = 0
    removed: list[str] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)


def erase_outputs(files: Sequence[Output], scope: str, template: Template) -> Erased:
    """Takes the decisions and sessions of a scope out of files that runs have written.

    A pattern goes with the last decision that names it, or shows the `template` that the store has left of it. The
    report of a run that decided for the scope is removed: it quotes inputs. Files are replaced as a whole, and each
    line that stays is what it was, byte for byte; killed at any point it can be done again. Raises StoreFailed where a
    file cannot be replaced.
    """
    done = Erased()
    for _, group in groupby(files, key=lambda one: one.run):
        run = list(group)
        for one in run:
            if not os.path.lexists(one.path):
                done.gone.append(one.path)
            elif not os.path.isfile(one.path):  # noqa: PTH113
                done.kept.append(f"{one.path}, which is no file any more")
        there = [one for one in run if os.path.isfile(one.path)]  # noqa: PTH113
        try:
            _erase_run(there, scope, template, done)
        except OSError as error:
            message = (
                f"{error.filename} cannot be cleaned of what is forgotten ({error.strerror}); mend that, or remove the "
                "file, and forget once more"
            )
            raise StoreFailed(message) from error
    return done


def _erase_run(files: Sequence[Output], scope: str, template: Template, done: Erased) -> None:
    """The decisions last: what else is to be done follows from them."""
    decisions = [Path(one.path) for one in files if one.kind == DECISIONS]
    theirs: set[int] = set()  # patterns of decisions that go
    others: set[int] = set()
    lines = 0
    for path in decisions:
        strange = 0
        for line in _lines(path):
            found = _decision(line)
            if found is None:
                strange += 1
                continue
            mine = found["scope"] == scope
            lines += mine
            if found["pattern"] is not None:
                (theirs if mine else others).add(found["pattern"])
        if strange:
            done.kept.append(f"{strange:,} lines of {path} that are no decisions")
    unknown = not decisions  # somewhere else, or gone
    for one in files:
        path = Path(one.path)
        if one.kind == SESSIONS:
            done.sessions += _rewrite(path, lambda line: _without_session(line, scope))
        elif one.kind == PATTERNS and (lines or unknown):
            done.patterns += _rewrite(path, lambda line: _without_pattern(line, theirs, others, template, unknown))
        elif one.kind == REPORT and (lines or unknown) and _is_report(path):
            path.unlink()
            sync(path.parent)
            done.removed.append(one.path)
    for path in decisions:
        done.decisions += _rewrite(path, lambda line: _without_decision(line, scope))


def _lines(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        yield from file


def _rewrite(path: Path, change: Callable[[bytes], bytes | None]) -> int:
    """Replaces a file by its changed lines, where one of them changes; how many do. None takes a line out."""
    changed = sum(change(line) != line for line in _lines(path))
    if not changed:
        return 0
    with Partial(path) as partial:
        for line in _lines(path):
            left = change(line)
            if left is not None:
                partial.file.write(left)
        partial.file.flush()
        with suppress(OSError):
            shutil.copymode(path, partial.partial)
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


def _without_session(line: bytes, scope: str) -> bytes | None:
    found = _object(line, "session", "scope", "patterns")
    return None if found is not None and found["scope"] == scope else line


def _without_pattern(
    line: bytes, theirs: set[int], others: set[int], template: Template, unknown: bool
) -> bytes | None:
    found = _object(line, "id", "template", "count")
    if found is None or not isinstance(found["id"], int):
        return line
    id = found["id"]
    if not unknown and id not in theirs:
        return line
    left = template(id)
    if left is None and id not in others:
        return None
    if left == found["template"]:
        return line
    return json.dumps({**found, "template": _UNKNOWN if left is None else left}).encode() + b"\n"


def _is_report(path: Path) -> bool:
    with path.open("rb") as file:
        return _MARK in file.read(_HEAD).lower()
