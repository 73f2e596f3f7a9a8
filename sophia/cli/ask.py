"""`sophia ask`: a question in plain English, answered as far as templates over the chronicle can."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from sophia.cli.asking import ask
from sophia.cli.rows import aligned, objects
from sophia.errors import ConfigError
from sophia.store.questions import MOST, understood

if TYPE_CHECKING:
    from sophia.store.reading import Reading

__all__ = ["command"]

_MORE = f"there are more than these {MOST}; ask of less time, or in SQL (`sophia weave --sql`)\n"
_UNTIMED = "(no input has a time of its own: times are those of deciding, and nothing is known of silence)\n"


def command(options: argparse.Namespace) -> int:
    """Says how the question was understood, and prints the rows that answer it."""
    try:
        zone = ZoneInfo(options.tz)
    except (OSError, ValueError, LookupError) as error:
        message = f"--tz: {options.tz!r} is no time zone that is known here; use UTC, or one as Europe/Berlin"
        raise ConfigError(message) from error
    asked = understood(" ".join(options.question), now=datetime.now(UTC), zone=zone)

    def answer(reading: Reading) -> Iterator[str]:
        timed = next(reading.ask("SELECT count(event) FROM decisions")[1])[0]
        names, rows = reading.ask(asked.sql)
        found = list(rows)
        shown, more = found[:MOST], len(found) > MOST
        if options.json:
            yield from objects(names, iter(shown))
            if more and sys.stderr is not None:
                sys.stderr.write(f"sophia: {_MORE}")
            return
        yield f"{asked.words}:\n"
        if not timed:
            yield _UNTIMED
        yield from aligned(names, iter(shown)) if shown else ("none\n",)
        if more:
            yield f"... {_MORE}"

    return ask(Path(options.store), answer)
