"""`sophia gestate`: a brain observes a stream until it is born; nothing is told of single inputs."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import Any

from sophia.cli.exits import Exit
from sophia.cli.flags import settings_of

__all__ = ["command"]


def command(options: argparse.Namespace) -> int:
    """Reads the inputs until birth, or until they end; one line on standard error says how far it has come."""
    import sophia
    from sophia.organs.scanning import MOST
    from sophia.stream.formats import Keys
    from sophia.stream.interrupt import Interrupt
    from sophia.stream.readers import follow_batches, read_batches
    from sophia.stream.run import run
    from sophia.stream.times import zone

    if not options.inputs and (sys.stdin is None or sys.stdin.isatty()):
        sys.stderr.write("usage: sophia gestate [INPUT ...]  (a file, a glob, or - for standard input)\n")
        return Exit.USAGE
    settings, wanted = settings_of(options)
    settings = settings.with_changes(gestation_inputs=options.least, gestation_seconds=options.time)
    named = {name: keys for name in ("text", "scope", "context") if (keys := getattr(wanted, f"{name}_key"))}
    workers = min(wanted.workers or os.cpu_count() or 1, MOST)
    read = follow_batches if wanted.follow else read_batches
    reader = read(options.inputs, format=wanted.format, keys=Keys(**named), keep_going=True)
    with (
        Interrupt(reader.stop) as interrupt,
        sophia.open(wanted.store, settings=settings, rules=wanted.rules, model=wanted.model, workers=workers) as brain,
    ):
        before = brain.birth

        def watch(_: Any) -> None:
            if brain.birth is not None:
                reader.stop()

        if brain.stage == "gestating":
            with Path(os.devnull).open("wb") as nowhere:
                run(reader, brain, nowhere, nowhere, zone=zone(wanted.tz), watch=watch)
        else:
            reader.close()
        _tell(brain, new=brain.birth is not None and before is None)
        stage = brain.stage
    errors = reader.counts.errors
    sys.stderr.write("".join(f"sophia: {error}\n" for error in errors))
    if interrupt.exit_code and stage == "gestating":
        return Exit(interrupt.exit_code)
    return Exit.INPUT if errors else Exit.DONE


def _tell(brain: Any, *, new: bool) -> None:
    gestation = brain.thalamus.gestation
    if new:
        words = f"born after {brain.birth['inputs']:,} inputs"
        words += "; `sophia status` says what is usual" if brain.durable else ", and forgotten again without a store"
    elif brain.stage != "gestating":
        words = f"it was born before ({brain.stage}); nothing was read"
    else:
        inputs, time = gestation.progress
        words = (
            f"still gestating: {inputs:.0%} of the inputs and {time:.0%} of the time that it needs, by the clock; run "
            "it again, or end the wait with --time 0s or --least"
        )
    sys.stderr.write(f"sophia: {words}\n")
