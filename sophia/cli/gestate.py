"""`sophia gestate`: a brain observes a stream until it is born; nothing is told of single inputs."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import Any

from sophia.cli.exits import Exit
from sophia.cli.flags import settings_of
from sophia.cli.status import status_command

__all__ = ["command"]

_LEAST = 1000
_TIME = 86_400.0


def command(options: argparse.Namespace) -> int:
    """Reads the inputs until birth, or until they end; one line on standard error says how far it has come."""
    import sophia
    from sophia.cli.run import keys_of
    from sophia.organs.scanning import MOST
    from sophia.stream.interrupt import Interrupt
    from sophia.stream.readers import follow_batches, read_batches
    from sophia.stream.run import run
    from sophia.stream.session_key import SessionKey
    from sophia.stream.times import zone

    if not options.inputs and (sys.stdin is None or sys.stdin.isatty()):
        sys.stderr.write("usage: sophia gestate [INPUT ...]  (a file, a glob, or - for standard input)\n")
        return Exit.USAGE
    settings, wanted = settings_of(options)
    # A settings file that says how long it takes for a run says it for this, too.
    if settings.changed().keys().isdisjoint(("gestation_inputs", "gestation_seconds")):
        settings = settings.with_changes(gestation_inputs=_LEAST, gestation_seconds=_TIME)
    if options.least is not None:
        settings = settings.with_changes(gestation_inputs=options.least)
    if options.time is not None:
        settings = settings.with_changes(gestation_seconds=options.time)
    session_key = SessionKey(wanted.session_key) if wanted.session_key else None
    store = None if wanted.no_store else wanted.store
    workers = min(wanted.workers or os.cpu_count() or 1, MOST)
    read = follow_batches if wanted.follow else read_batches
    reader = read(options.inputs, format=wanted.format, keys=keys_of(wanted), keep_going=True)
    with (
        Interrupt(reader.stop) as interrupt,
        sophia.open(store, settings=settings, rules=wanted.rules, model=wanted.model, workers=workers) as brain,
    ):
        before = brain.birth

        def watch(_: Any) -> None:
            if brain.birth is not None:
                reader.stop()

        if brain.stage == "gestating" and (growth := brain.thalamus.gestation) is not None:
            growth.need(options.least, options.time)
            with Path(os.devnull).open("wb") as nowhere:
                run(reader, brain, nowhere, nowhere, zone=zone(wanted.tz), watch=watch, session_key=session_key)
        else:
            reader.close()
        _tell(brain, store, new=brain.birth is not None and before is None)
        stage = brain.stage
    errors = reader.counts.errors
    sys.stderr.write("".join(f"sophia: {error}\n" for error in errors))
    if bad := reader.counts.bad_total:
        sys.stderr.write(f"sophia: {bad:,} inputs cannot be read; they do not count\n")
    if interrupt.exit_code and stage == "gestating":
        return Exit(interrupt.exit_code)
    return Exit.INPUT if errors else Exit.DONE


def _tell(brain: Any, store: str | None, *, new: bool) -> None:
    gestation = brain.thalamus.gestation
    if new:
        words = f"born after {brain.birth['inputs']:,} inputs"
        if store is None:
            words += ", and forgotten again without a store"
        else:
            words += f"; `{status_command(store)}` says what is usual"
    elif brain.stage != "gestating":
        words = f"it was born before ({brain.stage}); nothing was read"
    else:
        inputs, time = gestation.progress
        words = (
            f"still gestating: {inputs:.0%} of the inputs and {time:.0%} of the time that it needs, by the clock; run "
            "it again, or end the wait with --time 0s or a smaller --least"
        )
    sys.stderr.write(f"sophia: {words}\n")
