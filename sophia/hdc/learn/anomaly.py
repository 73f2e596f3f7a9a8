"""Novelty of rows by hypervectors: how little they resemble what was seen."""

from __future__ import annotations

from typing import Any, Self

import numpy
from numpy.typing import ArrayLike, NDArray
from sklearn.base import OutlierMixin
from sklearn.utils.validation import check_is_fitted

from sophia._core.prototypes import Prototypes
from sophia.hdc.learn.base import HDCEstimator, blocks, seed_of, within

__all__ = ["HDCAnomaly"]


class HDCAnomaly(OutlierMixin, HDCEstimator):
    """Tells rows that are unlike those that were seen, in scikit-learn's shape.

    All rows are encoded as by :class:`~sophia.hdc.learn.HDCClassifier` and bundled into one vector; the score of a row
    is its cosine with that: with encoding="cosine" an estimate of the density there (Parzen's, by random features).
    `contamination` is the share of the fitted rows that `predict` calls -1. For streams in the order of time see
    :class:`sophia.hdc.sensor.SensorAnomaly`.

        >>> import numpy
        >>> X = numpy.random.default_rng(0).normal(size=(300, 2))
        >>> HDCAnomaly(dim=2000, random_state=0).fit(X).predict([[0, 0], [6, 6]]).tolist()
        [1, -1]
    """

    _kept = ("weights_", "offset_")
    _reach = 1e6  # how far off is what is asked; beyond it float32 holds nothing more

    def __init__(
        self,
        encoding: str = "cosine",
        *,
        dim: int = 10_000,
        bits: bool = False,
        levels: int = 64,
        width: float | str = "auto",
        contamination: float = 0.1,
        workers: int = 1,
        random_state: Any = None,
    ) -> None:
        self.encoding = encoding
        self.dim = dim
        self.bits = bits
        self.levels = levels
        self.width = width
        self.contamination = contamination
        self.workers = workers
        self.random_state = random_state

    def fit(self, X: Any, y: object = None) -> Self:
        """Learns what is usual from rows [n, features] (dense or CSR). `y` is not used."""
        self._check()
        X = self._rows(X, reset=True)
        self._fit_encoding(X, seed_of(self.random_state))
        self.weights_ = numpy.zeros((1, int(self.dim)), numpy.float32)
        self._add(X)
        self._place(X)
        return self

    def partial_fit(self, X: Any, y: object = None) -> Self:
        """Adds rows to what is usual. What is called -1 is placed by these rows' scores."""
        self._check()
        first = not hasattr(self, "weights_")
        X = self._rows(X, reset=first)
        if first:
            self._fit_encoding(X, seed_of(self.random_state))
            self.weights_ = numpy.zeros((1, int(self.dim)), numpy.float32)
        self._add(X)
        if first or X.shape[0] >= 20:  # a share of fewer says nothing
            self._place(X)
        return self

    def learn_one(self, x: ArrayLike) -> Self:
        """`partial_fit` of a single row."""
        return self.partial_fit(numpy.asarray(x, dtype=float).reshape(1, -1))

    def score_one(self, x: ArrayLike) -> float:
        """`score_samples` of a single row."""
        return float(self.score_samples(numpy.asarray(x, dtype=float).reshape(1, -1))[0])

    def score_samples(self, X: Any) -> NDArray[numpy.float64]:
        """How much each row resembles what was seen, float64 [n]: the lower, the more unusual."""
        check_is_fitted(self)
        return self._compared(self._rows(X, reset=False))

    def decision_function(self, X: Any) -> NDArray[numpy.float64]:
        """The score less `offset_`: below 0 for what `predict` calls -1."""
        return self.score_samples(X) - self.offset_

    def predict(self, X: Any) -> NDArray[numpy.int64]:
        """1 for what is usual, -1 for what is not."""
        return numpy.where(self.decision_function(X) >= 0, 1, -1)

    def _check(self) -> None:
        self._check_encoding()
        within("contamination", self.contamination, 0, 0.5, "number")

    def _add(self, X: Any) -> None:
        prototypes = Prototypes.restore(self.weights_)
        for part in blocks(X):
            prototypes.add(self._encode(part), numpy.zeros(len(part), numpy.int64))
        self.weights_ = prototypes.dump()
        self._core = prototypes

    def _compared(self, X: Any) -> NDArray[numpy.float64]:
        made = [self._prototypes().scores(self._encode(part), workers=int(self.workers))[:, 0] for part in blocks(X)]
        return numpy.concatenate(made)

    def _place(self, X: Any) -> None:
        self.offset_ = float(numpy.percentile(self._compared(X), 100.0 * float(self.contamination)))
