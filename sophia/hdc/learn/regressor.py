"""Regression by hypervectors: a linear readout of an encoding."""

from __future__ import annotations

from typing import Any, Self

import numpy
from numpy.typing import ArrayLike, NDArray
from sklearn.base import RegressorMixin
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from sophia.hdc.learn.base import HDCEstimator, blocks, one_of, seed_of, within
from sophia.hdc.learn.ridge import check_count, solve

__all__ = ["HDCRegressor"]

METHODS = ("ridge", "online")

_MOST = float(numpy.finfo(float).max)
_NEAR, _FAR = 2.0**40, 2.0**100  # numbers from one by the first to the second: float32 holds weights for them


def _goes_on(self: HDCRegressor) -> bool:
    if self.method != "online":
        message = f"partial_fit: method={self.method!r} is worked out of all rows at once; use method='online'"
        raise AttributeError(message)
    return True


class HDCRegressor(RegressorMixin, HDCEstimator):
    """Predicts a number from rows of numbers by hypervectors, in scikit-learn's shape.

    Rows are encoded as by :class:`~sophia.hdc.learn.HDCClassifier`. `method` is "ridge", the closed form (kernel ridge
    regression by random features; up to 20,000 rows), or "online": each row moves the weights by `rate` times its
    error, its vector being taken at norm one (normalised least mean squares, as in RegHD, Hernandez-Cano and others
    2021). Parameters otherwise as there: `encoding` may be None (whole numbers from -127 to 127, or with `bits` packed
    bits), `bits` goes with "online". A stream's first 100 rows are held back as there.

    `alpha` shrinks the weights of "ridge": the more noise there is and the fewer rows, the more of it. It is times the
    mean square of a row. R2 of five folds, shuffled, at dim 10,000 (diabetes 442 rows, Friedman's first function 500,
    a sine of one feature 200; s is the deviation of the noise); .3 loses the least against each row's best:

    | | .001 | .01 | .1 | .3 | 1 | 3 | 10 |
    |---|---|---|---|---|---|---|---|
    | diabetes, "cosine" | -.64 | -.05 | .33 | .41 | .44 | .45 | .40 |
    | diabetes, "record" | -1.05 | .03 | .38 | .45 | .48 | .49 | .47 |
    | diabetes, "sign" | .40 | .40 | .43 | .46 | .48 | .48 | .47 |
    | Friedman, s = 1, "cosine" | .84 | .84 | .84 | .83 | .78 | .71 | .55 |
    | Friedman, s = 1, "record" | .72 | .81 | .87 | .88 | .88 | .85 | .76 |
    | Friedman, no noise, "cosine" | .91 | .91 | .89 | .87 | .82 | .74 | .58 |
    | sine, s = .2, "cosine" | .93 | .93 | .93 | .93 | .93 | .93 | .91 |
    | sine, no noise, "cosine" | 1 | 1 | 1 | 1 | 1 | 1 | .97 |

    Numbers may be of any magnitude: `weights_` (float32 [1, dim]) and `intercept_` (float64 [1]) are in `unit_`, a
    power of two that is 1 for usual ones; what is predicted is finite. `learn_one` takes about .3 ms of 64 features at
    dim 10,000. "ridge" takes 8 bytes for each pair of rows (3.4 GB in all at most). Not for two threads at once while
    one learns.

        >>> import numpy
        >>> X = numpy.linspace(0, 6, 200)[:, None]
        >>> model = HDCRegressor(dim=2000, random_state=0).fit(X, numpy.sin(X[:, 0]))
        >>> bool(abs(model.predict([[1.5]])[0] - numpy.sin(1.5)) < 0.05)
        True
    """

    _kept = ("weights_", "intercept_", "unit_", "_seed", "_passes")

    def __init__(
        self,
        encoding: str | None = "cosine",
        method: str = "ridge",
        *,
        dim: int = 10_000,
        bits: bool = False,
        levels: int = 64,
        width: float | str = "auto",
        epochs: int = 20,
        rate: float = 0.5,
        alpha: float = 0.3,
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
        self.alpha = alpha
        self.workers = workers
        self.random_state = random_state

    def fit(self, X: Any, y: ArrayLike) -> Self:
        """Learns from rows [n, features] (dense or CSR) and their numbers [n].

        ValueError naming a parameter, rows or numbers that cannot be; whatever ends it, what was learned before stays.
        """
        made = self._aside()
        made._check()
        _check_targets(y)
        X, y = made._rows(X, reset=True, y=y, y_numeric=True)
        targets = numpy.asarray(y, numpy.float64)
        made._held, made._seed = None, seed_of(made.random_state)
        made._begin(X, targets)
        rows = made._encoded(X)
        if made.method == "ridge":
            made._weights, made.intercept_ = solve(rows, targets[:, None] / made.unit_, float(made.alpha))
        else:
            for epoch in range(int(made.epochs)):
                made._pass(rows, targets, epoch)
        made._prepare()
        return self._become(made)

    @available_if(_goes_on)
    def partial_fit(self, X: Any, y: ArrayLike) -> Self:
        """Goes on learning, one pass over these rows. As for `fit`; of a stream's first 100 rows the encoding and
        `intercept_` are fitted: see :class:`~sophia.hdc.learn.HDCClassifier`."""
        made = self._aside()
        made._check()
        first = not self.__sklearn_is_fitted__()
        _check_targets(y)
        X, y = made._rows(X, reset=first, y=y, y_numeric=True)
        made._more(X, numpy.asarray(y, numpy.float64), first=first)
        made._prepare()
        return self._become(made)

    @available_if(_goes_on)
    def learn_one(self, x: ArrayLike, y: float) -> Self:
        """`partial_fit` of a single row, also the first. ValueError for a row or a number that is not finite; then
        nothing changes."""
        try:
            target = numpy.asarray(y, numpy.float64)
        except (TypeError, ValueError, OverflowError):
            target = numpy.empty(0)
        if target.size != 1 or not numpy.isfinite(target).all():
            message = f"y: {y!r}; it is a finite number"
            raise ValueError(message)
        made = self._aside()
        made._check()
        first = not self.__sklearn_is_fitted__()
        made._more(made._row(x), target.reshape(1), first=first)
        return self._become(made)

    def predict_one(self, x: ArrayLike) -> float:
        """The number for a single row."""
        check_is_fitted(self)
        return float(self._predicted(self._row(x))[0])

    def predict(self, X: Any) -> NDArray[numpy.float64]:
        """The number for each row: float64 [n]."""
        check_is_fitted(self)
        return self._predicted(self._rows(X, reset=False))

    def _predicted(self, X: Any) -> NDArray[numpy.float64]:
        made = [self._prototypes().products(self._encode(part), workers=self._threads())[:, 0] for part in blocks(X)]
        sums = numpy.concatenate(made) + self.intercept_[0]  # in units: of two that overflow there is no sum
        with numpy.errstate(over="ignore"):
            sums *= self.unit_
        found: NDArray[numpy.float64] = numpy.clip(sums, -_MOST, _MOST)
        return found

    def _check(self) -> None:
        one_of("method", self.method, METHODS)
        super()._check()
        within("epochs", self.epochs, 1, 10_000)
        within("rate", self.rate, 1e-6, 2, "number")
        within("alpha", self.alpha, 0, 1e12, "number")
        if self.method == "ridge" and self.bits:
            message = "bits: method='ridge' needs components; use bits=False (encoding='sign' is one bit of content)"
            raise ValueError(message)

    def _begin(self, X: Any, targets: NDArray[numpy.float64], *, again: bool = False) -> None:
        """Nothing learned but the mean, of rows and numbers like these."""
        if self.method == "ridge":
            check_count(X.shape[0])
        self._passes = 0
        self._fit_encoding(X, again=again)
        self._core = None
        self._weights = numpy.zeros((1, self.encoding_.dim), numpy.float32)
        self.unit_ = _unit(float(numpy.abs(targets).max()))
        self.intercept_ = numpy.array([(targets / self.unit_).mean()])

    def _more(self, X: Any, targets: NDArray[numpy.float64], *, first: bool) -> None:
        if first:
            self._held, self._seed = None, seed_of(self.random_state)
        X, targets, anew = self._with_first(X, targets)
        if anew:
            self._begin(X, targets, again=self.__sklearn_is_fitted__())
        self._pass(self._encoded(X), targets, self._passes)
        self._passes += 1

    def _pass(self, rows: NDArray[Any], targets: NDArray[Any], epoch: int) -> None:
        """One step for each row, in an order that the seed shuffles."""
        weights = self.weights_[0].astype(numpy.float64)
        most = float(numpy.abs(targets).max())
        if most > self.unit_ * _FAR:  # float32 would not hold the weights in this unit
            unit = _unit(most)
            weights *= self.unit_ / unit
            self.intercept_ = self.intercept_ * (self.unit_ / unit)
            self.unit_ = unit
        wanted = targets / self.unit_ - self.intercept_[0]
        order = [0]  # to draw that of one row takes longer than its step
        if len(rows) > 1:
            order = numpy.random.RandomState((self._seed + epoch) % (1 << 32)).permutation(len(rows)).tolist()
        rate = float(self.rate)
        for at in order:
            row = self._components(rows[at])
            square = float(row @ row)
            if square > 0.0:
                weights += (rate * (wanted[at] - float(weights @ row)) / square) * row
        self._weights, self._core = weights.astype(numpy.float32)[None], None

    def _components(self, row: NDArray[Any]) -> NDArray[Any]:
        if row.dtype == numpy.uint8:
            return 1.0 - 2.0 * numpy.unpackbits(row, count=self.encoding_.dim, bitorder="little")
        return row.astype(numpy.float64)

    def _fits_together(self) -> None:
        super()._fits_together()
        self._fits_shape((1, self.encoding_.dim))
        whole = type(self.unit_) is float and 0 < self.unit_ < numpy.inf and type(self._passes) is int
        if not whole or self.intercept_.shape != (1,) or not numpy.isfinite(self.intercept_).all():
            message = f"unit_ {self.unit_!r} and an intercept of shape {self.intercept_.shape}"
            raise ValueError(message)
        if self._held is not None and not (
            self._held[1].dtype == numpy.float64 and numpy.isfinite(self._held[1]).all()
        ):
            message = "numbers of the first rows that are not finite"
            raise ValueError(message)


def _check_targets(y: Any) -> None:
    """ValueError naming the first that is no finite number; whether there are as many as rows, scikit-learn asks."""
    given = numpy.asarray(y)
    if given.ndim == 0 or given.dtype.kind not in "fOUS":
        return
    for row in numpy.argwhere(~numpy.isfinite(given))[:1, 0] if given.dtype.kind == "f" else range(len(given)):
        try:
            wrong = not numpy.isfinite(numpy.asarray(given[row], numpy.float64)).all()
        except (TypeError, ValueError, OverflowError):
            wrong = True
        if wrong:
            message = f"y: row {row} is {given[row]!r}; targets are finite numbers"
            raise ValueError(message)


def _unit(most: float) -> float:
    """A power of two for numbers of that magnitude; 1 for usual ones."""
    return 1.0 if most == 0 or 1 / _NEAR <= most <= _FAR else float(numpy.ldexp(1.0, numpy.frexp(most)[1] - 1))
