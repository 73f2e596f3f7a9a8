"""Similarity of K-Vectors in Python floats: the same operations in the same order, so the same bits.

A vector is a list of eight floats with NaN for what is not known. ``exact_*`` compute the same from the
definition, correctly rounded sums included, to show how near the fixed order comes to it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

Vector = Sequence[float]
HALF = (0.5,) * 8
ONES = (1.0,) * 8
ZEROS = (0.0,) * 8


def total(p: Vector) -> float:
    return ((p[0] + p[4]) + (p[2] + p[6])) + ((p[1] + p[5]) + (p[3] + p[7]))


def inverse(squared: float) -> float:
    return 1.0 / math.sqrt(squared) if squared >= 1e-300 else 0.0


def clamp(x: float) -> float:
    if math.isnan(x):
        return 0.0
    return max(-1.0, min(1.0, x)) + 0.0


def cosine(a: Vector, b: Vector, mean: Vector = ZEROS, weights: Vector = ONES) -> float:
    x = [(float(v) - m) * math.sqrt(w) for v, m, w in zip(a, mean, weights, strict=True)]
    y = [(float(v) - m) * math.sqrt(w) for v, m, w in zip(b, mean, weights, strict=True)]
    both = [not math.isnan(s) and not math.isnan(t) for s, t in zip(x, y, strict=True)]
    x = [s if known else 0.0 for s, known in zip(x, both, strict=True)]
    y = [t if known else 0.0 for t, known in zip(y, both, strict=True)]
    xx, yy = total([s * s for s in x]), total([t * t for t in y])
    dot = total([s * t for s, t in zip(x, y, strict=True)])
    return clamp(dot * (inverse(xx) * inverse(yy)))


def euclidean(a: Vector, b: Vector) -> float:
    differences = [float(s) - float(t) for s, t in zip(a, b, strict=True)]
    known = [d for d in differences if not math.isnan(d)]
    if not known:
        return 0.0
    squares = total([0.0 if math.isnan(d) else d * d for d in differences])
    return clamp(1.0 - math.sqrt(squares / len(known)))


def similarity(a: Vector, b: Vector, measure: str, weights: Vector = ONES, mean: Vector = HALF) -> float:
    if measure == "euclidean":
        return euclidean(a, b)
    if measure == "centred":
        return cosine(a, b, mean=mean)
    if measure == "weighted":
        return cosine(a, b, weights=weights)
    return cosine(a, b)


def _shared(a: Vector, b: Vector) -> list[int]:
    return [i for i in range(8) if not math.isnan(a[i]) and not math.isnan(b[i])]


def exact_cosine(a: Vector, b: Vector, mean: Vector = ZEROS, weights: Vector = ONES) -> float:
    at = _shared(a, b)
    xx = math.fsum(weights[i] * (a[i] - mean[i]) ** 2 for i in at)
    yy = math.fsum(weights[i] * (b[i] - mean[i]) ** 2 for i in at)
    xy = math.fsum(weights[i] * (a[i] - mean[i]) * (b[i] - mean[i]) for i in at)
    if xx < 1e-300 or yy < 1e-300:
        return 0.0
    return max(-1.0, min(1.0, xy / math.sqrt(xx) / math.sqrt(yy)))


def exact_euclidean(a: Vector, b: Vector) -> float:
    at = _shared(a, b)
    if not at:
        return 0.0
    return 1.0 - math.sqrt(math.fsum((a[i] - b[i]) ** 2 for i in at) / len(at))


def top_k(query: Vector, rows: Sequence[Vector], k: int, measure: str) -> list[tuple[int, float]]:
    found = [(i, similarity(query, row, measure)) for i, row in enumerate(rows)]
    return sorted(found, key=lambda pair: (-pair[1], pair[0]))[:k]
