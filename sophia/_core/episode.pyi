from collections.abc import Iterable
from typing import Any, Self, final

import numpy as np
from numpy.typing import NDArray

@final
class EpisodeEncoder:
    def __new__(cls, *, seed: int = 0, stop: Iterable[str] = ()) -> Self: ...
    def rows(self, texts: Iterable[str | bytes]) -> tuple[NDArray[np.int64], NDArray[np.uint32], NDArray[np.int8]]: ...
    def scores(
        self, question: str | bytes, starts: Any, places: Any, weights: Any, rows: Any, sessions: Any
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]: ...
