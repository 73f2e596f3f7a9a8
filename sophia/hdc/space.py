"""A space: one model, dimension and seed, in which vectors have names; and every operation on them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from sophia._core.vector import Hypervector, Vector
from sophia.errors import ConfigError, ShapeError
from sophia.hdc.algebra import Algebra, random_words, stacked
from sophia.hdc.compiled import Compiled

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, DTypeLike, NDArray

    from sophia._core.arena import HDCArena

__all__ = ["MODELS", "Space"]

MODELS = ("bsc", "map", "hrr", "fhrr")
"""Packed bits and signs on compiled kernels; real vectors and complex phasors on numpy."""

_MOST_DIM = 1 << 24
_SEEDED = "\x1fspace "  # begins no name that people give


class Cleaned(NamedTuple):
    """What `Space.cleanup` found."""

    row: int | None
    """The row that it is most like; None where that is not enough."""
    score: float
    """How much, in [-1, 1]."""


class Space:
    """Hypervectors of one model and dimension, named: the same name is the same vector on every machine, in every
    process and at every SIMD level; another seed gives others.

    | model | vector | matrix | bind | bundle |
    |---|---|---|---|---|
    | bsc | Hypervector, packed bits | uint8[n, padded bytes] | exclusive or | majority |
    | map | Hypervector, signs | int8[n, dim] | product | majority |
    | hrr | float32[dim] | float32[n, dim] | circular convolution | sum |
    | fhrr | complex64[dim] | complex64[n, dim] | product | sum |

    Where an operation takes one vector it takes a matrix as well, and does the same to each row. `out=` names where the
    result goes. Raises ConfigError for another model, dimension or seed, ShapeError for operands of another space.
    Immutable; safe from any thread.

        >>> space = Space("bsc", seed=7)
        >>> country = space.bundle(
        ...     space.bind(space.random("name"), space.random("Mexico")),
        ...     space.bind(space.random("money"), space.random("peso")),
        ...     space.bind(space.random("capital"), space.random("Mexico City")),
        ... )
        >>> answer = space.unbind(country, space.random("money"))
        >>> words = ["Mexico", "peso", "Mexico City", "dollar"]
        >>> words[space.cleanup(answer, [space.random(word) for word in words]).row]
        'peso'
    """

    def __init__(self, model: str = "bsc", dim: int = 10_000, seed: int = 0) -> None:
        if model not in MODELS:
            message = f"model is {model!r}; use one of {', '.join(MODELS)}"
            raise ConfigError(message)
        for name, value, least, most in (("dim", dim, 64, _MOST_DIM), ("seed", seed, 0, 2**64 - 1)):
            if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
                message = f"{name} is {value!r}; it is a whole number from {least} to {most}"
                raise ConfigError(message)
        self._seed = seed
        self._algebra = _algebra(model, dim)

    @property
    def model(self) -> str:
        """ "bsc", "map", "hrr" or "fhrr"."""
        return self._algebra.model

    @property
    def dim(self) -> int:
        """Components of a vector."""
        return self._algebra.dim

    @property
    def seed(self) -> int:
        return self._seed

    def __repr__(self) -> str:
        return f"Space({self.model!r}, {self.dim}, seed={self._seed})"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Space):
            return NotImplemented
        return (self.model, self.dim, self._seed) == (other.model, other.dim, other._seed)

    def __hash__(self) -> int:
        return hash((self.model, self.dim, self._seed))

    def random(self, name: str | int, index: int = 0, *, arena: HDCArena | None = None) -> Any:
        """The vector of a name (str) or number (int), and of an index within it."""
        return self._algebra.random(self._named(name), index, arena)

    def random_rows(self, n: int, name: str | int) -> NDArray[Any]:
        """A matrix whose row i is ``random(name, i)``."""
        return self._algebra.rows(n, self._named(name))

    def identity(self) -> Any:
        """What `bind` leaves unchanged."""
        return self._algebra.identity()

    def bind(self, a: Any, b: Any, out: Any = None, *, arena: HDCArena | None = None) -> Any:
        """The product of two vectors: unlike both. A key and a value, bound, are one pair."""
        return self._algebra.bind(a, b, out, arena)

    def inverse(self, a: Any, out: Any = None, *, arena: HDCArena | None = None) -> Any:
        """What undoes a binding with `a`, exactly."""
        return self._algebra.inverse(a, out, arena)

    def unbind(self, a: Any, b: Any, out: Any = None, *, arena: HDCArena | None = None) -> Any:
        """What was bound with `b` to give `a`, exactly.

        >>> space = Space("fhrr", 1000)
        >>> a, b = space.random("a"), space.random("b")
        >>> round(space.similarity(space.unbind(space.bind(a, b), b), a), 4)
        1.0
        """
        return self._algebra.unbind(a, b, out, arena)

    def bundle(
        self, *vectors: Any, weights: ArrayLike | None = None, out: Any = None, arena: HDCArena | None = None
    ) -> Any:
        """The sum of vectors, of a list of them, or of the rows of a matrix: similar to each. BSC and MAP take the
        majority, in one vote, and whole weights; HRR and FHRR the plain sum. `sophia.hdc.Sums` goes on counting."""
        if len(vectors) == 1 and not isinstance(vectors[0], list | tuple) and _is_matrix(vectors[0]):
            return self._algebra.bundle(vectors[0], weights, out, arena)
        return self._algebra.bundle(stacked(vectors), weights, out, arena)

    def permute(self, a: Any, shifts: int = 1, out: Any = None, *, arena: HDCArena | None = None) -> Any:
        """Component i goes to place (i + shifts) mod dim: the same vector, in another role."""
        return self._algebra.permute(a, shifts, out, arena)

    def multibind(self, *vectors: Any, out: Any = None) -> Any:
        """The product of all: of vectors, of a list of them, or of the rows of a matrix. ValueError for none."""
        matrix = len(vectors) == 1 and not isinstance(vectors[0], list | tuple) and _is_matrix(vectors[0])
        rows: Any = vectors[0] if matrix else stacked(vectors)
        if not len(rows):
            message = "multibind: of no vectors is not defined; give at least one"
            raise ValueError(message)
        if matrix and len(rows) > 1:
            product = self._algebra.product(rows)
            return product if out is None else self._algebra.bind(product, self.identity(), out)
        product = self._algebra.bind(self._row(rows[0]), self.identity(), out)
        for one in rows[1:]:
            product = self._algebra.bind(product, self._row(one), product)
        return product

    multibundle = bundle

    def encode_record(
        self,
        ids: Any,
        levels: Any,
        index: ArrayLike,
        *,
        weights: ArrayLike | None = None,
        out: Any = None,
        workers: int = 1,
    ) -> Any:
        """The bundle of each feature's vector bound to that of its level: of a record [features] a vector, of a matrix
        [n, features] a matrix, in one call.

        `ids` has a row for each feature, `levels` one for each number that `index` may hold; `weights` are numbers, one
        a feature (whole ones for BSC and MAP). BSC and MAP are encoded by the compiled
        :class:`~sophia._core.record.RecordEncoder`, without the GIL; make one of your own where the codebooks stay the
        same. Never more than 128 pairs exist at a time, and of BSC and MAP none. Raises ShapeError, and ValueError
        naming record and feature for a number that is no level.

        >>> space = Space("bsc")
        >>> ids, levels = space.random_rows(3, "feature"), space.level(10)
        >>> space.encode_record(ids, levels, [[0, 4, 9], [0, 5, 9]]).shape
        (2, 1280)
        """
        numbers = _whole(index, "index")
        if numbers.ndim not in (1, 2):
            message = f"index: shape {list(numbers.shape)}; it must be [features] or [n, features]"
            raise ShapeError(message)
        single = numbers.ndim == 1
        rows = numbers[None] if single else numbers
        given = weights if weights is None else list(weights)  # type: ignore[arg-type]
        made = self._algebra.records(
            self._stack(ids, "ids"), self._stack(levels, "levels"), rows, given, None if single else out, workers
        )
        return self._single(made, out) if single else made

    def encode_ngrams(self, items: Any, sequences: Any, n: int = 3, *, out: Any = None, workers: int = 1) -> Any:
        """The bundle of the n-grams of each sequence: of one sequence a vector, of a list of them or a matrix a matrix,
        in one call (Joshi, Halseth and Kanerva 2016).

        The symbols of a sequence are whole numbers, bytes or code points, and name rows of `items`. In an n-gram the
        last item stands as it is, the one before permuted by 1, and so on, and all are bound. BSC and MAP are encoded
        by the compiled :class:`~sophia._core.sequence.NgramEncoder`, which needs no items: there, each symbol has a
        random vector of its own. ValueError for a sequence of less than `n` symbols, or a symbol that has no item.

        >>> space = Space("map", 1000)
        >>> letters = space.random_rows(128, "letter")
        >>> texts = ["the cat sat", "the cat sits", "dogs run by"]
        >>> found = space.similarity(*[space.encode_ngrams(letters, texts)] * 2)
        >>> bool(found[0, 1] > 0.3 > found[0, 2])
        True
        """
        single = _is_sequence(sequences)
        made = self._algebra.ngrams(
            self._stack(items, "items"), _sequences(sequences, single), n, None if single else out, workers
        )
        return self._single(made, out) if single else made

    def encode_sequence(self, items: Any, sequences: Any, *, out: Any = None, workers: int = 1) -> Any:
        """The bundle of the items of each sequence, each permuted by its distance from the end: of one sequence a
        vector, of a list of them or a matrix a matrix, in one call.

        Permuted back by that distance and cleaned up, it gives the item again. Symbols as for `encode_ngrams`.

        >>> space = Space("bsc")
        >>> items = space.random_rows(26, "letter")
        >>> word = space.encode_sequence(items, [7, 4, 11, 11, 14])
        >>> space.cleanup(space.permute(word, -4), items).row
        7
        """
        single = _is_sequence(sequences)
        made = self._algebra.sequences(
            self._stack(items, "items"), _sequences(sequences, single), None if single else out, workers
        )
        return self._single(made, out) if single else made

    def normalize(self, a: Any) -> Any:
        """What is most like `a` among normal vectors: HRR of norm 1, FHRR of magnitude 1 in each component."""
        return self._algebra.normalize(a)

    def similarity(self, a: Any, b: Any, dtype: DTypeLike = float) -> Any:
        """Cosine, in [-1, 1], about 0 for unrelated vectors: a float, or an array [n], [n, m] of `dtype` where one
        or both are matrices or lists. Whatever `dtype` is, sums are exact (BSC, MAP) or true to about 1e-6. A zero
        norm gives 0.0.
        """
        found = self._algebra.similarity(self._stack(a, "a"), self._stack(b, "b"))
        if isinstance(found, float):
            return found
        return found.astype(dtype, copy=False)

    def cleanup(self, a: Any, memory: Any, threshold: float = -1.0) -> Cleaned:
        """The vector of `memory` (a matrix, or a list of vectors) that `a` is most like: its row, which is None where
        none is like it by at least `threshold`, and how much. Of equal ones the first. ValueError for an empty memory.
        """
        rows = self._stack(memory, "memory")
        if not len(rows):
            message = "cleanup: there is nothing in the memory"
            raise ValueError(message)
        scores = self._algebra.similarity(a, rows)
        best = int(scores.argmax())
        score = float(scores[best])
        return Cleaned(best if score >= threshold else None, score)

    def randsel(self, a: Any, b: Any, p: float = 0.5, name: str | int = "randsel") -> Any:
        """Each component from `b` with probability `p`, else from `a`: p = 1 is `b`, p = 0 is `a`. Which ones follows
        from `name`. ValueError for a `p` outside of 0 to 1.

            >>> space = Space("map", 1000)
            >>> a, b = space.random("a"), space.random("b")
            >>> space.randsel(a, b, 1.0) == b, space.randsel(a, b, 0.0) == a
            (True, True)
        """
        if not 0.0 <= p <= 1.0:
            message = f"p is {p!r}; it is a probability, from 0 to 1"
            raise ValueError(message)
        import numpy

        words = random_words(self._named(name), 0, self.dim)
        chosen = words < numpy.uint64(int(p * 2**64)) if p < 1.0 else numpy.ones(self.dim, bool)
        return self._algebra.from_array(numpy.where(chosen, self._algebra.array(b), self._algebra.array(a)))

    def level(self, n: int, name: str | int = "level") -> NDArray[Any]:
        """A matrix of n vectors of which neighbours differ a little: row i has the components of one random vector in
        i of n - 1 parts of its places (in a random order), and those of another in the rest. So similarity falls evenly
        with the distance, and the ends are unrelated. For values on a scale."""
        import numpy

        ends, places = self._two(name), self._order(name)
        steps = numpy.arange(self.count(n)) * self.dim // max(1, n - 1)
        return self._matrix(numpy.where(places[None, :] < steps[:, None], ends[1], ends[0]))

    def circular(self, n: int, name: str | int = "circular") -> NDArray[Any]:
        """The same in a circle: row 0 follows row n - 1, and opposite ones are unrelated. For hours and angles."""
        import numpy

        ends, places = self._two(name), self._order(name)
        turn = 2 * numpy.arange(self.count(n)) * self.dim // n  # from one end to the other, and on to the first
        changed = (places[None, :] < turn[:, None]) & (places[None, :] >= (turn - self.dim)[:, None])
        return self._matrix(numpy.where(changed, ends[1], ends[0]))

    def thermometer(self, n: int) -> NDArray[Any]:
        """A matrix of n vectors: of row i the first i of n - 1 parts of the components are +1, the others -1. No
        randomness; ends are opposite. Of BSC and MAP; of the others these signs as their own numbers."""
        import numpy

        steps = numpy.arange(self.count(n)) * self.dim // max(1, n - 1)
        signs = numpy.where(numpy.arange(self.dim)[None, :] < steps[:, None], 1, -1)
        if self.model == "hrr":
            return self._matrix(signs / numpy.sqrt(self.dim))
        return self._matrix(signs)

    @staticmethod
    def count(n: int) -> int:
        """`n`, if it is a number of vectors. ValueError where it is not."""
        if isinstance(n, bool) or not isinstance(n, int) or not 1 <= n <= 1 << 24:
            message = f"n is {n!r}; it is a whole number of vectors, at least 1"
            raise ValueError(message)
        return n

    def _two(self, name: str | int) -> NDArray[Any]:
        return self._algebra.array(self.random_rows(2, name))

    def _order(self, name: str | int) -> NDArray[Any]:
        """For each place its rank in a random order that the name gives."""
        import numpy

        words = random_words(self._named(name), 2, self.dim)
        ranks = numpy.empty(self.dim, numpy.int64)
        ranks[numpy.argsort(words, kind="stable")] = numpy.arange(self.dim)
        return ranks

    def _matrix(self, components: NDArray[Any]) -> NDArray[Any]:
        made: NDArray[Any] = self._algebra.from_array(components)
        return made

    def array(self, a: Any) -> NDArray[Any]:
        """The components of a vector or of each row of a matrix, as numbers; of bits +1 (0) and -1 (1), int8."""
        return self._algebra.array(a)

    def from_array(self, components: NDArray[Any]) -> Any:
        """The vector, or matrix, with these components. ShapeError where they are none of this space."""
        return self._algebra.from_array(components)

    def _named(self, name: str | int) -> str | int:
        if self._seed == 0:
            return name
        kind = "i" if isinstance(name, int) and not isinstance(name, bool) else "s"
        if kind == "s" and not isinstance(name, str):
            return name  # the core says what it is
        return f"{_SEEDED}{self._seed} {kind} {name}"

    def _row(self, one: Any) -> Any:
        """A row of a matrix as a vector."""
        if self.model in ("bsc", "map") and type(one).__module__ == "numpy":
            import numpy

            dim = None if self.model == "map" else self.dim
            return Hypervector.from_buffer(numpy.ascontiguousarray(one), dim)
        return one

    def _single(self, made: NDArray[Any], out: Any) -> Any:
        """The only row of a matrix as a vector, in `out` where that is given."""
        vector = self._row(made[0])
        return vector if out is None else self._algebra.bind(vector, self.identity(), out)

    def _stack(self, a: Any, name: str) -> Any:
        """A list of vectors as a matrix; anything else as it is."""
        if not isinstance(a, list | tuple):
            return a
        import numpy

        rows = [numpy.asarray(one) if isinstance(one, Vector) else one for one in a]
        if len({(getattr(row, "shape", None), str(getattr(row, "dtype", type(row)))) for row in rows}) > 1:
            message = f"{name}: its elements have different shapes or types; they must be vectors of one space"
            raise ShapeError(message)
        return numpy.stack(rows) if rows else rows


def _is_matrix(a: Any) -> bool:
    return getattr(a, "ndim", 0) == 2


def _is_sequence(a: Any) -> bool:
    """Whether it is one sequence of symbols, and not several."""
    if isinstance(a, list | tuple):
        return bool(a) and isinstance(a[0], int)
    return isinstance(a, str | bytes) or getattr(a, "ndim", 2) == 1


def _sequences(sequences: Any, single: bool) -> Any:
    if single:
        sequences = [sequences]
    return [
        _whole(one, f"sequences[{at}]") if isinstance(one, list | tuple) else one for at, one in enumerate(sequences)
    ]


def _whole(numbers: ArrayLike, name: str) -> NDArray[Any]:
    """An array of integers. ShapeError where they are none."""
    import numpy

    found = numpy.asarray(numbers)
    if not numpy.issubdtype(found.dtype, numpy.integer):
        if found.size:
            message = f"{name}: an array of {found.dtype}; it must hold whole numbers"
            raise ShapeError(message)
        found = found.astype(numpy.int64)
    return numpy.ascontiguousarray(found)


def _algebra(model: str, dim: int) -> Algebra:
    if model in ("bsc", "map"):
        return Compiled(model, dim)
    from sophia.hdc import spectral

    return spectral.HRR(dim) if model == "hrr" else spectral.FHRR(dim)
