from typing import Self, final

from sophia._core.normaliser import normalise as normalise
from sophia._core.readout import Readout

INTENT_WHYS: tuple[str, ...]

@final
class IntentModel:
    def __new__(
        cls,
        readout: Readout,
        names: tuple[str, ...],
        *,
        thresholds: list[float],
        safe: list[bool],
        slope: float,
        offset: float,
        version: str = "",
    ) -> Self: ...
    @property
    def readout(self) -> Readout: ...
    @property
    def names(self) -> tuple[str, ...]: ...
    @property
    def version(self) -> str: ...
    @property
    def slope(self) -> float: ...
    @property
    def offset(self) -> float: ...
    def predict(self, text: str) -> tuple[str | None, float, str | None, str]: ...
    def confidence_of(self, score: float) -> float: ...
