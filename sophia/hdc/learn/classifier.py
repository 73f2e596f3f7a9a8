"""Classification by hypervectors: class prototypes and how they learn, or a linear readout."""

from __future__ import annotations

from typing import Any, Self

import numpy
from numpy.typing import ArrayLike, NDArray
from scipy import sparse, special
from sklearn.base import ClassifierMixin
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted

from sophia._core.prototypes import Prototypes
from sophia._core.training import BIAS, UNIT, Examples, Weights
from sophia.hdc.learn.base import HDCEstimator, blocks, one_of, seed_of, within
from sophia.hdc.learn.encoding import Given
from sophia.hdc.learn.ridge import solve

__all__ = ["METHODS", "HDCClassifier"]

METHODS = ("refine", "centroid", "online", "adapt", "softmax", "ridge")
_RULES = {"refine": "online", "online": "online", "adapt": "adapt"}


def _goes_on(self: HDCClassifier) -> bool:
    if self.method == "ridge":
        message = "partial_fit: method='ridge' is worked out of all rows at once; use another method"
        raise AttributeError(message)
    return True


def _has_odds(self: HDCClassifier) -> bool:
    if self.method != "softmax":
        message = f"predict_proba: method={self.method!r} gives scores and no probabilities; use method='softmax'"
        raise AttributeError(message)
    return True


class HDCClassifier(ClassifierMixin, HDCEstimator):
    """Classifies rows of numbers by hypervectors, in scikit-learn's shape.

    Rows are encoded (`encoding`): "cosine", random Fourier features of the standardised features (Rahimi and Recht
    2007); "sign", the signs of random projections; "record", each feature bound to its level and bundled (VoiceHD,
    Imani and others 2017); None for rows that are hypervectors already: int8 components, or what `HDCTextEncoder` gives
    (sparse rows: "centroid" and "softmax"). Then `method` learns:

    | method | what it is | partial_fit |
    |---|---|---|
    | "refine" | prototypes that learn from what is wrong, or right by less than `margin` (as RefineHD) | yes |
    | "online" | the same without a margin (OnlineHD, Hernandez-Cano and others 2021) | yes |
    | "adapt" | the same by a fixed step (AdaptHD, Imani and others 2019) | yes |
    | "centroid" | prototypes: the sum of each class's rows, in one pass | yes |
    | "softmax" | a linear readout by row-wise Adagrad; gives probabilities | yes |
    | "ridge" | a linear readout in closed form, up to 20,000 rows | no |

    Parameters: `dim` components; `bits` packs vectors to one bit a component; `levels` of "record"; `width` of
    "cosine", the distance of rows that are no longer alike, 1e-6 to 1e6 standard deviations ("auto": .45 of the median
    distance); `epochs`, `rate`, `margin` of the rules and of "softmax" (epochs); `alpha` of "ridge"; `workers` threads
    encode and score; `random_state` names the random vectors and the order of examples.

    Encodings are fixed by the first `fit` or `partial_fit`. Same data, parameters and seed give the same model at any
    SIMD level and number of workers ("ridge": up to the rounding of the machine's LAPACK). Encoding takes about .1 ms a
    row of 600 features at dim 10,000 ("record": .03 ms), a pass of a rule .02 ms a row and 26 classes. Memory while
    fitting: dim bytes a row, dim / 8 with `bits`.

        >>> from sklearn.datasets import load_digits
        >>> X, y = load_digits(return_X_y=True)
        >>> model = HDCClassifier(dim=4000, random_state=0).fit(X[:1000], y[:1000])
        >>> bool(model.score(X[1000:], y[1000:]) > 0.9)
        True
    """

    _kept = ("classes_", "weights_", "intercept_")

    def __init__(
        self,
        encoding: str | None = "cosine",
        method: str = "refine",
        *,
        dim: int = 10_000,
        bits: bool = False,
        levels: int = 64,
        width: float | str = "auto",
        epochs: int = 10,
        rate: float = 1.0,
        margin: float = 0.05,
        alpha: float = 0.1,
        workers: int = 1,
        random_state: Any = None,
    ) -> None:
        self.encoding = encoding  # type: ignore[assignment]
        self.method = method
        self.dim = dim
        self.bits = bits
        self.levels = levels
        self.width = width
        self.epochs = epochs
        self.rate = rate
        self.margin = margin
        self.alpha = alpha
        self.workers = workers
        self.random_state = random_state

    def fit(self, X: Any, y: ArrayLike) -> Self:
        """Learns from rows [n, features] (dense or CSR) and their labels [n]."""
        self._check()
        X, labels = self._rows(X, reset=True, y=y)
        check_classification_targets(labels)
        self._begin(X, numpy.unique(labels))
        self._learn(X, labels, int(self.epochs))
        self._core = None
        self._prototypes()
        return self

    @available_if(_goes_on)
    def partial_fit(self, X: Any, y: ArrayLike, classes: ArrayLike | None = None) -> Self:
        """Goes on learning, one pass over these rows. `classes`, all that there may be, at the first call."""
        self._check()
        first = not hasattr(self, "classes_")
        if first and classes is None:
            message = "classes: the first call of partial_fit must name all classes that there may be"
            raise ValueError(message)
        X, labels = self._rows(X, reset=first, y=y)
        check_classification_targets(labels)
        if first:
            self._begin(X, numpy.unique(numpy.asarray(classes)))
        elif classes is not None and not numpy.array_equal(numpy.unique(numpy.asarray(classes)), self.classes_):
            message = (
                f"classes: {numpy.asarray(classes).tolist()}; at the first call they were {self.classes_.tolist()}"
            )
            raise ValueError(message)
        unknown = numpy.setdiff1d(labels, self.classes_)
        if len(unknown):
            message = f"y: {unknown[0]} is none of the classes {self.classes_.tolist()}"
            raise ValueError(message)
        self._learn(X, labels, 1)
        self._core = None
        self._prototypes()
        return self

    def learn_one(self, x: ArrayLike, y: Any) -> Self:
        """`partial_fit` of a single row, which may bring a new class."""
        row = numpy.asarray(x, dtype=float).reshape(1, -1)
        if not hasattr(self, "classes_"):
            return self.partial_fit(row, [y], classes=[y])  # type: ignore[no-any-return]
        if y not in self.classes_:
            self._grow(y)
        return self.partial_fit(row, [y])  # type: ignore[no-any-return]

    def predict_one(self, x: ArrayLike) -> Any:
        """The class of a single row."""
        return self.predict(numpy.asarray(x, dtype=float).reshape(1, -1))[0]

    def decision_function(self, X: Any) -> NDArray[numpy.float64]:
        """The score of each class, float64 [n, classes]; of two classes [n], above 0 for the second. Cosines of
        prototypes; of "softmax" and "ridge" the readout's sums."""
        scores = self._scores(X)
        return scores[:, 1] - scores[:, 0] if len(self.classes_) == 2 else scores

    def predict(self, X: Any) -> NDArray[Any]:
        """The class of the highest score, of equal ones the first."""
        scores = self._scores(X)
        found: NDArray[Any] = self.classes_[scores.argmax(axis=1)]
        return found

    @available_if(_has_odds)
    def predict_proba(self, X: Any) -> NDArray[numpy.float64]:
        """The probability of each class, float64 [n, classes]. Not calibrated."""
        made: NDArray[numpy.float64] = special.softmax(self._scores(X), axis=1)
        return made

    def _check(self) -> None:
        one_of("method", self.method, METHODS)
        if self.encoding is not None:
            self._check_encoding()
        within("epochs", self.epochs, 1, 10_000)
        within("rate", self.rate, 1e-6, 1e6, "number")
        within("margin", self.margin, 0, 2, "number")
        within("alpha", self.alpha, 0, 1e12, "number")
        if self.method == "ridge" and self.bits:
            message = "bits: method='ridge' needs components; use bits=False (encoding='sign' is one bit of content)"
            raise ValueError(message)

    def _begin(self, X: Any, classes: NDArray[Any]) -> None:
        """Nothing learned, of rows like these."""
        self.classes_ = classes
        self._seed = seed_of(self.random_state)
        self._passes = 0
        if self.encoding is None:
            self.encoding_: Any = Given(X.shape[1])
        else:
            self._fit_encoding(X, self._seed)
        wide = self.encoding_.dim + (self.method == "softmax")
        self.weights_ = numpy.zeros((len(classes), wide), numpy.float32)
        self.intercept_ = numpy.zeros(len(classes))

    def _learn(self, X: Any, y: NDArray[Any], epochs: int) -> None:
        labels = numpy.searchsorted(self.classes_, y).astype(numpy.int64)
        seed, self._passes = self._seed + self._passes, self._passes + 1
        if self.method == "softmax":
            examples = self._examples(X, labels)
            weights = Weights.restore(numpy.ascontiguousarray(self.weights_.T))
            weights.train(examples, epochs=epochs, seed=seed)
            self.weights_ = numpy.ascontiguousarray(weights.dump().T)
            return
        if self.encoding is None and sparse.issparse(X):
            self._add_sparse(X, labels)
            return
        rows = self._encoded(X)
        if self.method == "ridge":
            targets = numpy.where(labels[:, None] == numpy.arange(len(self.classes_)), 1.0, -1.0)
            self.weights_, self.intercept_ = solve(rows, targets, float(self.alpha))
            return
        prototypes = Prototypes.restore(self.weights_)
        known: NDArray[Any] = numpy.asarray(self.weights_.any(axis=1))
        if self.method == "centroid" or seed == self._seed:
            prototypes.add(rows, labels)
        else:  # what is new has no prototype to move yet
            fresh = ~known[labels]
            prototypes.add(rows[fresh], labels[fresh])
        if self.method in _RULES:
            prototypes.learn(
                rows, labels, rule=_RULES[self.method], rate=float(self.rate),
                margin=float(self.margin) if self.method == "refine" else 0.0, epochs=epochs, seed=seed,
            )  # fmt: skip
        self.weights_ = prototypes.dump()

    def _add_sparse(self, X: Any, labels: NDArray[Any]) -> None:
        """The centroids of sparse rows, each at norm one."""
        if self.method != "centroid":
            message = f"X: sparse hypervectors, which method={self.method!r} does not take; use 'centroid' or 'softmax'"
            raise ValueError(message)
        chosen = sparse.csr_matrix(
            (1.0 / _sizes(X), labels, numpy.arange(len(labels) + 1)),
            shape=(len(labels), len(self.classes_)),
        )
        self.weights_ = (self.weights_ + (chosen.T @ X).toarray()).astype(numpy.float32)

    def _examples(self, X: Any, labels: NDArray[Any]) -> Examples:
        if self.encoding is None and sparse.issparse(X):
            return _sparse_examples(X, labels)
        rows = self._encoded(X)
        return Examples.from_rows(rows, labels.tolist(), dim=self.encoding_.dim)

    def _scores(self, X: Any) -> NDArray[numpy.float64]:
        check_is_fitted(self)
        X = self._rows(X, reset=False)
        if self.method == "softmax":
            return self._readout(X)
        if self.encoding is None and sparse.issparse(X):
            weights = self.weights_.astype(numpy.float64)
            norms = numpy.linalg.norm(weights, axis=1)
            return numpy.asarray(X @ weights.T) / _sizes(X)[:, None] / numpy.where(norms > 0, norms, 1.0)
        core = self._prototypes()
        compare = core.products if self.method == "ridge" else core.scores
        made = [compare(self._encode(part), workers=int(self.workers)) for part in blocks(X)]
        return numpy.concatenate(made) + self.intercept_

    def _readout(self, X: Any) -> NDArray[numpy.float64]:
        """Sums of the softmax readout over rows at norm one, and the bias."""
        bias = self.weights_[:, -1].astype(numpy.float64) * BIAS
        if self.encoding is None and sparse.issparse(X):
            sums = X @ self.weights_[:, :-1].T.astype(numpy.float64)
            return numpy.asarray(sums) / _sizes(X)[:, None] + bias
        core = self._prototypes()
        made = []
        for part in blocks(X):
            rows = self._encode(part)
            made.append(core.products(rows, workers=int(self.workers)) / _norms(rows, self.encoding_.dim)[:, None])
        return numpy.concatenate(made) + bias

    def _matrix(self) -> NDArray[numpy.float32]:
        return numpy.ascontiguousarray(self.weights_[:, :-1]) if self.method == "softmax" else self.weights_

    def _grow(self, y: Any) -> None:
        classes = numpy.unique(numpy.append(self.classes_, y))
        weights = numpy.zeros((len(classes), self.weights_.shape[1]), numpy.float32)
        intercept = numpy.zeros(len(classes))
        places = numpy.searchsorted(classes, self.classes_)
        weights[places], intercept[places] = self.weights_, self.intercept_
        self.classes_, self.weights_, self.intercept_, self._core = (
            classes,
            weights,
            intercept,
            None,
        )

    def _learned(self) -> dict[str, Any]:
        return super()._learned() | {"_seed": self._seed, "_passes": self._passes}


def _norms(rows: NDArray[Any], dim: int) -> NDArray[numpy.float64]:
    if rows.dtype == numpy.uint8:
        return numpy.full(len(rows), numpy.sqrt(dim))
    squares = numpy.einsum("ij,ij->i", rows, rows, dtype=numpy.int64)
    return numpy.where(squares > 0, numpy.sqrt(squares), 1.0)


def _sizes(X: Any) -> NDArray[numpy.float64]:
    """The norm of each row; 1 of one that is zero."""
    norms = numpy.sqrt(numpy.asarray(X.multiply(X).sum(axis=1)).ravel())
    return numpy.where(norms > 0, norms, 1.0)


def _sparse_examples(X: Any, labels: NDArray[Any]) -> Examples:
    """CSR rows at norm one, as the trainer takes them."""
    scale = numpy.repeat(UNIT / _sizes(X), numpy.diff(X.indptr))
    values = numpy.clip(numpy.rint(X.data * scale), -32767, 32767).astype(numpy.int16)
    return Examples.from_sparse(
        X.indptr.astype(numpy.int64),
        X.indices.astype(numpy.int32),
        values,
        labels.tolist(),
        dim=X.shape[1],
    )
