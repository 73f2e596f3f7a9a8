from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from sophia._core.arena import HDCArena
from sophia._core.search import (
    cosine as cosine,
)
from sophia._core.search import (
    dot as dot,
)
from sophia._core.search import (
    hamming as hamming,
)
from sophia._core.search import (
    read_pass as read_pass,
)
from sophia._core.search import (
    similarity as similarity,
)
from sophia._core.search import (
    sketch as sketch,
)
from sophia._core.search import (
    topk as topk,
)
from sophia._core.search import (
    topk_sketch as topk_sketch,
)
from sophia._core.vector import Hypervector, Vector

__all__ = [
    "bind",
    "bundle",
    "convert",
    "cosine",
    "dot",
    "hamming",
    "identity",
    "inverse",
    "permute",
    "permute_pass",
    "random",
    "random_rows",
    "random_words",
    "read_pass",
    "similarity",
    "sketch",
    "topk",
    "topk_sketch",
    "unbind",
]

@overload
def bind(
    a: Vector,
    b: Vector,
    out: Hypervector | None = None,
    arena: HDCArena | None = None,
    *,
    dim: int | None = None,
) -> Hypervector: ...
@overload
def bind(a: object, b: object, out: object = None, arena: HDCArena | None = None, *, dim: int | None = None) -> Any: ...

unbind = bind

def inverse(a: Vector, out: Hypervector | None = None, arena: HDCArena | None = None) -> Hypervector: ...
@overload
def permute(
    a: Vector,
    shifts: int = 1,
    out: Hypervector | None = None,
    arena: HDCArena | None = None,
    *,
    dim: int | None = None,
) -> Hypervector: ...
@overload
def permute(
    a: object, shifts: int = 1, out: object = None, arena: HDCArena | None = None, *, dim: int | None = None
) -> Any: ...
def permute_pass(rows: object, shifts: int | None, out: object, times: int = 1, *, dim: int | None = None) -> None: ...
def bundle(
    *vectors: object,
    weights: object = None,
    out: Hypervector | None = None,
    arena: HDCArena | None = None,
    dim: int | None = None,
) -> Hypervector: ...
def random(
    name: str | int,
    index: int = 0,
    *,
    dim: int = 10_000,
    model: str = "BSC",
    out: Hypervector | None = None,
    arena: HDCArena | None = None,
) -> Hypervector: ...
def random_rows(n: int, name: str | int, *, dim: int = 10_000, model: str = "BSC") -> Any: ...
def random_words(name: str | int, index: int, n: int) -> NDArray[np.uint64]: ...
def identity(*, dim: int = 10_000, model: str = "BSC") -> Hypervector: ...
def convert(a: Vector, model: str) -> Hypervector: ...
