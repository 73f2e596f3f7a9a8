"""How well decisions agree with labels that came with the inputs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from sophia._core.decision import Decision
from sophia.stream.event import Event
from sophia.stream.intent_score import IntentScore

__all__ = ["NORMAL", "Score", "is_alert"]

NORMAL = frozenset(("-", "", "0", "0.0", "normal", "ham", "false", "no", "none", "ok", "benign", "negative", "allow"))
"""Labels, in any case, of inputs that need nobody's attention; every other label is an alert."""

_LABELS = 1000
_OTHER = "(further labels)"


def is_alert(label: str) -> bool:
    """Whether a label says that the input deserved attention.

    >>> is_alert("spam"), is_alert("Ham"), is_alert("-"), is_alert("KERNDTLB")
    (True, False, False, True)
    """
    return label.strip().lower() not in NORMAL


class Score:
    """Decisions against labels, in two readings; of bounded size.

    `raised`: the input went to deep thought, for whatever reason (new, dangerous, doubtful, unreadable).
    `danger`: a danger rule hit it. Inputs without a label are counted and not scored. With `intents`, the names of a
    router's routes, labels are held against intents as well.
    """

    def __init__(self, intents: Iterable[str] | None = None) -> None:
        self.intents = None if intents is None else IntentScore(intents)
        self.unlabelled = 0
        self.labels: Counter[str] = Counter()
        self._raised: Counter[str] = Counter()
        self._danger: Counter[str] = Counter()
        self._table: Counter[tuple[str, bool, bool]] = Counter()

    def add(self, events: list[Event], decisions: list[Decision]) -> None:
        """Counts one batch."""
        for event, decision in zip(events, decisions, strict=True):
            label = event.label
            if label is None:
                self.unlabelled += 1
                continue
            if self.intents is not None:
                self.intents.add(label, decision)
            alert = is_alert(label)
            raised, danger = decision.route == "deep_thought", decision.verdict != "allow"
            self._table["raised", alert, raised] += 1
            self._table["danger", alert, danger] += 1
            name = label if label in self.labels or len(self.labels) < _LABELS else _OTHER
            self.labels[name] += 1
            self._raised[name] += raised
            self._danger[name] += danger

    def as_dict(self) -> dict[str, object]:
        """Counts, precision, recall and F1 of both readings, and counts by label; ready for JSON."""
        return {
            "labelled": self.labels.total(),
            "unlabelled": self.unlabelled,
            "raised": self._reading("raised"),
            "danger": self._reading("danger"),
            "labels": [
                {
                    "label": label,
                    "alert": is_alert(label) if label != _OTHER else None,
                    "inputs": count,
                    "raised": self._raised[label],
                    "danger": self._danger[label],
                }
                for label, count in self.labels.most_common()
            ],
            **({} if self.intents is None else {"intents": self.intents.as_dict()}),
        }

    def lines(self) -> list[str]:
        """The score for a person."""
        if not self.labels:
            return ["score: no input has a label"]
        if self.intents is not None and self.intents.knows_any:
            return self.intents.lines()
        shown = [f"score against {self.labels.total():,} labels ({self.unlabelled:,} inputs have none):"]
        for name, words in (("raised", "deep thought"), ("danger", "danger rule")):
            reading = self._reading(name)
            parts = ", ".join(f"{key} {_shown(reading[key])}" for key in ("precision", "recall", "f1"))
            shown.append(f"  {words:<13}{parts} (of {reading['tp'] + reading['fn']:,} alerts {reading['tp']:,} found)")
        missed = [label for label in self.labels if is_alert(label) and not self._raised[label]]
        if missed:
            shown.append(f"  alert labels never raised: {', '.join(missed[:8])}{' ...' if len(missed) > 8 else ''}")
        return shown

    def _reading(self, name: str) -> dict[str, float]:
        table = self._table
        tp, fp = table[name, True, True], table[name, False, True]
        fn, tn = table[name, True, False], table[name, False, False]
        precision = tp / (tp + fp) if tp + fp else None
        recall = tp / (tp + fn) if tp + fn else None
        f1 = 2 * tp / (2 * tp + fp + fn) if tp + fp + fn else None
        shares = {"precision": precision, "recall": recall, "f1": f1}
        rounded = {key: None if share is None else round(share, 4) for key, share in shares.items()}
        return {"tp": tp, "fp": fp, "fn": fn, "tn": tn, **rounded}  # type: ignore[dict-item]


def _shown(share: float | None) -> str:
    return "-" if share is None else f"{share:.3f}"
