from typing import Any, Self, final

import numpy as np
from numpy.typing import NDArray
from typing_extensions import Buffer

from sophia._core.arena import HDCArena
from sophia._core.vector import Hypervector

__test__: dict[str, str]

@final
class ProjectionEncoder:
    def __new__(cls, weights: Buffer | NDArray[Any], phases: Buffer | NDArray[Any] | None = None) -> Self: ...
    @property
    def features(self) -> int: ...
    @property
    def dim(self) -> int: ...
    def encode(
        self, values: Buffer | NDArray[Any], arena: HDCArena | None = None, *, out: Hypervector | None = None
    ) -> Hypervector: ...
    def encode_int8(self, values: Buffer | NDArray[Any]) -> NDArray[np.int8]: ...
    def encode_many(
        self, values: Buffer | NDArray[Any], out: object = None, *, workers: int = 1
    ) -> NDArray[np.uint8]: ...
    def encode_int8_many(
        self, values: Buffer | NDArray[Any], out: object = None, *, workers: int = 1
    ) -> NDArray[np.int8]: ...
