# Over 600 lines: what all estimators promise alike, over one data set and one list of them.
"""Estimators in scikit-learn's shape."""

from __future__ import annotations

import doctest
import importlib
import importlib.util
import pickle
import re
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import sparse
from sklearn.base import clone
from sklearn.datasets import load_diabetes, load_digits, make_friedman1
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import KFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import check_estimator

from sophia._core import hdc
from sophia.errors import InputError, StoreCorrupt
from sophia.hdc.learn import HDCAnomaly, HDCClassifier, HDCRegressor, HDCTextEncoder

DIM = 512
METHODS = ("refine", "centroid", "online", "adapt", "softmax", "ridge")
ENCODINGS = ("cosine", "sign", "record")
ESTIMATORS = [
    HDCClassifier(dim=DIM),
    HDCClassifier("record", dim=DIM, levels=300),
    HDCClassifier("sign", "centroid", dim=DIM),
    HDCClassifier(method="softmax", dim=DIM),
    HDCClassifier(method="ridge", dim=DIM),
    HDCClassifier(method="adapt", dim=DIM, bits=True, workers=2),
    HDCClassifier(method="online", dim=DIM),
    HDCRegressor(dim=2048),
    HDCRegressor("record", dim=2048),
    HDCRegressor(method="online", dim=2048),
    HDCAnomaly(dim=DIM),
    HDCAnomaly("record", dim=DIM, bits=True),
]


@pytest.mark.parametrize("name", ["", ".classifier", ".regressor", ".anomaly", ".text"])
def test_examples(name: str) -> None:
    results = doctest.testmod(importlib.import_module(f"sophia.hdc.learn{name}"))
    assert results.attempted > 1
    assert results.failed == 0


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=str)
def test_scikit_learn_finds_nothing_wrong(estimator: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the checks provoke those that they look for
        found = check_estimator(estimator, on_skip=None, on_fail=None)
    assert len(found) > 40
    wrong = {check["check_name"]: check["exception"] for check in found if check["status"] == "failed"}
    assert wrong == {}
    assert [check["check_name"] for check in found if check["status"] == "xfail"] == []


@pytest.fixture(scope="module")
def digits() -> tuple[Any, Any, Any, Any]:
    X, y = load_digits(return_X_y=True)
    return X[::2], y[::2], X[1::2], y[1::2]


# What each reaches on every other digit at dim 2,000, less some for what a change of seeds does.
@pytest.mark.parametrize(
    ("encoding", "method", "least"),
    [
        ("cosine", "refine", 0.95), ("cosine", "centroid", 0.90), ("cosine", "online", 0.93), ("cosine", "adapt", 0.93),
        ("cosine", "softmax", 0.94), ("cosine", "ridge", 0.94), ("sign", "refine", 0.91), ("record", "refine", 0.90),
    ],
)  # fmt: skip
@pytest.mark.parametrize("bits", [False, True])
def test_digits(digits: Any, encoding: str, method: str, least: float, bits: bool) -> None:
    X, y, Xt, yt = digits
    model = HDCClassifier(encoding, method, dim=2000, bits=bits, random_state=0)
    if bits and method == "ridge":
        with pytest.raises(ValueError, match=r"ridge.* needs components"):
            model.fit(X, y)
        return
    assert model.fit(X, y).score(Xt, yt) > least - 0.02 * bits


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("method", ["refine", "softmax", "ridge"])
def test_a_seed_gives_one_model(digits: Any, encoding: str, method: str, simd: str) -> None:
    X, y, Xt, _ = digits
    made = [
        HDCClassifier(encoding, method, dim=DIM, epochs=2, random_state=seed, workers=workers).fit(X[:150], y[:150])
        for seed, workers in ((3, 1), (3, 2), (4, 1))
    ]
    scores = [model.decision_function(Xt[:50]) for model in made]
    assert (scores[0] == scores[1]).all()
    assert not np.array_equal(scores[0], scores[2])


def test_every_level_learns_one_model(digits: Any) -> None:
    from sophia._core import cpu

    X, y, Xt, _ = digits
    before, found = cpu.simd_level(), set()
    try:
        for level in cpu.simd_levels():
            cpu.set_simd_level(level)
            for method in ("refine", "softmax"):
                model = HDCClassifier(method=method, dim=DIM, epochs=2, random_state=0).fit(X[:150], y[:150])
                found.add((method, model.decision_function(Xt[:50]).tobytes()))
    finally:
        cpu.set_simd_level(before)
    assert len(found) == 2


@pytest.mark.parametrize("method", METHODS)
def test_sparse_rows_are_dense_rows(digits: Any, method: str) -> None:
    X, y, Xt, _ = digits
    for encoding in ENCODINGS:
        dense = HDCClassifier(encoding, method, dim=DIM, epochs=1, random_state=0).fit(X[:200], y[:200])
        thin = clone(dense).fit(sparse.csr_matrix(X[:200]), y[:200])
        assert (thin.decision_function(sparse.csr_matrix(Xt)) == dense.decision_function(Xt)).all()


@pytest.mark.parametrize("method", [method for method in METHODS if method != "ridge"])
def test_learning_goes_on(digits: Any, method: str) -> None:
    X, y, Xt, yt = digits
    model = HDCClassifier(method=method, dim=2000, random_state=0)
    with pytest.raises(ValueError, match="classes: the first call"):
        clone(model).partial_fit(X[:10], y[:10])
    scores = []
    for at in range(0, 800, 200):
        model.partial_fit(X[at : at + 200], y[at : at + 200], classes=range(10))
        scores.append(model.score(Xt, yt))
    assert scores[-1] > 0.88
    with pytest.raises(ValueError, match="11 is none of the classes"):
        model.partial_fit(X[:2], [1, 11])
    with pytest.raises(ValueError, match="at the first call they were"):
        model.partial_fit(X[:2], y[:2], classes=[0, 1])


def test_ridge_does_not_go_on(digits: Any) -> None:
    X, y, _, _ = digits
    model = HDCClassifier(method="ridge", dim=DIM).fit(X[:50], y[:50])
    assert not hasattr(model, "partial_fit")
    assert not hasattr(model, "predict_proba")
    assert hasattr(HDCClassifier(method="softmax"), "predict_proba")
    assert not hasattr(HDCRegressor(), "partial_fit")


@pytest.mark.parametrize("taught", METHODS)
def test_a_method_that_was_set_since_goes_on_or_is_refused(digits: Any, tmp_path: Path, taught: str) -> None:
    X, y = digits[0][:150], digits[1][:150]
    prototypes = {"refine", "centroid", "online", "adapt"}
    for method in METHODS:
        model = HDCClassifier(method=taught, dim=DIM, random_state=0).fit(X[:100], y[:100])
        model.set_params(method=method)
        calls = [
            lambda model=model: model.predict(X),
            lambda model=model: model.predict_one(X[0]),
            lambda model=model: model.save(tmp_path / "m"),
        ]
        if method != "ridge":
            calls += [
                lambda model=model: model.partial_fit(X[100:], y[100:]),
                lambda model=model: model.learn_one(X[0], y[0]),
            ]
        for call in calls:
            if method == taught or {method, taught} <= prototypes:
                call()
                continue
            with pytest.raises(
                ValueError, match=f"^method is '{method}', and what was learned is by '{taught}', .* fit"
            ):
                call()
        assert model.fit(X, y).score(X, y) > 0.7


def test_single_rows() -> None:
    model = HDCClassifier("record", "refine", dim=2000, random_state=0)
    draw = np.random.default_rng(0)
    centres = {"a": [0.0, 0.0], "b": [5.0, 5.0], "c": [0.0, 5.0]}
    with pytest.raises(NotFittedError):
        model.predict_one([0, 0])
    for _ in range(30):
        for label, centre in centres.items():
            model.learn_one(draw.normal(centre, 0.5), label)
    assert model.classes_.tolist() == ["a", "b", "c"]
    assert [model.predict_one(centre) for centre in centres.values()] == ["a", "b", "c"]
    fresh = HDCClassifier(dim=DIM, random_state=0).learn_one([1.0, 2.0], "only")
    assert fresh.predict_one([1.0, 2.0]) == "only"
    number = HDCRegressor(method="online", dim=2000, random_state=0)
    for x in draw.uniform(-2, 2, 400):
        number.learn_one([x], x * x)
    assert abs(number.predict_one([1.0]) - 1.0) < 0.4
    usual = HDCAnomaly("record", dim=2000, random_state=0)
    for row in draw.normal(size=(100, 2)):
        usual.learn_one(row)
    assert usual.score_one([0.0, 0.0]) > usual.score_one([9.0, 9.0])
    assert [usual.predict_one(row) for row in ([0.0, 0.0], [9.0, 9.0])] == [1, -1]


def test_scores_and_odds(digits: Any) -> None:
    X, y, Xt, _ = digits
    model = HDCClassifier(method="softmax", dim=DIM, random_state=0).fit(X, y)
    odds = model.predict_proba(Xt)
    assert np.allclose(odds.sum(axis=1), 1.0)
    assert (model.classes_[odds.argmax(axis=1)] == model.predict(Xt)).all()
    two = HDCClassifier(dim=DIM, random_state=0).fit(X[y < 2], y[y < 2])
    assert two.decision_function(Xt).shape == (len(Xt),)
    assert (two.predict(Xt) == two.classes_[(two.decision_function(Xt) > 0).astype(int)]).all()


@pytest.mark.parametrize(
    "model",
    [
        HDCClassifier(method=method, encoding=encoding, dim=DIM, epochs=2, random_state=1)
        for method, encoding in (("refine", "cosine"), ("softmax", "record"), ("ridge", "sign"), ("centroid", "record"))
    ]
    + [
        HDCRegressor(dim=DIM, random_state=1),
        HDCRegressor("record", "online", dim=DIM, random_state=1),
        HDCAnomaly(dim=DIM, random_state=1),
    ],
    ids=str,
)
def test_a_file_gives_the_same_model(digits: Any, tmp_path: Path, model: Any) -> None:
    X, y, Xt, _ = digits
    with pytest.raises(NotFittedError):
        clone(model).save(tmp_path / "model")
    model = clone(model).fit(X[:200], y[:200])
    model.save(tmp_path / "model.hdc")
    again = type(model).load(tmp_path / "model.hdc")
    for one in (again, pickle.loads(pickle.dumps(model))):
        for ask in ("predict", "decision_function", "score_samples"):
            if hasattr(model, ask):
                assert np.array_equal(getattr(one, ask)(Xt), getattr(model, ask)(Xt))
    if hasattr(model, "partial_fit"):
        a, b = model.partial_fit(X[200:300], y[200:300]), again.partial_fit(X[200:300], y[200:300])
        assert np.array_equal(a.predict(Xt), b.predict(Xt))
    other = HDCAnomaly if isinstance(model, HDCClassifier) else HDCClassifier
    with pytest.raises(InputError, match=f"not {other.__name__}"):
        other.load(tmp_path / "model.hdc")


def test_labels_may_be_words(tmp_path: Path) -> None:
    X = np.array([[0.0, 0], [0, 1], [3, 3], [3, 4]])
    for labels in (["low", "low", "high", "high"], np.array(["low", "low", "high", "high"], object)):
        model = HDCClassifier(dim=DIM, random_state=0).fit(X, labels)
        model.save(tmp_path / "words.hdc")
        again = HDCClassifier.load(tmp_path / "words.hdc")
        assert again.predict(X).tolist() == list(labels)
        assert again.classes_.tolist() == ["high", "low"]


def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.hdc"
    HDCClassifier(dim=64, random_state=0).fit([[0.0], [1.0]], [0, 1]).save(path)
    whole = path.read_bytes()
    for at in range(0, len(whole), 97):
        path.write_bytes(whole[:at])
        with pytest.raises(StoreCorrupt, match=r"model\.hdc"):
            HDCClassifier.load(path)
    path.write_bytes(b"not a file of ours")
    with pytest.raises(StoreCorrupt, match="no model of sophia"):
        HDCClassifier.load(path)
    np.savez(tmp_path / "objects.npz", header=np.array([{"a": 1}], object))
    with pytest.raises(StoreCorrupt):
        HDCClassifier.load(tmp_path / "objects.npz")
    with pytest.raises(InputError, match="nothing' cannot be read"):
        HDCClassifier.load(tmp_path / "nothing")


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"encoding": "fourier"}, "encoding is 'fourier'; use one of cosine, sign, record"),
        ({"method": "lehdc"}, "method is 'lehdc'; use one of refine"),
        ({"dim": 10}, "dim is 10; it is a whole number from 64"),
        ({"dim": 1000.5}, "dim is 1000.5"),
        ({"bits": "yes"}, "bits is 'yes'"),
        ({"levels": 1}, "levels is 1"),
        ({"width": 0}, "width is 0"),
        ({"width": "wide"}, "width is 'wide'"),
        ({"width": 1e-40}, "width is 1e-40; it is a distance in deviations from 1e-06 to 1000000.0"),
        ({"width": 1e7}, "width is 10000000.0"),
        ({"epochs": 0}, "epochs is 0"),
        ({"rate": float("nan")}, "rate is nan"),
        ({"margin": -1}, "margin is -1"),
        ({"alpha": -1}, "alpha is -1"),
        ({"workers": 0}, "workers is 0"),
    ],
)
def test_a_parameter_that_is_none_is_named(given: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        HDCClassifier(**given).fit([[0.0], [1.0]], [0, 1])


def test_a_target_that_is_none_is_named() -> None:
    X = np.random.default_rng(0).normal(size=(10, 3))
    for method in ("ridge", "online"):
        for wrong in (None, float("nan"), float("inf"), -float("inf"), "one", [1.0, float("nan")]):
            plain = [*np.arange(7.0), wrong, *np.arange(2.0)]
            given: list[Any] = [plain] if not isinstance(wrong, list) else []
            given.append(np.array([*plain, 0], object)[:-1])
            if isinstance(wrong, float):
                given += [np.array(plain), np.array(plain, np.float32), np.array(plain)[:, None]]
            for y in given:
                model = HDCRegressor(method=method, dim=DIM)
                calls = [model.fit] if method == "ridge" else [model.fit, model.partial_fit]
                for call in calls:
                    with pytest.raises(ValueError, match=r"^y: row 7 is .*; targets are finite numbers"):
                        call(X, y)
    for wrong in (None, float("nan"), "one", 10**400, [1.0, 2.0], {}):
        with pytest.raises(ValueError, match=r"^y: .*; it is a finite number"):
            HDCRegressor(method="online", dim=DIM).learn_one(X[0], wrong)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="the target y is None"):
        HDCRegressor().fit(X, None)  # type: ignore[arg-type]


def test_rows_of_numbers_are_no_hypervectors() -> None:
    for columns in (1, 5, 63):
        X = np.ones((4, columns), np.int8)
        for model in (*(HDCClassifier(None, method) for method in METHODS), HDCRegressor(None), HDCAnomaly(None)):
            for rows in (X, X.astype(float), sparse.csr_matrix(X)):
                if sparse.issparse(rows) and getattr(model, "method", None) in ("refine", "online", "adapt", "ridge"):
                    continue  # which take none
                with pytest.raises(
                    ValueError, match=f"^X has {columns} columns; with encoding=None .* dimension, 64 to"
                ):
                    model.fit(rows, [0, 1, 0, 1])
    with pytest.raises(ValueError, match=r"^X has 1,048,577 columns; .* 64 to 1,048,576"):
        HDCClassifier(None, "centroid").fit(sparse.csr_matrix((2, (1 << 20) + 1)), [0, 1])


SINCE = [
    HDCClassifier(dim=DIM, random_state=0), HDCClassifier(method="softmax", dim=DIM, random_state=0),
    HDCRegressor(dim=DIM, random_state=0), HDCRegressor(method="online", dim=DIM, random_state=0),
    HDCAnomaly(dim=DIM, random_state=0),
]  # fmt: skip


def calls_of(model: Any, X: Any, tmp_path: Path) -> list[Any]:
    y = () if isinstance(model, HDCAnomaly) else (np.arange(len(X)) % 2,)
    made = [lambda: model.predict(X), lambda: model.predict_one(X[0])]
    if hasattr(model, "partial_fit"):
        made += [lambda: model.partial_fit(X, *y), lambda: model.learn_one(X[0], *(each[0] for each in y))]
    if isinstance(model, HDCAnomaly):
        made += [lambda: model.score_one(X[0]), lambda: model.score_samples(X)]
    return [*made, lambda: model.save(tmp_path / "model")]


@pytest.mark.parametrize("model", SINCE, ids=str)
def test_an_encoding_that_was_set_since_is_refused(model: Any, tmp_path: Path) -> None:
    X = np.random.default_rng(0).integers(-100, 100, (150, 128)).astype(float)
    y = np.arange(150) % 2
    for taught in ("cosine", "record", None):
        for n in (30, 150):
            made = clone(model).set_params(encoding=taught)
            learn = made.partial_fit if hasattr(made, "partial_fit") else made.fit
            learn(X[:n], y[:n], **({"classes": [0, 1]} if isinstance(made, HDCClassifier) else {}))
            for encoding in ("cosine", "sign", None):
                if encoding == taught:
                    continue
                made.set_params(encoding=encoding)
                words = (
                    f"^encoding is {encoding!r}, and what was learned is of rows by {taught!r}; set that again, or fit"
                )
                for call in calls_of(made, X, tmp_path):
                    with pytest.raises(ValueError, match=words):
                        call()
            made.set_params(encoding=taught)
            for call in calls_of(made, X, tmp_path):
                call()
            made.set_params(encoding="sign").fit(X, y).predict(X)
    if getattr(model, "method", "") != "ridge":
        made = clone(model).set_params(encoding=None).fit(X, y).set_params(bits=True)
        for call in calls_of(made, X, tmp_path):
            with pytest.raises(ValueError, match=r"^bits is True, and what was learned .* and bits=False; set that"):
                call()


@pytest.mark.parametrize("model", [*SINCE, HDCClassifier(method="ridge", dim=DIM)], ids=str)
def test_workers_that_were_set_since_are_named(model: Any, tmp_path: Path) -> None:
    X = np.random.default_rng(0).normal(size=(120, 3))
    for encoding in ("cosine", None):
        rows = X if encoding else np.rint(np.tile(X, (1, 30)))
        made = clone(model).set_params(encoding=encoding).fit(rows, np.arange(120) % 2)
        for workers in ("x", None, 0, 65, 1.5, True):
            made.set_params(workers=workers)
            for call in calls_of(made, rows, tmp_path):
                with pytest.raises(ValueError, match=f"^workers is {workers!r}; it is a whole number from 1 to 64"):
                    call()
        made.set_params(workers=np.int64(2)).predict(rows)
    for form in ("sparse", "int8", "bits"):
        with pytest.raises(ValueError, match=r"^workers is 'x'"):
            HDCTextEncoder(form).fit(TEXTS).set_params(workers="x").transform(TEXTS)


def test_numbers_that_are_extreme() -> None:
    """Constant, tiny and huge features, far outside of what was fitted."""
    X = np.array([[1e300, 5.0, 1e-300], [-1e300, 5.0, 2e-300], [1e299, 5.0, 0.0], [-1e299, 5.0, 1e-300]])
    for encoding in ENCODINGS:
        model = HDCClassifier(encoding, dim=DIM, random_state=0)
        assert model.fit(X[:2], [0, 1]).score(X[:2], [0, 1]) == 1.0
        assert len(model.fit(X, [0, 1, 0, 1]).predict(-X)) == 4
    model = HDCClassifier("record", dim=DIM, random_state=0).fit([[0.0], [1.0]], [0, 1])
    assert model.predict([[1e308], [-1e308]]).tolist() == [1, 0]


def test_regression() -> None:
    draw = np.random.default_rng(0)
    X = draw.uniform(-2, 2, (600, 3))
    y = np.sin(2 * X[:, 0]) + X[:, 1] * X[:, 2]
    for model, least in (
        (HDCRegressor(dim=4000, alpha=0.001, random_state=0), 0.97),
        (HDCRegressor(dim=4000, random_state=0), 0.94),
        (HDCRegressor(method="online", dim=4000, random_state=0), 0.93),
    ):
        assert model.fit(X[:400], y[:400]).score(X[400:], y[400:]) > least
        constant = clone(model).fit(X[:50], np.full(50, 3.0))
        assert np.allclose(constant.predict(X[400:]), 3.0, atol=1e-3)


@pytest.mark.parametrize(
    ("encoding", "data", "least"),
    [
        ("cosine", "diabetes", 0.37), ("record", "diabetes", 0.41), ("sign", "diabetes", 0.42),
        ("cosine", "friedman", 0.79), ("record", "friedman", 0.83), ("cosine", "sine", 0.9), ("record", "sine", 0.87),
        ("cosine", "plain sine", 0.99), ("record", "plain sine", 0.98),
    ],
)  # fmt: skip
def test_the_defaults_of_regression_are_better_than_the_mean(encoding: str, data: str, least: float) -> None:
    """What the table of the class says, less some for what a change of dim and seeds does."""
    X = np.linspace(0, 6, 200)[:, None]
    X, y = {
        "diabetes": lambda: load_diabetes(return_X_y=True),
        "friedman": lambda: make_friedman1(n_samples=500, noise=1, random_state=0),
        "sine": lambda: (X, np.sin(X[:, 0]) + 0.2 * np.random.default_rng(0).normal(size=200)),
        "plain sine": lambda: (X, np.sin(X[:, 0])),
    }[data]()
    model = HDCRegressor(encoding, dim=4000, random_state=1)
    assert cross_val_score(model, X, y, cv=KFold(5, shuffle=True, random_state=1)).mean() > least


def test_more_rows_than_the_closed_form_takes() -> None:
    with pytest.raises(ValueError, match="at most 20000: use method='online' or 'refine'"):
        HDCRegressor(dim=64).fit(np.zeros((20_001, 1)), np.zeros(20_001))


def test_anomalies() -> None:
    draw = np.random.default_rng(0)
    usual = np.concatenate([draw.normal(-3, 0.5, (300, 2)), draw.normal(3, 0.5, (300, 2))])
    model = HDCAnomaly(dim=4000, contamination=0.05, random_state=0).fit(usual)
    assert (model.predict(usual) == -1).mean() == pytest.approx(0.05, abs=0.01)
    assert model.predict([[-3, -3], [3, 3], [0, 0], [-3, 3], [30, 30]]).tolist() == [1, 1, -1, -1, -1]
    scores = model.score_samples(usual)
    assert model.offset_ == pytest.approx(np.percentile(scores, 5), abs=1e-12)
    # what is usual is where rows are dense
    centres = np.minimum(np.linalg.norm(usual + 3, axis=1), np.linalg.norm(usual - 3, axis=1))
    assert scores[centres < 0.3].min() > scores[centres > 1.2].max()


def test_the_share_of_anomalies(tmp_path: Path) -> None:
    X = np.random.default_rng(0).normal(size=(300, 2))
    usual = HDCAnomaly(dim=DIM, random_state=0).fit(X)
    auto = HDCAnomaly(dim=DIM, contamination="auto", random_state=0).fit(X)
    auto.save(tmp_path / "model")
    for model in (auto, HDCAnomaly.load(tmp_path / "model")):
        assert model.contamination == "auto"
        assert model.offset_ == usual.offset_
        assert np.array_equal(model.partial_fit(X[:50]).predict(X), clone(usual).fit(X).partial_fit(X[:50]).predict(X))
    for wrong in (-0.1, 0.6, "half", None, float("nan"), True, [0.1]):
        words = rf"^contamination is {re.escape(repr(wrong))}; it is a number, or 'auto', from 0 to 0\.5"
        with pytest.raises(ValueError, match=words):
            HDCAnomaly(dim=DIM, contamination=wrong).fit(X)  # type: ignore[arg-type]


TEXTS = [
    "where is the nearest station", "the train leaves at nine", "is there a train to the station",
    "ou est la gare la plus proche", "le train part a neuf heures", "y a t il un train pour la gare",
    "wo ist der naechste bahnhof", "der zug faehrt um neun uhr", "gibt es einen zug zum bahnhof",
] * 3  # fmt: skip
TONGUES = (["en"] * 3 + ["fr"] * 3 + ["de"] * 3) * 3


@pytest.mark.parametrize("form", ["sparse", "int8", "bits"])
def test_texts(form: str, tmp_path: Path) -> None:
    encoder = HDCTextEncoder(form, dim=2000, grams=(1, 3))
    with pytest.raises(NotFittedError):
        encoder.transform(TEXTS)
    vectors = encoder.fit_transform(TEXTS)
    assert vectors.shape == (27, 256 if form == "bits" else 2000)
    assert len(encoder.get_feature_names_out()) == vectors.shape[1]
    rows = vectors.toarray() if form == "sparse" else vectors
    one = encoder.transform([TEXTS[4]])
    assert np.array_equal((one.toarray() if form == "sparse" else one)[0], rows[4])
    encoder.save(tmp_path / "encoder")
    for again in (
        HDCTextEncoder.load(tmp_path / "encoder"),
        pickle.loads(pickle.dumps(encoder)),
        clone(encoder).fit(TEXTS),
    ):
        made = again.transform(TEXTS)
        assert np.array_equal(made.toarray() if form == "sparse" else made, rows)
    assert clone(encoder).get_params() == encoder.get_params()
    other = HDCTextEncoder(form, dim=2000, grams=(1, 3), random_state=7).fit(TEXTS).transform(TEXTS)
    assert not np.array_equal(other.toarray() if form == "sparse" else other, rows)


def test_ngrams_of_texts_are_those_of_the_core() -> None:
    from sophia._core.sequence import NgramEncoder

    encoder = HDCTextEncoder("bits", grams=(1, 3)).fit(TEXTS)
    assert (encoder.transform(TEXTS) == NgramEncoder(3, seed=encoder.seed_).encode_many(TEXTS)).all()
    assert hdc.similarity(encoder.transform(TEXTS[:1])[0], encoder.transform(TEXTS[1:2])[0]) > 0.03


def test_sparse_rows_have_norm_one_and_no_terms_are_lost() -> None:
    vectors = HDCTextEncoder(dim=10_000).fit(TEXTS).transform([*TEXTS, "", "!!"])
    norms = np.sqrt(vectors.multiply(vectors).sum(axis=1)).A1
    assert np.allclose(norms[:27], 1.0, atol=1e-9)
    assert (norms[27:] == 0).all()


@pytest.mark.parametrize(
    ("form", "method"), [("sparse", "softmax"), ("sparse", "centroid"), ("int8", "refine"), ("int8", "centroid")]
)
def test_texts_are_classified(form: str, method: str) -> None:
    model = make_pipeline(
        HDCTextEncoder(form, dim=4000, grams=(1, 3)), HDCClassifier(None, method, random_state=0)
    ).fit(TEXTS, TONGUES)
    assert model.predict(["the station is near", "la gare est proche", "der bahnhof ist nahe"]).tolist() == [
        "en", "fr", "de",
    ]  # fmt: skip
    if form == "sparse":
        with pytest.raises(ValueError, match="does not take; use 'centroid' or 'softmax'"):
            HDCClassifier(None, "refine").fit(HDCTextEncoder().fit_transform(TEXTS), TONGUES)


def test_texts_go_to_estimators_of_scikit_learn() -> None:
    model = make_pipeline(HDCTextEncoder(), LogisticRegression()).fit(TEXTS, TONGUES)
    assert model.score(TEXTS, TONGUES) == 1.0


@pytest.mark.parametrize(
    ("texts", "error", "words"),
    [
        ("one text", TypeError, "a single text; give a list"),
        ([1, 2], TypeError, "element 0 is a int"),
        (["a", None], TypeError, "element 1 is a NoneType"),
    ],
)
def test_what_is_no_text(texts: Any, error: type[Exception], words: str) -> None:
    for form in ("sparse", "int8"):
        with pytest.raises(error, match=words):
            HDCTextEncoder(form).fit(texts)
        with pytest.raises(error, match=words):
            HDCTextEncoder(form).fit(["text"]).transform(texts)


def test_a_table_is_no_list_of_texts() -> None:
    class Frame:
        """What tables of pandas and polars have in common: they are gone through by columns."""

        columns = ("text",)

        def __iter__(self) -> Any:
            return iter(self.columns)

    words = r'^X: a \w+ of rows and columns; give one column of texts, as df\["text"\]'
    tables = [Frame(), {"text": TEXTS}, np.array(TEXTS)[:, None], np.array(TEXTS, object)[None], np.array("one")]
    if importlib.util.find_spec("pandas"):
        pandas = importlib.import_module("pandas")
        tables.append(pandas.DataFrame({"text": TEXTS}))
        assert HDCTextEncoder().fit_transform(pandas.DataFrame({"text": TEXTS})["text"]).shape == (27, 10_000)
    for form in ("sparse", "int8", "bits"):
        for table in tables:
            for call in (HDCTextEncoder(form).fit, HDCTextEncoder(form).fit_transform,
                         HDCTextEncoder(form).fit(TEXTS).transform):  # fmt: skip
                with pytest.raises(TypeError, match=words):
                    call(table)
        assert HDCTextEncoder(form).fit_transform(np.array(TEXTS)).shape[0] == len(TEXTS)


def test_what_is_no_text_encoder(tmp_path: Path) -> None:
    for given, words in (
        ({"form": "dense"}, "form is 'dense'"),
        *(
            ({"grams": grams}, f"^grams is {re.escape(repr(grams))}; .* from 1 to 8$")
            for grams in ((0, 3), (3, 2), (1, 9), 4, None, "14", (1.9, 4), ("1", "4"), (1, 4, 5), (True, 4), {1, 4},
                          (float("nan"), 4), (1, 10**30), np.array([[1, 4]]), (1j, 4), {1: 1, 4: 4})
        ),
        *(
            ({"kinds": kinds}, f"^kinds is {re.escape(repr(kinds))}; .* from 0 to 16$")
            for kinds in ((1.0, 1.0), None, 1.0, ("a",) * 4, "1234", (1, 1, 1, -1), (1, 1, 1, 17), (True,) * 4,
                          (float("nan"),) * 4, (float("inf"),) * 4, (1, 1, 1, None), (1j,) * 4, {1, 2, 3, 4})
        ),
        *(
            ({"idf": idf}, f"^idf is {re.escape(repr(idf))}; it is one of 0, 0.25, 0.5, 0.75, 1$")
            for idf in ("x", "1", -1, 0.3, 2, None, float("nan"), True, (0.5,), 10**400, 0.5j)
        ),
        ({"dim": 3}, "dim is 3"),
    ):  # fmt: skip
        for form in ("sparse", "int8"):
            with pytest.raises(ValueError, match=words):
                HDCTextEncoder(**{"form": form} | given).fit(["text"])  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"sequences\[1\]: 2 symbols, where n-grams of 4 need at least 4"):
        HDCTextEncoder("bits").fit_transform(["long enough", "no"])
    path = tmp_path / "encoder"
    HDCTextEncoder().fit(["text"]).save(path)
    whole = path.read_bytes()
    for at in range(0, len(whole), 9973):
        path.write_bytes(whole[:at])
        with pytest.raises(StoreCorrupt, match="encoder"):
            HDCTextEncoder.load(path)
    HDCClassifier(dim=64, random_state=0).fit([[0.0], [1.0]], [0, 1]).save(tmp_path / "model")
    with pytest.raises(InputError, match=r"is a HDCClassifier, not HDCTextEncoder"):
        HDCTextEncoder.load(tmp_path / "model")


def test_rows_that_are_hypervectors() -> None:
    rows = np.random.default_rng(0).integers(-127, 128, (20, 300))
    labels = [0, 1] * 10
    model = HDCClassifier(None, "centroid", random_state=0).fit(rows, labels)
    assert model.score(rows, labels) == 1.0
    small = rows.astype(np.int8)
    assert (
        HDCClassifier(None, "centroid").fit(small, labels).decision_function(small) == model.decision_function(rows)
    ).all()
    fitted = [HDCRegressor(None).fit(rows, labels), HDCAnomaly(None).fit(rows)]
    for wrong, dtype in ((0.5, float), (128, float), (-128, float), (-128, np.int8), (-128, np.int64), (200, np.uint8)):
        bad = np.abs(rows).astype(dtype)
        bad[3, 7] = wrong
        for each in (model, *fitted):
            asked = each.score_samples if isinstance(each, HDCAnomaly) else each.predict
            with pytest.raises(ValueError, match=r"row 3, component 7 is .*whole numbers from -127 to 127"):
                asked(bad)
            with pytest.raises(ValueError, match="row 0, component 7 is"):
                each.predict_one(bad[3])
            with pytest.raises(ValueError, match="row 3, component 7 is"):
                clone(each).fit(bad, labels)


def test_without_scikit_learn_the_cure_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    for name in [name for name in sys.modules if name.startswith("sophia.hdc.learn")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "sklearn", None)
    with pytest.raises(ImportError, match=r"pip install 'sophia-hlb\[learn\]'"):
        importlib.import_module("sophia.hdc.learn")
