"""What ``sophia._core.terms`` must compute."""

from __future__ import annotations

import math


def contrast(
    words: dict[str, int], others: dict[str, int], least: float
) -> tuple[list[tuple[str, float]], list[tuple[str, float]]]:
    """By the table of a word: how often it is here and there, and how often all others are."""
    here, there = sum(words.values()), sum(others.values())
    more, fewer = [], []
    for word in {*words, *others} if here and there else ():
        a, b = words.get(word, 0), others.get(word, 0)
        share = (a + b) / (here + there)
        sure = 2 * sum(seen * math.log(seen / (of * share)) for seen, of in ((a, here), (b, there)) if seen)
        if sure > least:
            (more if a / here >= b / there else fewer).append((word, sure))
    return sorted(more, key=lambda one: -one[1]), sorted(fewer, key=lambda one: -one[1])


def divergence(words: dict[str, int], others: dict[str, int]) -> float:
    here, there = sum(words.values()), sum(others.values())
    if not here or not there:
        return float(here != there)
    bits = 0.0
    for word in {*words, *others}:
        p, q = words.get(word, 0) / here, others.get(word, 0) / there
        bits += sum(share / 2 * math.log2(share / ((p + q) / 2)) for share in (p, q) if share)
    return bits
