"""What the estimators have in common: their parameters' checks, the first rows of a stream, encoding in blocks, files
without pickle."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any, ClassVar, Self

import numpy
from numpy.typing import ArrayLike, NDArray
from scipy import sparse
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from sophia._core.prototypes import Prototypes
from sophia.errors import InputError
from sophia.hdc.learn.encoding import ENCODINGS, Encoding, Given, dense, fitted, restored
from sophia.hdc.learn.files import read, write

__all__ = ["BLOCK", "FIRST", "HDCEstimator", "blocks", "one_of", "plain_parameters", "seed_of", "within"]

BLOCK = 1024  # rows that are dense, or encoded, at a time where not all of them are needed at once
FIRST = 100
"""Rows of a stream of which the encoding is fitted."""

_PLAIN = ("n_features_in_", "unit_", "_offset", "_passes", "_seed")  # kept as they are; what else is kept are arrays
_CELLS = 1 << 20  # numbers of a block at most
_NARROW, _WIDE = 1e-6, 1e6  # widths beyond which float32 phases hold nothing of a row, or all rows are alike


class HDCEstimator(BaseEstimator):
    """Rows of numbers that are encoded as hypervectors, and what is learned of these.

    Not for two threads at once while one learns; what does not learn may run in many. A call that raises changes
    nothing.
    """

    # set by each estimator's constructor, as scikit-learn wants it
    encoding: str | None
    dim: int
    levels: int
    width: float | str
    bits: bool
    random_state: Any
    workers: int

    encoding_: Encoding
    n_features_in_: int
    _seed: int

    _core: Prototypes | None = None
    """The compiled form of what was learned. It is what learns, where there is one for that; then `_weights` is None
    until it is asked for."""
    _weights: NDArray[numpy.float32] | None = None
    _held: tuple[Any, NDArray[Any]] | None = None
    """The first rows of a stream and what they teach, while there are fewer than FIRST."""

    _reach: ClassVar[float] = 3.0
    """Standard deviations that a feature may be off: what is rare for one must not outweigh all others."""
    _kept: ClassVar[tuple[str, ...]] = ()
    """Fitted attributes that a file keeps, beside the encoding."""

    @property
    def weights_(self) -> NDArray[numpy.float32]:
        """What was learned, float32 [k, dim], not to be written to; by "softmax" [k, dim + 1], the bias last.
        AttributeError before anything was."""
        if self._weights is None:
            self._weights = self._dumped()
            self._weights.flags.writeable = False
        return self._weights

    @weights_.setter
    def weights_(self, weights: NDArray[numpy.float32]) -> None:
        self._weights, self._core = weights, None

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes what was learned to a file of arrays and JSON with checksums, no pickle; what is there is replaced
        when all is written, and only if it is such a file.

        NotFittedError before anything was learned; ValueError where parameters were changed since, so that they do not
        go with what was learned; ConfigError where it cannot be written. A random_state that is a
        generator is not kept: the model loaded has None there, and the vectors of this one.
        """
        check_is_fitted(self)
        self._check()
        self._fits_together()
        arrays: dict[str, NDArray[Any]] = {}
        learned: dict[str, Any] = {}
        for name, value in self._learned().items():
            _pack(name, value, arrays, learned)
        write(path, {"class": type(self).__name__, "parameters": plain_parameters(self), "learned": learned}, arrays)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """The estimator that `save` wrote. InputError where there is no file, or one of another class; StoreCorrupt for
        what is no model, or damaged; StoreVersionError for a newer one."""
        return read(path, cls.__name__, cls._made_of)

    @classmethod
    def _made_of(cls, head: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> Self:
        made = cls(**head["parameters"])
        made._check()
        learned = _unpack(head["learned"], arrays)
        made.encoding_ = restored(learned.pop("encoding_"))
        unknown = set(learned) - {*cls._kept, "n_features_in_", "feature_names_in_", "_held"}
        if unknown or not {*cls._kept, "n_features_in_"} <= set(learned):
            message = f"it has {', '.join(sorted(learned))}"
            raise ValueError(message)
        held = learned.pop("_held", None)
        for name, value in learned.items():
            if isinstance(value, numpy.ndarray) == (name in _PLAIN):
                message = f"{name} is {value!r}"
                raise ValueError(message)
            setattr(made, name, value)
        if held is not None:
            rows = held["rows"]
            if isinstance(rows, dict):
                rows = sparse.csr_matrix((rows["data"], rows["indices"], rows["offsets"]), rows["shape"])
                rows.check_format(full_check=True)
            made._held = rows, held["y"]
        made._fits_together()
        made._prepare()
        return made

    def _learned(self) -> dict[str, Any]:
        """What a file keeps, by name."""
        kept = {name: getattr(self, name) for name in ("encoding_", *self._kept, "n_features_in_")}
        if hasattr(self, "feature_names_in_"):
            kept["feature_names_in_"] = self.feature_names_in_
        if self._held is not None:
            rows, y = self._held
            if sparse.issparse(rows):
                rows = {"data": rows.data, "indices": rows.indices, "offsets": rows.indptr, "shape": list(rows.shape)}
            kept["_held"] = {"rows": rows, "y": y}
        return kept

    def _fits_together(self) -> None:
        """ValueError naming what of the things learned does not go with the others."""
        self._agree()
        self.encoding_.check()
        names = getattr(self, "feature_names_in_", None)
        if self.encoding_.features != self.n_features_in_ or not (names is None or len(names) == self.n_features_in_):
            message = f"{self.n_features_in_} features, the encoding has {self.encoding_.features}"
            raise ValueError(message)
        whole = type(self._seed) is int and type(self.n_features_in_) is int
        if not whole or not numpy.isfinite(self.weights_).all():
            message = "the weights are not finite, or a number is not whole"
            raise ValueError(message)
        if self._held is not None:
            rows, y = self._held
            finite = numpy.isfinite(rows.data if sparse.issparse(rows) else rows).all()
            finite = finite and (y.dtype.kind != "f" or numpy.isfinite(y).all())
            if rows.shape != (len(y), self.n_features_in_) or not 0 < len(y) < FIRST or not finite:
                message = f"first rows of shape {rows.shape} with {len(y)} labels or numbers"
                raise ValueError(message)

    def _fits_shape(self, shape: tuple[int, int]) -> None:
        """ValueError unless the weights have that shape."""
        if self.weights_.shape != shape or self.weights_.dtype != numpy.float32:
            message = f"weights_ of {self.weights_.dtype} and shape {self.weights_.shape}, where {shape} is right"
            raise ValueError(message)

    def __getstate__(self) -> dict[str, Any]:
        """Without the compiled form of what was learned, which is made again when it is needed."""
        if self._core is not None:
            self.weights_  # noqa: B018 - worked out, so that it is among the state
        state: dict[str, Any] = super().__getstate__()
        return {name: value for name, value in state.items() if name not in ("_core", "_known")}

    def __sklearn_is_fitted__(self) -> bool:
        return "encoding_" in vars(self)

    def _aside(self) -> Self:
        """Another object with what this one has: it learns, and is taken where nothing was raised."""
        made = object.__new__(type(self))
        made.__dict__.update(self.__dict__)
        return made

    def _become(self, made: Self) -> Self:
        self.__dict__ = made.__dict__
        return self

    def _with_first(self, X: Any, y: NDArray[Any]) -> tuple[Any, NDArray[Any], bool]:
        """What is to be learned when these rows come, and whether from nothing.

        The first FIRST rows are held back, and each time that their number has doubled, and when they are complete, the
        encoding is fitted and all is learned anew of all of them: one row says nothing of what is usual. Between, and
        after, rows are learned as they come.
        """
        known = self.__sklearn_is_fitted__()
        if self.encoding is None or (known and self._held is None):
            return X, y, not known
        before = 0
        rows, all_y = (X.copy(), y.copy())
        if self._held is not None:
            before = len(self._held[1])
            both = (self._held[0], X)
            rows = sparse.vstack(both, format="csr") if any(map(sparse.issparse, both)) else numpy.concatenate(both)
            all_y = numpy.concatenate((self._held[1], y))
        n = len(all_y)
        self._held = None if n >= FIRST else (rows, all_y)
        if n >= FIRST or n.bit_length() > before.bit_length():
            return rows, all_y, True
        return X, y, False

    def _prototypes(self) -> Prototypes:
        """The compiled form of the weights."""
        if self._core is None:
            self._core = Prototypes.restore(numpy.ascontiguousarray(self._matrix()))
        return self._core

    def _prepare(self) -> None:
        """Makes what predictions need, so that they change nothing."""
        self._prototypes()

    def _matrix(self) -> NDArray[numpy.float32]:
        """float32 [k, dim]: what encoded rows are compared with."""
        return self.weights_

    def _dumped(self) -> NDArray[numpy.float32]:
        if self._core is None:
            message = "weights_: nothing was learned yet"
            raise AttributeError(message)
        return self._core.dump()

    def _agree(self) -> None:
        """ValueError where what was learned is nothing for the encoding that was set since."""
        if not self.__sklearn_is_fitted__():
            return
        kind = None if isinstance(self.encoding_, Given) else self.encoding_.kind
        if self.encoding != kind:
            message = (
                f"encoding is {self.encoding!r}, and what was learned is of rows by {kind!r}; set that again, or fit"
            )
            raise ValueError(message)
        if isinstance(self.encoding_, Given) and self.encoding_.packed != bool(self.bits):
            message = (
                f"bits is {self.bits!r}, and what was learned is of rows by encoding=None and bits="
                f"{self.encoding_.packed}; set that again, or fit"
            )
            raise ValueError(message)

    def _threads(self) -> int:
        """`workers`, which may have been set since it was checked."""
        within("workers", self.workers, 1, 64)
        return int(self.workers)

    def _check(self) -> None:
        """ValueError naming the parameter that is none."""
        if self.encoding is not None:
            one_of("encoding", self.encoding, ENCODINGS)
        within("dim", self.dim, 64, 1 << 20)
        within("levels", self.levels, 2, 1 << 16)
        self._threads()
        if not isinstance(self.bits, bool | numpy.bool_):
            message = f"bits is {self.bits!r}; it is True or False"
            raise ValueError(message)
        number = isinstance(self.width, int | float | numpy.number) and not isinstance(self.width, bool)
        if self.width != "auto" and not (number and _NARROW <= float(self.width) <= _WIDE):
            message = f"width is {self.width!r}; it is a distance in deviations from {_NARROW} to {_WIDE}, or 'auto'"
            raise ValueError(message)

    def _rows(self, X: Any, *, reset: bool, **more: Any) -> Any:
        """X, or X and y, as scikit-learn checks them: float64, dense or CSR in its one form, finite. Without an
        encoding also int8, or with `bits` uint8."""
        if not reset:
            self._agree()
        packed = self.encoding is None and bool(self.bits)
        dtype: Any = numpy.float64
        if self.encoding is None:
            dtype = None if packed else [numpy.float64, numpy.int8]
        with numpy.errstate(over="ignore", invalid="ignore"):  # whether all are finite is first asked of their sum
            found = validate_data(self, X, accept_sparse="csr", dtype=dtype, reset=reset, **more)
        rows = found[0] if more else found
        if packed:
            self._check_packed(rows)
        elif sparse.issparse(rows):
            rows = _canonical(rows)
        return (rows, *found[1:]) if more else rows

    def _check_packed(self, rows: Any) -> None:
        columns = (int(self.dim) + 511) // 512 * 64
        if sparse.issparse(rows) or rows.dtype != numpy.uint8 or rows.shape[1] != columns:
            found = "sparse rows" if sparse.issparse(rows) else f"{rows.dtype} rows of {rows.shape[1]}"
            message = (
                f"X: {found}; with encoding=None and bits=True they are packed bits, uint8 rows of {columns} bytes for "
                f"dim={int(self.dim)}: give the dim that they have, or bits=False for components"
            )
            raise ValueError(message)

    def _row(self, x: ArrayLike) -> Any:
        """A single row, checked as `_rows` does, in less time. ValueError for what is not one."""
        self._agree()
        found: Any = x if sparse.issparse(x) else numpy.asarray(x)
        if not (found.ndim == 1 or (found.ndim == 2 and found.shape[0] == 1)):
            message = f"x: shape {list(found.shape)}; a single row is [features] or [1, features]"
            raise ValueError(message)
        row = found.reshape((1, -1))
        if sparse.issparse(row):
            return self._rows(row, reset=not self.__sklearn_is_fitted__())
        if found.dtype.kind not in "biuf" or row.shape[1] != getattr(self, "n_features_in_", None):
            return self._rows(row, reset=not self.__sklearn_is_fitted__())
        if self.encoding is None and found.dtype in (numpy.int8, numpy.uint8):
            return self._rows(row, reset=False)
        row = row.astype(numpy.float64)
        return row if numpy.isfinite(row).all() else self._rows(row, reset=False)

    def _fit_encoding(self, X: Any, *, again: bool) -> None:
        """Of rows like these; `again` where those of a stream are more by now: then no warning is repeated."""
        if self.encoding is None:
            dim = int(self.dim) if self.bits else X.shape[1]
            if not 64 <= dim <= 1 << 20:
                message = (
                    f"X has {dim:,} columns; with encoding=None rows are hypervectors and that is their dimension, 64 "
                    f"to {1 << 20:,}; set an encoding for rows of numbers, or dim in HDCTextEncoder"
                )
                raise ValueError(message)
            self.encoding_ = Given(dim, 0, X.shape[1], packed=bool(self.bits))
            return
        self.encoding_ = fitted(
            self.encoding,
            X,
            dim=int(self.dim),
            seed=self._seed,
            levels=int(self.levels),
            width=self.width,
            reach=self._reach,
            again=again,
        )

    def _encoded(self, X: Any) -> NDArray[Any]:
        """All rows at once: dim bytes each, or dim / 8 of bits."""
        made = [self._encode(part) for part in blocks(X)]
        return numpy.concatenate(made) if len(made) > 1 else made[0]

    def _encode(self, X: NDArray[Any]) -> NDArray[Any]:
        return self.encoding_.encode(X, bits=bool(self.bits), workers=self._threads())

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags


def blocks(X: Any) -> Iterator[NDArray[Any]]:
    """Dense rows of X, so many at a time, of many features fewer; at least one block."""
    step = max(1, min(BLOCK, _CELLS // max(1, X.shape[1])))
    for at in range(0, max(1, X.shape[0]), step):
        yield dense(X[at : at + step])


def seed_of(random_state: Any) -> int:
    """A seed, drawn as scikit-learn's estimators draw theirs."""
    return int(check_random_state(random_state).randint(1 << 31))


def one_of(name: str, value: object, allowed: tuple[str, ...]) -> None:
    """ValueError unless the value is one of those."""
    if value not in allowed:
        message = f"{name} is {value!r}; use one of {', '.join(allowed)}"
        raise ValueError(message)


def within(name: str, value: object, least: float, most: float, kind: str = "whole number") -> None:
    """ValueError unless the value is a number from `least` to `most`; a whole one, unless `kind` says "number"."""
    types: Any = (int, numpy.integer) if kind == "whole number" else (int, float, numpy.number)
    if isinstance(value, bool) or not isinstance(value, types) or not least <= value <= most:
        message = f"{name} is {value!r}; it is a {kind} from {least} to {most}"
        raise ValueError(message)


def plain_parameters(estimator: BaseEstimator) -> dict[str, Any]:
    """The parameters as JSON has them: numpy's numbers, as a search over a grid gives them, as Python's. A random_state
    is kept where it is a number."""
    made = {name: _plain(value) for name, value in estimator.get_params(deep=False).items()}
    if type(made["random_state"]) is not int:
        made["random_state"] = None
    return made


def _plain(value: Any) -> Any:
    if isinstance(value, numpy.generic | numpy.ndarray):
        return value.tolist()
    if isinstance(value, tuple | list):
        return [_plain(each) for each in value]
    return value


def _canonical(X: Any) -> Any:
    """CSR rows, copied, in the order of their columns, without zeros and with each place once: what is learned must not
    depend on how they are stored. ValueError where what is stored of one place sums to more than a float64 holds."""
    made = sparse.csr_matrix((X.data.astype(numpy.float64), X.indices.copy(), X.indptr.copy()), shape=X.shape)
    made.sum_duplicates()
    made.eliminate_zeros()
    if not numpy.isfinite(made.data).all():
        message = "X: numbers of one place sum to more than a float64 holds"
        raise ValueError(message)
    return made


def _pack(name: str, value: Any, arrays: dict[str, NDArray[Any]], packed: dict[str, Any]) -> None:
    """Files a value under its name: arrays of numbers and strings beside, all else as JSON."""
    if isinstance(value, Encoding):
        value = value.state()
    if isinstance(value, dict):
        inner: dict[str, Any] = {}
        for key, one in value.items():
            _pack(key, one, arrays, inner)
        packed[name] = {"dict": inner}
    elif isinstance(value, numpy.ndarray) and value.dtype.kind in "biufU":
        arrays[f"a{len(arrays)}"] = value
        packed[name] = {"array": f"a{len(arrays) - 1}"}
    elif isinstance(value, numpy.ndarray):
        items = value.tolist()
        if not all(isinstance(item, str) for item in items):
            message = f"{name} holds {value.dtype} objects that are no strings or numbers; they cannot be saved"
            raise InputError(message)
        packed[name] = {"objects": items}
    else:
        packed[name] = {"value": _plain(value)}


def _unpack(packed: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for name, held in packed.items():
        if "dict" in held:
            made[name] = _unpack(held["dict"], arrays)
        elif "array" in held:
            made[name] = arrays[held["array"]]
        elif "objects" in held:
            if not all(isinstance(item, str) for item in held["objects"]):
                message = f"{name} holds what is no string"
                raise ValueError(message)
            made[name] = numpy.array(held["objects"], object)
        else:
            made[name] = held["value"]
    return made
