"""`sophia status`: the stage of a brain's life, and what it has found to be usual."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sophia.cli.exits import Exit

__all__ = ["command"]

_OFTEN = 5  # rules that are named


def command(options: argparse.Namespace) -> int:
    """Prints it; works while a run is writing."""
    from sophia.gestation import life_of

    facts = life_of(Path(options.store))
    if options.json:
        sys.stdout.write(json.dumps(facts, indent=2) + "\n")
    else:
        sys.stdout.write("".join(line + "\n" for line in _lines(facts)))
    sys.stdout.flush()
    return Exit.DONE


def _lines(facts: dict[str, Any]) -> Iterator[str]:
    yield f"store      {facts['path']}"
    stage = facts["stage"]
    if stage is None:
        yield "stage      unknown: it was last used by an older version"
        return
    if stage == "gestating":
        needed = facts["needed"]
        time = f", {facts['seconds']:,.0f} of {needed['seconds']:,.0f} s" if needed["seconds"] else ""
        yield f"stage      gestating: {facts['inputs']:,} of {needed['inputs']:,} inputs{time}"
    else:
        yield f"stage      {stage}{': it decides, and learns nothing' if stage == 'crystalline' else ''}"
    birth = facts["birth"]
    if birth is None:
        return
    seen = f"{birth['inputs']:,} inputs of {birth['patterns']:,} patterns"
    yield f"born       {birth['at']}, in run {birth['run']}, after {seen}"
    for kind, usual in birth["calibration"].items():
        known = f"{usual['familiar']:.1%} familiar, {usual['new']:.1%} of a new pattern"
        yield f"{kind + 's':<11}{usual['inputs']:,} observed: {known}"
        for name, unit in (("novelty", ""), ("complexity", ""), ("surprise", " bits"), ("length", " characters")):
            shares = ", ".join(f"{share} {value:g}" for share, value in usual[name].items() if value is not None)
            yield f"           {name:<11}{shares}{unit if shares else 'unknown'}"
        for rule in usual["often"][:_OFTEN]:
            yield f"           the rule {rule['rule']} hits {rule['share']:.1%} of them: look whether it fits here"
