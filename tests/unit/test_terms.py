"""Words beside other words: what the oracle says, and what a divergence is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sophia._core.terms import contrast, divergence
from tests.oracle import terms as oracle

COUNTS = st.dictionaries(st.sampled_from("abcdefghijkl"), st.integers(1, 5000), max_size=12)


@given(COUNTS, COUNTS, st.sampled_from([0.5, 10.83]))
def test_terms_are_those_of_the_oracle(words: dict[str, int], others: dict[str, int], least: float) -> None:
    for ours, theirs in zip(contrast(words, others, least), oracle.contrast(words, others, least), strict=True):
        clear = dict(theirs)
        assert {word for word, sure in clear.items() if sure > least + 1e-6} <= {word for word, _ in ours}
        assert all(sure == pytest.approx(clear.get(word, least), rel=1e-6, abs=1e-6) for word, sure in ours)
        assert ours == sorted(ours, key=lambda one: (-one[1], one[0]))


@given(COUNTS, COUNTS)
def test_a_divergence_is_that_of_the_oracle(words: dict[str, int], others: dict[str, int]) -> None:
    found = divergence(words, others)
    assert found == pytest.approx(oracle.divergence(words, others), abs=1e-9)
    assert found == pytest.approx(divergence(others, words), abs=1e-9)
    assert 0.0 <= found <= 1.0
    assert divergence(words, words) == 0.0


def test_nothing_has_no_terms() -> None:
    assert contrast({}, {}, 1.0) == contrast({"a": 9}, {}, 1.0) == contrast({}, {"a": 9}, 1.0) == ([], [])
    assert (divergence({}, {}), divergence({"a": 1}, {}), divergence({}, {"a": 1})) == (0.0, 1.0, 1.0)


def test_equally_sure_ones_are_in_the_order_of_the_alphabet() -> None:
    more, fewer = contrast(dict.fromkeys("dcab", 50), dict.fromkeys("xwzy", 50), 1.0)
    assert ([word for word, _ in more], [word for word, _ in fewer]) == (list("abcd"), list("wxyz"))


def test_large_counts_do_not_overflow() -> None:
    most = 1 << 40
    more, fewer = contrast({"a": most, "b": most}, {"a": most, "c": most}, 1.0)
    assert ([word for word, _ in more], [word for word, _ in fewer]) == (["b"], ["c"])
    assert divergence({"a": most}, {"a": most}) == 0.0


@pytest.mark.parametrize("wrong", [None, [], "words", 1])
def test_what_is_no_count_is_refused(wrong: object) -> None:
    for call in (lambda: contrast(wrong, {}, 1.0), lambda: divergence({}, wrong)):  # type: ignore[arg-type]
        with pytest.raises(TypeError):
            call()
    with pytest.raises(TypeError):
        divergence({"a": "many"}, {"a": 1})  # type: ignore[dict-item]
