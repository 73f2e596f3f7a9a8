"""The compiled normal form against the oracle."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from oracle import normaliser as oracle

from sophia._core.normaliser import normalise

SIGNS = st.sampled_from(list("abzABZ0159 \t\n\r.?!,;:'\"()-_/*$@#=[]{}"))
WIDE = st.sampled_from(
    list("\u00c9\u00e9\u00df\u0130\u0131\u2019\u201c\u201d\u3000\u2028\u4e2d\u0e01\U0001f600\u01c5\u2160\u00b2")
)


@settings(max_examples=1000)
@given(st.text(SIGNS, max_size=40))
def test_ascii(text: str) -> None:
    assert normalise(text) == oracle.normalise(text)


@settings(max_examples=1000)
@given(st.text(SIGNS | WIDE, max_size=30))
def test_unicode(text: str) -> None:
    assert normalise(text) == oracle.normalise(text)


WORDS = st.sampled_from(
    [
        "What",
        "US",
        "us",
        "is",
        "5",
        "mW",
        "MW",
        "-A",
        "./a",
        "iPhone",
        "I'm",
        "STOP",
        "PLEASE",
        "(Go)",
        "end.",
        "5!",
        "why?",
    ]
)


@given(st.lists(WORDS, max_size=8).map(" ".join))
def test_words(text: str) -> None:
    assert normalise(text) == oracle.normalise(text)
