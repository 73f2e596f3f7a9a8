"""Texts as hypervectors, for scikit-learn's estimators and ours."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import Any, Self

import numpy
from numpy.typing import NDArray
from scipy import sparse
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from sophia._core.lexical import KINDS, LexicalEncoder
from sophia._core.sequence import NgramEncoder
from sophia._core.training import Examples
from sophia.hdc.learn.base import one_of, plain_parameters, seed_of, within
from sophia.hdc.learn.files import read, write

__all__ = ["HDCTextEncoder"]

FORMS = ("sparse", "int8", "bits")
_REAL = int | float | numpy.integer | numpy.floating
_POWERS = (0, 0.25, 0.5, 0.75, 1)


class HDCTextEncoder(TransformerMixin, BaseEstimator):
    """Turns texts into hypervectors: `transform` takes str (or UTF-8 bytes) and gives a row each.

    `form` says which. "sparse" (CSR float64 [n, dim], norm one): words, pairs of words and character n-grams of `grams`
    (least, most), weighed, and hashed to signed positions (random indexing; Kanerva and others 2000), which is what a
    linear readout learns most from. "int8" and "bits" (int8 [n, dim], uint8 [n, padded bytes]): the bundle of n-grams
    of n = `grams[1]` characters, bound and permuted (Joshi, Halseth and Kanerva 2016): the counts, scaled to 127, or
    their majority. All three go to `HDCClassifier(None)`: "sparse" with its method "centroid" or "softmax", "int8" with
    any, "bits" with its `bits` and the same `dim`. `HDCRegressor(None)` and `HDCAnomaly(None)` take "int8" and, the
    former by "online", "bits".

    `kinds` are the weights of words, pairs, skipped pairs and n-grams ("sparse" only); `idf` the power, 0 to 1 in
    quarters, of the inverse document frequency, counted by `fit`. `workers` threads make "int8" and "bits".
    `random_state` names the random vectors; 0 unless given, so that two encoders agree.

        >>> texts = ["the cat sat", "a cat sits", "le chat dort"]
        >>> vectors = HDCTextEncoder().fit_transform(texts)
        >>> vectors.shape, bool((vectors @ vectors.T)[0, 1] > (vectors @ vectors.T)[0, 2])
        ((3, 10000), True)
    """

    def __init__(
        self,
        form: str = "sparse",
        *,
        dim: int = 10_000,
        grams: tuple[int, int] = (1, 4),
        kinds: tuple[float, float, float, float] = (1.0, 0.5, 0.0, 1.0),
        idf: float = 0.25,
        workers: int = 1,
        random_state: Any = 0,
    ) -> None:
        self.form = form
        self.dim = dim
        self.grams = grams
        self.kinds = kinds
        self.idf = idf
        self.workers = workers
        self.random_state = random_state

    def fit(self, X: Iterable[str | bytes], y: object = None) -> Self:
        """Counts in how many of the texts each feature is ("sparse"; nothing is learned for the other forms).

        ValueError naming a parameter, TypeError naming a text that is none; then what was counted before stays.
        """
        self._check()
        texts, seed = _texts(X), seed_of(self.random_state)
        encoder: Any = self._unfitted(seed)
        if self.form == "sparse":
            encoder.observe(texts)
        self.seed_, self._encoder = seed, encoder
        return self

    def transform(self, X: Iterable[str | bytes]) -> Any:
        """The vectors of texts, in the form that was chosen. A text without features has a zero row ("sparse");
        ValueError naming a text of less than n characters for the other forms."""
        check_is_fitted(self, "seed_")
        within("workers", self.workers, 1, 64)
        texts = _texts(X)
        if self.form == "bits":
            return self._encoder.encode_many(texts, workers=int(self.workers))
        if self.form == "int8":
            return self._encoder.encode_int8_many(texts, workers=int(self.workers))
        offsets, positions, values = Examples(self._encoder, texts, [0] * len(texts)).sparse()
        return sparse.csr_matrix((values, positions, offsets), shape=(len(texts), int(self.dim)))

    def get_feature_names_out(self, input_features: object = None) -> NDArray[Any]:
        """hv0, hv1, ...: a name for each column of the result."""
        check_is_fitted(self, "seed_")
        columns = (int(self.dim) + 511) // 512 * 64 if self.form == "bits" else int(self.dim)
        return numpy.array([f"hv{i}" for i in range(columns)], object)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the encoder to a file of arrays and JSON with checksums, no pickle; what is there is replaced when all
        is written, and only if it is such a file.

        NotFittedError before `fit`; ConfigError where it cannot be written. A random_state that is a generator is not
        kept: the encoder loaded has None there, and the vectors of this one.
        """
        check_is_fitted(self, "seed_")
        self._check()
        head = {"class": type(self).__name__, "parameters": plain_parameters(self), "seed": self.seed_}
        held = {"frequencies": numpy.frombuffer(self._encoder.dump(), numpy.uint8)} if self.form == "sparse" else {}
        write(path, head, held)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """The encoder that `save` wrote. InputError where there is no file, or one of another class; StoreCorrupt for
        what is no model, or damaged; StoreVersionError for a newer one."""
        return read(path, cls.__name__, cls._made_of)

    @classmethod
    def _made_of(cls, head: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> Self:
        given, seed = head["parameters"], head["seed"]
        made = cls(**given | {"grams": tuple(given["grams"]), "kinds": tuple(given["kinds"])})
        made._check()
        if type(seed) is not int or set(arrays) != ({"frequencies"} if made.form == "sparse" else set()):
            message = f"seed {seed!r} and arrays {sorted(arrays)}"
            raise ValueError(message)
        made.__setstate__({**vars(made), "seed_": seed, "_encoder": arrays.get("frequencies")})
        return made

    def __getstate__(self) -> dict[str, Any]:
        state = dict(super().__getstate__())
        if "_encoder" in state:
            held = numpy.frombuffer(self._encoder.dump(), numpy.uint8) if self.form == "sparse" else None
            state["_encoder"] = held
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        if "seed_" not in state:
            return
        self._encoder = self._unfitted(self.seed_)
        if self.form == "sparse":
            self._encoder.restore(state["_encoder"].tobytes())

    def _unfitted(self, seed: int) -> Any:
        """The compiled encoder, which has seen nothing."""
        least, most = self.grams
        if self.form != "sparse":
            return NgramEncoder(int(most), int(self.dim), seed=seed)
        kinds: Any = tuple(float(weight) for weight in self.kinds)
        return LexicalEncoder(
            int(self.dim), seed=seed, grams=(int(least), int(most)), kinds=kinds, idf_power=float(self.idf)
        )

    def _check(self) -> None:
        one_of("form", self.form, FORMS)
        within("dim", self.dim, 64, 1 << 20)
        within("workers", self.workers, 1, 64)
        grams = _numbers(self.grams, int | numpy.integer)
        if len(grams) != 2 or not 1 <= grams[0] <= grams[1] <= 8:
            message = f"grams is {self.grams!r}; it is (least, most) characters of an n-gram, whole numbers from 1 to 8"
            raise ValueError(message)
        kinds = _numbers(self.kinds, _REAL)
        if len(kinds) != len(KINDS) or not all(0 <= weight <= 16 for weight in kinds):
            message = f"kinds is {self.kinds!r}; it is the weights of {', '.join(KINDS)}, numbers from 0 to 16"
            raise ValueError(message)
        idf = _numbers([self.idf], _REAL)
        if not idf or idf[0] not in _POWERS:
            message = f"idf is {self.idf!r}; it is one of {', '.join(map(str, _POWERS))}"
            raise ValueError(message)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.string = True
        tags.input_tags.two_d_array = False
        tags.input_tags.one_d_array = True
        return tags


def _numbers(values: Any, kinds: Any) -> list[Any]:
    """A list of them; an empty one for what is no tuple, list or array of such numbers."""
    found = list(values) if isinstance(values, tuple | list) or getattr(values, "ndim", 0) == 1 else []
    right = all(
        isinstance(each, kinds) and not isinstance(each, bool | complex | numpy.complexfloating) for each in found
    )
    return found if right else []


def _texts(X: Iterable[str | bytes]) -> list[str | bytes]:
    """A list of them. TypeError for a single text, a table, or what is none."""
    if isinstance(X, str | bytes):
        message = "X: a single text; give a list of them"
        raise TypeError(message)
    # a table would be gone through by its columns' names
    if isinstance(X, Mapping) or hasattr(X, "columns") or getattr(X, "ndim", 1) != 1:
        message = f'X: a {type(X).__name__} of rows and columns; give one column of texts, as df["text"] or X[:, 0]'
        raise TypeError(message)
    found = list(X)
    for place, text in enumerate(found):
        if not isinstance(text, str | bytes):
            message = f"X: element {place} is a {type(text).__name__}; texts are str or UTF-8 bytes"
            raise TypeError(message)
    return found
