"""What a LiteralSet must answer, by searching for every literal on its own."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

Rules = Sequence[Iterable[Iterable[Iterable[bytes]]]]


def fold(data: bytes) -> bytes:
    """Small letters, ASCII only (as bytes.lower does)."""
    return data.lower()


def candidates(rules: Rules, text: bytes) -> tuple[int, ...]:
    """Numbers of the rules one of whose branches has a literal of each group in the text."""
    folded = fold(text)
    every = "\u017f".encode() in text or "\u212a".encode() in text
    found = []
    for number, branches in enumerate(rules):
        hit = any(all(any(fold(literal) in folded for literal in group) for group in branch) for branch in branches)
        if hit or every:
            found.append(number)
    return tuple(found)
