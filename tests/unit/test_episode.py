from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oracle import episode as oracle
from oracle.readout import WORD, features

from sophia._core.episode import BUCKETS, EpisodeEncoder, scores
from sophia._core.normaliser import normalise
from sophia.errors import ShapeError

STOP = ["the", "is"]
HASHES = {value for word in STOP for kind, value in features(word, 0, (3, 4)) if kind == WORD}
TEXTS = [
    "The cat is on the mat, the cat sat",
    "a cat",
    "",
    "the is",
    "IS THE 中国 e\u0301 naïve 👍 2026-03-01",
    "x" * 5000,
    "word " * 700,
    "\0 \ud800 lone",
]


def read(text: str) -> str | bytes:
    """What the encoder reads."""
    if text.isascii():
        return text
    try:
        return normalise(text)
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogatepass")


def check(texts: list[str], asked: str, dim: int) -> None:
    encoder = EpisodeEncoder(dim, stop=STOP)
    counts = np.zeros(BUCKETS, np.uint32)
    starts, places, weights = encoder.rows(texts, counts)
    rows = [list(zip(places[a:b].tolist(), weights[a:b].tolist(), strict=True)) for a, b in pairwise(starts)]
    assert rows == [oracle.row(read(text), HASHES, dim) for text in texts]
    expected: dict[int, int] = {}
    for text in texts:
        for value in oracle.read(read(text), HASHES)[0]:
            expected[oracle.bucket(value)] = expected.get(oracle.bucket(value), 0) + 1
    assert {int(at): int(counts[at]) for at in np.flatnonzero(counts)} == expected
    question = encoder.question(asked, counts, len(texts))
    assert question.tolist() == oracle.question(read(asked), HASHES, dim, expected, len(texts))
    order = np.arange(len(texts))[::-1].copy()
    found = scores(question, starts, places, weights, order)
    assert found.tolist() == oracle.scores(question.tolist(), rows)[::-1]


@pytest.mark.parametrize("dim", [64, 10_000, 65_536])
def test_it_is_the_oracle(dim: int) -> None:
    check(TEXTS, "where is the cat, 中国?", dim)


@given(st.lists(st.text("ab the is中1.", max_size=40), max_size=5), st.text("ab the is中1.", max_size=20))
@settings(max_examples=60, deadline=None)
def test_any_texts(texts: list[str], asked: str) -> None:
    check(texts, asked, 97)


def test_what_is_no_array_of_these_is_refused() -> None:
    encoder = EpisodeEncoder(64)
    counts = np.zeros(BUCKETS, np.uint32)
    starts, places, weights = encoder.rows(["a cat", "a dog"], counts)
    question = encoder.question("cat", counts, 2)
    rows = np.arange(2)
    for bad in (np.array([2]), np.array([-1]), np.array([0, 1, 2])):
        with pytest.raises(ShapeError, match="rows: element"):
            scores(question, starts, places, weights, bad)
    with pytest.raises(ShapeError, match="rows: element 0"):
        scores(question, starts, places + 64, weights, rows)
    with pytest.raises(ShapeError, match="rows: element"):
        scores(question, starts[::-1].copy(), places, weights, rows)
    with pytest.raises(ShapeError, match="rows: element"):
        scores(question, starts + 5, places, weights, rows)
    with pytest.raises(ShapeError, match="weights has"):
        scores(question, starts, places, weights[1:], rows)
    with pytest.raises(ShapeError):
        scores(question.astype(np.int64), starts, places, weights, rows)
    for call in (lambda c: encoder.rows(["x"], c), lambda c: encoder.question("x", c, 1)):
        with pytest.raises(ShapeError):
            call(np.zeros(5, np.uint32))
        with pytest.raises(ShapeError):
            call(np.zeros(BUCKETS))
    with pytest.raises(TypeError):
        encoder.rows([3], counts)
    for dim in (63, 65_537, True, 64.0):
        with pytest.raises(ShapeError, match="dim"):
            EpisodeEncoder(dim)  # type: ignore[arg-type]
    assert scores(question, starts, places, weights, np.zeros(0, np.int64)).tolist() == []


def test_the_questions_words_count_the_more_the_rarer() -> None:
    encoder = EpisodeEncoder(10_000)
    counts = np.zeros(BUCKETS, np.uint32)
    made = encoder.rows(["common rare", "common thing", "common other"], counts)
    found = scores(encoder.question("common rare", counts, 3), *made, np.arange(3))
    assert found[0] > 2 * found[1] > 0
