"""Estimators that learn row by row, and what a call that fails leaves behind."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import sparse
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.exceptions import NotFittedError
from sklearn.metrics import r2_score

from sophia.hdc.learn import HDCAnomaly, HDCClassifier, HDCRegressor, classifier
from sophia.hdc.learn.base import FIRST

DIM = 512
GO_ON = ("refine", "centroid", "online", "adapt", "softmax")


@pytest.fixture(scope="module")
def digits() -> tuple[Any, Any, Any, Any]:
    X, y = load_digits(return_X_y=True)
    order = np.random.RandomState(0).permutation(len(X))
    return X[order[:700]], y[order[:700]], X[order[700:]], y[order[700:]]


def state(model: Any) -> dict[str, Any]:
    """What there is to be changed, copied."""
    if not hasattr(model, "encoding_"):
        return {name: repr(value) for name, value in vars(model).items()}
    made = model.__getstate__()
    kept = {name: value for name, value in made.items() if not name.startswith("_offset")}
    return {name: pickle.dumps(value) for name, value in kept.items() if name not in ("_weights", "_readout")} | {
        "weights_": model.weights_.tobytes()
    }


@pytest.mark.parametrize("method", GO_ON)
def test_single_rows_from_nothing(digits: Any, method: str) -> None:
    """No warm-up by hand: the first rows are held back until there are enough of them to say what is usual."""
    X, y, Xt, yt = digits
    model = HDCClassifier(method=method, dim=2000, random_state=0)
    for at in range(600):
        model.learn_one(X[at], y[at])
        if at + 1 == FIRST:
            assert model.score(Xt, yt) > 0.80
    assert model.score(Xt, yt) > 0.88


@pytest.mark.parametrize("method", GO_ON)
@pytest.mark.parametrize("encoding", ["cosine", "record"])
def test_single_rows_are_those_rows_at_once(digits: Any, method: str, encoding: str) -> None:
    X, y, Xt, _ = digits
    one = HDCClassifier(encoding, method, dim=DIM, random_state=0)
    for row, label in zip(X[:FIRST], y[:FIRST], strict=True):
        one.learn_one(row, label)
    parts = clone(one)
    for at in range(0, FIRST, 7):
        parts.partial_fit(X[at : min(at + 7, FIRST)], y[at : min(at + 7, FIRST)], classes=range(10))
    thin = clone(one)
    for at in range(0, FIRST, 13):
        part = sparse.csr_matrix(X[at : min(at + 13, FIRST)])
        thin.partial_fit(part, y[at : min(at + 13, FIRST)], classes=range(10))
    whole = clone(one).partial_fit(X[:FIRST], y[:FIRST], classes=range(10))
    for other in (one, parts, thin):
        assert np.array_equal(other.decision_function(Xt), whole.decision_function(Xt))


@pytest.mark.parametrize("n", [1, 2, 37, FIRST - 1, FIRST, FIRST + 20])
@pytest.mark.parametrize(
    "model",
    [HDCClassifier(dim=DIM, random_state=0), HDCClassifier("record", "softmax", dim=DIM, random_state=0),
     HDCRegressor(method="online", dim=DIM, random_state=0), HDCAnomaly(dim=DIM, random_state=0)], ids=str,
)  # fmt: skip
def test_a_stream_is_saved_in_the_middle(digits: Any, tmp_path: Path, model: Any, n: int) -> None:
    X, y, Xt, _ = digits
    model = clone(model)
    given = (lambda at: (X[at],)) if isinstance(model, HDCAnomaly) else (lambda at: (X[at], y[at]))
    for at in range(n):
        model.learn_one(*given(at))
    model.save(tmp_path / "model")
    made = [type(model).load(tmp_path / "model"), pickle.loads(pickle.dumps(model)), copy.copy(model), model]
    ask = "score_samples" if isinstance(model, HDCAnomaly) else "predict"
    for at in range(n, n + FIRST):
        for each in made:
            each.learn_one(*given(at))
    for each in made:
        assert np.array_equal(getattr(each, ask)(Xt), getattr(model, ask)(Xt))
        assert each.predict_one(Xt[3]) == model.predict(Xt[3:4])[0]
        assert np.array_equal(each.weights_, model.weights_)
        if isinstance(model, HDCAnomaly):
            assert each.offset_ == model.offset_


def test_first_rows_are_bounded(digits: Any) -> None:
    X, y, _, _ = digits
    model = HDCClassifier(dim=DIM, random_state=0)
    for at in range(FIRST - 1):
        model.learn_one(X[at], y[at])
    assert len(model._held[1]) == FIRST - 1  # type: ignore[index]
    model.learn_one(X[FIRST], y[FIRST])
    assert model._held is None
    kept = model.encoding_
    model.learn_one(X[FIRST + 1], y[FIRST + 1]).partial_fit(X[:300], y[:300])
    assert model.encoding_ is kept
    for fitted in (model.fit(X[:5], y[:5]), model.learn_one(X[7], 77)):
        assert fitted._held is None  # what `fit` fixed stays


def test_the_array_of_first_rows_may_be_used_again(digits: Any) -> None:
    X, y, Xt, _ = digits
    models = [HDCClassifier(dim=DIM, random_state=0) for _ in range(2)]
    room, names = np.empty((10, 64)), np.empty(10, int)
    for at in range(0, FIRST, 10):
        room[:], names[:] = X[at : at + 10], y[at : at + 10]
        models[0].partial_fit(room, names, classes=range(10))
        models[1].partial_fit(X[at : at + 10], y[at : at + 10], classes=range(10))
    assert np.array_equal(models[0].decision_function(Xt), models[1].decision_function(Xt))


def test_a_stream_of_numbers(digits: Any) -> None:
    draw = np.random.default_rng(0)
    X = draw.uniform(-2, 2, (500, 1))
    for factor in (1.0, 1e39, 1e-42, 1e300):
        model = HDCRegressor(method="online", dim=2000, random_state=0)
        for x in X:
            model.learn_one(x, x[0] ** 2 * factor)
        assert abs(model.predict_one([1.0]) / factor - 1.0) < 0.4
        # in units of the factor: squares of the largest numbers are none
        assert r2_score(X[:, 0] ** 2, model.predict(X) / factor) > 0.9


def test_an_online_stream_places_its_offset() -> None:
    draw = np.random.default_rng(0)
    model = HDCAnomaly(dim=2000, random_state=0)
    with pytest.raises(NotFittedError):
        model.predict_one([0.0, 0.0])
    with pytest.raises(AttributeError, match="nothing was learned"):
        model.offset_  # noqa: B018
    for n, row in enumerate(draw.normal(size=(400, 2)), 1):
        model.learn_one(row)
        assert np.isfinite(model.offset_)
        if n in (FIRST, 400):
            fresh = draw.normal(size=(1000, 2))
            assert 0.02 < (model.predict(fresh) == -1).mean() < 0.25
            assert [model.predict_one(row) for row in ([0.0, 0.0], [9.0, 9.0])] == [1, -1]
    batches = HDCAnomaly(dim=2000, random_state=0)
    for _ in range(40):  # never 20 rows at a time
        batches.partial_fit(draw.normal(size=(10, 2)))
    assert 0.02 < (batches.predict(fresh) == -1).mean() < 0.25


def test_the_offset_follows_the_latest_scores() -> None:
    draw = np.random.default_rng(0)
    model = HDCAnomaly(dim=1000, random_state=0).fit(draw.normal(size=(2000, 2)))
    assert len(model._recent) == 1000  # type: ignore[arg-type]
    before = model.offset_
    for row in draw.normal(5, 0.1, size=(1500, 2)):
        model.learn_one(row)
    assert len(model._recent) == 1000  # type: ignore[arg-type]
    assert model.offset_ > before + 0.05  # what comes now is alike
    assert model.offset_ == pytest.approx(np.percentile(model._recent, 10))


FAULTS = [
    ([np.nan, *[0.0] * 63], 1, "NaN"),
    ([np.inf, *[0.0] * 63], 1, "infinity"),
    ([0.0] * 63, 1, "63 features"),
    ([0.0] * 64, "one", "unlike the classes"),
    ([0.0] * 64, 1.5, "no label"),
    ([0.0] * 64, float("nan"), "no label"),
    ([0.0] * 64, None, "no label"),
    ([0.0] * 64, [1, 2], "no label"),
    ([0.0] * 64, b"one", "no label"),
    ([1j] * 64, 1, "[Cc]omplex"),
]


@pytest.mark.parametrize("method", GO_ON)
@pytest.mark.parametrize("n", [0, 10, FIRST + 10])
def test_a_row_that_is_refused_changes_nothing(digits: Any, method: str, n: int) -> None:
    X, y, _, _ = digits
    model = HDCClassifier(method=method, dim=DIM, random_state=0)
    for at in range(n):
        model.learn_one(X[at], y[at])
    before = state(model)
    for row, label, words in FAULTS[:2] + FAULTS[3:] if n == 0 else FAULTS:
        if n == 0 and label == "one":
            continue  # names the first class
        with pytest.raises(ValueError, match=words):
            model.learn_one(row, label)
        assert state(model) == before
    words = HDCClassifier(method=method, dim=DIM, random_state=0).learn_one([0.0], "a")
    with pytest.raises(ValueError, match="unlike the classes"):
        words.learn_one([0.0], 3)
    assert words.learn_one([1.0], "longer").classes_.tolist() == ["a", "longer"]


def test_labels_keep_their_kind() -> None:
    for first, more, classes in (
        (1, 2.0, [1, 2]),
        (1.0, 2, [1.0, 2.0]),
        (np.uint8(3), 300, [3, 300]),
        (True, False, [False, True]),
        (np.str_("b"), "abc", ["abc", "b"]),
        ("\ud800", "z", ["z", "\ud800"]),
    ):
        model = HDCClassifier(dim=DIM, random_state=0).learn_one([0.0], first).learn_one([1.0], more)
        assert model.classes_.tolist() == classes
        assert [type(each) for each in model.classes_.tolist()] == [type(each) for each in classes]
    model = HDCClassifier(dim=DIM).fit([[0.0], [1.0]], np.array(["x", "y"], object)).learn_one([2.0], "z")
    assert model.classes_.dtype == object
    for first, more in ((True, 2), (1, 2**64), (np.int64(1), np.uint64(2**63))):
        model = HDCClassifier(dim=DIM).learn_one([0.0], first)
        with pytest.raises(ValueError, match="y: "):
            model.learn_one([0.0], more)
        assert model.classes_.tolist() == [first]


@pytest.mark.parametrize(
    "fault",
    [
        lambda model, X: model.learn_one([np.nan] * 2, 1.0),
        lambda model, X: model.learn_one([0.0], 1.0),
        lambda model, X: model.learn_one([0.0, 0.0], np.nan),
        lambda model, X: model.learn_one([0.0, 0.0], [1.0, 2.0]),
        lambda model, X: model.partial_fit(X, [np.inf] * len(X)),
        lambda model, X: model.fit(X[:, :1], [1.0]),
    ],
)
@pytest.mark.parametrize("n", [20, 200])
def test_a_number_that_is_refused_changes_nothing(fault: Any, n: int) -> None:
    X = np.random.default_rng(0).normal(size=(n, 2))
    model = HDCRegressor(method="online", dim=DIM, random_state=0).partial_fit(X, X[:, 0])
    before = state(model)
    with pytest.raises(ValueError, match=r"."):
        fault(model, X)
    assert state(model) == before


@pytest.mark.parametrize("n", [20, 200])
def test_a_novelty_that_is_refused_changes_nothing(n: int) -> None:
    X = np.random.default_rng(0).normal(size=(n, 2))
    model = HDCAnomaly(dim=DIM, random_state=0).partial_fit(X)
    before = state(model), model.offset_
    for row in ([np.nan, 0.0], [0.0], [np.inf, 0.0]):
        with pytest.raises(ValueError, match=r"."):
            model.learn_one(row)
        with pytest.raises(ValueError, match=r"."):
            model.partial_fit([row, row])
        assert (state(model), model.offset_) == before


def test_a_first_call_that_fails_leaves_nothing(digits: Any) -> None:
    X, y, _, _ = digits
    for classes, labels, words in (
        (range(5), y[:50], "none of the classes"),
        ([0, 1, np.nan], y[:50], "classes: "),
        ([], y[:50], "classes: "),
        ([[0, 1]], y[:50], "classes: "),
        ([0, "a"], y[:50], "classes: "),
        ([None, "a"], y[:50], "classes: "),
        (["0", "1"], y[:50], "none of the classes"),
        (range(10), [str(label) for label in y[:50]], "none of the classes"),
        (range(10), [1.5] * 50, "continuous"),
    ):
        model = HDCClassifier(dim=DIM)
        with pytest.raises(ValueError, match=words):
            model.partial_fit(X[:50], labels, classes=classes)
        assert vars(model) == vars(HDCClassifier(dim=DIM))
        with pytest.raises(NotFittedError):
            model.predict(X)
    with pytest.raises(ValueError, match="y: "):
        HDCClassifier(dim=DIM).fit(X[:2], np.array(["a", None], object))


def stopped(*_: Any, **__: Any) -> Any:
    raise KeyboardInterrupt


@pytest.mark.parametrize("call", ["fit", "partial_fit"])
def test_a_call_that_breaks_off_leaves_what_was_learned(
    digits: Any, call: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    X, y, _, _ = digits
    for method in GO_ON:
        model = HDCClassifier(method=method, dim=DIM, random_state=0).fit(X[:200], y[:200])
        before = state(model)
        for name in ("_move", "_train"):
            monkeypatch.setattr(HDCClassifier, name, stopped)
        with pytest.raises(KeyboardInterrupt):
            getattr(model, call)(X[:100, :], y[:100])
        monkeypatch.undo()
        with pytest.raises(ValueError, match="NaN"):
            getattr(model, call)(np.full((20, 64), np.nan), y[:20])
        assert state(model) == before
    model = HDCClassifier(method="ridge", dim=DIM, random_state=0).fit(X[:200], y[:200])
    before = state(model)
    monkeypatch.setattr(classifier, "solve", stopped)
    with pytest.raises(KeyboardInterrupt):
        model.fit(X[:100, :5], y[:100])
    assert state(model) == before


def test_what_fit_refuses_leaves_what_was_learned(digits: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    X, y, _, _ = digits
    whole = np.rint(X).astype(np.int8)
    many = np.zeros((20_001, 64))
    ridge = HDCClassifier(method="ridge", dim=DIM, random_state=0).fit(X, y)
    given = HDCClassifier(None, random_state=0).fit(whole, y)
    number = HDCRegressor(dim=DIM, random_state=0).fit(X, y)
    for model, wrong, labels, words in (
        (ridge, many, np.arange(20_001) % 2, "at most 20000"),
        (number, many, np.zeros(20_001), "at most 20000"),
        (given, sparse.csr_matrix(X), y, "sparse hypervectors"),
        (given, X + 0.5, y, "whole numbers from -127 to 127"),
    ):
        before = state(model)
        with monkeypatch.context() as patch:
            if wrong is many:
                patch.setattr(type(model), "_encoded", stopped)
            with pytest.raises(ValueError, match=words):  # before anything is encoded
                model.fit(wrong, labels)
        assert state(model) == before
        model.predict(X[:3] if model is not given else whole[:3])


def test_weights_are_not_to_be_written_to(digits: Any) -> None:
    X, y, _, _ = digits
    model = HDCClassifier(dim=DIM, random_state=0).fit(X[:200], y[:200])
    before = model.weights_
    with pytest.raises(ValueError, match="read-only"):
        model.weights_[0, 0] = 1.0
    model.learn_one(X[300], (y[300] + 1) % 10)
    assert not np.array_equal(model.weights_, before)
    assert not hasattr(HDCClassifier(), "weights_")


@pytest.mark.parametrize("n", [0, 3, FIRST + 3])
@pytest.mark.parametrize(
    "model",
    [HDCClassifier(dim=DIM), HDCClassifier("record", "softmax", dim=DIM), HDCRegressor(method="online", dim=DIM),
     HDCAnomaly(dim=DIM)], ids=str,
)  # fmt: skip
def test_a_single_row_is_one(digits: Any, model: Any, n: int) -> None:
    X, y, _, _ = digits
    model = clone(model)
    given = (lambda at: ()) if isinstance(model, HDCAnomaly) else (lambda at: (y[at],))
    calls = ["learn_one"] if n == 0 else ["learn_one", "predict_one"]
    for at in range(n):
        model.learn_one(X[at], *given(at))
    if isinstance(model, HDCAnomaly) and n:
        calls.append("score_one")
    before = state(model)
    for shape in ((2, 32), (64, 1), (1, 1, 64), (2, 64), (0, 64), ()):
        wrong = np.resize(X[3], shape)
        thin = [sparse.csr_matrix(wrong)] if wrong.ndim == 2 else []
        for row in (wrong, wrong.tolist(), *thin):
            if shape == (0, 64) and isinstance(row, list):
                continue  # of which no list tells more than that it is empty
            for call in calls:
                with pytest.raises(
                    ValueError, match=r"^x: shape \[.*\]; a single row is \[features\] or \[1, features"
                ):
                    getattr(model, call)(row, *(given(3) if call == "learn_one" else ()))
        assert state(model) == before
    for row in (X[3], X[3].tolist(), X[3:4], X[3:4].tolist(), sparse.csr_matrix(X[3:4])):
        one = copy.deepcopy(model).learn_one(row, *given(3))
        assert one.predict_one(row) == one.predict(X[3:4])[0]
