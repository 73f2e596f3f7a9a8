"""How well the intents of decisions agree with labels that came with the inputs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

from sophia._core.decision import Decision

__all__ = ["IntentScore"]

_CONFUSIONS = 20
_SHOWN = 5


class IntentScore:
    """Precision, recall and F1 of each intent; of bounded size, by the intents that the router has.

    A label that the router has no route for is out of scope: right is to take none. What was answered from memory was
    not judged, and is counted apart.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self.served = 0
        self._names = sorted(names)
        self._known = frozenset(self._names)
        # By (label, intent): None is out of scope in the first place, and turned away in the second.
        self._table: Counter[tuple[str | None, str | None]] = Counter()

    def add(self, label: str, decision: Decision) -> None:
        """Counts one labelled input; its decision was made with a router of these names."""
        if decision.why == "repeat":
            self.served += 1
            return
        self._table[label if label in self._known else None, decision.intent] += 1

    @property
    def knows_any(self) -> bool:
        """Whether a label was an intent: else the labels mean something else."""
        return any(label is not None for label, _ in self._table)

    def as_dict(self) -> dict[str, Any]:
        """All figures, ready for JSON; a figure that has no ground is None."""
        labelled = self._sums(0)
        routed = self._sums(1)
        rows = []
        for name in self._names:
            right = self._table[name, name]
            row = {"intent": name, "inputs": labelled[name], **_shares(right, routed[name], labelled[name])}
            if labelled[name] or routed[name]:
                rows.append(row)
        inside = sum(count for name, count in labelled.items() if name is not None)
        right = sum(self._table[name, name] for name in self._names)
        away = sum(self._table[name, None] for name in self._names)
        outside = labelled[None]
        scored = [row for row in rows if row["inputs"]]
        wrong = [pair for pair in self._table if None not in pair and pair[0] != pair[1]]
        return {
            "in_scope": inside,
            "right": _share(right, inside),
            "turned_away": _share(away, inside),
            "out_of_scope": outside,
            "out_of_scope_recall": _share(self._table[None, None], outside),
            "served": self.served,
            "macro": {key: _mean([row[key] for row in scored]) for key in ("precision", "recall", "f1")},
            "micro": _shares(right, sum(n for name, n in routed.items() if name is not None), inside),
            "intents": rows,
            "confusions": [
                {"label": label, "taken for": intent, "times": self._table[label, intent]}
                for label, intent in sorted(wrong, key=lambda pair: (-self._table[pair], pair))[:_CONFUSIONS]
            ],
        }

    def lines(self) -> list[str]:
        """The score for a person."""
        told = self.as_dict()
        shown = [
            f"intents: {_shown(told['right'])} of {told['in_scope']:,} inputs in scope right, "
            f"{_shown(told['turned_away'])} turned away; macro "
            + ", ".join(f"{key} {_shown(value)}" for key, value in told["macro"].items())
        ]
        if told["out_of_scope"]:
            shown.append(
                f"  out of scope: {_shown(told['out_of_scope_recall'])} of {told['out_of_scope']:,} turned away"
            )
        worst = sorted((row for row in told["intents"] if row["inputs"]), key=lambda row: row["f1"] or 0.0)[:_SHOWN]
        shown.append("  lowest F1: " + ", ".join(f"{row['intent']} {_shown(row['f1'])}" for row in worst))
        if told["confusions"]:
            pairs = [f"{c['label']} for {c['taken for']} {c['times']}" for c in told["confusions"][:_SHOWN]]
            shown.append("  taken for another: " + ", ".join(pairs))
        return shown

    def _sums(self, side: int) -> Counter[str | None]:
        sums: Counter[str | None] = Counter()
        for pair, count in self._table.items():
            sums[pair[side]] += count
        return sums


def _shares(right: int, said: int, there: int) -> dict[str, float | None]:
    return {
        "precision": _share(right, said),
        "recall": _share(right, there),
        "f1": _share(2 * right, said + there),
    }


def _share(part: int, whole: int) -> float | None:
    return round(part / whole, 4) if whole else None


def _mean(values: list[Any]) -> float | None:
    """Over the intents that inputs are labelled with; one that was never taken has no precision, and counts 0."""
    return round(sum(value or 0.0 for value in values) / len(values), 4) if values else None


def _shown(share: float | None) -> str:
    return "-" if share is None else f"{share:.3f}"
