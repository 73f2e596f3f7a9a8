"""`sophia forget`: memories, and the answers of a scope, deleted from a store for good."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from sophia.cli.exits import Exit
from sophia.errors import ConfigError

__all__ = ["command"]

_WAIT = 5.0


def command(options: argparse.Namespace) -> int:
    """Deletes, and prints how much; what cannot be taken back is named."""
    from sophia.organs.hippocampus import Hippocampus
    from sophia.store.folder import StoreFolder

    if options.id is None and options.scope is None and options.before is None:
        message = "say what to forget: --id, --scope or --before"
        raise ConfigError(message)
    if options.id is not None and (options.scope is not None or options.before is not None):
        message = "--id names a memory already; leave --scope and --before out"
        raise ConfigError(message)
    StoreFolder(Path(options.store)).require()
    with Hippocampus.open(options.store, wait=_WAIT) as memory:
        if options.id is not None:
            memories = sum(memory.forget(id) for id in options.id)
        else:
            memories = memory.forget(scope=options.scope, before=options.before)
    answers = 0
    if options.scope is not None and options.before is None:
        from sophia.store.store import Store

        store = Store(Path(options.store))
        try:
            answers = store.forget_answers(options.scope)
            store.empty_log()
        finally:
            store.close()
    facts = {"memories": memories, "answers": answers}
    if options.json:
        sys.stdout.write(json.dumps(facts) + "\n")
    else:
        sys.stdout.write(f"forgotten: {memories:,} memories, {answers:,} answers\n")
    sys.stdout.flush()
    if options.scope is not None and sys.stderr is not None:
        sys.stderr.write(
            "sophia: not forgotten: patterns, word counts and familiarity, which all scopes share; what runs have "
            "written to their output folders; backups, and copies that were set aside in the store (replaced-*, "
            "damaged-*)\n"
        )
    return Exit.DONE
