from collections.abc import Iterable
from typing import Any, Self, final

import numpy as np
from numpy.typing import NDArray

BUCKETS: int

@final
class EpisodeEncoder:
    def __new__(cls, dim: int = 10_000, *, seed: int = 0, stop: Iterable[str] = ()) -> Self: ...
    @property
    def dim(self) -> int: ...
    def rows(
        self, texts: Iterable[str | bytes], counts: NDArray[np.uint32]
    ) -> tuple[NDArray[np.int64], NDArray[np.uint16], NDArray[np.int8]]: ...
    def question(self, text: str | bytes, counts: NDArray[np.uint32], documents: int) -> NDArray[np.int32]: ...

def scores(question: Any, starts: Any, places: Any, weights: Any, rows: Any) -> NDArray[np.int64]: ...
