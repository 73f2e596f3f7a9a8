"""`sophia demo`: `sophia run` over the sample that ships with the package."""

from __future__ import annotations

import argparse

__all__ = ["command"]


def command(options: argparse.Namespace) -> int:
    """Runs the sample without touching a store, unless a flag names one: a second demo shows the same as the first."""
    from sophia.cli.run import command as run
    from sophia.stream.demo import demo_path

    options.inputs = [str(demo_path())]
    options.format = "jsonl"
    options.follow = False  # a settings file may say otherwise, and nobody will add to the sample
    if not hasattr(options, "store"):
        options.no_store = True
    return run(options)
