"""What the estimators have in common: their parameters' checks, encoding in blocks, files without pickle."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any, ClassVar, Self

import numpy
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from sophia._core.prototypes import Prototypes
from sophia.errors import InputError
from sophia.hdc.learn.encoding import ENCODINGS, Encoding, dense, fitted, restored
from sophia.hdc.learn.files import read, write

__all__ = ["BLOCK", "HDCEstimator", "blocks", "one_of", "seed_of", "within"]

BLOCK = 1024  # rows that are dense, or encoded, at a time where not all of them are needed at once
_CELLS = 1 << 20  # numbers of such rows at most
_NARROW, _WIDE = 1e-6, 1e6  # widths beyond which float32 phases hold nothing of a row, or all rows are alike
_FORMAT = "sophia-hdc-learn 1"


class HDCEstimator(BaseEstimator):
    """Rows of numbers that are encoded as hypervectors, and what is learned of these."""

    # set by each estimator's constructor, as scikit-learn wants it
    encoding: str
    dim: int
    levels: int
    width: float | str
    bits: bool
    random_state: Any
    workers: int

    _core: Prototypes | None = None
    _reach: ClassVar[float] = 3.0
    """Standard deviations that a feature may be off: what is rare for one must not outweigh all others."""
    weights_: NDArray[numpy.float32]
    _kept: ClassVar[tuple[str, ...]] = ()
    """Fitted attributes that a file keeps, beside the encoding."""

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes what was learned to a file: numpy arrays and JSON, no pickle. NotFittedError before `fit`."""
        check_is_fitted(self)
        arrays: dict[str, NDArray[Any]] = {}
        plain: dict[str, Any] = {}
        for name, value in {
            "encoding_": self.encoding_.state(),
            **self._learned(),
        }.items():
            _pack(name, value, arrays, plain)
        parameters = {name: value for name, value in self.get_params().items() if name != "random_state"}
        header = {"format": _FORMAT, "class": type(self).__name__, "parameters": parameters, "learned": plain}
        write(path, header, arrays)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """The estimator that `save` wrote. InputError for a file that is none of this class's, or damaged."""
        return read(path, _FORMAT, cls.__name__, cls._made_of)

    @classmethod
    def _made_of(cls, header: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> Self:
        made = cls(**header["parameters"])
        learned = _unpack(header["learned"], arrays)
        made.encoding_ = restored(learned.pop("encoding_"))
        for name, value in learned.items():
            setattr(made, name, value)
        made._prototypes()
        return made

    def _learned(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in (*self._kept, "n_features_in_")}

    def __getstate__(self) -> dict[str, Any]:
        """Without the compiled form of what was learned, which is made again when it is needed."""
        state: dict[str, Any] = super().__getstate__()
        return {name: value for name, value in state.items() if name != "_core"}

    def _prototypes(self) -> Prototypes:
        """The compiled form of the weights."""
        if self._core is None:
            self._core = Prototypes.restore(numpy.ascontiguousarray(self._matrix()))
        return self._core

    def _matrix(self) -> NDArray[numpy.float32]:
        """float32 [k, dim]: what encoded rows are compared with."""
        return self.weights_

    def _check_encoding(self) -> None:
        """ValueError naming the parameter that is none."""
        one_of("encoding", self.encoding, ENCODINGS)
        within("dim", self.dim, 64, 1 << 20)
        within("levels", self.levels, 2, 1 << 16)
        within("workers", self.workers, 1, 64)
        if not isinstance(self.bits, bool | numpy.bool_):
            message = f"bits is {self.bits!r}; it is True or False"
            raise ValueError(message)
        number = isinstance(self.width, int | float | numpy.number) and not isinstance(self.width, bool)
        if self.width != "auto" and not (number and _NARROW <= float(self.width) <= _WIDE):
            message = f"width is {self.width!r}; it is a distance in deviations from {_NARROW} to {_WIDE}, or 'auto'"
            raise ValueError(message)

    def _rows(self, X: Any, *, reset: bool, **more: Any) -> Any:
        """X, or X and y, as scikit-learn checks them: float64, dense or CSR, finite. Without an encoding also int8."""
        dtype = numpy.float64 if self.encoding is not None else [numpy.float64, numpy.int8]
        with numpy.errstate(over="ignore", invalid="ignore"):  # whether all are finite is first asked of their sum
            return validate_data(self, X, accept_sparse="csr", dtype=dtype, reset=reset, **more)

    def _fit_encoding(self, X: Any, seed: int) -> None:
        self.encoding_: Encoding = fitted(
            self.encoding,
            X,
            dim=int(self.dim),
            seed=seed,
            levels=int(self.levels),
            width=self.width,
            reach=self._reach,
        )

    def _encoded(self, X: Any) -> NDArray[Any]:
        """All rows at once: dim bytes each, or dim / 8 of bits."""
        made = [self._encode(part) for part in blocks(X)]
        return numpy.concatenate(made) if len(made) > 1 else made[0]

    def _encode(self, X: NDArray[Any]) -> NDArray[Any]:
        return self.encoding_.encode(X, bits=bool(self.bits), workers=int(self.workers))

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


def _pack(name: str, value: Any, arrays: dict[str, NDArray[Any]], plain: dict[str, Any]) -> None:
    """Files a value under its name: arrays of numbers beside, all else as JSON. Strings of arrays are JSON, too."""
    if isinstance(value, dict):
        inner: dict[str, Any] = {}
        for key, one in value.items():
            _pack(f"{name}.{key}", one, arrays, inner)
        plain[name] = {"dict": inner}
    elif isinstance(value, numpy.ndarray) and value.dtype.kind in "biufSU":
        arrays[f"a{len(arrays)}"] = value
        plain[name] = {"array": f"a{len(arrays) - 1}"}
    elif isinstance(value, numpy.ndarray):
        items = value.tolist()
        if not all(isinstance(item, str | int | float | bool | None) for item in items):
            message = f"{name} holds {value.dtype} objects that are no strings or numbers; they cannot be saved"
            raise InputError(message)
        plain[name] = {"objects": items}
    else:
        plain[name] = {"value": value.item() if isinstance(value, numpy.generic) else value}


def _unpack(plain: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for name, held in plain.items():
        if "dict" in held:
            made[name] = {key.rpartition(".")[2]: one for key, one in _unpack(held["dict"], arrays).items()}
        elif "array" in held:
            made[name] = arrays[held["array"]]
        elif "objects" in held:
            made[name] = numpy.array(held["objects"], object)
        else:
            made[name] = held["value"]
    return made
