"""What structures that are sums have in common: size, vector, and looking things up in an item memory."""

from __future__ import annotations

from typing import Any, Self

from numpy.typing import NDArray

from sophia.errors import ShapeError
from sophia.hdc.memory import Hit, ItemMemory
from sophia.hdc.space import Space
from sophia.hdc.sums import Sums

__all__ = ["Summed"]

_SURE = 3.0  # standard deviations between the best and the next: odds of exp(-3 * 5) where the best is 5 above chance


class Summed:
    """What structures with sums have in common."""

    def __init__(self, space: Space, memory: ItemMemory | None = None) -> None:
        if memory is not None and not isinstance(memory, ItemMemory):
            message = f"memory is a {type(memory).__name__}; it must be an ItemMemory"
            raise TypeError(message)
        if memory is not None and memory.space != space:
            message = f"memory is of {memory.space}, the structure of {space}; both must be of one space"
            raise ShapeError(message)
        self.space = space
        self.memory = memory
        """The item memory in which things are looked up; None where each call names one."""
        self._sums = Sums(space)

    def __copy__(self) -> Self:
        """One of its own with the same in it; the item memory is shared."""
        made = type(self).__new__(type(self))
        made.__dict__.update(self.__dict__)
        made._sums = self._sums.copy()
        return made

    def __len__(self) -> int:
        return self._sums.total

    def __bool__(self) -> bool:
        return self._sums.total > 0

    @property
    def size(self) -> int:
        """How many things are in it."""
        return self._sums.total

    @property
    def vector(self) -> Any:
        """All of it as one hypervector. ValueError while it is empty."""
        return self._sums.vector()

    @property
    def sums(self) -> NDArray[Any]:
        """The exact sums behind `vector`: int32, float64 (HRR) or complex128 (FHRR) [dim]; a copy."""
        return self._sums.numbers

    def clear(self) -> None:
        """Back to nothing."""
        self._sums.clear()

    def _look(self, memory: ItemMemory | None) -> ItemMemory:
        found = self.memory if memory is None else memory
        if found is None:
            message = "there is no item memory to look in; give memory=, here or where the structure is made"
            raise ValueError(message)
        if found.space != self.space:
            message = f"memory is of {found.space}, the structure of {self.space}; both must be of one space"
            raise ShapeError(message)
        return found

    def _best(self, numbers: NDArray[Any], memory: ItemMemory | None, threshold: float | None) -> Hit:
        look = self._look(memory)
        least = look.threshold(threshold)
        if not self or not len(look):
            return Hit(None, 0.0)
        best = look.nearest(numbers, 1)[0]
        return best if best.score >= least else Hit(None, best.score)

    def _all(self, numbers: NDArray[Any], memory: ItemMemory | None, threshold: float | None, most: int) -> list[Hit]:
        look = self._look(memory)
        least = look.threshold(threshold)
        if not self or not len(look):
            return []
        return look.nearest(numbers, most, least)

    def _sure(self, numbers: NDArray[Any], what: str) -> Any:
        """The one vector of the memory that the numbers must stand for. LookupError where that is not sure: it is not
        above chance, or another is nearly as good."""
        look = self._look(None)
        best = look.nearest(numbers, 2) if len(look) else []
        least = look.threshold() if best else 1.0
        if not best or best[0].score < least:
            score = f"the best item has {best[0].score:.3f} where {least:.3f} is above chance" if best else "no items"
            message = f"{what}: the item memory does not know it ({score}); give the old vector. Nothing was changed"
            raise LookupError(message)
        if len(best) > 1 and best[0].score - best[1].score < _SURE * self.space.algebra.spread:
            message = (
                f"{what}: it may be {best[0].key!r} ({best[0].score:.3f}) or {best[1].key!r} ({best[1].score:.3f}); "
                "give the old vector. Nothing was changed"
            )
            raise LookupError(message)
        return look[best[0].key]  # type: ignore[index]  # a hit of nearest() has a key
