from collections.abc import Buffer, Iterable, Sequence
from typing import Any, overload

from sophia._core.arena import HDCArena
from sophia._core.search import (
    cosine as cosine,
    dot as dot,
    hamming as hamming,
    read_pass as read_pass,
    similarity as similarity,
    sketch as sketch,
    topk as topk,
    topk_sketch as topk_sketch,
)
from sophia._core.vector import Hypervector, Vector
