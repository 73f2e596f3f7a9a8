import sys
from collections.abc import Iterator, Sequence
from typing import Any, Literal, Self, SupportsFloat, SupportsIndex, TypeAlias, TypeVar, overload

import numpy as np
from numpy.typing import NDArray
from typing_extensions import Buffer, disjoint_base

_Value: TypeAlias = SupportsFloat | None
_Eight: TypeAlias = float | Sequence[float] | KVector | NDArray[np.float64]
_Measure: TypeAlias = Literal["cosine", "centred", "weighted", "euclidean"]
_Out = TypeVar("_Out", bound=Buffer)

NAMES: tuple[str, ...]

@disjoint_base
class KVector:
    def __new__(
        cls,
        k_r: _Value = None,
        k_a: _Value = None,
        k_i: _Value = None,
        k_p: _Value = None,
        k_m: _Value = None,
        k_s: _Value = None,
        k_h: _Value = None,
        k_topo: _Value = None,
    ) -> Self: ...
    @classmethod
    def clamped(
        cls,
        k_r: _Value = None,
        k_a: _Value = None,
        k_i: _Value = None,
        k_p: _Value = None,
        k_m: _Value = None,
        k_s: _Value = None,
        k_h: _Value = None,
        k_topo: _Value = None,
    ) -> Self: ...
    @classmethod
    def of(cls, values: Sequence[float | None] | KVector | NDArray[np.float64]) -> Self: ...
    def filled(self, value: float = 0.5) -> Self: ...
    @property
    def k_r(self) -> float | None: ...
    @property
    def k_a(self) -> float | None: ...
    @property
    def k_i(self) -> float | None: ...
    @property
    def k_p(self) -> float | None: ...
    @property
    def k_m(self) -> float | None: ...
    @property
    def k_s(self) -> float | None: ...
    @property
    def k_h(self) -> float | None: ...
    @property
    def k_topo(self) -> float | None: ...
    @property
    def mask(self) -> int: ...
    @property
    def known(self) -> tuple[str, ...]: ...
    def to_tuple(self) -> tuple[float | None, ...]: ...
    def __iter__(self) -> Iterator[float | None]: ...
    def __len__(self) -> int: ...
    def __eq__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...
    def __reduce__(self) -> tuple[Any, ...]: ...
    if sys.version_info >= (3, 12):
        def __buffer__(self, flags: int, /) -> memoryview: ...

def cosine(a: KVector, b: KVector) -> float: ...
def centred(a: KVector, b: KVector, mean: _Eight = 0.5) -> float: ...
def weighted(a: KVector, b: KVector, weights: _Eight) -> float: ...
def euclidean(a: KVector, b: KVector) -> float: ...
@overload
def similarities(
    queries: KVector | Buffer,
    rows: Buffer,
    measure: _Measure = "cosine",
    *,
    mean: _Eight | None = None,
    weights: _Eight | None = None,
    out: None = None,
) -> NDArray[np.float64]: ...
@overload
def similarities(
    queries: KVector | Buffer,
    rows: Buffer,
    measure: _Measure = "cosine",
    *,
    mean: _Eight | None = None,
    weights: _Eight | None = None,
    out: _Out,
) -> _Out: ...
def top_k(
    queries: KVector | Buffer,
    rows: Buffer,
    k: SupportsIndex,
    measure: _Measure = "cosine",
    *,
    mean: _Eight | None = None,
    weights: _Eight | None = None,
) -> tuple[NDArray[np.int64], NDArray[np.float64]]: ...
def check_rows(rows: Buffer) -> None: ...
