"""`sophia remember`: texts, or the inputs of files, into the memory of a store."""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Iterator
from typing import Any

from sophia.cli.exits import Exit
from sophia.cli.memories import time_of
from sophia.errors import ConfigError

__all__ = ["command"]

_WAIT = 5.0  # seconds for another command to give the store back


def command(options: argparse.Namespace) -> int:
    """Remembers, and prints the id of each text, or for files one line on standard error."""
    from sophia.organs.hippocampus import Hippocampus
    from sophia.stream.sources import resolve

    if bool(options.texts) == bool(options.file):
        message = "give texts to remember, or --file, and not both"
        raise ConfigError(message)
    if options.answer is not None and len(options.texts) != 1:
        message = "--answer belongs to a single TEXT; in a file, `answer` is a key or column of each input"
        raise ConfigError(message)
    said = {"actor": options.actor, "kind": options.kind, "tags": options.tag}
    usual = {name: getattr(options, name) for name in ("scope", "context", "ts") if getattr(options, name) is not None}
    sources = resolve(options.file) if options.file else []  # what is not there is told before a store is made
    bad: Counter[str] = Counter()
    ids: list[int] = []
    with Hippocampus.open(options.store, wait=_WAIT) as memory:
        if options.texts:
            try:
                ids = memory.remember_many(options.texts, answer=options.answer, **usual, **said)
            except ValueError as error:
                raise ConfigError(str(error)) from error
        else:
            for batch in _batches(sources, usual, bad):
                ids += _remembered(memory, batch, said, bad)
    _tell(options, ids, bad)
    return Exit.DONE


def _batches(sources: list[Any], usual: dict[str, Any], bad: Counter[str]) -> Iterator[list[dict[str, Any]]]:
    """The inputs as mappings for `remember_many`."""
    from sophia.stream.readers import read_batches

    for events in read_batches(sources):
        batch = []
        for event in events:
            if event.invalid is not None or event.text is None:
                bad[event.invalid or "no-text"] += 1
                continue
            given = {"content": event.text, "answer": event.answer, **usual}
            for name in ("scope", "context"):
                if getattr(event, name):
                    given[name] = getattr(event, name)
            if event.ts is not None and (when := time_of(event.ts)) is not None:
                given["ts"] = when
            elif event.ts is not None:
                bad["time-not-read"] += 1
            batch.append(given)
        if batch:
            yield batch


def _remembered(memory: Any, batch: list[dict[str, Any]], said: dict[str, Any], bad: Counter[str]) -> list[int]:
    """All that can be remembered of a batch, in one commit where nothing stands in the way."""
    try:
        found: list[int] = memory.remember_many(batch, **said)
    except ValueError:
        found = []
        for each in batch:
            try:
                found += memory.remember_many([each], **said)
            except ValueError:
                bad["refused"] += 1
    return found


def _tell(options: argparse.Namespace, ids: list[int], bad: Counter[str]) -> None:
    if options.json:
        facts = {"remembered": len(ids), "ids": ids if options.texts else ids[:1] + ids[-1:][: len(ids) - 1]}
        sys.stdout.write(json.dumps(facts | {"bad": dict(sorted(bad.items()))}) + "\n")
    elif options.texts:
        sys.stdout.write("".join(f"{id}\n" for id in ids))
    elif sys.stderr is not None:
        where = f" as {ids[0]:,} to {ids[-1]:,}" if ids else ""
        left = ", ".join(f"{count:,} {reason}" for reason, count in sorted(bad.items()))
        sys.stderr.write(f"sophia: remembered {len(ids):,}{where} in {options.store}{'; ' + left if left else ''}\n")
    sys.stdout.flush()
