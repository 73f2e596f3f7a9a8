"""Random texts of the language of a pattern, for patterns that Python's `re` reads as RE2 does."""

from __future__ import annotations

import random
from re import _constants as op  # type: ignore[attr-defined]
from re import _parser  # type: ignore[attr-defined]
from typing import Any

_FILL = "abcRST019_ -/.,;:'\"()=|&>$\téß\u212aſ"
_MEMBERS = {
    op.CATEGORY_DIGIT: "0189",
    op.CATEGORY_SPACE: " \t\n\r",
    op.CATEGORY_WORD: "abzRS09_",
    op.CATEGORY_NOT_SPACE: "abS0./-é\"'",
    op.CATEGORY_NOT_DIGIT: "ab ./",
    op.CATEGORY_NOT_WORD: " ./-é",
}


def sample(pattern: str, rng: random.Random) -> str:
    """One text that `pattern` is likely to match (word boundaries are left to luck), in random case."""
    return "".join(_case(char, rng) for char in _sequence(_parser.parse(pattern), rng))


def _case(char: str, rng: random.Random) -> str:
    folds = {"s": "ſ", "k": "\u212a"}
    if char in folds and rng.random() < 0.05:
        return folds[char]
    return rng.choice((char, char, char.upper(), char.lower()))[:1]


def _sequence(items: Any, rng: random.Random) -> str:
    return "".join(_one(code, argument, rng) for code, argument in items)


def _one(code: Any, argument: Any, rng: random.Random) -> str:
    if code is op.LITERAL:
        return chr(argument)
    if code is op.NOT_LITERAL:
        return rng.choice([char for char in _FILL if char != chr(argument)])
    if code is op.ANY:
        return rng.choice(_FILL)
    if code is op.IN:
        return _member(argument, rng)
    if code is op.BRANCH:
        return _sequence(rng.choice(argument[1]), rng)
    if code is op.SUBPATTERN:
        return _sequence(argument[3], rng)
    if code in (op.MAX_REPEAT, op.MIN_REPEAT):
        low, high, inner = argument
        times = rng.randint(low, min(int(high), low + 3))
        return "".join(_sequence(inner, rng) for _ in range(times))
    assert code is op.AT, code
    return ""


def _member(items: Any, rng: random.Random) -> str:
    if items[0][0] is op.NEGATE:
        banned = set(_spelled(items[1:]))
        return rng.choice([char for char in _FILL if char not in banned])
    return rng.choice(_spelled(items))


def _spelled(items: Any) -> str:
    text = ""
    for code, argument in items:
        if code is op.LITERAL:
            text += chr(argument)
        elif code is op.RANGE:
            text += "".join(chr(c) for c in range(argument[0], argument[1] + 1))
        else:
            text += _MEMBERS[argument]
    return text
