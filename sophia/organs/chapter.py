"""Chapters: stretches of a stream, counted, and told by what sets each apart from the one before."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from heapq import nlargest
from typing import Any, NamedTuple, Protocol

from sophia._core.decision import Decision
from sophia._core.pattern import mask
from sophia._core.tally import Tally

__all__ = ["TEXT", "Input", "Stretch", "Terms", "chapter_of", "terms_of"]

TEXT = 1000
"""Characters of an input that are looked at."""

_ENTRIES = 512
_OTHERS = 4  # texts of a pattern beside the first
_STEP = 100  # texts
_SCOPES = 64
_SHOWN = 5
_COMMON = 64  # words that are kept of a chapter
_LIKE = 0.1  # a chapter that differs less from another one tells it again
_LINES = 3
_TERMS = 3
_COUNTED = 200  # terms by which inputs are chosen
_CANDIDATES = 24
_SENTENCE = 160
_WORD = re.compile(r"[^\W\d_]{3,24}")
_ASCII_WORD = re.compile(r"[a-z]{3,24}")  # the same, in a third of the time
_SMALL = 32  # inputs from which on a stretch is half a chapter
_GONE = 0.01  # share of the stretch before from which on a pattern is missed
_SURE = 10.83  # log-likelihood ratio of a word beyond chance (p = .001)
_EVERYDAY = frozenset(
    _WORD.findall(
        "the and for you that this with are was have not can but its from what how just your will they there all get "
        "has any one out when would then some like about don does did been which them than who why where use"
    )
)


class Input(Protocol):
    """What was decided: its text, and where it stands."""

    @property
    def source(self) -> str: ...
    @property
    def line(self) -> int: ...
    @property
    def text(self) -> str | None: ...


class Entry:
    """A pattern of a stretch: how often it came, its first input there, and some others of it."""

    __slots__ = ("_masked", "_others", "_text", "_words", "count", "line", "n", "source")

    def __init__(self, n: int, first: Input) -> None:
        self.count = 0
        self.n = n
        self.source = first.source
        self.line = first.line
        self._text = (first.text or "")[:TEXT]
        self._others: list[str] = []
        self._masked: str | None = None
        self._words: tuple[str, ...] | None = None

    def also(self, other: str | None) -> None:
        """Takes another text of the pattern, where there are few and it is another one."""
        if len(self._others) < _OTHERS and other != self._text:
            self._others.append((other or "")[:TEXT])

    @property
    def masked(self) -> str:
        """Its text without what is a value, or differs in the other texts."""
        if self._masked is None:
            text = mask(self._text)
            words = text.split()
            for other in self._others:
                theirs = mask(other).split()
                if len(theirs) == len(words):
                    words = [one if one == two else "<*>" for one, two in zip(words, theirs, strict=True)]
            self._masked = text if words == text.split() else " ".join(words)
        return self._masked

    @property
    def words(self) -> tuple[str, ...]:
        """Of three letters or more, each once, in their order: so that sums over them are the same everywhere."""
        if self._words is None:
            text = self.masked.lower()
            self._words = tuple(dict.fromkeys((_ASCII_WORD if text.isascii() else _WORD).findall(text)))
        return self._words


class Stretch:
    """What a stretch of a stream was made of, in a size that does not grow with it (1 MB, of long texts more).

    Where it has over 512 patterns, half of those that came once go, and of new ones only every second is taken from
    then on, every fourth, and so on: what is left is a sample of them.
    """

    def __init__(self, newest: int) -> None:
        self.newest = newest
        """The last pattern that was known before it."""
        self.tally = Tally()
        self.places = ["", ""]
        self.decided = [0.0, 0.0]
        self.fresh = 0
        """Patterns that began in it."""
        self.alarms = 0
        self.worst: tuple[float, int, Entry] | None = None
        """The first of the inputs with the most severe danger: how severe, its pattern, and itself."""
        self.entries: dict[int, Entry] = {}
        self._every = 1  # so many single patterns stand for one that was kept
        self._single = 0

    def add(
        self,
        patterns: Sequence[int],
        inputs: Sequence[Input],
        decisions: list[Decision],
        at: Sequence[float],
    ) -> None:
        """The next inputs, in order: the pattern of each (0: none), and when it was decided."""
        if not decisions:
            return
        if not self.tally.inputs:
            self.places[0], self.decided[0] = f"{inputs[0].source}:{inputs[0].line}", at[0]
        hits = sum(self.tally.rules.values())
        self.tally.add(decisions)
        if sum(self.tally.rules.values()) > hits:
            self._look_for_worse(inputs, decisions)
        self.places[1], self.decided[1] = f"{inputs[-1].source}:{inputs[-1].line}", at[-1]
        entries = self.entries
        first: dict[int, int] = {}  # place of each pattern, made when it is asked for
        last = dict(zip(patterns, range(len(patterns)), strict=True))
        for pattern, count in Counter(patterns).items():
            entry = entries.get(pattern)
            if entry is None:
                if not pattern:
                    continue
                self.fresh += pattern > self.newest
                if count == 1:
                    self._single += 1
                    if self._single % self._every:
                        continue
                first = first or dict(zip(reversed(patterns), range(len(patterns) - 1, -1, -1), strict=True))
                i = first[pattern]
                entry = entries[pattern] = Entry(decisions[i].n, inputs[i])
            entry.count += count
            if entry.count > 1:
                entry.also(inputs[last[pattern]].text)
        while len(entries) > _ENTRIES:
            self._thin()

    def _look_for_worse(self, inputs: Sequence[Input], decisions: list[Decision]) -> None:
        for first, decision in zip(inputs, decisions, strict=True):
            hit = decision.danger
            if hit is not None and (self.worst is None or hit.severity > self.worst[0]):
                self.worst = hit.severity, decision.pattern or 0, Entry(decision.n, first)
                self.worst[2].count = 1

    def _thin(self) -> None:
        """Lets go half of the patterns that came once, or, where those are few, the rarest half of all."""
        singles = [pattern for pattern, entry in self.entries.items() if entry.count == 1]
        if len(singles) >= _ENTRIES // 4:
            self._every *= 2
            gone = singles[::2]
        else:
            gone = sorted(self.entries, key=lambda pattern: (self.entries[pattern].count, pattern))[: _ENTRIES // 2]
        for pattern in gone:
            del self.entries[pattern]

    def look(self) -> Iterator[None]:
        """Looks at the texts, which is most of the work of telling it: in steps of half a millisecond."""
        for i, entry in enumerate(self.entries.values(), 1):
            _ = entry.words
            if i % _STEP == 0:
                yield

    def words(self) -> dict[str, int]:
        """How often each word came, from what was kept: of an input counts each once."""
        found: dict[str, int] = {}
        for entry in self.entries.values():
            weight = entry.count if entry.count > 1 else self._every
            for word in entry.words:
                found[word] = found.get(word, 0) + weight
        return dict(sorted(found.items()))


def chapter_of(
    stretch: Stretch,
    words: Mapping[str, int],
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
    common = dict(sorted(words.items(), key=lambda one: (-one[1], one[0]))[:_COMMON])
    changes = [(_divergence(common, one["words"]), one) for one in recent if one.get("words")]
    change, like = min(changes, key=lambda one: one[0], default=(1.0, None))
    alarm = min(1.0, 20.0 * (sum(tally.rules.values()) + stretch.alarms) / n)
    significance = n / (n + _SMALL) * (0.6 * change + 0.2 * min(1.0, stretch.fresh / n) + 0.2 * alarm)
    rules = sorted(tally.rules.items(), key=lambda one: (-one[1], one[0]))
    return {
        "title": _title([word for word, _ in more]),
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
        "events": [tally.first_ts, tally.last_ts],
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


def terms_of(words: Mapping[str, int], earlier: Mapping[str, int] | None) -> Terms:
    """Words that are more, and fewer, than chance would have where they were as frequent as before, by the
    log-likelihood ratio (Dunning 1993); where there is no before, those that come most."""
    more: list[tuple[str, float]] = []
    fewer: list[tuple[str, float]] = []
    if not earlier:
        more = [(word, float(count)) for word, count in words.items() if word not in _EVERYDAY]
    elif words:
        here, there = sum(words.values()), sum(earlier.values())
        only_here, only_there = 2.0 * math.log((here + there) / here), 2.0 * math.log((here + there) / there)
        for word, a in words.items():
            b = earlier.get(word, 0)
            sure = a * only_here
            if b:
                usual = (a + b) / (here + there)
                sure = 2.0 * (a * math.log(a / here / usual) + b * math.log(b / there / usual))
            if sure > _SURE and word not in _EVERYDAY:
                (more if a * there >= b * here else fewer).append((word, sure))
        for word, b in earlier.items():
            if b * only_there > _SURE and word not in words and word not in _EVERYDAY:
                fewer.append((word, b * only_there))
    for found in (more, fewer):
        found.sort(key=lambda one: (-one[1], one[0]))
    return Terms(more, fewer)


def _divergence(words: Mapping[str, int], others: Mapping[str, int]) -> float:
    here, there = sum(words.values()), sum(others.values())
    if not here or not there:
        return float(here != there)
    bits, ours, theirs = 0.0, 0, 0
    for word in [word for word in words if word in others]:
        count, other = words[word], others[word]
        ours += count
        theirs += other
        p, q = count / here, other / there
        middle = (p + q) / 2
        bits += p * math.log2(p / middle) + q * math.log2(q / middle)
    # words of one of them alone count with all their share
    return min(1.0, max(0.0, (bits + 2.0 - ours / here - theirs / there) / 2))


def _title(terms: list[str]) -> str:
    chosen: list[str] = []
    for term in terms:
        if not any(term in other or other in term for other in chosen):
            chosen.append(term)
        if len(chosen) == _TERMS:
            break
    if not chosen:
        return "As before"
    title = chosen[0] if len(chosen) == 1 else f"{', '.join(chosen[:-1])} and {chosen[-1]}"
    return title[0].upper() + title[1:]


def _summary(stretch: Stretch, terms: list[tuple[str, float]]) -> list[Entry]:
    """Up to three inputs, in their order: each adds most to what those chosen before it tell, but for one that has the
    most severe danger."""
    left = {word: math.sqrt(sure) for word, sure in terms[:_COUNTED]}

    def gain(entry: Entry) -> tuple[float, int, int]:
        told = sum([left[word] for word in entry.words if word in left])
        return math.log2(1 + entry.count) * told / math.sqrt(4 + len(entry.words)), entry.count, -entry.n

    rated = nlargest(_CANDIDATES, stretch.entries.values(), key=gain)
    chosen: list[Entry] = []
    while rated and len(chosen) < _LINES:
        best = max(rated, key=gain)
        rated.remove(best)
        chosen.append(best)
        for word in best.words:
            if word in left:
                left[word] /= 4
    if stretch.worst is not None:
        _, pattern, worst = stretch.worst
        if stretch.entries.get(pattern) not in chosen and all(worst.n != entry.n for entry in chosen):
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
