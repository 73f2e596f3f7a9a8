from typing import Never, TypedDict, final

import numpy as np
from numpy.typing import NDArray

from sophia._core.job import Job
from sophia._core.pool import KernelPool
from sophia._core.vector import Hypervector, SharedVector

class _ActorStats(TypedDict):
    sent: int
    handled: int
    dropped: int
    waiting: int
    refused: int

class KernelActor:
    def __init__(self, *args: Never, **kwargs: Never) -> None: ...
    def __del__(self) -> None: ...
    def stats(self) -> _ActorStats: ...

@final
class Bundler(KernelActor):
    def __init__(
        self, pool: KernelPool, model: str = "BSC", dim: int = 10_000, *, home: int | None = None, capacity: int = 1024
    ) -> None: ...
    def tell(self, vector: SharedVector, weight: int = 1) -> None: ...
    def bundle(self) -> Job[Hypervector]: ...

@final
class Searcher(KernelActor):
    def __init__(
        self,
        pool: KernelPool,
        rows: object,
        k: int = 10,
        *,
        dim: int | None = None,
        home: int | None = None,
        capacity: int = 1024,
    ) -> None: ...
    def nearest(self, query: object) -> Job[tuple[NDArray[np.uint32], NDArray[np.int64]]]: ...

@final
class _VoteJob(Job[Hypervector]): ...
