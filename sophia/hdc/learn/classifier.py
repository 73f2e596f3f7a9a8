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
from sophia.hdc.learn.labels import checked, distinct, single
from sophia.hdc.learn.ridge import check_count, solve

__all__ = ["METHODS", "HDCClassifier"]

METHODS = ("refine", "centroid", "online", "adapt", "softmax", "ridge")
_THIN = ("centroid", "softmax")  # take hypervectors that are sparse
_RULES = {"refine": "online", "online": "online", "adapt": "adapt"}
_READOUTS = ("softmax", "ridge")  # whose weights are no prototypes


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
    Imani and others 2017); None for rows that are hypervectors already, as `HDCTextEncoder` gives them: whole numbers
    from -127 to 127, whose dim is their own; with `bits` packed bits, uint8 rows padded to 64 bytes, of `dim`; or
    sparse rows ("centroid" and "softmax"). Then `method` learns:

    | method | what it is | partial_fit |
    |---|---|---|
    | "refine" | prototypes that learn from what is wrong, or right by less than `margin` (as RefineHD) | yes |
    | "online" | the same without a margin (OnlineHD, Hernandez-Cano and others 2021) | yes |
    | "adapt" | the same by a fixed step (AdaptHD, Imani and others 2019) | yes |
    | "centroid" | prototypes: the sum of each class's rows, in one pass | yes |
    | "softmax" | a linear readout by row-wise Adagrad; gives probabilities | yes |
    | "ridge" | a linear readout in closed form, up to 20,000 rows | no |

    Parameters: `dim` components; `bits` packs vectors to one bit a component (not for "ridge"); `levels` of "record";
    `width` of "cosine", the distance of rows that are no longer alike, 1e-6 to 1e6 standard deviations ("auto": .45 of
    the median distance); `epochs`, `rate`, `margin` of the rules and of "softmax" (epochs); `alpha` of "ridge";
    `workers` threads encode and score; `random_state` names the random vectors and the order of examples.

    "softmax" takes steps that shrink with what was learned in the same call (Adagrad): each call of `partial_fit` and
    `learn_one` begins with whole steps, so that a stream forgets more, and many rows are better given at once.

    An encoding is fixed by `fit`, or by the first 100 rows of a stream, however `partial_fit` and `learn_one` are given
    them: these are held back (and saved), and each time that their number has doubled, and when they are complete, all
    is fitted and learned anew of all of them, so that it can be asked from the first row on. After 100 single rows the
    model is that of one `partial_fit` of these. Numbers may be of any magnitude; a feature that is constant but for
    roundings stays as it is, and what is more than 3 deviations off counts as 3.

    Accuracy of `learn_one` on shuffled digits (64 features, 597 more to tell, means of three seeds; one row alone would
    fix an encoding of which nothing can be learned: about 10 % by any method):

    | rows | "refine" | "centroid" | "online" | "adapt" | "softmax" |
    |---|---|---|---|---|---|
    | 100 | 90.5 % | 88.5 % | 89.7 % | 89.9 % | 89.3 % |
    | 600 | 96.6 % | 93.7 % | 95.6 % | 96.2 % | 97.4 % |
    | 1,200 | 97.8 % | 94.2 % | 97.1 % | 97.8 % | 98.3 % |

    There `learn_one` takes .3 to .5 ms ("softmax" .7, the first 100 rows 4 on average, a new class 2) and `predict_one`
    .25, of which .15 is the encoding. With 10, 150 and 1,000 classes `learn_one` takes .3, .6 and 2 ms ("centroid" .3
    with any number, "softmax" .6, 2.4 and 23: it copies its weights), `predict_one` .3, .6 and 2. Not for two threads
    at once while one learns; what does not learn may run in many. Same data, parameters and seed give the same model at
    any SIMD level and number of workers ("ridge": up to the rounding of the machine's LAPACK). Encoding many rows takes
    about .11 ms a row of 617 features at dim 10,000 ("record" to bits: .034 ms), a pass of a rule .02 ms a row and 26
    classes. Memory while fitting: dim bytes a row, dim / 8 with `bits`; a projection holds 4 bytes for each feature and
    component.

        >>> from sklearn.datasets import load_digits
        >>> X, y = load_digits(return_X_y=True)
        >>> model = HDCClassifier(dim=4000, random_state=0).fit(X[:1000], y[:1000])
        >>> bool(model.score(X[1000:], y[1000:]) > 0.9)
        True
    """

    _kept = ("classes_", "weights_", "intercept_", "_seed", "_passes")
    _readout: NDArray[numpy.float32] | None = None
    _known: NDArray[numpy.bool_] | None = None
    _taught: str | None = None
    """The method by which it was begun."""

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
        self.encoding = encoding
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
        """Learns from rows [n, features] (dense or CSR) and their labels [n], numbers or strings.

        ValueError naming a parameter, rows or labels that cannot be; whatever ends it, what was learned before stays.
        """
        made = self._aside()
        made._check()
        X, labels = made._rows(X, reset=True, y=y)
        classes = distinct(labels)
        check_classification_targets(labels)
        made._new(classes)
        made._begin(X)
        made._learn(X, labels, int(made.epochs))
        made._prepare()
        return self._become(made)

    @available_if(_goes_on)
    def partial_fit(self, X: Any, y: ArrayLike, classes: ArrayLike | None = None) -> Self:
        """Goes on learning, one pass over these rows. `classes`, all that there may be, at the first call.

        As for `fit`; ValueError, too, for a label that is none of the classes. Of a stream's first 100 rows the
        encoding is fitted: see the class. "softmax" begins with whole steps at each call: only its weights are kept.
        """
        made = self._aside()
        made._check()
        made._agree()
        first = not self.__sklearn_is_fitted__()
        if first and classes is None:
            message = "classes: the first call of partial_fit must name all classes that there may be"
            raise ValueError(message)
        X, labels = made._rows(X, reset=first, y=y)
        distinct(labels)
        check_classification_targets(labels)
        named = None if classes is None else distinct(classes, "classes")
        if first and named is not None:
            made._new(named)
        elif named is not None and not numpy.array_equal(named, self.classes_):
            message = f"classes: {named.tolist()}; at the first call they were {self.classes_.tolist()}"
            raise ValueError(message)
        checked(labels, made.classes_)
        made._more(X, labels)
        made._prepare()
        return self._become(made)

    @available_if(_goes_on)
    def learn_one(self, x: ArrayLike, y: Any) -> Self:
        """`partial_fit` of a single row, also the first, which may bring a new class.

        ValueError for a row that `fit` would refuse, and for a label that would rename the others: a string among
        numbers, a fraction among whole numbers. Then nothing changes.
        """
        self._agree()
        if not self.__sklearn_is_fitted__() or self._held is not None or sparse.issparse(x):
            return self._learn_aside(x, y)
        self._check()
        label = single(y, self.classes_)
        place = int(numpy.searchsorted(self.classes_, label)[0])
        if place == len(self.classes_) or self.classes_[place] != label[0]:
            return self._learn_aside(x, y)
        rows = self._encode(self._row(x))  # what raises comes before what changes
        labels = numpy.array([place])
        if self.method == "softmax":
            self._train(Examples.from_rows(rows, [place], dim=self.encoding_.dim), 1)
            return self
        core, known = self._prototypes(), self._have()
        self._weights = None
        seed = self._next_seed()
        self._move(core, known, rows, labels, 1, seed)
        return self

    def predict_one(self, x: ArrayLike) -> Any:
        """The class of a single row."""
        check_is_fitted(self)
        return self.classes_[self._scored(self._row(x))[0].argmax()]

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
        super()._check()
        within("epochs", self.epochs, 1, 10_000)
        within("rate", self.rate, 1e-6, 1e6, "number")
        within("margin", self.margin, 0, 2, "number")
        within("alpha", self.alpha, 0, 1e12, "number")
        if self.method == "ridge" and self.bits:
            message = "bits: method='ridge' needs components; use bits=False (encoding='sign' is one bit of content)"
            raise ValueError(message)

    def _new(self, classes: NDArray[Any]) -> None:
        """Of these classes, and with a seed; nothing is held back."""
        self.classes_, self._held = classes, None
        self._seed = seed_of(self.random_state)

    def _begin(self, X: Any, *, again: bool = False) -> None:
        """Nothing learned, of rows like these."""
        if self.method == "ridge":
            check_count(X.shape[0])
        self._refuse_thin(X)
        self._passes, self._taught = 0, self.method
        self._fit_encoding(X, again=again)
        k, dim = len(self.classes_), self.encoding_.dim
        self._core = self._weights = self._known = self._readout = None
        self.intercept_ = numpy.zeros(k)
        if self.method == "softmax":
            self._readout = numpy.zeros((dim + 1, k), numpy.float32)
        else:
            self._core = Prototypes(k, dim)

    def _learn_aside(self, x: Any, y: Any) -> Self:
        """`learn_one` where that is more than a step."""
        made = self._aside()
        made._check()
        row = made._row(x)
        if not self.__sklearn_is_fitted__():
            label = single(y, None)
            made._new(label)
        else:
            label = single(y, self.classes_)
            if not numpy.isin(label, self.classes_)[0]:
                made._grow(label)
        made._more(row, label)
        made._prepare()
        return self._become(made)

    def _more(self, X: Any, y: NDArray[Any]) -> None:
        X, y, anew = self._with_first(X, y)
        if anew:
            self._begin(X, again=self.__sklearn_is_fitted__())
        self._learn(X, y, 1)

    def _learn(self, X: Any, y: NDArray[Any], epochs: int) -> None:
        """Of an object that is aside: what it shares with the one that is learned from stays as it is."""
        self._refuse_thin(X)  # also where what was learned before was not sparse
        labels = numpy.searchsorted(self.classes_, y).astype(numpy.int64)
        if self.method == "softmax":
            self._train(self._examples(X, labels), epochs)
            return
        if self._is_thin(X):
            self._add_sparse(X, labels)
            return
        rows = self._encoded(X)
        seed = self._next_seed()
        if self.method == "ridge":
            targets = numpy.where(labels[:, None] == numpy.arange(len(self.classes_)), 1.0, -1.0)
            self.weights_, self.intercept_ = solve(rows, targets, float(self.alpha))
            return
        core, known = self._prototypes().grow(len(self.classes_)), self._have().copy()
        self._move(core, known, rows, labels, epochs, seed)
        self._core, self._known, self._weights = core, known, None

    def _move(
        self,
        core: Prototypes,
        known: NDArray[numpy.bool_],
        rows: NDArray[Any],
        labels: NDArray[numpy.int64],
        epochs: int,
        seed: int,
    ) -> None:
        """Moves the prototypes by the rule; what is new has none to move yet, and is added."""
        fresh = numpy.ones(len(labels), bool) if self.method == "centroid" else ~known[labels]
        if fresh.any():
            added = rows if fresh.all() else rows[fresh]
            core.add(added, labels[fresh])
            real = numpy.ones(len(added), bool) if rows.dtype == numpy.uint8 else added.any(axis=1)
            known[labels[fresh][real]] = True
        if self.method in _RULES:
            core.learn(
                rows, labels, rule=_RULES[self.method], rate=float(self.rate),
                margin=float(self.margin) if self.method == "refine" else 0.0, epochs=epochs, seed=seed,
            )  # fmt: skip

    def _train(self, examples: Examples, epochs: int) -> None:
        weights = Weights.restore(self._turned())
        weights.train(examples, epochs=epochs, seed=self._next_seed())
        self._readout, self._weights, self._core = weights.dump(), None, None

    def _turned(self) -> NDArray[numpy.float32]:
        """The weights of "softmax" as they are trained: float32 [dim + 1, classes]."""
        if self._readout is None:
            self._readout = numpy.ascontiguousarray(self.weights_.T)
        return self._readout

    def _dumped(self) -> NDArray[numpy.float32]:
        return super()._dumped() if self._readout is None else numpy.ascontiguousarray(self._readout.T)

    def _have(self) -> NDArray[numpy.bool_]:
        """Which classes have a prototype."""
        if self._known is None:
            self._known = numpy.asarray(self.weights_.any(axis=1))
        return self._known

    def _next_seed(self) -> int:
        self._passes += 1
        return self._seed + self._passes - 1

    def _is_thin(self, X: Any) -> bool:
        """Whether these rows are hypervectors that are sparse."""
        return self.encoding is None and sparse.issparse(X)

    def _refuse_thin(self, X: Any) -> None:
        """ValueError for sparse hypervectors where the method moves by whole components."""
        if self._is_thin(X) and self.method not in _THIN:
            message = (
                f"X: sparse hypervectors, which method={self.method!r} does not take; use 'centroid' or 'softmax', or "
                'of texts HDCTextEncoder(form="int8")'
            )
            raise ValueError(message)

    def _add_sparse(self, X: Any, labels: NDArray[Any]) -> None:
        """The centroids of sparse rows, each at norm one."""
        X = _unit_rows(X)
        chosen = sparse.csr_matrix(
            (numpy.ones(len(labels)), labels, numpy.arange(len(labels) + 1)),
            shape=(len(labels), len(self.classes_)),
        )
        self.weights_ = (self.weights_ + (chosen.T @ X).toarray()).astype(numpy.float32)
        self._known = None

    def _examples(self, X: Any, labels: NDArray[Any]) -> Examples:
        if self._is_thin(X):
            return _sparse_examples(X, labels)
        rows = self._encoded(X)
        return Examples.from_rows(rows, labels.tolist(), dim=self.encoding_.dim)

    def _scores(self, X: Any) -> NDArray[numpy.float64]:
        check_is_fitted(self)
        return self._scored(self._rows(X, reset=False))

    def _agree(self) -> None:
        """ValueError where what was learned is nothing for the method, or the encoding, that was set since."""
        super()._agree()
        taught = self._taught
        if taught is None or taught == self.method or not {taught, self.method} & {*_READOUTS}:
            return
        message = (
            f"method is {self.method!r}, and what was learned is by {taught!r}, whose weights mean something else; "
            "set that again, or fit"
        )
        raise ValueError(message)

    def _scored(self, X: Any) -> NDArray[numpy.float64]:
        self._agree()
        if self.method == "ridge":
            self._refuse_thin(X)
        if self.method == "softmax":
            return self._read_out(X)
        if self._is_thin(X):
            weights = self.weights_.astype(numpy.float64)
            norms = numpy.linalg.norm(weights, axis=1)
            products = numpy.asarray(_unit_rows(X) @ weights.T)
            return products / numpy.where(norms > 0, norms, 1.0)
        core = self._prototypes()
        compare = core.products if self.method == "ridge" else core.scores
        made = [compare(self._encode(part), workers=self._threads()) for part in blocks(X)]
        return numpy.concatenate(made) + self.intercept_

    def _read_out(self, X: Any) -> NDArray[numpy.float64]:
        """Sums of the softmax readout over rows at norm one, and the bias."""
        bias = self._turned()[-1].astype(numpy.float64) * BIAS
        if self._is_thin(X):
            sums = numpy.asarray(_unit_rows(X) @ self._turned()[:-1].astype(numpy.float64))
            return sums + bias  # type: ignore[no-any-return]
        core = self._prototypes()
        made = []
        for part in blocks(X):
            rows = self._encode(part)
            made.append(core.products(rows, workers=self._threads()) / _norms(rows, self.encoding_.dim)[:, None])
        found: NDArray[numpy.float64] = numpy.concatenate(made) + bias
        return found

    def _matrix(self) -> NDArray[numpy.float32]:
        return numpy.ascontiguousarray(self._turned()[:-1].T) if self.method == "softmax" else self.weights_

    def _prepare(self) -> None:
        if self._taught is None:  # it comes from a file, whose method is that of its weights
            self._taught = self.method
        if self.method == "softmax":
            self._turned()
        super()._prepare()

    def _grow(self, label: NDArray[Any]) -> None:
        """A class more. As of all, its place is that of its label in order."""
        classes = numpy.unique(numpy.concatenate([self.classes_, label]))
        weights = numpy.zeros((len(classes), self.weights_.shape[1]), numpy.float32)
        intercept = numpy.zeros(len(classes))
        places = numpy.searchsorted(classes, self.classes_)
        weights[places], intercept[places] = self.weights_, self.intercept_
        self._known = self._readout = None
        self.classes_, self.weights_, self.intercept_ = classes, weights, intercept

    def _fits_together(self) -> None:
        super()._fits_together()
        k = len(self.classes_)
        self._fits_shape((k, self.encoding_.dim + (self.method == "softmax")))
        alike = self.intercept_.shape == (k,) and numpy.isfinite(self.intercept_).all() and type(self._passes) is int
        if not alike or not numpy.array_equal(distinct(self.classes_, "classes"), self.classes_):
            message = f"{k} classes with intercepts of shape {self.intercept_.shape}"
            raise ValueError(message)
        if self._held is not None:
            checked(self._held[1], self.classes_)


def _norms(rows: NDArray[Any], dim: int) -> NDArray[numpy.float64]:
    if rows.dtype == numpy.uint8:
        return numpy.full(len(rows), numpy.sqrt(dim))
    squares = numpy.einsum("ij,ij->i", rows, rows, dtype=numpy.int64)
    return numpy.where(squares > 0, numpy.sqrt(squares), 1.0)


def _unit_rows(X: Any) -> Any:
    """CSR rows at norm one, but for those that are zero, of numbers of any magnitude."""
    counts = numpy.diff(X.indptr)
    most = numpy.zeros(len(counts))
    some = counts > 0
    most[some] = numpy.maximum.reduceat(numpy.abs(X.data), X.indptr[:-1][some]) if some.any() else 0.0
    # a power of two first, so that no square overflows or vanishes
    values = numpy.ldexp(X.data, -numpy.repeat(numpy.frexp(most)[1], counts))
    scaled = sparse.csr_matrix((values, X.indices, X.indptr), shape=X.shape)
    norms = numpy.sqrt(numpy.asarray(scaled.multiply(scaled).sum(axis=1)).ravel())
    scaled.data = values / numpy.repeat(numpy.where(norms > 0, norms, 1.0), counts)
    return scaled


def _sparse_examples(X: Any, labels: NDArray[Any]) -> Examples:
    """CSR rows at norm one, as the trainer takes them."""
    values = numpy.rint(_unit_rows(X).data * UNIT).astype(numpy.int16)
    return Examples.from_sparse(
        X.indptr.astype(numpy.int64),
        X.indices.astype(numpy.int32),
        values,
        labels.tolist(),
        dim=X.shape[1],
    )
