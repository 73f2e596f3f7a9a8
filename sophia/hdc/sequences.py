"""Sequences of one hypervector each, bundled and bound, and n-grams, in all four models (Plate 2003; Kanerva 2009)."""

from __future__ import annotations

from collections.abc import Sequence as Listed
from typing import Any

import numpy
from numpy.typing import NDArray

from sophia.errors import ShapeError
from sophia.hdc.memory import Hit, ItemMemory
from sophia.hdc.operands import checked, checked_rows
from sophia.hdc.space import Space
from sophia.hdc.spectral import phasors, turned
from sophia.hdc.summed import Summed

__all__ = ["BindSequence", "BundleSequence", "DistinctSequence", "Sequence", "ngrams"]


def ngrams(space: Space, vectors: Any, n: int = 3) -> Any:
    """The bundle of the n-grams of a sequence of vectors (a list or a matrix): each is the product of n neighbours, the
    first of which is permuted n - 1 times and the last not at all (Joshi, Halseth and Kanerva 2016). HRR has its
    frequencies rotated (`Space.rotate`), as otherwise "ab" and "ba" would be one.

    ValueError for an n below 1, and for fewer than n vectors: there is no n-gram, and nothing is no vector.

        >>> space = Space("map", 1000)
        >>> letters = {letter: space.random(letter) for letter in "abcdxyz"}
        >>> text = ngrams(space, [letters[letter] for letter in "abcd"], 2)
        >>> pairs = [space.bind(space.permute(letters[a]), letters[b]) for a, b in ("bc", "cb")]
        >>> [round(space.similarity(text, pair), 1) for pair in pairs]
        [0.5, 0.0]
    """
    rows = checked_rows(space, vectors, "vectors")
    if isinstance(n, bool) or not isinstance(n, int) or n < 1:
        message = f"n is {n!r}; an n-gram has a whole number of vectors, at least 1"
        raise ValueError(message)
    grams = len(rows) - n + 1
    if grams < 1:
        message = f"vectors: {len(rows)} of them have no {n}-gram; give at least {n}, or a smaller n"
        raise ValueError(message)
    product = space.rotate(rows[:grams], n - 1)
    for place in range(1, n):
        part = rows[place : place + grams]
        product = space.bind(product, space.rotate(part, n - 1 - place) if place < n - 1 else part)
    return space.bundle(product)


class BundleSequence(Summed):
    """A sequence as the sum of its items, each permuted once for each item behind it: similar to sequences that share
    items in places (counted from the end), and each place can be asked for. The last is not permuted.

        >>> space = Space("map")
        >>> words = ItemMemory(space)
        >>> for word in "to be or not".split():
        ...     words.add(word, space.random(word))
        >>> line = BundleSequence(space, words)
        >>> for word in "be or not to".split():
        ...     line.append(words[word])
        >>> line.appendleft(words["to"])
        >>> [line.find(place).key for place in range(len(line))]
        ['to', 'be', 'or', 'not', 'to']
        >>> line.replace(3, words["be"])
        >>> line.find(-2).key
        'be'
    """

    def __init__(self, space: Space, memory: ItemMemory | None = None) -> None:
        super().__init__(space, memory)
        self._first = 0  # item number j of all time is permuted by -j in the sums, so that appending moves nothing

    @property
    def vector(self) -> Any:
        return self._sums.vector(self._first + self.size - 1)

    @property
    def sums(self) -> NDArray[Any]:
        return numpy.roll(self._sums.numbers, self._first + self.size - 1)

    def clear(self) -> None:
        """Back to nothing."""
        super().clear()
        self._first = 0

    def append(self, vector: Any) -> None:
        """Adds an item behind the last."""
        self._sums.add(self._placed(vector, self._first + self.size))

    def appendleft(self, vector: Any) -> None:
        """Adds an item before the first."""
        self._sums.add(self._placed(vector, self._first - 1))
        self._first -= 1

    def pop(self, vector: Any = None) -> Any:
        """Removes the last item and returns it: the given vector, or what the item memory knows it to be.

        IndexError for an empty sequence, LookupError where the memory is not sure (nothing is removed then), ValueError
        where the given vector certainly is not there.
        """
        return self._pop(self.size - 1, vector)

    def popleft(self, vector: Any = None) -> Any:
        """Removes the first item and returns it, as pop() does the last."""
        found = self._pop(0, vector)
        self._first += 1
        return found

    def replace(self, index: int, new: Any, old: Any = None) -> None:
        """Puts another item in a place. The old one is given, or looked up as pop() does."""
        place = self._index(index)
        fresh = self._placed(new, place)
        if old is None:
            old = self._sure(self._at(place), f"replace: item {index}")
        changed = self._sums.copy()
        changed.subtract(self._placed(old, place))
        changed.add(fresh)
        self._sums = changed

    def concat(self, other: BundleSequence) -> BundleSequence:
        """A sequence of its own with the items of this one, and behind them those of another. ShapeError for one of
        another space."""
        _refuse_other(other, BundleSequence)
        made = type(self)(self.space, self.memory)
        made._first = self._first
        made._sums = self._sums.copy()
        made._sums.merge(other._sums, other._first - self._first - self.size)
        return made

    def get(self, index: int) -> Any:
        """The item in a place, as far as one vector tells: noisy where there are others. IndexError for no place."""
        return self._sums.vector(self._index(index))

    def find(self, index: int, memory: ItemMemory | None = None, threshold: float | None = None) -> Hit:
        """The item of the memory that is in a place; its key is None where the similarity is below the threshold
        (default: `ItemMemory.threshold`). IndexError for no place."""
        return self._best(self._at(self._index(index)), memory, threshold)

    def similarity(self, other: BundleSequence) -> float:
        """Cosine of the sums of two sequences, aligned at their ends: the share of places with the same item, about.
        0.0 where one is empty."""
        _refuse_other(other, BundleSequence)
        if other.space != self.space:
            message = f"the other is of {other.space}, this of {self.space}; both must be of one space"
            raise ShapeError(message)
        if not self or not other:
            return 0.0
        return _cosine(self.sums, other.sums)

    def _placed(self, vector: Any, place: int) -> Any:
        return self.space.permute(checked(self.space, vector, "vector"), -place)

    def _at(self, place: int) -> NDArray[Any]:
        """The sums as seen from a place."""
        return numpy.roll(self._sums.numbers, place)

    def _index(self, index: int) -> int:
        """The number of all time of an index."""
        return self._first + _in_range(index, self.size)

    def _pop(self, index: int, vector: Any) -> Any:
        if not self:
            message = "pop: the sequence is empty"
            raise IndexError(message)
        place = self._first + index
        if vector is None:
            vector = self._sure(self._at(place), f"pop: item {index}")
        self._sums.subtract(self._placed(vector, place))
        return vector


class BindSequence:
    """A sequence as the product of its items, each permuted once for each item behind it: unlike every other sequence,
    so that whole ones are told apart at any length. An item is found only where all others are known.

    Exact in BSC and MAP. Of HRR and FHRR items only the phases count (of HRR those of its frequencies), so that
    products neither grow nor fade; HRR has its frequencies rotated (`Space.rotate`).
    Items `dim` places apart (HRR: about half as many) are permuted alike: that they change places is not seen.

        >>> space = Space("bsc")
        >>> here, there = BindSequence(space), BindSequence(space)
        >>> for letter in "abc":
        ...     here.append(space.random(letter))
        ...     there.appendleft(space.random(letter))
        >>> round(here.similarity(there), 1)
        0.0
        >>> here.replace(0, space.random("a"), space.random("c"))
        >>> here.replace(2, space.random("c"), space.random("a"))
        >>> here.similarity(there)
        1.0
    """

    def __init__(self, space: Space) -> None:
        self.space = space
        self.clear()

    def clear(self) -> None:
        """Back to nothing."""
        self._first, self._size = 0, 0
        self._product: Any = self._phases(self.space.identity())

    def __len__(self) -> int:
        return self._size

    @property
    def size(self) -> int:
        """How many items it has."""
        return self._size

    @property
    def vector(self) -> Any:
        """All of it as one hypervector. ValueError while it is empty."""
        if not self._size:
            message = "vector: the sequence is empty, and the product of no vectors is not defined; append() one first"
            raise ValueError(message)
        return self._made(self._moved(self._product, self._first + self._size - 1))

    def append(self, vector: Any) -> None:
        """Adds an item behind the last."""
        self._product = self._times(self._placed(vector, self._first + self._size))
        self._size += 1

    def appendleft(self, vector: Any) -> None:
        """Adds an item before the first."""
        self._product = self._times(self._placed(vector, self._first - 1))
        self._first -= 1
        self._size += 1

    def pop(self, vector: Any) -> None:
        """Removes the last item, which must be the one given: nothing tells if it is not. IndexError for an empty
        sequence."""
        self._take(vector, self._size - 1)
        self._size -= 1

    def popleft(self, vector: Any) -> None:
        """Removes the first item, as pop() does the last."""
        self._take(vector, 0)
        self._first += 1
        self._size -= 1

    def replace(self, index: int, new: Any, old: Any) -> None:
        """Puts another item in a place, where the old one was. IndexError for no place."""
        place = self._first + _in_range(index, self._size)
        fresh = self._placed(new, place)
        self._product = self._times(self._over(self._placed(old, place)))
        self._product = self._times(fresh)

    def concat(self, other: BindSequence) -> BindSequence:
        """A sequence of its own with the items of this one, and behind them those of another. ShapeError for one of
        another space."""
        self._refuse(other)
        made = BindSequence(self.space)
        made._first, made._size = self._first, self._size + other._size
        made._product = self._times(self._moved(other._product, other._first - self._first - self._size))
        return made

    def get(self, index: int, others: Listed[Any]) -> Any:
        """The item in a place, exactly (of HRR and FHRR its phases), where all other items are given in their order.
        IndexError for no place, ShapeError for another number of items."""
        place = _in_range(index, self._size)
        if len(others) != self._size - 1:
            message = (
                f"others: {len(others)} of them; a sequence of {self._size} needs the {self._size - 1} other items"
            )
            raise ShapeError(message)
        left = self._product
        for number, one in enumerate(others):
            left = self._times(self._over(self._placed(one, self._first + number + (number >= place))), left)
        return self._made(self._moved(left, self._first + place))

    def similarity(self, other: BindSequence) -> float:
        """Cosine of two sequences: 1.0 for the same items in the same order, else about 0; for two empty ones 1.0."""
        self._refuse(other)
        if not self._size or not other._size:
            return float(self._size == other._size)
        return float(self.space.similarity(self.vector, other.vector))

    def _refuse(self, other: BindSequence) -> None:
        _refuse_other(other, BindSequence)
        if other.space != self.space:
            message = f"the other is of {other.space}, this of {self.space}; both must be of one space"
            raise ShapeError(message)

    def _take(self, vector: Any, index: int) -> None:
        if not self._size:
            message = "pop: the sequence is empty"
            raise IndexError(message)
        self._product = self._times(self._over(self._placed(vector, self._first + index)))

    def _placed(self, vector: Any, place: int) -> Any:
        """An item as a factor: number `place` of all time is permuted by -place, so that appending moves nothing."""
        return self._moved(self._phases(checked(self.space, vector, "vector")), -place)

    # A factor is a Hypervector, or complex128 of magnitude 1: components of FHRR, the half spectrum of HRR.

    def _phases(self, vector: Any) -> Any:
        if self.space.model in ("bsc", "map"):
            return vector
        wide = numpy.fft.rfft(vector.astype(numpy.float64)) if self.space.model == "hrr" else vector
        return phasors(wide.astype(numpy.complex128))

    def _made(self, factor: Any) -> Any:
        if self.space.model == "hrr":
            return numpy.fft.irfft(factor, n=self.space.dim).astype(numpy.float32)
        return factor.astype(numpy.complex64) if self.space.model == "fhrr" else factor

    def _moved(self, factor: Any, shifts: int) -> Any:
        if self.space.model == "hrr":
            return turned(factor, self.space.dim, shifts)
        return numpy.roll(factor, shifts) if self.space.model == "fhrr" else self.space.permute(factor, shifts)

    def _over(self, factor: Any) -> Any:
        """The factor that undoes this one."""
        return factor.conj() if self.space.model in ("hrr", "fhrr") else factor

    def _times(self, factor: Any, product: Any = None) -> Any:
        left = self._product if product is None else product
        return phasors(left * factor) if self.space.model in ("hrr", "fhrr") else self.space.bind(left, factor)


Sequence = BundleSequence
"""A name that torchhd had for it."""

DistinctSequence = BindSequence
"""A name that torchhd had for it."""


def _refuse_other(other: object, kind: type) -> None:
    if not isinstance(other, kind):
        message = f"other is a {type(other).__name__}; it must be a {kind.__name__}"
        raise TypeError(message)


def _in_range(index: int, size: int) -> int:
    """An index from 0, of one that may count from the end."""
    if isinstance(index, bool) or not isinstance(index, int):
        message = f"index is {index!r}; it is a whole number"
        raise TypeError(message)
    if not -size <= index < size:
        message = f"index {index} is out of range: the sequence has {size} items"
        raise IndexError(message)
    return index % size


def _cosine(a: NDArray[Any], b: NDArray[Any]) -> float:
    x, y = (numbers.astype(numpy.result_type(numbers, numpy.float64)) for numbers in (a, b))
    norms = float(numpy.linalg.norm(x) * numpy.linalg.norm(y))
    return max(-1.0, min(1.0, float(numpy.vdot(y, x).real) / norms)) if norms else 0.0
