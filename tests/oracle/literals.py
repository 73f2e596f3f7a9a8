"""What a LiteralSet must answer, by searching for every literal on its own."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from itertools import product

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


def near(rules: Rules, reaches: Sequence[int | None], text: bytes) -> dict[int, list[tuple[int, int]]]:
    """By rule, the spans of text that hold one literal of each group of a branch and no more runs of blanks, from the
    first end of a literal to the last, than the rule reaches."""
    folded = fold(text).replace("\u017f".encode(), b"s\0").replace("\u212a".encode(), b"k\0\0")
    shown = bytes(byte for byte in folded if byte)  # what literals are sought in, and where each byte stood
    place = [at for at, byte in enumerate(folded) if byte]
    begins = [found.start() for found in re.finditer(rb"[\t\n\f\r ]+", shown)]
    spans: dict[int, list[tuple[int, int]]] = {}
    for number, branches in enumerate(rules):
        for branch in branches:
            seen = [
                [
                    (at, at + len(literal))
                    for literal in map(fold, group)
                    for at in range(len(shown))
                    if shown.startswith(literal, at)
                ]
                for group in branch
            ]
            for chosen in product(*seen):
                start, end = min(at for at, _ in chosen), max(end for _, end in chosen)
                first = min(end for _, end in chosen)
                runs = sum(first <= begin < end for begin in begins)
                reach = reaches[number]
                if reach is None or runs <= reach:
                    spans.setdefault(number, []).append((place[start], place[end - 1] + 1))
    return spans
