"""LiteralSet is its oracle, on random rules and texts over a small alphabet."""

from __future__ import annotations

import re

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


@given(RULES, st.lists(st.tuples(TEXT, st.sampled_from([0, 0, 0, 1, 30, 600])), max_size=12))
@settings(max_examples=400, deadline=None)
def test_many_texts(rules: list[list[list[list[bytes]]]], texts: list[tuple[bytes, int]]) -> None:
    """Read several at a time, in any order of lengths, each has the answer that it has alone."""
    padded = [text + b"-" * after for text, after in texts]
    assert LiteralSet(rules).hits_many(padded) == [bool(oracle.candidates(rules, text)) for text in padded]


ASCII = st.text("abCks.", min_size=1, max_size=4).map(str.encode)
REACHING = st.lists(
    st.tuples(
        st.lists(st.lists(st.lists(ASCII, min_size=1, max_size=3), min_size=1, max_size=3), max_size=3),
        st.one_of(st.none(), st.integers(0, 4)),
    ),
    max_size=4,
)
WORDS = st.lists(
    st.sampled_from(
        [b"a", b"B", b"ck", b".", b" ", b"\t\n", b"\v", b"\xc5\xbf", b"\xe2\x84\xaa", b"\xe2\x84", b"s" * 3]
    ),
    max_size=24,
).map(b"".join)


@given(REACHING, WORDS)
@settings(max_examples=600, deadline=None)
def test_places_hold_all_that_stands_near_enough(
    rules: list[tuple[list[list[list[bytes]]], int | None]], text: bytes
) -> None:
    branches, reaches = [rule for rule, _ in rules], [reach for _, reach in rules]
    made = LiteralSet(branches, reaches)
    found = dict(made.places(text))
    joined = {
        rule: b"\n".join(text[max(0, first - 1) : last + 1] for first, last in places) for rule, places in found.items()
    }
    assert dict(made.pieces(text)) == joined
    near = oracle.near(branches, reaches, text)
    assert list(found) == sorted(near)
    for rule, spans in near.items():
        places, reach = found[rule], reaches[rule]
        assert places == sorted(places)
        for start, end in spans:
            before, after = reached(text, start, end, reach)
            assert any(first <= before and after <= last for first, last in places), (rule, start, end, places)


def reached(text: bytes, start: int, end: int, reach: int | None) -> tuple[int, int]:
    """The farthest that a match may begin and end that holds text[start:end] and `reach` runs of blanks in all."""
    if reach is None:
        return 0, len(text)
    left = reach - len(re.findall(rb"[\t\n\f\r ]+", text[start:end]))
    if left < 0:
        return start, end
    before, after = start, end
    while before > 0 and len(re.findall(rb"[\t\n\f\r ]+", text[before - 1 : end])) <= reach:
        before -= 1
    while after < len(text) and len(re.findall(rb"[\t\n\f\r ]+", text[start : after + 1])) <= reach:
        after += 1
    return before, after
