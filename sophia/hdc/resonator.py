"""Resonator networks: which items, one of each codebook, a product was made of.

Frady, Kent, Olshausen and Sommer 2020 ("Resonator networks, 1", Neural Computation 32); Kent and others 2020 (part 2)
measure how large the codebooks may be. All combinations are searched at once: each factor has an estimate that begins
as the superposition of its codebook; in turn, the other estimates are unbound from the product, and what is left is
cleaned up by the codebook to be the next estimate.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy
from numpy.typing import NDArray

from sophia.hdc.operands import checked, checked_rows
from sophia.hdc.space import Space

__all__ = ["Factors", "resonate"]

_MOST_STEPS = 1_000_000
_START = "\x1fresonator "  # names that begin so are the library's own
_STILL = 3  # steps in a row with the same items that are not the answer: this start leads nowhere
_PATIENCE = 60  # steps of one start


class Factors(NamedTuple):
    """What `resonate` found."""

    indices: tuple[int, ...]
    """The row of each codebook; of no worth unless `converged`."""
    scores: tuple[float, ...]
    """How much the last estimate of each factor is like that row, in [-1, 1]; of no worth either unless `converged`."""
    converged: bool
    """Whether the items, bound again, are more like the product than chance explains."""
    steps: int
    """Rounds over all factors that it took."""
    similarity: float
    """How much the items, bound again, are like the product: 1.0 for a whole one, 0.8 where a tenth of bits flipped."""


def resonate(
    space: Space,
    product: Any,
    codebooks: Sequence[Any],
    steps: int = 500,
    threshold: float | None = None,
) -> Factors:
    """The items, one of each codebook (a matrix, or a list of vectors), of which a vector is the product.

    Estimates count as soon as they are renewed. A start that comes to rest at a wrong place, or has gone on for 60
    steps, is given up for another, which the seed of the space and its number determine: the same call gives the same
    answer. (BSC and MAP on every machine, as sums of float32 are exact while a codebook has fewer than 2^24 components;
    HRR and FHRR up to rounding.) `converged` is no guess: the items are bound again and compared with the product, and
    must reach `threshold`, by default what all combinations of items together reach by chance once in a thousand times.
    HRR is taken as its frequencies, and items count by their phases.

    With three codebooks of 50 items at 10,000 components a step takes about 2 ms (BSC, MAP) or 10 ms (HRR, FHRR); most
    answers take 3. Holds 4 bytes (BSC, MAP), 8 (HRR) or 16 (FHRR) for each component of all items. Nothing is shared
    between calls. Raises ShapeError for vectors of another space, ValueError for NaN, fewer than two codebooks, an
    empty one, a number of steps outside of 1 to 1,000,000, or a threshold that is no similarity.

        >>> space = Space("bsc")
        >>> codebooks = [space.random_rows(20, name) for name in ("shape", "colour", "place")]
        >>> scene = space.multibind([space.random("shape", 7), space.random("colour", 19), space.random("place", 0)])
        >>> found = resonate(space, scene, codebooks)
        >>> found.indices, found.converged, found.similarity
        ((7, 19, 0), True, 1.0)
        >>> resonate(space, space.random("something else"), codebooks, steps=20).converged
        False
    """
    target = checked(space, product, "product")
    if not isinstance(codebooks, list | tuple) or len(codebooks) < 2:
        message = "codebooks: give a list of two or more, each a matrix or a list of vectors"
        raise ValueError(message)
    books = [checked_rows(space, book, f"codebook {number}") for number, book in enumerate(codebooks)]
    for number, book in enumerate(books):
        if not len(book):
            message = f"codebook {number} is empty; each needs at least one item"
            raise ValueError(message)
    if isinstance(steps, bool) or not isinstance(steps, int) or not 1 <= steps <= _MOST_STEPS:
        message = f"steps is {steps!r}; it is a whole number from 1 to {_MOST_STEPS}"
        raise ValueError(message)
    combinations = math.prod(len(book) for book in books)
    if threshold is None:
        least = space.algebra.chance(combinations)
    elif -1.0 <= threshold <= 1.0:
        least = float(threshold)
    else:
        message = f"threshold is {threshold!r}; it is a similarity, from -1 to 1"
        raise ValueError(message)
    return _Network(space, target, books).run(steps, least)


class _Network:
    """The factors' items and the product as numbers: float32 signs, or complex64 phasors."""

    def __init__(self, space: Space, target: Any, books: list[NDArray[Any]]) -> None:
        self.space = space
        self.complex = space.model in ("hrr", "fhrr")
        self.items = [self._numbers(book) for book in books]
        self.target = self._numbers(target, phases=False)
        self.target = self.target / (float(numpy.abs(self.target).max()) or 1.0)  # which no step depends on
        self.conjugates = (
            [numpy.ascontiguousarray(items.conj()) for items in self.items] if self.complex else self.items
        )
        self.product, self.books = target, books

    def run(self, steps: int, least: float) -> Factors:
        best, best_similarity = (0,) * len(self.items), -2.0
        estimates, start, begun, still = self._start(0), 0, 0, 0
        last: tuple[int, ...] = ()
        for step in range(1, steps + 1):
            found = self._step(estimates)
            similarity = self._similarity(found)
            if similarity > best_similarity:
                best, best_similarity = found, similarity
            still = still + 1 if found == last else 0
            last = found
            if similarity >= least and still:
                return self._answer(*self._settled(found), estimates, True, step)
            if still >= _STILL or step - begun >= _PATIENCE:
                start, begun, still, last = start + 1, step, 0, ()
                estimates = self._start(start)
        found, similarity = self._settled(best)
        return self._answer(found, similarity, estimates, similarity >= least, steps)

    def _answer(
        self, found: tuple[int, ...], similarity: float, estimates: list[NDArray[Any]], converged: bool, steps: int
    ) -> Factors:
        scores = tuple(
            float(numpy.vdot(items[row], estimate).real) / len(estimate)
            for row, items, estimate in zip(found, self.items, estimates, strict=True)
        )
        return Factors(found, scores, converged, steps, similarity)

    def _start(self, number: int) -> list[NDArray[Any]]:
        """The estimates to begin with: superpositions of all items, in which from the second start on each item has a
        random sign."""
        made = []
        for factor, items in enumerate(self.items):
            weights = numpy.ones(len(items), numpy.float32)
            if number:
                from sophia._core import hdc

                name = f"{_START}{self.space.seed} {number}"
                signs = numpy.asarray(hdc.random(name, factor, dim=max(64, len(items)), model="MAP"))
                weights = signs[: len(items)].astype(numpy.float32)
            made.append(self._cleaned(weights.astype(items.dtype) @ items))
        return made

    def _step(self, estimates: list[NDArray[Any]]) -> tuple[int, ...]:
        """Renews each estimate in turn, and gives the item that each is most like."""
        found = []
        for factor, items in enumerate(self.items):
            left = self.target
            for other, estimate in enumerate(estimates):
                if other != factor:
                    left = left * (estimate.conj() if self.complex else estimate)
            likeness = (self.conjugates[factor] @ left).real
            found.append(int(likeness.argmax()))
            estimates[factor] = self._cleaned(likeness.astype(items.dtype) @ items)
        return tuple(found)

    def _settled(self, found: tuple[int, ...]) -> tuple[tuple[int, ...], float]:
        """The items, exchanged one at a time for better ones while there are any: of items that are alike the network
        may have stopped at the second best."""
        rows = list(found)
        while True:
            before = self._similarity(tuple(rows))
            for factor in range(len(rows)):
                left = self.target
                for other, row in enumerate(rows):
                    if other != factor:
                        left = left * self.conjugates[other][row]
                rows[factor] = int((self.conjugates[factor] @ left).real.argmax())
            after = self._similarity(tuple(rows))
            if after <= before:
                return (tuple(rows), after) if after == before else (found, before)
            found = tuple(rows)

    def _similarity(self, found: tuple[int, ...]) -> float:
        """Cosine of the items, bound, with the product."""
        first, *others = (self.space.vector(book[row]) for book, row in zip(self.books, found, strict=True))
        bound = first
        for other in others:
            bound = self.space.bind(bound, other)
        return float(self.space.similarity(bound, self.product))

    def _cleaned(self, numbers: NDArray[Any]) -> NDArray[Any]:
        """Signs, of which those of zero are +1; or phases."""
        if not self.complex:
            return numpy.where(numbers >= 0, numpy.float32(1), numpy.float32(-1))
        size = numpy.abs(numbers)
        made: NDArray[Any] = numpy.where(size > 0, numbers / numpy.where(size > 0, size, 1), 1).astype(numpy.complex64)
        return made

    def _numbers(self, a: Any, *, phases: bool = True) -> NDArray[Any]:
        if self.space.model == "hrr":
            made: NDArray[Any] = numpy.fft.rfft(a.astype(numpy.float64), axis=-1).astype(numpy.complex64)
        elif self.space.model == "fhrr":
            made = a
        else:
            return self.space.array(a).astype(numpy.float32)
        return self._cleaned(made) if phases else made
