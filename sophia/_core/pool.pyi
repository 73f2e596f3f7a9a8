from collections.abc import Callable
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, TypedDict, TypeVar, final

import numpy as np
from numpy.typing import NDArray

from sophia._core.job import Job
from sophia._core.vector import Hypervector

_A = TypeVar("_A")
_P = ParamSpec("_P")

class _WorkerStats(TypedDict):
    runs: int
    stole: int
    parked: int
    pinned: int | None

class _Stats(TypedDict):
    asked: int
    done: int
    cancelled: int
    refused: int
    waiting: int
    inline: int
    full: int
    bell_writes: int
    workers: list[_WorkerStats]

@final
class KernelPool:
    def __init__(
        self, workers: int | None = None, *, pin: bool = False, capacity: int = 1024, inline_below: float = 20e-6
    ) -> None: ...
    @property
    def closed(self) -> bool: ...
    def __enter__(self) -> KernelPool: ...
    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None: ...
    def __del__(self) -> None: ...
    def distances(
        self, query: object, rows: object, out: object = None, *, dim: int | None = None
    ) -> Job[NDArray[np.uint32]]: ...
    def nearest(
        self, query: object, rows: object, k: int = 10, *, dim: int | None = None
    ) -> Job[tuple[NDArray[np.uint32], NDArray[np.int64]]]: ...
    def bind(self, a: object, b: object, *, dim: int | None = None) -> Job[Any]: ...
    def bundle(self, rows: object, *, dim: int | None = None) -> Job[Hypervector]: ...
    def similarities(self, queries: object, rows: object) -> Job[NDArray[np.float64]]: ...
    def actor(
        self, kind: Callable[Concatenate[KernelPool, _P], _A], *arguments: _P.args, **settings: _P.kwargs
    ) -> _A: ...
    def stats(self) -> _Stats: ...
    def close(self, timeout: float = 5.0) -> None: ...
