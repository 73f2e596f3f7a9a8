from collections.abc import Iterable
from typing import Any, Literal, Self, final

import numpy as np
from numpy.typing import NDArray
from typing_extensions import Buffer

from sophia._core.arena import HDCArena
from sophia._core.vector import Hypervector

__test__: dict[str, str]

@final
class RecordEncoder:
    def __new__(
        cls, ids: object, levels: object, *, weights: Iterable[int] | None = None, dim: int | None = None
    ) -> Self: ...
    @property
    def features(self) -> int: ...
    @property
    def levels(self) -> int: ...
    @property
    def dim(self) -> int: ...
    @property
    def model(self) -> Literal["BSC", "MAP"]: ...
    def encode(
        self, index: Buffer | NDArray[Any], arena: HDCArena | None = None, *, out: Hypervector | None = None
    ) -> Hypervector: ...
    def encode_many(self, index: Buffer | NDArray[Any], out: object = None, *, workers: int = 1) -> Any: ...
    def encode_int8_many(
        self, index: Buffer | NDArray[Any], out: object = None, *, workers: int = 1
    ) -> NDArray[np.int8]: ...
