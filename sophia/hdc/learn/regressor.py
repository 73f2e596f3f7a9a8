"""Regression by hypervectors: a linear readout of an encoding."""

from __future__ import annotations

from typing import Any, Self

import numpy
from numpy.typing import ArrayLike, NDArray
from sklearn.base import RegressorMixin
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from sophia.hdc.learn.base import HDCEstimator, blocks, one_of, seed_of, within
from sophia.hdc.learn.ridge import solve

__all__ = ["HDCRegressor"]

METHODS = ("ridge", "online")


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
    2021). Parameters otherwise as there.

        >>> import numpy
        >>> X = numpy.linspace(0, 6, 200)[:, None]
        >>> model = HDCRegressor(dim=2000, random_state=0).fit(X, numpy.sin(X[:, 0]))
        >>> bool(abs(model.predict([[1.5]])[0] - numpy.sin(1.5)) < 0.05)
        True
    """

    _kept = ("weights_", "intercept_")

    def __init__(
        self,
        encoding: str = "cosine",
        method: str = "ridge",
        *,
        dim: int = 10_000,
        levels: int = 64,
        width: float | str = "auto",
        epochs: int = 20,
        rate: float = 0.5,
        alpha: float = 0.001,
        workers: int = 1,
        random_state: Any = None,
    ) -> None:
        self.encoding = encoding
        self.method = method
        self.dim = dim
        self.levels = levels
        self.width = width
        self.epochs = epochs
        self.rate = rate
        self.alpha = alpha
        self.workers = workers
        self.random_state = random_state

    bits = False

    def fit(self, X: Any, y: ArrayLike) -> Self:
        """Learns from rows [n, features] (dense or CSR) and their numbers [n]."""
        self._check()
        X, y = self._rows(X, reset=True, y=y, y_numeric=True)
        self._begin(X)
        rows = self._encoded(X)
        targets = numpy.asarray(y, numpy.float64)
        if self.method == "ridge":
            self.weights_, self.intercept_ = solve(rows, targets[:, None], float(self.alpha))
        else:
            self.intercept_ = numpy.array([targets.mean()])
            for epoch in range(int(self.epochs)):
                self._pass(rows, targets, epoch)
        self._core = None
        self._prototypes()
        return self

    @available_if(_goes_on)
    def partial_fit(self, X: Any, y: ArrayLike) -> Self:
        """Goes on learning, one pass over these rows."""
        self._check()
        first = not hasattr(self, "weights_")
        X, y = self._rows(X, reset=first, y=y, y_numeric=True)
        targets = numpy.asarray(y, numpy.float64)
        if first:
            self._begin(X)
            self.intercept_ = numpy.array([targets.mean()])
        self._pass(self._encoded(X), targets, self._passes)
        self._passes += 1
        self._core = None
        self._prototypes()
        return self

    def learn_one(self, x: ArrayLike, y: float) -> Self:
        """`partial_fit` of a single row."""
        return self.partial_fit(numpy.asarray(x, dtype=float).reshape(1, -1), [y])  # type: ignore[no-any-return]

    def predict_one(self, x: ArrayLike) -> float:
        """The number for a single row."""
        return float(self.predict(numpy.asarray(x, dtype=float).reshape(1, -1))[0])

    def predict(self, X: Any) -> NDArray[numpy.float64]:
        """The number for each row: float64 [n]."""
        check_is_fitted(self)
        X = self._rows(X, reset=False)
        made = [self._prototypes().products(self._encode(part), workers=int(self.workers))[:, 0] for part in blocks(X)]
        found: NDArray[numpy.float64] = numpy.concatenate(made) + self.intercept_[0]
        return found

    def _check(self) -> None:
        one_of("method", self.method, METHODS)
        self._check_encoding()
        within("epochs", self.epochs, 1, 10_000)
        within("rate", self.rate, 1e-6, 2, "number")
        within("alpha", self.alpha, 0, 1e12, "number")

    def _begin(self, X: Any) -> None:
        self._seed = seed_of(self.random_state)
        self._passes = 0
        self._fit_encoding(X, self._seed)
        self.weights_ = numpy.zeros((1, int(self.dim)), numpy.float32)
        self.intercept_ = numpy.zeros(1)

    def _pass(self, rows: NDArray[Any], targets: NDArray[Any], epoch: int) -> None:
        """One step for each row, in an order that the seed shuffles."""
        weights = self.weights_[0].astype(numpy.float64)
        order = numpy.random.RandomState((self._seed + epoch) % (1 << 32)).permutation(len(rows))
        rate = float(self.rate)
        for at in order:
            row = rows[at].astype(numpy.float64)
            square = float(row @ row)
            if square > 0.0:
                weights += (rate * (targets[at] - self.intercept_[0] - float(weights @ row)) / square) * row
        self.weights_ = weights.astype(numpy.float32)[None]

    def _learned(self) -> dict[str, Any]:
        return super()._learned() | {"_seed": self._seed, "_passes": self._passes}
