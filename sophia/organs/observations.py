"""What a brain sees of a stream: counts and histograms of a fixed size, from which it is told what is usual there."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

from sophia._core.decision import Decision
from sophia._core.idf import IdfTable
from sophia._core.salience import BINS, DISTANCE_TOP, ENTROPY_TOP, LENGTH_TOP, RARITY_TOP, measure

__all__ = ["Histogram", "Observations", "learnable", "readable", "surprise"]

_RULES = 256  # danger rules that are counted by name
_SIGHTINGS = 8  # after so many at the latest a pattern counts as familiar
_RETURNS = 0.9  # the share of patterns that come again after as many sightings, where it does
_CROWDED = 0.5  # where more of the inputs are new, novelty says little
_OFTEN = 0.05  # a rule that hits more of the inputs than this is proposed to be looked at


def surprise(earlier: int, seen: int) -> float:
    """How rare a pattern is among what was seen before, in bits: that of one input in 2**s has come. `earlier` of the
    `seen` inputs had it; a pattern that is new is as rare as one that came once in twice as many.

    >>> surprise(0, 0), surprise(7, 14), surprise(0, 1022)
    (1.0, 1.0, 10.0)
    """
    return math.log2((seen + 2) / (earlier + 1))


def readable(decision: Decision) -> bool:
    """Whether an input counts as one."""
    return decision.text is not None and decision.why not in ("invalid", "empty")


def learnable(decision: Decision) -> bool:
    """Whether an input may teach what is usual: not where it was vetoed, or cannot be read."""
    return readable(decision) and decision.allowed


class Histogram:
    """Counts of values from 0 to `top`, in `bins` of equal width; what is above is in the last. None is negative."""

    def __init__(self, top: float, bins: int, counts: Sequence[int] = ()) -> None:
        self._top = top
        self._share, self._last = bins / top, bins - 1
        self._counts = list(counts) or [0] * bins
        if len(self._counts) != bins:
            message = f"{len(self._counts)} counts for {bins} bins"
            raise ValueError(message)

    def add(self, value: float) -> None:
        """Counts a value."""
        at = int(value * self._share)
        self._counts[at if at < self._last else self._last] += 1

    @property
    def total(self) -> int:
        """Values that were counted."""
        return sum(self._counts)

    def quantile(self, share: float) -> float | None:
        """The upper end of the bin that has it: at least this share of the values is not above. None without values.

        >>> tens = Histogram(100.0, 10)
        >>> for value in range(100):
        ...     tens.add(value)
        >>> tens.quantile(0.5), tens.quantile(0.95)
        (50.0, 100.0)
        """
        total, below = self.total, 0
        if not total:
            return None
        for at, count in enumerate(self._counts):
            below += count
            if below >= share * total:
                return round((at + 1) * self._top / len(self._counts), 6)
        return self._top

    @property
    def counts(self) -> list[int]:
        """The counts, for `Histogram(..., counts)`."""
        return list(self._counts)


_SHAPES = {
    "novelty": (1.0, 20),
    "complexity": (1.0, 20),
    "surprise": (32.0, 128),
    "length": (LENGTH_TOP, BINS),
    "entropy": (ENTROPY_TOP, BINS),
    "rarity": (RARITY_TOP, BINS),
    "distance": (DISTANCE_TOP, BINS),
}
_SHARES = (0.5, 0.9, 0.99)


class Observations:
    """Of inputs of one kind, messages or lines. About 5 us an input. Not thread-safe."""

    def __init__(self, state: dict[str, Any] | None = None) -> None:
        kept = state or {}
        self.inputs = int(kept.get("inputs", 0))
        self.familiar = int(kept.get("familiar", 0))
        self.fresh = int(kept.get("fresh", 0))
        self._whys = Counter[str](kept.get("whys", {}))
        self._rules = Counter[str](kept.get("rules", {}))
        self._reached = list(kept.get("reached", ())) or [0] * (_SIGHTINGS + 1)  # patterns that came so often
        self._of = {
            name: Histogram(*shape, counts if len(counts := kept.get(name, ())) == shape[1] else ())
            for name, shape in _SHAPES.items()
        }

    def add(self, decision: Decision, words: IdfTable) -> None:
        """Takes one decision, in the order in which they were made; `words` are those of the inputs before it."""
        self._whys[decision.why] += 1
        if decision.danger is not None and (len(self._rules) < _RULES or decision.danger.rule in self._rules):
            self._rules[decision.danger.rule] += 1
        text = decision.text
        if text is not None and learnable(decision):
            self.familiar += decision.accepted > 0
            self.fresh += decision.earlier == 0
            of = self._of
            of["novelty"].add(decision.novelty)
            of["complexity"].add(decision.complexity)
            of["surprise"].add(surprise(decision.earlier, self.inputs))
            length, entropy, rarity = measure(text, words)
            of["length"].add(length)
            of["entropy"].add(entropy)
            of["rarity"].add(rarity)
            of["distance"].add(1.0 - decision.closeness)
            if decision.earlier <= _SIGHTINGS:
                self._reached[decision.earlier] += 1
        self.inputs += 1

    @property
    def sightings(self) -> int:
        """After how many of them a pattern counts as known: at least `_RETURNS` of those that came so often came again.
        `_SIGHTINGS` where none did.

        Of a pattern that came for the last time a while ago nobody can tell whether it will come again, so this is
        rather too high than too low.
        """
        reached = self._reached  # reached[k]: patterns that came at least k + 1 times
        return next((k for k in range(1, _SIGHTINGS) if 0 < _RETURNS * reached[k - 1] <= reached[k]), _SIGHTINGS)

    def state(self) -> dict[str, Any]:
        """For JSON, and `Observations(state)`."""
        return {
            "inputs": self.inputs,
            "familiar": self.familiar,
            "fresh": self.fresh,
            "whys": dict(sorted(self._whys.items())),
            "rules": dict(sorted(self._rules.items())),
            "reached": self._reached,
            **{name: histogram.counts for name, histogram in self._of.items()},
        }

    def calibration(self) -> dict[str, Any]:
        """What is usual, for JSON; keys may be added and are never renamed.

        `novelty`, `complexity`, `length` (bytes), `entropy` (bits a byte), `rarity` and `surprise` (bits) as quantiles,
        `familiar` and `new` as shares of the inputs. `sightings` is after how many a pattern is known here, as nine in
        ten of those that came so often came again, and `confident` what confidence that is. `often` are danger rules
        that hit more than one input in twenty: to be looked at, nothing is done. `scale` has what a
        :class:`sophia._core.salience.Scale` is made of.
        """
        total = max(1, self.inputs)
        made: dict[str, Any] = {
            name: {f"p{share * 100:g}": histogram.quantile(share) for share in _SHARES}
            for name, histogram in self._of.items()
        }
        made["length"] = {
            share: None if bits is None else round(2.0**bits - 1) for share, bits in made["length"].items()
        }
        made |= {
            "inputs": self.inputs,
            "familiar": round(self.familiar / total, 4),
            "new": round(self.fresh / total, 4),
            "whys": dict(sorted(self._whys.items())),
            "sightings": self.sightings,
            "confident": self.sightings / (self.sightings + 1),  # not rounded: what has just that much is enough
            "scale": {
                **{name: self._of[name].counts for name in ("length", "entropy", "rarity", "distance")},
                "crowded": self.fresh > _CROWDED * total,
            },
            "often": [
                {"rule": rule, "share": round(count / total, 4)}
                for rule, count in sorted(self._rules.items(), key=lambda item: (-item[1], item[0]))
                if count > _OFTEN * total
            ],
        }
        return made
