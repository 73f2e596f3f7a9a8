"""Spaces: four models by one set of words."""

from __future__ import annotations

import doctest
import hashlib
import importlib
from itertools import pairwise
from typing import Any

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sophia._core import hdc
from sophia._core.vector import Hypervector
from sophia.errors import ConfigError, ShapeError, StaleArenaError
from sophia.hdc import MODELS, HDCArena, Space, Sums
from sophia.hdc.spectral import FHRR, HRR

DIM = 2000
COMPILED = ("bsc", "map")
SPECTRAL = ("hrr", "fhrr")

models = pytest.mark.parametrize("model", MODELS)


def close(a: Any, b: Any) -> bool:
    """Whether two vectors are the same: bit for bit, or (HRR, FHRR) up to rounding."""
    if isinstance(a, Hypervector):
        return bool(a == b)
    return bool(numpy.allclose(a, b, atol=2e-4))


@pytest.mark.parametrize("name", ["sophia.hdc", "sophia.hdc.space", "sophia.hdc.spectral", "sophia.hdc.sums"])
def test_examples(name: str) -> None:
    assert doctest.testmod(importlib.import_module(name)).failed == 0


@models
def test_a_name_is_one_vector(model: str) -> None:
    space = Space(model, DIM, seed=5)
    assert close(space.random("cat"), Space(model, DIM, seed=5).random("cat"))
    others = [space.random("dog"), space.random(3), space.random("3"), space.random("cat", 1)]
    others += [Space(model, DIM).random("cat"), Space(model, DIM, seed=6).random("cat")]
    vectors = [space.random("cat"), *others]
    found = space.similarity(vectors, vectors)
    assert numpy.abs(found - numpy.diag(numpy.diag(found))).max() < 6 / DIM**0.5
    assert numpy.allclose(numpy.diag(found), 1.0)
    rows = space.random_rows(3, "cat")
    assert close(space.vector(rows[1]), space.random("cat", 1))
    assert len(space.random_rows(0, "cat")) == 0


@pytest.mark.parametrize("model", COMPILED)
def test_without_a_seed_names_are_those_of_the_core(model: str, simd: str) -> None:
    assert Space(model, 10_000).random("cat") == hdc.random("cat", model=model.upper())


REFERENCE = {
    "bsc": "6428b4aa2cc4da93",
    "map": "6428b4aa2cc4da93",
    "hrr": "747e9565b3d94af7",
    "fhrr": "3bbd692e0eb70b97",
}


@models
def test_vectors_are_the_same_on_every_machine(model: str, simd: str) -> None:
    space = Space(model, 1000, seed=11)
    data = numpy.asarray(space.array(numpy.atleast_2d(space.random_rows(4, "reference"))))
    assert hashlib.blake2b(data.tobytes(), digest_size=8).hexdigest() == REFERENCE[model]


def test_random_vectors_have_the_law_of_their_model() -> None:
    hrr = Space("hrr", 20_000).random("x").astype(float)
    assert abs(hrr.mean()) < 4 / 20_000
    assert abs(hrr.var() * 20_000 - 1) < 0.05
    assert abs(numpy.linalg.norm(hrr) - 1) < 0.05
    fhrr = Space("fhrr", 20_000).random("x")
    assert numpy.abs(numpy.abs(fhrr) - 1).max() < 1e-6
    assert abs(fhrr.mean()) < 0.03
    assert set(numpy.round(numpy.angle(fhrr) * 4096 / (2 * numpy.pi), 2) % 1) == {0.0}


# ------------------------------------------------------------------------------------------------------------ algebra


@models
@given(names=st.lists(st.integers(0, 50), min_size=3, max_size=3, unique=True), shifts=st.integers(-5000, 5000))
def test_the_algebra(model: str, names: list[int], shifts: int) -> None:
    space = Space(model, 512)
    a, b, c = (space.random(name) for name in names)
    bind, permute, similarity = space.bind, space.permute, space.similarity
    assert close(bind(a, b), bind(b, a))
    assert close(bind(bind(a, b), c), bind(a, bind(b, c)))
    assert close(bind(a, space.identity()), a)
    assert similarity(space.unbind(bind(a, b), b), a) > 0.999
    assert similarity(bind(bind(a, b), space.inverse(b)), a) > 0.999
    assert close(permute(permute(a, shifts), -shifts), a)
    assert close(permute(a, shifts), permute(a, shifts % 512))
    assert close(permute(space.bundle(a, b, c), shifts), space.bundle(*(permute(x, shifts) for x in (a, b, c))))
    assert close(bind(space.bundle(a, b, c), c), space.bundle(bind(a, c), bind(b, c), bind(c, c)))
    assert close(space.bundle(a, b, c), space.bundle(c, a, b))
    assert close(space.multibind(a, b, c), bind(bind(a, b), c))
    assert abs(similarity(bind(a, b), a)) < 0.3
    assert similarity(space.bundle(a, b, c), b) > 0.3
    if model in COMPILED:
        assert close(permute(bind(a, b), shifts), bind(permute(a, shifts), permute(b, shifts)))
        mask = space.random("mask")
        assert similarity(bind(a, mask), bind(b, mask)) == similarity(a, b)


@models
def test_a_matrix_is_its_rows(model: str) -> None:
    space = Space(model, 640)
    rows, others, one = space.random_rows(4, "a"), space.random_rows(4, "b"), space.random("c")
    as_vectors = [space.vector(row) for row in rows]
    for made, expected in (
        (space.bind(rows, others), [space.bind(a, space.vector(b)) for a, b in zip(as_vectors, others, strict=True)]),
        (space.bind(rows, one), [space.bind(a, one) for a in as_vectors]),
        (space.unbind(rows, one), [space.unbind(a, one) for a in as_vectors]),
        (space.permute(rows, 3), [space.permute(a, 3) for a in as_vectors]),
        (space.inverse(rows), [space.inverse(a) for a in as_vectors]),
        (space.normalize(rows), [space.normalize(a) for a in as_vectors]),
    ):
        assert len(made) == 4
        assert all(close(space.vector(row), one) for row, one in zip(made, expected, strict=True))
    assert close(space.bundle(rows), space.bundle(*as_vectors))
    assert close(space.bundle(as_vectors), space.bundle(*as_vectors))
    assert close(space.multibind(rows), space.multibind(as_vectors))
    grid = space.similarity(rows, others)
    assert grid.shape == (4, 4)
    assert grid.dtype == numpy.float64
    assert space.similarity(rows, others, dtype="float32").dtype == numpy.float32
    assert numpy.allclose(grid[1], space.similarity(as_vectors[1], others))
    assert isinstance(space.similarity(one, one), float)


@models
def test_out_is_where_the_result_goes(model: str) -> None:
    space = Space(model, 640)
    a, b = space.random("a"), space.random("b")
    for call in (
        lambda out: space.bind(a, b, out),
        lambda out: space.permute(a, 5, out),
        lambda out: space.inverse(a, out),
    ):
        out = space.random("out")
        made = call(out)
        assert made is out
        assert close(made, call(None))
    with pytest.raises((ShapeError, TypeError)):
        space.bind(a, b, Space(model, 704).random("out"))


@models
def test_weights(model: str) -> None:
    space = Space(model, 640)
    a, b, c = (space.random(name) for name in "abc")
    assert close(space.bundle(a, b, c, weights=[2, 1, 1]), space.bundle(a, a, b, c))
    assert close(space.bundle(a, b, c, weights=[1, 0, 0]), a)
    heavy = space.bundle(a, b, weights=[3, 1])
    assert space.similarity(heavy, a) > space.similarity(heavy, b)
    with pytest.raises(ShapeError, match="weights"):
        space.bundle(a, b, weights=[1])
    if model in SPECTRAL:
        assert close(space.bundle(a, b, weights=[0.5, -0.25]), (0.5 * a - 0.25 * b).astype(a.dtype))
        with pytest.raises(ValueError, match="number 1 is not finite"):
            space.bundle(a, b, weights=[1.0, float("nan")])


@models
def test_nothing_cannot_be_bundled(model: str) -> None:
    space = Space(model, 640)
    for call in (space.bundle, space.multibind):
        with pytest.raises(ValueError, match="of no"):
            call()
        with pytest.raises(ValueError, match="of no"):
            call([])
    with pytest.raises(ValueError, match="of no"):
        space.bundle(space.random_rows(0, "a"))
    with pytest.raises(ValueError, match="nothing in"):
        space.cleanup(space.random("a"), [])


@models
def test_cleanup(model: str) -> None:
    space = Space(model, DIM)
    words = [space.random(i) for i in range(40)]
    noisy = space.bundle(words[7], space.random("noise"), space.random("more"))
    for memory in (words, space.random_rows(40, "rows")):
        rows = [space.vector(row) for row in memory]
        found = space.cleanup(space.bundle(rows[7], space.random("noise"), space.random("more")), memory)
        assert found.row == 7
        assert 0.3 < found.score < 0.8
    assert space.cleanup(noisy, words, threshold=0.9).row is None
    assert space.cleanup(words[3], [words[3], words[3]]).row == 0


@models
def test_randsel(model: str) -> None:
    """A probability that was read the wrong way round is in another library's history."""
    space = Space(model, DIM)
    a, b = space.random("a"), space.random("b")
    assert close(space.randsel(a, b, 0.0), a)
    assert close(space.randsel(a, b, 1.0), b)
    mixed = space.randsel(a, b, 0.8)
    assert space.similarity(mixed, b) > 0.7 > 0.3 > space.similarity(mixed, a) > 0.1
    assert close(mixed, space.randsel(a, b, 0.8))
    assert not close(mixed, space.randsel(a, b, 0.8, name="other"))
    for p in (-0.1, 1.1, float("nan")):
        with pytest.raises(ValueError, match="it is a probability"):
            space.randsel(a, b, p)


@models
def test_levels(model: str) -> None:
    space = Space(model, DIM)
    rows = space.level(11)
    found = space.similarity(rows, rows)
    for i in range(11):
        assert abs(found[0, i] - (1 - i / 10)) < 0.08
    assert all(abs(found[i, j] - found[0, j - i]) < 0.1 for i, j in pairwise(range(11)))
    circle = space.similarity(space.circular(12), space.circular(12))
    for i in range(12):
        assert abs(circle[0, i] - (1 - min(i, 12 - i) / 6)) < 0.1
        assert abs(circle[5, (5 + i) % 12] - circle[0, i]) < 0.12
    scale = space.similarity(space.thermometer(5), space.thermometer(5))
    assert numpy.allclose(scale[0], [1.0, 0.5, 0.0, -0.5, -1.0], atol=1e-6)
    for make in (space.level, space.circular, space.thermometer):
        assert len(make(1)) == 1
        for n in (0, -1, 1.5, True):
            with pytest.raises(ValueError, match="whole number of vectors"):
                make(n)
    assert not close(space.vector(space.level(3, "x")[0]), space.vector(rows[0]))


@models
def test_components_and_back(model: str) -> None:
    space = Space(model, 130)
    a, rows = space.random("a"), space.random_rows(3, "rows")
    assert close(space.from_array(space.array(a)), a)
    assert numpy.array_equal(space.from_array(space.array(rows)), rows)
    if model in COMPILED:
        assert set(numpy.unique(space.array(a))) == {-1, 1}
        assert numpy.array_equal(space.array(a), Space("map", 130).array(Space("map", 130).random("a")))
        with pytest.raises(ShapeError, match="130 signs"):
            space.from_array(numpy.zeros(130))
    with pytest.raises(ShapeError):
        space.from_array(numpy.ones(131))


# -------------------------------------------------------------------------------------------------------- what is wrong


@models
def test_operands_of_another_space(model: str) -> None:
    space = Space(model, 640)
    a, other = space.random("a"), Space(model, 704).random("a")
    strange = Space("hrr" if model != "hrr" else "fhrr", 640).random("a")
    for wrong in (other, strange, None, "a", numpy.ones((2, 2, 640))):
        for call in (
            lambda wrong=wrong: space.bind(a, wrong),
            lambda wrong=wrong: space.similarity(a, wrong),
            lambda wrong=wrong: space.permute(wrong),
            lambda wrong=wrong: space.bundle(a, wrong),
        ):
            with pytest.raises((ShapeError, TypeError)):
                call()
    with pytest.raises(ShapeError, match="rows"):
        space.bind(space.random_rows(2, "x"), space.random_rows(3, "x"))
    with pytest.raises((TypeError, ValueError)):
        space.random(1.5)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "options",
    [{"model": "xyz"}, {"dim": 63}, {"dim": 1 << 25}, {"dim": 64.0}, {"seed": -1}, {"seed": True}, {"seed": 1 << 64}],
)
def test_a_space_that_cannot_be(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=r"use one of bsc, map, hrr, fhrr|it is a whole number from"):
        Space(**options)


def test_spaces_are_values() -> None:
    assert Space("map", 100, seed=3) == Space("map", 100, seed=3) != Space("map", 100)
    assert len({Space("map", 100), Space("map", 100), Space("bsc", 100)}) == 2
    assert repr(Space("map", 100, seed=3)) == "Space('map', 100, seed=3)"
    assert Space() != "bsc"


@pytest.mark.parametrize("model", SPECTRAL)
def test_a_zero_vector(model: str) -> None:
    """Never NaN, and what is lost is said to be."""
    space = Space(model, 128)
    a = space.random("a")
    zero = numpy.zeros_like(a)
    assert space.similarity(zero, a) == space.similarity(zero, zero) == 0.0
    assert numpy.isfinite(space.normalize(zero)).all()
    for call in (lambda: space.inverse(zero), lambda: space.unbind(a, zero)):
        with pytest.raises(ValueError, match="what was bound with it is lost"):
            call()


def test_a_vector_with_one_frequency() -> None:
    with pytest.raises(ValueError, match="is zero"):
        Space("hrr", 128).inverse(numpy.ones(128, numpy.float32))


def test_the_inverse_of_hrr_is_exact() -> None:
    """1 over the transform, and not the involution, which another library had taken for it."""
    space = Space("hrr", 1000)
    a, b = space.random("a"), space.random("b")
    assert numpy.abs(space.unbind(space.bind(a, b), a) - b).max() < 1e-4
    involution = numpy.concatenate([a[:1], a[1:][::-1]])
    assert space.similarity(space.bind(space.bind(a, b), involution), b) < 0.9


def test_powers() -> None:
    for algebra in (HRR(600), FHRR(601), HRR(601)):
        base = algebra.random("base")
        rows = algebra.power(base, [0.0, 1.0, 2.0, 0.5, -1.0])
        assert rows.dtype == algebra.dtype
        assert algebra.similarity(rows[0], algebra.identity()) > 0.999
        assert algebra.similarity(algebra.bind(rows[1], rows[1]), rows[2]) > 0.999
        assert algebra.similarity(algebra.bind(rows[3], rows[3]), rows[1]) > 0.999
        assert algebra.similarity(algebra.bind(rows[1], rows[4]), algebra.identity()) > 0.999
        with pytest.raises(ValueError, match="value 1 is not finite"):
            algebra.power(base, [0.0, float("inf")])


def naive_record(space: Space, ids: Any, levels: Any, index: Any, weights: Any) -> Any:
    pairs = [space.bind(space.vector(ids[f]), space.vector(levels[n])) for f, n in enumerate(index)]
    return space.bundle(pairs, weights=weights)


@models
@pytest.mark.parametrize("weights", [None, [3, -1, 0] + [2] * 197])
def test_a_record_is_a_bundle_of_pairs(model: str, weights: list[int] | None, simd: str) -> None:
    space = Space(model, 256)
    ids, levels = space.random_rows(200, "id"), space.level(7)
    index = numpy.random.default_rng(0).integers(0, 7, (3, 200))
    made = space.encode_record(ids, levels, index, weights=weights)
    for row, numbers in enumerate(index):
        assert close(space.vector(made[row]), naive_record(space, ids, levels, numbers, weights))
    assert close(space.encode_record(ids, levels, list(index[1]), weights=weights), space.vector(made[1]))
    assert (space.encode_record(ids, levels, index, weights=weights, workers=2) == made).all()
    out = numpy.empty_like(made)
    assert space.encode_record(ids, levels, index, weights=weights, out=out) is out
    assert (out == made).all()
    one = space.random("overwritten")
    assert space.encode_record(ids, levels, index[2], weights=weights, out=one) is one
    assert close(one, space.vector(made[2]))
    assert len(space.encode_record(ids, levels, index[:0])) == 0


@models
@pytest.mark.parametrize("n", [1, 3])
def test_sequences_and_ngrams(model: str, n: int, simd: str) -> None:
    space = Space(model, 256)
    items = space.random_rows(128, "item")
    text = "abracadabra, and much more of it " * 9
    rows = [space.vector(items[ord(c)]) for c in text]
    grams = []
    for i in range(len(rows) - n + 1):
        grams.append(space.multibind([space.rotate(rows[i + k], n - 1 - k) for k in range(n)]))
    gram = space.encode_ngrams(text, n, items=items)
    assert close(gram, space.bundle(grams))
    sequence = space.encode_sequence(text, items=items)
    assert close(sequence, space.bundle([space.permute(row, len(rows) - 1 - i) for i, row in enumerate(rows)]))
    several: list[Any] = [text, text.encode(), [ord(c) for c in text], numpy.array([ord(c) for c in text])]
    for made, one in (
        (space.encode_ngrams(several, n, items=items, workers=3), gram),
        (space.encode_sequence(several, items=items, workers=3), sequence),
    ):
        assert all(close(space.vector(row), one) for row in made)
    matrix = numpy.random.default_rng(1).integers(0, 128, (3, 20))
    assert close(
        space.vector(space.encode_ngrams(matrix, n, items=items)[2]), space.encode_ngrams(matrix[2], n, items=items)
    )
    out = space.random("overwritten")
    assert space.encode_sequence(text, items=items, out=out) is out
    assert close(out, sequence)


@models
def test_what_has_no_item_or_level_is_named(model: str) -> None:
    space = Space(model, 256)
    items = space.random_rows(5, "item")
    with pytest.raises(ValueError, match=r"record 1, feature 0 is 5; there are 5 levels, 0 to 4"):
        space.encode_record(items, items, [[0] * 5, [5] + [0] * 4])
    with pytest.raises(ShapeError, match="4 numbers a record where there are 5 features"):
        space.encode_record(items, items, [[0] * 4])
    with pytest.raises(ShapeError, match="whole numbers"):
        space.encode_record(items, items, [[0.5] * 5])
    with pytest.raises(ShapeError, match="shape"):
        space.encode_record(items, items, numpy.zeros((1, 1, 5), int))
    with pytest.raises(ValueError, match=r"sequences\[0\]: symbol 2 is -1; there are 5 items, 0 to 4"):
        space.encode_sequence([1, 2, -1], items=items)
    with pytest.raises(ValueError, match=r"sequences\[1\]: 1 symbols, where n-grams of 2 need at least 2"):
        space.encode_ngrams([[1, 2], [1]], 2, items=items)
    with pytest.raises((ShapeError, TypeError)):
        space.encode_sequence([numpy.zeros(3)], items=items)
    with pytest.raises(ValueError, match="workers"):
        space.encode_sequence([1, 2], items=items, workers=0)


@models
def test_sums_count_in_and_out(model: str, simd: str) -> None:
    space = Space(model, DIM)
    vectors = [space.random(i) for i in range(5)]
    counted = Sums(space)
    with pytest.raises(ValueError, match="nothing was added"):
        counted.threshold()
    counted.add(vectors)
    counted.add(vectors[0], 2)
    assert close(counted.threshold(), space.normalize(space.bundle(vectors, weights=[3, 1, 1, 1, 1])))
    assert counted.similarity(vectors[0]) > counted.similarity(vectors[1]) > 0.2
    counted.subtract(vectors[0], 2)
    other = Sums(space)
    other.add(vectors[::-1])
    assert counted == other


@pytest.mark.parametrize("model", COMPILED)
def test_results_may_be_borrowed_from_an_arena(model: str, simd: str) -> None:
    space = Space(model, DIM)
    a, b = space.random("a"), space.random("b")
    arena = HDCArena()
    for _ in range(3):
        made = [
            (space.random("a", arena=arena), a),
            (space.bind(a, b, arena=arena), space.bind(a, b)),
            (space.unbind(a, b, arena=arena), space.unbind(a, b)),
            (space.inverse(a, arena=arena), space.inverse(a)),
            (space.permute(a, 7, arena=arena), space.permute(a, 7)),
            (space.bundle(a, b, a, arena=arena), space.bundle(a, b, a)),
        ]
        assert all(x.borrowed and x == y for x, y in made)
        arena.reset()
    with pytest.raises(StaleArenaError):
        space.similarity(made[0][0], a)


@pytest.mark.parametrize("model", SPECTRAL)
def test_arrays_live_in_no_arena(model: str) -> None:
    space = Space(model, DIM)
    a = space.random("a")
    for call in (
        lambda arena: space.random("a", arena=arena), lambda arena: space.bind(a, a, arena=arena),
        lambda arena: space.unbind(a, a, arena=arena), lambda arena: space.inverse(a, arena=arena),
        lambda arena: space.permute(a, arena=arena), lambda arena: space.bundle(a, a, arena=arena),
    ):  # fmt: skip
        with pytest.raises(ShapeError, match="arena"):
            call(HDCArena())


@models
def test_results_go_where_out_says(model: str, simd: str) -> None:
    space = Space(model, DIM)
    a, b, c = (space.random(name) for name in "abc")
    for made, call in (
        (space.bundle(a, b, c), lambda out: space.bundle(a, b, c, out=out)),
        (space.multibind(a, b, c), lambda out: space.multibind(a, b, c, out=out)),
        (space.bind(a, b), lambda out: space.bind(a, b, out)),
        (space.unbind(a, b), lambda out: space.unbind(a, b, out)),
        (space.permute(a, -3), lambda out: space.permute(a, -3, out)),
    ):
        out = space.random("overwritten")
        assert call(out) is out
        assert close(out, made)


@pytest.mark.parametrize("model", SPECTRAL)
@pytest.mark.parametrize("size", [1e-25, 1e-18, 1.0, 1e12, 1e18])
def test_similarity_knows_no_size(model: str, size: float) -> None:
    space = Space(model, DIM)
    rows = space.random_rows(5, "row")
    found = space.similarity((rows * size).astype(rows.dtype), rows)
    assert numpy.allclose(numpy.diag(found), 1.0, atol=1e-5)
    assert numpy.allclose(found, space.similarity(rows, rows), atol=1e-5)
    rows[3, 7] = numpy.nan
    with pytest.raises(ValueError, match="b: row 3 has a component that is not finite"):
        space.similarity(space.random("a"), rows)


@models
@pytest.mark.parametrize("n", [1, 2, 10])
def test_a_product_of_rows_is_that_of_vectors(model: str, n: int, simd: str) -> None:
    space = Space(model, 1001)
    rows = space.random_rows(n, "row")
    vectors = [space.vector(row) for row in rows]
    product = space.multibind(vectors)
    out = space.random("overwritten")
    for made in (space.multibind(rows), space.multibind(*vectors), space.multibind(rows, out=out), out):
        if model == "hrr":
            assert space.similarity(made, product) == pytest.approx(1.0, abs=1e-4)
        else:
            assert close(made, product)
    with pytest.raises((ShapeError, TypeError)):
        space.multibind(Space(model, 2000).random_rows(3, "other"))


@pytest.mark.parametrize("model", SPECTRAL)
def test_a_sum_of_many_keeps_its_digits(model: str) -> None:
    space = Space(model, 64)
    rows = space.random_rows(5000, "row")
    exact = rows.astype(numpy.complex128).sum(axis=0)
    assert numpy.abs(space.bundle(rows) - exact).max() < 1e-5 * numpy.abs(exact).max()
