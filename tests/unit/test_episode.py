from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oracle import episode as oracle
from oracle.readout import WORD, features

from sophia._core.episode import EpisodeEncoder
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


def check(texts: list[str], asked: str) -> None:
    encoder = EpisodeEncoder(stop=STOP)
    starts, places, weights = encoder.rows(texts)
    rows = [list(zip(places[a:b].tolist(), weights[a:b].tolist(), strict=True)) for a, b in pairwise(starts)]
    assert rows == [oracle.row(read(text), HASHES) for text in texts]
    for order in (range(len(texts)), range(len(texts))[::-1], range(0, len(texts), 2), [0] * bool(texts)):
        sessions = [at // 3 if at % 7 != 6 else -1 for at in range(len(order))]
        found = encoder.scores(asked, starts, places, weights, np.array(order, np.int64), np.array(sessions, np.int64))
        expected = oracle.scores(read(asked), HASHES, [rows[at] for at in order], sessions)
        assert tuple(each.tolist() for each in found) == expected


def test_it_is_the_oracle() -> None:
    for asked in ("where is the cat, 中国?", "", "the", "word " * 300, *TEXTS[:2]):
        check(TEXTS, asked)


@given(st.lists(st.text("ab the is中1.", max_size=40), max_size=5), st.text("ab the is中1.", max_size=20))
@settings(max_examples=60, deadline=None)
def test_any_texts(texts: list[str], asked: str) -> None:
    check(texts, asked)


def test_what_is_no_array_of_these_is_refused() -> None:
    encoder = EpisodeEncoder()
    starts, places, weights = encoder.rows(["a cat", "a dog"])
    rows = np.arange(2)

    def scores(*given: object) -> object:
        return encoder.scores("a cat", *given, np.full(np.size(given[-1]), -1))

    for bad in (np.array([2]), np.array([-1]), np.array([0, 1, 2])):
        with pytest.raises(ShapeError, match="rows: element"):
            scores(starts, places, weights, bad)
    for bad in (starts[::-1].copy(), starts + 5, starts - 1):
        with pytest.raises(ShapeError, match="rows: element"):
            scores(bad, places, weights, rows)
    with pytest.raises(ShapeError, match="weights has"):
        scores(starts, places, weights[1:], rows)
    for wrong in (
        (starts.astype(np.int32), places, weights, rows),
        (starts, places.astype(np.int64), weights, rows),
        (starts, places, weights.astype(np.float64), rows),
        (starts, places, weights, rows.reshape(1, 2)),
    ):
        with pytest.raises(ShapeError):
            scores(*wrong)
    with pytest.raises(TypeError):
        encoder.rows([3])
    with pytest.raises(TypeError):
        encoder.scores(3, starts, places, weights, rows, rows)  # type: ignore[arg-type]
    with pytest.raises(ShapeError, match="sessions has 1"):
        encoder.scores("a", starts, places, weights, rows, rows[:1])
    nothing = np.zeros(0, np.int64)
    for made in ((starts, places, weights), encoder.rows([])):
        assert [each.tolist() for each in encoder.scores("x", *made, nothing, nothing)] == [[], []]


def test_a_questions_words_count_the_more_the_rarer_they_are_among_the_rows() -> None:
    encoder = EpisodeEncoder()
    made = encoder.rows(["common rare", "common thing", "common other", "rare", "rare", "rare"])
    found, _ = encoder.scores("common rare", *made, np.arange(3), np.full(3, -1))
    assert found[0] > 2 * found[1] > 0
    alone, _ = encoder.scores("rare", *made, np.array([0]), np.array([-1]))
    assert found[0] > alone[0] > 0
