"""`sophia fit`: labelled texts to a router of intents in a folder, and what it is worth."""

from __future__ import annotations

import argparse
import json
import sys
from time import monotonic
from typing import TYPE_CHECKING, Any

from sophia.cli.exits import Exit
from sophia.errors import ConfigError, InputError

if TYPE_CHECKING:
    from pathlib import Path

    from sophia.organs.intents import Intents
    from sophia.stream.formats import Keys
    from sophia.stream.sources import Source

__all__ = ["command"]

_SHOWN = 10
# Seconds between two words of progress.
_PACE = 1.0


def command(options: argparse.Namespace) -> int:
    """Reads the files, trains, writes the model; the report on standard error, or as JSON on standard output."""
    from sophia.organs.intents import Intents
    from sophia.stream.formats import Keys
    from sophia.stream.sources import resolve

    def tell(words: str) -> None:
        if not options.quiet and sys.stderr is not None:
            sys.stderr.write(f"sophia: {words}\n")
            sys.stderr.flush()

    last = -_PACE

    def show(words: str) -> None:
        """Progress, where there is something to wait for."""
        nonlocal last
        now = monotonic()
        if now - last >= _PACE:
            last = now
            tell(words)

    named = {"text": options.text_key, "label": options.label_key}
    found: dict[str, Any] = {name: tuple(given) for name, given in named.items() if given}
    keys = Keys(**found)
    inputs = resolve(options.inputs)
    held_out = resolve(options.validation) if options.validation else []
    beyond = resolve([options.out_of_scope]) if options.out_of_scope is not None else []
    written = _refuse_model(options.model, [*inputs, *held_out, *beyond])
    texts, labels = _labelled(inputs, options.format, keys, tell)
    validation = _labelled(held_out, options.format, keys, tell) if held_out else None
    outside = _texts(beyond, keys, tell) if beyond else None
    try:
        intents = Intents.fit(
            texts,
            labels,
            validation=validation,
            out_of_scope=outside,
            in_scope_loss=options.in_scope_loss,
            reflex_safe=options.reflex_safe or (),
            seeds=options.seeds,
            seed=options.seed,
            workers=options.workers,
            progress=show,
        )
    except ValueError as error:
        message = f"{', '.join(options.inputs)}: {error}"
        raise InputError(message) from error
    intents.save(options.model)
    if options.json:
        sys.stdout.write(json.dumps({"model": str(written), "version": intents.version, **intents.report}) + "\n")
        sys.stdout.flush()
    for line in [*_lines(intents), f"written to {written}"]:
        tell(line)
    return Exit.DONE


def _refuse_model(model: str, sources: list[Source]) -> Path:
    """The file that the model goes to. ConfigError, before the work, where it would replace what is no model."""
    from sophia.cli.guard import Guard
    from sophia.organs.intent_file import place, refuse_target

    if why := Guard(sources).trouble(place(model)):
        message = f"--model {model} {why}; it would be overwritten: name another file or folder"
        raise ConfigError(message)
    return refuse_target(model)


def _labelled(inputs: list[Source], format: str, keys: Keys, tell: Any) -> tuple[list[str], list[str]]:
    """The texts and labels of some files; what has neither is told and left out."""
    from sophia.stream.readers import read_batches

    texts: list[str] = []
    labels: list[str] = []
    unlabelled = 0
    reader = read_batches(inputs, format=format, keys=keys)
    for events in reader:
        for event in events:
            if event.invalid is not None or event.text is None or not event.text.strip():
                continue
            if event.label is None or not event.label.strip():
                unlabelled += 1
                continue
            texts.append(event.text)
            labels.append(event.label.strip())
    _tell_bad(reader.counts.bad, tell)
    if not texts:
        names = ", ".join(source.name for source in inputs)
        message = (
            f"{names}: no input has both a text and a label; name their columns or keys with --text-key and --label-key"
        )
        raise InputError(message)
    if unlabelled:
        tell(f"left out: {unlabelled:,} inputs without a label")
    return texts, labels


def _texts(inputs: list[Source], keys: Keys, tell: Any) -> list[str]:
    """The texts of what is out of scope: a file of any format, with or without labels."""
    from sophia.stream.readers import read_batches

    reader = read_batches(inputs, keys=keys)
    found = [
        event.text
        for events in reader
        for event in events
        if event.invalid is None and event.text is not None and event.text.strip()
    ]
    _tell_bad(reader.counts.bad, tell)
    if not found:
        message = (
            f"--out-of-scope {inputs[0].name}: no text in it; leave the flag out, or name the column with --text-key"
        )
        raise ConfigError(message)
    return found


def _tell_bad(bad: dict[str, int], tell: Any) -> None:
    if bad:
        tell("left out: " + ", ".join(f"{count:,} {reason}" for reason, count in sorted(bad.items())))


def _lines(intents: Intents) -> list[str]:
    """The report for a person."""
    report = intents.report
    chosen = report["chosen"]
    lines = [
        f"{report['examples']:,} examples of {report['routes']:,} routes, {report['held_out']:,} held out",
        f"held-out accuracy {_shown(report['accuracy'])} before a threshold"
        + ("" if report["auroc"] is None else f"; told from what is out of scope: AUROC {_shown(report['auroc'])}"),
        f"threshold {chosen['threshold']:.4f}: {_shown(chosen['in_scope'])} of what is in scope routed rightly, "
        f"{_shown(chosen['in_scope_loss'])} of that turned away, {_shown(chosen['precision'])} of what is routed right"
        + ("" if chosen["out_of_scope"] is None else f", {_shown(chosen['out_of_scope'])} of the rest turned away"),
    ]
    if report["floor"] is not None:
        lines.append(
            f"  too few held-out examples to measure a loss of 2 %: the threshold is {report['floor']}: what is "
            "rather wrong than right is turned away; --in-scope-loss P overrides it"
        )
    for name, one in report["suggested"].items():
        beyond = "" if one["out_of_scope"] is None else f", out of scope {_shown(one['out_of_scope'])} turned away"
        lines.append(f"  {name}: threshold {one['threshold']:.4f}, in scope {_shown(one['in_scope'])} right{beyond}")
    if report["confusions"]:
        lines.append("most confused (label, taken for, times):")
        lines += [f"  {c['label']}, {c['taken for']}, {c['times']}" for c in report["confusions"][:_SHOWN]]
    return lines


def _shown(share: float | None) -> str:
    return "-" if share is None else f"{share:.3f}"
