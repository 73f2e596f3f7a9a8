from collections.abc import Collection, Sequence
from typing import NamedTuple, Self, final

from typing_extensions import Buffer

__test__: dict[str, str]

class Alarm(NamedTuple):
    kind: str
    source: str
    pattern: int
    at: float
    since: float
    usual: float
    found: float
    n: int = 0
    template: str | None = None

class Rhythm(NamedTuple):
    comings: int
    first: float
    last: float
    gap: float
    longest: float
    hours: tuple[int, ...]
    most: int

@final
class RhythmTable:
    def __new__(cls, *, track: bool = False) -> Self: ...
    def __len__(self) -> int: ...
    def observe(self, source: str, pattern: int, moment: float, *, alarming: bool = True) -> Sequence[Alarm]: ...
    def observe_many(
        self,
        sources: Sequence[str] | None,
        patterns: Sequence[int | None],
        moments: Sequence[float | None],
        *,
        alarming: bool = True,
    ) -> list[tuple[int, Alarm]]: ...
    def forget(self, patterns: Collection[int]) -> int: ...
    def rhythm(self, pattern: int) -> Rhythm | None: ...
    def most_regular(self, k: int) -> list[tuple[int, Rhythm]]: ...
    def changes(self) -> bytes: ...
    def dump(self) -> bytes: ...
    @classmethod
    def load(cls, data: Buffer, *, track: bool = False) -> Self: ...
    def replay(self, changes: Buffer) -> None: ...
