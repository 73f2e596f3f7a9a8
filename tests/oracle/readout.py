"""What ``sophia._core.lexical``, ``training`` and ``readout`` must compute, one feature and one weight at a time.

Training is in numpy's float32, whose operations round as the kernels' do; sums are taken in the kernels' order.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import NamedTuple

import numpy as np

from oracle.encode import LETTER, MASK, MIX_A, MIX_B, MIX_C, MULTIPLIER, log2_4096, mix64, runs

WORD, PAIR, SKIP, GRAM = range(4)
FEATURES_MAX = 4096
BUCKETS = 1 << 16
UNIT = 16384
BIAS = 1638
F = np.float32


class Plan(NamedTuple):
    """The settings of a LexicalEncoder; `kinds` in 256ths, `quarters` the power of the IDF in quarters."""

    dim: int
    seed: int
    grams: tuple[int, int]
    kinds: tuple[int, int, int, int]
    quarters: int


def _key(seed: int, number: int) -> int:
    return mix64(mix64(seed ^ MIX_B) + number)


def _word_hash(codes: Sequence[int], seed: int, marks: int) -> int:
    state = _key(seed, 1)
    for code in codes:
        state = (state ^ code) * MULTIPLIER & MASK
        state ^= state >> 32
    return mix64(state + (len(codes) + marks if marks else 0))


def _gram_hash(codes: Sequence[int], seed: int) -> int:
    state = 0
    for code in codes:
        state = (state * MULTIPLIER + code + 1) & MASK
    return mix64(state ^ _key(seed, 16 + len(codes)))


def features(text: str | bytes, seed: int, grams: tuple[int, int]) -> list[tuple[int, int]]:
    """(kind, hash) of every occurrence, in the order in which the encoder meets them."""
    found: list[tuple[int, int]] = []
    edge = _key(seed, 1)
    words = [edge]

    def word(value: int) -> None:
        found.append((WORD, value))
        found.append((PAIR, mix64(words[-1] * MULTIPLIER + (value ^ _key(seed, 2)))))
        if len(words) >= 3:
            found.append((SKIP, mix64(words[-2] * MULTIPLIER + (value ^ _key(seed, 3)))))
        words.append(value)

    for kind, run in runs(text):
        letters = kind == LETTER
        marked = [ord("<"), *run, ord(">")] if letters else run
        for end in range(1, len(marked) + 1):
            for n in range(grams[0], grams[1] + 1):
                if n <= end and not (letters and n == len(marked)):
                    found.append((GRAM, _gram_hash(marked[end - n : end], seed)))
            if not letters:
                word(_word_hash([run[end - 1]], seed, 0))
        if letters:
            word(_word_hash(run, seed, 2))
    if found:
        found.append((PAIR, mix64(words[-1] * MULTIPLIER + (edge ^ _key(seed, 2)))))
    return found[:FEATURES_MAX]


def bucket(value: int) -> int:
    return value >> 8 & BUCKETS - 1


def idf(documents: int, df: int, quarters: int) -> int:
    bits = log2_4096(2 * documents + 2) - log2_4096(2 * min(df, documents) + 1)
    x = bits / 4096
    power = {0: 1.0, 1: math.sqrt(math.sqrt(x)), 2: math.sqrt(x), 3: math.sqrt(x) * math.sqrt(math.sqrt(x)), 4: x}
    return min(65535, max(1, int(power[quarters] * 1024 + 0.5)))


class Table(NamedTuple):
    """Weights of buckets that were seen, and of all the others."""

    known: dict[int, int]
    unseen: int


def observed(texts: Sequence[str | bytes], plan: Plan) -> Table:
    counts: dict[int, int] = {}
    for text in texts:
        for name in {bucket(value) for _, value in features(text, plan.seed, plan.grams)}:
            counts[name] = counts.get(name, 0) + 1
    documents = len(texts)
    return Table(
        {name: idf(documents, df, plan.quarters) for name, df in counts.items()}, idf(documents, 0, plan.quarters)
    )


def terms(text: str | bytes, plan: Plan, table: Table) -> list[tuple[int, int]]:
    """(position, value in 16384ths) of each known feature, without the bias."""
    weighed = []
    for kind, value in features(text, plan.seed, plan.grams):
        known = table.known.get(bucket(value))
        weighed.append((value, plan.kinds[kind] * (known or table.unseen) >> 8, known is not None))
    squares = sum(weight * weight for _, weight, _ in weighed)
    scale = UNIT / math.sqrt(squares) if squares else 0.0
    found = []
    for value, weight, known in weighed:
        size = int(weight * scale + 0.5)
        if known and weight and size:
            found.append(((value >> 32) * plan.dim >> 32, -size if value & 1 else size))
    return found


def row_values(row: Sequence[int]) -> list[int]:
    """A hypervector's components at norm one, in 16384ths."""
    squares = sum(component * component for component in row)
    scale = UNIT / math.sqrt(squares) if squares else 0.0
    return [int(math.copysign(int(abs(x * scale) + 0.5), x)) for x in row]


def packed_values(bits: Sequence[int]) -> list[int]:
    one = int(UNIT / math.sqrt(len(bits)) + 0.5)
    return [-one if bit else one for bit in bits]


def scale_of(largest: float) -> Fraction:
    """The least number of 16 significant bits that brings `largest` to at most 127."""
    if largest <= 0:
        return Fraction(1)
    mantissa, exponent = math.frexp(largest / 127)
    return Fraction(math.ceil(mantissa * 65536)) * Fraction(2) ** (exponent - 16)


def quantised(means: np.ndarray) -> tuple[np.ndarray, list[Fraction]]:
    """int8 weights and the scale of each class, from float64 means [rows, classes]."""
    scales = [scale_of(float(np.abs(means[:, c]).max())) for c in range(means.shape[1])]
    cells = np.empty(means.shape, np.int8)
    for c, scale in enumerate(scales):
        levels = means[:, c] / float(scale)
        cells[:, c] = np.where(levels >= 0, np.trunc(levels + 0.5), -np.trunc(0.5 - levels))
    return cells, scales


def score(found: Sequence[tuple[int, int]], cells: np.ndarray, scales: Sequence[Fraction]) -> list[Fraction]:
    """Scores of a vector given as terms; the last row of `cells` is the bias's."""
    sums = BIAS * cells[-1].astype(np.int64)
    for position, value in found:
        sums = sums + value * cells[position].astype(np.int64)
    return [int(total) * scale / UNIT for total, scale in zip(sums, scales, strict=True)]


def _exp(x: np.ndarray) -> np.ndarray:
    small = x < F(-86)
    held = np.where(small, F(0), x)
    whole = np.trunc(held * F(1.44269504) - F(0.5)).astype(np.int32)
    wholes = whole.astype(F)
    r = (held - wholes * F(0.693145751953125)) - wholes * F(1.42860677e-6)
    p = r * F(1 / F(720)) + F(1 / F(120))
    p = p * r + F(1 / F(24))
    p = p * r + F(1 / F(6))
    p = p * r + F(0.5)
    p = p * r * r + r + F(1)
    power = ((whole + 127) << 23).view(F)
    return np.where(small, F(0), p * power)


def _sixteen(values: np.ndarray) -> F:
    """Sixteen partial sums, then their sum in order."""
    lanes = np.zeros(16, F)
    for start in range(0, len(values), 16):
        lanes = lanes + values[start : start + 16]
    total = F(0)
    for lane in lanes:
        total = F(total + lane)
    return total


class Trainer:
    """The float32 state of one training: [dim + 1, classes rounded up to 16] weights, and sums of squares."""

    def __init__(self, dim: int, classes: int) -> None:
        self.dim, self.classes = dim, classes
        self.data = np.zeros((dim + 1, -(-classes // 16) * 16), F)
        self.squares = np.full(dim + 1, F(0.001))

    def gradient(self, scores: np.ndarray, label: int, smoothing: F) -> tuple[np.ndarray, F]:
        inside = np.arange(len(scores)) < self.classes
        with np.errstate(all="ignore"):  # lanes past the last class may overflow; they are thrown away
            powers = np.where(inside, _exp(scores - scores[: self.classes].max()), F(0))
        scale = F(1) / _sixteen(powers)
        gradient = np.where(inside, powers * scale - F(smoothing / F(self.classes)), F(0))
        gradient[label] -= F(1) - smoothing
        return gradient, _sixteen(gradient * gradient)

    def visit(
        self, found: Sequence[tuple[int, int]], label: int, key: int, settings: dict[str, float], only: set[int] | None
    ) -> None:
        kept: list[tuple[int, F]] = []
        square, bits = F(0), 0
        for i, (position, value) in enumerate(found):
            if i % 4 == 0:
                bits = mix64(key + MIX_B * (i + 4))
            if (bits >> 16 * (i % 4) & 0xFFFF) >= int(settings["dropout"] * 65536):
                kept.append((position, F(value) * F(1 / UNIT)))
                square = F(square + kept[-1][1] * kept[-1][1])
        if not square > 0:
            return
        norm = F(1) / np.sqrt(square)
        kept = [(position, value * norm) for position, value in kept]
        kept.append((self.dim, F(BIAS) * F(1 / UNIT)))
        scores = np.zeros(self.data.shape[1], F)
        for position, value in kept:
            scores = scores + value * self.data[position]
        gradient, wrong = self.gradient(scores, label, F(settings["smoothing"]))
        if only is not None:
            wrong = F(0)
            for c in range(self.classes):
                gradient[c] *= F(c in only)
                wrong = F(wrong + gradient[c] * gradient[c])
        energy, rate = wrong / F(self.classes), F(settings["rate"])
        for position, value in kept:
            self.squares[position] += value * value * energy
            step = rate * value / np.sqrt(self.squares[position])
            self.data[position] -= step * gradient

    def train(
        self,
        vectors: Sequence[Sequence[tuple[int, int]]],
        labels: Sequence[int],
        *,
        epochs: int,
        seed: int,
        only: set[int] | None = None,
        **settings: float,
    ) -> None:
        key = mix64(seed & MASK ^ MIX_C)
        order = list(range(len(vectors)))
        for epoch in range(epochs):
            state = mix64(key + epoch)
            for i in range(len(order) - 1, 0, -1):
                state = mix64(state + i)
                j = state % (i + 1)
                order[i], order[j] = order[j], order[i]
            for k, example in enumerate(order):
                self.visit(vectors[example], labels[example], mix64(state + MIX_A * (k + 1)), settings, only)

    @property
    def means(self) -> np.ndarray:
        return self.data[:, : self.classes].astype(np.float64)
