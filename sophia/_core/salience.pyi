from collections.abc import Mapping, Sequence
from typing import NamedTuple, Self, final

from sophia._core.decision import Decision
from sophia._core.idf import IdfTable

__test__: dict[str, str]

BINS: int
LENGTH_TOP: float
ENTROPY_TOP: float
RARITY_TOP: float
DISTANCE_TOP: float

class Measures(NamedTuple):
    length: float
    entropy: float
    rarity: float

class Salience(NamedTuple):
    urgency: float
    novelty: float
    complexity: float
    valence: float
    attention: float

def measure(text: str | bytes, words: IdfTable) -> Measures: ...

@final
class Scale:
    def __new__(
        cls,
        words: IdfTable,
        *,
        length: Sequence[int],
        entropy: Sequence[int],
        rarity: Sequence[int],
        distance: Sequence[int],
        crowded: bool,
        tone: Mapping[str, str] | None = None,
    ) -> Self: ...
    @property
    def words(self) -> IdfTable: ...
    @property
    def crowded(self) -> bool: ...
    def of(self, decision: Decision) -> Salience: ...
    def record(self, decision: Decision) -> str: ...
