from typing import Any, Final, Self, final

import numpy as np
from numpy.typing import NDArray
from typing_extensions import Buffer

__test__: dict[str, str]

RULES: Final[tuple[str, ...]]

@final
class Prototypes:
    def __new__(cls, classes: int, dim: int = 10_000) -> Self: ...
    @classmethod
    def restore(cls, sums: Buffer | NDArray[Any]) -> Self: ...
    @property
    def classes(self) -> int: ...
    @property
    def dim(self) -> int: ...
    def dump(self) -> NDArray[np.float32]: ...
    def grow(self, classes: int) -> Prototypes: ...
    def add(self, rows: object, labels: Buffer | NDArray[Any]) -> None: ...
    def learn(
        self,
        rows: object,
        labels: Buffer | NDArray[Any],
        *,
        rule: str = "online",
        rate: float = 1.0,
        margin: float = 0.0,
        epochs: int = 1,
        seed: int = 0,
    ) -> int: ...
    def scores(self, rows: object, *, workers: int = 1) -> NDArray[np.float64]: ...
    def products(self, rows: object, *, workers: int = 1) -> NDArray[np.float64]: ...
