"""What ``sophia._core.episode`` must compute, one feature at a time, in exact numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from fractions import Fraction
from math import floor

from oracle.readout import GRAM, WORD, features, idf


def read(text: str | bytes, stop: Collection[int], seed: int = 0) -> tuple[dict[int, tuple[int, bool]], int, int]:
    """By hash, how often a feature occurs and whether it is a gram; the words and the grams of the text."""
    counts: Counter[int] = Counter()
    kinds: dict[int, bool] = {}
    words = grams = 0
    waiting: list[int] = []
    for kind, value in features(text, seed, (3, 4)):
        if kind == GRAM:
            waiting.append(value)
        elif kind == WORD:
            if value not in stop:
                for one in [*waiting, value]:
                    counts[one] += 1
                    kinds[one] = one != value
                words, grams = words + 1, grams + len(waiting)
            waiting = []
    return {value: (counts[value], kinds[value]) for value in sorted(counts)}, words, grams


def place(value: int) -> int:
    return value >> 32 or 1


def row(text: str | bytes, stop: Collection[int]) -> list[tuple[int, int]]:
    """(place, weight) of each feature, by hash."""
    found, words, grams = read(text, stop)
    out = []
    for value, (count, gram) in found.items():
        length = Fraction(grams, 128) if gram else Fraction(words, 16)
        k1, b = Fraction(9, 10), Fraction(4, 10)
        weight = count * (k1 + 1) / (count + k1 * (1 - b + b * length)) * 127 / (k1 + 1)
        out.append((place(value), floor((weight / 2 if gram else weight) + Fraction(1, 2))))
    return out


def scores(
    text: str | bytes, stop: Collection[int], rows: Sequence[Sequence[tuple[int, int]]], sessions: Sequence[int]
) -> tuple[list[int], list[int]]:
    """Of each row and of its session, as if these were all."""
    found = [dict(each) for each in rows]
    own, whole = [0] * len(rows), [0] * len(rows)
    for value, (_, gram) in read(text, stop)[0].items():
        having = [at for at, each in enumerate(found) if place(value) in each]
        weight = idf(len(rows), len(having), 4) >> gram
        for at in having:
            own[at] += weight * found[at][place(value)]
        for at, session in enumerate(sessions):
            beside = [other for other in range(len(rows)) if sessions[other] == session]
            count = sum(other in having for other in beside)
            if session >= 0 and count and not gram:
                norm = Fraction(9, 10) * (Fraction(6, 10) + Fraction(4, 10) * Fraction(len(beside), 20))
                whole[at] += weight * floor(127 * count / (count + norm) + Fraction(1, 2))
    return own, [mine if session < 0 else all_ for mine, all_, session in zip(own, whole, sessions, strict=True)]
