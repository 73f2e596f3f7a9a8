from collections.abc import Iterable
from typing import Any, Literal, Self, final

import numpy as np
from numpy.typing import NDArray
from typing_extensions import Buffer

from sophia._core.arena import HDCArena
from sophia._core.vector import Hypervector

__test__: dict[str, str]

class Encoder:
    @property
    def n(self) -> int: ...
    @property
    def dim(self) -> int: ...
    @property
    def words(self) -> int: ...
    @property
    def model(self) -> Literal["BSC", "MAP"]: ...
    def encode(
        self, sequence: str | Buffer, arena: HDCArena | None = None, *, out: Hypervector | None = None
    ) -> Hypervector: ...
    def encode_int8(self, sequence: str | Buffer) -> NDArray[np.int8]: ...
    def encode_many(self, sequences: Iterable[str | Buffer], out: object = None, *, workers: int = 1) -> Any: ...
    def encode_int8_many(
        self, sequences: Iterable[str | Buffer], out: object = None, *, workers: int = 1
    ) -> NDArray[np.int8]: ...

@final
class NgramEncoder(Encoder):
    def __new__(cls, n: int = 3, dim: int | None = None, *, seed: int = 0, items: object = None) -> Self: ...
    @property
    def seed(self) -> int: ...

@final
class SequenceEncoder(Encoder):
    def __new__(cls, items: object, *, dim: int | None = None) -> Self: ...
