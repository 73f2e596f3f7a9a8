from collections.abc import Iterable, Sequence
from typing import Any, Final, Self, final

import numpy as np
from numpy.typing import NDArray
from typing_extensions import Buffer

from sophia._core.lexical import LexicalEncoder
from sophia._core.vector import Vector

__pyx_capi__: dict[str, object]
__test__: dict[str, str]

MOST_CLASSES: Final[int]
BIAS: Final[float]
UNIT: Final[int]

@final
class Examples:
    def __new__(
        cls,
        encoder: LexicalEncoder,
        texts: Iterable[str | bytes],
        labels: Iterable[int],
    ) -> Self: ...
    @classmethod
    def from_rows(
        cls,
        rows: Buffer | NDArray[Any] | Vector | Sequence[Vector],
        labels: Iterable[int],
        *,
        dim: int | None = None,
    ) -> Self: ...
    @classmethod
    def from_sparse(
        cls,
        offsets: Buffer | NDArray[Any],
        positions: Buffer | NDArray[Any],
        values: Buffer | NDArray[Any],
        labels: Iterable[int],
        *,
        dim: int,
    ) -> Self: ...
    def sparse(self) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.float64]]: ...
    @property
    def encoder(self) -> LexicalEncoder | None: ...
    @property
    def dim(self) -> int: ...
    def __len__(self) -> int: ...

@final
class Weights:
    def __new__(cls, source: LexicalEncoder | int, classes: int) -> Self: ...
    @property
    def encoder(self) -> LexicalEncoder | None: ...
    @property
    def dim(self) -> int: ...
    @property
    def classes(self) -> int: ...
    def dump(self) -> NDArray[np.float32]: ...
    @classmethod
    def restore(cls, weights: Buffer | NDArray[Any]) -> Self: ...
    def train(
        self,
        examples: Examples,
        *,
        epochs: int = 20,
        dropout: float = 0.67,
        smoothing: float = 0.15,
        rate: float = 0.237,
        seed: int = 0,
        only: Iterable[int] | None = None,
    ) -> None: ...
