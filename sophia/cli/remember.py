"""`sophia remember`: texts, or the inputs of files, into the memory of a store."""

from __future__ import annotations

import argparse
import json
import sys
from base64 import b64decode
from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any

from sophia.cli.exits import Exit
from sophia.cli.memories import time_of
from sophia.errors import ConfigError, InputError
from sophia.store.memories import SEEN
from sophia.stream.formats import Keys

__all__ = ["command"]

_WAIT = 5.0  # seconds for another command to give the store back
_ACTORS = ("actor", "speaker", "author")  # keys and columns of who said it
_BATCH = 256
_OF_INPUTS = "input"  # the kind that exported memories of inputs get: those of their own are let go by brains
_NAMED = 5  # bad inputs that are named


def command(options: argparse.Namespace) -> int:
    """Remembers, and prints the id of each text, or for files one line on standard error."""
    from sophia.organs.hippocampus import Hippocampus
    from sophia.stream.sources import resolve

    if sum(map(bool, (options.texts, options.file, options.exported))) != 1:
        message = "give texts to remember, or --file, or --exported, and not both of two"
        raise ConfigError(message)
    if options.answer is not None and len(options.texts) != 1:
        message = "--answer belongs to a single TEXT; in a file, `answer` is a key or column of each input"
        raise ConfigError(message)
    said = {"actor": options.actor, "kind": options.kind, "tags": options.tag}
    usual = {name: getattr(options, name) for name in ("scope", "context", "ts") if getattr(options, name) is not None}
    sources = resolve(options.file) if options.file else []  # what is not there is told before a store is made
    exported = open_exported(options.exported) if options.exported else None
    bad = Bad()
    ids: list[int] = []
    with Hippocampus.open(options.store, wait=_WAIT) as memory:
        if options.texts:
            try:
                ids = memory.remember_many(options.texts, answer=options.answer, **usual, **said)
            except ValueError as error:
                raise ConfigError(str(error)) from error
        elif exported is not None:
            with exported:
                for batch in exported_batches(exported, bad):
                    ids += _remembered(memory, batch, {}, bad)
        else:
            keys = Keys(actor=_ACTORS, **_keys(options))
            for batch in _batches(sources, keys, usual, said, bad):
                ids += _remembered(memory, batch, {}, bad)
    _tell(options, ids, bad)
    return Exit.DONE


def _keys(options: argparse.Namespace) -> dict[str, Any]:
    return {name: tuple(given) for name in ("text", "scope", "context") if (given := getattr(options, f"{name}_key"))}


def _batches(
    sources: list[Any], keys: Keys, usual: dict[str, Any], said: dict[str, Any], bad: Bad
) -> Iterator[list[tuple[str, dict[str, Any]]]]:
    """The inputs as mappings for `remember_many`, each with its place."""
    from sophia.stream.readers import read_batches

    reader = read_batches(sources, keys=keys)
    for events in reader:
        batch = []
        for event in events:
            place = f"{event.source}:{event.line}"
            if event.invalid is not None or event.text is None:
                bad.add(place, event.invalid or "no-text")
                continue
            given = {**said, "content": event.text, "answer": event.answer, **usual}
            for name in ("scope", "context", "actor"):
                if getattr(event, name):
                    given[name] = getattr(event, name)
            if event.ts is not None and (when := time_of(event.ts)) is not None:
                given["ts"] = when
            elif event.ts is not None:
                bad.add(place, "time-not-read")
            batch.append((place, given))
        if batch:
            yield batch
    bad.notes += reader.counts.notes


def _remembered(memory: Any, batch: list[tuple[str, dict[str, Any]]], said: dict[str, Any], bad: Bad) -> list[int]:
    """All that can be remembered of a batch, in one commit where nothing stands in the way."""
    try:
        found: list[int] = memory.remember_many([each for _, each in batch], **said)
    except (ValueError, TypeError):
        found = []
        for place, each in batch:
            try:
                found += memory.remember_many([each], **said)
            except (ValueError, TypeError) as error:
                bad.add(place, "refused", str(error))
    return found


class Bad:
    """Inputs that were not remembered, or not as they were: counted by reason, the first of them named."""

    def __init__(self) -> None:
        self.reasons: Counter[str] = Counter()
        self.named: list[str] = []
        self.notes: list[str] = []

    def add(self, place: str, reason: str, words: str = "") -> None:
        """Counts one."""
        self.reasons[reason] += 1
        if len(self.named) < _NAMED:
            self.named.append(f"{place}: {reason}{f' ({words})' if words else ''}")


def open_exported(name: str) -> Any:
    """The file of exported memories; InputError where it cannot be opened."""
    try:
        return Path(name).open(encoding="utf-8")
    except OSError as error:
        message = f"{name} cannot be read ({error.strerror})"
        raise InputError(message) from error


def exported_batches(file: Any, bad: Bad) -> Iterator[list[tuple[str, dict[str, Any]]]]:
    """The lines of `sophia store export --what memories` as mappings for `remember_many`, each with its place."""
    lines = enumerate(file, 1)
    while group := list(islice(lines, _BATCH)):
        batch = []
        for number, line in group:
            place = f"{file.name}:{number}"
            try:
                batch.append((place, _exported(json.loads(line))))
            except (ValueError, TypeError, KeyError, RecursionError) as error:
                bad.add(place, "not-exported", str(error)[:100])
        if batch:
            yield batch


def _exported(told: dict[str, Any]) -> dict[str, Any]:
    given = {name: told[name] for name in ("scope", "context", "actor", "tags", "valence", "strength", "answer")}
    given["kind"] = _OF_INPUTS if told["kind"] in SEEN else told["kind"]
    given["ts"] = datetime.fromisoformat(told["ts"])
    if told["text"] is not None:
        return {**given, "content": told["text"]}
    from sophia._core.vector import Hypervector

    return {**given, "content": Hypervector.from_bytes(b64decode(told["vector"]), told["dim"])}


def _tell(options: argparse.Namespace, ids: list[int], bad: Bad) -> None:
    reasons = dict(sorted(bad.reasons.items()))
    if options.json:
        facts = {"remembered": len(ids), "ids": ids if options.texts else ids[:1] + ids[-1:][: len(ids) - 1]}
        sys.stdout.write(json.dumps(facts | {"bad": reasons}) + "\n")
    elif options.texts:
        sys.stdout.write("".join(f"{id}\n" for id in ids))
    elif sys.stderr is not None:
        where = f" as {ids[0]:,} to {ids[-1]:,}" if ids else ""
        left = ", ".join(f"{count:,} {reason}" for reason, count in reasons.items())
        sys.stderr.write(f"sophia: remembered {len(ids):,}{where} in {options.store}{'; ' + left if left else ''}\n")
    if sys.stderr is not None:
        sys.stderr.write("".join(f"sophia: {words}\n" for words in (*bad.notes, *bad.named)))
        if bad.reasons.total() > len(bad.named):
            sys.stderr.write(f"sophia: and {bad.reasons.total() - len(bad.named):,} more\n")
    sys.stdout.flush()
