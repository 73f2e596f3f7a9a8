"""Resonator networks: factors are found, the same ones each time, and where they are not that is said."""

from __future__ import annotations

from typing import Any

import numpy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sophia.errors import ShapeError
from sophia.hdc import MODELS, Space, resonate

models = pytest.mark.parametrize("model", MODELS)


def codebooks(space: Space, sizes: list[int]) -> list[Any]:
    return [space.random_rows(size, f"book {number}") for number, size in enumerate(sizes)]


def product(space: Space, books: list[Any], rows: list[int]) -> Any:
    return space.multibind([space.vector(book[row]) for book, row in zip(books, rows, strict=True)])


def noisy(space: Space, vector: Any, share: float, seed: int) -> Any:
    """The vector with a share of its bits flipped; of HRR and FHRR with as much noise."""
    rng = numpy.random.default_rng(seed)
    if space.model in ("bsc", "map"):
        return space.from_array(space.array(vector) * numpy.where(rng.random(space.dim) < share, -1, 1))
    return space.bundle(space.normalize(vector), space.normalize(space.random("noise", seed)), weights=[1, 0.75])


@models
@pytest.mark.parametrize("share", [0.0, 0.1])
def test_three_codebooks_of_50(model: str, share: float) -> None:
    """Of 125,000 combinations the right one, in at least 95 of 100 tries; a wrong one never with confidence."""
    space = Space(model)
    books = codebooks(space, [50, 50, 50])
    rng = numpy.random.default_rng(7)
    right, tries = 0, 20 if model in ("bsc", "map") else 5
    for number in range(tries):
        rows = rng.integers(0, 50, 3).tolist()
        whole = product(space, books, rows)
        found = resonate(space, noisy(space, whole, share, number) if share else whole, books)
        right += found.indices == tuple(rows)
        assert found.converged == (found.indices == tuple(rows))
        assert found.similarity == pytest.approx(0.8 if share else 1.0, abs=0.05 if share else 1e-5)
        assert found.steps <= 500
    assert right >= 0.95 * tries


@models
@settings(max_examples=15)
@given(data=st.data())
def test_factors_of_any_number_of_codebooks(model: str, data: st.DataObject) -> None:
    space = Space(model, 2000, seed=data.draw(st.integers(0, 3)))
    sizes = data.draw(st.lists(st.integers(1, 6), min_size=2, max_size=4))
    books = codebooks(space, sizes)
    rows = [data.draw(st.integers(0, size - 1)) for size in sizes]
    found = resonate(space, product(space, books, rows), books)
    assert found.converged
    assert found.indices == tuple(rows)
    assert len(found.scores) == len(sizes)
    assert min(found.scores) > 0.5
    assert found == resonate(space, product(space, books, rows), books)


@pytest.mark.parametrize("model", ["bsc", "map"])
def test_the_same_at_every_level(model: str, simd: str) -> None:
    space = Space(model, 4000)
    books = codebooks(space, [20, 20, 20])
    found = resonate(space, product(space, books, [3, 19, 0]), books)
    assert found.indices == (3, 19, 0)
    assert found.similarity == 1.0
    assert found.steps == resonate(Space("map", 4000), *_as_map(space, books, [3, 19, 0])).steps


def _as_map(space: Space, books: list[Any], rows: list[int]) -> tuple[Any, Any]:
    other = Space("map", space.dim)
    signs = [other.from_array(space.array(book)) for book in books]
    return product(other, signs, rows), signs


@models
def test_what_has_no_factors_is_said_to_have_none(model: str) -> None:
    space = Space(model, 2000)
    books = codebooks(space, [10, 10, 10])
    for number in range(5):
        found = resonate(space, space.random(f"nothing {number}"), books, steps=100)
        assert not found.converged
        assert found.steps == 100
        assert found.similarity < 0.15
    whole = product(space, books, [1, 2, 3])
    assert resonate(space, whole, books, threshold=-1.0).converged
    assert not resonate(space, noisy(space, whole, 0.2, 1), books, threshold=0.95, steps=70).converged
    zero = None if model in ("bsc", "map") else numpy.zeros_like(whole)
    if zero is not None:
        assert not resonate(space, zero, books, steps=5).converged


@models
def test_one_step_is_an_answer_that_is_checked(model: str) -> None:
    space = Space(model, 4000)
    books = codebooks(space, [3, 3])
    found = resonate(space, product(space, books, [2, 1]), books, steps=1)
    assert found.steps == 1
    assert found.converged
    assert found.indices == (2, 1)


@models
def test_items_that_are_alike(model: str) -> None:
    """The best of near ones, not the first that passes: neighbours on a scale have most components in common."""
    space = Space(model, 4000)
    books = [space.level(15, "size"), space.random_rows(10, "shape"), space.random_rows(10, "place")]
    for row in (0, 6, 7, 14):
        found = resonate(space, product(space, books, [row, 4, 9]), books)
        assert found.indices == (row, 4, 9)
        assert found.similarity == pytest.approx(1.0, abs=1e-5)


@models
def test_lists_are_codebooks_too(model: str) -> None:
    space = Space(model, 1000)
    books = codebooks(space, [4, 5])
    lists = [[space.vector(row) for row in book] for book in books]
    assert resonate(space, product(space, books, [1, 4]), lists) == resonate(
        space, product(space, books, [1, 4]), books
    )


# -------------------------------------------------------------------------------------------------------- what is wrong


@models
def test_what_cannot_be_factored(model: str) -> None:
    space = Space(model, 640)
    books = codebooks(space, [4, 4])
    whole = product(space, books, [0, 0])
    for wrong in ([], [books[0]], None, books[0]):
        with pytest.raises(ValueError, match="two or more"):
            resonate(space, whole, wrong)
    with pytest.raises(ValueError, match="codebook 1 is empty"):
        resonate(space, whole, [books[0], []])
    for steps in (0, -1, True, 1.5, 1_000_001):
        with pytest.raises(ValueError, match="steps is"):
            resonate(space, whole, books, steps=steps)  # type: ignore[arg-type]
    for threshold in (1.5, -2, float("nan")):
        with pytest.raises(ValueError, match="threshold is"):
            resonate(space, whole, books, threshold=threshold)
    other = Space(model, 704)
    with pytest.raises(ShapeError):
        resonate(space, other.random("a"), books)
    with pytest.raises(ShapeError, match="codebook 1"):
        resonate(space, whole, [books[0], other.random_rows(3, "x")])
    with pytest.raises(TypeError, match="codebook 1: element 0"):
        resonate(space, whole, [books[0], ["a"]])
    if model in ("hrr", "fhrr"):
        bad = books[1].copy()
        bad[2, 5] = numpy.nan
        with pytest.raises(ValueError, match="codebook 1: row 2 has a component that is not finite"):
            resonate(space, whole, [books[0], bad])
