"""`sophia forget`: memories, or all that is known of a scope, deleted for good."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from sophia.cli.exits import Exit
from sophia.errors import ConfigError

if TYPE_CHECKING:
    from sophia.forgetting import Forgotten

__all__ = ["command"]

_WAIT = 5.0
_SCOPES = 10
_NAMED = 20  # files that are named


def command(options: argparse.Namespace) -> int:
    """Deletes, and prints how much; what cannot be taken back is named."""
    if options.id is None and options.scope is None and options.before is None:
        message = "say what to forget: --id, --scope or --before"
        raise ConfigError(message)
    if options.id is not None and (options.scope is not None or options.before is not None):
        message = "--id names a memory already; leave --scope and --before out"
        raise ConfigError(message)
    if options.copies and (options.scope is None or options.before is not None):
        message = "--copies goes with --scope, without --before: copies in the store are removed as a whole"
        raise ConfigError(message)
    if options.scope is not None and options.before is None:
        from sophia.forgetting import forget_scope

        done = forget_scope(options.store, options.scope, copies=options.copies, wait=_WAIT)
        _tell_scope(done, json_wanted=options.json)
        if done.nothing and sys.stderr is not None:
            sys.stderr.write(f"sophia: nothing was known of the scope {options.scope!r}{_others(options.store)}\n")
        return Exit.DONE
    from sophia.organs.hippocampus import Hippocampus
    from sophia.store.folder import StoreFolder

    StoreFolder(Path(options.store)).require()
    with Hippocampus.open(options.store, wait=_WAIT) as memory:
        if options.id is not None:
            memories = memory.forget(options.id)
        else:
            memories = memory.forget(scope=options.scope, before=options.before)
    told = json.dumps({"memories": memories}) if options.json else f"forgotten: {memories:,} memories"
    sys.stdout.write(told + "\n")
    sys.stdout.flush()
    return Exit.DONE


def _others(store: str) -> str:
    """The scopes that have most, for whoever has mistyped one."""
    from sophia.store.overview import overview

    facts = overview(Path(store))
    known = [one["scope"] for part in ("answers", "memories") for one in facts[part]["scopes"]]
    names = [name for name in dict.fromkeys(known) if isinstance(name, str)][:_SCOPES]
    return f"; there are {', '.join(map(repr, names))}" if names else ""


def _tell_scope(done: Forgotten, *, json_wanted: bool) -> None:
    if json_wanted:
        sys.stdout.write(json.dumps(done.as_dict()) + "\n")
        sys.stdout.flush()
        return
    told = [
        (done.memories, "memories"), (done.answers, "answers"), (done.patterns, "patterns"),
        (done.sessions, "open sessions"), (done.sensors, "sensors"), (done.examples, "examples of routes"),
        (done.texts, "texts in word counts"), (done.journaled, "decisions in the journal"),
        (done.decisions, "lines of decisions"), (done.session_lines, "lines of sessions"),
        (done.pattern_lines, "lines of patterns"), (len(done.removed), "files"),
    ]  # fmt: skip
    parts = [f"{count:,} {what}" for count, what in told if count or what in ("memories", "answers")]
    sys.stdout.write(f"forgotten: {', '.join(parts)}\n")
    sys.stdout.write("".join(f"  removed {path}\n" for path in done.removed[:_NAMED]))
    if len(done.removed) > _NAMED:
        sys.stdout.write(f"  and {len(done.removed) - _NAMED:,} more\n")
    sys.stdout.flush()
    if sys.stderr is not None:
        sys.stderr.write("sophia: what may be left:\n" + "".join(f"  - {what}\n" for what in done.remains))
