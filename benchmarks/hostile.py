"""Texts made to be slow to scan: pieces of what the danger rules look for, and never the whole of it.

A text that a rule hits is no hard case: its scan may end there. So nothing is added that completes a hit.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

from sophia.organs.danger import RuleSet
from sophia.organs.rule_syntax import analyse

# What is scanned before a part that is added: more than any rule looks over.
_BEFORE = 400
_TRIES = 40
_PIECE, _PIECES = 800, 16


def words_of(rules: RuleSet) -> list[str]:
    """The words of the rules' own examples and the literals of their patterns, as far as they are no hit alone."""
    found = {word for rule in rules.rules for example in rule.examples for word in example.split()}
    for rule in rules.rules:
        for branch in analyse(rule.pattern).branches:
            found |= {literal.decode() for group in branch for literal in group}
    return sorted(word for word in found if rules.scan(word) is None)


def hostile_text(hits: Callable[[str], bool], words: Sequence[str], size: int, seed: int) -> str:
    """`size` characters of these words at random; `hits` says what must not be in it.

    A long text is made of pieces in random order, since few words in a row make no hit.
    """
    draw = random.Random(seed)
    if size <= _PIECE:
        return _joined(hits, words, 4, size, draw)
    pieces = [_joined(hits, words, 4, _PIECE, draw) for _ in range(_PIECES)]
    return _joined(hits, pieces, 1, size, draw)


def _joined(hits: Callable[[str], bool], parts: Sequence[str], each: int, size: int, draw: random.Random) -> str:
    while True:
        text, refused = "", 0
        while len(text) < size:
            more = " ".join(draw.choices(parts, k=each)) + " "
            if not hits(text[-_BEFORE:] + more):
                text, refused = text + more, 0
            elif (refused := refused + 1) == _TRIES:  # what stands there is completed by nearly anything
                text, refused = text[:-_BEFORE], 0
        if not hits(text[:size]):
            return text[:size]
