"""Draws, tails and the switch of the audit, in exact arithmetic."""

from __future__ import annotations

from fractions import Fraction
from math import comb

from . import hash as hashing


def drawn(seed: int, share: float, served: int) -> bool:
    """Whether the served answer with this number, from 0, is audited."""
    own = hashing.mix64((seed + hashing.B) & hashing.MASK)
    return hashing.mix64(own ^ hashing.mix64((served + hashing.A) & hashing.MASK)) < int(share * 2**64)


def tail(k: int, n: int, p: Fraction) -> Fraction:
    """P(X >= k) for X ~ Binomial(n, p)."""
    return sum((comb(n, i) * p**i * (1 - p) ** (n - i) for i in range(k, n + 1)), Fraction(0))


def too_many(differed: int, compared: int, budget: float, confidence: float) -> bool:
    """Whether the lower Clopper-Pearson bound lies above the budget: it is where this tail takes the value below."""
    return differed > 0 and tail(differed, compared, Fraction(budget)) < Fraction((1.0 - confidence) / 2.0)
