"""What of a store's shared tables is a scope's, so that it can go with the memories and answers of the scope."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from sophia._core.idf import IdfTable
from sophia._core.normaliser import normalise
from sophia._core.pattern import mask, owner_of
from sophia.errors import StoreCorrupt
from sophia.store import derived
from sophia.store.memories import SEEN
from sophia.store.patterns import Without, without
from sophia.store.store import Store

__all__ = ["Erasure", "erasure_of"]


@dataclass(slots=True)
class Erasure:
    """What is left of the shared tables. `patterns` says which of their rows go, `dumps` are tables that take the place
    of what is there. `texts` were taken out of the word counts, `sessions` were open, `sensors` known.

    `familiar`, `documents` and `orders` are what cannot be told apart by scope: how many entries there are of it.
    `observed` is how many inputs the brain had observed before its birth, less those of the scope: it counted their
    words, and knows how they sound as a whole. `life` is the stage of life without texts of a window that is not full.
    """

    patterns: Without
    dumps: dict[str, bytes] = field(default_factory=dict)
    texts: int = 0
    sessions: int = 0
    sensors: int = 0
    familiar: int = 0
    documents: int = 0
    orders: int = 0
    observed: int = 0
    life: str | None = None


def erasure_of(store: Store, scope: str, see: Callable[[str], object]) -> Erasure:
    """Finds what a scope has brought into the tables that all share; changes nothing. `see` is told each of the texts
    that the store knows of it. One pass over all memories and answers.

    The word counts are those of every text that a brain with `vectors` was given, and do not know whose they were: what
    is known of the scope is taken out where all of its words are counted, and as often as it is known to have come.
    """
    made = Erasure(without(store.pattern_rows(), owner_of(scope)))
    kept, faults = store.derived(derived.NAMES)
    tables: dict[str, Any] = {}
    for name, (dump, log) in kept.items():
        try:
            tables[name] = derived.empty(name) if name in faults else derived.rebuild(name, dump, log)
        except StoreCorrupt as error:  # sound bytes that say nothing: they go, as a damaged table does
            tables[name], faults[name] = derived.empty(name), str(error)
    words, sessions = tables["idf"], tables["sessions"]
    more = dict(made.patterns.lines)  # sightings beyond those of the texts
    only: dict[str, str | None] = {}  # the text behind a masked line, where there is just one
    for text, form in _texts(store, scope):
        see(text)
        if words.documents and words.holds(form):
            words.forget(form)
            made.texts += 1
            line = mask(text)
            if line not in more:
                line = " ".join(text.split())  # of a brain without the built-in masks
            if line in more:
                more[line] -= 1
                only[line] = None if line in only else form
    for line, one in only.items():
        while one is not None and more[line] > 0 and words.documents and words.holds(one):
            words.forget(one)
            more[line] -= 1
    made.sessions = sessions.forget(scope)
    made.sensors = tables["sensors"].forget(scope)
    if made.texts:
        made.dumps["idf"] = words.dump()
    if made.sessions or kept["sessions"][1]:  # the log has the names of those that have ended, too
        made.dumps["sessions"] = sessions.dump()
    if made.sensors or kept["sensors"][1]:
        made.dumps["sensors"] = tables["sensors"].dump()
    if tables["rhythms"].forget(made.patterns.departed) or kept["rhythms"][1]:
        made.dumps["rhythms"] = tables["rhythms"].dump()
    observed = tables["words"]
    if _forget_words(observed, made.patterns.lines):
        made.dumps["words"] = observed.dump()
    made.observed = observed.documents
    made.life = _without_texts(store.meta("life"))
    made.dumps |= {name: tables[name].dump() for name in faults}  # what a damaged one holds goes with it
    made.familiar, made.documents, made.orders = len(tables["familiar"]), words.documents, sessions.known
    return made


def _forget_words(words: IdfTable, lines: Mapping[str, int]) -> int:
    """Takes masked lines out of the words that were counted before birth, as often as they came at most: what only they
    had is not known any more. How many were taken out."""
    taken = 0
    for line, count in lines.items():
        for _ in range(count):
            if not words.documents or not words.holds_words(line):
                break
            words.forget_words(line)
            taken += 1
    return taken


def _without_texts(life: str | None) -> str | None:
    """The stage of life without its last texts, of which nobody knows whose they are; None where it has none."""
    if life is None:
        return None
    try:
        told = json.loads(life)
        if not told.pop("window", None):
            return None
    except (ValueError, AttributeError):
        return None
    return json.dumps(told, separators=(",", ":"))


def _texts(store: Store, scope: str) -> Iterator[tuple[str, str]]:
    """The texts of a scope that are known, each once, as they were said and as they were counted."""
    seen = set()
    for key, raw in store.answered(scope):
        seen.add(hash(key.form))
        yield raw, key.form
    for row in store.memories():
        if row is None or row.scope != scope or row.text is None or row.kind not in SEEN:  # others were not counted
            continue
        form = row.text if row.kind == "line" else normalise(row.text)
        if hash(form) not in seen:
            seen.add(hash(form))
            yield row.text, form
