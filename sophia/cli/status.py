"""`sophia status`: the stage of a brain's life, and what it has found to be usual."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sophia.cli.exits import Exit
from sophia.store.drift_table import WINDOW
from sophia.stream.times import duration

__all__ = ["command", "status_command"]

_OFTEN = 5  # rules that are named
_REGULAR = 10  # and patterns
_FEW = 16  # hours that are named
_MEASURES = {
    "novelty": "",
    "complexity": "",
    "surprise": " bits",
    "length": " bytes",
    "entropy": " bits a byte",
    "rarity": "",
}


def status_command(store: str) -> str:
    """What to type for the status of a store."""
    from shlex import quote

    return "sophia status" if store == ".sophia" else f"sophia status --store {quote(str(store))}"


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
    if birth is not None:
        yield from _usual(birth)
    for number, one in enumerate(facts["rhythms"][:_REGULAR]):
        gaps = f"every {duration(one['gap'])}, at most {duration(one['longest'])}{_hours(one['hours'])}"
        gaps += f", {one['most']:,} in a minute" if one["most"] > 1 else ""
        template = "" if one["template"] is None else f" {one['template']!r:.80}"
        yield f"{'' if number else 'rhythms':<11}{gaps}: pattern {one['pattern']}{template}"


def _hours(counts: list[int]) -> str:
    """The hours of the day in which it comes, by ranges; nothing where it may be any."""
    hours = [hour for hour, count in enumerate(counts) if count]
    if len(hours) > _FEW:
        return ""
    first = [hour for hour in hours if (hour - 1) % 24 not in hours]
    spans = []
    for begin in first:
        end = begin
        while (end + 1) % 24 in hours and (end + 1) % 24 != begin:
            end = (end + 1) % 24
        spans.append(f"{begin:02}" if end == begin else f"{begin:02}-{end:02}")
    return f", at {', '.join(spans)} h (UTC)"


def _usual(birth: dict[str, Any]) -> Iterator[str]:
    seen = f"{birth['inputs']:,} inputs of {birth['patterns']:,} patterns"
    yield f"born       {birth['at']}, in run {birth['run']}, after {seen}"
    if (drift := birth.get("drift")) is not None and drift["deviation"] is not None:
        like = f"{drift['mean']:.2f} like all before, +- {drift['deviation']:.2f}"
        yield f"drift      {drift['windows']:,} windows of {WINDOW} inputs, {like}; {birth['words']:,} words counted"
    for kind, usual in birth["calibration"].items():
        known = f"{usual['familiar']:.1%} familiar, {usual['new']:.1%} of a new pattern"
        yield f"{kind + 's':<11}{usual['inputs']:,} observed: {known}"
        if "confident" in usual:
            known = f"known after {usual['sightings']:,}, with confidence {usual['confident']:.2f}"
            yield f"           a pattern is {known}"
        for name, unit in _MEASURES.items():
            shares = ", ".join(
                f"{share} {value:g}" for share, value in usual.get(name, {}).items() if value is not None
            )
            yield f"           {name:<11}{shares}{unit if shares else 'unknown'}"
        for rule in usual["often"][:_OFTEN]:
            yield f"           the rule {rule['rule']} hits {rule['share']:.1%} of them: look whether it fits here"
