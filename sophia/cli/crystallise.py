"""`sophia crystallise`: a brain that decides, and learns nothing more; or learns again."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from sophia.cli.exits import Exit

__all__ = ["command"]


def command(options: argparse.Namespace) -> int:
    """Does it, and says in which stage the brain is."""
    import sophia
    from sophia.store.folder import StoreFolder

    StoreFolder(Path(options.store)).require()
    with sophia.open(options.store) as brain:
        if options.undo:
            brain.liquefy()
        else:
            brain.crystallise()
        stage = brain.stage
    sys.stdout.write(f"{options.store}: {stage}\n")
    sys.stdout.flush()
    return Exit.DONE
