"""What ``sophia._core.salience`` must say: measures and salience, one byte and one word at a time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from oracle import encode

ONE = 4096
MEASURED = 65536
TOPS = (20.0, 8.0, 1.0, 1.0)
HALF_BITS = 3.3125


class Seen(NamedTuple):
    """What a decision says of an input."""

    text: str
    closeness: float
    earlier: int
    earlier_same: int
    novelty: float
    severity: float | None = None  # of the danger rule that hit
    seen: int = 0  # inputs of its kind before it
    hits: int = 0  # of them hit by its rule
    refused: bool = False
    alarm: float = 0.0
    line: bool = True


def words(text: str | bytes) -> set[tuple[int, ...]]:
    """Runs of two letters or more without an ASCII digit, and pairs of unspaced scripts."""
    found = set()
    for kind, run in encode.runs(text):
        if kind == encode.UNSPACED:
            found |= {tuple(run[at : at + 2]) for at in range(len(run) - 1)}
        elif len(run) > 1 and not any(ord("0") <= code <= ord("9") for code in run):
            found.add(tuple(run))
    return found


def length(text: str | bytes) -> float:
    data = text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass")
    return encode.log2_4096(1 + len(data)) / ONE


def entropy(text: str | bytes) -> float:
    data = (text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass"))[:MEASURED]
    if not data:
        return 0.0
    total = sum(count * encode.log2_4096(count) for count in Counter(data).values())
    return max(0, encode.log2_4096(len(data)) - (total + len(data) // 2) // len(data)) / ONE


def rarity(text: str | bytes, df: Mapping[tuple[int, ...], int], documents: int) -> float:
    found = words(text)
    if not found:
        return 0.0
    least = min(df.get(word, 0) for word in found)
    return ONE * encode.idf_weight(documents, least) // encode.idf_weight(documents, 0) / ONE


def rank(value: float, counts: Sequence[int], top: float) -> float:
    """The share of what was counted that lies below; half of the own bin."""
    at = min(len(counts) - 1, int(value * len(counts) / top))
    total = sum(counts)
    return (sum(counts[:at]) + sum(counts[: at + 1])) / 2 / total if total else 0.5


def salience(
    seen: Seen,
    measures: tuple[float, float, float],
    counts: Sequence[Sequence[int]],
    tones: Mapping[tuple[int, ...], str],
    *,
    crowded: bool,
) -> tuple[float, float, float, float, float]:
    """Urgency, novelty, complexity, valence, attention."""
    values = (*measures, 1.0 - seen.closeness)
    complexity = sum(rank(value, of, top) for value, of, top in zip(values, counts, TOPS, strict=True)) / 4
    heard = Counter(tones[word] for word in words(seen.text) if word in tones)
    urgency, novelty = max(seen.alarm, 0.5 if heard["pressing"] and not seen.line else 0.0), seen.novelty
    if seen.severity is not None:
        bits = (encode.log2_4096(seen.seen + 2) - encode.log2_4096(seen.hits + 1)) / ONE
        urgency = max(urgency, seen.severity * (1.0 if seen.refused else bits / (bits + HALF_BITS)))
        novelty = 1.0 - max(
            seen.closeness * seen.earlier / (seen.earlier + 1), seen.earlier_same / (seen.earlier_same + 1)
        )
    valence = 0.5 + 0.5 * (heard["good"] - heard["bad"]) / (heard["good"] + heard["bad"] + 1)
    parts = [novelty, urgency] + [complexity] * crowded
    return urgency, novelty, complexity, valence, sum(parts) / len(parts)
