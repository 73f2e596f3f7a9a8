"""Chapters: stretches of a stream, counted, and told by what sets each apart from the one before."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from heapq import nlargest
from typing import Any, NamedTuple

from sophia._core.stretch import Entry, Stretch
from sophia._core.terms import contrast, divergence

__all__ = ["Terms", "chapter_of", "terms_of"]

_SCOPES = 64
_SHOWN = 5
_COMMON = 64  # words that are kept of a chapter
_LIKE = 0.1  # a chapter that differs less from another one tells it again
_LINES = 3
_TERMS = 3
_COUNTED = 200  # terms by which inputs are chosen
_CANDIDATES = 24
_SENTENCE = 160
_SMALL = 32  # inputs from which on a stretch is half a chapter
_GONE = 0.01  # share of the stretch before from which on a pattern is missed
_SURE = 10.83  # log-likelihood ratio of a word beyond chance (p = .001)
_EVERYDAY = frozenset(
    re.findall(
        r"\w+",
        "the and for you that this with are was have not can but its from what how just your will they there all get "
        "has any one out when would then some like about don does did been which them than who why where use "
        "true false null none nan",
    )
)


def chapter_of(
    stretch: Stretch,
    words: dict[str, int],
    terms: Terms,
    before: Stretch | None,
    recent: Iterable[Mapping[str, Any]] = (),
    *,
    run: int,
) -> dict[str, Any]:
    """A stretch as a chapter, for JSON; `words` and `terms` are its own, `before` is the stretch before it, if there
    was one; `recent` are the chapters that it may be like.

    The title is made of the first three terms that are more in it. The summary quotes three inputs, masked, with their
    places: those that have most of these terms and came most often, each for what the ones before it do not have, and
    the first with the most severe danger, if there was any.

    Its significance is n/(n + 32) * (.6 change + .2 new + .2 alarm) for n inputs: `change` is the least Jensen-Shannon
    divergence, in bits, between its commonest words and those of a recent chapter (1 where there is none), `new` the
    share of its inputs that began a pattern, `alarm` the share with a danger rule or an alarm, times 20; 1 at most.
    """
    tally = stretch.tally
    n = tally.inputs
    more, fewer = terms
    common = {word: -count for count, word in sorted([(-count, word) for word, count in words.items()])[:_COMMON]}
    changes = [(divergence(common, one["words"]), one) for one in recent if one.get("words")]
    change, like = min(changes, key=lambda one: one[0], default=(1.0, None))
    alarm = min(1.0, 20.0 * (sum(tally.rules.values()) + stretch.alarms) / n)
    significance = n / (n + _SMALL) * (0.6 * change + 0.2 * min(1.0, stretch.fresh / n) + 0.2 * alarm)
    rules = sorted(tally.rules.items(), key=lambda one: (-one[1], one[0]))
    return {
        "title": _title([word for word, _ in more], before is not None),
        "run": run,
        "ended": _instant(stretch.decided[1]),
        "began": _instant(stretch.decided[0]),
        "inputs": n,
        "significance": round(min(1.0, significance), 3),
        "summary": [f"{one.source}:{one.line}: {_sentence(one)}" for one in _summary(stretch, more)],
        "first": tally.first,
        "last": tally.last,
        "from": stretch.places[0],
        "to": stretch.places[1],
        "events": [_instant(one) if isinstance(one, float) else one for one in (tally.first_event, tally.last_event)],
        "routes": tally.routes,
        "whys": tally.whys,
        "hits": sum(tally.rules.values()),
        "danger": dict(rules[:_SHOWN]),
        "alarms": stretch.alarms,
        "answered": tally.answered,
        "again": like["title"] if like is not None and change < _LIKE else None,
        "words": common,
        "terms": [word for word, _ in more[:_SHOWN]],
        "fewer": [word for word, _ in fewer[:_SHOWN]],
        "new_patterns": stretch.fresh,
        "new": [_sentence(entry) for entry in _new(stretch)],
        "vanished": [_sentence(entry) for entry in _vanished(stretch, before)],
        "scopes": sorted(tally.scopes) if len(tally.scopes) <= _SCOPES else None,
        "k_change": None,
    }


def _instant(seconds: float) -> str:
    """A time in UTC; as a number where no calendar has it."""
    try:
        at = datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        return str(seconds)
    return at.isoformat(timespec="seconds").replace("+00:00", "Z")


class Terms(NamedTuple):
    """Words that tell a stretch apart from the one before, with how sure that is, the surest first."""

    more: list[tuple[str, float]]
    fewer: list[tuple[str, float]]


def terms_of(words: dict[str, int], earlier: dict[str, int] | None) -> Terms:
    """Words that are more, and fewer, than chance would have where they were as frequent as before; where there is no
    before, those that come most."""
    if earlier:
        more, fewer = contrast(words, earlier, _SURE)
    else:
        more = [(word, float(-count)) for count, word in sorted([(-count, word) for word, count in words.items()])]
        fewer = []
    return Terms(*[[one for one in found if one[0] not in _EVERYDAY] for found in (more, fewer)])


def _title(terms: list[str], before: bool) -> str:
    chosen: list[str] = []
    for term in terms:
        if not any(term in other or other in term for other in chosen):
            chosen.append(term)
        if len(chosen) == _TERMS:
            break
    if not chosen:
        return "As before" if before else "Without words"
    title = chosen[0] if len(chosen) == 1 else f"{', '.join(chosen[:-1])} and {chosen[-1]}"
    return title[0].upper() + title[1:]


def _summary(stretch: Stretch, terms: list[tuple[str, float]]) -> list[Entry]:
    """Up to three inputs, in their order: each adds most to what those chosen before it tell, but for one that has the
    most severe danger."""
    left = {word: math.sqrt(sure) for word, sure in terms[:_COUNTED]}
    rated = nlargest(_CANDIDATES, [(one.gain(left), one.count, -one.n, one) for one in stretch.entries.values()])
    candidates = [entry for *_, entry in rated]
    chosen: list[Entry] = []
    while candidates and len(chosen) < _LINES:
        *_, best = max([(one.gain(left), one.count, -one.n, one) for one in candidates])
        candidates.remove(best)
        chosen.append(best)
        for word in best.words:
            if word in left:
                left[word] /= 4
    worst = stretch.worst
    if worst is not None:
        like = stretch.entries.get(stretch.worst_pattern)
        if not any(entry is like or entry.n == worst.n for entry in chosen):
            chosen[_LINES - 1 :] = [worst]
    return sorted(chosen, key=lambda entry: entry.n)


def _new(stretch: Stretch) -> list[Entry]:
    new = [(entry.count, -pattern, entry) for pattern, entry in stretch.entries.items() if pattern > stretch.newest]
    return [entry for *_, entry in sorted(new, key=lambda one: one[:2], reverse=True)[:_SHOWN]]


def _vanished(stretch: Stretch, before: Stretch | None) -> list[Entry]:
    if before is None:
        return []
    least = max(8.0, _GONE * before.tally.inputs)
    gone = [
        (entry.count, -pattern, entry)
        for pattern, entry in before.entries.items()
        if entry.count >= least and pattern not in stretch.entries
    ]
    return [entry for *_, entry in sorted(gone, key=lambda one: one[:2], reverse=True)[:_SHOWN]]


def _sentence(entry: Entry) -> str:
    text = " ".join(entry.masked.split())
    short = text if len(text) <= _SENTENCE else text[: _SENTENCE - 1].rstrip() + "\u2026"
    return short if entry.count == 1 else f"{short} (\u00d7{entry.count:,} alike)"
