"""`sophia weave`: what a store has decided, told as chapters, and asked in SQL."""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from itertools import chain, islice
from pathlib import Path
from threading import Event, Thread
from time import monotonic
from typing import TYPE_CHECKING, Any

from sophia.cli.chapters import told
from sophia.cli.exits import Exit
from sophia.config import parse_duration
from sophia.errors import ConfigError, StoreCorrupt
from sophia.store.chapters import damaged, read
from sophia.store.folder import StoreFolder
from sophia.store.view import StoreView

if TYPE_CHECKING:
    from sophia.store.chronicle import Chronicle, Reading

__all__ = ["command"]

_MOST = 20
_BREAK_OFF = 0.5  # seconds that a query has to end in that was broken off
_ALIGNED = 1000  # rows by whose values columns are aligned; what comes after them may be wider


def command(options: argparse.Namespace) -> int:
    """Prints the chapters of the store; or brings its chronicle up to date, and asks that."""
    _refuse_idle(options)
    if options.sql is not None or options.views:
        return _ask(options)
    chapters = _since(_chapters(Path(options.store)), options.since)
    if options.json:
        for number, chapter in chapters:
            sys.stdout.write(json.dumps({"id": number} | chapter) + "\n")
    elif chapters:
        sys.stdout.writelines(f"{line}\n" for line in told(chapters, markdown=options.markdown))
    else:
        sys.stdout.write("no chapter yet: one ends with the run that it is of\n")
    sys.stdout.flush()
    return Exit.DONE


def _refuse_idle(options: argparse.Namespace) -> None:
    """ConfigError where something is asked for that has no use."""
    if options.sql is not None and options.views:
        message = "--sql and --views are two questions; ask one at a time"
        raise ConfigError(message)
    asked = "--sql" if options.sql is not None else "--views" if options.views else "chapters"
    given = {"--most": options.most is not None, "--since": options.since is not None, "--markdown": options.markdown}
    of_use = {"--sql": (), "--views": ("--most",), "chapters": ("--since", "--markdown")}[asked]
    for flag, there in given.items():
        if there and flag not in of_use:
            instead = {"--most": "; say LIMIT in the query", "--since": "; say WHERE in the query"}.get(flag, "")
            message = f"{flag} is of no use with {asked}{instead if asked == '--sql' else ''}"
            raise ConfigError(message)
    if options.markdown and options.json:
        message = "--markdown and --json are two ways to print the chapters; name one"
        raise ConfigError(message)


def _chapters(store: Path) -> list[tuple[int, dict[str, Any]]]:
    folder = StoreFolder(store)
    folder.require()
    with StoreView(folder.file) as view:
        if (count := damaged(view)) and sys.stderr is not None:
            words = "1 chapter is damaged and left" if count == 1 else f"{count:,} chapters are damaged and left"
            sys.stderr.write(f"sophia: {words} out; `sophia store repair --store {store}` saves what is sound\n")
        return read(view)


def _since(chapters: list[tuple[int, dict[str, Any]]], since: str | None) -> list[tuple[int, dict[str, Any]]]:
    """Those that ended at a time or later, or so long ago or less."""
    if since is None:
        return chapters
    try:
        oldest = datetime.now(UTC) - timedelta(seconds=parse_duration(since))
    except (ValueError, OverflowError):
        try:
            oldest = datetime.fromisoformat(since)
        except ValueError:
            message = f"--since: {since!r} is neither a duration such as 24h nor a time such as 2026-11-30T14:00Z"
            raise ConfigError(message) from None
        oldest = oldest if oldest.tzinfo else oldest.replace(tzinfo=UTC)
    return [one for one in chapters if _ended(one[1]) >= oldest]


def _ended(chapter: dict[str, Any]) -> datetime:
    try:
        ended = datetime.fromisoformat(str(chapter.get("ended")))
    except ValueError:  # of a clock that no calendar has
        return datetime.max.replace(tzinfo=UTC)
    return ended if ended.tzinfo else ended.replace(tzinfo=UTC)


def _ask(options: argparse.Namespace) -> int:
    """Brings the chronicle of the store up to date, and asks it: in a thread of its own, so that a Ctrl-C is seen while
    a query is at work."""
    asking = _Asking(options)
    asking.start()
    try:
        asking.done.wait()
    except KeyboardInterrupt:
        asking.interrupt()
        if not asking.done.is_set():  # what it has not committed is taken from the journal again
            os._exit(Exit.INTERRUPTED)
        raise
    finally:
        for note in asking.notes:
            if sys.stderr is not None:
                sys.stderr.write(f"sophia: {note}\n")
    if asking.error is not None:
        raise asking.error
    return Exit.DONE


class _Asking(Thread):
    """Prints what is asked for. `notes` is what is to be said beside it, `error` what it failed with.

    `done` is set at its end: a `join` that a Ctrl-C breaks off takes a thread for ended that is not.
    """

    def __init__(self, options: argparse.Namespace) -> None:
        super().__init__(name="weave", daemon=True)
        self._options = options
        self._open: Chronicle | Reading | None = None
        self.done = Event()
        self.notes: list[str] = []
        self.error: BaseException | None = None

    def run(self) -> None:
        try:
            self._ask()
        except BaseException as error:  # raised again where it is waited for
            self.error = error
        finally:
            self.done.set()

    def interrupt(self) -> None:
        """Breaks off what is at work, and waits a little for its end."""
        ends = monotonic() + _BREAK_OFF
        while not self.done.wait(0.05) and monotonic() < ends:
            opened = self._open
            if opened is not None:
                opened.interrupt()

    def _ask(self) -> None:
        file = self._catch_up()
        written = 0
        try:
            for line in self._answer(file):
                sys.stdout.write(line)
                written += 1
        except StoreCorrupt as error:  # damage that only shows when it is read
            self._catch_up(str(error))
            if written:
                message = f"{error}; it was made anew: ask again, what was printed is not all"
                raise StoreCorrupt(message) from error
            for line in self._answer(file):
                sys.stdout.write(line)
        sys.stdout.flush()

    def _catch_up(self, damage: str | None = None) -> Path:
        from sophia.store.chronicle import Chronicle

        with Chronicle(Path(self._options.store)) as chronicle:
            self._open = chronicle
            try:
                if damage is not None:
                    chronicle.renew(damage)
                chronicle.catch_up()
                if chronicle.empty:
                    self.notes.append(f"the journal of {self._options.store} is empty, so no decision can be asked for")
            finally:
                self._open = None
                self.notes += chronicle.notes
            return chronicle.file

    def _answer(self, file: Path) -> Iterator[str]:
        from sophia.store.chronicle import Reading

        with Reading(file) as reading:
            self._open = reading
            try:
                yield from _told(reading, self._options)
            finally:
                self._open = None


def _told(reading: Reading, options: argparse.Namespace) -> Iterator[str]:
    """The lines that are printed."""
    from sophia.store.chronicle import VIEWS

    if options.sql is not None:
        names, rows = reading.ask(options.sql)
        yield from _objects(names, rows) if options.json else _lines(names, rows)
        return
    most = _MOST if options.most is None else options.most
    bare = not next(reading.ask("SELECT count(*) FROM decisions")[1])[0]
    for view in VIEWS:
        names, rows = reading.ask(f"SELECT * FROM {view} LIMIT {most}")
        if options.json:
            yield from _objects(names, rows, view)
            continue
        shown = list(rows)
        if not shown and bare:  # that is said in one line
            continue
        yield f"{view}\n"
        yield from _lines(names, iter(shown))
        if len(shown) == most:
            total = next(reading.ask(f"SELECT count(*) FROM {view}")[1])[0]
            if total > len(shown):
                yield f"... {total - len(shown):,} more (--most)\n"
        yield "\n"


def _objects(names: list[str], rows: Iterator[tuple[Any, ...]], view: str | None = None) -> Iterator[str]:
    """A JSON object a row."""
    first = {} if view is None else {"view": view}
    for row in rows:
        yield json.dumps(first | {name: _plain(value) for name, value in zip(names, row, strict=True)}) + "\n"


def _lines(names: list[str], rows: Iterator[tuple[Any, ...]]) -> Iterator[str]:
    """Aligned columns under their names."""
    names = [_shown(name) for name in names]
    first = [[_shown(value) for value in row] for row in islice(rows, _ALIGNED)]
    widths = [max(map(len, column)) for column in zip(names, *first, strict=True)]
    for cells in chain([names], first, ([_shown(value) for value in row] for row in rows)):
        yield "  ".join([cell.ljust(width) for cell, width in zip(cells, widths, strict=True)]).rstrip() + "\n"


def _plain(value: Any) -> Any:
    """As JSON has it: instants in UTC, no NaN."""
    if isinstance(value, datetime):
        return _instant(value)
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(name): _plain(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return value if value is None or isinstance(value, bool | int | str) else str(value)


def _shown(value: Any) -> str:
    """In one line, without what a terminal would obey."""
    if value is None:
        return "-"
    if isinstance(value, datetime):
        return _instant(value)
    text = f"{value:.6g}" if isinstance(value, float) else str(value)
    return text if text.isprintable() else "".join([one if one.isprintable() else " " for one in text])


def _instant(value: datetime) -> str:
    text = value.astimezone(UTC).isoformat() if value.tzinfo else value.isoformat()
    return text.replace("+00:00", "Z")
