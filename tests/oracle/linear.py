"""What ``sophia._core.projection`` and ``sophia._core.prototypes`` must compute, in numpy float32, one rounding an
operation."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

F = np.float32
_ROUND = F(12582912.0)  # 1.5 * 2^23


def sums(x: Any, weights: Any) -> Any:
    """x [n, features] times weights [features, dim], added up in the order of the features."""
    total = np.zeros((len(x), weights.shape[1]), F)
    for f in range(len(weights)):
        total = total + x[:, f : f + 1].astype(F) * weights[f]
    return total


def wave(turns: Any) -> Any:
    """127 cos(2 pi turns), rounded."""
    whole = (turns + _ROUND) - _ROUND
    s = F(0.25) - np.abs(turns - whole)
    q = s * s
    sine = s * (F(6.2831853) + q * (F(-41.341702) + q * (F(81.605249) + q * (F(-76.705860) + q * F(42.058694)))))
    return ((sine * F(127.0) + _ROUND) - _ROUND).astype(np.int8)


def dot(a: Any, b: Any) -> float:
    """In 64 partial sums, and a tree over them."""
    parts = [F(0.0)] * 64
    for i, (x, y) in enumerate(zip(a, b, strict=True)):
        parts[i % 64] = F(parts[i % 64] + F(x * F(y)))
    tops = [F(F(parts[k] + parts[k + 16]) + F(parts[k + 32] + parts[k + 48])) for k in range(16)]
    while len(tops) > 1:
        half = len(tops) // 2
        tops = [F(tops[k] + tops[k + half]) for k in range(half)]
    return float(tops[0])


class Prototypes:
    """One float32 list a class, and the square of its norm."""

    def __init__(self, classes: int, dim: int) -> None:
        self.sums = np.zeros((classes, dim), F)
        self.squares = [0.0] * classes

    def refresh(self) -> None:
        for c, row in enumerate(self.sums):
            square = 0.0
            for x in row.tolist():
                square += x * x
            self.squares[c] = square

    def scores(self, row: Any) -> list[float]:
        norm = math.sqrt(sum(int(x) * int(x) for x in row))
        found = []
        for c, prototype in enumerate(self.sums):
            size = norm * math.sqrt(self.squares[c])
            found.append(dot(prototype, row) / size if size > 0 else 0.0)
        return found

    def move(self, c: int, row: Any, step: float, score: float) -> None:
        norm = math.sqrt(sum(int(x) * int(x) for x in row))
        if norm == 0.0 or step == 0.0:
            return
        self.sums[c] = self.sums[c] + np.asarray(row).astype(F) * F(step / norm)
        square = self.squares[c]
        self.squares[c] = max(0.0, square + 2.0 * step * score * math.sqrt(square) + step * step)

    def add(self, rows: Any, labels: list[int]) -> None:
        for row, label in zip(rows, labels, strict=True):
            self.move(label, row, 1.0, 0.0)
        self.refresh()

    def learn(self, row: Any, label: int, rule: str, rate: float, margin: float) -> bool:
        scores = self.scores(row)
        others = [(score, -c) for c, score in enumerate(scores) if c != label]
        if not others:
            return False
        other = -max(others)[1]
        lead = scores[label] - scores[other]
        if lead > margin or (lead == 0.0 and margin == 0.0 and label < other):
            return False
        up, down = (rate, rate) if rule == "adapt" else (rate * (1 - scores[label]), rate * (1 - scores[other]))
        self.move(label, row, up, scores[label])
        self.move(other, row, -down, scores[other])
        return True
