"""Novelty of rows by hypervectors: how little they resemble what was seen."""

from __future__ import annotations

from typing import Any, Self

import numpy
from numpy.typing import ArrayLike, NDArray
from scipy import sparse
from sklearn.base import OutlierMixin
from sklearn.utils.validation import check_is_fitted

from sophia._core.prototypes import Prototypes
from sophia.hdc.learn.base import HDCEstimator, blocks, seed_of, within

__all__ = ["HDCAnomaly"]

_USUAL = 0.1  # share that is called -1 where none is named
_WINDOW = 1000  # latest scores by which what is called -1 is placed


class HDCAnomaly(OutlierMixin, HDCEstimator):
    """Tells rows that are unlike those that were seen, in scikit-learn's shape.

    All rows are encoded as by :class:`~sophia.hdc.learn.HDCClassifier` and bundled into one vector; the score of a row
    is its cosine with that: with encoding="cosine" an estimate of the density there (Parzen's, by random features).
    `contamination` is the share of the fitted rows, and in a stream of the latest 1,000, that `predict` calls -1, from
    0 to .5; "auto", as scikit-learn has it, is .1. With "record" what is beyond the numbers seen counts as the nearest
    of them; "sign" tells directions from the mean, and nothing where rows are spread evenly around it. Without an
    encoding as there.

    `learn_one` and `score_one` take about .2 ms of 64 features at dim 10,000. Not for two threads at once while one
    learns. For streams in the order of time see
    :class:`sophia.hdc.sensor.SensorAnomaly`.

        >>> import numpy
        >>> X = numpy.random.default_rng(0).normal(size=(300, 2))
        >>> HDCAnomaly(dim=2000, random_state=0).fit(X).predict([[0, 0], [6, 6]]).tolist()
        [1, -1]
    """

    _kept = ("weights_", "_offset", "_recent", "_seed")
    _offset: float | None = None
    _recent: NDArray[numpy.float64] | None = None
    _reach = 1e6  # how far off is what is asked; beyond it float32 holds nothing more

    def __init__(
        self,
        encoding: str | None = "cosine",
        *,
        dim: int = 10_000,
        bits: bool = False,
        levels: int = 64,
        width: float | str = "auto",
        contamination: float | str = _USUAL,
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

    @property
    def offset_(self) -> float:
        """The score below which `predict` says -1. AttributeError before anything was learned."""
        if self._offset is None:
            if self._recent is None:
                message = "offset_: nothing was learned yet"
                raise AttributeError(message)
            self._offset = self._percentile(self._recent)
        return self._offset

    def fit(self, X: Any, y: object = None) -> Self:
        """Learns what is usual from rows [n, features] (dense or CSR). `y` is not used. ValueError naming a parameter
        or rows that cannot be; whatever ends it, what was learned before stays."""
        made = self._aside()
        made._check()
        X = made._rows(X, reset=True)
        made._held, made._seed = None, seed_of(made.random_state)
        made._begin(X)
        made._learn(X)
        return self._become(made)

    def partial_fit(self, X: Any, y: object = None) -> Self:
        """Adds rows to what is usual. As for `fit`.

        `offset_` is placed by the scores of these rows and of those before them, of 1,000 in all where these are fewer;
        a share of less than 20 scores says little. Of a stream's first 100 rows the encoding is fitted: see
        :class:`~sophia.hdc.learn.HDCClassifier`.
        """
        made = self._aside()
        made._check()
        first = not self.__sklearn_is_fitted__()
        made._more(made._rows(X, reset=first), first=first)
        return self._become(made)

    def learn_one(self, x: ArrayLike) -> Self:
        """`partial_fit` of a single row, also the first. ValueError for one that `fit` would refuse; then nothing
        changes."""
        if not self.__sklearn_is_fitted__() or self._held is not None or sparse.issparse(x):
            made = self._aside()
            made._check()
            first = not self.__sklearn_is_fitted__()
            made._more(made._row(x), first=first)
            return self._become(made)
        rows = self._encode(self._row(x))  # what raises comes before what changes
        core = self._prototypes()
        self._weights = None
        core.add(rows, numpy.zeros(1, numpy.int64))
        self._noted(core.scores(rows)[:, 0])
        return self

    def score_one(self, x: ArrayLike) -> float:
        """`score_samples` of a single row."""
        check_is_fitted(self)
        return float(self._compared(self._row(x))[0])

    def predict_one(self, x: ArrayLike) -> int:
        """`predict` of a single row: 1 or -1."""
        return 1 if self.score_one(x) >= self.offset_ else -1

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
        super()._check()
        if not (isinstance(self.contamination, str) and self.contamination == "auto"):
            within("contamination", self.contamination, 0, 0.5, "number, or 'auto',")

    def _begin(self, X: Any, *, again: bool = False) -> None:
        """Nothing learned, of rows like these."""
        self._fit_encoding(X, again=again)
        self._core, self._weights = Prototypes(1, self.encoding_.dim), None
        self._recent = self._offset = None

    def _more(self, X: Any, *, first: bool) -> None:
        if first:
            self._held, self._seed = None, seed_of(self.random_state)
        X, _, anew = self._with_first(X, numpy.zeros(X.shape[0]))
        if anew:
            self._begin(X, again=self.__sklearn_is_fitted__())
        self._learn(X)

    def _learn(self, X: Any) -> None:
        """Of an object that is aside: the prototype that it shares stays as it is."""
        core = self._prototypes().grow(1)
        for part in blocks(X):
            core.add(self._encode(part), numpy.zeros(len(part), numpy.int64))
        self._core, self._weights = core, None
        self._noted(self._compared(X))
        self._offset = self.offset_

    def _noted(self, scores: NDArray[numpy.float64]) -> None:
        """Places what is called -1 by these scores and the latest before them; where there are few, when it is asked
        for."""
        before = numpy.empty(0) if self._recent is None else self._recent
        latest = numpy.concatenate([before, scores])[-max(_WINDOW, len(scores)) :]
        self._offset = self._percentile(latest) if len(latest) > _WINDOW else None
        self._recent = latest[-_WINDOW:]

    def _percentile(self, scores: NDArray[numpy.float64]) -> float:
        share = _USUAL if self.contamination == "auto" else float(self.contamination)
        return float(numpy.percentile(scores, 100.0 * share))

    def _compared(self, X: Any) -> NDArray[numpy.float64]:
        made = [self._prototypes().scores(self._encode(part), workers=self._threads())[:, 0] for part in blocks(X)]
        return numpy.concatenate(made)

    def _learned(self) -> dict[str, Any]:
        return super()._learned() | {"_offset": self.offset_}

    def _fits_together(self) -> None:
        super()._fits_together()
        self._fits_shape((1, self.encoding_.dim))
        recent = numpy.empty(0) if self._recent is None else self._recent
        right = recent.ndim == 1 and 0 < len(recent) <= _WINDOW and numpy.isfinite(recent).all()
        if not right or not -1.5 < self.offset_ < 1.5:
            message = f"offset_ {self.offset_!r}, or the latest scores"
            raise ValueError(message)
