"""What a brain sees of a stream: counts and histograms of a fixed size, from which it is told what is usual there."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

from sophia._core.decision import Decision

__all__ = ["Histogram", "Observations", "surprise"]

_RULES = 256  # danger rules that are counted by name
_OFTEN = 0.05  # a rule that hits more of the inputs than this is proposed to be looked at


def surprise(earlier: int, seen: int) -> float:
    """How rare a pattern is among what was seen before, in bits: that of one input in 2**s has come. `earlier` of the
    `seen` inputs had it; a pattern that is new is as rare as one that came once in twice as many.

    >>> surprise(0, 0), surprise(7, 14), surprise(0, 1022)
    (1.0, 1.0, 10.0)
    """
    return math.log2((seen + 2) / (earlier + 1))


class Histogram:
    """Counts of values from 0 to `top`, in `bins` of equal width; what is above is in the last."""

    def __init__(self, top: float, bins: int, counts: Sequence[int] = ()) -> None:
        self._top = top
        self._counts = list(counts) or [0] * bins
        if len(self._counts) != bins:
            message = f"{len(self._counts)} counts for {bins} bins"
            raise ValueError(message)

    def add(self, value: float) -> None:
        """Counts a value."""
        bins = len(self._counts)
        self._counts[min(bins - 1, max(0, int(value * bins / self._top)))] += 1

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


_SHAPES = {"novelty": (1.0, 20), "complexity": (1.0, 20), "length": (20.0, 40), "surprise": (32.0, 128)}
_SHARES = (0.5, 0.9, 0.99)


class Observations:
    """Of inputs of one kind, messages or lines. About 2 us an input. Not thread-safe."""

    def __init__(self, state: dict[str, Any] | None = None) -> None:
        kept = state or {}
        self.inputs = int(kept.get("inputs", 0))
        self.familiar = int(kept.get("familiar", 0))
        self.fresh = int(kept.get("fresh", 0))
        self._whys = Counter[str](kept.get("whys", {}))
        self._rules = Counter[str](kept.get("rules", {}))
        self._of = {name: Histogram(*shape, kept.get(name, ())) for name, shape in _SHAPES.items()}

    def add(self, decision: Decision) -> None:
        """Takes one decision, in the order in which they were made."""
        self._whys[decision.why] += 1
        if decision.danger is not None and (len(self._rules) < _RULES or decision.danger.rule in self._rules):
            self._rules[decision.danger.rule] += 1
        text = decision.text
        if text is not None and decision.why not in ("invalid", "empty"):
            self.familiar += decision.accepted > 0
            self.fresh += decision.earlier == 0
            of = self._of
            of["novelty"].add(decision.novelty)
            of["complexity"].add(decision.complexity)
            of["length"].add(math.log2(1 + len(text)))
            of["surprise"].add(surprise(decision.earlier, self.inputs))
        self.inputs += 1

    def state(self) -> dict[str, Any]:
        """For JSON, and `Observations(state)`."""
        return {
            "inputs": self.inputs,
            "familiar": self.familiar,
            "fresh": self.fresh,
            "whys": dict(sorted(self._whys.items())),
            "rules": dict(sorted(self._rules.items())),
            **{name: histogram.counts for name, histogram in self._of.items()},
        }

    def calibration(self) -> dict[str, Any]:
        """What is usual, for JSON; keys may be added and are never renamed.

        `novelty`, `complexity`, `length` (characters) and `surprise` (bits) as quantiles, `familiar` and `new` as
        shares of the inputs; `often` are danger rules that hit more than one input in twenty: to be looked at, nothing
        is done.
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
            "often": [
                {"rule": rule, "share": round(count / total, 4)}
                for rule, count in sorted(self._rules.items(), key=lambda item: (-item[1], item[0]))
                if count > _OFTEN * total
            ],
        }
        return made
