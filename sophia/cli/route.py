"""`sophia route`: one text, one decision record on standard output."""

from __future__ import annotations

import argparse
import sys

from sophia.cli.exits import Exit
from sophia.cli.flags import settings_of

__all__ = ["command"]


def command(options: argparse.Namespace) -> int:
    """Prints the record; with --answer the answer is stored for later repeats."""
    import sophia
    from sophia.stream.decisions import decision_line

    settings, run = settings_of(options)
    with sophia.open(None if run.no_store else run.store, settings=settings, rules=run.rules, model=run.model) as brain:
        decision = brain.route(options.text, scope=options.scope, context=options.context)
        if options.answer is not None and not brain.complete(decision, answer=options.answer):
            sys.stderr.write(f"sophia: the answer is not stored: {decision.verdict}, {decision.why}\n")
    sys.stdout.write(decision_line(decision) + "\n")
    sys.stdout.flush()
    return Exit.DONE
