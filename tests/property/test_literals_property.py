"""LiteralSet is its oracle, on random rules and texts over a small alphabet."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from oracle import literals as oracle

from sophia._core.literals import LiteralSet

LITERAL = st.lists(st.sampled_from([b"a", b"b", b"C", b".", b"\xc3"]), min_size=1, max_size=5).map(b"".join)
GROUP = st.lists(LITERAL, min_size=1, max_size=4)
RULES = st.lists(st.lists(st.lists(GROUP, max_size=3), max_size=3), max_size=5)
PIECE = st.sampled_from([b"a", b"B", b"c", b".", b" ", b"\xc3", b"\xc5\xbf", b"\xe2\x84\xaa", b"\xff", b"ab", b"bca"])
TEXT = st.lists(PIECE, max_size=30).map(b"".join)


@given(RULES, TEXT)
@settings(max_examples=400, deadline=None)
def test_short_texts(rules: list[list[list[list[bytes]]]], text: bytes) -> None:
    made = LiteralSet(rules)
    expected = oracle.candidates(rules, text)
    assert made.candidates(text) == expected
    assert made.hits(text) == bool(expected)


@given(RULES, TEXT, st.integers(0, 1100), st.integers(0, 700))
@settings(max_examples=200, deadline=None)
def test_long_texts(rules: list[list[list[list[bytes]]]], text: bytes, before: int, after: int) -> None:
    padded = b"-" * before + text + b"-" * after
    assert LiteralSet(rules).candidates(padded) == oracle.candidates(rules, padded)
