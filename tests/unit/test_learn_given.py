"""Estimators over rows that are hypervectors already: sparse, components, packed bits."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import sparse
from sklearn.base import clone
from sklearn.pipeline import make_pipeline

from sophia.hdc.learn import HDCAnomaly, HDCClassifier, HDCRegressor, HDCTextEncoder

DIM = 1000
TEXTS = [
    "where is the nearest station", "the train leaves at nine", "is there a train to the station",
    "ou est la gare la plus proche", "le train part a neuf heures", "y a t il un train pour la gare",
    "wo ist der naechste bahnhof", "der zug faehrt um neun uhr", "gibt es einen zug zum bahnhof",
] * 3  # fmt: skip
TONGUES = (["en"] * 3 + ["fr"] * 3 + ["de"] * 3) * 3
ASKED = ["the station is near", "la gare est proche", "der bahnhof ist nahe"]


def thin(seed: int = 0) -> tuple[Any, Any]:
    """Sparse rows of two classes, and which."""
    draw = np.random.default_rng(seed)
    labels = np.arange(80) % 2
    rows = sparse.random(80, 300, 0.1, random_state=np.random.RandomState(seed)).toarray()
    rows[:, :20] += np.where(labels[:, None], 1, -1) * draw.uniform(0, 2, (80, 20)) * (draw.random((80, 20)) < 0.4)
    return sparse.csr_matrix(rows), labels


def stored_otherwise(X: Any) -> list[Any]:
    """The same rows: columns in another order, zeros that are stored, halves, and parts that cancel."""
    draw = np.random.default_rng(1)
    shuffled, zeros, halves = ([], [], []), ([], [], []), ([], [], [])  # type: ignore[var-annotated]
    for row in range(X.shape[0]):
        columns, values = X.indices[X.indptr[row] : X.indptr[row + 1]], X.data[X.indptr[row] : X.indptr[row + 1]]
        order = draw.permutation(len(columns))
        other = draw.choice(X.shape[1], 9, replace=False)
        for (data, places, counts), (more_values, more_places) in (
            (shuffled, (values[order], columns[order])),
            (zeros, (np.append(values, np.zeros(9)), np.append(columns, other))),
            (halves, (np.concatenate([values / 2, np.full(9, 7e9), values / 2, np.full(9, -7e9)]),
                      np.concatenate([columns, other, columns, other]))),
        ):  # fmt: skip
            data.append(more_values)
            places.append(more_places)
            counts.append(len(more_values))
    return [
        sparse.csr_matrix((np.concatenate(data), np.concatenate(places), np.append(0, np.cumsum(counts))), X.shape)
        for data, places, counts in (shuffled, zeros)
    ] + [_first_cancelled(halves, X.shape)]


def _first_cancelled(parts: Any, shape: Any) -> Any:
    data, places, counts = parts
    return sparse.csr_matrix((np.concatenate(data), np.concatenate(places), np.append(0, np.cumsum(counts))), shape)


@pytest.mark.parametrize("method", ["centroid", "softmax"])
def test_how_sparse_rows_are_stored_changes_nothing(method: str) -> None:
    X, y = thin()
    free = X.copy()
    free.data[:] = np.rint(free.data * 64) / 64  # so that what cancels leaves no rounding
    model = HDCClassifier(None, method, random_state=0).fit(free, y)
    scores = model.decision_function(free)
    for other in stored_otherwise(free):
        kept = other.data.copy(), other.indices.copy(), other.indptr.copy()
        again = HDCClassifier(None, method, random_state=0).fit(other, y)
        assert np.array_equal(again.decision_function(other), scores)
        assert np.array_equal(again.decision_function(free), scores)
        assert np.array_equal(again.weights_, model.weights_)
        for part, before in zip((other.data, other.indices, other.indptr), kept, strict=True):
            assert np.array_equal(part, before)  # what is given is not ours to change
    for other in stored_otherwise(free):
        made = HDCClassifier("record", "centroid", dim=DIM, random_state=0).fit(other, y).decision_function(other)
        rows = other.toarray()
        assert np.array_equal(
            HDCClassifier("record", "centroid", dim=DIM, random_state=0).fit(rows, y).decision_function(rows), made
        )


@pytest.mark.parametrize("method", ["centroid", "softmax"])
@pytest.mark.parametrize("power", [-1060, -700, 515, 1020])
def test_sparse_rows_of_any_magnitude(method: str, power: int) -> None:
    X, y = thin()
    model = HDCClassifier(None, method, random_state=0).fit(X[:60], y[:60])
    least = model.score(X[60:], y[60:])
    assert least > 0.85
    scaled = X.copy()
    scaled.data = np.ldexp(X.data, power)
    again = HDCClassifier(None, method, random_state=0).fit(scaled[:60], y[:60])
    if power > -1000:  # below, digits are lost
        assert np.array_equal(again.decision_function(scaled), model.decision_function(X))
    assert again.score(scaled[60:], y[60:]) >= least - 0.05
    both = sparse.vstack([X[:30], scaled[30:60]]).tocsr()
    assert HDCClassifier(None, method, random_state=0).fit(both, y[:60]).score(X[60:], y[60:]) > 0.8


def test_sparse_rows_that_are_whole_numbers_do_not_overflow() -> None:
    X, y = thin()
    whole = X.copy()
    whole.data = np.clip(np.rint(X.data * 50), -127, 127)
    small = whole.astype(np.int8)
    a, b = (HDCClassifier(None, "centroid", random_state=0).fit(each, y) for each in (whole, small))
    assert np.array_equal(a.decision_function(whole), b.decision_function(small))


def test_sparse_sums_that_overflow_are_refused() -> None:
    X = sparse.csr_matrix(([1e308, 1e308, 1.0], [3, 3, 5], [0, 2, 3]), shape=(2, 100))
    with pytest.raises(ValueError, match="sum to more"):
        HDCClassifier(None, "centroid").fit(X, [0, 1])


@pytest.mark.parametrize("method", ["refine", "centroid", "online", "adapt", "softmax"])
def test_packed_bits_of_texts_are_classified(method: str, tmp_path: Path) -> None:
    encoder = HDCTextEncoder("bits", dim=DIM, grams=(1, 3))
    model = make_pipeline(encoder, HDCClassifier(None, method, dim=DIM, bits=True, random_state=0))
    assert model.fit(TEXTS, TONGUES).predict(ASKED).tolist() == ["en", "fr", "de"]
    rows = encoder.transform(TEXTS)
    packed = HDCClassifier(None, method, dim=DIM, bits=True, random_state=0).fit(rows, TONGUES)
    # the same vectors as components: 1 where the bit is 0
    components = 1 - 2 * np.unpackbits(rows, axis=1, count=DIM, bitorder="little").astype(np.int8)
    spread = HDCClassifier(None, method, random_state=0).fit(components, TONGUES)
    assert np.array_equal(packed.decision_function(rows), spread.decision_function(components))
    packed.save(tmp_path / "model")
    one = HDCClassifier(None, method, dim=DIM, bits=True, random_state=0)
    for row, label in zip(rows, TONGUES, strict=True):
        one.learn_one(row, label)
    for each in (HDCClassifier.load(tmp_path / "model"), pickle.loads(pickle.dumps(packed)), one):
        assert each.predict(encoder.transform(ASKED)).tolist() == ["en", "fr", "de"]
        assert each.predict_one(rows[4]) == "fr"


def test_numbers_and_novelty_of_hypervectors() -> None:
    encoder = HDCTextEncoder("int8", dim=DIM, grams=(1, 3))
    bits = HDCTextEncoder("bits", dim=DIM, grams=(1, 3)).fit_transform(TEXTS)
    rows = encoder.fit_transform(TEXTS)
    lengths = [float(len(text)) for text in TEXTS]
    for model, X in (
        (HDCRegressor(None, random_state=0), rows),
        (HDCRegressor(None, "online", random_state=0), rows),
        (HDCRegressor(None, "online", bits=True, dim=DIM, random_state=0), bits),
    ):
        assert model.fit(X, lengths).score(X, lengths) > 0.9
        assert model.predict_one(X[0]) == model.predict(X[:1])[0]
    for novelty, X in (
        (HDCAnomaly(None, random_state=0), rows),
        (HDCAnomaly(None, bits=True, dim=DIM, random_state=0), bits),
    ):
        other = HDCTextEncoder("bits" if novelty.bits else "int8", dim=DIM, grams=(1, 3)).fit_transform(["0123456789"])
        assert novelty.fit(X).predict(other).tolist() == [-1]
        assert (novelty.predict(X) == 1).mean() > 0.8
    with pytest.raises(ValueError, match="bits: method='ridge' needs components"):
        HDCRegressor(None, bits=True).fit(bits, lengths)
    numbers = np.random.default_rng(0).normal(size=(60, 2))
    coarse = HDCRegressor(method="online", bits=True, dim=2000, random_state=0).fit(numbers, numbers[:, 0])
    assert coarse.score(numbers, numbers[:, 0]) > 0.8


@pytest.mark.parametrize("model", [HDCClassifier(None), HDCRegressor(None, "online"), HDCAnomaly(None)], ids=str)
def test_what_are_no_packed_bits(model: Any) -> None:
    rows = HDCTextEncoder("bits", dim=DIM).fit_transform(TEXTS)
    labels = np.arange(len(TEXTS)) % 2
    with pytest.raises(ValueError, match="packed bits"):
        model.fit(rows, labels)  # bits were not said
    model.set_params(bits=True, dim=DIM)
    dirty = rows.copy()
    dirty[3, 126] = 255  # the last bits are padding
    for wrong, words in (
        (rows.astype(np.int8), "int8 rows of 128; .* uint8 rows of 128 bytes for dim=1000"),
        (rows.astype(float), "float64 rows of 128"),
        (rows[:, :64], "uint8 rows of 64"),
        (sparse.csr_matrix(rows), "sparse rows"),
        (dirty, "row 3 has a bit set past bit 999"),
    ):
        with pytest.raises(ValueError, match=words):
            model.fit(wrong, labels)
        assert not hasattr(model, "encoding_")
    model.fit(rows, labels)
    with pytest.raises(ValueError, match="uint8 rows of 64"):
        model.fit(rows[:, :64], labels)
    asked = "score_samples" if isinstance(model, HDCAnomaly) else "predict"
    with pytest.raises(ValueError, match="bit set past"):
        getattr(model, asked)(dirty)


def test_single_sparse_texts() -> None:
    encoder = HDCTextEncoder(dim=DIM).fit(TEXTS)
    for method in ("centroid", "softmax"):
        model = HDCClassifier(None, method, random_state=0)
        for _ in range(3):
            for text, tongue in zip(TEXTS, TONGUES, strict=True):
                model.learn_one(encoder.transform([text]), tongue)
        assert [model.predict_one(encoder.transform([text])) for text in ASKED] == ["en", "fr", "de"]


def test_texts_that_an_estimator_does_not_take_have_a_form_that_it_takes() -> None:
    rows, whole = (HDCTextEncoder(form, dim=DIM).fit_transform(TEXTS) for form in ("sparse", "int8"))
    labels = np.arange(len(TEXTS)) % 2
    way_out = r'HDCTextEncoder\(form="int8"\)'
    for method in ("refine", "online", "adapt", "ridge"):
        model = HDCClassifier(None, method, random_state=0)
        for _ in range(2):
            calls = [lambda model=model: clone(model).fit(rows, labels)]
            if method != "ridge":
                calls.append(lambda model=model: model.partial_fit(rows, labels, classes=[0, 1]))
                calls.append(lambda model=model: model.learn_one(rows[:1], 0))
            for call in calls:
                with pytest.raises(ValueError, match=f"sparse hypervectors, .* {way_out}"):
                    call()
            model.fit(whole, labels)  # and what was learned of whole numbers does not go on with sparse ones
    with pytest.raises(ValueError, match=way_out):
        model.predict(rows)
    for other in (HDCRegressor(None), HDCRegressor(None, "online"), HDCAnomaly(None)):
        for wrong in (rows, rows.toarray()):
            with pytest.raises(ValueError, match=f"whole numbers from -127 to 127.* {way_out}"):
                other.fit(wrong, labels)
        other.fit(whole, labels)
    for method in ("centroid", "softmax"):
        for each in (rows, whole):
            HDCClassifier(None, method, random_state=0).fit(each, labels).predict(each)
