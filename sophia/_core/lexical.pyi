from collections.abc import Iterable, Sequence
from typing import Final, Self, final

__pyx_capi__: dict[str, object]
__test__: dict[str, str]

KINDS: Final[tuple[str, ...]]

@final
class LexicalEncoder:
    def __new__(
        cls,
        dim: int = 10000,
        *,
        seed: int = 0,
        grams: tuple[int, int] = (2, 4),
        kinds: Sequence[float] = (1.37, 1.27, 0.5, 0.66),
        idf_power: float = 0.25,
    ) -> Self: ...
    @property
    def dim(self) -> int: ...
    @property
    def seed(self) -> int: ...
    @property
    def documents(self) -> int: ...
    def observe(self, texts: Iterable[str | bytes]) -> None: ...
    def dump(self) -> bytes: ...
    def restore(self, data: bytes) -> None: ...
    def grown(self, texts: Iterable[str | bytes]) -> LexicalEncoder: ...
    def terms(self, text: str | bytes) -> list[tuple[str, str, int, float]]: ...
