"""`sophia weave`: what a store has decided, told as chapters, and asked in SQL."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sophia.cli.asking import ask
from sophia.cli.chapters import told
from sophia.cli.exits import Exit
from sophia.cli.memories import iso_time
from sophia.cli.rows import aligned, objects
from sophia.errors import ConfigError
from sophia.setting_kinds import parse_duration
from sophia.store.chapters import damaged, read
from sophia.store.folder import StoreFolder
from sophia.store.view import StoreView

if TYPE_CHECKING:
    from sophia.store.reading import Reading

__all__ = ["command"]

_MOST = 20
_ALL = 1 << 40  # rows; no view has more


def command(options: argparse.Namespace) -> int:
    """Prints the chapters of the store; or brings its chronicle up to date, and asks that."""
    _refuse_idle(options)
    if options.sql is not None or options.views:
        return ask(Path(options.store), partial(_viewed if options.sql is None else _answered, options=options))
    if options.parquet is not None:
        return ask(Path(options.store), partial(_exported, options=options))
    chapters = _since(_chapters(Path(options.store)), options.since)
    if options.json:
        for number, chapter in chapters:
            sys.stdout.write(json.dumps({"id": number} | chapter) + "\n")
    elif chapters:
        sys.stdout.writelines(f"{line}\n" for line in told(chapters, markdown=options.markdown))
    elif options.since is not None:
        sys.stdout.write(f"no chapter has ended since {options.since}\n")
    else:
        sys.stdout.write("no chapter yet: one ends with the run that it is of\n")
    sys.stdout.flush()
    return Exit.DONE


def _refuse_idle(options: argparse.Namespace) -> None:
    """ConfigError where something is asked for that has no use."""
    questions = {"--sql": options.sql is not None, "--views": options.views, "--parquet": options.parquet is not None}
    asked, *others = [flag for flag, there in questions.items() if there] or ["chapters"]
    if others:
        message = f"{asked} and {others[0]} are two questions; ask one at a time"
        raise ConfigError(message)
    given = {"--most": options.most is not None, "--since": options.since is not None, "--markdown": options.markdown}
    of_use = {"--views": ("--most",), "chapters": ("--since", "--markdown")}.get(asked, ())
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
    except OverflowError:  # longer ago than any calendar goes
        return chapters
    except ValueError:
        named = iso_time(since)
        if named is None:
            message = f"--since: {since!r} is neither a duration such as 24h nor a time such as 2026-11-30T14:00Z"
            raise ConfigError(message) from None
        oldest = named
    return [one for one in chapters if _ended(one[1]) >= oldest]


def _ended(chapter: dict[str, Any]) -> datetime:
    ended = iso_time(str(chapter.get("ended")))
    return datetime.max.replace(tzinfo=UTC) if ended is None else ended  # of a clock that no calendar has


def _exported(reading: Reading, options: argparse.Namespace) -> Iterator[str]:
    """A line for each file of Parquet that was written."""
    from sophia.store.parquet import export

    try:
        for path, rows in export(reading, Path(options.parquet)):
            yield json.dumps({"file": str(path), "rows": rows}) + "\n" if options.json else f"{path}: {rows:,} rows\n"
    except ConfigError as error:
        message = f"--parquet: {error}"
        raise ConfigError(message) from error


def _answered(reading: Reading, options: argparse.Namespace) -> Iterator[str]:
    """The rows of a query."""
    try:
        names, rows = reading.ask(options.sql)
        yield from objects(names, rows) if options.json else aligned(names, rows)
    except ConfigError as error:
        message = f"--sql: {error}"
        raise ConfigError(message) from error


def _viewed(reading: Reading, options: argparse.Namespace) -> Iterator[str]:
    """The rows of the views."""
    from sophia.store.views import VIEWS

    most = min(_MOST if options.most is None else options.most, _ALL)
    bare = not next(reading.ask("SELECT count(*) FROM decisions")[1])[0]
    for view in VIEWS:
        names, rows = reading.ask(f"SELECT * FROM {view} LIMIT {most}")
        if options.json:
            yield from objects(names, rows, view)
            continue
        shown = list(rows)
        if not shown and bare:  # that is said in one line
            continue
        yield f"{view}\n"
        yield from aligned(names, iter(shown))
        if len(shown) == most:
            total = next(reading.ask(f"SELECT count(*) FROM {view}")[1])[0]
            if total > len(shown):
                yield f"... {total - len(shown):,} more (--most)\n"
        yield "\n"
