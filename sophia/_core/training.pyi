from collections.abc import Iterable, Sequence
from typing import Final, Self, final

from typing_extensions import Buffer

from sophia._core.lexical import LexicalEncoder
from sophia._core.vector import Vector

__pyx_capi__: dict[str, object]
__test__: dict[str, str]

MOST_CLASSES: Final[int]

@final
class Examples:
    def __new__(cls, encoder: LexicalEncoder, texts: Iterable[str | bytes], labels: Iterable[int]) -> Self: ...
    @classmethod
    def from_rows(
        cls,
        rows: Buffer | Vector | Sequence[Vector],
        labels: Iterable[int],
        *,
        dim: int | None = None,
    ) -> Self: ...
    @property
    def encoder(self) -> LexicalEncoder | None: ...
    @property
    def dim(self) -> int: ...
    def __len__(self) -> int: ...

@final
class Weights:
    def __new__(cls, source: LexicalEncoder | int, classes: int) -> Self: ...
    @property
    def encoder(self) -> LexicalEncoder | None: ...
    @property
    def dim(self) -> int: ...
    @property
    def classes(self) -> int: ...
    def train(
        self,
        examples: Examples,
        *,
        epochs: int = 20,
        dropout: float = 0.67,
        smoothing: float = 0.15,
        rate: float = 0.237,
        seed: int = 0,
        only: Iterable[int] | None = None,
    ) -> None: ...
