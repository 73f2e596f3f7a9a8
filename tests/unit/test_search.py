"""The k nearest rows: exact, in one order, through every kind of memory."""

from __future__ import annotations

import numpy as np
import pytest
from oracle import hdc as oracle

from sophia._core import hdc
from sophia._core.search import greatest_similarity
from sophia._core.vector import Hypervector
from sophia.errors import ShapeError

pa = pytest.importorskip("pyarrow")


def clusters(seed: int, centres: int, copies: int, noise: float = 0.15, dim: int = 10_000) -> np.ndarray:
    """Packed rows: `copies` noisy copies of each centre, shuffled."""
    rng = np.random.default_rng(seed)
    width = -(-dim // 512) * 64
    centre = rng.integers(0, 2, (centres, dim), dtype=np.uint8)
    rows = np.zeros((centres * copies, width), np.uint8)
    for i, c in enumerate(rng.permutation(np.repeat(np.arange(centres), copies))):
        bits = centre[c] ^ (rng.random(dim) < noise)
        rows[i, : -(-dim // 8)] = np.packbits(bits, bitorder="little")
    return rows


@pytest.mark.parametrize("dim", [64, 100, 512, 1024, 10_000])
@pytest.mark.parametrize("n", [1, 2, 7, 8, 9, 63, 64, 65, 200])
def test_topk_of_packed_rows(simd: str, n: int, dim: int) -> None:
    rows = hdc.random_rows(n, "r", dim=dim)
    queries = hdc.random_rows(6, "q", dim=dim)
    expected = np.array(
        [[hdc.hamming(hdc.random("q", q, dim=dim), hdc.random("r", i, dim=dim)) for i in range(n)] for q in range(6)]
    )
    assert (hdc.hamming(queries, rows, dim=dim) == expected).all()
    for k in (1, 3, 10, 300):
        distances, numbers = hdc.topk(queries, rows, k, dim=dim)
        for q in range(6):
            order = oracle.topk(expected[q].tolist(), k)
            assert numbers[q].tolist() == order
            assert distances[q].tolist() == expected[q][order].tolist()
            one = hdc.topk(hdc.random("q", q, dim=dim), rows, k)
            assert (one[0] == distances[q]).all()
            assert (one[1] == numbers[q]).all()
    assert distances.dtype == np.uint32
    assert numbers.dtype == np.int64


def test_equal_distances_come_in_row_order(simd: str) -> None:
    rows = np.repeat(hdc.random_rows(2, "r"), 50, axis=0)
    distances, numbers = hdc.topk(hdc.random("r", 1), rows, 60)
    assert numbers.tolist() == [*range(50, 100), *range(10)]
    assert distances[:50].tolist() == [0] * 50
    assert hdc.topk(hdc.random("r", 1), rows[::-1].copy(), 5)[1].tolist() == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("metric", ["cosine", "dot"])
@pytest.mark.parametrize("dim", [64, 100, 1000])
def test_topk_of_any_int8_rows(simd: str, dim: int, metric: str) -> None:
    rng = np.random.default_rng(dim)
    rows = rng.integers(-128, 128, (40, dim), dtype=np.int8)
    rows[3] = -128
    rows[4] = 0
    rows[6] = rows[5]
    queries = rng.integers(-128, 128, (5, dim), dtype=np.int8)
    wide = rows.astype(np.int64)
    for q in range(5):
        dots = wide @ queries[q].astype(np.int64)
        norms = (wide**2).sum(1) * (queries[q].astype(np.int64) ** 2).sum()
        scores = dots if metric == "dot" else np.divide(dots, np.sqrt(norms), where=norms > 0, out=np.zeros(40))
        order = oracle.topk((-scores).tolist(), 8)
        got, numbers = hdc.topk(queries[q], rows, 8, metric=metric)
        assert numbers.tolist() == order
        assert got.tolist() == scores[order].tolist()
        both = hdc.topk(queries, rows, 8, metric=metric)
        assert both[1][q].tolist() == order
        assert (hdc.dot(queries[q], rows) == dots).all()
    assert hdc.similarity(rows, rows)[5, 6] == 1.0


def test_rows_from_every_kind_of_memory(tmp_path) -> None:
    matrix = hdc.random_rows(20, "r")
    query = hdc.random("r", 7)
    expected = hdc.topk(query, matrix, 5)
    matrix.tofile(tmp_path / "rows")
    mapped = np.memmap(tmp_path / "rows", np.uint8, "r", shape=(20, 1280))
    arrow = pa.py_buffer(matrix.tobytes())
    shared = [hdc.random("r", i).freeze() for i in range(20)]
    for rows in (mapped, matrix.view(np.uint64), np.frombuffer(arrow, np.uint8).reshape(20, 1280), shared):
        got = hdc.topk(query, rows, 5)
        assert (got[0] == expected[0]).all()
        assert (got[1] == expected[1]).all()
    assert hdc.topk(query.freeze(), matrix, 5)[1].tolist() == expected[1].tolist()
    assert hdc.topk([query, query], matrix, 5)[1].shape == (2, 5)


def test_refusals() -> None:
    query, matrix = hdc.random("q"), hdc.random_rows(3, "r")
    for k in (0, -1, 65_537):
        with pytest.raises(ValueError, match=f"k: {k} is outside"):
            hdc.topk(query, matrix, k)
    with pytest.raises(ValueError, match="nothing to search in"):
        hdc.topk(query, matrix[:0])
    with pytest.raises(ValueError, match="no rows"):
        hdc.topk(matrix[:0], matrix)
    with pytest.raises(ValueError, match="'cosine' is not for BSC"):
        hdc.topk(query, matrix, metric="cosine")
    with pytest.raises(ValueError, match="'hamming' is not for int8"):
        hdc.topk(hdc.random("q", model="MAP"), hdc.random_rows(3, "r", model="MAP"), metric="hamming")
    with pytest.raises(ShapeError, match="C-contiguous"):
        hdc.topk(query, np.asfortranarray(matrix))


def test_sketch_is_the_first_128_bytes() -> None:
    matrix = hdc.random_rows(5, "r")
    column = hdc.sketch(matrix)
    assert (column == matrix[:, :128]).all()
    assert column.flags.c_contiguous
    out = np.empty((5, 128), np.uint8)
    assert hdc.sketch(matrix, out) is out
    with pytest.raises(ShapeError, match="has no sketch"):
        hdc.sketch(hdc.random_rows(5, "r", dim=1000), dim=1000)
    with pytest.raises(ShapeError, match="has no sketch"):
        hdc.sketch(hdc.random_rows(5, "r", model="MAP"))
    with pytest.raises(ShapeError, match=r"sketches: \[4, 128\] bytes where \[5, 128\]"):
        hdc.topk_sketch(hdc.random("q"), matrix, column[:4])


@pytest.mark.parametrize(("centres", "copies"), [(40, 100), (12, 1000)])
def test_sketch_recall(simd: str, centres: int, copies: int) -> None:
    rows = clusters(1, centres, copies)
    column = hdc.sketch(rows)
    rng = np.random.default_rng(2)
    found = total = most = 0
    for at in rng.choice(len(rows), 30, replace=False):
        bits = np.unpackbits(rows[at], bitorder="little")
        bits[:10_000] ^= rng.random(10_000) < 0.1
        query = Hypervector.from_buffer(np.packbits(bits, bitorder="little"))
        exact = hdc.topk(query, rows, 10)
        distances, numbers, compared = hdc.topk_sketch(query, rows, column, 10)
        found += len(set(exact[1].tolist()) & set(numbers.tolist()))
        total += 10
        most = max(most, compared)
        assert distances.tolist() == sorted(distances.tolist())
        assert distances.tolist() == hdc.hamming(query, rows[numbers]).tolist()
    assert found >= 0.99 * total
    assert most <= 1.5 * copies


def test_sketches_that_do_not_separate_give_the_exact_answer(simd: str) -> None:
    rows = hdc.random_rows(3000, "r")
    query = hdc.random("q")
    exact = hdc.topk(query, rows, 10)
    distances, numbers, compared = hdc.topk_sketch(query, rows, hdc.sketch(rows), 10)
    assert compared == 3000
    assert (distances == exact[0]).all()
    assert (numbers == exact[1]).all()


def test_sketch_of_few_rows_and_of_copies(simd: str) -> None:
    for n in (1, 3, 64, 65, 100):
        rows = np.repeat(hdc.random_rows(1, "r"), n, axis=0)
        distances, numbers, _ = hdc.topk_sketch(hdc.random("r"), rows, hdc.sketch(rows), 10)
        assert distances.tolist() == [0] * min(n, 10)
        assert numbers.tolist() == list(range(min(n, 10)))


def test_read_pass(simd: str) -> None:
    data = np.random.default_rng(0).integers(0, 2**63, 1003, dtype=np.uint64)
    assert hdc.read_pass(data) == int(np.bitwise_xor.reduce(data))


def test_what_is_farther_than_a_limit_need_not_be_found() -> None:
    rows, query = hdc.random_rows(3000, "m"), hdc.random("m", 7)
    near = np.array(rows)
    for number in range(40):  # rows that differ from the query in 0, 8, 16, ... bits, some 75 rows apart
        near[75 * number] = np.array(hdc.random_rows(8, "m"))[7]
        near[75 * number, :number] ^= 0xFF
    column = hdc.sketch(near)
    distances, numbers, compared = hdc.topk_sketch(query, near, column, 20)
    assert distances.tolist()[:3] == [0, 0, 8]
    for limit in (0, 8, 100, 152, 10_000, 1 << 70):
        limited, found, fewer = hdc.topk_sketch(query, near, column, 20, limit=limit)
        assert fewer <= compared or limit >= 152
        within = distances <= limit
        assert limited[: within.sum()].tolist() == distances[within].tolist()
        assert found[: within.sum()].tolist() == numbers[within].tolist()
    assert hdc.topk_sketch(query, near, column, 20, limit=-5)[0][0] == 0


@pytest.mark.parametrize("model", ["BSC", "MAP"])
@pytest.mark.parametrize("dim", [64, 100, 2048, 10_000])
def test_the_greatest_similarity(simd: str, model: str, dim: int) -> None:
    one, *others = (hdc.random("g", i, dim=dim, model=model) for i in range(20))
    assert greatest_similarity(one, []) == -1.0
    for count in (1, 2, 19):
        assert greatest_similarity(one, others[:count]) == max(hdc.similarity(one, other) for other in others[:count])
    assert greatest_similarity(one, [others[0], one]) == 1.0


def test_the_greatest_similarity_refuses_what_cannot_be_compared() -> None:
    one = hdc.random("g", dim=64)
    for other, error in (
        (hdc.random("g", dim=128), ShapeError),
        (hdc.random("g", dim=64, model="MAP"), ShapeError),
        (None, TypeError),
        (b"x" * 8, TypeError),
    ):
        with pytest.raises(error):
            greatest_similarity(one, [one, other])
    with pytest.raises(TypeError):
        greatest_similarity(None, [])  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        greatest_similarity(one, (one,))  # type: ignore[arg-type]
