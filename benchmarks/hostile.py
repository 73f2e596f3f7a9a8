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
_PIECE, _PIECES = 800, 64
# From here on a text is repeated: it has more states than an automaton's cache already.
_BLOCK = 20_000


def words_of(rules: RuleSet) -> list[str]:
    """The words of the rules' own examples and the literals of their patterns, as far as they are no hit alone."""
    found = {word for rule in rules.rules for example in rule.examples for word in example.split()}
    for rule in rules.rules:
        for branch in analyse(rule.pattern).branches:
            found |= {literal.decode() for group in branch for literal in group}
    return sorted(word for word in found if rules.scan(word) is None)


class Hostile:
    """Makes such texts of words at random; `hits` says what must not be in one.

    Long ones are made of pieces in random order, since few words in a row make no hit.
    """

    def __init__(self, hits: Callable[[str], bool], words: Sequence[str], seed: int) -> None:
        self._hits, self._words, self._draw = hits, words, random.Random(seed)
        self._pieces: list[str] = []

    def text(self, size: int) -> str:
        """One of `size` characters."""
        if size <= _PIECE:
            return self._joined(self._words, 4, size)
        if size > _BLOCK:
            while self._hits(text := ((self.text(_BLOCK - 1) + " ") * (size // _BLOCK + 1))[:size]):
                pass
            return text
        if not self._pieces:
            self._pieces = [self._joined(self._words, 4, _PIECE) for _ in range(_PIECES)]
        return self._joined(self._pieces, 1, size)

    def _joined(self, parts: Sequence[str], each: int, size: int) -> str:
        while True:
            text, refused = "", 0
            while len(text) < size:
                more = " ".join(self._draw.choices(parts, k=each)) + " "
                if not self._hits(text[-_BEFORE:] + more):
                    text, refused = text + more, 0
                elif (refused := refused + 1) == _TRIES:  # what stands there is completed by nearly anything
                    text, refused = text[:-_BEFORE], 0
            if not self._hits(text[:size]):
                return text[:size]
