"""A space: one model, dimension and seed, in which vectors have names; and every operation on them."""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING, Any, NamedTuple

from sophia.errors import ConfigError, ShapeError
from sophia.hdc.algebra import Algebra, random_words
from sophia.hdc.compiled import Compiled

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import ArrayLike, DTypeLike, NDArray

    from sophia._core.arena import HDCArena

__all__ = ["MODELS", "Cleaned", "Space"]

MODELS = ("bsc", "map", "hrr", "fhrr")
"""Packed bits and signs on compiled kernels; real vectors and complex phasors on numpy."""

_MOST_DIM = 1 << 23
_MOST_ROWS = 1 << 24
_LONGEST_GRAM = 8
_BLOCK = 64  # rows whose components are spread out at a time
_CHUNK = 1 << 20  # similarities that are doubles at a time
_SYMBOLS = "\x1fsymbol"  # names that begin so are the library's own
_SEEDED = "\x1fspace "


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

    Where an operation takes one vector it takes a matrix or a list as well, and does the same to each row; a row of a
    matrix is a vector. `out=` names where the result goes, and may be an operand (where a call raises,
    it may hold a part of the result); `arena=` (BSC and MAP) borrows it.
    Raises ConfigError for another model, dimension or seed, ShapeError for operands of another space, TypeError for
    what is none, and (HRR, FHRR) ValueError for results that are not finite. Immutable; safe from any thread.

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
            if not _is_whole(value) or not least <= value <= most:
                message = f"{name} is {value!r}; it is a whole number from {least} to {most}"
                raise ConfigError(message)
        self._seed = int(seed)
        self._algebra = _algebra(model, int(dim))

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

    @property
    def algebra(self) -> Algebra:
        """What its operations are made of."""
        return self._algebra

    def __repr__(self) -> str:
        return f"Space({self.model!r}, {self.dim}, seed={self._seed})"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Space):
            return NotImplemented
        return (self.model, self.dim, self._seed) == (other.model, other.dim, other._seed)

    def __hash__(self) -> int:
        return hash((self.model, self.dim, self._seed))

    def random(self, name: str | int, index: int = 0, out: Any = None, *, arena: HDCArena | None = None) -> Any:
        """The vector of a name (str) or number (int), and of an index within it. Names that begin with "\\x1f" are the
        library's own."""
        if out is not None and arena is not None:
            message = "out and arena: the result can be in one of them; give one"
            raise ValueError(message)
        made = self._algebra.random(self.named(name), index, arena)
        return made if out is None else self._algebra.copied(made, out)

    def random_rows(self, n: int, name: str | int) -> NDArray[Any]:
        """A matrix whose row i is ``random(name, i)``."""
        return self._algebra.rows(n, self.named(name))

    def identity(self, out: Any = None) -> Any:
        """What `bind` leaves unchanged."""
        made = self._algebra.identity()
        return made if out is None else self._algebra.copied(made, out)

    def bind(self, a: Any, b: Any, out: Any = None, *, arena: HDCArena | None = None) -> Any:
        """The product of two vectors: unlike both. A key and a value, bound, are one pair."""
        return self._algebra.bind(_stacked(a, "a"), _stacked(b, "b"), out, arena)

    def inverse(self, a: Any, out: Any = None, *, arena: HDCArena | None = None) -> Any:
        """What undoes a binding with `a`, exactly."""
        return self._algebra.inverse(_stacked(a, "a"), out, arena)

    def unbind(self, a: Any, b: Any, out: Any = None, *, arena: HDCArena | None = None) -> Any:
        """What was bound with `b` to give `a`, exactly.

        >>> space = Space("fhrr", 1000)
        >>> a, b = space.random("a"), space.random("b")
        >>> round(space.similarity(space.unbind(space.bind(a, b), b), a), 4)
        1.0
        """
        return self._algebra.unbind(_stacked(a, "a"), _stacked(b, "b"), out, arena)

    def bundle(
        self, *vectors: Any, weights: ArrayLike | None = None, out: Any = None, arena: HDCArena | None = None
    ) -> Any:
        """The sum of vectors, of a list of them, or of the rows of a matrix: similar to each. BSC and MAP take the
        majority, in one vote, and whole weights; HRR and FHRR the plain sum. `sophia.hdc.Sums` goes on counting."""
        return self._algebra.bundle(_listed(vectors), weights, out, arena)

    def bundle_many(self, vectors: Any, weights: ArrayLike, *, out: Any = None, workers: int = 1) -> NDArray[Any]:
        """A matrix of bundles of the same vectors (a list, or a matrix), one for each row of `weights` [n, vectors], in
        one call, in `workers` threads without the GIL. Raises as `bundle`, and names the row.

        >>> space = Space("map", 1000)
        >>> made = space.bundle_many(space.random_rows(3, "word"), [[5, 1, 1], [1, 1, 5]])
        >>> space.similarity(space.random("word", 2), made).round(1).tolist()[1]
        1.0
        """
        import numpy

        from sophia._core.batch import in_parts

        rows = _stacked(vectors, "vectors")
        table = numpy.asarray(weights)
        if table.ndim != 2 or table.shape[1] != len(rows):
            message = f"weights: shape {list(table.shape)}; it must be [n, {len(rows)}], a number for each vector"
            raise ShapeError(message)
        like = numpy.asarray(self._algebra.identity())
        width = self._algebra.checked(rows, "vectors", 2).shape[1]
        made = numpy.empty((len(table), width), like.dtype) if out is None else self._algebra.checked(out, "out", 2)
        if made.shape != (len(table), width):
            message = f"out: shape {list(made.shape)}; the result has {[len(table), width]}"
            raise ShapeError(message)
        if out is not None and numpy.may_share_memory(rows, made):
            rows = rows.copy()

        def fill(part: tuple[int, int]) -> None:
            for row in range(*part):
                try:
                    made[row] = numpy.asarray(self._algebra.bundle(rows, table[row]))
                except ValueError as error:
                    message = f"weights: row {row}: {error}"
                    raise type(error)(message) from error

        in_parts(fill, len(table), workers)
        return made

    def permute(self, a: Any, shifts: int = 1, out: Any = None, *, arena: HDCArena | None = None) -> Any:
        """Component i goes to place (i + shifts) mod dim: the same vector, in another role."""
        return self._algebra.permute(_stacked(a, "a"), shifts, out, arena)

    def rotate(self, a: Any, shifts: int = 1, out: Any = None) -> Any:
        """`permute`, but that HRR has its frequencies rotated instead of its components: a permutation that `bind` does
        not see through, so that a product of rotated vectors tells their order.

        >>> space = Space("hrr", 1000)
        >>> a, b = space.random("a"), space.random("b")
        >>> ab, ba = (space.bind(x, space.rotate(y)) for x, y in ((a, b), (b, a)))
        >>> abs(space.similarity(ab, ba)) < 0.2
        True
        """
        made = self._algebra.rotate(_stacked(a, "a"), shifts)
        return made if out is None else self._algebra.copied(made, out)

    def multibind(self, *vectors: Any, out: Any = None, arena: HDCArena | None = None) -> Any:
        """The product of all: of vectors, of a list of them, or of the rows of a matrix. ValueError for none."""
        rows = _listed(vectors)
        if not len(rows):
            message = "multibind: of no vectors is not defined; give at least one"
            raise ValueError(message)
        if not isinstance(rows, list):
            product = self._algebra.product(rows)
        else:
            product = self._algebra.copied(self._algebra.checked(rows[0], "vectors: element 0", 1))
            for place, one in enumerate(rows[1:], 1):
                self._algebra.bind(product, self._algebra.checked(one, f"vectors: element {place}", 1), product)
        # not before: the place of the result may be one of the vectors
        return product if out is None and arena is None else self._algebra.copied(product, out, arena)

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
            _stacked(ids, "ids"), _stacked(levels, "levels"), rows, given, None if single else out, workers
        )
        return self._single(made, out) if single else made

    def encode_ngrams(self, sequences: Any, n: int = 3, *, items: Any = None, out: Any = None, workers: int = 1) -> Any:
        """The bundle of the n-grams of each sequence: of one sequence a vector, of a list of them or a matrix a matrix,
        in one call (Joshi, Halseth and Kanerva 2016). `n` is 1 to 8.

        The symbols of a sequence are whole numbers, bytes or code points; they name rows of `items`, or without items
        have random vectors of their own. In an n-gram the last item stands as it is, the one before rotated by 1 (see
        `rotate`), and so on, and all are bound. BSC and MAP are encoded by the compiled
        :class:`~sophia._core.sequence.NgramEncoder`, without the GIL. ValueError for a sequence of less than `n`
        symbols, or a symbol that has no item.

        >>> space = Space("map", 1000)
        >>> found = space.encode_ngrams(["the cat sat", "the cat sits", "dogs run by"], 3)
        >>> likeness = space.similarity(found, found)
        >>> bool(likeness[0, 1] > 0.3 > likeness[0, 2])
        True
        """
        if not _is_whole(n) or not 1 <= n <= _LONGEST_GRAM:
            message = f"n is {n!r}; it is a whole number of symbols, from 1 to {_LONGEST_GRAM}"
            raise ValueError(message)
        single = _is_sequence(sequences)
        rows, found = self._spelt(items, _sequences(sequences, single))
        made = self._algebra.ngrams(rows, found, n, None if single else out, workers)
        return self._single(made, out) if single else made

    def encode_sequence(self, sequences: Any, *, items: Any = None, out: Any = None, workers: int = 1) -> Any:
        """The bundle of the items of each sequence, each permuted by its distance from the end: of one sequence a
        vector, of a list of them or a matrix a matrix, in one call.

        Permuted back by that distance and cleaned up, it gives the item again. Symbols as for `encode_ngrams`.

        >>> space = Space("bsc")
        >>> items = space.random_rows(26, "letter")
        >>> word = space.encode_sequence([7, 4, 11, 11, 14], items=items)
        >>> space.cleanup(space.permute(word, -4), items).row
        7
        """
        single = _is_sequence(sequences)
        rows, found = self._spelt(items, _sequences(sequences, single))
        made = self._algebra.sequences(rows, found, None if single else out, workers)
        return self._single(made, out) if single else made

    def symbol(self, symbol: int | str) -> Any:
        """The vector that a symbol (a number, or a single character) has for the encoders where no items are given."""
        number: Any = ord(symbol) if isinstance(symbol, str) and len(symbol) == 1 else symbol
        if not _is_whole(number) or not 0 <= number < 1 << 63:
            message = f"symbol is {symbol!r}; it is a character, or a whole number of at least 0"
            raise ValueError(message)
        return self.random(_SYMBOLS, int(number))

    def _spelt(self, items: Any, sequences: list[Any]) -> tuple[Any, list[Any]]:
        """Items, and sequences of their rows: of symbols without items, those that there are."""
        if items is not None:
            return _stacked(items, "items"), sequences
        import numpy

        numbers = [_numbers(one, f"sequences[{at}]") for at, one in enumerate(sequences)]
        known, places = numpy.unique(numpy.concatenate([*numbers, [0]]), return_inverse=True)
        rows = _stacked([self.symbol(symbol) for symbol in known.tolist()], "items")
        ends = numpy.cumsum([len(one) for one in numbers])
        return rows, [places[end - len(one) : end] for one, end in zip(numbers, ends, strict=True)]

    def normalize(self, a: Any, out: Any = None) -> Any:
        """What is most like `a` among normal vectors: HRR of norm 1, FHRR of magnitude 1 in each component."""
        made = self._algebra.normalize(_stacked(a, "a"))
        return made if out is None else self._algebra.copied(made, out)

    def similarity(self, a: Any, b: Any, dtype: DTypeLike = float) -> Any:
        """Cosine, in [-1, 1], about 0 for unrelated vectors: a float, or an array [n], [n, m] of `dtype` where one
        or both are matrices or lists. Whatever `dtype` is, sums are exact (BSC, MAP) or true to about 1e-6. A zero
        norm gives 0.0. ValueError for a `dtype` that holds no fractions.
        """
        import numpy

        x, y = _stacked(a, "a"), _stacked(b, "b")
        kind = numpy.dtype(dtype)
        if kind.kind != "f":
            message = f"dtype is {kind}; similarities are fractions: use a float dtype"
            raise ValueError(message)
        if (
            getattr(x, "ndim", 1) != 2
            or getattr(y, "ndim", 1) != 2
            or kind == numpy.float64
            or len(x) * len(y) <= _CHUNK
        ):
            found = self._algebra.similarity(x, y)
            return found if isinstance(found, float) else found.astype(kind, copy=False)
        made = numpy.empty((len(x), len(y)), kind)
        step = max(1, _CHUNK // len(y))
        for at in range(0, len(x), step):
            made[at : at + step] = self._algebra.similarity(x[at : at + step], y)
        return made

    def cleanup(self, a: Any, memory: Any, threshold: float | None = None) -> Any:
        """The vector of `memory` (a matrix, or a list of vectors) that `a` is most like: a `Cleaned`, of each row of a
        matrix or list of queries one. Of equal ones the first.

        Its row is None where the similarity is below the threshold: by default what the best of as many unrelated
        vectors would reach by chance once in a thousand times; -1 takes the nearest, whatever it is. ValueError for an
        empty memory, or a threshold that is no similarity.
        """
        rows, queries = _stacked(memory, "memory"), _stacked(a, "a")
        if not len(self._algebra.checked(rows, "memory", 2)):
            message = "cleanup: there is nothing in the memory"
            raise ValueError(message)
        number = threshold is None or isinstance(threshold, int | float) or hasattr(threshold, "__float__")
        if not number or not (threshold is None or -1.0 <= threshold <= 1.0):
            message = f"threshold is {threshold!r}; it is a similarity, from -1 to 1"
            raise ValueError(message)
        least = self._algebra.chance(len(rows)) if threshold is None else threshold
        if getattr(queries, "ndim", 1) != 2:
            return _cleaned(self._algebra.similarity(queries, rows), least)
        found = []
        step = max(1, _CHUNK // len(rows))
        for at in range(0, len(queries), step):
            found += [_cleaned(one, least) for one in self._algebra.similarity(queries[at : at + step], rows)]
        return found

    def randsel(self, a: Any, b: Any, p: float = 0.5, name: str | int = "randsel", out: Any = None) -> Any:
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

        words = random_words(self.named(name), 0, self.dim)
        chosen = words < numpy.uint64(int(p * 2**64)) if p < 1.0 else numpy.ones(self.dim, bool)
        x, y = (self._algebra.array(_stacked(one, which)) for one, which in ((a, "a"), (b, "b")))
        made = self._algebra.from_array(numpy.where(chosen, y, x))
        return made if out is None else self._algebra.copied(made, out)

    def level(self, n: int, name: str | int = "level") -> NDArray[Any]:
        """A matrix of n vectors of which neighbours differ a little: row i has the components of one random vector in
        i of n - 1 parts of its places (in a random order), and those of another in the rest. So similarity falls evenly
        with the distance, and the ends are unrelated. For values on a scale."""
        import numpy

        ends, places = self._two(name), self._order(name)
        steps = numpy.arange(_count(n)) * self.dim // max(1, n - 1)
        return self._rows(n, lambda part: numpy.where(places[None, :] < steps[part, None], ends[1], ends[0]))

    def circular(self, n: int, name: str | int = "circular") -> NDArray[Any]:
        """The same in a circle: row 0 follows row n - 1, and opposite ones are unrelated. For hours and angles."""
        import numpy

        ends, places = self._two(name), self._order(name)
        turn = 2 * numpy.arange(_count(n)) * self.dim // n  # from one end to the other, and on to the first

        def rows(part: slice) -> NDArray[Any]:
            changed = (places[None, :] < turn[part, None]) & (places[None, :] >= (turn[part] - self.dim)[:, None])
            made: NDArray[Any] = numpy.where(changed, ends[1], ends[0])
            return made

        return self._rows(n, rows)

    def thermometer(self, n: int) -> NDArray[Any]:
        """A matrix of n vectors: of row i the first i of n - 1 parts of the components are +1, the others -1. No
        randomness; ends are opposite. Of BSC and MAP; of the others these signs as their own numbers."""
        import numpy

        steps = numpy.arange(_count(n)) * self.dim // max(1, n - 1)
        size = 1 / numpy.sqrt(self.dim) if self.model == "hrr" else 1
        return self._rows(n, lambda part: numpy.where(numpy.arange(self.dim)[None, :] < steps[part, None], size, -size))

    def _two(self, name: str | int) -> NDArray[Any]:
        return self._algebra.array(self.random_rows(2, name))

    def _order(self, name: str | int) -> NDArray[Any]:
        """For each place its rank in a random order that the name gives."""
        import numpy

        words = random_words(self.named(name), 2, self.dim)
        ranks = numpy.empty(self.dim, numpy.int64)
        ranks[numpy.argsort(words, kind="stable")] = numpy.arange(self.dim)
        return ranks

    def _rows(self, n: int, components: Callable[[slice], NDArray[Any]]) -> NDArray[Any]:
        """A matrix of n rows, whose components are made a block at a time: they take up to eight times its memory."""
        import numpy

        first = self._algebra.from_array(components(slice(0, _BLOCK)))
        made: NDArray[Any] = numpy.empty((n, first.shape[1]), first.dtype)
        made[:_BLOCK] = first
        for at in range(_BLOCK, n, _BLOCK):
            made[at : at + _BLOCK] = self._algebra.from_array(components(slice(at, at + _BLOCK)))
        return made

    def array(self, a: Any) -> NDArray[Any]:
        """The components of a vector or of each row of a matrix, as numbers; of bits +1 (0) and -1 (1), int8."""
        return self._algebra.array(_stacked(a, "a"))

    def from_array(self, components: NDArray[Any]) -> Any:
        """The vector, or matrix, with these components. ShapeError where they are none of this space."""
        return self._algebra.from_array(components)

    def vector(self, row: Any) -> Any:
        """A row of a matrix as a vector. ShapeError for a row of another space."""
        return self._algebra.checked(row, "row", 1)

    def named(self, name: str | int) -> str | int:
        """The name by which the core knows this one: another for each seed."""
        if self._seed == 0:
            return int(name) if _is_whole(name) else name
        if not isinstance(name, str) and not _is_whole(name):
            return name  # the core says what it is
        return f"{_SEEDED}{self._seed} {'s' if isinstance(name, str) else 'i'} {name}"

    def _single(self, made: NDArray[Any], out: Any) -> Any:
        """The only row of a matrix as a vector, in `out` where that is given."""
        vector = self.vector(made[0])
        return vector if out is None else self._algebra.copied(vector, out)


def _is_whole(value: Any) -> bool:
    """Whether it is a whole number, of numpy too."""
    return hasattr(value, "__index__") and not isinstance(value, bool) and getattr(value, "ndim", 0) == 0


def _count(n: int) -> int:
    """`n`, if it is a number of vectors. ValueError where it is not."""
    if not _is_whole(n) or not 1 <= n <= _MOST_ROWS:
        message = f"n is {n!r}; it is a whole number of vectors, from 1 to {_MOST_ROWS}"
        raise ValueError(message)
    return n


def _cleaned(scores: NDArray[Any], least: float) -> Cleaned:
    best = int(scores.argmax())
    score = float(scores[best])
    return Cleaned(best if score >= least else None, score)


def _listed(vectors: tuple[Any, ...]) -> Any:
    """The vectors of a call: a matrix, where that is its one argument, else a list."""
    if len(vectors) != 1:
        return list(vectors)
    if isinstance(vectors[0], list | tuple):
        return list(vectors[0])
    return vectors[0] if getattr(vectors[0], "ndim", 0) == 2 else list(vectors)


def _stacked(a: Any, name: str) -> Any:
    """A list of vectors as a matrix; anything else as it is."""
    if not isinstance(a, list | tuple):
        return a
    import numpy

    if not a:
        message = f"{name}: an empty list, so there is nothing in it; give at least one vector"
        raise ValueError(message)
    rows = [numpy.asarray(one) for one in a]
    if len({(row.shape, str(row.dtype)) for row in rows}) > 1:
        message = f"{name}: its elements have different shapes or types; they must be vectors of one space"
        raise ShapeError(message)
    return numpy.stack(rows)


def _is_sequence(a: Any) -> bool:
    """Whether it is one sequence of symbols, and not several."""
    if isinstance(a, list | tuple):
        return bool(a) and _is_whole(a[0])
    return isinstance(a, str | bytes | bytearray | memoryview | array) or getattr(a, "ndim", 2) == 1


def _sequences(sequences: Any, single: bool) -> Any:
    if single:
        sequences = [sequences]
    return [
        _whole(one, f"sequences[{at}]") if isinstance(one, list | tuple) else one for at, one in enumerate(sequences)
    ]


def _numbers(sequence: Any, name: str) -> NDArray[Any]:
    """The symbols of a sequence as int64. ShapeError or ValueError for what is no row of them."""
    import numpy

    if isinstance(sequence, str):
        return numpy.frombuffer(sequence.encode("utf-32-le", "surrogatepass"), "<u4").astype(numpy.int64)
    if isinstance(sequence, bytes | bytearray | memoryview):
        return numpy.frombuffer(sequence, numpy.uint8).astype(numpy.int64)
    found = _whole(sequence, name)
    if found.ndim != 1:
        message = f"{name}: shape {list(found.shape)}; a sequence is one row of symbols"
        raise ShapeError(message)
    if len(found) and int(found.min()) < 0:
        message = f"{name}: symbol {int(found.argmin())} is {int(found.min())}; symbols are whole numbers from 0 on"
        raise ValueError(message)
    return found.astype(numpy.int64)


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
