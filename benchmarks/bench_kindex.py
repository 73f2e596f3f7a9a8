"""K-Vectors: one pair, a million against one, many against many, beside numpy, SciPy and NumKong."""

from __future__ import annotations

import importlib
import importlib.util

import numpy as np

from benchmarks.harness import Bar, Contender, Suite, Timing, ratio
from sophia._core import kindex
from sophia._core.kindex import KVector, centred, cosine, euclidean, similarities, top_k, weighted

ROWS = 1_000_000
NUMPY_PAIR = "dot(x, y) / (sqrt(dot(x, x)) * sqrt(dot(y, y)))"
NUMPY_ROWS = "rows @ x / (sqrt(einsum('ij,ij->i', rows, rows)) * sqrt(dot(x, x)))"
NUMPY_MATRIX = "few / norm(few, axis=1, keepdims=True) @ (few / norm(few, axis=1, keepdims=True)).T"


def _aligned(shape: tuple[int, ...]) -> np.ndarray:
    """An empty float64 array that begins at a cache line, as those of this package do."""
    size = int(np.prod(shape))
    raw = np.empty(size + 8)
    start = -raw.ctypes.data % 64 // 8
    return raw[start : start + size].reshape(shape)


def run() -> Suite:
    suite = Suite("kindex", ("numpy", "scipy", "numkong"))
    rng = np.random.default_rng(1)
    x, y, rows = rng.random(8), rng.random(8), _aligned((ROWS, 8))
    rng.random(out=rows)
    few = rows[:1000].copy()
    names: dict[str, object] = {
        "x": x,
        "y": y,
        "a": KVector.of(x),
        "b": KVector.of(y),
        "rows": rows,
        "few": few,
        "out": _aligned((ROWS,)),
        "table": np.empty((1000, 1000)),
        "read": kindex._read,
        "dot": np.dot,
        "sqrt": np.sqrt,
        "einsum": np.einsum,
        "norm": np.linalg.norm,
        "weights": [1.0, 2.0, 1.0, 0.5, 1.0, 1.0, 0.0, 1.0],
    }
    for function in (cosine, centred, weighted, euclidean, similarities, top_k):
        names[function.__name__] = function
    _pairs(suite, names)
    _one_to_many(suite, names)
    _many_to_many(suite, names)
    return suite


def _peers(suite: Suite, names: dict[str, object], code: dict[str, str], expected: np.ndarray) -> dict[str, Contender]:
    """The peers that are installed, each seen to give our result; all but numpy give distances."""
    peers = {"numpy": Contender(code["numpy"], names)}
    for peer, module in (("scipy", "scipy.spatial.distance"), ("numkong", "numkong")):
        if importlib.util.find_spec(peer) is None:
            suite.skip(peer, "not installed")
            continue
        names[peer] = importlib.import_module(module)
        peers[peer] = Contender(code[peer], names)
    for peer, contender in peers.items():
        result = np.asarray(eval(contender.statement, dict(names)), dtype=np.float64)
        likeness = result if peer == "numpy" else 1.0 - result
        if not np.allclose(likeness, expected, rtol=0, atol=1e-9):
            raise AssertionError(f"{peer} and sophia differ in: {contender.statement}")
    return peers


def _pairs(suite: Suite, names: dict[str, object]) -> None:
    code = {"numpy": NUMPY_PAIR, "scipy": "scipy.cosine(x, y)", "numkong": "numkong.angular(x, y)"}
    peers = _peers(suite, names, code, np.float64(cosine(names["a"], names["b"])))

    def bars(timings: dict[str, Timing]) -> list[Bar]:
        ours = timings["sophia"]
        return [
            Bar("cosine of two K-Vectors, ns", ours.median, "<=", 100.0),
            Bar("times numpy", ratio(timings["numpy"], ours), ">=", 20.0),
        ]

    suite.compare("cosine of a pair", {"sophia": Contender("cosine(a, b)", names), **peers}, bars=bars)
    suite.compare(
        "other measures of a pair",
        {
            "sophia": Contender("euclidean(a, b)", names),
            "centred": Contender("centred(a, b)", names),
            "weighted": Contender("weighted(a, b, weights)", names),
        },
        note="euclidean first; all are ours",
    )


def _one_to_many(suite: Suite, names: dict[str, object]) -> None:
    code = {
        "numpy": NUMPY_ROWS,
        "scipy": "scipy.cdist(x[None], rows, 'cosine')[0]",
        "numkong": "numkong.cdist(x[None], rows, metric='angular')",
    }
    expected = similarities(names["a"], names["rows"])
    peers = _peers(suite, names, code, expected)

    def bars(timings: dict[str, Timing]) -> list[Bar]:
        passes = ratio(timings["sophia"], timings["read pass"])
        return [Bar("1M x 8 against one, times a read pass of the buffer", passes, "<=", 1.3)]

    # the two that the bar compares stand side by side, many times: memory speed drifts on a shared machine
    suite.compare(
        "1M x 8 against one",
        {
            "sophia": Contender("similarities(a, rows, out=out)", names),
            "read pass": Contender("read(rows)", names),
        },
        unit="ms",
        bars=bars,
        repeats=61,
        target_ms=2.0,
    )
    suite.compare(
        "1M x 8 against one, beside the peers",
        {"sophia": Contender("similarities(a, rows, out=out)", names), **peers},
        unit="ms",
        repeats=5,
    )
    suite.compare(
        "1M x 8 against one, top 10",
        {
            "sophia": Contender("top_k(a, rows, 10)", names),
            "centred": Contender("top_k(a, rows, 10, 'centred')", names),
            "euclidean": Contender("top_k(a, rows, 10, 'euclidean')", names),
        },
        unit="ms",
        note="cosine first; all are ours",
    )


def _many_to_many(suite: Suite, names: dict[str, object]) -> None:
    code = {
        "numpy": NUMPY_MATRIX,
        "scipy": "scipy.cdist(few, few, 'cosine')",
        "numkong": "numkong.cdist(few, few, metric='angular')",
    }
    peers = _peers(suite, names, code, similarities(names["few"], names["few"]))
    suite.compare(
        "1,000 x 1,000",
        {"sophia": Contender("similarities(few, few, out=table)", names), **peers},
        unit="ms",
        repeats=7,
        note="CPU time of all threads; numpy's matrix product may use several",
    )
