"""Estimators over numbers of any magnitude, many rows and many features."""

from __future__ import annotations

import linecache
import tracemalloc
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import sparse
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.pipeline import make_pipeline

from sophia.hdc.learn import HDCAnomaly, HDCClassifier, HDCRegressor
from sophia.hdc.learn import encoding as encoding_module
from sophia.hdc.learn.encoding import _SAMPLE, _places, fitted
from sophia.hdc.learn.ridge import solve

DIM = 512
ENCODINGS = ("cosine", "sign", "record")


@pytest.fixture(scope="module")
def digits() -> tuple[Any, Any]:
    X, y = load_digits(return_X_y=True)
    return X[:300], y[:300]


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("power", [-1060, -1000, -600, -40, 40, 600, 1000, 1019])
def test_a_power_of_two_changes_nothing(digits: Any, encoding: str, power: int) -> None:
    X, y = digits
    varied = X[:, X[:200].std(axis=0) > 0]
    model = HDCClassifier(encoding, dim=DIM, epochs=2, random_state=0)
    scores = model.fit(varied[:200], y[:200]).decision_function(varied)
    scaled = np.ldexp(varied, power)
    assert np.isfinite(scaled).all()
    assert np.array_equal(model.fit(scaled[:200], y[:200]).decision_function(scaled), scores)


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("factor", [1e-300, 1e-160, 1e-13, 1e155, 1e306])
def test_magnitude_costs_no_accuracy(digits: Any, encoding: str, factor: float) -> None:
    X, y = digits
    model = HDCClassifier(encoding, dim=2000, random_state=0)
    least = model.fit(X[:200], y[:200]).score(X[200:], y[200:])
    assert least > 0.8
    assert model.fit(X[:200] * factor, y[:200]).score(X[200:] * factor, y[200:]) > least - 0.03


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_ranges_that_are_as_wide_as_numbers_go(encoding: str) -> None:
    draw = np.random.default_rng(0)
    X = draw.uniform(-1, 1, (200, 2))
    y = (X[:, 0] > 0).astype(int)
    huge = X * [1.7e308, 1e-310]
    model = HDCClassifier(encoding, dim=2000, random_state=0).fit(huge[:100], y[:100])
    assert model.score(huge[100:], y[100:]) > 0.85
    assert model.predict([[1.7e308, 1e308], [-1.7e308, -1e308]]).tolist() == [1, 0]


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_constant_feature_stays_as_it_is(encoding: str) -> None:
    for constant in (0.0, 5.0, 0.1, 1e-300, 1e300):
        X = np.column_stack([np.linspace(-1, 1, 50), np.full(50, constant) * (1 + 1e-15 * np.arange(50) % 3)])
        model = HDCClassifier(encoding, dim=2000, random_state=0).fit(X, X[:, 0] > 0)
        assert model.score(X, X[:, 0] > 0) == 1.0


def test_what_is_far_off_is_unusual() -> None:
    X = np.random.default_rng(0).normal(size=(300, 2))
    model = HDCAnomaly(dim=2000, random_state=0).fit(X)
    far = [[v, -v] for v in (1e3, 1e39, 1e300, 1.7e308)]
    assert model.predict(far).tolist() == [-1] * 4
    assert np.isfinite(model.score_samples(far)).all()


@pytest.mark.parametrize("width", [1e-6, 1e-3, 1.0])
def test_a_narrow_width_still_knows_what_was_seen(digits: Any, width: float) -> None:
    X, y = digits
    assert HDCClassifier(dim=2000, width=width, random_state=0).fit(X, y).score(X, y) == 1.0


def test_more_rows_than_there_are_random_words() -> None:
    X = np.random.default_rng(0).normal(size=(150_000, 2))
    model = HDCClassifier(method="centroid", dim=64, random_state=0).fit(X, X[:, 0] > 0)
    assert model.score(X[:1000], X[:1000, 0] > 0) > 0.8


def test_the_sample_of_rows() -> None:
    assert _places(_SAMPLE, 0) == slice(None)
    for n in (_SAMPLE + 1, 5000, 1 << 17, (1 << 17) + 1, 1_000_000, 1 << 40):
        places = _places(n, 3)
        assert len(places) == _SAMPLE
        assert (np.diff(places) > 0).all()
        assert 0 <= places[0] < n * 0.05 + 2
        assert n * 0.95 - 2 < places[-1] < n
        assert np.array_equal(places, _places(n, 3))
        if n > 5000:
            assert not np.array_equal(places, _places(n, 4))


def test_sparse_rows_stay_sparse() -> None:
    """Wide sparse rows take the memory of a sample of them, not that of all."""
    X = sparse.random(4000, 10_000, 1e-4, format="csr", random_state=np.random.RandomState(0))
    tracemalloc.start()
    fitted("cosine", X, dim=64, seed=0, levels=2, width=1.0, reach=3.0)
    _, fit = tracemalloc.get_traced_memory()
    tracemalloc.reset_peak()
    HDCClassifier("sign", "centroid", dim=64, random_state=0).fit(X, np.arange(4000) % 2)
    _, whole = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert fit < 50e6  # as a whole they are 320 MB
    assert whole < 80e6


@pytest.mark.parametrize("order", ["C", "F"])
def test_storage_changes_no_encoding(order: Any) -> None:
    X = sparse.random(3000, 700, 0.05, format="csr", random_state=np.random.RandomState(0))
    kinds = [fitted("cosine", x, dim=64, seed=0, levels=2, width="auto", reach=3.0).state()
             for x in (X, np.asarray(X.toarray(), order=order))]  # fmt: skip
    assert all(np.array_equal(kinds[0][name], kinds[1][name]) for name in kinds[0])


def test_no_shrinkage_is_the_fit_through_all_targets() -> None:
    draw = np.random.default_rng(0)
    rows = draw.integers(-127, 128, (60, 300), dtype=np.int8)
    targets = draw.normal(size=(60, 2))
    weights, intercepts = solve(rows, targets, 0.0)
    assert np.allclose(rows.astype(float) @ weights.T + intercepts, targets, atol=1e-5)
    twice = np.concatenate([rows, rows])
    weights, intercepts = solve(twice, np.concatenate([targets, -targets]), 0.0)
    assert np.allclose(rows.astype(float) @ weights.T + intercepts, 0.0, atol=1e-5)
    X = draw.normal(size=(50, 2))
    for y in (X[:, 0], np.zeros(50)):
        model = HDCRegressor(dim=DIM, alpha=0, random_state=0).fit(X, y)
        assert np.allclose(model.predict(X), y, atol=1e-4)
    for labels in (X[:, 0] > 0, np.arange(50) % 3, draw.permutation(50) % 5):
        readout = HDCClassifier(method="ridge", dim=DIM, alpha=0, random_state=0).fit(X, labels)
        assert np.array_equal(readout.predict(X), labels)
        wanted = np.where(labels[:, None] == readout.classes_, 1.0, -1.0)
        wanted = wanted[:, 1] - wanted[:, 0] if wanted.shape[1] == 2 else wanted
        assert np.allclose(readout.decision_function(X), wanted, atol=1e-3)
    assert HDCRegressor(dim=DIM, alpha=0).fit(np.ones((5, 2)), np.arange(5)).predict(np.ones((1, 2))) == [2.0]


@pytest.mark.parametrize("method", ["ridge", "online"])
@pytest.mark.parametrize("power", [-1060, -1000, -140, -20, 20, 130, 140, 1000, 1021])
def test_targets_of_any_magnitude(method: str, power: int) -> None:
    draw = np.random.default_rng(0)
    X = draw.uniform(-1, 1, (120, 2))
    y = np.rint(2**20 * (X[:, 0] + 1)) / 2**20
    model = HDCRegressor(method=method, dim=DIM, epochs=5, random_state=0)
    found = model.fit(X, y).predict(X)
    again = model.fit(X, np.ldexp(y, power)).predict(X)
    if power > -1000:  # below, digits are lost
        assert np.allclose(np.ldexp(again, -power), found, rtol=1e-5, atol=1e-5)
    assert np.abs(np.ldexp(again, -power) - y).mean() < np.abs(found - y).mean() + 0.05
    assert np.isfinite(model.fit(X, np.where(X[:, 0] > 0, 1.7e308, -1.7e308)).predict(X)).all()


@pytest.mark.parametrize("method", ["ridge", "online"])
@pytest.mark.parametrize("dim", [128, DIM])
def test_predictions_are_finite(method: str, dim: int, tmp_path: Path) -> None:
    """Also where weights and intercept are each beyond what a float64 holds."""
    draw = np.random.default_rng(0)
    X, y = draw.normal(size=(150, 5)), draw.uniform(-1, 1, 150)
    for most in (5e307, 1.7e308, float(np.finfo(float).max)):
        for targets in (y * most, np.abs(y) * most, np.full(150, most), np.where(y > 0, most, -most)):
            model = HDCRegressor(method=method, dim=dim, alpha=0, epochs=3, random_state=0).fit(X, targets)
            assert np.isfinite(model.intercept_).all()
            asked = np.concatenate([X, X[:50] * 3, X[:50] * 1e300])
            found = model.predict(asked)
            assert np.isfinite(found).all()
            half = clone(model).fit(X, targets / 2**20).predict(asked)
            assert np.allclose(np.clip(half, *np.array([-most, most]) / 2**20) * 2**20 / most,
                               np.clip(found, -most, most) / most, atol=1e-6)  # fmt: skip
            model.save(tmp_path / "model")
            assert np.array_equal(HDCRegressor.load(tmp_path / "model").predict(asked), found)
            assert np.isfinite([model.predict_one(row) for row in asked[148:152]]).all()


def test_targets_that_grow() -> None:
    X = np.random.default_rng(0).uniform(-1, 1, (200, 2))
    model = HDCRegressor(method="online", dim=DIM, random_state=0).partial_fit(X, X[:, 0])
    for power in (30, 200, 1000):
        for _ in range(10):
            model.partial_fit(X, np.ldexp(X[:, 0], power))
        assert np.isfinite(model.weights_).all()
        assert np.corrcoef(np.ldexp(model.predict(X), -power), X[:, 0])[0, 1] > 0.9
    for _ in range(10):
        model.learn_one(X[0], 1.0)
    assert np.isfinite(model.predict_one(X[0]))


LARGE = {"dim": 10_000, "seed": 0, "levels": 100, "width": 1.0, "reach": 4.0}


@pytest.mark.parametrize(("encoding", "features"), [("cosine", 10_000), ("sign", 10_000), ("record", 300_000)])
def test_many_features_are_spoken_of(encoding: str, features: int) -> None:
    few, many = sparse.csr_matrix((2, 100)), sparse.csr_matrix((2, features))
    fitted(encoding, few, **LARGE)
    with pytest.warns(UserWarning, match=rf"^X has {features:,} features, .* encoding=None takes rows that are hyper"):
        fitted(encoding, many, **LARGE)


def test_many_levels_are_spoken_of() -> None:
    X = sparse.csr_matrix((2, 3))
    rest = LARGE | {"dim": 1 << 16, "levels": 1 << 16}
    with pytest.warns(UserWarning, match=r"^levels is 65,536, of which .* 0\.5 GB of .* dim=65,536; take fewer levels"):
        fitted("record", X, **rest)
    for encoding in ("cosine", "sign"):
        fitted(encoding, X, **rest)  # has none
    for model in (HDCClassifier("record"), HDCRegressor("record"), HDCAnomaly("record")):
        model.set_params(dim=1 << 20, levels=1 << 16)
        with pytest.raises(ValueError, match=r"^levels is 65,536, of which encoding='record' makes 8\.6 GB"):
            model.fit([[0.0], [1.0]], [0, 1])


@pytest.mark.parametrize("model", [HDCClassifier(), HDCRegressor(method="online"), HDCAnomaly()], ids=str)
def test_it_is_said_once_and_where_one_called(model: Any) -> None:
    X = np.random.default_rng(0).normal(size=(130, 3))
    more = {"classes": [0, 1]} if isinstance(model, HDCClassifier) else {}
    model = clone(model).set_params(encoding="record", dim=1 << 10, levels=1 << 9)
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        patch.setattr(encoding_module, "_LARGE", 1 << 10)
        model.partial_fit(X[:3], np.arange(3) % 2, **more)  # the line
        for at in range(3, 130):
            model.partial_fit(X[at : at + 1], [at % 2])
        assert [each.filename for each in found] == [__file__]
        assert "# the line" in linecache.getline(__file__, found[0].lineno)
        model.fit(X, np.arange(130) % 2)
        clone(model).learn_one(X[0], *([] if isinstance(model, HDCAnomaly) else [0]))
        make_pipeline(clone(model)).fit(X, np.arange(130) % 2)
        assert len(found) == 4
        assert [each.filename for each in found[:3]] == [__file__] * 3
        assert "sklearn" in found[3].filename  # who called it


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_so_many_features_are_refused(encoding: str) -> None:
    rows = sparse.csr_matrix((np.ones(4), ([0, 1, 2, 3], [0, 1, 2, 3])), shape=(4, 1 << 22))
    model = HDCClassifier(encoding)
    with pytest.raises(ValueError, match=r"^X has 4,194,304 features, of which .* at dim=10,000; encoding=None"):
        model.fit(rows, [0, 1, 0, 1])
    assert "encoding_" not in vars(model)
